//! `ffn-bridge logout ACCOUNT`: forgets an account's tokens.
//!
//! FFN has no way known to us to revoke tokens (contract 2), so nobody is called: what is stored here is
//! forgotten. It works for accounts that are no longer in the configuration, and without reading the tokens.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chrono::Utc;

use super::login::moment;
use super::{account_named, opened};
use crate::config::Config;
use crate::domain::account::AccountName;
use crate::domain::token::TokenStore;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The access and refresh token and the kept answers of the account are removed from the database. FFN has no way known \
to us to revoke tokens: an access token that is out lives until it ends, at most 30 minutes. A running bridge on the same \
database notices within seconds and stops calling for this account until somebody signs in.")]
pub(super) struct Arguments {
    /// The account; also one that is no longer in the configuration
    account: AccountName,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let name = &arguments.account;
    let store = opened(config).await?;
    // Only for a word about how long the access token lives on: what can't be read is forgotten all the same.
    let pair = store.login(name).await.ok().flatten().and_then(|login| login.tokens);
    let was_signed_in =
        store.sign_out(name).await.with_context(|| format!("the tokens of account {name} could not be removed"))?;
    let mut output = io::stdout();
    if !was_signed_in {
        account_named(config, name)?;
        writeln!(output, "Account {name} is not signed in: there was nothing to forget.")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(output, "Account {name} is signed out: its tokens are removed from the database.")?;
    let end = match pair.map(|pair| pair.access_expires_at) {
        Some(end) if end <= Utc::now() => "The last access token has ended already.".to_owned(),
        Some(end) => format!(
            "FFN has no way known to us to revoke tokens, so the last access token lives until {}.",
            moment(end)
        ),
        None => "FFN has no way known to us to revoke tokens, so the last access token lives for up to 30 minutes."
            .to_owned(),
    };
    writeln!(output, "{end}")?;
    if account_named(config, name).is_ok() {
        writeln!(
            output,
            "A running bridge notices within seconds and makes no calls for {name} until `ffn-bridge login {name}`."
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
