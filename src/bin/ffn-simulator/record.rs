//! What every object of the network carries: its changes, its statuses, how it is served; and the
//! store that keeps objects of one kind with their indexes.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut, Range};

use crate::catalog::Role;
use crate::clock::Clock;
use crate::json::{Json, obj};

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Merchant,
    Fulfiller,
    /// The simulated warehouse or the control API: the fulfiller's account, another application.
    House,
    /// The control API in the merchant's name: the merchant's account, another application.
    Shop,
}

impl Actor {
    pub(crate) const fn of(role: Role) -> Self {
        match role {
            Role::Merchant => Actor::Merchant,
            Role::Fulfiller => Actor::Fulfiller,
        }
    }

    /// Whose account it is.
    pub(crate) const fn role(self) -> Role {
        match self {
            Actor::Merchant | Actor::Shop => Role::Merchant,
            Actor::Fulfiller | Actor::House => Role::Fulfiller,
        }
    }

    fn is_user(self, role: Role) -> bool {
        self.role() == role
    }

    pub(crate) fn is_application(self) -> bool {
        matches!(self, Actor::Merchant | Actor::Fulfiller)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Actor::Merchant => "merchant",
            Actor::Fulfiller => "fulfiller",
            Actor::House => "warehouse",
            Actor::Shop => "shop",
        }
    }
}

/// A span of time of a change feed, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// `to` belongs to the span.
    pub(crate) inclusive: bool,
    /// `from` does not belong to the span.
    pub(crate) after_from: bool,
}

const NANOS: i64 = 1_000_000;

impl Window {
    pub(crate) fn contains(&self, ms: i64) -> bool {
        let at = ms.saturating_mul(NANOS);
        (at > self.from || (at == self.from && !self.after_from)) && (at < self.to || (self.inclusive && at == self.to))
    }

    /// The same span as a range of whole milliseconds; `None` if it is empty.
    pub(crate) fn range(&self) -> Option<Range<i64>> {
        let ceiling = |ns: i64| ns.div_euclid(NANOS) + i64::from(ns.rem_euclid(NANOS) != 0);
        let from = if self.after_from { self.from.div_euclid(NANOS) + 1 } else { ceiling(self.from) };
        let to = if self.inclusive { self.to.div_euclid(NANOS) + 1 } else { ceiling(self.to) };
        (from < to).then_some(from..to)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: i64,
    pub(crate) state: &'static str,
    pub(crate) by: Actor,
}

/// `modificationInfo` of an object; inside a feed with the changes of the window.
pub(crate) fn modified(changes: &[Change], window: Option<&Window>, clock: &Clock) -> Json {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Json::Null };
    let one = |c: &Change| obj([("createdAt", clock.text(c.at).into()), ("state", c.state.into())]);
    let inside = window.map(|w| changes.iter().filter(|c| w.contains(c.at)).map(one).collect::<Vec<_>>());
    obj([
        ("createdAt", clock.text(first.at).into()),
        ("updatedAt", clock.text(last.at).into()),
        ("state", last.state.into()),
        ("changesInRange", inside.into()),
    ])
}

/// Whether every change of the window was the caller's own, in the sense of the two flags of a feed.
pub(crate) fn all_own(changes: &[Change], window: &Window, role: Role, application: bool, user: bool) -> bool {
    let own = |c: &Change| (application && c.by.is_application()) || (user && c.by.is_user(role));
    (application || user) && changes.iter().filter(|c| window.contains(c.at)).all(own)
}

/// Members that are served by literal text; `None` leaves a member out.
pub(crate) type Overlay = Vec<(String, Option<String>)>;

/// A literal text that is served in the place of a whole object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instead {
    pub(crate) text: String,
    /// Only in feeds; elsewhere the object is served.
    pub(crate) feeds: bool,
}

/// For how long a feed does not show an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// The next so many times that it would be shown.
    Reads(u32),
    /// Until the clock shows this.
    Until(i64),
    Always,
}

