//! Reading a past period of a feed again, beside the live one, with the same ids.
//!
//! What is read goes to the journal as ever, and the bridge publishes it. Feeds show an entity where it
//! last changed, so reading goes on to the present, but only what happened in the period is told. What changes while
//! it is read leaves its window for the present: so the last one is read on until it brings nothing. An entry of a ledger
//! never changes: it stands where it was written, and what the feed has dropped is looked up in FFN's list at the end.
//!
//! Which windows FFN takes is found out as by a poll ([`Fit`]). An order or a return that FFN fails to show keeps its
//! window, which is read again, until it is set aside. One of which nobody can say whether it is FFN that fails does not
//! keep the windows after it: the backfill fails at its end. While FFN itself fails, or asks to wait, the window is read
//! again for a while: hours of reading do not end with one error of those that pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;

use super::aside::Aside;
use super::looks::Failing;
use super::normalizer::Telling;
use super::reader::Reader;
use super::recorder::Recorder;
use super::{Config, Error, ledger};
use crate::domain::feed::{Checkpoint, FeedName, Window};
use crate::domain::fit::Fit;
use crate::ffn::{self, Disposition, users};

/// The longest window that is asked for at once (contract 7.6, rule 3); the last one is read on.
const LONGEST: TimeDelta = TimeDelta::days(1);
/// How far a window reaches into the one before: whether FFN counts a bound to a window is not known (contract 7.4).
const SEAM: TimeDelta = TimeDelta::seconds(1);
/// By how much FFN's answers may end before its clock: that is no window which it has cut.
const FAIR: TimeDelta = TimeDelta::minutes(1);
/// How far a round of reading on reaches into the one before: a change may become visible late (contract 7.6, rule 2).
const LATE: TimeDelta = TimeDelta::minutes(15);
/// How much further FFN's clock is taken to be behind its `Date` when it refuses a short window that ends at the present.
const STEP: TimeDelta = TimeDelta::seconds(30);
/// How often the last window is read on at the most. More often only what changes all the time can bring something.
const MOST_ROUNDS: u32 = 20;
/// After so many refusals in a row it is not the window that FFN refuses.
const MOST_REFUSALS: u32 = 40;
/// How often it is told how far a reading is.
const LOOK: Duration = Duration::from_secs(1);
/// A window is read so often before it is given up, however long that takes.
const LEAST_FAILURES: u32 = 5;
/// The first and the longest wait before a window is read again.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A period of a feed.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// The feed.
    pub feed: FeedName,
    /// Begin.
    pub from: DateTime<Utc>,
    /// End, not included.
    pub to: DateTime<Utc>,
}

/// How far a backfill is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Windows that have been read.
    pub read: u64,
    /// Windows in all.
    pub of: u64,
    /// Calls so far.
    pub calls: u64,
    /// Items that were read so far.
    pub items: usize,
    /// New events so far.
    pub events: usize,
}

/// The backfill of a period.
pub struct Backfill {
    recorder: Recorder,
    journal: Arc<Aside>,
    period: Period,
    /// How far windows stay behind FFN's clock.
    safety_lag: TimeDelta,
    /// How long an entry that is missing is waited for.
    overlap: TimeDelta,
    /// How long FFN may fail to show one while it shows others.
    stalled_after: Duration,
}

impl Backfill {
    /// One that reads like the feeds of this configuration. A rehearsal writes nothing.
    pub fn new(recorder: &Recorder, period: Period, config: &Config, is_rehearsal: bool) -> Self {
        let journal = Arc::new(Aside::new(recorder.journal.clone(), is_rehearsal));
        let recorder = Recorder { journal: journal.clone(), ..recorder.clone() };
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let (safety_lag, overlap) = (delta(config.safety_lag), delta(config.overlap));
        Self { recorder, journal, period, safety_lag, overlap, stalled_after: config.stalled_after }
    }

    /// Of a rehearsal the events that would be new so far, by type.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.journal.counts()
    }

    /// How long what may pass is waited for. Those that fail from the second reading of a window on are waited for as well.
    fn patience(&self) -> Duration {
        self.stalled_after * 2
    }

    /// The number of new events so far.
    pub fn events(&self) -> usize {
        self.journal.seen().1
    }

    /// Reads the period and gives the number of new events; `told` hears how far it is, from its begin.
    ///
    /// # Errors
    /// See [`Error`]. What was read before is in the journal; to begin anew does no harm.
    pub async fn run(&self, told: impl FnMut(Step)) -> Result<usize, Error> {
        let Period { feed, from, to } = self.period;
        let client = &self.recorder.client;
        if !client.knows_clock() {
            users::current_user(client).await?;
        }
        let patience = Some(self.stalled_after);
        let mut course = Course {
            of: self,
            reader: Reader { patience, ..Reader::new(feed, self.recorder.clone()) },
            telling: Telling { until: to, ..Telling::since(from) },
            fit: Fit::default(),
            behind: TimeDelta::zero(),
            read: 0,
            left: 0,
            after: Some(u64::from(feed != FeedName::Stocks)),
            calls: client.calls(),
            failed: None,
            told,
        };
        if from < to.min(client.server_now()) {
            match feed {
                FeedName::Stocks => course.ledgers().await?,
                _ => course.entities().await?,
            }
        }
        course.failed.map_or(Ok(self.journal.seen().1), Err)
    }
}

