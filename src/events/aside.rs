//! The journal as a backfill has it.
//!
//! What is known of an entity says what the live feed has told of it. Of an entity that changes, the next reading
//! compares; but which entries of a ledger have been read, and which orders have been asked for their notifications, says
//! nothing of another period, and must not be said to the live feed. So a backfill begins with an empty memory of those,
//! and keeps it to itself. A rehearsal keeps all that is written to itself, and counts what would be new.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use super::reader::ORDER;
use crate::domain::account::AccountName;
use crate::domain::entity::Known;
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::listing::{Listing, Purpose};
use crate::domain::message::Lane;
use crate::store::{Append, Appended, Backlog, Journal, JournalRow, KnownEntity, Pending};

/// Answers from the real journal but for what is its own.
pub(super) struct Aside {
    real: Arc<dyn Journal>,
    is_rehearsal: bool,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    ids: HashSet<Uuid>,
    counts: BTreeMap<String, usize>,
    known: HashMap<(FeedName, String), Known>,
    events: usize,
    items: usize,
}

/// Whether what is known of it is this backfill's own.
fn is_own(feed: FeedName, id: &str) -> bool {
    feed == FeedName::Stocks || (feed == FeedName::OutboundShipments && id.starts_with(ORDER))
}

impl Aside {
    pub(super) fn new(real: Arc<dyn Journal>, is_rehearsal: bool) -> Self {
        Self { real, is_rehearsal, written: Mutex::default() }
    }

    /// Of a rehearsal the events that would be new, by type.
    pub(super) fn counts(&self) -> BTreeMap<String, usize> {
        self.lock().counts.clone()
    }

    /// Items that were compared with what is known, and new events.
    pub(super) fn seen(&self) -> (usize, usize) {
        let written = self.lock();
        (written.items, written.events)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what would be new.
    async fn rehearse(&self, append: Append) -> Result<Appended, crate::store::Error> {
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
        Ok(Appended { events, parked: append.parked })
    }
}

impl Journal for Aside {
    fn known<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        ids: Vec<String>,
    ) -> Pending<'a, HashMap<String, Known>> {
        Box::pin(async move {
            let others = ids.iter().filter(|id| !is_own(feed, id)).cloned().collect();
            let mut known = self.real.known(account, feed, others).await?;
            let mut written = self.lock();
            written.items += ids.len();
            for id in ids {
                if let Some(now) = written.known.get(&(feed, id.clone())) {
                    known.insert(id, now.clone());
                }
            }
            Ok(known)
        })
    }

    fn append(&self, mut append: Append) -> Pending<'_, Appended> {
        Box::pin(async move {
            let is_kept = |entity: &mut KnownEntity| self.is_rehearsal || is_own(entity.feed, &entity.id);
            let kept: Vec<KnownEntity> = append.known.extract_if(.., is_kept).collect();
            let appended = match self.is_rehearsal {
                true => self.rehearse(append).await?,
                false => self.real.append(append).await?,
            };
            let mut written = self.lock();
            written.events += appended.events;
            written.known.extend(kept.into_iter().map(|entity| ((entity.feed, entity.id), entity.known)));
            Ok(appended)
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
    fn holes<'a>(&'a self, _: &'a AccountName) -> Pending<'a, Vec<(String, Known)>> {
        Box::pin(async {
            let is_open = |known: &Known| {
                known.versions.as_ref().is_some_and(|versions| versions.first.is_some() || !versions.ahead.is_empty())
            };
            let written = self.lock();
            let own = written.known.iter().filter(|((feed, _), known)| *feed == FeedName::Stocks && is_open(known));
            let mut holes: Vec<_> = own.map(|((_, id), known)| (id.clone(), known.clone())).collect();
            holes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            Ok(holes)
        })
    }
    /// A backfill moves no checkpoint.
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
