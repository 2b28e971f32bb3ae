//! Whatever comes, the validator answers: no panic, no flood, no long wait.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::result::FieldError;
use super::super::{COMMANDS, CommandSpec, MAX_FAULTS};
use super::bodies::VALIDATOR;
use crate::domain::account::Role;

/// Checks the body as every command, and that the answer is of a bearable size.
fn check(body: &[u8]) {
    for spec in COMMANDS {
        check_as(spec, body);
    }
}

fn check_as(spec: &CommandSpec, body: &[u8]) -> Vec<FieldError> {
    let faults = VALIDATOR.validate(spec.name, spec.roles[0], body).unwrap().err().unwrap_or_default();
    assert!(faults.len() <= MAX_FAULTS + 1, "{}", faults.len());
    for fault in &faults {
        assert!(fault.message.len() < 500 && fault.path.len() < 500, "{fault:?}");
    }
    faults
}

/// The command whose body goes by that name.
fn command(document: &str) -> &'static CommandSpec {
    COMMANDS.iter().find(|spec| spec.document() == document).unwrap()
}

#[test]
fn a_megabyte_of_anything_is_answered_soon() {
    let half_a_million = 500_000;
    let started = Instant::now();
    for body in [
        "[".repeat(1 << 20),
        "{\"a\":".repeat(200_000),
        format!("\"{}\"", "x".repeat(1 << 20)),
        format!("{{\"outboundId\":\"{}\"}}", "x".repeat(1 << 20)),
        format!("{{\"outboundId\":\"{}\"}}", "\\n".repeat(half_a_million)),
        format!("{{\"items\":[{}1]}}", "1,".repeat(half_a_million)),
        format!("{{\"items\":[{}{{}}]}}", "{},".repeat(350_000)),
        format!("{{\"items\":[{}{{}}]}}", "{\"outboundItemId\":\"1\"},".repeat(45_000)),
        format!("{{\"attributes\":[{}{{}}]}}", "{},".repeat(350_000)),
        format!("{{{}\"z\":1}}", (0..100_000).map(|n| format!("\"k{n}\":1,")).collect::<String>()),
        format!(
            "{{\"senderAddress\":{{{}\"z\":1}}}}",
            (0..100_000).map(|n| format!("\"k{n}\":1,")).collect::<String>()
        ),
    ] {
        for name in [
            "outbound.create",
            "outbound.update",
            "outbound.get",
            "return-item.create.merchant",
            "inbound.receive-bulk",
        ] {
            assert!(!check_as(command(name), body.as_bytes()).is_empty());
        }
    }
    // Measured: a few seconds without optimisation for 11 bodies and 5 commands. The bound is for a slow machine.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn a_flood_of_entries_in_a_list_in_a_list_is_cut_short_too() {
    let started = Instant::now();
    let flood = |entry: &str| format!("{}{entry}", format!("{entry},").repeat((1 << 20) / entry.len()));
    for (name, body) in [
        ("shipment.create", format!("{{\"packages\":[{{\"identifier\":[{}]}}]}}", flood("{}"))),
        ("shipment.create", format!("{{\"items\":[{{\"serialnumbers\":[{}]}}]}}", flood("1"))),
        ("shipment.create", format!("{{\"items\":[{}]}}", flood("{\"serialnumbers\":[1,1]}"))),
        ("inbound-shipment.create", format!("{{\"items\":[{}]}}", flood("{\"packageId\":1}"))),
        ("inbound-shipment.update", format!("{{\"packages\":[{{}},{{\"identifier\":[{}]}}]}}", flood("0"))),
        ("product.create", format!("{{\"specifications\":{{\"billOfMaterialsComponents\":[{}]}}}}", flood("{}"))),
        ("product.update", format!("{{\"specifications\":{{\"billOfMaterialsComponents\":[{}]}}}}", flood("{}"))),
        (
            "return.create.merchant",
            format!("{{\"items\":[{}]}}", flood("{\"returnItemId\":\"1\",\"outboundId\":\"1\"}")),
        ),
        (
            "outbounds.change-status",
            format!("{{\"items\":[{}]}}", flood("{\"status\":\"Locked\",\"cancelReason\":\"\"}")),
        ),
        (
            "inbound.receive-bulk",
            format!("{{\"items\":[{}]}}", flood("{\"bestBefore\":{\"year\":1,\"month\":2,\"day\":30}}")),
        ),
    ] {
        let faults = check_as(command(name), body.as_bytes());
        assert_eq!(faults.len(), MAX_FAULTS + 1, "{name}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_large_file_is_checked_in_one_pass_and_none_of_it_is_sent_back() {
    let attachment = |data: &str| {
        format!(r#"{{"outboundId":"1","merchantDocumentId":"1","documentType":"Invoice","data":"{data}"}}"#)
    };
    let megabytes = 15 << 20;
    let timed = |body: &str| {
        let started = Instant::now();
        let faults = check_as(command("attachment.create"), body.as_bytes());
        (faults.iter().map(ToString::to_string).collect::<Vec<_>>(), started.elapsed())
    };
    let (faults, took) = timed(&attachment(&"AAAA".repeat(megabytes / 4)));
    assert_eq!((faults, took < Duration::from_secs(20)), (vec![], true), "{took:?}");
    // Where the fault is at the very end, in the way of a text that is no base64, and in a member with a limit.
    let (faults, took) = timed(&attachment(&("AAAA".repeat(megabytes / 4) + "A")));
    assert_eq!(faults, ["data must be base64 with its padding, without line breaks"]);
    assert!(took < Duration::from_secs(20), "{took:?}");
    let (faults, _) =
        timed(&attachment("AAAA").replace(r#""1","doc"#, &format!(r#""{}","doc"#, "x".repeat(megabytes))));
    assert_eq!(faults, ["merchantDocumentId must be at most 255 characters"]);
    let (faults, _) = timed(&attachment("AAAA").replace("Invoice", &"x".repeat(megabytes)));
    assert!(faults[0].len() < 200 && faults[0].starts_with("documentType must be one of Invoice, "), "{faults:?}");
}

#[test]
fn a_long_value_is_not_sent_back() {
    let secret = "s3cret".repeat(1000);
    let body = json!({ "status": secret, "currency": secret, secret.clone(): 1, "items": [{ "itemType": secret }] });
    let faults =
        VALIDATOR.validate("outbound.create", Role::Merchant, body.to_string().as_bytes()).unwrap().unwrap_err();
    assert!(faults.iter().any(|fault| fault.path == "status"));
    for fault in faults {
        assert!(fault.path.len() < 60 && !fault.message.contains(&"s3cret".repeat(8)), "{fault:?}");
    }
}

/// JSON that is nearly a command: known names, odd values.
fn nearly() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "outboundId", "items", "shippingAddress", "senderAddress", "attributes", "shippingType", "shippingMethodId",
            "jfsku", "merchantSku", "lastname", "company", "desiredDeliveryDate", "priority", "quantity", "country",
            "autoCompleteBillOfMaterials", "billOfMaterialsId", "outboundItemId", "shippingLabelProviderData",
            "packages", "packageId", "identifier", "serialnumbers", "bestBefore", "year", "month", "day", "data", "status",
            "cancelReason", "quantityBlocked", "specifications", "billOfMaterialsComponents", "returnItemId", "$top",
        ]).prop_map(str::to_owned),
        1 => ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[0-9]{4}-[0-9é]{2}-[0-9]{2}[Tt ].{0,20}".prop_map(Value::from),
        "[A-Z0-9]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&body);
    }

    #[test]
    fn random_json_never_panics(members in prop::collection::vec(nearly(), 0..4), order in nearly()) {
        check(order.to_string().as_bytes());
        let mut body = Map::new();
        for (name, value) in ["items", "packages", "specifications", "bestBefore"].iter().zip(members) {
            body.insert((*name).to_owned(), value);
        }
        check(Value::Object(body).to_string().as_bytes());
    }
}
