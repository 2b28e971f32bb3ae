//! A subscriber: tells of every order that was shipped and every parcel that left.
//!
//! ```sh
//! AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f cargo run --example subscriber
//! ```
//!
//! It has a durable queue of its own, so nothing is missed while it is not running. Messages arrive at
//! least once: it remembers the ids it has handled, in the same transaction as its own work, and
//! acknowledges last.

use std::env;
use std::error::Error;
use std::io::{Write, stdout};

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use rusqlite::Transaction;
use serde_json::Value;

const BINDINGS: [&str; 2] = ["*.outbound.shipped", "*.shipment.dispatched"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let url = setting("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f");
    let (exchange, queue) = (setting("EXCHANGE", "ffn.events"), setting("QUEUE", "shop.shipments"));
    let mut database = rusqlite::Connection::open(setting("DATABASE", "subscriber.db"))?;
    database.execute("CREATE TABLE IF NOT EXISTS handled (message_id TEXT PRIMARY KEY)", [])?;

    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.as_str().into(), durable, arguments).await?;
    for binding in BINDINGS {
        let (queue, exchange) = (queue.as_str().into(), exchange.as_str().into());
        channel.queue_bind(queue, exchange, binding.into(), QueueBindOptions::default(), FieldTable::default()).await?;
    }
    channel.basic_qos(20, BasicQosOptions::default()).await?;
    let mut deliveries = channel
        .basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        let id = delivery.properties.message_id().as_ref().map(|id| id.as_str()).unwrap_or_default();
        let transaction = database.transaction()?;
        let new = transaction.execute("INSERT OR IGNORE INTO handled VALUES (?1)", [id])?;
        if new == 1 {
            let kind = delivery.properties.kind().as_ref().map(|kind| kind.as_str()).unwrap_or_default();
            let event: Value = serde_json::from_slice(&delivery.data)?;
            // In binary mode the body is the data.
            work(kind, event.get("data").unwrap_or(&event), &transaction)?;
        }
        transaction.commit()?;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Err("the queue is gone".into())
}

/// Your own work. What it writes to the database is committed together with the message's id.
fn work(kind: &str, data: &Value, _database: &Transaction<'_>) -> std::io::Result<()> {
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or("?");
    let number = text("merchantOutboundNumber");
    if kind == "ffn.shipment.dispatched.v1" {
        let ids = data.get("trackingIds").and_then(Value::as_array).into_iter().flatten();
        let ids: Vec<&str> = ids.filter_map(Value::as_str).collect();
        writeln!(stdout(), "{number} left with {} {}", text("carrier"), ids.join(", "))
    } else {
        writeln!(stdout(), "{number} is {} since {}", text("status"), text("occurredAt"))
    }
}
