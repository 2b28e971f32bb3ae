//! RabbitMQ, and only it: connections, topology, publishing with confirms, consuming.
//!
//! Connections are made anew by whoever needs one and finds the old one gone; nothing here relies on
//! a connection to recover by itself. What must not be lost is in the journal until the broker has
//! confirmed it, and in the broker until the outcome is in the journal.

mod browse;
pub mod config;
mod consumer;
mod link;
mod publisher;
pub mod topology;

use std::future::Future;
use std::time::Duration;

use backon::ExponentialBuilder;

pub use browse::Browse;
pub use config::Config;
pub use consumer::{Consumer, DIRECT_REPLY_TO, Death, Delivery, MAX_HEADERS, depth};
pub use link::Link;
pub use publisher::{Fates, Forward, Outgoing, Publisher};

/// How long the broker may take to answer a request. lapin loses one that is made the moment its
/// connection breaks and never answers it: without a bound whoever made it would wait for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits between attempts while the broker can't be reached or does not take what it is given.
pub const RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(Duration::from_secs(15))
    .with_jitter()
    .without_max_times();

/// The answer to a request, or an error if it is refused or does not come.
async fn answered<T>(action: &'static str, request: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => answer.map_err(Error::request(action)),
        Err(_) => Err(Error::silent(action)),
    }
}

/// Why the broker could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL can't be read.
    #[error("broker.url can't be read: {reason}")]
    Url {
        /// Why.
        reason: String,
    },
    /// No connection. lapin's text already holds its cause, so it is no `source`.
    #[error("can't connect to the broker at {address}: {reason}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A request failed, and with it the channel.
    #[error("the broker did not {action}: {reason}")]
    Request {
        /// What was to be done.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// What came can't be read, and the connection is gone with it.
    #[error("what the broker delivered can't be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// A message was refused, for example by a queue that is full; others of its burst may have arrived.
    #[error("the broker refused a message (nack)")]
    Nack,
    /// No confirm came in time.
    #[error("the broker confirmed nothing for {seconds} s")]
    ConfirmTimeout {
        /// How long was waited.
        seconds: u64,
    },
    /// A message that must arrive somewhere was returned: no queue is bound.
    #[error("no queue is bound to exchange {exchange:?} for routing key {routing_key:?}")]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
}

impl Error {
    /// What a person can do about it, where something is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Connect { hint, .. } => Some(hint),
            _ => None,
        }
    }

    fn silent(action: &'static str) -> Self {
        Self::Request { action, reason: format!("no answer within {} s", PATIENCE.as_secs()) }
    }

    fn request(action: &'static str) -> impl Fn(lapin::Error) -> Self {
        move |error| Self::Request { action, reason: error.to_string() }
    }
}
