//! When nobody knows whether FFN has carried a command out, or it stands against it: one order, never two.

use serde_json::{Value, json};

use super::{only, order, other_order, outbounds_of, outcome, run, setup, setup_with};
use crate::support::{Setup, World};

/// Creates an order while these faults hit its POSTs; it has to be there once, and the result to say so.
/// Gives the result's data.
async fn creates_once(setup: Setup, faults: &[Value]) -> (World, Value) {
    let world = setup.start().await;
    let mut results = world.broker.results().await;
    for kind in faults {
        world.simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": kind})).await;
    }
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result), "succeeded", "{}", result.text());
    let made = only(&world.simulator, "SO-1").await;
    assert_eq!(result.json()["subject"], made["outboundId"]);
    assert_eq!(result.data()["response"]["outboundId"], made["outboundId"]);
    let posts = world.simulator.requests("POST", "/outbounds").await;
    let hit = posts.iter().filter(|post| !post["fault"].is_null()).count();
    assert_eq!(hit, faults.len(), "not every fault was met: {posts:#?}");
    (world, result.data())
}

#[tokio::test]
async fn the_connection_breaks_after_the_order_was_made() {
    let (world, data) = creates_once(setup(), &[json!("cut_after")]).await;
    assert_eq!(data["reconciled"], true);
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
}

#[tokio::test]
async fn the_connection_breaks_before_the_order_was_made() {
    let (_, data) = creates_once(setup(), &[json!("cut_before")]).await;
    assert_eq!(data["reconciled"], false);
}

#[tokio::test]
async fn the_connection_breaks_again_and_again() {
    let faults = ["cut_before", "cut_before", "cut_before", "cut_before", "cut_after"].map(|kind| json!(kind));
    let (_, data) = creates_once(setup(), &faults).await;
    assert_eq!(data["reconciled"], true);
    assert!(data["attempts"].as_u64().unwrap() > 1, "{data}");
}

#[tokio::test]
async fn the_answer_comes_too_late() {
    let impatient = setup().account("call_timeout = \"400ms\"");
    let (world, data) = creates_once(impatient, &[json!({"delay_after_ms": 5000})]).await;
    assert_eq!(data["reconciled"], true);
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
}

#[tokio::test]
async fn the_order_is_made_only_after_the_bridge_has_given_up_waiting() {
    // While the first request runs on, FFN answers further ones with 423.
    let impatient = setup().account("call_timeout = \"300ms\"");
    let (_, data) = creates_once(impatient, &[json!({"delay_ms": 1500})]).await;
    assert_eq!(data["reconciled"], true);
}

#[tokio::test]
async fn an_error_of_the_server_hides_that_the_order_was_made() {
    for status in [500, 502, 503, 504, 408] {
        let (world, data) = creates_once(setup(), &[json!({"status": status, "after": true})]).await;
        assert_eq!(data["reconciled"], true, "{status}");
        assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_error_of_the_server_before_the_order_was_made() {
    for status in [503, 408] {
        let (_, data) = creates_once(setup(), &[json!({"status": status})]).await;
        assert_eq!(data["reconciled"], false, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read() {
    let (world, data) = creates_once(setup(), &[json!({"status": 201, "body": "<html>", "after": true})]).await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    // FFN said 201, so it is done; what it made is found by looking.
    assert_eq!(data["reconciled"], true);
}

#[tokio::test]
async fn the_number_is_locked_for_a_while() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    world.simulator.post("locks", json!({"merchantOutboundNumber": "SO-1", "seconds": 2})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result), "succeeded", "{}", result.text());
    only(&world.simulator, "SO-1").await;
    let posts = world.simulator.requests("POST", "/outbounds").await;
    assert_eq!(posts[0]["status"], 423);
    // Between two tries FFN was asked whether the order is there by now (contract 10.3, rule 6).
    let looks = world.simulator.requests("GET", "/merchant/outbounds").await;
    assert!(looks.iter().any(|look| look["query"].as_str().unwrap().contains("SO-1")), "{looks:#?}");
}

#[tokio::test]
async fn looking_fails_too_for_a_while() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let look = json!({"method": "GET", "path": "/outbounds", "query": "SO-1"});
    world.simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "cut_after"})).await;
    world.simulator.fault(json!({"match": look, "times": 4, "kind": {"status": 503}})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!((outcome(&result), &result.data()["reconciled"]), ("succeeded".to_owned(), &json!(true)));
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn another_order_of_the_same_number_is_a_conflict_and_stays_as_it_is() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    let before = only(&world.simulator, "SO-1").await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-2", &other_order("SO-1")).await;
    assert_eq!(outcome(&result), "failed conflict");
    let fields = &result.data()["error"]["fields"];
    assert_eq!(fields[0]["path"], "items[0].quantity", "{fields}");
    let letter = dead.next().await;
    assert_eq!((letter.id(), letter.text()), ("c-2".to_owned(), other_order("SO-1").to_string()));
    assert_eq!(letter.header("ffn-error-code").as_deref(), Some("conflict"));
    assert_eq!(letter.header("ffn-attempts").as_deref(), Some("1"));
    assert_eq!(only(&world.simulator, "SO-1").await, before);
    // Also where the answer that says so is lost, and where it is found by looking.
    world.simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "cut_before"})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-3", &other_order("SO-1")).await;
    assert_eq!((outcome(&result), &result.data()["reconciled"]), ("failed conflict".to_owned(), &json!(true)));
    assert_eq!(only(&world.simulator, "SO-1").await, before);
}

