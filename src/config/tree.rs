//! The configuration as it was given, before anyone has read meaning into it: a tree in which every
//! value knows its place.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// The text of an environment variable as it stands, for keys that want a string.
    pub(super) raw: Option<String>,
}

/// What was given.
#[derive(Clone)]
pub(super) enum Kind {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// What no key wants as it is, a date and time apart: `what` it is, and how it was written.
    Other {
        what: &'static str,
        text: String,
    },
    List(Vec<Node>),
    Table(BTreeMap<String, Entry>),
}

/// What stands under a key of a table, and where the key stands.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// A default, written as it would be in the file.
    pub(super) fn default(kind: Kind) -> Self {
        Self { place: Place::Nowhere, kind, raw: None }
    }

    /// An empty table.
    pub(super) fn table(place: Place) -> Self {
        Self { place, kind: Kind::Table(BTreeMap::new()), raw: None }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// Every fault of syntax. A text with such faults is not looked at any further: what is missing
    /// from a tree with holes says nothing.
    pub(super) fn document(text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let at = |span: Range<usize>| position(text, span.start);
        if errors.is_empty() {
            return Ok(from_table(table.get_ref(), Place::Nowhere, &at));
        }
        let problem = |error: toml::de::Error| Problem {
            place: error.span().map_or(Place::Nowhere, at),
            key: String::new(),
            message: format!("not valid TOML: {}", error.message().replace('\n', ", ")),
        };
        Err(errors.into_iter().map(problem).collect())
    }

    /// Reads an environment variable: as a TOML value if it is one, else as a string.
    pub(super) fn variable(name: &str, text: &str) -> Self {
        let place = Place::Variable(name.to_owned());
        let mut node = match DeValue::parse(text.trim()) {
            Ok(value) => from_value(value.get_ref(), place.clone(), &|_| place.clone()),
            Err(_) => Self { place, kind: Kind::Text(text.to_owned()), raw: None },
        };
        node.raw = Some(text.to_owned());
        node
    }

    /// The value under `key`, if this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Table(entries) => entries.get(key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The string this is: a TOML string, a date and time, or a variable's text as it stands.
    pub(super) fn as_text(&self) -> Option<&str> {
        match (&self.kind, &self.raw) {
            (Kind::Text(text), _) | (Kind::Other { what: DATE, text }, _) | (_, Some(text)) => Some(text),
            _ => None,
        }
    }

    /// What it is, with its article.
    pub(super) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Text(_) => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Boolean(_) => "a boolean",
            Kind::Other { what, .. } => what,
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// As TOML.
    pub(super) fn to_toml(&self) -> String {
        match &self.kind {
            Kind::Text(text) => quoted(text),
            Kind::Integer(number) => number.to_string(),
            Kind::Boolean(yes) => yes.to_string(),
            Kind::Other { text, .. } => text.clone(),
            Kind::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_toml).collect();
                format!("[{}]", items.join(", "))
            }
            Kind::Table(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, entry)| format!("{key} = {}", entry.value.to_toml())).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

impl From<&str> for Kind {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Kind {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Kind {
    fn from(yes: bool) -> Self {
        Self::Boolean(yes)
    }
}

impl From<&[&str]> for Kind {
    fn from(texts: &[&str]) -> Self {
        Self::List(texts.iter().map(|text| Node::default(Self::from(*text))).collect())
    }
}

impl<const N: usize> From<[&str; N]> for Kind {
    fn from(texts: [&str; N]) -> Self {
        Self::from(texts.as_slice())
    }
}

/// A string as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// What a date and time is called; keys that want a string take one.
const DATE: &str = "a date";

type At<'a> = &'a dyn Fn(Range<usize>) -> Place;

fn from_table(table: &DeTable<'_>, place: Place, at: At<'_>) -> Node {
    let mut entries = BTreeMap::new();
    for (key, value) in table {
        let value_at = at(value.span());
        let entry = Entry { place: at(key.span()), value: from_value(value.get_ref(), value_at, at) };
        entries.insert(key.get_ref().to_string(), entry);
    }
    Node { place, kind: Kind::Table(entries), raw: None }
}

fn from_value(value: &DeValue<'_>, place: Place, at: At<'_>) -> Node {
    let kind = match value {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Integer(number),
            Err(_) => Kind::Other { what: "an integer beyond all bounds", text: number.to_string() },
        },
        DeValue::Float(number) => Kind::Other { what: "a float", text: number.to_string() },
        DeValue::Boolean(yes) => Kind::Boolean(*yes),
        DeValue::Datetime(date) => Kind::Other { what: DATE, text: date.to_string() },
        DeValue::Array(items) => {
            Kind::List(items.iter().map(|item| from_value(item.get_ref(), at(item.span()), at)).collect())
        }
        DeValue::Table(table) => return from_table(table, place, at),
    };
    Node { place, kind, raw: None }
}

/// Line and column of a byte of `text`.
fn position(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place::File {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}
