//! FFN, or the broker, is away for more than a day of FFN's time while all goes on: everything is caught up, of each
//! entity in its order, each event once. What has to be told is taken from the simulator's own record.
//!
//! Its clock is moved hour by hour, so an outage takes seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::feeds::{all_begun, two_accounts};
use crate::support::record::millis;
use crate::support::transitions::{Entity, Event, Told, Transition, asked_for, differences, recorded, told};
use crate::support::{Direction, Proxy, Setup, Subscription, World, broker, until};

const DAY: i64 = 24 * 3600 * 1000;
/// The default overlap of windows, in milliseconds.
const OVERLAP: i64 = 5 * 60 * 1000;
const ACCOUNTS: [(&str, &str); 2] = [("acme", "merchant"), ("ware", "fulfiller")];

/// All feeds of both roles are followed; gives the time from which on all is told.
async fn world(setup: Setup) -> (World, String) {
    // Tokens live as long as the outage: it is FFN's clock that is moved, not the bridge's.
    let setup = setup.simulator(&["--chunk-size", "20", "--access-token-ttl", "864000"]);
    let mut world = two_accounts(setup, "overlap = \"5m\"").await;
    world.bridge.start().await;
    all_begun(&world).await;
    pass(&world, "1h").await;
    let since = now(&world).await;
    (world, since)
}

/// Time passes at FFN.
async fn pass(world: &World, time: &str) {
    world.simulator.post("clock", json!({"advance": time})).await;
}

/// FFN's clock.
async fn now(world: &World) -> String {
    world.simulator.get("state").await["clock"].as_str().unwrap().to_owned()
}

/// One of each kind is born, and those of the hours before take their steps: most of them one an hour, every
/// fourth one in 20 hours.
async fn an_hour(world: &World, hour: u32) {
    let post = async |path: &str, body: Value| {
        world.simulator.post(path, body).await;
    };
    post("outbounds/bulk", json!({"count": 1, "prefix": "O-", "start": hour})).await;
    post("inbounds", json!({"merchantInboundNumber": format!("I-{hour}")})).await;
    post("returns", json!({"merchantReturnNumber": format!("R-{hour}")})).await;
    post("products", json!({"merchantSku": format!("P-{hour}")})).await;
    post("stock-changes", json!({"merchantSku": "MUG-RED", "count": 3})).await;
    if hour.is_multiple_of(10) {
        post("warehouses", json!({"name": format!("W-{hour}")})).await;
        post("shippingmethods", json!({"name": format!("S-{hour}")})).await;
        let user = format!("U{hour:03}");
        post("fulfillers", json!({"userId": user})).await;
        post("merchants", json!({"userId": format!("M{hour:03}")})).await;
        post("authorizations", json!({"merchantId": format!("M{hour:03}")})).await;
    }
    for born in 0..hour {
        let pace = if born.is_multiple_of(4) { 20 } else { 1 };
        let step = if (hour - born).is_multiple_of(pace) { (hour - born) / pace } else { 0 };
        let (order, product) = (format!("outbounds/O-{born:06}"), format!("products/P-{born}"));
        let (inbound, returned) = (format!("inbounds/I-{born}"), format!("returns/R-{born}"));
        let seen = json!({"note": format!("seen in hour {hour}")});
        match step {
            1 => {
                post(&format!("{order}/advance"), json!({})).await;
                post(&format!("{inbound}/notify"), json!({})).await;
                post(&format!("{returned}/advance"), json!({})).await;
                post(&format!("{product}/change"), seen).await;
            }
            2 => {
                let to = if born % 5 == 0 { "Canceled" } else { "Pickprocess" };
                post(&format!("{order}/advance"), json!({"to": to})).await;
                post(&format!("{order}/raw?touch=true"), seen.clone()).await;
                post(&format!("{inbound}/advance"), json!({})).await;
                post(&format!("{returned}/change"), seen).await;
            }
            3 => {
                match born % 5 {
                    0 => post(&format!("{order}/delete"), json!({})).await,
                    1 => post(&format!("{order}/advance"), json!({"to": "Shipped", "partial": true})).await,
                    _ => post(&format!("{order}/advance"), json!({"to": "Shipped"})).await,
                }
                post(&format!("{inbound}/advance"), json!({})).await;
                post(&format!("{returned}/advance"), json!({})).await;
                post(&format!("{product}/delete"), json!({})).await;
            }
            _ => {}
        }
    }
}

/// Every request to the API fails in this way, without a moment in which one gets through.
async fn trouble(world: &World, kind: Value) {
    let before = world.simulator.get("faults").await;
    world.simulator.fault(json!({"match": {"path": "/api/"}, "times": 0, "kind": kind})).await;
    for fault in before["faults"].as_array().unwrap() {
        world.simulator.control("DELETE", &format!("faults/{}", fault["id"]), None).await;
    }
}

