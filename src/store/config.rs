//! The store's section of the configuration.

use std::path::PathBuf;

/// Which database holds the journal, the inbox and the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// An SQLite file, made at the first start.
    Sqlite {
        /// Where it is.
        path: PathBuf,
    },
}
