//! How long a feed waits before it is polled again.
//!
//! - Not at all while it is behind; quick while things happen, and back to the configured interval when nothing does.
//! - A feed that fails backs off alone, or waits for as long as FFN asks. A window of another shape is tried soon.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::Error;
use super::poller::Polled;
use crate::domain::fit::Fit;
use crate::ffn;

/// How often a feed looks whether somebody has signed in; that asks the store, not FFN.
const LOGIN_LOOK: Duration = Duration::from_secs(5);
/// Wait of a feed that has failed for the first time.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Longest wait of a feed that fails.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The interval while things happen is the configured one by this.
const QUICKER: u32 = 6;
/// The shortest interval that is chosen here.
const QUICKEST: Duration = Duration::from_secs(1);

/// The pace of one feed.
pub(super) struct Pace {
    /// The configured interval.
    longest: Duration,
    interval: Duration,
    backoff: ExponentialBackoff,
    /// The windows that FFN takes.
    pub(super) fit: Fit,
}

impl Pace {
    pub(super) fn new(poll_interval: Duration) -> Self {
        Self { longest: poll_interval, interval: poll_interval, backoff: backoff(poll_interval), fit: Fit::default() }
    }

    /// How long to wait after this poll.
    pub(super) fn wait_after(&mut self, polled: &Result<Polled, Error>) -> Duration {
        match polled {
            Ok(Polled { events, is_behind, is_waiting }) => {
                if !is_waiting {
                    self.backoff = backoff(self.longest);
                }
                self.interval = next_interval(self.longest, self.interval, *events > 0);
                if *is_behind { Duration::ZERO } else { self.interval }
            }
            Err(error) => {
                let soon = self.longest.min(QUICKEST);
                let asked = match error {
                    error if error.is_about_the_window() && self.fit.is_trying() => Some(soon),
                    Error::Ffn(ffn::Error::NoToken {
                        source: ffn::auth::Error::NeedsLogin { .. } | ffn::auth::Error::ClientRefused { .. },
                        ..
                    }) => Some(self.longest.min(LOGIN_LOOK)),
                    // No wait at all would be a call after the other.
                    Error::Ffn(error) => error.retry_after().map(|wait| wait.max(soon)),
                    _ => None,
                };
                asked.or_else(|| self.backoff.next()).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
            }
        }
    }
}

/// Quick after something happened, then twice as long each time until it is the configured interval.
fn next_interval(longest: Duration, last: Duration, is_busy: bool) -> Duration {
    let quick = (longest / QUICKER).max(QUICKEST).min(longest);
    if is_busy { quick } else { (last * 2).clamp(quick, longest) }
}

fn backoff(poll_interval: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(poll_interval.min(FIRST_WAIT))
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use http::StatusCode;

    use super::*;
    use crate::domain::account::AccountName;
    use crate::domain::feed::Window;
    use crate::ffn::auth;

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE: Result<Polled, Error> = Ok(Polled { events: 0, is_behind: false, is_waiting: false });
    const BUSY: Result<Polled, Error> = Ok(Polled { events: 1, is_behind: false, is_waiting: false });

    /// FFN asks to wait.
    fn asked(wait: Duration) -> Result<Polled, Error> {
        Err(ffn::Error::AskedToWait { operation: "x", wait }.into())
    }

    /// FFN says nothing of a wait.
    fn failed() -> Result<Polled, Error> {
        Err(ffn::Error::Unreadable { operation: "x", reason: String::new() }.into())
    }

    /// FFN says no.
    fn refused(status: u16) -> Result<Polled, Error> {
        let refusal = ffn::Refusal {
            operation: "x",
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            code: None,
            description: None,
            messages: Vec::new(),
            metadata: Vec::new(),
            raw: None,
        };
        Err(ffn::Error::Refused(Box::new(refusal)).into())
    }

    /// What is waited, in milliseconds, after polls that bring this.
    fn waits(poll_interval: Duration, polls: &[Result<Polled, Error>]) -> Vec<u128> {
        let mut pace = Pace::new(poll_interval);
        polls.iter().map(|polled| pace.wait_after(polled).as_millis()).collect()
    }

    #[test]
    fn a_feed_is_quick_after_something_happened_and_slows_down_to_its_interval() {
        let polls = [IDLE, BUSY, BUSY, IDLE, IDLE, IDLE, IDLE, BUSY];
        assert_eq!(waits(60 * SECOND, &polls), [60_000, 10_000, 10_000, 20_000, 40_000, 60_000, 60_000, 10_000]);
        assert_eq!(waits(3 * SECOND, &polls), [3000, 1000, 1000, 2000, 3000, 3000, 3000, 1000]);
        assert_eq!(waits(SECOND / 2, &polls), [500; 8]);
    }

    #[test]
    fn a_feed_that_is_behind_does_not_wait() {
        let behind = |events| Ok(Polled { events, is_behind: true, is_waiting: false });
        assert_eq!(waits(60 * SECOND, &[behind(0), behind(7), IDLE]), [0, 0, 20_000]);
    }

    #[test]
    fn a_feed_waits_as_long_as_ffn_asks_within_reason() {
        let polls = [asked(42 * SECOND), asked(SECOND), asked(Duration::ZERO), asked(LONGEST_WAIT * 2), IDLE];
        assert_eq!(waits(60 * SECOND, &polls), [42_000, 1000, 1000, 300_000, 60_000]);
        assert_eq!(waits(SECOND / 10, &[asked(Duration::ZERO)]), [100]);
    }

    #[test]
    fn a_feed_looks_soon_whether_somebody_has_signed_in() {
        let account: AccountName = "acme".parse().unwrap();
        for (poll_interval, wait) in [(600 * SECOND, 5000), (SECOND, 1000)] {
            let source = auth::Error::NeedsLogin { account: account.clone(), reason: String::new() };
            assert_eq!(waits(poll_interval, &[Err(ffn::Error::NoToken { operation: "x", source }.into())]), [wait]);
        }
    }

    #[test]
    fn a_feed_that_fails_waits_longer_each_time_until_it_is_read() {
        let mut pace = Pace::new(60 * SECOND);
        for least in [5, 10, 20, 40, 80, 160, 300, 300].map(|seconds| seconds * SECOND) {
            let wait = pace.wait_after(&failed());
            assert!(least <= wait && wait <= (least * 2).min(LONGEST_WAIT), "{wait:?} after {least:?}");
        }
        // That nothing is asked for since all was refused is no success.
        pace.wait_after(&Ok(Polled { events: 0, is_behind: false, is_waiting: true }));
        assert_eq!(pace.wait_after(&failed()), LONGEST_WAIT);
        pace.wait_after(&IDLE);
        assert!(pace.wait_after(&failed()) <= FIRST_WAIT * 2);
        assert!(Pace::new(SECOND).wait_after(&failed()) <= SECOND * 2, "a short interval is tried again as soon");
    }

    #[test]
    fn another_window_is_tried_soon_as_long_as_there_is_one() {
        let now = DateTime::UNIX_EPOCH;
        let window = Window { from: now, to: now + TimeDelta::hours(1) };
        for polled in [refused(400), Err(Error::Endless(String::new()))] {
            let mut pace = Pace::new(60 * SECOND);
            assert!(pace.wait_after(&polled) >= FIRST_WAIT, "no other is tried");
            pace.fit.too_long(window, now, TimeDelta::zero());
            assert_eq!(pace.wait_after(&polled), SECOND);
            assert!(pace.wait_after(&refused(503)) >= FIRST_WAIT);
        }
    }
}
