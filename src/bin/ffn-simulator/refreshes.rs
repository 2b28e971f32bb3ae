//! The record of refreshes: which token came when, what became of it, and whether the client got
//! its answer.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::clock;

/// Whether the answer to one request was delivered. Whatever is said first, stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt(Arc<OnceLock<bool>>);

impl Receipt {
    /// The whole true answer was written to the socket.
    pub(crate) fn delivered(&self) {
        self.0.get_or_init(|| true);
    }

    /// The true answer will never be written in full.
    pub(crate) fn lost(&self) {
        self.0.get_or_init(|| false);
    }

    /// `None` while the request is open.
    pub(crate) fn state(&self) -> Option<bool> {
        self.0.get().copied()
    }
}

/// What became of a refresh.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Refreshed,
    /// The token was spent before, by the request with this receipt.
    Reused(Receipt),
    Revoked,
    Expired,
    Unknown,
    /// The client did not prove who it is.
    Client,
    /// A fault ended the request before anything happened.
    NotProcessed,
}

impl Outcome {
    fn label(&self) -> &'static str {
        match self {
            Outcome::Refreshed => "refreshed",
            Outcome::Reused(first) => match first.state() {
                Some(true) => "refused_reuse_after_delivered",
                Some(false) => "refused_reuse_after_lost",
                None => "refused_reuse_undecided",
            },
            Outcome::Revoked => "refused_revoked",
            Outcome::Expired => "refused_expired",
            Outcome::Unknown => "refused_unknown",
            Outcome::Client => "refused_client",
            Outcome::NotProcessed => "not_processed",
        }
    }
}

/// One refresh that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Refreshing {
    /// Its number in the journal.
    pub(crate) seq: u64,
    pub(crate) time: i64,
    /// The name of the token that was sent.
    pub(crate) token: String,
    pub(crate) outcome: Outcome,
    /// The name of the refresh token that was made.
    pub(crate) issued: Option<String>,
    /// The chain was revoked because of this reuse.
    pub(crate) chain_ended: bool,
    pub(crate) receipt: Receipt,
}

#[derive(Debug, Default)]
pub(crate) struct Record(Vec<Refreshing>);

impl Record {
    pub(crate) fn add(&mut self, refreshing: Refreshing) {
        self.0.push(refreshing);
    }

    pub(crate) fn since(&self, since: u64) -> Value {
        let one = |r: &Refreshing| {
            json!({
                "seq": r.seq, "time": clock::format_ms(r.time, false), "token": r.token,
                "outcome": r.outcome.label(), "issued": r.issued, "chainRevoked": r.chain_ended,
                "delivered": r.receipt.state(),
            })
        };
        self.0.iter().filter(|r| r.seq > since).map(one).collect()
    }

    /// How many refreshes that succeeded have an answer that was delivered, lost, or is still open.
    pub(crate) fn answers(&self, state: Option<bool>) -> usize {
        self.0.iter().filter(|r| matches!(r.outcome, Outcome::Refreshed) && r.receipt.state() == state).count()
    }

    /// How many reuses there were after a first answer that was delivered, lost, or is still open.
    pub(crate) fn reuses(&self, first: Option<bool>) -> usize {
        self.0.iter().filter(|r| matches!(&r.outcome, Outcome::Reused(x) if x.state() == first)).count()
    }
}
