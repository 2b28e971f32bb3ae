//! Which keys the stored secrets are sealed with, whether they open, and sealing all of them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::thread::{Access, Fault};
use super::{BUSY_TIMEOUT, Sqlite};
use crate::domain::account::AccountName;
use crate::domain::token::{Lease, TokenStore};
use crate::store::seal::{KeyId, Keyring, OpenError, Sealed};
use crate::store::{Error, Unopened};

/// Every column that holds sealed values, by table. Each of these tables has a column `account`.
const TABLES: [(&str, &[(&str, Sealed)]); 2] = [
    ("logins", &[("access", Sealed::Access), ("refresh", Sealed::Refresh)]),
    ("kept_answers", &[("body", Sealed::Answer)]),
];
/// How long a refresh that is under way is waited for, how often it is looked for, and how long others may
/// have to wait for a rotation whose process is gone without a sign.
const LEASE_PATIENCE: Duration = Duration::from_secs(60);
const LEASE_LOOK: Duration = Duration::from_millis(20);
const LEASE: Duration = Duration::from_secs(45);

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
    /// processes may use the database meanwhile. Refreshes that are under way are waited for: a process
    /// that knows only the old key could not store what they bring.
    ///
    /// # Errors
    /// Nothing is changed without a key, if a secret can't be opened, or if a refresh does not end.
    pub async fn rotate(&self) -> Result<Rotation, Error> {
        if self.keyring.current().is_none() {
            return Err(Error::NoKey);
        }
        let accounts: Vec<String> = self.verify_seals().await?.into_iter().map(|it| it.account).collect();
        let mut leases = Vec::new();
        let before = self.reseal_under(accounts, &mut leases).await;
        for lease in leases {
            let account = lease.account.clone();
            if let Err(error) = self.release_lease(lease).await {
                tracing::debug!(%account, %error, "a lease could not be given back; its time runs out");
            }
        }
        let before = before?;
        let failed = |source| Error::Statement { action: "empty its log", source };
        let path = self.path.clone();
        let emptied = tokio::task::spawn_blocking(move || empty_log(&path)).await;
        let is_log_empty = emptied.map_err(|panic| failed(panic.into()))?.map_err(|error| failed(error.into()))?;
        Ok(Rotation { before, is_log_empty })
    }

    /// Seals everything anew while no account is being refreshed. The leases are the caller's to give back.
    async fn reseal_under(&self, accounts: Vec<String>, leases: &mut Vec<Lease>) -> Result<Vec<Sealing>, Error> {
        for name in accounts {
            let Ok(account) = name.parse() else { continue };
            let begun = Instant::now();
            let lease = loop {
                match self.take_lease(&account, LEASE).await {
                    Ok(Some(lease)) => break lease,
                    Ok(None) if begun.elapsed() > LEASE_PATIENCE => return Err(Error::Refreshing { account }),
                    Ok(None) => tokio::time::sleep(LEASE_LOOK).await,
                    Err(error) => {
                        return Err(Error::Statement { action: "take the lease on a refresh", source: error.0 });
                    }
                }
            };
            leases.push(lease);
        }
        let keyring = self.keyring.clone();
        self.handle.call(Access::Write, "seal the tokens anew", move |it| reseal(it, &keyring)).await
    }
}

