//! From items to the journal: derives the events of what was read and appends them together with what is then
//! known, in one transaction. Third step of an event's way, whoever did the reading.
//!
//! Several may read at the same time, in other processes too. What is known of an entity is written only if
//! nobody has changed it meanwhile; otherwise the items are told anew from what is known then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Error;
use super::normalizer::{self, Item, Scope, Telling};
use crate::domain::account::AccountName;
use crate::domain::entity::Known;
use crate::domain::feed::FeedName;
use crate::domain::listing::{Listing, Purpose};
use crate::domain::message::ContentMode;
use crate::ffn::Client;
use crate::ffn::shipping_methods::ShippingMethods;
use crate::metrics::EventMetrics;
use crate::store::{self, Append, Journal, KnownEntity, Parked};
use chrono::Utc;

/// Tries to write what nobody else changes meanwhile. Others finish between two of them, so one is nearly
/// always enough.
const TRIES: u32 = 20;

/// Records what was read of one account.
#[derive(Clone)]
pub struct Recorder {
    /// The account's API.
    pub client: Arc<Client>,
    /// Its shipping methods, for carriers' names.
    pub shipping_methods: Arc<ShippingMethods>,
    /// Where events go.
    pub journal: Arc<dyn Journal>,
    /// The events exchange.
    pub exchange: String,
    /// How events are laid into messages.
    pub mode: ContentMode,
    /// Counted.
    pub metrics: EventMetrics,
}

/// What came of items.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Events that entered the journal.
    pub events: usize,
    /// Items that could not be told, and were not parked before.
    pub parked: usize,
}

impl Recorder {
    /// The account.
    pub fn account(&self) -> &AccountName {
        self.client.account()
    }

