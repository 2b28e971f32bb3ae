//! Items that could not be told as events, tried again: by a version that reads more, for example, or when FFN no longer
//! refuses what belongs to them.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::normalizer::{self, Item, Telling};
use super::reader::cant_be_asked;
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
    /// It still can't be told, and stays where it is.
    Odd {
        /// Why.
        reason: String,
    },
}

/// Tells a parked item as its feed does, with what is known of its entity by now, and takes it out, in one
/// transaction. `recorder` is its account's.
///
/// # Errors
/// FFN, where it is asked for a carrier's name or what belongs to the item, or the store. Nothing was written then.
pub async fn retry(recorder: &Recorder, parked: &ParkedItem) -> Result<Retried, Error> {
    let Ok(feed) = parked.entry.feed.parse::<FeedName>() else {
        return Ok(Retried::Odd { reason: "this version does not know its feed".to_owned() });
    };
    let text = String::from_utf8(parked.item.clone());
    let Some(json) = text.ok().and_then(|text| RawValue::from_string(text).ok()) else {
        return Ok(Retried::Odd { reason: "it is no JSON".to_owned() });
    };
    let items = match items_of(recorder, feed, json).await {
        Ok(items) => items,
        Err(refused) if refused.is_about_this_one() => {
            return Ok(Retried::Odd { reason: cant_be_asked("what belongs to it", &refused) });
        }
        Err(error) => return Err(error.into()),
    };
    let checkpoint = recorder.journal.checkpoint(recorder.account(), feed).await?;
    let telling = Telling::since(checkpoint.map_or(DateTime::<Utc>::MIN_UTC, |checkpoint| checkpoint.started_at));
    // First without writing: it must not be parked once more.
    let derived = recorder.derive(feed, &items, telling).await?;
    if let Some(odd) = derived.parked.into_iter().next() {
        return Ok(Retried::Odd { reason: odd.reason });
    }
    let with = Append { unparked: vec![parked.entry.id], ..Append::default() };
    let recorded = recorder.record(feed, &items, telling, with).await?;
    Ok(Retried::Told { events: recorded.events })
}

/// What a parked item tells: itself, or what belongs to it and FFN refused before.
async fn items_of(recorder: &Recorder, feed: FeedName, json: Box<RawValue>) -> Result<Vec<Item>, ffn::Error> {
    let client = &recorder.client;
    if Feed::of(feed).lists_orders_of_shipments(client.role())
        && let Some((order, _)) = normalizer::shipped_order(&json)
    {
        let shipments = entities::shipments_of(client, &order, Priority::Poll).await?;
        return Ok(shipments.into_iter().map(Item::from).collect());
    }
    if Feed::of(feed).changes.is_some()
        && let Ok(change) = normalizer::read_return_change(&json)
    {
        let found = entities::get(client, "return.get", "returns", &change.return_id, Priority::Poll).await?;
        return Ok(found.into_iter().map(|json| Item { json, changes: vec![change.clone()] }).collect());
    }
    Ok(vec![Item::from(json)])
}
