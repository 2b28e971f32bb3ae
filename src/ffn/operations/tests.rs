//! How a command's flat body becomes a call.

use super::*;
use crate::domain::cause::Effect;
use crate::domain::resource::Resource;
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
fn every_row_is_found_by_its_name_and_role() {
    for operation in OPERATIONS {
        let name = operation.name;
        assert!(!operation.roles.is_empty() && name.split_once('.').is_some(), "{name}");
        for role in [Role::Merchant, Role::Fulfiller] {
            let rows = OPERATIONS.iter().filter(|row| row.name == name && row.is_for(role)).count();
            assert_eq!(rows, usize::from(Operation::of(name, role).is_some()), "{name} {role}");
        }
        assert!(Operation::of(name, operation.roles[0]).is_some(), "{name}");
        // The lane is looked for before the account's role is known.
        assert_eq!(Operation::named(name).unwrap().lane, operation.lane, "{name}");
        assert!(
            operation.is_read()
                || name == "outbounds.change-status"
                || name == "products.share"
                || operation.lane.is_some(),
            "{name}"
        );
    }
    assert!(Operation::named("outbound.explode").is_none());
    assert!(Operation::of("shipment.create", Role::Merchant).is_none());
}

/// What the settling of a row reads has to be in the reach of its command.
#[test]
fn every_row_can_be_settled_with_what_its_command_holds() {
    for operation in OPERATIONS {
        let known: Vec<&str> = operation.path_params().collect();
        let reads = |path: &'static str| {
            for param in params(path) {
                assert!(known.contains(&param), "{}: {param}", operation.name);
            }
        };
        match operation.settle {
            Settle::State(State { path, .. }) | Settle::ReadBack { path } | Settle::Ledger { answer: Some(path) } => {
                reads(path);
            }
            Settle::Key(Key { place: Place::Within { path, .. } | Place::Children(path), .. }) => reads(path),
            _ => {}
        }
        assert_eq!(matches!(operation.settle, Settle::Ledger { .. }), operation.own_id.is_some(), "{}", operation.name);
        assert!(!operation.is_read() || matches!(operation.settle, Settle::Repeatable), "{}", operation.name);
    }
}

