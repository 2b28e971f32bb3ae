//! Following a feed: which window to read when, and how far it has been read (contract 7.6).
//!
//! - A window begins an overlap before the checkpoint and ends a little behind the server's clock; a
//!   [`Reader`] reads it. The checkpoint moves only when everything before it is in the journal.
//! - What fails leaves the checkpoint where it was. When it is polled again is the [`Pace`]'s word.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::config::Start;
use super::ledger;
use super::normalizer::Telling;
use super::pace::Pace;
use super::reader::{Read, Reader};
use super::stall::Stall;
use super::{Config, Error, Progress};
use crate::domain::account::AccountName;
use crate::domain::feed::{Checkpoint, FeedName, Window};
use crate::domain::fit::Fit;
use crate::ffn::client::AHEAD;
use crate::ffn::feeds::Feed;
use crate::ffn::users;
use crate::store::Append;
use crate::telemetry::Chain;

/// How far two clocks of FFN's may be apart.
const FAR_AHEAD: TimeDelta = TimeDelta::minutes(15);

/// How much there may be to read while FFN answers with nothing beyond what was read before: it may be that late.
const LATE: TimeDelta = TimeDelta::minutes(5);

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
    /// Whether it is waited until a window that FFN may take has something new: it has refused those before.
    pub is_waiting: bool,
}

impl Polled {
    /// There was nothing to ask for.
    const NOTHING: Self = Self { events: 0, is_behind: false, is_waiting: false };
}

