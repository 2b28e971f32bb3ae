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

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, listed, product};
    use super::*;
    use crate::ffn::feeds::Feed;
    use crate::store::Journal;

    const FEED: FeedName = FeedName::Products;

    /// Reads the first page of a snapshot of a feed that began at second 10.
    async fn read(bench: &Bench) -> Result<Listing, Error> {
        let started_at = "2026-01-05T08:00:10Z".parse().unwrap();
        let checkpoint = Checkpoint { started_at, position: started_at, with_snapshot: true, again: None };
        read_on(&bench.recorder, FEED, Feed::of(FEED).list.unwrap(), checkpoint, &Listing::default()).await
    }

    async fn bench(rows: Vec<String>) -> Bench {
        Bench::new(move |call| listed(call, &rows)).await
    }

    #[tokio::test]
    async fn how_far_it_is_goes_into_the_journal_with_what_it_told_or_not_at_all() {
        let bench = bench(vec![product("P1", 1, 1), product("P2", 2, 2)]).await;
        let stored = async || bench.store.listing(bench.recorder.account(), FEED, Purpose::Snapshot).await.unwrap();
        bench.alter("CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no'); END");
        assert!(read(&bench).await.is_err());
        assert_eq!(stored().await, None, "the rows would never be told");
        bench.alter("DROP TRIGGER refuse");
        let listing = read(&bench).await.unwrap();
        assert_eq!((listing.cursor.rows, bench.told().await.len()), (2, 2));
        assert_eq!(stored().await, Some(listing));
    }

    #[tokio::test]
    async fn what_has_changed_since_the_start_is_left_to_the_feed() {
        let bench =
            bench(vec![product("P1", 1, 9), product("P2", 2, 10), product("P3", 2, 11), product("P4", 11, 11)]).await;
        read(&bench).await.unwrap();
        assert_eq!(bench.told().await, ["acme.product.created"]);
        let told = bench.store.known_after(bench.recorder.account(), FEED, String::new(), 10).await.unwrap();
        assert_eq!(told.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), ["P1"]);
    }
}
