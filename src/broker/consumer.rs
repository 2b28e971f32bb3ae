//! Consuming: a subscription with a prefetch, and deliveries that are acknowledged last.

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ErrorKind};

use super::publisher::short;
use super::{Error, Link, answered};
use crate::domain::message::rfc3339;

/// RabbitMQ's pseudo-queue for answers without a queue.
pub const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Headers of more bytes than this are not sent on whole: they have to fit into one frame together with those that the
/// bridge adds, and a frame of 128 KiB is what RabbitMQ takes.
pub const MAX_HEADERS: usize = 64 * 1024;
/// Room for what the bridge adds itself.
const OWN_HEADERS: usize = 16 * 1024;
/// Names what was left out of such headers.
const DROPPED_HEADER: &str = "ffn-dropped-headers";

/// A subscription to a queue.
pub struct Consumer {
    channel: Channel,
    queue: String,
    stream: lapin::Consumer,
}

/// A message as it came, until it is acknowledged.
#[derive(Debug)]
pub struct Delivery {
    inner: lapin::message::Delivery,
}

/// The broker's own record of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `delivery_limit`, `expired`, `rejected`, `maxlen`.
    pub reason: String,
    /// The queue it was in.
    pub queue: String,
    /// When, to the second.
    pub at: Option<DateTime<Utc>>,
}

impl Consumer {
    /// Subscribes to `queue` with at most `prefetch` unacknowledged deliveries.
    ///
    /// # Errors
    /// No connection, or no such queue.
    pub async fn subscribe(link: &Link, queue: &str, prefetch: u16) -> Result<Self, Error> {
        let channel = link.channel().await?;
        answered("set the prefetch", channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
        match consume(&channel, queue, BasicConsumeOptions::default()).await {
            Ok(stream) => Ok(Self { channel, queue: queue.to_owned(), stream }),
            Err(error) => {
                // The broker may only be slow: a subscription that nobody reads would keep the messages to itself.
                close(&channel).await;
                Err(error)
            }
        }
    }

    /// Makes a queue of its own that goes with the connection, binds it to `exchange` and takes what
    /// comes, without acknowledging.
    ///
    /// # Errors
    /// No connection, or no such exchange.
    pub async fn listen(link: &Link, exchange: &str, bindings: &[String]) -> Result<Self, Error> {
        let channel = link.channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let declared = channel.queue_declare(ShortString::default(), options, FieldTable::default());
        let queue = answered("make a queue to listen on", declared).await?;
        for binding in bindings {
            let (name, options) = (queue.name().clone(), QueueBindOptions::default());
            let bound = channel.queue_bind(name, exchange.into(), short(binding)?, options, FieldTable::default());
            answered("bind a queue to the exchange", bound).await?;
        }
        Self::consume_unacknowledged(channel, queue.name().as_str()).await
    }

    /// Takes direct replies to what is published on the same channel, which is given as well.
    ///
    /// # Errors
    /// No connection.
    pub async fn replies(link: &Link) -> Result<(Self, Channel), Error> {
        let channel = link.channel().await?;
        let consumer = Self::consume_unacknowledged(channel.clone(), DIRECT_REPLY_TO).await?;
        Ok((consumer, channel))
    }

    async fn consume_unacknowledged(channel: Channel, queue: &str) -> Result<Self, Error> {
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let stream = consume(&channel, queue, options).await?;
        Ok(Self { channel, queue: queue.to_owned(), stream })
    }

    /// The next delivery. An error or `None` (the queue is gone) ends the subscription.
    pub async fn next(&mut self) -> Option<Result<Delivery, Error>> {
        let delivery = self.stream.next().await?;
        Some(delivery.map(Delivery::new).map_err(|error| match error.kind() {
            ErrorKind::ParsingError(_) => Error::Unreadable { reason: error.to_string() },
            _ => Error::request("deliver")(error),
        }))
    }

    /// Lets the broker deliver no more; what was delivered can be acknowledged still.
    pub async fn cancel(&self) {
        let canceled = self.channel.basic_cancel(self.stream.tag(), BasicCancelOptions::default());
        if let Err(error) = answered("end the subscription", canceled).await {
            tracing::debug!(%error, "ending a subscription failed");
        }
    }

    /// How many messages of the queue are with no consumer.
    ///
    /// # Errors
    /// The channel broke, or the queue is gone.
    pub async fn ready(&self) -> Result<u32, Error> {
        count(&self.channel, &self.queue).await
    }

    /// Ends the subscription and gives what was not acknowledged back to the queue, all of it at once and to
    /// its place. Canceling first would not keep the order: what the broker has just sent then goes back
    /// before what came earlier and is still here.
    pub async fn close(self) {
        close(&self.channel).await;
    }
}

async fn close(channel: &Channel) {
    if let Err(error) = answered("close the channel", channel.close(200, "done".into())).await {
        tracing::debug!(%error, "closing the channel failed");
    }
}

/// How many messages of `queue` are with no consumer.
///
/// # Errors
/// No connection, or no such queue.
pub async fn depth(link: &Link, queue: &str) -> Result<u32, Error> {
    let channel = link.channel().await?;
    let depth = count(&channel, queue).await?;
    answered("close the channel", channel.close(200, "done".into())).await?;
    Ok(depth)
}

async fn count(channel: &Channel, queue: &str) -> Result<u32, Error> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(short(queue)?, options, FieldTable::default());
    Ok(answered("count the messages of a queue", declared).await?.message_count())
}

