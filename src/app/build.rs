//! Building the bridge: every part from the configuration, without calling anybody.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::scrape::Scrape;
use super::status::Status;
use crate::broker::{Link, topology};
use crate::config::{AccountConfig, Config};
use crate::domain::clock::Clock;
use crate::domain::token::TokenStore;
use crate::events::{KNOWN_TYPES, Progress};
use crate::ffn::feeds::Feed;
use crate::ffn::operations::OPERATIONS;
use crate::ffn::{Auth, Client};
use crate::metrics::Metrics;
use crate::schema::result::ErrorCode;
use crate::store::{self, Keyring, Sealing, Sqlite, Table};
use crate::telemetry::Chain;

/// Why the bridge could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("the store can't be used")]
    Store(#[from] store::Error),
    /// An HTTP client could not be made.
    #[error("no HTTP client can be made")]
    Http(#[from] reqwest::Error),
    /// A fault of this program.
    #[error("a part of the bridge can't be made: {0}")]
    Internal(String),
    /// The admin server's address.
    #[error("the admin server can't listen on {address}; set http.listen to a free address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What the broker has does not fit.
    #[error("the broker does not have what the bridge needs:\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
    Topology(Vec<topology::Problem>),
    /// A task that the bridge can't go on without has ended.
    #[error("{task} has stopped: {reason}")]
    Task {
        /// Which.
        task: String,
        /// Why.
        reason: String,
    },
    /// The deadline of a stop has passed.
    #[error("not everything could be brought to its end in time; it is kept in the journal and in the broker")]
    Deadline,
}

/// Says once how tokens are kept, and what would keep them better.
fn tell_of_seals(keyring: &Keyring, sealings: &[Sealing]) {
    let Some(key) = keyring.current() else {
        tracing::warn!(
            "tokens are stored unsealed, protected by the mode of the database's file alone; to seal them, set \
             store.encryption_key (`ffn-bridge keys generate` makes a key) and run `ffn-bridge keys rotate`"
        );
        return;
    };
    tracing::info!(key = %key.id(), "tokens are stored sealed");
    let unsealed: Vec<&str> =
        sealings.iter().filter(|it| it.keys.contains(&None)).map(|it| it.account.as_str()).collect();
    if !unsealed.is_empty() {
        let accounts = unsealed.join(", ");
        tracing::warn!(accounts, "tokens from before are stored unsealed; `ffn-bridge keys rotate` seals them");
    }
}

/// One account, ready to call.
#[derive(Clone)]
pub struct Account {
    /// Its configuration.
    pub config: AccountConfig,
    /// Its tokens.
    pub auth: Arc<Auth>,
    /// Its API.
    pub client: Arc<Client>,
}

impl Account {
    /// Makes an account's API client on a token store.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(config: &AccountConfig, tokens: Arc<dyn TokenStore>, metrics: &Metrics) -> Result<Self, reqwest::Error> {
        let auth = Arc::new(Auth::new(&config.ffn, tokens, Clock::System, metrics.ffn.clone())?);
        let client = Arc::new(Client::new(config.ffn.clone(), auth.clone(), metrics.ffn.clone())?);
        Ok(Self { config: config.clone(), auth, client })
    }
}

/// The bridge, built but not running.
pub struct App {
    pub(super) config: Config,
    pub(super) store: Arc<Sqlite>,
    pub(super) metrics: Metrics,
    pub(super) progress: Progress,
    pub(super) accounts: Vec<Account>,
    /// The connection for publishing; the other is for consuming.
    pub(super) publishing: Arc<Link>,
    pub(super) consuming: Arc<Link>,
    /// Taken when the admin server starts.
    pub(super) listener: Option<TcpListener>,
    address: SocketAddr,
}

impl App {
    /// Opens the store, tries its keys, makes every account's client and binds the admin server. Calls nobody.
    ///
    /// # Errors
    /// The store, the address, or a fault of this program.
    pub async fn build(config: Config) -> Result<Self, Error> {
        let metrics = Metrics::new().map_err(|error| Error::Internal(error.to_string()))?;
        let store = store::open(&config.store).await?;
        store.remarks().iter().for_each(|remark| tracing::warn!("{remark}"));
        tell_of_seals(&config.store.keyring, &store.verify_seals().await?);
        let accounts: Result<Vec<Account>, reqwest::Error> =
            config.accounts.iter().map(|account| Account::new(account, store.clone(), &metrics)).collect();
        let address = config.http.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        let link = |name: &str, metrics| Arc::new(Link::new(config.broker.url.clone(), name, metrics));
        Ok(Self {
            publishing: link("publisher", Some(metrics.broker.clone())),
            consuming: link("consumer", None),
            progress: Progress::default(),
            accounts: accounts?,
            config,
            store,
            metrics,
            listener: Some(listener),
            address,
        })
    }

    /// Where the admin server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How far its feeds are, now and while it runs.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::new(Status {
            scrape: Scrape {
                metrics: self.metrics.clone(),
                store: self.store.clone(),
                progress: self.progress.clone(),
                accounts: self.accounts.clone(),
                publishing: self.publishing.clone(),
                broker: self.config.broker.clone(),
                started_at: chrono::Utc::now(),
            },
        })
    }

    /// Looks who needs a person, so that health and metrics say so from their first answer. What the store
    /// does not tell is left out until it does.
    pub(super) async fn look_at_logins(&self) {
        for account in &self.accounts {
            if let Err(error) = account.auth.look().await {
                tracing::warn!(account = %account.client.account(), error = %Chain(&error), "the sign-in can't be read for now");
            }
        }
    }

    /// Known label sets start at 0, so that the first increase is one.
    pub(super) fn start_label_sets(&self) {
        let Metrics { ffn, events, commands, store, .. } = &self.metrics;
        for table in Table::ALL {
            store.pruned.with_label_values(&[table.as_str()]).inc_by(0);
        }
        for account in &self.accounts {
            let name = account.client.account().as_str();
            for event_type in KNOWN_TYPES.iter().map(String::as_str) {
                events.published.with_label_values(&[name, event_type]).inc_by(0);
                events.unroutable.with_label_values(&[name, event_type]).inc_by(0);
            }
            events.stock_gaps.with_label_values(&[name]).inc_by(0);
            for feed in &account.config.events.feeds {
                if Feed::of(*feed).list.is_some() {
                    events.sweep_missed.with_label_values(&[name, feed.as_str()]).inc_by(0);
                    for outcome in ["done", "failed"] {
                        events.sweeps.with_label_values(&[name, feed.as_str(), outcome]).inc_by(0);
                    }
                }
                events.items_parked.with_label_values(&[name, feed.as_str()]).inc_by(0);
                for outcome in ["changed", "empty", "failed"] {
                    events.polls.with_label_values(&[name, feed.as_str(), outcome]).inc_by(0);
                }
            }
            for operation in OPERATIONS.iter().filter(|operation| operation.is_for(account.client.role())) {
                for outcome in ["succeeded", "failed", "duplicate", "retried", "held"] {
                    commands.finished.with_label_values(&[name, operation.name, outcome]).inc_by(0);
                }
                commands.retries.with_label_values(&[name, operation.name]).inc_by(0);
            }
            commands.paused.with_label_values(&[name]).set(0);
            commands.held.with_label_values(&[name]).set(0);
            for code in ErrorCode::ALL {
                commands.dead_letters.with_label_values(&[name, code.as_str()]).inc_by(0);
            }
            for outcome in ["refreshed", "refused", "failed"] {
                ffn.token_refreshes.with_label_values(&[name, outcome]).inc_by(0);
            }
        }
    }
}
