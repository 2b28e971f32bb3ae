//! Holes in the stock ledger: versions have no gaps, so one that is missing was lost by the feed (contract 14).
//!
//! A hole is looked up in the list at once. What is not found there is waited for as long as a change may
//! become visible late, and looked up with each poll; only then is it told as `stock.gap` and given up.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::Error;
use super::normalizer::{self, Item, Telling};
use super::recorder::Recorder;
use crate::domain::entity::Known;
use crate::domain::feed::FeedName;
use crate::ffn::{Priority, stocks};
use crate::store::{self, Append, KnownEntity};

/// The most entries that are looked up at once; the rest with the next poll.
const MOST_ENTRIES: usize = 1000;

/// Mends every hole of an account's ledgers, or gives it up once it is older than `patience`. Gives the number
/// of events that entered the journal.
///
/// # Errors
/// See [`Error`]. What was found before is recorded.
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
        let rows = stocks::find_changes(&recorder.client, warehouse, jfsku, Priority::Poll, most, is_missing).await?;
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
        Ok(entered) => {
            recorder.metrics.stock_gaps.with_label_values(&[recorder.account().as_str()]).inc_by(entered as u64);
            Ok(entered)
        }
        Err(store::Error::Outdated) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
