//! Commands of one ordering key have their effects in the order they were sent; others go on beside them.

use serde_json::json;

use super::{header, only, order, outcome, result_of, run, setup, with_id};
use crate::support::Message;

fn ids(seen: &[Message]) -> Vec<String> {
    seen.iter().map(|message| message.data()["commandId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_waits_for_its_retry_holds_back_later_commands_of_its_order_and_no_others() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let held = json!({"match": {"method": "POST", "body": "SO-1\""}, "times": 8, "kind": {"status": 503}});
    world.simulator.fault(held).await;
    world.broker.command("acme.outbound.create", "create-1", &order("SO-1")).await;
    world.broker.command("acme.outbound.update", "update-1", &json!({"outboundId": "SO-1", "priority": 1})).await;
    world.broker.command("acme.outbound.cancel", "cancel-1", &json!({"outboundId": "SO-1"})).await;
    world.broker.command("acme.outbound.create", "create-2", &order("SO-2")).await;
    results.distinct(4).await;
    assert_eq!(ids(&results.seen), ["create-2", "create-1", "update-1", "cancel-1"]);
    assert!(results.seen.iter().all(|result| outcome(result) == "succeeded"), "{:#?}", results.seen);
    assert_eq!(only(&world.simulator, "SO-1").await["status"], "Canceled");
}

#[tokio::test]
async fn a_failure_for_good_lets_the_next_one_go() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut bad = order("SO-1");
    bad["items"][0]["merchantSku"] = json!("NO-SUCH");
    let slow = json!({"match": {"method": "POST", "body": "NO-SUCH"}, "times": 4, "kind": {"status": 503}});
    world.simulator.fault(slow).await;
    world.broker.command("acme.outbound.create", "c-1", &bad).await;
    world.broker.command("acme.outbound.create", "c-2", &order("SO-1")).await;
    results.distinct(2).await;
    assert_eq!(ids(&results.seen), ["c-1", "c-2"]);
    assert_eq!(outcome(&results.seen[0]), "failed rejected");
    assert_eq!(outcome(&results.seen[1]), "succeeded");
}

#[tokio::test]
async fn the_publishers_ordering_key_counts() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let held = json!({"match": {"method": "POST", "body": "SO-1\""}, "times": 4, "kind": {"status": 503}});
    world.simulator.fault(held).await;
    let send = async |id: &str, number: &str, key: &str| {
        let properties = with_id(id).with_headers(header("ffn-ordering-key", key));
        let body = order(number).to_string();
        world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    };
    send("c-1", "SO-1", "customer-7").await;
    send("c-2", "SO-2", "customer-7").await;
    send("c-3", "SO-3", "customer-8").await;
    results.distinct(3).await;
    assert_eq!(ids(&results.seen), ["c-3", "c-1", "c-2"]);
}

#[tokio::test]
async fn twenty_commands_for_one_order_run_in_order_among_those_for_others() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    run(&world, &mut results, "acme.outbound.create", "first", &order("SO-0")).await;
    // Every third change is slow, so that later ones would overtake it.
    for nth in (1..=20).step_by(3) {
        world.simulator.fault(json!({"match": {"method": "PATCH", "nth": nth}, "kind": {"delay_ms": 120}})).await;
    }
    for step in 1..=20 {
        let change = json!({"outboundId": "SO-0", "externalNumber": format!("step-{step}")});
        world.broker.command("acme.outbound.update", &format!("u-{step:02}"), &change).await;
        world.broker.command("acme.outbound.create", &format!("c-{step:02}"), &order(&format!("SO-{step}"))).await;
    }
    results.distinct(41).await;
    let updates: Vec<String> = ids(&results.seen).into_iter().filter(|id| id.starts_with('u')).collect();
    let wanted: Vec<String> = (1..=20).map(|step| format!("u-{step:02}")).collect();
    assert_eq!(updates, wanted);
    let at = |id: &str| ids(&results.seen).iter().position(|seen| seen == id).unwrap();
    assert!(at("c-20") < at("u-20"), "the others did not go on: {:?}", ids(&results.seen));
    run(&world, &mut results, "acme.outbound.get", "last", &json!({"outboundId": "SO-0"})).await;
    let read = result_of(&mut results, "last").await;
    assert_eq!(read.data()["response"]["externalNumber"], "step-20");
}