async fn consume(channel: &Channel, queue: &str, options: BasicConsumeOptions) -> Result<lapin::Consumer, Error> {
    let consuming = channel.basic_consume(queue.into(), ShortString::default(), options, FieldTable::default());
    answered("let us consume from the queue", consuming).await
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Consumer").finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(inner: lapin::message::Delivery) -> Self {
        Self { inner }
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        self.inner.routing_key.as_str()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.inner.data
    }

    /// Whether the broker has delivered it before.
    pub fn redelivered(&self) -> bool {
        self.inner.redelivered
    }

    /// AMQP `message_id`.
    pub fn message_id(&self) -> Option<&str> {
        self.inner.properties.message_id().as_ref().map(ShortString::as_str)
    }

    /// AMQP `correlation_id`.
    pub fn correlation_id(&self) -> Option<&str> {
        self.inner.properties.correlation_id().as_ref().map(ShortString::as_str)
    }

    /// AMQP `reply_to`.
    pub fn reply_to(&self) -> Option<&str> {
        self.inner.properties.reply_to().as_ref().map(ShortString::as_str)
    }

    /// AMQP `content_type`.
    pub fn content_type(&self) -> Option<&str> {
        self.inner.properties.content_type().as_ref().map(ShortString::as_str)
    }

    /// AMQP `type`.
    pub fn message_type(&self) -> Option<&str> {
        self.inner.properties.kind().as_ref().map(ShortString::as_str)
    }

    /// AMQP `expiration`: the time to live in milliseconds, as text.
    pub fn expiration(&self) -> Option<&str> {
        self.inner.properties.expiration().as_ref().map(ShortString::as_str)
    }

    /// AMQP `timestamp`.
    pub fn timestamp(&self) -> Option<DateTime<Utc>> {
        let seconds = self.inner.properties.timestamp().as_ref()?;
        DateTime::from_timestamp(i64::try_from(*seconds).ok()?, 0)
    }

    /// Whether there is a header of that name, whatever it holds.
    pub fn has_header(&self, name: &str) -> bool {
        self.inner.properties.headers().as_ref().is_some_and(|headers| headers.contains_key(name))
    }

    /// A header, if it is a text.
    pub fn header(&self, name: &str) -> Option<String> {
        match self.inner.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// All headers, as text for people.
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.inner.properties.headers().iter().flat_map(|headers| headers.inner());
        headers.map(|(name, value)| (name.to_string(), plain(value))).collect()
    }

    /// How many bytes of headers would be sent on with it, about.
    pub fn headers_size(&self) -> usize {
        self.sent_on().map(|(name, value)| weight(name.as_str(), value)).sum()
    }

    /// The headers as they came, without what the broker writes itself.
    fn sent_on(&self) -> impl Iterator<Item = (&ShortString, &AMQPValue)> {
        let headers = self.inner.properties.headers().iter().flat_map(|headers| headers.inner());
        headers.filter(|(name, _)| !is_the_brokers(name.as_str()))
    }

    /// What the broker says of itself having set the message aside, if it did so last.
    pub fn death(&self) -> Option<Death> {
        let AMQPValue::FieldArray(deaths) = self.inner.properties.headers().as_ref()?.inner().get("x-death")? else {
            return None;
        };
        // The newest comes first.
        let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
        let text = |name: &str| death.inner().get(name).map(plain);
        let at = match death.inner().get("time") {
            Some(AMQPValue::Timestamp(seconds)) => i64::try_from(*seconds).ok(),
            _ => None,
        };
        Some(Death {
            reason: text("reason")?,
            queue: text("queue").unwrap_or_default(),
            at: at.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        })
    }

    /// Acknowledges. `false`: the channel it came on is gone, so the broker will deliver it again.
    ///
    /// # Errors
    /// The channel broke.
    pub async fn ack(&self) -> Result<bool, Error> {
        answered("take an acknowledgement", self.inner.acker.ack(BasicAckOptions::default())).await
    }

    /// Whether it can still be acknowledged; if not, the broker will deliver it again by itself.
    pub fn is_live(&self) -> bool {
        self.inner.acker.usable()
    }

    /// Gives it back to the queue.
    pub async fn give_back(&self) {
        let options = BasicNackOptions { requeue: true, ..Default::default() };
        if let Err(error) = answered("take a delivery back", self.inner.acker.nack(options)).await {
            tracing::debug!(%error, "giving a delivery back failed");
        }
    }

    /// The properties as they came, with headers added, for sending the delivery on.
    ///
    /// The broker's own record of dead-lettering is left out, else it takes a retry for an endless
    /// loop and drops it; so is `expiration`, which would make the copy vanish. Of more than [`MAX_HEADERS`] and
    /// what the bridge adds the largest are left out, and named.
    pub(super) fn properties_with(&self, headers: &[(&'static str, String)]) -> BasicProperties {
        let mut came: Vec<_> = self.sent_on().collect();
        came.sort_by_key(|(name, value)| weight(name.as_str(), value));
        let mut dropped = Vec::new();
        let mut size = self.headers_size();
        while size > MAX_HEADERS + OWN_HEADERS
            && let Some((name, value)) = came.pop()
        {
            size -= weight(name.as_str(), value);
            dropped.push(name.as_str());
        }
        let mut table = FieldTable::default();
        for (name, value) in came {
            table.insert(name.clone(), value.clone());
        }
        if !dropped.is_empty() {
            let names: String = dropped.join(", ").chars().take(1000).collect();
            table.insert(DROPPED_HEADER.into(), AMQPValue::LongString(names.into()));
        }
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
        }
        let came = &self.inner.properties;
        let mut properties = BasicProperties::default().with_headers(table).with_delivery_mode(2);
        if let Some(value) = came.content_type() {
            properties = properties.with_content_type(value.clone());
        }
        if let Some(value) = came.content_encoding() {
            properties = properties.with_content_encoding(value.clone());
        }
        if let Some(value) = came.priority() {
            properties = properties.with_priority(*value);
        }
        if let Some(value) = came.correlation_id() {
            properties = properties.with_correlation_id(value.clone());
        }
        if let Some(value) = came.reply_to() {
            properties = properties.with_reply_to(value.clone());
        }
        if let Some(value) = came.message_id() {
            properties = properties.with_message_id(value.clone());
        }
        if let Some(value) = came.timestamp() {
            properties = properties.with_timestamp(*value);
        }
        if let Some(value) = came.kind() {
            properties = properties.with_type(value.clone());
        }
        if let Some(value) = came.app_id() {
            properties = properties.with_app_id(value.clone());
        }
        properties
    }
}

