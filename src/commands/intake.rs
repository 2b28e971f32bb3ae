//! Taking commands from the queue: subscribes, subscribes again when the broker was away, and hands
//! each delivery to its lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use tokio_util::sync::CancellationToken;

use super::decode::decode;
use super::lanes::Lanes;
use super::worker::{Job, Worker};
use crate::broker::{self, Consumer, Link, RETRY, topology};
use crate::telemetry::Chain;

/// How long a command is kept that can't be worked on before the broker gets it back.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

/// Takes commands until it is stopped.
pub struct Intake {
    /// The consuming connection.
    pub link: Arc<Link>,
    /// The broker's names.
    pub config: broker::Config,
    /// Does the work.
    pub worker: Arc<Worker>,
}

impl Intake {
    /// Takes commands until `stop` is cancelled, then finishes those at hand and gives the others back.
    pub async fn run(self, stop: CancellationToken) {
        let lanes = Lanes::new();
        let mut backoff = RETRY.build();
        let mut last: Option<Consumer> = None;
        while !stop.is_cancelled() {
            let subscribed = tokio::select! {
                () = stop.cancelled() => break,
                subscribed = self.subscribe() => subscribed,
            };
            match subscribed {
                Ok(mut consumer) => {
                    backoff = RETRY.build();
                    tracing::info!(queue = self.config.commands_queue, "taking commands");
                    self.take(&mut consumer, &lanes, &stop).await;
                    last = Some(consumer);
                }
                Err(error) => tracing::warn!(error = %Chain(&error), "commands can't be taken; trying again"),
            }
            let wait = backoff.next().unwrap_or(Duration::from_secs(15));
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Some(consumer) = &last {
            consumer.cancel().await;
        }
        lanes.drained().await;
        if let Some(consumer) = last {
            consumer.close().await;
        }
    }

    async fn subscribe(&self) -> Result<Consumer, broker::Error> {
        // A broker that lost its data, or was replaced, gets its topology back.
        for problem in topology::ensure(&self.link, &self.config).await? {
            tracing::error!("{problem}");
        }
        Consumer::subscribe(&self.link, &self.config.commands_queue, self.config.prefetch).await
    }

    async fn take(&self, consumer: &mut Consumer, lanes: &Lanes<Job>, stop: &CancellationToken) {
        loop {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                delivery = consumer.next() => delivery,
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let command = decode(&delivery);
                    let job = Job { delivery, command, arrived: Instant::now() };
                    let (lane, id) = job.lane();
                    let (worker, stop) = (self.worker.clone(), stop.clone());
                    lanes.push(lane, id, job, move |job| {
                        let (worker, stop) = (worker.clone(), stop.clone());
                        async move {
                            // What has not begun when the bridge stops is for whoever comes next.
                            if stop.is_cancelled() {
                                job.delivery.give_back().await;
                            } else if let Err(error) = worker.handle(&job).await {
                                tracing::error!(error = %Chain(&error), "a command is left to the broker, which will deliver it again");
                                // A store that fails now fails again at once; each return counts at the broker.
                                tokio::select! {
                                    () = stop.cancelled() => {}
                                    () = tokio::time::sleep(GIVE_BACK_AFTER) => {}
                                }
                                job.delivery.give_back().await;
                            }
                        }
                    });
                }
                Some(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the subscription to commands broke");
                    return;
                }
                None => {
                    tracing::warn!(
                        queue = self.config.commands_queue,
                        "the subscription to commands ended: is the queue gone?"
                    );
                    return;
                }
            }
        }
    }
}
