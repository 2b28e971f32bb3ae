//! The examples of commands say what their schemas say: nothing can be taken from the small one, the full one has every
//! member, and a change of either is named by its path.

use serde_json::{Map, Value, json};

use super::super::*;
use super::bodies::VALIDATOR;

/// Members that exclude another one of the full body.
const EXCLUDED: [&str; 1] = ["shippingType"];

fn faults(spec: &CommandSpec, body: &Value) -> Vec<(String, String)> {
    let told: Vec<Vec<(String, String)>> = spec
        .roles
        .iter()
        .map(|role| match VALIDATOR.validate(spec.name, *role, body.to_string().as_bytes()).unwrap() {
            Ok(()) => vec![],
            Err(faults) => faults.into_iter().map(|fault| (fault.path, fault.message)).collect(),
        })
        .collect();
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "roles with one schema are told the same");
    told[0].clone()
}

fn examples(document: &Document) -> (Value, Value) {
    let examples = document.schema["examples"].as_array().unwrap();
    assert!((1..=2).contains(&examples.len()), "{}", document.name);
    (examples[0].clone(), examples.last().unwrap().clone())
}

/// Every member and entry of a body, as JSON pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                found.push(format!("{at}/{name}"));
                pointers(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                pointers(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// `/items/0/quantity` as a person reads it: `items[0].quantity`.
fn path(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, step| match step.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => step.to_owned(),
        Err(_) => format!("{path}.{step}"),
    })
}

fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(name).unwrap();
    body
}

#[test]
fn both_examples_pass_and_the_small_one_is_the_least() {
    for spec in COMMANDS {
        let document = document(&spec.document()).unwrap();
        let (small, full) = examples(&document);
        for body in [&small, &full] {
            assert_eq!(faults(spec, body), vec![], "{}: {body:#}", document.name);
        }
        let mut members = Vec::new();
        pointers(&small, "", &mut members);
        for pointer in members {
            let told = faults(spec, &without(&small, &pointer));
            let wanted = path(&pointer);
            let parent = path(pointer.rsplit_once('/').unwrap().0);
            let named = told.iter().any(|(at, message)| {
                *at == wanted && message == "is required"
                    || *at == parent
                        && message.starts_with("needs ")
                        && message.contains(pointer.rsplit_once('/').unwrap().1)
            });
            assert!(named, "{}: without {wanted}: {told:?}", document.name);
        }
    }
}

#[test]
fn the_full_example_has_every_member() {
    fn complete(body: &Value, schema: &Value, document: &Value, at: &str) {
        let schema =
            schema["anyOf"].as_array().and_then(|it| it.iter().find(|it| it["$ref"].is_string())).unwrap_or(schema);
        let target = schema["$ref"].as_str().map(|it| document.pointer(it.strip_prefix('#').unwrap()).unwrap());
        let schema = target.unwrap_or(schema);
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                if EXCLUDED.contains(&name.as_str()) && schema["properties"]["shippingMethodId"].is_object() {
                    continue;
                }
                assert!(!body[name].is_null(), "{at}.{name} is missing");
                complete(&body[name], property, document, &format!("{at}.{name}"));
            }
        }
        if schema["items"].is_object() {
            complete(&body[0], &schema["items"], document, &format!("{at}[0]"));
        }
    }
    for spec in COMMANDS {
        let document = document(&spec.document()).unwrap();
        complete(&examples(&document).1, &document.schema, &document.schema, &document.name);
    }
}

#[test]
fn whatever_is_wrong_is_named_by_its_path() {
    for spec in COMMANDS {
        let name = spec.document();
        let (_, full) = examples(&document(&name).unwrap());
        // A list of one list is the right type nowhere.
        let mut members = Vec::new();
        pointers(&full, "", &mut members);
        for pointer in members {
            let mut body = full.clone();
            *body.pointer_mut(&pointer).unwrap() = json!([[[]]]);
            let wanted = path(&pointer);
            let told = faults(spec, &body);
            let named = told.iter().any(|(at, message)| {
                (*at == wanted || at.starts_with(&format!("{wanted}["))) && message.starts_with("must be ")
            });
            assert!(named, "{name}: {wanted}: {told:?}");
        }
        // An unknown member of every object, however deep and in which entry.
        let mut body = full.clone();
        let mut wanted = Vec::new();
        surprise(&mut body, "", &mut wanted);
        let told = faults(spec, &body);
        for path in &wanted {
            assert!(
                told.contains(&(path.clone(), "is unknown and would be lost".to_owned())),
                "{name}: {path}: {told:?}"
            );
        }
        assert_eq!(told.len(), wanted.len(), "{name}: {told:?}");
    }

    /// Gives every list a second entry like its first, and every object a member too many.
    fn surprise(value: &mut Value, at: &str, wanted: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in &mut *members {
                    surprise(value, &format!("{at}/{name}"), wanted);
                }
                members.insert("surprise".to_owned(), json!(1));
                wanted.push(path(&format!("{at}/surprise")));
            }
            Value::Array(entries) => {
                let mut second = entries[0].clone();
                for (name, value) in second.as_object_mut().unwrap_or(&mut Map::new()) {
                    if ["outboundItemId", "inboundItemId", "returnItemId"].contains(&name.as_str()) {
                        *value = "ACME05R3W1".into();
                    }
                }
                entries.push(second);
                for (index, entry) in entries.iter_mut().enumerate() {
                    surprise(entry, &format!("{at}/{index}"), wanted);
                }
            }
            _ => {}
        }
    }
}
