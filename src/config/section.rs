//! Reading a table: every problem is noted and reading goes on, so that one run tells them all. A key is
//! named once, where it is read; what nobody asked for is an unknown key.

use super::error::Place;
use super::overlay::variable_for;
use super::suggest::did_you_mean;
use super::tree::{Kind, Node};
use super::value::Value;

/// A table that is being read.
pub(super) struct Section<'a> {
    pub(super) value: Value<'a>,
    known: Vec<&'static str>,
    /// Whether its keys are lines of the effective configuration.
    effective: bool,
}

impl<'a> Section<'a> {
    pub(super) fn new(value: Value<'a>) -> Self {
        Self { value, known: Vec::new(), effective: false }
    }

    /// Begins a part of the effective configuration.
    fn headed(&mut self, header: &str) {
        self.effective = true;
        let mut effective = self.value.source.effective.borrow_mut();
        if !effective.is_empty() {
            effective.push(String::new());
        }
        effective.push(header.to_owned());
    }

    /// A key that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.take(key) {
            Some(value) => self.read(key, &value, read).map(Some),
            None => Some(None),
        }
    }

    /// A key that must be there; `example` is how it could be written.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.optional(key, read)? {
            Some(value) => Some(value),
            None => self.missing(key, example),
        }
    }

    /// A key with a default, which is written as it would be in the file and read in the same way.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: impl Into<Kind>,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        if let Some(value) = self.take(key) {
            return self.read(key, &value, read);
        }
        let node = Node::default(default.into());
        let value = Value::new(&node, self.path(key), self.value.source);
        self.read(key, &value, read)
    }

    /// A section: a table that may be left out when everything in it may.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let headed = |section: &mut Section<'_>| {
            section.headed(&format!("[{key}]"));
            read(section)
        };
        let wanted = format!("a table: write [{key}] and its keys on the lines below");
        if let Some(value) = self.take(key) {
            return value.table(&wanted, headed);
        }
        let node = Node::table(Place::Nowhere);
        Value::new(&node, self.path(key), self.value.source).table(&wanted, headed)
    }

    /// A list of tables, at least one; `example` is how one could be written.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        example: &str,
        mut read: impl FnMut(&mut Section<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let wanted = format!("a list of tables: write [[{key}]], with two brackets, and its keys on the lines below");
        let items = match self.take(key) {
            Some(value) if matches!(value.node.kind, Kind::List(_)) => value.list(&wanted)?,
            Some(value) => return value.wrong_type_unseen(&wanted),
            None => Vec::new(),
        };
        if items.is_empty() {
            return self.missing(key, example);
        }
        let item = |item: &Value<'a>| {
            item.table(&wanted, |section| {
                section.headed(&format!("[[{key}]]"));
                read(section)
            })
        };
        // All are read, so that the problems of all are told, before the first failure counts.
        let read: Vec<Option<T>> = items.iter().map(item).collect();
        read.into_iter().collect()
    }

    /// Notes that a key is missing, with what could be written.
    pub(super) fn missing<T>(&self, key: &str, example: &str) -> Option<T> {
        let path = self.path(key);
        let place = match &self.value.node.place {
            Place::Variable(_) => Place::Nowhere,
            place => place.clone(),
        };
        let message = format!("missing: write {example}, or set {}", variable_for(&path));
        self.value.source.note(place, &path, message);
        None
    }

    /// Notes a problem of the value under `key`, or of the key's absence.
    pub(super) fn refuse<T>(&self, key: &str, message: impl Into<String>) -> Option<T> {
        let place = self.value.node.get(key).map_or(&self.value.node.place, |node| &node.place);
        self.value.source.note(place.clone(), &self.path(key), message.into());
        None
    }

    /// Whether `key` was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value.node.get(key).is_some()
    }

    /// The string under `key`, if there is one; not a way to read a key.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value.node.get(key).and_then(Node::as_text)
    }

    /// The whole path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.value.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.value.path) }
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let node = self.value.node.get(key)?;
        Some(Value::new(node, self.path(key), self.value.source))
    }

    fn read<'v, T>(&self, key: &str, value: &Value<'v>, read: impl FnOnce(&Value<'v>) -> Option<T>) -> Option<T> {
        let result = read(value);
        if self.effective && result.is_some() {
            self.value.source.effective.borrow_mut().push(value.line(key));
        }
        result
    }

    /// What nobody asked for is a mistake: most often a slip of the pen.
    pub(super) fn refuse_unknown_keys(&self) {
        let Kind::Table(entries) = &self.value.node.kind else { return };
        let asked = |key: &str| self.known.contains(&key);
        for (key, entry) in entries.iter().filter(|(key, _)| !asked(key)) {
            let hint = did_you_mean(key, self.known.iter().copied());
            let stop = if hint.is_empty() { "." } else { "" };
            let message = format!("unknown key{hint}{stop} Allowed here: {}", self.known.join(", "));
            self.value.source.note(entry.place.clone(), &self.path(&key.escape_debug().to_string()), message);
        }
    }
}
