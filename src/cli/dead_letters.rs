//! `ffn-bridge dead-letters list|show|requeue|drop`: commands that failed, looked at and put back.
//!
//! Works on the queue alone, over AMQP, beside a running bridge or without one.

mod show;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, SubsecRound, Utc};
use serde_json::json;

use super::{agreed, clean, complain, explained, link, time};
use crate::app::Signals;
use crate::broker::{Browse, Link, Publisher};
use crate::commands::dead_letters::{DeadLetter, Filter, put_back};
use crate::config::Config;
use crate::domain::message::rfc3339;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Lists them, one line each: last and first failure, attempts, code, routing key, id, message
    List(List),
    /// Prints all that is known of one: properties, headers, body
    Show {
        /// The command's id, as `list` shows it
        id: String,
    },
    /// Puts them back among the commands, to be executed anew
    Requeue(Selection),
    /// Deletes them for good
    Drop(Removal),
}

#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only this id; may be repeated
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only of this account; may be repeated
    #[arg(long, value_name = "NAME")]
    account: Vec<String>,
    /// Only of this command, in which * is any run of characters: `outbound.*`; may be repeated
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
    /// Only with this error code; may be repeated
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,
    /// Only what last failed then or later: `2026-11-01T00:00:00Z`, or so long ago: `2h`
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Only what last failed before then, or longer ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<DateTime<Utc>>,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    filters: Filters,
    /// Prints each as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    filters: Filters,
    /// All of them; needed where no other option chooses
    #[arg(long)]
    all: bool,
    /// Lists what it would be done with, and does nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Removal {
    #[command(flatten)]
    selection: Selection,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

impl Filters {
    fn filter(&self) -> Filter {
        Filter {
            ids: self.id.clone(),
            accounts: self.account.clone(),
            commands: self.command.clone(),
            codes: self.code.clone(),
            since: self.since,
            before: self.older_than,
        }
    }
}

impl Selection {
    /// What is chosen; a complaint if nothing is.
    fn filter(&self) -> Result<Filter, ExitCode> {
        let filter = self.filters.filter();
        match (filter.is_empty(), self.all) {
            (true, false) => {
                complain("ffn-bridge: say which: --id, --account, --command, --code, --since, --older-than, or --all");
                Err(ExitCode::from(2))
            }
            (false, true) => {
                complain("ffn-bridge: --all and a choice exclude each other: leave one of them out");
                Err(ExitCode::from(2))
            }
            _ => Ok(filter),
        }
    }
}

pub(super) async fn run(config: &Config, action: &Action) -> anyhow::Result<ExitCode> {
    let work = match action {
        Action::List(List { filters, json }) => Work { filter: filters.filter(), todo: Todo::List { json: *json } },
        Action::Show { id } => Work { filter: Filter { ids: vec![id.clone()], ..Filter::default() }, todo: Todo::Show },
        Action::Requeue(selection) => match selection.filter() {
            Ok(filter) if selection.dry_run => Work { filter, todo: Todo::Rehearse("would be put back") },
            Ok(filter) => Work { filter, todo: Todo::PutBack },
            Err(code) => return Ok(code),
        },
        Action::Drop(Removal { selection, yes }) => match selection.filter() {
            Ok(filter) if selection.dry_run => Work { filter, todo: Todo::Rehearse("would be dropped") },
            Ok(filter) if *yes => Work { filter, todo: Todo::Drop },
            Ok(filter) if io::stdin().is_terminal() => Work { filter, todo: Todo::AskAndDrop },
            Ok(_) => {
                complain("ffn-bridge: dropped is gone for good, and there is no terminal to ask on: say --yes");
                return Ok(ExitCode::from(2));
            }
            Err(code) => return Ok(code),
        },
    };
    let link = link(config, "dead-letters");
    let done = work.through(config, &link).await;
    link.close().await;
    done
}

