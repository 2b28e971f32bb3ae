//! Which windows FFN accepts is found out by asking (contract 7.4 and 7.6, rule 7), and remembered while a feed is
//! followed: it refuses an end ahead of its clock, and perhaps a window that is too long.

use chrono::{DateTime, TimeDelta, Utc};

use super::feed::{Checkpoint, Window};

/// The longest window that is asked for at once (contract 7.6, rule 3).
const LONGEST_WINDOW: TimeDelta = TimeDelta::hours(24);
/// The least that is new in a window which is made shorter.
const SHORTEST: TimeDelta = TimeDelta::seconds(1);
/// How far the end of a refused window steps back.
const STEP_BACK: TimeDelta = TimeDelta::seconds(30);
/// Steps back before the window is shortened instead.
const STEPS_BACK: i32 = 3;
/// Refusals in a row, whatever was asked for, after which the end steps back though nothing new is left then.
const MANY_REFUSALS: u32 = 8;
/// What is further back than this has another reason than a clock.
const MOST_BACK: TimeDelta = TimeDelta::minutes(15);

/// The windows of a feed, as FFN takes them.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    /// How much earlier they end than they could.
    back: TimeDelta,
    /// How much is new in them at the most, if FFN does not take those of a day.
    slice: Option<TimeDelta>,
    /// The shortest that was too long: what has to be read once more is left out of one that would be as long.
    too_long: Option<TimeDelta>,
    /// Refusals one after the other.
    run: Option<Run>,
    refusals: u32,
    later: Trial<1>,
    longer: Trial<4>,
    whole: Trial<1>,
}

/// Windows that were refused since one was accepted.
#[derive(Debug, Clone, Copy)]
struct Run {
    steps: i32,
    /// `back` before them.
    back: TimeDelta,
    /// How long the last one with what has to be read once more was: that is left out since.
    left_out: Option<TimeDelta>,
}

impl Run {
    fn new(back: TimeDelta) -> Self {
        Self { steps: 0, back, left_out: None }
    }
}

impl Fit {
    /// The next window after a checkpoint, or `None` while there is nothing new to ask for.
    ///
    /// It begins `overlap` before the position, because a change may become visible late, and ends
    /// `safety_lag` behind `server_now`, because the server refuses an end ahead of its clock. After a
    /// long outage it is cut to a day with its overlap, or with one of more than half a day to half a day without.
    ///
    /// What has to be read once more is part of it, as far as it is not longer than a day then.
    pub fn window(
        &self,
        checkpoint: &Checkpoint,
        server_now: DateTime<Utc>,
        overlap: TimeDelta,
        safety_lag: TimeDelta,
    ) -> Option<Window> {
        let position = checkpoint.position;
        let slice = self.slice.unwrap_or_else(|| longest_slice(overlap));
        let to = (server_now - safety_lag - self.back).min(position + slice);
        let again = checkpoint.again.map(|again| again.from.max(to - LONGEST_WINDOW));
        let is_left_out = self.run.is_some_and(|run| run.left_out.is_some());
        let is_too_long = |from| !self.whole.is_on && self.too_long.is_some_and(|too_long| to - from >= too_long);
        let again = again.filter(|from| !is_left_out && !is_too_long(*from));
        (to > position).then_some(Window { from: again.unwrap_or(position).min(position - overlap), to })
    }

    /// Whether a window ends where it does because it would be too long else.
    pub fn is_slice(&self, window: Window, server_now: DateTime<Utc>, safety_lag: TimeDelta) -> bool {
        window.to < server_now - safety_lag - self.back
    }

    /// Whether it is such a one, and ends so long ago that no clock can be why FFN refuses it.
    pub fn is_past(&self, window: Window, server_now: DateTime<Utc>, safety_lag: TimeDelta) -> bool {
        self.is_slice(window, server_now, safety_lag) && window.to < server_now - MOST_BACK
    }

    /// Whether another window is to be tried soon: the last one was refused.
    pub fn is_trying(&self) -> bool {
        self.run.is_some()
    }

    /// Whether FFN has refused windows since it took one: it may end so early now that nothing is new in it.
    pub fn is_refused(&self) -> bool {
        self.refusals > 0
    }

