//! Events that come from commands of the bridge name them: each kind of change, in the account of the command, also
//! while it is under way and after a crash. What anybody else does names none.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ffn_bridge::ffn::operations::{Brings, OPERATIONS, Operation};
use serde_json::{Value, json};

use crate::commands::{outcome, result_of, run};
use crate::feeds::{all_begun, two_accounts};
use crate::operations::{Stage, account, cases};
use crate::support::{Message, Setup, Subscription, World, order, until};

/// A merchant and a fulfiller whose feeds have begun, and what they are told.
async fn both(poll_interval: &str) -> (World, Subscription) {
    let mut world = two_accounts(Setup::new(), &format!("poll_interval = \"{poll_interval}\"")).await;
    world.bridge.start().await;
    let events = world.broker.events(&["#"]).await;
    all_begun(&world).await;
    (world, events)
}

/// Everything that has happened until then, as it was told.
async fn told(world: &World, events: &mut Subscription, until_then: DateTime<Utc>) -> Vec<Message> {
    let behind = "SELECT COUNT(*) FROM checkpoints WHERE position <= ?1";
    let then = until_then.timestamp_millis();
    until("the feeds to be past it", async || (world.db().number(behind, [then]) == 0).then_some(())).await;
    let rows = world.db().number("SELECT COUNT(*) FROM journal WHERE lane LIKE 'events:%'", []);
    events.distinct(usize::try_from(rows).unwrap()).await
}

fn cause(event: &Message) -> Option<String> {
    let header = event.header("cloudEvents_causationid");
    assert_eq!(event.json()["causationid"].as_str(), header.as_deref(), "{}", event.text());
    header
}

/// `acme.outbound.updated`; of the stock's ledger with FFN's word for it.
fn change(event: &Message) -> String {
    match event.data()["changeType"].as_str() {
        Some(word) => event.routing_key.replace("changed", word),
        None => event.routing_key.clone(),
    }
}

