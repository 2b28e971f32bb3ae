//! The command line. Exit codes: 0 done, 1 failed, 2 bad usage or configuration.
//!
//! Errors go to standard error and say what happened, why, and what to do next.

mod backfill;
mod check;
mod dead_letters;
mod keys;
mod login;
mod logout;
mod parked;
mod progress;
mod replay;
mod schema;
mod send;
mod tail;
mod topology;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};

use crate::app::{Account, App, Signals};
use crate::broker::Link;
use crate::config::{self, AccountConfig, Config};
use crate::domain::account::AccountName;
use crate::domain::feed::FeedName;
use crate::events::Recorder;
use crate::ffn::shipping_methods::ShippingMethods;
use crate::metrics::Metrics;
use crate::store::{self, Database, Sqlite};
use crate::telemetry;

/// Connects the JTL Fulfillment Network (FFN) with RabbitMQ: changes come out as events, commands go in as messages.
#[derive(Debug, Parser)]
#[command(name = "ffn-bridge", version, arg_required_else_help = true)]
struct Cli {
    /// The configuration file [default: ffn-bridge.toml, if it is there]
    #[arg(long, global = true, env = "FFN_BRIDGE_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the bridge until SIGTERM; drains, then stops
    Run,
    /// Validates the configuration and reaches the broker, the store and each account's API
    Check(check::Arguments),
    /// Shows what the broker has against what the bridge needs
    Topology(topology::Arguments),
    /// Signs an account in at FFN, or shows its sign-in
    Login(login::Arguments),
    /// Signs an account out: forgets its tokens
    Logout(logout::Arguments),
    /// Makes, shows and changes the keys that seal stored tokens
    #[command(subcommand)]
    Keys(keys::Action),
    /// Shows events as they arrive
    Tail(tail::Arguments),
    /// Reads a past period of an account's feeds again, beside live traffic
    Backfill(backfill::Arguments),
    /// Publishes events of the journal again
    Replay(replay::Arguments),
    /// Shows items of feeds that could not be told as events, and tries them again
    #[command(subcommand)]
    Parked(parked::Action),
    /// Looks at commands that failed, puts them back, or deletes them
    #[command(subcommand)]
    DeadLetters(dead_letters::Action),
    /// Publishes a command
    Send(send::Arguments),
    /// Prints the JSON Schema of a message, or the list of them
    Schema(schema::Arguments),
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Schema(arguments) = &cli.command {
        return finish(schema::run(arguments));
    }
    if let Command::Keys(keys::Action::Generate) = &cli.command {
        return finish(keys::generate());
    }
    let config = match config::load(cli.config.as_deref(), config::environment()) {
        Ok(config) => config,
        Err(errors) => {
            complain(&errors.to_string());
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime.context("the runtime can't be started") {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(error)),
    };
    let code = finish(runtime.block_on(run(cli.command, config)));
    // What still runs after an aborted stop is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

async fn run(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    if matches!(command, Command::Run) {
        telemetry::init(&config.log)?;
    }
    match command {
        Command::Run => bridge(config).await,
        Command::Check(arguments) => check::run(&config, &arguments).await,
        Command::Topology(arguments) => topology::run(&config, &arguments).await,
        Command::Login(arguments) => login::run(&config, &arguments).await,
        Command::Logout(arguments) => logout::run(&config, &arguments).await,
        Command::Keys(action) => keys::run(&config, &action).await,
        Command::Tail(arguments) => tail::run(&config, &arguments).await,
        Command::Backfill(arguments) => backfill::run(&config, &arguments).await,
        Command::Replay(arguments) => replay::run(&config, &arguments).await,
        Command::Parked(action) => parked::run(&config, &action).await,
        Command::DeadLetters(action) => dead_letters::run(&config, &action).await,
        Command::Send(arguments) => send::run(&config, &arguments).await,
        // Needs no configuration and was done before it was read.
        Command::Schema(arguments) => schema::run(&arguments),
    }
}

async fn bridge(config: Config) -> anyhow::Result<ExitCode> {
    let signals = Signals::new().context("signals can't be received")?;
    let app = App::build(config).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %app.address(), "the bridge starts");
    // Without a terminal the log says it.
    let bar = io::stderr().is_terminal().then(|| tokio::spawn(progress::of_snapshots(app.progress())));
    let ended = app.run(signals).await;
    if let Some(bar) = bar {
        bar.abort();
        // A bar that can't be taken away is no reason to fail.
        drop(telemetry::BARS.clear());
    }
    ended?;
    tracing::info!("the bridge has stopped");
    Ok(ExitCode::SUCCESS)
}

/// A mistake in the usage that only the configuration or FFN shows: the exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// The account of that name.
///
/// # Errors
/// There is none, which is bad usage; the sentence names those that there are.
fn account_named<'c>(config: &'c Config, name: &AccountName) -> anyhow::Result<&'c AccountConfig> {
    let found = config.accounts.iter().find(|account| account.ffn.account == *name);
    found.with_context(|| {
        let names: Vec<&str> = config.accounts.iter().map(|account| account.ffn.account.as_str()).collect();
        let (name, names) = (name.as_str(), names.join(", "));
        Usage(format!("there is no account {name:?} in the configuration; there is {names}"))
    })
}

