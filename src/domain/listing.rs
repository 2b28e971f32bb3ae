//! Reading a list from one end to the other: how far it is (contract 8).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How far a list has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Rows before the place where reading goes on.
    pub rows: u64,
    /// The last row that was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<Row>,
    /// How often it was begun anew since nothing of what was read was found again; forgotten with the process.
    #[serde(skip)]
    pub restarts: u32,
}

/// What a row is found again by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// FFN's id; of one that has none, a `#` and a fingerprint of its bytes.
    pub id: String,
    /// When it was made: lists are read in this order.
    pub created_at: Option<DateTime<Utc>>,
}

/// What a feed's list is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To tell what was there when reading of the feed began.
    Snapshot,
    /// To find what the feed has missed.
    Sweep,
}

impl Purpose {
    /// Its name, as the database has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Sweep => "sweep",
        }
    }
}

/// The reading of a feed's list for one purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Where it is to go on.
    pub cursor: Cursor,
    /// How many rows there were when it began, if FFN told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// When it was last read to its end, by FFN's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// When it was last found that the feed has missed something, by this machine's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missed_at: Option<DateTime<Utc>>,
}
