//! `ffn-bridge check`: reaches everything the bridge needs and says what is wrong and how to mend it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use super::link;
use super::login::Misfit;
use super::login::fit::{self, Verdict};
use crate::app::Account;
use crate::broker::topology;
use crate::config::Config;
use crate::domain::token::TokenStore;
use crate::ffn::{self, Client, users};
use crate::metrics::Metrics;
use crate::store::{self, Journal, Sqlite};
use crate::telemetry::Chain;

/// What was found, line by line.
struct Findings {
    failed: bool,
}

impl Findings {
    fn good(&mut self, what: &str, detail: &str) -> io::Result<()> {
        writeln!(io::stdout(), "ok    {what}: {detail}")
    }

    /// `remedy` is what to do.
    fn bad(&mut self, what: &str, reason: &str, remedy: &str) -> io::Result<()> {
        self.failed = true;
        writeln!(io::stdout(), "FAIL  {what}: {reason}")?;
        if remedy.is_empty() { Ok(()) } else { writeln!(io::stdout(), "      → {remedy}") }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Prints the configuration first as it counts, each line with where it came from, secrets hidden
    #[arg(long)]
    show_config: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.show_config {
        writeln!(io::stdout(), "{}", config.redacted().trim_end())?;
    }
    let mut findings = Findings { failed: false };
    let accounts = config.accounts.len();
    findings.good("configuration", &format!("{accounts} account{}", if accounts == 1 { "" } else { "s" }))?;
    broker(config, &mut findings).await?;
    match store::open(&config.store).await {
        Ok(store) => {
            for remark in store.remarks() {
                findings.good("store", remark)?;
            }
            if let Err(error) = store.verify_seals().await {
                findings.bad(
                    "store",
                    &Chain(&error).to_string(),
                    "`ffn-bridge keys status` shows which keys are needed",
                )?;
                return Ok(ExitCode::FAILURE);
            }
            match store.probe().await {
                Ok(()) => findings.good("store", &format!("can be written; {}", sealed(config)))?,
                Err(error) => findings.bad("store", &Chain(&error).to_string(), "is the disk full or read-only?")?,
            }
            let metrics = Metrics::new()?;
            for account in &config.accounts {
                let account = Account::new(account, store.clone(), &metrics)?;
                check_account(&account, &store, &mut findings).await?;
            }
        }
        Err(error) => {
            let remedy = "check store.url, and that the folder exists and can be written by this user";
            findings.bad("store", &Chain(&error).to_string(), remedy)?;
        }
    }
    Ok(if findings.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// How tokens are stored from now on.
fn sealed(config: &Config) -> String {
    match config.store.keyring.current() {
        Some(key) => format!("tokens are sealed with key {}", key.id()),
        None => "tokens are stored unsealed (store.encryption_key seals them)".to_owned(),
    }
}

async fn broker(config: &Config, findings: &mut Findings) -> io::Result<()> {
    let link = link(config, "check");
    match topology::inspect(&link, &config.broker).await {
        Ok(topology::Inspection { missing, problems }) => {
            for problem in &problems {
                findings.bad("broker", &format!("{}: {}", problem.what, problem.reason), &problem.remedy)?;
            }
            if problems.is_empty() && missing.is_empty() {
                findings.good("broker", "connected; exchanges and queues are as they should be")?;
            } else if problems.is_empty() {
                let count = missing.len();
                findings.good("broker", &format!("connected; {count} exchanges and queues will be made at start"))?;
            }
        }
        Err(error) => {
            let remedy = error.hint().unwrap_or_default();
            findings.bad("broker", &error.to_string(), remedy)?;
        }
    }
    link.close().await;
    Ok(())
}

async fn check_account(account: &Account, store: &Arc<Sqlite>, findings: &mut Findings) -> anyhow::Result<()> {
    let name = account.client.account();
    let what = format!("account {name}");
    match store.login(name).await {
        Ok(None) => {
            findings.bad(&what, "nobody has signed in yet", &format!("run `ffn-bridge login {name}`"))?;
            return Ok(());
        }
        Ok(Some(_)) => {}
        Err(error) => {
            findings.bad(&what, &Chain(&error).to_string(), "")?;
            return Ok(());
        }
    }
    match sign_in_and_call(account, store).await {
        Ok(Verdict::Fits(user)) => {
            let user = user.map(|user| format!(" as {user}")).unwrap_or_default();
            findings.good(&what, &format!("signed in{user}; tokens, scopes and role fit, and the API works"))?;
        }
        Ok(Verdict::Misfit(Misfit { why, remedy })) => findings.bad(&what, &why, &remedy)?,
        Ok(Verdict::Unknown(why)) => {
            let remedy = "the tokens work; run `ffn-bridge check` again in a while";
            findings.bad(&what, &format!("whether its role is the right one could not be checked: {why}"), remedy)?;
        }
        Err(error) => {
            let remedy = remedy(&error, &account.client, account);
            findings.bad(&what, &Chain(&error).to_string(), &remedy)?;
        }
    }
    Ok(())
}

/// Renews the tokens, which proves client secret and refresh token, calls the API with the new ones, and looks
/// whether scopes and role fit the configuration.
async fn sign_in_and_call(account: &Account, store: &Arc<Sqlite>) -> Result<Verdict, ffn::Error> {
    let (client, config) = (&account.client, &account.config.ffn);
    let no_token = |source| ffn::Error::NoToken { operation: "users.current", source };
    let token = account.auth.access_token().await.map_err(no_token)?;
    account.auth.rejected(&token).await.map_err(no_token)?;
    let user = users::current_user(client).await?;
    let token = account.auth.access_token().await.map_err(no_token)?;
    let login = store.login(&config.account).await.map_err(|error| no_token(error.into()))?;
    let granted = login.and_then(|login| login.tokens).map(|pair| pair.scopes).unwrap_or_default();
    if let Some(misfit) = fit::scopes(config, &granted) {
        return Ok(Verdict::Misfit(misfit));
    }
    Ok(fit::prove(client, config, &granted, &token, Some(user)).await)
}

fn remedy(error: &ffn::Error, client: &Client, account: &Account) -> String {
    let name = client.account();
    let config = &account.config.ffn;
    match error {
        ffn::Error::NoToken { source: ffn::auth::Error::ClientRefused { .. }, .. } => {
            format!("check client_id and client_secret of account {name}; the refresh token was not spent")
        }
        ffn::Error::NoToken { source: ffn::auth::Error::NeedsLogin { .. }, .. } => {
            format!("run `ffn-bridge login {name}`: a person has to sign in again")
        }
        ffn::Error::NoToken { source: ffn::auth::Error::Temporary { .. } | ffn::auth::Error::Busy { .. }, .. } => {
            format!("is {} reachable from here? The tokens are kept; try again", config.token_url)
        }
        ffn::Error::NotSent { .. } | ffn::Error::NoAnswer { .. } => {
            format!("is {} reachable from here, and is base_url right?", config.base_url)
        }
        ffn::Error::Refused(refusal) if refusal.status.as_u16() == 404 => {
            "sign in to the fulfillment portal once with this JTL account, so that FFN knows it, and check base_url"
                .to_owned()
        }
        ffn::Error::Refused(refusal) if refusal.status.as_u16() == 403 => {
            format!(
                "the sign-in lacks a scope for role {}: run `ffn-bridge login {name}` and allow all it asks for",
                config.role
            )
        }
        _ => String::new(),
    }
}
