//! Durable state: the journal, the command log and the tokens.
//!
//! Narrow traits, so that each flow sees only what it needs (that of the tokens is [`TokenStore`], beside
//! the tokens in `domain`), and implementations that hold them all. A promise they share: when a call
//! returns `Ok`, what it wrote survives the loss of power.

mod archive;
pub mod config;
#[cfg(test)]
mod conformance;
mod parking;
mod retention;
pub mod seal;
mod sqlite;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use archive::{Archive, Ends, Selection, Survey};
pub use config::{Config, Database, Retention};
pub use parking::{ParkedCount, ParkedEntry, ParkedFilter, ParkedItem, Parking};
pub use retention::{Pruning, Table};
pub use seal::Keyring;
pub use sqlite::{Rotation, Sealing, Sqlite};

use crate::domain::account::AccountName;
use crate::domain::cause::Effects;
use crate::domain::entity::Known;
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::listing::{Listing, Purpose};
use crate::domain::message::{CloudEvent, Draft, Lane, Message};
use crate::domain::token::{StoreError, TokenStore};

/// Opens the store that the configuration names, making or migrating it where needed. Whether its keys fit
/// is another question: see [`Sqlite::verify_seals`].
///
/// # Errors
/// The database can't be opened, or is newer than this program.
pub async fn open(config: &Config) -> Result<Arc<Sqlite>, Error> {
    match &config.database {
        Database::Sqlite { path } => Sqlite::open(path, config.keyring.clone()).await.map(Arc::new),
    }
}

/// What a store call gives, sooner or later.
pub type Pending<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database could not be opened or brought up to date.
    #[error("can't open the database {path}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed; nothing of its transaction was kept.
    #[error("the database refused to {action}")]
    Statement {
        /// What was to be done.
        action: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row holds what this version can't read.
    #[error("the database holds {what} that can't be read: {reason}")]
    Corrupt {
        /// Which row.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Stored secrets can't be opened; nothing was written.
    #[error("{}", tell_sealed(.0))]
    Sealed(Vec<Unopened>),
    /// A secret could not be sealed; nothing was written.
    #[error(transparent)]
    Unsealable(#[from] seal::SealError),
    /// There is no key to seal with.
    #[error(
        "there is no key to seal with: set store.encryption_key (`ffn-bridge keys generate` makes a key). Nothing was changed"
    )]
    NoKey,
    /// A refresh of tokens does not end.
    #[error("account {account} has been refreshing its tokens for a minute. Nothing was changed: try again")]
    Refreshing {
        /// The account.
        account: AccountName,
    },
    /// Somebody else has written what is known of an entity since it was read: read it again.
    #[error("what is known of an entity has changed meanwhile")]
    Outdated,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// An account whose stored secrets can't be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unopened {
    /// The account, as the database names it.
    pub account: String,
    /// Why.
    pub reason: seal::OpenError,
}

/// What, where, and what to do.
fn tell_sealed(unopened: &[Unopened]) -> String {
    let reasons: Vec<String> =
        unopened.iter().map(|Unopened { account, reason }| format!("of account {account}: {reason}")).collect();
    let damaged = unopened.iter().all(|it| it.reason == seal::OpenError::Damaged);
    let remedy = if damaged {
        "Bring the database back from a backup"
    } else {
        "Set the key as store.encryption_key, or list it in store.old_encryption_keys"
    };
    let names: Vec<&str> = unopened.iter().map(|it| it.account.as_str()).collect();
    let or = if damaged { "or" } else { "or, if the key is lost," };
    format!(
        "a stored sign-in can't be opened ({}). Nothing was changed. {remedy}, {or} run {} and sign in again",
        reasons.join("; "),
        names.iter().map(|name| format!("`ffn-bridge logout {name}`")).collect::<Vec<_>>().join(", "),
    )
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

/// What a poll brings to the journal, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Messages in the order they are to be published.
    pub drafts: Vec<Draft>,
    /// What is now known of the entities that were read.
    pub known: Vec<KnownEntity>,
    /// Items that can't be told as events, kept as they came.
    pub parked: Vec<Parked>,
    /// Numbers of items that were parked and have been told by now: they are taken out.
    pub unparked: Vec<i64>,
    /// Where the feed stands afterwards; only with the last page of a window.
    pub checkpoint: Option<(AccountName, FeedName, Checkpoint)>,
    /// How far the feed's list has been read.
    pub listing: Option<(AccountName, FeedName, Purpose, Listing)>,
}

impl Append {
    /// Writes this, too.
    pub fn extend(&mut self, other: Self) {
        self.drafts.extend(other.drafts);
        self.known.extend(other.known);
        self.parked.extend(other.parked);
        self.unparked.extend(other.unparked);
        self.checkpoint = other.checkpoint.or(self.checkpoint.take());
        self.listing = other.listing.or(self.listing.take());
    }
}

/// What of an [`Append`] was new.
#[derive(Debug, Default)]
pub struct Appended {
    /// Messages that entered.
    pub events: usize,
    /// Items that were not parked before.
    pub parked: Vec<Parked>,
}

