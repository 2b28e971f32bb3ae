//! Small corrections to what schemars writes: plainer for readers and for code generators.

use serde_json::{Map, Value};

/// Formats of schemars that JSON Schema does not know.
const FOREIGN_FORMATS: [&str; 3] = ["int32", "uint16", "uint32"];

/// Corrects a schema and all schemas in it.
pub(super) fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            tidy_object(object);
            object.values_mut().for_each(tidy);
        }
        Value::Array(array) => array.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn tidy_object(object: &mut Map<String, Value>) {
    if object.get("format").and_then(Value::as_str).is_some_and(|format| FOREIGN_FORMATS.contains(&format)) {
        object.remove("format");
    }
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = without_contract(&description.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    }
    flatten_words(object);
}

/// Where the contract says so is for readers of the code: ` (contract 10.2)` goes.
fn without_contract(description: &str) -> String {
    let mut parts = description.split(" (contract ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    plain
}

/// A closed list of described words, which schemars writes as `oneOf` of `const`, becomes an `enum`; the descriptions
/// move into the list's own.
fn flatten_words(object: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = object.get("oneOf") else { return };
    let mut words = Vec::new();
    let mut explained = Vec::new();
    for alternative in alternatives {
        let Some(word) = alternative.get("const").and_then(Value::as_str) else { return };
        words.push(Value::from(word));
        if let Some(description) = alternative.get("description").and_then(Value::as_str) {
            explained.push(format!("`{word}`: {description}"));
        }
    }
    object.shift_remove("oneOf");
    object.insert("type".to_owned(), "string".into());
    object.insert("enum".to_owned(), words.into());
    let description = object.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = std::iter::once(description.to_owned()).chain(explained).collect::<Vec<_>>().join(" ");
    object.insert("description".to_owned(), description.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn described_words_become_a_plain_list() {
        let mut schema = serde_json::json!({
            "description": "Kinds (contract 1).\nClosed.",
            "oneOf": [{ "type": "string", "const": "a", "description": "First." }, { "type": "string", "const": "b" }]
        });
        tidy(&mut schema);
        let expected =
            serde_json::json!({ "description": "Kinds. Closed. `a`: First.", "type": "string", "enum": ["a", "b"] });
        assert_eq!(schema, expected);
    }
}
