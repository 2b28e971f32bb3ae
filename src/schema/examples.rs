//! Examples of documents, one or two each. Made up, in the real shape (contract appendix F).

mod sample;

use serde_json::{Map, Value, json};

use super::document::Kind;
use super::result::SUCCEEDED_TYPE;
use crate::domain::resource::Resource;

/// The examples of a document with that schema.
pub(super) fn of(kind: Kind, name: &str, schema: &Value) -> Vec<Value> {
    match kind {
        Kind::Command => sample::bodies(schema),
        Kind::Event => vec![envelope(name, &event_data(name))],
        Kind::Result => vec![envelope(name, &result_data(name))],
    }
}

fn event_data(name: &str) -> Value {
    let mut words = name.split('.').skip(1);
    let (kind, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match kind {
        "shipment" => shipment_data(word),
        "bridge" => bridge_data(word),
        "stock" => stock_data(word),
        _ => Resource::all().find(|it| it.name == kind).map_or(Value::Null, |resource| entity_data(resource, word)),
    }
}

fn entity_data(resource: &Resource, event: &str) -> Value {
    let mut data = Map::new();
    for member in std::iter::once(&resource.id).chain(resource.keys) {
        data.insert((*member).to_owned(), name_of(member).into());
    }
    let statuses = resource.statuses.iter().flat_map(|statuses| statuses.events);
    let own = { statuses }.find(|(_, name)| *name == event).map(|(status, _)| *status);
    if let Some(statuses) = &resource.statuses {
        let status = if event == "status" { "FooBar" } else { own.unwrap_or(statuses.initial) };
        data.insert("status".to_owned(), status.into());
        if event == "status" || own.is_some_and(|own| own != statuses.initial) {
            data.insert("previousStatus".to_owned(), statuses.initial.into());
        }
    }
    let mut snapshot = data.clone();
    if let Some((statuses, status)) = resource.statuses.as_ref().zip(snapshot.shift_remove("status")) {
        snapshot.shift_remove("previousStatus");
        snapshot.insert(statuses.member.to_owned(), status);
    }
    snapshot.insert(
        "modificationInfo".to_owned(),
        json!({
            "createdAt": "2026-01-05T08:00:00.000+00:00", "updatedAt": "2026-01-05T08:03:00.000+00:00",
            "state": if event == "deleted" { "Deleted" } else { "Modified" }
        }),
    );
    data.insert("occurredAt".to_owned(), "2026-01-05T08:03:00Z".into());
    if event == "updated" {
        data.insert("changed".to_owned(), json!(["note"]));
    }
    data.insert("snapshot".to_owned(), snapshot.into());
    data.into()
}

/// What a text could be, by its member's name.
fn name_of(member: &str) -> &'static str {
    match member {
        "outboundId" => "ACME02K7Q2",
        "merchantOutboundNumber" => "SO-1001",
        "outboundItemId" | "billOfMaterialsId" => "1",
        "outboundShippingNotificationId" => "WARE06X1",
        "fulfillerShippingNotificationNumber" => "DN-77",
        "inboundId" => "ACME03P4T1",
        "merchantInboundNumber" => "PO-77",
        "inboundItemId" => "1",
        "inboundShippingNotificationId" | "shippingNotificationId" => "ACME07C2L9",
        "merchantShippingNotificationNumber" => "PO-77-1",
        "returnId" => "ACME05R3V8",
        "returnItemId" => "ACME05R3V9",
        "merchantReturnNumber" => "RMA-12",
        "fulfillerReturnNumber" => "W-RET-5",
        "jfsku" => "ACME01A1B2C",
        "relatedJfsku" => "ACME01D3E4F",
        "merchantSku" => "MUG-BLUE",
        "warehouseId" | "referencedWarehouse" => "WARE04MAIN-00001-0001",
        "shippingMethodId" => "WARE0A0001",
        "fulfillerShippingMethodNumber" => "PARCEL",
        "merchantId" => "ACME",
        "userId" | "fulfillerId" | "referencedFulfiller" => "WARE",
        "merchantDocumentId" => "DN-1001",
        "shippingLabelId" => "LABEL-1",
        "credentialId" => "AMZ-1",
        "fulfillerStockChangeId" => "BOOKING-4711",
        "$filter" => "status eq 'Pending'",
        "$select" => "status",
        "$orderBy" => "modificationInfo/createdAt",
        // A PDF begins so.
        "data" => "JVBERi0xLjcK",
        "currency" => "EUR",
        "country" | "originCountry" => "DE",
        "salutation" => "Ms",
        "firstname" => "Ida",
        "lastname" => "Beispiel",
        "company" => "Beispiel AG",
        "street" => "Hauptweg 3",
        "zip" => "12345",
        "city" => "Musterstadt",
        "email" => "ida@example.org",
        "phone" | "mobile" | "fax" => "+49 30 1234567",
        "state" => "Berlin",
        "cancelReasonCode" => "None",
        "cancelReason" => "customer changed their mind",
        "note" | "internalNote" | "externalNote" | "reasonNote" | "conditionNote" => "handle with care",
        "trackingUrl" => "https://tracking.example.org/00340999",
        "trackingUrlSchema" => "https://tracking.example.org/{id}",
        "carrierCode" | "carrierName" => "DHL",
        "cutoffTime" => "14:30",
        "value" => "00340999",
        "batch" => "B-2026-01",
        "serialnumbers" => "SN-0001",
        "ean" => "4006381333931",
        "upc" => "036000291452",
        "isbn" => "9783161484100",
        "asin" => "B000000000",
        "manufacturer" => "Mug Works",
        "partNumber" => "MW-1",
        _ => "Main",
    }
}

