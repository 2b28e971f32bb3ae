//! What the simulator's own record says must have been told, and whether a subscriber was told it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::{Message, Simulator, Subscription};

/// Subject, event, and FFN's time in milliseconds (0 for a shipment: the record has no time of it).
pub type Key = (String, String, i64);

/// The events that the simulator's record asks for, by outbound or notification, in their order.
pub fn asked_for(outbounds: &[Value]) -> BTreeMap<String, Vec<Key>> {
    let mut asked: BTreeMap<String, Vec<Key>> = BTreeMap::new();
    for outbound in outbounds {
        let id = outbound["outboundId"].as_str().unwrap();
        let key = |event: &str, at: &Value| (id.to_owned(), event.to_owned(), millis(at.as_str().unwrap()));
        let mut keys = vec![key("created", &outbound["createdAt"])];
        for step in outbound["history"].as_array().unwrap() {
            keys.push(key(&words(step["status"].as_str().unwrap()), &step["at"]));
        }
        if outbound["deleted"] == true {
            keys.push(key("deleted", &outbound["updatedAt"]));
        }
        asked.insert(id.to_owned(), keys);
        for notification in outbound["notifications"].as_array().unwrap() {
            let id = notification.as_str().unwrap().to_owned();
            asked.insert(id.clone(), vec![(id, "dispatched".to_owned(), 0)]);
        }
    }
    asked
}

/// A message's key; the time is taken at its full precision from the event and cut to milliseconds.
pub fn key(message: &Message) -> Key {
    let subject = message.header("cloudEvents_subject").unwrap();
    let is_shipment = message.routing_key.contains(".shipment.");
    let at = if is_shipment { 0 } else { millis(&message.header("cloudEvents_time").unwrap()) };
    (subject, message.event(), at)
}

/// Receives until everything that the record asks for has come, says what is missing if it does not.
pub async fn receive_all(events: &mut Subscription, simulator: &Simulator) {
    let asked = asked_for(&simulator.outbounds().await);
    let mut missing: BTreeSet<Key> = asked.into_values().flatten().collect();
    for message in &events.seen {
        missing.remove(&key(message));
    }
    while !missing.is_empty() {
        let next = tokio::time::timeout(Duration::from_secs(40), events.next()).await;
        let Ok(message) = next else { panic!("{} events never came: {missing:?}", missing.len()) };
        missing.remove(&key(&message));
    }
}

/// Receives everything, lets one more order go its whole way, and checks all that was received: what
/// came too often or too much would have come before that order's end.
pub async fn settle(events: &mut Subscription, simulator: &Simulator) {
    receive_all(events, simulator).await;
    simulator.bulk(1, "THE-LAST-").await;
    simulator.advance("THE-LAST-000001", "Shipped").await;
    receive_all(events, simulator).await;
    check(&events.seen, &simulator.outbounds().await);
}

/// Every step exactly once by id, in its order for each outbound, at FFN's own time, and nothing else;
/// a repeated message is the same to the byte.
pub fn check(seen: &[Message], outbounds: &[Value]) {
    let mut by_id: HashMap<String, &Message> = HashMap::new();
    let mut told: BTreeMap<String, Vec<Key>> = BTreeMap::new();
    for message in seen {
        if let Some(first) = by_id.get(&message.id()) {
            assert_eq!(message.text(), first.text(), "a repeat has another body");
            assert_eq!(message.properties, first.properties, "a repeat has other properties");
            assert_eq!(message.routing_key, first.routing_key, "a repeat has another key");
            continue;
        }
        by_id.insert(message.id(), message);
        let key = key(message);
        told.entry(key.0.clone()).or_default().push(key);
    }
    let asked = asked_for(outbounds);
    for (subject, keys) in &asked {
        assert_eq!(told.get(subject), Some(keys), "what was told of {subject} (left) is not what happened");
    }
    let foreign: Vec<&String> = told.keys().filter(|subject| !asked.contains_key(*subject)).collect();
    assert!(foreign.is_empty(), "told of what is not there: {foreign:?}");
}

/// How many of the messages are repeats.
pub fn repeats(seen: &[Message]) -> usize {
    seen.len() - seen.iter().map(Message::id).collect::<BTreeSet<_>>().len()
}

/// A time of the record in milliseconds.
pub fn millis(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// `PartiallyShipped` as `partially-shipped`.
pub fn words(status: &str) -> String {
    let mut words = String::new();
    for letter in status.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