/// Where each feed stands, by account and feed.
fn positions(world: &World) -> BTreeMap<(String, String), i64> {
    let rows = world.db().text("SELECT group_concat(account || ' ' || feed || ' ' || position) FROM checkpoints", []);
    let rows = rows.unwrap();
    let row = |row: &str| {
        let [account, feed, position] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        ((account.to_owned(), feed.to_owned()), position.parse().unwrap())
    };
    rows.split(',').map(row).collect()
}

/// Every feed has been polled so often more, well or not.
async fn all_polled(world: &World, times: u64, outcome: &str) {
    let polls = async || {
        let (_, text) = world.bridge.get("/metrics").await;
        let lines = text.lines().filter(|line| line.starts_with("ffn_bridge_polls_total{"));
        let mut polls: BTreeMap<String, u64> = BTreeMap::new();
        for line in lines.filter(|line| outcome.is_empty() || line.contains(&format!("outcome=\"{outcome}\""))) {
            let feed = line.split(",outcome").next().unwrap().to_owned();
            *polls.entry(feed).or_default() += line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        }
        polls
    };
    let before = polls().await;
    until(&format!("every feed to be polled {times} times, {outcome}"), async || {
        let now = polls().await;
        let is_polled =
            |(feed, count): (&String, &u64)| *count >= before.get(feed).copied().unwrap_or_default() + times;
        (now.len() == 21 && now.iter().all(is_polled)).then_some(())
    })
    .await;
}

/// Of an entity whose statuses have no times of their own, those that were passed between two readings are told
/// as changes. `reading` says with which reading a change is seen.
fn statuses_passed(transitions: &mut [Transition], reading: impl Fn(&Transition) -> i64) {
    let mut followed = BTreeSet::new();
    for transition in transitions.iter_mut().rev().filter(|it| it.entity.1 == "inbound" && it.is_edit) {
        if !followed.insert((transition.entity.clone(), reading(transition))) {
            transition.names = vec!["updated".to_owned()];
        }
    }
}

/// The documented limit of an outage of more than a day: an edit that is followed by another change in a later
/// slice of a day may be told with that one. `slice` says in which one a change is. Gives those that have to be told,
/// and when those of which it is not sure happened.
fn without_moved_edits(
    mut transitions: Vec<Transition>,
    slice: impl Fn(&Transition) -> i64,
) -> (Vec<Transition>, BTreeSet<(Entity, i64)>) {
    let mut last = BTreeMap::new();
    for transition in &transitions {
        last.insert(transition.entity.clone(), slice(transition));
    }
    let is_sure = |transition: &Transition| !transition.is_edit || last[&transition.entity] == slice(transition);
    let moved = transitions.iter().filter(|it| !is_sure(it)).map(|it| (it.entity.clone(), it.at)).collect();
    transitions.retain(is_sure);
    (transitions, moved)
}

/// Receives all that these changes ask for and all that is in the journal, and compares. Nothing else was told, each
/// entity's events came in their order, and each id but repeats stands for an event of its own. What is `unsure` may
/// be told or not.
async fn settle(
    world: &World,
    events: &mut Subscription,
    transitions: &[Transition],
    unsure: &BTreeSet<(Entity, i64)>,
) {
    let asked = asked_for(transitions);
    let pairs = |all: &Told| -> BTreeSet<(Entity, Event)> {
        all.iter().flat_map(|(entity, events)| events.iter().map(|event| (entity.clone(), event.clone()))).collect()
    };
    let mut missing = pairs(&asked);
    let mut ids: BTreeSet<String> = events.seen.iter().map(|message| message.id()).collect();
    for come in pairs(&told(&events.seen)) {
        missing.remove(&come);
    }
    while !missing.is_empty() {
        let next = tokio::time::timeout(Duration::from_secs(40), events.next()).await;
        let Ok(message) = next else {
            panic!("{} of {} events never came: {missing:#?}", missing.len(), pairs(&asked).len())
        };
        ids.insert(message.id());
        for come in pairs(&told(&[message])) {
            missing.remove(&come);
        }
    }
    all_polled(world, 2, "").await;
    let rows = usize::try_from(world.db().number("SELECT COUNT(*) FROM journal", [])).unwrap();
    while ids.len() < rows {
        ids.insert(events.next().await.id());
    }
    assert_eq!(ids.len(), rows, "what was received is what is in the journal");
    let mut told = told(&events.seen);
    for (entity, events) in &mut told {
        assert!(events.is_sorted_by_key(|event| event.at), "{entity:?} is out of order: {events:?}");
        events.retain(|event| !unsure.contains(&(entity.clone(), event.at)));
    }
    let differences = differences(&asked, &told);
    assert!(differences.is_empty(), "{} entities were told otherwise:\n{}", differences.len(), differences.join("\n"));
    let count: usize = asked.values().map(Vec::len).sum();
    eprintln!("{count} events of {} entities, {} messages", asked.len(), events.seen.len());
    assert_eq!(world.db().number("SELECT COUNT(*) FROM parked", []), 0);
}

