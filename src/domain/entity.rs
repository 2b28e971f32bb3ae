//! What the bridge remembers of an entity, to tell the next time what has changed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The little that is kept of an entity: enough to derive events and to name what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The status at the last reading.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// The changes that have been told, by what tells them apart in their ids; the last of them, oldest first. Some
    /// say as well of which status they told, see [`told_of`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub told: Vec<String>,
    /// The newest change seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_at: Option<DateTime<Utc>>,
    /// A fingerprint per top-level field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub fields: BTreeMap<String, Fingerprint>,
    /// Whether it is gone.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deleted: bool,
    /// Of a stock in a warehouse: which versions of its ledger have been read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub versions: Option<Versions>,
}

/// Changes kept per entity: more than a reading tells again, little enough to stay small. What is forgotten
/// here, the journal still refuses by its id.
const TOLD_KEPT: usize = 64;

impl Known {
    /// Remembers that a change has been told.
    pub fn remember(&mut self, change: &str) {
        if self.has_told(change.split(OF).next().unwrap_or(change)) {
            return;
        }
        self.told.push(change.to_owned());
        if self.told.len() > TOLD_KEPT {
            self.told.remove(0);
        }
    }

    /// Whether this very change has been told.
    pub fn has_told(&self, change: &str) -> bool {
        self.told.iter().any(|told| told.split(OF).next() == Some(change))
    }

    /// Of which status this change told, if that was noted.
    pub fn told_as(&self, change: &str) -> Option<&str> {
        let noted = self.told.iter().filter_map(|told| told.split_once(OF));
        noted.filter(|(told, _)| *told == change).map(|(_, status)| status).next()
    }
}

/// Stands between a change and the status that it told of; no status holds it.
const OF: char = '\u{1f}';

/// What is remembered of a change of which only the status says what it was.
pub fn told_of(change: &str, status: &str) -> String {
    format!("{change}{OF}{status}")
}

/// Which versions of a gapless ledger have been read (contract 14).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Every version up to this one has been read or told as missing.
    pub complete: i64,
    /// The versions beyond that have been read, ascending.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ahead: Vec<i64>,
    /// Since when a version is missing, by FFN's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing_since: Option<DateTime<Utc>>,
}

impl Versions {
    /// A ledger whose first entry to be seen is this one.
    pub fn from(first: i64) -> Self {
        Self { complete: first, ..Self::default() }
    }

    /// Takes note of a version; whether it is new.
    pub fn read(&mut self, version: i64) -> bool {
        if version <= self.complete {
            return false;
        }
        let Err(at) = self.ahead.binary_search(&version) else { return false };
        self.ahead.insert(at, version);
        self.close_up();
        true
    }

    /// The versions that are missing: from, to, both included.
    pub fn hole(&self) -> Option<(i64, i64)> {
        self.ahead.first().map(|next| (self.complete + 1, next - 1))
    }

    /// Gives the first hole up: what is missing there will not be waited for any longer.
    pub fn give_up(&mut self) {
        if let Some((_, to)) = self.hole() {
            self.complete = to;
            self.close_up();
        }
    }

    fn close_up(&mut self) {
        let following = self.ahead.iter().zip(self.complete + 1..).take_while(|(have, want)| **have == *want).count();
        self.ahead.drain(..following);
        self.complete += i64::try_from(following).unwrap_or_default();
        if self.ahead.is_empty() {
            self.missing_since = None;
        }
    }
}

/// Whether two times name the same instant of FFN's clock, which may be written with three decimals
/// in one answer and seven in another (contract 4).
pub fn same_instant(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    one.timestamp_millis() == other.timestamp_millis()
}

/// A short hash of JSON text that is the same in every version: FNV-1a with 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a field, or of a whole item, as FFN wrote it.
    pub fn of(json: &str) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        Self(json.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

/// The namespace of every id the bridge makes.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f3c_1a52_9a55_5c0e_8d0e_ff0b_1d6e_0001);

/// The id of an event: a pure function of FFN's own data, so that the same change has the same id
/// after a crash, a lost database or on a second machine.
///
/// `parts` name the account, the entity and the transition. They are joined with a character that
/// none of them can hold.
pub fn event_id(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes())
}

/// An instant as a part of an id: milliseconds, so that the number of decimals makes no difference.
pub fn id_part(instant: DateTime<Utc>) -> String {
    instant.timestamp_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fixed_for_ever() {
        let id = event_id(&["acme", "outbound", "ACME02K7Q2", "shipped", "1767600000000"]);
        assert_eq!(
            id.to_string(),
            event_id(&["acme", "outbound", "ACME02K7Q2", "shipped", "1767600000000"]).to_string()
        );
        assert_ne!(id, event_id(&["acme", "outbound", "ACME02K7Q2shipped", "1767600000000"]));
    }

    #[test]
    fn fingerprints_are_fixed_for_ever() {
        // The published test values of FNV-1a.
        assert_eq!(Fingerprint::of(""), Fingerprint(0xcbf2_9ce4_8422_2325));
        assert_eq!(Fingerprint::of("foobar"), Fingerprint(0x8594_4171_f739_67e8));
    }

    #[test]
    fn what_was_told_is_bounded() {
        let mut known = Known::default();
        for change in 0..200 {
            known.remember(&change.to_string());
            known.remember(&change.to_string());
        }
        assert_eq!(known.told.len(), TOLD_KEPT);
        assert!(known.has_told("199") && !known.has_told("1"));
    }

    #[test]
    fn it_may_be_noted_of_which_status_a_change_told() {
        let mut known = Known::default();
        known.remember(&told_of("17", "Locked"));
        known.remember("17");
        known.remember("18");
        assert!(known.has_told("17") && known.has_told("18") && !known.has_told("1"));
        assert_eq!((known.told_as("17"), known.told_as("18"), known.told.len()), (Some("Locked"), None, 2));
    }

    #[test]
    fn a_hole_in_a_ledger_is_seen_and_closed() {
        let mut versions = Versions::from(7);
        assert!(!versions.read(7) && !versions.read(3) && versions.read(8));
        assert_eq!((versions.complete, versions.hole()), (8, None));
        assert!(versions.read(12) && versions.read(11) && !versions.read(11));
        assert_eq!(versions.hole(), Some((9, 10)));
        assert!(versions.read(10));
        assert_eq!(versions.hole(), Some((9, 9)));
        assert!(versions.read(9));
        assert_eq!((versions.complete, versions.hole()), (12, None));
        assert!(versions.read(15) && versions.read(20));
        versions.give_up();
        assert_eq!((versions.complete, versions.hole()), (15, Some((16, 19))));
        versions.give_up();
        assert_eq!((versions.complete, versions.hole()), (20, None));
    }
}
