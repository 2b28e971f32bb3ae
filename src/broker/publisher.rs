//! Publishing: persistent, mandatory, confirmed.
//!
//! A burst of messages is sent as fast as the socket takes it, then every confirm is awaited. A burst
//! is published only when all of it is confirmed; otherwise the caller sends it again, with the same
//! ids. lapin may hand a returned message to another message's confirm, so returns are matched by
//! what they say, not by which confirm brought them, and only when the whole burst is through.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};

use super::{Config, DIRECT_REPLY_TO, Delivery, Error, Link, answered, topology};
use crate::domain::message::Message;

/// How long a burst may wait for its confirms while the broker takes messages: short enough to be sent
/// again before a stop runs into its deadline.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(15);
/// AMQP `app_id` of everything the bridge sends.
const APP_ID: &str = "ffn-bridge";
const PERSISTENT: u8 = 2;

/// A channel in confirm mode that is opened again when it is gone.
#[derive(Debug)]
pub struct Publisher {
    link: Arc<Link>,
    channel: Option<Channel>,
    /// What to bring the broker back to after a failure; a command of a person's leaves it alone.
    topology: Option<Config>,
    /// Whether something failed since the channel was last opened.
    failed: bool,
}

/// Where a delivery is sent on to, with its body and properties as they came.
#[derive(Debug)]
pub struct Forward<'a> {
    /// The exchange; the routing key stays.
    pub exchange: &'a str,
    /// Headers to add or replace.
    pub headers: Vec<(&'static str, String)>,
}

/// The messages of a burst that did not arrive, by their indexes.
#[derive(Debug, Default)]
pub struct Fates {
    /// No queue was bound for them.
    pub unroutable: Vec<usize>,
    /// The broker refused them, for example because a queue is full.
    pub refused: Vec<usize>,
}

/// A message of somebody's own, as a person sends it from the command line.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: &'a str,
    /// AMQP `message_id`.
    pub message_id: &'a str,
    /// AMQP `reply_to`.
    pub reply_to: Option<&'a str>,
    /// The body; its content type is JSON.
    pub body: &'a [u8],
}

impl Publisher {
    /// A publisher on a channel that is open already.
    ///
    /// # Errors
    /// The broker has no confirms.
    pub async fn on(link: Arc<Link>, channel: Channel) -> Result<Self, Error> {
        let options = ConfirmSelectOptions::default();
        answered("turn on confirms", channel.confirm_select(options)).await?;
        Ok(Self { link, channel: Some(channel), topology: None, failed: false })
    }