/// An item of a feed that can't be told as an event.
#[derive(Debug, Clone)]
pub struct Parked {
    /// Whose it is.
    pub account: AccountName,
    /// The feed that brought it.
    pub feed: FeedName,
    /// The bytes as FFN sent them; they may be no text.
    pub item: Vec<u8>,
    /// What tells it from others: of items that have the same, the first is kept.
    pub print: Vec<u8>,
    /// Why it can't be told.
    pub reason: String,
}

/// What is known of one entity.
#[derive(Debug, Clone)]
pub struct KnownEntity {
    /// Whose it is.
    pub account: AccountName,
    /// The feed that tells of it.
    pub feed: FeedName,
    /// FFN's id.
    pub id: String,
    /// What was known when it was read; [`Error::Outdated`] if that is not so any more.
    pub before: Option<Known>,
    /// The memory itself.
    pub known: Known,
}

/// A message in the journal.
#[derive(Debug, Clone)]
pub struct JournalRow {
    /// Its position: rises within a lane.
    pub position: i64,
    /// When it happened at FFN.
    pub time: DateTime<Utc>,
    /// The message, ready to be sent.
    pub message: Message,
}

/// How much of a lane waits for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The lane's key.
    pub lane: String,
    /// Rows that are not confirmed.
    pub rows: i64,
}

/// The journal: what was read from FFN and has to reach the broker.
///
/// A lower position never becomes visible after a higher one of the same lane, so a lane's progress
/// is one number.
pub trait Journal: Send + Sync {
    /// How far a feed has been read, or `None` before its first start.
    fn checkpoint<'a>(&'a self, account: &'a AccountName, feed: FeedName) -> Pending<'a, Option<Checkpoint>>;

    /// Sets a feed back to an earlier checkpoint.
    fn go_back<'a>(&'a self, account: &'a AccountName, feed: FeedName, to: Checkpoint) -> Pending<'a, ()>;

    /// What is known of these entities; those never seen are missing from the answer.
    fn known<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        ids: Vec<String>,
    ) -> Pending<'a, HashMap<String, Known>>;

    /// The next entities of a feed by their ids, after `id`, at most `limit`, with what is known of them.
    fn known_after<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        id: String,
        limit: usize,
    ) -> Pending<'a, Vec<(String, Known)>>;

    /// How far a feed's list has been read, or `None` before it was begun.
    fn listing<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        purpose: Purpose,
    ) -> Pending<'a, Option<Listing>>;

    /// The time of a unique event, if the journal holds it; in whole milliseconds.
    fn event_time(&self, id: Uuid) -> Pending<'_, Option<DateTime<Utc>>>;

    /// Those of these events that the journal holds.
    fn held(&self, ids: Vec<Uuid>) -> Pending<'_, HashSet<Uuid>>;

    /// The stock ledgers of an account that have a hole, or may have one before the first entry that was seen, with what
    /// is known of them.
    fn holes<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Vec<(String, Known)>>;

    /// Writes messages, memories and checkpoint in one transaction. A unique draft that the journal
    /// holds already is left out. What a command of the account has caused names that command. An item that is parked already
    /// is left out, too. Nothing is written if somebody else has changed a memory since it was read ([`Error::Outdated`]).
    fn append(&self, append: Append) -> Pending<'_, Appended>;

    /// The next rows of a lane after `position`, oldest first.
    fn rows_after<'a>(&'a self, lane: &'a Lane, position: i64, limit: usize) -> Pending<'a, Vec<JournalRow>>;

    /// The position up to which the broker has confirmed a lane.
    fn confirmed<'a>(&'a self, lane: &'a Lane) -> Pending<'a, i64>;

    /// Records that the broker has confirmed a lane up to `position`, and which rows no queue was bound for.
    fn confirm<'a>(&'a self, lane: &'a Lane, position: i64, unroutable: Vec<i64>) -> Pending<'a, ()>;

    /// What waits for the broker, by lane; lanes without backlog are left out.
    fn backlog(&self) -> Pending<'_, Vec<Backlog>>;

    /// Writes a mark and so proves that the store can be written.
    fn probe(&self) -> Pending<'_, ()>;

    /// Resolves when messages may have entered a lane since the last call.
    fn appended(&self) -> tokio::sync::watch::Receiver<u64>;
}

/// A command as the command log knows it.
#[derive(Debug, Clone)]
pub struct CommandKey {
    /// The account.
    pub account: AccountName,
    /// The command's id: the publisher's `message_id`.
    pub id: String,
}

/// What the log says to a delivery, before anything is called. A match on it forgets no case.
#[derive(Debug, Clone)]
pub enum Begin {
    /// Go ahead.
    Execute(Trial),
    /// It was finished before: answer with what is stored.
    Finished(Box<Finished>),
    /// The same id was used for another command.
    Conflict,
    /// An earlier command of the same key waits for its next attempt: this one has to wait too.
    Behind(Trial),
    /// It waits itself, and not long enough yet: a repetition, or a wait that is longer than any queue's.
    Early {
        /// Where it stands.
        trial: Trial,
        /// When its next attempt is due.
        due: DateTime<Utc>,
    },
}

