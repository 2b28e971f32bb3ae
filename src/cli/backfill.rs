//! `ffn-bridge backfill ACCOUNT`: reads a past period again, beside live traffic, with the same ids.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};

use super::progress::Progress;
use super::{complain, opened, recorder, time};
use crate::app::Signals;
use crate::config::Config;
use crate::domain::account::AccountName;
use crate::domain::feed::FeedName;
use crate::domain::message::rfc3339;
use crate::events::Recorder;
use crate::events::backfill::{Period, backfill, rehearse};
use crate::ffn::config::RateLimit;
use crate::ffn::{self, users};

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
    /// Calls in a second, beside those of a bridge that is running
    #[arg(long, value_name = "CALLS", default_value = "1")]
    rate: NonZeroU32,
    /// Counts the events that would be new, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

fn feed(text: &str) -> Result<FeedName, String> {
    let all = || FeedName::ALL.map(FeedName::as_str).join(", ");
    text.parse().map_err(|()| format!("it is no feed; there is {}", all()))
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
    account.ffn.rate_limit = RateLimit { calls: arguments.rate, period: Duration::from_secs(1) };
    let feeds = if arguments.feed.is_empty() { account.events.feeds.clone() } else { arguments.feed.clone() };
    for feed in &feeds {
        if !crate::ffn::feeds::Feed::of(*feed).is_for(account.ffn.role) {
            bail!("a {} has no feed {feed}", account.ffn.role);
        }
    }
    let safety_lag = TimeDelta::from_std(account.events.safety_lag).unwrap_or_default();
    let mut signals = Signals::new()?;
    let recorder = recorder(config, &account, opened(config).await?)?;
    let to = match arguments.to {
        Some(to) => to,
        None => tokio::select! {
            now = now_at_ffn(&recorder) => now.context("FFN could not be asked for its time; nothing was read")?,
            () = signals.recv() => bail!("interrupted; nothing was read"),
        },
    };
    let mut total = 0;
    for feed in feeds {
        let period = Period { feed, from: arguments.from, to };
        let mut progress = Progress::new("windows");
        let told = |step: crate::events::backfill::Step| {
            progress.show(step.read, step.of, &format!("{feed}: {} new events", step.events));
        };
        let reading = async {
            if arguments.dry_run {
                let counts = rehearse(&recorder, period, safety_lag, told).await?;
                for (event_type, number) in &counts {
                    writeln!(io::stdout(), "{number:>10}  {event_type}")?;
                }
                anyhow::Ok(counts.values().sum::<usize>())
            } else {
                Ok(backfill(&recorder, period, safety_lag, told).await?)
            }
        };
        let events = tokio::select! {
            events = reading => events,
            () = signals.recv() => bail!("interrupted while {feed} was read; what was read is in the journal, and to begin anew does no harm"),
        };
        progress.clear();
        total += events
            .with_context(|| format!("the feed {feed} could not be read to its end; to begin anew does no harm"))?;
    }
    let would = if arguments.dry_run { " would be" } else { "" };
    writeln!(io::stdout(), "{total} new {}{would} in the journal", if total == 1 { "event" } else { "events" })?;
    if !arguments.dry_run && total > 0 {
        complain("a bridge that runs on this database publishes them; else the next one that starts");
    }
    Ok(ExitCode::SUCCESS)
}