    /// Publishes one message and waits for the confirm.
    ///
    /// # Errors
    /// It may have arrived or not. Nobody being bound is an error here.
    pub async fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        let channel = self.open().await?.clone();
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(outgoing.message_id.into())
            .with_app_id(ShortString::from(APP_ID));
        if let Some(reply_to) = outgoing.reply_to {
            properties = properties.with_reply_to(reply_to.into()).with_correlation_id(outgoing.message_id.into());
        }
        let result = async {
            let confirm = send(&channel, outgoing.exchange, outgoing.routing_key, outgoing.body, properties).await?;
            self.await_confirms(vec![confirm]).await?.taken()
        }
        .await;
        if self.or_close(result)?.is_empty() {
            Ok(())
        } else {
            self.restore_first();
            let (exchange, routing_key) = (outgoing.exchange.to_owned(), outgoing.routing_key.to_owned());
            Err(Error::Unroutable { exchange, routing_key })
        }
    }

    /// A publisher on this link; the channel is opened with the first message. After a failure the
    /// exchanges and queues of `topology` are made again if they are gone.
    pub fn new(link: Arc<Link>, topology: Config) -> Self {
        Self { link, channel: None, topology: Some(topology), failed: false }
    }

    /// Publishes a burst in order and waits until the broker has confirmed or refused each of it.
    ///
    /// # Errors
    /// Some may have arrived, some not: publish all of it again.
    pub async fn publish_each(&mut self, burst: &[&Message]) -> Result<Fates, Error> {
        let channel = self.open().await?.clone();
        let result = self.send_burst(&channel, burst).await;
        let Settled { returned, refused } = self.or_close(result)?;
        let is_returned = |message: &Message| {
            let destination = &message.destination;
            returned.contains(&(
                message.message_id.clone(),
                destination.exchange.clone(),
                destination.routing_key.clone(),
            ))
        };
        let unroutable = match returned.is_empty() {
            true => Vec::new(),
            false => (0..).zip(burst).filter(|(_, message)| is_returned(message)).map(|(index, _)| index).collect(),
        };
        Ok(Fates { unroutable, refused })
    }

    /// Sends a delivery on, body and properties as they came, and waits for the confirm.
    ///
    /// # Errors
    /// It may have arrived or not. Nobody being bound is an error here.
    pub async fn forward(&mut self, delivery: &Delivery, to: Forward<'_>) -> Result<(), Error> {
        let channel = self.open().await?.clone();
        let result = async {
            let confirm = send(
                &channel,
                to.exchange,
                delivery.routing_key(),
                delivery.body(),
                delivery.properties_with(&to.headers),
            )
            .await?;
            self.await_confirms(vec![confirm]).await?.taken()
        }
        .await;
        if self.or_close(result)?.is_empty() {
            Ok(())
        } else {
            self.restore_first();
            let (exchange, routing_key) = (to.exchange.to_owned(), delivery.routing_key().to_owned());
            Err(Error::Unroutable { exchange, routing_key })
        }
    }

    /// Opens the channel if it is not open, and so tells whether the broker can be reached.
    ///
    /// # Errors
    /// It can't.
    pub async fn open(&mut self) -> Result<&Channel, Error> {
        let usable = self.channel.take().filter(|channel| channel.status().connected());
        let channel = match usable {
            Some(channel) => channel,
            None => {
                if self.failed
                    && let Some(config) = &self.topology
                {
                    for problem in topology::ensure(&self.link, config).await? {
                        tracing::error!("{problem}");
                    }
                }
                self.failed = false;
                let channel = self.link.channel().await?;
                let options = ConfirmSelectOptions::default();
                answered("turn on confirms", channel.confirm_select(options)).await?;
                channel
            }
        };
        Ok(self.channel.insert(channel))
    }

    /// A queue is gone: the next message brings the topology back first.
    fn restore_first(&mut self) {
        self.channel = None;
        self.failed = true;
    }

    /// After a failure the channel is in doubt: the next message gets a new one. A nack is no failure of
    /// the channel.
    fn or_close<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.as_ref().is_err_and(|error| !matches!(error, Error::Nack)) {
            self.channel = None;
            self.failed = true;
        }
        result
    }

    async fn send_burst(&self, channel: &Channel, burst: &[&Message]) -> Result<Settled, Error> {
        let mut confirms = Vec::with_capacity(burst.len());
        for message in burst {
            let destination = &message.destination;
            let sent =
                send(channel, &destination.exchange, &destination.routing_key, &message.body, properties(message));
            confirms.push(sent.await?);
        }
        self.await_confirms(confirms).await
    }

    /// Waits for all confirms and gives what was returned or refused. While the broker is blocked (short of
    /// memory or disk) time does not count: messages wait, they are not dropped.
    async fn await_confirms(&self, confirms: Vec<PublisherConfirm>) -> Result<Settled, Error> {
        let mut all = std::pin::pin!(try_join_all(confirms));
        let confirmations = loop {
            match tokio::time::timeout(CONFIRM_TIMEOUT, &mut all).await {
                Ok(confirmations) => break confirmations.map_err(Error::request("confirm a message"))?,
                Err(_) if self.link.is_blocked() => tracing::warn!("the broker is blocked; messages wait"),
                Err(_) => return Err(Error::ConfirmTimeout { seconds: CONFIRM_TIMEOUT.as_secs() }),
            }
        };
        let mut settled = Settled::default();
        for (index, confirmation) in confirmations.into_iter().enumerate() {
            match confirmation {
                Confirmation::Ack(message) => settled.returned.extend(message.map(|message| identify(&message))),
                Confirmation::Nack(_) | Confirmation::NotRequested => settled.refused.push(index),
            }
        }
        Ok(settled)
    }
}

/// What the broker says of messages when it has confirmed or refused each.
#[derive(Debug, Default)]
struct Settled {
    returned: HashSet<Returned>,
    /// Indexes.
    refused: Vec<usize>,
}

impl Settled {
    /// What was returned, if nothing was refused.
    fn taken(self) -> Result<HashSet<Returned>, Error> {
        if self.refused.is_empty() { Ok(self.returned) } else { Err(Error::Nack) }
    }
}

/// Message id, exchange and routing key of a returned message.
type Returned = (String, String, String);

fn identify(message: &BasicReturnMessage) -> Returned {
    let id = message.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
    (id, message.exchange.to_string(), message.routing_key.to_string())
}

async fn send(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<PublisherConfirm, Error> {
    // Direct replies are delivered and yet returned as unroutable: the flag tells nothing there.
    let mandatory = !(exchange.is_empty() && routing_key.starts_with(DIRECT_REPLY_TO));
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    let published = channel.basic_publish(short(exchange)?, short(routing_key)?, options, body, properties);
    answered("take a message", published).await
}

/// A text as AMQP takes it in names and keys: at most 255 bytes.
pub(super) fn short(text: &str) -> Result<ShortString, Error> {
    ShortString::try_new(text)
        .map_err(|error| Error::Request { action: "take a name or key", reason: error.to_string() })
}

fn properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
    }
    let properties = BasicProperties::default()
        .with_content_type(message.content_type.as_str().into())
        .with_headers(headers)
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.message_id.as_str().into())
        .with_timestamp(u64::try_from(message.timestamp).unwrap_or(0))
        .with_type(message.message_type.as_str().into())
        .with_app_id(ShortString::from(APP_ID));
    match &message.correlation_id {
        Some(id) => properties.with_correlation_id(id.as_str().into()),
        None => properties,
    }
}
