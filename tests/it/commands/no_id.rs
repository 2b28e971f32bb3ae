//! Commands without a `message_id`: where they have a number of their maker's, two of them are one; where they have
//! none, nobody can tell, and so nothing is sent twice.

use lapin::BasicProperties;
use serde_json::{Value, json};

use super::{outcome, requested, result_of, setup};
use crate::operations::cases::{MAIN, MUG, NOON, STANDARD};
use crate::support::{Subscription, World, order, until};

/// Both accounts, at an FFN that takes a shipment's number twice.
async fn start() -> (World, Subscription) {
    let setup = setup().second("ware", "fulfiller").simulator(&["--accept-duplicate-shipping-numbers"]);
    let mut world = setup.build().await;
    world.bridge.login("ware", "demo-fulfiller-refresh-token");
    world.bridge.start().await;
    let results = world.broker.results().await;
    (world, results)
}

async fn publish(world: &World, key: &str, body: &Value) {
    let none = BasicProperties::default().with_delivery_mode(2);
    world.broker.publish(&world.names.commands(), key, none, body.to_string().as_bytes()).await;
}

async fn effects_of(world: &World, path: &str) -> usize {
    let all = world.simulator.get("effects?since=0").await;
    let rows = all["effects"].as_array().unwrap();
    rows.iter().filter(|row| row["path"].as_str().unwrap().ends_with(path)).count()
}

fn correction(own: Option<&str>) -> Value {
    let mut body = json!({"jfsku": MUG, "warehouseId": MAIN, "quantity": 5, "fulfillerTimestamp": NOON});
    if let Some(own) = own {
        body["fulfillerStockChangeId"] = json!(own);
    }
    body
}

#[tokio::test]
async fn the_same_number_twice_is_one_effect_and_two_answers() {
    let (world, mut results) = start().await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    let made = result_of(&mut results, "c-1").await.data()["response"]["outboundId"].clone();
    let shipment = json!({
        "outboundId": made, "fulfillerShippingNotificationNumber": "S-1", "items": [{"jfsku": MUG, "quantity": 1}],
        "packages": [{"shippingMethodId": STANDARD, "shippingDate": NOON}],
    });
    for (key, body, path) in [
        ("acme.outbound.create", order("SO-2"), "/outbounds"),
        ("ware.shipment.create", shipment, "/shipping-notifications"),
        ("ware.stock.adjust", correction(Some("A-1")), "/adjustments"),
    ] {
        let before = (effects_of(&world, path).await, results.seen.len());
        publish(&world, key, &body).await;
        publish(&world, key, &body).await;
        let both = results.until(|seen| seen.len() == before.1 + 2).await[before.1..].to_vec();
        assert!(both.iter().all(|result| outcome(result) == "succeeded"), "{key}: {both:#?}");
        assert_ne!(both[0].data()["commandId"], both[1].data()["commandId"], "{key}");
        assert_eq!(both[0].json()["subject"], both[1].json()["subject"], "{key}");
        assert_eq!(both[1].data()["reconciled"], true, "{key}");
        assert_eq!(effects_of(&world, path).await, before.0 + 1, "{key}");
    }
}

/// Kills the bridge while a correction hangs at FFN, with or without effect, and starts it again; its end, and how
/// often it was sent and booked.
async fn killed_in_a_correction(body: &Value, kind: &str) -> (String, usize, usize) {
    let (mut world, mut results) = start().await;
    world.simulator.fault(json!({"match": {"method": "POST", "path": "/adjustments"}, "kind": kind})).await;
    publish(&world, "ware.stock.adjust", body).await;
    requested(&world.simulator, "POST", "/adjustments", 1).await;
    let booked = usize::from(kind == "hang_after");
    until("the booking", async || (effects_of(&world, "/adjustments").await == booked).then_some(())).await;
    world.bridge.kill();
    world.bridge.start().await;
    let end = outcome(&results.next().await);
    let sent = world.simulator.requests("POST", "/adjustments").await.len();
    (end, sent, effects_of(&world, "/adjustments").await)
}

#[tokio::test]
async fn a_correction_that_is_delivered_again_after_a_kill_is_never_booked_twice() {
    for (own, kind, wanted) in [
        (None, "hang_after", ("failed outcome-unknown", 1, 1)),
        (None, "hang", ("failed outcome-unknown", 1, 0)),
        (Some("A-1"), "hang_after", ("succeeded", 1, 1)),
        (Some("A-1"), "hang", ("succeeded", 2, 1)),
    ] {
        let (end, sent, booked) = killed_in_a_correction(&correction(own), kind).await;
        assert_eq!((end.as_str(), sent, booked), wanted, "{own:?} {kind}");
    }
}