/// Whether it is a header by which the broker tells what became of a message.
fn is_the_brokers(name: &str) -> bool {
    name == "x-death"
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
        || name == "x-delivery-count"
}

/// About how many bytes a header takes in a frame.
fn weight(name: &str, value: &AMQPValue) -> usize {
    const EACH: usize = 8;
    let value = match value {
        AMQPValue::LongString(text) => text.as_bytes().len(),
        AMQPValue::ShortString(text) => text.as_str().len(),
        AMQPValue::ByteArray(bytes) => bytes.as_slice().len(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(|value| weight("", value)).sum(),
        AMQPValue::FieldTable(table) => table.inner().iter().map(|(name, value)| weight(name.as_str(), value)).sum(),
        _ => EACH,
    };
    EACH + name.len() + value
}

/// A header's value for people.
fn plain(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortShortUInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::ShortUInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::DecimalValue(number) => format!("{number:?}"),
        AMQPValue::Timestamp(seconds) => {
            let time = i64::try_from(*seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            time.map_or_else(|| seconds.to_string(), rfc3339)
        }
        AMQPValue::ByteArray(bytes) => format!("{} bytes", bytes.as_slice().len()),
        AMQPValue::FieldArray(values) => {
            format!("[{}]", values.as_slice().iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        AMQPValue::FieldTable(table) => {
            let members = table.inner().iter().map(|(name, value)| format!("{name}: {}", plain(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        AMQPValue::Void => String::new(),
    }
}
