//! What the bridge remembers of an entity, to tell the next time what has changed.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The little that is kept of an entity: enough to derive events and to name what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The status at the last reading.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// The changes that have been told, by what tells them apart in their ids; the first and the last of them, oldest first. Some
    /// say as well of which status they told, see [`told_of`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub told: Vec<String>,
    /// The newest change seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_at: Option<DateTime<Utc>>,
    /// A fingerprint per top-level field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub fields: BTreeMap<String, Fingerprint>,
    /// Whether a feed has told that it is gone.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deleted: bool,
    /// Whether FFN shows it no more, though no feed has told that it is gone: one may still do so.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub missing: bool,
    /// Of a stock in a warehouse: which versions of its ledger have been read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub versions: Option<Versions>,
}

/// Changes kept per entity, the first, those of statuses and the last: more than a reading tells again, little enough to
/// stay small. What is forgotten here, the journal still refuses by its id.
const TOLD_KEPT: usize = 64;

impl Known {
    /// Remembers that a change has been told.
    pub fn remember(&mut self, change: &str) {
        if self.has_told(change.split(OF).next().unwrap_or(change)) {
            return;
        }
        self.told.push(change.to_owned());
        if self.told.len() > TOLD_KEPT {
            // Each reading tells again how it began, and which statuses it reached when.
            let told = &self.told;
            let oldest = (1..told.len()).find(|at| told.get(*at).is_some_and(|told| !told.contains(OF)));
            self.told.remove(oldest.unwrap_or(1));
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
    /// Since when each hole is known, by FFN's clock; by its last version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub since: BTreeMap<i64, DateTime<Utc>>,
    /// The entry after each hole, by the hole's last version; databases of before have none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub next: BTreeMap<i64, Entry>,
    /// The first that was seen, until it has been looked up whether one was lost before it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<i64>,
    /// Its entry; databases of before have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_entry: Option<Entry>,
    /// Since when a version is missing: of holes that a version of before has seen, which noted one time for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing_since: Option<DateTime<Utc>>,
}

/// What is kept of an entry of a ledger: what is told of a hole before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written at FFN.
    pub at: DateTime<Utc>,
    /// The merchant's id of the product, where FFN sent it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merchant_sku: Option<String>,
}

/// Versions of a ledger that are missing between two that have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole<'a> {
    /// The first of them.
    pub from: i64,
    /// The last of them.
    pub to: i64,
    /// Since when it is known, by FFN's clock.
    pub since: Option<DateTime<Utc>>,
    /// The entry after it.
    pub next: Option<&'a Entry>,
}

impl Versions {
    /// A ledger whose first entry to be seen is this one.
    pub fn from(first: i64) -> Self {
        Self { complete: first, ..Self::default() }
    }

    /// Takes note of a version with its entry; whether it is new.
    pub fn read(&mut self, version: i64, entry: Entry) -> bool {
        if version <= self.complete {
            return false;
        }
        let Err(place) = self.ahead.binary_search(&version) else { return false };
        let last = place.checked_sub(1).and_then(|before| self.ahead.get(before)).copied();
        let next = self.ahead.get(place).copied();
        // What is left of a hole is missing for as long as all of it.
        let since = match next {
            Some(next) => self.since.remove(&(next - 1)).or(self.missing_since),
            None => Some(entry.at),
        };
        let before = (last.unwrap_or(self.complete) + 1 < version).then_some(version - 1);
        let after = next.filter(|next| version + 1 < *next).map(|next| next - 1);
        let left = before.into_iter().chain(after);
        self.since.extend(since.into_iter().flat_map(|since| left.clone().map(move |to| (to, since))));
        // It may have been the last of its hole.
        self.next.remove(&version);
        self.next.extend(before.map(|to| (to, entry)));
        self.ahead.insert(place, version);
        self.close_up();
        true
    }

