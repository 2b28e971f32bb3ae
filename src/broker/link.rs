//! A connection to the broker that is made when it is needed and made again when it is gone.

use std::sync::Arc;
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{Error, answered};
use crate::metrics::BrokerMetrics;

/// Seconds between heartbeats, unless the URL says otherwise.
const HEARTBEAT_SECONDS: u16 = 10;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection with a name, shared by the channels of one purpose.
#[derive(Debug)]
pub struct Link {
    url: SecretString,
    name: String,
    metrics: Option<BrokerMetrics>,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    /// A link that will connect when the first channel is asked for. With `metrics` it is the one
    /// whose state the bridge shows.
    pub fn new(url: SecretString, name: &str, metrics: Option<BrokerMetrics>) -> Self {
        Self { url, name: format!("ffn-bridge {name}"), metrics, connection: Mutex::new(None) }
    }

    /// A new channel, on the standing connection or on a new one.
    ///
    /// # Errors
    /// The broker can't be reached, refuses the login, or opens no channel.
    pub async fn channel(&self) -> Result<Channel, Error> {
        let connection = self.connection().await?;
        answered("open a channel", connection.create_channel()).await
    }

    /// Whether the connection stands right now.
    pub fn is_connected(&self) -> bool {
        // While the lock is held a connection is being made: not connected yet.
        self.connection.try_lock().is_ok_and(|held| held.as_ref().is_some_and(|it| it.status().connected()))
    }

    /// Whether the broker has stopped taking messages because it is short of memory or disk.
    pub fn is_blocked(&self) -> bool {
        self.connection.try_lock().is_ok_and(|held| held.as_ref().is_some_and(|it| it.status().blocked()))
    }

    /// Closes the connection in good order.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take()
            && connection.status().connected()
            && let Err(error) = answered("close the connection", connection.close(200, "the bridge stops".into())).await
        {
            tracing::debug!(%error, link = self.name, "closing the connection failed");
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, Error> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref() {
            if connection.status().connected() {
                return Ok(connection.clone());
            }
            tracing::warn!(link = self.name, "the connection to the broker is gone");
            if let Some(metrics) = &self.metrics {
                metrics.reconnects.inc();
            }
        }
        *held = None;
        let connection = Arc::new(self.connect().await?);
        tracing::info!(link = self.name, "connected to the broker");
        *held = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let mut uri = parsed(&self.url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let address = format!("{}:{}", uri.authority.host, uri.authority.port);
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        match tokio::time::timeout(CONNECT_TIMEOUT, Connection::connect_uri(uri, properties)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Error::Connect { address, reason: error.to_string(), hint: hint(&error) }),
            Err(_) => {
                let reason = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                Err(Error::Connect {
                    address,
                    reason,
                    hint: "is the address right, and does a firewall let it through?",
                })
            }
        }
    }
}

/// The URL, read.
pub(super) fn parsed(url: &SecretString) -> Result<AMQPUri, Error> {
    url.expose_secret().parse().map_err(|reason: String| Error::Url { reason })
}

/// What a person can do about a connection that was not made.
fn hint(error: &lapin::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ProtocolError(error) if error.get_id() == 403 => {
            "check user and password in broker.url, and that the user may use this virtual host \
             (guest works from localhost only)"
        }
        ErrorKind::ProtocolError(error) if error.get_id() == 530 => {
            "the virtual host in broker.url does not exist or the user may not use it; the default one is written /%2f"
        }
        ErrorKind::IOError(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nothing listens there: is the broker running, and are host and port in broker.url right?"
        }
        _ => "check broker.url, and the broker's log for the other side of the story",
    }
}