fn count<'a>(changes: impl Iterator<Item = &'a Message>) -> BTreeMap<(String, Option<String>), usize> {
    let mut counts = BTreeMap::new();
    for event in changes {
        *counts.entry((change(event), cause(event))).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn what_a_command_brings_about_names_it_and_what_others_do_names_none() {
    let (world, mut events) = both("150ms").await;
    let mut results = world.broker.results().await;
    let run = async |results: &mut Subscription, key: &str, id: &str, body: &Value| {
        let result = run(&world, results, key, id, body).await;
        assert_eq!(outcome(&result), "succeeded", "{}", result.text());
        result.data()["response"].clone()
    };
    let results = &mut results;
    let first = run(results, "acme.outbound.create", "create-1", &order("SO-1")).await;
    // At once, so that only their order tells them apart.
    let note = json!({"outboundId": "SO-1", "internalNote": "one"});
    let more =
        json!({"outboundId": "SO-1", "items": [{"outboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 3}]});
    world.broker.command("acme.outbound.update", "update-1", &note).await;
    world.broker.command("acme.outbound.update", "update-2", &more).await;
    result_of(results, "update-2").await;
    // Somebody else does what they did, and as soon.
    world.simulator.post("outbounds/SO-1/raw?touch=true", json!({"orderValue": 7})).await;
    run(results, "acme.outbound.cancel", "cancel-1", &json!({"outboundId": first["outboundId"]})).await;
    let second = run(results, "acme.outbound.create", "create-2", &order("SO-2")).await;
    let id = &second["outboundId"];
    run(results, "ware.outbound.change-status", "status-2", &json!({"outboundId": id, "status": "Acknowledged"})).await;
    let parcel = json!({
        "outboundId": id, "fulfillerShippingNotificationNumber": "P-2",
        "items": [{"jfsku": "ACME01A1B2C", "quantity": 2}],
        "packages": [{"shippingMethodId": "WARE0A0001", "shippingDate": "2026-01-05T12:00:00Z"}]
    });
    run(results, "ware.shipment.create", "ship-2", &parcel).await;
    let goods = json!({"jfsku": "ACME01A1B2C", "warehouseId": "WARE04MAIN-00001-0001", "quantity": 5,
        "fulfillerTimestamp": "2026-01-05T12:00:00Z"});
    run(results, "ware.stock.adjust", "adjust", &goods).await;
    let delivery = json!({"merchantInboundNumber": "I-1", "warehouseId": "WARE04MAIN-00001-0001",
        "items": [{"inboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 7}]});
    let delivery = run(results, "acme.inbound.create", "announce", &delivery).await;
    let mut arrived = goods.clone();
    arrived["inboundId"] = delivery["inboundId"].clone();
    run(results, "ware.inbound.receive", "receive", &arrived).await;
    world.simulator.bulk(1, "X-").await;
    world.simulator.advance("X-000001", "Shipped").await;

    let told = told(&world, &mut events, Utc::now()).await;
    let of_its_own = |event: &&Message| event.routing_key.starts_with("acme") && !event.text().contains("X-0");
    let counts = count(told.iter().filter(of_its_own));
    let wanted = [
        ("acme.inbound.created", Some("announce"), 1),
        ("acme.inbound.partially-receipted", None, 1),
        ("acme.inbound.pending", Some("announce"), 1),
        ("acme.outbound.acknowledged", None, 1),
        ("acme.outbound.canceled", Some("cancel-1"), 1),
        ("acme.outbound.created", Some("create-1"), 1),
        ("acme.outbound.created", Some("create-2"), 1),
        ("acme.outbound.pending", Some("create-1"), 1),
        ("acme.outbound.pending", Some("create-2"), 1),
        ("acme.outbound.shipped", None, 1),
        ("acme.outbound.updated", None, 1),
        ("acme.outbound.updated", Some("update-1"), 1),
        ("acme.outbound.updated", Some("update-2"), 1),
        ("acme.shipment.dispatched", None, 1),
        ("acme.stock.Adjustment", None, 1),
        ("acme.stock.Announcement", Some("announce"), 1),
        ("acme.stock.Delivery", None, 1),
        ("acme.stock.Inbound", None, 1),
        ("acme.stock.Reservation", Some("create-1"), 1),
        ("acme.stock.Reservation", Some("create-2"), 1),
        ("acme.stock.Reservation", Some("update-2"), 1),
        ("acme.stock.ReservationCanceled", Some("cancel-1"), 1),
        ("acme.stock.ReservationCanceled", Some("update-2"), 1),
    ];
    let wanted = wanted.map(|(change, cause, times)| ((change.to_owned(), cause.map(str::to_owned)), times));
    assert_eq!(counts, BTreeMap::from(wanted));
    // Each of the two updates is of its own change, in their order.
    let notes = told.iter().filter(|event| event.routing_key == "acme.outbound.updated").filter_map(cause);
    assert_eq!(notes.collect::<Vec<_>>(), ["update-1", "update-2"]);

    let of_commands = |event: &&Message| event.routing_key.starts_with("ware") && cause(event).is_some();
    let counts = count(told.iter().filter(of_commands));
    let wanted = [
        ("ware.inbound.partially-receipted", "receive"),
        ("ware.outbound.acknowledged", "status-2"),
        ("ware.outbound.shipped", "ship-2"),
        ("ware.shipment.dispatched", "ship-2"),
        ("ware.stock.Adjustment", "adjust"),
        ("ware.stock.Delivery", "ship-2"),
        ("ware.stock.Inbound", "receive"),
    ];
    let wanted = wanted.map(|(change, cause)| ((change.to_owned(), Some(cause.to_owned())), 1));
    assert_eq!(counts, BTreeMap::from(wanted));
    assert!(told.iter().all(|event| !event.text().contains("X-0") || cause(event).is_none()));
}

#[tokio::test]
async fn each_write_of_both_roles_is_named_by_what_comes_of_it() {
    let (world, mut events) = both("1h").await;
    let mut stage = Stage::on(world).await;
    let mut asked = BTreeMap::new();
    let writes = OPERATIONS.iter().filter(|operation| !operation.brings.is_empty());
    for (operation, role) in writes.flat_map(|operation| operation.roles.iter().map(move |role| (operation, *role))) {
        let body = cases::prepare(&mut stage, operation.name, role).await;
        let result = stage.run(account(role), operation.name, &body).await;
        assert_eq!(outcome(&result), "succeeded", "{}", result.text());
        asked.insert(result.data()["commandId"].as_str().unwrap().to_owned(), (operation.name, role));
    }
    // All of it is read in one go, long after the commands have ended.
    let now = Utc::now();
    assert_eq!(stage.world.bridge.stop().await, Some(0));
    stage.world.bridge.start().await;
    let told = told(&stage.world, &mut events, now).await;
    let commands: BTreeMap<String, (String, String)> = stage
        .results
        .seen
        .iter()
        .map(|result| {
            let (account, command) = result.routing_key.split_once('.').unwrap();
            let id = result.data()["commandId"].as_str().unwrap().to_owned();
            (id, (account.to_owned(), command.trim_end_matches(".succeeded").to_owned()))
        })
        .collect();
    let mut causes = BTreeSet::new();
    for event in &told {
        let Some(id) = cause(event) else { continue };
        let (account, command) = &commands[&id];
        let change = change(event);
        let (of, change) = change.split_once('.').unwrap();
        assert_eq!(of, account, "{id}: {}", event.text());
        let fits = |brings: &Brings| brings.status.is_some() || brings.changes.contains(&change);
        let has = |row: &Operation| row.name == command && row.brings.iter().any(fits);
        assert!(OPERATIONS.iter().any(has), "{command}: {change}");
        causes.insert(id);
    }
    let unnamed = asked.iter().filter(|(id, _)| !causes.contains(*id));
    let unnamed: Vec<String> = unnamed.map(|(_, (name, role))| format!("{role} {name}")).collect();
    let uncaused: BTreeSet<String> = told.iter().filter(|event| cause(event).is_none()).map(change).collect();
    assert_eq!(unnamed, Vec::<String>::new(), "without a cause: {uncaused:#?}");
}

/// A merchant whose order is made at FFN without an answer to the bridge.
async fn made_without_an_answer(is_seen: bool) -> (World, Subscription) {
    let world = Setup::new().account("feeds = [\"outbounds\", \"stocks\"]").start().await;
    let events = world.broker.events(&["#"]).await;
    let begun = "SELECT COUNT(*) FROM checkpoints";
    until("the feeds have begun", async || (world.db().number(begun, []) == 2).then_some(())).await;
    if !is_seen {
        world.simulator.fault(json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}})).await;
    }
    let cut = json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "hang_after"});
    world.simulator.fault(cut).await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    until("the order to be made", async || {
        let calls = world.simulator.requests("POST", "/outbounds").await;
        calls.iter().any(|call| !call["effect"].is_null()).then_some(())
    })
    .await;
    (world, events)
}

async fn all_name_it(world: &World, events: &mut Subscription) {
    let told = events.distinct(3).await;
    let changes: Vec<(String, Option<String>)> = told.iter().map(|event| (change(event), cause(event))).collect();
    for wanted in ["acme.outbound.created", "acme.outbound.pending", "acme.stock.Reservation"] {
        assert!(changes.contains(&(wanted.to_owned(), Some("c-1".to_owned()))), "{changes:?}");
    }
    assert_eq!(world.db().number("SELECT COUNT(*) FROM journal WHERE lane = 'events:acme'", []), 3);
}

#[tokio::test]
async fn what_is_seen_before_the_answer_names_the_command_that_is_under_way() {
    let (world, mut events) = made_without_an_answer(true).await;
    all_name_it(&world, &mut events).await;
    let state = world.db().text("SELECT state FROM commands WHERE id = 'c-1'", []);
    assert_eq!(state.as_deref(), Some("running"));
}

#[tokio::test]
async fn after_a_crash_between_the_call_and_its_outcome_the_events_name_the_command() {
    for is_settled in [false, true] {
        let (mut world, mut events) = made_without_an_answer(false).await;
        let mut results = world.broker.results().await;
        world.bridge.kill();
        world.bridge.start().await;
        if is_settled {
            assert_eq!(result_of(&mut results, "c-1").await.data()["reconciled"], true);
        }
        world.simulator.control("DELETE", "faults", None).await;
        all_name_it(&world, &mut events).await;
        assert_eq!(outcome(&result_of(&mut results, "c-1").await), "succeeded");
    }
}
