//! Reading a past period of a feed again, beside the live one, with the same ids.
//!
//! What is read goes to the journal as ever, and the bridge publishes it. Feeds show an entity where it
//! last changed, so reading goes on to the present, but only what happened in the period is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::normalizer::Telling;
use super::reader::Reader;
use super::recorder::Recorder;
use super::{Error, rehearsal::Rehearsal};
use crate::domain::feed::{FeedName, Window};
use crate::ffn::{Priority, users};

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
    let reader = Reader { feed: period.feed, recorder: recorder.clone(), priority: Priority::Poll };
    let (mut events, of) = (0, windows.len() as u64);
    for (window, read) in windows.into_iter().zip(1..) {
        events += reader.read(window, telling).await?.events;
        told(Step { read, of, events });
    }
    Ok(events)
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
        let end = (begin + TimeDelta::days(1)).min(to);
        slices.push(Window { from: begin, to: end });
        begin = end;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_a_stretch_without_a_gap() {
        let at = |hours: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hours);
        let bounds: Vec<_> = slices(at(0), at(50)).iter().map(|it| (it.from, it.to)).collect();
        assert_eq!(bounds, [(at(0), at(24)), (at(24), at(48)), (at(48), at(50))]);
        assert!(slices(at(3), at(3)).is_empty());
    }
}
