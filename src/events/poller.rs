//! Reading a feed without loss: first step of an event's way (contract 7.6).
//!
//! - A window begins an overlap before the checkpoint and ends a little behind the server's clock; it
//!   is read to its last page, with the same two bounds on every page.
//! - A window of several pages is read again until a whole pass brings nothing new, because rows
//!   shift while it is paged.
//! - Events and memories of a batch of pages go to the journal in one transaction; the checkpoint moves only
//!   after the last page, in a transaction of its own. Reading twice does no harm, ids see to that.
//! - What fails leaves the checkpoint where it was; the feed backs off alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::config::Start;
use super::normalizer::{self, Scope};
use super::{Config, Progress};
use crate::domain::account::AccountName;
use crate::domain::entity::Fingerprint;
use crate::domain::feed::{Checkpoint, FeedName, Window};
use crate::domain::message::ContentMode;
use crate::ffn::feeds::{self, Page};
use crate::ffn::shipping_methods::ShippingMethods;
use crate::ffn::{self, Client, users};
use crate::metrics::EventMetrics;
use crate::store::{self, Append, Journal, KnownEntity, Parked};
use crate::telemetry::Chain;

/// More pages than this in one window mean that something is wrong.
const MOST_PAGES: u32 = 10_000;
/// More passes than this over one window are left to the next poll.
const MOST_PASSES: u32 = 20;
/// How far the end of a refused window steps back (contract 7.6, rule 7).
const STEP_BACK: TimeDelta = TimeDelta::seconds(30);
/// Steps back before the window is halved instead.
const STEPS_BACK: u32 = 3;
/// How often a feed looks whether somebody has signed in; that asks the store, not FFN.
const LOGIN_LOOK: Duration = Duration::from_secs(5);
/// What is stored together, at the most: items, bytes, and how long the first may wait for the others.
const BATCH_ITEMS: usize = 500;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const BATCH_AGE: Duration = Duration::from_millis(200);
/// Longest wait of a feed that fails.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// FFN.
    #[error("the feed could not be read")]
    Ffn(#[from] ffn::Error),
    /// The store.
    #[error("what was read could not be stored")]
    Store(#[from] store::Error),
    /// The feed does not end, or repeats itself.
    #[error("the feed makes no sense: {0}")]
    Nonsense(String),
}

/// Follows one feed of one account.
#[derive(Clone)]
pub struct Poller {
    /// The feed.
    pub feed: FeedName,
    /// The account's API.
    pub client: Arc<Client>,
    /// Its shipping methods, for carriers' names.
    pub shipping_methods: Arc<ShippingMethods>,
    /// Where events go.
    pub journal: Arc<dyn Journal>,
    /// How the account's feeds are read.
    pub config: Config,
    /// The events exchange.
    pub exchange: String,
    /// How events are laid into messages.
    pub mode: ContentMode,
    /// Shown on the status page.
    pub progress: Progress,
    /// Counted.
    pub metrics: EventMetrics,
}

/// What a poll found.
struct Polled {
    /// Events that entered the journal.
    events: usize,
    /// Whether there is more to read at once: the window did not reach the present.
    is_behind: bool,
}

/// A window while it is read, over all its passes.
#[derive(Default)]
struct Reading {
    /// Where reading of the feed began.
    started_at: DateTime<Utc>,
    /// Items that have been taken, by their bytes.
    seen: HashSet<Fingerprint>,
    /// The window's end as the server understood it.
    end: Option<DateTime<Utc>>,
    /// Events that entered the journal.
    events: usize,
}

/// Items of several pages that are stored together: a commit costs the same for many as for few.
struct Batch {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    begun: Instant,
}

impl Batch {
    fn new() -> Self {
        Self { items: Vec::new(), bytes: 0, begun: Instant::now() }
    }

    fn extend(&mut self, items: impl Iterator<Item = Box<RawValue>>) {
        for item in items {
            self.bytes += item.get().len();
            self.items.push(item);
        }
    }

    /// How long it may wait for more.
    fn patience(&self) -> Duration {
        let is_full = self.items.len() >= BATCH_ITEMS || self.bytes >= BATCH_BYTES;
        if is_full { Duration::ZERO } else { BATCH_AGE.saturating_sub(self.begun.elapsed()) }
    }
}

impl Poller {
    /// Polls until `stop` is cancelled. A poll under way is dropped then: its window is read again.
    pub async fn run(self, stop: CancellationToken) {
        let mut refusals = 0;
        let mut trouble: Option<String> = None;
        let mut backoff = self.backoff();
        while !stop.is_cancelled() {
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                polled = self.poll(refusals) => polled,
            };
            self.account_for(&polled);
            let wait = match polled {
                Ok(Polled { is_behind, .. }) => {
                    if trouble.take().is_some() {
                        tracing::info!(account = %self.account(), feed = %self.feed, "the feed is read again");
                    }
                    refusals = 0;
                    backoff = self.backoff();
                    if is_behind { Duration::ZERO } else { self.config.poll_interval }
                }
                Err(error) => {
                    let refused =
                        matches!(&error, Error::Ffn(error) if error.status() == Some(StatusCode::BAD_REQUEST));
                    refusals = if refused { refusals + 1 } else { refusals };
                    let asked = match &error {
                        Error::Ffn(ffn::Error::NoToken {
                            source: ffn::auth::Error::NeedsLogin { .. } | ffn::auth::Error::ClientRefused { .. },
                            ..
                        }) => Some(self.config.poll_interval.min(LOGIN_LOOK)),
                        Error::Ffn(error) => error.retry_after().map(|wait| wait.min(LONGEST_WAIT)),
                        _ => None,
                    };
                    let wait = asked.or_else(|| backoff.next()).unwrap_or(LONGEST_WAIT);
                    let text = Chain(&error).to_string();
                    // Said once; the same trouble again shows in the metrics and on the status page.
                    if trouble.as_ref() == Some(&text) {
                        tracing::debug!(account = %self.account(), feed = %self.feed, error = text, wait = ?wait, "a poll failed again");
                    } else {
                        tracing::warn!(account = %self.account(), feed = %self.feed, error = text, wait = ?wait, "a poll failed; the checkpoint stays where it is");
                    }
                    trouble = Some(text);
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                // A tenth of jitter keeps the feeds of many accounts apart.
                () = tokio::time::sleep(wait.mul_f64(0.95 + 0.1 * fastrand::f64())) => {}
            }
        }
    }

    fn backoff(&self) -> backon::ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.config.poll_interval.min(Duration::from_secs(5)))
            .with_max_delay(LONGEST_WAIT)
            .with_jitter()
            .without_max_times()
            .build()
    }

    fn account(&self) -> &AccountName {
        self.client.account()
    }

    /// Reads one window.
    async fn poll(&self, refusals: u32) -> Result<Polled, Error> {
        let known = self.journal.checkpoint(self.account(), self.feed).await?;
        if let Some(checkpoint) = known {
            // The lag shows from the start, also while FFN can't be reached.
            self.show_position(checkpoint.position);
        }
        if !self.client.knows_clock() {
            // Windows end on the server's clock, and any answer tells it.
            users::current_user(&self.client).await?;
        }
        let checkpoint = match known {
            Some(checkpoint) => checkpoint,
            None => self.begin().await?,
        };
        let Some(window) = self.window(checkpoint.position, refusals) else {
            return Ok(Polled { events: 0, is_behind: false });
        };
        let mut reading = Reading { started_at: checkpoint.started_at, ..Reading::default() };
        for pass in 1..=MOST_PASSES {
            let before = reading.seen.len();
            let pages = self.read(window, &mut reading).await?;
            if pages <= 1 || (pass > 1 && reading.seen.len() == before) {
                let position = reading.end.unwrap_or(window.to).min(window.to).max(checkpoint.position);
                let moved = Checkpoint { position, ..checkpoint };
                let account = self.account().clone();
                let append = Append { checkpoint: Some((account, self.feed, moved)), ..Append::default() };
                self.journal.append(append).await?;
                self.show_position(position);
                let lag = self.client.server_now() - position;
                let is_behind = position > checkpoint.position && lag > TimeDelta::hours(1);
                return Ok(Polled { events: reading.events, is_behind });
            }
            tracing::debug!(account = %self.account(), feed = %self.feed, pass, pages, "a window of several pages is read again");
        }
        Err(Error::Nonsense(format!("{MOST_PASSES} passes over one window each brought something new")))
    }

    /// Makes the first checkpoint of a feed.
    async fn begin(&self) -> Result<Checkpoint, Error> {
        let started_at = match self.config.start {
            Start::Now => self.client.server_now(),
            Start::At(instant) => instant,
        };
        let checkpoint = Checkpoint { started_at, position: started_at };
        let append = Append { checkpoint: Some((self.account().clone(), self.feed, checkpoint)), ..Append::default() };
        self.journal.append(append).await?;
        tracing::info!(account = %self.account(), feed = %self.feed, %started_at, "the feed is read from here on");
        Ok(checkpoint)
    }

    /// The window to read; after refusals one that ends earlier.
    fn window(&self, position: DateTime<Utc>, refusals: u32) -> Option<Window> {
        let overlap = TimeDelta::from_std(self.config.overlap).unwrap_or(TimeDelta::MAX);
        let safety_lag = TimeDelta::from_std(self.config.safety_lag).unwrap_or(TimeDelta::MAX);
        let mut window = Window::after(position, self.client.server_now(), overlap, safety_lag)?;
        for refusal in 1..=refusals {
            let back = window.to - STEP_BACK;
            window.to =
                if refusal <= STEPS_BACK && back > position { back } else { position + (window.to - position) / 2 };
        }
        (window.to > position).then_some(window)
    }

    /// Reads a window once, page after page, and stores what it brings. Gives the number of pages.
    async fn read(&self, window: Window, reading: &mut Reading) -> Result<u32, Error> {
        let (from, to) = (feeds::bound(window.from), feeds::bound(window.to));
        let mut page = self.fetch(&from, &to, 1).await?;
        let mut last_page = Vec::new();
        let mut batch = Batch::new();
        for number in 1..=MOST_PAGES {
            reading.end = reading.end.or(page.to);
            let prints: Vec<Fingerprint> = page.items.iter().map(|item| Fingerprint::of(item.get())).collect();
            if !prints.is_empty() && last_page == prints {
                return Err(Error::Nonsense(format!("pages {} and {number} of one window are the same", number - 1)));
            }
            // The same bytes in an earlier pass have been stored already.
            let news = page.items.into_iter().zip(&prints).filter(|(_, print)| reading.seen.insert(**print));
            batch.extend(news.map(|(item, _)| item));
            last_page = prints;
            if !page.more {
                self.store(batch.items, reading).await?;
                return Ok(number);
            }
            let mut next = std::pin::pin!(self.fetch(&from, &to, number + 1));
            page = match tokio::time::timeout(batch.patience(), &mut next).await {
                Ok(page) => page?,
                // The batch is full, or the next page takes its time: it is awaited while these are stored.
                Err(_) => {
                    let items = std::mem::replace(&mut batch, Batch::new()).items;
                    let (stored, page) = tokio::join!(self.store(items, reading), next);
                    stored?;
                    page?
                }
            };
        }
        Err(Error::Nonsense(format!("a window has more than {MOST_PAGES} pages")))
    }

    async fn fetch(&self, from: &str, to: &str, number: u32) -> Result<Page, ffn::Error> {
        feeds::read_page(&self.client, self.feed, from, to, number).await
    }

    /// Derives the events of items and appends them to the journal, in one transaction.
    async fn store(&self, batch: Vec<Box<RawValue>>, reading: &mut Reading) -> Result<(), Error> {
        let mut append = Append::default();
        let mut items: Vec<(String, Box<RawValue>)> = Vec::with_capacity(batch.len());
        for item in batch {
            match normalizer::entity_id(self.feed, &item) {
                Ok(id) => items.push((id, item)),
                Err(odd) => append.parked.push(self.park(&item, &odd)),
            }
        }
        let ids = items.iter().map(|(id, _)| id.clone()).collect();
        let known = self.journal.known(self.account(), self.feed, ids).await?;
        let carriers = self.carriers(&items).await?;
        let scope = Scope {
            account: self.account(),
            role: self.client.role(),
            started_at: reading.started_at,
            recorded_time: Utc::now(),
            exchange: &self.exchange,
            mode: self.mode,
            carriers: &carriers,
        };
        for (id, item) in items {
            match normalizer::normalize(&scope, self.feed, &item, known.get(&id)) {
                Ok(normalized) => {
                    append.drafts.extend(normalized.drafts);
                    if known.get(&id) != Some(&normalized.known) {
                        let account = self.account().clone();
                        append.known.push(KnownEntity { account, feed: self.feed, id, known: normalized.known });
                    }
                }
                Err(odd) => append.parked.push(self.park(&item, &odd)),
            }
        }
        append.drafts.sort_by_key(|draft| draft.event.time);
        reading.events += self.journal.append(append).await?;
        Ok(())
    }

    fn park(&self, item: &RawValue, odd: &normalizer::Odd) -> Parked {
        tracing::error!(account = %self.account(), feed = %self.feed, reason = %odd, "an item of the feed can't be told as an event; it is parked");
        Parked {
            account: self.account().clone(),
            feed: self.feed,
            item: item.get().to_owned(),
            reason: odd.to_string(),
        }
    }

    async fn carriers(&self, items: &[(String, Box<RawValue>)]) -> Result<HashMap<String, String>, ffn::Error> {
        let mut carriers = HashMap::new();
        for method in items.iter().flat_map(|(_, item)| normalizer::shipping_methods(self.feed, item)) {
            if !carriers.contains_key(&method)
                && let Some(found) = self.shipping_methods.get(&method).await?
                && let Some(name) = found.carrier_name.as_ref().or(found.name.as_ref())
            {
                carriers.insert(method, name.clone());
            }
        }
        Ok(carriers)
    }

    fn show_position(&self, position: DateTime<Utc>) {
        self.progress.update(self.account(), self.feed, |progress| progress.position = Some(position));
    }

    fn account_for(&self, polled: &Result<Polled, Error>) {
        let outcome = match polled {
            Ok(Polled { events: 0, .. }) => "empty",
            Ok(_) => "changed",
            Err(_) => "failed",
        };
        self.metrics.polls.with_label_values(&[self.account().as_str(), self.feed.as_str(), outcome]).inc();
        self.progress.update(self.account(), self.feed, |progress| {
            progress.polled_at = Some(Utc::now());
            match polled {
                Ok(polled) => {
                    progress.events = polled.events;
                    progress.failures = 0;
                    progress.error = None;
                }
                Err(error) => {
                    progress.failures += 1;
                    progress.error = Some(Chain(error).to_string());
                }
            }
        });
    }
}
