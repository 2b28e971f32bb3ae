//! `ffn-bridge parked list|show|retry|drop`: items of feeds that could not be told as events.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use chrono::SubsecRound;
use serde_json::json;

use super::{agreed, clean, complain, feed, opened};
use crate::config::Config;
use crate::domain::account::AccountName;
use crate::domain::feed::FeedName;
use crate::domain::message::rfc3339;
use crate::events::Recorder;
use crate::events::parked::{self, Retried};
use crate::store::{Append, Journal, ParkedEntry, ParkedFilter, Parking, Sqlite};
use crate::telemetry::Chain;

/// Items that are read at a time.
const PAGE: usize = 500;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Lists them, one line each: number, account, feed, when it was read, size, reason
    List(List),
    /// Prints an item's bytes as FFN sent them, and on standard error what is known of it
    Show {
        /// Its number
        #[arg(value_parser = id)]
        id: i64,
    },
    /// Tries again to tell items as events; those that can be told are not parked any more
    Retry(Chosen),
    /// Takes items out for good
    Drop(Removal),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only items of this account
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// Only items of this feed
    #[arg(long, value_name = "NAME", value_parser = feed)]
    feed: Option<FeedName>,
    /// Prints each as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Chosen {
    /// Their numbers
    #[arg(value_name = "ID", value_parser = id)]
    ids: Vec<i64>,
    /// All of them
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Removal {
    #[command(flatten)]
    chosen: Chosen,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

fn id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "an item is named by its number, the first column of `ffn-bridge parked list`".to_owned())
}

pub(super) async fn run(config: &Config, action: &Action) -> anyhow::Result<ExitCode> {
    let store = opened(config).await?;
    match action {
        Action::List(arguments) => list(config, &store, arguments).await,
        Action::Show { id } => show(&store, *id).await,
        Action::Retry(chosen) => retry(config, store, chosen).await,
        Action::Drop(removal) => drop_chosen(&store, removal).await,
    }
}

async fn list(config: &Config, store: &Sqlite, arguments: &List) -> anyhow::Result<ExitCode> {
    if let Some(name) = &arguments.account {
        let filter = ParkedFilter { account: Some(name.to_string()), feed: None };
        // Of one that is no longer in the configuration there may be items.
        if store.parked(filter, 0, 1).await?.is_empty() {
            super::account_named(config, name)?;
        }
    }
    let filter = ParkedFilter {
        account: arguments.account.as_ref().map(ToString::to_string),
        feed: arguments.feed.map(|feed| feed.to_string()),
    };
    let mut after = 0;
    loop {
        let entries = store.parked(filter.clone(), after, PAGE).await?;
        let Some(last) = entries.last() else { return Ok(ExitCode::SUCCESS) };
        after = last.id;
        let mut output = io::stdout().lock();
        for entry in &entries {
            writeln!(output, "{}", if arguments.json { as_json(entry) } else { line(entry) })?;
        }
        output.flush()?;
    }
}

/// An item in one line.
fn line(entry: &ParkedEntry) -> String {
    let ParkedEntry { id, account, feed, reason, recorded_at, size } = entry;
    let at = rfc3339(recorded_at.trunc_subsecs(0));
    format!("{id:>6}  {}  {}  {at}  {size:>7} bytes  {}", clean(account), clean(feed), clean(reason))
}

fn as_json(entry: &ParkedEntry) -> String {
    let ParkedEntry { id, account, feed, reason, recorded_at, size } = entry;
    let at = rfc3339(*recorded_at);
    json!({"id": id, "account": account, "feed": feed, "recordedAt": at, "size": size, "reason": reason}).to_string()
}

