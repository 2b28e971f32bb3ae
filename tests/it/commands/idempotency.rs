//! One id, one effect.

use lapin::BasicProperties;
use serde_json::json;

use super::{only, order, other_order, outcome, requested, result_of, results_of, run, setup};

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