/// The store that is there, for a command of a person's.
///
/// # Errors
/// There is none: one that is made for the occasion would have nothing to show, and hide that it is the wrong one.
async fn opened(config: &Config) -> anyhow::Result<Arc<Sqlite>> {
    let Database::Sqlite { path } = &config.store.database;
    if matches!(path.try_exists(), Ok(false)) {
        let shown = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        anyhow::bail!(
            "there is no database {}\n  check store.url: a path without a / in front begins at the working directory; \
             `ffn-bridge login` or the bridge's first start makes it",
            shown.display()
        );
    }
    opened_or_made(config).await
}

/// The store, made where it is not there yet; who asks is told what they should know of its opening.
async fn opened_or_made(config: &Config) -> anyhow::Result<Arc<Sqlite>> {
    let store = store::open(&config.store).await?;
    store.remarks().iter().for_each(|remark| complain(remark));
    Ok(store)
}

/// What records items of an account's feeds, for a command of a person's.
fn recorder(config: &Config, account: &AccountConfig, store: Arc<Sqlite>) -> anyhow::Result<Recorder> {
    let metrics = Metrics::new()?;
    let made = Account::new(account, store.clone(), &metrics)?;
    let methods = ShippingMethods::new(made.client.clone());
    Ok(Recorder {
        shipping_methods: Arc::new(methods.with_patience(account.events.stalled_after)),
        client: made.client,
        journal: store,
        exchange: config.broker.events_exchange.clone(),
        mode: config.broker.event_mode,
        metrics: metrics.events,
    })
}

/// A feed by its name.
fn feed(text: &str) -> Result<FeedName, String> {
    let all = || FeedName::ALL.map(FeedName::as_str).join(", ");
    text.parse().map_err(|()| format!("it is no feed; there is {}", all()))
}

/// An instant, or a stretch of time that ends now.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&Utc));
    }
    let back = humantime::parse_duration(text).ok().and_then(|back| chrono::TimeDelta::from_std(back).ok());
    back.and_then(|back| Utc::now().checked_sub_signed(back)).ok_or_else(|| {
        "write an instant with its time zone, such as 2026-11-01T00:00:00Z, or how long ago, such as 2h or 3days"
            .to_owned()
    })
}

/// Asks on the terminal whether so many are to be dropped.
async fn agreed(what: &str) -> anyhow::Result<bool> {
    write!(io::stderr(), "drop {what} for good? Type yes: ")?;
    // Connections live meanwhile.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(answer.await??.trim() == "yes")
}

/// A connection to the broker for a command of a person's.
fn link(config: &Config, name: &str) -> Arc<Link> {
    Arc::new(Link::new(config.broker.url.clone(), name, None))
}

/// An error of the broker as a person reads it.
fn explained(error: crate::broker::Error) -> anyhow::Error {
    match error.hint() {
        Some(hint) => anyhow::anyhow!("{error}\n  {hint}"),
        None => error.into(),
    }
}

fn finish(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        // Whoever reads our output has enough: `ffn-bridge tail | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("ffn-bridge: {error:#}"));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Text from outside without what a terminal would act on.
fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// Writes to standard error; there is nobody to tell if that fails.
fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{}", text.trim_end()));
}