/// A backfill under way.
struct Course<'a, F> {
    of: &'a Backfill,
    reader: Reader,
    telling: Telling,
    /// The windows that FFN takes.
    fit: Fit,
    /// How far FFN is behind its `Date`, and at most [`STEP`] less, by what it has refused.
    behind: TimeDelta,
    read: u64,
    left: u64,
    /// What is left after these windows; `None` when they are not counted any more.
    after: Option<u64>,
    /// Calls of before.
    calls: u64,
    /// What could not be read without keeping the rest.
    failed: Option<Error>,
    told: F,
}

impl<F: FnMut(Step)> Course<'_, F> {
    /// Entries of ledgers, and what is missing among them.
    async fn ledgers(&mut self) -> Result<(), Error> {
        let Period { from, to, .. } = self.of.period;
        let end = to.min(self.to_come());
        self.windows(from, end, end).await?;
        self.mend().await
    }

    /// Entities, which leave their window when they change.
    async fn entities(&mut self) -> Result<(), Error> {
        let from = self.of.period.from;
        let end = self.windows(from, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).await?;
        self.after = None;
        // What changes while it is read is in none of these windows.
        let mut begin = from.max(end - LONGEST);
        until_nothing_new(async || {
            let (before, least) = (self.of.journal.seen().1, self.to_come());
            let end = self.windows(begin, least, DateTime::<Utc>::MAX_UTC).await?;
            // What changes while this is read is after it.
            begin = begin.max(end - LATE);
            Ok(self.of.journal.seen().1 - before)
        })
        .await?;
        (self.read, self.left) = (self.read + self.left, 0);
        self.tell();
        Ok(())
    }

    /// A time that FFN's clock has passed.
    fn now(&self) -> DateTime<Utc> {
        self.of.recorder.client.server_now() - self.behind
    }

    /// A time that FFN's clock has not passed: it is known to the second.
    fn to_come(&self) -> DateTime<Utc> {
        let least_behind = (self.behind - STEP).max(TimeDelta::zero());
        self.of.recorder.client.server_now() - least_behind + TimeDelta::seconds(1)
    }

    /// Reads windows from here to the present, or to `most`. The last one ends at `least` at the earliest, which is waited
    /// for. Gives its end.
    async fn windows(
        &mut self,
        from: DateTime<Utc>,
        least: DateTime<Utc>,
        most: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Error> {
        let lag = self.of.safety_lag;
        let (mut position, mut refusals) = (from, 0);
        let end = |now: DateTime<Utc>| most.min(now - lag);
        let goal = end(self.now()).max(least);
        self.expect(from, end(self.now()), LONGEST - SEAM);
        loop {
            let now = self.now();
            let checkpoint = Checkpoint { started_at: position, position, with_snapshot: false, again: None };
            let Some(window) = self.fit.window(&checkpoint, now, SEAM, lag) else {
                if position >= least {
                    return Ok(position);
                }
                self.watch(tokio::time::sleep(LOOK)).await;
                continue;
            };
            let window = Window { to: window.to.min(most), ..window };
            let is_slice = self.fit.is_slice(window, now, lag);
            if !is_slice && let Some(wait) = (least - window.to).to_std().ok().filter(|wait| !wait.is_zero()) {
                self.watch(tokio::time::sleep(wait)).await;
                continue;
            }
            match self.window(window).await {
                Ok(told) => {
                    self.fit.accepted(window, is_slice, &checkpoint, SEAM);
                    // FFN may have answered less than it was asked for (contract 7.6, rule 6).
                    let fair = if is_slice { SEAM } else { FAIR };
                    let cut = told.filter(|end| *end > position + fair && window.to > *end + fair);
                    let (to, is_last) = (cut.unwrap_or(window.to), cut.is_none() && !is_slice);
                    let each = to - position;
                    (position, refusals) = (to, 0);
                    self.read += u64::from(self.after.is_some());
                    self.expect(position, if is_last { position } else { end(now) }, each);
                    if is_last || position >= most.min(goal) {
                        return Ok(position);
                    }
                }
                // So short a window that ends so late is refused for the sake of a clock.
                Err(Error::Ffn(error))
                    if error.status() == Some(StatusCode::BAD_REQUEST)
                        && position > now - LATE
                        && self.behind < LATE =>
                {
                    self.behind += STEP;
                }
                Err(error) if error.is_about_the_window() && refusals < MOST_REFUSALS => {
                    refusals += 1;
                    match error {
                        Error::Endless(_) => self.fit.too_long(window, position, SEAM),
                        _ => self.fit.refused(window, self.fit.is_past(window, now, lag), position, SEAM),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a window, again while FFN fails for a while, or while there is one in it that FFN fails to show, until that is
    /// set aside. Gives where it ends, if FFN told that.
    async fn window(&mut self, window: Window) -> Result<Option<DateTime<Utc>>, Error> {
        self.reader.failing = Failing::among_others();
        let (reader, telling, patience) = (self.reader.clone(), self.telling, self.of.patience());
        let (mut wait, mut failures, mut since) = (FIRST_WAIT.min(self.of.stalled_after), 0, None::<Instant>);
        loop {
            let is_last = failures >= LEAST_FAILURES && since.is_some_and(|since| since.elapsed() > patience);
            let error = match self.watch(reader.read(window, telling)).await {
                Ok(read) => return Ok(read.end),
                Err(error) => error,
            };
            failures += 1;
            since.get_or_insert_with(Instant::now);
            let may_be_one = matches!(&error, Error::Ffn(error) if error.may_be_about_this_one());
            let shows_others = reader.failing.shows_others().filter(|_| may_be_one);
            let is_waited_for = match shows_others {
                Some(true) => true,
                // For the rest that is done once: it may be one that is alone in its window.
                Some(false) => may_pass(&error) && self.failed.is_none(),
                None => may_pass(&error),
            };
            match shows_others {
                _ if is_waited_for && !is_last => {
                    self.watch(tokio::time::sleep(wait.max(asked_for(&error).min(patience)))).await;
                }
                None => return Err(error),
                Some(_) => {
                    self.failed.get_or_insert(error);
                    return Ok(None);
                }
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Looks up what is missing in ledgers, and waits for it as long as a poll does.
    async fn mend(&mut self) -> Result<(), Error> {
        let (recorder, overlap, ahead) = (&self.of.recorder, self.of.overlap, self.of.recorder.client.ahead());
        let wait = FIRST_WAIT.min(overlap.to_std().unwrap_or_default()).max(LOOK);
        let patience = overlap.to_std().unwrap_or_default().max(self.of.patience()) + FIRST_WAIT;
        let (mut open, mut since) = (Vec::new(), Instant::now());
        loop {
            let mended = ledger::mend(recorder, self.telling, overlap + ahead, recorder.client.server_now());
            self.watch(mended).await?;
            let left = recorder.journal.holes(recorder.account()).await?;
            if left.is_empty() {
                return Ok(());
            }
            if left != open {
                (open, since) = (left, Instant::now());
            } else if since.elapsed() > patience {
                return Err(Error::Open(left.len()));
            } else {
                self.watch(tokio::time::sleep(wait)).await;
            }
        }
    }

    /// Tells how far it is while something is done.
    async fn watch<T>(&mut self, doing: impl Future<Output = T>) -> T {
        let mut doing = std::pin::pin!(doing);
        loop {
            match tokio::time::timeout(LOOK, &mut doing).await {
                Ok(done) => return done,
                Err(_) => self.tell(),
            }
        }
    }

    /// So much is left, in windows of this length.
    fn expect(&mut self, from: DateTime<Utc>, end: DateTime<Utc>, each: TimeDelta) {
        if let Some(after) = self.after {
            let seconds = |delta: TimeDelta| u64::try_from(delta.num_seconds()).unwrap_or(0);
            self.left = seconds(end - from).div_ceil(seconds(each).max(1)) + after;
            self.tell();
        }
    }

    fn tell(&mut self) {
        let calls = self.of.recorder.client.calls() - self.calls;
        let (items, events) = self.of.journal.seen();
        (self.told)(Step { read: self.read, of: self.read + self.left, calls, items, events });
    }
}

/// Whether the same may be read later. That an answer can't be read may be for one item, which will stay as it is.
fn may_pass(error: &Error) -> bool {
    let Error::Ffn(error) = error else { return false };
    let may_be_well = matches!(error.disposition(), Disposition::Again { .. } | Disposition::InDoubt);
    may_be_well && !matches!(error, ffn::Error::Unreadable { .. } | ffn::Error::TooLarge { .. })
}

/// How long FFN asks to wait.
fn asked_for(error: &Error) -> Duration {
    match error {
        Error::Ffn(error) => error.retry_after().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// Reads until nothing new comes, after the first round, which may take long.
async fn until_nothing_new(mut read: impl AsyncFnMut() -> Result<usize, Error>) -> Result<(), Error> {
    for round in 1..=MOST_ROUNDS {
        if read().await? == 0 && round > 1 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use chrono::SubsecRound;

    use super::super::config::Start;
    use super::super::testing::{Bench, bounds, query, shown, updates};
    use super::*;
    use crate::domain::account::Role;
    use crate::ffn::testing::{Account, Call, Reply};
    use crate::store::{Journal, ParkedFilter, Parking};

    /// With windows that end in the future nothing is waited for.
    const LAG: TimeDelta = TimeDelta::seconds(-3);

    fn new(bench: &Bench, period: Period, safety_lag: TimeDelta, is_rehearsal: bool) -> Backfill {
        let config = Config {
            feeds: vec![period.feed],
            poll_interval: Duration::from_secs(30),
            overlap: Duration::ZERO,
            safety_lag: Duration::ZERO,
            stalled_after: Duration::from_millis(1),
            sweep_interval: Duration::from_secs(86_400),
            start: Start::Now,
        };
        Backfill { safety_lag, ..Backfill::new(&bench.recorder, period, &config, is_rehearsal) }
    }

    async fn backfill(bench: &Bench, period: Period) -> Result<usize, Error> {
        new(bench, period, LAG, false).run(|_| {}).await
    }

    async fn rehearse(bench: &Bench, period: Period) -> BTreeMap<String, usize> {
        let rehearsal = new(bench, period, LAG, true);
        let events = rehearsal.run(|_| {}).await.unwrap();
        assert_eq!(events, rehearsal.counts().values().sum::<usize>());
        rehearsal.counts()
    }

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_told() {
        let from = Utc::now() - TimeDelta::hours(50);
        let made = from + TimeDelta::hours(1);
        // It changes with the first answer, so it is in none of the windows that were made before; and once more when the
        // last one is read on for the first time, which then brings nothing.
        let changes = Mutex::new(Vec::new());
        let bench = Bench::new(move |call| {
            let mut changes = changes.lock().unwrap();
            if call.uri.contains("/updates") {
                changes.push(Utc::now());
            }
            let at = |nth: usize| changes.get(nth).copied();
            updates(call, &[shown("P1", made, at(3).or(at(0)).unwrap_or(made))])
        })
        .await;
        let period = Period { feed: FeedName::Products, from, to: from + TimeDelta::hours(2) };
        let mut steps = Vec::new();
        let lag = TimeDelta::milliseconds(20);
        let told = new(&bench, period, lag, false).run(|step| steps.push((step.read, step.of))).await.unwrap();
        steps.dedup();
        assert_eq!((told, steps), (1, vec![(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]));
        assert_eq!(bench.told().await, ["acme.product.created"]);
    }

    #[tokio::test]
    async fn what_ffn_leaves_out_of_a_window_is_asked_for() {
        let from = (Utc::now() - TimeDelta::hours(50)).trunc_subsecs(3);
        let to = from + TimeDelta::hours(24);
        // It answers so much at a time, and says so; the other time it leaves out little.
        for longest in [TimeDelta::hours(7), TimeDelta::hours(24) - TimeDelta::seconds(20)] {
            let made = to - TimeDelta::seconds(10);
            let bench = Bench::new(move |call| {
                let Some((from, to)) = bounds(call) else { return updates(call, &[]) };
                let end = to.min(from + longest);
                let data = if from <= made && made < end { shown("P1", made, made).1 } else { String::new() };
                Reply::json(200, &format!(r#"{{"data":[{data}],"to":"{}"}}"#, end.to_rfc3339()))
            })
            .await;
            assert_eq!(backfill(&bench, Period { feed: FeedName::Products, from, to }).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn what_changes_is_told_also_if_reading_takes_more_than_a_day() {
        let now = Utc::now();
        let (from, moved) = (now - TimeDelta::hours(1), now + TimeDelta::hours(10));
        // Two days pass on FFN's clock after the first window. What changed at their begin did not change again.
        let bench = Bench::new(move |call| {
            let is_later = call.uri.contains("/updates");
            let date = if is_later { Utc::now() + TimeDelta::hours(48) } else { Utc::now() };
            let items = [shown("P1", from + TimeDelta::minutes(1), moved)];
            updates(call, &items).with("date", &date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        })
        .await;
        let period = Period { feed: FeedName::Products, from, to: now };
        assert_eq!(backfill(&bench, period).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_rehearsal_counts_what_a_backfill_tells_and_writes_nothing() {
        let now = Utc::now().trunc_subsecs(3);
        let from = now - TimeDelta::hours(3);
        let at = |minutes| from + TimeDelta::minutes(minutes);
        let items = [shown("P1", at(1), at(1)), shown("P2", at(2), at(3)), (at(4), "7".to_owned())];
        let bench = Bench::new(move |call| updates(call, &items)).await;
        let period = Period { feed: FeedName::Products, from, to: now };
        let written = async || {
            let known = bench.store.known_after(bench.recorder.account(), period.feed, String::new(), 10).await;
            let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await;
            (bench.told().await.len(), known.unwrap().len(), parked.unwrap().len())
        };
        let counts = rehearse(&bench, period).await;
        let wanted = [("ffn.product.created.v1".to_owned(), 2), ("ffn.product.updated.v1".to_owned(), 1)];
        assert_eq!((counts, written().await), (BTreeMap::from(wanted), (0, 0, 0)));
        assert_eq!(backfill(&bench, period).await.unwrap(), 3);
        assert_eq!(written().await, (3, 2, 1));
        assert_eq!(backfill(&bench, period).await.unwrap(), 0);
        // Also when it is forgotten what is known: the ids are in the journal.
        bench.alter("DELETE FROM entities");
        assert!(rehearse(&bench, period).await.is_empty());
    }

    #[tokio::test]
    async fn reading_goes_on_until_nothing_new_comes_or_it_never_ends() {
        for brings in [[0, 4, 0, 5], [3, 1, 0, 5]] {
            let mut brings = brings.into_iter();
            until_nothing_new(async || Ok(brings.next().unwrap())).await.unwrap();
            assert_eq!(brings.next(), Some(5));
        }
        let mut rounds = 0;
        let endless = async || {
            rounds += 1;
            Ok(1)
        };
        until_nothing_new(endless).await.unwrap();
        assert_eq!(rounds, MOST_ROUNDS);
    }

    #[tokio::test]
    async fn what_becomes_visible_late_is_told() {
        // The first reading does not show it: it changed hours before. The first round that reads on does not: it changed
        // minutes before.
        for (readings, minutes) in [(1, 120), (2, 5)] {
            let now = Utc::now();
            let (made, count) = (now - TimeDelta::minutes(minutes), AtomicUsize::new(0));
            let bench = Bench::new(move |call| {
                let is_early = bounds(call).is_some() && count.fetch_add(1, Ordering::Relaxed) < readings;
                updates(call, &[shown("P1", made, made)][usize::from(is_early)..])
            })
            .await;
            let period = Period { feed: FeedName::Products, from: now - TimeDelta::hours(3), to: now };
            assert_eq!(backfill(&bench, period).await.unwrap(), 1, "{minutes}");
        }
    }

    /// The windows that a backfill asks for, in seconds after the begin of its period; of them this is refused.
    async fn windows(hours: i64, is_refused: impl Fn(usize) -> bool + Send + Sync + 'static) -> Vec<(i64, i64)> {
        let from = Utc::now().trunc_subsecs(0) - TimeDelta::hours(hours);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let bench = Bench::new(move |call| {
            let Some((begin, end)) = bounds(call) else { return updates(call, &[]) };
            let mut noted = noted.lock().unwrap();
            noted.push(((begin - from).num_seconds(), (end - from).num_seconds()));
            if is_refused(noted.len()) { Reply::json(400, "") } else { updates(call, &[]) }
        })
        .await;
        backfill(&bench, Period { feed: FeedName::Products, from, to: from + TimeDelta::hours(1) }).await.unwrap();
        asked.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn windows_cover_a_stretch_without_a_gap_whoever_has_the_bounds() {
        let asked = windows(50, |_| false).await;
        assert_eq!(asked[..2], [(-1, 86_399), (86_398, 172_798)]);
        assert!(asked[2].0 == 172_797 && asked[2].1 >= 180_000, "{asked:?}");
    }

    #[tokio::test]
    async fn one_refusal_does_not_leave_all_later_windows_short() {
        let asked = windows(20 * 24, |nth| nth == 1).await;
        assert!(asked.len() < 32, "{asked:?}");
    }

    #[tokio::test]
    async fn windows_that_ffn_refuses_are_read_in_shorter_ones() {
        let from = Utc::now().trunc_subsecs(3) - TimeDelta::hours(60);
        let items: Vec<_> = (1..60)
            .map(|hour| shown(&format!("P{hour}"), from + TimeDelta::hours(hour), from + TimeDelta::hours(hour)))
            .collect();
        for (longest, told) in
            [(TimeDelta::hours(12), Ok(59)), (TimeDelta::minutes(30), Ok(59)), (TimeDelta::zero(), Err(()))]
        {
            let items = items.clone();
            let bench = Bench::new(move |call| match bounds(call) {
                Some((from, to)) if to - from > longest => Reply::json(400, ""),
                _ => updates(call, &items),
            })
            .await;
            let period = Period { feed: FeedName::Products, from, to: Utc::now() };
            let mut steps = Vec::new();
            let read = new(&bench, period, LAG, false).run(|step| steps.push((step.read, step.of))).await;
            assert_eq!(read.is_ok(), told.is_ok(), "{longest}");
            assert_eq!(read.map_err(|_| ()), told, "{longest}");
            let (read, of) = steps.last().copied().unwrap_or_default();
            assert!(told.is_err() || read == of, "{steps:?}");
            assert!(steps.iter().all(|(read, of)| read <= of), "{steps:?}");
        }
    }

    #[tokio::test]
    async fn windows_end_earlier_where_ffn_goes_by_a_clock_that_is_behind_its_date() {
        let now = Utc::now();
        let made = now - TimeDelta::minutes(25);
        let (product, entry) = ((FeedName::Products, shown("P1", made, made)), (FeedName::Stocks, entry(1, made)));
        // Half a minute less is taken; ten minutes less are.
        for ((feed, item), ahead) in [(product.clone(), 29), (entry.clone(), 29), (product, 600), (entry, 600)] {
            let bench = Bench::new(move |call| match bounds(call) {
                Some((_, to)) if to > Utc::now() => Reply::json(400, ""),
                _ => updates(call, std::slice::from_ref(&item)),
            })
            .await;
            let period = Period { feed, from: now - TimeDelta::hours(1), to: now };
            let told = new(&bench, period, TimeDelta::seconds(-ahead), false).run(|_| {}).await;
            assert_eq!(told.unwrap(), 1, "{feed}");
            assert!(bench.recorder.client.calls() < 100, "{}", bench.recorder.client.calls());
        }
    }

    /// An entry of a ledger that was written then, as [`updates`] takes it.
    fn entry(version: i64, at: DateTime<Utc>) -> (DateTime<Utc>, String) {
        let id = format!(r#"{{"warehouseId":"W","jfsku":"J","stockVersion":{version}}}"#);
        (at, format!(r#"{{"stockChangeId":{id},"modificationInfo":{{"createdAt":"{}"}}}}"#, at.to_rfc3339()))
    }

    /// A ledger of eight entries, one in each of the last eight hours; the feed drops one, and the list those.
    fn ledger(call: &Call, now: DateTime<Utc>, dropped: i64, unlisted: &[i64]) -> Reply {
        let at = |version| now - TimeDelta::hours(9 - version) + TimeDelta::minutes(30);
        let entries = (1..=8).map(|version| (version, entry(version, at(version))));
        if call.uri.contains("stocks/changes") {
            let listed = entries.rev().filter(|(version, _)| !unlisted.contains(version)).map(|(_, (_, json))| json);
            return Reply::json(200, &format!(r#"{{"items":[{}]}}"#, listed.collect::<Vec<_>>().join(",")));
        }
        let shown = entries.filter(|(version, _)| *version != dropped).map(|(_, entry)| entry);
        updates(call, &shown.collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn an_entry_that_the_feed_drops_is_found_in_the_list_or_told_as_a_gap() {
        for (unlisted, told, gaps) in [(&[][..], 2..=6, &[][..]), (&[4], 2..=6, &[4])] {
            // On an empty database, and where the live feed has read what came later.
            for is_late in [false, true] {
                let now = Utc::now();
                let bench = Bench::new(move |call| ledger(call, now, 4, unlisted)).await;
                if is_late {
                    bench.record(FeedName::Stocks, &[entry(7, now - TimeDelta::minutes(90)).1]).await;
                }
                let before = bench.store.holes(bench.recorder.account()).await.unwrap();
                let (from, to) = (now - TimeDelta::hours(7), now - TimeDelta::hours(2));
                let period = Period { feed: FeedName::Stocks, from, to };
                let mut wanted: Vec<i64> = told.clone().filter(|version| !unlisted.contains(version)).collect();
                let new = wanted.len() + gaps.len();
                assert_eq!(rehearse(&bench, period).await.values().sum::<usize>(), new);
                assert_eq!(backfill(&bench, period).await.unwrap(), new);
                wanted.extend(is_late.then_some(7));
                assert_eq!(bench.versions().await, (wanted, gaps.to_vec()));
                assert_eq!(backfill(&bench, period).await.unwrap(), 0);
                // What the live feed knows is left to it.
                assert_eq!(bench.store.holes(bench.recorder.account()).await.unwrap(), before);
            }
        }
    }

    #[tokio::test]
    async fn an_entry_of_which_the_list_does_not_say_when_it_was_written_is_told() {
        let now = Utc::now();
        // In the midst of the period, and before the first one that the feed shows.
        for (dropped, told) in [(4, 2..=6), (2, 2..=6)] {
            let bench = Bench::new(move |call| {
                let mut reply = ledger(call, now, dropped, &[]);
                if call.uri.contains("stocks/changes") {
                    let stamp = (now - TimeDelta::hours(9 - dropped) + TimeDelta::minutes(30)).to_rfc3339();
                    reply.body = String::from_utf8(reply.body).unwrap().replace(&stamp, "").into_bytes();
                }
                reply
            })
            .await;
            let (from, to) = (now - TimeDelta::hours(7), now - TimeDelta::hours(2));
            let period = Period { feed: FeedName::Stocks, from, to };
            assert_eq!(backfill(&bench, period).await.unwrap(), 5, "{dropped}");
            assert_eq!(bench.versions().await, (told.collect(), vec![]), "{dropped}");
        }
    }

    #[tokio::test]
    async fn an_entry_before_the_first_one_of_the_feed_is_found_and_what_is_recent_is_waited_for() {
        let now = Utc::now();
        let bench = Bench::new(move |call| ledger(call, now, 2, &[])).await;
        let (from, to) = (now - TimeDelta::hours(7), now - TimeDelta::hours(2));
        let period = Period { feed: FeedName::Stocks, from, to };
        assert_eq!(backfill(&bench, period).await.unwrap(), 5);
        assert_eq!(bench.versions().await.0, [2, 3, 4, 5, 6]);

        // One that is in the list when it is looked at for the third time.
        let count = AtomicUsize::new(0);
        let bench = Bench::new(move |call| {
            let is_late = call.uri.contains("stocks/changes") && count.fetch_add(1, Ordering::Relaxed) < 2;
            ledger(call, now, 4, if is_late { &[4] } else { &[] })
        })
        .await;
        let long = Backfill { overlap: TimeDelta::hours(6), ..new(&bench, period, LAG, false) };
        assert_eq!(long.run(|_| {}).await.unwrap(), 5);
        assert_eq!(bench.versions().await, (vec![2, 3, 4, 5, 6], vec![]));
    }

    #[tokio::test]
    async fn a_list_that_cant_be_read_is_told_and_what_was_read_stays() {
        let now = Utc::now();
        let bench = Bench::new(move |call| match call.uri.contains("stocks/changes") {
            true => Reply::json(500, ""),
            false => ledger(call, now, 4, &[]),
        })
        .await;
        let period = Period { feed: FeedName::Stocks, from: now - TimeDelta::hours(7), to: now };
        let error = backfill(&bench, period).await.unwrap_err();
        assert!(matches!(error, Error::Open(1)), "{error:?}");
        assert_eq!(bench.versions().await.0, [2, 3, 5, 6, 7, 8]);
    }

    /// The feed of a fulfiller's orders, each with the time when it was shipped and last changed; of a call for the
    /// notifications of one its id.
    fn shipped(call: &Call, orders: &[(&str, DateTime<Utc>, DateTime<Utc>)]) -> Result<Reply, String> {
        let path = call.uri.split('?').next().unwrap();
        if let Some(order) = path.strip_suffix("/shipping-notifications") {
            return Err(order.rsplit('/').next().unwrap().to_owned());
        }
        let order = |(id, at, changed): &(&str, DateTime<Utc>, DateTime<Utc>)| {
            let (at, stamp) = (at.to_rfc3339(), changed.to_rfc3339());
            let stamp = format!(r#""createdAt":"{at}","updatedAt":"{stamp}""#);
            let times = format!(r#""statusTimestamp":{{"shipped":"{at}"}},"modificationInfo":{{{stamp}}}"#);
            (*changed, format!(r#"{{"outboundId":"{id}","status":"Shipped",{times}}}"#))
        };
        Ok(updates(call, &orders.iter().map(order).collect::<Vec<_>>()))
    }

    fn notification(order: &str, at: DateTime<Utc>) -> Reply {
        let stamp = format!(r#""modificationInfo":{{"createdAt":"{}"}}"#, at.to_rfc3339());
        Reply::json(
            200,
            &format!(r#"[{{"outboundShippingNotificationId":"S{order}","outboundId":"{order}",{stamp}}}]"#),
        )
    }

    #[tokio::test]
    async fn an_order_that_ffn_fails_to_show_is_parked_and_the_others_are_told() {
        let now = Utc::now();
        // Also one that has changed after the period.
        for changed in [TimeDelta::hours(5), TimeDelta::hours(1)] {
            let (at, before) = (now - TimeDelta::hours(5), now - TimeDelta::hours(30));
            let orders = [("O1", at, now - changed), ("O2", at, now - changed), ("O3", before, before)];
            let asked = Arc::new(AtomicUsize::new(0));
            let counted = asked.clone();
            let bench = Bench::of(Role::Fulfiller, move |call| match shipped(call, &orders) {
                Ok(reply) => reply,
                Err(order) if order == "O1" => Reply::json(500, ""),
                Err(order) => {
                    counted.fetch_add(1, Ordering::Relaxed);
                    notification(&order, if order == "O3" { before } else { at })
                }
            })
            .await;
            let (from, to) = (now - TimeDelta::hours(48), now - TimeDelta::hours(4));
            let period = Period { feed: FeedName::OutboundShipments, from, to };
            assert_eq!(backfill(&bench, period).await.unwrap(), 2);
            assert_eq!(bench.told().await, ["acme.shipment.dispatched"; 2]);
            let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
            assert!(parked.len() == 1 && parked[0].reason.contains("with status 500"), "{parked:?}");
            assert_eq!(asked.load(Ordering::Relaxed), 2, "each once");
        }
    }

    #[tokio::test]
    async fn what_fails_alone_keeps_no_other_window_and_an_outage_is_an_error() {
        let now = Utc::now();
        let at = move |hours| now - TimeDelta::hours(hours);
        let orders = [("O1", at(70), at(70)), ("O2", at(5), at(5))];
        let is_out = Arc::new(AtomicBool::new(false));
        let out = is_out.clone();
        let bench = Bench::of(Role::Fulfiller, move |call| match shipped(call, &orders) {
            _ if out.load(Ordering::Relaxed) && call.uri.contains("outbound") => Reply::json(503, ""),
            Ok(reply) => reply,
            Err(order) if order == "O1" => Reply::json(500, ""),
            Err(order) => notification(&order, at(5)),
        })
        .await;
        let period = Period { feed: FeedName::OutboundShipments, from: at(72), to: now };
        assert!(backfill(&bench, period).await.is_err());
        assert_eq!(bench.told().await, ["acme.shipment.dispatched"]);
        is_out.store(true, Ordering::Relaxed);
        assert!(backfill(&bench, period).await.is_err());
        assert!(bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_error_that_passes_keeps_no_backfill_and_one_that_does_not_ends_it_at_once() {
        let now = Utc::now();
        let [early, late] = [30, 2].map(|hours| now - TimeDelta::hours(hours));
        let items = [shown("P1", early, early), shown("P2", late, late)];
        let least = usize::try_from(LEAST_FAILURES).unwrap();
        let passing = [
            Reply::json(503, ""),
            Reply::json(500, ""),
            Reply::json(429, "").with("retry-after", "0"),
            Reply::json(408, ""),
            Reply::silence(),
        ];
        let lasting = [Reply::json(401, ""), Reply::json(403, ""), Reply::json(404, ""), Reply::bytes(b"no list")];
        let lasts = usize::MAX;
        let passing = passing.into_iter().flat_map(|reply| [(reply.clone(), least, true), (reply, lasts, true)]);
        for (reply, failures, may_pass) in passing.chain(lasting.map(|reply| (reply, lasts, false))) {
            let is_silent = reply.silent;
            // In the midst of it: the second window fails.
            let (items, failing, asked) = (items.clone(), reply.clone(), Arc::new(AtomicUsize::new(0)));
            let counted = asked.clone();
            let mut account = Account::new(move |call| match bounds(call) {
                Some(_) if (1..=failures).contains(&counted.fetch_add(1, Ordering::Relaxed)) => failing.clone(),
                _ => updates(call, &items),
            })
            .await;
            if is_silent {
                account.config.call_timeout = Duration::from_millis(200);
                account = account.at_rate(1000);
            }
            let bench = Bench::with(account).await;
            let period = Period { feed: FeedName::Products, from: now - TimeDelta::hours(40), to: now };
            let told = backfill(&bench, period).await;
            let asked = asked.load(Ordering::Relaxed);
            match (told, may_pass) {
                (Ok(told), true) => assert_eq!((told, failures), (2, least), "{reply:?}"),
                (Err(_), true) => assert!(failures == lasts && (2 + least..30).contains(&asked), "{asked}: {reply:?}"),
                // A token that was refused is refreshed.
                (told, false) => assert!(told.is_err() && asked <= least, "{asked}: {reply:?}"),
            }
        }
    }

    #[tokio::test]
    async fn what_ffn_asks_to_wait_is_waited() {
        let now = Utc::now();
        let item = shown("P1", now - TimeDelta::hours(1), now - TimeDelta::hours(1));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        // One that does not close the account's door.
        let bench = Bench::new(move |call| {
            let mut noted = noted.lock().unwrap();
            noted.extend(bounds(call).map(|_| Instant::now()));
            match noted.len() {
                1 => Reply::json(500, "").with("retry-after", "2"),
                _ => updates(call, std::slice::from_ref(&item)),
            }
        })
        .await;
        let period = Period { feed: FeedName::Products, from: now - TimeDelta::hours(2), to: now };
        let backfill = Backfill { stalled_after: Duration::from_secs(1), ..new(&bench, period, LAG, false) };
        assert_eq!(backfill.run(|_| {}).await.unwrap(), 1);
        let asked = asked.lock().unwrap();
        assert!(asked[1] - asked[0] >= Duration::from_secs(2), "{asked:?}");
    }

    #[tokio::test]
    async fn an_outage_while_one_alone_is_asked_for_is_waited_for() {
        let now = Utc::now();
        let at = now - TimeDelta::hours(2);
        let failed = AtomicUsize::new(0);
        let bench = Bench::of(Role::Fulfiller, move |call| match shipped(call, &[("O1", at, at)]) {
            Ok(reply) => reply,
            Err(_) if failed.fetch_add(1, Ordering::Relaxed) < 3 => Reply::json(503, ""),
            Err(order) => notification(&order, at),
        })
        .await;
        let period = Period { feed: FeedName::OutboundShipments, from: now - TimeDelta::hours(3), to: now };
        assert_eq!(backfill(&bench, period).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_list_that_cant_be_read_for_a_while_is_waited_for_longer_than_an_entry_that_is_missing() {
        let now = Utc::now();
        let since = Mutex::new(None);
        let bench = Bench::new(move |call| {
            let is_list = call.uri.contains("stocks/changes");
            let is_out = || since.lock().unwrap().get_or_insert_with(Instant::now).elapsed() < FIRST_WAIT + LOOK * 2;
            if is_list && is_out() { Reply::json(503, "") } else { ledger(call, now, 4, &[]) }
        })
        .await;
        let period = Period { feed: FeedName::Stocks, from: now - TimeDelta::hours(7), to: now };
        let backfill = Backfill { stalled_after: Duration::from_secs(60), ..new(&bench, period, LAG, false) };
        assert_eq!(backfill.run(|_| {}).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn another_period_is_told_of_an_order_that_was_asked_for_its_notifications() {
        let now = Utc::now();
        let at = now - TimeDelta::hours(2);
        let bench = Bench::of(Role::Fulfiller, move |call| match shipped(call, &[("O1", at, at)]) {
            Ok(reply) => reply,
            Err(order) => notification(&order, at),
        })
        .await;
        let reader = Reader::new(FeedName::OutboundShipments, bench.recorder.clone());
        let window = Window { from: now - TimeDelta::hours(3), to: now };
        assert_eq!(reader.read(window, Telling::since(now)).await.unwrap().events, 0);
        assert_eq!(reader.read(window, Telling::since(window.from)).await.unwrap().events, 0, "nothing has changed");
        let period = Period { feed: FeedName::OutboundShipments, from: window.from, to: now };
        assert_eq!(backfill(&bench, period).await.unwrap(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_told_how_far_a_long_window_is() {
        let now = Utc::now();
        let at = now - TimeDelta::hours(1);
        // The last page comes when it has been told what the others brought.
        let (tell, told) = std::sync::mpsc::channel();
        let told = Mutex::new(Some(told));
        let bench = Bench::new(move |call| {
            let Some(page) = query::<u32>(call, "page").filter(|_| bounds(call).is_some()) else {
                return updates(call, &[]);
            };
            if let Some(told) = told.lock().unwrap().take_if(|_| page == 3) {
                tokio::task::block_in_place(|| told.recv().unwrap());
            }
            let (_, item) = shown(&format!("P{page}"), at, at);
            Reply::json(200, &format!(r#"{{"data":[{item}],"moreDataAvailable":{}}}"#, page < 3))
        })
        .await;
        let mut steps = Vec::new();
        let period = Period { feed: FeedName::Products, from: now - TimeDelta::hours(2), to: now };
        let backfill = new(&bench, period, LAG, false);
        let note = |step: Step| {
            steps.push(step);
            if step.events > 0 {
                tell.send(()).ok();
            }
        };
        backfill.run(note).await.unwrap();
        assert_eq!((steps[0].read, steps[0].of, steps[0].items), (0, 2, 0), "at its begin");
        let within = steps.iter().find(|step| step.read == 0 && step.events > 0).unwrap();
        assert_eq!((within.items, within.events), (2, 2), "{steps:?}");
        assert!(within.calls >= 2, "{steps:?}");
    }
}