    /// FFN has taken this window. After some that it took, it is tried whether it takes a later end, or more at once.
    pub fn accepted(&mut self, window: Window, is_slice: bool, checkpoint: &Checkpoint, overlap: TimeDelta) {
        if let Some(length) = self.run.take().and_then(|run| run.left_out) {
            self.is_too_long(length);
        }
        self.refusals = 0;
        if let Some(slice) = self.slice.filter(|_| is_slice && self.longer.is_time()) {
            self.slice = Some(slice * 2).filter(|slice| *slice < longest_slice(overlap));
        }
        if self.back > TimeDelta::zero() && !is_slice && self.later.is_time() {
            self.back = (self.back - STEP_BACK).max(TimeDelta::zero());
        }
        if self.too_long.is_some_and(|too_long| window.to - window.from >= too_long) {
            (self.too_long, self.whole) = (None, Trial::default());
        } else if checkpoint.again.is_some_and(|again| again.from.max(window.to - LONGEST_WINDOW) < window.from) {
            self.whole.is_time();
        }
    }

    /// FFN has refused this window. What has to be read once more may make it too long, and is left out first, because
    /// that delays nothing. If it was not that, it ends earlier: the clocks may differ. Then it may be too long.
    pub fn refused(&mut self, window: Window, is_past: bool, position: DateTime<Utc>, overlap: TimeDelta) {
        self.refusals += 1;
        if self.leave_out(window, position, overlap) {
            return;
        }
        let run = self.run.get_or_insert(Run::new(self.back));
        if !is_past && self.later.has_failed() {
            self.back += STEP_BACK;
            *run = Run { back: self.back, left_out: None, ..*run };
        } else if !is_past && run.steps < STEPS_BACK && window.to - STEP_BACK > position {
            self.back += STEP_BACK;
            *run = Run { steps: run.steps + 1, left_out: None, ..*run };
        } else {
            self.too_long(window, position, overlap);
        }
    }

    /// Only a shorter window than this can be read. What has to be read once more goes first, so that what is new is told
    /// in its order. If nothing is left, it was not the length, and it begins anew: with an end that is earlier still, if
    /// that may be it.
    pub fn too_long(&mut self, window: Window, position: DateTime<Utc>, overlap: TimeDelta) {
        if self.leave_out(window, position, overlap) {
            return;
        }
        let before = self.run.map_or(self.back, |run| run.back);
        self.is_too_long(window.to - window.from);
        self.longer.has_failed();
        let slice = (window.to - position) / 2;
        if slice >= SHORTEST {
            self.run.get_or_insert(Run::new(before)).steps = STEPS_BACK;
            (self.slice, self.back) = (Some(slice), before);
        } else {
            let back = match self.refusals {
                ..MANY_REFUSALS => Some(before),
                _ => Some(before + STEP_BACK * STEPS_BACK).filter(|back| *back <= MOST_BACK),
            };
            let (refusals, later) = (self.refusals, self.later.clone());
            *self = Self { back: back.unwrap_or_default(), refusals, later, ..Self::default() };
        }
    }

    /// Leaves out what has to be read once more, until a window is accepted, if this one has it.
    fn leave_out(&mut self, window: Window, position: DateTime<Utc>, overlap: TimeDelta) -> bool {
        let has_it = window.from < position - overlap;
        if has_it {
            self.run.get_or_insert(Run::new(self.back)).left_out = Some(window.to - window.from);
        }
        has_it
    }

    /// What has to be read once more is no part of windows as long as this.
    fn is_too_long(&mut self, length: TimeDelta) {
        self.too_long = Some(self.too_long.map_or(length, |too_long| too_long.min(length)));
        self.whole.has_failed();
    }
}

/// How much is new at the most in a window of a day.
fn longest_slice(overlap: TimeDelta) -> TimeDelta {
    (LONGEST_WINDOW - overlap).max(LONGEST_WINDOW / 2)
}

/// Whether more may be asked for is tried after some windows that were accepted, and less often each time it may not.
#[derive(Debug, Clone)]
struct Trial<const FIRST: u32> {
    accepted: u32,
    after: u32,
    is_on: bool,
}

impl<const FIRST: u32> Default for Trial<FIRST> {
    fn default() -> Self {
        Self { accepted: 0, after: FIRST, is_on: false }
    }
}

impl<const FIRST: u32> Trial<FIRST> {
    const MOST: u32 = 512;

    fn is_time(&mut self) -> bool {
        if self.is_on {
            self.after = FIRST;
        }
        self.accepted += 1;
        self.is_on = self.accepted >= self.after;
        if self.is_on {
            self.accepted = 0;
        }
        self.is_on
    }

    /// Something was refused; whether it was what was tried.
    fn has_failed(&mut self) -> bool {
        self.accepted = 0;
        let was_on = std::mem::take(&mut self.is_on);
        if was_on {
            self.after = (self.after * 2).min(Self::MOST);
        }
        was_on
    }
}

