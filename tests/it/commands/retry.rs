//! Passing faults: tried again at once, then with waits in the broker, and given up only at the end.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use super::held::holds;
use super::{only, order, outcome, result_of, run, setup, setup_with};
use crate::support::until;

fn posts(times: u32, kind: Value) -> Value {
    json!({"match": {"method": "POST", "path": "/outbounds"}, "times": times, "kind": kind})
}

fn time(text: &str) -> DateTime<chrono::FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

#[tokio::test]
async fn a_short_trouble_is_overcome_in_place() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(posts(2, json!({"status": 503}))).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(1)));
    assert!(world.bridge.lines().iter().all(|line| !line.contains("waits for its next attempt")));
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn a_long_trouble_is_waited_out_in_the_broker() {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(posts(10, json!({"status": 500}))).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result), "succeeded");
    assert_eq!(result.data()["attempts"], 4);
    only(&world.simulator, "SO-1").await;
    let retries = world.bridge.metric(r#"ffn_bridge_retries_total{account="acme",command="outbound.create"}"#).await;
    assert_eq!(retries.to_string(), "3");
    assert_eq!(results.seen.len(), 1, "a wait is no end");
    let broker = crate::support::Broker::connect(&crate::support::broker::shared_url(), world.names.clone()).await;
    super::leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_command_without_an_id_waits_as_the_same_command() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(posts(4, json!({"status": 500}))).await;
    let body = order("SO-1").to_string();
    let none = lapin::BasicProperties::default();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", none, body.as_bytes()).await;
    let result = results.next().await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(2)));
    assert_eq!(world.db().number("SELECT count(*) FROM commands", []), 1);
}

#[tokio::test]
async fn a_trouble_without_end_ends_in_a_failure_and_a_dead_letter() {
    let world = setup_with("retry_steps = [\"300ms\", \"1s\"]\nmax_attempts = 3\nquick_attempts = 2").start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    let reads = json!({"method": "GET", "path": "/outbounds/SO-1"});
    world.simulator.fault(json!({"match": reads, "times": 0, "kind": {"status": 500}})).await;
    let change = json!({"outboundId": "SO-1"});
    let result = run(&world, &mut results, "acme.outbound.get", "c-2", &change).await;
    assert_eq!(outcome(&result), "failed retries-exhausted");
    let data = result.data();
    assert_eq!((&data["attempts"], &data["error"]["httpStatus"]), (&json!(3), &json!(500)));
    assert_eq!(data["error"]["retryable"], true);
    let letter = dead.next().await;
    assert_eq!((letter.id(), letter.text()), ("c-2".to_owned(), change.to_string()));
    assert_eq!(letter.header("ffn-error-code").as_deref(), Some("retries-exhausted"));
    assert_eq!(letter.header("ffn-attempts").as_deref(), Some("3"));
    let (first, last) = (letter.header("ffn-first-failed-at").unwrap(), letter.header("ffn-last-failed-at").unwrap());
    assert!(time(&last) - time(&first) >= TimeDelta::milliseconds(600), "{first} to {last}");
    // Three attempts of two tries each.
    assert_eq!(world.simulator.requests("GET", "/outbounds/SO-1").await.len(), 6);
    let counted =
        world.bridge.metric(r#"ffn_bridge_dead_letters_total{account="acme",code="retries-exhausted"}"#).await;
    assert_eq!(counted.to_string(), "1");
}

#[tokio::test]
async fn no_call_is_made_before_the_time_that_ffn_asks_for() {
    for wait in [1, 3] {
        let world = setup().start().await;
        let mut results = world.broker.results().await;
        world.simulator.fault(posts(1, json!({"status": 429, "headers": {"Retry-After": wait.to_string()}}))).await;
        let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
        // FFN's limit is not the command's fault: it costs no attempt.
        assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(1)));
        let all = world.simulator.get("requests?since=0").await["requests"].as_array().unwrap().clone();
        let told = all.iter().position(|request| request["status"] == 429).unwrap();
        let gap = |request: &Value| time(request["time"].as_str().unwrap()) - time(all[told]["time"].as_str().unwrap());
        for request in all.iter().skip(told + 1) {
            assert!(gap(request) >= TimeDelta::milliseconds(wait * 1000 - 20), "{} after {request}", gap(request));
        }
        only(&world.simulator, "SO-1").await;
    }
}

