//! From an item of a feed to events: pure rules, no I/O. Second step of an event's way.
//!
//! - Every change that FFN tells of is told once, with its own time: a status from `statusTimestamp`, a
//!   change from `changesInRange` or `returns/changes`, also when it came and went between two polls.
//! - Ids are a function of FFN's data alone ([`entity::event_id`]): account, entity, and when it changed. So
//!   reading again, in other windows or by way of a list, makes no new event.
//! - What is unknown is passed on: a status nobody knew becomes an event of its own name, fields nobody
//!   knew travel in the snapshot, numbers keep every digit.
//! - An item that can't be told at all (no object, no id) is given back as [`Odd`], to be parked.
//!
//! [`lifecycle`] has the rules of all entities, [`stock`] those of the stock ledger, [`shipment`] what a
//! shipping notification's events say; which member means what is in [`Resource`].

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::account::{AccountName, Role};
use crate::domain::cause::{self, Clue};
use crate::domain::entity::{self, Fingerprint, Known, same_instant};
use crate::domain::feed::FeedName;
use crate::domain::message::{CloudEvent, ContentMode, Destination, Draft, Lane};
use crate::domain::resource::Resource;

mod lifecycle;
mod returns;
mod shipment;
mod stock;

pub use returns::{ReturnChange, read_return_change};
pub use stock::{gap, stock_entry, stock_version, stock_written_at};

/// What the rules need to know beside the item.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Whose item it is.
    pub account: &'a AccountName,
    /// Its role.
    pub role: Role,
    /// When the item was read.
    pub recorded_time: DateTime<Utc>,
    /// The events exchange.
    pub exchange: &'a str,
    /// How events are laid into messages.
    pub mode: ContentMode,
    /// Carrier names by shipping method.
    pub carriers: &'a HashMap<String, String>,
    /// Which changes are to be told.
    pub telling: Telling,
}

/// Which changes of an item are told, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// Changes before this are not told.
    pub since: DateTime<Utc>,
    /// Changes from here on are not told.
    pub until: DateTime<Utc>,
    /// Of what happened before this instant, an entity's creation and the status that it then had are told, marked
    /// as snapshot. Not after `since`.
    pub snapshot: Option<DateTime<Utc>>,
    /// How the item was come by.
    pub origin: Origin,
}

impl Telling {
    /// Every change of a feed since it is followed.
    pub fn since(since: DateTime<Utc>) -> Self {
        Self { since, until: DateTime::<Utc>::MAX_UTC, snapshot: None, origin: Origin::Feed }
    }

    /// Every change of a feed since `since`, and what there was then.
    pub fn with_snapshot(since: DateTime<Utc>) -> Self {
        Self { snapshot: Some(since), ..Self::since(since) }
    }

    fn includes(&self, at: DateTime<Utc>) -> bool {
        self.since <= at && at < self.until
    }
}

/// How an item was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A change feed, or the first look at a list.
    Feed,
    /// A later look at a list for what the feed has missed: told as inferred.
    Sweep,
}

/// An item as it was read.
#[derive(Debug, Clone)]
pub struct Item {
    /// The bytes as FFN sent them.
    pub json: Box<RawValue>,
    /// Of a return: what `returns/changes` tells of it in the same window, oldest first.
    pub changes: Vec<ReturnChange>,
}

