//! The documents: valid, with examples that fit, true to what the code writes, and fresh in `schemas/`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::*;
use crate::domain::account::Role;
use crate::domain::message::{CloudEvent, ContentMode, Destination, Draft, Lane};
use crate::domain::resource::Resource;
use crate::domain::token::Cause;
use crate::schema::event::{EntityData, LoginRequiredData, ShipmentData, ShipmentPackage};

fn faults(document: &Document, instance: &Value) -> Vec<String> {
    let validator = jsonschema::options().should_validate_formats(true).build(&document.schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// The body of a structured message, written by the code that writes messages.
fn body(event_type: &str, data: Box<RawValue>) -> Value {
    let draft = Draft {
        lane: Lane::Events("acme".parse().unwrap()),
        destination: Destination { exchange: "ffn.events".into(), routing_key: "acme.outbound.x".into() },
        unique: true,
        correlation_id: None,
        mode: ContentMode::Structured,
        headers: BTreeMap::new(),
        clue: None,
        event: CloudEvent {
            id: uuid::Uuid::nil(),
            event_type: event_type.into(),
            subject: Some("ACME02K7Q2".into()),
            time: chrono::DateTime::UNIX_EPOCH,
            account: "acme".into(),
            role: Some(Role::Merchant),
            recorded_time: chrono::DateTime::UNIX_EPOCH,
            causation_id: Some("c-1".into()),
            is_snapshot: false,
            data,
        },
    };
    serde_json::from_slice(&draft.finish(7).unwrap().body).unwrap()
}

fn entity(resource: &Resource, status: Option<&str>, changed: Option<Vec<String>>) -> Box<RawValue> {
    let data = EntityData {
        keys: std::iter::once((resource.id.to_owned(), "ACME02K7Q2".into())).collect(),
        status: status.map(str::to_owned),
        previous_status: None,
        occurred_at: chrono::DateTime::UNIX_EPOCH,
        inferred: true,
        changed,
        snapshot: raw(r#"{"status":"SomethingNew","novel":[1],"shippingFee":1.10,"priority":null}"#),
    };
    serde_json::value::to_raw_value(&data).unwrap()
}

#[test]
fn schemas_are_fresh() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let how = "run: UPDATE_SCHEMAS=1 cargo test schemas_are_fresh";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        write_all(&dir).unwrap();
    }
    for document in catalog() {
        let path = dir.join(document.file());
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == document.text(), "schemas/{} is not what the code says; {how}", document.file().display());
    }
    let known: Vec<_> = catalog().iter().map(|document| dir.join(document.file())).collect();
    for folder in ["events", "commands", "results"] {
        for entry in std::fs::read_dir(dir.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert!(known.contains(&path), "{folder}/{:?} belongs to no message; delete it", path.file_name());
        }
    }
}

#[test]
fn schemas_are_fresh_and_so_is_the_table_of_commands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- commands -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- /commands -->\n").unwrap();
    let table = command_table(None);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, format!("{before}<!-- commands -->\n{table}<!-- /commands -->\n{after}")).unwrap();
    } else {
        assert!(
            found == table,
            "README's commands are not what the code says; run: UPDATE_SCHEMAS=1 cargo test schemas_are_fresh"
        );
    }
}

#[test]
fn the_table_of_commands_takes_another_column() {
    let table = command_table(Some(("settled", &|name| format!("as {name}"))));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[..2], ["| command | for | call | does | settled |", "| --- | --- | --- | --- | --- |"]);
    let row = |name: &str| lines.iter().find(|line| line.contains(&format!("`{name}`"))).copied().unwrap();
    assert_eq!(
        row("inbound.close"),
        "| [`inbound.close`](schemas/commands/inbound.close.json) | both | `PUT inbounds/{inboundId}/close` | Ends a delivery; \
         what is open is announced no more | as inbound.close |"
    );
    assert!(row("return.create").starts_with(
        "| `return.create`: [merchant](schemas/commands/return.create.merchant.json), \
         [fulfiller](schemas/commands/return.create.fulfiller.json) | both | "
    ));
    let names: std::collections::BTreeSet<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
    assert_eq!(lines.len(), 2 + names.len());
    assert!(lines.iter().all(|line| line.matches(" | ").count() == 4), "{table}");
}

#[test]
fn every_document_is_valid_2020_12_and_its_example_fits() {
    let documents = catalog();
    let of_entities = Resource::all().map(|it| it.events().len() + usize::from(it.statuses.is_some())).sum::<usize>();
    assert_eq!(documents.len(), of_entities + 3 + COMMANDS.len() + 2);
    for document in documents {
        assert!(jsonschema::draft202012::meta::is_valid(&document.schema), "{}", document.name);
        assert_eq!(document.schema["$id"], format!("urn:ffn-bridge:schema:{}", document.name));
        assert_eq!(document.schema["title"], document.name.as_str());
        assert_ne!(document.schema["description"], "");
        let examples = document.schema["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{}", document.name);
        for example in examples {
            assert_eq!(faults(&document, example), Vec::<String>::new(), "{}: {example:#}", document.name);
        }
    }
}

