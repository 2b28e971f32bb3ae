//! The kinds of texts and numbers in command bodies, each with FFN's limits (contract 4, 9, appendix C.2). A kind
//! stands in a member's schema itself, beside the member's description. Nothing is ever read into one: see
//! [`command`](super).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::text;

/// Declares kinds of values by their schemas.
macro_rules! kinds {
    ($($(#[$meta:meta])+ $name:ident = $schema:tt;)+) => {$(
        $(#[$meta])+
        #[derive(Debug)]
        pub enum $name {}

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

kinds! {
    /// A text with FFN's general limit.
    Text = { "type": "string", "maxLength": 255 };
    /// A note or an attribute's value.
    Note = { "type": "string", "maxLength": 4096 };
    /// A text that has to hold something.
    Filled = { "type": "string", "minLength": 1, "maxLength": 255 };
    /// A number or name that its owner finds an object by: it is there and is one line.
    Key = { "type": "string", "minLength": 1, "maxLength": 255, "pattern": text::ONE_LINE };
    /// An id that stands in a URL's path.
    PathId = { "type": "string", "minLength": 1, "maxLength": 255, "pattern": text::PATH_ID };
    /// FFN's id of a product.
    Jfsku = { "type": "string", "pattern": text::JFSKU };
    /// FFN's id of a merchant or a fulfiller.
    UserId = { "type": "string", "pattern": text::USER_ID };
    /// FFN's id of a warehouse.
    WarehouseId = { "type": "string", "minLength": 14, "maxLength": 255 };
    /// FFN's id of a shipping method.
    ShippingMethodId = { "type": "string", "minLength": 4, "maxLength": 255 };
    /// FFN's id of an order, in a list of orders.
    OutboundId = { "type": "string", "minLength": 7, "maxLength": 255 };
    /// An order's id that a merchant chose.
    OwnOutboundId = { "type": "string", "pattern": text::OWN_OUTBOUND_ID };
    /// A delivery's id that a merchant chose.
    OwnInboundId = { "type": "string", "pattern": text::OWN_INBOUND_ID };
    /// The id of a delivery's shipping notification that a merchant chose.
    OwnInboundShipmentId = { "type": "string", "pattern": text::OWN_INBOUND_SHIPMENT_ID };
    /// ISO 3166 alpha-2.
    Country = { "type": "string", "pattern": text::COUNTRY };
    /// ISO 4217.
    Currency = { "type": "string", "pattern": text::CURRENCY };
    /// Hours and minutes.
    TimeOfDay = { "type": "string", "pattern": text::TIME_OF_DAY };
    /// A file's bytes. Whether it really is base64 is a rule: no pattern runs over megabytes.
    Base64 = { "type": "string", "minLength": 1, "contentEncoding": "base64" };
    /// A part of a list's query.
    Query = { "type": "string", "maxLength": 4096 };
    /// A whole number as FFN reads it.
    Int32 = { "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX };
    /// From -5 to 5.
    OutboundPriority = { "type": "integer", "minimum": -5, "maximum": 5 };
    /// A place in a list.
    Index = { "type": "integer", "minimum": 0, "maximum": i32::MAX };
    /// More than nothing, of any precision.
    Positive = { "type": "number", "exclusiveMinimum": 0 };
}
