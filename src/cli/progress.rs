//! How far something is: a bar on a terminal, else a line from time to time.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::complain;
use crate::events;
use crate::telemetry::BARS;

/// How often a line is written where no terminal shows a bar.
const LINE: Duration = Duration::from_secs(5);

/// The progress of one thing.
pub(super) struct Progress {
    unit: &'static str,
    is_terminal: bool,
    bar: Option<ProgressBar>,
    told: Instant,
}

/// A bar that nobody sees yet, of which so much is done. Its speed, and the time that is left, begin from here: what was
/// done before, by another process perhaps, took no time of this one.
fn bar(unit: &str, done: u64, of: u64) -> ProgressBar {
    // The name comes first, and the bar takes what is left: a narrow terminal cuts the end off.
    let template = format!("{{msg}}{{wide_bar}} {{human_pos}}/{{human_len}} {unit}{{speed}}");
    let speed = |state: &ProgressState, out: &mut dyn Write| {
        let rate = state.per_sec();
        if rate > 0.0 {
            // What can't be shown is left out.
            write!(out, ", {rate:.1}/s, {:#} left", HumanDuration(state.eta())).ok();
        }
    };
    let style = ProgressStyle::with_template(&template).map(|style| style.with_key("speed", speed));
    let bar = ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::hidden())
        // A template that can't be read is a fault of this function; the usual look does as well.
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_position(done);
    // It counts what lies between two ticks, and this is the first.
    bar.tick();
    bar.reset_eta();
    bar.reset_elapsed();
    bar
}

impl Progress {
    /// Of so many of these: `events`.
    pub(super) fn new(unit: &'static str) -> Self {
        Self { unit, is_terminal: io::stderr().is_terminal(), bar: None, told: Instant::now() }
    }

    pub(super) fn show(&mut self, done: u64, of: u64, more: &str) {
        let gap = if more.is_empty() { "" } else { "  " };
        match &mut self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(format!("{more}{gap}"));
            }
            None if self.is_terminal => {
                let bar = self.bar.insert(BARS.add(bar(self.unit, done, of)));
                bar.set_message(format!("{more}{gap}"));
            }
            None if self.told.elapsed() >= LINE => {
                self.told = Instant::now();
                let unit = self.unit;
                complain(&format!("{done} of {of} {unit}{gap}{more}"));
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
    let mut shown: Option<(Vec<String>, Progress)> = None;
    loop {
        let (mut done, mut of, mut names) = (0, 0, Vec::new());
        for (account, feed, progress) in progress.all() {
            if let Some(snapshot) = progress.snapshot.filter(|snapshot| snapshot.completed_at.is_none()) {
                done += snapshot.rows;
                of += snapshot.total.unwrap_or_default().max(snapshot.rows);
                names.push(format!("{account}/{feed}"));
            }
        }
        // Of other feeds other rows are done: that is no speed.
        if let Some((_, bar)) = shown.take_if(|(before, _)| *before != names) {
            bar.clear();
        }
        if !names.is_empty() {
            let message = format!("snapshot of {}", names.join(", "));
            shown.get_or_insert_with(|| (names, Progress::new("rows"))).1.show(done, of, &message);
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of 80 columns, and what was last written there.
    #[derive(Debug, Default, Clone)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_name_of_a_feed_and_how_far_it_is_fit_on_a_narrow_terminal() {
        let screen = Screen::default();
        let bar = bar("rows", 0, 160_000);
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        let mut progress = Progress { bar: Some(bar), ..Progress::new("rows") };
        progress.show(1_883, 160_000, "snapshot of acme/shipping-methods");
        progress.bar.as_ref().unwrap().force_draw();
        let shown = screen.0.lock().unwrap().trim_end().to_owned();
        assert!(shown.starts_with("snapshot of acme/shipping-methods  "), "{shown}");
        assert!(shown.contains(" 1,883/160,000 rows"), "{shown}");
        assert!(shown.chars().count() <= 80, "{shown}");
    }

    #[test]
    fn what_was_done_before_counts_neither_for_the_speed_nor_for_the_time_left() {
        let bar = bar("rows", 1_883, 16_000);
        assert_eq!((bar.position(), bar.length()), (1_883, Some(16_000)));
        assert_eq!((bar.per_sec(), bar.eta()), (0.0, Duration::ZERO));
        std::thread::sleep(Duration::from_millis(100));
        bar.set_position(1_893);
        let rate = bar.per_sec();
        assert!(0.0 < rate && rate <= 100.0, "{rate}");
        assert!(bar.eta() > Duration::from_secs(100), "{:?}", bar.eta());
    }
}
