//! How a command's flat body becomes a call.

use super::*;
use crate::ffn::testing::{Account, Reply};

fn split(operation: &str, body: &str) -> Result<Parts, String> {
    Operation::named(operation).unwrap().split(&serde_json::from_str(body).unwrap())
}

fn text(body: Option<Vec<u8>>) -> String {
    String::from_utf8(body.unwrap()).unwrap()
}

#[test]
fn parameters_leave_the_body_and_the_rest_stays_as_written() {
    let parts = split(
        "outbound.create",
        r#"{"merchantOutboundNumber":"SO-1","oversale":true,"shippingFee":1.10,"items":[{"price": 0.1}],"autoCompleteBillOfMaterials":null}"#,
    )
    .unwrap();
    assert_eq!(parts.query, [("oversale".to_owned(), "true".to_owned())]);
    assert_eq!(text(parts.body), r#"{"merchantOutboundNumber":"SO-1","shippingFee":1.10,"items":[{"price": 0.1}]}"#);
    let parts =
        split("outbound.update", r#"{"outboundId":"SO-1","internalNote":null,"orderValue":12345678901234.5678}"#);
    let parts = parts.unwrap();
    assert_eq!(parts.path, [("outboundId", "SO-1".to_owned())]);
    assert_eq!(text(parts.body), r#"{"internalNote":null,"orderValue":12345678901234.5678}"#);
}

#[test]
fn cancel_sets_the_status_itself() {
    let parts = split("outbound.cancel", r#"{"outboundId":"1","cancelReason":"late","status":"Canceled"}"#).unwrap();
    assert_eq!(text(parts.body), r#"{"status":"Canceled","cancelReason":"late"}"#);
    let error = split("outbound.cancel", r#"{"outboundId":"1","status":"Shipped"}"#).unwrap_err();
    assert_eq!(error, "status is set by outbound.cancel itself");
}

#[test]
fn what_is_missing_or_out_of_place_is_named() {
    for (operation, body, error) in [
        ("outbound.get", "{}", "outboundId is missing or no text"),
        ("outbound.get", r#"{"outboundId":null}"#, "outboundId is missing or no text"),
        ("outbound.get", r#"{"outboundId":["1"]}"#, "outboundId is missing or no text"),
        ("outbound.get", r#"{"outboundId":"1","note":1}"#, "note is no parameter of outbound.get"),
        ("outbound.create", r#"{"oversale":{}}"#, "oversale is no text, number or boolean"),
    ] {
        assert_eq!(split(operation, body).unwrap_err(), error);
    }
}

#[test]
fn every_row_names_its_parameters_in_its_path() {
    for operation in &OPERATIONS {
        for name in operation.path_params {
            assert!(operation.path.contains(&format!("{{{name}}}")), "{}", operation.name);
        }
        assert_eq!(operation.path.matches('{').count(), operation.path_params.len(), "{}", operation.name);
        assert!(Operation::named(operation.name).is_some_and(|found| found.name == operation.name));
        assert!(!operation.entity.is_empty() && operation.is_for(Role::Merchant));
    }
    assert!(Operation::named("outbound.explode").is_none());
}

#[test]
fn a_command_names_its_entity() {
    let fields = serde_json::from_str(r#"{"merchantOutboundNumber":"SO-1","outboundId":7}"#).unwrap();
    assert_eq!(Operation::named("outbound.create").unwrap().entity_key(&fields).as_deref(), Some("SO-1"));
    assert_eq!(Operation::named("outbound.get").unwrap().entity_key(&fields).as_deref(), Some("7"));
}

#[tokio::test]
async fn a_number_that_is_risky_in_a_path_is_looked_up() {
    let account = Account::new(|_| {
        Reply::json(
            200,
            r#"{"items":[{"outboundId":"ACME02A","merchantOutboundNumber":"2026/1","status":"Canceled"},
                {"outboundId":"ACME02B","merchantOutboundNumber":"2026/1","status":"Pending"}]}"#,
        )
    })
    .await;
    let cancel = Operation::named("outbound.cancel").unwrap();
    let plain = serde_json::from_str(r#"{"outboundId":"SO+1"}"#).unwrap();
    assert_eq!(cancel.request(&account.client, &plain).await.unwrap().path, "outbounds/SO%2B1/status");
    assert!(account.api.calls("/api/").is_empty());
    let risky = serde_json::from_str(r#"{"outboundId":"2026/1"}"#).unwrap();
    let request = cancel.request(&account.client, &risky).await.unwrap();
    assert_eq!((request.path.as_str(), request.method), ("outbounds/ACME02B/status", Method::PUT));
    let unknown = serde_json::from_str(r#"{"outboundId":"2026/2"}"#).unwrap();
    let error = cancel.request(&account.client, &unknown).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchOutbound { .. }), "{error}");
}
