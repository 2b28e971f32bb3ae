//! From the journal to the broker: last step of an event's way, and of a command's result.
//!
//! One relay a lane. It publishes the lane's rows in order, in bursts, and records a burst as done
//! only when the broker has confirmed all of it. What fails is sent again, with the same ids, before
//! anything later is; so a subscriber may see a message twice but, forgetting repeats, in order. The one
//! exception is the broker's own refusal of a single message (a nack, from a queue that is full and set to
//! reject): later ones of the same burst may have arrived before it. A message that no queue is bound for counts as done: it stays in the journal, marked.
//! So does an answer that its caller's queue refuses: the result is told on the results exchange, and nobody else
//! waits for that queue.

use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use chrono::Utc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Fates, Link, Publisher, RETRY};
use crate::domain::message::{Lane, Message};
use crate::metrics::EventMetrics;
use crate::store::{self, Journal, JournalRow};

/// Rows that are sent before their confirms are awaited.
const BURST: usize = 512;
/// How often the journal is looked at, and the connection tried, when nobody announces anything.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// Publishes one lane of the journal.
pub struct Relay {
    lane: Lane,
    journal: Arc<dyn Journal>,
    publisher: Publisher,
    metrics: EventMetrics,
    appended: watch::Receiver<u64>,
}

/// A confirmed burst that the journal has not been told of yet.
struct Confirmed {
    position: i64,
    unroutable: Vec<i64>,
}

impl Relay {
    /// A relay for `lane` that publishes over `link`.
    pub fn new(
        lane: Lane,
        journal: Arc<dyn Journal>,
        link: Arc<Link>,
        topology: broker::Config,
        metrics: EventMetrics,
    ) -> Self {
        let appended = journal.appended();
        Self { lane, journal, publisher: Publisher::new(link, topology), metrics, appended }
    }

    /// Publishes until `drain` is cancelled and the lane is empty.
    ///
    /// # Errors
    /// The store failed. The broker being away is no error: rows wait.
    pub async fn run(mut self, drain: CancellationToken) -> Result<(), store::Error> {
        let mut position = self.journal.confirmed(&self.lane).await?;
        let mut rows = Vec::new();
        let mut width = BURST;
        let mut unrecorded: Option<Confirmed> = None;
        let mut backoff = RETRY.build();
        loop {
            if rows.is_empty() {
                self.record(unrecorded.take()).await?;
                self.appended.mark_unchanged();
                // What came in before the drain was asked for is read after it.
                let is_last_look = drain.is_cancelled();
                rows = self.journal.rows_after(&self.lane, position, BURST).await?;
                if rows.is_empty() {
                    if is_last_look {
                        return Ok(());
                    }
                    self.wait_for_rows(&drain).await;
                }
                continue;
            }
            rows.truncate(width);
            let last = rows.last().map_or(position, |row| row.position);
            let burst: Vec<&Message> = rows.iter().map(|row| &row.message).collect();
            // While the broker confirms this burst, the last one is recorded and the next one read.
            let recording = Self::record_in(&*self.journal, &self.lane, unrecorded.take());
            let (published, recorded, next) = tokio::join!(
                self.publisher.publish_each(&burst),
                recording,
                self.journal.rows_after(&self.lane, last, BURST)
            );
            recorded?;
            let published = published.and_then(|fates| taken(&rows, fates));
            match published {
                Ok(unroutable) => {
                    backoff = RETRY.build();
                    width = (width * 2).min(BURST);
                    unrecorded = Some(self.account_for(&rows, last, &unroutable));
                    position = last;
                    rows = next?;
                }
                Err(error) => {
                    if matches!(error, broker::Error::Nack) {
                        // Some queue takes nothing now. One message at a time, so that the others are not
                        // flooded with repeats, until it does.
                        width = 1;
                    }
                    tracing::warn!(lane = %self.lane, %error, rows = rows.len(), "publishing failed; trying again");
                    tokio::time::sleep(backoff.next().unwrap_or(IDLE_LOOK)).await;
                }
            }
        }
    }

    /// Waits until rows may have come, or it is time to stop.
    async fn wait_for_rows(&mut self, drain: &CancellationToken) {
        tokio::select! {
            () = drain.cancelled() => {}
            _ = self.appended.changed() => {}
            () = tokio::time::sleep(IDLE_LOOK) => {
                // An idle bridge notices too that its broker is gone, and comes back by itself.
                if let Err(error) = self.publisher.open().await {
                    tracing::debug!(lane = %self.lane, %error, "the broker can't be reached");
                }
            }
        }
    }

    async fn record(&self, confirmed: Option<Confirmed>) -> Result<(), store::Error> {
        Self::record_in(&*self.journal, &self.lane, confirmed).await
    }

    async fn record_in(journal: &dyn Journal, lane: &Lane, confirmed: Option<Confirmed>) -> Result<(), store::Error> {
        match confirmed {
            Some(Confirmed { position, unroutable }) => journal.confirm(lane, position, unroutable).await,
            None => Ok(()),
        }
    }

    /// Counts a confirmed burst.
    fn account_for(&self, rows: &[JournalRow], position: i64, unroutable: &[usize]) -> Confirmed {
        let now = Utc::now();
        if let Lane::Events(account) = &self.lane {
            for row in rows {
                let event_type = type_label(&row.message.message_type);
                self.metrics.published.with_label_values(&[account.as_str(), event_type]).inc();
                let delay = (now - row.time).as_seconds_f64().max(0.0);
                self.metrics.delay.with_label_values(&[account.as_str()]).observe(delay);
            }
        }
        let returned: Vec<&JournalRow> = unroutable.iter().filter_map(|index| rows.get(*index)).collect();
        for row in &returned {
            let message = &row.message;
            match &self.lane {
                Lane::Events(account) => {
                    let event_type = type_label(&message.message_type);
                    self.metrics.unroutable.with_label_values(&[account.as_str(), event_type]).inc();
                    tracing::debug!(
                        event.id = message.message_id,
                        key = message.destination.routing_key,
                        "no queue is bound for the event; it stays in the journal"
                    );
                }
                Lane::Results => {
                    tracing::debug!(
                        event.id = message.message_id,
                        key = message.destination.routing_key,
                        "nobody takes the result; it stays in the journal"
                    );
                }
            }
        }
        Confirmed { position, unroutable: returned.iter().map(|row| row.position).collect() }
    }
}

/// The indexes of a burst's messages that nobody has taken. An answer that its caller's queue refuses is one of them.
///
/// # Errors
/// Another message was refused.
fn taken(rows: &[JournalRow], fates: Fates) -> Result<Vec<usize>, broker::Error> {
    let is_answer = |index: &usize| rows.get(*index).is_some_and(|row| row.message.destination.exchange.is_empty());
    if !fates.refused.iter().all(is_answer) {
        return Err(broker::Error::Nack);
    }
    Ok(fates.unroutable.into_iter().chain(fates.refused).collect())
}

/// An event's type as a label: a status that FFN invents tomorrow must not grow the label set.
fn type_label(event_type: &str) -> &str {
    if super::KNOWN_TYPES.contains(event_type) { event_type } else { "other" }
}
