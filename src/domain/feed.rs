//! Change feeds: their names, windows and checkpoints (contract 7).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A change feed of the API that the bridge can follow (contract 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedName {
    /// Orders to ship.
    Outbounds,
    /// Their shipping notifications. A fulfiller has no such feed: his are read through the orders.
    OutboundShipments,
    /// Announced deliveries.
    Inbounds,
    /// Their shipping notifications.
    InboundShipments,
    /// Returns, with the field by field changes of `returns/changes`.
    Returns,
    /// The stock ledger.
    Stocks,
    /// Products.
    Products,
    /// Warehouses.
    Warehouses,
    /// Shipping methods.
    ShippingMethods,
    /// A merchant's partners.
    Fulfillers,
    /// A fulfiller's partners.
    Merchants,
    /// What a fulfiller has granted to merchants.
    Authorizations,
}

impl FeedName {
    /// Every feed, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Outbounds,
        Self::OutboundShipments,
        Self::Inbounds,
        Self::InboundShipments,
        Self::Returns,
        Self::Stocks,
        Self::Products,
        Self::Warehouses,
        Self::ShippingMethods,
        Self::Fulfillers,
        Self::Merchants,
        Self::Authorizations,
    ];

    /// The name as it stands in configuration, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbounds => "outbounds",
            Self::OutboundShipments => "outbound-shipments",
            Self::Inbounds => "inbounds",
            Self::InboundShipments => "inbound-shipments",
            Self::Returns => "returns",
            Self::Stocks => "stocks",
            Self::Products => "products",
            Self::Warehouses => "warehouses",
            Self::ShippingMethods => "shipping-methods",
            Self::Fulfillers => "fulfillers",
            Self::Merchants => "merchants",
            Self::Authorizations => "authorizations",
        }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for FeedName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|feed| feed.as_str() == text).ok_or(())
    }
}

/// How far a feed has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where reading of this feed began for the first time: older changes are not told.
    pub started_at: DateTime<Utc>,
    /// Everything before this instant of the server's clock is in the journal.
    pub position: DateTime<Utc>,
    /// Whether it is told as well what was there when reading began.
    pub with_snapshot: bool,
    /// What has to be read once more.
    pub again: Option<Again>,
}

/// A stretch that was read but whose entities may have left it meanwhile: FFN shows an entity only where it last
/// changed, and from the overlap alone its older changes can't be told any more (contract 7.6, rule 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Begin of the stretch.
    pub from: DateTime<Utc>,
    /// It is part of each window up to the first that reaches beyond this instant.
    pub until: DateTime<Utc>,
}

/// A closed stretch of the server's time that is read to its last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Begin.
    pub from: DateTime<Utc>,
    /// End; never ahead of the server's clock.
    pub to: DateTime<Utc>,
}

/// The longest window that is asked for at once (contract 7.6, rule 3).
const LONGEST_WINDOW: TimeDelta = TimeDelta::hours(24);
/// How far the end of a refused window steps back (contract 7.6, rule 7).
const STEP_BACK: TimeDelta = TimeDelta::seconds(30);
/// Steps back before the window is shortened instead.
const STEPS_BACK: u32 = 3;

impl Window {
    /// The next window after `position`, or `None` while there is nothing new to ask for.
    ///
    /// It begins `overlap` before the position, because a change may become visible late, and ends
    /// `safety_lag` behind `server_now`, because the server refuses an end ahead of its clock. After a
    /// long outage it is cut to a day with its overlap, or with one of more than half a day to half a day without.
    ///
    /// What has to be read once more is part of it, as far as it is not longer than a day then.
    pub fn after(
        checkpoint: &Checkpoint,
        server_now: DateTime<Utc>,
        overlap: TimeDelta,
        safety_lag: TimeDelta,
    ) -> Option<Self> {
        let position = checkpoint.position;
        let slice = (LONGEST_WINDOW - overlap).max(LONGEST_WINDOW / 2);
        let to = (server_now - safety_lag).min(position + slice);
        let again = checkpoint.again.map_or(position, |again| again.from.max(to - LONGEST_WINDOW));
        (to > position).then_some(Self { from: again.min(position - overlap), to })
    }

    /// What is asked for instead after so many refusals in a row (contract 7.6, rule 7), or `None` if nothing new is
    /// left of it.
    ///
    /// First it ends earlier: the clocks may differ. Then it may be too long: what has to be read once more is left out,
    /// else a window that was accepted could make all later ones too long. Then what is new in it is halved.
    pub fn after_refusals(self, position: DateTime<Utc>, overlap: TimeDelta, refusals: u32) -> Option<Self> {
        let Self { mut from, mut to } = self;
        for refusal in 1..=refusals {
            let back = to - STEP_BACK;
            if refusal <= STEPS_BACK && back > position {
                to = back;
            } else if refusal > STEPS_BACK && from < position - overlap {
                from = position - overlap;
            } else {
                to = position + (to - position) / 2;
            }
        }
        (to > position).then_some(Self { from, to })
    }

    /// As how many refusals in a row it counts, after so many, that only a shorter window can be read.
    pub fn shorter_after(refusals: u32) -> u32 {
        refusals.max(STEPS_BACK) + 1
    }

