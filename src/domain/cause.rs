//! Which command a change came from: what a command may bring about and what an event can be recognised by, in the
//! same words, so that the store can bring the two together and neither flow knows the other.

use chrono::{DateTime, TimeDelta, Utc};

/// How far FFN's stamp of a change may lie outside the time of the command that it came from: FFN's clock is known by
/// the whole second, and a change may be stamped a moment after its answer.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// An entity as a command names it and as a feed shows it: FFN's id and a number of its maker's are alike, as a
/// command may have either where the other is expected.
pub fn name(kind: &str, value: &str) -> String {
    format!("{kind}/{value}")
}

/// Something that a command may bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What it happens to, see [`name`]; `None` as long as FFN alone knows.
    pub name: Option<String>,
    /// What happens: `outbound.canceled`; of the stock's ledger with FFN's word, `stock.ReservationCanceled`.
    pub changes: Vec<String>,
}

/// All that a command may bring about, from or up to an instant of FFN's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// When it is begun, or has ended.
    pub at: DateTime<Utc>,
    /// The same ones in the same order each time: the names may be better known at the end.
    pub list: Vec<Effect>,
}

/// What the command that an event came from can be found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clue {
    /// What happened, as in [`Effect::changes`].
    pub change: String,
    /// What it happened to, the most exact first; those of one entry name the same.
    pub names: Vec<Vec<String>>,
    /// Of a change that a command may bring about several times, which one it is: a second of the same is another
    /// command's, if there is one that fits. `None`: a command brings it about once, and a second is not its own.
    pub part: Option<String>,
}
