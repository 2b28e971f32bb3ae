//! What was told, against the simulator's own record.
//!
//! Each transition of the record is an event of its own, at its own time, and in the journal before the checkpoint
//! passes it: an entity's creation two, where its first
//! status is told beside it. What an event is called is compared where FFN tells it: orders have the time of each
//! status, and returns a list of their changes. Elsewhere FFN shows when something changed and what it is now, so a
//! change of a status may be told as `updated` and an edit after it with the status that it left.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use ffn_bridge::domain::feed::FeedName;
use serde_json::Value;

/// A change, as the simulator has recorded it.
#[derive(Debug, Clone)]
struct Transition {
    at: DateTime<Utc>,
    state: String,
    status: Option<String>,
    status_changed: bool,
}

/// A feed was read to the present.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// Up to where it had been read.
    pub position: DateTime<Utc>,
    /// FFN's time at the end.
    pub until: DateTime<Utc>,
    /// The rows that the journal had then.
    pub told: usize,
}

/// Each time that a feed was read to the present.
pub type Polled = BTreeMap<FeedName, Vec<Poll>>;

/// An event of the journal.
#[derive(Debug, Clone)]
struct Event {
    at: DateTime<Utc>,
    name: String,
    /// How many rows come before it.
    row: usize,
}

pub struct Record<'a> {
    pub transitions: &'a Value,
    pub journal: &'a [(String, String, Value)],
    pub role: &'a str,
    pub feeds: &'a [FeedName],
    pub since: DateTime<Utc>,
    pub polled: &'a Polled,
    /// Tombstones show nothing but the end.
    pub bare: bool,
    /// What is longer may be read in slices.
    pub slice: TimeDelta,
    /// What has happened before the end of a window is visible when it is read.
    pub is_punctual: bool,
}

/// Everything that is wrong, a line each.
pub fn faults(record: &Record<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let ids: BTreeSet<&str> = record.journal.iter().map(|(id, ..)| id.as_str()).collect();
    if ids.len() != record.journal.len() {
        faults.push(format!("{} messages have {} ids", record.journal.len(), ids.len()));
    }
    let expected = expected(record);
    let told = told(record);
    let entities: BTreeSet<_> = expected.keys().chain(told.keys()).collect();
    for entity in entities {
        let none = (Vec::new(), Vec::new());
        let wanted = expected.get(entity).unwrap_or(&none.0);
        let got = told.get(entity).unwrap_or(&none.1);
        compare(record, entity.0, &entity.1, wanted, got, &mut faults);
    }
    faults
}

type Entity = (FeedName, String);

fn expected(record: &Record<'_>) -> BTreeMap<Entity, Vec<Transition>> {
    let mut expected: BTreeMap<Entity, Vec<Transition>> = BTreeMap::new();
    for transition in record.transitions["transitions"].as_array().unwrap() {
        let is_ours = transition["roles"].as_array().unwrap().iter().any(|role| role == record.role)
            // A fulfiller has no feed of them.
            || transition["kind"] == "notifications";
        let Some(feed) = feed_of(transition["kind"].as_str().unwrap(), record.role) else { continue };
        let at = time(&transition["at"]);
        if is_ours && at >= record.since && record.feeds.contains(&feed) {
            let id = transition["id"].as_str().unwrap().to_owned();
            expected.entry((feed, id)).or_default().push(Transition {
                at,
                state: transition["state"].as_str().unwrap().to_owned(),
                status: transition["status"].as_str().map(str::to_owned),
                status_changed: transition["statusChanged"] == true,
            });
        }
    }
    expected
}

fn told(record: &Record<'_>) -> BTreeMap<Entity, Vec<Event>> {
    let mut told: BTreeMap<Entity, Vec<Event>> = BTreeMap::new();
    for (row, (_, key, event)) in record.journal.iter().enumerate() {
        let mut words = key.split('.').skip(1);
        let (resource, name) = (words.next().unwrap(), words.next().unwrap());
        let feed =
            FeedName::ALL.into_iter().find(|feed| resource_of(*feed) == resource).unwrap_or_else(|| panic!("{key}"));
        let subject = event["subject"].as_str().unwrap();
        let data = &event["data"];
        let id = match feed {
            FeedName::Stocks => format!("{}:{subject}:{}", data["warehouseId"].as_str().unwrap(), data["stockVersion"]),
            _ => subject.to_owned(),
        };
        told.entry((feed, id)).or_default().push(Event { at: time(&event["time"]), name: name.to_owned(), row });
    }
    told
}

