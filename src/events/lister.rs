//! Reading lists in the background: once to tell what is there when a feed begins to be read, and then from time to
//! time to find what the feed has missed.
//!
//! One list of an account is read at a time, with half of its budget, while its feeds are followed. A list that
//! can't be read does not keep the others.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::config::Start;
use super::poller::telling;
use super::progress::SnapshotProgress;
use super::recorder::Recorder;
use super::sweep::Sweep;
use super::{Config, Error, Progress, snapshot};
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::listing::{Listing, Purpose};
use crate::ffn::Endpoint;
use crate::ffn::feeds::Feed;
use crate::store::Append;
use crate::telemetry::Chain;

/// How soon it is looked again while a feed has not begun, and how late when nothing is due.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(600);
/// Pauses after lists that could not be read.
const RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(300))
    .with_jitter()
    .without_max_times();
/// A feed that is further behind than this is catching up.
const BEHIND: TimeDelta = TimeDelta::hours(1);
/// Rows of a snapshot between two lines of the log.
const ROWS_OF_A_LINE: u64 = 10_000;

/// A list, and when it is looked at next.
struct Turn {
    feed: FeedName,
    list: Endpoint,
    due: Instant,
    backoff: ExponentialBackoff,
    /// Why it could not be read the last time.
    trouble: Option<String>,
}

impl Turn {
    fn new(feed: FeedName, list: Endpoint) -> Self {
        Self { feed, list, due: Instant::now(), backoff: RETRY.build(), trouble: None }
    }
}

/// Reads the lists of one account.
#[derive(Clone)]
pub struct Lister {
    /// Takes what is read.
    pub recorder: Recorder,
    /// Which feeds, and how often.
    pub config: Config,
    /// Shown on the status page.
    pub progress: Progress,
    /// How long it is kept what is known of an entity.
    pub memory: Duration,
}

impl Lister {
    /// Reads what is due, again and again until `stop`. A page under way is dropped then: it is read again.
    pub async fn run(self, stop: CancellationToken) {
        let mut turns: Vec<Turn> = self.lists().map(|(feed, list)| Turn::new(feed, list)).collect();
        let begun = Utc::now();
        let mut is_shown = false;
        loop {
            if !is_shown {
                // A store that can't be read fails the turns as well, which say so.
                is_shown = self.show_start(begun).await.is_ok();
            }
            for turn in turns.iter_mut().filter(|turn| turn.due <= Instant::now()) {
                let done = stop.run_until_cancelled(self.turn(turn.feed, turn.list, begun)).await;
                let Some(done) = done else { return };
                turn.due = Instant::now() + self.wait_after(done, turn);
            }
            let next = turns.iter().map(|turn| turn.due.saturating_duration_since(Instant::now())).min();
            if stop.run_until_cancelled(tokio::time::sleep(next.unwrap_or(LATE))).await.is_none() {
                return;
            }
        }
    }

    /// How long a list waits after its turn. One that could not be read waits longer each time, and that is said once.
    fn wait_after(&self, done: Result<Duration, Error>, turn: &mut Turn) -> Duration {
        let Turn { feed, backoff, trouble, .. } = turn;
        let error = match done {
            Ok(wait) => {
                (*backoff, *trouble) = (RETRY.build(), None);
                return wait;
            }
            Err(error) => Chain(&error).to_string(),
        };
        self.recorder.metrics.sweeps.with_label_values(&[self.account(), feed.as_str(), "failed"]).inc();
        if trouble.as_ref() != Some(&error) {
            tracing::warn!(account = self.account(), %feed, error, "a list can't be read; trying again");
        }
        *trouble = Some(error);
        backoff.next().unwrap_or(LATE)
    }

    fn account(&self) -> &str {
        self.recorder.account().as_str()
    }

    /// The feeds that have a list.
    fn lists(&self) -> impl Iterator<Item = (FeedName, Endpoint)> {
        let feeds = self.config.feeds.clone().into_iter();
        feeds.filter_map(|feed| Some((feed, Feed::of(feed).list?)))
    }

