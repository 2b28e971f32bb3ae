//! Bodies of commands, good and bad, and what the sender gets to read.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::super::CommandValidator;
use crate::domain::account::Role;

/// Compiled once for all tests.
pub(super) static VALIDATOR: LazyLock<CommandValidator> = LazyLock::new(|| CommandValidator::new().unwrap());

/// The faults as lines: `path message`.
fn lines(command: &str, body: &[u8]) -> Vec<String> {
    lines_as(Role::Merchant, command, body)
}

fn lines_as(role: Role, command: &str, body: &[u8]) -> Vec<String> {
    match VALIDATOR.validate(command, role, body).unwrap() {
        Ok(()) => vec![],
        Err(faults) => faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect(),
    }
}

/// Contract appendix F, with the operation's query parameter beside the body.
fn order() -> Value {
    json!({
        "oversale": true,
        "merchantOutboundNumber": "SO-1001",
        "warehouseId": "WARE04MAIN-00001-0001",
        "currency": "EUR",
        "shippingType": "Standard",
        "shippingAddress": {
            "firstname": "Ida", "lastname": "Beispiel", "street": "Hauptweg 3", "zip": "12345",
            "city": "Musterstadt", "country": "DE"
        },
        "items": [{ "outboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 2, "price": 9.9, "vat": 19 }]
    })
}

/// The order with one member set, by JSON pointer; `None` takes it away.
fn with(changes: &[(&str, Option<Value>)]) -> Value {
    let mut order = order();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = order.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(name.to_owned(), value.clone()),
            None => parent.shift_remove(name),
        };
    }
    order
}

#[test]
fn good_orders_pass() {
    for good in [
        order(),
        with(&[("/shippingType", None), ("/shippingMethodId", Some(json!("WARE0A0001")))]),
        with(&[("/shippingMethodId", Some(Value::Null)), ("/senderAddress", Some(Value::Null))]),
        with(&[("/shippingAddress/lastname", None), ("/shippingAddress/company", Some(json!("Beispiel AG")))]),
        with(&[("/items/0/merchantSku", None), ("/items/0/jfsku", Some(json!("ACME01A1B2C")))]),
        with(&[("/outboundId", Some(json!("ACME02K7Q2"))), ("/status", Some(json!("Preparation")))]),
        with(&[("/priority", Some(json!(-5))), ("/desiredDeliveryDate", Some(json!("2026-01-05T08:00:00+01:00")))]),
        with(&[("/premiumType", Some(json!("EbayPlus"))), ("/attributes", Some(json!([{"key": "a", "value": "b"}])))]),
        with(&[(
            "/shippingLabelProviderData",
            Some(json!({"amazonSfpShippingLabelProviderData": {"sellerId": "A1"}})),
        )]),
    ] {
        assert_eq!(lines("outbound.create", good.to_string().as_bytes()), Vec::<String>::new(), "{good}");
    }
    // More digits than a float holds are no fault.
    let digits = order().to_string().replace("9.9", "12345678901234567890.123456789012345678");
    assert_eq!(lines("outbound.create", digits.as_bytes()), Vec::<String>::new());
}

