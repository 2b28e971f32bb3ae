//! What is asked for by its id, one after the other, while a window is read: a fulfiller's orders for their shipping
//! notifications, and returns that have left their window.
//!
//! One that FFN fails to show (5xx, no answer in time, nonsense) must not keep the others. They are shown first, and the
//! reading fails at its end, so that the checkpoint stays and the one is asked for again. If it goes on for long while
//! others are shown, the one is set aside.
//!
//! If no other is shown, it may be FFN that fails; but the pages of the window it does show, or the reading would not
//! come to its end. One that has failed in each reading for twice as long is set aside, and the next one only after as
//! long again: an outage of what is asked for sets few aside, and where many fail, none.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ffn;
use crate::store::{KnownEntity, Parked};

/// More failures than these of what was no failure before, and nothing that is shown, are an outage: no more are asked
/// for.
const MOST_FAILURES: usize = 3;
/// Stands for the carriers among what FFN has failed to show; no id is like it.
const CARRIER: &str = "";

/// What FFN has failed to show. Shared by the readings of a feed.
#[derive(Debug, Clone, Default)]
pub struct Failing {
    /// All of it, by its id, and since when while others were shown.
    known: Arc<Mutex<HashMap<String, Option<Instant>>>>,
    /// One of them, and since when each reading came to its end with it while none was shown.
    alone: Arc<Mutex<Option<(String, Instant)>>>,
    /// Whether nothing is set aside while none is shown.
    needs_others: bool,
}

impl Failing {
    /// Whether FFN failed to show this one the last time.
    pub(super) fn has(&self, id: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// One of a reading that has another way out where none is shown.
    pub(super) fn among_others() -> Self {
        Self { needs_others: true, ..Self::default() }
    }

    /// FFN has shown items, and failed to show the carrier of one: that is waited for like one among others.
    pub(super) fn lacks_a_carrier(&self) {
        let mut failing = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        failing.insert(CARRIER.to_owned(), Some(Instant::now()));
    }

    /// Sorts what is to be asked for: at the end what FFN failed to show the last time.
    pub(super) fn sort<T>(&self, looks: &mut [T], id: impl Fn(&T) -> &str) {
        let failing = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        looks.sort_by_key(|look| failing.contains_key(id(look)));
    }

    /// Whether FFN has failed to show some, and if so, whether it showed others.
    pub(super) fn shows_others(&self) -> Option<bool> {
        let failing = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        failing.values().map(Option::is_some).max()
    }
}

/// Something that FFN has failed to show.
pub(super) struct Failed {
    /// Its id.
    pub id: String,
    /// How.
    pub error: ffn::Error,
    /// What is parked when it is set aside.
    pub parked: Vec<Parked>,
    /// What is known then.
    pub known: Option<KnownEntity>,
}

/// The looks of one reading.
pub(super) struct Looks {
    failing: Failing,
    /// How long one may fail before it is set aside; `None` if the first failure ends the reading.
    patience: Option<Duration>,
    is_shown: bool,
    /// Which one failed alone up to now; forgotten where a reading does not come to its end.
    alone: Option<(String, Instant)>,
    failed: Vec<Failed>,
    /// How many of them have not failed before while others were shown.
    new: usize,
}

impl Looks {
    pub(super) fn new(failing: Failing, patience: Option<Duration>) -> Self {
        let alone = failing.alone.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self { failing, patience, is_shown: false, alone, failed: Vec::new(), new: 0 }
    }

    /// FFN has shown one, or refused just that one.
    pub(super) fn shown(&mut self) {
        self.is_shown = true;
    }

    /// Whether it failed in this reading.
    pub(super) fn has_failed(&self, id: &str) -> bool {
        self.failed.iter().any(|failed| failed.id == id)
    }

    /// FFN has failed to show this one; the reading goes on.
    ///
    /// # Errors
    /// It ends here: it is an outage, or the account's matter, or nothing is ever set aside.
    pub(super) fn failed(&mut self, failed: Failed) -> Result<(), ffn::Error> {
        if self.patience.is_none() || !failed.error.may_be_about_this_one() {
            return Err(failed.error);
        }
        let failing = self.failing.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.new += usize::from(failing.get(&failed.id).is_none_or(Option::is_none));
        drop(failing);
        if !self.is_shown && self.new > MOST_FAILURES {
            self.note();
            return Err(failed.error);
        }
        self.failed.push(failed);
        Ok(())
    }

    /// At the end of a reading: what is to be set aside.
    ///
    /// # Errors
    /// Why the window has to be read again; what is to be set aside is given with it.
    pub(super) fn end(mut self) -> (Vec<Failed>, Result<(), ffn::Error>) {
        self.note();
        let (patience, failing) = (self.patience.unwrap_or(Duration::MAX), self.failing.known.clone());
        let alone = self.alone_for(patience.saturating_mul(2));
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |failed: &mut Failed| {
            let since = failing.get(&failed.id).copied().flatten();
            since.is_some_and(|since| since.elapsed() >= patience) || alone.as_ref() == Some(&failed.id)
        };
        let over: Vec<Failed> = self.failed.extract_if(.., is_over).collect();
        for failed in &over {
            failing.remove(&failed.id);
        }
        (over, self.failed.into_iter().next().map_or(Ok(()), |failed| Err(failed.error)))
    }

