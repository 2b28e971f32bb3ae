//! What the simulator's own record of transitions says must have been told of every kind of entity, and what a
//! subscriber was told. Both as [`Told`], so that a test compares one with the other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::record::{millis, words};
use super::{Message, Simulator};

/// Account, kind and id of an entity; of a ledger its warehouse and product.
pub type Entity = (String, String, String);

/// Something that was told of an entity: the event, and FFN's time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    pub at: i64,
    pub name: String,
}

/// What was told of each entity, in its order.
pub type Told = BTreeMap<Entity, Vec<Event>>;

/// A change of the record, as one account has to be told of it.
#[derive(Debug, Clone)]
pub struct Transition {
    pub entity: Entity,
    pub at: i64,
    /// The events, in their order.
    pub names: Vec<String>,
    /// FFN tells when it was made of every entity, and of some when each status was reached; this is something else.
    pub is_edit: bool,
}

/// Every change from `since` on that these accounts see, given as name and role, in the order of time.
pub async fn recorded(simulator: &Simulator, since: &str, accounts: &[(&str, &str)]) -> Vec<Transition> {
    let record = simulator.get(&format!("transitions?since={}", since.replace('+', "%2B"))).await;
    let record = record["transitions"].as_array().unwrap();
    record.iter().flat_map(|row| accounts.iter().filter_map(|account| seen(row, *account))).collect()
}

fn seen(row: &Value, (account, role): (&str, &str)) -> Option<Transition> {
    let kind = kind(row["kind"].as_str().unwrap())?;
    // A fulfiller has no feed of these, and reads them through the orders.
    let roles = row["roles"].as_array().unwrap();
    if !roles.iter().any(|it| it == role || kind == "shipment") {
        return None;
    }
    let (state, changes_status) = (row["state"].as_str().unwrap(), row["statusChanged"] == true);
    let status = || words(row["status"].as_str().unwrap());
    let names = match (state, kind) {
        ("New", "outbound" | "inbound") => vec!["created".to_owned(), status()],
        ("New", "return") => vec![status()],
        ("New", "shipment") => vec!["dispatched".to_owned()],
        ("New", "inbound-shipment") => vec!["announced".to_owned()],
        ("New", "stock") => vec![format!("changed {}", row["id"].as_str().unwrap().rsplit_once(':').unwrap().1)],
        ("New", _) => vec!["created".to_owned()],
        ("Deleted", _) => vec!["deleted".to_owned()],
        _ if changes_status => vec![status()],
        _ => vec!["updated".to_owned()],
    };
    let id = row["id"].as_str().unwrap();
    let id = if kind == "stock" { id.rsplit_once(':').unwrap().0 } else { id };
    // Orders have a time for each status, and what happens to returns is told change by change.
    let is_edit = state != "New" && kind != "return" && !(kind == "outbound" && changes_status);
    let at = millis(row["at"].as_str().unwrap());
    Some(Transition { entity: (account.to_owned(), kind.to_owned(), id.to_owned()), at, names, is_edit })
}

/// The kind of the record as routing keys name it; `None` for what has no events of its own.
fn kind(kind: &str) -> Option<&'static str> {
    let pairs = [
        ("outbounds", "outbound"),
        ("notifications", "shipment"),
        ("inbounds", "inbound"),
        ("inbound-notifications", "inbound-shipment"),
        ("returns", "return"),
        ("products", "product"),
        ("stock-changes", "stock"),
        ("warehouses", "warehouse"),
        ("shippingmethods", "shipping-method"),
        ("fulfillers", "fulfiller"),
        ("merchants", "merchant"),
        ("authorizations", "authorization"),
    ];
    pairs.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind)
}

/// What these changes ask for.
pub fn asked_for(transitions: &[Transition]) -> Told {
    let mut told = Told::new();
    for Transition { entity, at, names, .. } in transitions {
        let events = names.iter().map(|name| Event { at: *at, name: name.clone() });
        told.entry(entity.clone()).or_default().extend(events);
    }
    told
}

/// What these messages say. A repeat has to be the same to the byte,
/// and counts once.
pub fn told(messages: &[Message]) -> Told {
    let mut first: BTreeMap<String, &Message> = BTreeMap::new();
    let mut told = Told::new();
    for message in messages {
        if let Some(first) = first.get(&message.id()) {
            assert_eq!(message.text(), first.text(), "a repeat has another body");
            continue;
        }
        first.insert(message.id(), message);
        let key: Vec<&str> = message.routing_key.split('.').collect();
        let [account, kind, name] = key[..] else { panic!("{} is no key of an event", message.routing_key) };
        let (mut id, mut name) = (message.header("cloudEvents_subject").unwrap(), name.to_owned());
        if kind == "stock" {
            let data = message.data();
            id = format!("{}:{id}", data["warehouseId"].as_str().unwrap());
            name = format!("{name} {}", data["stockVersion"]);
        }
        let at = millis(&message.header("cloudEvents_time").unwrap());
        told.entry((account.to_owned(), kind.to_owned(), id)).or_default().push(Event { at, name });
    }
    told
}

/// The differences, a line each.
pub fn differences(asked: &Told, told: &Told) -> Vec<String> {
    let mut lines = Vec::new();
    let none = Vec::new();
    for entity in asked.keys().chain(told.keys().filter(|entity| !asked.contains_key(*entity))) {
        let (asked, told) = (asked.get(entity).unwrap_or(&none), told.get(entity).unwrap_or(&none));
        if asked != told {
            lines.push(format!("{entity:?}\n  asked for {asked:?}\n  told      {told:?}"));
        }
    }
    lines
}
