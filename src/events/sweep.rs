//! What a feed has missed: the list of open entities, compared with what is known of them (contract 7.6, rule 11).
//!
//! In a healthy system it finds nothing. What changed so lately that the feed may still tell it is left to the feed.
//! An entity that is known as open and is not in the list is looked at by itself.

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
use crate::ffn::{Endpoint, Priority, entities};
use crate::store::{self, Append, KnownEntity};

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

impl Sweep {
    /// Looks at everything that is open, and gives the number of events that were missing.
    ///
    /// # Errors
    /// See [`Error`]. What was found before is in the journal.
    pub(super) async fn run(self, recorder: &Recorder) -> Result<usize, Error> {
        let resource = Resource::of(self.feed);
        let list = List { endpoint: self.list, id: resource.id, filter: resource.statuses.as_ref().map(open) };
        let (mut cursor, mut listed, mut missed) = (Cursor::default(), HashSet::new(), 0);
        while let Some(page) = lists::read_on(&recorder.client, &list, Priority::Background, &cursor).await? {
            listed.extend(page.rows.iter().filter_map(|row| normalizer::entity_id(self.feed, row).ok()));
            missed += self.compare(recorder, page.rows).await?;
            cursor = page.next;
        }
        Ok(missed + self.look_for_the_others(recorder, &listed).await?)
    }

    /// Tells of rows what is not known.
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
        Ok(recorder.record(self.feed, &items, telling, Append::default()).await?.events)
    }

    fn is_missed(&self, row: &RawValue, known: Option<&Known>) -> bool {
        let Some(at) = normalizer::changed_at(self.feed, row).filter(|at| *at < self.due) else { return false };
        match known {
            Some(known) => known.changed_at.is_some_and(|last| last < at && !same_instant(last, at)),
            // What was there before and was not to be told is not known either.
            None => self.telling.since <= at || self.telling.snapshot.is_some(),
        }
    }

    /// What is known as open and was not listed has come to its end, or is not there any more.
    async fn look_for_the_others(&self, recorder: &Recorder, listed: &HashSet<String>) -> Result<usize, Error> {
        let (mut after, mut missed) = (String::new(), 0);
        loop {
            let batch = recorder.journal.known_after(recorder.account(), self.feed, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(missed) };
            after = last.clone();
            let of_old = |known: &Known| known.changed_at.is_some_and(|at| at < self.due);
            for (id, known) in batch {
                if !listed.contains(&id) && is_open(self.feed, &known) && of_old(&known) {
                    missed += self.look_at(recorder, id, known).await?;
                }
            }
        }
    }

    async fn look_at(&self, recorder: &Recorder, id: String, known: Known) -> Result<usize, Error> {
        let found = entities::get(&recorder.client, self.list.operation, self.list.path, &id, Priority::Background);
        match found.await? {
            Some(json) => self.compare(recorder, vec![json]).await,
            None => {
                tracing::warn!(account = %recorder.account(), feed = %self.feed, id, "FFN has an entity no more, and no feed has told of its end; there is nothing left of it to be told");
                let gone = Known { deleted: true, ..known.clone() };
                let account = recorder.account().clone();
                let gone = KnownEntity { account, feed: self.feed, id, before: Some(known), known: gone };
                match recorder.journal.append(Append { known: vec![gone], ..Append::default() }).await {
                    Ok(_) | Err(store::Error::Outdated) => Ok(0),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

fn is_open(feed: FeedName, known: &Known) -> bool {
    let closed = Resource::of(feed).statuses.iter().flat_map(|statuses| statuses.closed);
    !known.deleted && !closed.into_iter().any(|closed| known.status.as_deref() == Some(closed))
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
    use super::*;

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
    }
}
