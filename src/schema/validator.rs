//! Checks the body of a command against its schema and says every fault at once.

use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

use super::document::{Kind, catalog};
use super::result::FieldError;
use super::{fault, rules, text};

/// At most this many faults of a body are named; one more entry says that there are others.
pub const MAX_FAULTS: usize = 100;

/// The check of every command's body. Built once: compiling the schemas takes milliseconds, a check microseconds.
#[derive(Debug)]
pub struct CommandValidator {
    commands: Vec<(String, Checks)>,
}

/// A command's schema, cut so that a long list is checked entry by entry: a megabyte of wrong entries must not become
/// a gigabyte of errors.
#[derive(Debug)]
struct Checks {
    whole: Check,
    entries: Vec<(String, Check)>,
}

#[derive(Debug)]
struct Check {
    schema: Value,
    validator: Validator,
}

impl CommandValidator {
    /// Compiles the schemas of all commands.
    ///
    /// # Errors
    /// When a schema is not valid, which would be a fault of this code; a test holds them.
    pub fn new() -> Result<Self, ValidationError<'static>> {
        let mut commands = Vec::new();
        for document in catalog().into_iter().filter(|document| document.kind == Kind::Command) {
            commands.push((document.name, Checks::new(document.schema)?));
        }
        Ok(Self { commands })
    }

    /// The commands it knows, for example `outbound.create`.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(|(name, _)| name.as_str())
    }

    /// Checks the body of `command` (`outbound.create`); `None` if there is no such command.
    ///
    /// `body` is the command's object itself (of a CloudEvent its `data`) and may be any bytes. The faults come all at
    /// once, up to [`MAX_FAULTS`]; a message reads as a sentence after its path and holds no more than 40 characters
    /// of what the sender wrote. Of a member that is there twice the last one counts.
    pub fn validate(&self, command: &str, body: &[u8]) -> Option<Result<(), Vec<FieldError>>> {
        let (_, checks) = self.commands.iter().find(|(name, _)| name == command)?;
        let faults = match serde_json::from_slice::<Value>(body) {
            Ok(value) => checks.faults(value),
            Err(error) => vec![whole_body(format!("is not JSON: {}", text::clip(&error.to_string(), 120)))],
        };
        Some(if faults.is_empty() { Ok(()) } else { Err(faults) })
    }
}

impl Checks {
    fn new(schema: Value) -> Result<Self, ValidationError<'static>> {
        let mut entries = Vec::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if let Some(Value::Object(items)) = property.get("items") {
                let mut entry: Map<String, Value> = items.clone();
                if let Some(definitions) = schema.get("$defs") {
                    entry.insert("$defs".to_owned(), definitions.clone());
                }
                entries.push((name.clone(), Check::new(Value::Object(entry))?));
            }
        }
        Ok(Self { whole: Check::new(schema)?, entries })
    }

    fn faults(&self, mut body: Value) -> Vec<FieldError> {
        if !body.is_object() {
            return vec![whole_body(format!("must be a JSON object, but is {}", kind_of(&body)))];
        }
        let mut faults = rules::check(&body, MAX_FAULTS);
        for (name, check) in &self.entries {
            let Some(list) = body.get_mut(name).and_then(Value::as_array_mut) else { continue };
            // The first entry stays for the whole: a list may have to have one.
            for (index, entry) in list.iter().enumerate().skip(1) {
                if faults.len() > MAX_FAULTS {
                    break;
                }
                check.faults(entry, &format!("{name}[{index}]"), &mut faults);
            }
            list.truncate(1);
        }
        let mut all = Vec::new();
        self.whole.faults(&body, "", &mut all);
        all.append(&mut faults);
        shorten(all)
    }
}

impl Check {
    fn new(schema: Value) -> Result<Self, ValidationError<'static>> {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)?;
        Ok(Self { schema, validator })
    }

    fn faults(&self, value: &Value, prefix: &str, faults: &mut Vec<FieldError>) {
        for error in self.validator.iter_errors(value) {
            fault::translate(&error, &self.schema, prefix, faults);
        }
    }
}

/// Not too many of them.
fn shorten(mut faults: Vec<FieldError>) -> Vec<FieldError> {
    if faults.len() > MAX_FAULTS {
        faults.truncate(MAX_FAULTS);
        faults.push(whole_body(format!("has more faults; these are the first {MAX_FAULTS}")));
    }
    faults
}

fn whole_body(message: String) -> FieldError {
    FieldError { path: String::new(), message }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
