//! Returns and their items, as each role writes them (contract 12).

use schemars::JsonSchema;

use super::compose::{Both, Patch};
use super::parts::{Condition, NewAddress, one_of_these, words};
use super::values::{Jfsku, Key, Note, PathId, Positive, Text, UserId};

/// What both roles tell of a new return.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewReturn {
    /// The warehouse that it goes to.
    pub warehouse_id: Text,
    /// Who sends it back.
    pub customer_address: NewAddress,
    /// An id of your own choice. Left out, FFN makes one.
    pub return_id: Option<PathId>,
    /// For the other side.
    pub internal_note: Option<Note>,
    /// For the customer.
    pub external_note: Option<Note>,
    /// How the customer can be reached.
    pub contact: Option<Text>,
}

/// What a merchant adds to a new return.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct MerchantReturn {
    /// Your own number of the return, unique among yours; never derived from a retry.
    pub merchant_return_number: Key,
    /// What comes back, at least one line.
    #[schemars(length(min = 1))]
    pub items: Vec<MerchantReturnItem>,
}

/// What a fulfiller adds to a new return.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct FulfillerReturn {
    /// The merchant whose goods they are.
    pub merchant_id: UserId,
    /// Your own number of the return, unique among yours; never derived from a retry.
    pub fulfiller_return_number: Key,
    /// What comes back, at least one line.
    #[schemars(length(min = 1))]
    pub items: Vec<FulfillerReturnItem>,
}

/// An item of a return, as a merchant announces it.
pub type MerchantReturnItem = Both<MerchantGoods, ReturnItem>;
/// An item of a return, as a fulfiller announces it.
pub type FulfillerReturnItem = Both<FulfillerGoods, ReturnItem>;

/// What comes back, as a merchant names it: by `jfsku` or `merchantSku`. The order's line is named by both ids or none.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct MerchantGoods {
    /// FFN's id of the product; this or `merchantSku` is needed.
    pub jfsku: Option<Jfsku>,
    /// Your own id of the product; this or `jfsku` is needed.
    pub merchant_sku: Option<Text>,
}

/// What comes back, as a fulfiller names it. The order's line is named by both ids or none.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct FulfillerGoods {
    /// FFN's id of the product.
    pub jfsku: Jfsku,
}

/// How many come back, from where and why.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnItem {
    /// How many come back.
    pub quantity: Positive,
    /// An id of your own choice. Left out, FFN makes one.
    pub return_item_id: Option<PathId>,
    /// The order that they were shipped with; needs `outboundItemId`.
    pub outbound_id: Option<Text>,
    /// The order's line; needs `outboundId`.
    pub outbound_item_id: Option<Text>,
    /// Why they come back.
    pub reason: Option<ReturnReason>,
    /// Why, in words.
    pub reason_note: Option<Note>,
}

/// What both roles change of a return. Absent leaves a member as it is, null clears it.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnChange {
    /// The warehouse that it goes to.
    pub warehouse_id: Option<Text>,
    /// Who sends it back.
    pub customer_address: Option<Patch<NewAddress>>,
    /// For the other side.
    pub internal_note: Option<Note>,
    /// For the customer.
    pub external_note: Option<Note>,
    /// How the customer can be reached.
    pub contact: Option<Text>,
}

/// A merchant's number of a return that changes.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedMerchantNumber {
    /// Your own number of the return.
    pub merchant_return_number: Option<Text>,
}

/// A fulfiller's number of a return that changes.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedFulfillerNumber {
    /// Your own number of the return.
    pub fulfiller_return_number: Option<Text>,
}

/// A merchant's number that a return is looked for by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct MerchantReturnNumber {
    /// Your own number of the return; the answer lists all returns with exactly this one.
    pub merchant_return_number: Key,
}

/// A fulfiller's number that a return is looked for by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct FulfillerReturnNumber {
    /// Your own number of the return; the answer lists all returns with exactly this one.
    pub fulfiller_return_number: Key,
}

/// The part of an item that becomes one of its own.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Split {
    /// How many go to the new item; fewer than the item has.
    pub quantity: Positive,
}

/// What both roles change of a return's item.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnItemChange {
    /// How many come back.
    pub quantity: Option<Positive>,
    /// Why they come back.
    pub reason: Option<ReturnReason>,
    /// Why, in words.
    pub reason_note: Option<Note>,
    /// How far it is.
    pub state: Option<ReturnState>,
}

/// What a fulfiller finds out about a return's item.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    /// The state it is in.
    pub condition: Option<Condition>,
    /// Its state in words.
    pub condition_note: Option<Note>,
}

words!(
    /// How far a return or its item is.
    ReturnState: Announced, Arrived, Completed
);
words!(
    /// Why goods come back.
    ReturnReason: NoReason, OrderedByMistake, FoundCheaperPrice, InsufficientPerformanceOrQuality, IncompatibleOrNotAppropriateForIntendedUse, ShippingPackagingIntactItemDamaged, ArrivedTooLate, PartsAccessoriesMissing, ShippingPackageAndItemDamaged, WrongItemSent, DefectiveDoesNotWorkPerfectly, ExcessDelivery, DoNotLikeAnymore, UnauthorisedPurchase, DoesNotMatchDescriptionOnWebsite, RecipientCouldNotBeDetermined, PickUpTimeExpired
);
