//! The whole configuration: the sum of the components' sections, from a file and the environment.
//!
//! A file of TOML (`ffn-bridge.toml`, annotated in `ffn-bridge.example.toml`) is read into a tree in which
//! every value knows its place (`tree`). The environment is laid over it (`overlay`). Then each section
//! (`sections`, `account`) asks for its keys through a small reader (`section`), which notes what is
//! wrong and goes on, so that one run tells all of it (`error`).

mod account;
mod error;
mod overlay;
mod read;
mod secret;
mod section;
mod sections;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;

use crate::{broker, commands, events, ffn, store, telemetry};

pub use error::{Errors, Place, Problem};

use section::Section;
use tree::Node;
use value::{Source, Value};

/// The file that is read unless another is named.
pub const DEFAULT_FILE: &str = "ffn-bridge.toml";

/// The whole configuration, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker.
    pub broker: broker::Config,
    /// The store.
    pub store: store::Config,
    /// The admin server.
    pub http: HttpConfig,
    /// Logs.
    pub log: telemetry::Config,
    /// Commands.
    pub commands: commands::Config,
    /// The accounts, at least one; no two have the same name.
    pub accounts: Vec<AccountConfig>,
    /// What [`Config::redacted`] shows.
    pub effective: String,
}

/// The admin server: metrics, health, status.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Token for whatever changes state.
    pub admin_token: Option<SecretString>,
}

/// One account: its API and its feeds.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// The way to the API.
    pub ffn: ffn::Config,
    /// How its feeds are read.
    pub events: events::Config,
}

impl Config {
    /// The effective configuration as TOML: each key with where it came from, no secret.
    pub fn redacted(&self) -> String {
        self.effective.clone()
    }
}

/// This process's environment, as [`load`] takes it. What is not UTF-8 is left out.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

/// Loads the configuration from a file and the environment.
///
/// With `None` the file is [`DEFAULT_FILE`] in the working directory, which need not be there.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Config, Errors> {
    let file = path.unwrap_or(Path::new(DEFAULT_FILE));
    let about_file = |message: String| vec![Problem { place: Place::Nowhere, key: String::new(), message }];
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text, file, env),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_none() => {
            parse("", file, env).map_err(|errors| {
                let hint = "there is no such file here: write one, or name one with --config PATH or FFN_BRIDGE_CONFIG";
                Errors::new(file, [errors.problems(), &about_file(hint.to_owned())].concat())
            })
        }
        Err(error) => Err(Errors::new(file, about_file(format!("can't be read: {error}")))),
    }
}

/// Reads the configuration from a text, which messages call `file`. Secrets in files are looked for
/// beside `file`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse(text: &str, file: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Config, Errors> {
    let env: BTreeMap<String, String> = env.collect();
    let mut tree = Node::document(text).map_err(|problems| Errors::new(file, problems))?;
    let problems = RefCell::new(overlay::overlay(&mut tree, &env));
    let source = Source { file, env: &env, problems, effective: RefCell::default() };
    let config = Value::new(&tree, String::new(), &source).table("a table", whole);
    let effective = source.effective.into_inner();
    match (config, source.problems.into_inner()) {
        (Some(config), problems) if problems.is_empty() => {
            Ok(Config { effective: effective.join("\n") + "\n", ..config })
        }
        (_, problems) => Err(Errors::new(file, problems)),
    }
}

fn whole(root: &mut Section<'_>) -> Option<Config> {
    let broker = root.section("broker", sections::broker);
    let store = root.section("store", sections::store);
    let http = root.section("http", sections::http);
    let log = root.section("log", sections::log);
    let commands = root.section("commands", sections::commands);
    let mut names = HashMap::new();
    let accounts = root.sections("accounts", account::EXAMPLE, |section| {
        let account = account::account(section);
        let path = section.value.path.clone();
        match section.text("name").and_then(|name| names.insert(name, path)) {
            Some(other) => section.refuse("name", format!("{other} has this name already: give each account its own")),
            None => account,
        }
    });
    let (commands, retry_steps) = commands?;
    let accounts = accounts?;
    let names = accounts.iter().map(|account| account.ffn.account.clone()).collect();
    Some(Config {
        broker: broker::Config { retry_steps, accounts: names, ..broker? },
        store: store?,
        http: http?,
        log: log?,
        commands,
        accounts,
        effective: String::new(),
    })
}