#[tokio::test]
async fn the_same_order_under_another_id_is_found_and_not_made_again() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let first = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    let second = run(&world, &mut results, "acme.outbound.create", "c-2", &order("SO-1")).await;
    assert_eq!((outcome(&second), &second.data()["reconciled"]), ("succeeded".to_owned(), &json!(true)));
    assert_eq!(second.json()["subject"], first.json()["subject"]);
    assert_ne!(second.id(), first.id());
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn the_number_of_a_canceled_order_can_be_used_again() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    run(&world, &mut results, "acme.outbound.cancel", "c-2", &json!({"outboundId": "SO-1"})).await;
    // Whether or not the first try's answer gets through.
    world.simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "cut_before"})).await;
    let again = run(&world, &mut results, "acme.outbound.create", "c-3", &order("SO-1")).await;
    assert_eq!((outcome(&again), &again.data()["reconciled"]), ("succeeded".to_owned(), &json!(false)));
    let all = outbounds_of(&world.simulator, "SO-1").await;
    let statuses: Vec<&str> = all.iter().map(|outbound| outbound["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["Canceled", "Pending"]);
    assert_eq!(again.json()["subject"], all[1]["outboundId"]);
}

#[tokio::test]
async fn canceling_twice_succeeds_twice() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    let cancel = json!({"outboundId": "SO-1"});
    let first = run(&world, &mut results, "acme.outbound.cancel", "c-2", &cancel).await;
    let second = run(&world, &mut results, "acme.outbound.cancel", "c-3", &cancel).await;
    assert_eq!((outcome(&first), &first.data()["reconciled"]), ("succeeded".to_owned(), &json!(false)));
    assert_eq!((outcome(&second), &second.data()["reconciled"]), ("succeeded".to_owned(), &json!(true)));
    assert_eq!(only(&world.simulator, "SO-1").await["status"], "Canceled");
}

#[tokio::test]
async fn a_cancellation_whose_answer_is_lost_is_found_by_looking() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    for (id, kind) in [("c-2", json!("cut_after")), ("c-3", json!({"status": 503, "after": true}))] {
        world.simulator.fault(json!({"match": {"method": "PUT", "path": "/status"}, "kind": kind})).await;
        let result = run(&world, &mut results, "acme.outbound.cancel", id, &json!({"outboundId": "SO-1"})).await;
        assert_eq!((outcome(&result), &result.data()["reconciled"]), ("succeeded".to_owned(), &json!(true)));
    }
    let history = only(&world.simulator, "SO-1").await["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 2, "{history}");
}

#[tokio::test]
async fn canceling_what_is_on_its_way_is_too_late() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    world.simulator.advance("SO-1", "Shipped").await;
    let result = run(&world, &mut results, "acme.outbound.cancel", "c-2", &json!({"outboundId": "SO-1"})).await;
    assert_eq!(outcome(&result), "failed conflict");
    let error = &result.data()["error"];
    assert_eq!(error["ffnErrorCode"], "Outbounds_OutboundStatusChangeForbidden");
    assert_eq!(error["retryable"], false);
    assert_eq!(dead.next().await.header("ffn-error-code").as_deref(), Some("conflict"));
    assert_eq!(only(&world.simulator, "SO-1").await["status"], "Shipped");
}

#[tokio::test]
async fn what_ffn_refuses_is_answered_with_its_code_and_not_tried_again() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    let mut no_such_product = order("SO-1");
    no_such_product["items"][0]["merchantSku"] = json!("NO-SUCH");
    let missing = json!({"outboundId": "SO-MISSING"});
    for (id, key, body, wanted) in [
        ("c-1", "acme.outbound.create", &no_such_product, "failed rejected"),
        ("c-2", "acme.outbound.cancel", &missing, "failed not-found"),
        ("c-3", "acme.outbound.update", &missing, "failed not-found"),
        ("c-4", "acme.outbound.get", &missing, "failed not-found"),
    ] {
        let result = run(&world, &mut results, key, id, body).await;
        let error = &result.data()["error"];
        assert_eq!(outcome(&result), wanted, "{id}: {error}");
        assert!(error["ffnErrorCode"].is_string() && error["httpStatus"].is_u64(), "{id}: {error}");
        assert_eq!((&error["retryable"], &result.data()["attempts"]), (&json!(false), &json!(1)), "{id}");
        let letter = dead.next().await;
        assert_eq!((letter.id().as_str(), letter.header("ffn-attempts").as_deref()), (id, Some("1")));
    }
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    assert!(world.simulator.outbounds().await.is_empty());
}

#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_said_so_and_set_aside() {
    let world = setup_with("retry_steps = [\"300ms\"]\nmax_attempts = 2\nquick_attempts = 2").start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    world.simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "cut_after"})).await;
    let look = json!({"method": "GET", "path": "/outbounds", "query": "SO-1"});
    world.simulator.fault(json!({"match": look, "times": 0, "kind": {"status": 500}})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result), "failed outcome-unknown");
    let letter = dead.next().await;
    assert_eq!(letter.header("ffn-error-code").as_deref(), Some("outcome-unknown"));
    assert_eq!(letter.header("ffn-attempts").as_deref(), Some("2"));
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1, "sent again without a look");
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn a_look_that_ffn_refuses_leaves_the_outcome_unknown_and_never_reads_as_a_no() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    let post = json!({"method": "POST", "path": "/outbounds"});
    world.simulator.fault(json!({"match": post, "times": 1, "kind": "cut_after"})).await;
    let look = json!({"method": "GET", "path": "/merchant/outbounds", "query": "filter"});
    world.simulator.fault(json!({"match": look, "times": 0, "kind": {"status": 403}})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result), "failed outcome-unknown");
    assert_eq!(dead.next().await.header("ffn-error-code").as_deref(), Some("outcome-unknown"));
    only(&world.simulator, "SO-1").await;
}
