//! How far something is: a bar on a terminal, else a line from time to time.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::complain;
use crate::events;
use crate::telemetry::BARS;

/// How often a line is written where no terminal shows a bar.
const LINE: Duration = Duration::from_secs(5);

/// The progress of one thing.
pub(super) struct Progress {
    unit: &'static str,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// Of so many of these: `events`.
    pub(super) fn new(unit: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = BARS.add(ProgressBar::new(0));
            let style = ProgressStyle::with_template(&format!(
                "{{bar:32}} {{human_pos}}/{{human_len}} {unit}, {{rate}}, {{eta}} left  {{msg}}"
            ));
            // `per_sec` has four decimals.
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                // What can't be shown is left out.
                write!(out, "{:.1}/s", state.per_sec()).ok();
            };
            let style = style.map(|style| style.with_key("rate", rate));
            // A template that can't be read is a fault of this line; the usual look does as well.
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { unit, bar, told: Instant::now() }
    }

    pub(super) fn show(&mut self, done: u64, of: u64, more: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(more.to_owned());
            }
            None if self.told.elapsed() >= LINE => {
                self.told = Instant::now();
                let unit = self.unit;
                let more = if more.is_empty() { String::new() } else { format!("  {more}") };
                complain(&format!("{done} of {of} {unit}{more}"));
            }
            None => {}
        }
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How often the bar of a running bridge is looked after.
const LOOK: Duration = Duration::from_millis(200);

/// Shows on a terminal how far the snapshots of a running bridge are; never ends.
pub(super) async fn of_snapshots(progress: events::Progress) {
    let mut bar = None;
    loop {
        let (mut done, mut of, mut names) = (0, 0, Vec::new());
        for (account, feed, progress) in progress.all() {
            if let Some(snapshot) = progress.snapshot.filter(|snapshot| snapshot.completed_at.is_none()) {
                done += snapshot.rows;
                of += snapshot.total.unwrap_or_default().max(snapshot.rows);
                names.push(format!("{account}/{feed}"));
            }
        }
        if names.is_empty() {
            bar.take().iter().for_each(Progress::clear);
        } else {
            bar.get_or_insert_with(|| Progress::new("rows")).show(
                done,
                of,
                &format!("snapshot of {}", names.join(", ")),
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}
