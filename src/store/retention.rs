//! What is taken out of the store when it is old enough and nothing waits for it any more.

use chrono::{DateTime, Utc};

use super::Pending;

/// A table whose rows age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Messages, since they were recorded; only what the broker has confirmed, and no entry of a stock ledger that its
    /// feed may show again.
    Journal,
    /// What is known of entities, since it last changed.
    Entities,
    /// Commands, since they were finished; only finished ones, and of those that failed only what has
    /// reached the dead-letter queue.
    Commands,
    /// Items that could not be told, since they were recorded.
    Parked,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Journal, Self::Entities, Self::Commands, Self::Parked];

    /// Its name, as the database and the metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Entities => "entities",
            Self::Commands => "commands",
            Self::Parked => "parked",
        }
    }
}

/// Taking out what is old.
pub trait Pruning: Send + Sync {
    /// Takes out the oldest rows of before `before`, `limit` at most, in one transaction, and gives how
    /// many they were. Fewer than `limit` means that there are no more.
    fn prune(&self, table: Table, before: DateTime<Utc>, limit: usize) -> Pending<'_, usize>;
}
