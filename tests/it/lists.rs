//! Lists: what is there when a feed begins, and what a feed has missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Message, Setup, World, until, until_within};

/// How far the snapshot of the outbounds is.
fn snapshot(world: &World) -> Option<Value> {
    let state = world.db().text("SELECT state FROM listings WHERE feed = 'outbounds' AND purpose = 'snapshot'", []);
    state.map(|state| serde_json::from_str(&state).unwrap())
}

fn rows_read(world: &World) -> u64 {
    snapshot(world).map_or(0, |state| state["cursor"]["rows"].as_u64().unwrap())
}

/// Every event of an outbound in the journal, oldest first: order, event, whether it is marked as snapshot.
fn told(world: &World) -> Vec<(String, String, bool)> {
    let rows = world.db().rows(
        "SELECT json_extract(body, '$.subject'), routing_key, COALESCE(json_extract(body, '$.snapshot'), 0)
         FROM journal WHERE routing_key LIKE 'acme.outbound.%' ORDER BY position",
    );
    let event = |key: &str| key.rsplit('.').next().unwrap().to_owned();
    rows.into_iter().map(|[id, key, marked]| (id, event(&key), marked == "1")).collect()
}

/// The highest memory that the bridge has had, in MB.
fn peak_memory(world: &World) -> u64 {
    let pid = world.bridge.process.as_ref().unwrap().id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// `FFN_BRIDGE_SNAPSHOT_ROWS=100000` takes a few minutes.
fn how_many() -> usize {
    std::env::var("FFN_BRIDGE_SNAPSHOT_ROWS").map_or(3000, |rows| rows.parse().unwrap())
}

#[tokio::test]
async fn a_snapshot_killed_five_times_tells_every_order_once_while_others_come_and_change() {
    let count = how_many();
    let rate = format!("start = \"snapshot\"\nfeeds = [\"outbounds\"]\nrate_limit = \"{}/s\"", (count / 50).max(40));
    // Orders are made a millisecond apart, and its clock is not ahead of this machine's then.
    let skew = format!("-{}", count / 1000 + 8);
    let mut world =
        Setup::new().simulator(&["--chunk-size", "50", "--clock-skew-s", &skew]).account(&rate).build().await;
    world.simulator.bulk(count, "OLD-").await;
    // Of every kind some: in each status, edited, and canceled.
    for number in 1..=60 {
        let to = ["Acknowledged", "Pickprocess", "Shipped", "Canceled"][number % 4];
        world.simulator.advance(&format!("OLD-{number:06}"), to).await;
    }
    // The present is known to the second.
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    let mut peak = 0;
    let mut live = 0;
    for kill in 1..=5 {
        world.bridge.start().await;
        // Orders that are new, and old ones that change before or after their row was read.
        world.simulator.bulk(1, &format!("NEW-{kill}-")).await;
        for number in [100 + kill, count - kill] {
            world.simulator.advance(&format!("OLD-{number:06}"), "Acknowledged").await;
            live += 1;
        }
        let wanted = (count * kill / 6) as u64;
        until_within(Duration::from_secs(300), "more of the list to be read", async || {
            (rows_read(&world) >= wanted).then_some(())
        })
        .await;
        peak = peak.max(peak_memory(&world));
        world.bridge.kill();
        assert!(snapshot(&world).unwrap()["ended_at"].is_null(), "killed in its midst");
    }
    world.bridge.start().await;
    until_within(Duration::from_secs(600), "the snapshot to be complete", async || {
        let complete = world.bridge.count("ffn_bridge_snapshot_complete{account=\"acme\",feed=\"outbounds\"}").await;
        (complete == 1).then_some(())
    })
    .await;
    until_within(Duration::from_secs(600), "everything to be published and the live steps told", async || {
        let pending = world.bridge.count("ffn_bridge_journal_pending_events{account=\"acme\"}").await;
        let steps = world.db().number(
            "SELECT COUNT(*) FROM journal WHERE routing_key = 'acme.outbound.acknowledged'
             AND json_extract(body, '$.snapshot') IS NULL",
            [],
        );
        (pending == 0 && steps == live).then_some(())
    })
    .await;
    peak = peak.max(peak_memory(&world));
    eprintln!("{count} rows: at most {peak} MB");
    assert!(peak < 100, "{peak} MB");

    let shown = world.bridge.count("ffn_bridge_snapshot_rows{account=\"acme\",feed=\"outbounds\"}").await;
    assert!(shown >= (count + 5) as u64, "{shown}");
    assert!(world.bridge.count("ffn_bridge_snapshot_expected_rows{").await >= count as u64);
    let (_, status) = world.bridge.get("/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    let feed = &status["accounts"][0]["feeds"][0];
    assert!(feed["snapshot"]["completedAt"].is_string(), "{feed}");

    let mut of: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for (id, event, marked) in told(&world) {
        of.entry(id).or_default().push((event, marked));
    }
    let orders = world.simulator.outbounds().await;
    assert_eq!(orders.len(), count + 5);
    assert_eq!(of.len(), orders.len(), "every order is told");
    for order in &orders {
        let number = order["merchantOutboundNumber"].as_str().unwrap();
        let events = &of[order["outboundId"].as_str().unwrap()];
        let named = |marked: bool| -> Vec<&str> {
            events.iter().filter(|(_, is)| *is == marked).map(|(event, _)| event.as_str()).collect()
        };
        let status = match order["status"].as_str().unwrap() {
            "Pickprocess" => "pickprocess",
            other => &other.to_lowercase(),
        };
        let changed = |at: usize| (1..=5).any(|kill| at == 100 + kill || at == count - kill);
        if number.starts_with("NEW-") {
            assert_eq!(named(false), ["created", "pending"], "{number}");
            assert!(named(true).is_empty(), "{number}");
        } else if changed(number[4..].parse().unwrap()) {
            assert_eq!(named(true), ["created", "pending"], "{number}");
            assert_eq!(named(false), ["acknowledged"], "{number}");
        } else {
            assert_eq!(named(true), ["created", status], "{number}");
            assert!(named(false).is_empty(), "{number}");
        }
        // In its order.
        let first_live = events.iter().position(|(_, marked)| !marked).unwrap_or(events.len());
        assert!(events[first_live..].iter().all(|(_, marked)| !marked), "{number}: {events:?}");
    }
}

#[tokio::test]
async fn a_snapshot_has_the_ids_that_reading_the_feeds_gives() {
    let feeds = r#"feeds = ["outbounds", "outbound-shipments", "inbounds", "returns", "products", "stocks", "warehouses", "shipping-methods", "fulfillers"]"#;
    let mut world = Setup::new().account(feeds).build().await;
    let simulator = &world.simulator;
    simulator.bulk(3, "SO-").await;
    simulator.advance("SO-000001", "Shipped").await;
    simulator.advance("SO-000002", "Locked").await;
    simulator.post("inbounds", json!({"merchantInboundNumber": "I-1"})).await;
    simulator.post("inbounds", json!({"merchantInboundNumber": "I-2"})).await;
    simulator.post("inbounds/I-2/advance", json!({"to": "Receipted"})).await;
    simulator.post("returns", json!({"merchantReturnNumber": "R-1"})).await;
    simulator.post("returns/R-1/advance", json!({"to": "Completed"})).await;
    simulator.post("products", json!({"merchantSku": "LAMP"})).await;
    simulator.post("clock", json!({"advance": "3s"})).await;
    let plain = world.config().to_owned();
    let start = |start: &str| plain.replace(feeds, &format!("{feeds}\nstart = \"{start}\""));

    // Makes the exchange and reads nothing.
    world.set_config(&plain.replace(feeds, "feeds = []"));
    world.bridge.start().await;
    let mut events = world.broker.events(&["acme.#"]).await;
    world.bridge.stop().await;
    world.set_config(&start("snapshot"));
    world.bridge.start().await;
    until("every snapshot to be complete", async || {
        (world.bridge.count("ffn_bridge_snapshot_complete{account=\"acme\"").await == 7).then_some(())
    })
    .await;
    until("all of it to be published", async || {
        (world.bridge.count("ffn_bridge_journal_pending_events{").await == 0).then_some(())
    })
    .await;
    let rows = |world: &World| {
        world.db().rows("SELECT message_id, routing_key, COALESCE(json_extract(body, '$.snapshot'), 0) FROM journal")
    };
    let of_snapshot = rows(&world);
    events.until(|seen| seen.len() == of_snapshot.len()).await;
    assert!(of_snapshot.iter().all(|[_, _, marked]| marked == "1"), "{of_snapshot:?}");
    let keys: BTreeSet<&str> = of_snapshot.iter().map(|[_, key, _]| key.strip_prefix("acme.").unwrap()).collect();
    let wanted = [
        "fulfiller.created",
        "inbound.created",
        "inbound.pending",
        "inbound.receipted",
        "outbound.created",
        "outbound.locked",
        "outbound.pending",
        "outbound.shipped",
        "product.created",
        "return.announced",
        "return.completed",
        "shipping-method.created",
        "warehouse.created",
    ];
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), wanted);
    // Of an order and of an inbound: the other inbound was past it.
    assert_eq!(events.seen.iter().filter(|message| message.event() == "pending").count(), 2);
    world.bridge.stop().await;

    world.alter(
        "DELETE FROM journal; DELETE FROM entities; DELETE FROM checkpoints; DELETE FROM lanes; DELETE FROM listings;",
    );
    // What the simulator begins with is 30 days old.
    world.set_config(&start(&(chrono::Utc::now() - chrono::TimeDelta::days(31)).to_rfc3339()));
    world.bridge.start().await;
    let again = || rows(&world).into_iter().map(|[id, ..]| id).collect::<BTreeSet<String>>();
    until_within(Duration::from_secs(60), "the feeds to tell all of that", async || {
        let again = again();
        of_snapshot.iter().all(|[id, ..]| again.contains(id)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_last_row_without_an_id_and_pages_of_one_row_keep_no_list_from_its_end() {
    let lines = "start = \"snapshot\"\nfeeds = [\"products\", \"warehouses\"]\nsweep_interval = \"300ms\"\npoll_interval = \"50ms\"\nrate_limit = \"200/s\"";
    let mut world = Setup::new().simulator(&["--top-cap", "1"]).account(lines).build().await;
    let of_start = world.simulator.get("products").await["products"].as_array().unwrap().clone();
    let products = of_start.iter().filter(|product| product["deleted"] == false).count();
    world.simulator.post("products", json!({"merchantSku": "ZLAST"})).await;
    world.simulator.post_raw("products/ZLAST/instead", "null").await;
    // The present is known to the second.
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    world.bridge.start().await;
    until("both snapshots to be complete", async || {
        (world.bridge.count("ffn_bridge_snapshot_complete{account=\"acme\"").await == 2).then_some(())
    })
    .await;
    let created = |what: &str| {
        let count = "SELECT COUNT(*) FROM journal WHERE routing_key = 'acme.' || ?1 || '.created'";
        usize::try_from(world.db().number(count, [what])).unwrap()
    };
    assert_eq!((created("product"), created("warehouse")), (products, 2));
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 1);
    for feed in ["products", "warehouses"] {
        let done = format!("ffn_bridge_sweeps_total{{account=\"acme\",feed=\"{feed}\",outcome=\"done\"}}");
        until("two sweeps", async || (world.bridge.count(&done).await >= 2).then_some(())).await;
    }
}

/// Sweeps that have ended well since the bridge began.
async fn sweeps(world: &World) -> u64 {
    world.bridge.count("ffn_bridge_sweeps_total{account=\"acme\",feed=\"outbounds\",outcome=\"done\"}").await
}

/// When it was last found that the feed had missed something.
async fn missed_at(world: &World, feed: &str) -> u64 {
    world.bridge.count(&format!("ffn_bridge_last_missed_timestamp_seconds{{account=\"acme\",feed=\"{feed}\"}}")).await
}

async fn one_more_sweep(world: &World) {
    let before = sweeps(world).await;
    // The one that runs may have begun before.
    until("two more sweeps", async || (sweeps(world).await >= before + 2).then_some(())).await;
}

#[tokio::test]
async fn a_sweep_finds_what_the_feed_has_missed_and_nothing_else() {
    let lines = "feeds = [\"outbounds\", \"products\"]\nsweep_interval = \"300ms\"\noverlap = \"100ms\"\npoll_interval = \"50ms\"";
    let mut world = Setup::new().account(lines).start().await;
    let mut events = world.broker.events(&["#"]).await;
    until("both feeds have begun", async || {
        (world.db().number("SELECT COUNT(*) FROM checkpoints", []) == 2).then_some(())
    })
    .await;
    let missed = async |feed: &str| {
        world.bridge.count(&format!("ffn_bridge_sweep_missed_events_total{{account=\"acme\",feed=\"{feed}\"}}")).await
    };
    let simulator = &world.simulator;
    simulator.bulk(4, "SO-").await;
    simulator.advance("SO-000002", "Acknowledged").await;
    simulator.post("products", json!({"merchantSku": "LAMP"})).await;
    let has =
        |seen: &[Message], key: &str, count: usize| seen.iter().filter(|it| it.routing_key == key).count() == count;
    events.until(|seen| has(seen, "acme.outbound.pending", 4)).await;
    events.until(|seen| has(seen, "acme.outbound.acknowledged", 1) && has(seen, "acme.product.created", 1)).await;
    one_more_sweep(&world).await;
    assert_eq!((missed("outbounds").await, missed("products").await), (0, 0));
    assert_eq!((missed_at(&world, "outbounds").await, missed_at(&world, "products").await), (0, 0));
    let before = events.seen.len();

    // From here on the feeds show nothing of these.
    for of in ["outbounds/SO-000001", "outbounds/SO-000002", "outbounds/SO-000003", "products/LAMP"] {
        simulator.post(&format!("{of}/hide"), json!({"always": true})).await;
    }
    simulator.advance("SO-000001", "Acknowledged").await;
    // It leaves the list of what is open.
    simulator.advance("SO-000002", "Shipped").await;
    simulator.post("products/LAMP/change", json!({"name": "Lamp 2"})).await;
    events.until(|seen| seen.len() >= before + 4).await;
    let found: BTreeSet<String> =
        events.seen[before..].iter().map(|it| format!("{} {}", it.event(), it.data()["inferred"])).collect();
    let wanted = ["acknowledged true", "pickprocess true", "shipped true", "updated true"].map(str::to_owned);
    assert_eq!(found, wanted.into());
    one_more_sweep(&world).await;
    assert_eq!((missed("outbounds").await, missed("products").await), (3, 1));
    assert_eq!(events.seen.len(), before + 4);
    assert!(missed_at(&world, "outbounds").await > 0 && missed_at(&world, "products").await > 0);

    // What is gone without a word is noted once.
    simulator.post("settings", json!({"tombstones": "absent"})).await;
    simulator.post("products/LAMP/delete", json!({})).await;
    let noted = || world.bridge.lines().iter().filter(|line| line.contains("FFN has an entity no more")).count();
    until("the end of the product to be noted", async || (noted() > 0).then_some(())).await;
    one_more_sweep(&world).await;
    assert_eq!((noted(), missed("products").await), (1, 1));

    // Counters begin anew with a process, and what an alert goes by does not.
    let found = missed_at(&world, "products").await;
    world.bridge.stop().await;
    world.bridge.start().await;
    assert_eq!(missed_at(&world, "products").await, found);
}
