//! Every feed of both roles, from a change at FFN to a message that fits its schema, with the ids it will
//! always have.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::process::Process;
use crate::support::{Message, Setup, Subscription, World, until, until_within};

const OF_BOTH: &str = r#""outbounds", "outbound-shipments", "inbounds", "inbound-shipments", "returns", "stocks", "products", "warehouses", "shipping-methods", "#;

/// A merchant `acme` and a fulfiller `ware`, each with all the feeds of its role.
pub async fn two_accounts(setup: Setup, lines: &str) -> World {
    let feeds = format!("feeds = [{OF_BOTH}\"fulfillers\"]\n{lines}");
    let world = setup.account(&feeds).second("ware", "fulfiller").signed_out().build().await;
    let (merchant, fulfiller) = world.config().split_once("name = \"ware\"").unwrap();
    let fulfiller = fulfiller.replace("\"fulfillers\"", "\"merchants\", \"authorizations\"");
    world.set_config(&format!("{merchant}name = \"ware\"{fulfiller}"));
    world.bridge.login("acme", "demo-refresh-token");
    world.bridge.login("ware", "demo-fulfiller-refresh-token");
    world
}

/// Every feed has begun: what happens from here on is told.
pub async fn all_begun(world: &World) {
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
const SEEN_BY_BOTH: [&str; 19] = [
    "outbound.created",
    "outbound.pending",
    "outbound.acknowledged",
    "outbound.pickprocess",
    "outbound.shipped",
    "shipment.dispatched",
    "inbound.created",
    "inbound.pending",
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

/// What `drive` and its like leave out, so that every type of event has been seen and checked.
#[tokio::test]
async fn what_seldom_happens_is_told_as_its_schemas_say() {
    let mut world = two_accounts(Setup::new(), "").await;
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    all_begun(&world).await;
    partners(&world).await;
    let simulator = &world.simulator;
    simulator.bulk(1, "SO-").await;
    simulator.post("inbounds", json!({"merchantInboundNumber": "I-1"})).await;
    for status in ["PartiallyShipped", "PartiallyCanceled"] {
        simulator.advance("SO-000001", status).await;
    }
    all_told(
        &mut events,
        &["ware.merchant.created", "ware.authorization.created", "acme.fulfiller.created", "acme.inbound.created"]
            .map(str::to_owned),
    )
    .await;
    for partner in ["fulfillers/ABCD", "merchants/ABCE"] {
        simulator.post(&format!("{partner}/change"), json!({"companyName": "Another Name"})).await;
    }
    all_told(&mut events, &["acme.fulfiller.updated", "ware.merchant.updated"].map(str::to_owned)).await;
    for gone in ["authorizations/ABCE", "fulfillers/ABCD", "merchants/ABCE", "inbounds/I-1"] {
        simulator.post(&format!("{gone}/delete"), json!({})).await;
    }
    let wanted = [
        "acme.outbound.partially-shipped",
        "acme.outbound.partially-canceled",
        "ware.outbound.partially-canceled",
        "acme.inbound.deleted",
        "ware.inbound.deleted",
        "acme.fulfiller.deleted",
        "ware.merchant.deleted",
        "ware.authorization.deleted",
    ];
    all_told(&mut events, &wanted.map(str::to_owned)).await;
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 0);
}

#[tokio::test]
async fn every_feed_of_both_roles_is_told_as_its_schemas_say() {
    let mut world = two_accounts(Setup::new(), "").await;
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    all_begun(&world).await;
    drive(&world, "").await;
    partners(&world).await;
    let mut wanted = by_both();
    wanted.extend(["acme.fulfiller.created", "ware.merchant.created", "ware.authorization.created"].map(str::to_owned));
    all_told(&mut events, &wanted).await;
    // FFN tells no times of a delivery's statuses: each is told if it is seen.
    for (to, told) in [("Receipted", "receipted"), ("Closed", "closed")] {
        if to == "Receipted" {
            world.simulator.post("inbounds", json!({"merchantInboundNumber": "I-2"})).await;
        }
        world.simulator.post("inbounds/I-2/advance", json!({"to": to})).await;
        let fits = |message: &Message| message.event() == told && message.data()["merchantInboundNumber"] == "I-2";
        events.until(|seen| seen.iter().filter(|message| fits(message)).count() == 2).await;
    }
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
    let mut world = two_accounts(Setup::new(), &format!("start = \"{start}\"")).await;
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

#[tokio::test]
async fn a_stock_version_that_the_feed_drops_is_found_in_the_list_and_one_that_is_nowhere_is_told() {
    let world = Setup::new().account("feeds = [\"stocks\"]\noverlap = \"2s\"").start().await;
    let mut events = world.broker.events(&["#"]).await;
    let change = async |count: u32| {
        let made = json!({"merchantSku": "MUG-RED", "warehouseId": "WARE04MAIN-00001-0001", "count": count});
        world.simulator.post("stock-changes", made).await;
    };
    let version_of = |message: &Message| message.data()["stockVersion"].as_i64();
    let seen = |seen: &[Message], version: i64| seen.iter().any(|message| version_of(message) == Some(version));
    change(1).await;
    let first = version_of(&events.next().await).unwrap();
    let ledger = "WARE04MAIN-00001-0001:ACME01A1B2D";
    let hide = async |version: i64, how: serde_json::Value| {
        world.simulator.post(&format!("stock-changes/{ledger}:{version}/hide"), how).await;
    };
    // Nobody looks while one is made and hidden.
    let hold = async || {
        world.simulator.fault(json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}})).await;
    };
    let go_on = async || world.simulator.control("DELETE", "faults", None).await;
    hold().await;
    change(2).await;
    hide(first + 1, json!({"always": true})).await;
    go_on().await;
    events.until(|all| seen(all, first + 1) && seen(all, first + 2)).await;
    assert_eq!(world.bridge.count("ffn_bridge_stock_gaps_total{account=\"acme\"}").await, 0);

    hold().await;
    change(3).await;
    hide(first + 3, json!({"always": true, "lists": true})).await;
    hide(first + 4, json!({"always": true, "lists": true})).await;
    go_on().await;
    let gaps = |all: &[Message]| all.iter().filter(|message| message.event() == "gap").count();
    events.until(|all| gaps(all) == 1).await;
    let gap = events.seen.iter().find(|message| message.event() == "gap").unwrap().data();
    assert_eq!((&gap["fromVersion"], &gap["toVersion"]), (&json!(first + 3), &json!(first + 4)));
    // It goes on, and the gap is told no more.
    change(1).await;
    events.until(|all| seen(all, first + 6)).await;
    assert_eq!(gaps(&events.seen), 1);
    assert_eq!(world.bridge.count("ffn_bridge_stock_gaps_total{account=\"acme\"}").await, 1);
}

