//! Orders to ship, their papers, parcels and labels (contract 10).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::compose::Patch;
use super::parts::{
    Attribute, BestBefore, FreightOption, NewAddress, NewAttribute, NewIdentifier, PackageSize, ShippingType,
    one_of_these, words,
};
use super::values::{
    Base64, Currency, Jfsku, Key, Note, OutboundId, OutboundPriority, OwnOutboundId, PathId, Positive,
    ShippingMethodId, Text, WarehouseId,
};

/// A new order to ship (contract 10.2).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("not" = shipping_twice()))]
pub struct NewOutbound {
    /// The order's own number; unique among your orders, never derived from a retry.
    pub merchant_outbound_number: Key,
    /// A warehouse that is granted to you.
    pub warehouse_id: WarehouseId,
    /// Currency of all amounts, ISO 4217.
    pub currency: Currency,
    /// Where the order goes.
    pub shipping_address: NewAddress,
    /// The lines, at least one.
    #[schemars(length(min = 1))]
    pub items: Vec<NewItem>,
    /// An id of your own choice: user id, 02, up to ten letters or digits. Left out, FFN makes one.
    pub outbound_id: Option<OwnOutboundId>,
    /// A number of yours for another system.
    pub external_number: Option<Text>,
    /// `Pending` (FFN's default) hands the order over, `Preparation` keeps it back.
    pub status: Option<InitialStatus>,
    /// From -5 to 5.
    pub priority: Option<OutboundPriority>,
    /// For the fulfiller.
    pub internal_note: Option<Note>,
    /// For the recipient.
    pub external_note: Option<Note>,
    /// A premium programme of a marketplace.
    pub premium_type: Option<PremiumType>,
    /// Where the order was taken.
    pub sales_channel: Option<Text>,
    /// Free attributes.
    pub attributes: Option<Vec<NewAttribute>>,
    /// When the recipient would like to have it.
    pub desired_delivery_date: Option<DateTime<Utc>>,
    /// A shipping method of the fulfiller. Excludes `shippingType`.
    pub shipping_method_id: Option<ShippingMethodId>,
    /// A kind of shipping, for which the network picks a granted method. Excludes `shippingMethodId`.
    pub shipping_type: Option<ShippingType>,
    /// The sender on the label.
    pub sender_address: Option<NewAddress>,
    /// What the recipient pays for shipping.
    pub shipping_fee: Option<Decimal>,
    /// The order's total.
    pub order_value: Option<Decimal>,
    /// For orders whose label a marketplace makes.
    pub shipping_label_provider_data: Option<NewLabelProvider>,
}

/// What changes of an order (contract 10.5).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("not" = shipping_twice()))]
pub struct OutboundChange {
    /// A number of yours for another system.
    pub external_number: Option<Text>,
    /// From -5 to 5.
    pub priority: Option<OutboundPriority>,
    /// A warehouse that is granted to you.
    pub warehouse_id: Option<WarehouseId>,
    /// Currency of all amounts, ISO 4217.
    pub currency: Option<Currency>,
    /// For the fulfiller.
    pub internal_note: Option<Note>,
    /// For the recipient.
    pub external_note: Option<Note>,
    /// A premium programme of a marketplace.
    pub premium_type: Option<PremiumType>,
    /// Where the order was taken.
    pub sales_channel: Option<Text>,
    /// Free attributes; replaces all.
    pub attributes: Option<Vec<Attribute>>,
    /// When the recipient would like to have it.
    pub desired_delivery_date: Option<DateTime<Utc>>,
    /// A shipping method of the fulfiller. Excludes `shippingType`.
    pub shipping_method_id: Option<ShippingMethodId>,
    /// A kind of shipping. Excludes `shippingMethodId`.
    pub shipping_type: Option<ShippingType>,
    /// Where the order goes.
    pub shipping_address: Option<Patch<NewAddress>>,
    /// The sender on the label.
    pub sender_address: Option<Patch<NewAddress>>,
    /// What the recipient pays for shipping.
    pub shipping_fee: Option<Decimal>,
    /// The order's total.
    pub order_value: Option<Decimal>,
    /// The lines; replaces all, at least one.
    #[schemars(length(min = 1))]
    pub items: Option<Vec<NewItem>>,
    /// For orders whose label a marketplace makes.
    pub shipping_label_provider_data: Option<PatchLabelProvider>,
}

