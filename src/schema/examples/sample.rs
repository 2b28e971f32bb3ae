//! Bodies of commands, made from their schemas: the least that is valid, and one with every member.

use serde_json::{Map, Value, json};

use super::name_of;

/// Members that exclude another one that stands in the full body, as `(member, the one that stays)`.
const EXCLUDED: [(&str, &str); 1] = [("shippingType", "shippingMethodId")];

/// The least body, and the full one where it is another.
pub(super) fn bodies(schema: &Value) -> Vec<Value> {
    let mut bodies = vec![object(schema, schema, false), object(schema, schema, true)];
    bodies.dedup();
    bodies
}

fn object(schema: &Value, document: &Value, full: bool) -> Value {
    let names = |of: &Value| -> Vec<String> {
        let names = of.get("required").and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut needed = names(schema);
    // Of several shapes the first.
    needed.extend(schema.pointer("/anyOf/0").map(names).unwrap_or_default());
    let mut members = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let excluded = EXCLUDED.iter().any(|(out, stays)| {
            out == name
                && properties.is_some_and(|properties| properties.contains_key(*stays))
                && !needed.contains(name)
        });
        if needed.contains(name) || full && !excluded {
            members.insert(name.clone(), value(name, property, document, full));
        }
    }
    members.into()
}

fn value(name: &str, schema: &Value, document: &Value, full: bool) -> Value {
    let reference = |schema: &Value| schema.get("$ref").and_then(Value::as_str).map(str::to_owned);
    let alternatives = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let target = std::iter::once(schema).chain(alternatives).find_map(reference);
    let target = target.and_then(|target| document.pointer(target.strip_prefix('#')?));
    let schema = target.unwrap_or(schema);
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let usual = USUAL.iter().find(|usual| words.iter().any(|word| word == *usual)).map(|usual| Value::from(*usual));
        return usual.or_else(|| words.first().cloned()).unwrap_or_default();
    }
    match kind {
        Some("array") => {
            let entry = schema.get("items").map(|items| value(name, items, document, full));
            entry.into_iter().collect()
        }
        Some("object") => object(schema, document, full),
        Some("boolean") => (!EXCLUDING.contains(&name)).into(),
        Some("integer" | "number") => number_of(name),
        _ if schema.get("format").is_some() => "2026-01-05T08:00:00Z".into(),
        _ => name_of(name).into(),
    }
}

/// Words of closed lists that fit the other members better than the first one does.
const USUAL: [&str; 4] = ["Canceled", "Pending", "Used", "DeliveryNote"];

/// Flags that forbid another member of the full body.
const EXCLUDING: [&str; 1] = ["autoCompleteBillOfMaterials"];

fn number_of(name: &str) -> Value {
    match name {
        "price" | "amount" => json!(9.9),
        "shippingFee" => json!(4.9),
        "orderValue" => json!(24.7),
        "vat" => json!(19),
        "weight" => json!(0.75),
        "netWeight" => json!(0.7),
        "width" => json!(0.3),
        "length" => json!(0.4),
        "height" => json!(0.2),
        "year" => json!(2027),
        "month" => json!(6),
        "day" => json!(30),
        "$top" => json!(100),
        "$skip" | "packageId" | "quantityBlocked" => json!(0),
        "quantity" => json!(2),
        _ => json!(1),
    }
}
