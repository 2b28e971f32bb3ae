//! One delivery's worth of trying: calls FFN for a command, settles what is in doubt, and says how it
//! went. Third step of a command's way.
//!
//! The rule that keeps an order from being shipped twice: while it is unknown whether an earlier try
//! had its effect, nothing is sent that could have it again; first FFN is asked (contract 10.3, 10.6).

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::value::RawValue;

use super::Config;
use super::compare::{Difference, same_outbound};
use crate::ffn::fields::Fields;
use crate::ffn::operations::{Operation, Settle, Success};
use crate::ffn::{Client, Disposition, Error, outbounds};
use crate::schema::result::{CommandError, ErrorCode, FieldError};
use crate::store::Setback;
use crate::telemetry::Chain;

/// FFN's code for a transition that the state does not allow (contract 10.6).
const STATUS_CHANGE_FORBIDDEN: &str = "Outbounds_OutboundStatusChangeForbidden";
/// Codes with which FFN says that the outbound is there already (contract 10.3).
const EXISTS: [&str; 2] = ["Outbounds_NotCanceledOutboundExists", "Shared_DuplicateKey"];
/// A wait longer than this is spent in the broker, not here.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a delivery's worth of trying ended.
#[derive(Debug)]
pub enum Outcome {
    /// Carried out.
    Done {
        /// FFN's id of the entity.
        subject: Option<String>,
        /// Whether that was found by looking.
        reconciled: bool,
        /// FFN's answer, `null` where it has no body.
        response: Box<RawValue>,
    },
    /// It can't be carried out.
    Failed {
        /// Why.
        error: CommandError,
        /// Whether that was found by looking.
        reconciled: bool,
    },
    /// Not now.
    Later {
        /// Whether the tries may have had their effect.
        setback: Setback,
        /// How long FFN asked to wait.
        after: Option<Duration>,
        /// The last trouble.
        error: CommandError,
    },
    /// Not before the account can call again.
    Unable {
        /// Whether the tries may have had their effect.
        setback: Setback,
        /// The last trouble.
        error: CommandError,
    },
}

/// Executes commands of one account.
pub struct Executor<'a> {
    /// The account's API.
    pub client: &'a Client,
    /// Tries and pauses.
    pub config: &'a Config,
    /// W3C trace context of the command.
    pub traceparent: Option<&'a str>,
    /// When it is too late to send the command; what was sent is looked up all the same.
    pub deadline: Option<DateTime<Utc>>,
}

/// What looking brought.
enum Settled {
    /// It is done.
    Done(Outcome),
    /// It is not done: it can be sent.
    NotDone,
}

