//! From a change at FFN to a subscriber: nothing lost, nothing twice, every digit and time as FFN has it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::record::{self, Key, asked_for, key, millis, receive_all, settle};
use crate::support::{Message, Setup, Subscription, World, until};

/// The polls of the outbounds' feed that failed.
const FAILED_POLLS: &str = r#"ffn_bridge_polls_total{account="acme",feed="outbounds",outcome="failed"}"#;

/// Every request for a page of either feed is refused until [`thaw`].
async fn freeze(world: &World) {
    world.simulator.fault(json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}})).await;
}

async fn thaw(world: &World) {
    world.simulator.control("DELETE", "faults", None).await;
}

async fn next_of(events: &mut Subscription, subject: &str, event: &str) -> Message {
    let fits = |message: &&Message| key(message).0 == subject && message.event() == event;
    events.until(|seen| seen.iter().any(|message| fits(&message))).await.iter().find(fits).unwrap().clone()
}

async fn id_of(world: &World, number: &str) -> String {
    let found = world.simulator.get(&format!("outbounds?number={number}")).await;
    found["outbounds"][0]["outboundId"].as_str().unwrap().to_owned()
}

/// Where the feed of outbounds stands in the store.
fn checkpoint(world: &World) -> i64 {
    world.db().number("SELECT position FROM checkpoints WHERE feed = 'outbounds'", [])
}

#[tokio::test]
async fn orders_that_pass_three_statuses_between_two_polls_are_told_step_by_step() {
    let world = Setup::new().simulator(&["--chunk-size", "40"]).start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(100, "SO-").await;
    receive_all(&mut events, &world.simulator).await;

    freeze(&world).await;
    let before = events.seen.len();
    for number in 1..=100 {
        world.simulator.advance(&format!("SO-{number:06}"), "Shipped").await;
    }
    let failed = world.bridge.count(FAILED_POLLS).await;
    until("a poll that fails", async || (world.bridge.count(FAILED_POLLS).await > failed).then_some(())).await;
    assert_eq!(events.seen.len(), before);
    thaw(&world).await;
    settle(&mut events, &world.simulator).await;
    assert_eq!(record::repeats(&events.seen), 0);

    let steps = events.seen[before..].iter().filter(|message| message.routing_key.starts_with("acme.outbound."));
    for message in steps.filter(|message| !message.data()["merchantOutboundNumber"].to_string().contains("LAST")) {
        let data = message.data();
        let (inferred, previous) = match message.event().as_str() {
            "acknowledged" => (json!(true), "Pending"),
            "pickprocess" => (json!(true), "Acknowledged"),
            "shipped" => (Value::Null, "Pickprocess"),
            other => panic!("{other} was not expected"),
        };
        assert_eq!((&data["inferred"], &data["previousStatus"]), (&inferred, &json!(previous)), "{data}");
        assert_eq!(millis(data["occurredAt"].as_str().unwrap()), key(message).2);
        assert_eq!(message.properties.timestamp().unwrap(), u64::try_from(key(message).2 / 1000).unwrap());
    }
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_passed_on() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "SO-").await;
    let id = id_of(&world, "SO-000001").await;
    next_of(&mut events, &id, "pending").await;
    let forced = world.simulator.post("outbounds/SO-000001/status", json!({"status": "OnHold.2#Teleported"})).await;
    let event = next_of(&mut events, &id, "on-hold-2-teleported").await;
    assert_eq!(event.routing_key, "acme.outbound.on-hold-2-teleported");
    assert_eq!(event.json()["type"], "ffn.outbound.on-hold-2-teleported.v1");
    assert_eq!(event.data()["status"], "OnHold.2#Teleported");
    assert_eq!(event.data()["previousStatus"], "Pending");
    assert_eq!(key(&event).2, millis(forced["updatedAt"].as_str().unwrap()));

    // It goes on from there as from any other.
    world.simulator.post("outbounds/SO-000001/status", json!({"status": "Acknowledged"})).await;
    let event = next_of(&mut events, &id, "acknowledged").await;
    assert_eq!(event.data()["previousStatus"], "OnHold.2#Teleported");
}

