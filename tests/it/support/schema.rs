//! Every message that a test receives is checked against the files in `schemas/`, with the validator
//! alone: the bridge's own types have no part in it. Where `FFN_BRIDGE_MESSAGES` names a folder they are kept there
//! for `scripts/validate.py`, which checks them all once more with another program's validator.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::Value;

use super::Message;

/// Checks a message of the bridge against the schema that its `dataschema` names. A dead letter is a
/// publisher's own message and is left alone.
pub fn check(message: &Message) {
    let is_ours = message.properties.app_id().as_ref().is_some_and(|app| app.as_str() == "ffn-bridge");
    let is_structured = message
        .properties
        .content_type()
        .as_ref()
        .is_some_and(|content_type| content_type.as_str() == "application/cloudevents+json; charset=utf-8");
    if !is_ours || !is_structured {
        return;
    }
    keep(message);
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    let event_type = body["type"].as_str().unwrap();
    assert_eq!(body["dataschema"], format!("urn:ffn-bridge:schema:{event_type}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let file = |name: &str| {
        ["events", "results"]
            .iter()
            .map(|kind| folder.join(kind).join(format!("{name}.json")))
            .find(|path| path.exists())
    };
    // A status that nobody has a name for is described by the generic schema.
    let generic = event_type.split('.').take(2).collect::<Vec<_>>().join(".") + ".status.v1";
    let path = file(event_type).or_else(|| file(&generic)).unwrap_or_else(|| panic!("no schema of {event_type}"));
    let validator = validator(&path);
    let faults: Vec<String> =
        validator.iter_errors(&body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{event_type} does not fit {}: {faults:#?}\n{body:#}", path.display());
}

/// The validator of a file. To make one takes longer than to use it.
fn validator(path: &Path) -> Arc<Validator> {
    static MADE: LazyLock<Mutex<HashMap<PathBuf, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let make = || {
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Arc::new(jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
    };
    MADE.lock().unwrap().entry(path.to_owned()).or_insert_with(make).clone()
}

/// A line for each message: its body as a JSON string.
fn keep(message: &Message) {
    let Some(folder) = std::env::var_os("FFN_BRIDGE_MESSAGES") else { return };
    let file = Path::new(&folder).join(format!("{}.jsonl", std::process::id()));
    let mut line = serde_json::to_string(&message.text()).unwrap();
    line.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
