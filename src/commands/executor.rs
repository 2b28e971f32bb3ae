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
use super::settle::{Case, Settled};
use crate::domain::account::AccountName;
use crate::domain::entity::event_id;
use crate::ffn::fields::Fields;
use crate::ffn::operations::{Key, Operation, Settle, Subject};
use crate::ffn::{Client, Disposition, Error, lookup};
use crate::schema::result::{CommandError, ErrorCode, FieldError};
use crate::store::Setback;
use crate::telemetry::Chain;

/// Why a command that FFN may still be working at is not sent again at once.
const LATE: &str = "there was none, and what it asked for is not there yet";
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

/// A validated command, and what is known of earlier tries.
pub struct Asked<'a> {
    /// What to call.
    pub operation: &'static Operation,
    /// With what.
    pub fields: &'a Fields,
    /// Its id: the ids of the bridge's own making follow from it.
    pub id: &'a str,
    /// Whether the id is its publisher's, so that it is the same when it comes again.
    pub has_own_id: bool,
    /// When it came first, if that is known.
    pub arrived_at: Option<DateTime<Utc>>,
    /// An earlier try may have had its effect.
    pub in_doubt: bool,
    /// Whether its id is the one it had in earlier tries.
    pub knows_its_id: bool,
}

impl Executor<'_> {
    /// Executes a command.
    pub async fn execute(&self, asked: &Asked<'_>) -> Outcome {
        let operation = asked.operation;
        let unsendable = |reason| failed(&Error::Unsendable { operation: operation.name, reason }, false);
        let has_ids = operation.own_ids(asked.fields).is_ok();
        let fields = match operation.with_own_ids(asked.fields, |n| own_id(self.client.account(), asked.id, n)) {
            Ok(fields) => fields,
            Err(reason) => return unsendable(reason),
        };
        let mut tries = Tries {
            // Without a message_id only its own number tells a repetition from a new command, where FFN does not.
            in_doubt: asked.in_doubt || (!asked.has_own_id && is_known_by_number(operation, asked.fields)),
            sent: false,
            looked: false,
            left: self.config.quick_attempts,
            pause: self.config.quick_delay,
            fields,
            arrived_at: asked.arrived_at,
            knows_own_ids: has_ids || asked.knows_its_id,
            is_unanswered: false,
        };
        loop {
            if let Some(wait) = self.client.closed_for().filter(|wait| *wait > LONGEST_PAUSE) {
                let setback = if tries.in_doubt { Setback::Away } else { Setback::NotTried };
                return Outcome::Later { setback, after: Some(wait), error: asked_to_wait(wait) };
            }
            let trouble = match self.attempt(operation, &mut tries).await {
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
    async fn attempt(&self, operation: &'static Operation, tries: &mut Tries) -> Result<Outcome, Error> {
        if tries.in_doubt {
            match self.case(operation, tries).settle().await {
                Ok(Settled::Ended(outcome)) => return Ok(outcome),
                // What has no answer may take longer than the look waits, and FFN would take it twice: later.
                Ok(Settled::NotDone) if tries.is_unanswered && !is_refused_twice(operation, &tries.fields) => {
                    let error = explain(&Error::Unreadable { operation: operation.name, reason: LATE.to_owned() });
                    return Ok(Outcome::Later { setback: Setback::InDoubt, after: None, error });
                }
                Ok(Settled::NotDone) => (tries.in_doubt, tries.looked) = (false, true),
                Ok(Settled::SendAgain) => {}
                Ok(Settled::Rest(rest)) => {
                    tries.fields = rest;
                    (tries.in_doubt, tries.looked) = (false, true);
                }
                // What can't be looked up stays unknown: it must not read as FFN's no.
                Err(error) if error.disposition() == Disposition::Never => return Ok(unknown(&error)),
                Err(error) => return Err(error),
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= Utc::now()) {
            // One that would be sent again only to be told of what was done is still in doubt.
            return Ok(if tries.in_doubt {
                unknown_because("its deadline has passed, and only sending it again could tell".to_owned())
            } else {
                Outcome::Failed { error: too_late(), reconciled: tries.looked }
            });
        }
        let answer = match operation.number() {
            Some(number) => self.find(operation, number, &tries.fields).await,
            None => match operation.request(self.client, &tries.fields).await {
                Ok(mut request) => {
                    request.traceparent = self.traceparent.map(str::to_owned);
                    tries.sent = true;
                    self.client.call(request).await.map(|answer| answer.body)
                }
                Err(error) => return later(error),
            },
        };
        let error = match answer {
            Ok(body) if matches!(operation.settle, Settle::EachStatus) => {
                // FFN has said of each what became of it: that it was there once does not count.
                let judged = Case { arrived_at: None, ..self.case(operation, tries) }.judge_each(&body).await;
                tries.in_doubt |= judged.is_err();
                return judged;
            }
            Ok(body) => match done(operation, &tries.fields, &body) {
                // It is done. What FFN made is found by looking, if it is; nothing is sent again.
                Ok(outcome) if is_without_object(operation, &outcome) && can_be_found(operation, &tries.fields) => {
                    return Ok(match self.case(operation, tries).settle().await {
                        Ok(Settled::Ended(found @ Outcome::Done { .. })) => found,
                        _ => outcome,
                    });
                }
                Ok(outcome) => return Ok(outcome),
                // It is no answer of FFN's.
                Err(error) => error,
            },
            Err(error) => error,
        };
        match operation.settle {
            Settle::Told { done, gone } => {
                let says = |codes: &[&str]| error.code().is_some_and(|code| codes.contains(&code));
                if says(done) || (tries.in_doubt && says(gone)) {
                    let subject = subject(operation, &tries.fields);
                    return Ok(Outcome::Done { subject, reconciled: true, response: null() });
                }
            }
            Settle::State(state) if error.code().is_some_and(|code| state.refused.contains(&code)) => {
                let arrived_at = tries.arrived_at.filter(|_| tries.in_doubt);
                return match (Case { arrived_at, ..self.case(operation, tries) }).look_at(&state).await {
                    Ok(Some(outcome)) => Ok(outcome),
                    Ok(None) | Err(_) => later(error),
                };
            }
            Settle::Key(key) if error.code().is_some_and(|code| key.exists.contains(&code)) => {
                // What FFN does not show can't be compared, and what has no number can't be found.
                if (key.has_secret || !is_given(&key, &tries.fields)) && !tries.in_doubt {
                    return Ok(failed(&error, false));
                }
                tries.in_doubt = true;
                return match self.case(operation, tries).settle_existing(&key, error).await {
                    Err(error) if error.disposition() == Disposition::Never => Ok(unknown(&error)),
                    settled => settled,
                };
            }
            // Whatever FFN refuses now may be what was done.
            Settle::ReadBack { .. } if tries.in_doubt && error.disposition() == Disposition::Never => {
                return Ok(unknown(&error));
            }
            _ => {}
        }
        if error.disposition() == Disposition::InDoubt {
            if error.code().is_some() && error.status().is_some_and(|status| status == StatusCode::BAD_REQUEST) {
                // FFN names something that is there already, and this operation makes nothing that could be it.
                return Ok(failed(&error, false));
            }
            // A repetition of what is repeatable needs no look.
            tries.in_doubt = !matches!(operation.settle, Settle::Repeatable);
            tries.is_unanswered |= matches!(error, Error::NoAnswer { .. });
            return Err(error);
        }
        later(error)
    }

    /// The rows of a list with exactly this number, as a JSON array.
    async fn find(&self, operation: &Operation, number: &'static str, fields: &Fields) -> Result<Vec<u8>, Error> {
        let unsendable = |reason| Error::Unsendable { operation: operation.name, reason };
        let value = fields.text(number).ok_or_else(|| unsendable(format!("{number} is missing or no text")))?;
        let rows = lookup::find(self.client, operation.name, operation.path, number, &value).await?;
        serde_json::to_vec(&rows).map_err(|error| unsendable(error.to_string()))
    }

    fn case<'a>(&'a self, operation: &'static Operation, tries: &'a Tries) -> Case<'a> {
        Case {
            client: self.client,
            operation,
            fields: &tries.fields,
            arrived_at: tries.arrived_at,
            knows_own_ids: tries.knows_own_ids,
            delay: self.config.settle_delay,
        }
    }
}

/// An id of the bridge's own making: always the same for the same command.
pub fn own_id(account: &AccountName, command: &str, n: usize) -> String {
    event_id(&[account.as_str(), "own-id", command, &n.to_string()]).to_string()
}

/// Whether a command names what it makes.
fn is_given(key: &Key, fields: &Fields) -> bool {
    !key.members.is_empty() && key.members.iter().all(|(asked, _)| fields.get(asked).is_some())
}

/// Whether it is known by a number of its maker's, and FFN would take it twice.
fn is_known_by_number(operation: &Operation, fields: &Fields) -> bool {
    match operation.settle {
        Settle::Key(key) => !key.is_unique && is_given(&key, fields),
        Settle::Ledger { .. } => operation.own_ids(fields).is_ok(),
        _ => false,
    }
}

struct Tries {
    /// What is to be done, with the ids of the bridge's own making.
    fields: Fields,
    /// When the command came.
    arrived_at: Option<DateTime<Utc>>,
    /// Whether those ids are the same ones as in earlier tries.
    knows_own_ids: bool,
    /// Whether a try of this delivery had no answer: it may still be at work at FFN.
    is_unanswered: bool,
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

/// As [`unknown`], for want of anything at FFN that tells.
pub fn unknown_because(why: String) -> Outcome {
    let error = CommandError {
        code: ErrorCode::OutcomeUnknown,
        message: format!("whether FFN carried it out can't be found out: {why}"),
        retryable: false,
        http_status: None,
        ffn_error_code: None,
        fields: Vec::new(),
    };
    Outcome::Failed { error, reconciled: false }
}

/// What FFN's success says. Any 2xx is one, with the object, with something else or without a body (contract 18, 21);
/// an error if the body is no JSON, as then it is not FFN's.
fn done(operation: &Operation, fields: &Fields, body: &[u8]) -> Result<Outcome, Error> {
    let unreadable = |reason: String| Error::Unreadable { operation: operation.name, reason };
    let is_empty = body.iter().all(u8::is_ascii_whitespace);
    let response: Option<Box<RawValue>> = if is_empty {
        None
    } else {
        Some(serde_json::from_slice(body).map_err(|_| unreadable("it is no JSON".to_owned()))?)
    };
    let mut named = subject(operation, fields);
    if let Subject::Answer(member) = operation.subject {
        let found = response.as_deref().and_then(|response| text_member(response, member));
        if found.is_none() && operation.is_read() {
            return Err(unreadable(format!("it holds no {member}")));
        }
        named = found.or(named);
    }
    if operation.is_read() && response.is_none() {
        return Err(unreadable("it is empty".to_owned()));
    }
    Ok(Outcome::Done { subject: named, reconciled: false, response: response.unwrap_or_else(null) })
}

/// Whether a success lacks the object that the operation makes.
fn is_without_object(operation: &Operation, outcome: &Outcome) -> bool {
    match (operation.subject, outcome) {
        (Subject::Answer(member), Outcome::Done { response, .. }) => text_member(response, member).is_none(),
        (_, Outcome::Done { response, .. }) => {
            response.get() == "null" && matches!(operation.settle, Settle::Ledger { .. })
        }
        _ => false,
    }
}

/// Whether FFN shows what a command has made, and that it is the command's.
fn can_be_found(operation: &Operation, fields: &Fields) -> bool {
    match operation.settle {
        Settle::Ledger { .. } => true,
        Settle::Key(key) => is_given(&key, fields),
        _ => false,
    }
}

/// Whether FFN shows something that tells of a command in doubt.
pub fn can_be_told(operation: &Operation, fields: &Fields) -> bool {
    match operation.settle {
        Settle::Nothing => false,
        Settle::Key(_) => can_be_found(operation, fields),
        _ => true,
    }
}

/// Whether a second one has no second effect: FFN refuses it, or it is the same.
fn is_refused_twice(operation: &Operation, fields: &Fields) -> bool {
    match operation.settle {
        Settle::Ledger { .. } => false,
        Settle::Key(key) => key.is_unique && is_given(&key, fields),
        _ => true,
    }
}

/// The entity as the command names it.
fn subject(operation: &Operation, fields: &Fields) -> Option<String> {
    match operation.subject {
        Subject::Answer(member) | Subject::Member(member) => fields.text(member),
        Subject::None => None,
    }
}

pub fn failed(error: &Error, reconciled: bool) -> Outcome {
    Outcome::Failed { error: explain(error), reconciled }
}

/// FFN's error in the bridge's words, with FFN's own code and messages kept.
pub fn explain(error: &Error) -> CommandError {
    let refusal = error.refusal();
    let (is_conflict, is_setup) = refusal.map_or((false, false), |refusal| (refusal.is_conflict(), refusal.is_setup()));
    let code = match (error.disposition(), error.status().map(|status| status.as_u16())) {
        _ if is_conflict => ErrorCode::Conflict,
        (Disposition::NeedsLogin, _) => ErrorCode::Unauthorized,
        (_, Some(429)) => ErrorCode::RateLimited,
        (Disposition::Again { .. } | Disposition::InDoubt, _) => ErrorCode::Unavailable,
        (Disposition::Never, Some(404)) => ErrorCode::NotFound,
        (Disposition::Never, Some(403)) if error.code().is_none() => ErrorCode::Forbidden,
        (Disposition::Never, Some(_)) if is_setup => ErrorCode::Forbidden,
        (Disposition::Never, None) if matches!(error, Error::NotFound { .. }) => ErrorCode::NotFound,
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
        // What somebody has to set up at FFN can be put back afterwards.
        retryable: is_setup || (!is_conflict && error.disposition() != Disposition::Never),
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