#[tokio::test]
async fn numbers_and_unknown_fields_arrive_as_they_were_written() {
    const ODD: &str = r#""orderValue":12345678901234.5678,"newMember":{"a":[0.1,1.10,1e0,-0.0],"é\u0020":null}"#;
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "SO-").await;
    let id = id_of(&world, "SO-000001").await;
    next_of(&mut events, &id, "pending").await;
    world.simulator.post_raw("outbounds/SO-000001/raw?touch=true", &format!("{{{ODD}}}")).await;
    let updated = next_of(&mut events, &id, "updated").await;
    assert_eq!(updated.data()["changed"], json!(["newMember", "orderValue"]));
    for member in ODD.split_inclusive("5678,") {
        assert!(updated.text().contains(member.trim_end_matches(',')), "{member} is not in {}", updated.text());
    }
    // And in the snapshot of what comes later.
    world.simulator.advance("SO-000001", "Shipped").await;
    let shipped = next_of(&mut events, &id, "shipped").await;
    assert!(shipped.text().contains(r#""a":[0.1,1.10,1e0,-0.0]"#), "{}", shipped.text());

    let notification = world.simulator.get("outbounds").await["outbounds"][0]["notifications"][0].clone();
    let notification = notification.as_str().unwrap();
    next_of(&mut events, notification, "dispatched").await;
    let packages = r#"{"packages":[{"weight":12345678901234.5678,"identifier":[{"value":"T1","identifierType":"TrackingId","x":1.10}]}]}"#;
    world.simulator.post_raw(&format!("notifications/{notification}/raw?touch=true"), packages).await;
    let updated = next_of(&mut events, notification, "updated").await;
    assert_eq!(updated.data()["trackingIds"], json!(["T1"]));
    assert_eq!(updated.text().matches("12345678901234.5678").count(), 2, "data and snapshot: {}", updated.text());
    assert!(updated.text().contains(r#""x":1.10"#), "{}", updated.text());
}

#[tokio::test]
async fn an_order_without_its_optional_fields_is_told() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    freeze(&world).await;
    world.simulator.bulk(1, "SO-").await;
    let id = id_of(&world, "SO-000001").await;
    let gone = ["merchantOutboundNumber", "statusTimestamp", "items", "warehouseId", "attributes", "attachments"];
    let gone: serde_json::Map<String, Value> = gone.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    world.simulator.post("outbounds/SO-000001/raw", Value::Object(gone)).await;
    thaw(&world).await;
    let created = next_of(&mut events, &id, "created").await;
    assert_eq!(created.data().get("merchantOutboundNumber"), None);
    let pending = next_of(&mut events, &id, "pending").await;
    assert_eq!(key(&pending).2, key(&created).2, "without its own time a status has that of the last change");
    world.simulator.post("outbounds/SO-000001/status", json!({"status": "Acknowledged"})).await;
    next_of(&mut events, &id, "acknowledged").await;
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 0);
}

#[tokio::test]
async fn times_with_seven_decimals_are_told_to_their_last_digit() {
    let world = Setup::new().simulator(&["--seven-decimals"]).start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "SO-").await;
    let id = id_of(&world, "SO-000001").await;
    next_of(&mut events, &id, "pending").await;
    freeze(&world).await;
    let moved = world.simulator.advance("SO-000001", "Acknowledged").await;
    let at = moved["updatedAt"].as_str().unwrap();
    assert!(at.ends_with("0000+00:00"), "{at}");
    let fine = at.replace("0000+00:00", "4567+00:00");
    world.simulator.post("outbounds/SO-000001/raw", json!({"statusTimestamp": {"acknowledged": fine}})).await;
    thaw(&world).await;
    let event = next_of(&mut events, &id, "acknowledged").await;
    let wanted = at.replace("0000+00:00", "456700Z");
    assert_eq!(event.json()["time"], wanted);
    assert_eq!(event.data()["occurredAt"], wanted);
    assert!(event.text().contains(&format!(r#""statusTimestamp":{{"acknowledged":"{fine}"}}"#)), "{}", event.text());

    // The same instant with three decimals is no second step, and the order goes on.
    let cut = at.replace("0000+00:00", "+00:00");
    world.simulator.post("outbounds/SO-000001/raw?touch=true", json!({"statusTimestamp": {"acknowledged": cut}})).await;
    world.simulator.post("outbounds/SO-000001/raw", json!({"statusTimestamp": null})).await;
    world.simulator.post("outbounds/SO-000001/status", json!({"status": "Locked"})).await;
    next_of(&mut events, &id, "locked").await;
    let acknowledged = events.first_of_each().iter().filter(|message| message.event() == "acknowledged").count();
    assert_eq!(acknowledged, 1);
}

#[tokio::test]
async fn an_item_without_an_id_is_set_aside_and_the_rest_goes_on() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    freeze(&world).await;
    world.simulator.bulk(5, "SO-").await;
    let nameless = id_of(&world, "SO-000003").await;
    world.simulator.post_raw("outbounds/SO-000003/raw", r#"{"outboundId":null,"orderValue":1.10}"#).await;
    thaw(&world).await;
    let mut missing: BTreeSet<Key> = asked_for(&world.simulator.outbounds().await).into_values().flatten().collect();
    missing.retain(|(subject, ..)| *subject != nameless);
    while !missing.is_empty() {
        missing.remove(&key(&events.next().await));
    }
    let db = world.db();
    assert_eq!(db.number("SELECT COUNT(*) FROM parked WHERE account = 'acme' AND feed = 'outbounds'", []), 1);
    let item = db.text("SELECT item FROM parked", []).unwrap();
    assert!(item.contains("SO-000003") && item.contains(r#""orderValue":1.10"#), "{item}");
    assert!(db.text("SELECT reason FROM parked", []).unwrap().contains("outboundId"));

    // It is read again with every overlap and set aside once; the checkpoint goes on.
    let position = checkpoint(&world);
    until("the checkpoint to move", async || (checkpoint(&world) > position).then_some(())).await;
    assert_eq!(db.number("SELECT COUNT(*) FROM parked", []), 1);
    assert!(events.seen.iter().all(|message| !message.text().contains("SO-000003")));
}

#[tokio::test]
async fn a_deleted_order_is_told_once() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(2, "SO-").await;
    receive_all(&mut events, &world.simulator).await;
    let gone = world.simulator.post("outbounds/SO-000001/delete", json!({})).await;
    let event = next_of(&mut events, gone["outboundId"].as_str().unwrap(), "deleted").await;
    assert_eq!(event.data()["snapshot"]["modificationInfo"]["state"], "Deleted");
    settle(&mut events, &world.simulator).await;
}

#[tokio::test]
async fn what_nobody_takes_is_kept_marked_and_counted_and_the_rest_goes_on() {
    let unroutable = "ffn_bridge_events_unroutable_total{account=\"acme\"";
    let world = Setup::new().start().await;
    world.simulator.bulk(4, "SO-").await;
    until("all to be counted", async || (world.bridge.count(unroutable).await == 8).then_some(())).await;
    let pending = "ffn_bridge_journal_pending_events{account=\"acme\"}";
    until("the relay to be through", async || (world.bridge.count(pending).await == 0).then_some(())).await;
    let marked = "SELECT COUNT(*) FROM journal WHERE unroutable = 1";
    assert_eq!(world.db().number(marked, []), 8);

    // Somebody for a part of them: exactly the others are marked.
    let mut events = world.broker.events(&["*.outbound.pickprocess", "*.shipment.#"]).await;
    for number in 1..=4 {
        world.simulator.advance(&format!("SO-{number:06}"), "Shipped").await;
    }
    events.distinct(8).await;
    until("all to be counted", async || (world.bridge.count(unroutable).await == 16).then_some(())).await;
    until("the marks", async || (world.db().number(marked, []) == 16).then_some(())).await;
    let wrong = world.db().number(
        "SELECT COUNT(*) FROM journal
         WHERE unroutable <> (routing_key NOT LIKE '%.pickprocess' AND routing_key NOT LIKE '%.shipment.%')",
        [],
    );
    assert_eq!(wrong, 0);
    let shipped = "ffn_bridge_events_unroutable_total{account=\"acme\",type=\"ffn.outbound.shipped.v1\"}";
    assert_eq!(world.bridge.count(shipped).await, 4);
}

#[tokio::test]
async fn a_lost_database_gives_the_same_ids_again() {
    let start = chrono::Utc::now().to_rfc3339();
    let mut world = Setup::new().account(&format!("start = \"{start}\"")).start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(7, "SO-").await;
    receive_all(&mut events, &world.simulator).await;
    // Some are read step by step, some in one go: the second time all are.
    for number in 1..=3 {
        for status in ["Acknowledged", "Pickprocess"] {
            world.simulator.advance(&format!("SO-{number:06}"), status).await;
            receive_all(&mut events, &world.simulator).await;
        }
    }
    for number in 2..=5 {
        world.simulator.advance(&format!("SO-{number:06}"), "Shipped").await;
    }
    world.simulator.post("outbounds/SO-000006/delete", json!({})).await;
    receive_all(&mut events, &world.simulator).await;
    let before: BTreeSet<(Key, String)> = events.seen.iter().map(|message| (key(message), message.id())).collect();
    record::check(&events.seen, &world.simulator.outbounds().await);

    assert_eq!(world.bridge.stop().await, Some(0));
    let refresh_token = world.db().text("SELECT refresh FROM logins", []).unwrap();
    for name in ["bridge.db", "bridge.db-wal", "bridge.db-shm"] {
        let path = world.dir.path().join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    world.bridge.login("acme", &refresh_token);
    let first_time = std::mem::take(&mut events.seen);
    world.bridge.start().await;
    receive_all(&mut events, &world.simulator).await;
    let after: BTreeSet<(Key, String)> = events.seen.iter().map(|message| (key(message), message.id())).collect();
    assert_eq!(after, before);
    record::check(&events.seen, &world.simulator.outbounds().await);
    assert_eq!(first_time.len(), before.len());
}

#[tokio::test]
async fn a_feed_that_fails_keeps_its_checkpoint_and_is_caught_up_afterwards() {
    // No overlap: it would hide a checkpoint that moved.
    let world = Setup::new().account("overlap = \"0s\"").start().await;
    let mut events = world.broker.events(&["#"]).await;
    let page = json!({"status": 200, "body": {"data": [{"noId": 1}], "moreDataAvailable": true}});
    let faults = [
        ("the server is away", json!({"status": 503})),
        ("too many requests", json!({"status": 429, "headers": {"Retry-After": "1"}})),
        ("cut before the answer", json!("cut_before")),
        ("cut after the work", json!("cut_after")),
        ("half a page", json!({"status": 200, "body": "{\"data\":[{\"outboundId\":\"X"})),
        ("no page at all", json!({"status": 200, "body": {"items": []}})),
        ("a page of the proxy before it", json!({"status": 200, "body": "<html>down</html>"})),
        ("a window that is refused", json!({"status": 400, "body": {"errors": {"toDate": ["in the future"]}}})),
        ("the same page without end", page),
    ];
    for (round, (situation, kind)) in faults.into_iter().enumerate() {
        // The first page is right, a later one fails; with few rows the first one does.
        let page = if round % 2 == 0 { "page=2" } else { "page=1" };
        let page = if situation == "the same page without end" { "" } else { page };
        let fault = json!({"match": {"path": "outbounds/updates", "query": page}, "times": 0, "kind": kind});
        world.simulator.fault(fault).await;
        let failed = world.bridge.count(FAILED_POLLS).await;
        world.simulator.bulk(7, &format!("R{round}-")).await;
        let changes = world.simulator.outbounds().await;
        let last = changes.iter().map(|outbound| millis(outbound["updatedAt"].as_str().unwrap())).max().unwrap();
        until(&format!("polls to fail: {situation}"), async || {
            (world.bridge.count(FAILED_POLLS).await >= failed + 2).then_some(())
        })
        .await;
        assert!(checkpoint(&world) <= last, "{situation}: the checkpoint has passed what was not read");
        thaw(&world).await;
        receive_all(&mut events, &world.simulator).await;
    }
    settle(&mut events, &world.simulator).await;
}

#[tokio::test]
async fn the_lag_of_a_feed_that_fails_grows_and_ends_with_the_failure() {
    let lag = r#"ffn_bridge_feed_lag_seconds{account="acme",feed="outbounds"}"#;
    let other = r#"ffn_bridge_feed_lag_seconds{account="acme",feed="outbound-shipments"}"#;
    let world = Setup::new().start().await;
    let read = "ffn_bridge_polls_total{account=\"acme\",feed=\"outbounds\",outcome=\"empty\"}";
    until("the first poll", async || (world.bridge.count(read).await > 0).then_some(())).await;
    let kind = json!({"status": 503});
    world.simulator.fault(json!({"match": {"path": "outbounds/updates"}, "times": 0, "kind": kind})).await;
    until("a poll that fails", async || (world.bridge.count(FAILED_POLLS).await > 0).then_some(())).await;
    let first = world.bridge.metric(lag).await;
    let later = until("the lag to grow", async || {
        let now = world.bridge.metric(lag).await;
        (now >= first + 2.5).then_some(now)
    })
    .await;
    assert!(world.bridge.metric(other).await < later - 1.0, "the other feed is not behind");
    thaw(&world).await;
    until("the lag to end", async || (world.bridge.metric(lag).await < 2.0).then_some(())).await;
}

#[tokio::test]
async fn a_row_that_shifts_while_pages_are_read_is_told() {
    // Without overlap nothing but the second pass over the window can find it.
    let world = Setup::new().account("overlap = \"0s\"").start().await;
    let mut events = world.broker.events(&["#"]).await;
    let frozen = json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}});
    let frozen = world.simulator.post("faults", frozen).await["id"].clone();
    let delay = json!({"match": {"path": "outbounds/updates", "query": "page=2"}, "kind": {"delay_ms": 3000}});
    world.simulator.fault(delay).await;
    world.simulator.bulk(5, "SO-").await;
    // The next window holds all of them: the bridge knows that the server's clock is past them.
    world.simulator.post("clock", json!({"advance": "2s"})).await;
    let failed = world.bridge.count(FAILED_POLLS).await;
    until("polls that fail", async || (world.bridge.count(FAILED_POLLS).await >= failed + 2).then_some(())).await;
    world.simulator.control("DELETE", &format!("faults/{frozen}"), None).await;
    let second_page = async || {
        let requests = world.simulator.requests("GET", "outbounds/updates").await;
        requests.into_iter().find(|request| request["query"].as_str().unwrap().contains("page=2"))
    };
    let asked = until("the second page to be asked for", second_page).await;
    // It leaves the window, and the fourth row moves from the second page to the first.
    world.simulator.advance("SO-000001", "Acknowledged").await;
    assert_eq!(second_page().await.unwrap()["done"], false, "too late for this test: {asked}");
    settle(&mut events, &world.simulator).await;
}

#[tokio::test]
async fn in_binary_mode_the_body_is_the_data_alone() {
    let world = Setup::new().broker_lines("event_mode = \"binary\"").start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "SO-").await;
    let id = id_of(&world, "SO-000001").await;
    let event = next_of(&mut events, &id, "pending").await;
    assert_eq!(event.properties.content_type().as_ref().unwrap().as_str(), "application/json");
    let data = event.json();
    assert_eq!((&data["outboundId"], &data["status"]), (&json!(id), &json!("Pending")));
    assert_eq!(data["snapshot"]["merchantOutboundNumber"], "SO-000001");
    assert!(data.get("specversion").is_none() && data.get("data").is_none(), "{data}");
    let header = |name: &str| event.header(&format!("cloudEvents_{name}"));
    assert_eq!(header("id"), Some(event.id()));
    for (name, value) in [
        ("specversion", "1.0"),
        ("source", "/ffn/acme"),
        ("type", "ffn.outbound.pending.v1"),
        ("dataschema", "urn:ffn-bridge:schema:ffn.outbound.pending.v1"),
        ("subject", &id),
        ("partitionkey", &id),
        ("account", "acme"),
        ("role", "merchant"),
    ] {
        assert_eq!(header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(header("time").map(|time| millis(&time)), data["occurredAt"].as_str().map(millis));
    for name in ["sequence", "recordedtime"] {
        assert!(header(name).is_some(), "{name}");
    }
    assert_eq!(header("datacontenttype"), None);
    assert!(event.properties.headers().as_ref().unwrap().inner().keys().all(|name| !name.as_str().starts_with("x-")));
    assert_eq!(event.properties.delivery_mode(), &Some(2));
    settle(&mut events, &world.simulator).await;
}

#[tokio::test]
async fn a_subscribers_full_queue_floods_no_other_subscriber_with_repeats() {
    let world = Setup::new().simulator(&["--chunk-size", "50"]).start().await;
    let mut events = world.broker.events(&["#"]).await;
    let full = world.broker.bind_full("more", &world.names.events()).await;
    world.simulator.bulk(20, "SO-").await;
    let nacks = || world.bridge.lines().iter().filter(|line| line.contains("(nack)")).count();
    until("five refusals", async || (nacks() >= 5).then_some(())).await;
    world.broker.delete(&full).await;
    settle(&mut events, &world.simulator).await;
    // The first burst once more, and one message a refusal.
    let (received, different) = (events.seen.len(), events.first_of_each().len());
    assert!(received <= different + 40 + nacks(), "{received} messages for {different} events, {} refusals", nacks());
}
