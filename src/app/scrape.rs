//! What is computed when it is asked for: lag, backlog and connection, from stored instants, so that
//! they keep growing while nothing happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Account;
use crate::broker::{self, Link, topology};
use crate::domain::account::AccountName;
use crate::domain::feed::FeedName;
use crate::domain::listing::Purpose;
use crate::domain::message::Lane;
use crate::events::{FeedProgress, Progress};
use crate::metrics::Metrics;
use crate::store::{self, Backlog, Journal, Parking, Sqlite};
use crate::telemetry::Chain;

/// How long a scrape waits for the broker.
const COUNT_PATIENCE: Duration = Duration::from_secs(1);

/// Where the admin server's answers come from.
pub(super) struct Scrape {
    pub(super) metrics: Metrics,
    pub(super) store: Arc<Sqlite>,
    pub(super) progress: Progress,
    pub(super) accounts: Vec<Account>,
    pub(super) publishing: Arc<Link>,
    pub(super) broker: broker::Config,
    pub(super) started_at: DateTime<Utc>,
}

impl Scrape {
    /// The metrics as text, with what is computed brought up to now.
    pub(super) async fn render(&self) -> Result<String, String> {
        let backlog = self.store.backlog().await.map_err(|error| error.to_string())?;
        for account in &self.accounts {
            let name = account.client.account();
            let rows = rows_of(&backlog, name);
            self.metrics.events.pending.with_label_values(&[name.as_str()]).set(rows);
        }
        let parked = self.store.parked_counts().await.map_err(|error| error.to_string())?;
        for account in &self.accounts {
            let name = account.client.account().as_str();
            for feed in FeedName::ALL.into_iter().map(FeedName::as_str) {
                let count = parked.iter().find(|count| count.account == name && count.feed == feed);
                self.metrics.events.parked.with_label_values(&[name, feed]).set(count.map_or(0, |count| count.items));
            }
        }
        self.show_missed().await.map_err(|error| error.to_string())?;
        self.show_lags();
        self.count_held().await;
        self.metrics.broker.connected.set(self.publishing.is_connected().into());
        self.metrics.render().map_err(|error| error.to_string())
    }

    /// Shows when a feed was last found to have missed something, also in an earlier process.
    async fn show_missed(&self) -> Result<(), store::Error> {
        for account in &self.accounts {
            let name = account.client.account();
            for feed in &account.config.events.feeds {
                let listing = self.store.listing(name, *feed, Purpose::Sweep).await?;
                let missed_at = listing.and_then(|listing| listing.missed_at).unwrap_or_default();
                let gauge = self.metrics.events.missed_at.with_label_values(&[name.as_str(), feed.as_str()]);
                gauge.set(missed_at.timestamp() as f64);
            }
        }
        Ok(())
    }

    /// Shows how far each feed is behind. Of one of which nothing has been read yet that is as long as this process runs.
    fn show_lags(&self) {
        let running = (Utc::now() - self.started_at).as_seconds_f64();
        for account in &self.accounts {
            let name = account.client.account();
            let progress: HashMap<_, _> = self.feeds(name).into_iter().collect();
            for feed in &account.config.events.feeds {
                let lag = progress.get(feed).and_then(|progress| self.lag_seconds(name, progress));
                let gauge = self.metrics.events.feed_lag.with_label_values(&[name.as_str(), feed.as_str()]);
                gauge.set(lag.unwrap_or(running));
            }
        }
    }

    /// Asks the broker what is held. While it can't be asked the last answer stands.
    async fn count_held(&self) {
        if !self.publishing.is_connected() {
            return;
        }
        let count = async {
            for account in &self.accounts {
                let name = account.client.account();
                match broker::depth(&self.publishing, &topology::held_queue(&self.broker, name)).await {
                    Ok(count) => self.metrics.commands.held.with_label_values(&[name.as_str()]).set(count.into()),
                    Err(error) => {
                        tracing::debug!(account = %name, error = %Chain(&error), "what is held can't be counted")
                    }
                }
            }
        };
        if tokio::time::timeout(COUNT_PATIENCE, count).await.is_err() {
            tracing::debug!("the broker does not say in time what is held");
        }
    }

    /// Every feed of an account.
    pub(super) fn feeds(&self, account: &AccountName) -> Vec<(FeedName, FeedProgress)> {
        let feeds = self.progress.all().into_iter();
        feeds.filter(|(name, ..)| name == account).map(|(_, feed, progress)| (feed, progress)).collect()
    }

    /// Seconds between FFN's clock, or this machine's where that of FFN is ahead, and the end of what has been read.
    pub(super) fn lag_seconds(&self, account: &AccountName, progress: &FeedProgress) -> Option<f64> {
        let account = self.accounts.iter().find(|other| other.client.account() == account)?;
        let present = account.client.server_now() - account.client.ahead();
        Some((present - progress.position?).as_seconds_f64().max(0.0))
    }

    /// What waits for the broker.
    pub(super) async fn backlog(&self) -> Result<Vec<Backlog>, store::Error> {
        self.store.backlog().await
    }
}

/// Rows of an account's events that wait for the broker.
pub(super) fn rows_of(backlog: &[Backlog], account: &AccountName) -> i64 {
    let lane = Lane::Events(account.clone()).key();
    backlog.iter().find(|backlog| backlog.lane == lane).map_or(0, |backlog| backlog.rows)
}
