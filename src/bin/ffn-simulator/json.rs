//! JSON that keeps every number exactly as it was written.
//!
//! A price of `1.10` must come back as `1.10`. Nothing here goes through a binary float: a number is
//! the text of its literal.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Nesting deeper than this is refused, so that no body can exhaust the stack.
const MAX_DEPTH: usize = 48;

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The literal as it was written.
    Num(String),
    Str(String),
    Arr(Vec<Json>),
    Obj(Vec<(String, Json)>),
}

/// The members of an object, values still unread.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.retain(|(known, _)| *known != name);
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        source.deserialize_map(Reader).map(Members)
    }
}

impl Json {
    /// Reads a whole document.
    pub(crate) fn parse(text: &str) -> Result<Json, String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|e| e.to_string())?;
        Self::build(raw.get(), 0)
    }

    fn build(text: &str, depth: usize) -> Result<Json, String> {
        if depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let text = text.trim();
        let broken = |e: serde_json::Error| e.to_string();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: Members<'_> = serde_json::from_str(text).map_err(broken)?;
                let mut out = Vec::with_capacity(members.0.len());
                for (name, raw) in members.0 {
                    out.push((name, Self::build(raw.get(), depth + 1)?));
                }
                Json::Obj(out)
            }
            Some(b'[') => {
                let values: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
                let mut out = Vec::with_capacity(values.len());
                for raw in values {
                    out.push(Self::build(raw.get(), depth + 1)?);
                }
                Json::Arr(out)
            }
            Some(b'"') => Json::Str(serde_json::from_str(text).map_err(broken)?),
            Some(b'n') => Json::Null,
            Some(b't') => Json::Bool(true),
            Some(b'f') => Json::Bool(false),
            _ => Json::Num(text.to_owned()),
        })
    }

    /// The member of an object; `None` for a missing one and for anything that is no object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Obj(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a string member.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Json::Str(s)) => Some(s),
            _ => None,
        }
    }

    /// Sets or replaces a member of an object.
    pub(crate) fn set(&mut self, name: &str, value: Json) {
        if let Json::Obj(members) = self {
            match members.iter_mut().find(|(n, _)| n == name) {
                Some(slot) => slot.1 = value,
                None => members.push((name.to_owned(), value)),
            }
        }
    }

    /// Removes a member of an object.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Json::Obj(members) = self {
            members.retain(|(n, _)| n != name);
        }
    }

    /// Follows `a/b/c` through objects.
    pub(crate) fn walk(&self, path: &str) -> Option<&Json> {
        path.split('/').try_fold(self, |value, name| value.get(name))
    }

    /// Appends the compact text of the value.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Num(literal) => out.push_str(literal),
            Json::Str(text) => write_text(text, out),
            Json::Arr(values) => {
                out.push('[');
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Json::Obj(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Json::Str(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Json::Str(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(values: Vec<Json>) -> Self {
        Json::Arr(values)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Json::Null, Into::into)
    }
}

/// A whole number.
pub(crate) fn int(value: impl fmt::Display) -> Json {
    Json::Num(value.to_string())
}

/// An object without its null members, because the API leaves those out.
pub(crate) fn obj<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Obj(members.into_iter().filter(|(_, v)| *v != Json::Null).map(|(n, v)| (n.to_owned(), v)).collect())
}

/// Appends a quoted string.
pub(crate) fn write_text(text: &str, out: &mut String) {
    // Writing a string can not fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Replaces or (`None`) removes top-level members by literal text, as it stands.
pub(crate) fn overlay(row: &mut Json, members: &[(String, Option<String>)]) {
    for (name, value) in members {
        match value {
            Some(literal) => {
                // The text of a number is written unchanged, so it can carry any literal.
                let exact = Json::parse(literal).ok().filter(|value| value.to_string() == *literal);
                row.set(name, exact.unwrap_or_else(|| Json::Num(literal.clone())));
            }
            None => row.remove(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"a":0.1,"b":1.10,"c":12345678901234.5678,"d":[1e2,-0.0],"e":null}"#;
        assert_eq!(Json::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn the_last_of_two_equal_names_wins() {
        assert_eq!(Json::parse(r#"{"a":1,"a":2}"#).unwrap().to_string(), r#"{"a":2}"#);
    }

    #[test]
    fn deep_nesting_and_garbage_are_refused() {
        assert!(Json::parse(&"[".repeat(200_000)).is_err());
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(Json::parse(&deep).is_err());
        assert!(Json::parse("{\"a\":01}").is_err());
        assert!(Json::parse("\"\\ud800\"").is_err());
    }

    #[test]
    fn overlays_replace_add_and_remove() {
        let mut row = Json::parse(r#"{"a":"gone","b":"replaced","c":"stays"}"#).unwrap();
        let members = [("a", None), ("b", Some("1.500")), ("z", Some("{ }"))];
        overlay(&mut row, &members.map(|(n, v)| (n.to_owned(), v.map(str::to_owned))));
        assert_eq!(row.to_string(), r#"{"b":1.500,"c":"stays","z":{ }}"#);
    }
}
