//! Items that could not be told as events, tried again: by a version that reads more, for example, or when FFN no longer
//! refuses what belongs to them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::normalizer::{self, Item, Telling};
use super::poller::telling;
use super::reader::{GONE, cant_be_asked};
use super::{Error, Recorder};
use crate::domain::feed::FeedName;
use crate::ffn::feeds::Feed;
use crate::ffn::{self, Priority, entities};
use crate::store::{Append, ParkedItem};

/// What came of another try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It was told: so many events have entered the journal, and the item is not parked any more. None
    /// means that all it tells had been told.
    Told {
        /// Events.
        events: usize,
    },
    /// It still can't be told, or gives no event though nothing was told of its entity. It stays where it is.
    Odd {
        /// Why.
        reason: String,
    },
}

/// Tells a parked item as its feed does, with what is known of its entity by now, and takes it out, in one
/// transaction. `recorder` is its account's, `memory` how long it is kept what is known of an entity.
///
/// # Errors
/// FFN, where it is asked for a carrier's name or what belongs to the item, or the store. Nothing was written then.
pub async fn retry(recorder: &Recorder, parked: &ParkedItem, memory: Duration) -> Result<Retried, Error> {
    let Ok(feed) = parked.entry.feed.parse::<FeedName>() else {
        return Ok(Retried::Odd { reason: "this version does not know its feed".to_owned() });
    };
    let text = String::from_utf8(parked.item.clone());
    let Some(json) = text.ok().and_then(|text| RawValue::from_string(text).ok()) else {
        return Ok(Retried::Odd { reason: "it is no JSON".to_owned() });
    };
    let items = match items_of(recorder, feed, json).await {
        Ok(Some(items)) => items,
        Ok(None) => return Ok(Retried::Odd { reason: GONE.to_owned() }),
        Err(refused) if refused.is_about_this_one() => {
            return Ok(Retried::Odd { reason: cant_be_asked("what belongs to it", &refused) });
        }
        Err(error) => return Err(error.into()),
    };
    let telling = match recorder.journal.checkpoint(recorder.account(), feed).await? {
        Some(checkpoint) => telling(checkpoint, Utc::now(), memory),
        None => Telling::since(DateTime::<Utc>::MIN_UTC),
    };
    // First without writing: it must not be parked once more.
    let derived = recorder.derive(feed, &items, telling).await?;
    if let Some(odd) = derived.parked.into_iter().next() {
        return Ok(Retried::Odd { reason: odd.reason });
    }
    if derived.drafts.is_empty() && !is_told(recorder, feed, &items).await? {
        let reason = "it tells of nothing since its feed began to be read, and its entity was never told of".to_owned();
        return Ok(Retried::Odd { reason });
    }
    let with = Append { unparked: vec![parked.entry.id], ..Append::default() };
    let recorded = recorder.record(feed, &items, telling, with).await?;
    Ok(Retried::Told { events: recorded.events })
}

/// What a parked item tells: itself, or what belongs to it and FFN refused before; `None` where that is gone.
async fn items_of(recorder: &Recorder, feed: FeedName, json: Box<RawValue>) -> Result<Option<Vec<Item>>, ffn::Error> {
    let client = &recorder.client;
    if Feed::of(feed).lists_orders_of_shipments(client.role())
        && let Some((order, _)) = normalizer::shipped_order(&json)
    {
        let shipments = entities::shipments_of(client, &order, Priority::Poll).await?;
        return Ok(Some(shipments.into_iter().map(Item::from).collect()));
    }
    if Feed::of(feed).changes.is_some()
        && let Ok(change) = normalizer::read_return_change(&json)
    {
        let found = entities::get(client, "return.get", "returns", &change.return_id, Priority::Poll).await?;
        return Ok(found.map(|json| vec![Item { json, changes: vec![change] }]));
    }
    Ok(Some(vec![Item::from(json)]))
}

/// Whether nothing of it is missing: something of its entities has been told, or there are none.
async fn is_told(recorder: &Recorder, feed: FeedName, items: &[Item]) -> Result<bool, Error> {
    let ids = items.iter().filter_map(|item| normalizer::entity_id(feed, &item.json).ok()).collect();
    let known = recorder.journal.known(recorder.account(), feed, ids).await?;
    Ok(items.is_empty() || known.values().any(|known| !known.told.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, product};
    use super::*;
    use crate::domain::feed::Checkpoint;
    use crate::ffn::testing::Reply;
    use crate::store::{Journal, ParkedFilter, Parking};

    const FEED: FeedName = FeedName::Products;

    /// A feed that has begun at second 10, with a product of before it parked that can be read by now.
    async fn with_one_parked(with_snapshot: bool) -> Bench {
        let bench = Bench::new(|_| Reply::json(200, "{}")).await;
        let account = bench.recorder.account().clone();
        let started_at = "2026-01-05T08:00:10Z".parse().unwrap();
        let checkpoint = Checkpoint { started_at, position: started_at, with_snapshot, again: None };
        let parked = vec![bench.recorder.park(FEED, product("P1", 1, 1).as_bytes(), &"odd")];
        let append = Append { checkpoint: Some((account, FEED, checkpoint)), parked, ..Append::default() };
        bench.store.append(append).await.unwrap();
        bench
    }

    async fn parked(bench: &Bench) -> Vec<i64> {
        let entries = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
        entries.into_iter().map(|entry| entry.id).collect()
    }

    async fn retry_it(bench: &Bench) -> Retried {
        let item = bench.store.parked_item(parked(bench).await[0]).await.unwrap().unwrap();
        retry(&bench.recorder, &item, Duration::from_secs(1_000_000_000)).await.unwrap()
    }

    #[tokio::test]
    async fn an_item_of_before_the_start_is_told_where_a_snapshot_is() {
        let bench = with_one_parked(true).await;
        assert_eq!(retry_it(&bench).await, Retried::Told { events: 1 });
        assert_eq!(bench.told().await, ["acme.product.created"]);
        assert!(parked(&bench).await.is_empty());
    }

    #[tokio::test]
    async fn an_item_of_before_the_start_is_not_told_otherwise_and_stays() {
        let bench = with_one_parked(false).await;
        assert!(matches!(retry_it(&bench).await, Retried::Odd { .. }));
        assert_eq!((bench.told().await.len(), parked(&bench).await.len()), (0, 1));
        // It leaves once its entity has been told of: then nothing of it is missing.
        bench.record(FEED, &[product("P1", 1, 11)]).await;
        assert_eq!(retry_it(&bench).await, Retried::Told { events: 0 });
        assert!(parked(&bench).await.is_empty());
    }
}
