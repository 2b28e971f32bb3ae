//! What an account's feeds are read with.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::feed::FeedName;

/// How one account's feeds are read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The feeds to follow.
    pub feeds: Vec<FeedName>,
    /// Time between two polls of a feed.
    pub poll_interval: Duration,
    /// How far each window reaches back before the checkpoint.
    pub overlap: Duration,
    /// How far a window's end stays behind the server's clock.
    pub safety_lag: Duration,
    /// How long a feed fails before it is told as stalled.
    pub stalled_after: Duration,
    /// Time between two sweeps of a list.
    pub sweep_interval: Duration,
    /// Where reading begins when nothing was read before.
    pub start: Start,
}

/// Where a feed begins at its very first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first start: what happened before is not told.
    Now,
    /// At the first start, and what there is then is told, too.
    Snapshot,
    /// At an instant, in the past or to come.
    At(DateTime<Utc>),
}

impl Start {
    /// Whether it is an instant that has not come at `now`.
    pub(super) fn is_to_come(self, now: DateTime<Utc>) -> bool {
        matches!(self, Self::At(instant) if instant > now)
    }
}
