//! What goes to the broker: events, results, and the finished message that a journal row holds.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::account::{AccountName, Role};
use super::cause::Clue;

/// A stream of journal rows that is published in order, by one relay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The events of one account.
    Events(AccountName),
    /// The results of commands.
    Results,
}

impl Lane {
    /// The lane as it stands in the store.
    pub fn key(&self) -> String {
        match self {
            Self::Events(account) => format!("events:{account}"),
            Self::Results => "results".to_owned(),
        }
    }
}

/// How a CloudEvent is laid into an AMQP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentMode {
    /// The body is the whole event as JSON.
    #[default]
    Structured,
    /// The body is `data` alone, the attributes are headers.
    Binary,
}

/// Where a draft goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Exchange; empty for the default exchange, which takes a queue's name as routing key.
    pub exchange: String,
    /// Routing key, at most 255 bytes.
    pub routing_key: String,
}

/// A message before the journal has given it its position.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The lane that publishes it.
    pub lane: Lane,
    /// Where it goes.
    pub destination: Destination,
    /// Of several drafts with the same key only the first enters the journal, ever.
    pub unique: bool,
    /// AMQP correlation id, for answers.
    pub correlation_id: Option<String>,
    /// How the event is laid into the message.
    pub mode: ContentMode,
    /// Headers beside those of the event, for example `traceparent`.
    pub headers: BTreeMap<String, String>,
    /// What tells the journal which command the event came from; `None` if it came from none, or says so itself.
    pub clue: Option<Clue>,
    /// The event.
    pub event: CloudEvent,
}

/// A CloudEvents 1.0 event with the bridge's extensions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloudEvent {
    /// `id`: the same change has the same id, always.
    pub id: Uuid,
    /// `type`, for example `ffn.outbound.shipped.v1`.
    pub event_type: String,
    /// `subject`: FFN's id of the entity, where known.
    pub subject: Option<String>,
    /// `time`: when it happened at FFN.
    pub time: DateTime<Utc>,
    /// Extension `account`.
    pub account: String,
    /// Extension `role`.
    pub role: Option<Role>,
    /// Extension `recordedtime`: when the bridge saw it.
    pub recorded_time: DateTime<Utc>,
    /// Extension `causationid`: the command that caused it.
    pub causation_id: Option<String>,
    /// Extension `snapshot`: told from a first look at what was there, not when it happened.
    #[serde(default)]
    pub is_snapshot: bool,
    /// `data`, JSON, with every digit as FFN sent it.
    pub data: Box<RawValue>,
}

/// A finished message: what a journal row holds and a replay sends again, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub destination: Destination,
    /// AMQP `message_id`: the event's id.
    pub message_id: String,
    /// AMQP `type`: the event's type.
    pub message_type: String,
    /// AMQP `content_type`.
    pub content_type: String,
    /// AMQP `correlation_id`.
    pub correlation_id: Option<String>,
    /// AMQP `timestamp`, seconds since 1970: the event's time.
    pub timestamp: i64,
    /// AMQP headers.
    pub headers: BTreeMap<String, String>,
    /// Body, JSON in UTF-8.
    pub body: Vec<u8>,
}

/// AMQP `content_type` of a structured CloudEvent.
pub const STRUCTURED_CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// AMQP `content_type` of the `data` of a binary CloudEvent.
pub const BINARY_CONTENT_TYPE: &str = "application/json";
/// Prefix of the headers that carry an event's attributes.
pub const ATTRIBUTE_HEADER_PREFIX: &str = "cloudEvents_";

/// The whole event as JSON, in the order a person reads it.
#[derive(Serialize)]
struct StructuredEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: &'a str,
    datacontenttype: &'static str,
    dataschema: &'a str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<&'a str>,
    sequence: &'a str,
    recordedtime: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    snapshot: bool,
    data: &'a RawValue,
}

