//! Items that could not be told as events: looking at them. They enter and leave with an
//! [`Append`](super::Append), or when they are old.

use chrono::{DateTime, Utc};

use super::Pending;

/// Which items; what is left empty asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct ParkedFilter {
    /// Of this account.
    pub account: Option<String>,
    /// Of this feed.
    pub feed: Option<String>,
}

/// An item without its bytes. Account and feed are as they were then: the configuration, or this version,
/// may not know them any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEntry {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub account: String,
    /// The feed that brought it.
    pub feed: String,
    /// Why it could not be told.
    pub reason: String,
    /// When it was read; this machine's clock.
    pub recorded_at: DateTime<Utc>,
    /// How many bytes it has.
    pub size: u64,
}

/// An item with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedItem {
    /// What is known of it.
    pub entry: ParkedEntry,
    /// The bytes as FFN sent them; they may be no text.
    pub item: Vec<u8>,
}

/// How many items of an account's feed are parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedCount {
    /// Whose they are.
    pub account: String,
    /// The feed that brought them.
    pub feed: String,
    /// How many.
    pub items: i64,
}

/// What is parked.
pub trait Parking: Send + Sync {
    /// The next items after the number `after`, oldest first, `limit` at most.
    fn parked(&self, filter: ParkedFilter, after: i64, limit: usize) -> Pending<'_, Vec<ParkedEntry>>;

    /// One item with its bytes.
    fn parked_item(&self, id: i64) -> Pending<'_, Option<ParkedItem>>;

    /// How many there are, by account and feed; those without any are left out.
    fn parked_counts(&self) -> Pending<'_, Vec<ParkedCount>>;
}
