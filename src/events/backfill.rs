//! Reading a past period of a feed again, beside the live one, with the same ids.
//!
//! What is read goes to the journal as ever, and the bridge publishes it. Feeds show an entity where it
//! last changed, so reading goes on to the present, but only what happened in the period is told. What changes while
//! it is read leaves its window for the present: so the last one is read on until it brings nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::normalizer::Telling;
use super::reader::Reader;
use super::recorder::Recorder;
use super::{Error, rehearsal::Rehearsal};
use crate::domain::feed::{FeedName, Window};
use crate::ffn::users;

/// The longest window that is asked for at once (contract 7.6, rule 3).
const LONGEST: TimeDelta = TimeDelta::days(1);
/// How far a window reaches into the one before: whether FFN counts a bound to a window is not known (contract 7.4).
const SEAM: TimeDelta = TimeDelta::seconds(1);
/// The shortest window that is asked for instead of one that FFN refuses.
const SHORTEST: TimeDelta = TimeDelta::minutes(1);
/// How far a round of reading on reaches into the one before: a change may become visible late (contract 7.6, rule 2).
const LATE: TimeDelta = TimeDelta::minutes(15);
/// How often the last window is read on at the most. More often only what changes all the time can bring something.
const MOST_ROUNDS: u32 = 20;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Windows that have been read.
    pub read: u64,
    /// Windows in all.
    pub of: u64,
    /// New events so far.
    pub events: usize,
}

/// Reads a period; `told` hears of each window that is done.
///
/// # Errors
/// See [`Error`]. What was read before is in the journal; to begin anew does no harm.
pub async fn backfill(
    recorder: &Recorder,
    period: Period,
    safety_lag: TimeDelta,
    mut told: impl FnMut(Step),
) -> Result<usize, Error> {
    if !recorder.client.knows_clock() {
        users::current_user(&recorder.client).await?;
    }
    let present = recorder.client.server_now() - safety_lag;
    // An entry of a ledger never changes: it stands where it was written.
    let end = if period.feed == FeedName::Stocks { period.to.min(present) } else { present };
    let telling = Telling { until: period.to, ..Telling::since(period.from) };
    let reader = Reader { asks_again: true, ..Reader::new(period.feed, recorder.clone()) };
    let mut slices = Slices { longest: LONGEST };
    let reads_on = period.feed != FeedName::Stocks && period.from < end;
    let (mut read, mut events, mut from) = (0, 0, period.from);
    while from < end {
        let (done, found) = slices.read(&reader, from, end, telling).await?;
        (from, read, events) = (done, read + 1, events + found);
        told(Step { read, of: read + slices.count(from, end) + u64::from(reads_on), events });
    }
    if reads_on {
        // What changes while it is read is in none of these windows.
        let mut from = period.from.max(end - LONGEST);
        events += until_nothing_new(async || {
            let to = after_now(recorder, safety_lag).await;
            let (mut begin, mut found) = (from, 0);
            // More than a day may have passed meanwhile.
            while begin < to {
                let (done, new) = slices.read(&reader, begin, to, telling).await?;
                (begin, found) = (done, found + new);
            }
            // What changes while this is read is after it.
            from = from.max(to - LATE);
            Ok(found)
        })
        .await?;
        read += 1;
        told(Step { read, of: read, events });
    }
    Ok(events)
}

/// Windows that cover a stretch of time, each of a day at the most (contract 7.6, rule 3), or of what FFN takes.
struct Slices {
    longest: TimeDelta,
}

impl Slices {
    /// The first window of what is left.
    fn first(&self, from: DateTime<Utc>, end: DateTime<Utc>) -> Window {
        Window { from: from - SEAM, to: (from - SEAM + self.longest).min(end) }
    }

    /// How many windows are left.
    fn count(&self, from: DateTime<Utc>, end: DateTime<Utc>) -> u64 {
        let (left, each) = ((end - from).num_seconds(), (self.longest - SEAM).num_seconds());
        u64::try_from(left).unwrap_or(0).div_ceil(u64::try_from(each).unwrap_or(1).max(1))
    }

