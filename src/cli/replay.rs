//! `ffn-bridge replay`: publishes events of the journal again.

use std::io::{self, Write};
use std::process::ExitCode;

use super::progress::Progress;
use super::{complain, explained, link, opened, time};
use crate::app::Signals;
use crate::broker::topology::{self, Item, Kind};
use crate::broker::{DIRECT_REPLY_TO, Link, Publisher};
use crate::config::Config;
use crate::domain::account::AccountName;
use crate::domain::message::rfc3339;
use crate::events::replay::{Replay, Tally};
use crate::store::{Archive, Selection, Sqlite, Survey};
use anyhow::bail;
use chrono::{DateTime, Utc};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only events of this account; may be repeated
    #[arg(long, value_name = "NAME")]
    account: Vec<AccountName>,
    /// Only events of this type, in which * is any run of characters: `ffn.outbound.*`; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events that happened then or later: `2026-11-01T00:00:00Z`, or so long ago: `2h`
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Only events that happened before then, or longer ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// Sends them to this queue alone, not to all who are bound to the exchange
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    to_queue: Option<String>,
    /// Counts what would be published, and publishes nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let (Some(since), Some(until)) = (arguments.since, arguments.until)
        && since >= until
    {
        let (since, until) = (rfc3339(since), rfc3339(until));
        complain(&format!("ffn-bridge: --since ({since}) has to be before --until ({until})"));
        return Ok(ExitCode::from(2));
    }
    let mut signals = Signals::new()?;
    let store = opened(config).await?;
    let selection = selection(config, arguments, &store).await?;
    let survey = tokio::select! {
        () = signals.recv() => bail!("interrupted; nothing was published"),
        survey = store.survey(selection.clone()) => survey?,
    };
    let total: u64 = survey.types.values().sum();
    if arguments.dry_run {
        show(&survey, total)?;
        return Ok(ExitCode::SUCCESS);
    }
    if total == 0 {
        writeln!(io::stdout(), "nothing to publish: no event that was published before fits")?;
        tell_waiting(&survey);
        return Ok(ExitCode::SUCCESS);
    }
    let link = link(config, "replay");
    let publisher = ready(config, arguments, &survey, &link).await?;
    let queue = arguments.to_queue.clone();
    let mut replay = Replay::new(store, publisher, selection, survey.ends.clone(), queue);
    let mut progress = Progress::new("events");
    let ending = to_the_end(&mut replay, &mut progress, total, &mut signals).await;
    progress.clear();
    let code = summarize(&ending, replay.tally(), total)?;
    tell_waiting(&survey);
    link.close().await;
    Ok(code)
}

/// What the arguments ask for.
async fn selection(config: &Config, arguments: &Arguments, store: &Sqlite) -> anyhow::Result<Selection> {
    let known = store.accounts().await?;
    for name in &arguments.account {
        let is_known = known.iter().any(|account| account == name.as_str());
        if !is_known {
            // One that the configuration knows has had no events yet.
            super::account_named(config, name)?;
        }
    }
    Ok(Selection {
        accounts: arguments.account.clone(),
        types: arguments.types.clone(),
        since: arguments.since,
        until: arguments.until,
    })
}

/// A publisher, once everything that it will publish to is there.
async fn ready(
    config: &Config,
    arguments: &Arguments,
    survey: &Survey,
    link: &std::sync::Arc<Link>,
) -> anyhow::Result<Publisher> {
    let items = match &arguments.to_queue {
        Some(queue) => {
            if queue.len() > 255 || queue.starts_with(DIRECT_REPLY_TO) {
                bail!("{queue:?} is no name of a queue. Nothing was published");
            }
            let is_own = |item: &Item| matches!(item, Item::Queue { name, .. } if name == queue);
            if topology::plan(&config.broker).iter().any(is_own) {
                bail!("{queue} is the bridge's own queue, for commands: name a subscriber's. Nothing was published");
            }
            vec![Item::Queue { name: queue.clone(), arguments: Default::default() }]
        }
        None => {
            let exchange = |name: &String| Item::Exchange { name: name.clone(), kind: Kind::Topic };
            survey.exchanges.iter().map(exchange).collect()
        }
    };
    let problems = topology::look(link, &items).await.map_err(explained)?;
    if !problems.is_empty() {
        let problems: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.what, problem.reason)).collect();
        bail!(
            "the broker does not have what the events are to go to ({}). Make it, or name another queue with \
             --to-queue. Nothing was published",
            problems.join("; ")
        );
    }
    let channel = link.channel().await.map_err(explained)?;
    Publisher::on(link.clone(), channel).await.map_err(explained)
}