impl Executor<'_> {
    /// Executes a validated command. `in_doubt`: an earlier try may have had its effect.
    pub async fn execute(&self, operation: &'static Operation, fields: &Fields, in_doubt: bool) -> Outcome {
        let (left, pause) = (self.config.quick_attempts, self.config.quick_delay);
        let mut tries = Tries { in_doubt, sent: false, looked: false, left, pause };
        loop {
            if let Some(wait) = self.client.closed_for().filter(|wait| *wait > LONGEST_PAUSE) {
                let setback = if tries.in_doubt { Setback::Away } else { Setback::NotTried };
                return Outcome::Later { setback, after: Some(wait), error: asked_to_wait(wait) };
            }
            let trouble = match self.attempt(operation, fields, &mut tries).await {
                Ok(outcome) => return outcome,
                Err(trouble) => trouble,
            };
            tries.left = tries.left.saturating_sub(1);
            let pause = trouble.retry_after().unwrap_or(tries.pause);
            let disposition = trouble.disposition();
            let setback = tries.setback(&trouble);
            if disposition == Disposition::NeedsLogin {
                return Outcome::Unable { setback, error: explain(&trouble) };
            }
            if tries.left == 0 || pause > LONGEST_PAUSE {
                return Outcome::Later { setback, after: trouble.retry_after(), error: explain(&trouble) };
            }
            tracing::debug!(account = %self.client.account(), operation = operation.name, error = %Chain(&trouble), "trying again");
            tokio::time::sleep(pause).await;
            tries.pause *= 2;
        }
    }

    /// One try: look first if in doubt, then send. `Err`: it may work later.
    async fn attempt(
        &self,
        operation: &'static Operation,
        fields: &Fields,
        tries: &mut Tries,
    ) -> Result<Outcome, Error> {
        if tries.in_doubt {
            match self.settle(operation, fields).await {
                Ok(Settled::Done(outcome)) => return Ok(outcome),
                Ok(Settled::NotDone) => (tries.in_doubt, tries.looked) = (false, true),
                // What can't be looked up stays unknown: it must not read as FFN's no.
                Err(error) if error.disposition() == Disposition::Never => return Ok(unknown(&error)),
                Err(error) => return Err(error),
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= Utc::now()) {
            return Ok(Outcome::Failed { error: too_late(), reconciled: tries.looked });
        }
        let request = match operation.request(self.client, fields).await {
            Ok(mut request) => {
                request.traceparent = self.traceparent.map(str::to_owned);
                request
            }
            Err(error) => return later(error),
        };
        tries.sent = true;
        let error = match self.client.call(request).await {
            Ok(answer) => match done(operation, fields, &answer.body) {
                Ok(outcome) => return Ok(outcome),
                // It is done, but what FFN made is not known: that is found by looking.
                Err(error) => error,
            },
            Err(error) => error,
        };
        if error.disposition() == Disposition::InDoubt {
            // A repetition of what is repeatable needs no look.
            tries.in_doubt = operation.settle != Settle::Repeatable;
            let says_exists = error.code().is_some_and(|code| EXISTS.contains(&code));
            if !says_exists {
                return Err(error);
            }
            return match self.settle_existing(operation, fields, error).await {
                Err(error) if error.disposition() == Disposition::Never => Ok(unknown(&error)),
                settled => settled,
            };
        }
        if error.code() == Some(STATUS_CHANGE_FORBIDDEN)
            && let Settle::ReadState { .. } = operation.settle
            && let Ok(Settled::Done(outcome)) = self.settle(operation, fields).await
        {
            return Ok(outcome);
        }
        later(error)
    }

    /// Finds out what became of earlier tries.
    async fn settle(&self, operation: &Operation, fields: &Fields) -> Result<Settled, Error> {
        match operation.settle {
            Settle::Repeatable => Ok(Settled::NotDone),
            Settle::ReadState { field, done } => {
                let Some(id) = fields.text("outboundId") else { return Ok(Settled::NotDone) };
                let Some(found) = outbounds::get_outbound(self.client, &id).await? else {
                    return Ok(Settled::NotDone);
                };
                if text_member(&found, field).as_deref() == Some(done) {
                    let subject = text_member(&found, "outboundId");
                    return Ok(Settled::Done(Outcome::Done { subject, reconciled: true, response: null() }));
                }
                Ok(Settled::NotDone)
            }
            Settle::NaturalKey { field } => {
                let Some(number) = fields.text(field) else { return Ok(Settled::NotDone) };
                // The first request may still be running at FFN: wait before each of two looks.
                for _ in 0..2 {
                    tokio::time::sleep(self.config.settle_delay).await;
                    if let Some(outcome) = self.find_live(&number, fields).await? {
                        return Ok(Settled::Done(outcome));
                    }
                }
                Ok(Settled::NotDone)
            }
        }
    }

    /// FFN says that the outbound is there: finds it and compares it with what was asked.
    async fn settle_existing(&self, operation: &Operation, fields: &Fields, refusal: Error) -> Result<Outcome, Error> {
        let Settle::NaturalKey { field } = operation.settle else { return Ok(failed(&refusal, false)) };
        let Some(number) = fields.text(field) else { return Ok(failed(&refusal, false)) };
        if let Some(id) = refusal.refusal().and_then(|refusal| refusal.metadata("OutboundId"))
            && let Some(found) = outbounds::get_outbound(self.client, id).await?
            && text_member(&found, field).as_deref() == Some(&number)
        {
            return Ok(judge(&found, fields));
        }
        for _ in 0..2 {
            if let Some(outcome) = self.find_live(&number, fields).await? {
                return Ok(outcome);
            }
            tokio::time::sleep(self.config.settle_delay).await;
        }
        // FFN refuses it as a repetition, yet shows nothing: a person has to look.
        Ok(failed(&refusal, true))
    }

    /// The outbound of this number that is not canceled, judged against what was asked.
    async fn find_live(&self, number: &str, fields: &Fields) -> Result<Option<Outcome>, Error> {
        let found = outbounds::find_outbounds(self.client, number).await?;
        let live = found.iter().find(|row| text_member(row, "status").as_deref() != Some("Canceled"));
        Ok(live.map(|row| judge(row, fields)))
    }
}

struct Tries {
    in_doubt: bool,
    /// Whether anything was sent that could have had the effect.
    sent: bool,
    /// Whether a look has shown that nothing was done.
    looked: bool,
    left: u32,
    pause: Duration,
}

impl Tries {
    /// What this delivery's tries leave behind. FFN being away, asking to wait or lacking a login is not
    /// the command's fault and does not count against it.
    fn setback(&self, trouble: &Error) -> Setback {
        let is_away = match trouble.disposition() {
            Disposition::NeedsLogin => true,
            // A code of FFN's own that may pass is about this command; a limit or silence is not.
            Disposition::Again { .. } => {
                trouble.code().is_none() || trouble.status() == Some(StatusCode::TOO_MANY_REQUESTS)
            }
            Disposition::InDoubt | Disposition::Never => {
                trouble.status() == Some(StatusCode::SERVICE_UNAVAILABLE)
                    || (!self.sent && matches!(trouble, Error::NoAnswer { .. }))
            }
        };
        match (is_away, self.in_doubt) {
            (true, true) => Setback::Away,
            (true, false) => Setback::NotTried,
            (false, true) => Setback::InDoubt,
            (false, false) => Setback::NoEffect,
        }
    }
}

