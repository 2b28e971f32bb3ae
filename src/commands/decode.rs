//! From a delivery to a command: routing key, identity, body. First step of a command's way.
//!
//! Nothing here calls anybody. Whatever bytes arrive, the answer is a [`Command`] or a [`Refusal`]
//! that says what is wrong; never a panic, never silence.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::broker::topology::ORDERING_KEY_HEADER;
use crate::broker::{Delivery, MAX_HEADERS};
use crate::domain::entity::event_id;
use crate::schema::result::{CommandError, ErrorCode, FieldError};

/// Header that carries the id of a command that came without one through the waiting queues.
pub const COMMAND_ID_HEADER: &str = "ffn-command-id";
/// Header of a command without an id of its own that was delivered before it was sent on to the held queue:
/// there it counts as redelivered.
pub const REDELIVERED_HEADER: &str = "ffn-redelivered";
/// Header with which a publisher says when it is too late: an instant, or a duration from the message's
/// `timestamp`, or else from its first delivery.
pub const DEADLINE_HEADER: &str = "ffn-deadline";
/// Header that carries the instant of a deadline or an `expiration` through the waiting and held queues.
pub const EXPIRES_HEADER: &str = "ffn-expires-at";

/// Header of a dead letter: why it failed.
pub const ERROR_CODE_HEADER: &str = "ffn-error-code";
/// Header of a dead letter: when it last failed. One that comes back with it was put back.
pub const LAST_FAILED_HEADER: &str = "ffn-last-failed-at";

/// What every delivery has, whether it can be understood or not.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The routing key as published.
    pub routing_key: String,
    /// The account it names; it may not exist.
    pub account: String,
    /// The command it names, `{resource}.{action}`; it may not exist.
    pub command: String,
    /// The publisher's id for it, or one made here.
    pub id: String,
    /// Whether the id is the publisher's: without one a repetition can't be told from a new command.
    pub has_own_id: bool,
    /// Whether the id is the publisher's, or one made here that has come back with the command.
    pub has_lasting_id: bool,
    /// Queue for a copy of the result.
    pub reply_to: Option<String>,
    /// Goes back with the result.
    pub correlation_id: Option<String>,
    /// W3C trace context, if it is one.
    pub traceparent: Option<String>,
    /// Whether it was delivered before, also on its way through the held queue.
    pub redelivered: bool,
    /// What it failed with, if it was put back from the dead-letter queue.
    pub put_back_code: Option<String>,
    /// When it last failed, if it was put back from the dead-letter queue.
    pub put_back: Option<DateTime<Utc>>,
    /// When it is too late to carry it out. One that was put back has none.
    pub deadline: Option<DateTime<Utc>>,
}

/// A command that can be read, though not yet validated.
#[derive(Debug, Clone)]
pub struct Command {
    /// Who asks for what.
    pub envelope: Envelope,
    /// The flat JSON object, as it came.
    pub body: Box<RawValue>,
    /// The ordering key that the publisher set.
    pub ordering_key: Option<String>,
    /// Digest of command and body: the same id with another digest is another command.
    pub digest: String,
}

/// A delivery that is no command, and why.
#[derive(Debug)]
pub struct Refusal {
    /// As much as could be read.
    pub envelope: Envelope,
    /// What is wrong.
    pub error: CommandError,
}

