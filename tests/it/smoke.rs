//! The main job, end to end.

use crate::support::{Setup, order, until};

#[tokio::test]
async fn an_order_goes_in_as_a_message_and_its_shipment_comes_out_as_events() {
    let world = Setup::new().start().await;
    let mut events = world.broker.events(&["acme.#"]).await;
    let mut results = world.broker.results().await;

    world.broker.command("acme.outbound.create", "order-1", &order("SO-1001")).await;
    let result = results.next().await;
    assert_eq!(result.routing_key, "acme.outbound.create.succeeded");
    let id = result.data()["response"]["outboundId"].as_str().unwrap().to_owned();
    assert_eq!(result.json()["subject"], id);

    // Each status is seen by a poll of its own.
    for status in ["Acknowledged", "Pickprocess", "Shipped"] {
        world.simulator.advance("SO-1001", status).await;
        let event = status.to_lowercase();
        events.until(|seen| seen.iter().any(|message| message.event() == event)).await;
    }
    events.until(|seen| seen.iter().any(|message| message.event() == "dispatched")).await;
    let seen = events.first_of_each();
    let of = |resource: &str| -> Vec<String> {
        let wanted = seen.iter().filter(|message| message.routing_key.contains(resource));
        wanted.map(|message| message.event()).collect()
    };
    assert_eq!(of(".outbound."), ["created", "pending", "acknowledged", "pickprocess", "shipped"]);
    assert_eq!(of(".shipment."), ["dispatched"]);
    let dispatched = seen.iter().find(|message| message.event() == "dispatched").unwrap().data();
    assert_eq!(dispatched["merchantOutboundNumber"], "SO-1001");
    assert!(!dispatched["trackingIds"].as_array().unwrap().is_empty(), "{dispatched}");
    assert!(dispatched["carrier"].is_string(), "{dispatched}");

    until("the metrics to show it", async || {
        let published = world.bridge.metric("ffn_bridge_events_published_total{account=\"acme\"").await;
        (published >= 6.0).then_some(())
    })
    .await;
    let succeeded = r#"ffn_bridge_commands_total{account="acme",command="outbound.create",outcome="succeeded"}"#;
    assert_eq!(world.bridge.count(succeeded).await, 1);
}
