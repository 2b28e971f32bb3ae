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

impl Window {
    /// The next window after `position`, or `None` while there is nothing new to ask for.
    ///
    /// It begins `overlap` before the position, because a change may become visible late, and ends
    /// `safety_lag` behind `server_now`, because the server refuses an end ahead of its clock. After a
    /// long outage it is cut to a day.
    pub fn after(
        position: DateTime<Utc>,
        server_now: DateTime<Utc>,
        overlap: TimeDelta,
        safety_lag: TimeDelta,
    ) -> Option<Self> {
        let from = position - overlap;
        let to = (server_now - safety_lag).min(position + LONGEST_WINDOW);
        (to > position).then_some(Self { from, to })
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

    #[test]
    fn window_reaches_back_by_the_overlap_and_stays_behind_the_server() {
        let window = Window::after(at(1_000_000), at(1_000_030), OVERLAP, LAG);
        assert_eq!(window, Some(Window { from: at(999_700), to: at(1_000_025) }));
    }

    #[test]
    fn no_window_before_the_server_has_moved_on() {
        assert_eq!(Window::after(at(1_000_000), at(1_000_005), OVERLAP, LAG), None);
        assert_eq!(Window::after(at(1_000_000), at(999_000), OVERLAP, LAG), None);
    }

    #[test]
    fn a_long_outage_is_worked_off_in_slices_of_a_day() {
        let window = Window::after(at(0), at(10 * 86_400), OVERLAP, LAG);
        assert_eq!(window, Some(Window { from: at(-300), to: at(86_400) }));
    }
}
