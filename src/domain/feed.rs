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
    /// What was as long while this was still to be read: its turn comes afterwards, so that each has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Stretch>,
}

/// As [`Again`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Begin.
    pub from: DateTime<Utc>,
    /// How far windows have it.
    pub until: DateTime<Utc>,
}

impl Again {
    /// A stretch, and none after it.
    pub fn new(from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { from, until, next: None }
    }

    /// What is left of it when a window has ended there.
    fn after(self, to: DateTime<Utc>) -> Option<Self> {
        let next = self.next.filter(|next| to <= next.until);
        if to <= self.until { Some(self) } else { next.map(|next| Self::new(next.from, next.until)) }
    }

    /// With one more, which is newer.
    fn with(self, new: Stretch) -> Self {
        let from = self.next.map_or(new.from, |next| next.from.min(new.from));
        Self { next: Some(Stretch { from, ..new }), ..self }
    }
}

/// A closed stretch of the server's time that is read to its last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Begin.
    pub from: DateTime<Utc>,
    /// End; never ahead of the server's clock, as far as its answers tell it.
    pub to: DateTime<Utc>,
}

impl Window {
    /// What the next window has to read once more, when this one has been read until `now`: a stretch whose begin is
    /// longer ago than the overlap by then, for as long as the overlap has short ones read. What has changed again
    /// before its row was read is only in the window of that change.
    pub fn again(&self, checkpoint: &Checkpoint, overlap: TimeDelta, now: DateTime<Utc>) -> Option<Again> {
        let left = checkpoint.again.and_then(|again| again.after(self.to));
        if now - checkpoint.position <= overlap {
            return left;
        }
        let (from, until) = (checkpoint.position - overlap, now + overlap);
        Some(left.map_or(Again::new(from, until), |left| left.with(Stretch { from, until })))
    }
}