async fn show(store: &Sqlite, id: i64) -> anyhow::Result<ExitCode> {
    let Some(parked) = store.parked_item(id).await? else {
        complain(&none(id));
        return Ok(ExitCode::FAILURE);
    };
    complain(&line(&parked.entry));
    let mut output = io::stdout().lock();
    output.write_all(&parked.item)?;
    if output.is_terminal() {
        writeln!(output)?;
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn none(id: i64) -> String {
    format!("ffn-bridge: no item {id} is parked; `ffn-bridge parked list` shows those that are")
}

async fn retry(config: &Config, store: Arc<Sqlite>, chosen: &Chosen) -> anyhow::Result<ExitCode> {
    let mut attempts = Attempts { config, store: store.clone(), recorders: BTreeMap::new(), told: 0, stayed: 0 };
    for id in chosen.ids(&store).await? {
        attempts.attempt(id).await?;
    }
    let Attempts { told, stayed, .. } = attempts;
    writeln!(io::stdout(), "told {told} {}; {stayed} could not be told", if told == 1 { "item" } else { "items" })?;
    Ok(if stayed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Chosen {
    /// Their numbers: those given, or of all that are parked now.
    async fn ids(&self, store: &Sqlite) -> anyhow::Result<Vec<i64>> {
        if !self.all {
            return Ok(self.ids.clone());
        }
        let mut ids = Vec::new();
        loop {
            let entries = store.parked(ParkedFilter::default(), ids.last().copied().unwrap_or_default(), PAGE).await?;
            if entries.is_empty() {
                return Ok(ids);
            }
            ids.extend(entries.iter().map(|entry| entry.id));
        }
    }
}

/// Takes out what a person has seen to. A number that is not there keeps no other.
async fn drop_chosen(store: &Sqlite, Removal { chosen, yes }: &Removal) -> anyhow::Result<ExitCode> {
    if !yes && !io::stdin().is_terminal() {
        complain("ffn-bridge: dropped is gone for good, and there is no terminal to ask on: say --yes");
        return Ok(ExitCode::from(2));
    }
    let (mut found, mut missing) = (BTreeSet::new(), false);
    for id in chosen.ids(store).await? {
        match store.parked_item(id).await? {
            Some(parked) => {
                if found.insert(id) && !yes {
                    writeln!(io::stdout(), "{}", line(&parked.entry))?;
                }
            }
            None => {
                complain(&none(id));
                missing = true;
            }
        }
    }
    let items = format!("{} parked item{}", found.len(), if found.len() == 1 { "" } else { "s" });
    if found.is_empty() || *yes || agreed(&items).await? {
        store.append(Append { unparked: found.into_iter().collect(), ..Append::default() }).await?;
        writeln!(io::stdout(), "dropped {items}")?;
    }
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Items that are tried again, one after the other.
struct Attempts<'c> {
    config: &'c Config,
    store: Arc<Sqlite>,
    recorders: BTreeMap<String, Recorder>,
    told: u64,
    stayed: u64,
}

impl Attempts<'_> {
    async fn attempt(&mut self, id: i64) -> anyhow::Result<()> {
        let Some(parked) = self.store.parked_item(id).await? else {
            complain(&none(id));
            self.stayed += 1;
            return Ok(());
        };
        let stays = match self.recorder(&parked.entry.account) {
            Err(error) => Some(format!("{error:#}")),
            Ok(recorder) => match parked::retry(&recorder, &parked, self.config.store.retention.entities).await {
                Ok(Retried::Told { events }) => {
                    writeln!(
                        io::stdout(),
                        "{id}: told, {events} new {}",
                        if events == 1 { "event" } else { "events" }
                    )?;
                    None
                }
                Ok(Retried::Odd { reason }) => Some(reason),
                Err(error) => Some(Chain(&error).to_string()),
            },
        };
        match stays {
            None => self.told += 1,
            Some(reason) => {
                self.stayed += 1;
                complain(&format!("{id}: stays parked: {}", clean(&reason)));
            }
        }
        Ok(())
    }

    /// An account's recorder, made once.
    fn recorder(&mut self, account: &str) -> anyhow::Result<Recorder> {
        if let Some(recorder) = self.recorders.get(account) {
            return Ok(recorder.clone());
        }
        let name: AccountName = account.parse()?;
        let config = super::account_named(self.config, &name)?;
        let recorder = super::recorder(self.config, config, self.store.clone())?;
        self.recorders.insert(account.to_owned(), recorder.clone());
        Ok(recorder)
    }
}
