//! The store's thread: takes jobs, runs those that wait in one transaction, and answers after the commit.

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::store::Error;

/// Jobs that may wait; callers beyond that wait themselves.
const QUEUE: usize = 1024;
/// Jobs that are committed together at the most.
const GROUP: usize = 256;

/// The way to the store's thread.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    jobs: mpsc::Sender<Job>,
}

/// Whether a job writes; a group without writers takes no write lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Why a job failed.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Corrupt {
        what: &'static str,
        reason: String,
    },
    /// Any other reason, as callers are told it.
    Store(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;
/// Runs and gives whether it failed, and how to answer once the commit is through.
/// Without a connection nothing is done: no transaction could be begun.
type Run = Box<dyn FnOnce(Option<&Connection>) -> (bool, Answer) + Send>;

struct Job {
    access: Access,
    run: Run,
}

impl Handle {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("store".to_owned()).spawn(move || serve(connection, queue))?;
        Ok(Self { jobs })
    }

    /// Runs `work` on the store's thread. `Ok` means that it is committed; after an error nothing of it is kept.
    pub(super) async fn call<T, F>(&self, access: Access, action: &'static str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let run = Box::new(move |connection: Option<&Connection>| {
            let result = connection.map(work);
            let failed = !matches!(result, Some(Ok(_)));
            let finish: Answer = Box::new(move |commit| {
                let result = match (result, commit) {
                    (Some(Err(fault)), _) => Err(explain(action, fault)),
                    (Some(Ok(value)), Ok(())) => Ok(value),
                    (_, Err(reason)) => Err(Error::Statement { action, source: reason.into() }),
                    (None, Ok(())) => Err(Error::Closed),
                };
                // The caller may have stopped waiting; the work is done all the same.
                drop(answer.send(result));
            });
            (failed, finish)
        });
        self.jobs.send(Job { access, run }).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

fn explain(action: &'static str, fault: Fault) -> Error {
    match fault {
        Fault::Sql(error) => Error::Statement { action, source: error.into() },
        Fault::Corrupt { what, reason } => Error::Corrupt { what, reason },
        Fault::Store(error) => error,
    }
}

fn serve(mut connection: Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP {
            match queue.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        run_group(&mut connection, group);
    }
}

fn run_group(connection: &mut Connection, group: Vec<Job>) {
    let writes = group.iter().any(|job| job.access == Access::Write);
    let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
    let mut answers = Vec::with_capacity(group.len());
    let mut group = group.into_iter();
    let committed = (|| -> rusqlite::Result<()> {
        let mut transaction = connection.transaction_with_behavior(behavior)?;
        for job in group.by_ref() {
            // A savepoint a job: one that fails takes nothing of the others with it.
            let savepoint = transaction.savepoint()?;
            let (failed, answer) = (job.run)(Some(&savepoint));
            answers.push(answer);
            if failed { savepoint.finish()? } else { savepoint.commit()? }
        }
        transaction.commit()
    })();
    let committed = committed.map_err(|error| {
        tracing::error!(%error, "the store could not commit");
        format!("{error} (is the disk full, or does another program hold the database?)")
    });
    // Those that had no turn are told why.
    answers.extend(group.map(|job| (job.run)(None).1));
    for answer in answers {
        answer(committed.clone());
    }
}
