//! `ffn-bridge keys`: the keys that seal stored tokens.
//!
//! How a key is changed while the bridge runs: the new key becomes `store.encryption_key`, the old one goes
//! to `store.old_encryption_keys`, and the bridge is restarted; `keys rotate` seals everything with the new
//! key; then the old one is taken out of the configuration.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::Config;
use crate::store::seal::{Key, KeyId, Keyring};
use crate::store::{Rotation, Sealing};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Prints a new key
    Generate,
    /// Shows which keys seal which sign-ins
    Status,
    /// Seals every stored token with store.encryption_key; beside a running bridge as well
    Rotate,
}

/// Prints a key alone to standard output, so that it can go to a file, and what to do with it beside it.
pub(super) fn generate() -> anyhow::Result<ExitCode> {
    let key = Key::generate()?;
    super::complain(&format!(
        "A new key, its id is {}. Keep it where only the bridge can read it, and a copy in a safe place: without it\n\
         the tokens can't be read, and every account has to sign in again. Refer to it in the configuration:\n\n\
         [store]\n\
         encryption_key = {{ file = \"PATH\" }}   # or {{ env = \"NAME\" }}\n\n\
         A key that was there before goes to old_encryption_keys. Restart the bridge, then run `ffn-bridge keys rotate`.",
        key.id()
    ));
    writeln!(io::stdout(), "{}", key.to_base64().as_str())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(config: &Config, action: &Action) -> anyhow::Result<ExitCode> {
    let keyring = &config.store.keyring;
    match action {
        Action::Generate => generate(),
        Action::Status => {
            let sealings = super::opened(config).await?.sealings().await?;
            Ok(status(keyring, &sealings, &mut io::stdout().lock())?)
        }
        Action::Rotate => {
            let rotation = super::opened(config).await?.rotate().await?;
            Ok(rotated(keyring, &rotation, &mut io::stdout().lock())?)
        }
    }
}

/// A line for each key. Exit code 1 if a sign-in can't be opened.
fn status(keyring: &Keyring, sealings: &[Sealing], output: &mut impl Write) -> io::Result<ExitCode> {
    let mut used: BTreeMap<Option<KeyId>, Vec<&str>> = BTreeMap::new();
    for sealing in sealings {
        for key in &sealing.keys {
            used.entry(key.clone()).or_default().push(&sealing.account);
        }
    }
    if keyring.current().is_none() {
        writeln!(output, "no key is configured: tokens are stored unsealed (`ffn-bridge keys generate` makes a key)")?;
    }
    let unsealed = used.remove(&None);
    for (at, id) in keyring.ids().enumerate() {
        let place = if at == 0 { "store.encryption_key" } else { "store.old_encryption_keys" };
        let sealed = used.remove(&Some(id.clone()));
        let hint = if at > 0 && sealed.is_none() { ": it can be taken out" } else { "" };
        writeln!(output, "key {id} ({place}) seals {}{hint}", listed(sealed))?;
    }
    for (id, accounts) in used {
        let Some(id) = id else { continue };
        writeln!(output, "key {id} is not configured and seals {}", listed(Some(accounts)))?;
    }
    if let Some(accounts) = unsealed {
        let hint = if keyring.current().is_some() { ": `ffn-bridge keys rotate` seals it" } else { "" };
        writeln!(output, "unsealed: {}{hint}", listed(Some(accounts)))?;
    }
    let mut code = ExitCode::SUCCESS;
    for Sealing { account, fault, .. } in sealings {
        if let Some(fault) = fault {
            code = ExitCode::FAILURE;
            writeln!(output, "the sign-in of {account} can't be opened: {fault}")?;
        }
    }
    Ok(code)
}

/// Exit code 1 if something of what was there before may be left in the log.
fn rotated(keyring: &Keyring, rotation: &Rotation, output: &mut impl Write) -> io::Result<ExitCode> {
    let Some(current) = keyring.current().map(Key::id) else { return Ok(ExitCode::FAILURE) };
    let (already, anew): (Vec<&Sealing>, Vec<&Sealing>) =
        rotation.before.iter().partition(|it| it.keys.iter().all(|key| key.as_ref() == Some(current)));
    let names = |sealings: &[&'_ Sealing]| listed(Some(sealings.iter().map(|it| it.account.as_str()).collect()));
    if !anew.is_empty() {
        writeln!(output, "sealed with key {current} now: {}", names(&anew))?;
    }
    if !already.is_empty() {
        writeln!(output, "sealed with key {current} before, and anew: {}", names(&already))?;
    }
    if rotation.before.is_empty() {
        writeln!(output, "nobody has signed in yet: there is nothing to seal")?;
    }
    if keyring.ids().count() > 1 {
        writeln!(
            output,
            "No older key is needed any more: take store.old_encryption_keys out and restart the bridge."
        )?;
    }
    if rotation.is_log_empty {
        return Ok(ExitCode::SUCCESS);
    }
    super::complain(
        "ffn-bridge: the database's log could not be emptied, because somebody is reading it. It may still hold what \
         the tokens were before. Run `ffn-bridge keys rotate` again later",
    );
    Ok(ExitCode::FAILURE)
}

/// `2 sign-ins (acme, ware)`.
fn listed(accounts: Option<Vec<&str>>) -> String {
    match accounts.as_deref() {
        None | Some([]) => "nothing".to_owned(),
        Some([one]) => format!("1 sign-in ({one})"),
        Some(many) => format!("{} sign-ins ({})", many.len(), many.join(", ")),
    }
}