    /// What the next window has to read once more, when this one has been read until `now`: a stretch longer than
    /// the overlap, for as long as the overlap has short ones read.
    pub fn again(&self, checkpoint: &Checkpoint, overlap: TimeDelta, now: DateTime<Utc>) -> Option<Again> {
        let left = checkpoint.again.filter(|again| self.to <= again.until);
        if self.to - checkpoint.position <= overlap {
            return left;
        }
        let from = checkpoint.position - overlap;
        Some(Again { from: left.map_or(from, |left| left.from.min(from)), until: now + overlap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    const OVERLAP: TimeDelta = TimeDelta::seconds(300);
    const LAG: TimeDelta = TimeDelta::seconds(5);

    fn read_to(seconds: i64, again: Option<Again>) -> Checkpoint {
        Checkpoint { started_at: at(0), position: at(seconds), with_snapshot: false, again }
    }

    #[test]
    fn window_reaches_back_by_the_overlap_and_stays_behind_the_server() {
        let window = Window::after(&read_to(1_000_000, None), at(1_000_030), OVERLAP, LAG);
        assert_eq!(window, Some(Window { from: at(999_700), to: at(1_000_025) }));
    }

    #[test]
    fn no_window_before_the_server_has_moved_on() {
        let checkpoint = read_to(1_000_000, None);
        assert_eq!(Window::after(&checkpoint, at(1_000_005), OVERLAP, LAG), None);
        assert_eq!(Window::after(&checkpoint, at(999_000), OVERLAP, LAG), None);
    }

    #[test]
    fn a_long_outage_is_worked_off_in_slices_of_a_day() {
        let window = Window::after(&read_to(0, None), at(10 * 86_400), OVERLAP, LAG);
        assert_eq!(window, Some(Window { from: at(-300), to: at(86_100) }));
        // An overlap of a day leaves no day for what is new.
        let window = Window::after(&read_to(0, None), at(10 * 86_400), TimeDelta::days(1), LAG);
        assert_eq!(window, Some(Window { from: at(-86_400), to: at(43_200) }));
    }

    #[test]
    fn a_refused_window_ends_earlier_and_is_then_shorter() {
        let window = Window { from: at(0), to: at(90_000) };
        let after = |refusals| window.after_refusals(at(80_000), OVERLAP, refusals).unwrap();
        assert_eq!(after(0), window);
        assert_eq!(after(1), Window { from: at(0), to: at(89_970) });
        assert_eq!(after(3), Window { from: at(0), to: at(89_910) });
        // A stretch that is to be read again must not make it too long for ever.
        assert_eq!(after(4), Window { from: at(79_700), to: at(89_910) });
        assert_eq!(after(5), Window { from: at(79_700), to: at(84_955) });
        let whole = Window { from: at(79_700), to: at(90_000) };
        assert_eq!(whole.after_refusals(at(80_000), OVERLAP, 4).unwrap().to, at(84_955));
        let short = Window { from: at(79_700), to: at(80_020) };
        assert_eq!(short.after_refusals(at(80_000), OVERLAP, 1).unwrap().to, at(80_010));
        assert_eq!(short.after_refusals(at(80_000), OVERLAP, 60), None);
        // What is too long, and not ahead of FFN's clock, is shortened at once.
        assert_eq!(after(Window::shorter_after(0)), Window { from: at(79_700), to: at(89_910) });
        let shorter = |refusals| whole.after_refusals(at(80_000), OVERLAP, Window::shorter_after(refusals)).unwrap().to;
        assert_eq!(
            (shorter(0), shorter(1), shorter(4)),
            (at(84_955), at(84_955), at(82_477) + TimeDelta::milliseconds(500))
        );
    }

    #[test]
    fn what_was_longer_than_the_overlap_is_read_again_for_as_long() {
        let before = read_to(10_000, None);
        let short = Window::after(&before, at(10_035), OVERLAP, LAG).unwrap();
        assert_eq!(short.again(&before, OVERLAP, at(10_036)), None);
        let long = Window::after(&before, at(12_005), OVERLAP, LAG).unwrap();
        let again = long.again(&before, OVERLAP, at(12_020));
        assert_eq!(again, Some(Again { from: at(9_700), until: at(12_320) }));
        // A window that ends before that is not enough.
        let next = read_to(12_000, again);
        let early = Window::after(&next, at(12_300), OVERLAP, LAG).unwrap();
        assert_eq!((early.from, early.again(&next, OVERLAP, at(12_301))), (at(9_700), again));
        let next = read_to(12_295, again);
        let longer = Window::after(&next, at(12_315), OVERLAP, LAG).unwrap();
        assert_eq!(
            longer.again(&read_to(12_000, again), OVERLAP, at(12_320)),
            Some(Again { from: at(9_700), until: at(12_620) })
        );
        let late = Window::after(&next, at(12_326), OVERLAP, LAG).unwrap();
        assert_eq!((late.from, late.again(&next, OVERLAP, at(12_327))), (at(9_700), None));
        // Never longer than a day, and never less than the overlap.
        let day =
            Window::after(&read_to(86_400, Some(Again { from: at(0), until: at(86_500) })), at(90_000), OVERLAP, LAG);
        assert_eq!(day.unwrap().from, at(90_000 - 5 - 86_400));
        let slice =
            Window::after(&read_to(86_400, Some(Again { from: at(0), until: at(86_500) })), at(900_000), OVERLAP, LAG);
        assert_eq!(slice.unwrap().from, at(86_100));
    }
}
