//! Holes in the stock ledger: versions have no gaps, so one that is missing was lost by the feed (contract 14).
//!
//! Holes are looked up in the list at once, all of a ledger together. What is not found there is waited for as long as
//! a change may become visible late, each hole for itself, and looked up with each poll; only then is it told as
//! `stock.gap` and given up. A list that can't be read does not keep the feed: the hole is remembered. So it is while
//! a list is too long to be looked through: it is searched from its newest entry back to where the hole begins.
//!
//! Of a ledger's first entry nobody knows whether one was lost before it: so the list is looked at once for each ledger,
//! back to the first entry that is too old to be told.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::Error;
use super::normalizer::{self, Item, Telling};
use super::recorder::Recorder;
use crate::domain::entity::{Entry, Hole, Known, Versions};
use crate::domain::feed::FeedName;
use crate::ffn::{Disposition, Priority, stocks};
use crate::store::{self, Append, KnownEntity};
use crate::telemetry::Chain;

/// The most entries that are told at once; the rest with the next poll.
const MOST_ENTRIES: usize = 1000;

/// Pages that are read in one go, at the least, to look up what came before the first entries of ledgers.
const PAGES_OF_LOOKS: usize = 10;

/// Mends every hole of an account's ledgers, or gives it up once it is older than `patience`; a little at a time, it
/// looks for those before the first entries that were seen. Gives the number of events that entered the journal.
///
/// # Errors
/// The store. What was found before is recorded.
pub(super) async fn mend(
    recorder: &Recorder,
    telling: Telling,
    patience: TimeDelta,
    server_now: DateTime<Utc>,
) -> Result<usize, Error> {
    let (mut events, mut pages) = (0, 0);
    for (id, known) in recorder.journal.holes(recorder.account()).await? {
        let Some(versions) = &known.versions else { continue };
        let Some((warehouse, jfsku)) = id.rsplit_once(':') else { continue };
        let hole = versions.holes().next();
        match hole {
            Some(Hole { from, to, .. }) => {
                let missing = versions.missing();
                tracing::warn!(account = %recorder.account(), warehouse, jfsku, from, to, missing, "entries of a stock's ledger are missing; looking them up");
            }
            // There may be many after the start of a feed: polls go on meanwhile.
            None if versions.first.is_none() || pages >= PAGES_OF_LOOKS => continue,
            None => {}
        }
        let mut search = Search::new(&id, versions, telling.since);
        let take = |rows| {
            pages += 1;
            search.take(rows)
        };
        let looked = stocks::read_changes(&recorder.client, warehouse, jfsku, Priority::Poll, take).await;
        let has_ended = match looked {
            Ok(has_ended) => has_ended,
            Err(error) => {
                pages += 1;
                tracing::warn!(account = %recorder.account(), warehouse, jfsku, error = %Chain(&error), "entries of a stock's ledger can't be looked up");
                if error.disposition() != Disposition::Never {
                    continue;
                }
                // It never will be: they are waited for like those that are not in the list.
                true
            }
        };
        // What the rest of a list has that was broken off, nobody knows.
        let is_through = has_ended || search.has_all;
        let Search { found, before, .. } = search;
        let entries: BTreeMap<i64, Entry> =
            found.iter().filter_map(|(at, row)| Some((*at, normalizer::stock_entry(row, server_now)?))).collect();
        let rows: Vec<Item> = found.into_values().map(Item::from).collect();
        if !rows.is_empty() {
            events += recorder.record(FeedName::Stocks, &rows, telling, Append::default()).await?.events;
        }
        if versions.first.is_some() {
            let before = before.filter(|_| is_through);
            begin(recorder, id, |versions| versions.begin_after(before, entries, server_now)).await?;
            continue;
        }
        let is_due = |hole: Hole<'_>| hole.since.is_none_or(|since| server_now - since > patience);
        if rows.is_empty() && is_through && hole.is_some_and(is_due) {
            events += give_up(recorder, telling, id, known).await?;
        }
    }
    Ok(events)
}

