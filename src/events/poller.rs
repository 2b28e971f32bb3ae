//! Following a feed: which window to read when, and how far it has been read (contract 7.6).
//!
//! - A window begins an overlap before the checkpoint and ends a little behind the server's clock; a
//!   [`Reader`] reads it. The checkpoint moves only when everything before it is in the journal.
//! - Quick while things happen, and back to the configured interval when nothing does.
//! - What fails leaves the checkpoint where it was; the feed backs off alone.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::config::Start;
use super::ledger;
use super::normalizer::Telling;
use super::reader::{Read, Reader};
use super::stall::Stall;
use super::{Config, Error, Progress};
use crate::domain::account::AccountName;
use crate::domain::feed::{Checkpoint, FeedName, Window};
use crate::ffn::feeds::Feed;
use crate::ffn::{self, users};
use crate::store::Append;
use crate::telemetry::Chain;

/// How often a feed looks whether somebody has signed in; that asks the store, not FFN.
const LOGIN_LOOK: Duration = Duration::from_secs(5);
/// Longest wait of a feed that fails.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The interval while things happen is the configured one by this.
const QUICKER: u32 = 6;
/// The shortest interval that is chosen here.
const QUICKEST: Duration = Duration::from_secs(1);

/// Follows one feed of one account.
#[derive(Clone)]
pub struct Poller {
    /// Reads its windows.
    pub reader: Reader,
    /// How the account's feeds are read.
    pub config: Config,
    /// Shown on the status page.
    pub progress: Progress,
    /// How long it is kept what is known of an entity.
    pub memory: Duration,
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Events that entered the journal.
    pub events: usize,
    /// Whether there is more to read at once: the window did not reach the present.
    pub is_behind: bool,
}

