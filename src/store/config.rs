//! The store's section of the configuration.

use std::path::PathBuf;

use super::seal::Keyring;

/// Where state is kept, and how its secrets are.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// The keys that seal tokens; without any they are stored as they are.
    pub keyring: Keyring,
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