    /// Appends what items tell, and what else is to be written with it, in one transaction.
    ///
    /// # Errors
    /// FFN, where it is asked for a carrier's name, or the store. Nothing was written then.
    pub async fn record(
        &self,
        feed: FeedName,
        items: &[Item],
        telling: Telling,
        with: Append,
    ) -> Result<Recorded, Error> {
        for _ in 0..TRIES {
            let mut append = self.derive(feed, items, telling).await?;
            append.extend(with.clone());
            match self.journal.append(append).await {
                Ok(appended) => {
                    self.note_parked(feed, &appended.parked);
                    return Ok(Recorded { events: appended.events, parked: appended.parked.len() });
                }
                // What came along has to be told anew as well.
                Err(store::Error::Outdated) if with.known.is_empty() => {
                    tracing::debug!(account = %self.account(), %feed, "another reader was faster; telling anew");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(store::Error::Outdated.into())
    }

    /// What items tell, compared with what is known; nothing is written.
    ///
    /// # Errors
    /// FFN, where it is asked for a carrier's name, or the store.
    pub async fn derive(&self, feed: FeedName, items: &[Item], telling: Telling) -> Result<Append, Error> {
        let mut append = Append::default();
        let mut named: Vec<(String, &Item)> = Vec::with_capacity(items.len());
        for item in items {
            match normalizer::entity_id(feed, &item.json) {
                Ok(id) => named.push((id, item)),
                Err(odd) => append.parked.push(self.park(feed, item.json.get().as_bytes(), &odd)),
            }
        }
        if feed == FeedName::Stocks {
            // In the order of the ledger a hole is a hole.
            named.sort_by_key(|(_, item)| normalizer::stock_version(&item.json));
        }
        let ids = named.iter().map(|(id, _)| id.clone()).collect();
        let before = self.journal.known(self.account(), feed, ids).await?;
        let carriers = self.carriers(feed, &named).await?;
        let scope = self.scope(telling, &carriers);
        let mut known: HashMap<String, Known> = before.clone();
        for (id, item) in named {
            match normalizer::normalize(&scope, feed, item, known.get(&id)) {
                Ok(normalized) => {
                    append.drafts.extend(normalized.drafts);
                    known.insert(id, normalized.known);
                }
                Err(odd) => append.parked.push(self.park(feed, item.json.get().as_bytes(), &odd)),
            }
        }
        append.drafts.sort_by_key(|draft| draft.event.time);
        for (id, known) in known {
            let before = before.get(&id).cloned();
            // Of what was seen only when it had changed after its window nothing may be known.
            if before.as_ref().unwrap_or(&Known::default()) != &known {
                append.known.push(KnownEntity { account: self.account().clone(), feed, id, before, known });
            }
        }
        Ok(append)
    }

    /// What the rules need beside an item.
    pub fn scope<'a>(&'a self, telling: Telling, carriers: &'a HashMap<String, String>) -> Scope<'a> {
        Scope {
            account: self.account(),
            role: self.client.role(),
            recorded_time: Utc::now(),
            exchange: &self.exchange,
            mode: self.mode,
            carriers,
            telling,
        }
    }

    /// Parks items for this reason.
    ///
    /// # Errors
    /// The store.
    pub async fn park_all(
        &self,
        feed: FeedName,
        items: Vec<Vec<u8>>,
        reason: &(dyn Display + Sync),
    ) -> Result<(), store::Error> {
        if items.is_empty() {
            return Ok(());
        }
        let parked: Vec<Parked> = items.iter().map(|item| self.park(feed, item, reason)).collect();
        self.append(feed, Append { parked, ..Append::default() }).await
    }

    /// Writes what has nothing to tell.
    ///
    /// # Errors
    /// The store.
    pub async fn append(&self, feed: FeedName, append: Append) -> Result<(), store::Error> {
        let appended = self.journal.append(append).await?;
        self.note_parked(feed, &appended.parked);
        Ok(())
    }

    /// Counts and logs items that are newly parked.
    fn note_parked(&self, feed: FeedName, parked: &[Parked]) {
        for Parked { reason, .. } in parked {
            tracing::error!(account = %self.account(), %feed, reason, "an item of the feed can't be told as an event; it is parked");
        }
        let labels = [self.account().as_str(), feed.as_str()];
        self.metrics.items_parked.with_label_values(&labels).inc_by(parked.len() as u64);
    }

    /// Notes for the alerts that a feed has missed something: they see it as well if nobody has scraped before it was
    /// found, and after a restart.
    ///
    /// # Errors
    /// The store.
    pub async fn note_missed(&self, feed: FeedName) -> Result<(), store::Error> {
        let account = self.account();
        let listing = self.journal.listing(account, feed, Purpose::Sweep).await?.unwrap_or_default();
        let noted = Listing { missed_at: Some(Utc::now()), ..listing };
        let listing = Some((account.clone(), feed, Purpose::Sweep, noted));
        self.journal.append(Append { listing, ..Append::default() }).await?;
        Ok(())
    }

    /// An item as it is parked, which is written by others.
    pub fn park(&self, feed: FeedName, item: &[u8], odd: &dyn Display) -> Parked {
        let print = print_of(item).to_vec();
        Parked { account: self.account().clone(), feed, item: item.to_vec(), print, reason: odd.to_string() }
    }

    /// The carriers of items. All of them are asked for, so that those which FFN fails to show are waited for together.
    async fn carriers(&self, feed: FeedName, items: &[(String, &Item)]) -> Result<HashMap<String, String>, Error> {
        let methods: BTreeSet<String> =
            items.iter().flat_map(|(_, item)| normalizer::shipping_methods(feed, &item.json)).collect();
        let (mut carriers, mut failed) = (HashMap::new(), None);
        for method in methods {
            match self.shipping_methods.get(&method).await {
                Ok(found) => {
                    let name = found.and_then(|found| found.carrier_name.clone().or_else(|| found.name.clone()));
                    carriers.extend(name.map(|name| (method, name)));
                }
                Err(error) if error.may_be_about_this_one() => failed = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        failed.map_or(Ok(carriers), |error| Err(error.into()))
    }
}

/// What tells an item from others, whether it is text or not. `changesInRange` is left out: it shrinks while the windows
/// move on, and the item is the same.
fn print_of(item: &[u8]) -> [u8; 32] {
    // With a character for each byte all items can be told apart.
    let wide: String = item.iter().map(|byte| char::from(*byte)).collect();
    Sha256::digest(without_range(&wide).unwrap_or(wide)).into()
}

fn without_range(item: &str) -> Option<String> {
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(item).ok()?;
    let stamp = members.get_mut("modificationInfo")?;
    let mut left: BTreeMap<String, Box<RawValue>> = serde_json::from_str(stamp.get()).ok()?;
    left.remove("changesInRange");
    *stamp = serde_json::value::to_raw_value(&left).ok()?;
    serde_json::to_string(&members).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, product};
    use super::*;
    use crate::ffn::testing::Reply;
    use crate::store::{ParkedFilter, Parking};

    async fn bench() -> Bench {
        Bench::new(|_| Reply::json(200, "{}")).await
    }

    const CREATED: &str = "acme.product.created";
    const UPDATED: &str = "acme.product.updated";

    #[tokio::test]
    async fn events_of_one_reading_come_by_their_time() {
        let bench = bench().await;
        bench.record(FeedName::Products, &[product("P1", 1, 3), product("P2", 2, 2)]).await;
        assert_eq!(bench.told().await, [CREATED, CREATED, UPDATED]);
    }

    #[tokio::test]
    async fn an_item_that_is_read_again_is_counted_as_parked_once() {
        let bench = bench().await;
        let counted = || bench.recorder.metrics.items_parked.with_label_values(&["acme", "products"]).get();
        for again in 0..3 {
            let items = ["null", r#"{"jfsku":7}"#].map(str::to_owned);
            bench.record(FeedName::Products, &items).await;
            bench.recorder.park_all(FeedName::Products, vec![b"\xfc".to_vec()], &"no UTF-8").await.unwrap();
            assert_eq!(counted(), 3, "{again}");
        }
    }

    #[tokio::test]
    async fn an_odd_item_is_parked_once_while_its_window_moves_on_and_again_when_it_changes() {
        let bench = bench().await;
        let item = |name: &[u8], updated: u32, in_range: &str| {
            let stamp = format!(r#"{{"updatedAt":"2026-01-05T08:00:0{updated}Z","changesInRange":[{in_range}]}}"#);
            [b"{\"name\":\"", name, b"\",\"modificationInfo\":", stamp.as_bytes(), b"}"].concat()
        };
        let (first, second) = (r#"{"state":"New"}"#, r#"{"state":"New"},{"state":"Modified"}"#);
        for (name, parked) in [("Grün".as_bytes(), 2), (b"Gr\xfcn", 4)] {
            for (updated, in_range) in [(1, second), (1, first), (1, ""), (2, first)] {
                let items = vec![item(name, updated, in_range)];
                bench.recorder.park_all(FeedName::Products, items, &"odd").await.unwrap();
            }
            let entries = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
            assert_eq!(entries.len(), parked);
            let kept = bench.store.parked_item(entries[parked - 2].id).await.unwrap().unwrap();
            assert_eq!(kept.item, item(name, 1, second), "as it came");
        }
    }

    #[tokio::test]
    async fn who_was_slower_tells_anew() {
        let bench = bench().await;
        let item = |changed| [Item::from(RawValue::from_string(product("P1", 1, changed)).unwrap())];
        let telling = Telling::since(chrono::DateTime::UNIX_EPOCH);
        let (one, two) = (item(2), item(3));
        // Both look at what is known before either has written it.
        let (one, two) = tokio::join!(
            bench.recorder.record(FeedName::Products, &one, telling, Append::default()),
            bench.recorder.record(FeedName::Products, &two, telling, Append::default()),
        );
        assert_eq!(one.unwrap().events + two.unwrap().events, 3);
        assert_eq!(bench.told().await, [CREATED, UPDATED, UPDATED]);
    }

    #[tokio::test]
    async fn a_hole_is_seen_whatever_the_order_of_a_page() {
        let bench = bench().await;
        let entry = |version: i64| {
            let id = format!(r#"{{"warehouseId":"W","jfsku":"J","stockVersion":{version}}}"#);
            format!(r#"{{"stockChangeId":{id},"modificationInfo":{{"createdAt":"2026-01-05T08:00:00Z"}}}}"#)
        };
        bench.record(FeedName::Stocks, &[entry(3), entry(1)]).await;
        let holes = bench.recorder.journal.holes(bench.recorder.account()).await.unwrap();
        assert_eq!(holes.len(), 1);
    }
}
