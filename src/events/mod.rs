//! Flow 1: from a change at FFN to a message on the broker, each told once by id, none left out.
//!
//! ```text
//! FFN feed ─► poller ─► normalizer ─► journal ─► relay ─► ffn.events
//!               ▲  ▲        │            │         │
//!    checkpoint ┘  └ known ◄┴────────────┘         └─► confirmed position
//! ```
//!
//! Who does what: [`Poller`] reads one feed of one account, window after window, each to its last page;
//! [`normalizer`] compares an item with what is known of its entity and derives the events, by rules
//! without I/O; the journal ([`Journal`](crate::store::Journal)) takes a page's events and what is now
//! known in one transaction; [`Relay`] publishes one lane of the journal in order, here the events of an
//! account, and the results of commands in a lane of their own; [`Progress`] is how far each feed is;
//! [`Notices`] adds to an account's lane what its operators have to know of the bridge itself;
//! [`replay`] publishes again what was published before, when a person asks for it.
//!
//! What is recorded, and who sets it: a feed's checkpoint (poller, after the last page of a window, when
//! all before it is in the journal); an entity's memory (poller, with its events); a lane's confirmed
//! position (relay, when the broker has confirmed a whole burst). A crash between any two of these
//! leads to reading or publishing the same again, and ids see to it that it is the same.
//!
//! What is guaranteed: a change that a feed shows becomes an event; one that came and went between two
//! polls as well, with its own time; the same change has the same id for ever; a lane is published in
//! order and at least once. What can't be told as an event is parked, not dropped.

mod aside;
pub mod backfill;
pub mod config;
mod error;
#[cfg(test)]
mod fuzz;
mod ledger;
mod lister;
mod looks;
pub mod normalizer;
mod notices;
mod pace;
pub mod parked;
mod poller;
mod progress;
mod reader;
mod recorder;
mod relay;
pub mod replay;
mod snapshot;
mod stall;
mod sweep;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::domain::resource::Resource;
pub use config::Config;
pub use error::Error;
pub use lister::Lister;
pub use looks::Failing;
pub use notices::Notices;
pub use poller::{Polled, Poller};
pub use progress::{FeedProgress, Progress, SnapshotProgress};
pub use reader::{Read, Reader};
pub use recorder::{Recorded, Recorder};
pub use relay::Relay;

/// Every type of event that the bridge knows by name.
pub static KNOWN_TYPES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let of_entities = Resource::all()
        .flat_map(|resource| resource.events().into_iter().map(|event| format!("ffn.{}.{event}.v1", resource.name)));
    of_entities.chain(notices::TYPES.map(str::to_owned)).collect()
});
