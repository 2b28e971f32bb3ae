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
use crate::ffn::{Priority, users};

/// The longest window that is asked for at once (contract 7.6, rule 3).
const LONGEST: TimeDelta = TimeDelta::days(1);
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
    let windows = slices(period.from, end);
    let telling = Telling { until: period.to, ..Telling::since(period.from) };
    let reader = Reader { feed: period.feed, recorder: recorder.clone(), priority: Priority::Poll, reads_again: true };
    let last = windows.last().copied().filter(|_| period.feed != FeedName::Stocks);
    let (mut events, of) = (0, windows.len() as u64 + u64::from(last.is_some()));
    for (window, read) in windows.into_iter().zip(1..) {
        events += reader.read(window, telling).await?.events;
        told(Step { read, of, events });
    }
    if let Some(last) = last {
        for _ in 0..MOST_ROUNDS {
            let found = reader.read(read_on(last, recorder, safety_lag).await, telling).await?.events;
            events += found;
            if found == 0 {
                break;
            }
        }
        told(Step { read: of, of, events });
    }
    Ok(events)
}

/// The window that shows all that has changed until now, when there is one.
async fn read_on(last: Window, recorder: &Recorder, safety_lag: TimeDelta) -> Window {
    // FFN's clock is known to the second.
    let now = recorder.client.server_now() + TimeDelta::seconds(1);
    loop {
        let to = recorder.client.server_now() - safety_lag;
        let Ok(wait) = (now - to).to_std() else { return Window { from: last.from.max(to - LONGEST), to } };
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

/// Windows of at most a day that cover a stretch of time (contract 7.6, rule 3).
fn slices(from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Window> {
    let mut slices = Vec::new();
    let mut begin = from;
    while begin < to {
        let end = (begin + LONGEST).min(to);
        slices.push(Window { from: begin, to: end });
        begin = end;
    }
    slices
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::testing::{Bench, updates};
    use super::*;

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_told() {
        let from = Utc::now() - TimeDelta::hours(50);
        let made = from + TimeDelta::hours(1);
        // It changes with the first answer, and so is in none of the windows that were made before.
        let changed = Mutex::new(None);
        let bench = Bench::new(move |call| {
            let mut changed = changed.lock().unwrap();
            if call.uri.contains("/updates") {
                changed.get_or_insert_with(Utc::now);
            }
            let at = changed.unwrap_or(made);
            let stamp = format!(r#""createdAt":"{}","updatedAt":"{}""#, made.to_rfc3339(), at.to_rfc3339());
            updates(call, &[(at, format!(r#"{{"jfsku":"P1","modificationInfo":{{{stamp}}}}}"#))])
        })
        .await;
        let period = Period { feed: FeedName::Products, from, to: from + TimeDelta::hours(2) };
        let mut steps = Vec::new();
        let lag = TimeDelta::milliseconds(20);
        let told = backfill(&bench.recorder, period, lag, |step| steps.push((step.read, step.of))).await.unwrap();
        assert_eq!((told, steps), (1, vec![(1, 4), (2, 4), (3, 4), (4, 4)]));
        assert_eq!(bench.told().await, ["acme.product.created"]);
        assert_eq!(backfill(&bench.recorder, period, lag, |_| {}).await.unwrap(), 0);
    }

    #[test]
    fn slices_cover_a_stretch_without_a_gap() {
        let at = |hours: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hours);
        let bounds: Vec<_> = slices(at(0), at(50)).iter().map(|it| (it.from, it.to)).collect();
        assert_eq!(bounds, [(at(0), at(24)), (at(24), at(48)), (at(48), at(50))]);
        assert!(slices(at(3), at(3)).is_empty());
    }
}