/// What every object carries.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) changes: Vec<Change>,
    /// Every status that was reached, and when.
    pub(crate) history: Vec<(String, i64)>,
    pub(crate) overlay: Overlay,
    pub(crate) instead: Option<Box<Instead>>,
    pub(crate) hidden: Option<Hidden>,
    /// Lists do not show it either.
    pub(crate) unlisted: bool,
    pub(crate) deleted: bool,
}

impl Record {
    /// The record of a new object.
    pub(crate) fn new(at: i64, by: Actor, status: Option<&str>) -> Self {
        Record {
            changes: vec![Change { at, state: "New", by }],
            history: status.map(|status| (status.to_owned(), at)).into_iter().collect(),
            overlay: Vec::new(),
            instead: None,
            hidden: None,
            unlisted: false,
            deleted: false,
        }
    }

    pub(crate) fn updated(&self) -> i64 {
        self.changes.last().map_or(0, |c| c.at)
    }

    pub(crate) fn created(&self) -> i64 {
        self.changes.first().map_or(0, |c| c.at)
    }

    /// Whether a feed leaves it out now; counts the times.
    pub(crate) fn hides(&mut self, now: i64) -> bool {
        match self.hidden {
            Some(Hidden::Always) => true,
            Some(Hidden::Until(at)) if now < at => true,
            Some(Hidden::Reads(left)) if left > 0 => {
                self.hidden = Some(Hidden::Reads(left - 1));
                true
            }
            Some(_) => {
                self.hidden = None;
                false
            }
            None => false,
        }
    }

    /// Puts in or replaces members that are served as they are.
    pub(crate) fn overlay(&mut self, members: Overlay) {
        for (name, value) in members {
            self.overlay.retain(|(known, _)| *known != name);
            self.overlay.push((name, value));
        }
    }
}

/// An object with a record.
pub(crate) trait Entity {
    fn record(&self) -> &Record;
    fn record_mut(&mut self) -> &mut Record;
}

/// All objects of one kind, in the order of their creation.
#[derive(Debug)]
pub(crate) struct Store<T> {
    rows: Vec<T>,
    /// By the time of the newest change.
    newest: BTreeSet<(i64, usize)>,
    /// By the time of every change; the last is the change's number.
    every: BTreeSet<(i64, usize, usize)>,
    ids: HashMap<String, usize>,
    numbers: HashMap<String, Vec<usize>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store {
            rows: Vec::new(),
            newest: BTreeSet::new(),
            every: BTreeSet::new(),
            ids: HashMap::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T> Deref for Store<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.rows
    }
}

impl<T> DerefMut for Store<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.rows
    }
}

impl<T: Entity> Store<T> {
    /// Adds an object that has its first changes already.
    pub(crate) fn add(&mut self, id: Option<&str>, number: Option<&str>, row: T) -> usize {
        let n = self.rows.len();
        for (k, change) in row.record().changes.iter().enumerate() {
            self.every.insert((change.at, n, k));
        }
        self.newest.insert((row.record().updated(), n));
        if let Some(id) = id {
            self.ids.insert(id.to_owned(), n);
        }
        if let Some(number) = number {
            self.numbers.entry(number.to_owned()).or_default().push(n);
        }
        self.rows.push(row);
        n
    }

    /// Writes down a change.
    pub(crate) fn touch(&mut self, n: usize, change: Change) {
        let Some(row) = self.rows.get_mut(n) else { return };
        let record = row.record_mut();
        self.newest.remove(&(record.updated(), n));
        self.every.insert((change.at, n, record.changes.len()));
        record.changes.push(change);
        self.newest.insert((change.at, n));
    }

    /// An object has another number than before.
    pub(crate) fn renumber(&mut self, n: usize, before: &str, now: &str) {
        if before == now {
            return;
        }
        if let Some(known) = self.numbers.get_mut(before) {
            known.retain(|k| *k != n);
        }
        if !now.is_empty() {
            let known = self.numbers.entry(now.to_owned()).or_default();
            known.insert(known.partition_point(|k| *k < n), n);
        }
    }

