//! Tokens in SQLite.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::journal::instant;
use super::sealing::{must_open, open, seal};
use super::thread::{Access, Fault};
use super::{Sqlite, holder};
use crate::domain::account::AccountName;
use crate::domain::token::{
    KeptAnswer, Lease, Origin, Pending, RefreshEnding, RefreshRecord, StoredLogin, TokenPair, TokenStore,
};
use crate::store::seal::{Keyring, Sealed};

impl Sqlite {
    /// A call to the store's thread, with the error of [`TokenStore`].
    fn tokens<T, F>(&self, access: Access, action: &'static str, work: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        Box::pin(async move { Ok(self.handle.call(access, action, work).await?) })
    }
}

impl TokenStore for Sqlite {
    fn login<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Option<StoredLogin>> {
        let (account, keyring) = (account.clone(), self.keyring.clone());
        self.tokens(Access::Read, "read a sign-in", move |connection| read(connection, &keyring, &account))
    }

    fn take_lease<'a>(&'a self, account: &'a AccountName, life: Duration) -> Pending<'a, Option<Lease>> {
        let account = account.clone();
        self.tokens(Access::Write, "take the lease on a refresh", move |connection| {
            let now = Utc::now();
            let held: Option<(String, i64)> = connection
                .prepare_cached("SELECT owner, until FROM leases WHERE account = ?1")?
                .query_row([account.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            if held.is_some_and(|(owner, until)| until > now.timestamp_millis() && !holder::is_dead(&owner)) {
                return Ok(None);
            }
            let owner = holder::name();
            connection
                .prepare_cached("INSERT OR REPLACE INTO leases (account, owner, until) VALUES (?1, ?2, ?3)")?
                .execute((account.as_str(), &owner, end_of(now, life)))?;
            Ok(Some(Lease { account, owner }))
        })
    }

    fn release_lease(&self, lease: Lease) -> Pending<'_, ()> {
        self.tokens(Access::Write, "give back the lease on a refresh", move |connection| {
            connection
                .prepare_cached("DELETE FROM leases WHERE account = ?1 AND owner = ?2")?
                .execute((lease.account.as_str(), &lease.owner))?;
            Ok(())
        })
    }

    fn begin_refresh<'a>(
        &'a self,
        lease: &'a Lease,
        generation: i64,
        fingerprint: String,
        life: Duration,
    ) -> Pending<'a, bool> {
        let (account, owner) = (lease.account.clone(), lease.owner.clone());
        let keyring = self.keyring.clone();
        self.tokens(Access::Write, "record that a refresh begins", move |connection| {
            // Else the pair that comes could not be stored.
            must_open(connection, &keyring, &account)?;
            let now = Utc::now();
            let is_newest: Option<bool> = connection
                .prepare_cached("SELECT generation = ?2 AND login_required IS NULL FROM logins WHERE account = ?1")?
                .query_row((account.as_str(), generation), |row| row.get(0))
                .optional()?;
            let held = connection
                .prepare_cached("UPDATE leases SET until = ?3 WHERE account = ?1 AND owner = ?2")?
                .execute((account.as_str(), &owner, end_of(now, life)))?;
            if held == 0 || is_newest != Some(true) {
                return Ok(false);
            }
            connection
                .prepare_cached(
                    "INSERT INTO refreshes (account, generation, fingerprint, began_at, open) VALUES (?1, ?2, ?3, ?4, 1)
                     ON CONFLICT DO UPDATE SET unclear = unclear + open, open = 1",
                )?
                .execute((account.as_str(), generation, fingerprint, now.timestamp_millis()))?;
            Ok(true)
        })
    }

    fn end_refresh<'a>(&'a self, account: &'a AccountName, generation: i64, ending: RefreshEnding) -> Pending<'a, ()> {
        let (account, keyring) = (account.clone(), self.keyring.clone());
        self.tokens(Access::Write, "record how a refresh ended", move |connection| {
            let (unclear, unreadable) = match &ending {
                RefreshEnding::NotSpent => (0, 0),
                RefreshEnding::Unclear => (1, 0),
                RefreshEnding::Unreadable(body) => {
                    let body = seal(&keyring, &account, Sealed::Answer, body)?;
                    connection
                        .prepare_cached("INSERT INTO kept_answers (account, received_at, body) VALUES (?1, ?2, ?3)")?
                        .execute((account.as_str(), Utc::now().timestamp_millis(), body.as_str()))?;
                    (0, 1)
                }
            };
            connection
                .prepare_cached(
                    "UPDATE refreshes SET open = 0, unclear = unclear + ?3, unreadable = unreadable + ?4
                     WHERE account = ?1 AND generation = ?2",
                )?
                .execute((account.as_str(), generation, unclear, unreadable))?;
            Ok(())
        })
    }

    fn save_tokens<'a>(
        &'a self,
        account: &'a AccountName,
        tokens: TokenPair,
        origin: Origin,
    ) -> Pending<'a, StoredLogin> {
        let (account, keyring) = (account.clone(), self.keyring.clone());
        self.tokens(Access::Write, "store tokens", move |connection| {
            must_open(connection, &keyring, &account)?;
            let access = seal(&keyring, &account, Sealed::Access, &tokens.access)?;
            let refresh = seal(&keyring, &account, Sealed::Refresh, &tokens.refresh)?;
            let now = Utc::now().timestamp_millis();
            let (follows, is_sign_in) = match origin {
                Origin::SignIn => (i64::MAX, true),
                Origin::Refresh { of } => (of, false),
            };
            let stored = connection
                .prepare_cached(
                    "INSERT INTO logins (account, generation, access, refresh, access_expires_at, obtained_at,
                         signed_in_at, scopes)
                     VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT DO UPDATE SET generation = generation + 1, access = excluded.access,
                         refresh = excluded.refresh, access_expires_at = excluded.access_expires_at,
                         obtained_at = excluded.obtained_at, scopes = excluded.scopes, login_required = NULL,
                         required_since = NULL,
                         signed_in_at = iif(?9, excluded.signed_in_at, signed_in_at)
                     WHERE generation <= ?8",
                )?
                .execute(params![
                    account.as_str(),
                    access.as_str(),
                    refresh.as_str(),
                    tokens.access_expires_at.timestamp_millis(),
                    tokens.obtained_at.timestamp_millis(),
                    now,
                    tokens.scopes.join(" "),
                    follows,
                    is_sign_in,
                ])?;
            if stored > 0 {
                connection.prepare_cached("DELETE FROM refreshes WHERE account = ?1")?.execute([account.as_str()])?;
                // The token that they answered was good after all, or nobody needs it any more.
                forget_answers(connection, &account)?;
            }
            read(connection, &keyring, &account)?
                .ok_or_else(|| Fault::Corrupt { what: "a sign-in", reason: "it is gone after it was written".into() })
        })
    }

    fn require_login<'a>(&'a self, account: &'a AccountName, generation: i64, reason: String) -> Pending<'a, ()> {
        let account = account.to_string();
        self.tokens(Access::Write, "record that a sign-in is needed", move |connection| {
            connection
                .prepare_cached(
                    "UPDATE logins SET login_required = ?3, required_since = COALESCE(required_since, ?4)
                     WHERE account = ?1 AND generation = ?2",
                )?
                .execute((&account, generation, reason, Utc::now().timestamp_millis()))?;
            // That was the end of it: nothing is in doubt any more.
            connection
                .prepare_cached("DELETE FROM refreshes WHERE account = ?1 AND generation = ?2")?
                .execute((&account, generation))?;
            Ok(())
        })
    }

    fn sign_out<'a>(&'a self, account: &'a AccountName) -> Pending<'a, bool> {
        let account = account.clone();
        self.tokens(Access::Write, "forget a sign-in", move |connection| {
            let found = connection
                .prepare_cached(
                    "UPDATE logins SET generation = generation + 1, access = NULL, refresh = NULL, scopes = '',
                         login_required = 'it was signed out', required_since = ?2
                     WHERE account = ?1 AND refresh IS NOT NULL",
                )?
                .execute((account.as_str(), Utc::now().timestamp_millis()))?;
            connection.prepare_cached("DELETE FROM refreshes WHERE account = ?1")?.execute([account.as_str()])?;
            forget_answers(connection, &account)?;
            Ok(found > 0)
        })
    }

    fn kept_answers<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Vec<KeptAnswer>> {
        let (account, keyring) = (account.clone(), self.keyring.clone());
        self.tokens(Access::Read, "read the answers that were kept", move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT received_at, body FROM kept_answers WHERE account = ?1 ORDER BY id")?;
            let rows = statement
                .query_map([account.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
                .collect::<Result<Vec<_>, _>>()?;
            let kept = rows.into_iter();
            kept.map(|(at, body)| {
                let body = open(&keyring, &account, Sealed::Answer, &Zeroizing::new(body))?;
                Ok(KeptAnswer { received_at: instant(at)?, body })
            })
            .collect()
        })
    }
}