impl From<Box<RawValue>> for Item {
    fn from(json: Box<RawValue>) -> Self {
        Self { json, changes: Vec::new() }
    }
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

/// What an item is remembered by: FFN's id of its entity; of a ledger entry its warehouse and product.
///
/// # Errors
/// The item is no object or has no id.
pub fn entity_id(feed: FeedName, item: &RawValue) -> Result<String, Odd> {
    match feed {
        FeedName::Stocks => stock::memory_id(item),
        _ => {
            let id = Resource::of(feed).id;
            let id_of = view::<Members<'_>>(item)?;
            let id_of = id_of.get(id).and_then(|value| text(value)).filter(|id| !id.is_empty());
            id_of.ok_or_else(|| Odd(format!("its {id} is missing, empty or no text")))
        }
    }
}

/// When the entity of an item last changed, if that can be read.
pub fn changed_at(feed: FeedName, item: &RawValue) -> Option<DateTime<Utc>> {
    lifecycle::changed_at(feed, item)
}

/// When the entity of an item has changed since it was made, as far as the item tells.
pub fn changes_of(feed: FeedName, item: &RawValue) -> Vec<DateTime<Utc>> {
    lifecycle::changes_of(feed, item)
}

/// The shipping methods whose carrier's name the item's events need.
pub fn shipping_methods(feed: FeedName, item: &RawValue) -> Vec<String> {
    match feed {
        FeedName::OutboundShipments => shipment::shipping_methods(item),
        _ => Vec::new(),
    }
}

/// The id of an order that has been shipped, at least in part, and what is to be remembered of it: it has to
/// be asked for its shipping notifications when that differs. `None` for others.
pub fn shipped_order(order: &RawValue) -> Option<(String, Known)> {
    lifecycle::shipped_order(order)
}

/// Whether the shipping notifications that an order shows have the one that brought it to its status (contract 10.7).
pub fn shows_shipping(order: &RawValue, notifications: &[Box<RawValue>]) -> bool {
    lifecycle::shows_shipping(order, notifications)
}

/// Derives the events of an item from what was known before.
///
/// # Errors
/// The item is no object or has no id.
pub fn normalize(scope: &Scope<'_>, feed: FeedName, item: &Item, known: Option<&Known>) -> Result<Normalized, Odd> {
    match feed {
        FeedName::Stocks => stock::normalize(scope, &item.json, known),
        _ => lifecycle::normalize(scope, feed, item, known),
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
    #[serde(default, deserialize_with = "lenient_list")]
    changes_in_range: Vec<ModificationInfo>,
}

impl ModificationInfo {
    /// When the entity last changed.
    fn changed_at(&self) -> Option<DateTime<Utc>> {
        let in_range = self.changes_in_range.iter().filter_map(|change| change.created_at);
        in_range.chain(self.updated_at).chain(self.created_at).max()
    }

    /// Every instant at which it is known to have changed; perhaps more than once the same.
    fn change_times(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.changes_in_range.iter().filter_map(|change| change.created_at).chain(self.updated_at)
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
    /// What tells this change from others of the same entity.
    discriminator: &'a str,
}

impl Happening<'_> {
    /// Whether it is told only because it was so when reading began.
    fn is_snapshot(&self, telling: &Telling) -> bool {
        telling.snapshot.is_some_and(|begin| self.at < begin)
    }
}

/// The draft of an event. `data` is what its schema says.
fn draft(scope: &Scope<'_>, happening: &Happening<'_>, clue: Option<Clue>, data: Box<RawValue>) -> Draft {
    let is_snapshot = happening.is_snapshot(&scope.telling);
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
        clue,
        event: CloudEvent {
            id: entity::event_id(&[account, resource, subject, discriminator]),
            event_type: format!("ffn.{resource}.{event}.v1"),
            is_snapshot,
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

/// The top-level members of an item.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// A fingerprint of every top-level member but the change stamp.
fn fingerprints(members: &Members<'_>) -> BTreeMap<String, Fingerprint> {
    let stamped = members.iter().filter(|(name, value)| *name != "modificationInfo" && value.get() != "null");
    stamped.map(|(name, value)| (name.clone(), Fingerprint::of(value.get()))).collect()
}

/// A member as text, if it is one.
fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The names of the fields that differ.
fn changed_fields(before: &BTreeMap<String, Fingerprint>, now: &BTreeMap<String, Fingerprint>) -> Vec<String> {
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let differ = now.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name);
    let mut names: Vec<String> = gone.chain(differ).cloned().collect();
    names.sort_unstable();
    names
}

/// What an event may say that is about no status: none that nobody knew takes its name.
const RESERVED: [&str; 3] = ["created", "updated", "deleted"];

/// A status that nobody knew as a word of a routing key: `FooBar` becomes `foo-bar`, and `Created` `status-created`.
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
    match word.trim_end_matches('-') {
        "" => "unknown".to_owned(),
        word if RESERVED.contains(&word) => format!("status-{word}"),
        word => word.to_owned(),
    }
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

/// Reads a list of which nobody is sure: elements that are something else count as absent, and so does what is no list.
fn lenient_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let elements: Option<Vec<Box<RawValue>>> = lenient(deserializer)?;
    Ok(elements.into_iter().flatten().filter_map(|element| serde_json::from_str(element.get()).ok()).collect())
}

/// Reads a time with 0 to 7 decimals, `Z` or an offset (contract 4); anything else counts as absent.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text: Option<String> = lenient(deserializer)?;
    Ok(text.as_deref().and_then(parse_time))
}

/// A time as FFN writes it. One that is only by its offset beyond the years of four digits is none: an event could
/// not say it.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (0..=9999).contains(&time.year()).then_some(time)
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
        for (status, word) in
            [("Created", "status-created"), ("updated", "status-updated"), ("Deleted!", "status-deleted")]
        {
            assert_eq!(kebab(status), word, "{status}");
        }
        assert_eq!(kebab("Recreated"), "recreated");
    }

    #[test]
    fn times_with_any_number_of_decimals_are_read() {
        for text in ["2026-01-05T08:00:00Z", "2026-01-05T08:00:00.000+00:00", "2026-01-05T09:00:00.0000000+01:00"] {
            assert_eq!(parse_time(text), DateTime::from_timestamp(1_767_600_000, 0), "{text}");
        }
        assert_eq!(parse_time("2026-01-05T08:00:00.1234567+00:00").unwrap().timestamp_subsec_nanos(), 123_456_700);
        for none in ["yesterday", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            assert_eq!(parse_time(none), None, "{none}");
        }
    }
}
