//! A command that is too late is not carried out any more, and its publisher is told.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use lapin::BasicProperties;
use serde_json::{Value, json};

use super::held::{holds, idle, own_way};
use super::{header, leaves_nothing, only, order, outbounds_of, outcome, result_of, setup_with, with_id};
use crate::support::{World, until};

const SHORT: &str = "retry_steps = [\"300ms\", \"1s\"]\nquick_attempts = 1";

async fn send(world: &World, key: &str, properties: BasicProperties, body: &Value) {
    world.broker.publish(&world.names.commands(), key, properties, body.to_string().as_bytes()).await;
}

fn due(id: &str, deadline: &str) -> BasicProperties {
    with_id(id).with_headers(header("ffn-deadline", deadline))
}

async fn fails(world: &World, matching: Value, times: u32) {
    world.simulator.fault(json!({"match": matching, "times": times, "kind": {"status": 500}})).await;
}

#[tokio::test]
async fn a_command_that_keeps_failing_ends_at_its_deadline_however_it_is_given() {
    let world = setup_with(SHORT).start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    fails(&world, json!({"method": "GET", "path": "/outbounds/SO-1"}), 0).await;
    super::run(&world, &mut results, "acme.outbound.create", "c-0", &order("SO-1")).await;
    for id in ["instant", "duration", "timestamp", "expiration"] {
        let now = Utc::now();
        let (properties, lasts) = match id {
            "instant" => (due(id, &(now + TimeDelta::milliseconds(1500)).to_rfc3339()), 1500),
            "duration" => (due(id, "1500ms"), 1500),
            // Three seconds of the five have passed, and a part of one is not in the message.
            "timestamp" => (due(id, "5s").with_timestamp(u64::try_from(now.timestamp() - 3).unwrap()), 1000),
            _ => (with_id(id).with_expiration("1500".into()), 1500),
        };
        let begun = Instant::now();
        send(&world, "acme.outbound.get", properties, &json!({"outboundId": "SO-1"})).await;
        let result = result_of(&mut results, id).await;
        assert_eq!(outcome(&result), "failed retries-exhausted", "{id}");
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(lasts - 500) && took < Duration::from_millis(lasts + 2500),
            "{id} {took:?}"
        );
        let letter = dead.next().await;
        assert_eq!((letter.id().as_str(), letter.header("ffn-error-code").as_deref()), (id, Some("retries-exhausted")));
        assert!(letter.header("ffn-error-message").unwrap().contains("deadline"), "{letter:?}");
    }
    // Put back it is wanted after all, and has no deadline any more.
    world.simulator.control("DELETE", "faults", None).await;
    let letter = dead.seen[0].clone();
    world.broker.publish(&world.names.commands(), &letter.routing_key, letter.properties, &letter.body).await;
    let again = super::results_of(&mut results, "instant", 2).await;
    assert_eq!(outcome(&again[1]), "succeeded");
}

#[tokio::test]
async fn what_is_in_doubt_at_the_deadline_is_looked_up_first() {
    // It comes back after the deadline.
    let world = setup_with("retry_steps = [\"2s\"]\nquick_attempts = 1").start().await;
    let mut results = world.broker.results().await;
    let post = json!({"method": "POST", "path": "/outbounds"});
    for (number, fault, wanted, reconciled) in [
        ("SO-1", "cut_after", "succeeded", true),
        ("SO-2", "cut_before", "failed retries-exhausted", true),
        ("SO-3", "cut_after", "failed outcome-unknown", false),
    ] {
        world.simulator.fault(json!({"match": post, "kind": fault})).await;
        if number == "SO-3" {
            fails(&world, json!({"method": "GET", "query": number}), 0).await;
        }
        send(&world, "acme.outbound.create", due(number, "1500ms"), &order(number)).await;
        let result = result_of(&mut results, number).await;
        assert_eq!((outcome(&result).as_str(), &result.data()["reconciled"]), (wanted, &json!(reconciled)), "{number}");
        let posts = world.simulator.requests("POST", "/outbounds").await;
        assert_eq!(posts.len(), number[3..].parse::<usize>().unwrap(), "sent again after the deadline");
    }
}

#[tokio::test]
async fn a_command_that_is_too_late_when_it_comes_is_not_carried_out() {
    let world = setup_with(SHORT).start().await;
    let mut results = world.broker.results().await;
    send(&world, "acme.outbound.create", due("late", "2020-01-01T00:00:00Z"), &order("SO-1")).await;
    let result = result_of(&mut results, "late").await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("failed retries-exhausted".to_owned(), &json!(0)));
    for wrong in ["soon", "", "5", "-5m", "2026-13-01T00:00:00Z"] {
        let id = format!("wrong {wrong:?}");
        send(&world, "acme.outbound.create", due(&id, wrong), &order("SO-1")).await;
        let result = result_of(&mut results, &id).await;
        assert_eq!(outcome(&result), "failed invalid-command", "{wrong:?}");
        assert_eq!(result.data()["error"]["fields"][0]["path"], "ffn-deadline");
    }
    assert!(outbounds_of(&world.simulator, "SO-1").await.is_empty());
}

#[tokio::test]
async fn a_command_that_became_too_late_during_an_outage_is_answered_and_not_carried_out() {
    let mut world =
        idle().tables("[commands]\nprobe_delay = \"50ms\"\nretry_steps = [\"300ms\", \"1s\"]").start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    world.simulator.fault(json!({"match": {"path": "/api/"}, "times": 0, "kind": {"status": 503}})).await;
    // The first may be tried before anybody knows.
    broker.command("acme.outbound.create", "first", &order("SO-0")).await;
    holds(&world, &broker, 1).await;
    let properties = with_id("expired").with_expiration("700".into());
    broker
        .publish(&world.names.commands(), "acme.outbound.create", properties, order("SO-1").to_string().as_bytes())
        .await;
    broker.command("acme.outbound.create", "third", &order("SO-2")).await;
    holds(&world, &broker, 3).await;
    let begun = Instant::now();
    until("the time to live to pass", async || (begun.elapsed() > Duration::from_millis(800)).then_some(())).await;
    world.simulator.control("DELETE", "faults", None).await;
    let result = result_of(&mut results, "expired").await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("failed retries-exhausted".to_owned(), &json!(0)));
    for (id, number) in [("first", "SO-0"), ("third", "SO-2")] {
        assert_eq!(outcome(&result_of(&mut results, id).await), "succeeded");
        only(&world.simulator, number).await;
    }
    assert!(outbounds_of(&world.simulator, "SO-1").await.is_empty());
    leaves_nothing(&mut world, &broker).await;
}
