//! The `data` of events: about outbounds and their shipping notifications, as the normalizer writes it, and
//! about the bridge itself (interface, "Events"). What an event does not have is left out, never null.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::decimal::Decimal;
use super::snapshot::{Outbound, OutboundShippingNotification};
use crate::domain::token::Cause;

/// FFN's statuses that have an event of their own, with that event's name (contract 10.7). `Preparation` has none:
/// an order that begins there is `created`.
pub const OUTBOUND_STATUS_EVENTS: [(&str, &str); 8] = [
    ("Pending", "pending"),
    ("Acknowledged", "acknowledged"),
    ("Pickprocess", "pickprocess"),
    ("Locked", "locked"),
    ("PartiallyShipped", "partially-shipped"),
    ("Shipped", "shipped"),
    ("PartiallyCanceled", "partially-canceled"),
    ("Canceled", "canceled"),
];

/// What happened to an order. The event's type says which members are there: `created` has no `previousStatus`, and
/// only `updated` has `changed`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboundData {
    /// FFN's id of the order.
    pub outbound_id: String,
    /// The merchant's number of the order; left out only where FFN did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub merchant_outbound_number: Option<String>,
    /// The status that this event is about, in FFN's words; `snapshot.status` may be further on already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub status: Option<String>,
    /// The status before, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub previous_status: Option<String>,
    /// When it happened at FFN.
    pub occurred_at: DateTime<Utc>,
    /// True where the step was rebuilt rather than read; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("const" = true))]
    pub inferred: bool,
    /// The names of the top-level members of the order that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub changed: Option<Vec<String>>,
    /// The order as FFN sent it, digit for digit.
    #[schemars(with = "Outbound")]
    pub snapshot: Box<RawValue>,
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
