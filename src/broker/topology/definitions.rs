//! The plan as RabbitMQ's definitions: what `rabbitmqctl import_definitions` and the management API take.

use serde_json::{Map, Value, json};

use super::super::link::parsed;
use super::super::{Config, Error};
use super::{Argument, Item, Kind, ORDERING_KEY_HEADER, Target, plan};

/// The plan for the virtual host of the configuration. It has no users, permissions or policies, so that importing it
/// changes none.
///
/// # Errors
/// The URL can't be read.
pub fn definitions(config: &Config) -> Result<Value, Error> {
    let vhost = &parsed(&config.url)?.vhost;
    let (mut exchanges, mut queues, mut bindings) = (Vec::new(), Vec::new(), Vec::new());
    for item in plan(config) {
        match item {
            Item::Exchange { name, kind } => {
                let arguments = match kind {
                    Kind::ByKey => json!({"hash-header": ORDERING_KEY_HEADER}),
                    Kind::Topic | Kind::Fanout => json!({}),
                };
                exchanges.push(json!({
                    "name": name, "vhost": vhost, "type": kind.as_str(), "durable": true, "auto_delete": false,
                    "internal": false, "arguments": arguments,
                }));
            }
            Item::Queue { name, arguments } => {
                let kind = ("x-queue-type".to_owned(), Value::from("quorum"));
                let others = arguments.into_iter().map(|(name, value)| (name.to_owned(), value_of(value)));
                let arguments: Map<String, Value> = std::iter::once(kind).chain(others).collect();
                queues.push(json!({
                    "name": name, "vhost": vhost, "durable": true, "auto_delete": false, "arguments": arguments,
                }));
            }
            Item::Binding { exchange, to, key } => {
                let (kind, destination) = match to {
                    Target::Queue(name) => ("queue", name),
                    Target::Exchange(name) => ("exchange", name),
                };
                bindings.push(json!({
                    "source": exchange, "vhost": vhost, "destination": destination, "destination_type": kind,
                    "routing_key": key, "arguments": {},
                }));
            }
        }
    }
    Ok(json!({"vhosts": [{"name": vhost}], "exchanges": exchanges, "queues": queues, "bindings": bindings}))
}

fn value_of(argument: Argument) -> Value {
    match argument {
        Argument::Text(text) => Value::from(text),
        Argument::Number(number) => Value::from(number),
        Argument::Yes => Value::from(true),
    }
}
