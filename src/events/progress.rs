//! How far each feed is: what the status page and the lag metric are computed from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::account::AccountName;
use crate::domain::feed::FeedName;

/// The progress of every feed, shared between pollers and the admin server.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    feeds: Arc<Mutex<BTreeMap<(AccountName, FeedName), FeedProgress>>>,
}

/// How far one feed is.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedProgress {
    /// Everything before this instant of FFN's clock is in the journal.
    pub position: Option<DateTime<Utc>>,
    /// When the last poll ended, well or not.
    pub polled_at: Option<DateTime<Utc>>,
    /// Events that the last good poll brought.
    pub events: usize,
    /// Polls that have failed since the last good one.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
    /// How far it has been told what was there at the start, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotProgress>,
}

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotProgress {
    /// Rows that have been read.
    pub rows: u64,
    /// Rows in all when it began, if FFN told.
    pub total: Option<u64>,
    /// When it was complete, by FFN's clock.
    pub completed_at: Option<DateTime<Utc>>,
}

impl Progress {
    /// Changes what is known of a feed.
    pub fn update(&self, account: &AccountName, feed: FeedName, change: impl FnOnce(&mut FeedProgress)) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        change(feeds.entry((account.clone(), feed)).or_default());
    }

    /// Every feed's progress, in the order of account and feed.
    pub fn all(&self) -> Vec<(AccountName, FeedName, FeedProgress)> {
        let feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.iter().map(|((account, feed), progress)| (account.clone(), *feed, progress.clone())).collect()
    }
}
