//! Types made of types, where FFN has two bodies that differ in little.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::super::document::object_of;

/// The members of `A`, then those of `B`. It goes by `A`'s name and description.
#[derive(Debug)]
pub struct Both<A, B>(PhantomData<(A, B)>);

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Both<A, B> {
    fn schema_name() -> Cow<'static, str> {
        A::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut all = object_of::<A>(generator);
        merge(&mut all, object_of::<B>(generator));
        all.into()
    }
}

/// What changes of a `T`: the same members, none of which is needed, and null clears any.
#[derive(Debug)]
pub struct Patch<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Patch{}", T::schema_name().trim_start_matches("New")).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = object_of::<T>(generator);
        schema.shift_remove("anyOf");
        let needed = schema.shift_remove("required").unwrap_or_default();
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, property) in properties.into_iter().flatten() {
            let needed = needed.as_array().is_some_and(|names| names.contains(&json!(name)));
            if let Some(kind) = property.get_mut("type").filter(|_| needed) {
                *kind = json!([kind, "null"]);
            }
        }
        schema.insert("description".to_owned(), "The members that change.".into());
        schema.into()
    }
}

/// Adds the members of one object's schema to another's. Of what describes the whole, the first one's stays.
pub(super) fn merge(all: &mut Map<String, Value>, part: Map<String, Value>) {
    for (keyword, value) in part {
        match (all.get_mut(&keyword), value) {
            (Some(Value::Object(members)), Value::Object(more)) => members.extend(more),
            (Some(Value::Array(names)), Value::Array(more)) if keyword == "required" => names.extend(more),
            (Some(_), _) => {}
            (None, value) => {
                all.insert(keyword, value);
            }
        }
    }
}
