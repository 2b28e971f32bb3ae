//! Single-use refresh tokens: rotated, lost, refused, and mended by one sign-in.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::sign_in;
use crate::support::{Setup, World, order, until, until_within};

/// Within seconds: what an operator who has just signed in is ready to wait.
const SECONDS: Duration = Duration::from_secs(10);

/// The account's part of `/status`.
async fn status(world: &World, account: &str) -> Value {
    let (_, text) = world.bridge.get("/status").await;
    let report: Value = serde_json::from_str(&text).unwrap();
    report["accounts"].as_array().unwrap().iter().find(|it| it["name"] == account).unwrap().clone()
}

async fn polls(world: &World, account: &str, outcomes: &[&str]) -> f64 {
    let (_, text) = world.bridge.get("/metrics").await;
    let is_wanted = |line: &&str| {
        line.starts_with(&format!("ffn_bridge_polls_total{{account=\"{account}\""))
            && outcomes.iter().any(|outcome| line.contains(&format!("outcome=\"{outcome}\"")))
    };
    text.lines().filter(is_wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Many accounts instead of a long time: each refresh takes about a second of a token's two.
const ACCOUNTS: usize = 16;

#[tokio::test]
async fn two_bridges_on_one_store_spend_no_token_twice_in_a_thousand_refreshes_and_nobody_notices() {
    // A refresh ends the old access token at once, so that each meets calls in flight.
    let flags = ["--access-token-ttl", "2", "--auto-approve", "--refresh-ends-access"];
    let setup = Setup::new().simulator(&flags).signed_out();
    let setup = setup.account("feeds = [\"outbounds\"]\npoll_interval = \"2s\"\noverlap = \"5s\"");
    let mut world = setup.build().await;
    let account = world.config()[world.config().find("[[accounts]]").unwrap()..].to_owned();
    let named = |number| account.replace("name = \"acme\"", &format!("name = \"a{number}\""));
    let accounts: String = (1..=ACCOUNTS).map(named).collect();
    world.set_config(&world.config().replace(&account, &accounts));
    for number in 1..=ACCOUNTS {
        sign_in(&world.bridge, &format!("a{number}")).await;
    }
    let mut other = world.another_bridge();
    world.bridge.start().await;
    other.start().await;
    let mut results = world.broker.results().await;

    let begun = world.simulator.tokens("refreshes").await;
    let (mut commands, mut done) = (0, 0);
    while done < 1000 {
        commands += 1;
        let (number, account) = (format!("SO-{commands}"), commands % ACCOUNTS + 1);
        world.broker.command(&format!("a{account}.outbound.create"), &number, &order(&number)).await;
        results.distinct(commands).await;
        done = world.simulator.tokens("refreshes").await - begun;
    }

    for result in &results.seen {
        assert!(result.routing_key.ends_with(".outbound.create.succeeded"), "{}", result.text());
        let data = result.data();
        assert_eq!((&data["attempts"], &data["reconciled"]), (&json!(1), &json!(false)), "{}", result.text());
    }
    for counter in ["reuses", "reusesAfterLostAnswer", "refused"] {
        assert_eq!(world.simulator.tokens(counter).await, 0, "{counter}");
    }
    for bridge in [&world.bridge, &other] {
        let failed = "ffn_bridge_polls_total{";
        let (_, text) = bridge.get("/metrics").await;
        let failures: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(failed) && line.contains("outcome=\"failed\"") && !line.ends_with(" 0"))
            .collect();
        assert!(failures.is_empty(), "{failures:?}");
        assert!(bridge.count("ffn_bridge_token_refreshes_total{").await > 100, "both take part");
    }
}

#[tokio::test]
async fn a_check_beside_a_running_bridge_spends_no_refresh_token_twice() {
    let world = Setup::new().simulator(&["--access-token-ttl", "1"]).start().await;
    // Answers that take a while make it likely that both want to refresh at the same time.
    let slow = json!({"match": {"path": "/token"}, "times": 0, "kind": {"delay_after_ms": 150}});
    world.simulator.fault(slow).await;
    for _ in 0..10 {
        let output = world.bridge.cli(&["check"], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    until("refreshes by the bridge as well", async || (world.simulator.tokens("refreshes").await >= 14).then_some(()))
        .await;
    assert_eq!(world.simulator.tokens("reuses").await, 0);
    assert_eq!(world.simulator.tokens("refused").await, 0);
}

#[tokio::test]
async fn an_access_token_that_the_api_rejects_is_renewed_once_and_each_call_repeated_once() {
    let world = Setup::new().account("feeds = []").start().await;
    let mut results = world.broker.results().await;
    let before = world.simulator.tokens("refreshes").await;
    world.simulator.post("tokens/revoke", json!({"what": "access"})).await;

    let orders = 8;
    for number in 1..=orders {
        let number = format!("SO-{number}");
        world.broker.command("acme.outbound.create", &number, &order(&number)).await;
    }
    for result in results.distinct(orders).await {
        assert_eq!(result.routing_key, "acme.outbound.create.succeeded", "{}", result.text());
        assert_eq!(result.data()["attempts"], 1);
    }
    assert_eq!(world.simulator.tokens("refreshes").await, before + 1, "one refresh for all of them");
    let calls = world.simulator.requests("POST", "/outbounds").await;
    let rejected = calls.iter().filter(|call| call["status"] == 401).count();
    assert!((1..=orders).contains(&rejected), "{calls:#?}");
    assert_eq!(calls.len(), orders + rejected, "each call is repeated once: {calls:#?}");
}

#[tokio::test]
async fn a_dead_refresh_token_stops_its_account_alone_until_a_person_signs_in() {
    let mut world = Setup::new().simulator(&["--auto-approve"]).second("ware", "fulfiller").build().await;
    // The fulfiller is signed in while the bridge runs, and after the merchant's tokens are dead.
    world.bridge.start().await;
    until("the merchant's polls", async || (polls(&world, "acme", &["empty"]).await > 2.0).then_some(())).await;
    assert_eq!(status(&world, "ware").await["login"]["state"], "missing");
    world.simulator.post("tokens/revoke", json!({"what": "all"})).await;
    let login_required = |account: &str| format!("ffn_bridge_login_required{{account=\"{account}\"}}");
    until("the metric", async || (world.bridge.metric(&login_required("acme")).await > 0.0).then_some(())).await;
    let (code, text) = world.bridge.get("/readyz").await;
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("ffn-bridge login acme") && text.contains("ffn-bridge login ware"), "{text}");

    sign_in(&world.bridge, "ware").await;
    until_within(SECONDS, "the fulfiller's polls", async || {
        (polls(&world, "ware", &["empty", "changed"]).await > 2.0).then_some(())
    })
    .await;
    let (code, text) = world.bridge.get("/readyz").await;
    assert_eq!(code, 200, "one account that can call is enough: {text}");
    assert!(text.contains("ffn-bridge login acme") && !text.contains("ffn-bridge login ware"), "{text}");
    let login = status(&world, "acme").await["login"].clone();
    assert_eq!(login["state"], "required");
    assert!(login["reason"].as_str().unwrap().contains("refused"), "{login}");
    assert_eq!(world.bridge.metric(&login_required("acme")).await as i64, 1);
    assert_eq!(world.bridge.metric(&login_required("ware")).await as i64, 0);

    // A command of the dead account waits. Its polls go on failing, and nobody asks the OAuth server.
    world.broker.command("acme.outbound.create", "waits", &order("SO-1")).await;
    let failed = polls(&world, "acme", &["failed"]).await;
    until("polls that fail for want of a sign-in", async || {
        (polls(&world, "acme", &["failed"]).await >= failed + 16.0).then_some(())
    })
    .await;
    assert_eq!(world.simulator.tokens("refused").await, 1, "the refused token was sent again");
    assert_eq!(polls(&world, "ware", &["failed"]).await as i64, failed_before_sign_in(&world).await);
    assert!(world.simulator.outbounds().await.is_empty(), "without a sign-in nothing is created");

    let mut results = world.broker.results().await;
    sign_in(&world.bridge, "acme").await;
    let before = polls(&world, "acme", &["empty", "changed"]).await;
    until_within(SECONDS, "the merchant's polls to go on by themselves", async || {
        (polls(&world, "acme", &["empty", "changed"]).await > before).then_some(())
    })
    .await;
    let result = results.next().await;
    assert_eq!(result.routing_key, "acme.outbound.create.succeeded", "{}", result.text());
    assert_eq!(status(&world, "acme").await["login"]["state"], "ok");
    assert_eq!(world.bridge.metric(&login_required("acme")).await as i64, 0);
    assert_eq!(world.simulator.tokens("reuses").await, 0);
}

/// How often the fulfiller's polls failed before it was signed in; later ones would be the other's fault.
async fn failed_before_sign_in(world: &World) -> i64 {
    let failed = |line: &String| line.contains("a poll failed") && line.contains("\"account\":\"ware\"");
    let lines = world.bridge.lines();
    let first_success = lines.iter().position(|line| line.contains("is read from here on") && line.contains("ware"));
    lines[..first_success.unwrap()].iter().filter(|line| failed(line)).count() as i64
}

#[tokio::test]
async fn a_refresh_whose_answer_died_with_the_process_needs_one_sign_in_and_no_more() {
    let mut world = Setup::new().simulator(&["--auto-approve"]).start().await;
    world.simulator.fault(json!({"match": {"path": "/token"}, "kind": "hang_after"})).await;
    let before = world.simulator.tokens("refreshes").await;
    world.simulator.post("tokens/revoke", json!({"what": "access"})).await;
    until("the refresh to have its effect", async || {
        (world.simulator.tokens("refreshes").await > before).then_some(())
    })
    .await;
    world.bridge.kill();

    world.bridge.launch().await;
    let required = "ffn_bridge_login_required{account=\"acme\"}";
    until("the bridge to ask for a sign-in", async || (world.bridge.metric(required).await > 0.0).then_some(())).await;
    until("polls that fail", async || (polls(&world, "acme", &["failed"]).await >= 6.0).then_some(())).await;
    assert_eq!(world.simulator.tokens("reusesAfterLostAnswer").await, 1, "the lost answer is tried once more");
    assert_eq!(world.simulator.tokens("refused").await, 1, "and then left alone");
    // So it is after another start.
    world.bridge.kill();
    world.bridge.launch().await;
    until("polls that fail", async || (polls(&world, "acme", &["failed"]).await >= 2.0).then_some(())).await;
    assert_eq!(world.simulator.tokens("refused").await, 1, "a recorded refusal survives a restart");

    sign_in(&world.bridge, "acme").await;
    until_within(SECONDS, "the bridge to be ready", async || {
        (world.bridge.get("/readyz").await.0 == 200 && polls(&world, "acme", &["empty"]).await > 0.0).then_some(())
    })
    .await;
    assert_eq!(world.simulator.tokens("reuses").await, 0);
}

#[tokio::test]
async fn an_oauth_server_that_is_away_for_a_while_costs_no_sign_in() {
    let world = Setup::new().start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(json!({"match": {"path": "/token"}, "times": 3, "kind": {"status": 503}})).await;
    world.simulator.post("tokens/revoke", json!({"what": "access"})).await;
    world.broker.command("acme.outbound.create", "order-1", &order("SO-1")).await;
    let result = results.next().await;
    assert_eq!(result.routing_key, "acme.outbound.create.succeeded", "{}", result.text());
    assert_eq!(world.bridge.metric("ffn_bridge_login_required{account=\"acme\"}").await as i64, 0);
    assert_eq!(world.simulator.tokens("refused").await, 0);
}
