//! Whatever comes, the validator answers: no panic, no flood, no long wait.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{COMMANDS, MAX_FAULTS};
use super::bodies::VALIDATOR;
use crate::domain::account::Role;

/// Checks the body as every command, and that the answer is of a bearable size.
fn check(body: &[u8]) {
    for spec in COMMANDS {
        if let Err(faults) = VALIDATOR.validate(spec.name, spec.roles[0], body).unwrap() {
            assert!(!faults.is_empty() && faults.len() <= MAX_FAULTS + 1, "{}", faults.len());
            for fault in faults {
                assert!(fault.message.len() < 500 && fault.path.len() < 500, "{fault:?}");
            }
        }
    }
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
        check(body.as_bytes());
    }
    // Measured: a few seconds without optimisation for 11 bodies and 4 commands. The bound is for a slow machine.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
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
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&body);
    }

    #[test]
    fn random_json_never_panics(members in prop::collection::vec(nearly(), 0..4), order in nearly()) {
        check(order.to_string().as_bytes());
        let mut body = Map::new();
        for (name, value) in ["items", "shippingAddress", "attributes", "desiredDeliveryDate"].iter().zip(members) {
            body.insert((*name).to_owned(), value);
        }
        check(Value::Object(body).to_string().as_bytes());
    }
}