/// Fails if an account has stored secrets that can't be opened: whoever has their key would lose them by
/// what takes their place. To be asked in the transaction that writes.
pub(super) fn must_open(connection: &Connection, keyring: &Keyring, account: &AccountName) -> Result<(), Fault> {
    let stored: Option<[Option<Zeroizing<String>>; 2]> = connection
        .prepare_cached("SELECT access, refresh FROM logins WHERE account = ?1")?
        .query_row([account.as_str()], |row| {
            Ok([
                row.get::<_, Option<String>>(0)?.map(Zeroizing::new),
                row.get::<_, Option<String>>(1)?.map(Zeroizing::new),
            ])
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
) -> Result<SecretString, Fault> {
    let unopened = |reason| Error::Sealed(vec![Unopened { account: account.to_string(), reason }]);
    keyring.open(account, what, stored).map_err(|reason| unopened(reason).into())
}

/// A secret as it is to be stored.
pub(super) fn seal(
    keyring: &Keyring,
    account: &AccountName,
    what: Sealed,
    secret: &SecretString,
) -> Result<Zeroizing<String>, Fault> {
    Ok(keyring.seal(account, what, secret).map_err(Error::from)?)
}

fn all_open(sealings: Vec<Sealing>) -> Result<Vec<Sealing>, Error> {
    let unopened =
        |sealing: &Sealing| Some(Unopened { account: sealing.account.clone(), reason: sealing.fault.clone()? });
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
    let kinds: Vec<Option<Sealed>> =
        names.iter().map(|name| columns.iter().find(|(column, _)| column == name).map(|(_, what)| *what)).collect();
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
                    let sealed = seal(keyring, &account, *what, &secret)?;
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
    truncate(&connection)
}

fn truncate(connection: &Connection) -> rusqlite::Result<bool> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::{DateTime, Utc};
    use secrecy::ExposeSecret;

    use super::*;
    use crate::domain::token::{Origin, RefreshEnding, TokenPair};
    use crate::store::seal::Key;

    fn key(byte: u8) -> Key {
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [byte; 32]);
        Key::parse(&base64.into()).unwrap()
    }

    fn ring(current: u8, old: &[u8]) -> Keyring {
        Keyring::new(key(current), old.iter().copied().map(key).collect())
    }

    fn name(account: &str) -> AccountName {
        account.parse().unwrap()
    }

    /// Long enough to fill pages of their own, as real ones do, and of many lengths.
    fn pair(account: &str, round: usize) -> TokenPair {
        let long = |kind: &str| format!("{kind}-of-{account}-{round}-").repeat(10 + 17 * (round % 9));
        TokenPair {
            access: long("PLAIN-access").into(),
            access_expires_at: DateTime::UNIX_EPOCH,
            refresh: long("PLAIN-refresh").into(),
            obtained_at: DateTime::<Utc>::UNIX_EPOCH,
            scopes: vec!["read".into()],
        }
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("bridge.db")
        }

        async fn open(&self, keyring: Keyring) -> Sqlite {
            Sqlite::open(&self.path(), keyring).await.unwrap()
        }

        /// How often `text` stands in the database's files, byte for byte.
        fn count(&self, text: &str) -> usize {
            let files = std::fs::read_dir(self.0.path()).unwrap();
            let count = |bytes: Vec<u8>| bytes.windows(text.len()).filter(|part| *part == text.as_bytes()).count();
            files.map(|file| count(std::fs::read(file.unwrap().path()).unwrap())).sum()
        }

        /// All rows of sign-ins, as they are stored.
        fn rows(&self) -> Vec<String> {
            let connection = Connection::open(self.path()).unwrap();
            let sql = "SELECT concat_ws('|', account, generation, access, refresh, login_required) FROM logins";
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        }
    }

    async fn refresh_token(store: &Sqlite, account: &str) -> String {
        store.login(&name(account)).await.unwrap().unwrap().tokens.unwrap().refresh.expose_secret().to_owned()
    }

    #[tokio::test]
    async fn sealed_tokens_are_in_no_file_and_come_back() {
        let folder = Folder::new();
        let store = folder.open(ring(1, &[])).await;
        for round in 0..20 {
            store.save_tokens(&name("acme"), pair("acme", round), Origin::SignIn).await.unwrap();
        }
        assert_eq!(folder.count("PLAIN-"), 0);
        assert!(folder.count(&format!("sealed:1:{}:", key(1).id())) > 0);
        let tokens = store.login(&name("acme")).await.unwrap().unwrap().tokens.unwrap();
        assert_eq!(tokens.refresh.expose_secret(), pair("acme", 19).refresh.expose_secret());
        assert_eq!(tokens.access.expose_secret(), pair("acme", 19).access.expose_secret());
        let ending = RefreshEnding::Unreadable("PLAIN-answer".into());
        store.end_refresh(&name("acme"), 1, ending).await.unwrap();
        assert_eq!(folder.count("PLAIN-"), 0);
        assert_eq!(store.kept_answers(&name("acme")).await.unwrap()[0].body.expose_secret(), "PLAIN-answer");
    }

    #[tokio::test]
    async fn after_a_rotation_nothing_unsealed_is_left_in_any_file() {
        let folder = Folder::new();
        let accounts: Vec<String> = (0..40).map(|number| format!("account-{number}")).collect();
        let unsealed = folder.open(Keyring::default()).await;
        // Written by two, in another order each time, so that rows grow, shrink and move between pages.
        let beside = folder.open(Keyring::default()).await;
        for round in 0..12 {
            for (at, account) in accounts.iter().enumerate() {
                let store = if at % 2 == 0 { &unsealed } else { &beside };
                store.save_tokens(&name(account), pair(account, (at * 7 + round) % 12), Origin::SignIn).await.unwrap();
            }
        }
        assert!(folder.count("PLAIN-") > 0);
        let ending = RefreshEnding::Unreadable("PLAIN-answer".into());
        unsealed.end_refresh(&name("account-1"), 1, ending).await.unwrap();
        drop((unsealed, beside));
        let store = folder.open(ring(1, &[])).await;
        assert!(store.verify_seals().await.unwrap().iter().all(|it| it.keys.contains(&None)));
        let rotation = store.rotate().await.unwrap();
        assert!(rotation.is_log_empty && rotation.before.len() == accounts.len());
        assert_eq!(folder.count("PLAIN-"), 0);
        for (at, account) in accounts.iter().enumerate() {
            let expected = pair(account, (at * 7 + 11) % 12);
            assert_eq!(refresh_token(&store, account).await, expected.refresh.expose_secret());
        }
        let kept = store.kept_answers(&name("account-1")).await.unwrap();
        assert_eq!(kept[0].body.expose_secret(), "PLAIN-answer");
    }

    #[tokio::test]
    async fn a_rotation_changes_the_key_and_nothing_else_and_may_be_repeated() {
        let folder = Folder::new();
        let old = folder.open(ring(1, &[])).await;
        for account in ["acme", "ware"] {
            old.save_tokens(&name(account), pair(account, 1), Origin::SignIn).await.unwrap();
        }
        old.require_login(&name("ware"), 1, "refused".into()).await.unwrap();
        folder
            .open(Keyring::default())
            .await
            .save_tokens(&name("shop"), pair("shop", 1), Origin::SignIn)
            .await
            .unwrap();
        let store = folder.open(ring(2, &[1])).await;
        let rotation = store.rotate().await.unwrap();
        let before: Vec<_> = rotation.before.iter().map(|it| it.keys.iter().next().unwrap().clone()).collect();
        assert_eq!(before, [Some(key(1).id().clone()), None, Some(key(1).id().clone())]);
        assert_eq!(folder.count(&key(1).id().to_string()), 0);
        for _ in 0..2 {
            let new = folder.open(ring(2, &[])).await;
            for account in ["acme", "shop", "ware"] {
                assert_eq!(refresh_token(&new, account).await, pair(account, 1).refresh.expose_secret());
            }
            let login = new.login(&name("ware")).await.unwrap().unwrap();
            assert_eq!((login.generation, login.login_required.as_deref()), (1, Some("refused")));
            let again = new.rotate().await.unwrap();
            assert!(again.before.iter().all(|it| it.keys.iter().eq([&Some(key(2).id().clone())])));
        }
    }

    #[tokio::test]
    async fn a_rotation_that_can_not_open_everything_changes_nothing() {
        let folder = Folder::new();
        folder.open(ring(1, &[])).await.save_tokens(&name("acme"), pair("acme", 1), Origin::SignIn).await.unwrap();
        folder.open(ring(3, &[])).await.save_tokens(&name("ware"), pair("ware", 1), Origin::SignIn).await.unwrap();
        let rows = folder.rows();
        let error = folder.open(ring(2, &[1])).await.rotate().await.unwrap_err().to_string();
        assert!(error.contains("account ware") && error.contains(&key(3).id().to_string()), "{error}");
        assert!(!error.contains("account acme"), "{error}");
        assert!(matches!(folder.open(Keyring::default()).await.rotate().await, Err(Error::NoKey)));
        assert_eq!(folder.rows(), rows);
    }

    #[tokio::test]
    async fn a_wrong_key_reads_nothing_and_writes_nothing() {
        let folder = Folder::new();
        let right = folder.open(ring(1, &[])).await;
        right.save_tokens(&name("acme"), pair("acme", 1), Origin::SignIn).await.unwrap();
        let rows = folder.rows();
        for wrong in [ring(2, &[3]), Keyring::default()] {
            let store = folder.open(wrong).await;
            let acme = name("acme");
            let lease = store.take_lease(&acme, LEASE).await.unwrap().unwrap();
            for said in [
                store.verify_seals().await.unwrap_err().to_string(),
                store.login(&acme).await.unwrap_err().to_string(),
                store.begin_refresh(&lease, 1, "name".into(), LEASE).await.unwrap_err().to_string(),
                store.save_tokens(&acme, pair("acme", 2), Origin::SignIn).await.unwrap_err().to_string(),
                store.save_tokens(&acme, pair("acme", 2), Origin::Refresh { of: 1 }).await.unwrap_err().to_string(),
            ] {
                for word in ["account acme", &key(1).id().to_string(), "store.old_encryption_keys", "logout acme"] {
                    assert!(said.contains(word), "{word}: {said}");
                }
            }
            store.release_lease(lease).await.unwrap();
            // What nobody has sealed may be written.
            store.save_tokens(&name("ware"), pair("ware", 1), Origin::SignIn).await.unwrap();
            Connection::open(folder.path()).unwrap().execute("DELETE FROM logins WHERE account = 'ware'", []).unwrap();
        }
        assert_eq!(folder.rows(), rows);
        assert_eq!(refresh_token(&right, "acme").await, pair("acme", 1).refresh.expose_secret());
    }

    #[tokio::test]
    async fn an_old_process_does_not_write_over_what_a_rotation_has_sealed() {
        let folder = Folder::new();
        let old = folder.open(ring(1, &[])).await;
        old.save_tokens(&name("acme"), pair("acme", 1), Origin::SignIn).await.unwrap();
        folder.open(ring(2, &[1])).await.rotate().await.unwrap();
        let rows = folder.rows();
        let error = old.save_tokens(&name("acme"), pair("acme", 2), Origin::SignIn).await.unwrap_err();
        assert!(error.to_string().contains("account acme"), "{error}");
        assert_eq!(folder.rows(), rows);
    }

    #[tokio::test]
    async fn a_sign_out_needs_no_key_and_makes_room_for_a_sign_in() {
        let folder = Folder::new();
        let lost = folder.open(ring(1, &[])).await;
        lost.save_tokens(&name("acme"), pair("acme", 1), Origin::SignIn).await.unwrap();
        let ending = RefreshEnding::Unreadable("PLAIN-answer".into());
        lost.end_refresh(&name("acme"), 1, ending).await.unwrap();
        let store = folder.open(ring(2, &[])).await;
        assert!(store.sign_out(&name("acme")).await.unwrap());
        assert_eq!(store.verify_seals().await.unwrap(), []);
        store.save_tokens(&name("acme"), pair("acme", 2), Origin::SignIn).await.unwrap();
        assert_eq!(refresh_token(&store, "acme").await, pair("acme", 2).refresh.expose_secret());
    }

    #[tokio::test]
    async fn a_rotation_waits_for_a_refresh_that_is_under_way() {
        let folder = Folder::new();
        let old = folder.open(ring(1, &[])).await;
        let acme = name("acme");
        old.save_tokens(&acme, pair("acme", 1), Origin::SignIn).await.unwrap();
        let lease = old.take_lease(&acme, LEASE).await.unwrap().unwrap();
        assert!(old.begin_refresh(&lease, 1, "name".into(), LEASE).await.unwrap());
        let store = folder.open(ring(2, &[1])).await;
        let mut rotation = Box::pin(store.rotate());
        // Polled until it sleeps: it has looked for the lease by then.
        tokio::select! {
            biased;
            rotation = &mut rotation => panic!("{rotation:?}"),
            () = tokio::time::sleep(LEASE_LOOK * 3) => {}
        }
        old.save_tokens(&acme, pair("acme", 2), Origin::Refresh { of: 1 }).await.unwrap();
        old.release_lease(lease).await.unwrap();
        rotation.await.unwrap();
        assert_eq!(refresh_token(&store, "acme").await, pair("acme", 2).refresh.expose_secret());
        assert!(store.take_lease(&acme, LEASE).await.unwrap().is_some(), "it is given back");
    }

    #[tokio::test]
    async fn a_row_of_another_account_does_not_open() {
        let folder = Folder::new();
        let store = folder.open(ring(1, &[])).await;
        store.save_tokens(&name("acme"), pair("acme", 1), Origin::SignIn).await.unwrap();
        let other = Connection::open(folder.path()).unwrap();
        other.execute("UPDATE logins SET account = 'ware'", []).unwrap();
        let error = store.verify_seals().await.unwrap_err().to_string();
        assert!(error.contains("account ware") && error.contains("belongs to another account"), "{error}");
    }

    #[tokio::test]
    async fn a_log_that_somebody_reads_is_said_not_to_be_empty() {
        let folder = Folder::new();
        let store = folder.open(ring(1, &[])).await;
        store.save_tokens(&name("acme"), pair("acme", 1), Origin::SignIn).await.unwrap();
        let reader = Connection::open(folder.path()).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM logins;").unwrap();
        let connection = Connection::open(folder.path()).unwrap();
        connection.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert!(!truncate(&connection).unwrap());
        reader.execute_batch("COMMIT").unwrap();
        assert!(truncate(&connection).unwrap());
    }
}