#[test]
fn what_the_code_writes_fits_its_schema() {
    for resource in Resource::all().filter(|resource| !["shipment", "stock"].contains(&resource.name)) {
        for name in resource.events() {
            let event_type = format!("ffn.{}.{name}.v1", resource.name);
            let document = document(&event_type).unwrap();
            let statuses = resource.statuses.as_ref();
            let own = statuses.and_then(|it| it.events.iter().find(|(_, event)| *event == name)).map(|(own, _)| *own);
            let changed = (name == "updated").then(Vec::new);
            let written = entity(resource, own.or(statuses.map(|it| it.initial)), changed.clone());
            assert_eq!(faults(&document, &body(&event_type, written)), Vec::<String>::new(), "{event_type}");
            // FFN may show no status of what is deleted, which was perhaps made just before.
            let is_named_by_it = own.is_some() && name != resource.created;
            let bare = entity(resource, None, changed.clone());
            let found = faults(&document, &body(&event_type, bare));
            assert_eq!(found.is_empty(), !is_named_by_it, "{event_type}: {found:?}");
            // Another status is not this event, and what changed belongs to one alone.
            if own.is_some() {
                let other = entity(resource, Some("Other"), None);
                assert!(!faults(&document, &body(&event_type, other)).is_empty(), "{event_type}");
            }
            if changed.is_some() {
                let silent = entity(resource, statuses.map(|it| it.initial), None);
                assert!(!faults(&document, &body(&event_type, silent)).is_empty(), "{event_type}");
            }
        }
    }
    let shipment = ShipmentData {
        outbound_shipping_notification_id: "WARE06X1".into(),
        outbound_id: "ACME02K7Q2".into(),
        merchant_outbound_number: None,
        fulfiller_shipping_notification_number: None,
        outbound_status: None,
        occurred_at: chrono::DateTime::UNIX_EPOCH,
        inferred: false,
        carrier: None,
        tracking_ids: vec![],
        tracking_urls: vec![],
        packages: vec![ShipmentPackage {
            shipping_method_id: None,
            carrier: None,
            tracking_ids: vec!["1".into()],
            tracking_url: None,
            shipping_date: Some(chrono::DateTime::UNIX_EPOCH),
            weight: Some(raw("1.10")),
        }],
        changed: None,
        snapshot: raw("{}"),
    };
    let data = serde_json::value::to_raw_value(&shipment).unwrap();
    assert!(data.get().contains(r#""weight":1.10"#), "{data}");
    assert_eq!(
        faults(&document("ffn.shipment.dispatched.v1").unwrap(), &body("ffn.shipment.dispatched.v1", data.clone())),
        Vec::<String>::new()
    );
    for cause in
        [Cause::NeverSignedIn, Cause::SignedOut, Cause::TokenRefused, Cause::AccessRejected, Cause::ClientRefused]
    {
        let data = LoginRequiredData {
            account: "acme".into(),
            cause,
            reason: "nobody has signed in yet".into(),
            since: chrono::DateTime::UNIX_EPOCH,
            action: "run `ffn-bridge login acme`".into(),
        };
        let event_type = "ffn.bridge.login-required.v1";
        let written = body(event_type, serde_json::value::to_raw_value(&data).unwrap());
        assert_eq!(faults(&document(event_type).unwrap(), &written), Vec::<String>::new(), "{cause:?}");
        assert_eq!(written["data"]["cause"], cause.as_str());
    }
    // `updated` has to say what changed.
    assert!(!faults(&document("ffn.shipment.updated.v1").unwrap(), &body("ffn.shipment.updated.v1", data)).is_empty());
}

#[test]
fn every_snapshot_is_described() {
    for document in catalog().iter().filter(|it| it.kind == Kind::Event && !it.name.starts_with("ffn.bridge.")) {
        if document.name == "ffn.stock.gap.v1" {
            continue;
        }
        let data = &document.schema["properties"]["data"]["properties"];
        let described = data["snapshot"]["$ref"].as_str().unwrap_or_else(|| panic!("{}", document.name));
        let described = document.schema.pointer(described.trim_start_matches('#')).unwrap();
        let kind = document.name.split('.').nth(1).unwrap();
        let resource = Resource::all().find(|resource| resource.name == kind).unwrap();
        let members = if kind == "stock" { &["stockChangeId"][..] } else { resource.keys };
        let own = (kind != "stock").then_some(resource.id);
        for member in members.iter().copied().chain(own).chain(["modificationInfo"]) {
            assert!(described["properties"].get(member).is_some(), "{}: {member}", document.name);
        }
        if let Some(statuses) = &resource.statuses {
            assert!(described["properties"].get(statuses.member).is_some(), "{}", document.name);
        }
        assert!(described.get("required").is_none(), "{}: FFN may leave out anything", document.name);
        assert!(described.get("additionalProperties").is_none(), "{}: FFN may add anything", document.name);
    }
}

#[test]
fn a_status_without_a_name_resolves_to_the_generic_document() {
    for resource in Resource::all().filter(|resource| resource.statuses.is_some()) {
        let event_type = format!("ffn.{}.foo-bar.v1", resource.name);
        assert!(document(&event_type).is_none());
        let generic = resolve(&event_type).unwrap();
        assert_eq!(Some(generic.name.clone()), unknown_status_type(resource));
        let written = body(&event_type, entity(resource, Some("FooBar"), None));
        assert_eq!(faults(&generic, &written), Vec::<String>::new());
    }
    assert_eq!(resolve("ffn.outbound.shipped.v1").unwrap().name, "ffn.outbound.shipped.v1");
    for unknown in ["ffn.outbound..v1", "ffn.outbound.FooBar.v1", "ffn.stock.what.v1", "ffn.outbound.x.v2", ""] {
        assert!(resolve(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn documents_are_the_same_each_time() {
    let once: Vec<String> = catalog().iter().map(Document::text).collect();
    let again: Vec<String> = catalog().iter().map(Document::text).collect();
    assert_eq!(once, again);
}

#[test]
fn results_name_every_error_code() {
    let schema = document(result::FAILED_TYPE).unwrap().schema;
    let codes: Vec<&str> = result::ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(schema["$defs"]["ErrorCode"]["enum"], json!(codes));
}
