//! What several command bodies are made of: addresses, attributes, parcels and FFN's closed lists of words
//! (contract 4, appendix C).

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::super::decimal::Decimal;
use super::values::{Country, Filled, Note, Text};

/// An address needs `street`, `city`, `country` and one of `lastname` and `company` (contract 4).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = one_of_these("lastname", "company")))]
pub struct NewAddress {
    /// Salutation.
    pub salutation: Option<Text>,
    /// First name.
    pub firstname: Option<Text>,
    /// Last name.
    pub lastname: Option<Text>,
    /// Company.
    pub company: Option<Text>,
    /// Street and house number.
    pub street: Text,
    /// Town.
    pub city: Text,
    /// Postal code; not empty.
    pub zip: Option<Filled>,
    /// Country, ISO 3166 alpha-2.
    pub country: Country,
    /// E-mail address.
    pub email: Option<Text>,
    /// Telephone number.
    pub phone: Option<Text>,
    /// The second extra line.
    pub extra_line: Option<Text>,
    /// The first extra line.
    pub extra_address_line: Option<Text>,
    /// State or province.
    pub state: Option<Text>,
    /// Mobile number.
    pub mobile: Option<Text>,
    /// Fax number.
    pub fax: Option<Text>,
}

/// A free attribute of something new.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAttribute {
    /// Name.
    pub key: Text,
    /// Value, always a text.
    pub value: Note,
    /// How to read the value.
    pub attribute_type: Option<AttributeType>,
}

/// A free attribute of what exists.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    /// Name.
    pub key: Text,
    /// Value, always a text.
    pub value: Note,
    /// How to read the value.
    pub attribute_type: AttributeType,
}

/// The date until which something keeps; FFN takes it apart (contract 4).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct BestBefore {
    /// Year.
    #[schemars(range(min = 1, max = 9999))]
    pub year: i32,
    /// Month, from 1.
    #[schemars(range(min = 1, max = 12))]
    pub month: i32,
    /// Day, from 1.
    #[schemars(range(min = 1, max = 31))]
    pub day: i32,
}

/// What a parcel is known by.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewIdentifier {
    /// The id itself.
    pub value: Text,
    /// What kind of id it is.
    pub identifier_type: IdentifierType,
    /// What it is called.
    pub name: Option<Text>,
}

/// The size of a parcel.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageSize {
    /// Width.
    pub width: Decimal,
    /// Length.
    pub length: Decimal,
    /// Height.
    pub height: Decimal,
}

/// Declares one of FFN's closed lists; a value's name is its own explanation.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $($word:ident),+ $(,)?) => {
        $(#[$meta])*
        #[derive(Debug, JsonSchema)]
        #[expect(missing_docs, reason = "FFN's own words")]
        pub enum $name { $($word),+ }
    };
}
pub(super) use words;

words!(
    /// How fast and by whose label.
    ShippingType: Standard, Expedited, NextDay, SecondDay, SameDay, ByShippingLabelProvider
);
words!(
    /// How an attribute's value is read.
    AttributeType: String, Integer, Decimal, Boolean, Date
);
words!(
    /// How goods travel.
    FreightOption: Parcel, LessThanTruckload, FullTruckload, Other
);
words!(
    /// What kind of id a parcel is known by.
    IdentifierType: TrackingId, AmazonShipmentId, Other
);
words!(
    /// The state of a product.
    Condition: Unknown, Default, Refurbished, Used, Damaged
);

/// At least one of two members is there and holds a text that is not empty.
pub(super) fn one_of_these(first: &str, second: &str) -> Value {
    one_of(first, second, &json!({ "type": "string", "minLength": 1 }))
}

/// At least one of two members is there and is such a value.
pub(super) fn one_of(first: &str, second: &str, value: &Value) -> Value {
    let holds = |name: &str| json!({ "required": [name], "properties": { name: value } });
    json!([holds(first), holds(second)])
}