fn compare(
    record: &Record<'_>,
    feed: FeedName,
    id: &str,
    wanted: &[Transition],
    got: &[Event],
    faults: &mut Vec<String>,
) {
    let mut fault = |what: String| faults.push(format!("{feed} {id}: {what}\n    wanted {wanted:?}\n    told {got:?}"));
    if !got.is_sorted_by_key(|event| event.at) {
        fault("out of order".to_owned());
    }
    let mut left: Vec<&Event> = got.iter().collect();
    for (index, transition) in wanted.iter().enumerate() {
        for names in names(record, feed, wanted, index) {
            match left.iter().position(|event| event.at == transition.at && names.contains(&event.name)) {
                Some(at) => {
                    let event = left.remove(at);
                    if is_late(record, feed, wanted, index, event.row) {
                        fault(format!("{} at {} was not told when the checkpoint moved past it", event.name, event.at));
                    }
                }
                None if may_be_missing(record, feed, wanted, index, &names) => {}
                None => fault(format!("nothing of {} at {}", names.join(" or "), transition.at)),
            }
        }
    }
    if !left.is_empty() {
        fault(format!("too much: {left:?}"));
    }
}

/// The checkpoint moves only when all that FFN shows of the time before it is in the journal.
fn is_late(record: &Record<'_>, feed: FeedName, all: &[Transition], index: usize, row: usize) -> bool {
    // A fulfiller's parcels are shown with the orders, whose changes are not among these.
    if !record.is_punctual || (record.role == "fulfiller" && feed == FeedName::OutboundShipments) {
        return false;
    }
    let polls = record.polled.get(&feed).map(Vec::as_slice).unwrap_or_default();
    let Some(poll) = polls.iter().find(|poll| poll.position > all[index].at) else { return false };
    // What changes while it is read is shown by the next window.
    let reading = poll.position..poll.until + TimeDelta::seconds(2);
    let moves = all[index + 1..].iter().any(|other| reading.contains(&other.at));
    !moves && row >= poll.told
}

/// The events of a transition, each with the names that it may have.
fn names(record: &Record<'_>, feed: FeedName, all: &[Transition], index: usize) -> Vec<Vec<String>> {
    let this = &all[index];
    let status = this.status.as_deref().map(event_of);
    let is_gone = all.iter().any(|other| other.state == "Deleted");
    let updated = || "updated".to_owned();
    let first = index == 0 && this.state == "New";
    match feed {
        FeedName::Outbounds | FeedName::Inbounds if first => {
            vec![vec!["created".to_owned()], vec![status.unwrap(), "pending".to_owned()]]
        }
        FeedName::Returns if first => vec![vec![status.unwrap()]],
        FeedName::OutboundShipments if first => vec![vec!["dispatched".to_owned()]],
        FeedName::InboundShipments if first => vec![vec!["announced".to_owned()]],
        FeedName::Stocks => vec![vec!["changed".to_owned()]],
        _ if first => vec![vec!["created".to_owned()]],
        FeedName::OutboundShipments | FeedName::InboundShipments => vec![vec![updated()]],
        _ if this.state == "Deleted" => vec![vec!["deleted".to_owned()]],
        FeedName::Returns if this.status_changed => vec![vec![status.unwrap()]],
        FeedName::Returns => vec![vec![updated()]],
        FeedName::Outbounds => {
            let has_time =
                |transition: &Transition| STAMPED.contains(&transition.status.as_deref().unwrap_or_default());
            let again = all[index + 1..].iter().any(|other| other.status_changed && other.status == this.status);
            let hidden = again || !has_time(this) || (record.bare && is_gone);
            let mut names = Vec::new();
            if this.status_changed {
                names.extend(status);
                if hidden {
                    names.push(updated());
                }
            } else {
                names.push(updated());
                // The last of several changes tells a status without a time.
                if hidden {
                    names.extend(status);
                }
            }
            vec![names]
        }
        _ => vec![status.into_iter().chain([updated()]).collect()],
    }
}