impl Draft {
    /// The finished message, once the journal has given the draft its position.
    ///
    /// # Errors
    /// Only if JSON cannot be written, which would be a fault of this code.
    pub fn finish(&self, position: i64) -> Result<Message, serde_json::Error> {
        let event = &self.event;
        let id = event.id.to_string();
        let source = format!("/ffn/{}", event.account);
        let time = rfc3339(event.time);
        let recorded_time = rfc3339(event.recorded_time);
        let schema = format!("urn:ffn-bridge:schema:{}", event.event_type);
        let sequence = format!("{position:020}");
        let structured = StructuredEvent {
            specversion: "1.0",
            id: &id,
            source: &source,
            event_type: &event.event_type,
            subject: event.subject.as_deref(),
            time: &time,
            datacontenttype: BINARY_CONTENT_TYPE,
            dataschema: &schema,
            account: &event.account,
            role: event.role.map(Role::as_str),
            partitionkey: event.subject.as_deref(),
            sequence: &sequence,
            recordedtime: &recorded_time,
            causationid: event.causation_id.as_deref(),
            snapshot: event.is_snapshot,
            data: &event.data,
        };
        let mut headers = self.headers.clone();
        for (name, value) in structured.attributes() {
            headers.insert(format!("{ATTRIBUTE_HEADER_PREFIX}{name}"), value.to_owned());
        }
        let (content_type, body) = match self.mode {
            ContentMode::Structured => (STRUCTURED_CONTENT_TYPE, serde_json::to_vec(&structured)?),
            ContentMode::Binary => (BINARY_CONTENT_TYPE, event.data.get().as_bytes().to_vec()),
        };
        Ok(Message {
            destination: self.destination.clone(),
            message_id: id,
            message_type: event.event_type.clone(),
            content_type: content_type.to_owned(),
            correlation_id: self.correlation_id.clone(),
            timestamp: event.time.timestamp(),
            headers,
            body,
        })
    }
}

impl<'a> StructuredEvent<'a> {
    /// The attributes that become headers; `datacontenttype` is a property of its own in AMQP.
    fn attributes(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        [
            ("specversion", Some(self.specversion)),
            ("id", Some(self.id)),
            ("source", Some(self.source)),
            ("type", Some(self.event_type)),
            ("subject", self.subject),
            ("time", Some(self.time)),
            ("dataschema", Some(self.dataschema)),
            ("account", Some(self.account)),
            ("role", self.role),
            ("partitionkey", self.partitionkey),
            ("sequence", Some(self.sequence)),
            ("recordedtime", Some(self.recordedtime)),
            ("causationid", self.causationid),
            ("snapshot", self.snapshot.then_some("true")),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.key())
    }
}

/// A time as the bridge writes it: RFC 3339 in UTC with as many decimals as the time has.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(mode: ContentMode) -> Draft {
        Draft {
            lane: Lane::Events("acme".parse().unwrap()),
            destination: Destination { exchange: "ffn.events".into(), routing_key: "acme.outbound.shipped".into() },
            unique: true,
            correlation_id: None,
            mode,
            headers: BTreeMap::new(),
            clue: None,
            event: CloudEvent {
                id: Uuid::nil(),
                event_type: "ffn.outbound.shipped.v1".into(),
                subject: Some("ACME02X".into()),
                time: DateTime::from_timestamp(1_700_000_000, 123_456_700).unwrap(),
                account: "acme".into(),
                role: Some(Role::Merchant),
                recorded_time: DateTime::from_timestamp(1_700_000_001, 0).unwrap(),
                causation_id: None,
                is_snapshot: false,
                data: RawValue::from_string(r#"{"price":1.10,"big":12345678901234.5678}"#.into()).unwrap(),
            },
        }
    }

    #[test]
    fn structured_body_carries_data_digit_for_digit() {
        let message = draft(ContentMode::Structured).finish(42).unwrap();
        let body = String::from_utf8(message.body).unwrap();
        assert!(body.contains(r#""data":{"price":1.10,"big":12345678901234.5678}"#), "{body}");
        assert!(body.contains(r#""sequence":"00000000000000000042""#), "{body}");
        assert!(body.contains(r#""time":"2023-11-14T22:13:20.123456700Z""#), "{body}");
        assert_eq!(message.timestamp, 1_700_000_000);
        assert_eq!(message.content_type, STRUCTURED_CONTENT_TYPE);
    }

    #[test]
    fn both_modes_carry_the_attributes_as_headers() {
        for mode in [ContentMode::Structured, ContentMode::Binary] {
            let message = draft(mode).finish(42).unwrap();
            assert_eq!(message.headers["cloudEvents_type"], "ffn.outbound.shipped.v1");
            assert_eq!(message.headers["cloudEvents_source"], "/ffn/acme");
            assert!(!message.headers.contains_key("cloudEvents_datacontenttype"));
            assert!(message.headers.keys().all(|name| !name.starts_with("x-")));
        }
        let binary = draft(ContentMode::Binary).finish(42).unwrap();
        assert_eq!(binary.body, br#"{"price":1.10,"big":12345678901234.5678}"#);
    }
}
