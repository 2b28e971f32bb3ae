//! What there is when a feed begins to be read: its list, read once from one end to the other.
//!
//! The feed is followed from before, so what changes meanwhile is told by it: a row that has changed since the
//! start is left to the feed, which tells of an entity that nobody knows yet what the snapshot would have told.
//! How far the list is goes into the journal with what it told, so a crash repeats one page at the most.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::Error;
use super::normalizer::{self, Item, Telling};
use super::recorder::Recorder;
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::listing::{Listing, Purpose};
use crate::domain::resource::Resource;
use crate::ffn::lists::{self, List};
use crate::ffn::{Endpoint, Priority};
use crate::store::Append;

/// Begins a snapshot: asks how much there is, for the eye.
pub(super) async fn begin(recorder: &Recorder, feed: FeedName, list: Endpoint) -> Result<Listing, Error> {
    let list = whole(feed, list);
    let total = lists::total(&recorder.client, &list, Priority::Background).await?;
    Ok(Listing { total, ..Listing::default() })
}

/// Reads one page more and tells of it.
///
/// # Errors
/// See [`Error`]. What was read before is in the journal.
pub(super) async fn read_on(
    recorder: &Recorder,
    feed: FeedName,
    list: Endpoint,
    checkpoint: Checkpoint,
    listing: &Listing,
) -> Result<Listing, Error> {
    let account = recorder.account().clone();
    let list = whole(feed, list);
    let page = lists::read_on(&recorder.client, &list, Priority::Background, &listing.cursor).await?;
    let (items, listing) = match page {
        Some(page) => {
            let items = page.rows.into_iter().filter(|row| is_of(checkpoint.started_at, feed, row));
            (items.map(Item::from).collect(), Listing { cursor: page.next, ..listing.clone() })
        }
        None => (Vec::new(), Listing { ended_at: Some(recorder.client.server_now()), ..listing.clone() }),
    };
    let with = Append { listing: Some((account, feed, Purpose::Snapshot, listing.clone())), ..Append::default() };
    recorder.record(feed, &items, Telling::with_snapshot(checkpoint.started_at), with).await?;
    Ok(listing)
}

/// Whether a row shows what there was at the start. What can't be read goes on, to be parked.
fn is_of(started_at: DateTime<Utc>, feed: FeedName, row: &RawValue) -> bool {
    normalizer::changed_at(feed, row).is_none_or(|at| at < started_at)
}

fn whole(feed: FeedName, endpoint: Endpoint) -> List {
    List { endpoint, id: Resource::of(feed).id, filter: None }
}