/// A command as a structured CloudEvent; what else it has is of no interest.
#[derive(Deserialize)]
struct StructuredCommand {
    #[serde(default)]
    id: Option<String>,
    #[serde(rename = "type", default)]
    event_type: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// Reads a delivery.
///
/// # Errors
/// A refusal that names what is wrong.
pub fn decode(delivery: &Delivery, max_body: usize) -> Result<Command, Box<Refusal>> {
    let mut envelope = envelope(delivery);
    let size = delivery.body().len();
    if size > max_body {
        let message = format!("has {size} bytes, and commands.max_body allows {max_body}");
        return Err(refuse(envelope, "", message));
    }
    let headers = delivery.headers_size();
    // What has been sent on before fits, with what the bridge has added.
    let was_sent_on =
        [EXPIRES_HEADER, COMMAND_ID_HEADER, LAST_FAILED_HEADER].iter().any(|name| delivery.has_header(name));
    if headers > MAX_HEADERS && !was_sent_on {
        let message = format!("are {headers} bytes, and {MAX_HEADERS} can be sent on");
        return Err(refuse(envelope, "headers", message));
    }
    match deadline(delivery, Utc::now()) {
        // Who puts a command back wants it done after all.
        Ok(_) if envelope.put_back.is_some() => {}
        Ok(deadline) => envelope.deadline = deadline,
        Err(message) => return Err(refuse(envelope, DEADLINE_HEADER, message)),
    }
    let ordering_key = delivery.header(ORDERING_KEY_HEADER);
    if ordering_key.is_none() && delivery.has_header(ORDERING_KEY_HEADER) {
        return Err(refuse(envelope, ORDERING_KEY_HEADER, "is no text".to_owned()));
    }
    let structured = delivery.content_type().is_some_and(is_structured);
    let (body, event_type) = if structured {
        match serde_json::from_slice::<StructuredCommand>(delivery.body()) {
            Ok(event) => {
                adopt_id(&mut envelope, event.id);
                let Some(data) = event.data else {
                    let message = "is required: it holds the command, as JSON (data_base64 is not taken)";
                    return Err(refuse(envelope, "data", message.to_owned()));
                };
                (data, event.event_type)
            }
            Err(error) => {
                // Line and column only: the text of the error could quote the body.
                let (line, column) = (error.line(), error.column());
                let message = format!("is no CloudEvent in structured mode (line {line}, column {column})");
                return Err(refuse(envelope, "", message));
            }
        }
    } else {
        adopt_id(&mut envelope, attribute(delivery, "id"));
        match serde_json::from_slice::<Box<RawValue>>(delivery.body()) {
            Ok(body) => (body, attribute(delivery, "type")),
            Err(error) => return Err(refuse(envelope, "", format!("is not JSON: {error}"))),
        }
    };
    let expected = format!("ffn.{}", envelope.command);
    if let Some(given) = event_type
        && given != expected
    {
        let given: String = given.chars().take(60).collect();
        let message = format!("is {given:?}, but the routing key asks for {expected:?}");
        return Err(refuse(envelope, "type", message));
    }
    let digest = event_id(&[&envelope.command, body.get()]).simple().to_string();
    Ok(Command { envelope, body, ordering_key, digest })
}

fn envelope(delivery: &Delivery) -> Envelope {
    let routing_key = delivery.routing_key().to_owned();
    let (account, command) = routing_key.split_once('.').unwrap_or((routing_key.as_str(), ""));
    let id = delivery.message_id().filter(|id| !id.is_empty()).map(str::to_owned);
    let has_own_id = id.is_some();
    let carried = delivery.header(COMMAND_ID_HEADER).filter(|id| is_id(id));
    let has_lasting_id = has_own_id || carried.is_some();
    let id = id.or(carried).unwrap_or_else(|| Uuid::new_v4().to_string());
    Envelope {
        account: account.to_owned(),
        command: command.to_owned(),
        id,
        has_own_id,
        has_lasting_id,
        reply_to: delivery.reply_to().filter(|queue| !queue.is_empty()).map(str::to_owned),
        correlation_id: delivery.correlation_id().map(str::to_owned),
        traceparent: delivery.header("traceparent").filter(|value| is_traceparent(value)),
        redelivered: delivery.redelivered() || delivery.header(REDELIVERED_HEADER).is_some(),
        put_back_code: delivery.header(ERROR_CODE_HEADER),
        put_back: delivery.header(LAST_FAILED_HEADER).and_then(|text| text.parse().ok()),
        deadline: None,
        routing_key,
    }
}

/// When it is too late for the command: its own word, or the time to live that the broker has left to us.
/// What is counted from its begin was written down when it was first sent on.
fn deadline(delivery: &Delivery, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, String> {
    let written: Option<DateTime<Utc>> = delivery.header(EXPIRES_HEADER).and_then(|text| text.parse().ok());
    if written.is_some() {
        return Ok(written);
    }
    let given = if delivery.has_header(DEADLINE_HEADER) {
        let wanted = "is neither an instant such as \"2026-01-05T08:00:00Z\" nor a duration such as \"5m\"";
        let text = delivery.header(DEADLINE_HEADER).ok_or_else(|| wanted.to_owned())?;
        Some(read_deadline(text.trim(), begin(delivery.timestamp(), now)).ok_or_else(|| wanted.to_owned())?)
    } else {
        None
    };
    let lives = delivery.expiration().and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let expires = lives.and_then(|lives| {
        // Older than that it would not be here: the publisher's clock is not ours.
        let begin = delivery.timestamp().map(|sent| begin(Some(sent), now));
        let begin = begin.filter(|begin| (now - begin).to_std().is_ok_and(|age| age <= lives)).unwrap_or(now);
        after(begin, lives)
    });
    Ok(given.into_iter().chain(expires).min())
}

fn read_deadline(text: &str, begin: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let instant = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc());
    instant.or_else(|| after(begin, humantime::parse_duration(text).ok()?))
}

/// When a command was sent, as its publisher says, or now: nothing was sent later than that.
fn begin(sent: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    sent.map_or(now, |sent| sent.min(now))
}

fn after(begin: DateTime<Utc>, wait: Duration) -> Option<DateTime<Utc>> {
    begin.checked_add_signed(TimeDelta::from_std(wait).ok()?)
}

/// Takes a CloudEvent's id where the message has none.
fn adopt_id(envelope: &mut Envelope, id: Option<String>) {
    if let Some(id) = id.filter(|id| !envelope.has_own_id && is_id(id)) {
        envelope.id = id;
        envelope.has_own_id = true;
        envelope.has_lasting_id = true;
    }
}

/// Whether it could be a `message_id`, which AMQP limits.
fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
}