#[test]
fn bad_orders_say_what_is_wrong() {
    let table: Vec<(Value, &[&str])> = vec![
        (with(&[("/currency", None)]), &["currency: is required"]),
        (
            with(&[("/currency", Some(json!("EURO")))]),
            &["currency: must be a currency of 3 letters, like EUR (ISO 4217)"],
        ),
        (with(&[("/items", Some(json!([])))]), &["items: must have at least one entry"]),
        (with(&[("/items", Some(json!("x")))]), &["items: must be an array"]),
        (with(&[("/items", Some(json!([5])))]), &["items[0]: must be an object"]),
        (with(&[("/items/0/quantity", None)]), &["items[0].quantity: is required"]),
        (with(&[("/items/0/quantity", Some(json!("2")))]), &["items[0].quantity: must be a number"]),
        (with(&[("/items/0/price", Some(json!("9.90")))]), &["items[0].price: must be a number"]),
        (with(&[("/items/0/merchantSku", None)]), &["items[0]: needs jfsku or merchantSku"]),
        (with(&[("/items/0/merchantSku", Some(json!("")))]), &["items[0]: needs jfsku or merchantSku"]),
        (with(&[("/items/0/merchantSku", Some(json!(5)))]), &["items[0].merchantSku: must be a string"]),
        (
            with(&[("/items/0/jfsku", Some(json!("ACME01")))]),
            &["items[0].jfsku: must be an 11 character JFSKU like ACME01A1B2C"],
        ),
        (
            with(&[("/items/0/itemType", Some(json!("Gift")))]),
            &["items[0].itemType: must be one of Product, Shipping, Other, BillOfMaterials, not \"Gift\""],
        ),
        (
            with(&[("/items/0/unitPrice", Some(json!(1)))]),
            &["items[0].unitPrice: is unknown and would be lost; did you mean price?"],
        ),
        (
            with(&[("/note", Some(json!("x")))]),
            &["note: is unknown and would be lost; did you mean internalNote or externalNote?"],
        ),
        (with(&[("/od\nd", Some(json!("x")))]), &["[\"od d\"]: is unknown and would be lost"]),
        (with(&[("/shippingAddress/lastname", None)]), &["shippingAddress: needs lastname or company"]),
        (
            with(&[("/shippingAddress/country", Some(json!("Germany")))]),
            &["shippingAddress.country: must be a country of 2 letters, like DE (ISO 3166)"],
        ),
        (with(&[("/shippingAddress/zip", Some(json!("")))]), &["shippingAddress.zip: must not be empty"]),
        (
            with(&[("/shippingAddress/addition", Some(json!("c/o")))]),
            &["shippingAddress.addition: is unknown and would be lost"],
        ),
        (
            with(&[("/senderAddress", Some(json!({"street": "s", "city": "c", "country": "DE"})))]),
            &["senderAddress: needs lastname or company"],
        ),
        (with(&[("/senderAddress", Some(json!("here")))]), &["senderAddress: must be an object"]),
        (
            with(&[("/shippingMethodId", Some(json!("WARE0A0001")))]),
            &[": must not have shippingMethodId and shippingType together"],
        ),
        (
            with(&[("/shippingType", Some(json!("Fast")))]),
            &[
                "shippingType: must be one of Standard, Expedited, NextDay, SecondDay, SameDay, ByShippingLabelProvider, not \"Fast\"",
            ],
        ),
        (with(&[("/shippingType", Some(json!(5)))]), &["shippingType: must be a string"]),
        (
            with(&[("/status", Some(json!("Shipped")))]),
            &["status: must be one of Preparation, Pending, not \"Shipped\""],
        ),
        (with(&[("/priority", Some(json!(6)))]), &["priority: must be at most 5"]),
        (with(&[("/priority", Some(json!(1.5)))]), &["priority: must be a whole number"]),
        (
            with(&[("/outboundId", Some(json!("SO-1001")))]),
            &["outboundId: must be your user id, then 02, then 1 to 10 letters or digits, like ACME02K7Q2"],
        ),
        (
            with(&[("/merchantOutboundNumber", Some(json!("a\nb")))]),
            &["merchantOutboundNumber: must be one line, without line breaks"],
        ),
        (with(&[("/merchantOutboundNumber", Some(json!("")))]), &["merchantOutboundNumber: must not be empty"]),
        (
            with(&[("/merchantOutboundNumber", Some(json!("x".repeat(256))))]),
            &["merchantOutboundNumber: must be at most 255 characters"],
        ),
        (with(&[("/internalNote", Some(json!("x".repeat(4097))))]), &["internalNote: must be at most 4096 characters"]),
        (with(&[("/warehouseId", Some(json!("W1")))]), &["warehouseId: must be at least 14 characters"]),
        (
            with(&[("/desiredDeliveryDate", Some(json!("2026-01-05")))]),
            &["desiredDeliveryDate: must be a date and time with offset, like 2026-01-05T08:00:00Z"],
        ),
        (with(&[("/oversale", Some(json!("true")))]), &["oversale: must be true or false"]),
        (
            with(&[("/attributes", Some(json!([{"key": "a", "value": "b"}, {"key": "a", "value": 5}])))]),
            &["attributes[1].value: must be a string"],
        ),
        (
            with(&[(
                "/items",
                Some(json!([
                    {"outboundItemId": "1", "jfsku": "ACME01A1B2C", "quantity": 1},
                    {"outboundItemId": "1", "jfsku": "ACME01A1B2C", "quantity": true}
                ])),
            )]),
            &[
                "items[1].outboundItemId: must be unique within the order, but repeats items[0]",
                "items[1].quantity: must be a number",
            ],
        ),
        (
            with(&[
                ("/autoCompleteBillOfMaterials", Some(json!(true))),
                ("/items/0/billOfMaterialsId", Some(json!("7"))),
            ]),
            &["items[0].billOfMaterialsId: must be left out when autoCompleteBillOfMaterials is true"],
        ),
    ];
    for (body, expected) in table {
        assert_eq!(lines("outbound.create", body.to_string().as_bytes()), expected, "{body}");
    }
}