    /// By id, deleted ones too.
    pub(crate) fn known(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    fn is_live(&self, n: usize) -> bool {
        self.rows.get(n).is_some_and(|row| !row.record().deleted)
    }

    /// By id.
    pub(crate) fn by_id(&self, id: &str) -> Option<usize> {
        self.known(id).filter(|n| self.is_live(*n))
    }

    /// All with this number.
    pub(crate) fn numbered(&self, number: &str) -> impl Iterator<Item = usize> + '_ {
        let known = self.numbers.get(number).map(Vec::as_slice).unwrap_or_default();
        known.iter().copied().filter(|n| self.is_live(*n))
    }

    /// By id or number, deleted ones only if there is no other.
    pub(crate) fn any_name(&self, name: &str) -> Option<usize> {
        let number = self.numbers.get(name).map(Vec::as_slice).unwrap_or_default();
        self.by_id(name)
            .or_else(|| self.numbered(name).last())
            .or_else(|| self.known(name))
            .or_else(|| number.last().copied())
    }
}

/// A store, whatever it keeps.
pub(crate) trait Shelf {
    fn count(&self) -> usize;
    fn record(&self, n: usize) -> Option<&Record>;
    fn record_mut(&mut self, n: usize) -> Option<&mut Record>;
    fn stamp(&mut self, n: usize, change: Change);
    fn live(&self, id: &str) -> Option<usize>;
    fn with_number(&self, number: &str) -> Vec<usize>;
    fn named(&self, name: &str) -> Option<usize>;
    /// The objects of a span of time by their newest change; if `frozen`, by their newest change in the span.
    fn changed(&self, range: Range<i64>, frozen: bool) -> Box<dyn Iterator<Item = usize> + '_>;
    /// Every change from a time on: when, of which object, and which of its changes.
    fn changes_since(&self, since: i64) -> Box<dyn Iterator<Item = (i64, usize, usize)> + '_>;
}

