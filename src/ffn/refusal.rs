//! FFN's answer when it says no: status, error body and the class that decides what follows (contract 5).
//!
//! The body is read with every tolerance the contract asks for; what can't be read is kept raw, at most
//! 2 KB of it, for the operator. The text of a refusal names operation, status and code and nothing else.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use super::codes::{Class, class, is_about_state};
use super::error::Disposition;

/// How much of an unreadable body is kept (contract 5).
const RAW_LIMIT: usize = 2048;

/// An answer of FFN that is no success.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The operation.
    pub operation: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// How long FFN asked to wait.
    pub retry_after: Option<Duration>,
    /// FFN's error code, for example `Outbounds_OutboundNotFound`.
    pub code: Option<String>,
    /// What FFN says about the code.
    pub description: Option<String>,
    /// FFN's messages, in order.
    pub messages: Vec<FieldMessage>,
    /// Facts beside the code, for example `OutboundId`; values as text.
    pub metadata: Vec<(String, String)>,
    /// The begin of a body that has none of these.
    pub raw: Option<String>,
}

/// One message of an error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMessage {
    /// The field it is about, if named.
    pub target: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Refusal {
    /// Reads an answer that is no success.
    pub(super) fn read(
        operation: &'static str,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let mut refusal = Self {
            operation,
            status,
            retry_after,
            code: None,
            description: None,
            messages: Vec::new(),
            metadata: Vec::new(),
            raw: None,
        };
        if let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) {
            refusal.take(&members);
        }
        if refusal.code.is_none() && refusal.messages.is_empty() && !body.is_empty() {
            let begin = body.get(..RAW_LIMIT).unwrap_or(body);
            refusal.raw = Some(String::from_utf8_lossy(begin).into_owned());
        }
        refusal
    }

    /// A fact beside the code; the case of the key does not matter (contract 5).
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    /// What is to be done: the code decides, then the status (contract 5).
    pub fn disposition(&self) -> Disposition {
        let again = Disposition::Again { after: self.retry_after };
        if let Some(class) = self.code.as_deref().and_then(class) {
            return match class {
                Class::Permanent | Class::Stale | Class::Setup | Class::Done => Disposition::Never,
                Class::Exists => Disposition::InDoubt,
                Class::Transient => again,
            };
        }
        match self.status.as_u16() {
            401 => Disposition::NeedsLogin,
            425 | 429 => again,
            // 408 and 5xx leave the outcome open; 409, 412 and 423 ask to look (contract 5 and 10.3). What leads
            // elsewhere is not FFN: it is away.
            300..=399 | 408 | 409 | 412 | 423 | 500..=599 => Disposition::InDoubt,
            _ => Disposition::Never,
        }
    }

    /// Whether the state at FFN stands against the call: what is there already, was changed meanwhile, or has gone
    /// too far.
    pub fn is_conflict(&self) -> bool {
        let Some(code) = self.code.as_deref() else { return false };
        match class(code) {
            Some(Class::Exists) => self.status != StatusCode::LOCKED,
            Some(Class::Stale | Class::Done) => true,
            Some(Class::Permanent) => is_about_state(code),
            Some(Class::Transient | Class::Setup) | None => false,
        }
    }

    /// Whether somebody has to set something up at FFN first: authorization, sharing, role (contract 5, class A).
    pub fn is_setup(&self) -> bool {
        self.code.as_deref().and_then(class) == Some(Class::Setup)
    }

    /// Takes what is known of either shape: FFN's own, or the framework's `{"errors":{field:[…]}}`.
    fn take(&mut self, members: &Map<String, Value>) {
        if let Some(error_code) = member(members, "errorCode") {
            match error_code {
                Value::Object(parts) => {
                    self.code = member(parts, "code").and_then(text);
                    self.description = member(parts, "description").and_then(text);
                }
                other => self.code = text(other),
            }
        }
        if let Some(Value::Array(messages)) = member(members, "errorMessages") {
            for message in messages.iter().filter_map(Value::as_object) {
                if let Some(words) = member(message, "message").and_then(text) {
                    let target = member(message, "target").and_then(text);
                    self.messages.push(FieldMessage { target, message: words });
                }
            }
        }
        if let Some(Value::Object(facts)) = member(members, "errorMetaData") {
            self.metadata = facts.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect();
        }
        if let Some(Value::Object(fields)) = member(members, "errors") {
            self.description = member(members, "title").and_then(text);
            for (field, messages) in fields {
                for words in messages.as_array().into_iter().flatten().filter_map(text) {
                    self.messages.push(FieldMessage { target: Some(field.clone()), message: words });
                }
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FFN answered {} with status {}", self.operation, self.status.as_u16())?;
        match &self.code {
            Some(code) => write!(formatter, " and code {code}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// The member of that name in any case: `errorMetaData` and `errorMetadata` are both seen (contract 5).
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A value as text; absent and null are alike (contract 4).
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        Refusal::read("outbound.create", StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    }

    #[test]
    fn an_error_body_is_read_in_either_spelling() {
        for spelling in ["errorMetaData", "errorMetadata"] {
            let refusal = refusal(
                400,
                &format!(
                    r#"{{"errorCode":{{"code":"Outbounds_NotCanceledOutboundExists","description":"d"}},
                    "errorMessages":[{{"message":"m","target":"items"}}],"{spelling}":{{"OutboundId":"ACME02K7Q2"}}}}"#
                ),
            );
            assert_eq!(refusal.code.as_deref(), Some("Outbounds_NotCanceledOutboundExists"));
            assert_eq!(refusal.metadata("outboundid"), Some("ACME02K7Q2"));
            assert_eq!(refusal.messages, [FieldMessage { target: Some("items".into()), message: "m".into() }]);
            assert_eq!(refusal.disposition(), Disposition::InDoubt);
            assert_eq!(refusal.raw, None);
        }
    }

    #[test]
    fn null_messages_and_the_frameworks_shape_are_read_too() {
        let plain = refusal(404, r#"{"errorCode":{"code":"Outbounds_OutboundNotFound"},"errorMessages":null}"#);
        assert_eq!((plain.disposition(), plain.messages.len()), (Disposition::Never, 0));
        let framework = refusal(400, r#"{"title":"Bad","errors":{"currency":["too long"]}}"#);
        assert_eq!(framework.messages[0].target.as_deref(), Some("currency"));
        assert_eq!(framework.description.as_deref(), Some("Bad"));
    }

    #[test]
    fn an_unreadable_body_is_kept_to_two_kilobytes_and_out_of_the_text() {
        let refusal = refusal(502, &"<html>".repeat(1000));
        assert_eq!(refusal.raw.as_ref().map(String::len), Some(RAW_LIMIT));
        assert_eq!(refusal.to_string(), "FFN answered outbound.create with status 502");
        assert_eq!(refusal.disposition(), Disposition::InDoubt);
    }

    #[test]
    fn the_code_decides_before_the_status() {
        let locked = refusal(423, r#"{"errorCode":{"code":"Outbounds_OutboundCreationIsLocked"}}"#);
        assert_eq!(locked.disposition(), Disposition::InDoubt);
        let failed = refusal(400, r#"{"errorCode":{"code":"Shared_UpdateOperation"}}"#);
        assert_eq!(failed.disposition(), Disposition::Again { after: None });
        let unknown = refusal(400, r#"{"errorCode":{"code":"Outbounds_Brandnew"}}"#);
        assert_eq!(unknown.disposition(), Disposition::Never);
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        let by_status = [
            (302, Disposition::InDoubt),
            (401, Disposition::NeedsLogin),
            (403, Disposition::Never),
            (404, Disposition::Never),
            (408, Disposition::InDoubt),
            (409, Disposition::InDoubt),
            (425, Disposition::Again { after: None }),
            (429, Disposition::Again { after: None }),
            (500, Disposition::InDoubt),
            (503, Disposition::InDoubt),
        ];
        for (status, disposition) in by_status {
            assert_eq!(refusal(status, "").disposition(), disposition, "{status}");
        }
    }
}
