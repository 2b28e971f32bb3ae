//! Checks the body of a command against its schema and says every fault at once.

use std::sync::OnceLock;

use jsonschema::{PatternCache, ValidationError, Validator};
use serde_json::{Map, Value};

use super::command::{COMMANDS, CommandSpec};
use super::result::FieldError;
use super::rules::{Faults, Rule};
use super::{document, fault, text};
use crate::domain::account::Role;

/// At most this many faults of a body are named; one more entry says that there are others.
pub const MAX_FAULTS: usize = 100;

/// The check of every command's body. A command's schema is compiled when its first body comes, which takes
/// milliseconds; a check takes microseconds.
#[derive(Debug)]
pub struct CommandValidator {
    commands: Vec<(&'static CommandSpec, OnceLock<Result<Checks, String>>)>,
}

/// A command's schema, cut so that a long list is checked entry by entry: a megabyte of wrong entries must not become
/// a gigabyte of errors.
#[derive(Debug)]
struct Checks {
    whole: Check,
    lists: Lists,
    rules: &'static [Rule],
}

/// The lists in an object, however deep, by the members that lead to them.
#[derive(Debug)]
struct Lists(Vec<(String, Place)>);

#[derive(Debug)]
enum Place {
    /// A list: the check of an entry, and the lists in one.
    List(Check, Lists),
    /// An object with lists in it.
    Object(Lists),
}

#[derive(Debug)]
struct Check {
    schema: Value,
    validator: Validator,
}

impl Default for CommandValidator {
    /// Knows every command; compiles nothing yet.
    fn default() -> Self {
        Self { commands: COMMANDS.iter().map(|spec| (spec, OnceLock::new())).collect() }
    }
}

impl CommandValidator {
    /// The commands that a role has, for example `outbound.create`.
    pub fn commands(&self, role: Role) -> impl Iterator<Item = &'static str> {
        self.commands.iter().map(|(spec, _)| *spec).filter(move |spec| spec.roles.contains(&role)).map(|spec| spec.name)
    }

    /// Checks the body of `command` (`outbound.create`) as that role sends it; `None` if the role has no such command.
    ///
    /// `body` is the command's object itself (of a CloudEvent its `data`) and may be any bytes. The faults come all at
    /// once, up to [`MAX_FAULTS`]; a message reads as a sentence after its path and holds no more than 40 characters
    /// of what the sender wrote. Of a member that is there twice the last one counts.
    pub fn validate(&self, command: &str, role: Role, body: &[u8]) -> Option<Result<(), Vec<FieldError>>> {
        let (spec, checks) =
            self.commands.iter().find(|(spec, _)| spec.name == command && spec.roles.contains(&role))?;
        let checks = checks.get_or_init(|| Checks::new(spec, &PatternCache::new()).map_err(|error| error.to_string()));
        let faults = match (checks, serde_json::from_slice::<Value>(body)) {
            (Ok(checks), Ok(value)) => checks.faults(value),
            // A fault of this code; a test holds every schema.
            (Err(error), _) => vec![whole_body(format!("can't be checked, its schema is not valid: {error}"))],
            (_, Err(error)) => vec![whole_body(format!("is not JSON: {}", text::clip(&error.to_string(), 120)))],
        };
        Some(if faults.is_empty() { Ok(()) } else { Err(faults) })
    }
}

impl Checks {
    fn new(spec: &'static CommandSpec, patterns: &PatternCache) -> Result<Self, ValidationError<'static>> {
        let schema = document::command(spec).schema;
        let lists = Lists::new(&schema, &schema, patterns)?;
        Ok(Self { lists, whole: Check::new(schema, patterns)?, rules: spec.rules() })
    }

    fn faults(&self, mut body: Value) -> Vec<FieldError> {
        if !body.is_object() {
            return vec![whole_body(format!("must be a JSON object, but is {}", kind_of(&body)))];
        }
        let mut broken = Faults::new(MAX_FAULTS);
        for rule in self.rules {
            rule(&body, &mut broken);
        }
        let mut in_lists = Vec::new();
        self.lists.faults(&mut body, "", &mut in_lists);
        let mut all = Vec::new();
        self.whole.faults(&body, "", &mut all);
        all.append(&mut broken.into_inner());
        all.append(&mut in_lists);
        shorten(all)
    }
}

impl Lists {
    /// Those of the object that `schema` describes, a part of `document`.
    fn new(schema: &Value, document: &Value, patterns: &PatternCache) -> Result<Self, ValidationError<'static>> {
        let mut places = Vec::new();
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let member = shape(member, document);
            if let Some(Value::Object(items)) = member.get("items") {
                let mut entry: Map<String, Value> = items.clone();
                if let Some(definitions) = document.get("$defs").filter(|_| entry.contains_key("$ref")) {
                    entry.insert("$defs".to_owned(), definitions.clone());
                }
                let inside = Self::new(shape(&Value::Object(items.clone()), document), document, patterns)?;
                places.push((name.clone(), Place::List(Check::new(Value::Object(entry), patterns)?, inside)));
            } else {
                let inside = Self::new(member, document, patterns)?;
                if !inside.0.is_empty() {
                    places.push((name.clone(), Place::Object(inside)));
                }
            }
        }
        Ok(Self(places))
    }

    /// Adds the faults of all entries but the first of each list, and leaves the first alone in it: it stays for what
    /// the list is in, which may have to have one.
    fn faults(&self, object: &mut Value, prefix: &str, faults: &mut Vec<FieldError>) {
        for (name, place) in &self.0 {
            let Some(member) = object.get_mut(name) else { continue };
            match place {
                Place::Object(inside) => inside.faults(member, &format!("{prefix}{name}."), faults),
                Place::List(check, inside) => {
                    let Some(list) = member.as_array_mut() else { continue };
                    for (index, entry) in list.iter_mut().enumerate() {
                        if faults.len() > MAX_FAULTS {
                            break;
                        }
                        let path = format!("{prefix}{name}[{index}]");
                        inside.faults(entry, &format!("{path}."), faults);
                        if index > 0 {
                            check.faults(entry, &path, faults);
                        }
                    }
                    list.truncate(1);
                }
            }
        }
    }
}

/// What describes a value: behind a reference, and without "or null".
fn shape<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let alternatives = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let reference = std::iter::once(schema).chain(alternatives).find_map(|it| it.get("$ref")).and_then(Value::as_str);
    let target = reference.and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(schema)
}

impl Check {
    fn new(schema: Value, patterns: &PatternCache) -> Result<Self, ValidationError<'static>> {
        let validator = jsonschema::options()
            .with_pattern_cache(patterns.clone())
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)?;
        Ok(Self { schema, validator })
    }

    fn faults(&self, value: &Value, prefix: &str, faults: &mut Vec<FieldError>) {
        if self.validator.is_valid(value) {
            return;
        }
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