#[tokio::test]
async fn the_first_change_of_a_stock_after_the_start_is_told_though_the_feed_drops_it() {
    let mut world = Setup::new().account("feeds = [\"stocks\"]\noverlap = \"0s\"").build().await;
    let change = async |count: u32| {
        let made = json!({"merchantSku": "MUG-RED", "warehouseId": "WARE04MAIN-00001-0001", "count": count});
        world.simulator.post("stock-changes", made).await;
    };
    let newest = async || {
        let ledger = "stock-changes?jfsku=ACME01A1B2D&warehouse=WARE04MAIN-00001-0001";
        let entries = world.simulator.get(ledger).await;
        let versions = entries["stock-changes"].as_array().unwrap().iter();
        versions.filter_map(|entry| entry["stockChangeId"]["stockVersion"].as_i64()).max().unwrap()
    };
    // Nobody wants to know of these: they were before the start, and the feed does not show them.
    change(3).await;
    let before = newest().await;
    let start = format!(
        "overlap = \"0s\"\nstart = \"{}\"",
        (chrono::Utc::now() + chrono::TimeDelta::milliseconds(50)).to_rfc3339()
    );
    world.set_config(&world.config().replace("overlap = \"0s\"", &start));
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    let begun = || world.db().number("SELECT COUNT(*) FROM checkpoints", []);
    until("the feed has begun", async || (begun() == 1).then_some(())).await;
    world.simulator.fault(json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}})).await;
    change(2).await;
    let hidden = format!("stock-changes/WARE04MAIN-00001-0001:ACME01A1B2D:{}/hide", before + 1);
    world.simulator.post(&hidden, json!({"always": true})).await;
    world.simulator.control("DELETE", "faults", None).await;
    let versions = |all: &[Message]| -> BTreeSet<i64> {
        all.iter().filter_map(|message| message.data()["stockVersion"].as_i64()).collect()
    };
    let told = BTreeSet::from([before + 1, before + 2]);
    events.until(|all| versions(all) == told).await;
    // It has been looked up, and is not looked up again.
    let open = || world.db().number("SELECT COUNT(*) FROM entities WHERE known LIKE '%first%'", []);
    until("the ledger's begin is known", async || (open() == 0).then_some(())).await;
    assert_eq!(world.bridge.count("ffn_bridge_stock_gaps_total{account=\"acme\"}").await, 0);
}

