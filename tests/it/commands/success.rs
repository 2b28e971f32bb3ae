//! What a good command brings: the effect, digit for digit, and an answer wherever one is asked for.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

use super::{header, only, order, outcome, result_of, run, setup, setup_with, with_id};
use crate::support::broker::shared_url;
use crate::support::until;

/// An order whose numbers a binary float would not keep.
const EXACT: &str = r#"{"merchantOutboundNumber":"SO-EXACT","warehouseId":"WARE04MAIN-00001-0001","currency":"EUR",
    "orderValue":1.10,"shippingFee":0.1,
    "shippingAddress":{"lastname":"Beispiel","street":"Hauptweg 3","zip":"12345","city":"Musterstadt","country":"DE"},
    "items":[{"outboundItemId":"1","merchantSku":"ROPE-METRE","quantity":1.10,"price":12345678901234567.8901,"vat":19.00}]}"#;

#[tokio::test]
async fn numbers_reach_ffn_and_come_back_with_every_digit() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    world.broker.publish(&world.names.commands(), "acme.outbound.create", with_id("c-1"), EXACT.as_bytes()).await;
    let created = result_of(&mut results, "c-1").await;
    assert_eq!(outcome(&created), "succeeded", "{}", created.text());
    // The order is read back from FFN, which shows the digits that it was sent.
    let read = run(&world, &mut results, "acme.outbound.get", "c-2", &json!({"outboundId": "SO-EXACT"})).await;
    for result in [created, read] {
        for number in [
            r#""orderValue":1.10,"#,
            r#""shippingFee":0.1,"#,
            r#""quantity":1.10,"#,
            r#""price":12345678901234567.8901,"#,
            r#""vat":19.00"#,
        ] {
            assert!(result.text().contains(number), "{number} is not in {}", result.text());
        }
    }
}

#[tokio::test]
async fn an_order_is_created_read_changed_and_canceled() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let created = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(created.routing_key, "acme.outbound.create.succeeded");
    let (event, data) = (created.json(), created.data());
    let id = only(&world.simulator, "SO-1").await["outboundId"].as_str().unwrap().to_owned();
    assert_eq!(event["subject"], *id);
    assert_eq!(event["type"], "ffn.command.succeeded.v1");
    assert_eq!(data["command"], "outbound.create");
    assert_eq!((&data["attempts"], &data["reconciled"]), (&json!(1), &json!(false)));
    assert_eq!(data["response"]["merchantOutboundNumber"], "SO-1");

    let change = json!({"outboundId": id, "externalNote": "Bitte klingeln", "priority": 4});
    let updated = run(&world, &mut results, "acme.outbound.update", "c-2", &change).await;
    assert_eq!(updated.routing_key, "acme.outbound.update.succeeded");
    assert_eq!((&updated.json()["subject"], &updated.data()["response"]), (&json!(id), &Value::Null));

    let read = run(&world, &mut results, "acme.outbound.get", "c-3", &json!({"outboundId": "SO-1"})).await;
    let response = &read.data()["response"];
    assert_eq!((&response["externalNote"], &response["priority"]), (&json!("Bitte klingeln"), &json!(4)));
    assert_eq!(read.json()["subject"], *id);

    let cancel = json!({"outboundId": id, "cancelReasonCode": "CustomerRequest", "cancelReason": "changed their mind"});
    let canceled = run(&world, &mut results, "acme.outbound.cancel", "c-4", &cancel).await;
    assert_eq!(canceled.routing_key, "acme.outbound.cancel.succeeded");
    assert_eq!(only(&world.simulator, "SO-1").await["status"], "Canceled");
}