/// Where a command stands that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The attempt that this is, from 1; of one that has to wait, those there were.
    pub attempt: u32,
    /// Whether an earlier attempt may have had its effect.
    pub in_doubt: bool,
    /// Starts without an end before this one, in a row: each was a process that died, or lost the command.
    pub crashes: u32,
    /// When the first attempt failed, if one has.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// The same without what was before it was held: since when FFN, though it answers, has kept it from an end.
    pub failing_since: Option<DateTime<Utc>>,
    /// When the command came first.
    pub arrived_at: DateTime<Utc>,
}

/// A finished command: its result as it was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finished {
    /// The result's event, without a destination.
    pub event: CloudEvent,
    /// Code and message of a failure; `None` if the command succeeded.
    pub error: Option<(String, String)>,
    /// Attempts it took.
    pub attempts: u32,
    /// When the first attempt failed.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// Whether a failed command has reached the dead-letter queue.
    #[serde(skip)]
    pub set_aside: bool,
}

/// What is known of a dead letter that was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutBack {
    /// When it failed.
    pub failed_at: DateTime<Utc>,
    /// Whether FFN has to be asked before it is sent again: it failed because nobody knew whether it was done.
    pub in_doubt: bool,
}

/// A delivery as the log is told of it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Which command.
    pub key: CommandKey,
    /// Its routing key.
    pub routing_key: String,
    /// A digest of routing key and body: the same id with another digest is a conflict.
    pub digest: String,
    /// Commands with the same ordering key run in order.
    pub ordering_key: String,
    /// For a command that was put back from the dead-letter queue: when it last failed, as its header
    /// says. If that is the failure on record, the command is executed anew.
    pub put_back: Option<PutBack>,
    /// What it may bring about from now on.
    pub effects: Effects,
}

/// How an attempt ended that is not the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// It surely had no effect.
    NoEffect,
    /// Nobody knows whether it had.
    InDoubt,
    /// FFN was away, and nobody knows whether the try had its effect. It does not count.
    Away,
    /// It was not tried after all: the account or FFN is not able to. The attempt does not count.
    NotTried,
    /// It was held back by [`Begin::Behind`], or [`Begin::Early`].
    Behind,
    /// It was put off because earlier starts had no end. The attempt does not count, and they go on counting.
    Suspected,
}

impl Setback {
    /// The same where the trouble was FFN's and not the command's.
    pub fn uncounted(self) -> Self {
        match self {
            Self::InDoubt => Self::Away,
            Self::NoEffect => Self::NotTried,
            other => other,
        }
    }

    /// Whether it counts as one of a command's attempts.
    pub fn counts(self) -> bool {
        matches!(self, Self::InDoubt | Self::NoEffect)
    }

    /// Whether the command may have had its effect.
    pub fn is_in_doubt(self) -> bool {
        matches!(self, Self::InDoubt | Self::Away)
    }
}

/// How long a command waits that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// When its next attempt is due. One that was not tried keeps what it had.
    pub due: DateTime<Utc>,
    /// Until then later commands of its ordering key are held back; after that it counts as lost.
    pub hold_until: DateTime<Utc>,
}

impl Wait {
    /// In its account's held queue: until it is begun again.
    pub const HELD: Self = Self { due: DateTime::UNIX_EPOCH, hold_until: HELD };
}

/// The end of the wait of a command in its account's held queue: none.
const HELD: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

/// The command log: which commands were seen, tried and finished.
pub trait CommandLog: Send + Sync {
    /// Records a delivery before the call that it asks for, durably, and says what to do with it.
    fn begin(&self, arrival: Arrival) -> Pending<'_, Begin>;

    /// Records that the command goes to a waiting queue, or to its account's held queue.
    fn wait<'a>(&'a self, key: &'a CommandKey, setback: Setback, wait: Wait) -> Pending<'a, ()>;

    /// Records that a command which was to be tried again goes to its account's held queue: later ones of
    /// its ordering key are held back until it is begun again, or [`CommandLog::release`] counts it as
    /// lost. One that was never begun has no record and needs none.
    fn hold<'a>(&'a self, key: &'a CommandKey) -> Pending<'a, ()>;

    /// Records that the account's held queue is empty: what is still on record as held is not there, and
    /// holds back nothing.
    fn release<'a>(&'a self, account: &'a AccountName) -> Pending<'a, ()>;

    /// Records the outcome, its result messages, and what it may have brought about up to now, in one
    /// transaction. `effects` are those of its arrival, perhaps with better names; none if it surely had none.
    fn finish<'a>(
        &'a self,
        key: &'a CommandKey,
        finished: Finished,
        results: Vec<Draft>,
        effects: Effects,
    ) -> Pending<'a, ()>;

    /// Records that a failed command has reached the dead-letter queue.
    fn set_aside<'a>(&'a self, key: &'a CommandKey) -> Pending<'a, ()>;
}

/// A store that holds everything.
pub trait Store: Journal + Archive + CommandLog + Parking + Pruning + TokenStore {}

impl<S: Journal + Archive + CommandLog + Parking + Pruning + TokenStore> Store for S {}
