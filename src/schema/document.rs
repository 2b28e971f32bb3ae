//! From types to documents: one schema per event, command and result.

use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::command::{COMMANDS, CommandSpec};
use super::envelope::Envelope;
use super::event::{
    FeedRecoveredData, FeedStalledData, LoginRequiredData, ShipmentData, StockChangeData, StockGapData,
};
use super::result::{FAILED_TYPE, ResultFailed, ResultSucceeded, SUCCEEDED_TYPE};
use super::snapshot;
use super::{examples, tidy};
use crate::domain::account::Role;
use crate::domain::resource::Resource;

/// Name of the schema for events about statuses of that kind of entity that the bridge has no name for; `None`
/// if it has no statuses.
pub fn unknown_status_type(resource: &Resource) -> Option<String> {
    resource.statuses.as_ref().map(|_| format!("ffn.{}.status.v1", resource.name))
}

/// What a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message on the events exchange, as a structured CloudEvent.
    Event,
    /// The body of a command.
    Command,
    /// A message on the results exchange, as a structured CloudEvent.
    Result,
}

/// A JSON Schema (2020-12) of one kind of message.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it describes.
    pub kind: Kind,
    /// An event's or a result's type (`ffn.outbound.shipped.v1`), or a command (`outbound.create`), with the role where
    /// the roles send different bodies (`return.create.merchant`).
    pub name: String,
    /// Of a command whose body depends on who sends it: whose body it is.
    pub role: Option<Role>,
    /// The schema. Its keys stand in the order of the code, always the same.
    pub schema: Value,
}

impl Document {
    /// Where the document lies under `schemas/`, for example `events/ffn.outbound.shipped.v1.json`.
    pub fn file(&self) -> PathBuf {
        let folder = match self.kind {
            Kind::Event => "events",
            Kind::Command => "commands",
            Kind::Result => "results",
        };
        PathBuf::from(folder).join(format!("{}.json", self.name))
    }

    /// The file's text: indented, with a newline at its end.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema)
    }
}

/// What sets one event about an entity apart from the others in `data`.
#[derive(Default)]
struct Shape {
    /// Members that must be there beside those that every event of the entity has.
    required: &'static [&'static str],
    /// Members that are never there.
    without: &'static [&'static str],
    /// The one status that the event is about.
    status: Option<&'static str>,
}

/// Every document: events, results and commands, each in the order of the interface.
pub fn catalog() -> Vec<Document> {
    messages().into_iter().chain(COMMANDS.iter().map(command)).collect()
}

/// The documents of what the bridge writes: events and results.
pub(super) fn messages() -> Vec<Document> {
    let mut documents: Vec<Document> = Resource::all().flat_map(events_of).collect();
    documents.extend(bridge_events());
    let results = [
        message::<ResultSucceeded>(Kind::Result, SUCCEEDED_TYPE, "A command was carried out.", &Shape::default()),
        message::<ResultFailed>(Kind::Result, FAILED_TYPE, "A command failed.", &Shape::default()),
    ];
    documents.extend(results);
    documents
}

/// The events about a kind of entity.
fn events_of(resource: &'static Resource) -> Vec<Document> {
    match resource.name {
        "shipment" => shipment_events(),
        "stock" => stock_events(),
        _ => entity_events(resource),
    }
}

fn entity_events(resource: &'static Resource) -> Vec<Document> {
    let phrase = capitalized(resource.phrase);
    let event = |name: &str, description: String, shape: &Shape| {
        entity_message(resource, &format!("ffn.{}.{name}.v1", resource.name), &description, shape)
    };
    let mut events = Vec::new();
    let has_status: &'static [&'static str] = if resource.statuses.is_some() { &["status"] } else { &[] };
    for name in resource.events() {
        let mut statuses = resource.statuses.iter().flat_map(|statuses| statuses.events);
        let document = match statuses.find(|(_, event)| *event == name) {
            Some((status, _)) => {
                // One that tells of the creation as well is told also where FFN shows no status.
                let required = if name == resource.created { &[] } else { has_status };
                let shape = Shape { required, without: &["changed"], status: Some(status) };
                event(name, format!("{phrase} reached the status {status}."), &shape)
            }
            None if name == resource.created => {
                let shape = Shape { without: &["previousStatus", "changed"], ..Shape::default() };
                event(name, format!("{phrase} was created."), &shape)
            }
            None if name == "updated" => {
                let shape = Shape { required: &["changed"], without: &["previousStatus"], status: None };
                let silent = resource.statuses.as_ref().and_then(|statuses| statuses.silent);
                let back = silent.map(|silent| format!(", or it went back to {silent}")).unwrap_or_default();
                event(name, format!("Members of {} other than its status changed{back}.", resource.phrase), &shape)
            }
            None => {
                let shape = Shape { without: &["previousStatus", "changed"], ..Shape::default() };
                event(name, format!("{phrase} was deleted."), &shape)
            }
        };
        events.push(document);
    }
    if resource.statuses.is_some() {
        events.push(unknown_status(resource, has_status));
    }
    events
}

