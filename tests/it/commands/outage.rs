//! While FFN is away an account's commands wait in its held queue: nothing is burnt, nothing goes round in circles.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::{Value, json};

use super::held::{
    are_nowhere_else, counted, held, holds, idle, new_refresh_token, opens, own_way, send_thirds, sign_out,
};
use super::{leaves_nothing, only, order, outcome, requested, result_of};
use crate::support::{Broker, Simulator, Subscription, World, until, until_within};

/// Quick to pause and to ask again; an attempt that is burnt ends a command.
const TIGHT: &str =
    "[commands]\nretry_steps = [\"300ms\", \"1s\"]\nsettle_delay = \"20ms\"\nquick_delay = \"10ms\"\nquick_attempts = 2
max_attempts = 1\nprobe_delay = \"20ms\"\nprobe_max_delay = \"100ms\"\n";

/// Faults all calls to the API until [`back`].
async fn away(simulator: &Simulator, kind: Value) {
    simulator.control("DELETE", "faults", None).await;
    simulator.fault(json!({"match": {"path": "/api/"}, "times": 0, "kind": kind})).await;
}

async fn back(simulator: &Simulator) {
    simulator.control("DELETE", "faults", None).await;
}

async fn probes(simulator: &Simulator) -> usize {
    simulator.requests("GET", "/users/current").await.len()
}

async fn is_asked_again(simulator: &Simulator, times: usize) {
    let so_far = probes(simulator).await;
    requested(simulator, "GET", "/users/current", so_far + times).await;
}

async fn paused(world: &World) -> bool {
    world.bridge.count("ffn_bridge_commands_paused{account=\"acme\"}").await == 1
}

async fn is_paused(world: &World) {
    until("the account to be paused", async || paused(world).await.then_some(())).await;
}