fn stock_data(event: &str) -> Value {
    let mut data = json!({ "jfsku": "ACME01A1B2C", "merchantSku": "MUG-BLUE", "warehouseId": "WARE04MAIN-00001-0001" });
    let Some(members) = data.as_object_mut() else { return data };
    if event == "gap" {
        members.extend([
            ("fromVersion".to_owned(), json!(41)),
            ("toVersion".to_owned(), json!(42)),
            ("occurredAt".to_owned(), "2026-01-05T08:03:00Z".into()),
        ]);
        return data;
    }
    let levels = json!({
        "stockLevel": 97.5, "stockLevelReserved": 2.5, "stockLevelBlocked": 0, "stockLevelAnnounced": 0, "quantity": -2.5,
        "quantityReserved": 2.5, "quantityBlocked": 0, "quantityAnnounced": 0,
        "outboundItem": { "outboundId": "ACME02K7Q2", "outboundItemId": "1", "merchantOutboundNumber": "SO-1001" }
    });
    members.insert("stockVersion".to_owned(), json!(43));
    members.insert("changeType".to_owned(), "Reservation".into());
    members.insert("occurredAt".to_owned(), "2026-01-05T08:03:00Z".into());
    let mut snapshot = levels.clone();
    if let Some(snapshot) = snapshot.as_object_mut() {
        let id = json!({ "warehouseId": "WARE04MAIN-00001-0001", "jfsku": "ACME01A1B2C", "stockVersion": 43 });
        snapshot.insert("stockChangeId".to_owned(), id);
        snapshot.insert("changeType".to_owned(), "Reservation".into());
        snapshot.insert("current".to_owned(), true.into());
    }
    if let Value::Object(levels) = levels {
        members.extend(levels);
    }
    members.insert("snapshot".to_owned(), snapshot);
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

fn bridge_data(event: &str) -> Value {
    match event {
        "feed-stalled" => json!({
            "account": "acme", "feed": "outbounds", "since": "2026-01-05T08:03:00Z",
            "position": "2026-01-05T08:02:25Z", "failures": 9, "error": "FFN could not be read: FFN answered 503",
            "action": "look at the error, and whether FFN can be reached; the feed is tried again by itself"
        }),
        "feed-recovered" => json!({
            "account": "acme", "feed": "outbounds", "stalledSince": "2026-01-05T08:03:00Z",
            "recoveredAt": "2026-01-05T08:21:30Z", "position": "2026-01-05T08:21:25Z"
        }),
        _ => json!({
            "account": "acme",
            "cause": "token-refused",
            "reason": "the OAuth server refused it with status 401: invalid_request: Token has been revoked",
            "since": "2026-01-05T08:03:00Z",
            "action": "run `ffn-bridge login acme`"
        }),
    }
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
    let name = name.replace(".status.v1", ".foo-bar.v1");
    let kind = name.split('.').nth(1).unwrap_or_default();
    let id = Resource::all().find(|resource| resource.name == kind).map_or("account", |resource| resource.id);
    let subject = data.get(id).cloned().unwrap_or_else(|| "ACME02K7Q2".into());
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
