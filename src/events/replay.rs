//! Publishing again what was published before, as a person asks for it.
//!
//! A message goes out as its row of the journal has it, with one header more. Nothing is recorded: the
//! lane's relay goes on beside it where it was, and a replay that was cut off is simply asked for again.

use std::collections::BTreeSet;
use std::sync::Arc;

use backon::BackoffBuilder;
use chrono::{DateTime, Utc};

use crate::broker::{self, Publisher, RETRY};
use crate::domain::message::{Destination, Message};
use crate::store::{self, Archive, Ends, JournalRow, Selection};

/// Rows that are sent before their confirms are awaited.
const BURST: usize = 512;
/// Tries of a burst after the first, over about half a minute: then whoever waits is told.
const RETRIES: usize = 8;
/// Routing keys that are remembered of the events that did not arrive.
const EXAMPLES: usize = 5;
/// The header by which a subscriber knows a replayed event; its value is `true`, as a text.
pub const REPLAY_HEADER: &str = "ffn-replay";

/// Why a replay can't go on; what was sent before stays sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The broker, after several tries. Of the last burst some may have arrived.
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

/// How far a replay is.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Events that some queue has taken.
    pub published: u64,
    /// Events that no queue was bound for.
    pub unroutable: u64,
    /// Events that the broker refused (a nack).
    pub refused: u64,
    /// Routing keys of some that did not arrive.
    pub missed: BTreeSet<String>,
    /// When the last of them happened at FFN.
    pub last: Option<DateTime<Utc>>,
}

impl Tally {
    /// Events that were tried, whatever came of it.
    pub fn tried(&self) -> u64 {
        self.published + self.failed()
    }

    /// Events that did not arrive.
    pub fn failed(&self) -> u64 {
        self.unroutable + self.refused
    }
}

/// A replay under way.
pub struct Replay {
    archive: Arc<dyn Archive>,
    publisher: Publisher,
    selection: Selection,
    ends: Ends,
    queue: Option<String>,
    position: i64,
    tally: Tally,
}

impl Replay {
    /// A replay of what `selection` finds up to `ends`, to the exchanges that it was for, or to one queue.
    pub fn new(
        archive: Arc<dyn Archive>,
        publisher: Publisher,
        selection: Selection,
        ends: Ends,
        queue: Option<String>,
    ) -> Self {
        Self { archive, publisher, selection, ends, queue, position: 0, tally: Tally::default() }
    }

    /// How far it is.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Publishes the next burst and waits for its confirms; `false` when nothing was left.
    ///
    /// # Errors
    /// The journal, or the broker after several tries.
    pub async fn step(&mut self) -> Result<bool, Error> {
        let (selection, ends) = (self.selection.clone(), self.ends.clone());
        let mut rows = self.archive.published(selection, ends, self.position, BURST).await?;
        for row in &mut rows {
            row.message.headers.insert(REPLAY_HEADER.to_owned(), "true".to_owned());
            if let Some(queue) = &self.queue {
                row.message.destination = Destination { exchange: String::new(), routing_key: queue.clone() };
            }
        }
        let Some(last) = rows.last() else { return Ok(false) };
        self.position = last.position;
        self.publish(&rows).await?;
        Ok(true)
    }

    async fn publish(&mut self, rows: &[JournalRow]) -> Result<(), Error> {
        let burst: Vec<&Message> = rows.iter().map(|row| &row.message).collect();
        let mut backoff = RETRY.with_max_times(RETRIES).build();
        let fates = loop {
            match self.publisher.publish_each(&burst).await {
                Ok(fates) => break fates,
                Err(error) => match backoff.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error.into()),
                },
            }
        };
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        // A message that was refused was not returned as well.
        let missed: BTreeSet<usize> = fates.unroutable.iter().chain(&fates.refused).copied().collect();
        self.tally.published += count(rows.len().saturating_sub(missed.len()));
        self.tally.unroutable += count(fates.unroutable.len());
        self.tally.refused += count(fates.refused.len());
        self.tally.last = rows.last().map(|row| row.time);
        for row in missed.iter().filter_map(|index| rows.get(*index)) {
            if self.tally.missed.len() < EXAMPLES {
                self.tally.missed.insert(row.message.destination.routing_key.clone());
            }
        }
        Ok(())
    }
}