#[tokio::test]
async fn two_days_without_the_api_are_caught_up() {
    /// More than two slices of a day hold.
    const HOURS: u32 = 53;
    let (world, since) = world(Setup::new()).await;
    let mut events = world.broker.events(&["#"]).await;
    all_polled(&world, 2, "").await;
    trouble(&world, json!("cut_before")).await;
    all_polled(&world, 1, "failed").await;
    let positions = positions(&world);
    // Slices end between two hours.
    pass(&world, "30m").await;
    for hour in 0..HOURS {
        if hour == HOURS / 3 {
            trouble(&world, json!({"status": 503})).await;
        }
        an_hour(&world, hour).await;
        pass(&world, "1h").await;
    }
    // They have seen in the answers what time it is by now.
    all_polled(&world, 1, "failed").await;
    assert_eq!(self::positions(&world), positions, "nothing was read");
    assert_eq!(world.db().number("SELECT COUNT(*) FROM journal", []), 0);
    world.simulator.control("DELETE", "faults", None).await;

    let slice = |transition: &Transition| {
        let (account, kind, _) = &transition.entity;
        let feed = if kind == "shipment" { "outbound-shipments".to_owned() } else { format!("{kind}s") };
        let begin = positions[&(account.clone(), feed)];
        // A slice is a day with the overlap.
        (transition.at - begin).div_euclid(DAY - OVERLAP)
    };
    let all = recorded(&world.simulator, &since, &ACCOUNTS).await;
    let (mut transitions, unsure) = without_moved_edits(all, slice);
    assert!(!unsure.is_empty(), "the limit is met");
    statuses_passed(&mut transitions, slice);
    settle(&world, &mut events, &transitions, &unsure).await;
    // A window is never longer than a day.
    let longest = world.simulator.requests("GET", "/updates").await;
    let longest = longest.iter().map(|request| window(request["query"].as_str().unwrap())).max().unwrap();
    assert_eq!(longest, DAY);
}

/// The length of a window in milliseconds.
fn window(query: &str) -> i64 {
    let bound = |name: &str| {
        let (_, value) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).unwrap();
        millis(&value)
    };
    bound("toDate") - bound("fromDate")
}

#[tokio::test]
async fn a_day_without_the_broker_is_caught_up_also_by_a_bridge_that_is_killed() {
    const HOURS: u32 = 30;
    const KILLED: u32 = 14;
    const BACK: u32 = 17;
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let (mut world, since) = world(Setup::new().through(&through)).await;
    let mut events = world.broker.events(&["#"]).await;
    for direction in [Direction::Up, Direction::Down] {
        proxy.hold(direction);
    }
    proxy.cut();
    let mut blind = (i64::MAX, i64::MAX);
    for hour in 0..HOURS {
        if hour == KILLED {
            blind.0 = millis(&now(&world).await);
            world.bridge.kill();
        }
        an_hour(&world, hour).await;
        // Before the hour passes: what is read then is past all that was written.
        let written = now(&world).await;
        pass(&world, "1h").await;
        if hour == BACK {
            blind.1 = millis(&now(&world).await);
            world.bridge.launch().await;
        }
        if !(KILLED..BACK).contains(&hour) {
            let is_read = || positions(&world).values().all(|position| *position > millis(&written));
            until("the hour to be read", async || is_read().then_some(())).await;
        }
    }
    assert!(events.seen.is_empty());
    let waiting = world.db().number("SELECT COUNT(*) FROM journal", []);
    for direction in [Direction::Up, Direction::Down] {
        proxy.release(direction);
    }
    proxy.cut();
    // It is killed while it publishes what has waited.
    events.until(|seen| seen.len() >= 100).await;
    world.bridge.kill();
    world.bridge.start().await;

    let mut transitions = recorded(&world.simulator, &since, &ACCOUNTS).await;
    let hour = |at: i64| (at - millis(&since)).div_euclid(3_600_000);
    statuses_passed(&mut transitions, |transition| {
        if (blind.0..blind.1).contains(&transition.at) { hour(blind.0) } else { hour(transition.at) }
    });
    settle(&world, &mut events, &transitions, &BTreeSet::new()).await;
    let told = i64::try_from(events.first_of_each().len()).unwrap();
    assert_eq!(told, waiting, "all of it was read while the broker was away");
}
