//! Whether an account's commands are executed, or wait in its held queue.
//!
//! Nothing here knows why an account can't call: whoever does, pauses it ([`super::pause`], and a
//! command that ends that way), and whoever finds that it can call again, resumes it.
//!
//! - [`Phase::Open`]: commands are executed as they come from the commands queue. The held queue is empty.
//! - [`Phase::Paused`]: nothing is begun. What comes from the commands queue goes to the held queue.
//! - [`Phase::Draining`]: the held queue is worked off. What comes from the commands queue goes behind it,
//!   so that it overtakes nothing. At start it is not known whether something is held: so it begins here.
//!
//! The rule that keeps the order: it opens only when the held queue is known to be empty, nothing that
//! came from it is at work, and nothing is on its way to it ([`AccountGate::open`]).

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where an account's commands go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// They are executed.
    Open,
    /// They wait.
    Paused,
    /// Those that waited are executed, and others go behind them.
    Draining,
}

/// The state of one account, shared by everything that handles its commands.
#[derive(Debug)]
pub struct AccountGate {
    state: watch::Sender<State>,
}

/// What the gate is made of. It changes in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Where commands go.
    pub phase: Phase,
    /// Commands on their way to the held queue.
    holding: usize,
    /// Commands sent on their way so far.
    held: u64,
    /// Commands from the held queue at work.
    pub taken: usize,
}

impl State {
    /// Whether nothing is on its way to the held queue, and nothing from it is at work.
    pub fn is_quiet(self) -> bool {
        self.holding == 0 && self.taken == 0
    }
}

/// A moment in which nothing was on its way to the held queue. What was sent there before is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

/// A command on its way to the held queue; until this is dropped the gate does not open.
#[derive(Debug)]
pub struct Holding<'a>(&'a AccountGate);

/// A command from the held queue at work; until this is dropped the gate does not open.
#[derive(Debug)]
pub struct Taken {
    gate: Arc<AccountGate>,
    subscription: CancellationToken,
    is_settled: std::sync::atomic::AtomicBool,
}

impl AccountGate {
    /// The gate of an account at start.
    pub fn new() -> Self {
        Self { state: watch::Sender::new(State { phase: Phase::Draining, holding: 0, held: 0, taken: 0 }) }
    }

    /// Where commands go.
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Tells each change.
    pub fn changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Waits until `is_so`.
    pub async fn until(&self, is_so: impl Fn(&State) -> bool) {
        drop(self.changes().wait_for(is_so).await);
    }

    /// Waits until it is known what the held queue has, or nothing can be told.
    pub async fn settled(&self) {
        self.until(|state| state.phase != Phase::Draining || state.taken > 0).await;
    }

    /// The account can't call.
    pub fn pause(&self) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.phase, Phase::Paused) != Phase::Paused);
    }

    /// The account can call again.
    pub fn resume(&self) {
        self.state.send_if_modified(|state| {
            let is_paused = state.phase == Phase::Paused;
            if is_paused {
                state.phase = Phase::Draining;
            }
            is_paused
        });
    }

    /// For a command from the commands queue: `None` if it is to be executed, else it has to go to the
    /// held queue.
    pub fn hold(&self) -> Option<Holding<'_>> {
        let is_held = self.state.send_if_modified(|state| {
            let is_held = state.phase != Phase::Open;
            if is_held {
                state.holding += 1;
                state.held += 1;
            }
            is_held
        });
        is_held.then(|| Holding(self))
    }

    /// The account can't call, as a command from the commands queue has found out, which has to go to the
    /// held queue.
    pub fn pause_and_hold(&self) -> Holding<'_> {
        self.state.send_modify(|state| {
            state.phase = Phase::Paused;
            state.holding += 1;
            state.held += 1;
        });
        Holding(self)
    }

    /// For a command from the held queue. `subscription` is cancelled if it is not settled.
    pub fn take(self: &Arc<Self>, subscription: CancellationToken) -> Taken {
        self.state.send_modify(|state| {
            state.taken += 1;
            // It was thought to be empty: what has come late is worked off first.
            if state.phase == Phase::Open {
                state.phase = Phase::Draining;
            }
        });
        Taken { gate: self.clone(), subscription, is_settled: false.into() }
    }

    /// This moment, if nothing is on its way to the held queue.
    pub fn moment(&self) -> Option<Moment> {
        let state = *self.state.borrow();
        (state.holding == 0).then_some(Moment(state.held))
    }

    /// Opens, if nothing was sent to the held queue since `moment`, and nothing from it is at work. The
    /// caller knows that what was in it at that moment has been taken.
    pub fn open(&self, moment: Moment) -> bool {
        self.state.send_if_modified(|state| {
            let is_empty = state.phase == Phase::Draining && state.is_quiet() && state.held == moment.0;
            if is_empty {
                state.phase = Phase::Open;
            }
            is_empty
        })
    }
}