/// An attribute of a binary CloudEvent, in either spelling of the AMQP binding.
fn attribute(delivery: &Delivery, name: &str) -> Option<String> {
    delivery.header(&format!("cloudEvents_{name}")).or_else(|| delivery.header(&format!("cloudEvents:{name}")))
}

fn is_structured(content_type: &str) -> bool {
    const PREFIX: &str = "application/cloudevents";
    content_type.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether it has the form `00-{trace}-{parent}-{flags}`. One that has not is ignored, as W3C asks; it
/// must not keep a command from being carried out.
fn is_traceparent(value: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = value.split('-').collect();
    parts.iter().all(|part| is_hex(part)) && parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
}

fn refuse(envelope: Envelope, path: &str, message: String) -> Box<Refusal> {
    let what = if path.is_empty() { "the body" } else { path };
    let error = CommandError {
        code: ErrorCode::InvalidCommand,
        message: format!("{what} {message}"),
        retryable: false,
        http_status: None,
        ffn_error_code: None,
        fields: vec![FieldError { path: path.to_owned(), message }],
    };
    Box::new(Refusal { envelope, error })
}

#[cfg(test)]
mod tests {
    use lapin::types::{AMQPValue, FieldTable};

    use super::*;

    #[test]
    fn an_id_in_a_header_counts_only_if_it_could_be_one() {
        let read = |id: &str| {
            let mut headers = FieldTable::default();
            headers.insert(COMMAND_ID_HEADER.into(), AMQPValue::LongString(id.into()));
            let mut came =
                lapin::message::Delivery::mock(1, "c".into(), "acme.outbound.get".into(), false, b"{}".to_vec());
            came.properties = lapin::BasicProperties::default().with_headers(headers);
            decode(&Delivery::new(came), 100).unwrap().envelope.id
        };
        assert_eq!(read("given"), "given");
        for none in ["", &"x".repeat(256)] {
            assert_eq!(read(none).len(), 36, "one is made");
        }
    }
}
