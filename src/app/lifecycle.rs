//! Signals, and tasks that are watched: one that fails or panics is started again, one that keeps
//! failing stops the process, so that whoever runs it notices.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Error;
use crate::telemetry::Chain;

/// Failures in a row after which a task is given up.
const FAILURES: u32 = 5;
/// A task that ran this long before it failed starts a new row.
const HEALTHY: Duration = Duration::from_secs(60);
/// Before a failed task is started again; doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next signal.
    pub async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tasks that are stopped together.
#[derive(Debug, Default)]
pub(super) struct Stage {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Stage {
    /// Cancelled when the stage is to stop.
    pub(super) fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells the tasks to stop and waits until all have.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Watches tasks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Ends every task at once, wherever it is.
    pub(super) abort: CancellationToken,
    /// Cancelled when a task was given up.
    pub(super) failed: CancellationToken,
    /// Why the first task was given up.
    pub(super) fault: Arc<Mutex<Option<Error>>>,
}

impl Watch {
    /// Runs a task until it ends well. An error or a panic is logged and the task started again,
    /// after a pause that grows; after too many in a row the bridge can't go on.
    pub(super) fn spawn<T, F, E>(&self, stage: &Stage, name: String, task: T)
    where
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send,
        E: std::error::Error + Send + 'static,
    {
        let (abort, failed, fault) = (self.abort.clone(), self.failed.clone(), self.fault.clone());
        stage.tasks.spawn(async move {
            let Some(reason) = run_again(&name, task, &abort).await else { return };
            fault.lock().await.get_or_insert(Error::Task { task: name, reason });
            failed.cancel();
        });
    }
}

/// Runs a task again and again until it ends well or is aborted; gives why it was given up.
async fn run_again<T, F, E>(name: &str, task: T, abort: &CancellationToken) -> Option<String>
where
    T: Fn() -> F,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + 'static,
{
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            () = abort.cancelled() => return None,
            ended = AssertUnwindSafe(task()).catch_unwind() => ended,
        };
        let reason = match ended {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        failures = if begun.elapsed() > HEALTHY { 1 } else { failures + 1 };
        tracing::error!(task = name, error = reason, failures, "a task failed");
        if failures >= FAILURES {
            return Some(reason);
        }
        tokio::time::sleep(FIRST_PAUSE * 2u32.pow(failures)).await;
    }
}
