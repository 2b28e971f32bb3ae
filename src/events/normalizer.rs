//! From an item of a feed to events: pure rules, no I/O. Second step of an event's way.
//!
//! - A status that was reached is told once, with the time FFN gives it in `statusTimestamp`, also
//!   when it was entered and left between two polls; steps come in the order of their times.
//! - Ids are a function of FFN's data alone ([`entity::event_id`]), so reading again makes no new event.
//! - What is unknown is passed on: a status nobody knew becomes an event of its own name, fields nobody
//!   knew travel in the snapshot, numbers keep every digit.
//! - An item that can't be told at all (no object, no id) is given back as [`Odd`], to be parked.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::account::{AccountName, Role};
use crate::domain::entity::{self, Fingerprint, Known, same_instant};
use crate::domain::feed::FeedName;
use crate::domain::message::{CloudEvent, ContentMode, Destination, Draft, Lane};

mod outbound;
mod shipment;

/// What the rules need to know beside the item.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Whose item it is.
    pub account: &'a AccountName,
    /// Its role.
    pub role: Role,
    /// Where reading of the feed began: older changes are not told.
    pub started_at: DateTime<Utc>,
    /// When the item was read.
    pub recorded_time: DateTime<Utc>,
    /// The events exchange.
    pub exchange: &'a str,
    /// How events are laid into messages.
    pub mode: ContentMode,
    /// Carrier names by shipping method.
    pub carriers: &'a HashMap<String, String>,
}

/// What an item gave.
#[derive(Debug)]
pub struct Normalized {
    /// Its events, in the order they happened.
    pub drafts: Vec<Draft>,
    /// What is known of the entity from now on.
    pub known: Known,
}

/// An item that can't be told, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Odd(String);

/// FFN's id of the entity that an item is about.
///
/// # Errors
/// The item is no object or has no id.
pub fn entity_id(feed: FeedName, item: &RawValue) -> Result<String, Odd> {
    match feed {
        FeedName::Outbounds => outbound::id(item),
        FeedName::OutboundShipments => shipment::id(item),
    }
}

/// The shipping methods whose carrier's name the item's events need.
pub fn shipping_methods(feed: FeedName, item: &RawValue) -> Vec<String> {
    match feed {
        FeedName::Outbounds => Vec::new(),
        FeedName::OutboundShipments => shipment::shipping_methods(item),
    }
}

/// Derives the events of an item from what was known before.
///
/// # Errors
/// The item is no object or has no id.
pub fn normalize(scope: &Scope<'_>, feed: FeedName, item: &RawValue, known: Option<&Known>) -> Result<Normalized, Odd> {
    match feed {
        FeedName::Outbounds => outbound::normalize(scope, item, known),
        FeedName::OutboundShipments => shipment::normalize(scope, item, known),
    }
}

/// The change stamp of an entity (contract 7.5).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModificationInfo {
    #[serde(default, deserialize_with = "lenient_time")]
    created_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient_time")]
    updated_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    state: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    changes_in_range: Option<Vec<ModificationInfo>>,
}

impl ModificationInfo {
    /// When the entity last changed.
    fn changed_at(&self) -> Option<DateTime<Utc>> {
        let in_range = self.changes_in_range.iter().flatten().filter_map(|change| change.created_at);
        in_range.chain(self.updated_at).chain(self.created_at).max()
    }

    /// Every instant at which it is known to have changed.
    fn change_times(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.changes_in_range.iter().flatten().filter_map(|change| change.created_at).chain(self.updated_at)
    }

    fn is_deleted(&self) -> bool {
        self.state.as_deref() == Some("Deleted")
    }
}

/// An event as the rules of an entity see it.
struct Happening<'a> {
    resource: &'static str,
    event: &'a str,
    subject: &'a str,
    at: DateTime<Utc>,
    /// What tells this transition from others of the same name; empty if it happens once.
    discriminator: &'a str,
}