/// Why an order is canceled (contract 10.6).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cancellation {
    /// A code from `cancel-reasons.list`; FFN's default is `None`.
    pub cancel_reason_code: Option<Text>,
    /// Why, in your own words.
    pub cancel_reason: Option<Text>,
}

/// A merchant's change of status (contract 10.6).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct MerchantStatus {
    /// The status to reach.
    pub status: OutboundStatus,
}

/// A fulfiller's change of status (contract 10.6).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct FulfillerStatus {
    /// The status to reach.
    pub status: FulfillerOutboundStatus,
}

/// Changes of status of many orders (contract 10.6).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusChanges {
    /// The changes, at least one.
    #[schemars(length(min = 1))]
    pub items: Vec<StatusChange>,
}

/// One of many changes of status.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusChange {
    /// The order: FFN's id.
    pub outbound_id: OutboundId,
    /// The status to reach.
    pub status: FulfillerOutboundStatus,
    /// A code from `cancel-reasons.list`; only with `Canceled`.
    pub cancel_reason_code: Option<Text>,
    /// Why, in your own words; only where something is canceled.
    pub cancel_reason: Option<Text>,
    /// The order's last modification as you know it, as FFN sent it. Left out, the last writer wins.
    pub object_version: Option<DateTime<Utc>>,
}

/// The warehouse that an order moves to (contract 10.10).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarehouseChange {
    /// The warehouse that ships the order from now on.
    pub warehouse_id: WarehouseId,
}

/// The number that an order is looked for by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutboundNumber {
    /// The merchant's number of the order; the answer lists all orders with exactly this one.
    pub merchant_outbound_number: Key,
}

/// A line of an order. Names its product by `jfsku` or `merchantSku`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct NewItem {
    /// The line's id, unique within the order; never the product's, which may stand on two lines.
    pub outbound_item_id: Text,
    /// FFN's id of the product; this or `merchantSku` is needed.
    pub jfsku: Option<Jfsku>,
    /// What the line is; FFN's default is a product.
    pub item_type: Option<ItemType>,
    /// How many; carried digit for digit.
    pub quantity: Decimal,
    /// Name on papers.
    pub name: Option<Text>,
    /// Your own id of the product; this or `jfsku` is needed.
    pub merchant_sku: Option<Text>,
    /// A number of yours for another system.
    pub external_number: Option<Text>,
    /// Price of one, in the order's currency.
    pub price: Option<Decimal>,
    /// Value added tax in percent.
    pub vat: Option<Decimal>,
    /// For a component line: the `outboundItemId` of its bundle's line.
    pub bill_of_materials_id: Option<Text>,
    /// A note.
    pub note: Option<Note>,
}

/// Data for a label that a marketplace makes.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLabelProvider {
    /// Amazon Seller Fulfilled Prime.
    pub amazon_sfp_shipping_label_provider_data: Option<NewAmazonSfp>,
}

/// Amazon Seller Fulfilled Prime.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAmazonSfp {
    /// The seller's id at Amazon.
    pub seller_id: Text,
}

/// Changes to the data for a label that a marketplace makes.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchLabelProvider {
    /// Amazon Seller Fulfilled Prime.
    pub amazon_sfp_shipping_label_provider_data: Option<Patch<NewAmazonSfp>>,
}

/// A document that belongs to an order (contract 10.8).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAttachment {
    /// The document's bytes in base64, without line breaks. FFN finds out itself what kind of file it is.
    pub data: Base64,
    /// Your own id of the document, unique within the order.
    pub merchant_document_id: PathId,
    /// What the document is.
    pub document_type: DocumentType,
}

/// Parcels that left the warehouse (contract 10.9).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewShipment {
    /// Your own number of the notification; never derived from a retry.
    pub fulfiller_shipping_notification_number: Key,
    /// What was shipped, at least one line.
    #[schemars(length(min = 1))]
    pub items: Vec<ShippedItem>,
    /// The parcels, at least one.
    #[schemars(length(min = 1))]
    pub packages: Vec<ShippedPackage>,
    /// An id of your own choice. Left out, FFN makes one.
    pub outbound_shipping_notification_id: Option<PathId>,
    /// A note.
    pub note: Option<Note>,
}

