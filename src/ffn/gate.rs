//! When a call may go out: one budget for everything an account calls.
//!
//! [`super::Client`] passes here before each request. The guarantees: never more calls in flight or in a
//! period than configured; after `Retry-After` nobody calls before that time; commands go before polls, of
//! which at most one at a time waits at the door and gives way; a poll that has given way for long goes
//! like a command, so that no flood of commands stops the feeds; what runs in the background goes like a
//! poll, and never takes more than its share. How many calls a period has is the [`Budget`]'s word.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::budget::{Budget, Hint};
use super::config::RateLimit;
use super::request::Priority;

/// The longest wait that a `Retry-After` can bring about: a longer one is taken for a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
/// A command does not stand here longer than this because FFN has asked to wait: it waits in the broker.
pub(super) const LONGEST_STAND: Duration = Duration::from_secs(2);
/// How long a poll gives way to commands.
const PATIENCE: Duration = Duration::from_secs(30);

/// The door through which an account's calls go.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Semaphore,
    budget: Mutex<Budget>,
    /// What keeps to the budget; another one when that has changed.
    limits: watch::Sender<Arc<Limits>>,
    commands_waiting: watch::Sender<usize>,
    door: tokio::sync::Mutex<()>,
    not_before: Mutex<Option<Instant>>,
    patience: Duration,
}

#[derive(Debug)]
struct Limits {
    all: DefaultDirectRateLimiter,
    background: DefaultDirectRateLimiter,
}

/// Counts a command while it waits.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Gate {
    pub(super) fn new(rate: RateLimit, max_concurrency: usize) -> Self {
        let budget = Budget::new(rate);
        Self {
            slots: Semaphore::new(max_concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            limits: watch::Sender::new(Arc::new(Limits::new(budget.spacing()))),
            budget: Mutex::new(budget),
            commands_waiting: watch::Sender::new(0),
            door: tokio::sync::Mutex::default(),
            not_before: Mutex::default(),
            patience: PATIENCE,
        }
    }

    /// Waits for the turn. The call is in flight until the permit is dropped; `None` inside can't happen, as
    /// the slots are never closed.
    ///
    /// # Errors
    /// The wait that FFN has asked for, if it is too long for a command.
    pub(super) async fn enter(&self, priority: Priority) -> Result<Option<SemaphorePermit<'_>>, Duration> {
        if priority == Priority::Background {
            self.limits().background.until_ready().await;
        }
        if priority != Priority::Command
            && let Some(permit) = self.enter_behind_commands().await
        {
            return Ok(Some(permit));
        }
        let _waiting = Waiting::new(&self.commands_waiting);
        let permit = self.slots.acquire().await.ok();
        loop {
            let limits = self.limits();
            limits.all.until_ready().await;
            // The budget may have shrunk while this waited.
            if Arc::ptr_eq(&limits, &self.limits()) {
                break;
            }
        }
        while let Some(wait) = self.closed_for() {
            if priority == Priority::Command && wait > LONGEST_STAND {
                return Err(wait);
            }
            tokio::time::sleep(wait).await;
        }
        Ok(permit)
    }

    /// Nobody calls for this long.
    pub(super) fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = (*not_before).max(Some(until));
    }

    /// Learns from an answer. Gives the time between two calls if it has changed.
    pub(super) fn learn(&self, hint: Hint) -> Option<Duration> {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let spacing = budget.learn(hint, Instant::now()).then(|| budget.spacing())?;
        let limits = Limits::new(spacing);
        limits.spend();
        self.limits.send_replace(Arc::new(limits));
        Some(spacing)
    }

    /// The time between two calls now.
    pub(super) fn spacing(&self) -> Duration {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).spacing()
    }

    fn limits(&self) -> Arc<Limits> {
        self.limits.borrow().clone()
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
            match self.limits().all.check() {
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

impl Limits {
    /// The background has half of the budget.
    fn new(spacing: Duration) -> Self {
        let limiter = |spacing| DefaultDirectRateLimiter::direct(quota(spacing));
        Self { all: limiter(spacing), background: limiter(spacing * 2) }
    }

    /// Leaves nothing for a burst: what went before a change counts on.
    fn spend(&self) {
        for limiter in [&self.all, &self.background] {
            while limiter.check().is_ok() {}
        }
    }
}

/// Calls evenly spread; at once only what falls into one second.
fn quota(spacing: Duration) -> Quota {
    let spacing = spacing.max(Duration::from_nanos(1));
    let burst = u32::try_from(Duration::from_secs(1).as_nanos() / spacing.as_nanos()).unwrap_or(u32::MAX);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(spacing).unwrap_or(Quota::per_second(burst)).allow_burst(burst)
}

#[cfg(test)]
mod tests {
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
        assert!(gate.enter(Priority::Poll).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn after_retry_after_nobody_passes_before_the_time() {
        let gate = gate(1000, Duration::from_secs(1), 4);
        for priority in [Priority::Command, Priority::Poll] {
            gate.close_for(Duration::from_millis(200));
            gate.close_for(Duration::from_millis(1));
            let begin = Instant::now();
            assert!(gate.enter(priority).await.unwrap().is_some());
            assert!(begin.elapsed() >= Duration::from_millis(195), "{priority:?}");
        }
        gate.close_for(Duration::from_secs(1_000_000));
        assert!(gate.closed_until().unwrap() <= Instant::now() + LONGEST_WAIT);
        assert!(gate.enter(Priority::Command).await.unwrap_err() > LONGEST_STAND, "it waits in the broker");
    }

    #[tokio::test]
    async fn the_background_has_half_of_the_budget() {
        let gate = gate(1, Duration::from_millis(50), 4);
        gate.limits().spend();
        let begin = Instant::now();
        for _ in 0..3 {
            drop(gate.enter(Priority::Background).await);
        }
        assert!(begin.elapsed() >= Duration::from_millis(280));
    }

    #[tokio::test]
    async fn calls_keep_to_the_rate() {
        let gate = gate(1, Duration::from_millis(100), 4);
        gate.limits().spend();
        let begin = Instant::now();
        for priority in [Priority::Command, Priority::Poll, Priority::Command] {
            drop(gate.enter(priority).await);
        }
        assert!(begin.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn a_call_that_waits_keeps_to_a_budget_that_shrinks_meanwhile() {
        let gate = gate(10, Duration::from_secs(1), 4);
        let spent = Hint { is_spent: true, spacing: None };
        gate.limits().spend();
        let waits = {
            let gate = gate.clone();
            tokio::spawn(async move {
                drop(gate.enter(Priority::Command).await);
                Instant::now()
            })
        };
        gate.commands_waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
        let begin = Instant::now();
        assert_eq!(gate.learn(spent), Some(Duration::from_millis(200)));
        let passed = waits.await.unwrap();
        assert!(passed - begin >= Duration::from_millis(180), "{:?}", passed - begin);
        let begin = Instant::now();
        for _ in 0..2 {
            drop(gate.enter(Priority::Poll).await);
        }
        assert!(begin.elapsed() >= Duration::from_millis(380), "{:?}", begin.elapsed());
    }
}
