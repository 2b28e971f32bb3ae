//! How doubts are settled where more than one thing may have happened, and answers of FFN that say less than they could.

use serde_json::{Value, json};

use super::{Stage, cases, outcome, result_of, rows};
use crate::support::{order, until};
use ffn_bridge::domain::account::Role;
use ffn_bridge::ffn::operations::{Operation, Settle, Subject, Verb};

const MUG: &str = "ACME01A1B2C";
const MAIN: &str = "WARE04MAIN-00001-0001";
const NOON: &str = "2026-01-05T12:00:00Z";

async fn make_order(stage: &mut Stage) -> String {
    let number = stage.tag();
    stage.done("acme", "outbound.create", order(&number)).await["outboundId"].as_str().unwrap().to_owned()
}

async fn status_of(stage: &Stage, id: &str) -> Value {
    let outbounds = stage.world.simulator.outbounds().await;
    outbounds.into_iter().find(|outbound| outbound["outboundId"] == id).unwrap()["status"].clone()
}

#[tokio::test]
async fn a_status_that_was_reached_and_left_again_is_not_set_once_more() {
    let mut stage = Stage::start().await;
    let id = make_order(&mut stage).await;
    let simulator = &stage.world.simulator;
    simulator.fault(json!({"match": {"method": "PUT", "path": "/status"}, "kind": "cut_after"})).await;
    simulator.fault(json!({"match": {"method": "GET", "path": &id}, "times": 3, "kind": {"status": 503}})).await;
    let body = json!({"outboundId": id, "status": "Acknowledged"});
    stage.world.broker.command("ware.outbound.change-status", "c-1", &body).await;
    until("the status at the simulator", async || (status_of(&stage, &id).await == "Acknowledged").then_some(())).await;
    stage.world.simulator.advance(&id, "Pickprocess").await;
    let result = result_of(&mut stage.results, "c-1").await;
    assert_eq!((outcome(&result).as_str(), &result.data()["reconciled"]), ("succeeded", &json!(true)));
    assert_eq!(status_of(&stage, &id).await, "Pickprocess", "it was set back");
    assert_eq!(stage.world.simulator.requests("PUT", "/status").await.len(), 1);
}

#[tokio::test]
async fn of_many_statuses_those_that_failed_are_named_and_the_others_stay() {
    let mut stage = Stage::start().await;
    for leave_out in [false, true] {
        stage.world.simulator.post("settings", json!({"leave_out_failed_statuses": leave_out})).await;
        let (one, shipped, other) =
            (make_order(&mut stage).await, make_order(&mut stage).await, make_order(&mut stage).await);
        stage.world.simulator.advance(&shipped, "Shipped").await;
        let items: Vec<Value> =
            [&one, &shipped, &other].iter().map(|id| json!({"outboundId": id, "status": "Acknowledged"})).collect();
        let result = stage.run("ware", "outbounds.change-status", &json!({"items": items})).await;
        assert!(outcome(&result).starts_with("failed "), "{}", result.text());
        let fields = result.data()["error"]["fields"].clone();
        assert_eq!(fields.as_array().unwrap().len(), 1, "{fields}");
        assert_eq!(fields[0]["path"], "items[1]");
        for id in [&one, &other] {
            assert_eq!(status_of(&stage, id).await, "Acknowledged");
        }
    }
}

#[tokio::test]
async fn of_many_statuses_in_doubt_only_the_rest_is_sent_again() {
    let mut stage = Stage::start().await;
    let (one, other) = (make_order(&mut stage).await, make_order(&mut stage).await);
    let simulator = &stage.world.simulator;
    simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds/status"}, "kind": "cut_before"})).await;
    simulator.fault(json!({"match": {"method": "GET", "path": &one}, "times": 3, "kind": {"status": 503}})).await;
    let items = json!([{"outboundId": one, "status": "Acknowledged"}, {"outboundId": other, "status": "Acknowledged"}]);
    stage.world.broker.command("ware.outbounds.change-status", "c-1", &json!({"items": items})).await;
    until("the first call", async || {
        (!stage.world.simulator.requests("POST", "/outbounds/status").await.is_empty()).then_some(())
    })
    .await;
    stage.world.simulator.advance(&other, "Acknowledged").await;
    stage.world.simulator.advance(&other, "Pickprocess").await;
    let result = result_of(&mut stage.results, "c-1").await;
    assert_eq!(outcome(&result), "succeeded", "{}", result.text());
    assert_eq!(status_of(&stage, &one).await, "Acknowledged");
    assert_eq!(status_of(&stage, &other).await, "Pickprocess", "it was set back");
}