#[tokio::test]
async fn a_backfill_tells_what_was_before_the_start_beside_live_traffic_and_only_once() {
    // Its clock is not ahead of this machine's when they have begun.
    let mut world = Setup::new().simulator(&["--chunk-size", "20", "--clock-skew-s", "-8"]).build().await;
    world.simulator.bulk(30, "OLD-").await;
    for number in 1..=30 {
        world.simulator.advance(&format!("OLD-{number:06}"), "Shipped").await;
    }
    // The present is known to the second.
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    until("both feeds have begun", async || {
        (world.db().number("SELECT COUNT(*) FROM checkpoints", []) == 2).then_some(())
    })
    .await;
    let of = |all: &[Message], prefix: &str, event: &str| {
        let fits = |message: &&Message| {
            let number = message.data()["merchantOutboundNumber"].as_str().unwrap_or_default().to_owned();
            message.event() == event && number.starts_with(prefix)
        };
        all.iter().filter(fits).count()
    };
    let backfill = |more: &[&str]| {
        let arguments = ["backfill", "acme", "--from", "1h", "--rate", "1000"];
        let output = world.bridge.cli(&[&arguments[..], more].concat(), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let rehearsed = backfill(&["--dry-run"]);
    assert!(rehearsed.contains("30  ffn.outbound.created.v1\n"), "{rehearsed}");
    assert!(rehearsed.contains("30  ffn.shipment.dispatched.v1\n"), "{rehearsed}");
    assert!(rehearsed.ends_with("180 new events would be in the journal\n"), "{rehearsed}");
    assert_eq!(world.db().number("SELECT COUNT(*) FROM journal", []), 0);

    world.simulator.bulk(10, "LIVE-").await;
    let read = backfill(&[]);
    for number in 1..=10 {
        world.simulator.advance(&format!("LIVE-{number:06}"), "Shipped").await;
    }
    events
        .until(|all| {
            let told = |prefix, wanted| {
                ["created", "pending", "acknowledged", "pickprocess", "shipped", "dispatched"]
                    .iter()
                    .all(|event| of(all, prefix, event) == wanted)
            };
            // Reading all of them for each that comes takes long.
            all.len() >= 240 && told("OLD-", 30) && told("LIVE-", 10)
        })
        .await;
    assert!(read.ends_with(" in the journal\n"), "{read}");
    assert_eq!(backfill(&[]), "0 new events in the journal\n");
    let ids: BTreeSet<String> = events.seen.iter().map(Message::id).collect();
    assert_eq!((ids.len(), events.seen.len()), (240, 240), "each once");
}

#[tokio::test]
async fn a_backfill_without_an_end_counts_nothing_that_happens_after_its_start() {
    let world = Setup::new().build().await;
    world.simulator.bulk(3, "OLD-").await;
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    let arguments = ["backfill", "acme", "--feed", "outbounds", "--from", "1h", "--rate", "1", "--dry-run"];
    let backfill = Process::spawn("ffn-bridge", &mut world.bridge.command(&arguments));
    until("it has begun to read", async || {
        (!world.simulator.requests("GET", "/updates").await.is_empty()).then_some(())
    })
    .await;
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    world.simulator.bulk(4, "NEW-").await;
    let report = until_within(Duration::from_secs(60), "its report", async || {
        backfill.output().pop().filter(|line| line.ends_with(" in the journal"))
    });
    let report = report.await;
    // It has seen them: its last look is later.
    let looks = world.simulator.requests("GET", "/updates").await.len();
    assert!(looks >= 3, "{looks}");
    assert_eq!(report, "6 new events would be in the journal", "{:?}", backfill.output());
}

#[tokio::test]
async fn a_feed_that_fails_keeps_no_other_feed_of_a_backfill_but_for_what_concerns_all() {
    let world = Setup::new().account("feeds = [\"outbounds\", \"products\"]").build().await;
    world.simulator.bulk(3, "OLD-").await;
    world.simulator.post("products", json!({"merchantSku": "OLD"})).await;
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    // It fails when it is read on.
    for (fault, others, told) in [
        (json!({"match": {"path": "/outbounds/updates", "skip": 1}, "times": 0, "kind": {"status": 403}}), true, 7),
        (json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 401}}), false, 0),
    ] {
        world.simulator.fault(fault).await;
        let output = world.bridge.cli(&["backfill", "acme", "--from", "1h", "--rate", "1000", "--dry-run"], "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("the feed outbounds could not be read to its end; to begin anew does no harm: "),
            "{said}"
        );
        assert!(said.contains("FFN could not be read: FFN answered") && said.contains("with status 40"), "{said}");
        assert_eq!(said.contains("reading products from"), others, "{said}");
        let counted = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(counted.ends_with(&format!("{told} new events would be in the journal\n")), "{counted}");
        world.simulator.control("DELETE", "faults", None).await;
    }
}