/// In slices of a day FFN shows an entity only in that of its last change. Statuses of orders have their times, and
/// the changes of returns are listed.
fn may_be_missing(record: &Record<'_>, feed: FeedName, all: &[Transition], index: usize, names: &[String]) -> bool {
    let this = &all[index];
    let has_time = this.status.as_deref().is_some_and(|status| STAMPED.contains(&status));
    let again = all[index + 1..].iter().any(|other| other.status_changed && other.status == this.status);
    let is_listed = match feed {
        FeedName::Outbounds => (this.status_changed && has_time && !again) || this.state == "New",
        // One that is gone when its slice is read can't be looked at.
        FeedName::Returns => !all.iter().any(|other| other.state == "Deleted") || this.state == "New",
        _ => this.state == "New",
    };
    let bare = record.bare && all.iter().any(|other| other.state == "Deleted");
    if bare && this.state == "New" {
        // What is first seen when it is gone shows no status.
        return !names.iter().any(|name| name == "created");
    }
    if is_listed && !bare {
        return false;
    }
    let polls = record.polled.get(&feed).map(Vec::as_slice).unwrap_or_default();
    let after = polls.iter().position(|poll| poll.position > this.at).unwrap_or(polls.len());
    let begin = if after == 0 { record.since } else { polls[after - 1].position };
    let Some(end) = polls.get(after).map(|poll| poll.position) else { return false };
    // A change while it is read moves it to the next window, which may be one of slices as well.
    let next = polls.get(after + 1).map_or(end, |poll| poll.position);
    let is_sliced = end - begin > record.slice || next - this.at > record.slice;
    is_sliced && all[index + 1..].iter().any(|other| other.at < next)
}

/// The statuses of an order that FFN gives the time of.
const STAMPED: [&str; 9] = [
    "Preparation",
    "Pending",
    "Acknowledged",
    "Pickprocess",
    "Locked",
    "PartiallyShipped",
    "Shipped",
    "PartiallyCanceled",
    "Canceled",
];

fn feed_of(kind: &str, role: &str) -> Option<FeedName> {
    Some(match kind {
        "outbounds" => FeedName::Outbounds,
        "notifications" => FeedName::OutboundShipments,
        "inbounds" => FeedName::Inbounds,
        "inbound-notifications" => FeedName::InboundShipments,
        "returns" => FeedName::Returns,
        "products" => FeedName::Products,
        "stock-changes" => FeedName::Stocks,
        "warehouses" => FeedName::Warehouses,
        "shippingmethods" => FeedName::ShippingMethods,
        "fulfillers" if role == "merchant" => FeedName::Fulfillers,
        "merchants" if role == "fulfiller" => FeedName::Merchants,
        "authorizations" if role == "fulfiller" => FeedName::Authorizations,
        _ => return None,
    })
}

fn resource_of(feed: FeedName) -> &'static str {
    match feed {
        FeedName::Outbounds => "outbound",
        FeedName::OutboundShipments => "shipment",
        FeedName::Inbounds => "inbound",
        FeedName::InboundShipments => "inbound-shipment",
        FeedName::Returns => "return",
        FeedName::Stocks => "stock",
        FeedName::Products => "product",
        FeedName::Warehouses => "warehouse",
        FeedName::ShippingMethods => "shipping-method",
        FeedName::Fulfillers => "fulfiller",
        FeedName::Merchants => "merchant",
        FeedName::Authorizations => "authorization",
    }
}

/// The event of a status that was reached.
fn event_of(status: &str) -> String {
    if status == "Preparation" { "updated".to_owned() } else { kebab(status) }
}

fn kebab(status: &str) -> String {
    let mut word = String::new();
    for character in status.chars() {
        if character.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(character.to_lowercase());
    }
    word
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}
