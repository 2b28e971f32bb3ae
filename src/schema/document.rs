//! From types to documents: one schema per event, command and result.

use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::command::{OutboundCancel, OutboundCreate, OutboundGet, OutboundUpdate};
use super::envelope::Envelope;
use super::event::{LoginRequiredData, OUTBOUND_STATUS_EVENTS, OutboundData, ShipmentData};
use super::result::{FAILED_TYPE, ResultFailed, ResultSucceeded, SUCCEEDED_TYPE};
use super::{examples, tidy};

/// Name of the schema for events about statuses that the bridge has no name for.
pub const UNKNOWN_STATUS_TYPE: &str = "ffn.outbound.status.v1";

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
    /// An event's or a result's type (`ffn.outbound.shipped.v1`), or a command (`outbound.create`).
    pub name: String,
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

/// Every document: events, commands, results, each in the order of the interface.
pub fn catalog() -> Vec<Document> {
    let mut documents = outbound_events();
    documents.extend(shipment_events());
    documents.extend(bridge_events());
    documents.push(command::<OutboundCreate>("outbound.create"));
    documents.push(command::<OutboundUpdate>("outbound.update"));
    documents.push(command::<OutboundCancel>("outbound.cancel"));
    documents.push(command::<OutboundGet>("outbound.get"));
    documents.push(message::<ResultSucceeded>(
        Kind::Result,
        SUCCEEDED_TYPE,
        "A command was carried out.",
        &Shape::default(),
    ));
    documents.push(message::<ResultFailed>(Kind::Result, FAILED_TYPE, "A command failed.", &Shape::default()));
    documents
}

fn outbound_events() -> Vec<Document> {
    let event = |name: &str, description: &str, shape: Shape| {
        message::<OutboundData>(Kind::Event, &format!("ffn.outbound.{name}.v1"), description, &shape)
    };
    let created = Shape { required: &["status"], without: &["previousStatus", "changed"], status: None };
    let mut events = vec![event("created", "An order was created.", created)];
    for (status, name) in OUTBOUND_STATUS_EVENTS {
        let shape = Shape { required: &["status"], without: &["changed"], status: Some(status) };
        events.push(event(name, &format!("An order reached the status {status}."), shape));
    }
    let updated = Shape { required: &["changed"], without: &["previousStatus"], status: None };
    events.push(event("updated", "Members of an order other than its status changed.", updated));
    events.push(event("deleted", "An order was deleted.", Shape { without: &["changed"], ..Shape::default() }));
    let unknown = Shape { required: &["status"], without: &["changed"], status: None };
    let mut unknown = event(
        "status",
        "An order reached a status that this version of the bridge has no name for. The event's type carries the \
         status as words: FooBar becomes ffn.outbound.foo-bar.v1.",
        unknown,
    );
    // The one document that stands for many types.
    if let Some(property) = unknown.schema.pointer_mut("/properties/type").and_then(Value::as_object_mut) {
        property.shift_remove("const");
        property.insert("pattern".to_owned(), r"^ffn\.outbound\.[a-z0-9-]+\.v1$".into());
    }
    if let Some(property) = unknown.schema.pointer_mut("/properties/dataschema").and_then(Value::as_object_mut) {
        property.shift_remove("const");
        property.insert("pattern".to_owned(), r"^urn:ffn-bridge:schema:ffn\.outbound\.[a-z0-9-]+\.v1$".into());
    }
    events.push(unknown);
    events
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
    vec![message::<LoginRequiredData>(
        Kind::Event,
        "ffn.bridge.login-required.v1",
        "An account can't call until a person has acted.",
        &Shape::default(),
    )]
}

/// The whole body of a structured message: the envelope with its `data`.
fn message<T: JsonSchema>(kind: Kind, name: &str, description: &str, shape: &Shape) -> Document {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut envelope = object_of::<Envelope>(&mut generator);
    let mut data = object_of::<T>(&mut generator);
    envelope.shift_remove("description");
    apply(shape, &mut data);
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
fn command<T: JsonSchema>(name: &str) -> Document {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut body = object_of::<T>(&mut generator);
    let description = body.shift_remove("description");
    let description = description.as_ref().and_then(Value::as_str).unwrap_or_default();
    finish(Kind::Command, name, description, body, generator)
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
    if let Some(object) = schema.as_object_mut() {
        object.insert("examples".to_owned(), json!([examples::of(kind, name)]));
    }
    Document { kind, name: name.to_owned(), schema }
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

fn object_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Map<String, Value> {
    Schema::as_object(&T::json_schema(generator)).cloned().unwrap_or_default()
}

fn urn(name: &str) -> String {
    format!("urn:ffn-bridge:schema:{name}")
}
