//! From a validator's error to sentences that a person understands.
//!
//! The words stand after the member's name: `items[0].quantity` "is required". Values of the sender are shown only
//! where a word was expected from a list, and clipped.

use jsonschema::JsonType;
use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value;

use super::result::FieldError;
use super::text::{clip, explain, explain_format};

/// No more of a sender's text than this comes back, in characters.
const ECHO: usize = 40;
/// Of many unknown members of one object this many are named.
const UNKNOWN_NAMED: usize = 20;

/// Adds what `error` says to `faults`. `schema` is the document the error comes from, `prefix` the path of the value
/// that was checked.
pub(super) fn translate(error: &ValidationError<'_>, schema: &Value, prefix: &str, faults: &mut Vec<FieldError>) {
    let path = human_path(prefix, error.instance_path());
    let at = |message: String| FieldError { path: path.clone(), message };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let path = member(&path, property.as_str().unwrap_or_default());
            faults.push(FieldError { path, message: "is required".to_owned() });
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_members(schema, error.schema_path());
            for name in unexpected.iter().take(UNKNOWN_NAMED) {
                let message = format!("is unknown and would be lost{}", hint(name, &known));
                faults.push(FieldError { path: member(&path, name), message });
            }
            if let Some(more) = unexpected.len().checked_sub(UNKNOWN_NAMED).filter(|more| *more > 0) {
                faults.push(at(format!("has {more} more unknown members")));
            }
        }
        ValidationErrorKind::AnyOf { context } => any_of(error, context, schema, prefix, faults),
        ValidationErrorKind::Not { schema: excluded } => {
            faults.push(at(match names(excluded.get("required")).as_slice() {
                [] => "is not allowed here".to_owned(),
                names => format!("must not have {} together", names.join(" and ")),
            }));
        }
        // The wrong type has been said already.
        ValidationErrorKind::Enum { .. } if !error.instance().is_string() => {}
        kind => faults.push(at(sentence(kind, error.instance()))),
    }
}

/// One of several shapes was wanted and none fits.
fn any_of(
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
    schema: &Value,
    prefix: &str,
    faults: &mut Vec<FieldError>,
) {
    let branches = schema.pointer(error.schema_path().as_str()).and_then(Value::as_array);
    let wanted: Vec<(&str, &Value)> = branches.into_iter().flatten().flat_map(wants).collect();
    if wanted.is_empty() {
        // "This shape or null": what the shape says.
        let is_null = |branch: &[ValidationError<'_>]| matches!(branch, [only] if matches!(only.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::Null) }));
        for inner in context.iter().filter(|branch| !is_null(branch)).flatten() {
            translate(inner, schema, prefix, faults);
        }
        return;
    }
    // A member that is there with a wrong type has been reported as that.
    let wrong = |value: &Value, kind: &Value| match kind.as_str() {
        Some("number") => !value.is_number(),
        _ => !value.is_string(),
    };
    let reported = wanted.iter().any(|(name, value)| {
        error
            .instance()
            .get(name)
            .is_some_and(|given| !given.is_null() && wrong(given, value.get("type").unwrap_or(value)))
    });
    if !reported {
        let path = human_path(prefix, error.instance_path());
        let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
        let not_zero = wanted.iter().any(|(_, value)| value.get("not").is_some());
        let what = if not_zero { " that is not zero" } else { "" };
        faults.push(FieldError { path, message: format!("needs {}{what}", names.join(" or ")) });
    }
}

/// The members that a shape wants, each with what it has to be.
fn wants(branch: &Value) -> impl Iterator<Item = (&str, &Value)> {
    names(branch.get("required")).into_iter().filter_map(|name| Some((name, branch.get("properties")?.get(name)?)))
}

fn sentence(kind: &ValidationErrorKind, instance: &Value) -> String {
    match kind {
        ValidationErrorKind::Type { kind: TypeKind::Single(wanted) } => format!("must be {}", with_article(*wanted)),
        ValidationErrorKind::Type { kind: TypeKind::Multiple(wanted) } => {
            let wanted: Vec<&str> = wanted.iter().filter(|kind| *kind != JsonType::Null).map(with_article).collect();
            format!("must be {}", wanted.join(" or "))
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let given = instance.as_str().map(|given| format!(", not \"{}\"", clip(given, ECHO))).unwrap_or_default();
            format!("must be one of {}{given}", options.join(", "))
        }
        ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("must be at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("must be at most {limit} characters"),
        ValidationErrorKind::MinItems { limit: 1 } => "must have at least one entry".to_owned(),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} entries"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::Pattern { pattern } => {
            explain(pattern).map_or_else(|| format!("must match {pattern}"), str::to_owned)
        }
        ValidationErrorKind::Format { format } => explain_format(format),
        other => format!("does not meet the schema's \"{}\"", other.keyword()),
    }
}

fn with_article(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

/// The names of the members beside the keyword that an error comes from.
fn known_members<'a>(schema: &'a Value, keyword: &Location) -> Vec<&'a str> {
    let object = keyword.as_str().rsplit_once('/').and_then(|(object, _)| schema.pointer(object));
    let properties = object.and_then(|object| object.get("properties")).and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Known members whose name contains the unknown one or the other way round.
fn hint(unknown: &str, known: &[&str]) -> String {
    let unknown = clip(unknown, ECHO).to_ascii_lowercase();
    let alike: Vec<&str> = known
        .iter()
        .copied()
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            unknown.len() > 2 && (name.contains(&unknown) || unknown.contains(&name))
        })
        .collect();
    if alike.is_empty() { String::new() } else { format!("; did you mean {}?", alike.join(" or ")) }
}

fn names(required: Option<&Value>) -> Vec<&str> {
    required.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn human_path(prefix: &str, location: &Location) -> String {
    location.iter().fold(prefix.to_owned(), |path, segment| match segment {
        LocationSegment::Property(name) => member(&path, &name),
        LocationSegment::Index(index) => format!("{path}[{index}]"),
    })
}

/// `parent.name`, or `parent["na me"]` for a name that is no plain word.
fn member(parent: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$".contains(&byte));
    let name = clip(name, ECHO);
    match (parent, plain) {
        ("", true) => name,
        (_, true) => format!("{parent}.{name}"),
        (_, false) => format!("{parent}[\"{name}\"]"),
    }
}