    /// Shows how far each list is before its first turn, which may be long in coming: also what never is must be seen.
    async fn show_start(&self, begun: DateTime<Utc>) -> Result<(), Error> {
        let (journal, account) = (&self.recorder.journal, self.recorder.account());
        for (feed, _) in self.lists() {
            let checkpoint = journal.checkpoint(account, feed).await?;
            let swept = journal.listing(account, feed, Purpose::Sweep).await?.and_then(|listing| listing.ended_at);
            self.show_swept(feed, swept.or(checkpoint.map(|it| it.started_at)).unwrap_or(begun));
            if checkpoint.map_or(self.config.start == Start::Snapshot, |it| it.with_snapshot) {
                match journal.listing(account, feed, Purpose::Snapshot).await? {
                    Some(listing) => self.show(feed, &listing),
                    None => {
                        let complete = &self.recorder.metrics.snapshot_complete;
                        complete.with_label_values(&[self.account(), feed.as_str()]).set(0);
                    }
                }
            }
        }
        Ok(())
    }

    fn show_swept(&self, feed: FeedName, at: DateTime<Utc>) {
        let labels = [self.account(), feed.as_str()];
        self.recorder.metrics.swept_at.with_label_values(&labels).set(at.timestamp() as f64);
    }

    /// Does what is due for a feed, and gives when to look again. The process has `begun` then.
    async fn turn(&self, feed: FeedName, list: Endpoint, begun: DateTime<Utc>) -> Result<Duration, Error> {
        let (journal, account) = (&self.recorder.journal, self.recorder.account());
        let checkpoint = journal.checkpoint(account, feed).await?;
        if checkpoint.is_none() && self.config.start.is_to_come(self.recorder.client.server_now()) {
            // No sweep is missed, and no alert is to say so.
            self.show_swept(feed, Utc::now());
        }
        // The poller begins a feed, and learns the server's clock.
        let Some(checkpoint) = checkpoint.filter(|_| self.recorder.client.knows_clock()) else { return Ok(SOON) };
        if checkpoint.with_snapshot {
            self.snapshot(feed, list, checkpoint).await?;
        }
        let swept = journal.listing(account, feed, Purpose::Sweep).await?.and_then(|listing| listing.ended_at);
        let interval = TimeDelta::from_std(self.config.sweep_interval).unwrap_or(TimeDelta::MAX);
        let (now, ahead) = (self.recorder.client.server_now(), self.recorder.client.ahead());
        let due = swept.unwrap_or(checkpoint.started_at).checked_add_signed(interval);
        let is_due = due.is_some_and(|due| due <= now);
        // After a standstill the checkpoint is that of before, and nothing later would be looked at.
        let safety_lag = TimeDelta::from_std(self.config.safety_lag).unwrap_or(TimeDelta::MAX);
        let present = (self.recorder.client.server_time_of(begun) - ahead).checked_sub_signed(safety_lag);
        if is_due && present.is_some_and(|present| checkpoint.position < present) {
            return Ok(SOON);
        }
        // While the feed is behind, nobody can tell what it has missed.
        let latest = (now - ahead).checked_sub_signed(safety_lag);
        if is_due && latest.is_some_and(|latest| latest - checkpoint.position < BEHIND) {
            self.sweep(feed, list, checkpoint).await?;
            return Ok(self.config.sweep_interval.min(LATE));
        }
        let left = due.and_then(|due| (due - now).to_std().ok()).unwrap_or(LATE);
        Ok(left.clamp(SOON, LATE))
    }