#[cfg(test)]
mod tests {
    use super::super::feed::{Again, Stretch};
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    const OVERLAP: TimeDelta = TimeDelta::seconds(300);
    const LAG: TimeDelta = TimeDelta::seconds(5);

    fn read_to(seconds: i64, again: Option<Again>) -> Checkpoint {
        Checkpoint { started_at: at(0), position: at(seconds), with_snapshot: false, again }
    }

    fn first(checkpoint: &Checkpoint, server_now: i64) -> Option<Window> {
        Fit::default().window(checkpoint, at(server_now), OVERLAP, LAG)
    }

    #[test]
    fn window_reaches_back_by_the_overlap_and_stays_behind_the_server() {
        assert_eq!(first(&read_to(1_000_000, None), 1_000_030), Some(Window { from: at(999_700), to: at(1_000_025) }));
    }

    #[test]
    fn no_window_before_the_server_has_moved_on() {
        let checkpoint = read_to(1_000_000, None);
        assert_eq!((first(&checkpoint, 1_000_005), first(&checkpoint, 999_000)), (None, None));
    }

    #[test]
    fn a_long_outage_is_worked_off_in_slices_of_a_day() {
        assert_eq!(first(&read_to(0, None), 10 * 86_400), Some(Window { from: at(-300), to: at(86_100) }));
        // An overlap of a day leaves no day for what is new.
        let window = Fit::default().window(&read_to(0, None), at(10 * 86_400), TimeDelta::days(1), LAG);
        assert_eq!(window, Some(Window { from: at(-86_400), to: at(43_200) }));
    }

    #[test]
    fn what_was_longer_than_the_overlap_is_read_again_for_as_long() {
        let before = read_to(10_000, None);
        let short = first(&before, 10_035).unwrap();
        assert_eq!(short.again(&before, OVERLAP, at(10_036)), None);
        // As long as it took to read it.
        assert_eq!(short.again(&before, OVERLAP, at(10_400)), Some(Again::new(at(9_700), at(10_700))));
        let long = first(&before, 12_005).unwrap();
        let again = long.again(&before, OVERLAP, at(12_020));
        assert_eq!(again, Some(Again::new(at(9_700), at(12_320))));
        // A window that ends before that is not enough.
        let next = read_to(12_000, again);
        let early = first(&next, 12_300).unwrap();
        assert_eq!((early.from, early.again(&next, OVERLAP, at(12_300))), (at(9_700), again));
        // A second later it has taken longer than the overlap itself.
        assert_eq!(
            early.again(&next, OVERLAP, at(12_301)),
            again.map(|again| Again { next: Some(Stretch { from: at(11_700), until: at(12_601) }), ..again })
        );
        let next = read_to(12_295, again);
        let longer = first(&next, 12_315).unwrap();
        assert_eq!(
            longer.again(&read_to(12_000, again), OVERLAP, at(12_320)),
            again.map(|again| Again { next: Some(Stretch { from: at(11_700), until: at(12_620) }), ..again })
        );
        let late = first(&next, 12_326).unwrap();
        assert_eq!((late.from, late.again(&next, OVERLAP, at(12_327))), (at(9_700), None));
        // Never longer than a day, and never less than the overlap.
        let begun = read_to(86_400, Some(Again::new(at(0), at(86_500))));
        assert_eq!(first(&begun, 90_000).unwrap().from, at(90_000 - 5 - 86_400));
        assert_eq!(first(&begun, 900_000).unwrap().from, at(86_100));
    }

    #[test]
    fn what_takes_longer_than_the_overlap_to_read_is_not_read_again_for_ever() {
        let (mut checkpoint, mut now) = (read_to(0, None), 20_000);
        for _ in 0..20 {
            let window = first(&checkpoint, now).unwrap();
            assert!(window.from <= checkpoint.position - OVERLAP);
            now += 400;
            let again = window.again(&checkpoint, OVERLAP, at(now));
            checkpoint = Checkpoint { position: window.to, again, ..checkpoint };
            now += 30;
        }
        let again = checkpoint.again.unwrap();
        assert!(again.from > at(now - 2000), "what was read shortly before, but not all: {again:?} at {now}");
    }

