//! Taking commands from the queues: subscribes, subscribes again when the broker was away, and hands
//! each delivery to its lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use futures_util::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use super::decode::decode;
use super::gate::Taken;
use super::held::Held;
use super::lanes::Lanes;
use super::pause;
use super::worker::{Job, Worker};
use crate::broker::{self, Consumer, Delivery, Link, Publisher, RETRY, topology};
use crate::store::Store;
use crate::telemetry::Chain;

/// How long a command is kept that can't be worked on before the broker gets it back.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);
/// After so many subscriptions in a row that a message has broken which can't be read.
const UNREADABLE: u32 = 3;
/// How long the commands queue is left alone at start while it is not known whether something is held:
/// what comes from there meanwhile would have to go behind it.
const HELD_FIRST: Duration = Duration::from_secs(2);

/// Takes commands until it is stopped.
pub struct Intake {
    /// The consuming connection.
    pub link: Arc<Link>,
    /// The publishing connection.
    pub publishing: Arc<Link>,
    /// The broker's names.
    pub config: broker::Config,
    /// Is told when nothing is held any more.
    pub store: Arc<dyn Store>,
    /// Does the work.
    pub worker: Arc<Worker>,
}

/// The lanes and who works there, whichever queue a command comes from.
pub struct Crew {
    lanes: Lanes<Job>,
    worker: Arc<Worker>,
}

impl Crew {
    /// Hands on a delivery from the commands queue.
    fn take(&self, delivery: Delivery, stop: &CancellationToken) {
        self.push(delivery, None, stop);
    }

    /// Hands on a delivery from a held queue.
    pub fn take_held(&self, delivery: Delivery, taken: Taken, stop: &CancellationToken) {
        self.push(delivery, Some(taken), stop);
    }

    fn push(&self, delivery: Delivery, taken: Option<Taken>, stop: &CancellationToken) {
        let command = decode(&delivery, self.worker.config.max_body);
        let job = Job { delivery, command, arrived: Instant::now(), taken };
        let (lane, id) = job.lane();
        let (worker, stop) = (self.worker.clone(), stop.clone());
        // A lane does all its work with what its first job brought: it is the same for every job.
        self.lanes.push(lane, id, job, move |job| work(worker.clone(), job, stop.clone()));
    }
}

/// Brings a delivery to its end. One from a held queue that is not goes back to its place when its
/// subscription ends.
async fn work(worker: Arc<Worker>, job: Job, stop: CancellationToken) {
    // What has not begun when the bridge stops is for whoever comes next: it goes back when the channel is closed.
    if stop.is_cancelled() {
        return;
    }
    if let Err(error) = worker.handle(&job).await {
        tracing::error!(error = %Chain(&error), "a command is left to the broker, which will deliver it again");
        if job.taken.is_none() {
            // A store that fails now fails again at once; each return counts at the broker.
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(GIVE_BACK_AFTER) => {}
            }
            job.delivery.give_back().await;
        }
    }
}

impl Intake {
    /// Takes commands until `stop` is cancelled, then finishes those at hand and gives the others back.
    pub async fn run(self, stop: CancellationToken) {
        let crew = Crew { lanes: Lanes::new(), worker: self.worker.clone() };
        let accounts = self.worker.accounts.iter();
        let held = accounts.clone().map(|(name, account)| Held {
            name: name.clone(),
            account: account.clone(),
            link: self.link.clone(),
            publisher: Publisher::new(self.publishing.clone(), self.config.clone()),
            config: self.config.clone(),
            store: self.store.clone(),
        });
        let held = join_all(held.map(|held| held.run(&crew, &stop)));
        let watched = join_all(
            accounts.map(|(_, account)| pause::watch(account, &self.worker.config, &self.worker.metrics, &stop)),
        );
        join(self.run_commands(&crew, &stop), join(held, watched)).await;
    }