#[tokio::test]
async fn a_command_may_be_a_cloud_event_in_either_mode_and_spelling() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let commands = world.names.commands();
    let structured = |id: &str, number: &str| {
        let event = json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "ffn.outbound.create",
            "datacontenttype": "application/json", "data": order(number)});
        event.to_string().into_bytes()
    };
    for (content_type, id) in
        [("application/cloudevents+json; charset=utf-8", "ce-1"), ("Application/CloudEvents+JSON", "ce-2")]
    {
        let properties = BasicProperties::default().with_content_type(content_type.into());
        world.broker.publish(&commands, "acme.outbound.create", properties, &structured(id, id)).await;
        // The event's id is the command's.
        assert_eq!(outcome(&result_of(&mut results, id).await), "succeeded");
        only(&world.simulator, id).await;
    }
    for (prefix, id) in [("cloudEvents_", "ce-3"), ("cloudEvents:", "ce-4")] {
        let mut headers = header(&format!("{prefix}type"), "ffn.outbound.create");
        for (name, value) in [("specversion", "1.0"), ("id", id), ("source", "/shop")] {
            headers.insert(format!("{prefix}{name}").into(), lapin::types::AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default().with_content_type("application/json".into()).with_headers(headers);
        let body = order(id).to_string();
        world.broker.publish(&commands, "acme.outbound.create", properties, body.as_bytes()).await;
        assert_eq!(outcome(&result_of(&mut results, id).await), "succeeded");
        only(&world.simulator, id).await;
    }
    // Where a message has an id of its own, that one counts.
    let properties = with_id("mine").with_content_type("application/cloudevents+json".into());
    world.broker.publish(&commands, "acme.outbound.create", properties, &structured("not-this", "SO-5")).await;
    assert_eq!(result_of(&mut results, "mine").await.data()["response"]["merchantOutboundNumber"], "SO-5");
}

#[tokio::test]
async fn the_result_goes_to_the_callers_queue_with_its_correlation_id() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let queue = world.broker.bind("reply", "", &[]).await;
    let mut replies = world.broker.subscribe(&queue).await;
    let properties = with_id("c-1").with_reply_to(queue.as_str().into()).with_correlation_id("corr ä 1".into());
    let body = order("SO-1").to_string();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    let reply = replies.next().await;
    let result = result_of(&mut results, "c-1").await;
    assert_eq!((reply.data(), reply.id()), (result.data(), result.id()));
    assert_eq!((reply.routing_key.as_str(), result.event()), (queue.as_str(), "succeeded".to_owned()));
    for message in [reply, result] {
        assert_eq!(message.properties.correlation_id().as_ref().unwrap().as_str(), "corr ä 1");
    }
}

#[tokio::test]
async fn a_direct_reply_comes_without_any_queue() {
    let world = setup().start().await;
    let channel = world.broker.connection.create_channel().await.unwrap();
    let direct = "amq.rabbitmq.reply-to";
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies = channel.basic_consume(direct.into(), "".into(), options, FieldTable::default()).await.unwrap();
    let mut ask = async |id: &str, number: &str| {
        let properties = with_id(id).with_reply_to(direct.into()).with_correlation_id(number.into());
        let (exchange, key) = (world.names.commands(), "acme.outbound.create");
        let body = order(number).to_string();
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        channel
            .basic_publish(exchange.as_str().into(), key.into(), options, body.as_bytes(), properties)
            .await
            .unwrap();
        tokio::time::timeout(Duration::from_secs(60), replies.next()).await.unwrap().unwrap().unwrap()
    };
    let reply = ask("c-1", "SO-1").await;
    assert_eq!(reply.properties.correlation_id().as_ref().unwrap().as_str(), "SO-1");
    assert_eq!(serde_json::from_slice::<Value>(&reply.data).unwrap()["data"]["commandId"], "c-1");
    // A repetition is answered directly as well.
    let again = ask("c-1", "SO-1").await;
    let data = |reply: &lapin::message::Delivery| serde_json::from_slice::<Value>(&reply.data).unwrap()["data"].clone();
    assert_eq!(data(&again), data(&reply));
    only(&world.simulator, "SO-1").await;
}

#[tokio::test]
async fn a_reply_queue_that_is_not_allowed_gets_nothing_and_the_log_says_so() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let queue = world.broker.bind("more", "", &[]).await;
    let properties = with_id("c-1").with_reply_to(queue.as_str().into());
    let body = order("SO-1").to_string();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    assert_eq!(outcome(&result_of(&mut results, "c-1").await), "succeeded");
    // Results leave in order: what had been sent there would be there before this one is here.
    run(&world, &mut results, "acme.outbound.create", "c-2", &order("SO-2")).await;
    assert_eq!(world.broker.depth(&queue).await, 0);
    let lines = world.bridge.lines();
    let warning = lines.iter().find(|line| line.contains("the reply queue is ignored")).expect("a warning");
    assert!(warning.contains("WARN") && warning.contains(&queue), "{warning}");
}

#[tokio::test]
async fn a_reply_queue_that_is_gone_holds_up_nobody() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let properties = with_id("c-1").with_reply_to("reply-to-nowhere".into());
    let body = order("SO-1").to_string();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    assert_eq!(outcome(&result_of(&mut results, "c-1").await), "succeeded");
    assert_eq!(outcome(&run(&world, &mut results, "acme.outbound.create", "c-2", &order("SO-2")).await), "succeeded");
    let unroutable = "SELECT count(*) FROM journal WHERE exchange = '' AND unroutable = 1";
    until("the lost reply to be on record", async || (world.db().number(unroutable, []) == 1).then_some(())).await;
}

