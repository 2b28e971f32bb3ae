//! Running the bridge: every task, and the order in which they stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::lifecycle::{Signals, Stage, Watch};
use super::pruner::Pruner;
use super::{App, Error, admin};
use crate::broker::{self, Link, Publisher, topology};
use crate::commands::{Account, Intake, Reply, Worker};
use crate::domain::message::Lane;
use crate::events::{Lister, Notices, Poller, Reader, Recorder, Relay};
use crate::ffn::shipping_methods::ShippingMethods;
use crate::schema::CommandValidator;
use crate::telemetry::Chain;

/// How long a stop may take before what is left is given up; it is all in the journal or the broker.
const DRAIN_DEADLINE: Duration = Duration::from_secs(25);
/// How long a refresh in flight may take at a stop, and at one that has run out of time.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);
const LAST_SETTLE: Duration = Duration::from_secs(2);
/// How long the admin server may take to finish the answers it is giving.
const ADMIN_DEADLINE: Duration = Duration::from_secs(1);

impl App {
    /// Runs until a signal, or until a task fails that nothing goes on without.
    ///
    /// # Errors
    /// Why it had to stop, or what could not be brought to its end.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), Error> {
        self.start_label_sets();
        self.look_at_logins().await;
        let admin_stop = CancellationToken::new();
        let listener = self.listener.take().ok_or_else(|| Error::Internal("the listener is gone".to_owned()))?;
        let admin = tokio::spawn(admin::serve(listener, self.status(), admin_stop.clone()));
        let watch = Watch::default();
        let (inputs, relays) = (Stage::default(), Stage::default());
        // Reading needs no broker: what is read meanwhile waits in the journal.
        self.spawn_keepers(&watch, &inputs);
        self.spawn_notices(&watch, &inputs);
        self.spawn_pollers(&watch, &inputs);
        self.spawn_pruner(&watch, &inputs);
        let declared = tokio::select! {
            declared = declare(&self.publishing, &self.config.broker) => declared.map(|()| true),
            () = signals.recv() => Ok(false),
        };
        if !matches!(declared, Ok(true)) {
            inputs.stop().await;
            self.settle(SETTLE_DEADLINE).await;
            return declared.map(drop);
        }
        self.spawn_relays(&watch, &relays);
        self.spawn_intake(&watch, &inputs);
        tokio::select! {
            () = signals.recv() => tracing::info!("stopping: what is in flight is brought to its end"),
            () = watch.failed.cancelled() => tracing::error!("stopping: a part of the bridge can't go on"),
        }

