//! The flat JSON object of a command: members in their order, values byte for byte.
//!
//! Commands come in as one object that holds FFN's body fields beside path and query parameters.
//! [`super::operations`] takes it apart. The guarantee: no value is read as a number and written again, so
//! `1.10` stays `1.10`.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a JSON object, each name once.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// The value of a member, `None` if it is absent or null: FFN treats both alike (contract 4).
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = self.0.iter().find(|(member, _)| member == name)?;
        (value.get() != "null").then_some(&**value)
    }

    /// A member that is a text or a number, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        scalar(self.get(name)?)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// The same object with this member: in its place if it is there, else at the end.
    #[must_use]
    pub fn with(&self, name: &str, value: Box<RawValue>) -> Self {
        let mut fields = self.clone();
        match fields.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => *old = value,
            None => fields.push(name, value),
        }
        fields
    }

    /// Only these members.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect())
    }

    /// Adds a member at the end.
    pub(super) fn push(&mut self, name: &str, value: Box<RawValue>) {
        self.0.push((name.to_owned(), value));
    }
}

/// A text without its quotes, a number or boolean as it is written; `None` for anything else.
pub(super) fn scalar(value: &RawValue) -> Option<String> {
    match serde_json::from_str(value.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(value.get().to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                let mut names = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format_args!("{name} is given twice")));
                    }
                    fields.0.push((name, value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_number_of_members_is_read_in_linear_time() {
        // A look at all members for each of them would take minutes here.
        let members: Vec<String> = (0..400_000).map(|number| format!("\"{number}\":1")).collect();
        let fields: Fields = serde_json::from_str(&format!("{{{}}}", members.join(","))).unwrap();
        assert_eq!(fields.iter().count(), 400_000);
    }

    #[test]
    fn an_object_is_written_as_it_was_read() {
        let text = r#"{"z":1.10,"a":12345678901234.5678,"n":null,"o":{"b": 0.1}}"#;
        let fields: Fields = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&fields).unwrap(), text);
        assert_eq!(fields.text("z").as_deref(), Some("1.10"));
        assert!(fields.get("n").is_none() && fields.text("o").is_none());
    }

    #[test]
    fn what_is_no_object_or_names_a_member_twice_is_refused() {
        for text in ["[]", "1", "null", r#"{"a":1,"a":2}"#] {
            assert!(serde_json::from_str::<Fields>(text).is_err(), "{text}");
        }
    }
}
