//! Pauses an account's commands while it can't call, and resumes them when FFN answers it again.
//!
//! One task per account alone decides when it is resumed. That a sign-in is needed is known from
//! [`Auth::needs_login`](crate::ffn::Auth::needs_login), whoever found out. That FFN is away is found out by a
//! command that fails: whether the trouble is its own or FFN's, a [`Probe`] decides. Whatever the reason was, a
//! pause ends only when FFN has answered a call that changes nothing. It is made at growing intervals, not
//! before FFN has asked for; so a pause costs a handful of calls, however many commands wait.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::gate::Phase;
use super::worker::Account;
use crate::ffn::users::reach;
use crate::ffn::{Client, Disposition};
use crate::metrics::CommandMetrics;
use crate::telemetry::Chain;

/// Finds out whether FFN answers an account. Who asks while somebody is finding out gets that answer.
#[derive(Debug, Default)]
pub struct Probe(Mutex<Option<Verdict>>);

#[derive(Debug, Clone, Copy)]
struct Verdict {
    asked: Instant,
    is_away: bool,
}

impl Probe {
    /// Whether FFN does not answer, as of `since` or later.
    pub async fn is_away(&self, client: &Client, since: Instant) -> bool {
        let mut last = self.0.lock().await;
        if let Some(verdict) = last.filter(|verdict| verdict.asked >= since) {
            return verdict.is_away;
        }
        let asked = Instant::now();
        // FFN's no is an answer.
        let trouble = reach(client).await.err().filter(|error| error.disposition() != Disposition::Never);
        if let Some(error) = &trouble {
            tracing::info!(account = %client.account(), error = %Chain(error), "FFN does not answer this account");
        }
        let is_away = trouble.is_some();
        *last = Some(Verdict { asked, is_away });
        is_away
    }
}

/// Pauses and resumes the account's commands until `stop` is cancelled.
pub async fn watch(account: &Account, config: &Config, metrics: &CommandMetrics, stop: &CancellationToken) {
    let paused = metrics.paused.with_label_values(&[account.client.account().as_str()]);
    let show = async {
        let mut changes = account.gate.changes();
        loop {
            let phase = changes.borrow_and_update().phase;
            paused.set((phase == Phase::Paused).into());
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = decide(account, config) => {}
        () = show => {}
    }
}

async fn decide(account: &Account, config: &Config) {
    let gate = &account.gate;
    let mut needed = account.auth.needs_login();
    let (mut changes, mut pauses) = (gate.changes(), pauses(config));
    let (mut is_paused, mut resumed) = (false, Instant::now());
    loop {
        let mut pause = None;
        if needed.borrow_and_update().is_some() {
            gate.pause();
            drop(needed.wait_for(Option::is_none).await);
            pauses = self::pauses(config);
            // A person has just acted, and looks.
            pause = Some(Duration::ZERO);
            is_paused = true;
        }
        if changes.borrow_and_update().phase != Phase::Paused {
            tokio::select! {
                changed = needed.changed() => drop(changed),
                changed = changes.changed() => drop(changed),
            }
            is_paused = false;
            continue;
        }
        // One that begins soon after the last goes on where that one was.
        if !is_paused && resumed.elapsed() > config.probe_max_delay {
            pauses = self::pauses(config);
        }
        is_paused = true;
        let pause = pause.or_else(|| pauses.next()).unwrap_or(config.probe_max_delay);
        let asked_for = account.client.closed_for().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(pause.max(asked_for)) => {}
            changed = needed.changed() => {
                drop(changed);
                continue;
            }
        }
        if !account.probe.is_away(&account.client, Instant::now()).await {
            tracing::info!(account = %account.client.account(), "FFN answers: what is held is worked off");
            gate.resume();
            resumed = Instant::now();
        }
    }
}

/// Waits before each probe.
fn pauses(config: &Config) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(config.probe_delay)
        .with_max_delay(config.probe_max_delay)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffn::testing::{Account, Reply};

    async fn answers(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Account {
        Account::new(move |call| reply(call.nth)).await
    }

    #[tokio::test]
    async fn any_answer_of_ffn_s_own_says_that_it_is_there_and_the_rest_that_it_is_away() {
        let portal = || Reply::json(200, "<p>We are back soon</p>");
        for (reply, is_away) in [
            (Reply::json(200, r#"{"userId":"ACME"}"#), false),
            (Reply::json(200, "[]"), false),
            (Reply::json(403, ""), false),
            (Reply::json(404, ""), false),
            (portal(), true),
            (Reply::json(500, ""), true),
            (Reply::json(503, ""), true),
            (Reply::json(429, ""), true),
            (Reply::json(401, ""), true),
        ] {
            let told = format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body));
            let account = answers(move |_| reply.clone()).await;
            assert_eq!(Probe::default().is_away(&account.client, Instant::now()).await, is_away, "{told}");
        }
    }

    #[tokio::test]
    async fn who_asks_meanwhile_gets_the_same_answer_and_who_asks_later_a_new_one() {
        let account = answers(|nth| Reply::json(if nth == 0 { 503 } else { 200 }, "{}")).await;
        let (probe, before) = (Probe::default(), Instant::now());
        let ask = || probe.is_away(&account.client, before);
        assert_eq!(tokio::join!(ask(), ask(), ask()), (true, true, true));
        assert_eq!(account.api.calls("users/current").len(), 1);
        assert!(!probe.is_away(&account.client, Instant::now()).await);
    }

    #[tokio::test]
    async fn while_ffn_asks_to_wait_nothing_is_sent() {
        let account = answers(|_| Reply::json(429, "").with("retry-after", "60")).await;
        let probe = Probe::default();
        for _ in 0..3 {
            assert!(probe.is_away(&account.client, Instant::now()).await);
        }
        assert_eq!(account.api.calls("users/current").len(), 1);
    }
}
