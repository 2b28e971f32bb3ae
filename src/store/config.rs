//! The store's section of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use super::retention::Table;
use super::seal::Keyring;

/// Where state is kept, and how its secrets are.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// The keys that seal tokens; without any they are stored as they are.
    pub keyring: Keyring,
    /// How long rows are kept.
    pub retention: Retention,
}

/// How long rows are kept that nothing waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Published messages, for replays and so that none of them enters the journal twice.
    pub journal: Duration,
    /// What is known of an entity, since it last changed: what FFN tells of one that is older is as new.
    pub entities: Duration,
    /// Finished commands, since they were: their ids are known that long.
    pub commands: Duration,
    /// Items that could not be told as events.
    pub parked: Duration,
}

impl Retention {
    /// How long a table's rows are kept.
    pub fn of(&self, table: Table) -> Duration {
        match table {
            Table::Journal => self.journal,
            Table::Entities => self.entities,
            Table::Commands => self.commands,
            Table::Parked => self.parked,
        }
    }
}

/// Which database holds the journal, the inbox and the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file, made at the first start.
    Sqlite {
        /// Where it is.
        path: PathBuf,
    },
}
