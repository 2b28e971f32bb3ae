//! Tokens in SQLite.

use std::fs::TryLockError;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, params};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Sqlite;
use super::journal::instant;
use super::sealing::{must_open, open};
use super::thread::Access;
use crate::domain::account::AccountName;
use crate::domain::token::{StoredLogin, TokenPair};
use crate::store::seal::Sealed;
use crate::store::{Error, Pending, RefreshLock, TokenStore};

/// How often a lock that somebody else holds is tried.
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// Longer than any refresh with its repetitions takes: who holds the lock by then is stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(90);

/// A row of `logins` as it is read.
type Row = (i64, Option<String>, Option<i64>, String, i64, String, Option<String>);

impl TokenStore for Sqlite {
    /// A lock on a file beside the database: SQLite's own would hold up the journal.
    fn lock_refresh<'a>(&'a self, account: &'a AccountName) -> Pending<'a, RefreshLock> {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("-{account}.lock"));
        let path = PathBuf::from(path);
        let failed =
            |source: io::Error| Error::Statement { action: "lock the refresh of tokens", source: source.into() };
        Box::pin(async move {
            let file = super::private::open(&path).map_err(failed)?;
            let begun = Instant::now();
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(Box::new(file) as RefreshLock),
                    Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                        tokio::time::sleep(LOCK_LOOK).await;
                    }
                    Err(TryLockError::WouldBlock) => return Err(failed(io::ErrorKind::TimedOut.into())),
                    Err(TryLockError::Error(error)) => return Err(failed(error)),
                }
            }
        })
    }

    fn login<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Option<StoredLogin>> {
        let (account, keyring) = (account.clone(), self.keyring.clone());
        Box::pin(self.handle.call(Access::Read, "read a sign-in", move |connection| {
            let row: Option<Row> = connection
                .prepare_cached(
                    "SELECT generation, access, access_expires_at, refresh, obtained_at, scopes, login_required
                     FROM logins WHERE account = ?1",
                )?
                .query_row([account.as_str()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
                })
                .optional()?;
            let Some((generation, access, expires_at, refresh, obtained_at, scopes, login_required)) = row else {
                return Ok(None);
            };
            let access = access.map(Zeroizing::new);
            let access = access.map(|stored| open(&keyring, &account, Sealed::Access, &stored)).transpose()?;
            let refresh = open(&keyring, &account, Sealed::Refresh, &Zeroizing::new(refresh))?;
            let tokens = TokenPair {
                access,
                access_expires_at: expires_at.map(instant).transpose()?,
                refresh,
                obtained_at: instant(obtained_at)?,
                scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            };
            Ok(Some(StoredLogin { tokens, generation, login_required }))
        }))
    }

    fn save_tokens<'a>(&'a self, account: &'a AccountName, tokens: TokenPair) -> Pending<'a, i64> {
        let (account, keyring) = (account.clone(), self.keyring.clone());
        Box::pin(self.handle.call(Access::Write, "store tokens", move |connection| {
            must_open(connection, &keyring, &account)?;
            let seal = |what, secret: &SecretString| keyring.seal(&account, what, secret).map_err(Error::from);
            let access = tokens.access.as_ref().map(|access| seal(Sealed::Access, access)).transpose()?;
            let refresh = seal(Sealed::Refresh, &tokens.refresh)?;
            let generation = connection
                .prepare_cached(
                    "INSERT INTO logins (account, generation, access, access_expires_at, refresh, obtained_at, scopes)
                     VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE SET generation = generation + 1, access = excluded.access,
                         access_expires_at = excluded.access_expires_at, refresh = excluded.refresh,
                         obtained_at = excluded.obtained_at, scopes = excluded.scopes, login_required = NULL
                     RETURNING generation",
                )?
                .query_row(
                    params![
                        account.as_str(),
                        access.as_ref().map(|access| access.as_str()),
                        tokens.access_expires_at.map(|at| at.timestamp_millis()),
                        refresh.as_str(),
                        tokens.obtained_at.timestamp_millis(),
                        tokens.scopes.join(" "),
                    ],
                    |row| row.get(0),
                )?;
            Ok(generation)
        }))
    }

    fn require_login<'a>(&'a self, account: &'a AccountName, generation: i64, reason: String) -> Pending<'a, ()> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Write, "record that a sign-in is needed", move |connection| {
            connection
                .prepare_cached("UPDATE logins SET login_required = ?3 WHERE account = ?1 AND generation = ?2")?
                .execute((account, generation, reason))?;
            Ok(())
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::store::Keyring;

    #[tokio::test]
    async fn two_processes_on_one_file_do_not_refresh_an_account_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        let (one, other) = (
            Sqlite::open(&path, Keyring::default()).await.unwrap(),
            Sqlite::open(&path, Keyring::default()).await.unwrap(),
        );
        let (acme, ware) = ("acme".parse().unwrap(), "ware".parse().unwrap());
        let held = one.lock_refresh(&acme).await.unwrap();
        let mut waiting = other.lock_refresh(&acme);
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(other.lock_refresh(&ware).await.unwrap());
        drop(held);
        drop(waiting.await.unwrap());
    }
}
