//! The bodies of the commands for outbounds: one flat object of the operation's path and query parameters and the
//! fields of FFN's request body, by their API names (contract 10.2, 10.5, 10.6, appendix C.2).
//!
//! The types exist for their schemas. The executor sends a body on as the caller wrote it, member for member: a
//! round trip through these types would turn "leave as it is" (absent) into "clear" (null) and lose digits.
//!
//! Texts without a limit of their own have FFN's general one of 255 characters. Optional members may be null.
//! Unknown members are refused, because FFN would lose them without a word (contract 19.4).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::command_parts::{Attribute, NewAddress, NewAttribute, NewItem, PatchAddress, PatchLabelProvider};
use super::command_parts::{InitialStatus, NewLabelProvider, PremiumType, ShippingType};
use super::decimal::Decimal;
use super::text;

/// Creates an order to ship: `POST /merchant/outbounds` (contract 10.2). Merchants only. `outboundItemId` is unique
/// within the order. `autoCompleteBillOfMaterials: true` excludes `billOfMaterialsId` on the lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("not" = shipping_twice()))]
pub struct OutboundCreate {
    /// The order's own number; unique among your orders, never derived from a retry.
    #[schemars(length(min = 1, max = 255), regex(pattern = text::ONE_LINE))]
    pub merchant_outbound_number: String,
    /// A warehouse that is granted to you.
    #[schemars(length(min = 14, max = 255))]
    pub warehouse_id: String,
    /// Currency of all amounts, ISO 4217.
    #[schemars(regex(pattern = text::CURRENCY))]
    pub currency: String,
    /// Where the order goes.
    pub shipping_address: NewAddress,
    /// The lines, at least one.
    #[schemars(length(min = 1))]
    pub items: Vec<NewItem>,
    /// An id of your own choice: user id, 02, up to ten letters or digits. Left out, FFN makes one.
    #[schemars(regex(pattern = text::OWN_OUTBOUND_ID))]
    pub outbound_id: Option<String>,
    /// A number of yours for another system.
    #[schemars(length(max = 255))]
    pub external_number: Option<String>,
    /// `Pending` (FFN's default) hands the order over, `Preparation` keeps it back.
    pub status: Option<InitialStatus>,
    /// From -5 to 5.
    #[schemars(range(min = -5, max = 5))]
    pub priority: Option<i32>,
    /// For the fulfiller.
    #[schemars(length(max = 4096))]
    pub internal_note: Option<String>,
    /// For the recipient.
    #[schemars(length(max = 4096))]
    pub external_note: Option<String>,
    /// A premium programme of a marketplace.
    pub premium_type: Option<PremiumType>,
    /// Where the order was taken.
    #[schemars(length(max = 255))]
    pub sales_channel: Option<String>,
    /// Free attributes.
    pub attributes: Option<Vec<NewAttribute>>,
    /// When the recipient would like to have it.
    pub desired_delivery_date: Option<DateTime<Utc>>,
    /// A shipping method of the fulfiller. Excludes `shippingType`.
    #[schemars(length(min = 4, max = 255))]
    pub shipping_method_id: Option<String>,
    /// A kind of shipping, for which the network picks a granted method. Excludes `shippingMethodId`.
    pub shipping_type: Option<ShippingType>,
    /// The sender on the label.
    pub sender_address: Option<NewAddress>,
    /// What the recipient pays for shipping.
    #[schemars(with = "Option<Decimal>")]
    pub shipping_fee: Option<Box<RawValue>>,
    /// The order's total.
    #[schemars(with = "Option<Decimal>")]
    pub order_value: Option<Box<RawValue>>,
    /// For orders whose label a marketplace makes.
    pub shipping_label_provider_data: Option<NewLabelProvider>,
    /// `true` accepts the order although stock is short.
    pub oversale: Option<bool>,
    /// `true` lets FFN add the component lines of bundles.
    pub auto_complete_bill_of_materials: Option<bool>,
}

