//! One id, one effect.

use lapin::BasicProperties;
use serde_json::json;

use super::held::{holds, idle, opens, own_way};
use super::{leaves_nothing, only, order, other_order, outcome, requested, result_of, results_of, run, setup};
use crate::support::until;

#[tokio::test]
async fn the_same_id_twice_is_one_order_and_the_same_answer_twice() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    for _ in 0..2 {
        world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    }
    let both = results_of(&mut results, "c-1", 2).await;
    assert_eq!(both[0].data(), both[1].data());
    assert_eq!((both[0].id(), outcome(&both[0])), (both[1].id(), "succeeded".to_owned()));
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    // Long after, when the order has been shipped, it is still the answer of then.
    world.simulator.advance("SO-1", "Shipped").await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    let all = results_of(&mut results, "c-1", 3).await;
    assert_eq!(all[2].data(), all[0].data());
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn a_repetition_while_the_first_is_running_waits_for_its_answer() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let slow = json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": {"delay_ms": 700}});
    world.simulator.fault(slow).await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    requested(&world.simulator, "POST", "/outbounds", 1).await;
    for _ in 0..3 {
        world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    }
    let all = results_of(&mut results, "c-1", 4).await;
    assert!(all.iter().all(|result| result.id() == all[0].id() && outcome(result) == "succeeded"), "{all:#?}");
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn the_same_id_for_another_command_is_a_conflict_and_changes_nothing() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    let first = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    let before = only(&world.simulator, "SO-1").await;
    for (key, body) in [
        ("acme.outbound.create", other_order("SO-1")),
        ("acme.outbound.create", order("SO-2")),
        ("acme.outbound.cancel", json!({"outboundId": "SO-1"})),
    ] {
        let so_far = dead.seen.len();
        world.broker.command(key, "c-1", &body).await;
        let letter = dead.next().await;
        assert_eq!((letter.text(), letter.id()), (body.to_string(), "c-1".to_owned()));
        assert_eq!(letter.header("ffn-error-code").as_deref(), Some("conflict"));
        results.until(|seen| seen.iter().filter(|result| result.event() == "failed").count() > so_far).await;
        let result = results.seen.last().unwrap();
        assert_eq!(outcome(result), "failed conflict");
        assert_ne!(result.id(), first.id());
    }
    assert_eq!(only(&world.simulator, "SO-1").await, before);
    assert_eq!(world.simulator.outbounds().await.len(), 1);
    // The first is still answered as it was.
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    results.until(|seen| seen.iter().filter(|result| result.id() == first.id()).count() == 2).await;
}

#[tokio::test]
async fn a_command_without_an_id_that_is_delivered_again_is_one_order() {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    let lost = json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "hang_after"});
    world.simulator.fault(lost).await;
    let body = order("SO-1").to_string();
    let none = BasicProperties::default();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", none, body.as_bytes()).await;
    requested(&world.simulator, "POST", "/outbounds", 1).await;
    crate::support::until("the order at the simulator", async || {
        (world.simulator.outbounds().await.len() == 1).then_some(())
    })
    .await;
    world.bridge.kill();
    world.bridge.start().await;
    let result = results.next().await;
    assert_eq!((outcome(&result), &result.data()["reconciled"]), ("succeeded".to_owned(), &json!(true)));
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1, "sent again without a look");
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn ids_of_different_accounts_words_are_kept_apart_by_their_exact_letters() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    for (index, id) in ["id", "ID", "id ", "ïd"].into_iter().enumerate() {
        world.broker.command("acme.outbound.create", id, &order(&format!("SO-{index}"))).await;
        assert_eq!(outcome(&result_of(&mut results, id).await), "succeeded");
    }
    assert_eq!(world.simulator.outbounds().await.len(), 4);
}

#[tokio::test]
async fn two_copies_in_the_queue_at_once_are_one_order_also_where_another_body_comes_between() {
    let mut world = setup().build().await;
    world.bridge.start().await;
    assert_eq!(world.bridge.stop().await, Some(0));
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    for body in [order("SO-1"), order("SO-1"), other_order("SO-1"), order("SO-1")] {
        broker.command("acme.outbound.create", "c-1", &body).await;
    }
    world.bridge.start().await;
    let all = results_of(&mut results, "c-1", 4).await;
    let (same, others): (Vec<_>, Vec<_>) = all.iter().partition(|result| result.id() == all[0].id());
    assert_eq!((same.len(), outcome(&all[0]).as_str()), (3, "succeeded"));
    assert_eq!((others.len(), outcome(others[0]).as_str()), (1, "failed conflict"));
    only(&world.simulator, "SO-1").await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_repetition_while_the_first_waits_for_its_next_attempt_is_one_order() {
    let mut world = setup().start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    // Long enough for the ladder; what was sent had its effect.
    let post = json!({"method": "POST", "path": "/outbounds"});
    world.simulator.fault(json!({"match": post, "kind": {"status": 500, "after": true}})).await;
    world.simulator.fault(json!({"match": {"query": "SO-1"}, "times": 8, "kind": {"status": 500}})).await;
    broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    until("it to wait", async || {
        let lines = world.bridge.lines();
        lines.iter().any(|line| line.contains("waits for its next attempt")).then_some(())
    })
    .await;
    for _ in 0..2 {
        broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    }
    broker.command("acme.outbound.create", "c-1", &other_order("SO-1")).await;
    let all = results_of(&mut results, "c-1", 4).await;
    let succeeded: Vec<_> = all.iter().filter(|result| outcome(result) == "succeeded").collect();
    assert_eq!(succeeded.len(), 3, "{all:#?}");
    assert!(succeeded.iter().all(|result| result.id() == succeeded[0].id()));
    assert_eq!(all.iter().filter(|result| outcome(result) == "failed conflict").count(), 1);
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    only(&world.simulator, "SO-1").await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_repetition_while_the_first_is_held_is_one_order() {
    let mut world = idle().start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    let away = json!({"match": {"path": "/api/"}, "times": 0, "kind": {"status": 503}});
    world.simulator.fault(away).await;
    for body in [order("SO-1"), order("SO-1"), other_order("SO-1")] {
        broker.command("acme.outbound.create", "c-1", &body).await;
    }
    holds(&world, &broker, 3).await;
    world.simulator.control("DELETE", "faults", None).await;
    let all = results_of(&mut results, "c-1", 3).await;
    assert_eq!(all.iter().map(outcome).collect::<Vec<_>>(), ["succeeded", "succeeded", "failed conflict"]);
    assert_eq!(all[0].id(), all[1].id());
    assert_eq!(
        world.simulator.requests("POST", "/outbounds").await.iter().filter(|it| !it["effect"].is_null()).count(),
        1
    );
    only(&world.simulator, "SO-1").await;
    opens(&world, &broker).await;
    leaves_nothing(&mut world, &broker).await;
}