    /// The commands queue, or all of them.
    async fn run_commands(&self, crew: &Crew, stop: &CancellationToken) {
        let known = join_all(self.worker.accounts.values().map(|account| account.gate.settled()));
        tokio::select! {
            () = stop.cancelled() => {}
            known = tokio::time::timeout(HELD_FIRST, known) => drop(known),
        }
        let queues = topology::command_queues(&self.config);
        // Together they have no more at a time than one would have.
        let prefetch = self.config.prefetch.div_ceil(u16::try_from(queues.len()).unwrap_or(u16::MAX).max(1));
        let subscriptions = join_all(queues.iter().map(|queue| self.run_queue(queue, prefetch, crew, stop))).await;
        crew.lanes.drained().await;
        for consumer in subscriptions.into_iter().flatten() {
            consumer.close().await;
        }
    }

    /// One queue; gives its subscriptions that still hold what was not acknowledged.
    ///
    /// A message that can't be read breaks each subscription, and goes when the broker has counted its deliveries. What
    /// stands around it is delivered with it and counted as well: so they are taken one at a time then, for as many as
    /// would come at once.
    async fn run_queue(&self, queue: &str, prefetch: u16, crew: &Crew, stop: &CancellationToken) -> Vec<Consumer> {
        let mut backoff = RETRY.build();
        let mut left = Vec::new();
        let mut unreadable = 0;
        while !stop.is_cancelled() {
            let is_alone = unreadable >= UNREADABLE;
            let subscribed = tokio::select! {
                () = stop.cancelled() => break,
                subscribed = self.subscribe(queue, if is_alone { 1 } else { prefetch }) => subscribed,
            };
            match subscribed {
                Ok(mut consumer) => {
                    backoff = RETRY.build();
                    tracing::info!(queue, "taking commands");
                    let most = if is_alone { usize::from(prefetch) } else { usize::MAX };
                    match self.take(queue, &mut consumer, most, crew, stop).await {
                        End::Unreadable => unreadable += 1,
                        End::Broken | End::Stopped => unreadable = 0,
                        End::Enough => {
                            unreadable = 0;
                            left.push(consumer);
                            continue;
                        }
                    }
                    left = vec![consumer];
                }
                Err(error) => tracing::warn!(error = %Chain(&error), "commands can't be taken; trying again"),
            }
            let wait = backoff.next().unwrap_or(Duration::from_secs(15));
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        left
    }

    async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Consumer, broker::Error> {
        // A broker that lost its data, or was replaced, gets its topology back.
        for problem in topology::ensure(&self.link, &self.config).await? {
            tracing::error!("{problem}");
        }
        Consumer::subscribe(&self.link, queue, prefetch).await
    }

    /// Hands on what a subscription brings, until it ends or has brought so much.
    async fn take(
        &self,
        queue: &str,
        consumer: &mut Consumer,
        most: usize,
        crew: &Crew,
        stop: &CancellationToken,
    ) -> End {
        for taken in 1.. {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stopped,
                delivery = consumer.next() => delivery,
            };
            match delivery {
                Some(Ok(delivery)) if taken == most => {
                    // Before it is acknowledged: no other comes then, which would have to go back.
                    consumer.cancel().await;
                    crew.take(delivery, stop);
                    return End::Enough;
                }
                Some(Ok(delivery)) => crew.take(delivery, stop),
                Some(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the subscription to commands broke");
                    let is_unreadable = matches!(error, broker::Error::Unreadable { .. });
                    return if is_unreadable { End::Unreadable } else { End::Broken };
                }
                None => {
                    tracing::warn!(queue, "the subscription to commands ended: is the queue gone?");
                    return End::Broken;
                }
            }
        }
        End::Enough
    }
}

/// How a subscription ended.
enum End {
    /// The bridge stops.
    Stopped,
    /// It has brought as much as it should; what is unacknowledged of it can be acknowledged still.
    Enough,
    /// A message came that can't be read.
    Unreadable,
    /// The connection or the queue is gone.
    Broken,
}
