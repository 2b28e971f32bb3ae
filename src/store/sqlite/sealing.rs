//! Which keys the stored secrets are sealed with, whether they open, and sealing all of them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use zeroize::Zeroizing;

use super::thread::{Access, Fault};
use super::{BUSY_TIMEOUT, Sqlite};
use crate::domain::account::AccountName;
use crate::store::seal::{KeyId, Keyring, OpenError, Sealed};
use crate::store::{Error, Unopened};

/// Every column that holds sealed values, by table. Each of these tables has a column `account`.
const TABLES: [(&str, &[(&str, Sealed)]); 1] =
    [("logins", &[("access", Sealed::Access), ("refresh", Sealed::Refresh)])];

/// How the stored secrets of one account are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The account, as the database names it.
    pub account: String,
    /// The keys its secrets are sealed with; `None` stands for unsealed ones.
    pub keys: BTreeSet<Option<KeyId>>,
    /// Why they can't be opened, if so.
    pub fault: Option<OpenError>,
}

/// What sealing everything anew has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// How the accounts' secrets were kept before.
    pub before: Vec<Sealing>,
    /// Whether the write-ahead log is empty now. If not, it may still hold what was there before.
    pub is_log_empty: bool,
}

impl Sqlite {
    /// How every stored secret is kept, by account. Reads only.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn sealings(&self) -> Result<Vec<Sealing>, Error> {
        let keyring = self.keyring.clone();
        self.handle.call(Access::Read, "read which keys are in use", move |it| survey(it, &keyring)).await
    }

    /// Tries every stored secret and gives how they are kept. Reads only.
    ///
    /// # Errors
    /// [`Error::Sealed`] with all accounts whose secrets can't be opened.
    pub async fn verify_seals(&self) -> Result<Vec<Sealing>, Error> {
        all_open(self.sealings().await?)
    }

    /// Seals every stored secret anew with the current key, in one transaction, and then empties the
    /// write-ahead log, so that nothing of what was there before is left in the database's files. Other
    /// processes may use the database meanwhile; they are waited for.
    ///
    /// # Errors
    /// Nothing is changed without a key, or if a secret can't be opened.
    pub async fn rotate(&self) -> Result<Rotation, Error> {
        let keyring = self.keyring.clone();
        if keyring.current().is_none() {
            return Err(Error::NoKey);
        }
        let action = "seal the tokens anew";
        let before = self.handle.call(Access::Write, action, move |it| reseal(it, &keyring)).await?;
        let path = self.path.clone();
        let is_log_empty = tokio::task::spawn_blocking(move || empty_log(&path))
            .await
            .map_err(|panic| Error::Statement { action: "empty its log", source: panic.into() })?
            .map_err(|source| Error::Statement { action: "empty its log", source: source.into() })?;
        Ok(Rotation { before, is_log_empty })
    }
}

/// Fails if an account has stored secrets that can't be opened: whoever has their key would lose them by
/// what takes their place. To be asked in the transaction that writes.
pub(super) fn must_open(connection: &Connection, keyring: &Keyring, account: &AccountName) -> Result<(), Fault> {
    let stored: Option<[Option<Zeroizing<String>>; 2]> = connection
        .prepare_cached("SELECT access, refresh FROM logins WHERE account = ?1")?
        .query_row([account.as_str()], |row| {
            Ok([row.get::<_, Option<String>>(0)?.map(Zeroizing::new), row.get::<_, Option<String>>(1)?.map(Zeroizing::new)])
        })
        .optional()?;
    for (stored, what) in stored.into_iter().flatten().zip([Sealed::Access, Sealed::Refresh]) {
        if let Some(stored) = stored {
            open(keyring, account, what, &stored)?;
        }
    }
    Ok(())
}

/// Opens a stored secret, or says whose it is and what to do.
pub(super) fn open(
    keyring: &Keyring,
    account: &AccountName,
    what: Sealed,
    stored: &str,
) -> Result<secrecy::SecretString, Fault> {
    let unopened = |reason| Error::Sealed(vec![Unopened { account: account.to_string(), reason }]);
    keyring.open(account, what, stored).map_err(|reason| unopened(reason).into())
}

fn all_open(sealings: Vec<Sealing>) -> Result<Vec<Sealing>, Error> {
    let unopened = |sealing: &Sealing| {
        Some(Unopened { account: sealing.account.clone(), reason: sealing.fault.clone()? })
    };
    let unopened: Vec<Unopened> = sealings.iter().filter_map(unopened).collect();
    if unopened.is_empty() { Ok(sealings) } else { Err(Error::Sealed(unopened)) }
}

fn survey(connection: &Connection, keyring: &Keyring) -> Result<Vec<Sealing>, Fault> {
    let mut found: BTreeMap<String, Sealing> = BTreeMap::new();
    for (table, columns) in TABLES {
        for (column, what) in columns {
            let sql = format!("SELECT account, {column} FROM {table} WHERE {column} IS NOT NULL");
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let account: AccountName = account(row.get(0)?)?;
                let stored: Zeroizing<String> = Zeroizing::new(row.get(1)?);
                let name = account.to_string();
                let sealing = found.entry(name.clone()).or_insert_with(|| Sealing {
                    account: name,
                    keys: BTreeSet::new(),
                    fault: None,
                });
                sealing.keys.insert(Keyring::sealed_with(&stored));
                if let Err(fault) = keyring.open(&account, *what, &stored) {
                    sealing.fault.get_or_insert(fault);
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Takes every row out and puts it back with its secrets sealed anew. Emptied as a whole, a table's pages
/// are overwritten; a row that is replaced in place could leave parts of itself in a page's unused middle.
fn reseal(connection: &Connection, keyring: &Keyring) -> Result<Vec<Sealing>, Fault> {
    let before = all_open(survey(connection, keyring)?)?;
    for (table, columns) in TABLES {
        let (names, rows) = resealed_rows(connection, keyring, table, columns)?;
        connection.execute(&format!("DELETE FROM {table}"), [])?;
        let places = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
        let mut insert = connection.prepare(&sql)?;
        for row in rows {
            insert.execute(params_from_iter(row))?;
        }
    }
    Ok(before)
}

/// The names of a table's columns, and its rows as they are to be.
fn resealed_rows(
    connection: &Connection,
    keyring: &Keyring,
    table: &str,
    columns: &[(&str, Sealed)],
) -> Result<(Vec<String>, Vec<Vec<Value>>), Fault> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let kinds: Vec<Option<Sealed>> = names
        .iter()
        .map(|name| columns.iter().find(|(column, _)| column == name).map(|(_, what)| *what))
        .collect();
    let mut resealed = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let account = account(row.get("account")?)?;
        let mut values = Vec::with_capacity(kinds.len());
        for (at, kind) in kinds.iter().enumerate() {
            values.push(match (kind, row.get(at)?) {
                (Some(what), Value::Text(stored)) => {
                    let stored = Zeroizing::new(stored);
                    let secret = open(keyring, &account, *what, &stored)?;
                    let sealed = keyring.seal(&account, *what, &secret).map_err(Error::from)?;
                    Value::Text(sealed.to_string())
                }
                (_, value) => value,
            });
        }
        resealed.push(values);
    }
    Ok((names, resealed))
}

fn account(name: String) -> Result<AccountName, Fault> {
    name.parse().map_err(|_| Fault::Corrupt { what: "a sign-in", reason: format!("{name:?} is no account name") })
}

/// Writes the log back and cuts it to nothing. `false` if somebody else used it for too long.
fn empty_log(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}
