//! A value that is being read: what it is, where it stands, and a way to say what is wrong with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::error::{Place, Problem};
use super::section::Section;
use super::tree::{Kind, Node};

/// What the whole reading shares.
pub(super) struct Source<'a> {
    /// The file, as it is named in messages.
    pub(super) file: &'a Path,
    /// The environment, for secrets that live there.
    pub(super) env: &'a BTreeMap<String, String>,
    /// What is wrong so far.
    pub(super) problems: RefCell<Vec<Problem>>,
    /// The effective configuration, line by line, without secrets.
    pub(super) effective: RefCell<Vec<String>>,
}

impl Source<'_> {
    pub(super) fn note(&self, place: Place, key: &str, message: String) {
        self.problems.borrow_mut().push(Problem { place, key: key.to_owned(), message });
    }
}

/// A value under its key.
pub(super) struct Value<'a> {
    pub(super) node: &'a Node,
    /// Its key with all that leads there, for example `accounts[0].feeds`.
    pub(super) path: String,
    pub(super) source: &'a Source<'a>,
    /// What stands for it in the effective configuration, and where it really came from: for secrets.
    masked: RefCell<Option<(String, Option<String>)>>,
}

impl<'a> Value<'a> {
    pub(super) fn new(node: &'a Node, path: String, source: &'a Source<'a>) -> Self {
        Self { node, path, source, masked: RefCell::default() }
    }

    /// Shows `text` instead of this value, and `origin` beside its place.
    pub(super) fn mask(&self, text: String, origin: Option<String>) {
        *self.masked.borrow_mut() = Some((text, origin));
    }

    /// Where a mask says that this value came from.
    pub(super) fn masked_origin(&self) -> Option<String> {
        self.masked.borrow().as_ref().and_then(|(_, origin)| origin.clone())
    }

    /// Its line in the effective configuration.
    pub(super) fn line(&self, key: &str) -> String {
        let place = match &self.node.place {
            Place::File { line, .. } => format!("{}:{line}", self.source.file.display()),
            Place::Variable(name) => name.clone(),
            Place::Nowhere => "default".to_owned(),
        };
        match &*self.masked.borrow() {
            Some((text, Some(origin))) => format!("{key} = {text}  # {origin} ({place})"),
            Some((text, None)) => format!("{key} = {text}  # {place}"),
            None => format!("{key} = {}  # {place}", self.node.to_toml()),
        }
    }

    /// Notes that this value is impossible, and why. Gives `None` for the reader to return.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.source.note(self.node.place.clone(), &self.path, message.into());
        None
    }

    /// The same, beginning with what was given.
    pub(super) fn refuse_given<T>(&self, why: &str) -> Option<T> {
        self.refuse(format!("{} {why}", shown(&self.node.to_toml())))
    }

    /// Notes that this value has the wrong type; `wanted` comes with an example.
    pub(super) fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        let given = match self.node.kind {
            Kind::Integer(_) | Kind::Boolean(_) | Kind::Text(_) => {
                format!("{} ({})", self.node.what(), shown(&self.node.to_toml()))
            }
            _ => self.node.what().to_owned(),
        };
        self.refuse(format!("expected {wanted}, got {given}"))
    }

    /// The same without showing what was given: for tables, whose text may hold secrets (a variable with
    /// a table in it that is not quite TOML is a string).
    pub(super) fn wrong_type_unseen<T>(&self, wanted: &str) -> Option<T> {
        let given = self.node.what();
        let hint = if self.node.raw.is_some() { " (the variable's text is no TOML value of that type)" } else { "" };
        self.refuse(format!("expected {wanted}, got {given}{hint}"))
    }

    /// A string; `wanted` says what it should be, with an example.
    pub(super) fn text(&self, wanted: &str) -> Option<&'a str> {
        self.node.as_text().or_else(|| self.wrong_type(wanted))
    }

    /// A whole number; `wanted` says which.
    pub(super) fn integer(&self, wanted: &str) -> Option<i64> {
        match self.node.kind {
            Kind::Integer(number) => Some(number),
            _ => self.wrong_type(wanted),
        }
    }

    /// The items of a list, each under its own path.
    pub(super) fn list(&self, wanted: &str) -> Option<Vec<Self>> {
        let Kind::List(items) = &self.node.kind else { return self.wrong_type(wanted) };
        let item = |(at, node)| Value::new(node, format!("{}[{at}]", self.path), self.source);
        Some(items.iter().enumerate().map(item).collect())
    }

    /// What `read` makes of the items of a list. All are read before the first failure counts.
    pub(super) fn each<T>(&self, wanted: &str, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let results: Vec<Option<T>> = self.list(wanted)?.iter().map(read).collect();
        results.into_iter().collect()
    }

    /// A table, read by `read`; afterwards every key that it did not ask for is refused.
    pub(super) fn table<T>(&self, wanted: &str, read: impl FnOnce(&mut Section<'a>) -> Option<T>) -> Option<T> {
        if !matches!(self.node.kind, Kind::Table(_)) {
            return self.wrong_type_unseen(wanted);
        }
        let mut section = Section::new(Value::new(self.node, self.path.clone(), self.source));
        let result = read(&mut section);
        section.refuse_unknown_keys();
        result
    }
}

/// What was given, as messages show it: not at length, and nothing that could hold a password.
fn shown(text: &str) -> String {
    match text {
        _ if text.contains('@') => "what was given (it holds an @ and is not shown)".to_owned(),
        _ if text.chars().count() > 80 => format!("{}…", text.chars().take(80).collect::<String>()),
        _ => text.to_owned(),
    }
}