    /// Tells what there was at the start, unless that has been done.
    async fn snapshot(&self, feed: FeedName, list: Endpoint, checkpoint: Checkpoint) -> Result<(), Error> {
        let recorder = &self.recorder;
        let listing = recorder.journal.listing(recorder.account(), feed, Purpose::Snapshot).await?;
        let mut listing = match listing {
            Some(listing) => listing,
            None => snapshot::begin(recorder, feed, list).await?,
        };
        self.show(feed, &listing);
        while listing.ended_at.is_none() {
            let before = listing.cursor.rows;
            listing = snapshot::read_on(recorder, feed, list, checkpoint, &listing).await?;
            self.show(feed, &listing);
            let rows = listing.cursor.rows;
            if listing.ended_at.is_some() {
                tracing::info!(account = self.account(), %feed, rows, "the snapshot is complete");
            } else if rows / ROWS_OF_A_LINE > before / ROWS_OF_A_LINE {
                tracing::info!(account = self.account(), %feed, rows, of = listing.total, "reading what is there");
            }
        }
        Ok(())
    }

    /// Compares a feed's list with what is known. It counts as compared also if some entity could not be looked at.
    async fn sweep(&self, feed: FeedName, list: Endpoint, checkpoint: Checkpoint) -> Result<(), Error> {
        let recorder = &self.recorder;
        let begun = recorder.client.server_now();
        let overlap = TimeDelta::from_std(self.config.overlap).unwrap_or(TimeDelta::MAX);
        let telling = telling(checkpoint, begun, self.memory);
        // Where `Date` is ahead, a checkpoint may be, too.
        let position = checkpoint.position.min(begun - recorder.client.ahead());
        let Some(due) = position.checked_sub_signed(overlap) else { return Ok(()) };
        let swept = Sweep { feed, list, due, telling }.run(recorder).await?;
        // What could not be looked at is looked at the next time.
        let outcome = if swept.unread == 0 { "done" } else { "failed" };
        recorder.metrics.sweeps.with_label_values(&[self.account(), feed.as_str(), outcome]).inc();
        tracing::debug!(account = self.account(), %feed, ?swept, "the feed's list has been compared");
        let listing = recorder.journal.listing(recorder.account(), feed, Purpose::Sweep).await?.unwrap_or_default();
        let listing = Listing { ended_at: Some(begun), ..listing };
        let done = (recorder.account().clone(), feed, Purpose::Sweep, listing);
        recorder.journal.append(Append { listing: Some(done), ..Append::default() }).await?;
        self.show_swept(feed, Utc::now());
        Ok(())
    }