impl<T: Entity> Shelf for Store<T> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn record(&self, n: usize) -> Option<&Record> {
        self.rows.get(n).map(Entity::record)
    }

    fn record_mut(&mut self, n: usize) -> Option<&mut Record> {
        self.rows.get_mut(n).map(Entity::record_mut)
    }

    fn stamp(&mut self, n: usize, change: Change) {
        self.touch(n, change);
    }

    fn live(&self, id: &str) -> Option<usize> {
        self.by_id(id)
    }

    fn with_number(&self, number: &str) -> Vec<usize> {
        self.numbered(number).collect()
    }

    fn named(&self, name: &str) -> Option<usize> {
        self.any_name(name)
    }

    fn changed(&self, range: Range<i64>, frozen: bool) -> Box<dyn Iterator<Item = usize> + '_> {
        if !frozen {
            return Box::new(self.newest.range((range.start, 0)..(range.end, 0)).map(|(_, n)| *n));
        }
        let inside = self.every.range((range.start, 0, 0)..(range.end, 0, 0));
        let last = move |n: usize, k: usize| {
            self.record(n).and_then(|r| r.changes.get(k + 1)).is_none_or(|next| next.at >= range.end)
        };
        Box::new(inside.filter(move |(_, n, k)| last(*n, *k)).map(|(_, n, _)| *n))
    }

    fn changes_since(&self, since: i64) -> Box<dyn Iterator<Item = (i64, usize, usize)> + '_> {
        Box::new(self.every.range((since, 0, 0)..).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn window(from: &str, to: &str, inclusive: bool) -> Window {
        let ns = |text| clock::parse(text).unwrap().timestamp_nanos_opt().unwrap();
        Window { from: ns(from), to: ns(to), inclusive, after_from: false }
    }

    fn ms(text: &str) -> i64 {
        clock::parse(text).unwrap().timestamp_millis()
    }

    #[test]
    fn which_bounds_belong_to_a_window() {
        let (a, b) = ("2026-01-05T08:00:00.000Z", "2026-01-05T08:00:01.000Z");
        for inclusive in [false, true] {
            for after_from in [false, true] {
                let w = Window { after_from, ..window(a, b, inclusive) };
                assert_eq!(w.contains(ms(a)), !after_from);
                assert!(!w.contains(ms(a) - 1));
                assert_eq!(w.contains(ms(b)), inclusive);
                assert!(w.contains(ms(b) - 1));
                let range = w.range().unwrap();
                for at in [ms(a) - 1, ms(a), ms(a) + 1, ms(b) - 1, ms(b), ms(b) + 1] {
                    assert_eq!(range.contains(&at), w.contains(at));
                }
            }
        }
    }

    #[test]
    fn bounds_between_two_milliseconds() {
        for (inclusive, after_from) in [(false, false), (true, false), (false, true), (true, true)] {
            let w = window("2026-01-05T08:00:00.0000001Z", "2026-01-05T08:00:00.0020001Z", inclusive);
            let w = Window { after_from, ..w };
            let base = ms("2026-01-05T08:00:00Z");
            let range = w.range().unwrap();
            for at in base..base + 4 {
                assert_eq!(range.contains(&at), w.contains(at), "{at}");
            }
            assert!(!w.contains(base) && w.contains(base + 2) && !w.contains(base + 3));
        }
        assert!(window("2026-01-05T08:00:00Z", "2026-01-05T08:00:00Z", false).range().is_none());
        assert!(window("2026-01-05T08:00:00Z", "2026-01-05T08:00:00Z", true).range().is_some());
    }

    #[test]
    fn own_changes() {
        let w = window("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z", false);
        let at = ms("2026-01-05T08:30:00Z");
        let change = |by| Change { at, state: "New", by };
        let mine = [change(Actor::Merchant)];
        let both = [change(Actor::Merchant), change(Actor::House)];
        assert!(!all_own(&mine, &w, Role::Merchant, false, false));
        assert!(all_own(&mine, &w, Role::Merchant, true, false));
        assert!(all_own(&mine, &w, Role::Merchant, false, true));
        assert!(!all_own(&mine, &w, Role::Fulfiller, false, true));
        assert!(!all_own(&both, &w, Role::Merchant, true, true));
    }

    struct Plain(Record);

    impl Entity for Plain {
        fn record(&self) -> &Record {
            &self.0
        }

        fn record_mut(&mut self) -> &mut Record {
            &mut self.0
        }
    }

    #[test]
    fn an_object_leaves_an_open_window_and_stays_in_a_frozen_one() {
        let mut store = Store::default();
        for at in [10, 20, 30] {
            store.add(Some(&at.to_string()), Some("N"), Plain(Record::new(at, Actor::House, None)));
        }
        store.touch(0, Change { at: 25, state: "Modified", by: Actor::House });
        store.touch(1, Change { at: 99, state: "Modified", by: Actor::House });
        let changed = |range, frozen| store.changed(range, frozen).collect::<Vec<_>>();
        assert_eq!(changed(10..40, false), [0, 2]);
        assert_eq!(changed(10..40, true), [1, 0, 2]);
        assert_eq!(changed(90..100, true), [1]);
        store[1].0.deleted = true;
        assert_eq!((store.by_id("20"), store.known("20"), store.any_name("20")), (None, Some(1), Some(1)));
        assert_eq!(store.any_name("N"), Some(2));
    }

    #[test]
    fn hidden_for_a_while() {
        let mut record = Record::new(0, Actor::House, None);
        record.hidden = Some(Hidden::Reads(2));
        assert_eq!([0; 4].map(|now| record.hides(now)), [true, true, false, false]);
        record.hidden = Some(Hidden::Until(5));
        assert_eq!([4, 5].map(|now| record.hides(now)), [true, false]);
        record.hidden = Some(Hidden::Always);
        assert!(record.hides(i64::MAX));
    }
}
