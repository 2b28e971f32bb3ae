//! What `returns/changes` tells of a return, change by change (contract 12).

use super::*;

/// One change of a return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnChange {
    /// FFN's id of the return.
    pub return_id: String,
    /// When it changed.
    pub at: DateTime<Utc>,
    /// The state that it reached, and the one before, if that changed.
    pub state: Option<(String, Option<String>)>,
    /// The names of the top-level members that changed.
    pub changed: Vec<String>,
}

/// Reads an item of `returns/changes`.
///
/// # Errors
/// It is no object, or says neither which return nor when.
pub fn read_return_change(item: &RawValue) -> Result<ReturnChange, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Change {
        #[serde(default, deserialize_with = "lenient")]
        id: Option<String>,
        #[serde(default, deserialize_with = "lenient_time")]
        updated_at: Option<DateTime<Utc>>,
        #[serde(default, deserialize_with = "lenient")]
        changes: Option<BTreeMap<String, Box<RawValue>>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Leaf {
        #[serde(default, deserialize_with = "lenient")]
        value: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        previous_value: Option<String>,
    }
    let change: Change = view(item)?;
    let changes = change.changes.unwrap_or_default();
    let leaf = |name: &str| changes.get(name).and_then(|leaf| serde_json::from_str::<Leaf>(leaf.get()).ok());
    let return_id = change.id.or_else(|| leaf("returnId")?.value).filter(|id| !id.is_empty());
    let state = leaf("state").and_then(|Leaf { value, previous_value }| Some((value?, previous_value)));
    Ok(ReturnChange {
        return_id: return_id.ok_or_else(|| Odd("its id is missing, empty or no text".to_owned()))?,
        at: change.updated_at.ok_or_else(|| Odd("its updatedAt is missing or no time".to_owned()))?,
        state,
        changed: changes.into_iter().filter(|(_, value)| value.get() != "null").map(|(name, _)| name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ReturnChange, Odd> {
        read_return_change(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn a_change_names_what_changed_and_the_state() {
        let change = read(
            r#"{"id":"WARE05R1","updatedAt":"2026-01-05T08:00:00.500+00:00","modificationState":"Modified",
                "modifiedFrom":"WARE","changes":{"state":{"value":"Arrived","previousValue":"Announced"},
                "items":[{"id":"i"}],"contact":null}}"#,
        );
        let at = parse_time("2026-01-05T08:00:00.5Z").unwrap();
        let state = Some(("Arrived".to_owned(), Some("Announced".to_owned())));
        let changed = vec!["items".to_owned(), "state".to_owned()];
        assert_eq!(change, Ok(ReturnChange { return_id: "WARE05R1".into(), at, state, changed }));
    }

    #[test]
    fn odd_changes_are_read_as_far_as_possible() {
        let change = read(r#"{"updatedAt":"2026-01-05T08:00:00Z","changes":{"returnId":{"value":"R"},"state":7}}"#);
        assert_eq!(change.unwrap().state, None);
        for odd in ["null", "7", "{}", r#"{"id":"R"}"#, r#"{"updatedAt":"2026-01-05T08:00:00Z"}"#] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }
}
