//! Products, their pictures, and who may see them (contract 13).

use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::compose::Patch;
use super::parts::{Attribute, Condition, NewAttribute, one_of_these, words};
use super::values::{Base64, Country, Currency, Int32, Jfsku, Key, Note, Text, UserId};

/// What a new product has to have, and what is told otherwise when it changes.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProduct {
    /// Name.
    pub name: Text,
    /// Your own id of the product, unique among yours.
    pub merchant_sku: Key,
    /// What the world knows it by; may be empty.
    pub identifier: NewProductIdentifier,
    /// How it is kept and handled; some of it can't be changed later.
    pub specifications: Option<NewSpecifications>,
    /// Its size, in metres.
    pub dimensions: Option<NewSize>,
    /// Free attributes.
    pub attributes: Option<Vec<NewAttribute>>,
    /// What it costs without tax.
    pub net_retail_price: Option<NewPrice>,
}

/// What changes of a product.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductChange {
    /// Name.
    pub name: Option<Text>,
    /// Your own id of the product, unique among yours.
    pub merchant_sku: Option<Text>,
    /// What the world knows it by.
    pub identifier: Option<PatchProductIdentifier>,
    /// How it is handled.
    pub specifications: Option<PatchSpecifications>,
    /// Its size, in metres.
    pub dimensions: Option<Patch<NewSize>>,
    /// Free attributes; replaces all.
    pub attributes: Option<Vec<Attribute>>,
    /// What it costs without tax.
    pub net_retail_price: Option<Patch<NewPrice>>,
}

/// What can be told of a product, new or not.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductDetails {
    /// A group of yours.
    pub product_group: Option<Text>,
    /// Where it comes from, ISO 3166 alpha-2.
    pub origin_country: Option<Country>,
    /// Who makes it.
    pub manufacturer: Option<Text>,
    /// Weight with its packaging, in kg.
    pub weight: Option<Decimal>,
    /// Weight without, in kg.
    pub net_weight: Option<Decimal>,
    /// A note.
    pub note: Option<Note>,
    /// Larger units that it is traded in.
    pub bundles: Option<Vec<Bundle>>,
    /// The state it is in; written once.
    pub condition: Option<Condition>,
}

/// What the world knows a new product by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProductIdentifier {
    /// The maker's part number.
    pub mpn: Option<NewPartNumber>,
    /// EAN.
    pub ean: Option<Text>,
    /// ISBN.
    pub isbn: Option<Text>,
    /// UPC.
    pub upc: Option<Text>,
    /// Amazon's number.
    pub asin: Option<Text>,
}

/// Changes to what the world knows a product by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchProductIdentifier {
    /// The maker's part number.
    pub mpn: Option<Patch<NewPartNumber>>,
    /// EAN.
    pub ean: Option<Text>,
    /// ISBN.
    pub isbn: Option<Text>,
    /// UPC.
    pub upc: Option<Text>,
    /// Amazon's number.
    pub asin: Option<Text>,
}

/// A maker's part number.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPartNumber {
    /// The maker.
    pub manufacturer: Text,
    /// The number.
    pub part_number: Text,
}

/// How a new product is kept and handled.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSpecifications {
    /// Whether it has batches.
    pub is_batch: bool,
    /// Whether parts of one can be sold.
    pub is_divisible: bool,
    /// Whether it keeps for a limited time.
    pub is_best_before: bool,
    /// Whether each piece has a serial number.
    pub is_serial_number: bool,
    /// Whether it is made of components.
    pub is_bill_of_materials: bool,
    /// Whether it is packaging.
    pub is_packaging: bool,
    /// What it is made of.
    pub bill_of_materials_components: Option<Vec<NewComponent>>,
    /// UN number of dangerous goods.
    pub un_number: Option<Text>,
    /// Hazard identification number.
    pub hazard_identifier: Option<Text>,
    /// Customs tariff number.
    pub taric: Option<Text>,
    /// Amazon's number of what it fulfils.
    pub fnsku: Option<Text>,
}

/// Changes to how a product is handled.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchSpecifications {
    /// Whether it is packaging.
    pub is_packaging: Option<bool>,
    /// What it is made of; replaces all.
    pub bill_of_materials_components: Option<Vec<Component>>,
    /// UN number of dangerous goods.
    pub un_number: Option<Text>,
    /// Hazard identification number.
    pub hazard_identifier: Option<Text>,
    /// Customs tariff number.
    pub taric: Option<Text>,
    /// Amazon's number of what it fulfils.
    pub fnsku: Option<Text>,
}

/// A component of a new product. Names its product by `jfsku` or `merchantSku`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct NewComponent {
    /// FFN's id of the component; this or `merchantSku` is needed.
    pub jfsku: Option<Jfsku>,
    /// Your own id of the component; this or `jfsku` is needed.
    pub merchant_sku: Option<Text>,
    /// How many of it are in one.
    pub quantity: Decimal,
}

/// A component of a product that exists.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// FFN's id of the component.
    pub jfsku: Option<Jfsku>,
    /// How many of it are in one.
    pub quantity: Decimal,
}

/// The size of a new product.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSize {
    /// Length.
    pub length: Decimal,
    /// Height.
    pub height: Decimal,
    /// Width.
    pub width: Option<Decimal>,
}

/// A price.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPrice {
    /// How much.
    pub amount: Decimal,
    /// Of which currency, ISO 4217.
    pub currency: Currency,
}

/// A larger unit that a product is traded in.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// What it is called.
    pub name: Text,
    /// How many are in it.
    pub quantity: Decimal,
    /// Its EAN.
    pub ean: Option<Text>,
    /// Its UPC.
    pub upc: Option<Text>,
}

/// The number that a product is looked for by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sku {
    /// The merchant's id of the product; the answer lists all products with exactly this one.
    pub merchant_sku: Key,
}

/// Who gets to see products.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Share {
    /// The fulfiller.
    pub fulfiller_id: UserId,
}

/// The state of a product's variant.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variant {
    /// The state it is in.
    pub condition: KnownCondition,
}

/// A product that becomes a variant of another.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelatedProduct {
    /// FFN's id of the product that becomes a variant: FFN calls it `jfsku` too, in the body.
    pub related_jfsku: Option<Jfsku>,
}

/// A picture of a product.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPicture {
    /// The picture's bytes in base64, without line breaks. FFN finds out itself what kind of file it is.
    pub data: Base64,
    /// Its place among the product's pictures.
    pub number: Option<Int32>,
}

words!(
    /// The state of a variant.
    KnownCondition: Default, Refurbished, Used, Damaged
);
