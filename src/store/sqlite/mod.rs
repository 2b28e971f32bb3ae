//! The embedded store: one SQLite file, one connection on a thread of its own.
//!
//! Everything goes through that thread, so calls never meet `SQLITE_BUSY` within the process, and
//! the calls that arrive while one transaction is being written are committed together by the next.

mod archive;
mod causes;
mod commands;
mod holder;
mod journal;
mod parking;
mod private;
mod retention;
mod sealing;
mod thread;
mod tokens;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};
use tokio::sync::watch;

pub use self::sealing::{Rotation, Sealing};
use self::thread::Handle;
use super::{Error, Keyring};

/// The schema, step by step. Steps are never changed once released, only added.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("causes.sql")),
    M::up(include_str!("waits.sql")),
    M::up(include_str!("parked.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An open SQLite store. Dropping it ends its thread after what was asked before.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    keyring: Keyring,
    handle: Handle,
    /// What a person should know of the opening.
    remarks: Vec<String>,
    appended: watch::Sender<u64>,
}

impl Sqlite {
    /// Opens the file, making it or migrating it where needed. What others may read is made private.
    /// Tokens are sealed and opened with `keyring`, which is not tried here.
    ///
    /// # Errors
    /// The file can't be opened or written, is no SQLite database, or was made by a newer version; or it
    /// can't be made private and nothing is sealed.
    pub async fn open(path: &Path, keyring: Keyring) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let owned = path.to_path_buf();
        let failed = |source| Error::Open { path: shown.clone(), source };
        let is_sealed = keyring.current().is_some();
        let (connection, remarks) = tokio::task::spawn_blocking(move || connect(&owned, is_sealed))
            .await
            .map_err(|panic| failed(panic.into()))?
            .map_err(failed)?;
        let handle = Handle::start(connection).map_err(|error| failed(error.into()))?;
        Ok(Self { path: path.to_path_buf(), keyring, handle, remarks, appended: watch::Sender::new(0) })
    }

    /// What a person should know of the opening: files that others could read.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn announce(&self) {
        self.appended.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn connect(
    path: &Path,
    is_sealed: bool,
) -> Result<(Connection, Vec<String>), Box<dyn std::error::Error + Send + Sync>> {
    // Before SQLite opens them, so that they are not readable for others in between.
    let remarks = private::make(path, is_sealed)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // What is deleted or replaced is overwritten, also in pages that become free: long tokens have pages
    // of their own, which FAST would leave as they are.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "cache_size", -4096)?;
    // 16 MB of log before it is written back: pages that change often are written once.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    connection.set_prepared_statement_cache_capacity(64);
    MIGRATIONS.to_latest(&mut connection)?;
    Ok((connection, remarks))
}

#[cfg(test)]
mod tests {
    use super::thread::{Access, Fault};
    use super::*;
    use crate::domain::feed::FeedName;
    use crate::store::conformance::conformance;
    use crate::store::{Append, Journal, Parked};

    async fn open(path: &Path) -> Result<Sqlite, Error> {
        Sqlite::open(path, Keyring::default()).await
    }

    async fn fresh() -> (Sqlite, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (open(&folder.path().join("bridge.db")).await.unwrap(), folder)
    }

    conformance!(fresh());

    fn insert_mark(connection: &Connection, id: i64) -> Result<(), Fault> {
        connection.execute(
            "INSERT INTO parked (account, feed, item, reason, recorded_at) VALUES ('a', 'f', ?1, '', 0)",
            [id],
        )?;
        Ok(())
    }

    async fn marks(store: &Sqlite) -> i64 {
        let count =
            |connection: &Connection| Ok(connection.query_row("SELECT COUNT(*) FROM parked", [], |row| row.get(0))?);
        store.handle.call(Access::Read, "count", count).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_that_fails_keeps_nothing_and_takes_nothing_of_those_committed_with_it() {
        let (store, _folder) = fresh().await;
        // The first keeps the thread busy, so that the others wait and are committed as one group.
        let busy = store.handle.call(Access::Read, "wait", |_| {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        });
        let good = |id| store.handle.call(Access::Write, "insert", move |connection| insert_mark(connection, id));
        let bad = store.handle.call(Access::Write, "fail", |connection| {
            insert_mark(connection, 2)?;
            Err::<(), _>(Fault::Corrupt { what: "a test", reason: "on purpose".into() })
        });
        let (_, one, two, three) = tokio::join!(busy, good(1), bad, good(3));
        assert!(one.is_ok() && three.is_ok());
        assert!(two.unwrap_err().to_string().contains("on purpose"));
        assert_eq!(marks(&store).await, 2);
    }

    #[tokio::test]
    async fn what_was_answered_is_there_after_opening_again() {
        let (store, folder) = fresh().await;
        let append = || {
            let account = "acme".parse().unwrap();
            let parked = Parked {
                account,
                feed: FeedName::Outbounds,
                item: "null".into(),
                print: vec![1],
                reason: "odd".into(),
            };
            Append { parked: vec![parked], ..Append::default() }
        };
        // The same item is kept once.
        store.append(append()).await.unwrap();
        store.append(append()).await.unwrap();
        drop(store);
        let store = open(&folder.path().join("bridge.db")).await.unwrap();
        assert_eq!(marks(&store).await, 1);
    }

    #[test]
    fn migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[tokio::test]
    async fn a_database_of_each_earlier_version_is_brought_up_to_date_with_what_it_holds() {
        for version in 1..STEPS.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("bridge.db");
            let mut connection = Connection::open(&path).unwrap();
            Migrations::from_slice(&STEPS[..version]).to_latest(&mut connection).unwrap();
            insert_mark(&connection, 1).unwrap();
            drop(connection);
            let store = open(&path).await.unwrap();
            assert_eq!(marks(&store).await, 1, "{version}");
            let steps = |connection: &Connection| {
                Ok(connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))?)
            };
            let steps = store.handle.call(Access::Read, "look", steps).await.unwrap();
            assert_eq!(usize::try_from(steps).unwrap(), STEPS.len());
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_new_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        let _store = open(&path).await.unwrap();
        for name in ["bridge.db", "bridge.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        std::fs::write(&path, "no database, but long enough to have a header in it").unwrap();
        let error = open(&path).await.unwrap_err();
        assert!(error.to_string().contains("bridge.db"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("no database"));
    }
}