/// Each order was created, changed and canceled once, in that order, at FFN and as the results tell it.
async fn are_done_once(world: &World, results: &Subscription, orders: usize) {
    let mut steps: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for result in results.first_of_each() {
        assert_eq!(
            (outcome(&result), &result.data()["attempts"]),
            ("succeeded".into(), &json!(1)),
            "{}",
            result.text()
        );
        let id = result.data()["commandId"].as_str().unwrap().to_owned();
        let (name, step) = id.split_once('/').unwrap();
        steps.entry(name.to_owned()).or_default().push(step.to_owned());
    }
    assert_eq!(steps.len(), orders);
    assert!(steps.values().all(|steps| steps == &["1", "2", "3"]), "{steps:#?}");
    let made = world.simulator.outbounds().await;
    let numbers: HashSet<&str> = made.iter().map(|made| made["merchantOutboundNumber"].as_str().unwrap()).collect();
    assert_eq!((made.len(), numbers.len()), (orders, orders));
    assert!(made.iter().all(|made| made["status"] == "Canceled"));
    for (method, path) in [("POST", "/outbounds"), ("PATCH", "/outbounds"), ("PUT", "/status")] {
        let calls = world.simulator.requests(method, path).await;
        let effects = calls.iter().filter(|call| !call["effect"].is_null()).count();
        assert_eq!(effects, orders, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_hours_burns_nothing_however_many_commands_wait() {
    let set = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    // Two hours with a minute between two probes are 120 of them.
    let (orders, lasts) = (set("FFN_BRIDGE_OUTAGE_COMMANDS", 600) / 3, set("FFN_BRIDGE_OUTAGE_PROBES", 24));
    let mut world = idle().tables(TIGHT).start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    away(&world.simulator, json!({"status": 503})).await;
    let before = world.simulator.get("requests?since=0").await["requests"].as_array().unwrap().len();
    send_thirds(&broker, orders).await;
    let all = u32::try_from(orders * 3).unwrap();
    until_within(Duration::from_secs(600), "all to be held", async || {
        (broker.depth(&held(&world)).await >= all).then_some(())
    })
    .await;
    for kind in [json!("cut_before"), json!({"status": 500}), json!({"status": 429}), json!({"status": 502})] {
        away(&world.simulator, kind).await;
        is_asked_again(&world.simulator, lasts / 4).await;
    }
    assert!(paused(&world).await);
    // Nobody takes anything from there.
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let queue =
        broker.channel.queue_declare(held(&world).as_str().into(), options, FieldTable::default()).await.unwrap();
    // A broker that is slow to confirm may hold one twice; that is answered from the record.
    let twice = queue.message_count() - all;
    assert_eq!(queue.consumer_count(), 0);
    assert!(twice <= all / 100, "{twice}");
    assert_eq!(counted(&world, "held").await, u64::from(all), "a command was taken more than once");
    let calls = world.simulator.get("requests?since=0").await["requests"].as_array().unwrap().len() - before;
    let probes = probes(&world.simulator).await;
    // What was in flight when it began: 32 unacknowledged, with two tries each and the look-ups between them.
    assert!(calls - probes <= 32 * 2 * 3, "{calls} calls, {probes} probes");
    let shown = world.bridge.count("ffn_bridge_commands_held{account=\"acme\"}").await;
    assert_eq!(shown, u64::from(all + twice));
    let began = results.seen.len();
    assert_eq!(began, 0);

    back(&world.simulator).await;
    // Counting ids at each message would take long.
    while results.seen.len() < orders * 3 {
        results.next().await;
    }
    results.distinct(orders * 3).await;
    are_done_once(&world, &results, orders).await;
    are_nowhere_else(&world, &broker).await;
    opens(&world, &broker).await;
    assert_eq!(counted(&world, "held").await, u64::from(all));
    assert!(counted(&world, "duplicate").await <= u64::from(twice), "an answer too many");
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_command_that_alone_is_broken_stops_nobody() {
    let mut world = idle().start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    world.simulator.fault(json!({"match": {"body": "SO-BAD"}, "times": 0, "kind": {"status": 503}})).await;
    broker.command("acme.outbound.create", "bad", &order("SO-BAD")).await;
    requested(&world.simulator, "GET", "/users/current", 1).await;
    for number in 0..5 {
        let (id, name) = (format!("c-{number}"), format!("SO-{number}"));
        broker.command("acme.outbound.create", &id, &order(&name)).await;
        assert_eq!(outcome(&result_of(&mut results, &id).await), "succeeded");
    }
    assert!(!paused(&world).await);
    assert_eq!(counted(&world, "held").await, 0);
    until("it to come back some times", async || (counted(&world, "retried").await >= 3).then_some(())).await;
    back(&world.simulator).await;
    assert_eq!(outcome(&result_of(&mut results, "bad").await), "succeeded");
    only(&world.simulator, "SO-BAD").await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn another_account_goes_on_meanwhile() {
    let mut world = idle().second("ware", "fulfiller").build().await;
    world.bridge.login("ware", "demo-fulfiller-refresh-token");
    world.bridge.start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    broker.command("acme.outbound.create", "first", &order("SO-1")).await;
    let made = result_of(&mut results, "first").await.json()["subject"].clone();
    let merchant = json!({"match": {"path": "/api/", "role": "merchant"}, "times": 0, "kind": {"status": 502}});
    world.simulator.fault(merchant).await;
    broker.command("acme.outbound.create", "c-2", &order("SO-2")).await;
    holds(&world, &broker, 1).await;
    broker.command("ware.outbound.get", "get", &json!({"outboundId": made})).await;
    assert_eq!(outcome(&result_of(&mut results, "get").await), "succeeded");
    assert!(paused(&world).await);
    back(&world.simulator).await;
    assert_eq!(outcome(&result_of(&mut results, "c-2").await), "succeeded");
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn what_is_in_doubt_when_ffn_goes_away_is_looked_up_when_it_is_back() {
    for (fault, reconciled) in [("cut_after", true), ("cut_before", false)] {
        let mut world = idle().tables(TIGHT).start().await;
        let broker = own_way(&world).await;
        let mut results = broker.results().await;
        let post = json!({"method": "POST", "path": "/outbounds"});
        world.simulator.fault(json!({"match": post, "kind": fault})).await;
        world.simulator.fault(json!({"match": {"path": "/api/"}, "times": 0, "kind": "cut_before"})).await;
        broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
        holds(&world, &broker, 1).await;
        let (attempts, doubt) = ("SELECT attempts FROM commands", "SELECT in_doubt FROM commands");
        assert_eq!([attempts, doubt].map(|sql| world.db().number(sql, [])), [0, 1]);
        is_asked_again(&world.simulator, 3).await;
        back(&world.simulator).await;
        let result = result_of(&mut results, "c-1").await;
        assert_eq!((outcome(&result), &result.data()["reconciled"]), ("succeeded".to_owned(), &json!(reconciled)));
        only(&world.simulator, "SO-1").await;
        let posts = world.simulator.requests("POST", "/outbounds").await;
        assert_eq!(posts.len(), if reconciled { 1 } else { 2 }, "{posts:#?}");
        opens(&world, &broker).await;
        leaves_nothing(&mut world, &broker).await;
    }
}

#[tokio::test]
async fn silence_is_an_outage_too() {
    let mut world = idle().tables(TIGHT).account("call_timeout = \"200ms\"").start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    away(&world.simulator, json!("hang")).await;
    send_thirds(&broker, 4).await;
    holds(&world, &broker, 12).await;
    is_asked_again(&world.simulator, 3).await;
    back(&world.simulator).await;
    results.distinct(12).await;
    are_done_once(&world, &results, 4).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn after_a_sign_in_nothing_is_tried_before_ffn_answers() {
    let mut world = idle().tables(TIGHT).simulator(&["--auto-approve"]).start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    send_thirds(&broker, 2).await;
    holds(&world, &broker, 6).await;
    let token = new_refresh_token(&world.simulator).await;
    // The way to the OAuth server stands.
    away(&world.simulator, json!({"status": 503})).await;
    let before = world.simulator.requests("POST", "/outbounds").await.len();
    let login = world.bridge.cli(&["login", "acme", "--refresh-token", "-"], &token);
    assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));
    is_asked_again(&world.simulator, 4).await;
    holds(&world, &broker, 6).await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), before, "it was tried");
    back(&world.simulator).await;
    results.distinct(6).await;
    are_done_once(&world, &results, 2).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_kill_during_an_outage_changes_nothing() {
    let mut world = idle().tables(TIGHT).start().await;
    let broker: Broker = own_way(&world).await;
    let mut results = broker.results().await;
    away(&world.simulator, json!("cut_before")).await;
    send_thirds(&broker, 5).await;
    holds(&world, &broker, 15).await;
    for _ in 0..2 {
        world.bridge.kill();
        world.bridge.start_unready().await;
        is_paused(&world).await;
        holds(&world, &broker, 15).await;
    }
    back(&world.simulator).await;
    results.distinct(15).await;
    are_done_once(&world, &results, 5).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}
