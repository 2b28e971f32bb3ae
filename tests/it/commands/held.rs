//! Commands of an account that can't call wait in its held queue, and go on by themselves when it can again.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::BasicProperties;
use serde_json::{Value, json};
use url::Url;

use super::{leaves_nothing, only, order, outcome, requested, result_of, setup};
use crate::support::browser::approve;
use crate::support::{Broker, Proxy, Setup, Simulator, Subscription, World, broker, until};

/// Within seconds: what an operator who has just signed in is ready to wait.
const SECONDS: Duration = Duration::from_secs(10);

/// The steps of [`send_thirds`].
const THIRDS: [&str; 3] = ["1", "2", "3"];

/// Worlds in which nothing but commands calls FFN.
pub fn idle() -> Setup {
    setup().account("feeds = []")
}

/// A refresh token that nobody has used yet, as a person gets it from a sign-in elsewhere.
pub async fn new_refresh_token(simulator: &Simulator) -> String {
    let redirect = "http://127.0.0.1:9/callback";
    let query = [
        ("response_type", "code"),
        ("client_id", "demo-client"),
        ("redirect_uri", redirect),
        ("scope", "ffn.merchant.read ffn.merchant.write"),
        ("state", "s"),
    ];
    let location = approve(&Url::parse_with_params(&simulator.url("/authorize"), query).unwrap()).await;
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", redirect)])
        .finish();
    let request = reqwest::Client::new().post(simulator.url("/token")).basic_auth("demo-client", Some("demo-secret"));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["refresh_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Signs an account in again, as a person does beside the running bridge.
async fn sign_in(world: &World, account: &str) {
    world.bridge.login(account, &new_refresh_token(&world.simulator).await);
}

pub async fn sign_out(world: &World) {
    world.simulator.post("tokens/revoke", json!({"what": "all"})).await;
}

pub fn held(world: &World) -> String {
    format!("{}.held.acme", world.names.commands())
}

/// Waits until that many commands are held. One whose acknowledgement a kill or a cut has lost is there twice.
pub async fn holds(world: &World, broker: &Broker, count: u32) {
    let queue = held(world);
    until(&format!("{count} held commands"), async || (broker.depth(&queue).await >= count).then_some(())).await;
}

/// Sends three commands for each of so many orders: create, update, cancel.
pub async fn send_thirds(broker: &Broker, orders: usize) {
    for number in 0..orders {
        let name = format!("SO-{number}");
        let change = json!({"outboundId": name, "externalNumber": "changed"});
        broker.command("acme.outbound.create", &format!("{name}/1"), &order(&name)).await;
        broker.command("acme.outbound.update", &format!("{name}/2"), &change).await;
        broker.command("acme.outbound.cancel", &format!("{name}/3"), &json!({"outboundId": name})).await;
    }
}

/// Each order was created, changed and canceled once, its steps in that order, and the results say so.
async fn are_done_once_in_order(world: &World, results: &Subscription, orders: usize, wanted: &[&str]) {
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for result in results.first_of_each() {
        assert_eq!(outcome(&result), "succeeded", "{}", result.text());
        assert_eq!(result.data()["attempts"], 1, "an attempt was burnt: {}", result.text());
        let id = result.data()["commandId"].as_str().unwrap().to_owned();
        if let Some((name, step)) = id.split_once('/') {
            ends.entry(name.to_owned()).or_default().push(step.to_owned());
        }
    }
    assert_eq!(ends.len(), orders);
    assert!(ends.values().all(|steps| steps == wanted), "{ends:#?}");
    for number in 0..orders {
        let made = only(&world.simulator, &format!("SO-{number}")).await;
        assert_eq!(made["status"], "Canceled", "{made}");
    }
    let changes = world.simulator.requests("PATCH", "/outbounds").await;
    let effects = changes.iter().filter(|change| !change["effect"].is_null()).count();
    assert_eq!(effects, orders, "a change was made twice: {changes:#?}");
}

/// How many of acme's commands the bridge counted with this outcome.
pub async fn counted(world: &World, outcome: &str) -> u64 {
    let operations = ["create", "update", "cancel", "get"];
    let mut count = 0;
    for operation in operations {
        let name = "ffn_bridge_commands_total{account=\"acme\",command=\"outbound.";
        count += world.bridge.count(&format!("{name}{operation}\",outcome=\"{outcome}\"}}")).await;
    }
    count
}

/// Nothing is in the ladder, among the dead letters, or before the bridge.
pub async fn are_nowhere_else(world: &World, broker: &Broker) {
    let commands = world.names.commands();
    for queue in [commands.clone(), format!("{commands}.wait.300ms"), format!("{commands}.wait.1s"), world.names.dead()]
    {
        assert_eq!(broker.depth(&queue).await, 0, "{queue}");
    }
    assert_eq!(counted(world, "retried").await, 0, "a command was in the ladder");
}

/// Waits until commands are executed as they come, and nothing is held.
pub async fn opens(world: &World, broker: &Broker) {
    until("the held queue to be worked off", async || {
        let opened = world.bridge.lines().iter().rposition(|line| line.contains("nothing is held"));
        let paused = world.bridge.lines().iter().rposition(|line| line.contains("its commands wait in its held queue"));
        (opened > paused).then_some(())
    })
    .await;
    assert_eq!(broker.depth(&held(world)).await, 0);
}

/// The test's own way to the broker, so that the world can be stopped and started beside it.
pub async fn own_way(world: &World) -> Broker {
    Broker::connect(&broker::shared_url(), world.names.clone()).await
}

async fn within_seconds(results: &mut Subscription, count: usize) {
    let all = tokio::time::timeout(SECONDS, results.distinct(count)).await;
    assert!(all.is_ok(), "only {} of {count} results came in {SECONDS:?}", results.first_of_each().len());
}

#[tokio::test]
async fn commands_of_an_account_without_a_sign_in_wait_apart_and_go_on_by_themselves_after_it() {
    let mut world = idle().simulator(&["--auto-approve"]).second("shop", "merchant").start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    sign_in(&world, "shop").await;
    send_thirds(&broker, 10).await;
    holds(&world, &broker, 30).await;
    are_nowhere_else(&world, &broker).await;

    broker.command("shop.outbound.create", "other", &order("SHOP-1")).await;
    assert_eq!(outcome(&result_of(&mut results, "other").await), "succeeded");
    assert_eq!(results.seen.len(), 1, "{:#?}", results.seen);
    assert_eq!(broker.depth(&held(&world)).await, 30);
    let burnt = world.db().number("SELECT coalesce(max(attempts), 0) FROM commands WHERE account = 'acme'", []);
    assert_eq!(burnt, 0);
    assert_eq!(world.simulator.tokens("refused").await, 1, "a refused token was sent again");
    let required = world.bridge.metric(r#"ffn_bridge_login_required{account="acme"}"#).await;
    assert_eq!(required.to_string(), "1");

    sign_in(&world, "acme").await;
    within_seconds(&mut results, 31).await;
    are_done_once_in_order(&world, &results, 10, &THIRDS).await;
    are_nowhere_else(&world, &broker).await;
    opens(&world, &broker).await;
    // From here on they take the short way.
    let before = counted(&world, "held").await;
    broker.command("acme.outbound.get", "get", &json!({"outboundId": "SO-1"})).await;
    assert_eq!(outcome(&result_of(&mut results, "get").await), "succeeded");
    assert_eq!((before, counted(&world, "held").await), (30, 30));
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn held_commands_survive_a_kill_before_and_in_the_middle_of_being_worked_off() {
    let mut world = idle().simulator(&["--auto-approve"]).broker_lines("prefetch = 4").start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    send_thirds(&broker, 10).await;
    holds(&world, &broker, 30).await;
    world.bridge.kill();
    sign_in(&world, "acme").await;
    let slow = json!({"match": {"method": "POST", "path": "/outbounds"}, "times": 0, "kind": {"delay_ms": 40}});
    world.simulator.fault(slow).await;
    for done in [5, 12] {
        world.bridge.launch().await;
        results.distinct(done).await;
        world.bridge.kill();
    }
    world.bridge.start().await;
    results.distinct(30).await;
    opens(&world, &broker).await;
    let ends = results.first_of_each();
    assert_eq!(ends.len(), 30, "a command has two outcomes");
    for number in 0..10 {
        assert_eq!(only(&world.simulator, &format!("SO-{number}")).await["status"], "Canceled");
    }
    assert!(ends.iter().all(|end| outcome(end) == "succeeded"), "{ends:#?}");
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn commands_held_when_the_bridge_is_killed_are_executed_once_after_a_restart() {
    let mut world = idle().simulator(&["--auto-approve"]).start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    send_thirds(&broker, 10).await;
    holds(&world, &broker, 30).await;
    world.bridge.kill();
    // Restarted without a sign-in they stay where they are.
    world.bridge.start_unready().await;
    until("the bridge to know that a sign-in is needed", async || {
        let lines = world.bridge.lines();
        lines.iter().any(|line| line.contains("its commands wait in its held queue")).then_some(())
    })
    .await;
    holds(&world, &broker, 30).await;
    are_nowhere_else(&world, &broker).await;
    world.bridge.kill();
    // What was sent while it was away is behind what is held.
    for number in 0..10 {
        let name = format!("SO-{number}");
        broker.command("acme.outbound.get", &format!("{name}/4"), &json!({"outboundId": name})).await;
    }
    sign_in(&world, "acme").await;
    world.bridge.start().await;
    within_seconds(&mut results, 40).await;
    are_done_once_in_order(&world, &results, 10, &["1", "2", "3", "4"]).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn what_is_sent_while_held_commands_are_worked_off_stays_behind_them() {
    let few = idle().simulator(&["--auto-approve"]).broker_lines("prefetch = 2");
    let mut world = few.start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    broker.command("acme.outbound.create", "first", &order("SO-1")).await;
    assert_eq!(outcome(&result_of(&mut results, "first").await), "succeeded");
    sign_out(&world).await;
    let slow = json!({"match": {"method": "PATCH"}, "times": 0, "kind": {"delay_ms": 60}});
    world.simulator.fault(slow).await;
    let send = async |step: usize| {
        let change = json!({"outboundId": "SO-1", "externalNumber": format!("step-{step}")});
        broker.command("acme.outbound.update", &format!("u-{step:02}"), &change).await;
    };
    for step in 0..12 {
        send(step).await;
    }
    holds(&world, &broker, 12).await;
    sign_in(&world, "acme").await;
    // Far from the end of what is held, and in the middle of it once more.
    for (done, steps) in [(2, 12..18), (8, 18..24)] {
        results.distinct(done + 1).await;
        for step in steps {
            send(step).await;
        }
    }
    results.distinct(25).await;
    let ids: Vec<Value> = results.seen.iter().skip(1).map(|result| result.data()["commandId"].clone()).collect();
    let wanted: Vec<Value> = (0..24).map(|step| json!(format!("u-{step:02}"))).collect();
    assert_eq!(ids, wanted);
    assert!(results.seen.iter().all(|result| result.data()["attempts"] == 1), "{:#?}", results.seen);
    let changes = world.simulator.requests("PATCH", "/outbounds").await;
    assert_eq!(changes.iter().filter(|change| !change["effect"].is_null()).count(), 24);
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_to_the_broker_breaks_while_commands_are_held_and_while_they_are_worked_off() {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let mut world = idle().simulator(&["--auto-approve"]).broker_lines("prefetch = 4").through(&through).start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    send_thirds(&broker, 4).await;
    holds(&world, &broker, 12).await;
    proxy.cut();
    for number in 4..10 {
        let name = format!("SO-{number}");
        broker.command("acme.outbound.create", &format!("{name}/1"), &order(&name)).await;
    }
    holds(&world, &broker, 18).await;
    let slow = json!({"match": {"method": "POST", "path": "/outbounds"}, "times": 0, "kind": {"delay_ms": 60}});
    world.simulator.fault(slow).await;
    sign_in(&world, "acme").await;
    for done in [1, 3, 6] {
        requested(&world.simulator, "PUT", "/status", done.min(4)).await;
        proxy.cut();
    }
    results.distinct(18).await;
    for number in 0..10 {
        let made = only(&world.simulator, &format!("SO-{number}")).await;
        assert_eq!(made["status"], if number < 4 { "Canceled" } else { "Pending" });
    }
    opens(&world, &broker).await;
    assert_eq!(results.first_of_each().len(), 18, "a command has two outcomes");
    assert!(results.seen.iter().all(|result| outcome(result) == "succeeded"));
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_stop_leaves_what_is_held_where_it_is_in_any_state() {
    let mut world = idle().simulator(&["--auto-approve"]).broker_lines("prefetch = 2").start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    send_thirds(&broker, 4).await;
    holds(&world, &broker, 12).await;
    assert_eq!(world.bridge.stop().await, Some(0));
    assert_eq!(broker.depth(&held(&world)).await, 12);
    world.simulator.fault(json!({"match": {"path": "/outbounds"}, "times": 0, "kind": {"delay_ms": 30}})).await;
    sign_in(&world, "acme").await;
    world.bridge.launch().await;
    results.distinct(3).await;
    assert_eq!(world.bridge.stop().await, Some(0));
    world.bridge.start().await;
    results.distinct(12).await;
    are_done_once_in_order(&world, &results, 4, &THIRDS).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_sign_in_that_is_lost_while_held_commands_are_worked_off_leaves_the_others_in_their_places() {
    let mut world = idle().simulator(&["--auto-approve"]).broker_lines("prefetch = 4").start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    sign_out(&world).await;
    send_thirds(&broker, 10).await;
    holds(&world, &broker, 30).await;
    world.simulator.fault(json!({"match": {"path": "/outbounds"}, "times": 0, "kind": {"delay_ms": 30}})).await;
    let finished = || world.db().number("SELECT count(*) FROM commands WHERE state = 'finished'", []);
    for done in [5, 14] {
        sign_in(&world, "acme").await;
        results.distinct(done).await;
        sign_out(&world).await;
        until("the others to be held again", async || {
            let finished = u32::try_from(finished()).unwrap();
            (finished < 30 && broker.depth(&held(&world)).await + finished == 30).then_some(())
        })
        .await;
    }
    are_nowhere_else(&world, &broker).await;
    sign_in(&world, "acme").await;
    results.distinct(30).await;
    are_done_once_in_order(&world, &results, 10, &THIRDS).await;
    are_nowhere_else(&world, &broker).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_command_without_an_id_is_held_as_the_same_command() {
    let mut world = idle().signed_out().build().await;
    world.bridge.start_unready().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    let body = order("SO-1").to_string();
    let none = BasicProperties::default();
    broker.publish(&world.names.commands(), "acme.outbound.create", none, body.as_bytes()).await;
    holds(&world, &broker, 1).await;
    world.bridge.login("acme", "demo-refresh-token");
    let result = results.next().await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(1)));
    assert_eq!(world.db().number("SELECT count(*) FROM commands", []), 1);
    only(&world.simulator, "SO-1").await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn an_account_that_is_refused_though_it_is_signed_in_goes_on_when_it_is_let_in() {
    let mut world = idle().start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    // Also the token that was made to mend it is refused, and so is the first held command: no sign-in mends that.
    let refused = json!({"match": {"method": "POST", "body": "SO-0\""}, "times": 3, "kind": {"status": 401}});
    world.simulator.fault(refused).await;
    send_thirds(&broker, 2).await;
    within_seconds(&mut results, 6).await;
    are_done_once_in_order(&world, &results, 2, &THIRDS).await;
    assert!(counted(&world, "held").await > 0, "it was not paused");
    are_nowhere_else(&world, &broker).await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}
