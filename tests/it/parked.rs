//! `ffn-bridge parked`: what could not be told is shown as it came, and told when it can be.

use serde_json::{Value, json};

use crate::cli::{run, said, tells};
use crate::support::record::asked_for;
use crate::support::{Setup, until};

const GAUGE: &str = "ffn_bridge_parked_items{account=\"acme\",feed=\"outbounds\"}";

#[tokio::test]
async fn items_that_can_not_be_told_are_listed_shown_and_told_later() {
    let mut world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    assert_eq!(world.bridge.count("ffn_bridge_parked_items").await, 0);
    let (code, nothing) = run(&world, &["parked", "list"]).await;
    assert_eq!((code, nothing.as_str()), (0, ""));

    let fault = json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}});
    world.simulator.fault(fault).await;
    world.simulator.bulk(2, "SO-").await;
    let order = world.simulator.get("outbounds?number=SO-000002").await["outbounds"][0].clone();
    let id = order["outboundId"].as_str().unwrap();
    world.simulator.post_raw("outbounds/SO-000002/raw", r#"{"outboundId":null,"orderValue":1.10}"#).await;
    world.simulator.control("DELETE", "faults", None).await;
    until("the item to be parked", async || (world.bridge.count(GAUGE).await == 1).then_some(())).await;
    let number = world.db().number("SELECT id FROM parked", []).to_string();
    let stored = world.db().text("SELECT item FROM parked", []).unwrap();

    let (code, line) = run(&world, &["parked", "list", "--account", "acme", "--feed", "outbounds"]).await;
    assert_eq!((code, line.lines().count()), (0, 1), "{line}");
    tells(&line, &[&number, "  acme  outbounds  20", &format!("{} bytes", stored.len()), "its outboundId is missing"]);
    assert_eq!(run(&world, &["parked", "list", "--feed", "returns"]).await, (0, String::new()));
    for (bad, told) in [
        (&["list", "--account", "shop"][..], &["no account \"shop\"", "there is acme"][..]),
        (&["list", "--feed", "nope"], &["'nope'", "--feed", "outbound-shipments", "authorizations"]),
        (&["show", "x"], &["'x'", "first column of `ffn-bridge parked list`"]),
        (&["retry", "1", "x"], &["first column of `ffn-bridge parked list`"]),
    ] {
        let (code, said) = run(&world, &[&["parked"], bad].concat()).await;
        assert_eq!(code, 2, "{said}");
        tells(&said, told);
    }
    let listed: Value = serde_json::from_str(&run(&world, &["parked", "list", "--json"]).await.1).unwrap();
    assert_eq!((listed["id"].to_string(), &listed["feed"]), (number.clone(), &json!("outbounds")));
    assert_eq!(listed["size"], stored.len());
    let shown = world.bridge.cli(&["parked", "show", &number], "");
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), stored, "to the byte");
    assert!(stored.contains(r#""orderValue":1.10"#) && stored.contains("SO-000002"));
    tells(&String::from_utf8(shown.stderr).unwrap(), &["its outboundId is missing"]);
    for arguments in [["show", "4711"], ["retry", "4711"]] {
        let (code, said) = run(&world, &[&["parked"][..], &arguments].concat()).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &["no item 4711 is parked"]);
    }
    assert_eq!(run(&world, &["parked", "retry"]).await.0, 2);
    assert_eq!(run(&world, &["parked", "retry", "--all", "1"]).await.0, 2);

    // What still can't be told stays as it is.
    let (code, said) = run(&world, &["parked", "retry", "--all"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &[&format!("{number}: stays parked: its outboundId is missing"), "told 0 items; 1 could not be told"]);
    let row = "SELECT id || item FROM parked";
    assert_eq!(world.db().text(row, []).unwrap(), format!("{number}{stored}"));

    // What can is told as its feed would have, and is not parked any more. No bridge runs meanwhile: with
    // the overlap it would park the same bytes again.
    assert_eq!(world.bridge.stop().await, Some(0));
    let readable = stored.replacen('{', &format!("{{\"outboundId\":\"{id}\","), 1);
    world.alter(&format!("UPDATE parked SET item = '{readable}'"));
    let (code, said) = run(&world, &["parked", "retry", &number]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &[&format!("{number}: told, 2 new events"), "told 1 item; 0 could not be told"]);
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 0);
    world.bridge.start().await;
    let wanted = asked_for(&world.simulator.outbounds().await)[id].clone();
    assert_eq!(wanted.len(), 2);
    let is_told = |message: &crate::support::Message| message.header("cloudEvents_subject").as_deref() == Some(id);
    events.until(|seen| seen.iter().filter(|message| is_told(message)).count() == 2).await;
    let told: Vec<_> = events.seen.iter().filter(|message| is_told(message)).map(crate::support::record::key).collect();
    assert_eq!(told, wanted);
    assert!(events.seen.iter().any(|message| is_told(message) && message.text().contains(r#""orderValue":1.10"#)));
}

#[tokio::test]
async fn items_that_somebody_has_seen_to_are_dropped_for_good() {
    let world = Setup::new().build().await;
    for id in 1..=4 {
        let values = format!("({id}, 'acme', 'outbounds', '{{}}{}', 'odd', 0)", " ".repeat(id));
        world.alter(&format!("INSERT INTO parked (id, account, feed, item, reason, recorded_at) VALUES {values}"));
    }
    let left = || world.db().rows::<1>("SELECT id FROM parked").concat().concat();
    for (arguments, is_told) in [(&["1"][..], "say --yes"), (&["--yes"], "--all"), (&["1", "--all", "--yes"], "--all")]
    {
        let (code, said) = run(&world, &[&["parked", "drop"], arguments].concat()).await;
        assert_eq!(code, 2, "{said}");
        tells(&said, &[is_told]);
    }
    assert_eq!(left(), "1234");
    let (code, said) = run(&world, &["parked", "drop", "2", "4711", "2", "--yes"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["no item 4711 is parked", "dropped 1 parked item\n"]);
    assert_eq!(left(), "134");
    for dropped in ["dropped 3 parked items\n", "dropped 0 parked items\n"] {
        let (code, said) = run(&world, &["parked", "drop", "--all", "--yes"]).await;
        assert_eq!((code, left().as_str()), (0, ""), "{said}");
        tells(&said, &[dropped]);
    }
}

#[tokio::test]
async fn odd_items_of_a_page_hold_back_nothing_else() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    assert_eq!(world.bridge.count("ffn_bridge_parked_items").await, 0);
    let fault = json!({"match": {"path": "/outbounds/updates"}, "times": 0, "kind": {"status": 503}});
    world.simulator.fault(fault).await;
    world.simulator.bulk(6, "SO-").await;
    let large = "5 MB of it ".repeat(500_000);
    let post = async |number: u32, what: &str, text: &str| {
        world.simulator.post_raw(&format!("outbounds/SO-{number:06}/{what}"), text).await;
    };
    post(1, "raw", &format!(r#"{{"internalNote":"{large}"}}"#)).await;
    post(2, "instead?feeds=true", "null").await;
    post(3, "instead?feeds=true", r#""odd""#).await;
    post(4, "instead?feeds=true", r#"{"outboundId":{"half":1.50}}"#).await;
    post(5, "raw", r#"{"status":"Teleported","shippingType":"Balloon","newMember":{"a":[1.0]}}"#).await;
    world.simulator.control("DELETE", "faults", None).await;

    let told = async |events: &mut crate::support::Subscription, number: u32| {
        let order = format!("\"SO-{number:06}\"");
        let is_its =
            |message: &crate::support::Message| message.event() == "created" && message.text().contains(&order);
        events.until(|seen| seen.iter().any(is_its)).await;
        events.seen.iter().find(|message| is_its(message)).unwrap().text()
    };
    assert!(told(&mut events, 1).await.contains(&large), "as it came");
    assert!(told(&mut events, 5).await.contains(r#""newMember":{"a":[1.0]}"#));
    told(&mut events, 6).await;
    assert_eq!(world.bridge.count(GAUGE).await, 3);
    let listed = run(&world, &["parked", "list", "--json"]).await.1;
    let parked: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut shown: Vec<String> = Vec::new();
    for item in &parked {
        assert!(item["reason"].as_str().unwrap().len() > 10, "{item}");
        let shows = world.bridge.cli(&["parked", "show", &item["id"].to_string()], "");
        shown.push(String::from_utf8(shows.stdout).unwrap());
    }
    shown.sort();
    assert_eq!(shown, [r#""odd""#, "null", r#"{"outboundId":{"half":1.50}}"#]);
}

#[tokio::test]
async fn a_page_that_is_no_json_holds_back_its_feed_alone_and_is_read_later() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    assert_eq!(world.bridge.count("ffn_bridge_parked_items").await, 0);
    let failed = r#"ffn_bridge_polls_total{account="acme",feed="outbounds",outcome="failed"}"#;
    assert_eq!(world.bridge.count(failed).await, 0);
    let fault = json!({"match": {"path": "/outbounds/updates"}, "times": 0, "kind": {"status": 503}});
    world.simulator.fault(fault).await;
    world.simulator.bulk(2, "SO-").await;
    world.simulator.post_raw("outbounds/SO-000001/instead?feeds=true", r#"{"half":"#).await;
    world.simulator.control("DELETE", "faults", None).await;
    until("a page to be refused", async || (world.bridge.count(failed).await >= 3).then_some(())).await;
    world.simulator.post("outbounds/SO-000002/advance", json!({"to": "Shipped"})).await;
    events.until(|seen| seen.iter().any(|message| message.routing_key == "acme.shipment.dispatched")).await;
    assert!(events.seen.iter().all(|message| !message.routing_key.starts_with("acme.outbound.")));

    world.simulator.post_raw("outbounds/SO-000001/instead", "").await;
    let created = |message: &&crate::support::Message| message.routing_key == "acme.outbound.created";
    events.until(|seen| seen.iter().filter(created).count() == 2).await;
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 0);
}