impl Poller {
    /// Polls until `stop` is cancelled. A poll under way is dropped then: its window is read again.
    pub async fn run(self, stop: CancellationToken) {
        let mut refusals = 0;
        let mut trouble: Option<String> = None;
        let mut backoff = self.backoff();
        let mut interval = self.config.poll_interval;
        let mut stall = Stall::new(&self.reader.recorder, self.feed(), self.config.stalled_after);
        while !stop.is_cancelled() {
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                polled = async {
                    stall.look().await;
                    let polled = self.poll(refusals).await;
                    self.account_for(&polled);
                    stall.note(&polled).await;
                    polled
                } => polled,
            };
            let wait = match polled {
                Ok(Polled { is_behind, events }) => {
                    if trouble.take().is_some() {
                        tracing::info!(account = %self.account(), feed = %self.feed(), "the feed is read again");
                    }
                    refusals = 0;
                    backoff = self.backoff();
                    interval = self.next_interval(interval, events > 0);
                    if is_behind { Duration::ZERO } else { interval }
                }
                Err(error) => {
                    refusals = refusals_after(&error, refusals);
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
                        tracing::debug!(account = %self.account(), feed = %self.feed(), error = text, wait = ?wait, "a poll failed again");
                    } else {
                        tracing::warn!(account = %self.account(), feed = %self.feed(), error = text, wait = ?wait, "a poll failed; the checkpoint stays where it is");
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

    /// Quick after something happened, then twice as long each time until it is the configured interval.
    fn next_interval(&self, last: Duration, is_busy: bool) -> Duration {
        let longest = self.config.poll_interval;
        let quick = (longest / QUICKER).max(QUICKEST).min(longest);
        if is_busy { quick } else { (last * 2).clamp(quick, longest) }
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
        self.reader.recorder.account()
    }

    fn feed(&self) -> FeedName {
        self.reader.feed
    }

    /// Reads one window; after refusals one that ends earlier.
    ///
    /// # Errors
    /// See [`Error`]. The checkpoint is where it was.
    pub async fn poll(&self, refusals: u32) -> Result<Polled, Error> {
        let (client, journal) = (&self.reader.recorder.client, &self.reader.recorder.journal);
        let known = journal.checkpoint(self.account(), self.feed()).await?;
        if let Some(checkpoint) = known {
            // The lag shows from the start, also while FFN can't be reached.
            self.show_position(checkpoint.position);
        }
        if !client.knows_clock() {
            // Windows end on the server's clock, and any answer tells it.
            users::current_user(client).await?;
        }
        let checkpoint = match known {
            Some(checkpoint) => checkpoint,
            None => self.begin().await?,
        };
        let Some(window) = self.window(&checkpoint, refusals) else {
            return Ok(Polled { events: 0, is_behind: false });
        };
        // What an item shows of later is told by the next window, which has all that was between.
        let telling = Telling { until: window.to, ..telling(checkpoint, window.from, self.memory) };
        let Read { mut events, end } = self.reader.read(window, telling).await?;
        if self.feed() == FeedName::Stocks {
            // What is found in the list may have come after the window.
            let telling = Telling { until: DateTime::<Utc>::MAX_UTC, ..telling };
            events += ledger::mend(&self.reader.recorder, telling, self.overlap(), client.server_now()).await?;
        }
        let position = end.unwrap_or(window.to).min(window.to).max(checkpoint.position);
        let read = Window { to: position, ..window };
        let again = read.again(&checkpoint, self.overlap(), client.server_now());
        let moved = Checkpoint { position, again, ..checkpoint };
        let append = Append { checkpoint: Some((self.account().clone(), self.feed(), moved)), ..Append::default() };
        journal.append(append).await?;
        self.show_position(position);
        let lag = client.server_now() - position;
        let is_behind = position > checkpoint.position && lag > TimeDelta::hours(1);
        Ok(Polled { events, is_behind })
    }

    /// Makes the first checkpoint of a feed.
    async fn begin(&self) -> Result<Checkpoint, Error> {
        let now = self.reader.recorder.client.server_now().trunc_subsecs(3);
        let (started_at, with_snapshot) = match self.config.start {
            Start::Now => (now, false),
            // What has no list can't be looked at: it begins now.
            Start::Snapshot => (now, Feed::of(self.feed()).list.is_some()),
            Start::At(instant) => (instant, false),
        };
        let checkpoint = Checkpoint { started_at, position: started_at, with_snapshot, again: None };
        let append =
            Append { checkpoint: Some((self.account().clone(), self.feed(), checkpoint)), ..Append::default() };
        self.reader.recorder.journal.append(append).await?;
        tracing::info!(account = %self.account(), feed = %self.feed(), %started_at, "the feed is read from here on");
        Ok(checkpoint)
    }

    fn overlap(&self) -> TimeDelta {
        TimeDelta::from_std(self.config.overlap).unwrap_or(TimeDelta::MAX)
    }

    /// The window to read; after refusals one that ends earlier.
    fn window(&self, checkpoint: &Checkpoint, refusals: u32) -> Option<Window> {
        let safety_lag = TimeDelta::from_std(self.config.safety_lag).unwrap_or(TimeDelta::MAX);
        let now = self.reader.recorder.client.server_now();
        let window = Window::after(checkpoint, now, self.overlap(), safety_lag)?;
        window.after_refusals(checkpoint.position, self.overlap(), refusals)
    }

    fn show_position(&self, position: DateTime<Utc>) {
        self.progress.update(self.account(), self.feed(), |progress| progress.position = Some(position));
    }

    fn account_for(&self, polled: &Result<Polled, Error>) {
        let outcome = match polled {
            Ok(Polled { events: 0, .. }) => "empty",
            Ok(_) => "changed",
            Err(_) => "failed",
        };
        self.reader
            .recorder
            .metrics
            .polls
            .with_label_values(&[self.account().as_str(), self.feed().as_str(), outcome])
            .inc();
        self.progress.update(self.account(), self.feed(), |progress| {
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

/// How many refusals in a row there have been after another failure: what can only help is an earlier end or a shorter
/// window.
fn refusals_after(error: &Error, refusals: u32) -> u32 {
    match error {
        Error::Ffn(error) if error.status() == Some(StatusCode::BAD_REQUEST) => refusals + 1,
        Error::Endless(_) => Window::shorter_after(refusals),
        _ => refusals,
    }
}

/// Which changes of a feed are told at `now`. What is known of an entity may have been forgotten after `memory`: what
/// was told of it before is not told again.
pub(super) fn telling(checkpoint: Checkpoint, now: DateTime<Utc>, memory: Duration) -> Telling {
    let memory = TimeDelta::from_std(memory).unwrap_or(TimeDelta::MAX);
    let remembered = now.checked_sub_signed(memory).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let Checkpoint { started_at, with_snapshot, .. } = checkpoint;
    if with_snapshot && remembered <= started_at {
        Telling::with_snapshot(started_at)
    } else {
        Telling::since(started_at.max(remembered))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::testing::Bench;
    use super::*;
    use crate::ffn::Priority;
    use crate::ffn::testing::{Call, Reply};
    use crate::store::Journal;

    /// Two pages; of a window longer than an hour each reading has something that nobody has seen.
    fn restless(call: &Call, count: &AtomicUsize) -> Reply {
        let query = url::form_urlencoded::parse(call.uri.split_once('?').map_or("", |(_, query)| query).as_bytes());
        let query: std::collections::HashMap<_, _> = query.collect();
        let bound = |name: &str| query.get(name)?.parse::<DateTime<Utc>>().ok();
        let (Some(from), Some(to)) = (bound("fromDate"), bound("toDate")) else {
            return Reply::json(200, r#"{"userId":"ACME"}"#);
        };
        let nth = if to - from > TimeDelta::hours(1) { count.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let more = query["page"] == "1";
        let page = query["page"].clone();
        Reply::json(200, &format!(r#"{{"data":[{{"jfsku":"P{nth}-{page}"}}],"moreDataAvailable":{more}}}"#))
    }

    #[tokio::test]
    async fn a_window_that_does_not_end_is_shortened_until_it_can_be_read() {
        let count = AtomicUsize::new(0);
        let bench = Bench::new(move |call| restless(call, &count)).await;
        let since = Utc::now() - TimeDelta::hours(3);
        bench.read_to(FeedName::Products, since.timestamp()).await;
        let config = Config {
            feeds: vec![FeedName::Products],
            poll_interval: Duration::from_secs(30),
            overlap: Duration::from_secs(60),
            safety_lag: Duration::from_secs(5),
            stalled_after: Duration::from_secs(600),
            sweep_interval: Duration::from_secs(86_400),
            start: Start::Now,
        };
        let (feed, recorder) = (FeedName::Products, bench.recorder.clone());
        let reader = Reader { feed, recorder, priority: Priority::Poll, reads_again: true };
        let poller = Poller { reader, config, progress: Progress::default(), memory: Duration::from_secs(86_400) };
        let (mut refusals, mut tries) = (0, 0);
        while let Err(error) = poller.poll(refusals).await {
            assert!(matches!(error, Error::Endless(_)), "{error:?}");
            let after = refusals_after(&error, refusals);
            assert!(after > refusals.max(3));
            (refusals, tries) = (after, tries + 1);
        }
        assert_eq!(tries, 2, "3 hours, 1.5 hours");
        let read = bench.store.checkpoint(bench.recorder.account(), FeedName::Products).await.unwrap().unwrap();
        assert!(read.position > since + TimeDelta::minutes(30), "{read:?}");
    }
}
