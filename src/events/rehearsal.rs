//! A journal that takes nothing: it counts what would be new.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::account::AccountName;
use crate::domain::entity::Known;
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::listing::{Listing, Purpose};
use crate::domain::message::Lane;
use crate::store::{Append, Appended, Backlog, Journal, JournalRow, Pending};

/// Answers from the real journal, and keeps what is written to itself.
pub(super) struct Rehearsal {
    real: Arc<dyn Journal>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    ids: HashSet<Uuid>,
    counts: BTreeMap<String, usize>,
    known: HashMap<(FeedName, String), Known>,
}

impl Rehearsal {
    pub(super) fn new(real: Arc<dyn Journal>) -> Self {
        Self { real, written: Mutex::default() }
    }

    /// Events that would be new, by type.
    pub(super) fn counts(&self) -> BTreeMap<String, usize> {
        self.lock().counts.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Rehearsal {
    fn known<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        ids: Vec<String>,
    ) -> Pending<'a, HashMap<String, Known>> {
        Box::pin(async move {
            let mut known = self.real.known(account, feed, ids.clone()).await?;
            let written = self.lock();
            for id in ids {
                if let Some(now) = written.known.get(&(feed, id.clone())) {
                    known.insert(id, now.clone());
                }
            }
            Ok(known)
        })
    }

    fn append(&self, append: Append) -> Pending<'_, Appended> {
        Box::pin(async move {
            let ids = append.drafts.iter().map(|draft| draft.event.id).collect();
            let held = self.real.held(ids).await?;
            let mut written = self.lock();
            let mut events = 0;
            for draft in append.drafts {
                if !held.contains(&draft.event.id) && written.ids.insert(draft.event.id) {
                    *written.counts.entry(draft.event.event_type).or_default() += 1;
                    events += 1;
                }
            }
            for entity in append.known {
                written.known.insert((entity.feed, entity.id), entity.known);
            }
            Ok(Appended { events, parked: append.parked })
        })
    }

    fn known_after<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        id: String,
        limit: usize,
    ) -> Pending<'a, Vec<(String, Known)>> {
        self.real.known_after(account, feed, id, limit)
    }
    fn listing<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        purpose: Purpose,
    ) -> Pending<'a, Option<Listing>> {
        self.real.listing(account, feed, purpose)
    }
    fn held(&self, ids: Vec<Uuid>) -> Pending<'_, HashSet<Uuid>> {
        self.real.held(ids)
    }
    fn event_time(&self, id: Uuid) -> Pending<'_, Option<DateTime<Utc>>> {
        self.real.event_time(id)
    }
    fn holes<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Vec<(String, Known)>> {
        self.real.holes(account)
    }
    /// A rehearsal moves no checkpoint.
    fn go_back<'a>(&'a self, _: &'a AccountName, _: FeedName, _: Checkpoint) -> Pending<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn checkpoint<'a>(&'a self, account: &'a AccountName, feed: FeedName) -> Pending<'a, Option<Checkpoint>> {
        self.real.checkpoint(account, feed)
    }
    fn rows_after<'a>(&'a self, lane: &'a Lane, position: i64, limit: usize) -> Pending<'a, Vec<JournalRow>> {
        self.real.rows_after(lane, position, limit)
    }
    fn confirmed<'a>(&'a self, lane: &'a Lane) -> Pending<'a, i64> {
        self.real.confirmed(lane)
    }
    fn confirm<'a>(&'a self, _: &'a Lane, _: i64, _: Vec<i64>) -> Pending<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn backlog(&self) -> Pending<'_, Vec<Backlog>> {
        self.real.backlog()
    }
    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn appended(&self) -> watch::Receiver<u64> {
        self.real.appended()
    }
}