    /// Reads the first window of what is left, in half as long ones while FFN refuses it. Gives its end, and the new
    /// events.
    async fn read(
        &mut self,
        reader: &Reader,
        from: DateTime<Utc>,
        end: DateTime<Utc>,
        telling: Telling,
    ) -> Result<(DateTime<Utc>, usize), Error> {
        loop {
            let window = self.first(from, end);
            match reader.read(window, telling).await {
                Ok(read) => return Ok((window.to, read.events)),
                Err(error) if error.is_about_the_window() && window.to - window.from >= SHORTEST * 2 => {
                    self.longest = (window.to - window.from) / 2;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads until nothing new comes, after the first round, which may take long. Gives the events of all rounds.
async fn until_nothing_new(mut read: impl AsyncFnMut() -> Result<usize, Error>) -> Result<usize, Error> {
    let mut events = 0;
    for round in 1..=MOST_ROUNDS {
        let found = read().await?;
        events += found;
        if found == 0 && round > 1 {
            break;
        }
    }
    Ok(events)
}

/// The end of a window that shows all that has changed until now, when there is one.
async fn after_now(recorder: &Recorder, safety_lag: TimeDelta) -> DateTime<Utc> {
    // FFN's clock is known to the second.
    let now = recorder.client.server_now() + TimeDelta::seconds(1);
    loop {
        let to = recorder.client.server_now() - safety_lag;
        let Ok(wait) = (now - to).to_std() else { return to };
        tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
    }
}

/// The same without writing anything: the new events that there would be, by type.
///
/// # Errors
/// See [`Error`].
pub async fn rehearse(
    recorder: &Recorder,
    period: Period,
    safety_lag: TimeDelta,
    told: impl FnMut(Step),
) -> Result<BTreeMap<String, usize>, Error> {
    let rehearsal = Arc::new(Rehearsal::new(recorder.journal.clone()));
    let recorder = Recorder { journal: rehearsal.clone(), ..recorder.clone() };
    backfill(&recorder, period, safety_lag, told).await?;
    Ok(rehearsal.counts())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::SubsecRound;

    use super::super::testing::{Bench, bounds, shown, updates};
    use super::*;
    use crate::ffn::testing::Reply;
    use crate::store::{Journal, ParkedFilter, Parking};

    /// With windows that end in the future nothing is waited for.
    const LAG: TimeDelta = TimeDelta::seconds(-3);

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
        let told = backfill(&bench.recorder, period, lag, |step| steps.push((step.read, step.of))).await.unwrap();
        assert_eq!((told, steps), (1, vec![(1, 4), (2, 4), (3, 4), (4, 4)]));
        assert_eq!(bench.told().await, ["acme.product.created"]);
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
        assert_eq!(backfill(&bench.recorder, period, TimeDelta::zero(), |_| {}).await.unwrap(), 1);
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
        let counts = rehearse(&bench.recorder, period, LAG, |_| {}).await.unwrap();
        let wanted = [("ffn.product.created.v1".to_owned(), 2), ("ffn.product.updated.v1".to_owned(), 1)];
        assert_eq!((counts, written().await), (BTreeMap::from(wanted), (0, 0, 0)));
        assert_eq!(backfill(&bench.recorder, period, LAG, |_| {}).await.unwrap(), 3);
        assert_eq!(written().await, (3, 2, 1));
        assert_eq!(backfill(&bench.recorder, period, LAG, |_| {}).await.unwrap(), 0);
        // Also when it is forgotten what is known: the ids are in the journal.
        bench.alter("DELETE FROM entities");
        assert!(rehearse(&bench.recorder, period, LAG, |_| {}).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn reading_goes_on_until_nothing_new_comes_or_it_never_ends() {
        for brings in [[0, 4, 0, 5], [3, 1, 0, 5]] {
            let mut brings = brings.into_iter();
            assert_eq!(until_nothing_new(async || Ok(brings.next().unwrap())).await.unwrap(), 4);
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

    #[test]
    fn slices_cover_a_stretch_without_a_gap_whoever_has_the_bounds() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let slices = Slices { longest: LONGEST };
        let (mut from, mut bounds) = (at(0), Vec::new());
        while from < at(180_000) {
            let left = slices.count(from, at(180_000));
            let window = slices.first(from, at(180_000));
            bounds.push((window.from.timestamp(), window.to.timestamp(), left));
            from = window.to;
        }
        assert_eq!(bounds, [(-1, 86_399, 3), (86_398, 172_798, 2), (172_797, 180_000, 1)]);
        assert_eq!(slices.count(at(3), at(3)), 0);
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
            let read = backfill(&bench.recorder, period, LAG, |step| steps.push((step.read, step.of))).await;
            assert_eq!(read.map_err(|_| ()), told, "{longest}");
            let (read, of) = steps.last().copied().unwrap_or_default();
            assert!(read == of && steps.iter().all(|(read, of)| read <= of), "{steps:?}");
        }
    }
}
