//! The limit of requests: how many an account may make in a window of time.

use std::collections::HashMap;

use crate::answer::Answer;
use crate::catalog::Role;
use crate::switches::Switches;

/// What each account has used of its window: when that began, and how many requests.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    used: HashMap<&'static str, (i64, u32)>,
}

/// What is left to an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    limit: u32,
    window_s: u32,
    left: u32,
    /// Milliseconds until the next window, if nothing was left for this request.
    wait: Option<i64>,
}

impl Quotas {
    /// Counts a request of an account; `None` if there is no limit.
    pub(crate) fn take(&mut self, role: Role, now: i64, switches: &Switches) -> Option<Quota> {
        let (limit, window_s) = (switches.rate_limit?, switches.rate_limit_window_s.max(1));
        let length = i64::from(window_s).saturating_mul(1_000);
        let (begin, used) = self.used.entry(role.name()).or_insert((now, 0));
        if now.saturating_sub(*begin) >= length || now < *begin {
            (*begin, *used) = (now, 0);
        }
        let wait = (*used >= limit).then(|| begin.saturating_add(length).saturating_sub(now));
        if wait.is_none() {
            *used += 1;
        }
        Some(Quota { limit, window_s, left: limit.saturating_sub(*used), wait })
    }
}

impl Quota {
    /// The refusal, if the account made too many requests.
    pub(crate) fn refusal(&self) -> Option<Answer> {
        let seconds = self.wait?.saturating_add(999).div_euclid(1_000).max(1);
        Some(Answer::empty(429).header("Retry-After", seconds.to_string()))
    }

    /// The answer with what is left.
    pub(crate) fn tell(&self, answer: Answer) -> Answer {
        answer
            .header("X-RateLimit-Limit", self.limit.to_string())
            .header("X-RateLimit-Interval-Length-Seconds", self.window_s.to_string())
            .header("X-RateLimit-Remaining", self.left.to_string())
    }
}