    /// Reads from one instant to another what FFN takes. How many windows it refused, and how many it took.
    fn read(fit: &mut Fit, from: i64, now: i64, takes: impl Fn(Window) -> bool) -> (u32, u32) {
        let (mut checkpoint, mut refused, mut taken) = (read_to(from, None), 0, 0);
        while let Some(window) = fit.window(&checkpoint, at(now), OVERLAP, LAG) {
            assert!(refused + taken < 10_000, "{fit:?}");
            let is_slice = fit.is_slice(window, at(now), LAG);
            if takes(window) {
                fit.accepted(window, is_slice, &checkpoint, OVERLAP);
                checkpoint.position = window.to;
                taken += 1;
            } else {
                fit.refused(window, fit.is_past(window, at(now), LAG), checkpoint.position, OVERLAP);
                refused += 1;
            }
        }
        assert!(checkpoint.position >= at(now) - LAG - MOST_BACK);
        (refused, taken)
    }

    #[test]
    fn the_longest_window_that_is_taken_is_found_and_remembered() {
        for (longest, most_refused, most_taken) in [(86_400, 0, 11), (43_200, 5, 41), (3600, 20, 350), (1800, 20, 700)]
        {
            let mut fit = Fit::default();
            let takes = |window: Window| window.to - window.from <= TimeDelta::seconds(longest);
            let (refused, taken) = read(&mut fit, 0, 10 * 86_400, takes);
            assert!(refused <= most_refused && taken <= most_taken, "{longest}: {refused} refused, {taken} taken");
            assert!(!fit.is_trying() && fit.back == TimeDelta::zero(), "{fit:?}");
        }
    }

    #[test]
    fn a_limit_that_is_gone_is_noticed() {
        let mut fit = Fit::default();
        read(&mut fit, 0, 86_400, |window| window.to - window.from <= TimeDelta::seconds(1800));
        let (refused, taken) = read(&mut fit, 86_400, 20 * 86_400, |_| true);
        assert!(refused == 0 && taken < 100, "{taken}");
    }

    #[test]
    fn a_clock_that_is_ahead_is_found_and_remembered() {
        for ahead in [20, 40, 200, 600] {
            let mut fit = Fit::default();
            let mut checkpoint = read_to(0, None);
            let mut refused = 0;
            for now in (0..3600).step_by(5) {
                // The clock that windows go by says more than that which decides.
                let Some(window) = fit.window(&checkpoint, at(now + ahead), OVERLAP, LAG) else { continue };
                let is_slice = fit.is_slice(window, at(now + ahead), LAG);
                if window.to <= at(now) {
                    fit.accepted(window, is_slice, &checkpoint, OVERLAP);
                    checkpoint.position = window.to;
                } else {
                    let is_past = fit.is_past(window, at(now + ahead), LAG);
                    fit.refused(window, is_past, checkpoint.position, OVERLAP);
                    refused += 1;
                }
            }
            assert!(checkpoint.position > at(3600 - 120), "{ahead}: {checkpoint:?} {fit:?}");
            assert!(refused < 200, "{ahead}: {refused} of 720");
        }
    }

    #[test]
    fn a_slice_that_ends_ahead_of_ffns_clock_is_not_taken_for_too_long() {
        for ahead in [20, 80] {
            let (mut fit, day) = (Fit::default(), 86_400 - OVERLAP.num_seconds());
            // It is cut off just before the present, and FFN's clock is behind that.
            let now = day + 15;
            let (refused, _) = read(&mut fit, 0, now, |window| window.to <= at(now - ahead));
            assert!(refused <= 4 && fit.slice.is_none() && fit.too_long.is_none(), "{refused}: {fit:?}");
        }
    }

    #[test]
    fn what_is_refused_for_another_reason_begins_anew_with_windows_of_a_day() {
        let mut fit = Fit::default();
        let checkpoint = read_to(0, None);
        let mut lengths = Vec::new();
        for _ in 0..40 {
            let window = fit.window(&checkpoint, at(86_000), OVERLAP, LAG).unwrap();
            lengths.push((window.to - window.from).num_seconds());
            fit.refused(window, fit.is_past(window, at(86_000), LAG), at(0), OVERLAP);
        }
        assert_eq!(lengths[..5], [86_295, 86_265, 86_235, 86_205, 43_252]);
        assert_eq!(lengths.iter().filter(|length| **length > 80_000).count(), 8, "{lengths:?}");
    }

