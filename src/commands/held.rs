//! The held queue of one account: consumed while the account can call, left alone while it can't.
//!
//! While the gate is paused there is no subscription. When it is resumed the queue is worked off in its
//! order; whatever is not brought to its end goes back to its place when the subscription is closed. The
//! subscription stays on an open gate: what comes late is not forgotten.
//!
//! That the queue is empty is known from a marker: a message sent to its end. When it comes back, all that
//! was in front of it has come, also what another consumer had taken and left: the queue has one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::gate::{Moment, Phase};
use super::intake::Crew;
use super::worker::Account;
use crate::broker::{self, Consumer, Delivery, Link, Outgoing, Publisher, RETRY, topology};
use crate::domain::account::AccountName;
use crate::store::{self, Store};
use crate::telemetry::Chain;

/// Routing key of a marker; a command's has two dots.
const MARKER: &str = "held-marker";
/// How long a subscription that is given up waits for its marker, which else stays in the queue.
const MARKER_PATIENCE: Duration = Duration::from_secs(1);
/// A subscription that lasted this long before it broke starts a new row of failures.
const HEALTHY: Duration = Duration::from_secs(60);
/// Before trouble with a command is tried again: each return counts at the broker.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// Takes what was held for one account.
pub struct Held {
    /// Whose.
    pub name: AccountName,
    /// Its gate.
    pub account: Account,
    /// The consuming connection.
    pub link: Arc<Link>,
    /// For the markers, on the publishing connection.
    pub publisher: Publisher,
    /// The broker's names.
    pub config: broker::Config,
    /// Is told that nothing is held.
    pub store: Arc<dyn Store>,
}

