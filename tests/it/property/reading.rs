//! The bridge's pollers in this process, on a store of their own; what a crash takes away is made anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ffn_bridge::app::Account;
use ffn_bridge::config::{self, AccountConfig};
use ffn_bridge::domain::feed::FeedName;
use ffn_bridge::domain::fit::Fit;
use ffn_bridge::domain::message::{ContentMode, Lane};
use ffn_bridge::domain::token::{Origin, TokenPair, TokenStore};
use ffn_bridge::events::{Poller, Progress, Reader, Recorder};
use ffn_bridge::ffn::shipping_methods::ShippingMethods;
use ffn_bridge::ffn::users;
use ffn_bridge::metrics::Metrics;
use ffn_bridge::store::{Journal, Keyring, Sqlite};
use serde_json::Value;

/// How the account is read.
#[derive(Debug, Clone)]
pub struct Setup {
    pub role: &'static str,
    pub base: String,
    pub token: String,
    pub overlap_s: i64,
    pub safety_lag_s: i64,
    pub start: String,
    pub reads_again: bool,
}

impl Setup {
    fn account(&self) -> AccountConfig {
        let Self { role, base, overlap_s, safety_lag_s, start, .. } = self;
        let text = format!(
            r#"
[broker]
url = "amqp://127.0.0.1"
[store]
url = "sqlite:unused"
[[accounts]]
name = "acme"
role = "{role}"
base_url = "{base}/api"
authorize_url = "{base}/authorize"
token_url = "{base}/token"
client_id = "demo-client"
client_secret = "demo-secret"
rate_limit = "1000000/s"
max_concurrency = 100
overlap = "{overlap_s}s"
safety_lag = "{safety_lag_s}s"
start = "{start}"
"#
        );
        let config = config::parse(&text, Path::new("property.toml"), std::iter::empty());
        config.unwrap_or_else(|errors| panic!("{errors}")).accounts.remove(0)
    }
}

/// One life of the process.
pub struct Reading {
    pub store: Arc<Sqlite>,
    account: Account,
    pollers: BTreeMap<FeedName, Poller>,
    /// What is known of the windows of each feed that FFN takes.
    pub fits: BTreeMap<FeedName, Fit>,
    /// The rows of the journal that were counted, and the last one's position.
    counted: (usize, i64),
}

impl Reading {
    pub async fn begin(setup: &Setup, database: &Path) -> Self {
        let store = Arc::new(Sqlite::open(database, Keyring::default()).await.unwrap());
        let config = setup.account();
        let metrics = Metrics::new().unwrap();
        let account = Account::new(&config, store.clone(), &metrics).unwrap();
        if store.login(account.client.account()).await.unwrap().is_none() {
            // Tokens have tests of their own.
            let pair = TokenPair {
                access: setup.token.clone().into(),
                access_expires_at: Utc::now() + TimeDelta::days(1000),
                refresh: "none".to_owned().into(),
                obtained_at: Utc::now(),
                scopes: Vec::new(),
            };
            store.save_tokens(account.client.account(), pair, Origin::SignIn).await.unwrap();
        }
        let recorder = Recorder {
            client: account.client.clone(),
            shipping_methods: Arc::new(ShippingMethods::new(account.client.clone())),
            journal: store.clone(),
            exchange: "ffn.events".to_owned(),
            mode: ContentMode::Structured,
            metrics: metrics.events.clone(),
        };
        let poller = |feed: &FeedName| {
            let reader = Reader { reads_again: setup.reads_again, ..Reader::new(*feed, recorder.clone()) };
            let memory = std::time::Duration::from_secs(400 * 86_400);
            (*feed, Poller { reader, config: config.events.clone(), progress: Progress::default(), memory })
        };
        let pollers = config.events.feeds.iter().map(poller).collect();
        Self { store, account, pollers, fits: BTreeMap::new(), counted: (0, 0) }
    }

    pub fn poller(&self, feed: FeedName) -> &Poller {
        &self.pollers[&feed]
    }

    /// Any answer tells FFN's clock.
    pub async fn learn_clock(&self) -> DateTime<Utc> {
        while users::current_user(&self.account.client).await.is_err() {}
        self.now()
    }

    /// FFN's clock by the last answer.
    pub fn now(&self) -> DateTime<Utc> {
        self.account.client.server_now()
    }

    /// Up to where a feed has been read.
    pub async fn position(&self, feed: FeedName) -> Option<DateTime<Utc>> {
        let checkpoint = self.store.checkpoint(self.account.client.account(), feed).await.unwrap();
        checkpoint.map(|checkpoint| checkpoint.position)
    }

    /// How many rows the journal has.
    pub async fn told(&mut self) -> usize {
        let lane = Lane::Events(self.account.client.account().clone());
        loop {
            let batch = self.store.rows_after(&lane, self.counted.1, 1000).await.unwrap();
            let Some(last) = batch.last() else { return self.counted.0 };
            self.counted = (self.counted.0 + batch.len(), last.position);
        }
    }

    /// Every message of the journal, in the order of publishing: id, routing key, event.
    pub async fn journal(&self) -> Vec<(String, String, Value)> {
        let lane = Lane::Events(self.account.client.account().clone());
        let (mut rows, mut position) = (Vec::new(), 0);
        loop {
            let batch = self.store.rows_after(&lane, position, 1000).await.unwrap();
            let Some(last) = batch.last() else { return rows };
            position = last.position;
            rows.extend(batch.into_iter().map(|row| {
                let event = serde_json::from_slice(&row.message.body).unwrap();
                (row.message.message_id, row.message.destination.routing_key, event)
            }));
        }
    }
}