    /// The one that has failed for so long while none was shown.
    fn alone_for(&mut self, patience: Duration) -> Option<String> {
        let mut before = self.alone.take().filter(|(id, _)| self.has_failed(id));
        let last = self.failed.last().filter(|_| !self.is_shown && !self.failing.needs_others)?;
        if let Some((id, _)) = before.take_if(|(_, since)| since.elapsed() >= patience) {
            return Some(id);
        }
        let alone = before.unwrap_or_else(|| (last.id.clone(), Instant::now()));
        *self.failing.alone.lock().unwrap_or_else(PoisonError::into_inner) = Some(alone);
        None
    }

    /// Writes down what failed, and nothing else: whatever was shown since does not fail any more.
    fn note(&mut self) {
        let mut failing = self.failing.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: HashSet<&str> = self.failed.iter().map(|failed| failed.id.as_str()).collect();
        if self.is_shown {
            failing.retain(|id, _| ids.contains(id.as_str()));
        }
        for id in ids {
            let since = failing.entry(id.to_owned()).or_default();
            if self.is_shown && since.is_none() {
                *since = Some(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: &str) -> Failed {
        let error = ffn::Error::Unreadable { operation: "return.get", reason: "it is no JSON".to_owned() };
        Failed { id: id.to_owned(), error, parked: Vec::new(), known: None }
    }

    /// A reading in which these are asked for, and FFN fails to show those that begin with `F`. What is set aside, and
    /// whether the window has to be read again.
    fn read(failing: &Failing, patience: Duration, ids: &[&str]) -> (Vec<String>, bool) {
        let mut looks = Looks::new(failing.clone(), Some(patience));
        let mut ids = ids.to_vec();
        failing.sort(&mut ids, |id| id);
        for id in ids {
            if !id.starts_with('F') {
                looks.shown();
            } else if looks.failed(failed(id)).is_err() {
                return (Vec::new(), true);
            }
        }
        let (over, ended) = looks.end();
        (over.into_iter().map(|failed| failed.id).collect(), ended.is_err())
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn one_that_fails_is_set_aside_after_a_while_and_not_at_its_first_failure() {
        let failing = Failing::default();
        assert_eq!(read(&failing, LONG, &["F1", "A"]), (vec![], true));
        let (mut over, is_read_again) = read(&failing, Duration::ZERO, &["F1", "F2", "A"]);
        over.sort_unstable();
        assert_eq!((over, is_read_again), (vec!["F1".to_owned(), "F2".to_owned()], false));
        assert_eq!(read(&failing, LONG, &["F1", "A"]), (vec![], true), "it begins anew");
        // Once it is shown, nothing is held against it.
        assert_eq!(read(&failing, LONG, &["A"]), (vec![], false));
        assert!(failing.known.lock().unwrap().is_empty());
    }

    #[test]
    fn an_outage_sets_nothing_aside_and_is_not_asked_on_and_on() {
        let failing = Failing::default();
        for _ in 0..3 {
            assert_eq!(read(&failing, Duration::ZERO, &["F1"]), (vec![], true));
            assert_eq!(read(&failing, Duration::ZERO, &["F1", "F2", "F3", "F4", "F5"]), (vec![], true));
        }
        // It does not count how long it lasted.
        assert!(failing.known.lock().unwrap().values().all(Option::is_none));
        let mut looks = Looks::new(failing, Some(LONG));
        let asked = (0..9).take_while(|id| looks.failed(failed(&format!("F{id}"))).is_ok()).count();
        assert_eq!(asked, MOST_FAILURES);
    }

    #[test]
    fn of_those_that_fail_alone_one_at_a_time_is_set_aside_if_each_reading_comes_to_its_end() {
        let (failing, no_time) = (Failing::default(), Duration::ZERO);
        for _ in 0..2 {
            assert_eq!(read(&failing, LONG, &["F1"]), (vec![], true));
        }
        // The pages of the next one are not shown, or others are.
        for others in [&[][..], &["F1", "F2", "F3", "F4"], &["A"]] {
            match others {
                [] => drop(Looks::new(failing.clone(), Some(no_time))),
                others => drop(read(&failing, no_time, others)),
            }
            assert_eq!(read(&failing, no_time, &["F1"]), (vec![], true), "it begins anew after {others:?}");
        }
        assert_eq!(read(&failing, LONG, &["F2", "F1"]), (vec![], true));
        assert_eq!(read(&failing, no_time, &["F2", "F1"]), (vec!["F1".to_owned()], true));
        assert_eq!(read(&failing, no_time, &["F2"]), (vec![], true), "the other is waited for as long");
        assert_eq!(read(&failing, no_time, &["F2"]), (vec!["F2".to_owned()], false));
    }

    #[test]
    fn many_that_fail_do_not_hide_one_that_would_be_shown() {
        let failing = Failing::default();
        let ids = ["F1", "F2", "F3", "F4", "A"];
        assert_eq!(read(&failing, LONG, &ids), (vec![], true));
        assert_eq!(read(&failing, LONG, &ids), (vec![], true));
        let known = failing.known.lock().unwrap().clone();
        assert!(known.len() == 4 && known.values().all(Option::is_some), "{known:?}");
        // Nor does it keep them for ever that nothing else comes.
        assert_eq!(read(&failing, Duration::ZERO, &ids[..4]).0.len(), 4);
    }

    #[test]
    fn without_patience_the_first_failure_ends_it() {
        assert!(Looks::new(Failing::default(), None).failed(failed("F1")).is_err());
    }
}
