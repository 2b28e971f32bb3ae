//! How fast an account may call: as fast as configured, and slower where FFN says so.
//!
//! [`super::gate::Gate`] keeps to it and [`super::Client`] tells it of each answer. What FFN names as its limit is not
//! gone beyond (contract 5), with a tenth kept free for clocks that differ; an answer that calls were too many
//! halves the rate; and for as long as no further one comes it rises again, slowly, up to what is allowed.

use std::time::Duration;

use http::header::HeaderMap;
use http::{HeaderName, StatusCode};
use tokio::time::Instant;

use super::config::RateLimit;

/// Answers to calls that were in flight together say one thing, not several.
const SETTLES: Duration = Duration::from_secs(1);
/// How long it is left as it is before it rises by a step.
const STEP: Duration = Duration::from_secs(10);
/// How much slower than configured it gets without a limit that is named.
const SLOWEST: u32 = 64;
/// A limit of fewer calls than this is taken for a mistake, so that it stops nobody.
const LONGEST: Duration = Duration::from_secs(60);

/// What an answer says of the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hint {
    /// Calls were too many, or no further one is left for now.
    pub(super) is_spent: bool,
    /// The time between two calls that the named limit comes to.
    pub(super) spacing: Option<Duration>,
}

/// The time between two calls, and what moves it.
#[derive(Debug)]
pub(super) struct Budget {
    configured: Duration,
    /// The least that is allowed now.
    allowed: Duration,
    spacing: Duration,
    changed: Option<Instant>,
}

impl Hint {
    /// Reads an answer's status and headers.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        let number = |name: &'static str| -> Option<u32> {
            headers.get(HeaderName::from_static(name))?.to_str().ok()?.trim().parse().ok()
        };
        let limit = number("x-ratelimit-limit").filter(|limit| *limit > 0);
        let period = number("x-ratelimit-interval-length-seconds").filter(|seconds| *seconds > 0);
        let spacing = limit.zip(period).map(|(limit, seconds)| Duration::from_secs(seconds.into()) / limit);
        let is_spent = status == StatusCode::TOO_MANY_REQUESTS || number("x-ratelimit-remaining") == Some(0);
        Self { is_spent, spacing }
    }
}

impl Budget {
    pub(super) fn new(rate: RateLimit) -> Self {
        let configured = rate.period / rate.calls.get();
        Self { configured, allowed: configured, spacing: configured, changed: None }
    }

    /// The time between two calls now.
    pub(super) fn spacing(&self) -> Duration {
        self.spacing
    }

    /// Learns from an answer. `true`: the time between two calls has changed.
    pub(super) fn learn(&mut self, hint: Hint, now: Instant) -> bool {
        let before = self.spacing;
        if let Some(spacing) = hint.spacing {
            self.allowed = (spacing / 9 * 10).min(LONGEST).max(self.configured);
        }
        let has_been = self.changed.map(|changed| now.saturating_duration_since(changed));
        if hint.is_spent {
            if has_been.is_none_or(|time| time >= SETTLES) {
                self.spacing = (self.spacing * 2).min((self.configured * SLOWEST).max(self.allowed));
                self.changed = Some(now);
            }
        } else if self.spacing > self.allowed && has_been.is_some_and(|time| time >= STEP) {
            self.spacing = self.spacing / 10 * 9;
            self.changed = Some(now);
        }
        if self.spacing < self.allowed {
            self.spacing = self.allowed;
            self.changed = Some(now);
        }
        self.spacing != before
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SPENT: Hint = Hint { is_spent: true, spacing: None };

    /// Five calls a second.
    fn budget() -> Budget {
        Budget::new(RateLimit { calls: NonZeroU32::new(5).unwrap(), period: Duration::from_secs(1) })
    }

    fn hint(status: u16, headers: &[(&'static str, &str)]) -> Hint {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        Hint::read(StatusCode::from_u16(status).unwrap(), &headers.collect())
    }

    #[test]
    fn answers_say_what_the_limit_is_and_whether_it_is_spent() {
        assert_eq!(hint(200, &[]), Hint::default());
        assert_eq!(hint(429, &[]), SPENT);
        let limit = [("x-ratelimit-limit", "60"), ("x-ratelimit-interval-length-seconds", "30")];
        assert_eq!(hint(200, &limit), Hint { is_spent: false, spacing: Some(500 * MS) });
        assert_eq!(hint(200, &[("x-ratelimit-remaining", "0")]), SPENT);
        for odd in ["0", "-1", "many", ""] {
            let odd = [("x-ratelimit-limit", odd), ("x-ratelimit-interval-length-seconds", odd)];
            assert_eq!(hint(200, &odd), Hint::default());
        }
        assert_eq!(hint(200, &[("x-ratelimit-limit", "60")]), Hint::default(), "in what time?");
    }

    #[test]
    fn too_many_calls_halve_the_rate_once_and_it_rises_again_slowly() {
        let (mut budget, mut now) = (budget(), Instant::now());
        assert_eq!(budget.spacing(), 200 * MS);
        assert!(budget.learn(SPENT, now) && !budget.learn(SPENT, now + 900 * MS));
        assert_eq!(budget.spacing(), 400 * MS);
        assert!(budget.learn(SPENT, now + 1000 * MS));
        assert_eq!(budget.spacing(), 800 * MS);
        now += 1000 * MS;
        assert!(!budget.learn(Hint::default(), now + 9 * 1000 * MS));
        let mut steps = 0;
        while budget.spacing() > 200 * MS {
            now += STEP;
            assert!(budget.learn(Hint::default(), now));
            assert!(!budget.learn(Hint::default(), now), "once each time");
            steps += 1;
        }
        assert_eq!((steps, budget.spacing()), (14, 200 * MS), "from a quarter to all in two minutes and more");
        assert!(!budget.learn(Hint::default(), now + STEP));
        for seconds in 0..100 {
            budget.learn(SPENT, now + Duration::from_secs(seconds * 2));
        }
        assert_eq!(budget.spacing(), 200 * MS * SLOWEST);
    }

    #[test]
    fn a_limit_that_is_named_is_kept_to_at_once_and_never_exceeds_what_is_configured() {
        let (mut budget, now) = (budget(), Instant::now());
        let limited = |spacing| Hint { is_spent: false, spacing: Some(spacing) };
        assert!(budget.learn(limited(450 * MS), now));
        assert_eq!(budget.spacing(), 500 * MS);
        assert!(!budget.learn(Hint::default(), now + STEP), "it does not rise beyond that");
        // A wider one is reached step by step.
        budget.learn(limited(MS), now);
        assert_eq!(budget.spacing(), 500 * MS);
        for step in 1..100 {
            budget.learn(limited(MS), now + STEP * step);
        }
        assert_eq!(budget.spacing(), 200 * MS);
    }
}
