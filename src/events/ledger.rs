//! Holes in the stock ledger: versions have no gaps, so one that is missing was lost by the feed (contract 14).
//!
//! A hole is looked up in the list at once. What is not found there is waited for as long as a change may
//! become visible late, and looked up with each poll; only then is it told as `stock.gap` and given up. A list that
//! can't be read does not keep the feed: the hole is remembered.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::Error;
use super::normalizer::{self, Item, Telling};
use super::recorder::Recorder;
use crate::domain::entity::Known;
use crate::domain::feed::FeedName;
use crate::ffn::{Disposition, Priority, stocks};
use crate::store::{self, Append, KnownEntity};
use crate::telemetry::Chain;

/// The most entries that are looked up at once; the rest with the next poll.
const MOST_ENTRIES: usize = 1000;

/// Mends every hole of an account's ledgers, or gives it up once it is older than `patience`. Gives the number
/// of events that entered the journal.
///
/// # Errors
/// The store. What was found before is recorded.
pub(super) async fn mend(
    recorder: &Recorder,
    telling: Telling,
    patience: TimeDelta,
    server_now: DateTime<Utc>,
) -> Result<usize, Error> {
    let mut events = 0;
    for (id, known) in recorder.journal.holes(recorder.account()).await? {
        let Some((from, to)) = known.versions.as_ref().and_then(|versions| versions.hole()) else { continue };
        let Some((warehouse, jfsku)) = id.rsplit_once(':') else { continue };
        tracing::warn!(account = %recorder.account(), warehouse, jfsku, from, to, "entries of a stock's ledger are missing; looking them up");
        let is_missing = |row: &RawValue| {
            normalizer::entity_id(FeedName::Stocks, row).is_ok_and(|of| of == id)
                && normalizer::stock_version(row).is_some_and(|version| (from..=to).contains(&version))
        };
        let most = usize::try_from(to - from + 1).unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
        let found = stocks::find_changes(&recorder.client, warehouse, jfsku, Priority::Poll, most, is_missing).await;
        let rows = match found {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(account = %recorder.account(), warehouse, jfsku, error = %Chain(&error), "missing entries of a stock's ledger can't be looked up");
                if error.disposition() != Disposition::Never {
                    continue;
                }
                // It never will be: they are waited for like those that are not in the list.
                Vec::new()
            }
        };
        if !rows.is_empty() {
            let items: Vec<Item> = rows.into_iter().map(Item::from).collect();
            events += recorder.record(FeedName::Stocks, &items, telling, Append::default()).await?.events;
            continue;
        }
        let since = known.versions.as_ref().and_then(|versions| versions.missing_since);
        if since.is_none_or(|since| server_now - since > patience) {
            events += give_up(recorder, telling, id, known).await?;
        }
    }
    Ok(events)
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
            Ok(gaps)
        }
        Err(store::Error::Outdated) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::ffn::testing::Reply;

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
}