/// How a replay ended.
enum Ending {
    Done,
    Interrupted {
        /// Whether a burst was left without its confirms.
        open: bool,
    },
    Failed(anyhow::Error),
}

/// Burst after burst. A signal lets the one that is under way end; a second one does not.
async fn to_the_end(replay: &mut Replay, progress: &mut Progress, total: u64, signals: &mut Signals) -> Ending {
    loop {
        let (stepped, interrupted) = {
            let mut step = std::pin::pin!(replay.step());
            tokio::select! {
                stepped = &mut step => (stepped, false),
                () = signals.recv() => {
                    complain("stopping: what is on its way is waited for; Ctrl-C again does not wait");
                    tokio::select! {
                        stepped = &mut step => (stepped, true),
                        () = signals.recv() => return Ending::Interrupted { open: true },
                    }
                }
            }
        };
        match stepped {
            Ok(false) => return Ending::Done,
            Ok(true) if interrupted => return Ending::Interrupted { open: false },
            Ok(true) => progress.show(replay.tally().tried(), total, ""),
            Err(error) => return Ending::Failed(error.into()),
        }
    }
}

/// Tells how it ended, and gives the exit code.
fn summarize(ending: &Ending, tally: &Tally, total: u64) -> io::Result<ExitCode> {
    let mut output = io::stdout().lock();
    let last = tally.last.map(|last| format!("; the last one happened at {}", rfc3339(last))).unwrap_or_default();
    let published = tally.published;
    match ending {
        Ending::Done => writeln!(output, "published {published} {}", events(published))?,
        _ => writeln!(output, "published {published} of {total} {}{last}", events(total))?,
    }
    output.flush()?;
    let keys = tally.missed.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if tally.unroutable > 0 {
        let number = tally.unroutable;
        complain(&format!("{number} {} did not arrive: no queue is bound for them (keys: {keys})", events(number)));
    }
    if tally.refused > 0 {
        let number = tally.refused;
        complain(&format!(
            "{number} {} did not arrive: the broker refused them, is a queue full? (keys: {keys})",
            events(number)
        ));
    }
    match ending {
        Ending::Done if tally.failed() == 0 => return Ok(ExitCode::SUCCESS),
        Ending::Done => {}
        Ending::Interrupted { open: false } => complain("interrupted; every other event was left alone"),
        Ending::Interrupted { open: true } => {
            complain("interrupted; up to 512 more may have arrived, the others were left alone");
        }
        Ending::Failed(error) => {
            complain(&format!("ffn-bridge: the replay broke off; up to 512 more may have arrived: {error:#}"));
        }
    }
    Ok(ExitCode::FAILURE)
}

/// What a dry run prints: counts by type, and their sum.
fn show(survey: &Survey, total: u64) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for (event_type, number) in &survey.types {
        writeln!(output, "{number:>10}  {event_type}")?;
    }
    writeln!(output, "{total:>10}  would be published")?;
    output.flush()?;
    tell_waiting(survey);
    Ok(())
}

/// Why some that fit are left out.
fn tell_waiting(survey: &Survey) {
    if survey.waiting > 0 {
        complain(&format!("{} more that fit wait to be published by the bridge", survey.waiting));
    }
}

fn events(number: u64) -> &'static str {
    if number == 1 { "event" } else { "events" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_instant_or_so_long_ago() {
        assert_eq!(rfc3339(time("2026-11-01T01:00:00+01:00").unwrap()), "2026-11-01T00:00:00Z");
        let ago = Utc::now() - time("2h").unwrap();
        assert!((ago - chrono::TimeDelta::hours(2)).abs() < chrono::TimeDelta::minutes(1), "{ago}");
        for text in ["", "yesterday", "2026-11-01T00:00:00", "99999999999999999y"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