/// What an error means for the command: an end, or a reason to come back.
fn later(error: Error) -> Result<Outcome, Error> {
    match error.disposition() {
        Disposition::Never => Ok(failed(&error, false)),
        Disposition::Again { .. } | Disposition::InDoubt | Disposition::NeedsLogin => Err(error),
    }
}

/// The end of a command that was not carried out before its deadline.
pub fn too_late() -> CommandError {
    CommandError {
        code: ErrorCode::RetriesExhausted,
        message: "it was not carried out before its deadline; put it back if it is still wanted".to_owned(),
        retryable: true,
        http_status: None,
        ffn_error_code: None,
        fields: Vec::new(),
    }
}

fn asked_to_wait(wait: Duration) -> CommandError {
    CommandError {
        code: ErrorCode::RateLimited,
        message: format!("FFN has asked this account to wait, {} s more", wait.as_secs()),
        retryable: true,
        http_status: None,
        ffn_error_code: None,
        fields: Vec::new(),
    }
}

/// An earlier try may have had its effect, and FFN will not say.
fn unknown(error: &Error) -> Outcome {
    let said = explain(error);
    let message = format!("whether FFN carried it out can't be found out: {}", said.message);
    Outcome::Failed { error: CommandError { code: ErrorCode::OutcomeUnknown, message, ..said }, reconciled: false }
}

/// What was found is what was asked for, or stands in its way.
fn judge(found: &RawValue, asked: &Fields) -> Outcome {
    match same_outbound(found, asked) {
        Ok(()) => {
            Outcome::Done { subject: text_member(found, "outboundId"), reconciled: true, response: found.to_owned() }
        }
        Err(differences) => {
            let field = |Difference { path, found }| FieldError { path, message: format!("is {found} at FFN") };
            let error = CommandError {
                code: ErrorCode::Conflict,
                message: "FFN holds another order under this merchantOutboundNumber".to_owned(),
                retryable: false,
                http_status: None,
                ffn_error_code: None,
                fields: differences.into_iter().map(field).collect(),
            };
            Outcome::Failed { error, reconciled: true }
        }
    }
}

/// What FFN's success says; an error if it should hold an object and holds none that can be read.
fn done(operation: &Operation, fields: &Fields, body: &[u8]) -> Result<Outcome, Error> {
    let response: Option<Box<RawValue>> = serde_json::from_slice(body).ok();
    let subject = match operation.success {
        Success::Object => {
            let id = response.as_deref().and_then(|response| text_member(response, "outboundId"));
            let reason = "it holds no outbound".to_owned();
            Some(id.ok_or(Error::Unreadable { operation: operation.name, reason })?)
        }
        Success::Empty => fields.text("outboundId"),
    };
    Ok(Outcome::Done { subject, reconciled: false, response: response.unwrap_or_else(null) })
}

fn failed(error: &Error, reconciled: bool) -> Outcome {
    Outcome::Failed { error: explain(error), reconciled }
}

/// FFN's error in the bridge's words, with FFN's own code and messages kept.
pub fn explain(error: &Error) -> CommandError {
    let refusal = error.refusal();
    let is_taken = error.code().is_some_and(|code| EXISTS.contains(&code));
    let code = match (error.disposition(), error.status().map(|status| status.as_u16())) {
        _ if is_taken => ErrorCode::Conflict,
        (Disposition::NeedsLogin, _) => ErrorCode::Unauthorized,
        (_, Some(429)) => ErrorCode::RateLimited,
        (Disposition::Again { .. } | Disposition::InDoubt, _) => ErrorCode::Unavailable,
        (Disposition::Never, Some(404)) => ErrorCode::NotFound,
        (Disposition::Never, Some(403)) if error.code().is_none() => ErrorCode::Forbidden,
        (Disposition::Never, Some(403)) if error.code() == Some(STATUS_CHANGE_FORBIDDEN) => ErrorCode::Conflict,
        (Disposition::Never, Some(_)) if error.code() == Some(STATUS_CHANGE_FORBIDDEN) => ErrorCode::Conflict,
        (Disposition::Never, None) if matches!(error, Error::NoSuchOutbound { .. }) => ErrorCode::NotFound,
        (Disposition::Never, None) => ErrorCode::InvalidCommand,
        (Disposition::Never, Some(_)) => ErrorCode::Rejected,
    };
    let mut message = Chain(error).to_string();
    if let Some(words) = refusal.and_then(|refusal| refusal.description.as_deref()) {
        message = format!("{message}: {words}");
    }
    let fields = refusal.into_iter().flat_map(|refusal| &refusal.messages);
    CommandError {
        code,
        message,
        retryable: !is_taken && error.disposition() != Disposition::Never,
        http_status: error.status().map(|status| status.as_u16()),
        ffn_error_code: error.code().map(str::to_owned),
        fields: fields
            .map(|said| FieldError { path: said.target.clone().unwrap_or_default(), message: said.message.clone() })
            .collect(),
    }
}

/// A top-level text of a JSON object.
fn text_member(object: &RawValue, name: &str) -> Option<String> {
    serde_json::from_str::<Fields>(object.get()).ok()?.text(name)
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}