/// Writes down how a ledger begins. Who has read on meanwhile leaves it to the next poll.
async fn begin(recorder: &Recorder, id: String, note: impl FnOnce(&mut Versions)) -> Result<(), Error> {
    let account = recorder.account();
    let before = recorder.journal.known(account, FeedName::Stocks, vec![id.clone()]).await?.remove(&id);
    let Some(mut known) = before.clone() else { return Ok(()) };
    known.versions.as_mut().map(note);
    let known = KnownEntity { account: account.clone(), feed: FeedName::Stocks, id, before, known };
    match recorder.journal.append(Append { known: vec![known], ..Append::default() }).await {
        Ok(_) | Err(store::Error::Outdated) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A search for the missing entries of a ledger in the pages of its list, the newest first.
struct Search<'a> {
    ledger: &'a str,
    versions: &'a Versions,
    /// What was written earlier is not missed.
    since: DateTime<Utc>,
    /// What is missing and was found; of too many the oldest.
    found: BTreeMap<i64, Box<RawValue>>,
    /// The newest of those before the first that are not missed.
    before: Option<i64>,
    /// Whether the pages so far are in the order that was asked for; unknown before the first.
    is_ordered: Option<bool>,
    /// Whether later pages have nothing that is missing.
    has_all: bool,
}

impl<'a> Search<'a> {
    fn new(ledger: &'a str, versions: &'a Versions, since: DateTime<Utc>) -> Self {
        Self { ledger, versions, since, found: BTreeMap::new(), before: None, is_ordered: None, has_all: false }
    }

    /// Takes what a page has; whether the next one may have more.
    fn take(&mut self, rows: Vec<Box<RawValue>>) -> bool {
        let is_of_ledger =
            |row: &RawValue| normalizer::entity_id(FeedName::Stocks, row).is_ok_and(|of| of == self.ledger);
        let rows = rows.into_iter().filter(|row| is_of_ledger(row));
        let rows: Vec<(i64, Box<RawValue>)> =
            rows.filter_map(|row| Some((normalizer::stock_version(&row)?, row))).collect();
        let (oldest, newest) = rows
            .iter()
            .fold((i64::MAX, i64::MIN), |(oldest, newest), (version, _)| (oldest.min(*version), newest.max(*version)));
        // One that does not say when it was written is told rather than lost. Where none says it, nobody knows how far back.
        let is_dated = rows.iter().any(|(_, row)| normalizer::stock_written_at(row).is_some());
        for (version, row) in rows {
            let is_before = self.versions.first.is_some_and(|first| version < first);
            let is_missed = normalizer::stock_written_at(&row).map_or(is_dated, |at| at >= self.since);
            if self.versions.is_missing(version) || (is_before && is_missed) {
                self.found.insert(version, row);
            } else if is_before {
                self.before = self.before.max(Some(version));
            }
        }
        // What is older than one that is not missed is not missed either.
        self.found.retain(|version, _| self.before.is_none_or(|before| *version > before));
        while self.found.len() > MOST_ENTRIES {
            self.found.pop_last();
        }
        let has_holes = self.versions.missing() > 0;
        if newest < oldest {
            return has_holes;
        }
        self.look_at_order(oldest, newest);
        let is_ordered = self.is_ordered == Some(true);
        self.has_all = match self.versions.first {
            Some(_) => is_ordered && self.before.is_some(),
            None => {
                let is_past = is_ordered && newest <= self.versions.complete;
                is_past || self.found.len() as u64 >= self.versions.missing()
            }
        };
        // Only in a list that is in its order, what came before the first entry has a place.
        !self.has_all && (is_ordered || has_holes)
    }

    /// A ledger in its order begins with the newest, and each page has a short stretch of it: entries of one instant
    /// may stand in any order.
    fn look_at_order(&mut self, oldest: i64, newest: i64) {
        let longest = self.versions.missing().saturating_add(2 * stocks::TOP as u64);
        let is_short = newest.abs_diff(oldest) <= longest;
        let is_begun = || newest >= *self.versions.ahead.last().unwrap_or(&self.versions.complete);
        self.is_ordered = Some(is_short && self.is_ordered.unwrap_or_else(is_begun));
    }
}

/// Tells of the hole. Who has read on meanwhile leaves it to the next poll.
async fn give_up(recorder: &Recorder, telling: Telling, id: String, known: Known) -> Result<usize, Error> {
    let carriers = HashMap::new();
    let told = match normalizer::gap(&recorder.scope(telling, &carriers), &id, &known) {
        Ok(Some(told)) => told,
        Ok(None) => return Ok(0),
        Err(error) => return Err(Error::Nonsense(error.to_string())),
    };
    tracing::error!(account = %recorder.account(), ledger = %id, "entries of a stock's ledger can't be found; the gap is told");
    let account = recorder.account().clone();
    let known = KnownEntity { account, feed: FeedName::Stocks, id, before: Some(known), known: told.known };
    match recorder.journal.append(Append { drafts: told.drafts, known: vec![known], ..Append::default() }).await {
        Ok(appended) => {
            let gaps = appended.events;
            recorder.metrics.stock_gaps.with_label_values(&[recorder.account().as_str()]).inc_by(gaps as u64);
            if gaps > 0 {
                recorder.note_missed(FeedName::Stocks).await?;
            }
            Ok(gaps)
        }
        Err(store::Error::Outdated) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::testing::Bench;
    use super::*;
    use crate::domain::listing::Purpose;
    use crate::ffn::testing::{Call, Reply};
    use crate::store::Journal;

    const SINCE: &str = "2026-01-05T08:00:00Z";
    const PATIENCE: TimeDelta = TimeDelta::minutes(5);

    fn entry(version: i64) -> String {
        format!(
            r#"{{"stockChangeId":{{"warehouseId":"W","jfsku":"J","stockVersion":{version}}},"modificationInfo":{{"createdAt":"{SINCE}"}}}}"#
        )
    }

    /// Entries 1 and 4 have been read; the list answers like that.
    async fn with_a_hole(list: impl Fn() -> Reply + Send + Sync + 'static) -> Bench {
        let bench = Bench::new(move |_| list()).await;
        bench.record(FeedName::Stocks, &[entry(1), entry(4)]).await;
        bench
    }

    async fn mended(bench: &Bench, minutes: i64) -> usize {
        let now = SINCE.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minutes);
        mend(&bench.recorder, Telling::since(DateTime::UNIX_EPOCH), PATIENCE, now).await.unwrap()
    }

    const CHANGED: &str = "acme.stock.changed";
    const GAP: &str = "acme.stock.gap";

    #[tokio::test]
    async fn what_the_list_has_is_told_and_the_rest_waited_for_and_given_up_once() {
        let bench = with_a_hole(|| Reply::json(200, &format!(r#"{{"items":[{},{}]}}"#, entry(2), entry(7)))).await;
        assert_eq!(mended(&bench, 0).await, 1);
        assert_eq!(bench.told().await, [CHANGED, CHANGED, CHANGED], "entry 7 was not looked for");
        // Entry 3 is nowhere.
        assert_eq!(mended(&bench, 5).await, 0);
        assert_eq!(mended(&bench, 6).await, 1);
        assert_eq!(mended(&bench, 7).await, 0);
        assert_eq!(bench.told().await, [CHANGED, CHANGED, CHANGED, GAP]);
        let gap: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert_eq!((&gap["fromVersion"], &gap["toVersion"]), (&3.into(), &3.into()));
    }

    #[tokio::test]
    async fn each_hole_is_waited_for_by_itself_and_looked_up_at_once() {
        let bench = with_a_hole(|| Reply::json(200, &format!(r#"{{"items":[{}]}}"#, entry(8)))).await;
        let later = |version| entry(version).replace("08:00:00", "08:04:00");
        bench.record(FeedName::Stocks, &[later(6), later(9)]).await;
        assert_eq!(mended(&bench, 5).await, 1, "entry 8, though that of the first hole is not there");
        assert_eq!(mended(&bench, 6).await, 1);
        assert_eq!(mended(&bench, 9).await, 0, "the later ones are waited for as long");
        let gap: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert_eq!((&gap["fromVersion"], &gap["toVersion"]), (&2.into(), &3.into()));
        assert_eq!((mended(&bench, 10).await, mended(&bench, 10).await, mended(&bench, 10).await), (1, 1, 0));
    }

    #[tokio::test]
    async fn a_list_that_cant_be_read_is_no_reason_to_give_up_or_to_fail() {
        let bench = with_a_hole(|| Reply::json(500, "")).await;
        assert_eq!((mended(&bench, 0).await, mended(&bench, 600).await), (0, 0));
        assert_eq!(bench.told().await, [CHANGED, CHANGED]);
    }

    #[tokio::test]
    async fn a_list_that_is_refused_is_one_without_the_entries() {
        let bench = with_a_hole(|| Reply::json(400, "")).await;
        assert_eq!((mended(&bench, 0).await, mended(&bench, 6).await), (0, 1));
        assert_eq!(bench.told().await, [CHANGED, CHANGED, GAP]);
    }

    /// A page of a ledger so long, without those named; in its order if that is asked for, or in none.
    fn long(call: &Call, len: i64, without: &[i64], is_ordered: bool) -> Reply {
        let query = url::form_urlencoded::parse(call.uri.split_once('?').unwrap().1.as_bytes());
        let query: HashMap<_, _> = query.collect();
        let skip: i64 = query["$skip"].parse().unwrap();
        let is_newest_first = query["$orderBy"].ends_with(" desc");
        let place = |at: i64| match (is_ordered, is_newest_first) {
            (true, true) => len - at,
            (true, false) => at + 1,
            (false, _) => at * 7_919 % len + 1,
        };
        let rows = (skip..len.min(skip + 100)).map(place).filter(|it| !without.contains(it)).map(entry);
        let rows = rows.collect::<Vec<_>>().join(",");
        Reply::json(200, &format!(r#"{{"items":[{rows}],"nextPageLink":"?x"}}"#))
    }

    /// The last entries of a long ledger have been read but for the last but one; counts what the list is asked.
    async fn with_a_hole_at_the_end(without: &'static [i64], is_ordered: bool) -> (Bench, Arc<AtomicUsize>) {
        const LEN: i64 = 30_000;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let bench = Bench::new(move |call| {
            counted.fetch_add(1, Ordering::Relaxed);
            long(call, LEN, without, is_ordered)
        });
        let bench = bench.await;
        bench.record(FeedName::Stocks, &[entry(LEN - 2), entry(LEN)]).await;
        // It has been looked up what came before.
        bench.alter("UPDATE entities SET known = json_remove(known, '$.versions.first')");
        (bench, calls)
    }

    #[tokio::test]
    async fn a_long_ledger_is_searched_from_its_end() {
        let (bench, calls) = with_a_hole_at_the_end(&[], true).await;
        assert_eq!((mended(&bench, 0).await, calls.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(bench.told().await, [CHANGED, CHANGED, CHANGED]);
    }

    #[tokio::test]
    async fn what_a_long_ledger_does_not_have_is_told_without_reading_all_of_it() {
        let (bench, calls) = with_a_hole_at_the_end(&[29_999], true).await;
        assert_eq!((mended(&bench, 6).await, calls.load(Ordering::Relaxed)), (1, 2));
        assert_eq!(bench.told().await, [CHANGED, CHANGED, GAP]);
    }

    #[tokio::test]
    async fn no_gap_is_told_when_the_search_was_broken_off() {
        let (bench, calls) = with_a_hole_at_the_end(&[29_999], false).await;
        assert_eq!((mended(&bench, 600).await, calls.load(Ordering::Relaxed)), (0, 200));
        assert_eq!(bench.told().await, [CHANGED, CHANGED]);
    }

    /// Stands for a minute that an entry does not say.
    const UNDATED: i64 = i64::MIN;

    /// Entries of a ledger that were written at such minutes after the start of the feed; `J` stands for its product.
    fn written(entries: &[(i64, i64)]) -> Vec<String> {
        let at = |minute| match minute {
            UNDATED => String::new(),
            _ => (SINCE.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)).to_rfc3339(),
        };
        let written = |(version, minute): &(i64, i64)| entry(*version).replace(SINCE, &at(*minute));
        entries.iter().map(written).collect()
    }

    /// A feed that begins at `SINCE` has read these entries; the list has those.
    async fn begun(read: &[(i64, i64)], list: &'static [(i64, i64)]) -> (Bench, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let bench = Bench::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Reply::json(200, &format!(r#"{{"items":[{}]}}"#, written(list).join(",")))
        });
        let bench = bench.await;
        let items: Vec<Item> =
            written(read).into_iter().map(|json| Item::from(RawValue::from_string(json).unwrap())).collect();
        let telling = Telling::since(SINCE.parse().unwrap());
        bench.recorder.record(FeedName::Stocks, &items, telling, Append::default()).await.unwrap();
        (bench, calls)
    }

    async fn mended_since_start(bench: &Bench, minutes: i64) -> usize {
        let since: DateTime<Utc> = SINCE.parse().unwrap();
        let now = since + TimeDelta::minutes(minutes);
        mend(&bench.recorder, Telling::since(since), PATIENCE, now).await.unwrap()
    }

    #[tokio::test]
    async fn an_entry_that_the_feed_lost_before_the_first_it_showed_is_found() {
        let (bench, calls) = begun(&[(5, 20)], &[(6, 25), (5, 20), (4, 10), (3, -10), (2, -20)]).await;
        assert_eq!(mended_since_start(&bench, 30).await, 1);
        let told: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert_eq!(told["stockVersion"], 4, "6 is for the feed to show, and 3 was before the start");
        for minutes in [30, 60] {
            assert_eq!((mended_since_start(&bench, minutes).await, calls.load(Ordering::Relaxed)), (0, 1));
        }
        assert_eq!(bench.told().await, [CHANGED, CHANGED]);
    }

    #[tokio::test]
    async fn what_is_missing_before_the_first_entry_and_in_no_list_is_waited_for_and_told() {
        let (bench, _) = begun(&[(5, 20)], &[(5, 20), (3, -10)]).await;
        assert_eq!((mended_since_start(&bench, 30).await, mended_since_start(&bench, 35).await), (0, 0));
        let noted =
            async || bench.store.listing(bench.recorder.account(), FeedName::Stocks, Purpose::Sweep).await.unwrap();
        assert_eq!(noted().await, None);
        assert_eq!((mended_since_start(&bench, 36).await, mended_since_start(&bench, 60).await), (1, 0));
        assert_eq!(bench.told().await, [CHANGED, GAP]);
        assert!(noted().await.is_some_and(|noted| noted.missed_at.is_some()), "for the alert");
        let gap: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert_eq!((&gap["fromVersion"], &gap["toVersion"]), (&4.into(), &4.into()));
        assert_eq!(gap["occurredAt"], "2026-01-05T08:20:00Z", "when the entry after it was written");
    }

    #[tokio::test]
    async fn a_gap_before_the_first_entry_has_the_time_of_the_entry_after_it_whenever_it_is_looked_up() {
        for minutes in [30, 300] {
            let (bench, _) = begun(&[(7, 20)], &[(7, 20), (5, 10), (3, -10)]).await;
            assert_eq!(mended_since_start(&bench, minutes).await, 1);
            let mut times = Vec::new();
            for _ in 0..2 {
                assert_eq!(mended_since_start(&bench, minutes + 6).await, 1);
                let gap: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
                times.push(gap["occurredAt"].clone());
            }
            assert_eq!(times, ["2026-01-05T08:10:00Z", "2026-01-05T08:20:00Z"]);
        }
    }

    #[tokio::test]
    async fn nothing_is_missed_of_a_ledger_that_begins_or_was_seen_before_the_start_or_has_nothing_older() {
        for (read, list, looks) in [
            (&[(1, 20)][..], &[][..], 0),
            (&[(5, -1), (6, 20)], &[], 0),
            (&[(5, 20)], &[(5, 20)], 1),
            (&[(5, 20)], &[(5, 20), (4, -1)], 1),
            (&[(5, 20)], &[], 1),
        ] {
            let (bench, calls) = begun(read, list).await;
            assert_eq!((mended_since_start(&bench, 30).await, mended_since_start(&bench, 600).await), (0, 0));
            assert_eq!(calls.load(Ordering::Relaxed), looks, "{read:?} {list:?}");
        }
    }

    #[tokio::test]
    async fn what_does_not_say_when_it_was_written_is_found_before_the_first_entry_down_to_one_that_is_not_missed() {
        for (list, told) in [
            (&[(5, 20), (4, UNDATED), (3, -10), (2, UNDATED)][..], &[4, 5][..]),
            (&[(2, UNDATED), (3, -10), (4, UNDATED), (5, 20)], &[4, 5]),
            (&[(5, 20), (4, UNDATED), (3, 10), (2, UNDATED)], &[2, 3, 4, 5]),
            // It tells of none.
            (&[(5, UNDATED), (4, UNDATED), (3, UNDATED)], &[5]),
        ] {
            let (bench, calls) = begun(&[(5, 20)], list).await;
            mended_since_start(&bench, 30).await;
            mended_since_start(&bench, 60).await;
            assert_eq!(bench.versions().await, (told.to_vec(), vec![]), "{list:?}");
            assert_eq!(calls.load(Ordering::Relaxed), 1, "no hole is left: {list:?}");
        }
    }

    #[tokio::test]
    async fn a_list_in_no_order_is_not_looked_through_for_what_may_not_be() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let bench = Bench::new(move |call| {
            counted.fetch_add(1, Ordering::Relaxed);
            long(call, 30_000, &[], false)
        });
        let bench = bench.await;
        bench.record(FeedName::Stocks, &[entry(29_000)]).await;
        let since = SINCE.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(1);
        for _ in 0..2 {
            let told = mend(&bench.recorder, Telling::since(since), PATIENCE, since).await.unwrap();
            assert_eq!((told, calls.load(Ordering::Relaxed)), (0, 1));
            assert!(bench.store.holes(bench.recorder.account()).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn many_ledgers_are_looked_up_a_few_with_each_poll_and_again_while_their_list_cant_be_read() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let bench = Bench::new(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
            at if at < 5 => Reply::json(500, ""),
            _ => Reply::json(200, r#"{"items":[]}"#),
        });
        let bench = bench.await;
        let ledgers: Vec<String> = (0..25).map(|at| entry(7).replace("\"J\"", &format!("\"J{at}\""))).collect();
        bench.record(FeedName::Stocks, &ledgers).await;
        let open = async || bench.store.holes(bench.recorder.account()).await.unwrap().len();
        let mut left = vec![open().await];
        while open().await > 0 {
            mended(&bench, 0).await;
            left.push(open().await);
        }
        assert_eq!(left, [25, 20, 10, 0]);
    }
}