impl Poller {
    /// Polls until `stop` is cancelled. A poll under way is dropped then: its window is read again.
    pub async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::new(self.config.poll_interval);
        let mut trouble = None;
        let mut stall = Stall::new(&self.reader.recorder, self.feed(), self.config.stalled_after);
        while !stop.is_cancelled() {
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                polled = async {
                    stall.look().await;
                    let polled = self.poll(&mut pace.fit).await;
                    self.account_for(&polled);
                    stall.note(&polled).await;
                    polled
                } => polled,
            };
            let wait = pace.wait_after(&polled);
            trouble = self.log(&polled, wait, trouble);
            tokio::select! {
                () = stop.cancelled() => {}
                // A tenth of jitter keeps the feeds of many accounts apart.
                () = tokio::time::sleep(wait.mul_f64(0.95 + 0.1 * fastrand::f64())) => {}
            }
        }
    }

    /// Says once what the trouble is, and that it is over: the same again shows in the metrics and on the status page.
    fn log(&self, polled: &Result<Polled, Error>, wait: Duration, before: Option<String>) -> Option<String> {
        let (account, feed) = (self.account(), self.feed());
        if matches!(polled, Ok(Polled { is_waiting: true, .. })) {
            return before;
        }
        let trouble = polled.as_ref().err().map(|error| Chain(error).to_string());
        match &trouble {
            None if before.is_some() => tracing::info!(%account, %feed, "the feed is read again"),
            None => {}
            Some(error) if trouble == before => tracing::debug!(%account, %feed, error, ?wait, "a poll failed again"),
            Some(error) => {
                tracing::warn!(%account, %feed, error, ?wait, "a poll failed; the checkpoint stays where it is");
            }
        }
        trouble
    }

    fn account(&self) -> &AccountName {
        self.reader.recorder.account()
    }

    fn feed(&self) -> FeedName {
        self.reader.feed
    }

    /// Reads one window, of those that FFN takes.
    ///
    /// # Errors
    /// See [`Error`]. The checkpoint is where it was.
    pub async fn poll(&self, fit: &mut Fit) -> Result<Polled, Error> {
        let (client, journal) = (&self.reader.recorder.client, &self.reader.recorder.journal);
        let known = journal.checkpoint(self.account(), self.feed()).await?;
        if let Some(checkpoint) = known {
            // The lag shows from the start, also while FFN can't be reached.
            self.show_position(checkpoint.position);
        }
        if !client.knows_clock() || known.is_some_and(|checkpoint| checkpoint.position > client.server_now()) {
            // Windows end on the server's clock, and any answer tells it.
            users::current_user(client).await?;
        }
        let checkpoint = match known {
            Some(checkpoint) => self.go_back(checkpoint).await?,
            None if self.config.start.is_to_come(client.server_now()) => {
                // Nothing is behind, and no alert is to say so.
                self.show_position(client.server_now());
                return Ok(Polled::NOTHING);
            }
            None => self.begin().await?,
        };
        // Where `Date` is ahead, what is up to there may not have happened yet.
        let (now, ahead, overlap) = (client.server_now(), client.ahead(), self.overlap());
        let (known, certain) = (checkpoint.position, now - ahead);
        let checkpoint = Checkpoint { position: known.min(certain), ..checkpoint };
        let Some(window) = fit.window(&checkpoint, now, overlap, self.safety_lag()) else {
            return Ok(Polled { is_waiting: fit.is_refused(), ..Polled::NOTHING });
        };
        let is_slice = fit.is_slice(window, now, self.safety_lag());
        // What an item shows of later is told by the next window, which has all that was between.
        let telling = Telling { until: window.to, ..telling(checkpoint, window.from, self.memory) };
        // The next window does not show what changed longer ago than this.
        let shown_again = window.to - window.to.min(certain).max(known) + overlap;
        let read = Reader { overlap: shown_again, ..self.reader.clone() }.read(window, telling).await;
        let fair = if is_slice { TimeDelta::zero() } else { LATE };
        let read = read.and_then(|read| moves_on(read, window, checkpoint.position, fair));
        match &read {
            Ok(_) => fit.accepted(window, is_slice, &checkpoint, overlap),
            Err(Error::Endless(_)) => fit.too_long(window, checkpoint.position, overlap),
            Err(error) if error.is_about_the_window() => {
                let is_past = fit.is_past(window, now, self.safety_lag());
                fit.refused(window, is_past, checkpoint.position, overlap);
            }
            Err(_) => {}
        }
        let Read { mut events, end } = read?;
        if self.feed() == FeedName::Stocks {
            // What is found in the list may have come after the window.
            let telling = Telling { until: DateTime::<Utc>::MAX_UTC, ..telling };
            events += ledger::mend(&self.reader.recorder, telling, overlap + ahead, client.server_now()).await?;
        }
        // Its answers may have told another clock.
        let certain = certain.min(client.server_now() - client.ahead());
        let position = end.unwrap_or(window.to).min(window.to).min(certain).max(checkpoint.position);
        let read = Window { to: position, ..window };
        let again = read.again(&checkpoint, overlap, client.server_now() - ahead);
        let moved = Checkpoint { position: position.max(known), again, ..checkpoint };
        let append = Append { checkpoint: Some((self.account().clone(), self.feed(), moved)), ..Append::default() };
        journal.append(append).await?;
        self.show_position(moved.position);
        let is_behind = is_slice && position > checkpoint.position && position < certain;
        Ok(Polled { events, is_behind, is_waiting: false })
    }

    /// A checkpoint ahead of FFN's clock and of this machine's was set when an answer had a wrong `Date`, and what has
    /// happened since then was perhaps not read: it goes back to where it was before, or a day. What was told is not
    /// told again.
    async fn go_back(&self, checkpoint: Checkpoint) -> Result<Checkpoint, Error> {
        let client = &self.reader.recorder.client;
        let now = client.server_now();
        // Where only FFN's clock is behind it, that may be what is wrong.
        let latest = now.max(now - client.clock_ahead());
        let Checkpoint { started_at, position, again, .. } = checkpoint;
        if position <= latest + AHEAD.max(self.overlap() / 2) {
            return Ok(checkpoint);
        }
        let before = again.map(|again| again.from).filter(|from| *from <= now);
        let started_at = if started_at > latest { now } else { started_at };
        let position = before.unwrap_or(now - TimeDelta::days(1)).max(started_at);
        let back = Checkpoint { started_at, position, again: None, ..checkpoint };
        tracing::error!(account = %self.account(), feed = %self.feed(), was = %checkpoint.position, server_now = %now, %position, "the checkpoint was ahead of FFN's clock, which must have been wrong: the feed is read again from before");
        self.reader.recorder.journal.go_back(self.account(), self.feed(), back).await?;
        Ok(back)
    }

    /// Makes the first checkpoint of a feed.
    async fn begin(&self) -> Result<Checkpoint, Error> {
        let server_now = self.reader.recorder.client.server_now();
        // Where FFN's `Date` is ahead of what it goes by, what happens now would be before the start.
        let now = Utc::now().max(server_now - FAR_AHEAD).min(server_now).trunc_subsecs(3);
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

    fn safety_lag(&self) -> TimeDelta {
        TimeDelta::from_std(self.config.safety_lag).unwrap_or(TimeDelta::MAX)
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
                Ok(polled) if polled.is_waiting => {}
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

/// FFN says where the window that it has answered ends (contract 7.6, rule 6). If that is not beyond what was read
/// before, though it was asked for more than what is `fair`, the feed might stand still for ever: a shorter window is tried.
///
/// # Errors
/// [`Error::Endless`].
fn moves_on(read: Read, window: Window, position: DateTime<Utc>, fair: TimeDelta) -> Result<Read, Error> {
    match read.end {
        Some(end) if end <= position && window.to - position > fair => Err(Error::Endless(format!(
            "FFN says that its answer ends at {end}, before what has been read already; if FFN answers no longer windows, \
             the overlap has to be shorter than those"
        ))),
        _ => Ok(read),
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
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::super::testing::{Bench, bounds, query, shown, updates};
    use super::*;
    use crate::domain::account::Role;
    use crate::domain::feed::Again;
    use crate::ffn::testing::{Call, Reply};
    use crate::store::{Journal, ParkedFilter, Parking};

    const FEED: FeedName = FeedName::Products;

    /// Two pages; of a window longer than an hour each reading has something that nobody has seen.
    fn restless(call: &Call, count: &AtomicUsize) -> Reply {
        let Some((from, to)) = bounds(call) else {
            return Reply::json(200, r#"{"userId":"ACME"}"#);
        };
        let nth = if to - from > TimeDelta::hours(1) { count.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let page: u32 = query(call, "page").unwrap();
        let more = page == 1;
        Reply::json(200, &format!(r#"{{"data":[{{"jfsku":"P{nth}-{page}"}}],"moreDataAvailable":{more}}}"#))
    }

    fn poller(bench: &Bench, poll_interval: Duration) -> Poller {
        let config = Config {
            feeds: vec![FEED],
            poll_interval,
            overlap: Duration::from_secs(60),
            safety_lag: Duration::from_secs(5),
            stalled_after: Duration::from_secs(600),
            sweep_interval: Duration::from_secs(86_400),
            start: Start::Now,
        };
        let reader = Reader::new(FEED, bench.recorder.clone());
        Poller { reader, config, progress: Progress::default(), memory: Duration::from_secs(86_400) }
    }

    async fn position(bench: &Bench) -> DateTime<Utc> {
        bench.store.checkpoint(bench.recorder.account(), FEED).await.unwrap().unwrap().position
    }

    #[tokio::test]
    async fn a_window_that_does_not_end_is_shortened_until_it_can_be_read() {
        let count = AtomicUsize::new(0);
        let bench = Bench::new(move |call| restless(call, &count)).await;
        let since = Utc::now() - TimeDelta::hours(3);
        bench.read_to(FEED, since.timestamp()).await;
        let poller = poller(&bench, Duration::from_secs(30));
        let (mut fit, mut tries) = (Fit::default(), 0);
        while let Err(error) = poller.poll(&mut fit).await {
            assert!(matches!(error, Error::Endless(_)) && fit.is_trying(), "{error:?}");
            tries += 1;
        }
        assert_eq!(tries, 2, "3 hours, 1.5 hours");
        assert!(position(&bench).await > since + TimeDelta::minutes(30));
    }

    /// Long enough to tell whether it is waited for.
    const HOUR: Duration = Duration::from_secs(3600);

    /// Runs a poller until something in the journal is so.
    async fn run_until(poller: Poller, is_so: impl AsyncFn() -> bool) {
        let (stop, mut appended) = (CancellationToken::new(), poller.reader.recorder.journal.appended());
        let running = tokio::spawn(poller.run(stop.clone()));
        let so = async {
            while !is_so().await {
                appended.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), so).await.expect("it comes to that soon");
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_feed_that_is_behind_is_read_to_the_present_without_a_wait() {
        // In the third slice of a day; and in the second, which is the overlap of the first.
        for (hours, seconds) in [(60, 600), (24, 30)] {
            let now = Utc::now();
            let made = now - TimeDelta::seconds(seconds);
            let item = shown("P1", made, made);
            let bench = Bench::new(move |call| updates(call, std::slice::from_ref(&item))).await;
            bench.read_to(FEED, (now - TimeDelta::hours(hours)).timestamp()).await;
            run_until(poller(&bench, HOUR), async || !bench.told().await.is_empty()).await;
        }
    }

    #[tokio::test]
    async fn a_window_that_is_refused_is_asked_for_shorter() {
        let now = Utc::now();
        let made = now - TimeDelta::minutes(5);
        let item = shown("P1", made, made);
        let bench = Bench::new(move |call| match bounds(call) {
            Some((_, to)) if to > now - TimeDelta::minutes(1) => Reply::json(400, ""),
            _ => updates(call, std::slice::from_ref(&item)),
        })
        .await;
        bench.read_to(FEED, (now - TimeDelta::minutes(10)).timestamp()).await;
        run_until(poller(&bench, Duration::from_millis(1)), async || !bench.told().await.is_empty()).await;
    }

    #[tokio::test]
    async fn a_checkpoint_that_a_wrong_clock_has_set_far_ahead_goes_back() {
        let now = Utc::now();
        let before = now - TimeDelta::days(3);
        for (again, earliest) in [(None, now - TimeDelta::hours(23)), (Some(before), before)] {
            let items = [
                shown("P1", earliest, earliest),
                shown("P2", now - TimeDelta::minutes(1), now - TimeDelta::minutes(1)),
            ];
            let bench = Bench::new(move |call| updates(call, &items)).await;
            let again = again.map(|from| Again::new(from, now + TimeDelta::days(10)));
            let position = now + TimeDelta::days(10);
            let ahead = Checkpoint { started_at: DateTime::UNIX_EPOCH, position, with_snapshot: false, again };
            let checkpoint = Some((bench.recorder.account().clone(), FEED, ahead));
            bench.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
            run_until(poller(&bench, HOUR), async || bench.told().await.len() == 2).await;
            let left = position - super::tests::position(&bench).await;
            assert!(left > TimeDelta::days(9), "{left}");
        }
    }

    /// An answer of FFN's whose `Date` is so far ahead.
    fn dated(reply: Reply, ahead: TimeDelta) -> Reply {
        let date = Utc::now() + ahead;
        reply.with("date", &date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }

    #[tokio::test]
    async fn what_happens_is_told_though_windows_end_at_what_has_not_happened_yet() {
        for ahead in [TimeDelta::minutes(15), TimeDelta::minutes(50)] {
            let seconds = Arc::new(AtomicI64::new(ahead.num_seconds()));
            let (items, now_ahead) = (Arc::new(Mutex::new(Vec::new())), seconds.clone());
            let bench = {
                let items = items.clone();
                Bench::new(move |call| {
                    let ahead = TimeDelta::seconds(now_ahead.load(Ordering::Relaxed));
                    dated(updates(call, &items.lock().unwrap()), ahead)
                })
                .await
            };
            let now = Utc::now().trunc_subsecs(3);
            // It has been so for long.
            let (started_at, position) = (now - TimeDelta::hours(9), now + ahead - TimeDelta::seconds(5));
            let checkpoint = Checkpoint { started_at, position, with_snapshot: false, again: None };
            let checkpoint = Some((bench.recorder.account().clone(), FEED, checkpoint));
            bench.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
            let (mut poller, mut fit) = (poller(&bench, HOUR), Fit::default());
            poller.config.safety_lag = Duration::ZERO;
            let happens = |id: &str| items.lock().unwrap().push(shown(id, Utc::now(), Utc::now()));
            // `Date` tells no parts of a second: a window may have to wait for the next one.
            let mut poll_until = async |told: usize| {
                let polls = async {
                    while bench.told().await.len() < told {
                        poller.poll(&mut fit).await.unwrap();
                    }
                };
                tokio::time::timeout(Duration::from_secs(60), polls).await.expect("it is told");
            };
            happens("P1");
            poll_until(1).await;
            assert!(super::tests::position(&bench).await >= position);
            // The clock is right again, and the checkpoint ahead of it.
            happens("P2");
            seconds.store(0, Ordering::Relaxed);
            users::current_user(&bench.recorder.client).await.unwrap();
            poll_until(2).await;
            assert!(super::tests::position(&bench).await <= Utc::now());
        }
    }

    #[tokio::test]
    async fn what_happens_while_nothing_is_read_is_told_though_the_clock_was_ahead_and_is_put_right_meanwhile() {
        for pause in [TimeDelta::minutes(20), TimeDelta::minutes(90), TimeDelta::hours(30)] {
            let seconds = Arc::new(AtomicI64::new(TimeDelta::minutes(50).num_seconds()));
            let now_ahead = seconds.clone();
            // Soon after the last reading.
            let at = Utc::now() - pause + TimeDelta::minutes(3);
            let bench = Bench::new(move |call| {
                let ahead = now_ahead.load(Ordering::Relaxed);
                let reply = match bounds(call) {
                    // Then it takes no long windows any more.
                    Some((from, to)) if ahead == 0 && to - from > TimeDelta::hours(1) => Reply::json(400, ""),
                    _ => updates(call, &[shown("P1", at, at)]),
                };
                dated(reply, TimeDelta::seconds(ahead))
            })
            .await;
            bench.read_to(FEED, (Utc::now() - TimeDelta::minutes(1)).timestamp()).await;
            let poller = poller(&bench, HOUR);
            let (account, journal) = (bench.recorder.account(), &bench.store);
            poller.poll(&mut Fit::default()).await.unwrap();
            assert!(position(&bench).await <= Utc::now(), "what has not happened yet is not read");
            // As long ago as the pause.
            let left = journal.checkpoint(account, FEED).await.unwrap().unwrap();
            journal.go_back(account, FEED, Checkpoint { position: left.position - pause, ..left }).await.unwrap();
            seconds.store(0, Ordering::Relaxed);
            users::current_user(&bench.recorder.client).await.unwrap();
            run_until(poller, async || !bench.told().await.is_empty()).await;
        }
    }

    #[tokio::test]
    async fn an_entry_of_a_ledger_is_waited_for_though_the_date_is_ahead_of_what_ffn_goes_by() {
        let at = Utc::now() - TimeDelta::seconds(20);
        let bench = Bench::new(move |call| {
            let entry = |version: u32| {
                let id = format!(r#"{{"warehouseId":"W","jfsku":"J","stockVersion":{version}}}"#);
                let stamp = format!(r#"{{"createdAt":"{}"}}"#, at.to_rfc3339());
                (at, format!(r#"{{"stockChangeId":{id},"modificationInfo":{stamp}}}"#))
            };
            let is_list = bounds(call).is_none() && call.uri.contains("stocks");
            let reply =
                if is_list { Reply::json(200, r#"{"items":[]}"#) } else { updates(call, &[entry(1), entry(3)]) };
            dated(reply, TimeDelta::minutes(50))
        })
        .await;
        bench.read_to(FeedName::Stocks, (at - TimeDelta::minutes(1)).timestamp()).await;
        let mut poller = poller(&bench, HOUR);
        poller.reader.feed = FeedName::Stocks;
        poller.poll(&mut Fit::default()).await.unwrap();
        assert_eq!(bench.told().await, ["acme.stock.changed", "acme.stock.changed"]);
    }

    #[tokio::test]
    async fn a_date_that_is_behind_for_a_while_moves_neither_the_start_nor_the_checkpoint() {
        let now = Utc::now().trunc_subsecs(3);
        let old = now - TimeDelta::days(20);
        let item = shown("P1", old, old);
        let bench =
            Bench::new(move |call| dated(updates(call, std::slice::from_ref(&item)), -TimeDelta::days(30))).await;
        let checkpoint = Checkpoint {
            started_at: now - TimeDelta::minutes(10),
            position: now - TimeDelta::minutes(1),
            with_snapshot: false,
            again: None,
        };
        let append = Some((bench.recorder.account().clone(), FEED, checkpoint));
        bench.store.append(Append { checkpoint: append, ..Append::default() }).await.unwrap();
        for _ in 0..2 {
            poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        }
        let left = bench.store.checkpoint(bench.recorder.account(), FEED).await.unwrap();
        assert_eq!((left, bench.told().await), (Some(checkpoint), vec![]));
    }

    #[tokio::test]
    async fn a_clock_that_was_known_wrong_is_asked_for_where_the_checkpoint_is_ahead_of_it() {
        let seconds = Arc::new(AtomicI64::new(-3600));
        let behind = seconds.clone();
        let bench =
            Bench::new(move |call| dated(updates(call, &[]), TimeDelta::seconds(behind.load(Ordering::Relaxed)))).await;
        let begun = Utc::now() - TimeDelta::minutes(1);
        bench.read_to(FEED, begun.timestamp()).await;
        users::current_user(&bench.recorder.client).await.unwrap();
        seconds.store(0, Ordering::Relaxed);
        poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        assert!(position(&bench).await > begun + TimeDelta::seconds(30));
    }

    #[tokio::test]
    async fn what_an_item_shows_of_later_is_left_to_the_next_window() {
        let (made, changed) = (Utc::now() - TimeDelta::minutes(1), Utc::now() + TimeDelta::minutes(1));
        let (_, item) = shown("P1", made, changed);
        // It has changed while it was read.
        let bench = Bench::new(move |call| updates(call, &[(made, item.clone())])).await;
        bench.read_to(FEED, (made - TimeDelta::minutes(1)).timestamp()).await;
        poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        assert_eq!(bench.told().await, ["acme.product.created"]);
    }

    #[tokio::test]
    async fn a_window_ends_where_ffn_says_that_it_does() {
        let end = (Utc::now() - TimeDelta::minutes(2)).trunc_subsecs(3);
        let bench = Bench::new(move |call| match bounds(call) {
            Some(_) => Reply::json(200, &format!(r#"{{"data":[],"to":"{}"}}"#, end.to_rfc3339())),
            None => updates(call, &[]),
        })
        .await;
        bench.read_to(FEED, (end - TimeDelta::minutes(2)).timestamp()).await;
        poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        assert_eq!(position(&bench).await, end);
    }

    #[tokio::test]
    async fn an_answer_that_ends_before_what_was_read_is_an_error() {
        let bench = Bench::new(|call| match bounds(call) {
            Some(_) => Reply::json(200, r#"{"data":[],"to":"0001-01-01T00:00:00Z"}"#),
            None => updates(call, &[]),
        })
        .await;
        let begun = Utc::now() - TimeDelta::minutes(10);
        bench.read_to(FEED, begun.timestamp()).await;
        let (poller, mut fit) = (poller(&bench, HOUR), Fit::default());
        // Also when windows have become as short as can be.
        for _ in 0..20 {
            let error = poller.poll(&mut fit).await.unwrap_err();
            assert!(error.to_string().contains("ends at 0001-01-01"), "{error}");
        }
        assert!(position(&bench).await <= begun);
    }

    #[tokio::test]
    async fn the_earliest_end_of_what_was_read_counts() {
        let ends =
            [Utc::now() - TimeDelta::minutes(2), Utc::now() - TimeDelta::minutes(3)].map(|end| end.trunc_subsecs(3));
        let bench = Bench::new(move |call| match query::<usize>(call, "page") {
            Some(page) => {
                let (end, more) = (ends[page - 1].to_rfc3339(), page == 1);
                Reply::json(200, &format!(r#"{{"data":[],"to":"{end}","moreDataAvailable":{more}}}"#))
            }
            None => updates(call, &[]),
        })
        .await;
        bench.read_to(FEED, (ends[1] - TimeDelta::minutes(2)).timestamp()).await;
        poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        assert_eq!(position(&bench).await, ends[1]);
    }

    #[tokio::test]
    async fn a_window_whose_pages_are_too_large_is_shortened() {
        let made = Utc::now() - TimeDelta::minutes(5);
        let bench = Bench::new(move |call| match bounds(call) {
            Some((from, to)) if to - from > TimeDelta::hours(1) => {
                Reply::json(200, &" ".repeat(crate::ffn::client::BODY_LIMIT + 1))
            }
            _ => updates(call, &[shown("P1", made, made)]),
        })
        .await;
        bench.read_to(FEED, (Utc::now() - TimeDelta::hours(2)).timestamp()).await;
        run_until(poller(&bench, Duration::from_millis(1)), async || !bench.told().await.is_empty()).await;
    }

    #[tokio::test]
    async fn a_checkpoint_goes_no_further_than_the_clock_that_the_reading_has_taught() {
        // This machine's clock has gone two hours ahead since FFN told its own.
        let behind = Arc::new(AtomicI64::new(0));
        let seconds = behind.clone();
        let bench =
            Bench::new(move |call| dated(updates(call, &[]), TimeDelta::seconds(seconds.load(Ordering::Relaxed))))
                .await;
        bench.read_to(FEED, (Utc::now() - TimeDelta::hours(3)).timestamp()).await;
        users::current_user(&bench.recorder.client).await.unwrap();
        behind.store(-7200, Ordering::Relaxed);
        poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        let read_to = position(&bench).await;
        assert!(
            read_to <= Utc::now() - TimeDelta::hours(2) && read_to > Utc::now() - TimeDelta::minutes(121),
            "{read_to}"
        );
    }

    #[tokio::test]
    async fn an_order_that_is_to_be_asked_for_once_more_is_shown_by_the_next_window() {
        let now = Utc::now().trunc_subsecs(3);
        let order = move |seconds: i64| {
            let at = now - TimeDelta::seconds(seconds);
            let (_, item) = shown(&format!("O{seconds}"), at, at);
            (at, item.replacen("jfsku", "outboundId", 1).replacen('{', r#"{"status":"Shipped","#, 1))
        };
        let ages = [40, 58, 62, 64, 66, 80];
        let bench = Bench::of(Role::Fulfiller, move |call| {
            let reply = match call.uri.contains("shipping-notifications") {
                true => {
                    let order = call.uri.split("outbounds/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
                    let notification = format!(
                        r#"{{"outboundShippingNotificationId":"N{order}","outboundId":"{order}","modificationInfo":{{"createdAt":"{}"}}}}"#,
                        now.to_rfc3339()
                    );
                    Reply::json(200, &format!("[{notification}]"))
                }
                false => updates(call, &ages.map(order)),
            };
            dated(reply, TimeDelta::minutes(1))
        })
        .await;
        let feed = FeedName::OutboundShipments;
        bench.read_to(feed, (now - TimeDelta::minutes(10)).timestamp()).await;
        let mut poller = poller(&bench, HOUR);
        poller.reader.feed = feed;
        poller.poll(&mut Fit::default()).await.unwrap();
        let account = bench.recorder.account();
        let shown_from = bench.store.checkpoint(account, feed).await.unwrap().unwrap().position - TimeDelta::minutes(1);
        let ids = ages.map(|seconds| format!("order:O{seconds}")).to_vec();
        let known = bench.store.known(account, feed, ids).await.unwrap();
        assert_eq!(known.len(), ages.len());
        let once_more = known.values().filter(|known| known.status.is_some()).map(|known| known.changed_at.unwrap());
        let once_more: Vec<_> = once_more.collect();
        assert!(!once_more.is_empty() && once_more.len() < ages.len(), "{once_more:?}");
        assert!(once_more.iter().all(|at| *at >= shown_from), "{once_more:?} {shown_from}");
    }

    #[tokio::test]
    async fn what_is_refused_until_nothing_is_left_to_ask_for_is_no_success() {
        let bench = Bench::new(|call| match bounds(call) {
            Some(_) => Reply::json(400, ""),
            None => updates(call, &[]),
        })
        .await;
        bench.read_to(FEED, (Utc::now() - TimeDelta::seconds(20)).timestamp()).await;
        let (poller, mut fit) = (poller(&bench, HOUR), Fit::default());
        let polls = async {
            loop {
                match poller.poll(&mut fit).await {
                    Ok(polled) => return polled,
                    Err(error) => assert!(error.is_about_the_window(), "{error}"),
                }
            }
        };
        let polled = tokio::time::timeout(Duration::from_secs(60), polls).await.expect("it ends too early then");
        assert_eq!(polled, Polled { is_waiting: true, ..Polled::NOTHING });
        let trouble = Some("it is refused".to_owned());
        assert_eq!(poller.log(&Ok(polled), HOUR, trouble.clone()), trouble, "it is not over");
        assert_eq!(poller.log(&Ok(Polled::NOTHING), HOUR, trouble), None);
        poller.account_for(&Err(Error::Nonsense("it is refused".to_owned())));
        poller.account_for(&Ok(polled));
        let failures = || poller.progress.all().into_iter().map(|(.., progress)| progress.failures).sum::<u32>();
        assert_eq!(failures(), 1);
        // A feed that has only nothing new yet is well.
        poller.account_for(&Ok(Polled::NOTHING));
        assert_eq!(failures(), 0);
    }

    #[tokio::test]
    async fn a_start_that_is_to_come_is_waited_for() {
        let begin = Utc::now() + TimeDelta::days(30);
        let now = Utc::now() - TimeDelta::seconds(6);
        let bench = Bench::new(move |call| updates(call, &[shown("P1", now, now)])).await;
        let mut poller = poller(&bench, HOUR);
        poller.config.start = Start::At(begin);
        for _ in 0..2 {
            let polled = poller.poll(&mut Fit::default()).await.unwrap();
            assert_eq!(polled, Polled::NOTHING);
        }
        assert!(poller.progress.all().iter().all(|(.., progress)| progress.position.is_some()), "the lag is none");
        assert_eq!(poller.progress.all().len(), 1);
        assert_eq!(bench.store.checkpoint(bench.recorder.account(), FEED).await.unwrap(), None);
        poller.config.start = Start::At(now - TimeDelta::hours(1));
        poller.poll(&mut Fit::default()).await.unwrap();
        assert_eq!(bench.told().await.len(), 1);
    }

    #[tokio::test]
    async fn a_start_that_a_wrong_clock_has_set_comes_back() {
        let bench = Bench::new(|call| updates(call, &[])).await;
        let ahead = Utc::now() + TimeDelta::days(30);
        let checkpoint = Checkpoint { started_at: ahead, position: ahead, with_snapshot: false, again: None };
        let checkpoint = Some((bench.recorder.account().clone(), FEED, checkpoint));
        bench.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
        poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
        let left = bench.store.checkpoint(bench.recorder.account(), FEED).await.unwrap().unwrap();
        assert!(left.started_at <= Utc::now() && left.position >= left.started_at, "{left:?}");
    }

    #[tokio::test]
    async fn what_happens_after_the_start_is_told_though_the_date_is_ahead_of_what_ffn_goes_by() {
        for ahead in [TimeDelta::seconds(8), TimeDelta::minutes(10)] {
            let bench = Bench::new(move |call| dated(updates(call, &[]), ahead)).await;
            let before = Utc::now();
            poller(&bench, HOUR).poll(&mut Fit::default()).await.unwrap();
            let begun = bench.store.checkpoint(bench.recorder.account(), FEED).await.unwrap().unwrap().started_at;
            assert!(before.trunc_subsecs(3) <= begun && begun <= Utc::now(), "{begun}");
        }
    }

    #[tokio::test]
    async fn a_stall_that_an_earlier_process_has_told_is_ended() {
        let bench = Bench::new(|call| updates(call, &[])).await;
        bench.read_to(FEED, (Utc::now() - TimeDelta::minutes(10)).timestamp()).await;
        let mut earlier = Stall::new(&bench.recorder, FEED, Duration::ZERO);
        earlier.note(&Err(Error::Nonsense("two pages are the same".to_owned()))).await;
        run_until(poller(&bench, HOUR), async || bench.told().await.len() == 2).await;
        assert_eq!(bench.told().await, ["acme.bridge.feed-stalled", "acme.bridge.feed-recovered"]);
    }

    #[tokio::test]
    async fn one_return_that_ffn_fails_to_show_keeps_its_feed_only_for_a_while() {
        let at = (Utc::now() - TimeDelta::minutes(2)).to_rfc3339();
        let bench = Bench::new(move |call| {
            let path = call.uri.split('?').next().unwrap();
            let change = |id| format!(r#"{{"id":"{id}","updatedAt":"{at}","changes":{{}}}}"#);
            match path.rsplit('/').next().unwrap() {
                "changes" => Reply::json(200, &format!(r#"{{"data":[{},{}]}}"#, change("R1"), change("R2"))),
                "R1" => Reply::json(500, ""),
                "R2" => Reply::json(
                    200,
                    &format!(r#"{{"returnId":"R2","state":"Announced","modificationInfo":{{"createdAt":"{at}"}}}}"#),
                ),
                _ => Reply::json(200, r#"{"data":[]}"#),
            }
        })
        .await;
        bench.read_to(FeedName::Returns, (Utc::now() - TimeDelta::minutes(10)).timestamp()).await;
        let mut poller = poller(&bench, Duration::from_millis(1));
        (poller.reader.feed, poller.reader.patience) = (FeedName::Returns, Some(Duration::from_millis(1)));
        poller.config.stalled_after = Duration::ZERO;
        run_until(poller, async || bench.told().await.len() == 3).await;
        let mut told = bench.told().await;
        told.sort_unstable();
        assert_eq!(told, ["acme.bridge.feed-recovered", "acme.bridge.feed-stalled", "acme.return.announced"]);
        let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
        assert!(parked.len() == 1 && parked[0].reason.contains("with status 500"), "{parked:?}");
    }
}