    fn show(&self, feed: FeedName, listing: &Listing) {
        let (metrics, labels) = (&self.recorder.metrics, [self.account(), feed.as_str()]);
        let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        metrics.snapshot_rows.with_label_values(&labels).set(count(listing.cursor.rows));
        metrics.snapshot_complete.with_label_values(&labels).set(listing.ended_at.is_some().into());
        if let Some(total) = listing.total {
            metrics.snapshot_expected.with_label_values(&labels).set(count(total));
        }
        let shown =
            SnapshotProgress { rows: listing.cursor.rows, total: listing.total, completed_at: listing.ended_at };
        self.progress.update(self.recorder.account(), feed, |progress| progress.snapshot = Some(shown));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use prometheus::core::Collector;

    use super::super::testing::{Bench, listed, product, shown};
    use super::*;
    use crate::ffn::testing::{Account, Reply};
    use crate::ffn::users;
    use crate::store::Journal;

    const OVERLAP: Duration = Duration::from_secs(10);

    fn lister(bench: &Bench) -> Lister {
        let config = Config {
            feeds: vec![FeedName::Products],
            poll_interval: Duration::from_secs(60),
            overlap: OVERLAP,
            safety_lag: Duration::ZERO,
            stalled_after: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(60),
            start: Start::Now,
        };
        Lister {
            recorder: bench.recorder.clone(),
            config,
            progress: Progress::default(),
            memory: Duration::from_secs(1_000_000_000),
        }
    }

    /// Sweeps the products once; the feed has been read to second 30.
    async fn sweep(bench: &Bench) {
        let position = "2026-01-05T08:00:30Z".parse().unwrap();
        let checkpoint = Checkpoint { started_at: DateTime::UNIX_EPOCH, position, with_snapshot: false, again: None };
        let list = Feed::of(FeedName::Products).list.unwrap();
        lister(bench).sweep(FeedName::Products, list, checkpoint).await.unwrap();
    }

    async fn is_swept(bench: &Bench) -> bool {
        let account = bench.recorder.account();
        bench.store.listing(account, FeedName::Products, Purpose::Sweep).await.unwrap().is_some()
    }

    fn sweeps(bench: &Bench, outcome: &str) -> u64 {
        bench.recorder.metrics.sweeps.with_label_values(&["acme", "products", outcome]).get()
    }

    #[tokio::test]
    async fn what_changed_within_the_overlap_is_left_to_the_feed() {
        // Listed, and not listed but shown.
        let bench = Bench::new(|call| match call.uri.rsplit('/').next().unwrap() {
            "P3" => Reply::json(200, &product("P3", 1, 19)),
            "P4" => Reply::json(200, &product("P4", 1, 20)),
            _ => listed(call, &[product("P1", 1, 19), product("P2", 2, 20), product("P5", 20, 20)]),
        })
        .await;
        let known: Vec<String> = ["P1", "P2", "P3", "P4"].map(|id| product(id, 1, 2)).into();
        bench.record(FeedName::Products, &known).await;
        let before = bench.told().await.len();
        sweep(&bench).await;
        assert_eq!(bench.told().await[before..], ["acme.product.updated"; 2], "of P1 and P3");
        assert_eq!((sweeps(&bench, "done"), sweeps(&bench, "failed")), (1, 0));
        assert!(is_swept(&bench).await);
    }

    #[tokio::test]
    async fn what_changed_since_where_a_date_ahead_has_the_feed_read_again_is_left_to_the_feed() {
        let (now, ahead) = (Utc::now(), TimeDelta::minutes(30));
        let changed = |id, seconds| shown(id, now - TimeDelta::hours(1), now + TimeDelta::seconds(seconds)).1;
        let rows = [changed("P1", -60), changed("P2", 1)];
        let bench = Bench::new(move |call| {
            let reply = match call.uri.contains("/products") {
                true => listed(call, &rows),
                false => Reply::json(200, r#"{"userId":"ACME"}"#),
            };
            reply.with("date", &(Utc::now() + ahead).format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        })
        .await;
        users::current_user(&bench.recorder.client).await.unwrap();
        bench.record(FeedName::Products, &["P1", "P2"].map(|id| changed(id, -120))).await;
        let before = bench.told().await.len();
        // The feed has been read to the present, as FFN's `Date` has it.
        let checkpoint = Checkpoint {
            started_at: DateTime::UNIX_EPOCH,
            position: bench.recorder.client.server_now(),
            with_snapshot: false,
            again: None,
        };
        let list = Feed::of(FeedName::Products).list.unwrap();
        lister(&bench).sweep(FeedName::Products, list, checkpoint).await.unwrap();
        assert_eq!(bench.told().await[before..], ["acme.product.updated"], "of P1");
    }

    #[tokio::test]
    async fn a_sweep_that_could_not_look_at_everything_has_failed_and_is_over() {
        let bench = Bench::new(|call| match call.uri.contains("products/") {
            true => Reply::json(503, ""),
            false => listed(call, &[]),
        })
        .await;
        bench.record(FeedName::Products, &[product("P1", 1, 2)]).await;
        sweep(&bench).await;
        assert_eq!((sweeps(&bench, "done"), sweeps(&bench, "failed")), (0, 1));
        assert!(is_swept(&bench).await);
    }

    #[tokio::test]
    async fn after_a_standstill_a_sweep_waits_until_its_feed_has_been_read_to_the_present() {
        let bench = Bench::new(|call| match call.uri.contains("/products") {
            true => listed(call, &[]),
            false => Reply::json(200, r#"{"userId":"ACME"}"#),
        })
        .await;
        users::current_user(&bench.recorder.client).await.unwrap();
        let mut lister = lister(&bench);
        lister.config.safety_lag = Duration::from_secs(5);
        let begun = Utc::now();
        // Half an hour ago, in the middle of catching up, and as far as the first poll of the process may read.
        for (seconds, swept) in [(-1800, false), (-60, false), (-4, true)] {
            bench.read_to(FeedName::Products, (begun + TimeDelta::seconds(seconds)).timestamp()).await;
            let list = Feed::of(FeedName::Products).list.unwrap();
            let wait = lister.turn(FeedName::Products, list, begun).await.unwrap();
            assert_eq!((is_swept(&bench).await, wait == SOON), (swept, !swept), "{seconds}: {wait:?}");
        }
    }

    #[tokio::test]
    async fn a_list_that_cant_be_read_waits_longer_each_time_also_while_another_feed_has_not_begun() {
        let bench = Bench::new(|call| match call.uri.contains("/products") {
            true => Reply::json(503, ""),
            false => Reply::json(200, r#"{"userId":"ACME"}"#),
        })
        .await;
        users::current_user(&bench.recorder.client).await.unwrap();
        bench.read_to(FeedName::Products, (Utc::now() + TimeDelta::seconds(10)).timestamp()).await;
        let mut lister = lister(&bench);
        lister.config.feeds = vec![FeedName::Products, FeedName::Warehouses];
        let (stop, begin) = (CancellationToken::new(), Instant::now());
        let running = tokio::spawn(lister.run(stop.clone()));
        while sweeps(&bench, "failed") < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        running.await.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(3), "one second and two");
    }

    #[tokio::test]
    async fn what_was_found_stays_on_record_when_a_later_sweep_finds_nothing() {
        let bench = Bench::new(|call| listed(call, &[product("P1", 1, 3)])).await;
        bench.record(FeedName::Products, &[product("P1", 1, 2)]).await;
        let missed_at = async || {
            let listing = bench.store.listing(bench.recorder.account(), FeedName::Products, Purpose::Sweep).await;
            listing.unwrap().unwrap().missed_at
        };
        sweep(&bench).await;
        let found = missed_at().await;
        assert!(found.is_some());
        sweep(&bench).await;
        assert_eq!((missed_at().await, sweeps(&bench, "done")), (found, 2));
    }

    #[tokio::test]
    async fn how_long_a_list_was_not_compared_shows_from_the_start() {
        let bench = Bench::new(|_| Reply::json(503, "")).await;
        let lister = lister(&bench);
        let shown = async || {
            lister.show_start(DateTime::from_timestamp(50, 0).unwrap()).await.unwrap();
            bench.recorder.metrics.swept_at.with_label_values(&["acme", "products"]).get().to_string()
        };
        assert_eq!(shown().await, "50", "the feed has not begun");
        let started_at = DateTime::from_timestamp(60, 0).unwrap();
        let checkpoint = Checkpoint { started_at, position: Utc::now(), with_snapshot: false, again: None };
        let checkpoint = Some((bench.recorder.account().clone(), FeedName::Products, checkpoint));
        bench.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
        assert_eq!(shown().await, "60", "no sweep has worked yet");
        let listing = Listing { ended_at: DateTime::from_timestamp(70, 0), ..Listing::default() };
        let done = Some((bench.recorder.account().clone(), FeedName::Products, Purpose::Sweep, listing));
        bench.store.append(Append { listing: done, ..Append::default() }).await.unwrap();
        assert_eq!(shown().await, "70", "one has, in another process");
        assert!(bench.recorder.metrics.snapshot_complete.collect()[0].get_metric().is_empty(), "none is wanted");
    }

    #[tokio::test]
    async fn while_a_start_is_to_come_no_sweep_is_missed() {
        let bench = Bench::new(|_| Reply::json(503, "")).await;
        let mut lister = lister(&bench);
        let (begun, list) = (DateTime::from_timestamp(50, 0).unwrap(), Feed::of(FeedName::Products).list.unwrap());
        for (days, follows) in [(30, true), (-30, false)] {
            lister.config.start = Start::At(Utc::now() + TimeDelta::days(days));
            lister.show_start(begun).await.unwrap();
            assert_eq!(lister.turn(FeedName::Products, list, begun).await.unwrap(), SOON);
            let shown = bench.recorder.metrics.swept_at.with_label_values(&["acme", "products"]).get();
            assert_eq!(Utc::now().timestamp() as f64 - shown < 60.0, follows, "{days}");
        }
    }

    #[tokio::test]
    async fn a_snapshot_that_is_wanted_shows_from_the_start_as_not_complete() {
        let bench = Bench::new(|_| Reply::json(503, "")).await;
        let mut lister = lister(&bench);
        lister.config.feeds = vec![FeedName::Stocks, FeedName::Products, FeedName::Outbounds];
        lister.config.start = Start::Snapshot;
        let listing = Listing { ended_at: Some(Utc::now()), ..Listing::default() };
        let done = Some((bench.recorder.account().clone(), FeedName::Products, Purpose::Snapshot, listing));
        bench.store.append(Append { listing: done, ..Append::default() }).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(lister.run(stop.clone()));
        let shown = || {
            let metrics = bench.recorder.metrics.snapshot_complete.collect()[0].get_metric().to_vec();
            metrics.iter().map(|metric| metric.get_gauge().get_value()).collect::<Vec<_>>()
        };
        while shown().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        running.await.unwrap();
        let mut shown = shown();
        shown.sort_by(f64::total_cmp);
        assert_eq!(shown, [0.0, 1.0], "of orders and products; stocks have no list");
    }

    #[tokio::test]
    async fn a_long_safety_lag_keeps_no_sweep() {
        let bench = Bench::new(|call| listed(call, &[])).await;
        assert!(users::current_user(&bench.recorder.client).await.is_err());
        let mut lister = lister(&bench);
        lister.config.safety_lag = Duration::from_secs(3600);
        // The feed has been read as far as it ever is.
        let position = Utc::now() - TimeDelta::seconds(3610);
        let checkpoint = Checkpoint { started_at: DateTime::UNIX_EPOCH, position, with_snapshot: false, again: None };
        let checkpoint = Some((bench.recorder.account().clone(), FeedName::Products, checkpoint));
        bench.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
        let list = Feed::of(FeedName::Products).list.unwrap();
        lister.turn(FeedName::Products, list, DateTime::UNIX_EPOCH).await.unwrap();
        assert!(is_swept(&bench).await);
    }

    #[tokio::test]
    async fn all_calls_of_a_snapshot_and_a_sweep_go_in_the_background() {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let account = Account::new(move |call| {
            count.fetch_add(1, Ordering::Relaxed);
            match call.uri.split_once("/products/") {
                Some((_, id)) => Reply::json(200, &product(id, 1, 2)),
                None => listed(call, &[product("P1", 1, 2), product("P2", 2, 3)]),
            }
        });
        // Ten at once and ten a second are the background's share, and twice as many a poll's.
        let bench = Bench::with(account.await.at_rate(20)).await;
        let known: Vec<String> = ["P3", "P4", "P5"].map(|id| product(id, 1, 2)).into();
        bench.record(FeedName::Products, &known).await;
        // Any answer tells the clock.
        assert!(users::current_user(&bench.recorder.client).await.is_err());
        calls.store(0, Ordering::Relaxed);
        let started_at = "2026-01-05T08:00:30Z".parse().unwrap();
        let checkpoint = Checkpoint { started_at, position: Utc::now(), with_snapshot: true, again: None };
        let checkpoint = Some((bench.recorder.account().clone(), FeedName::Products, checkpoint));
        bench.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();

        let begin = Instant::now();
        let list = Feed::of(FeedName::Products).list.unwrap();
        lister(&bench).turn(FeedName::Products, list, DateTime::UNIX_EPOCH).await.unwrap();
        let (took, calls) = (begin.elapsed(), calls.load(Ordering::Relaxed));
        assert!(is_swept(&bench).await);
        assert_eq!(calls, 12, "one for the total, four to the end of the list and again, three for what is not in it");
        assert!(took >= (calls - 10) * Duration::from_millis(99), "{took:?}");
    }
}
