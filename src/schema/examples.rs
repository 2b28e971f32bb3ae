//! One example per document. Made up, in the real shape (contract appendix F).

use serde_json::{Value, json};

use super::document::Kind;
use super::result::SUCCEEDED_TYPE;
use crate::domain::resource;

/// The example of a document.
pub(super) fn of(kind: Kind, name: &str) -> Value {
    match kind {
        Kind::Command => command(name),
        Kind::Event => envelope(name, &event_data(name)),
        Kind::Result => envelope(name, &result_data(name)),
    }
}

fn command(name: &str) -> Value {
    match name {
        "outbound.create" => json!({
            "merchantOutboundNumber": "SO-1001",
            "warehouseId": "WARE04MAIN-00001-0001",
            "currency": "EUR",
            "shippingType": "Standard",
            "shippingAddress": {
                "firstname": "Ida", "lastname": "Beispiel", "street": "Hauptweg 3", "zip": "12345",
                "city": "Musterstadt", "country": "DE"
            },
            "items": [{ "outboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 2, "price": 9.9, "vat": 19 }],
            "oversale": true
        }),
        "outbound.update" => json!({ "outboundId": "SO-1001", "priority": 3, "externalNote": "Thank you" }),
        "outbound.cancel" => json!({ "outboundId": "SO-1001", "cancelReason": "customer changed their mind" }),
        _ => json!({ "outboundId": "SO-1001" }),
    }
}

fn event_data(name: &str) -> Value {
    let word = name.strip_suffix(".v1").and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    match name {
        _ if name.starts_with("ffn.shipment.") => shipment_data(word),
        _ if name.starts_with("ffn.bridge.") => bridge_data(),
        _ => outbound_data(word),
    }
}

fn outbound_data(event: &str) -> Value {
    let statuses = resource::OUTBOUND.statuses.iter().flat_map(|statuses| statuses.events);
    let own = { statuses }.find(|(_, name)| *name == event).map(|(status, _)| *status);
    let status = match event {
        "status" => "FooBar",
        _ => own.unwrap_or("Pending"),
    };
    let mut data = json!({ "outboundId": "ACME02K7Q2", "merchantOutboundNumber": "SO-1001", "status": status });
    let previous = match event {
        "pending" => Some("Preparation"),
        "acknowledged" | "status" => Some("Pending"),
        _ => own.map(|_| "Acknowledged"),
    };
    if let Some(members) = data.as_object_mut() {
        if let Some(previous) = previous {
            members.insert("previousStatus".to_owned(), previous.into());
        }
        members.insert("occurredAt".to_owned(), "2026-01-05T08:03:00Z".into());
        if event == "updated" {
            members.insert("changed".to_owned(), json!(["externalNote"]));
        }
        members.insert(
            "snapshot".to_owned(),
            json!({
                "outboundId": "ACME02K7Q2", "fulfillerId": "WARE", "status": status, "priority": 0,
                "merchantOutboundNumber": "SO-1001", "warehouseId": "WARE04MAIN-00001-0001", "currency": "EUR",
                "items": [{
                    "outboundItemId": "1", "jfsku": "ACME01A1B2C", "itemType": "Product", "quantity": 2,
                    "quantityOpen": 2, "merchantSku": "MUG-BLUE"
                }],
                "modificationInfo": {
                    "createdAt": "2026-01-05T08:00:00.000+00:00", "updatedAt": "2026-01-05T08:03:00.000+00:00",
                    "state": "Modified"
                }
            }),
        );
    }
    data
}

fn shipment_data(event: &str) -> Value {
    let url = "https://tracking.example.org/00340999";
    let mut data = json!({
        "outboundShippingNotificationId": "WARE06X1",
        "outboundId": "ACME02K7Q2",
        "merchantOutboundNumber": "SO-1001",
        "fulfillerShippingNotificationNumber": "DN-77",
        "outboundStatus": "Shipped",
        "occurredAt": "2026-01-05T12:00:00Z",
        "carrier": "DHL",
        "trackingIds": ["00340999"],
        "trackingUrls": [url],
        "packages": [{
            "shippingMethodId": "WARE0A0001", "carrier": "DHL", "trackingIds": ["00340999"], "trackingUrl": url,
            "shippingDate": "2026-01-05T12:00:00Z", "weight": 0.75
        }]
    });
    if let Some(members) = data.as_object_mut() {
        if event == "updated" {
            members.insert("changed".to_owned(), json!(["packages"]));
        }
        members.insert(
            "snapshot".to_owned(),
            json!({
                "outboundShippingNotificationId": "WARE06X1", "outboundId": "ACME02K7Q2",
                "merchantOutboundNumber": "SO-1001", "fulfillerShippingNotificationNumber": "DN-77",
                "outboundStatus": "Shipped", "items": [{ "jfsku": "ACME01A1B2C", "quantity": 2 }],
                "packages": [{
                    "shippingMethodId": "WARE0A0001", "shippingDate": "2026-01-05T12:00:00Z", "trackingUrl": url,
                    "identifier": [{ "identifierType": "TrackingId", "value": "00340999" }], "weight": 0.75
                }]
            }),
        );
    }
    data
}

fn bridge_data() -> Value {
    json!({
        "account": "acme",
        "cause": "token-refused",
        "reason": "the OAuth server refused it with status 401: invalid_request: Token has been revoked",
        "since": "2026-01-05T08:03:00Z",
        "action": "run `ffn-bridge login acme`"
    })
}

fn result_data(name: &str) -> Value {
    if name == SUCCEEDED_TYPE {
        json!({
            "commandId": "order-1001-create", "command": "outbound.create", "attempts": 1, "reconciled": false,
            "response": { "outboundId": "ACME02K7Q2", "status": "Pending" }
        })
    } else {
        json!({
            "commandId": "order-1001-create", "command": "outbound.create", "attempts": 0, "reconciled": false,
            "error": {
                "code": "invalid-command", "message": "the body does not fit the command", "retryable": false,
                "fields": [{ "path": "items[0].quantity", "message": "is required" }]
            }
        })
    }
}

fn envelope(name: &str, data: &Value) -> Value {
    // A type that has no document of its own, for the one document that stands for such types.
    let name = if name == super::UNKNOWN_STATUS_TYPE { "ffn.outbound.foo-bar.v1" } else { name };
    let subject = data
        .get("outboundShippingNotificationId")
        .or_else(|| data.get("outboundId"))
        .or_else(|| data.get("account"))
        .cloned()
        .unwrap_or_else(|| "ACME02K7Q2".into());
    json!({
        "specversion": "1.0",
        "id": "0f0f4c5e-5e0e-5c43-8d2b-4b7a35b0f6a1",
        "source": "/ffn/acme",
        "type": name,
        "subject": subject,
        "time": "2026-01-05T08:03:00Z",
        "datacontenttype": "application/json",
        "dataschema": format!("urn:ffn-bridge:schema:{name}"),
        "account": "acme",
        "role": "merchant",
        "partitionkey": subject,
        "sequence": "00000000000000000042",
        "recordedtime": "2026-01-05T08:03:17Z",
        "data": data
    })
}