#[test]
fn all_faults_come_at_once() {
    let body = br#"{"warehouseId":5,"items":[{"quantity":"1"}],"shippingAddress":{}}"#;
    let mut found = lines("outbound.create", body);
    found.sort();
    assert_eq!(
        found,
        [
            "currency: is required",
            "items[0].outboundItemId: is required",
            "items[0].quantity: must be a number",
            "items[0]: needs jfsku or merchantSku",
            "merchantOutboundNumber: is required",
            "shippingAddress.city: is required",
            "shippingAddress.country: is required",
            "shippingAddress.street: is required",
            "shippingAddress: needs lastname or company",
            "warehouseId: must be a string",
        ]
    );
}

#[test]
fn the_other_commands_have_their_own_bodies() {
    let table: [(&str, &str, &[&str]); 12] = [
        ("outbound.get", r#"{"outboundId":"SO-1001"}"#, &[]),
        ("outbound.get", r#"{}"#, &["outboundId: is required"]),
        ("outbound.get", r#"{"outboundId":""}"#, &["outboundId: must not be empty"]),
        ("outbound.get", r#"{"outboundId":".."}"#, &["outboundId: must be one line, and not \".\" or \"..\""]),
        ("outbound.cancel", r#"{"outboundId":"a/b #1","cancelReason":"x","cancelReasonCode":null}"#, &[]),
        ("outbound.cancel", r#"{"outboundId":"1","status":"Canceled"}"#, &["status: is unknown and would be lost"]),
        ("outbound.update", r#"{"outboundId":"1","shippingMethodId":"WARE0A0001","shippingType":null}"#, &[]),
        ("outbound.update", r#"{"outboundId":"1","shippingAddress":{"zip":"1"},"oversale":false}"#, &[]),
        (
            "outbound.update",
            r#"{"outboundId":"1","shippingAddress":{"zip":""}}"#,
            &["shippingAddress.zip: must not be empty"],
        ),
        ("outbound.update", r#"{"outboundId":"1","items":[]}"#, &["items: must have at least one entry"]),
        (
            "outbound.update",
            r#"{"outboundId":"1","attributes":[{"key":"a","value":"b"}]}"#,
            &["attributes[0].attributeType: is required"],
        ),
        (
            "outbound.update",
            r#"{"outboundId":"1","merchantOutboundNumber":"2"}"#,
            &["merchantOutboundNumber: is unknown and would be lost"],
        ),
    ];
    for (command, body, expected) in table {
        assert_eq!(lines(command, body.as_bytes()), expected, "{command} {body}");
    }
}

#[test]
fn a_body_that_is_no_object_is_one_fault() {
    assert_eq!(lines("outbound.get", b""), [": is not JSON: EOF while parsing a value at line 1 column 0"]);
    assert_eq!(lines("outbound.get", b"{\n  \"outboundId\": }"), [": is not JSON: expected value at line 2 column 17"]);
    assert_eq!(lines("outbound.get", b"[]"), [": must be a JSON object, but is an array"]);
    assert_eq!(lines("outbound.get", b"null"), [": must be a JSON object, but is null"]);
}
