//! What a feed has missed: the list of open entities, compared with what is known of them (contract 7.6, rule 11).
//!
//! In a healthy system it finds nothing. What changed so lately that the feed may still tell it is left to the feed.
//! An entity that is known as open and is not in the list is looked at by itself. One that FFN does not show is left
//! out, with a warning: it does not keep the others.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::Error;
use super::normalizer::{self, Item, Origin, Telling};
use super::recorder::Recorder;
use crate::domain::entity::{Known, same_instant};
use crate::domain::feed::FeedName;
use crate::domain::listing::Cursor;
use crate::domain::resource::{Resource, Statuses};
use crate::ffn::lists::{self, List};
use crate::ffn::{Disposition, Endpoint, Priority, entities};
use crate::store::{self, Append, KnownEntity};
use crate::telemetry::Chain;

/// Entities that are looked through at once.
const BATCH: usize = 500;

/// A look for what was missed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    pub(super) feed: FeedName,
    pub(super) list: Endpoint,
    /// Changes before this instant the feed must have told.
    pub(super) due: DateTime<Utc>,
    pub(super) telling: Telling,
}

/// What came of a sweep.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swept {
    /// Events that were missing.
    pub(super) missed: usize,
    /// Entities that FFN did not show.
    pub(super) unread: usize,
}

impl Sweep {
    /// Looks at everything that is open.
    ///
    /// # Errors
    /// See [`Error`]. What was found before is in the journal, and counted.
    pub(super) async fn run(self, recorder: &Recorder) -> Result<Swept, Error> {
        let resource = Resource::of(self.feed);
        let list = List { endpoint: self.list, id: resource.id, filter: resource.statuses.as_ref().map(open) };
        let (mut cursor, mut listed, mut swept) = (Cursor::default(), HashSet::new(), Swept::default());
        while let Some(page) = lists::read_on(&recorder.client, &list, Priority::Background, &cursor).await? {
            listed.extend(page.rows.iter().filter_map(|row| normalizer::entity_id(self.feed, row).ok()));
            swept.missed += self.compare(recorder, page.rows).await?;
            cursor = page.next;
        }
        self.look_for_the_others(recorder, &listed, &mut swept).await?;
        Ok(swept)
    }

    /// Tells of rows what is not known, and counts it at once: what comes after may fail.
    async fn compare(&self, recorder: &Recorder, rows: Vec<Box<RawValue>>) -> Result<usize, Error> {
        let ids = rows.iter().filter_map(|row| normalizer::entity_id(self.feed, row).ok()).collect();
        let known = recorder.journal.known(recorder.account(), self.feed, ids).await?;
        let is_missed = |row: &RawValue| {
            let known = normalizer::entity_id(self.feed, row).ok().and_then(|id| known.get(&id));
            self.is_missed(row, known)
        };
        let items: Vec<Item> = rows.into_iter().filter(|row| is_missed(row)).map(Item::from).collect();
        if items.is_empty() {
            return Ok(0);
        }
        let telling = Telling { origin: Origin::Sweep, ..self.telling };
        let events = recorder.record(self.feed, &items, telling, Append::default()).await?.events;
        if events > 0 {
            let account = recorder.account().as_str();
            recorder.metrics.sweep_missed.with_label_values(&[account, self.feed.as_str()]).inc_by(events as u64);
            tracing::error!(account, feed = %self.feed, events, "the feed has missed changes; they have been found in its list and are told now");
            recorder.note_missed(self.feed).await?;
        }
        Ok(events)
    }

    fn is_missed(&self, row: &RawValue, known: Option<&Known>) -> bool {
        let Some(at) = normalizer::changed_at(self.feed, row).filter(|at| *at < self.due) else { return false };
        match known {
            // What was seen only when it had changed after its window is compared, and known then.
            Some(known) => known.changed_at.is_none_or(|last| last < at && !same_instant(last, at)),
            // What was there before and was not to be told is not known either.
            None => self.telling.since <= at || self.telling.snapshot.is_some(),
        }
    }

    /// What is known as open and was not listed has come to its end, or is not there any more.
    async fn look_for_the_others(
        &self,
        recorder: &Recorder,
        listed: &HashSet<String>,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let batch = recorder.journal.known_after(recorder.account(), self.feed, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = last.clone();
            let of_old = |known: &Known| known.changed_at.is_none_or(|at| at < self.due);
            for (id, known) in batch {
                if !listed.contains(&id) && is_open(self.feed, &known) && of_old(&known) {
                    self.look_at(recorder, id, known, swept).await?;
                }
            }
        }
    }

    async fn look_at(&self, recorder: &Recorder, id: String, known: Known, swept: &mut Swept) -> Result<(), Error> {
        let found = entities::get(&recorder.client, self.list.operation, self.list.path, &id, Priority::Background);
        match found.await {
            Ok(Some(json)) => swept.missed += self.compare(recorder, vec![json]).await?,
            Ok(None) => self.note_end(recorder, id, known).await?,
            // The others would fail alike.
            Err(error) if matches!(error.disposition(), Disposition::Again { .. } | Disposition::NeedsLogin) => {
                return Err(error.into());
            }
            Err(error) => {
                swept.unread += 1;
                tracing::warn!(account = %recorder.account(), feed = %self.feed, id, error = %Chain(&error), "an entity can't be looked at; whether its feed has missed something is not known");
            }
        }
        Ok(())
    }