#[test]
fn a_command_names_its_entity() {
    let fields = serde_json::from_str(r#"{"merchantOutboundNumber":"SO-1","outboundId":7}"#).unwrap();
    let key = |name: &str, fields: &Fields| Operation::named(name).unwrap().ordering_key(fields);
    assert_eq!(key("outbound.create", &fields).as_deref(), Some("outbound:SO-1"));
    let fields = serde_json::from_str(r#"{"outboundId":7}"#).unwrap();
    assert_eq!(key("attachment.create", &fields).as_deref(), Some("outbound:7"));
    assert_eq!(key("outbounds.list", &fields), None);
}

#[test]
fn a_member_with_the_name_of_a_path_parameter_has_another_one_in_the_command() {
    let parts = split("related-product.create", r#"{"jfsku":"ACME01A1B2C","relatedJfsku":"ACME01A1B2D"}"#).unwrap();
    assert_eq!(parts.path, [("jfsku", "ACME01A1B2C".to_owned())]);
    assert_eq!(text(parts.body), r#"{"jfsku":"ACME01A1B2D"}"#);
}

#[test]
fn ids_of_the_bridges_own_making_fill_what_was_left_out() {
    let receive = Operation::named("inbound.receive-bulk").unwrap();
    let fields = serde_json::from_str(
        r#"{"inboundId":"I","items":[{"jfsku":"A","fulfillerStockChangeId":"mine"},{"jfsku":"B"}]}"#,
    );
    let fields = receive.with_own_ids(&fields.unwrap(), |n| format!("made-{n}")).unwrap();
    let ids: Vec<String> = receive.own_ids(&fields).unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["mine", "made-1"]);
    assert!(receive.with_own_ids(&serde_json::from_str(r#"{"items":3}"#).unwrap(), |_| String::new()).is_err());
    let adjust = Operation::named("stock.adjust").unwrap();
    let fields =
        adjust.with_own_ids(&serde_json::from_str(r#"{"quantity":1.50}"#).unwrap(), |n| format!("m{n}")).unwrap();
    assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"quantity":1.50,"fulfillerStockChangeId":"m0"}"#);
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
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    // A parcel's number is looked up among those of its order.
    let risky = serde_json::from_str(r#"{"outboundId":"SO","shippingNotificationId":"D/1"}"#).unwrap();
    let error = Operation::named("shipment.get").unwrap().request(&account.client, &risky).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { param: "shippingNotificationId", .. }), "{error}");
    assert_eq!(account.api.calls("outbounds/SO/shipping-notifications").len(), 1);
}

#[test]
fn every_write_says_what_it_brings_about_in_the_words_of_the_events() {
    // Words of FFN's for entries of the ledger (contract 14).
    const ENTRIES: [&str; 10] = [
        "Adjustment",
        "Inbound",
        "Delivery",
        "Return",
        "ConditionChanged",
        "Announcement",
        "AnnouncementCanceled",
        "Reservation",
        "ReservationCanceled",
        "Deleted",
    ];
    // Of credentials and labels there is no feed, and this one names no product.
    let shows_nothing = ["credential.create", "credential.delete", "products.share", "shipping-label.create"];
    let is_event = |change: &str| {
        let (kind, event) = change.split_once('.').unwrap();
        let resource = Resource::all().find(|resource| resource.name == kind);
        resource.is_some_and(|resource| resource.events().contains(&event))
            || kind == "stock" && ENTRIES.contains(&event)
    };
    for operation in OPERATIONS {
        let name = operation.name;
        assert_eq!(operation.brings.is_empty(), operation.is_read() || shows_nothing.contains(&name), "{name}");
        for brings in operation.brings {
            assert!(brings.status.is_some() || !brings.changes.is_empty(), "{name}");
            assert!(brings.changes.iter().all(|change| is_event(change)), "{name}: {brings:?}");
        }
    }
}

fn effects(operation: &str, role: Role, body: &str, subject: Option<&str>) -> Vec<String> {
    let operation = Operation::of(operation, role).unwrap();
    let effects = operation.effects(&serde_json::from_str(body).unwrap(), |n| format!("own-{n}"), subject);
    let word = |effect: &Effect| format!("{}: {}", effect.name.as_deref().unwrap_or("?"), effect.changes.join(" "));
    effects.iter().map(word).collect()
}

#[test]
fn an_effect_has_the_number_first_and_ffns_id_when_that_is_known() {
    let create = |subject| effects("outbound.create", Role::Merchant, r#"{"merchantOutboundNumber":"SO-1"}"#, subject);
    assert_eq!(create(None), ["outbound/SO-1: outbound.created stock.Reservation outbound.pending"]);
    assert_eq!(create(Some("ACME02X")), ["outbound/ACME02X: outbound.created stock.Reservation outbound.pending"]);
    let body = r#"{"merchantOutboundNumber":"SO-1","status":"Preparation"}"#;
    let kept_back = effects("outbound.create", Role::Merchant, body, None);
    assert_eq!(kept_back, ["outbound/SO-1: outbound.created stock.Reservation"]);
    let warehouse = |subject| effects("warehouse.create", Role::Fulfiller, "{}", subject);
    assert_eq!(warehouse(None), ["?: warehouse.created"]);
    assert_eq!(warehouse(Some("W")), ["warehouse/W: warehouse.created"]);
    // What is not the entity of the answer keeps its name.
    let body = r#"{"outboundId":"ACME02X","fulfillerShippingNotificationNumber":"P-1"}"#;
    let shipped = effects("shipment.create", Role::Fulfiller, body, Some("WARE06X"));
    assert!(shipped[0].starts_with("shipment/WARE06X: shipment.dispatched"), "{shipped:?}");
    assert!(shipped[1].starts_with("outbound/ACME02X: outbound.partially-shipped"), "{shipped:?}");
}

#[test]
fn goods_move_with_a_change_that_names_them() {
    let edit = |body| effects("outbound.update", Role::Merchant, body, None);
    assert_eq!(edit(r#"{"outboundId":"A","internalNote":"n"}"#), ["outbound/A: outbound.updated"]);
    let with_items = edit(r#"{"outboundId":"A","items":[]}"#);
    assert_eq!(with_items, ["outbound/A: outbound.updated", "outbound/A: stock.Reservation stock.ReservationCanceled"]);
}

#[test]
fn a_status_is_an_effect_of_its_name_and_each_entry_of_a_list_has_its_own() {
    let body = r#"{"outboundId":"A","status":"Canceled"}"#;
    let one = effects("outbound.change-status", Role::Fulfiller, body, None);
    assert_eq!(one, ["outbound/A: outbound.canceled stock.ReservationCanceled"]);
    let body = r#"{"items":[{"outboundId":"A","status":"Pickprocess"},{"outboundId":"B","status":"OnHold"}]}"#;
    let each = effects("outbounds.change-status", Role::Fulfiller, body, None);
    assert_eq!(each, ["outbound/A: outbound.pickprocess", "outbound/B: "]);
    let body = r#"{"inboundId":"I","items":[{"fulfillerStockChangeId":"mine"},{}]}"#;
    let booked = effects("inbound.receive-bulk", Role::Fulfiller, body, Some("I"));
    assert_eq!(booked[..2], ["stock-change/mine: stock.Inbound", "stock-change/own-1: stock.Inbound"]);
}
