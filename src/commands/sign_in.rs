//! Pauses an account's commands while it lacks a sign-in, and resumes them when it has one.
//!
//! One task per account alone decides when it is resumed. That a sign-in is needed is known from
//! [`Auth::needs_login`](crate::ffn::Auth::needs_login), whoever found out. A command may also find that
//! the account can't call for a reason that is not known there: then the account is tried with a call that
//! changes nothing, at growing intervals.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::gate::Phase;
use super::worker::Account;
use crate::ffn::Disposition;
use crate::ffn::users::current_user;

/// Pause after the first try that failed; it doubles for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Pauses and resumes the account's commands until `stop` is cancelled.
pub async fn watch(account: &Account, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = decide(account) => {}
    }
}

async fn decide(account: &Account) {
    let gate = &account.gate;
    let mut needed = account.auth.needs_login();
    let (mut changes, mut pause, mut resumed) = (gate.changes(), Duration::ZERO, Instant::now());
    loop {
        if needed.borrow_and_update().is_some() {
            gate.pause();
            drop(needed.wait_for(Option::is_none).await);
            gate.resume();
            pause = Duration::ZERO;
            continue;
        }
        if changes.borrow_and_update().phase != Phase::Paused {
            tokio::select! {
                changed = needed.changed() => drop(changed),
                changed = changes.changed() => drop(changed),
            }
            continue;
        }
        // A command has found out, and it is nothing that a sign-in would mend.
        if resumed.elapsed() > LONGEST_PAUSE {
            pause = Duration::ZERO;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = needed.changed() => {
                drop(changed);
                continue;
            }
        }
        pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        let tried = current_user(&account.client).await;
        if tried.is_err_and(|error| error.disposition() == Disposition::NeedsLogin) {
            continue;
        }
        gate.resume();
        resumed = Instant::now();
    }
}
