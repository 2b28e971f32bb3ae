//! The parts of command bodies: addresses, lines, attributes and FFN's closed lists of words (contract 4, appendix C).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::Decimal;
use super::text;

/// An address needs `street`, `city`, `country` and one of `lastname` and `company` (contract 4).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("lastname", "company")))]
pub struct NewAddress {
    /// Salutation.
    #[schemars(length(max = 255))]
    pub salutation: Option<String>,
    /// First name.
    #[schemars(length(max = 255))]
    pub firstname: Option<String>,
    /// Last name; this or `company` is needed.
    #[schemars(length(max = 255))]
    pub lastname: Option<String>,
    /// Company; this or `lastname` is needed.
    #[schemars(length(max = 255))]
    pub company: Option<String>,
    /// Street and house number.
    #[schemars(length(max = 255))]
    pub street: String,
    /// Town.
    #[schemars(length(max = 255))]
    pub city: String,
    /// Postal code; may be absent, but not empty.
    #[schemars(length(min = 1, max = 255))]
    pub zip: Option<String>,
    /// Country, ISO 3166 alpha-2.
    #[schemars(regex(pattern = text::COUNTRY))]
    pub country: String,
    /// E-mail address.
    #[schemars(length(max = 255))]
    pub email: Option<String>,
    /// Telephone number.
    #[schemars(length(max = 255))]
    pub phone: Option<String>,
    /// The second extra line.
    #[schemars(length(max = 255))]
    pub extra_line: Option<String>,
    /// The first extra line.
    #[schemars(length(max = 255))]
    pub extra_address_line: Option<String>,
    /// State or province.
    #[schemars(length(max = 255))]
    pub state: Option<String>,
    /// Mobile number.
    #[schemars(length(max = 255))]
    pub mobile: Option<String>,
    /// Fax number.
    #[schemars(length(max = 255))]
    pub fax: Option<String>,
}

/// The members of an address that change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchAddress {
    /// Salutation.
    #[schemars(length(max = 255))]
    pub salutation: Option<String>,
    /// First name.
    #[schemars(length(max = 255))]
    pub firstname: Option<String>,
    /// Last name.
    #[schemars(length(max = 255))]
    pub lastname: Option<String>,
    /// Company.
    #[schemars(length(max = 255))]
    pub company: Option<String>,
    /// Street and house number.
    #[schemars(length(max = 255))]
    pub street: Option<String>,
    /// Town.
    #[schemars(length(max = 255))]
    pub city: Option<String>,
    /// Postal code; not empty.
    #[schemars(length(min = 1, max = 255))]
    pub zip: Option<String>,
    /// Country, ISO 3166 alpha-2.
    #[schemars(regex(pattern = text::COUNTRY))]
    pub country: Option<String>,
    /// E-mail address.
    #[schemars(length(max = 255))]
    pub email: Option<String>,
    /// Telephone number.
    #[schemars(length(max = 255))]
    pub phone: Option<String>,
    /// The second extra line.
    #[schemars(length(max = 255))]
    pub extra_line: Option<String>,
    /// The first extra line.
    #[schemars(length(max = 255))]
    pub extra_address_line: Option<String>,
    /// State or province.
    #[schemars(length(max = 255))]
    pub state: Option<String>,
    /// Mobile number.
    #[schemars(length(max = 255))]
    pub mobile: Option<String>,
    /// Fax number.
    #[schemars(length(max = 255))]
    pub fax: Option<String>,
}

/// A line of an order. Names its product by `jfsku` or `merchantSku`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("jfsku", "merchantSku")))]
pub struct NewItem {
    /// The line's id, unique within the order; never the product's, which may stand on two lines.
    #[schemars(length(max = 255))]
    pub outbound_item_id: String,
    /// FFN's id of the product; this or `merchantSku` is needed.
    #[schemars(regex(pattern = text::JFSKU))]
    pub jfsku: Option<String>,
    /// What the line is; FFN's default is a product.
    pub item_type: Option<ItemType>,
    /// How many; carried digit for digit.
    #[schemars(with = "Decimal")]
    pub quantity: Box<RawValue>,
    /// Name on papers.
    #[schemars(length(max = 255))]
    pub name: Option<String>,
    /// Your own id of the product; this or `jfsku` is needed.
    #[schemars(length(max = 255))]
    pub merchant_sku: Option<String>,
    /// A number of yours for another system.
    #[schemars(length(max = 255))]
    pub external_number: Option<String>,
    /// Price of one, in the order's currency.
    #[schemars(with = "Option<Decimal>")]
    pub price: Option<Box<RawValue>>,
    /// Value added tax in percent.
    #[schemars(with = "Option<Decimal>")]
    pub vat: Option<Box<RawValue>>,
    /// For a component line: the `outboundItemId` of its bundle's line.
    #[schemars(length(max = 255))]
    pub bill_of_materials_id: Option<String>,
    /// A note.
    #[schemars(length(max = 4096))]
    pub note: Option<String>,
}

/// A free attribute of a new order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAttribute {
    /// Name.
    #[schemars(length(max = 255))]
    pub key: String,
    /// Value, always a text.
    #[schemars(length(max = 4096))]
    pub value: String,
    /// How to read the value.
    pub attribute_type: Option<AttributeType>,
}

/// A free attribute of an order that exists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    /// Name.
    #[schemars(length(max = 255))]
    pub key: String,
    /// Value, always a text.
    #[schemars(length(max = 4096))]
    pub value: String,
    /// How to read the value.
    pub attribute_type: AttributeType,
}

/// Data for a label that a marketplace makes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLabelProvider {
    /// Amazon Seller Fulfilled Prime.
    pub amazon_sfp_shipping_label_provider_data: Option<NewAmazonSfp>,
}

/// Amazon Seller Fulfilled Prime.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAmazonSfp {
    /// The seller's id at Amazon.
    #[schemars(length(max = 255))]
    pub seller_id: String,
}

/// Changes to the data for a label that a marketplace makes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchLabelProvider {
    /// Amazon Seller Fulfilled Prime.
    pub amazon_sfp_shipping_label_provider_data: Option<PatchAmazonSfp>,
}

/// Changes to Amazon Seller Fulfilled Prime.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchAmazonSfp {
    /// The seller's id at Amazon.
    #[schemars(length(max = 255))]
    pub seller_id: Option<String>,
}

/// Declares one of FFN's closed lists; a value's name is its own explanation.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $($word:ident),+ $(,)?) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        #[expect(missing_docs, reason = "FFN's own words")]
        pub enum $name { $($word),+ }
    };
}

words!(
    /// The status an order begins with.
    InitialStatus: Preparation, Pending
);
words!(
    /// How fast and by whose label.
    ShippingType: Standard, Expedited, NextDay, SecondDay, SameDay, ByShippingLabelProvider
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
    /// How an attribute's value is read.
    AttributeType: String, Integer, Decimal, Boolean, Date
);

/// At least one of two members is there and holds a text that is not empty.
fn one_of_these(first: &str, second: &str) -> serde_json::Value {
    let holds = |name: &str| serde_json::json!({ "required": [name], "properties": { name: { "type": "string", "minLength": 1 } } });
    serde_json::json!([holds(first), holds(second)])
}
