//! Bodies of commands, good and bad, and what the sender gets to read.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::super::{COMMANDS, CommandValidator};
use crate::domain::account::Role;

/// Compiled once for all tests.
pub(super) static VALIDATOR: LazyLock<CommandValidator> = LazyLock::new(CommandValidator::default);

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

/// What the small example of a document becomes with changes by JSON pointer, and what is told of it.
fn told(document: &str, changes: &[(&str, Value)]) -> Vec<String> {
    let spec = COMMANDS.iter().find(|spec| spec.document() == document).unwrap();
    let mut body = super::super::document(document).unwrap().schema["examples"][0].clone();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match body.pointer_mut(parent).unwrap() {
            Value::Array(entries) => entries.push(value.clone()),
            parent => drop(parent.as_object_mut().unwrap().insert(name.to_owned(), value.clone())),
        }
    }
    lines_as(spec.roles[0], spec.name, body.to_string().as_bytes())
}

#[test]
fn rules_between_members_are_told_before_ffn_tells_them() {
    let line = |id: &str| json!({ "inboundItemId": id, "jfsku": "ACME01A1B2C", "quantity": 1 });
    let day = |year: i32, month: i32, day: i32| json!({ "year": year, "month": month, "day": day });
    let parcel = |id: i32| json!({ "jfsku": "ACME01A1B2C", "quantity": 1, "packageId": id });
    let left = json!({ "shippingDate": "2026-01-05T08:00:00Z" });
    let back = |more: Value| {
        let mut item = json!({ "jfsku": "ACME01A1B2C", "quantity": 1 });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    };
    type Row<'a> = (&'a str, Vec<(&'a str, Value)>, &'a [&'a str]);
    let table: Vec<Row<'_>> = vec![
        // Ids on two lines.
        (
            "inbound.create",
            vec![("/items", json!([line("1"), line("2"), line("1")]))],
            &["items[2].inboundItemId: must be unique within the delivery, but repeats items[0]"],
        ),
        (
            "inbound.update",
            vec![("/items", json!([line("1"), line("1")]))],
            &["items[1].inboundItemId: must be unique within the delivery, but repeats items[0]"],
        ),
        ("inbound.update", vec![("/items", json!([line("1"), line("2")]))], &[]),
        (
            "return.create.fulfiller",
            vec![("/items", json!([back(json!({ "returnItemId": "a" })), back(json!({ "returnItemId": "a" }))]))],
            &["items[1].returnItemId: must be unique within the return, but repeats items[0]"],
        ),
        // Two lines without ids of their own are no repetition.
        ("return.create.fulfiller", vec![("/items", json!([back(json!({})), back(json!({}))]))], &[]),
        // A line of an order has both ids.
        (
            "return.create.merchant",
            vec![(
                "/items",
                json!([back(json!({ "outboundId": "ACME02K7Q2" })), back(json!({ "outboundItemId": "1" }))]),
            )],
            &[
                "items[0].outboundItemId: is required where outboundId is given",
                "items[1].outboundId: is required where outboundItemId is given",
            ],
        ),
        (
            "return-item.create.merchant",
            vec![("/outboundId", json!("ACME02K7Q2")), ("/outboundItemId", Value::Null)],
            &["outboundItemId: is required where outboundId is given"],
        ),
        ("return-item.create.merchant", vec![("/outboundId", Value::Null)], &[]),
        (
            "return-item.create.fulfiller",
            vec![("/outboundId", json!("ACME02K7Q2")), ("/outboundItemId", json!("1"))],
            &[],
        ),
        (
            "return-item.create.fulfiller",
            vec![("/merchantSku", json!("MUG"))],
            &["merchantSku: is unknown and would be lost"],
        ),
        // Quantities.
        ("return-item.split", vec![("/quantity", json!(0))], &["quantity: must be more than 0"]),
        ("return-item.split", vec![("/quantity", json!(0.001))], &[]),
        ("inbound.create", vec![("/items/0/quantity", json!(-1))], &["items[0].quantity: must be more than 0"]),
        ("shipment.create", vec![("/items/0/quantity", json!(0))], &["items[0].quantity: must be more than 0"]),
        ("stock.adjust", vec![("/quantity", json!(0))], &[": needs quantity or quantityBlocked that is not zero"]),
        (
            "stock.adjust",
            vec![("/quantity", json!(-0.0)), ("/quantityBlocked", json!(0.0))],
            &[": needs quantity or quantityBlocked that is not zero"],
        ),
        ("stock.adjust", vec![("/quantity", Value::Null)], &[": needs quantity or quantityBlocked that is not zero"]),
        ("stock.adjust", vec![("/quantity", json!("1"))], &["quantity: must be a number"]),
        ("stock.adjust", vec![("/quantity", json!(0)), ("/quantityBlocked", json!(-0.5))], &[]),
        ("inbound.receive", vec![("/quantity", json!(0))], &[": needs quantity or quantityBlocked that is not zero"]),
        (
            "return-item.receive",
            vec![("/quantity", json!(0))],
            &[": needs quantity or quantityBlocked that is not zero"],
        ),
        (
            "inbound.receive-bulk",
            vec![
                ("/items/0/quantity", json!(0)),
                (
                    "/items/-",
                    json!({ "jfsku": "ACME01A1B2C", "warehouseId": "WARE04MAIN-00001-0001", "fulfillerTimestamp": "2026-01-05T08:00:00Z" }),
                ),
            ],
            &[
                "items[0]: needs quantity or quantityBlocked that is not zero",
                "items[1]: needs quantity or quantityBlocked that is not zero",
            ],
        ),
        // Parcels.
        (
            "inbound-shipment.create",
            vec![("/items", json!([parcel(0), parcel(1), parcel(2), parcel(-1)])), ("/packages", json!([left, left]))],
            &["items[2].packageId: must be a place in packages, from 0 to 1", "items[3].packageId: must be at least 0"],
        ),
        (
            "inbound-shipment.create",
            vec![("/items", json!([parcel(0)]))],
            &["items[0].packageId: must be left out where there are no packages"],
        ),
        (
            "inbound-shipment.update",
            vec![("/items", json!([parcel(1)])), ("/packages", json!([left]))],
            &["items[0].packageId: must be 0, the place of the only entry of packages"],
        ),
        // What parcels there are is not known here.
        ("inbound-shipment.update", vec![("/items", json!([parcel(7)]))], &[]),
        // Reasons.
        (
            "outbound.change-status.merchant",
            vec![("/status", json!("Pending")), ("/cancelReason", json!("x")), ("/cancelReasonCode", json!("None"))],
            &[
                "cancelReasonCode: must be left out unless status is Canceled",
                "cancelReason: must be left out unless status is Canceled or PartiallyCanceled",
            ],
        ),
        (
            "outbound.change-status.merchant",
            vec![("/status", json!("Canceled")), ("/cancelReasonCode", json!("None"))],
            &[],
        ),
        ("outbound.change-status.merchant", vec![("/status", json!("Pending")), ("/cancelReason", Value::Null)], &[]),
        (
            "outbound.change-status.fulfiller",
            vec![
                ("/status", json!("PartiallyCanceled")),
                ("/cancelReason", json!("x")),
                ("/cancelReasonCode", json!("None")),
            ],
            &["cancelReasonCode: must be left out unless status is Canceled"],
        ),
        (
            "outbound.change-status.fulfiller",
            vec![("/status", json!("Shipped"))],
            &["status: must be one of Acknowledged, Locked, Pickprocess, Canceled, PartiallyCanceled, not \"Shipped\""],
        ),
        (
            "outbounds.change-status",
            vec![("/items/-", json!({ "outboundId": "ACME02K7Q2", "status": "Locked", "cancelReason": "x" }))],
            &["items[1].cancelReason: must be left out unless status is Canceled or PartiallyCanceled"],
        ),
        (
            "outbounds.change-status",
            vec![("/items/-", json!({ "outboundId": "ACME02", "status": "Locked" }))],
            &["items[1].outboundId: must be at least 7 characters"],
        ),
        // Days.
        ("stock.adjust", vec![("/bestBefore", day(2028, 2, 29))], &[]),
        (
            "stock.adjust",
            vec![("/bestBefore", day(2027, 2, 29))],
            &["bestBefore: must be a day of the calendar, not 2027-02-29"],
        ),
        ("stock.adjust", vec![("/bestBefore", day(2027, 13, 1))], &["bestBefore.month: must be at most 12"]),
        (
            "shipment.create",
            vec![("/items/0/bestBefore", day(2027, 4, 31))],
            &["items[0].bestBefore: must be a day of the calendar, not 2027-04-31"],
        ),
        // Files.
        ("attachment.create", vec![("/data", json!("JVBERi0xLjcK"))], &[]),
        ("attachment.create", vec![("/data", json!("JVBERi0xLjc="))], &[]),
        (
            "attachment.create",
            vec![("/data", json!("JVBERi0xLjc"))],
            &["data: must be base64 with its padding, without line breaks"],
        ),
        (
            "attachment.create",
            vec![("/data", json!("JVBE\r\nRi0x"))],
            &["data: must be base64 with its padding, without line breaks"],
        ),
        (
            "picture.create",
            vec![("/data", json!("not a picture"))],
            &["data: must be base64 with its padding, without line breaks"],
        ),
        ("picture.create", vec![("/data", json!(""))], &["data: must not be empty"]),
        // Ids.
        (
            "inbound.create",
            vec![("/inboundId", json!("ACME02P4T1"))],
            &["inboundId: must be your user id, then 03, then 1 to 10 letters or digits, like ACME03P4T1"],
        ),
        (
            "inbound-shipment.create",
            vec![("/inboundShippingNotificationId", json!("7"))],
            &[
                "inboundShippingNotificationId: must be your user id, then 07, then 1 to 10 letters or digits, like ACME07C2L9",
            ],
        ),
        ("shipment.create", vec![("/outboundShippingNotificationId", json!("mine 7"))], &[]),
        (
            "return.create.merchant",
            vec![("/returnId", json!(".."))],
            &["returnId: must be one line, and not \".\" or \"..\""],
        ),
        (
            "return.create.merchant",
            vec![("/items/0/returnItemId", json!("a\nb"))],
            &["items[0].returnItemId: must be one line, and not \".\" or \"..\""],
        ),
        (
            "return.create.fulfiller",
            vec![("/merchantId", json!("AC"))],
            &["merchantId: must be a user id of 4 letters or digits, like WARE"],
        ),
        (
            "product.get",
            vec![("/jfsku", json!("MUG-BLUE"))],
            &["jfsku: must be an 11 character JFSKU like ACME01A1B2C"],
        ),
        ("picture.get", vec![("/number", json!("1"))], &["number: must be a whole number"]),
        // Lists and times.
        (
            "outbounds.list",
            vec![("/$top", json!(501)), ("/$skip", json!(-1)), ("/top", json!(5))],
            &[
                "$top: must be at most 500",
                "$skip: must be at least 0",
                "top: is unknown and would be lost; did you mean $top?",
            ],
        ),
        (
            "products.list.fulfiller",
            vec![("/referencedFulfiller", json!("WARE"))],
            &["referencedFulfiller: is unknown and would be lost"],
        ),
        (
            "shipping-method.create",
            vec![("/cutoffTime", json!("24:00"))],
            &["cutoffTime: must be a time of day as HH:mm, like 14:30"],
        ),
        (
            "return.lock",
            vec![("/objectVersion", json!("yesterday"))],
            &["objectVersion: must be a date and time with offset, like 2026-01-05T08:00:00Z"],
        ),
        ("return.lock", vec![("/objectVersion", json!("2026-01-05T08:00:00.1234567+00:00"))], &[]),
        (
            "related-product.create.merchant",
            vec![("/condition", json!("Used"))],
            &["condition: is unknown and would be lost"],
        ),
        (
            "related-product.create.fulfiller",
            vec![("/condition", json!("Unknown"))],
            &["condition: must be one of Default, Refurbished, Used, Damaged, not \"Unknown\""],
        ),
        (
            "authorization.grant-warehouse",
            vec![("/shippingMethods", json!([]))],
            &["shippingMethods: must have at least one entry"],
        ),
        (
            "credential.create",
            vec![("/platform", json!("Amazon_pl"))],
            &[
                "platform: must be one of Amazon_de, Amazon_com, Amazon_co_uk, Amazon_fr, Amazon_ca, Amazon_it, Amazon_es, Amazon_com_mx, Amazon_com_au, not \"Amazon_pl\"",
            ],
        ),
    ];
    for (document, changes, expected) in table {
        assert_eq!(told(document, &changes), expected, "{document} {changes:?}");
    }
}

#[test]
fn faults_in_lists_in_lists_have_their_whole_path() {
    let line = json!({ "jfsku": "ACME01A1B2C", "quantity": 1, "serialnumbers": ["a", 5, "b", null] });
    let parcel = json!({ "shippingDate": "x", "identifier": [{ "value": "1" }, {}], "shippingMethodId": "WARE0A0001" });
    assert_eq!(
        told("shipment.create", &[("/items", json!([line, line])), ("/packages", json!([parcel]))]),
        [
            "packages[0].shippingDate: must be a date and time with offset, like 2026-01-05T08:00:00Z",
            "packages[0].identifier[0].identifierType: is required",
            "items[0].serialnumbers[1]: must be a string",
            "items[0].serialnumbers[3]: must be a string",
            "items[1].serialnumbers[1]: must be a string",
            "items[1].serialnumbers[3]: must be a string",
            "packages[0].identifier[1].value: is required",
            "packages[0].identifier[1].identifierType: is required",
        ]
    );
    let specifications = json!({
        "isBatch": false, "isDivisible": false, "isBestBefore": false, "isSerialNumber": false,
        "isBillOfMaterials": true, "isPackaging": "no", "billOfMaterialsComponents": [{ "jfsku": "ACME01A1B2C", "quantity": 1 }, { "quantity": 2 }]
    });
    assert_eq!(
        told("product.create", &[("/specifications", specifications)]),
        [
            "specifications.isPackaging: must be true or false",
            "specifications.billOfMaterialsComponents[1]: needs jfsku or merchantSku",
        ]
    );
}
