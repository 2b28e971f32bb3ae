//! Every API and OAuth request, for tests to look at.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::clock;

/// Older entries are dropped.
const KEPT: usize = 200_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) time: i64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) fault: Option<String>,
    /// The status that the client was sent, if it was sent one.
    pub(crate) status: Option<u16>,
    pub(crate) effect: Option<String>,
    pub(crate) done: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
}

impl Journal {
    /// Adds an entry and answers its number.
    pub(crate) fn open(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.seq = self.last;
        if self.entries.len() >= KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.last
    }

    pub(crate) fn entry(&mut self, seq: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.seq;
        self.entries.get_mut(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    pub(crate) fn count(&self) -> u64 {
        self.last
    }

    /// How many entries are still there.
    pub(crate) fn kept(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn since(&self, since: u64) -> Value {
        let one = |e: &Entry| {
            json!({
                "seq": e.seq, "time": clock::format_ms(e.time, false), "method": e.method, "path": e.path,
                "query": e.query, "status": e.status, "effect": e.effect, "authorization": e.authorization,
                "fault": e.fault, "done": e.done,
            })
        };
        let first = self.entries.front().map_or(0, |e| e.seq);
        let skip = usize::try_from(since.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).map(one).collect()
    }
}