impl Taken {
    /// It is done with: the broker has its acknowledgement.
    pub fn settle(&self) {
        self.is_settled.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether its subscription has ended: the broker will deliver it again.
    pub fn is_over(&self) -> bool {
        self.subscription.is_cancelled()
    }
}

impl Drop for Taken {
    /// What was not settled is left to the broker: it goes back to its place when the subscription ends,
    /// and with it what came behind it.
    fn drop(&mut self) {
        if !*self.is_settled.get_mut() {
            self.subscription.cancel();
        }
        self.gate.state.send_modify(|state| state.taken -= 1);
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.holding -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(phase: Phase) -> Arc<AccountGate> {
        let gate = Arc::new(AccountGate::new());
        if phase == Phase::Open {
            assert!(gate.open(gate.moment().unwrap()));
        }
        if phase == Phase::Paused {
            gate.pause();
        }
        gate
    }

    #[test]
    fn it_begins_by_draining_and_only_an_open_gate_lets_commands_through() {
        let gate = gate(Phase::Draining);
        assert_eq!(gate.phase(), Phase::Draining);
        assert!(gate.hold().is_some());
        assert!(gate.open(gate.moment().unwrap()));
        assert!(gate.hold().is_none());
        gate.pause();
        assert!(gate.hold().is_some());
        gate.resume();
        assert_eq!(gate.phase(), Phase::Draining);
        assert!(gate.hold().is_some());
    }

    #[test]
    fn it_does_not_open_while_something_is_on_its_way_to_the_held_queue_or_has_come_there_since() {
        let gate = gate(Phase::Draining);
        let before = gate.moment().unwrap();
        let holding = gate.hold();
        assert_eq!(gate.moment(), None);
        assert!(!gate.open(before));
        drop(holding);
        assert!(!gate.open(before), "it is in the held queue now");
        assert!(gate.open(gate.moment().unwrap()));
        let holding = gate.pause_and_hold();
        gate.resume();
        assert!(!gate.open(Moment(2)));
        drop(holding);
        assert!(gate.open(Moment(2)));
    }

    #[test]
    fn it_does_not_open_while_something_from_the_held_queue_is_at_work() {
        let gate = gate(Phase::Draining);
        let taken = gate.take(CancellationToken::new());
        assert!(!gate.open(gate.moment().unwrap()));
        taken.settle();
        drop(taken);
        assert!(gate.open(gate.moment().unwrap()));
        // What comes late closes it again.
        let _taken = gate.take(CancellationToken::new());
        assert_eq!(gate.phase(), Phase::Draining);
    }

    #[test]
    fn a_paused_gate_is_not_opened_and_an_open_one_not_drained() {
        let paused = gate(Phase::Paused);
        assert!(!paused.open(paused.moment().unwrap()));
        let open = gate(Phase::Open);
        open.resume();
        assert_eq!(open.phase(), Phase::Open);
    }

    #[test]
    fn what_is_not_settled_ends_the_subscription() {
        let gate = gate(Phase::Draining);
        for (settled, ends) in [(true, false), (false, true)] {
            let subscription = CancellationToken::new();
            let taken = gate.take(subscription.clone());
            if settled {
                taken.settle();
            }
            drop(taken);
            assert_eq!(subscription.is_cancelled(), ends);
        }
    }
}
