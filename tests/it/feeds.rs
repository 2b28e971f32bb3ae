//! Every feed of both roles, from a change at FFN to a message that fits its schema, with the ids it will
//! always have.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Message, Setup, Subscription, World, until};

const OF_BOTH: &str = r#""outbounds", "outbound-shipments", "inbounds", "inbound-shipments", "returns", "stocks", "products", "warehouses", "shipping-methods", "#;

/// A merchant `acme` and a fulfiller `ware`, each with all the feeds of its role.
async fn two_accounts(lines: &str) -> World {
    let feeds = format!("feeds = [{OF_BOTH}\"fulfillers\"]\n{lines}");
    let world = Setup::new().account(&feeds).second("ware", "fulfiller").signed_out().build().await;
    let (merchant, fulfiller) = world.config().split_once("name = \"ware\"").unwrap();
    let fulfiller = fulfiller.replace("\"fulfillers\"", "\"merchants\", \"authorizations\"");
    world.set_config(&format!("{merchant}name = \"ware\"{fulfiller}"));
    world.bridge.login("acme", "demo-refresh-token");
    world.bridge.login("ware", "demo-fulfiller-refresh-token");
    world
}

/// Every feed has begun: what happens from here on is told.
async fn all_begun(world: &World) {
    let begun = || world.db().number("SELECT COUNT(*) FROM checkpoints", []);
    until("every feed has begun", async || (begun() == 10 + 11).then_some(())).await;
}

/// Something happens to everything.
async fn drive(world: &World, prefix: &str) {
    let simulator = &world.simulator;
    let named = |number: &str| format!("{prefix}{number}");
    simulator.bulk(1, &named("SO-")).await;
    simulator.advance(&named("SO-000001"), "Shipped").await;
    simulator.post("inbounds", json!({"merchantInboundNumber": named("I-1")})).await;
    simulator.post("inbound-notifications", json!({"inbound": named("I-1")})).await;
    simulator.post(&format!("inbounds/{}/advance", named("I-1")), json!({"to": "Closed"})).await;
    simulator.post("returns", json!({"merchantReturnNumber": named("R-1")})).await;
    simulator.post(&format!("returns/{}/advance", named("R-1")), json!({"to": "Completed"})).await;
    let lamp = named("LAMP");
    simulator.post("products", json!({"merchantSku": lamp})).await;
    simulator.post(&format!("products/{lamp}/change"), json!({"name": "Lamp 2"})).await;
    simulator.post(&format!("products/{lamp}/delete"), json!({})).await;
    simulator.post("warehouses", json!({"name": named("Third")})).await;
    simulator.post("shippingmethods", json!({"name": named("Bike")})).await;
}

async fn partners(world: &World) {
    let simulator = &world.simulator;
    simulator.post("fulfillers", json!({"userId": "ABCD"})).await;
    simulator.post("merchants", json!({"userId": "ABCE"})).await;
    simulator.post("authorizations", json!({"merchantId": "ABCE"})).await;
}

/// What both see of it.
const SEEN_BY_BOTH: [&str; 20] = [
    "outbound.created",
    "outbound.pending",
    "outbound.acknowledged",
    "outbound.pickprocess",
    "outbound.shipped",
    "shipment.dispatched",
    "inbound.created",
    "inbound.pending",
    "inbound.receipted",
    "inbound.closed",
    "inbound-shipment.announced",
    "return.announced",
    "return.arrived",
    "return.completed",
    "stock.changed",
    "product.created",
    "product.updated",
    "product.deleted",
    "warehouse.created",
    "shipping-method.created",
];

async fn all_told(events: &mut Subscription, wanted: &[String]) {
    events.until(|seen| wanted.iter().all(|key| seen.iter().any(|message| message.routing_key == *key))).await;
}

fn by_both() -> Vec<String> {
    ["acme", "ware"].iter().flat_map(|account| SEEN_BY_BOTH.iter().map(move |key| format!("{account}.{key}"))).collect()
}

#[tokio::test]
async fn every_feed_of_both_roles_is_told_as_its_schemas_say() {
    let mut world = two_accounts("").await;
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    all_begun(&world).await;
    drive(&world, "").await;
    partners(&world).await;
    let mut wanted = by_both();
    wanted.extend(["acme.fulfiller.created", "ware.merchant.created", "ware.authorization.created"].map(str::to_owned));
    all_told(&mut events, &wanted).await;
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 0);
    let ids: BTreeSet<String> = events.seen.iter().map(Message::id).collect();
    assert_eq!(ids.len(), events.seen.len(), "each once");
    // A fulfiller's parcels are read through their order.
    let parcel = events.seen.iter().find(|message| message.routing_key == "ware.shipment.dispatched").unwrap();
    assert!(!parcel.data()["trackingIds"].as_array().unwrap().is_empty(), "{}", parcel.text());
}

#[tokio::test]
async fn after_the_database_is_lost_the_same_ids_come_again() {
    let start = (chrono::Utc::now() - chrono::TimeDelta::minutes(10)).to_rfc3339();
    let mut world = two_accounts(&format!("start = \"{start}\"")).await;
    world.bridge.start().await;
    all_begun(&world).await;
    let mut events = world.broker.events(&["#"]).await;
    // Between these two it was read.
    for prefix in ["A-", "B-"] {
        drive(&world, prefix).await;
        let ends = |seen: &[Message], account: &str| {
            let fits = |message: &Message| {
                message.routing_key == format!("{account}.shipping-method.created")
                    && message.data()["name"] == format!("{prefix}Bike")
            };
            seen.iter().any(fits)
        };
        events.until(|seen| ends(seen, "acme") && ends(seen, "ware")).await;
    }
    all_told(&mut events, &by_both()).await;
    let ids_of = |world: &World| -> BTreeSet<String> {
        let text = world.db().text("SELECT group_concat(message_id) FROM journal", []).unwrap_or_default();
        text.split(',').map(str::to_owned).collect()
    };
    let wanted = |world: &World| world.db().number("SELECT COUNT(*) FROM journal", []);
    let settled = until_quiet(&world, wanted).await;
    let first = ids_of(&world);
    assert_eq!(first.len(), usize::try_from(settled).unwrap());
    world.bridge.stop().await;
    // All but the sign-ins.
    world.alter("DELETE FROM journal; DELETE FROM entities; DELETE FROM checkpoints; DELETE FROM lanes;");
    world.bridge.start().await;
    until("as many events as before", async || (wanted(&world) >= settled).then_some(())).await;
    let again = ids_of(&world);
    let (lost, new): (Vec<_>, Vec<_>) = (first.difference(&again).collect(), again.difference(&first).collect());
    assert!(lost.is_empty() && new.is_empty(), "lost {lost:?}, new {new:?}");
}

/// The number once every feed has been polled twice since it last changed.
async fn until_quiet(world: &World, count: impl Fn(&World) -> i64) -> i64 {
    let mut last = count(world);
    loop {
        let polls = || async { world.simulator.requests("GET", "/updates").await.len() };
        let before = polls().await;
        until("every feed was polled twice", async || (polls().await > before + 2 * 21).then_some(())).await;
        let now = count(world);
        if now == last {
            return now;
        }
        last = now;
    }
}
