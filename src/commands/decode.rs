//! From a delivery to a command: routing key, identity, body. First step of a command's way.
//!
//! Nothing here calls anybody. Whatever bytes arrive, the answer is a [`Command`] or a [`Refusal`]
//! that says what is wrong; never a panic, never silence.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::broker::Delivery;
use crate::broker::topology::ORDERING_KEY_HEADER;
use crate::domain::entity::event_id;
use crate::schema::result::{CommandError, ErrorCode, FieldError};

/// Header that carries the id of a command that came without one through the waiting queues.
pub const COMMAND_ID_HEADER: &str = "ffn-command-id";
/// Header of a command without an id of its own that was delivered before it was sent on to the held queue:
/// there it counts as redelivered.
pub const REDELIVERED_HEADER: &str = "ffn-redelivered";
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
    /// Queue for a copy of the result.
    pub reply_to: Option<String>,
    /// Goes back with the result.
    pub correlation_id: Option<String>,
    /// W3C trace context, if it is one.
    pub traceparent: Option<String>,
    /// Whether it was delivered before, also on its way through the held queue.
    pub redelivered: bool,
    /// When it last failed, if it was put back from the dead-letter queue.
    pub put_back: Option<DateTime<Utc>>,
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
pub fn decode(delivery: &Delivery) -> Result<Command, Box<Refusal>> {
    let mut envelope = envelope(delivery);
    let structured = delivery.content_type().is_some_and(is_structured);
    let (body, event_type) = if structured {
        match serde_json::from_slice::<StructuredCommand>(delivery.body()) {
            Ok(event) => {
                adopt_id(&mut envelope, event.id);
                let Some(data) = event.data else {
                    return Err(refuse(envelope, "data", "is required: it holds the command".to_owned()));
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
    Ok(Command { envelope, body, ordering_key: delivery.header(ORDERING_KEY_HEADER), digest })
}

fn envelope(delivery: &Delivery) -> Envelope {
    let routing_key = delivery.routing_key().to_owned();
    let (account, command) = routing_key.split_once('.').unwrap_or((routing_key.as_str(), ""));
    let id = delivery.message_id().filter(|id| !id.is_empty()).map(str::to_owned);
    let has_own_id = id.is_some();
    let id = id.or_else(|| delivery.header(COMMAND_ID_HEADER)).unwrap_or_else(|| Uuid::new_v4().to_string());
    Envelope {
        account: account.to_owned(),
        command: command.to_owned(),
        id,
        has_own_id,
        reply_to: delivery.reply_to().filter(|queue| !queue.is_empty()).map(str::to_owned),
        correlation_id: delivery.correlation_id().map(str::to_owned),
        traceparent: delivery.header("traceparent").filter(|value| is_traceparent(value)),
        redelivered: delivery.redelivered() || delivery.header(REDELIVERED_HEADER).is_some(),
        put_back: delivery.header(LAST_FAILED_HEADER).and_then(|text| text.parse().ok()),
        routing_key,
    }
}

/// Takes a CloudEvent's id where the message has none.
fn adopt_id(envelope: &mut Envelope, id: Option<String>) {
    if let Some(id) = id.filter(|id| !envelope.has_own_id && (1..=255).contains(&id.len())) {
        envelope.id = id;
        envelope.has_own_id = true;
    }
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