/// The one document of a kind of entity that stands for many types.
fn unknown_status(resource: &'static Resource, required: &'static [&'static str]) -> Document {
    let name = resource.name;
    let description = format!(
        "{} reached a status that this version of the bridge has no name for. The event's type carries the \
         status as words: FooBar becomes ffn.{name}.foo-bar.v1 (Created, Updated and Deleted with status- in front).",
        capitalized(resource.phrase)
    );
    let shape = Shape { required, without: &["changed"], status: None };
    let mut document = entity_message(resource, &format!("ffn.{name}.status.v1"), &description, &shape);
    for (property, prefix) in [("type", ""), ("dataschema", URN)] {
        let found = document.schema.pointer_mut(&format!("/properties/{property}"));
        if let Some(property) = found.and_then(Value::as_object_mut) {
            property.shift_remove("const");
            property.insert("pattern".to_owned(), format!(r"^{prefix}ffn\.{name}\.[a-z0-9-]+\.v1$").into());
        }
    }
    document
}

/// What every event about an entity says, beside what names the entity.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is only described; EntityData is written")]
struct EntityMembers {
    /// The status that this event is about, in FFN's words; `snapshot` may be further on already.
    #[schemars(default)]
    status: String,
    /// The status before, where it is known.
    #[schemars(default)]
    previous_status: String,
    /// When it happened at FFN.
    occurred_at: chrono::DateTime<chrono::Utc>,
    /// True where the step was rebuilt rather than read; otherwise left out.
    #[schemars(default, extend("const" = true))]
    inferred: bool,
    /// The names of the top-level members that changed, as far as that is known.
    #[schemars(default)]
    changed: Vec<String>,
}

fn entity_message(resource: &'static Resource, name: &str, description: &str, shape: &Shape) -> Document {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut data = object_of::<EntityMembers>(&mut generator);
    data.insert("description".to_owned(), format!("What happened to {}.", resource.phrase).into());
    let names = std::iter::once(resource.id).chain(resource.keys.iter().copied());
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        let mut all = Map::new();
        for member in names {
            let what = if member == resource.id { "FFN's id." } else { "Left out only where FFN did not send it." };
            all.insert(member.to_owned(), json!({ "type": "string", "description": what }));
        }
        all.append(properties);
        if resource.statuses.is_none() {
            all.shift_remove("status");
            all.shift_remove("previousStatus");
        }
        let mut snapshot = snapshot_of(resource, &mut generator).to_value();
        if let Some(snapshot) = snapshot.as_object_mut() {
            snapshot.insert("description".to_owned(), "As FFN sent it, digit for digit.".into());
        }
        all.insert("snapshot".to_owned(), snapshot);
        *properties = all;
    }
    data.insert("required".to_owned(), json!([resource.id, "occurredAt", "snapshot"]));
    apply(shape, &mut data);
    envelope_around(Kind::Event, name, description, data, generator)
}

/// The type of the entity as FFN sends it.
fn snapshot_of(resource: &Resource, generator: &mut SchemaGenerator) -> Schema {
    match resource.name {
        "outbound" => generator.subschema_for::<snapshot::Outbound>(),
        "inbound" => generator.subschema_for::<snapshot::Inbound>(),
        "inbound-shipment" => generator.subschema_for::<snapshot::InboundShippingNotification>(),
        "return" => generator.subschema_for::<snapshot::Return>(),
        "product" => generator.subschema_for::<snapshot::Product>(),
        "warehouse" => generator.subschema_for::<snapshot::Warehouse>(),
        "shipping-method" => generator.subschema_for::<snapshot::ShippingMethod>(),
        "fulfiller" => generator.subschema_for::<snapshot::Fulfiller>(),
        "merchant" => generator.subschema_for::<snapshot::Merchant>(),
        "authorization" => generator.subschema_for::<snapshot::Authorization>(),
        _ => schemars::json_schema!({ "type": "object" }),
    }
}

fn capitalized(phrase: &str) -> String {
    let mut characters = phrase.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn stock_events() -> Vec<Document> {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut data = object_of::<StockMembers>(&mut generator);
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        let snapshot = properties.shift_remove("snapshot");
        for name in StockChangeData::LEVELS {
            let what = if name.starts_with("quantity") { "What the entry changed." } else { "Level after the entry." };
            properties.insert(name.to_owned(), json!({ "type": "number", "description": what }));
        }
        for name in StockChangeData::CAUSES {
            properties.insert(
                name.to_owned(),
                json!({ "type": "object", "description": "What caused it, as FFN names it." }),
            );
        }
        properties.insert("snapshot".to_owned(), snapshot.unwrap_or_default());
    }
    vec![
        envelope_around(Kind::Event, "ffn.stock.changed.v1", "A stock changed.", data, generator),
        message::<StockGapData>(
            Kind::Event,
            "ffn.stock.gap.v1",
            "Entries of the stock ledger are missing.",
            &Shape::default(),
        ),
    ]
}