    /// Notes that FFN has an entity no more. Its feed may not have told its end yet, and tells it then. Who has heard of
    /// it meanwhile knows more.
    async fn note_end(&self, recorder: &Recorder, id: String, known: Known) -> Result<(), Error> {
        tracing::warn!(account = %recorder.account(), feed = %self.feed, id, "FFN has an entity no more, and its feed has not told of its end yet; unless it does, there is nothing left to be told");
        let gone = Known { missing: true, ..known.clone() };
        let account = recorder.account().clone();
        let gone = KnownEntity { account, feed: self.feed, id, before: Some(known), known: gone };
        match recorder.journal.append(Append { known: vec![gone], ..Append::default() }).await {
            Ok(_) | Err(store::Error::Outdated) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_open(feed: FeedName, known: &Known) -> bool {
    let closed = Resource::of(feed).statuses.iter().flat_map(|statuses| statuses.closed);
    !known.deleted && !known.missing && !closed.into_iter().any(|closed| known.status.as_deref() == Some(closed))
}

/// The filter for what is not closed. A status that nobody knew is not in it: such entities are looked at one by one.
fn open(statuses: &Statuses) -> String {
    let names = statuses.events.iter().map(|(name, _)| *name).filter(|name| !statuses.closed.contains(name));
    let terms: Vec<String> =
        statuses.silent.into_iter().chain(names).map(|name| format!("{} eq '{name}'", statuses.member)).collect();
    terms.join(" or ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::testing::{Bench, listed, product};
    use super::*;
    use crate::domain::listing::Purpose;
    use crate::ffn::feeds::Feed;
    use crate::ffn::testing::Reply;
    use crate::store::Journal;

    async fn sweep(bench: &Bench) -> Result<Swept, Error> {
        let list = Feed::of(FeedName::Products).list.unwrap();
        let telling = Telling::since(DateTime::UNIX_EPOCH);
        Sweep { feed: FeedName::Products, list, due: Utc::now(), telling }.run(&bench.recorder).await
    }

    async fn missed_at(bench: &Bench, feed: FeedName) -> Option<DateTime<Utc>> {
        let listing = bench.store.listing(bench.recorder.account(), feed, Purpose::Sweep).await.unwrap();
        listing.and_then(|listing| listing.missed_at)
    }

    fn counted(bench: &Bench) -> u64 {
        bench.recorder.metrics.sweep_missed.with_label_values(&["acme", "products"]).get()
    }

    #[tokio::test]
    async fn what_was_found_counts_though_the_rest_fails() {
        // The list has P1 alone, and FFN asks to call later when it is asked for P2.
        let bench = Bench::new(|call| match call.uri.contains("products/") {
            true => Reply::json(429, ""),
            false => listed(call, &[product("P1", 1, 3)]),
        })
        .await;
        bench.record(FeedName::Products, &[product("P1", 1, 2), product("P2", 1, 2)]).await;
        assert_eq!(missed_at(&bench, FeedName::Products).await, None);
        assert!(sweep(&bench).await.is_err());
        assert_eq!(counted(&bench), 1);
        let found = missed_at(&bench, FeedName::Products).await;
        assert!(found.is_some());
        assert!(sweep(&bench).await.is_err());
        assert_eq!(missed_at(&bench, FeedName::Products).await, found, "nothing more was found");
    }

    #[tokio::test]
    async fn an_entity_that_is_not_shown_keeps_no_other() {
        let bench = Bench::new(|call| match call.uri.rsplit('/').next().unwrap() {
            "P1" => Reply::json(503, ""),
            "P2" => Reply::json(403, ""),
            "P3" => Reply::json(200, "<html>"),
            "P4" => Reply::json(200, &product("P4", 1, 3)),
            _ => listed(call, &[]),
        })
        .await;
        let known: Vec<String> = ["P1", "P2", "P3", "P4"].map(|id| product(id, 1, 2)).into();
        bench.record(FeedName::Products, &known).await;
        assert_eq!(sweep(&bench).await.unwrap(), Swept { missed: 1, unread: 3 });
        assert_eq!(counted(&bench), 1);
        assert_eq!(bench.told().await.last().unwrap(), "acme.product.updated");
    }

    #[tokio::test]
    async fn what_was_seen_only_when_it_had_changed_after_its_window_is_looked_at() {
        let bench = Bench::new(|call| match call.uri.contains("products/") {
            true => Reply::json(200, &product("P2", 1, 5)),
            false => listed(call, &[product("P1", 1, 5)]),
        })
        .await;
        let items = ["P1", "P2"].map(|id| Item::from(RawValue::from_string(product(id, 1, 5)).unwrap()));
        let until = "2026-01-05T08:00:03Z".parse().unwrap();
        let telling = Telling { until, ..Telling::since(DateTime::UNIX_EPOCH) };
        bench.recorder.record(FeedName::Products, &items, telling, Append::default()).await.unwrap();
        assert_eq!(bench.told().await, ["acme.product.created"; 2]);
        // Their feed has lost what came after.
        assert_eq!(sweep(&bench).await.unwrap(), Swept { missed: 2, unread: 0 });
        assert_eq!(bench.told().await[2..], ["acme.product.updated"; 2]);
        assert_eq!(sweep(&bench).await.unwrap(), Swept::default());
    }

    #[tokio::test]
    async fn an_order_that_a_past_period_has_shown_is_looked_at_once() {
        let order = |id: &str, made: u32| {
            product(id, made, 5).replacen("jfsku", "outboundId", 1).replacen('{', r#"{"status":"Shipped","#, 1)
        };
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = calls.clone();
        let bench = Bench::new(move |call| match call.uri.rsplit_once("outbounds/") {
            Some((_, id)) => {
                noted.lock().unwrap().push(id.to_owned());
                Reply::json(200, &order(id, 1))
            }
            None => listed(call, &[]),
        })
        .await;
        // One that was made in the period, and one that was made after it.
        let items = [order("O1", 1), order("O2", 4)];
        let items = items.map(|item| Item::from(RawValue::from_string(item).unwrap()));
        let until = "2026-01-05T08:00:03Z".parse().unwrap();
        let telling = Telling { until, ..Telling::since(DateTime::UNIX_EPOCH) };
        bench.recorder.record(FeedName::Outbounds, &items, telling, Append::default()).await.unwrap();
        let told = bench.told().await;
        let list = Feed::of(FeedName::Outbounds).list.unwrap();
        let telling = Telling::since("2026-01-05T08:00:10Z".parse().unwrap());
        for _ in 0..2 {
            let sweep = Sweep { feed: FeedName::Outbounds, list, due: Utc::now(), telling };
            assert_eq!(sweep.run(&bench.recorder).await.unwrap(), Swept::default());
        }
        assert_eq!(*calls.lock().unwrap(), ["O1"]);
        assert!(told.contains(&"acme.outbound.created".to_owned()));
        assert_eq!(bench.told().await, told);
    }

    #[tokio::test]
    async fn the_end_of_what_is_not_listed_any_more_is_left_to_its_feed() {
        let calls = Arc::new(Mutex::new(0));
        let counted = calls.clone();
        let bench = Bench::new(move |call| match call.uri.contains("products/") {
            true => {
                *counted.lock().unwrap() += 1;
                Reply::json(404, r#"{"errorCode":{"code":"Products_ProductNotFound"}}"#)
            }
            false => listed(call, &[]),
        })
        .await;
        bench.record(FeedName::Products, &[product("P1", 1, 2)]).await;
        for _ in 0..2 {
            assert_eq!(sweep(&bench).await.unwrap(), Swept::default());
        }
        assert_eq!(*calls.lock().unwrap(), 1, "it is looked at once");
        // The window that has its end is read only now, and once more.
        let end = product("P1", 1, 3).replace("createdAt", r#"state":"Deleted","createdAt"#);
        for _ in 0..2 {
            bench.record(FeedName::Products, std::slice::from_ref(&end)).await;
        }
        assert_eq!(bench.told().await, ["acme.product.created", "acme.product.updated", "acme.product.deleted"]);
        // It is there again, and goes again.
        bench.record(FeedName::Products, &[product("P1", 1, 4)]).await;
        let end = product("P1", 1, 5).replace("createdAt", r#"state":"Deleted","createdAt"#);
        bench.record(FeedName::Products, &[end]).await;
        assert_eq!(bench.told().await[3..], ["acme.product.updated", "acme.product.deleted"]);
    }

    #[test]
    fn open_is_what_something_may_follow() {
        let filter = Resource::of(FeedName::Outbounds).statuses.as_ref().map(open);
        let wanted = "status eq 'Preparation' or status eq 'Pending' or status eq 'Acknowledged' or \
                      status eq 'Pickprocess' or status eq 'Locked' or status eq 'PartiallyShipped'";
        assert_eq!(filter.as_deref(), Some(wanted));
        let filter = Resource::of(FeedName::Returns).statuses.as_ref().map(open);
        assert_eq!(filter.as_deref(), Some("state eq 'Announced' or state eq 'Arrived'"));
        let of = |status: &str| Known { status: Some(status.to_owned()), ..Known::default() };
        assert!(is_open(FeedName::Outbounds, &of("Locked")) && is_open(FeedName::Outbounds, &of("Quarantined")));
        assert!(!is_open(FeedName::Outbounds, &of("Shipped")));
        assert!(is_open(FeedName::Products, &Known::default()));
        assert!(!is_open(FeedName::Products, &Known { deleted: true, ..Known::default() }));
        assert!(!is_open(FeedName::Products, &Known { missing: true, ..Known::default() }));
    }
}
