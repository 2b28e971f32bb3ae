//! How a number with decimals stands in a schema. The bridge carries such numbers as FFN or the caller wrote them
//! (`Box<RawValue>`), digit for digit, so there is no Rust number behind this type (contract 4).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A JSON number of any precision. For `#[schemars(with = "Decimal")]` on a `Box<RawValue>`.
#[derive(Debug)]
pub enum Decimal {}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}
