//! Whatever FFN answers is read or is an error: pages of feeds, lists, refusals.

use chrono::Utc;
use http::StatusCode;
use serde_json::value::RawValue;

use super::refusal::Refusal;
use super::{Endpoint, feeds, lists, lookup};
use crate::domain::listing::{Cursor, Row};
use crate::fuzz;

/// The answers that are of such a kind, or not.
fn seeds(of: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    fuzz::answers().into_iter().filter(|answer| of(&answer.kind)).map(|answer| answer.body.into_bytes()).collect()
}

fn is_json(item: &RawValue) {
    assert!(serde_json::from_str::<&RawValue>(item.get()).is_ok(), "{item}");
}

#[test]
fn whatever_comes_as_a_page_of_a_feed_is_a_page_or_an_error() {
    fuzz::run("pages of feeds", &seeds(|kind| kind != "list" && kind != "refusal"), |input| {
        match feeds::parse(&input.bytes) {
            Ok(page) => {
                page.items.iter().for_each(|item| is_json(item));
                // Nothing is lost, nothing comes twice.
                let held: usize = page.items.iter().map(|item| item.get().len()).sum();
                assert!(held + page.odd.iter().map(Vec::len).sum::<usize>() <= input.bytes.len());
                for odd in &page.odd {
                    assert!(
                        std::str::from_utf8(odd).map_or(true, |text| serde_json::from_str::<&RawValue>(text).is_err())
                    );
                }
                true
            }
            Err(reason) => {
                assert!(!input.is_whole && (10..100).contains(&reason.len()), "{reason}");
                false
            }
        }
    });
}

#[test]
fn whatever_comes_as_a_list_is_a_list_or_none() {
    let list = lists::List {
        endpoint: Endpoint { path: "outbounds", operation: "outbounds.list" },
        id: "outboundId",
        filter: None,
    };
    fuzz::run("lists", &seeds(|kind| kind == "list"), |input| {
        let Some((rows, _)) = lookup::list(&input.bytes) else {
            assert!(!input.is_whole);
            return false;
        };
        rows.iter().for_each(|row| is_json(row));
        // What joins two pages is in the second, or before all of it.
        let ids = lookup::list(&input.other).into_iter().flat_map(|(rows, _)| rows);
        let last = ids.last().and_then(|row| {
            let row: serde_json::Value = serde_json::from_str(row.get()).ok()?;
            Some(Row { id: row.get("outboundId")?.as_str()?.to_owned(), created_at: Some(Utc::now()) })
        });
        let joined = lists::joins(&list, &rows, &Cursor { rows: 3, last, restarts: 0 });
        assert!(joined.is_none_or(|read| read <= rows.len()));
        true
    });
}

#[test]
fn whatever_comes_as_a_refusal_has_a_short_text_and_a_consequence() {
    fuzz::run("refusals", &seeds(|kind| kind == "refusal"), |input| {
        let status = StatusCode::from_u16(100 + u16::try_from(input.dice[0] % 900).unwrap()).unwrap();
        let refusal = Refusal::read("outbound.create", status, None, &input.bytes);
        // It is told from its code or its status, whatever the rest is.
        let _ = (refusal.disposition(), refusal.is_conflict(), refusal.is_setup());
        assert!(refusal.raw.as_ref().is_none_or(|raw| raw.len() <= 3 * 2048));
        assert!(refusal.to_string().starts_with("FFN answered outbound.create with status "));
        let is_told = refusal.code.is_some() || !refusal.messages.is_empty();
        assert!(is_told || refusal.raw.is_some() || input.bytes.is_empty(), "what FFN said is lost");
        is_told
    });
}