#[tokio::test]
async fn goods_of_which_a_part_is_booked_are_a_persons_business() {
    let mut stage = Stage::start().await;
    let body = cases::prepare(&mut stage, "inbound.receive-bulk", Role::Fulfiller).await;
    let goods = |id: &str| json!({"jfsku": MUG, "warehouseId": MAIN, "quantity": 1, "fulfillerTimestamp": NOON, "fulfillerStockChangeId": id});
    let mut first = goods("booked");
    first["inboundId"] = body["inboundId"].clone();
    stage.done("ware", "inbound.receive", first).await;
    stage.world.simulator.fault(json!({"match": {"method": "POST", "path": "/bulk"}, "kind": "cut_before"})).await;
    let before = stage.effects().await;
    let bulk = json!({"inboundId": body["inboundId"], "items": [goods("booked"), goods("missing")]});
    let result = stage.run("ware", "inbound.receive-bulk", &bulk).await;
    assert_eq!(outcome(&result), "failed outcome-unknown", "{}", result.text());
    assert!(result.data()["error"]["message"].as_str().unwrap().contains("missing"), "{}", result.text());
    assert_eq!(stage.effects().await, before);
}

#[tokio::test]
async fn another_parcel_under_the_number_is_a_conflict_and_no_second_parcel() {
    let mut stage = Stage::start().await;
    let mut body = cases::prepare(&mut stage, "shipment.create", Role::Fulfiller).await;
    stage.done("ware", "shipment.create", body.clone()).await;
    body["items"][0]["quantity"] = json!(0.5);
    // With a number that FFN takes twice as well.
    for twice in [false, true] {
        stage.world.simulator.post("settings", json!({"accept_duplicate_shipping_numbers": twice})).await;
        if twice {
            let kind = json!("cut_before");
            let path = json!({"method": "POST", "path": "/shipping-notifications"});
            stage.world.simulator.fault(json!({"match": path, "kind": kind})).await;
        }
        let before = stage.effects().await;
        let result = stage.run("ware", "shipment.create", &body).await;
        assert_eq!(outcome(&result), "failed conflict", "{}", result.text());
        assert_eq!(result.data()["error"]["fields"][0]["path"], "items[0]", "{}", result.text());
        assert_eq!(stage.effects().await, before);
    }
}

