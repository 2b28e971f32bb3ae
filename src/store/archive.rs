//! The journal as a record of the past: what was published, to be published again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{JournalRow, Pending};
use crate::domain::account::AccountName;

/// Which events of the journal; what is left empty asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of these accounts; empty for all.
    pub accounts: Vec<AccountName>,
    /// Of these types, in which `*` stands for any run of characters; empty for all.
    pub types: Vec<String>,
    /// That happened then or later.
    pub since: Option<DateTime<Utc>>,
    /// That happened before then.
    pub until: Option<DateTime<Utc>>,
}

/// What a selection finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Events by type.
    pub types: BTreeMap<String, u64>,
    /// The exchanges that they were published to.
    pub exchanges: Vec<String>,
    /// Events that fit as well and that the broker has not confirmed yet: the bridge will publish them.
    pub waiting: u64,
    /// The lanes with their ends, to read what was counted and nothing that came later.
    pub ends: Ends,
}

/// Lanes of events, each with the position up to which the broker had confirmed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Ends(pub(super) BTreeMap<String, i64>);

/// Events that were published, of all lanes in one order. Results of commands are not among them.
pub trait Archive: Send + Sync {
    /// The accounts that the journal has events of, by name.
    fn accounts(&self) -> Pending<'_, Vec<String>>;

    /// Counts what a selection finds. It reads the whole journal once.
    fn survey(&self, selection: Selection) -> Pending<'_, Survey>;

    /// The next events of a selection after `position` within the ends of its survey, oldest first: at most
    /// `limit`, and fewer if they are large. None are left when none come.
    fn published(&self, selection: Selection, ends: Ends, position: i64, limit: usize) -> Pending<'_, Vec<JournalRow>>;
}