#[tokio::test]
async fn a_reply_queue_that_goes_before_its_answer_loses_nothing_for_anybody_else() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let commands = world.names.commands();
    let connection = Connection::connect(&shared_url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = format!("reply.{}", world.names.prefix());
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies =
        channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await.unwrap();
    let ask = async |id: &str, number: &str| {
        let properties = with_id(id).with_reply_to(queue.as_str().into());
        let body = order(number).to_string();
        world.broker.publish(&commands, "acme.outbound.create", properties, body.as_bytes()).await;
    };
    ask("c-1", "SO-1").await;
    let reply = tokio::time::timeout(Duration::from_secs(60), replies.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reply.data).unwrap()["data"]["commandId"], "c-1");

    // The queue goes while its command waits for FFN.
    world.simulator.fault(json!({"match": {"body": "SO-2"}, "times": 0, "kind": {"status": 503}})).await;
    ask("c-2", "SO-2").await;
    until("the command to have been tried", async || {
        let tried = world.simulator.requests("POST", "/outbounds").await;
        (tried.len() >= 2).then_some(())
    })
    .await;
    connection.close(200, "gone".into()).await.unwrap();
    world.simulator.control("DELETE", "faults", None).await;
    assert_eq!(outcome(&result_of(&mut results, "c-2").await), "succeeded");
    only(&world.simulator, "SO-2").await;

    // Whoever asks afterwards is answered, and nothing of the journal is left to be sent.
    let live = world.broker.bind("reply", "", &[]).await;
    let mut answers = world.broker.subscribe(&live).await;
    let properties = with_id("c-3").with_reply_to(live.as_str().into());
    world.broker.publish(&commands, "acme.outbound.create", properties, order("SO-3").to_string().as_bytes()).await;
    assert_eq!(answers.next().await.data()["commandId"], "c-3");
    assert_eq!(outcome(&result_of(&mut results, "c-3").await), "succeeded");
    let left = "SELECT count(*) FROM journal WHERE lane = 'results' AND position > (SELECT confirmed FROM lanes WHERE lane = 'results')";
    until("the journal to be sent", async || (world.db().number(left, []) == 0).then_some(())).await;
    let lost = "SELECT routing_key FROM journal WHERE unroutable = 1 AND lane = 'results'";
    assert_eq!(world.db().rows::<1>(lost), [[queue]], "the lost reply, and it alone, is on record");
}

#[tokio::test]
async fn the_callers_trace_goes_on_in_the_result() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let traced = |id: &str| with_id(id).with_headers(header("traceparent", TRACE));
    let body = order("SO-1").to_string();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", traced("c-1"), body.as_bytes()).await;
    assert_eq!(result_of(&mut results, "c-1").await.header("traceparent").as_deref(), Some(TRACE));
    world.broker.publish(&world.names.commands(), "acme.outbound.create", traced("c-2"), b"{}").await;
    assert_eq!(result_of(&mut results, "c-2").await.header("traceparent").as_deref(), Some(TRACE));
    // One that is no header value at all is no reason to fail.
    let odd = with_id("c-3").with_headers(header("traceparent", "line\nbreak"));
    world
        .broker
        .publish(&world.names.commands(), "acme.outbound.create", odd, order("SO-3").to_string().as_bytes())
        .await;
    assert_eq!(outcome(&result_of(&mut results, "c-3").await), "succeeded");
}

#[tokio::test]
async fn a_callers_full_queue_keeps_no_result_from_anybody() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let full = world.broker.full("full.reply").await;
    let get = json!({}).to_string();
    for number in 0..60 {
        let properties = with_id(&format!("c-{number}")).with_reply_to(full.as_str().into());
        world.broker.publish(&world.names.commands(), "acme.user.get", properties, get.as_bytes()).await;
    }
    for number in 0..60 {
        assert_eq!(outcome(&result_of(&mut results, &format!("c-{number}")).await), "succeeded");
    }
    assert_eq!(results.seen.len(), 60, "results were repeated");
    assert!(world.bridge.lines().iter().all(|line| !line.contains("publishing failed")), "it was tried again");
    let next = run(&world, &mut results, "acme.user.get", "c-9", &json!({})).await;
    assert_eq!(outcome(&next), "succeeded");
    assert_eq!(world.broker.depth(&full).await, 1);
}

#[tokio::test]
async fn an_answer_larger_than_a_message_may_be_is_no_result() {
    let world = setup_with("max_body = \"4KiB\"").start().await;
    let mut results = world.broker.results().await;
    let created = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    let mut large = created.data()["response"].clone();
    large["note"] = json!("x".repeat(5_000));
    for (method, status) in [("GET", 200), ("POST", 201)] {
        let answer = json!({"status": status, "body": large, "after": true});
        world.simulator.fault(json!({"match": {"method": method, "path": "/outbounds"}, "kind": answer})).await;
    }
    let read = run(&world, &mut results, "acme.outbound.get", "c-2", &json!({"outboundId": "SO-1"})).await;
    assert_eq!(outcome(&read), "failed rejected");
    assert!(read.data()["error"]["message"].as_str().unwrap().contains("commands.max_body"), "{}", read.text());
    let made = run(&world, &mut results, "acme.outbound.create", "c-3", &order("SO-2")).await;
    assert_eq!((outcome(&made), &made.data()["response"]), ("succeeded".to_owned(), &json!(null)));
    only(&world.simulator, "SO-2").await;
}