/// What an entry of the stock ledger says, beside levels and cause.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is only described; StockChangeData is written")]
struct StockMembers {
    /// FFN's id of the product.
    jfsku: String,
    /// The merchant's id of the product; left out only where FFN did not send it.
    #[serde(skip_serializing_if = "String::is_empty")]
    merchant_sku: String,
    /// The warehouse.
    warehouse_id: String,
    /// Number of the entry, without gaps in a warehouse and product.
    stock_version: i64,
    /// Why, in FFN's words, for example `Reservation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    change_type: String,
    /// When it happened at FFN.
    occurred_at: chrono::DateTime<chrono::Utc>,
    /// True where the entry was found otherwise than by its feed; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("const" = true))]
    inferred: bool,
    /// The entry as FFN sent it, digit for digit.
    snapshot: snapshot::StockChange,
}

fn shipment_events() -> Vec<Document> {
    let event = |name: &str, description: &str, shape: Shape| {
        message::<ShipmentData>(Kind::Event, &format!("ffn.shipment.{name}.v1"), description, &shape)
    };
    vec![
        event(
            "dispatched",
            "Packages of an order left the warehouse.",
            Shape { without: &["changed"], ..Shape::default() },
        ),
        event(
            "updated",
            "A shipping notification changed, for example its tracking ids.",
            Shape { required: &["changed"], ..Shape::default() },
        ),
    ]
}

/// Events about the bridge itself.
fn bridge_events() -> Vec<Document> {
    let shape = Shape::default();
    vec![
        message::<LoginRequiredData>(
            Kind::Event,
            "ffn.bridge.login-required.v1",
            "An account can't call until a person has acted.",
            &shape,
        ),
        message::<FeedStalledData>(
            Kind::Event,
            "ffn.bridge.feed-stalled.v1",
            "A feed has failed for long; nothing of it is lost.",
            &shape,
        ),
        message::<FeedRecoveredData>(
            Kind::Event,
            "ffn.bridge.feed-recovered.v1",
            "A feed that was told as stalled is read again.",
            &shape,
        ),
    ]
}

/// The whole body of a structured message: the envelope with its `data`.
fn message<T: JsonSchema>(kind: Kind, name: &str, description: &str, shape: &Shape) -> Document {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut data = object_of::<T>(&mut generator);
    apply(shape, &mut data);
    envelope_around(kind, name, description, data, generator)
}

fn envelope_around(
    kind: Kind,
    name: &str,
    description: &str,
    data: Map<String, Value>,
    mut generator: SchemaGenerator,
) -> Document {
    let mut envelope = object_of::<Envelope>(&mut generator);
    envelope.shift_remove("description");
    let id = urn(name);
    if let Some(properties) = envelope.get_mut("properties").and_then(Value::as_object_mut) {
        for (attribute, value) in [("type", name), ("dataschema", &id)] {
            if let Some(property) = properties.get_mut(attribute).and_then(Value::as_object_mut) {
                property.insert("const".to_owned(), value.into());
            }
        }
        properties.insert("data".to_owned(), data.into());
    }
    if let Some(required) = envelope.get_mut("required").and_then(Value::as_array_mut) {
        required.push("data".into());
    }
    finish(kind, name, description, envelope, generator)
}

/// The body of a command: the object alone.
pub(super) fn command(spec: &CommandSpec) -> Document {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut body = spec.body(&mut generator);
    let description = body.shift_remove("description");
    let description = description.as_ref().and_then(Value::as_str).unwrap_or_default();
    let document = finish(Kind::Command, &spec.document(), description, body, generator);
    Document { role: spec.variant(), ..document }
}

/// Lays the parts out in the order a person reads them.
fn finish(
    kind: Kind,
    name: &str,
    description: &str,
    body: Map<String, Value>,
    mut generator: SchemaGenerator,
) -> Document {
    let mut document = Map::new();
    document.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    document.insert("$id".to_owned(), urn(name).into());
    document.insert("title".to_owned(), name.into());
    document.insert("description".to_owned(), description.into());
    document.extend(body);
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        document.insert("$defs".to_owned(), definitions.into());
    }
    let mut schema = Value::Object(document);
    tidy::tidy(&mut schema);
    let examples = examples::of(kind, name, &schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("examples".to_owned(), examples.into());
    }
    Document { kind, name: name.to_owned(), role: None, schema }
}

fn apply(shape: &Shape, data: &mut Map<String, Value>) {
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        for member in shape.without {
            properties.shift_remove(*member);
        }
        if let (Some(status), Some(property)) =
            (shape.status, properties.get_mut("status").and_then(Value::as_object_mut))
        {
            property.insert("const".to_owned(), status.into());
        }
    }
    if let Some(required) = data.get_mut("required").and_then(Value::as_array_mut) {
        required.extend(shape.required.iter().map(|member| Value::from(*member)));
    }
}

/// The schema of a type as an object, without its own title.
pub(super) fn object_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Map<String, Value> {
    Schema::as_object(&T::json_schema(generator)).cloned().unwrap_or_default()
}

/// How the id of a document begins; its name follows.
pub const URN: &str = "urn:ffn-bridge:schema:";

fn urn(name: &str) -> String {
    format!("{URN}{name}")
}