/// Why the held queue can't be worked off for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the broker")]
    Broker(#[from] broker::Error),
    #[error("the command log can't be used")]
    Store(#[from] store::Error),
    #[error("the subscription ended: is the queue gone?")]
    Gone,
    #[error("a command from it was not brought to its end")]
    Unsettled,
}

/// What is known of the end of the queue.
enum End {
    Unknown,
    /// A marker was sent there, at a moment when nothing else was on its way.
    Marked(String, Moment),
    /// It has come back.
    Reached(Moment),
}

impl Held {
    /// Takes what is held whenever the account can call, until `stop` is cancelled.
    pub async fn run(mut self, crew: &Crew, stop: &CancellationToken) {
        let queue = topology::held_queue(&self.config, &self.name);
        let mut backoff = RETRY.build();
        let mut restore = false;
        loop {
            if self.account.gate.phase() == Phase::Paused {
                tracing::warn!(account = %self.name, queue, "the account can't call: its commands wait in its held queue");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.account.gate.until(|state| state.phase != Phase::Paused) => {}
            }
            let begun = Instant::now();
            let subscribed = tokio::select! {
                () = stop.cancelled() => return,
                subscribed = self.subscribe(&queue, restore) => subscribed,
            };
            let ended = match subscribed {
                Ok(mut consumer) => {
                    let subscription = CancellationToken::new();
                    let mut end = End::Unknown;
                    let ended = self.take(&mut consumer, &queue, &subscription, &mut end, crew, stop).await;
                    // What is in a lane and has not begun is left alone from now on.
                    subscription.cancel();
                    self.leave(consumer, end).await;
                    ended
                }
                Err(error) => Err(Trouble::Broker(error)),
            };
            if begun.elapsed() > HEALTHY {
                backoff = RETRY.build();
            }
            let Err(trouble) = ended else {
                restore = false;
                continue;
            };
            restore = matches!(trouble, Trouble::Broker(_) | Trouble::Gone);
            let mut wait = backoff.next().unwrap_or(AFTER_TROUBLE);
            if !restore {
                wait = wait.max(AFTER_TROUBLE);
            }
            tracing::warn!(account = %self.name, queue, error = %Chain(&trouble), "what is held can't be worked off; trying again");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn subscribe(&self, queue: &str, restore: bool) -> Result<Consumer, broker::Error> {
        if restore {
            for problem in topology::ensure(&self.link, &self.config).await? {
                tracing::error!("{problem}");
            }
        }
        Consumer::subscribe(&self.link, queue, self.config.prefetch).await
    }

    /// Takes until the account can't call or the bridge stops. Opens the gate when there is nothing left.
    async fn take(
        &mut self,
        consumer: &mut Consumer,
        queue: &str,
        subscription: &CancellationToken,
        end: &mut End,
        crew: &Crew,
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let gate = self.account.gate.clone();
        let mut changes = gate.changes();
        loop {
            let state = *changes.borrow_and_update();
            if state.phase == Phase::Paused || stop.is_cancelled() {
                return Ok(());
            }
            // After the look at the state: what is left undone cancels first and is gone from it then.
            if subscription.is_cancelled() {
                return Err(Trouble::Unsettled);
            }
            if state.phase == Phase::Draining && state.is_quiet() {
                match end {
                    End::Unknown => self.mark(consumer, queue, end, stop).await?,
                    End::Marked(..) => {}
                    End::Reached(moment) => {
                        let moment = *moment;
                        *end = End::Unknown;
                        // What has been held since is behind the marker, and goes on holding back what comes after it.
                        if gate.open(moment) {
                            self.store.release(&self.name).await?;
                            tracing::info!(account = %self.name, "nothing is held: commands are executed as they come");
                        }
                        continue;
                    }
                }
            }
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = subscription.cancelled() => continue,
                changed = changes.changed() => {
                    drop(changed);
                    continue;
                }
                delivery = consumer.next() => delivery.ok_or(Trouble::Gone)??,
            };
            if is_marker(&delivery) {
                self.reached(&delivery, end).await?;
            } else {
                crew.take_held(delivery, gate.take(subscription.clone()), stop);
            }
        }
    }

    /// Sends a marker to the end of the queue, unless there is more in it.
    async fn mark(
        &mut self,
        consumer: &Consumer,
        queue: &str,
        end: &mut End,
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let Some(moment) = self.account.gate.moment() else { return Ok(()) };
        // Those will be delivered, and then it is asked again.
        if consumer.ready().await? > 0 {
            return Ok(());
        }
        let id = Uuid::new_v4().to_string();
        let marker = Outgoing { exchange: queue, routing_key: MARKER, message_id: &id, reply_to: None, body: b"{}" };
        tokio::select! {
            () = stop.cancelled() => {}
            sent = self.publisher.send(&marker) => {
                sent?;
                *end = End::Marked(id, moment);
            }
        }
        Ok(())
    }

    async fn reached(&self, delivery: &Delivery, end: &mut End) -> Result<(), Trouble> {
        if !delivery.ack().await? {
            return Err(Trouble::Gone);
        }
        // Another is of an earlier subscription and says nothing.
        if let End::Marked(id, moment) = end
            && delivery.message_id() == Some(id.as_str())
        {
            *end = End::Reached(*moment);
        }
        Ok(())
    }

    /// Ends a subscription: what is at work is brought to its end, and the rest goes back to its place.
    async fn leave(&self, mut consumer: Consumer, mut end: End) {
        let marker = async {
            while let (End::Marked(..), Some(Ok(delivery))) = (&end, consumer.next().await) {
                if is_marker(&delivery)
                    && let Err(error) = self.reached(&delivery, &mut end).await
                {
                    tracing::debug!(error = %Chain(&error), "a marker stays in the held queue");
                    return;
                }
            }
        };
        if tokio::time::timeout(MARKER_PATIENCE, marker).await.is_err() {
            tracing::debug!(account = %self.name, "a marker stays in the held queue");
        }
        self.account.gate.until(|state| state.taken == 0).await;
        consumer.close().await;
    }
}

fn is_marker(delivery: &Delivery) -> bool {
    delivery.routing_key() == MARKER
}