#[tokio::test]
async fn a_wait_that_ffn_asks_for_is_kept_though_no_queue_is_as_slow_and_repetitions_come_meanwhile() {
    // It is the command's own wait: not the account's, which 429 and 503 ask for.
    let world = setup_with("retry_steps = [\"300ms\"]\nmax_attempts = 3\nquick_attempts = 1").start().await;
    let mut results = world.broker.results().await;
    let locked = json!({"errorCode": {"code": "Outbounds_OutboundCreationIsLocked", "description": "locked"}});
    world.simulator.fault(posts(1, json!({"status": 423, "body": locked, "headers": {"Retry-After": "3"}}))).await;
    for _ in 0..5 {
        world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    }
    let all = super::results_of(&mut results, "c-1", 5).await;
    let is_end = |end: &crate::support::Message| outcome(end) == "succeeded" && end.data()["attempts"] == 2;
    assert!(all.iter().all(is_end), "a repetition was an attempt: {}", all[0].text());
    let calls = world.simulator.get("requests?since=0").await["requests"].as_array().unwrap().clone();
    let is_sent = |call: &&Value| call["path"].as_str().unwrap().ends_with("/merchant/outbounds");
    let calls: Vec<&Value> = calls.iter().filter(is_sent).collect();
    let at = |call: &Value| time(call["time"].as_str().unwrap());
    assert!(at(calls[1]) - at(calls[0]) >= TimeDelta::milliseconds(2980), "{calls:#?}");
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn trouble_of_before_an_outage_does_not_end_a_command_after_it() {
    let mut world = setup_with("retry_steps = [\"300ms\"]\nquick_attempts = 1").start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(json!({"times": 0, "kind": {"status": 503}})).await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    holds(&world, &world.broker, 1).await;
    world.bridge.kill();
    // The outage has lasted for two days.
    world.alter(
        "UPDATE commands SET first_failed_at = first_failed_at - 172800000, arrived_at = arrived_at - 172800000",
    );
    world.simulator.control("DELETE", "faults", None).await;
    world.simulator.fault(posts(1, json!({"status": 500}))).await;
    world.bridge.start().await;
    let result = result_of(&mut results, "c-1").await;
    assert_eq!(outcome(&result), "succeeded", "{}", result.text());
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn a_limit_that_lasts_longer_than_all_attempts_costs_none() {
    let world = setup_with("retry_steps = [\"300ms\"]\nmax_attempts = 1\nquick_attempts = 1").start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(posts(5, json!({"status": 429}))).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(1)));
}

#[tokio::test]
async fn an_outage_with_503_costs_no_attempt() {
    let world = setup_with("retry_steps = [\"300ms\"]\nmax_attempts = 1\nquick_attempts = 2").start().await;
    let mut results = world.broker.results().await;
    // Every call fails, look-ups as well, for longer than any number of attempts.
    world.simulator.fault(json!({"match": {"path": "/outbounds"}, "times": 30, "kind": {"status": 503}})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(1)));
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn while_ffn_is_gone_commands_wait_and_cost_no_attempt() {
    let few = setup_with("retry_steps = [\"300ms\"]\nmax_attempts = 1\nquick_attempts = 1");
    let mut world = few.build().await;
    let there = world.config().to_owned();
    world.set_config(&there.replace(&world.simulator.url("/api"), "http://127.0.0.1:9/api"));
    world.bridge.start().await;
    let mut results = world.broker.results().await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    holds(&world, &world.broker, 1).await;
    until("three looks whether it is back", async || {
        let looks = world.bridge.lines().iter().filter(|line| line.contains("FFN does not answer")).count();
        (looks >= 3).then_some(())
    })
    .await;
    assert!(results.seen.is_empty());
    // FFN is back, here by its right address.
    assert_eq!(world.bridge.stop().await, Some(0));
    world.set_config(&there);
    world.bridge.start().await;
    let result = result_of(&mut results, "c-1").await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("succeeded".to_owned(), &json!(1)));
    only(&world.simulator, "SO-1").await;
}
