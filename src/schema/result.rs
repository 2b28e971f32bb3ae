//! What answers a command: the `data` of `ffn.command.succeeded.v1` and `ffn.command.failed.v1` (interface, "Results").

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `type` of the result of a command that succeeded.
pub const SUCCEEDED_TYPE: &str = "ffn.command.succeeded.v1";
/// `type` of the result of a command that failed.
pub const FAILED_TYPE: &str = "ffn.command.failed.v1";

/// The command was carried out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultSucceeded {
    /// The command's `message_id`.
    pub command_id: String,
    /// The command, for example `outbound.create`.
    pub command: String,
    /// Deliveries of the command that counted as an attempt, from 1; what an outage of FFN cost is not among them.
    pub attempts: u32,
    /// Whether the outcome was found by a look-up instead of being answered to the call itself.
    pub reconciled: bool,
    /// FFN's answer as it was sent, digit for digit; null where FFN answers without a body.
    #[schemars(with = "serde_json::Value")]
    pub response: Box<RawValue>,
}

/// The command was not carried out, or nobody knows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultFailed {
    /// The command's `message_id`.
    pub command_id: String,
    /// The command, for example `outbound.create`; as given where it is unknown.
    pub command: String,
    /// Deliveries of the command that counted as an attempt; 0 if it was refused before any call.
    pub attempts: u32,
    /// Whether the outcome was found by a look-up instead of being answered to the call itself.
    pub reconciled: bool,
    /// Why.
    pub error: CommandError,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandError {
    /// The kind of failure.
    pub code: ErrorCode,
    /// What happened, for a person.
    pub message: String,
    /// Whether the same command, put back or sent again under a new id, may succeed without being changed.
    pub retryable: bool,
    /// HTTP status of FFN's last answer, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16", range(min = 100, max = 599))]
    pub http_status: Option<u16>,
    /// FFN's own error code, for example `Outbounds_OutboundNotFound` (contract appendix E).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub ffn_error_code: Option<String>,
    /// Which members of the command are at fault, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
}

/// A fault of one member of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Where, for example `items[0].quantity`; empty for the body as a whole.
    pub path: String,
    /// What is wrong and what would be right, for a person.
    pub message: String,
}

/// The kinds of failure. The list is closed within v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The body is not what the command's schema asks for.
    InvalidCommand,
    /// The routing key names an account that is not configured.
    UnknownAccount,
    /// The routing key names no command of the bridge.
    UnknownCommand,
    /// FFN said no.
    Rejected,
    /// FFN did not accept the account's sign-in.
    Unauthorized,
    /// The account may not do this.
    Forbidden,
    /// FFN does not know the entity.
    NotFound,
    /// The state at FFN stands against it.
    Conflict,
    /// FFN's limit of calls was met.
    RateLimited,
    /// FFN could not be reached or could not answer.
    Unavailable,
    /// The call was made, but whether FFN carried it out could not be found out.
    OutcomeUnknown,
    /// Every attempt failed with a passing fault.
    RetriesExhausted,
}

impl ErrorCode {
    /// Every code, in the order of the interface.
    pub const ALL: [Self; 12] = [
        Self::InvalidCommand,
        Self::UnknownAccount,
        Self::UnknownCommand,
        Self::Rejected,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::RateLimited,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::RetriesExhausted,
    ];

    /// The code as it stands in results, headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidCommand => "invalid-command",
            Self::UnknownAccount => "unknown-account",
            Self::UnknownCommand => "unknown-command",
            Self::Rejected => "rejected",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::RetriesExhausted => "retries-exhausted",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{} {}", self.path, self.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_the_same_as_text_and_as_json() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn a_failure_leaves_out_what_is_not_known_and_reads_back() {
        let failed = ResultFailed {
            command_id: "c-1".into(),
            command: "outbound.get".into(),
            attempts: 1,
            reconciled: false,
            error: CommandError {
                code: ErrorCode::NotFound,
                message: "no such outbound".into(),
                retryable: false,
                http_status: Some(404),
                ffn_error_code: None,
                fields: vec![],
            },
        };
        let text = serde_json::to_string(&failed).unwrap();
        assert_eq!(
            text,
            r#"{"commandId":"c-1","command":"outbound.get","attempts":1,"reconciled":false,"error":{"code":"not-found","message":"no such outbound","retryable":false,"httpStatus":404}}"#
        );
        assert_eq!(serde_json::from_str::<ResultFailed>(&text).unwrap().error, failed.error);
    }

    #[test]
    fn a_success_keeps_every_digit_of_the_answer() {
        let text = r#"{"commandId":"c","command":"outbound.get","attempts":1,"reconciled":false,"response":{"orderValue":1.10}}"#;
        let succeeded: ResultSucceeded = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&succeeded).unwrap(), text);
    }
}
