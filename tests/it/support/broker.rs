//! The test's side of RabbitMQ: publishing commands, subscribing to events and results, cleaning up.

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::Value;

use super::{Names, schema, until};

/// The broker that all tests share.
pub fn shared_url() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

pub struct Broker {
    url: String,
    names: Names,
    pub connection: Connection,
    pub channel: Channel,
}

/// A message as a subscriber sees it.
#[derive(Debug, Clone)]
pub struct Message {
    pub routing_key: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

impl Message {
    pub fn id(&self) -> String {
        self.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON; numbers lose digits here, so look for those in [`Self::text`].
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// The event's name: the last word of the routing key.
    pub fn event(&self) -> String {
        self.routing_key.rsplit('.').next().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        match self.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            other => Some(format!("{other:?}")),
        }
    }
}

impl Broker {
    pub async fn connect(url: &str, names: Names) -> Self {
        let connection = until("the broker to answer", async || {
            Connection::connect(url, ConnectionProperties::default()).await.ok()
        })
        .await;
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { url: url.to_owned(), names, connection, channel }
    }

    /// A quorum queue bound to an exchange, as a subscriber would have it. Waits for the exchange.
    pub async fn bind(&self, name: &str, exchange: &str, keys: &[&str]) -> String {
        let queue = self.names.queue(name);
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
        for key in keys {
            until("the exchange to bind to", async || {
                // A missing exchange closes the channel.
                let channel = self.connection.create_channel().await.ok()?;
                let options = QueueBindOptions::default();
                let (queue, key) = (queue.as_str().into(), (*key).into());
                channel.queue_bind(queue, exchange.into(), key, options, FieldTable::default()).await.ok()
            })
            .await;
        }
        queue
    }

    /// A queue that takes one message and rejects all others, bound to everything.
    pub async fn bind_full(&self, name: &str, exchange: &str) -> String {
        let queue = self.full(name).await;
        let (options, table) = (QueueBindOptions::default(), FieldTable::default());
        self.channel.queue_bind(queue.as_str().into(), exchange.into(), "#".into(), options, table).await.unwrap();
        queue
    }

    /// A queue that takes one message and rejects all others.
    pub async fn full(&self, name: &str) -> String {
        let queue = self.names.queue(name);
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
        queue
    }

    pub async fn delete(&self, queue: &str) {
        self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }

    /// Binds a queue to the events exchange and subscribes to it.
    pub async fn events(&self, keys: &[&str]) -> Subscription {
        let queue = self.bind("events", &self.names.events(), keys).await;
        self.subscribe(&queue).await
    }

    /// Binds a queue to the results exchange and subscribes to it.
    pub async fn results(&self) -> Subscription {
        let queue = self.bind("results", &self.names.results(), &["#"]).await;
        self.subscribe(&queue).await
    }

    /// Subscribes to the dead-letter queue.
    pub async fn dead_letters(&self) -> Subscription {
        self.subscribe(&self.names.dead()).await
    }

    pub async fn subscribe(&self, queue: &str) -> Subscription {
        let channel = self.connection.create_channel().await.unwrap();
        let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
        let stream = channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await.unwrap();
        Subscription { stream, seen: Vec::new(), _channel: channel }
    }

    /// Publishes a command with a message id, confirmed.
    pub async fn command(&self, key: &str, id: &str, body: &Value) {
        let properties = BasicProperties::default().with_message_id(id.into()).with_delivery_mode(2);
        self.publish(&self.names.commands(), key, properties, body.to_string().as_bytes()).await;
    }

    /// Publishes anything, confirmed and routed.
    pub async fn publish(&self, exchange: &str, key: &str, properties: BasicProperties, body: &[u8]) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let confirm = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap();
        let confirmation = confirm.await.unwrap();
        assert!(confirmation.is_ack(), "{confirmation:?}");
        assert!(confirmation.take_message().is_none(), "no queue for {key}");
    }

    /// Messages ready in a queue.
    pub async fn depth(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap().message_count()
    }

    /// Who consumes from a queue.
    pub async fn consumers(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap().consumer_count()
    }
}

impl Drop for Broker {
    /// Deletes what the test made, in a thread of its own: there is no waiting in a drop.
    fn drop(&mut self) {
        let (url, names) = (self.url.clone(), self.names.clone());
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let patience = std::time::Duration::from_secs(5);
            // The timer has to be made inside the runtime.
            drop(runtime.block_on(async { tokio::time::timeout(patience, clean(url, names)).await }));
        });
        drop(cleaner.join());
    }
}

async fn clean(url: String, names: Names) -> Result<(), lapin::Error> {
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let commands = names.commands();
    let mut queues = vec![commands.clone(), names.dead()];
    queues.extend(["events", "results", "reply", "more", "full"].map(|name| names.queue(name)));
    let waits = ["300ms", "1s", "2s", "5s", "10s", "1m", "10m"].map(|step| format!("{commands}.wait.{step}"));
    queues.extend(waits.clone());
    let held = ["acme", "shop", "ware"].map(|account| format!("{commands}.held.{account}"));
    queues.extend(held.clone());
    queues.extend((1..=3).map(|number| format!("{commands}.{number}")));
    for queue in queues {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
    }
    let mut exchanges =
        vec![names.events(), commands.clone(), names.results(), names.dead(), format!("{commands}.retry")];
    exchanges.extend(waits);
    exchanges.extend(held);
    exchanges.push(format!("{commands}.by-key"));
    for exchange in exchanges {
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
    }
    Ok(())
}

/// A subscriber that acknowledges everything and remembers it.
pub struct Subscription {
    stream: lapin::Consumer,
    /// Everything received so far, repetitions included.
    pub seen: Vec<Message>,
    _channel: Channel,
}

impl Subscription {
    /// The next message.
    pub async fn next(&mut self) -> Message {
        let patience = std::time::Duration::from_secs(60);
        let next = tokio::time::timeout(patience, self.stream.next()).await;
        let delivery = next
            .unwrap_or_else(|_| {
                let seen: Vec<&String> = self.seen.iter().map(|message| &message.routing_key).collect();
                panic!("no further message within {patience:?}; before it came {seen:?}")
            })
            .expect("the subscription stands")
            .unwrap();
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        let message = Message {
            routing_key: delivery.routing_key.to_string(),
            properties: delivery.properties,
            body: delivery.data,
        };
        schema::check(&message);
        self.seen.push(message.clone());
        message
    }

    /// Receives until `enough` says so of all that was received.
    pub async fn until(&mut self, enough: impl Fn(&[Message]) -> bool) -> &[Message] {
        while !enough(&self.seen) {
            self.next().await;
        }
        &self.seen
    }

    /// Receives until so many different messages have come, by id.
    pub async fn distinct(&mut self, count: usize) -> Vec<Message> {
        while self.first_of_each().len() < count {
            self.next().await;
        }
        self.first_of_each()
    }

    /// What was received, without repetitions, in the order of first arrival.
    pub fn first_of_each(&self) -> Vec<Message> {
        let mut ids = std::collections::HashSet::new();
        self.seen.iter().filter(|message| ids.insert(message.id())).cloned().collect()
    }
}