fn read(connection: &Connection, keyring: &Keyring, account: &AccountName) -> Result<Option<StoredLogin>, Fault> {
    /// A row as it is read.
    struct Row {
        generation: i64,
        access: Option<String>,
        refresh: Option<String>,
        expires_at: i64,
        obtained_at: i64,
        signed_in_at: i64,
        scopes: String,
        login_required: Option<String>,
        required_since: Option<i64>,
    }
    let row = connection
        .prepare_cached(
            "SELECT generation, access, refresh, access_expires_at, obtained_at, signed_in_at, scopes, login_required,
                 required_since
             FROM logins WHERE account = ?1",
        )?
        .query_row([account.as_str()], |row| {
            Ok(Row {
                generation: row.get(0)?,
                access: row.get(1)?,
                refresh: row.get(2)?,
                expires_at: row.get(3)?,
                obtained_at: row.get(4)?,
                signed_in_at: row.get(5)?,
                scopes: row.get(6)?,
                login_required: row.get(7)?,
                required_since: row.get(8)?,
            })
        })
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let tokens = match (row.access, row.refresh) {
        (Some(access), Some(refresh)) => Some(TokenPair {
            access: open(keyring, account, Sealed::Access, &Zeroizing::new(access))?,
            access_expires_at: instant(row.expires_at)?,
            refresh: open(keyring, account, Sealed::Refresh, &Zeroizing::new(refresh))?,
            obtained_at: instant(row.obtained_at)?,
            scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
        }),
        _ => None,
    };
    Ok(Some(StoredLogin {
        tokens,
        generation: row.generation,
        signed_in_at: instant(row.signed_in_at)?,
        login_required: row.login_required,
        login_required_since: row.required_since.map(instant).transpose()?,
        refresh: refresh_of(connection, account, row.generation)?,
    }))
}

fn refresh_of(connection: &Connection, account: &AccountName, generation: i64) -> Result<Option<RefreshRecord>, Fault> {
    let row: Option<(String, i64, bool, u32, u32)> = connection
        .prepare_cached(
            "SELECT fingerprint, began_at, open, unclear, unreadable FROM refreshes
             WHERE account = ?1 AND generation = ?2",
        )?
        .query_row((account.as_str(), generation), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    row.map(|(fingerprint, began_at, is_open, unclear, unreadable)| {
        Ok(RefreshRecord { fingerprint, began_at: instant(began_at)?, is_open, unclear, unreadable })
    })
    .transpose()
}

fn forget_answers(connection: &Connection, account: &AccountName) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM kept_answers WHERE account = ?1")?.execute([account.as_str()])?;
    Ok(())
}

fn end_of(now: DateTime<Utc>, life: Duration) -> i64 {
    now.checked_add_signed(TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
        .timestamp_millis()
}