    /// The versions that are missing, ascending.
    pub fn holes(&self) -> impl Iterator<Item = Hole<'_>> {
        let last = std::iter::once(&self.complete).chain(&self.ahead);
        let around = last.zip(&self.ahead).filter(|(last, next)| **last + 1 < **next);
        around.map(|(last, next)| {
            let since = self.since.get(&(next - 1)).copied().or(self.missing_since);
            Hole { from: last + 1, to: next - 1, since, next: self.next.get(&(next - 1)) }
        })
    }

    /// Whether this version is missing.
    pub fn is_missing(&self, version: i64) -> bool {
        let is_before = self.ahead.last().is_some_and(|last| version < *last);
        version > self.complete && is_before && self.ahead.binary_search(&version).is_err()
    }

    /// How many versions are missing.
    pub fn missing(&self) -> u64 {
        let last = self.ahead.last().unwrap_or(&self.complete);
        last.abs_diff(self.complete).saturating_sub(self.ahead.len() as u64)
    }

    /// Gives the first hole up: what is missing there will not be waited for any longer.
    pub fn give_up(&mut self) {
        let last = self.holes().next().map(|hole| hole.to);
        if let Some(last) = last {
            self.complete = last;
            self.close_up();
        }
    }

    /// It has been looked up what came before the first version: `before`, the newest that is nobody's concern any more,
    /// and those that were found after it. What is in no place between them is missing since `at`.
    pub fn begin_after(&mut self, before: Option<i64>, mut found: BTreeMap<i64, Entry>, at: DateTime<Utc>) {
        let (Some(first), entry) = (self.first.take(), self.first_entry.take()) else { return };
        found.retain(|version, _| *version < first);
        let Some(before) = before.or_else(|| found.keys().next().map(|oldest| oldest - 1)) else { return };
        found.retain(|version, _| *version > before);
        if first.abs_diff(before) == found.len() as u64 + 1 {
            return;
        }
        let read = found.keys().copied().chain(first..=self.complete);
        self.ahead = read.chain(std::mem::take(&mut self.ahead)).collect();
        self.complete = before;
        let mut last = before;
        let read = found.into_iter().map(|(version, entry)| (version, Some(entry)));
        for (version, entry) in read.chain([(first, entry)]) {
            if last + 1 < version {
                self.since.insert(version - 1, at);
                self.next.extend(entry.map(|entry| (version - 1, entry)));
            }
            last = version;
        }
        self.close_up();
    }

    fn close_up(&mut self) {
        let following = self.ahead.iter().zip(self.complete + 1..).take_while(|(have, want)| **have == *want).count();
        self.ahead.drain(..following);
        self.complete += i64::try_from(following).unwrap_or_default();
        self.since.retain(|to, _| *to > self.complete);
        self.next.retain(|to, _| *to > self.complete);
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

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
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
        assert!(known.has_told("0") && known.has_told("199") && !known.has_told("1"));
        // Statuses stay, if they are not that many.
        known.remember(&told_of("200", "Locked"));
        (201..400).for_each(|change| known.remember(&change.to_string()));
        assert!(known.has_told("200") && known.has_told("399") && !known.has_told("201"));
        (400..600).for_each(|change| known.remember(&told_of(&change.to_string(), "Locked")));
        assert!(known.told.len() == TOLD_KEPT && known.has_told("0") && known.has_told("599"));
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

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// An entry that was written at this second.
    fn entry(seconds: i64) -> Entry {
        Entry { at: at(seconds), merchant_sku: None }
    }

    /// The holes of a ledger as first and last version, and the second since when.
    fn holes(versions: &Versions) -> Vec<(i64, i64, Option<i64>)> {
        versions.holes().map(|Hole { from, to, since, .. }| (from, to, since.map(|since| since.timestamp()))).collect()
    }

    /// The second at which the entry after each hole was written.
    fn written_after(versions: &Versions) -> Vec<Option<i64>> {
        versions.holes().map(|hole| hole.next.map(|next| next.at.timestamp())).collect()
    }

    #[test]
    fn a_hole_in_a_ledger_is_seen_and_closed() {
        let mut versions = Versions::from(7);
        let read = |version, versions: &mut Versions| versions.read(version, entry(version));
        assert!(!read(7, &mut versions) && !read(3, &mut versions) && read(8, &mut versions));
        assert_eq!((versions.complete, holes(&versions)), (8, vec![]));
        assert!(read(12, &mut versions) && read(11, &mut versions) && !read(11, &mut versions));
        assert_eq!(holes(&versions), [(9, 10, Some(12))]);
        assert!(read(10, &mut versions));
        assert_eq!(holes(&versions), [(9, 9, Some(12))]);
        assert!(read(9, &mut versions));
        assert_eq!((versions.complete, holes(&versions)), (12, vec![]));
        assert!(read(15, &mut versions) && read(20, &mut versions));
        versions.give_up();
        assert_eq!((versions.complete, holes(&versions)), (15, vec![(16, 19, Some(20))]));
        versions.give_up();
        assert_eq!(versions, Versions::from(20), "nothing is left of it");
    }

    #[test]
    fn each_hole_of_a_ledger_has_its_own_time_also_what_is_left_of_it() {
        let mut versions = Versions::from(1);
        assert!(versions.read(10, entry(100)) && versions.read(12, entry(200)) && versions.read(5, entry(300)));
        assert_eq!(holes(&versions), [(2, 4, Some(100)), (6, 9, Some(100)), (11, 11, Some(200))]);
        assert_eq!((versions.missing(), versions.is_missing(9), versions.is_missing(10)), (8, true, false));
        assert!(!versions.is_missing(1) && !versions.is_missing(13));
        assert_eq!(written_after(&versions), [Some(300), Some(100), Some(200)]);
        assert!(versions.read(9, entry(90)) && versions.read(11, entry(110)));
        assert_eq!((holes(&versions).len(), written_after(&versions)), (2, vec![Some(300), Some(90)]));
        assert_eq!(versions.next.len(), 2, "nothing is left of a hole that is closed");
    }

    #[test]
    fn what_was_lost_before_the_first_version_is_a_hole() {
        let begun = |before, found: &[i64]| {
            let mut versions = Versions { first: Some(7), first_entry: Some(entry(7)), ..Versions::from(7) };
            assert!(versions.read(8, entry(8)) && versions.read(10, entry(10)));
            versions.begin_after(before, found.iter().map(|version| (*version, entry(*version))).collect(), at(50));
            assert_eq!((versions.first, &versions.first_entry, versions.ahead.last()), (None, &None, Some(&10)));
            let next: Vec<_> = holes(&versions).into_iter().map(|(_, to, _)| Some(to + 1)).collect();
            assert_eq!(written_after(&versions), next, "whenever it was looked up");
            holes(&versions)
        };
        let after = (9, 9, Some(10));
        for nothing_lost in [begun(Some(6), &[]), begun(Some(4), &[5, 6]), begun(None, &[5, 6]), begun(None, &[])] {
            assert_eq!(nothing_lost, [after]);
        }
        assert_eq!(begun(Some(5), &[]), [(6, 6, Some(50)), after]);
        assert_eq!(begun(Some(1), &[3, 4]), [(2, 2, Some(50)), (5, 6, Some(50)), after]);
        assert_eq!(begun(None, &[4]), [(5, 6, Some(50)), after]);
    }

    #[test]
    fn ledgers_of_databases_of_before_are_read() {
        let stored = r#"{"complete":1,"ahead":[5,8],"missing_since":"1970-01-01T00:01:40Z"}"#;
        let mut versions: Versions = serde_json::from_str(stored).unwrap();
        assert_eq!(holes(&versions), [(2, 4, Some(100)), (6, 7, Some(100))]);
        assert!(versions.read(10, entry(200)) && versions.read(3, entry(300)));
        let expected = [(2, 2, Some(100)), (4, 4, Some(100)), (6, 7, Some(100)), (9, 9, Some(200))];
        assert_eq!(holes(&versions), expected);
        assert_eq!(written_after(&versions), [Some(300), None, None, Some(200)]);
        let again: Versions = serde_json::from_str(&serde_json::to_string(&versions).unwrap()).unwrap();
        assert_eq!(again, versions);
        let mut begun: Versions = serde_json::from_str(r#"{"complete":3,"first":3}"#).unwrap();
        begun.begin_after(Some(1), BTreeMap::new(), at(50));
        assert_eq!((holes(&begun), written_after(&begun)), (vec![(2, 2, Some(50))], vec![None]));
    }
}