/// The draft of an event. `data` is what its schema says.
fn draft(scope: &Scope<'_>, happening: &Happening<'_>, data: Box<RawValue>) -> Draft {
    let Happening { resource, event, subject, at, discriminator } = *happening;
    let account = scope.account.as_str();
    Draft {
        lane: Lane::Events(scope.account.clone()),
        destination: Destination {
            exchange: scope.exchange.to_owned(),
            routing_key: format!("{account}.{resource}.{event}"),
        },
        unique: true,
        correlation_id: None,
        mode: scope.mode,
        headers: BTreeMap::new(),
        event: CloudEvent {
            id: entity::event_id(&[account, resource, subject, event, discriminator]),
            event_type: format!("ffn.{resource}.{event}.v1"),
            subject: Some(subject.to_owned()),
            time: at,
            account: account.to_owned(),
            role: Some(scope.role),
            recorded_time: scope.recorded_time,
            causation_id: None,
            data,
        },
    }
}

/// The data of an event as JSON.
fn to_raw<T: serde::Serialize>(data: &T) -> Result<Box<RawValue>, Odd> {
    serde_json::value::to_raw_value(data).map_err(|error| Odd(format!("its event can't be written: {error}")))
}

/// Reads a typed view of an item.
fn view<'a, T: Deserialize<'a>>(item: &'a RawValue) -> Result<T, Odd> {
    serde_json::from_str(item.get()).map_err(|error| {
        // Line and column only: the text of the error could quote the item.
        Odd(format!("it can't be read as what it should be (line {}, column {})", error.line(), error.column()))
    })
}

/// A fingerprint of every top-level field but the change stamp.
fn fingerprints(item: &RawValue) -> Result<BTreeMap<String, Fingerprint>, Odd> {
    let fields: BTreeMap<String, &RawValue> = view(item)?;
    let stamped = fields.into_iter().filter(|(name, value)| name != "modificationInfo" && value.get() != "null");
    Ok(stamped.map(|(name, value)| (name, Fingerprint::of(value.get()))).collect())
}

/// The names of the fields that differ.
fn changed_fields(before: &BTreeMap<String, Fingerprint>, now: &BTreeMap<String, Fingerprint>) -> Vec<String> {
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let differ = now.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name);
    let mut names: Vec<String> = gone.chain(differ).cloned().collect();
    names.sort_unstable();
    names
}

/// A status as a word of a routing key: `PartiallyShipped` becomes `partially-shipped`.
fn kebab(status: &str) -> String {
    let mut word = String::with_capacity(status.len() + 4);
    for character in status.chars().take(64) {
        if character.is_ascii_uppercase() {
            if !word.is_empty() && !word.ends_with('-') {
                word.push('-');
            }
            word.push(character.to_ascii_lowercase());
        } else if character.is_ascii_lowercase() || character.is_ascii_digit() {
            word.push(character);
        } else if !word.is_empty() && !word.ends_with('-') {
            word.push('-');
        }
    }
    let word = word.trim_end_matches('-');
    if word.is_empty() { "unknown".to_owned() } else { word.to_owned() }
}

/// Reads a field of a type nobody is sure of: anything else counts as absent.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Reads a time with 0 to 7 decimals, `Z` or an offset (contract 4); anything else counts as absent.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text: Option<String> = lenient(deserializer)?;
    Ok(text.as_deref().and_then(parse_time))
}

/// A time as FFN writes it.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_a_word_of_a_routing_key() {
        assert_eq!(kebab("PartiallyShipped"), "partially-shipped");
        assert_eq!(kebab("Pickprocess"), "pickprocess");
        assert_eq!(kebab("On Hold.2#*"), "on-hold-2");
        assert_eq!(kebab("…"), "unknown");
        assert_eq!(kebab("ABC"), "a-b-c");
    }

    #[test]
    fn times_with_any_number_of_decimals_are_read() {
        for text in ["2026-01-05T08:00:00Z", "2026-01-05T08:00:00.000+00:00", "2026-01-05T09:00:00.0000000+01:00"] {
            assert_eq!(parse_time(text), DateTime::from_timestamp(1_767_600_000, 0), "{text}");
        }
        assert_eq!(parse_time("2026-01-05T08:00:00.1234567+00:00").unwrap().timestamp_subsec_nanos(), 123_456_700);
        assert_eq!(parse_time("yesterday"), None);
    }
}
