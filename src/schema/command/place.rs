//! Warehouses, shipping methods, who may use them, and accounts at marketplaces (contract 15, appendix C.2).

use schemars::JsonSchema;

use super::compose::Patch;
use super::parts::{NewAddress, ShippingType, words};
use super::values::{Key, Note, ShippingMethodId, Text, TimeOfDay, WarehouseId};

/// A new warehouse.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWarehouse {
    /// Name.
    pub name: Text,
    /// Where it is.
    pub address: NewAddress,
}

/// What changes of a warehouse. Absent leaves a member as it is, null clears it.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarehouseChange {
    /// Name.
    pub name: Option<Text>,
    /// Where it is.
    pub address: Option<Patch<NewAddress>>,
}

/// What names a new shipping method.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewShippingMethod {
    /// Name.
    pub name: Text,
    /// What kind it is.
    pub shipping_type: ShippingType,
    /// Your own number of it, unique among yours.
    pub fulfiller_shipping_method_number: Key,
}

/// What changes of what names a shipping method.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippingMethodChange {
    /// Name.
    pub name: Option<Text>,
}

/// What can be told of a shipping method.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippingMethodDetails {
    /// How an address to follow a parcel is made.
    pub tracking_url_schema: Option<Text>,
    /// The carrier's code.
    pub carrier_code: Option<Text>,
    /// The carrier's name.
    pub carrier_name: Option<Text>,
    /// Until when an order is shipped on the same day, as `HH:mm`.
    pub cutoff_time: Option<TimeOfDay>,
    /// A note.
    pub note: Option<Note>,
}

/// A warehouse that a merchant may use, and how it may ship from there.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarehouseGrant {
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// The shipping methods, at least one; FFN asks for one of the type `Standard` among them.
    #[schemars(length(min = 1))]
    pub shipping_methods: Vec<ShippingMethodGrant>,
}

/// A shipping method that a merchant may use.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippingMethodGrant {
    /// The shipping method.
    pub shipping_method_id: ShippingMethodId,
}

/// An account at Amazon, for Seller Fulfilled Prime.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCredential {
    /// The seller's id at Amazon.
    pub seller_id: Text,
    /// What lets FFN act for the seller; a secret.
    pub mws_auth_token: Text,
    /// Which of Amazon's market places it is.
    pub platform: Platform,
}

words!(
    /// Amazon's market places.
    #[expect(non_camel_case_types, reason = "FFN spells them so")]
    Platform: Amazon_de, Amazon_com, Amazon_co_uk, Amazon_fr, Amazon_ca, Amazon_it, Amazon_es, Amazon_com_mx, Amazon_com_au
);