    #[test]
    fn an_end_goes_back_only_as_far_as_a_clock_may_be_wrong() {
        let (mut fit, checkpoint, mut furthest) = (Fit::default(), read_to(0, None), TimeDelta::zero());
        for now in (10..40_000).step_by(30) {
            if let Some(window) = fit.window(&checkpoint, at(now), OVERLAP, LAG) {
                fit.refused(window, fit.is_past(window, at(now), LAG), at(0), OVERLAP);
            }
            furthest = furthest.max(fit.run.map_or(fit.back, |run| run.back));
        }
        assert!(furthest > TimeDelta::minutes(5) && furthest <= MOST_BACK, "{furthest}");
    }

    #[test]
    fn a_few_refusals_delay_nothing() {
        for (new, refusals) in [(1, 3), (30, 5), (40, 3)] {
            let (mut fit, checkpoint) = (Fit::default(), read_to(1_000_000, None));
            for _ in 0..refusals {
                let window = fit.window(&checkpoint, at(1_000_005 + new), OVERLAP, LAG).unwrap();
                fit.refused(window, fit.is_past(window, at(1_000_005 + new), LAG), checkpoint.position, OVERLAP);
            }
            let (refused, taken) = read(&mut fit, 1_000_000, 1_000_005 + new, |_| true);
            assert!(refused == 0 && taken < 20, "{taken}");
            assert_eq!(fit.back, TimeDelta::zero());
        }
    }

    /// What has to be read once more is part of the windows of `polls`, or is not; each is half a minute.
    fn with_again(fit: &mut Fit, polls: i64, takes: impl Fn(Window) -> bool) -> Vec<Vec<(bool, i64)>> {
        let mut checkpoint = read_to(86_000, Some(Again::new(at(0), at(90_000))));
        let poll = |poll: i64| {
            let present = at(86_105 + 30 * poll);
            let mut asked = Vec::new();
            loop {
                // What is known of the server's clock may go back a little.
                let now = present - TimeDelta::milliseconds(6) * i32::try_from(asked.len()).unwrap();
                let window = fit.window(&checkpoint, now, OVERLAP, LAG).unwrap();
                let is_slice = fit.is_slice(window, now, LAG);
                asked.push((window.from == at(0), (present - LAG - window.to).num_seconds()));
                if takes(window) {
                    fit.accepted(window, is_slice, &checkpoint, OVERLAP);
                    checkpoint.position = window.to;
                    return asked;
                }
                fit.refused(window, fit.is_past(window, now, LAG), checkpoint.position, OVERLAP);
            }
        };
        (0..polls).map(poll).collect()
    }

    #[test]
    fn what_has_to_be_read_once_more_is_left_out_before_anything_new_waits() {
        let mut fit = Fit::default();
        let asked = with_again(&mut fit, 12, |window| window.to - window.from <= TimeDelta::hours(12));
        let (without, tried) = (vec![(false, 0)], vec![(true, 0), (false, 0)]);
        assert_eq!(asked[..4], [tried.clone(), tried.clone(), without.clone(), tried.clone()], "less often each time");
        assert_eq!(asked[4..8], [without.clone(), without.clone(), without, tried]);
        // What is shorter is tried at once.
        let checkpoint = read_to(87_000, Some(Again::new(at(60_000), at(90_000))));
        assert_eq!(fit.window(&checkpoint, at(87_105), OVERLAP, LAG).unwrap().from, at(60_000));
    }

    #[test]
    fn what_has_to_be_read_once_more_is_asked_for_again_when_it_was_not_too_long() {
        // A single refusal.
        let count = std::cell::Cell::new(0);
        let asked = with_again(&mut Fit::default(), 3, |_| count.replace(count.get() + 1) > 0);
        assert_eq!(asked, [vec![(true, 0), (false, 0)], vec![(true, 0)], vec![(true, 0)]]);
        // A clock that is ahead.
        let takes = |window: Window| window.to <= at(86_060);
        let asked = with_again(&mut Fit::default(), 1, takes);
        assert_eq!(asked, [vec![(true, 0), (false, 0), (true, 30), (false, 30), (true, 60)]]);
    }

    #[test]
    fn what_never_ends_is_left_out_too() {
        let checkpoint = read_to(86_000, Some(Again::new(at(0), at(90_000))));
        let mut fit = Fit::default();
        let window = fit.window(&checkpoint, at(86_105), OVERLAP, LAG).unwrap();
        assert_eq!(window, Window { from: at(0), to: at(86_100) });
        fit.too_long(window, at(86_000), OVERLAP);
        let shorter = fit.window(&checkpoint, at(86_105), OVERLAP, LAG);
        assert_eq!(shorter, Some(Window { from: at(85_700), to: at(86_100) }));
    }
}