/// What is done with the letters that fit.
enum Todo {
    List { json: bool },
    Show,
    Rehearse(&'static str),
    PutBack,
    Drop,
    AskAndDrop,
}

struct Work {
    filter: Filter,
    todo: Todo,
}

/// What was met on the way.
#[derive(Default)]
struct Tally {
    fit: u64,
    done: u64,
    /// Ids that were asked for and have been met.
    met: Vec<String>,
    interrupted: bool,
}

impl Work {
    async fn through(&self, config: &Config, link: &Arc<Link>) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::new()?;
        let mut publisher = match self.todo {
            Todo::PutBack => {
                let channel = link.channel().await.map_err(explained)?;
                Some(Publisher::on(link.clone(), channel).await.map_err(explained)?)
            }
            _ => None,
        };
        let mut browse = Browse::begin(link, &config.broker.dead_letter_queue).await.map_err(explained)?;
        let mut tally = Tally::default();
        let mut chosen = Vec::new();
        let ended: anyhow::Result<()> = async {
            loop {
                let next = tokio::select! {
                    biased;
                    () = signals.recv() => {
                        tally.interrupted = true;
                        return Ok(());
                    }
                    next = browse.next() => next?,
                };
                let Some(delivery) = next else { break };
                let letter = DeadLetter::read(&delivery);
                if !self.filter.fits(&letter) {
                    continue;
                }
                tally.fit += 1;
                if !self.filter.ids.is_empty() {
                    tally.met.push(letter.id.clone());
                }
                match (&self.todo, &mut publisher) {
                    (Todo::List { json: true }, _) => writeln!(io::stdout(), "{}", as_json(&letter))?,
                    (Todo::List { .. } | Todo::Rehearse(_), _) => writeln!(io::stdout(), "{}", line(&letter))?,
                    (Todo::Show, _) => show::show(&delivery, &letter)?,
                    (Todo::PutBack, Some(publisher)) => {
                        put_back(&mut browse, publisher, &config.broker, &delivery).await.with_context(|| {
                            format!(
                                "{} could not be put back: it is still a dead letter, though a copy may be among the \
                                 commands, which does no harm",
                                clean(&letter.id)
                            )
                        })?;
                        tally.done += 1;
                    }
                    (Todo::Drop | Todo::PutBack, _) => {
                        browse.settle(&delivery).await?;
                        tally.done += 1;
                    }
                    (Todo::AskAndDrop, _) => {
                        writeln!(io::stdout(), "{}", line(&letter))?;
                        chosen.push(delivery);
                    }
                }
            }
            if !chosen.is_empty() && agreed(&letters(chosen.len() as u64)).await? {
                for delivery in &chosen {
                    browse.settle(delivery).await?;
                    tally.done += 1;
                }
            }
            Ok(())
        }
        .await;
        let (left, others) = (browse.left(), browse.others());
        let settled = browse.end(link).await;
        let code = self.summarize(&tally, left, others, config)?;
        ended?;
        settled.context("what was done last may have to be done again: some may still be dead letters")?;
        Ok(code)
    }

    /// Says what was done and what was not seen; gives the exit code.
    fn summarize(&self, tally: &Tally, left: u32, others: u32, config: &Config) -> io::Result<ExitCode> {
        let queue = &config.broker.dead_letter_queue;
        let Tally { fit, done, met, interrupted } = tally;
        match self.todo {
            Todo::List { .. } => complain(&format!("{} in {queue}", letters(*fit))),
            Todo::Rehearse(what) => complain(&format!("{} {what}", letters(*fit))),
            Todo::Show => {}
            Todo::PutBack => writeln!(io::stdout(), "put back {}", letters(*done))?,
            Todo::Drop | Todo::AskAndDrop => writeln!(io::stdout(), "dropped {}", letters(*done))?,
        }
        if *interrupted {
            complain("interrupted; the others were left alone");
        } else if left > 0 {
            complain(&format!(
                "{left} more were there and were not seen: somebody else has taken them, or they are too many for one look"
            ));
        }
        if others > 0 {
            complain(&format!(
                "{others} other consumer{} of {queue}: what it holds is not seen here",
                if others == 1 { "" } else { "s" }
            ));
        }
        let missing: Vec<String> =
            self.filter.ids.iter().filter(|id| !met.contains(id)).map(|id| format!("{:?}", clean(id))).collect();
        if !missing.is_empty() {
            complain(&format!(
                "ffn-bridge: no dead letter {}; `ffn-bridge dead-letters list` shows those that there are",
                missing.join(", ")
            ));
        }
        let failed = *interrupted || left > 0 || !missing.is_empty();
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn letters(number: u64) -> String {
    format!("{number} dead letter{}", if number == 1 { "" } else { "s" })
}

/// A letter in one line.
fn line(letter: &DeadLetter) -> String {
    let at = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_owned(), |time| rfc3339(time.trunc_subsecs(0)));
    let attempts = letter.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string());
    let code = letter.code.as_deref().map_or_else(|| "-".to_owned(), clean);
    let (last, first) = (at(letter.last_failed_at), at(letter.first_failed_at));
    let (key, id, message) = (clean(&letter.routing_key), clean(&letter.id), clean(&letter.message));
    format!("{last:<20}  {first:<20}  {attempts:>3}  {code:<17}  {key:<24}  {id:<36}  {message}").trim_end().to_owned()
}

fn as_json(letter: &DeadLetter) -> String {
    let DeadLetter { id, routing_key, account, command, code, message, attempts, .. } = letter;
    let (first, last) = (letter.first_failed_at.map(rfc3339), letter.last_failed_at.map(rfc3339));
    json!({
        "id": id, "account": account, "command": command, "routingKey": routing_key, "code": code,
        "attempts": attempts, "firstFailedAt": first, "lastFailedAt": last, "message": message, "size": letter.size,
    })
    .to_string()
}
