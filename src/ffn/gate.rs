//! When a call may go out: one budget for everything an account calls.
//!
//! [`super::Client`] passes here before each request. The guarantees: never more calls in flight or in a
//! period than configured; after `Retry-After` nobody calls before that time; commands go before polls, of
//! which at most one at a time waits at the door and gives way; a poll that has given way for long goes
//! like a command, so that no flood of commands stops the feeds; what runs in the background goes like a
//! poll, and never takes more than its share.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::config::RateLimit;
use super::request::Priority;

/// The longest wait that a `Retry-After` can bring about.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long a poll gives way to commands.
const PATIENCE: Duration = Duration::from_secs(30);

/// The door through which an account's calls go.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Semaphore,
    limiter: DefaultDirectRateLimiter,
    background: DefaultDirectRateLimiter,
    commands_waiting: watch::Sender<usize>,
    door: tokio::sync::Mutex<()>,
    not_before: Mutex<Option<Instant>>,
    patience: Duration,
}

/// Counts a command while it waits.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Gate {
    pub(super) fn new(rate: RateLimit, max_concurrency: usize) -> Self {
        Self {
            slots: Semaphore::new(max_concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            limiter: DefaultDirectRateLimiter::direct(quota(rate)),
            background: DefaultDirectRateLimiter::direct(quota(share(rate))),
            commands_waiting: watch::Sender::new(0),
            door: tokio::sync::Mutex::default(),
            not_before: Mutex::default(),
            patience: PATIENCE,
        }
    }

    /// Waits for the turn. The call is in flight until the permit is dropped; `None` can't happen, as the
    /// slots are never closed.
    pub(super) async fn enter(&self, priority: Priority) -> Option<SemaphorePermit<'_>> {
        if priority == Priority::Background {
            self.background.until_ready().await;
        }
        if priority != Priority::Command
            && let Some(permit) = self.enter_behind_commands().await
        {
            return Some(permit);
        }
        let _waiting = Waiting::new(&self.commands_waiting);
        let permit = self.slots.acquire().await.ok();
        self.limiter.until_ready().await;
        while let Some(until) = self.closed_until() {
            tokio::time::sleep_until(until).await;
        }
        permit
    }

    /// Nobody calls for this long.
    pub(super) fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = (*not_before).max(Some(until));
    }

    /// `None` when patience is at its end.
    async fn enter_behind_commands(&self) -> Option<SemaphorePermit<'_>> {
        let mut patience = Instant::now() + self.patience;
        let _door = self.door.lock().await;
        let mut commands = self.commands_waiting.subscribe();
        loop {
            if let Some(until) = self.closed_until() {
                tokio::time::sleep_until(until).await;
                patience = Instant::now() + self.patience;
                continue;
            }
            let quiet = tokio::time::timeout_at(patience, commands.wait_for(|waiting| *waiting == 0)).await.is_ok();
            if !quiet {
                return None;
            }
            let permit = self.slots.acquire().await.ok()?;
            if *self.commands_waiting.borrow() > 0 || self.closed_until().is_some() {
                continue;
            }
            match self.limiter.check() {
                Ok(()) => return Some(permit),
                Err(not_until) => {
                    drop(permit);
                    tokio::time::sleep(not_until.wait_time_from(DefaultClock::default().now())).await;
                }
            }
        }
    }

    /// How long nobody may call, because FFN asked for it.
    pub(super) fn closed_for(&self) -> Option<Duration> {
        self.closed_until().map(|until| until - Instant::now())
    }

    fn closed_until(&self) -> Option<Instant> {
        let not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        not_before.filter(|until| *until > Instant::now())
    }
}

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|waiting| *waiting += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}

/// What the background has of the budget: half.
fn share(rate: RateLimit) -> RateLimit {
    RateLimit { period: rate.period * 2, ..rate }
}

/// Calls evenly spread over the period; at once only what falls into one second.
fn quota(rate: RateLimit) -> Quota {
    let seconds = u32::try_from(rate.period.as_secs()).unwrap_or(u32::MAX).max(1);
    let burst = NonZeroU32::new(rate.calls.get() / seconds).unwrap_or(NonZeroU32::MIN);
    let spread = Quota::with_period(rate.period / rate.calls.get()).unwrap_or(Quota::per_second(rate.calls));
    spread.allow_burst(burst)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn gate(calls: u32, period: Duration, slots: usize) -> Arc<Gate> {
        Arc::new(Gate::new(RateLimit { calls: NonZeroU32::new(calls).unwrap(), period }, slots))
    }

    #[tokio::test]
    async fn a_command_that_comes_later_goes_before_a_poll() {
        let gate = gate(1000, Duration::from_secs(1), 1);
        let held = gate.enter(Priority::Command).await;
        let (order, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
        for priority in [Priority::Poll, Priority::Command] {
            let (door, order) = (Arc::clone(&gate), order.clone());
            tokio::spawn(async move {
                let _permit = door.enter(priority).await;
                order.send(priority).unwrap();
            });
            match priority {
                Priority::Poll => {
                    while gate.door.try_lock().is_ok() {
                        tokio::task::yield_now().await
                    }
                }
                _ => {
                    gate.commands_waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
                }
            }
        }
        drop(held);
        assert_eq!(arrivals.recv().await, Some(Priority::Command));
        assert_eq!(arrivals.recv().await, Some(Priority::Poll));
    }

    #[tokio::test]
    async fn a_flood_of_commands_does_not_stop_the_polls() {
        let mut gate = Gate::new(RateLimit { calls: NonZeroU32::MIN, period: Duration::from_millis(1) }, 2);
        gate.patience = Duration::from_millis(20);
        let _flood = Waiting::new(&gate.commands_waiting);
        assert!(gate.enter(Priority::Poll).await.is_some());
    }

    #[tokio::test]
    async fn after_retry_after_nobody_passes_before_the_time() {
        let gate = gate(1000, Duration::from_secs(1), 4);
        for priority in [Priority::Command, Priority::Poll] {
            gate.close_for(Duration::from_millis(200));
            gate.close_for(Duration::from_millis(1));
            let begin = Instant::now();
            assert!(gate.enter(priority).await.is_some());
            assert!(begin.elapsed() >= Duration::from_millis(195), "{priority:?}");
        }
        gate.close_for(Duration::from_secs(86_400));
        assert!(gate.closed_until().unwrap() <= Instant::now() + LONGEST_WAIT);
    }

    #[tokio::test]
    async fn the_background_has_half_of_the_budget() {
        let gate = gate(1, Duration::from_millis(50), 4);
        let begin = Instant::now();
        for _ in 0..3 {
            drop(gate.enter(Priority::Background).await);
        }
        assert!(begin.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn calls_keep_to_the_rate() {
        let gate = gate(1, Duration::from_millis(100), 4);
        let begin = Instant::now();
        for priority in [Priority::Command, Priority::Poll, Priority::Command] {
            drop(gate.enter(priority).await);
        }
        assert!(begin.elapsed() >= Duration::from_millis(200));
    }
}