/// Changes an order that the fulfiller has not yet taken too far: `PATCH /merchant/outbounds/{outboundId}`
/// (contract 10.5). Merchants only. Absent leaves a member as it is, null clears it; `items` and `attributes`
/// replace the whole list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("not" = shipping_twice()))]
pub struct OutboundUpdate {
    /// The order: FFN's id or your `merchantOutboundNumber`.
    #[schemars(length(min = 1, max = 255), regex(pattern = text::PATH_ID))]
    pub outbound_id: String,
    /// A number of yours for another system.
    #[schemars(length(max = 255))]
    pub external_number: Option<String>,
    /// From -5 to 5.
    #[schemars(range(min = -5, max = 5))]
    pub priority: Option<i32>,
    /// A warehouse that is granted to you.
    #[schemars(length(min = 14, max = 255))]
    pub warehouse_id: Option<String>,
    /// Currency of all amounts, ISO 4217.
    #[schemars(regex(pattern = text::CURRENCY))]
    pub currency: Option<String>,
    /// For the fulfiller.
    #[schemars(length(max = 4096))]
    pub internal_note: Option<String>,
    /// For the recipient.
    #[schemars(length(max = 4096))]
    pub external_note: Option<String>,
    /// A premium programme of a marketplace.
    pub premium_type: Option<PremiumType>,
    /// Where the order was taken.
    #[schemars(length(max = 255))]
    pub sales_channel: Option<String>,
    /// Free attributes; replaces all.
    pub attributes: Option<Vec<Attribute>>,
    /// When the recipient would like to have it.
    pub desired_delivery_date: Option<DateTime<Utc>>,
    /// A shipping method of the fulfiller. Excludes `shippingType`.
    #[schemars(length(min = 4, max = 255))]
    pub shipping_method_id: Option<String>,
    /// A kind of shipping. Excludes `shippingMethodId`.
    pub shipping_type: Option<ShippingType>,
    /// Where the order goes.
    pub shipping_address: Option<PatchAddress>,
    /// The sender on the label.
    pub sender_address: Option<PatchAddress>,
    /// What the recipient pays for shipping.
    #[schemars(with = "Option<Decimal>")]
    pub shipping_fee: Option<Box<RawValue>>,
    /// The order's total.
    #[schemars(with = "Option<Decimal>")]
    pub order_value: Option<Box<RawValue>>,
    /// The lines; replaces all, at least one.
    #[schemars(length(min = 1))]
    pub items: Option<Vec<NewItem>>,
    /// For orders whose label a marketplace makes.
    pub shipping_label_provider_data: Option<PatchLabelProvider>,
    /// `true` accepts the change although stock is short.
    pub oversale: Option<bool>,
    /// `true` lets FFN add the component lines of bundles.
    pub auto_complete_bill_of_materials: Option<bool>,
}

/// Cancels an order: `PUT …/outbounds/{outboundId}/status` with `Canceled` (contract 10.6). The status is not part
/// of the command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutboundCancel {
    /// The order: FFN's id, or for merchants also the `merchantOutboundNumber`.
    #[schemars(length(min = 1, max = 255), regex(pattern = text::PATH_ID))]
    pub outbound_id: String,
    /// A code from `GET /v1/cancelreasons`; FFN's default is `None`.
    #[schemars(length(max = 255))]
    pub cancel_reason_code: Option<String>,
    /// Why, in your own words.
    #[schemars(length(max = 255))]
    pub cancel_reason: Option<String>,
}

/// Reads an order: `GET …/outbounds/{outboundId}` (contract 10.4). The result's `response` is the order as FFN sent it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutboundGet {
    /// The order: FFN's id, or for merchants also the `merchantOutboundNumber`.
    #[schemars(length(min = 1, max = 255), regex(pattern = text::PATH_ID))]
    pub outbound_id: String,
}

/// `shippingMethodId` and `shippingType` together, both with a value: what FFN refuses with
/// `Outbounds_OutboundShippingMethodAndShippingTypeSet`.
fn shipping_twice() -> serde_json::Value {
    serde_json::json!({
        "required": ["shippingMethodId", "shippingType"],
        "properties": { "shippingMethodId": { "type": "string" }, "shippingType": { "type": "string" } }
    })
}
