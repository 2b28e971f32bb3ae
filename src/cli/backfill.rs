//! `ffn-bridge backfill ACCOUNT`: reads a past period again, beside live traffic, with the same ids.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::HumanCount;

use super::progress::Progress;
use super::{Usage, complain, feed, opened, recorder, time};
use crate::app::Signals;
use crate::config::Config;
use crate::domain::account::AccountName;
use crate::domain::feed::FeedName;
use crate::domain::message::rfc3339;
use crate::events::backfill::{Backfill, Period, Step};
use crate::events::{Error, Recorder};
use crate::ffn::config::RateLimit;
use crate::ffn::feeds::Feed;
use crate::ffn::{self, Disposition, users};
use crate::telemetry::Chain;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The account
    account: AccountName,
    /// Only this feed; may be repeated [default: those of the account]
    #[arg(long, value_name = "NAME", value_parser = feed)]
    feed: Vec<FeedName>,
    /// Begin of the period: `2026-11-01T00:00:00Z`, or so long ago: `30days`
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: DateTime<Utc>,
    /// End of the period [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<DateTime<Utc>>,
    /// Calls in a second, or with a unit: `5/s`, `300/m`; beside those of a bridge that is running
    #[arg(long, value_name = "CALLS", default_value = "1", value_parser = rate)]
    rate: RateLimit,
    /// Counts the events that would be new, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// As `rate_limit` of the configuration is written, or the calls in a second alone.
fn rate(text: &str) -> Result<RateLimit, String> {
    let wanted = "write calls in a second, minute or hour, such as 5/s, 300/m or 10/h, or 5 for 5/s";
    let alone = || text.parse().map(|calls| RateLimit { calls, period: Duration::from_secs(1) });
    text.parse().or_else(|()| alone()).map_err(|_| wanted.to_owned())
}

/// The present of FFN's clock. What happens from here on is the feeds', and not missing.
async fn now_at_ffn(recorder: &Recorder) -> Result<DateTime<Utc>, ffn::Error> {
    users::current_user(&recorder.client).await?;
    // It is known to the second.
    Ok(recorder.client.server_now() + TimeDelta::seconds(1))
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(to) = arguments.to.filter(|to| arguments.from >= *to) {
        let from = rfc3339(arguments.from);
        complain(&format!("ffn-bridge: --from ({from}) has to be before --to ({})", rfc3339(to)));
        return Ok(ExitCode::from(2));
    }
    let mut account = super::account_named(config, &arguments.account)?.clone();
    account.ffn.rate_limit = arguments.rate;
    let feeds = if arguments.feed.is_empty() { account.events.feeds.clone() } else { arguments.feed.clone() };
    let role = account.ffn.role;
    if let Some(feed) = feeds.iter().find(|feed| !Feed::of(**feed).is_for(role)) {
        bail!(Usage(format!("a {role} has no feed {feed}")));
    }
    let mut signals = Signals::new()?;
    let recorder = recorder(config, &account, opened(config).await?)?;
    let now = tokio::select! {
        now = now_at_ffn(&recorder) => now.context("FFN could not be asked for its time; nothing was read")?,
        () = signals.recv() => bail!("interrupted; nothing was read"),
    };
    if arguments.from >= now {
        let (from, now) = (rfc3339(arguments.from), rfc3339(now));
        bail!(Usage(format!("--from ({from}) is in the future: at FFN it is {now}")));
    }
    let to = arguments.to.unwrap_or(now);
    let (mut total, mut has_failed) = (0, false);
    for feed in feeds {
        let period = Period { feed, from: arguments.from, to };
        complain(&format!("reading {feed} from {} to {}", rfc3339(arguments.from), rfc3339(to)));
        let backfill = Backfill::new(&recorder, period, &account.events, arguments.dry_run);
        let mut progress = Progress::new("windows");
        let reading = backfill.run(|step| progress.show(step.read, step.of, &shown(feed, step)));
        let read = tokio::select! {
            read = reading => Some(read),
            () = signals.recv() => None,
        };
        progress.clear();
        for (event_type, number) in backfill.counts() {
            writeln!(io::stdout(), "{number:>10}  {event_type}")?;
        }
        total += backfill.events();
        match read {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let chain = Chain(&error);
                complain(&format!(
                    "ffn-bridge: the feed {feed} could not be read to its end; to begin anew does no harm: {chain}"
                ));
                has_failed = true;
                if is_about_all(&error) {
                    break;
                }
            }
            None if arguments.dry_run => bail!(
                "interrupted while {feed} was read; nothing was written. {} so far would be in the journal",
                new_events(total)
            ),
            None => bail!(
                "interrupted while {feed} was read; what was read is in the journal, and to begin anew does no harm"
            ),
        }
    }
    let would = if arguments.dry_run { " would be" } else { "" };
    writeln!(io::stdout(), "{}{would} in the journal", new_events(total))?;
    if !arguments.dry_run && total > 0 {
        complain("a bridge that runs on this database publishes them; else the next one that starts");
    }
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether no other feed can be read either, until a person has acted.
fn is_about_all(error: &Error) -> bool {
    match error {
        Error::Ffn(error) => error.disposition() == Disposition::NeedsLogin,
        Error::Store(_) => true,
        Error::Endless(_) | Error::Nonsense(_) | Error::Open(_) => false,
    }
}

/// How far a feed is, beside its windows.
fn shown(feed: FeedName, step: Step) -> String {
    let number = |number: usize| HumanCount(u64::try_from(number).unwrap_or(u64::MAX));
    let (calls, items, events) = (HumanCount(step.calls), number(step.items), number(step.events));
    format!("{feed}: {calls} calls, {items} items, {events} new events")
}

fn new_events(number: usize) -> String {
    format!("{number} new {}", if number == 1 { "event" } else { "events" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_as_in_the_configuration_or_as_the_calls_in_a_second() {
        for (text, calls, seconds) in [("5", 5, 1), ("5/s", 5, 1), ("300/m", 300, 60)] {
            let rate = rate(text).unwrap();
            assert_eq!((rate.calls.get(), rate.period), (calls, Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "0/s", "5/d", "-1", "fast"] {
            assert!(rate(text).unwrap_err().contains("such as 5/s"), "{text}");
        }
    }
}