        let drained = tokio::select! {
            () = self.drain(inputs, relays) => Ok(()),
            () = signals.recv() => Err(Error::Deadline),
            () = tokio::time::sleep(DRAIN_DEADLINE) => Err(Error::Deadline),
        };
        watch.abort.cancel();
        if drained.is_err() {
            self.settle(LAST_SETTLE).await;
        }
        admin_stop.cancel();
        if tokio::time::timeout(ADMIN_DEADLINE, admin).await.is_err() {
            tracing::debug!("the admin server did not stop in time");
        }
        match watch.fault.lock().await.take() {
            Some(fault) => Err(fault),
            None => drained,
        }
    }

    /// Inputs first, then the relays with what the inputs left them, then the broker.
    async fn drain(&self, inputs: Stage, relays: Stage) {
        inputs.stop().await;
        self.settle(SETTLE_DEADLINE).await;
        relays.stop().await;
        self.consuming.close().await;
        self.publishing.close().await;
    }

    /// Waits for refreshes in flight: FFN may have spent the old token by now, and the new one must be kept.
    async fn settle(&self, patience: Duration) {
        let settled = futures_util::future::join_all(self.accounts.iter().map(|account| account.auth.settle()));
        if tokio::time::timeout(patience, settled).await.is_err() {
            tracing::warn!("a token refresh is still under way; if its answer is lost, a person has to sign in again");
        }
    }

    /// A relay for each account's events, and one for the results of commands.
    fn spawn_relays(&self, watch: &Watch, stage: &Stage) {
        let accounts = self.accounts.iter().map(|account| Lane::Events(account.client.account().clone()));
        for lane in accounts.chain([Lane::Results]) {
            let (store, link, topology) = (self.store.clone(), self.publishing.clone(), self.config.broker.clone());
            let (metrics, drain) = (self.metrics.events.clone(), stage.token());
            watch.spawn(stage, format!("the relay of {lane}"), move || {
                let relay = Relay::new(lane.clone(), store.clone(), link.clone(), topology.clone(), metrics.clone());
                relay.run(drain.clone())
            });
        }
    }

    /// A keeper for each account's tokens.
    fn spawn_keepers(&self, watch: &Watch, stage: &Stage) {
        for account in &self.accounts {
            let (auth, stop) = (account.auth.clone(), stage.token());
            watch.spawn(stage, format!("the keeper of the tokens of {}", account.client.account()), move || {
                let (auth, stop) = (auth.clone(), stop.clone());
                async move {
                    auth.keep(stop).await;
                    Ok::<_, Error>(())
                }
            });
        }
    }

    /// Who tells of each account what its operators have to know.
    fn spawn_notices(&self, watch: &Watch, stage: &Stage) {
        for account in &self.accounts {
            let notices = Notices {
                account: account.client.account().clone(),
                role: account.client.role(),
                journal: self.store.clone(),
                exchange: self.config.broker.events_exchange.clone(),
                mode: self.config.broker.event_mode,
            };
            let (auth, stop) = (account.auth.clone(), stage.token());
            watch.spawn(stage, format!("the notices of {}", account.client.account()), move || {
                let (notices, needs, stop) = (notices.clone(), auth.needs_login(), stop.clone());
                async move {
                    notices.run(needs, stop).await;
                    Ok::<_, Error>(())
                }
            });
        }
    }

    /// A poller for each feed of each account, and who reads its lists.
    fn spawn_pollers(&self, watch: &Watch, stage: &Stage) {
        for account in &self.accounts {
            let methods = ShippingMethods::new(account.client.clone());
            let recorder = Recorder {
                client: account.client.clone(),
                shipping_methods: Arc::new(methods.with_patience(account.config.events.stalled_after)),
                journal: self.store.clone(),
                exchange: self.config.broker.events_exchange.clone(),
                mode: self.config.broker.event_mode,
                metrics: self.metrics.events.clone(),
            };
            let lister = Lister {
                recorder: recorder.clone(),
                config: account.config.events.clone(),
                progress: self.progress.clone(),
                memory: self.config.store.retention.entities,
            };
            let stop = stage.token();
            watch.spawn(stage, format!("the reader of the lists of {}", account.client.account()), move || {
                let (lister, stop) = (lister.clone(), stop.clone());
                async move {
                    lister.run(stop).await;
                    Ok::<_, Error>(())
                }
            });
            for feed in &account.config.events.feeds {
                let config = account.config.events.clone();
                let patience = Some(config.stalled_after);
                let reader = Reader { patience, ..Reader::new(*feed, recorder.clone()) };
                let (progress, memory) = (self.progress.clone(), self.config.store.retention.entities);
                let poller = Poller { reader, config, progress, memory };
                let stop = stage.token();
                watch.spawn(stage, format!("the poller of {}/{feed}", account.client.account()), move || {
                    let (poller, stop) = (poller.clone(), stop.clone());
                    async move {
                        poller.run(stop).await;
                        Ok::<_, Error>(())
                    }
                });
            }
        }
    }

    /// Who takes out of the store what is old.
    fn spawn_pruner(&self, watch: &Watch, stage: &Stage) {
        let pruner = Pruner {
            store: self.store.clone(),
            retention: self.config.store.retention,
            metrics: self.metrics.store.clone(),
        };
        let stop = stage.token();
        watch.spawn(stage, "the pruning of the store".to_owned(), move || {
            let (pruner, stop) = (pruner.clone(), stop.clone());
            async move {
                pruner.run(stop).await;
                Ok::<_, Error>(())
            }
        });
    }

    /// One intake for the commands of all accounts.
    fn spawn_intake(&self, watch: &Watch, stage: &Stage) {
        let config = &self.config.broker;
        let accounts = self.accounts.iter().map(|account| {
            (account.client.account().clone(), Account::new(account.client.clone(), account.auth.clone()))
        });
        let worker = Arc::new(Worker {
            accounts: accounts.collect::<HashMap<_, _>>(),
            store: self.store.clone(),
            validator: CommandValidator::default(),
            reply: Reply {
                exchange: config.results_exchange.clone(),
                mode: config.event_mode,
                allowed: config.reply_to_allow.clone(),
            },
            publisher: Mutex::new(Publisher::new(self.publishing.clone(), config.clone())),
            broker: config.clone(),
            config: self.config.commands.clone(),
            metrics: self.metrics.commands.clone(),
            abort: watch.abort.clone(),
            alone: Mutex::new(()),
        });
        let (link, config, stop) = (self.consuming.clone(), config.clone(), stage.token());
        let (publishing, store) = (self.publishing.clone(), self.store.clone());
        watch.spawn(stage, "the intake of commands".to_owned(), move || {
            let intake = Intake {
                link: link.clone(),
                publishing: publishing.clone(),
                config: config.clone(),
                store: store.clone(),
                worker: worker.clone(),
            };
            let stop = stop.clone();
            async move {
                intake.run(stop).await;
                Ok::<_, Error>(())
            }
        });
    }
}

/// Brings the broker to the plan, waiting for it as long as it takes.
async fn declare(link: &Link, config: &broker::Config) -> Result<(), Error> {
    let mut wait = Duration::from_millis(200);
    loop {
        let declared = async {
            match topology::left_over(link, config).await? {
                none if none.is_empty() => topology::ensure(link, config).await,
                some => Ok(some),
            }
        };
        match declared.await {
            Ok(problems) if problems.is_empty() => return Ok(()),
            Ok(problems) => return Err(Error::Topology(problems)),
            Err(error) => tracing::warn!(error = %Chain(&error), "the broker can't be reached; trying again"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}