/// What a creation may give beside what it has to, and of that a member, as a pointer, with another value.
fn given(name: &str) -> (Value, Vec<(&'static str, Value)>) {
    match name {
        "product.create" => (
            json!({"note": "n", "productGroup": "Mugs", "netRetailPrice": {"amount": 9.90, "currency": "EUR"},
                "attributes": [{"key": "colour", "value": "blue"}, {"key": "size", "value": "L"}],
                "bundles": [{"name": "Box", "quantity": 6, "ean": "4006381333948"}],
                "dimensions": {"length": 0.1, "width": 0.1, "height": 0.20},
                "specifications": {"taric": "6912", "isBatch": false, "isDivisible": false, "isBestBefore": false,
                    "isSerialNumber": false, "isBillOfMaterials": false, "isPackaging": false}}),
            vec![
                ("/identifier/ean", json!("4006381333948")),
                ("/note", json!("other")),
                ("/productGroup", json!("Cups")),
                ("/weight", json!(0.351)),
                ("/attributes/1/value", json!("M")),
                ("/specifications/taric", json!("6913")),
            ],
        ),
        "inbound.create" => (
            json!({"note": "n", "purchaseOrderNumber": "PO-1", "supplier": {"merchantSupplierNumber": "S-1"},
                "attributes": [{"key": "ramp", "value": "7"}]}),
            vec![
                ("/note", json!("other")),
                ("/purchaseOrderNumber", json!("PO-2")),
                ("/supplier/merchantSupplierNumber", json!("S-2")),
            ],
        ),
        "return.create" => (
            json!({"contact": "Ida", "internalNote": "n"}),
            vec![("/customerAddress/lastname", json!("Other")), ("/contact", json!("Udo"))],
        ),
        "return-item.create" => (
            json!({"reason": "ArrivedTooLate", "reasonNote": "n"}),
            vec![("/reason", json!("WrongItemSent")), ("/reasonNote", json!("other"))],
        ),
        "shipping-method.create" => (
            json!({"carrierCode": "dhl", "carrierName": "DHL", "trackingUrlSchema": "https://track.example/{0}"}),
            vec![
                ("/carrierCode", json!("ups")),
                ("/trackingUrlSchema", json!("https://other.example/{0}")),
                ("/cutoffTime", json!("17:00")),
            ],
        ),
        "shipment.create" | "inbound-shipment.create" => (
            json!({"note": "n"}),
            vec![("/note", json!("other")), ("/packages/0/shippingDate", json!("2026-01-06T12:00:00Z"))],
        ),
        "attachment.create" => (json!({}), vec![("/documentType", json!("Custom"))]),
        _ => (json!({}), Vec::new()),
    }
}

#[tokio::test]
async fn whatever_is_given_and_shown_otherwise_is_a_conflict_and_what_was_given_alike_is_none() {
    let mut stage = Stage::start().await;
    for (operation, role) in rows().filter(|(operation, _)| matches!(operation.settle, Settle::Key(_))) {
        let (more, others) = given(operation.name);
        let mut body = cases::prepare(&mut stage, operation.name, role).await;
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (account, name) = (super::account(role), format!("{role} {}", operation.name));
        if !others.is_empty() {
            stage.fault(operation, &json!("cut_after")).await;
            let result = stage.run(account, operation.name, &body).await;
            let end = (outcome(&result), result.data()["reconciled"] == true);
            assert_eq!(end, ("succeeded".to_owned(), true), "{name}: {}", result.text());
        }
        let before = stage.effects().await;
        for (pointer, value) in others {
            let mut other = body.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            let result = stage.run(account, operation.name, &other).await;
            assert_eq!(outcome(&result), "failed conflict", "{name} {pointer}: {}", result.text());
            let fields = result.data()["error"]["fields"].clone();
            assert_eq!(fields.as_array().unwrap().len(), 1, "{name} {pointer}: {fields}");
            let path = pointer[1..].replace("/0", "[0]").replace("/1", "[1]").replace('/', ".");
            assert_eq!(fields[0]["path"], path, "{name}: {fields}");
        }
        assert_eq!(stage.effects().await, before, "{name}");
    }
}

#[tokio::test]
async fn what_has_no_number_is_not_taken_for_the_like_of_another_command() {
    let mut stage = Stage::start().await;
    for (role, name) in [
        (Role::Fulfiller, "warehouse.create"),
        (Role::Merchant, "picture.create"),
        (Role::Merchant, "return-item.create"),
        (Role::Merchant, "return-item.split"),
    ] {
        let mut body = cases::prepare(&mut stage, name, role).await;
        for number in ["number", "returnItemId"].iter().filter(|_| name.ends_with(".create")) {
            body.as_object_mut().unwrap().remove(*number);
        }
        let account = super::account(role);
        stage.done(account, name, body.clone()).await;
        let before = stage.effects().await;
        stage.fault(Operation::of(name, role).unwrap(), &json!("cut_before")).await;
        let result = stage.run(account, name, &body).await;
        assert_eq!(outcome(&result), "failed outcome-unknown", "{name}: {}", result.text());
        assert_eq!(stage.effects().await, before, "{name}");
    }
}

#[tokio::test]
async fn a_booking_has_an_id_of_the_bridges_own_making_by_which_it_is_found() {
    let mut stage = Stage::start().await;
    let body = cases::prepare(&mut stage, "stock.adjust", Role::Fulfiller).await;
    let path = json!({"method": "POST", "path": "/adjustments"});
    stage.world.simulator.fault(json!({"match": path, "kind": {"status": 503, "after": true}})).await;
    let result = stage.run("ware", "stock.adjust", &body).await;
    let response = &result.data()["response"];
    assert_eq!((outcome(&result).as_str(), &result.data()["reconciled"]), ("succeeded", &json!(true)));
    let id = response["fulfillerStockChangeId"].as_str().unwrap();
    assert!(uuid::Uuid::parse_str(id).is_ok(), "{id}");
    assert_eq!(stage.world.simulator.requests("POST", "/adjustments").await.len(), 1);
}

#[tokio::test]
async fn a_creation_that_is_answered_without_the_object_is_found() {
    let mut stage = Stage::start().await;
    let creations = rows().filter(|(operation, _)| operation.method == Verb::Post);
    for (operation, role) in creations.filter(|(operation, _)| operation.name != "outbounds.change-status") {
        let body = cases::prepare(&mut stage, operation.name, role).await;
        stage.world.simulator.post("settings", json!({"create_answer": "empty"})).await;
        let before = stage.effects().await;
        let account = super::account(role);
        let result = stage.run(account, operation.name, &body).await;
        let name = format!("{role} {}: {}", operation.name, result.text());
        stage.world.simulator.post("settings", json!({"create_answer": "object"})).await;
        assert_eq!(stage.effects().await - before, super::effects_of(operation), "{name}");
        assert_eq!(outcome(&result), "succeeded", "{name}");
        // What was made is looked for, where the command names it.
        let is_named = !super::nothing_tells(operation) && matches!(operation.subject, Subject::Answer(_));
        if (is_named && matches!(operation.settle, Settle::Key(_))) || matches!(operation.settle, Settle::Ledger { .. })
        {
            assert!(result.json()["subject"].is_string() && result.data()["reconciled"] == true, "{name}");
        }
    }
}

#[tokio::test]
async fn a_change_may_be_answered_with_anything() {
    let mut stage = Stage::start().await;
    for answer in ["empty", "object"] {
        stage.world.simulator.post("settings", json!({"change_answer": answer})).await;
        let changes =
            rows().filter(|(operation, _)| matches!(operation.method, Verb::Put | Verb::Patch | Verb::Delete));
        for (operation, role) in changes {
            let body = cases::prepare(&mut stage, operation.name, role).await;
            let result = stage.run(super::account(role), operation.name, &body).await;
            assert_eq!(outcome(&result), "succeeded", "{role} {} {answer}: {}", operation.name, result.text());
        }
    }
}
