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
    /// Steps that have been told, as (status, when it was reached), oldest first; bounded.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub steps: Vec<(String, DateTime<Utc>)>,
    /// The newest change seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_at: Option<DateTime<Utc>>,
    /// A fingerprint per top-level field.
    #[serde(default)]
    pub fields: BTreeMap<String, Fingerprint>,
    /// Whether the end of the entity has been told.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deleted: bool,
}

/// Steps kept per entity: more than any order goes through, little enough to stay small.
const STEPS_KEPT: usize = 64;

impl Known {
    /// Remembers a step and when it was reached.
    pub fn remember_step(&mut self, status: &str, at: DateTime<Utc>) {
        self.steps.push((status.to_owned(), at));
        if self.steps.len() > STEPS_KEPT {
            self.steps.remove(0);
        }
    }

    /// Whether this very step has been told.
    pub fn has_step(&self, status: &str, at: DateTime<Utc>) -> bool {
        self.steps.iter().any(|(known, when)| known == status && same_instant(*when, at))
    }

    /// Whether some step was reached at this instant.
    pub fn has_step_at(&self, at: DateTime<Utc>) -> bool {
        self.steps.iter().any(|(_, when)| same_instant(*when, at))
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
    fn steps_are_bounded() {
        let mut known = Known::default();
        for second in 0..200 {
            known.remember_step("Locked", DateTime::from_timestamp(second, 0).unwrap());
        }
        assert_eq!(known.steps.len(), STEPS_KEPT);
        assert!(known.has_step("Locked", DateTime::from_timestamp(199, 999_000).unwrap()));
        assert!(!known.has_step("Locked", DateTime::from_timestamp(1, 0).unwrap()));
    }
}
