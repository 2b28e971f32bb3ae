//! Deliveries to a warehouse: what is announced, what travels, what arrives (contract 11).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::parts::{Attribute, BestBefore, FreightOption, NewAttribute, NewIdentifier, PackageSize, one_of_these};
use super::values::{Index, Int32, Jfsku, Key, Note, OwnInboundId, OwnInboundShipmentId, Positive, Text, WarehouseId};

/// A delivery that is announced.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewInbound {
    /// The delivery's own number; unique among yours, never derived from a retry.
    pub merchant_inbound_number: Key,
    /// The warehouse that it goes to.
    pub warehouse_id: WarehouseId,
    /// The lines, at least one.
    #[schemars(length(min = 1))]
    pub items: Vec<NewInboundItem>,
    /// An id of your own choice: user id, 03, up to ten letters or digits. Left out, FFN makes one.
    pub inbound_id: Option<OwnInboundId>,
    /// A note.
    pub note: Option<Note>,
    /// The number of your order at the supplier.
    pub purchase_order_number: Option<Text>,
    /// A number of yours for another system.
    pub external_inbound_number: Option<Text>,
    /// Free attributes.
    pub attributes: Option<Vec<NewAttribute>>,
    /// Who delivers.
    pub supplier: Option<NewSupplier>,
}

/// What changes of a delivery. Absent leaves a member as it is, null clears it; lists are replaced whole.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundChange {
    /// The number of your order at the supplier.
    pub purchase_order_number: Option<Text>,
    /// A number of yours for another system.
    pub external_inbound_number: Option<Text>,
    /// Free attributes; replaces all.
    pub attributes: Option<Vec<Attribute>>,
    /// The lines; replaces all, at least one.
    #[schemars(length(min = 1))]
    pub items: Option<Vec<NewInboundItem>>,
    /// A note.
    pub note: Option<Note>,
}

/// A line of a delivery. Names its product by `jfsku` or `merchantSku`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct NewInboundItem {
    /// The line's id, unique within the delivery.
    pub inbound_item_id: Text,
    /// FFN's id of the product; this or `merchantSku` is needed.
    pub jfsku: Option<Jfsku>,
    /// Your own id of the product; this or `jfsku` is needed.
    pub merchant_sku: Option<Text>,
    /// How many are announced.
    pub quantity: Positive,
    /// The supplier's id of the product.
    pub supplier_sku: Option<Text>,
    /// The supplier's name of the product.
    pub supplier_product_name: Option<Text>,
    /// A note.
    pub note: Option<Note>,
}

/// Who delivers.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSupplier {
    /// Your own number of the supplier.
    pub merchant_supplier_number: Key,
    /// The supplier's name.
    pub merchant_supplier_name: Option<Text>,
}

/// The number that a delivery is looked for by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundNumber {
    /// The merchant's number of the delivery; the answer lists all deliveries with exactly this one.
    pub merchant_inbound_number: Key,
}

/// What names a new shipping notification of a delivery.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewInboundShipment {
    /// Your own number of the notification, unique within the delivery; never derived from a retry.
    pub merchant_shipping_notification_number: Key,
    /// An id of your own choice: user id, 07, up to ten letters or digits. Left out, FFN makes one.
    pub inbound_shipping_notification_id: Option<OwnInboundShipmentId>,
}

/// What is on its way to a warehouse.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundShipment {
    /// What it holds.
    pub items: Option<Vec<TravellingItem>>,
    /// The parcels or pallets.
    pub packages: Option<Vec<TravellingPackage>>,
    /// A note.
    pub note: Option<Note>,
}

/// A line of what is on its way. Names its product by `jfsku` or `merchantSku`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct TravellingItem {
    /// FFN's id of the product; this or `merchantSku` is needed.
    pub jfsku: Option<Jfsku>,
    /// Your own id of the product; this or `jfsku` is needed.
    pub merchant_sku: Option<Text>,
    /// How many are on their way.
    pub quantity: Decimal,
    /// A note.
    pub note: Option<Note>,
    /// Where it is: the place in `packages`, from 0.
    pub package_id: Option<Index>,
    /// Best before, for products that have it.
    pub best_before: Option<BestBefore>,
    /// Batch, for products that have batches.
    pub batch: Option<Text>,
    /// Serial numbers, for products that have them.
    pub serialnumbers: Option<Vec<Text>>,
}

/// A parcel or pallet that is on its way.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct TravellingPackage {
    /// When it left.
    pub shipping_date: DateTime<Utc>,
    /// When it should arrive.
    pub estimated_delivery_date: Option<DateTime<Utc>>,
    /// How it travels.
    pub freight_option: Option<FreightOption>,
    /// Where it can be followed.
    pub tracking_url: Option<Text>,
    /// The carrier's code.
    pub carrier_code: Option<Text>,
    /// The carrier's name.
    pub carrier_name: Option<Text>,
    /// Tracking ids and the like.
    pub identifier: Option<Vec<NewIdentifier>>,
    /// How many pieces it is.
    pub shipment_count: Option<Int32>,
    /// A note.
    pub note: Option<Note>,
    /// Its size.
    pub dimensions: Option<PackageSize>,
    /// Its weight in kg.
    pub weight: Option<Decimal>,
}

/// Goods that arrived.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct IncomingGoods {
    /// The lines, at least one.
    #[schemars(length(min = 1))]
    pub items: Vec<super::stock::StockBooking>,
}