#[tokio::test]
async fn a_backfill_that_makes_no_sense_is_refused_as_bad_usage() {
    let world = Setup::new().build().await;
    for (arguments, word) in [
        (&["--from", "1h", "--feed", "merchants"][..], "a merchant has no feed merchants"),
        (&["--from", "1h", "--feed", "parcels"], "it is no feed"),
        (&["--from", "2990-01-01T00:00:00Z"], "is in the future: at FFN it is 20"),
        (&["--from", "2990-01-01T00:00:00Z", "--to", "2991-01-01T00:00:00Z", "--dry-run"], "is in the future"),
        (&["--from", "1h", "--rate", "fast"], "such as 5/s, 300/m or 10/h"),
    ] {
        let output = world.bridge.cli(&[&["backfill", "acme"], arguments].concat(), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(word) && output.stdout.is_empty(), "{said}");
    }
    let output = world.bridge.cli(&["backfill", "acme", "--from", "1h", "--feed", "products", "--rate", "600/m"], "");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("reading products from 20"), "{said}");
}

#[tokio::test]
async fn a_rehearsal_that_is_broken_off_says_what_it_has_counted_and_that_nothing_was_written() {
    let world = Setup::new().build().await;
    world.simulator.bulk(30, "OLD-").await;
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    let arguments = ["backfill", "acme", "--feed", "outbounds", "--from", "1h", "--rate", "2", "--dry-run"];
    let mut backfill = Process::spawn("ffn-bridge", &mut world.bridge.command(&arguments));
    // Of ten pages, and a bar or a line says how far it is.
    let line = until_within(Duration::from_secs(60), "a sign of life", async || {
        backfill.find(|line| (line.contains("calls") && !line.contains(" 0 new events")).then(|| line.to_owned()))
    });
    let line = line.await;
    assert!(line.starts_with("0 of 2 windows  outbounds: ") && line.contains(" items, "), "{line}");
    backfill.signal("INT");
    assert_eq!(until("its end", async || backfill.ended()).await, Some(1));
    let said = backfill.lines().join("\n");
    assert!(said.contains("nothing was written") && !said.contains("is in the journal"), "{said}");
    assert!(said.contains("new events so far would be in the journal") && !said.contains(" 0 new"), "{said}");
    assert!(backfill.output().iter().any(|line| line.ends_with("  ffn.outbound.created.v1")), "{said}");
    assert_eq!(world.db().number("SELECT COUNT(*) FROM journal", []), 0);
}

#[tokio::test]
async fn a_stock_version_that_the_feed_drops_is_found_by_a_backfill() {
    let mut world = Setup::new().account("feeds = [\"stocks\"]\noverlap = \"0s\"").build().await;
    let change = async |count: u32| {
        let made = json!({"merchantSku": "MUG-RED", "warehouseId": "WARE04MAIN-00001-0001", "count": count});
        world.simulator.post("stock-changes", made).await;
    };
    let from = chrono::Utc::now().to_rfc3339();
    change(6).await;
    let ledger = "stock-changes?jfsku=ACME01A1B2D&warehouse=WARE04MAIN-00001-0001";
    let entries = world.simulator.get(ledger).await;
    let entries = entries["stock-changes"].as_array().unwrap().iter();
    let newest = entries.filter_map(|entry| entry["stockChangeId"]["stockVersion"].as_i64()).max().unwrap();
    let hidden = format!("stock-changes/WARE04MAIN-00001-0001:ACME01A1B2D:{}/hide", newest - 3);
    world.simulator.post(&hidden, json!({"always": true})).await;
    world.simulator.post("clock", json!({"advance": "3s"})).await;
    let output = world.bridge.cli(&["backfill", "acme", "--from", &from, "--rate", "1000"], "");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), "6 new events in the journal\n"));
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    let begun = || world.db().number("SELECT COUNT(*) FROM checkpoints", []);
    until("the feed has begun", async || (begun() == 1).then_some(())).await;
    change(1).await;
    let told = |all: &[Message]| -> BTreeSet<i64> {
        all.iter().filter_map(|message| message.data()["stockVersion"].as_i64()).collect()
    };
    events.until(|all| told(all).contains(&(newest + 1))).await;
    assert_eq!(world.db().number("SELECT COUNT(*) FROM journal", []), 7);
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
