//! The `data` of events: about outbounds and their shipping notifications, as the normalizer writes it, and
//! about the bridge itself (interface, "Events"). What an event does not have is left out, never null.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::decimal::Decimal;
use super::snapshot::OutboundShippingNotification;
use crate::domain::token::Cause;

/// What happened to an entity. The event's type says which members are there: `created` has no `previousStatus`, and
/// only `updated` has `changed`. One that is named by a status always has `status`; others have it where FFN shows it,
/// which it may not of what is deleted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityData {
    /// FFN's id of the entity and what else names it, by the names of the API ([`Resource`](crate::domain::resource::Resource)).
    #[serde(flatten)]
    pub keys: serde_json::Map<String, serde_json::Value>,
    /// The status that this event is about, in FFN's words; `snapshot` may be further on already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The status before, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_status: Option<String>,
    /// When it happened at FFN.
    pub occurred_at: DateTime<Utc>,
    /// True where the step was rebuilt rather than read; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inferred: bool,
    /// The names of the top-level members that changed, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
    /// The entity as FFN sent it, digit for digit.
    pub snapshot: Box<RawValue>,
}

/// One entry of the stock ledger. Levels are those after it, quantities what it changed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockChangeData {
    /// FFN's id of the product.
    pub jfsku: String,
    /// The merchant's id of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_sku: Option<String>,
    /// The warehouse.
    pub warehouse_id: String,
    /// Number of the entry, without gaps in a warehouse and product.
    pub stock_version: i64,
    /// Why, in FFN's words, for example `Reservation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_type: Option<String>,
    /// When it happened at FFN.
    pub occurred_at: DateTime<Utc>,
    /// True where the entry was found otherwise than by its feed; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inferred: bool,
    /// [`StockChangeData::LEVELS`], digit for digit.
    #[serde(flatten)]
    pub levels: BTreeMap<String, Box<RawValue>>,
    /// What caused it: those of [`StockChangeData::CAUSES`] that FFN names.
    #[serde(flatten)]
    pub cause: BTreeMap<String, Box<RawValue>>,
    /// The entry as FFN sent it, digit for digit.
    pub snapshot: Box<RawValue>,
}

impl StockChangeData {
    /// Levels after the entry, and what it changed them by.
    pub const LEVELS: [&str; 8] = [
        "stockLevel",
        "stockLevelReserved",
        "stockLevelBlocked",
        "stockLevelAnnounced",
        "quantity",
        "quantityReserved",
        "quantityBlocked",
        "quantityAnnounced",
    ];
    /// Members that name what caused an entry.
    pub const CAUSES: [&str; 4] = ["outboundItem", "inboundItem", "returnItem", "outboundShippingNotificationItem"];
}

/// Entries of the stock ledger that FFN does not show, though later ones are there. The levels of the next entry
/// are right all the same.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockGapData {
    /// FFN's id of the product.
    pub jfsku: String,
    /// The merchant's id of the product, as the entry after the gap has it; left out only where FFN did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub merchant_sku: Option<String>,
    /// The warehouse.
    pub warehouse_id: String,
    /// The first version that is missing.
    pub from_version: i64,
    /// The last one.
    pub to_version: i64,
    /// When the entry after the gap was written at FFN.
    pub occurred_at: DateTime<Utc>,
}

/// One shipping notification of an order, with its packages. Only `updated` has `changed`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShipmentData {
    /// FFN's id of the shipping notification.
    pub outbound_shipping_notification_id: String,
    /// FFN's id of the order.
    pub outbound_id: String,
    /// The merchant's number of the order; left out only where FFN did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub merchant_outbound_number: Option<String>,
    /// The fulfiller's number of the shipping notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub fulfiller_shipping_notification_number: Option<String>,
    /// The order's status after this notification, in FFN's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub outbound_status: Option<String>,
    /// When it happened at FFN.
    pub occurred_at: DateTime<Utc>,
    /// True where it was rebuilt rather than read; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("const" = true))]
    pub inferred: bool,
    /// Name of the first package's carrier, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub carrier: Option<String>,
    /// The tracking ids of all packages, in their order.
    pub tracking_ids: Vec<String>,
    /// The tracking URLs of all packages, in their order.
    pub tracking_urls: Vec<String>,
    /// The packages.
    pub packages: Vec<ShipmentPackage>,
    /// The names of the top-level members of the notification that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub changed: Option<Vec<String>>,
    /// The shipping notification as FFN sent it, digit for digit.
    #[schemars(with = "OutboundShippingNotification")]
    pub snapshot: Box<RawValue>,
}

/// A package of a shipping notification.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShipmentPackage {
    /// FFN's id of the shipping method.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub shipping_method_id: Option<String>,
    /// Name of the carrier, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub carrier: Option<String>,
    /// The tracking ids: FFN's identifiers of type `TrackingId`.
    pub tracking_ids: Vec<String>,
    /// Where the package can be followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub tracking_url: Option<String>,
    /// When it was handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub shipping_date: Option<DateTime<Utc>>,
    /// Weight in kg, a JSON number, digit for digit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Decimal")]
    pub weight: Option<Box<RawValue>>,
}

/// An account can't call until a person has acted. Other accounts go on; of this one nothing is lost meanwhile:
/// its feeds are read on afterwards, and its commands wait. There is one event for each time that a person is needed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginRequiredData {
    /// The configured account.
    pub account: String,
    /// What kind of thing it is.
    pub cause: Cause,
    /// Why, in words.
    pub reason: String,
    /// When it was found out.
    pub since: DateTime<Utc>,
    /// What to do, in words, with the command to run.
    pub action: String,
}

/// A feed has failed for long. Nothing of it is lost: it is tried again by itself and read on from `position`. There is
/// one event for each stall.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeedStalledData {
    /// The configured account.
    pub account: String,
    /// The feed, as the configuration names it.
    pub feed: String,
    /// When it first failed, as far as this process knows; on FFN's clock.
    pub since: DateTime<Utc>,
    /// Everything before this instant of FFN's clock has been read. Left out where the feed was never read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub position: Option<DateTime<Utc>>,
    /// Polls that have failed since.
    pub failures: u32,
    /// Why the last one failed.
    pub error: String,
    /// What to do, in words.
    pub action: String,
}

/// A feed that was told as stalled is read again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeedRecoveredData {
    /// The configured account.
    pub account: String,
    /// The feed, as the configuration names it.
    pub feed: String,
    /// `since` of the stall.
    pub stalled_since: DateTime<Utc>,
    /// When it was read again; on FFN's clock.
    pub recovered_at: DateTime<Utc>,
    /// Everything before this instant of FFN's clock has been read.
    pub position: DateTime<Utc>,
}