/// A line of what was shipped. Names its product by `jfsku` or `merchantSku`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct ShippedItem {
    /// FFN's id of the product; this or `merchantSku` is needed.
    pub jfsku: Option<Jfsku>,
    /// The merchant's id of the product; this or `jfsku` is needed.
    pub merchant_sku: Option<Text>,
    /// How many were shipped.
    pub quantity: Positive,
    /// Where they were taken from, if not from the order's warehouse.
    pub warehouse_id: Option<Text>,
    /// A note.
    pub note: Option<Note>,
    /// Best before, for products that have it.
    pub best_before: Option<BestBefore>,
    /// Batch, for products that have batches.
    pub batch: Option<Text>,
    /// Serial numbers, for products that have them.
    pub serialnumbers: Option<Vec<Text>>,
}

/// A parcel that was shipped.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippedPackage {
    /// The shipping method it went by.
    pub shipping_method_id: ShippingMethodId,
    /// When it left.
    pub shipping_date: DateTime<Utc>,
    /// Tracking ids and the like.
    pub identifier: Option<Vec<NewIdentifier>>,
    /// Where it can be followed.
    pub tracking_url: Option<Text>,
    /// When it should arrive.
    pub estimated_delivery_date: Option<DateTime<Utc>>,
    /// How it travels.
    pub freight_option: Option<FreightOption>,
    /// Its size.
    pub dimensions: Option<PackageSize>,
    /// Its weight in kg.
    pub weight: Option<Decimal>,
    /// A note.
    pub note: Option<Note>,
}

/// What a label is to be made for (contract 10.10).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLabel {
    /// Amazon Seller Fulfilled Prime.
    pub amazon_sfp_shipping_label_data: NewAmazonSfpLabel,
}

/// A label of Amazon Seller Fulfilled Prime.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAmazonSfpLabel {
    /// Whether the carrier picks the parcel up.
    pub carrier_will_pick_up: bool,
    /// Whether the parcel is insured.
    pub insurance: bool,
    /// Whether the warehouse's address is the sender's.
    pub use_warehouse_address_for_sender_address: bool,
    /// How delivery is confirmed.
    pub delivery_experience: DeliveryExperience,
    /// A shipping service of Amazon's.
    pub shipping_service_id: Option<Text>,
    /// The parcel's weight in kg.
    pub weight: Decimal,
    /// The parcel's size.
    pub dimensions: PackageSize,
}

words!(
    /// The status an order begins with.
    InitialStatus: Preparation, Pending
);
words!(
    /// Every status of an order.
    OutboundStatus: Preparation, Pending, Acknowledged, Pickprocess, Locked, PartiallyShipped, Shipped, PartiallyCanceled, Canceled
);
words!(
    /// What a fulfiller can set.
    FulfillerOutboundStatus: Acknowledged, Locked, Pickprocess, Canceled, PartiallyCanceled
);
words!(
    /// Premium programmes.
    PremiumType: EbayPlus, AmazonSellerFulfilledPrime
);
words!(
    /// What a line is.
    ItemType: Product, Shipping, Other, BillOfMaterials
);
words!(
    /// What a document is.
    DocumentType: Invoice, DeliveryNote, ShippingLabel, Custom
);
words!(
    /// How delivery is confirmed.
    DeliveryExperience: DeliveryConfirmationWithoutSignature, DeliveryConfirmationWithAdultSignature, DeliveryConfirmationWithSignature, NoTracking
);

/// `shippingMethodId` and `shippingType` together, both with a value: what FFN refuses with
/// `Outbounds_OutboundShippingMethodAndShippingTypeSet`.
fn shipping_twice() -> serde_json::Value {
    serde_json::json!({
        "required": ["shippingMethodId", "shippingType"],
        "properties": { "shippingMethodId": { "type": "string" }, "shippingType": { "type": "string" } }
    })
}
