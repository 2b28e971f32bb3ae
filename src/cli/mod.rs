//! The command line. Exit codes: 0 done, 1 failed, 2 bad usage or configuration.
//!
//! Errors go to standard error and say what happened, why, and what to do next.

mod check;
mod keys;
pub mod login;
mod schema;
mod send;
mod tail;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::app::{Account, App, Signals};
use crate::broker::Link;
use crate::config::{self, Config};
use crate::domain::account::AccountName;
use crate::domain::token::TokenStore;
use crate::metrics::Metrics;
use crate::store::{self, Sqlite};
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
    /// Signs an account in at FFN
    Login(LoginArgs),
    /// Makes, shows and changes the keys that seal stored tokens
    #[command(subcommand)]
    Keys(keys::Action),
    /// Shows events as they arrive
    Tail(tail::Arguments),
    /// Publishes a command
    Send(send::Arguments),
    /// Prints the JSON Schema of a message, or the list of them
    Schema(schema::Arguments),
}

#[derive(Debug, Args)]
struct LoginArgs {
    /// The account, as it is called in the configuration
    account: AccountName,
    /// Prints the URL and reads the answer, for a machine without a browser
    #[arg(long, conflicts_with = "refresh_token")]
    manual: bool,
    /// Adopts a refresh token that exists already: `-` reads it from standard input
    #[arg(long, value_name = "-", value_parser = ["-"])]
    refresh_token: Option<String>,
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
        Command::Login(arguments) => sign_in(&config, &arguments).await,
        Command::Keys(action) => keys::run(&config, &action).await,
        Command::Tail(arguments) => tail::run(&config, &arguments).await,
        Command::Send(arguments) => send::run(&config, &arguments).await,
        // Needs no configuration and was done before it was read.
        Command::Schema(arguments) => schema::run(&arguments),
    }
}

async fn bridge(config: Config) -> anyhow::Result<ExitCode> {
    let signals = Signals::new().context("signals can't be received")?;
    let app = App::build(config).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %app.address(), "the bridge starts");
    app.run(signals).await?;
    tracing::info!("the bridge has stopped");
    Ok(ExitCode::SUCCESS)
}

async fn sign_in(config: &Config, arguments: &LoginArgs) -> anyhow::Result<ExitCode> {
    let names: Vec<&str> = config.accounts.iter().map(|account| account.ffn.account.as_str()).collect();
    let found = config.accounts.iter().find(|account| account.ffn.account == arguments.account);
    let account = found.with_context(|| {
        format!(
            "there is no account {:?} in the configuration; there is {}",
            arguments.account.as_str(),
            names.join(", ")
        )
    })?;
    let store = opened(config).await?;
    // Before the person is sent to the browser: what they bring could not be stored.
    store.login(&arguments.account).await?;
    let metrics = Metrics::new()?;
    let Account { config: account, auth, client } = Account::new(account, store, &metrics)?;
    let way = match (&arguments.refresh_token, arguments.manual) {
        (Some(_), _) => login::Way::RefreshToken,
        (None, true) => login::Way::Manual,
        (None, false) => login::Way::Browser,
    };
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    login::login(&auth, &client, &account.ffn, way, input, &mut io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

/// The store, for a command of a person's; they are told what they should know of its opening.
async fn opened(config: &Config) -> anyhow::Result<Arc<Sqlite>> {
    let store = store::open(&config.store).await?;
    store.remarks().iter().for_each(|remark| complain(remark));
    Ok(store)
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
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard error; there is nobody to tell if that fails.
fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{}", text.trim_end()));
}
