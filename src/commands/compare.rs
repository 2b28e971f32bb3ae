//! Whether an object that FFN holds is the one a command asked for (contract 10.3, step 3).
//!
//! The table of operations says which members decide. What FFN adds or fills in by itself makes no difference; a
//! member the command gives and FFN shows otherwise does. Numbers are compared as decimals, times as instants to the
//! millisecond, which is what FFN shows of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ffn::fields::Fields;
use crate::ffn::operations::{Same, entries};

/// Longer lists are compared in their order only: to look through all entries for each would take minutes.
const SEARCHED: usize = 500;

/// A member that differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path in the command, for example `items[1].quantity`.
    pub path: String,
    /// What FFN holds, as JSON, shortened.
    pub found: String,
}

/// Compares what FFN holds with what was asked, as far as `same` says.
pub fn differences(same: &[Same], found: &Fields, asked: &Fields) -> Vec<Difference> {
    let mut differences = Vec::new();
    for one in same {
        match *one {
            Same::Member(name) => {
                if let Some(value) = asked.get(name) {
                    compare(name, value, found.get(name), &mut differences);
                }
            }
            Same::Given => {
                let is_left = |name: &str| same.iter().all(|same| same.member() != Some(name));
                let rest = asked.iter().filter(|(name, _)| is_left(name));
                compare_shown("", rest, found, &mut differences);
            }
            Same::Rows { member, id, of, more } => {
                compare_rows(Rows { member, id, of, more }, found, asked, &mut differences);
            }
            Same::Size { data, size } => {
                let bytes = asked.text(data).map(|data| bytes_in(&data).to_string());
                let held = found.text(size);
                if bytes.is_some() && held.is_some() && bytes != held {
                    differences.push(difference(data, found.get(size)));
                }
            }
        }
    }
    differences
}

/// Whether what FFN holds may be what was asked for: the members that [`Same`] names agree. What else is given and
/// shown does not count, as what is held to be unlike is sent again.
pub fn may_be(same: &[Same], found: &Fields, asked: &Fields) -> bool {
    let named: Vec<Same> = same.iter().copied().filter(|same| same.member().is_some()).collect();
    differences(&named, found, asked).is_empty()
}

/// Whether `found` shows every member of `asked`.
pub fn shows_all(found: &Fields, asked: &Fields) -> bool {
    asked.iter().all(|(name, value)| covers(value, found.get(name)))
}

/// How many bytes a base64 text stands for.
fn bytes_in(base64: &str) -> usize {
    let characters = base64.trim_end_matches('=').chars().filter(|c| !c.is_whitespace()).count();
    characters * 3 / 4
}

/// Compares these members as far as FFN shows them.
fn compare_shown<'a>(
    path: &str,
    asked: impl Iterator<Item = (&'a str, &'a RawValue)>,
    held: &Fields,
    differences: &mut Vec<Difference>,
) {
    for (name, value) in asked {
        if let Some(held) = held.get(name) {
            compare(&join(path, name), value, Some(held), differences);
        }
    }
}

/// The members of an address or the like one by one, so that the difference is named. Null gives nothing.
fn compare(path: &str, asked: &RawValue, held: Option<&RawValue>, differences: &mut Vec<Difference>) {
    if asked.get() == "null" {
        return;
    }
    if let (Ok(asked), Some(Ok(held))) = (read::<Fields>(asked), held.map(read::<Fields>)) {
        for (name, value) in asked.iter() {
            compare(&join(path, name), value, held.get(name), differences);
        }
    } else if let (Ok(asked), Some(Ok(held))) = (read::<Vec<_>>(asked), held.map(read::<Vec<_>>)) {
        compare_list(path, &asked, held, differences);
    } else if !covers(asked, held) {
        differences.push(difference(path, held));
    }
}

/// The entries of a list, in any order: each has one of FFN's of its own.
fn compare_list(path: &str, asked: &[Box<RawValue>], held: Vec<Box<RawValue>>, differences: &mut Vec<Difference>) {
    let mut unlike = Vec::new();
    let places = matching(asked.len(), held.len(), |index, at| {
        let mut differences = Vec::new();
        if let (Some(entry), Some(other)) = (asked.get(index), held.get(at)) {
            compare_entry("", entry, other, &mut differences);
        }
        differences.is_empty()
    });
    let mut held: Vec<Option<Box<RawValue>>> = held.into_iter().map(Some).collect();
    for (index, (entry, place)) in asked.iter().zip(places).enumerate() {
        match place.and_then(|at| held.get_mut(at)) {
            Some(place) => *place = None,
            None => unlike.push((format!("{path}[{index}]"), index, entry)),
        }
    }
    for (path, index, entry) in unlike {
        let at =
            if matches!(held.get(index), Some(Some(_))) { Some(index) } else { held.iter().position(Option::is_some) };
        match at.and_then(|at| held.get_mut(at)?.take()) {
            Some(other) => compare_entry(&path, entry, &other, differences),
            None => differences.push(difference(&path, None)),
        }
    }
    if let Some(more) = held.iter().flatten().next() {
        differences.push(difference(path, Some(more)));
    }
}

/// For each entry the place of one that is like it, if there is one, and no place twice. An entry may be like several:
/// who takes which is found by augmenting paths. Of a long list only an entry's own place counts.
fn matching(entries: usize, places: usize, is_like: impl Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    let others = 0..if places > SEARCHED { 0 } else { places };
    let candidates = |entry: usize| {
        let others = others.clone().filter(move |at| *at != entry);
        (entry < places).then_some(entry).into_iter().chain(others).filter(|at| is_like(entry, *at)).collect()
    };
    let likes: Vec<Vec<usize>> = (0..entries).map(candidates).collect();
    let mut takers = vec![None; places];
    for entry in 0..entries {
        take_place(entry, &likes, &mut takers, &mut HashSet::new());
    }
    let taken = |entry| takers.iter().position(|taker| *taker == Some(entry));
    (0..entries).map(taken).collect()
}

/// Gives an entry a place, moving those that have one where that helps.
fn take_place(entry: usize, likes: &[Vec<usize>], takers: &mut [Option<usize>], seen: &mut HashSet<usize>) -> bool {
    for at in likes.get(entry).into_iter().flatten() {
        if !seen.insert(*at) {
            continue;
        }
        let taker = takers.get(*at).copied().flatten();
        if taker.is_none_or(|other| take_place(other, likes, takers, seen))
            && let Some(place) = takers.get_mut(*at)
        {
            *place = Some(entry);
            return true;
        }
    }
    false
}

/// An entry of a list as far as FFN shows it: of a product by its number it shows its own id.
fn compare_entry(path: &str, asked: &RawValue, held: &RawValue, differences: &mut Vec<Difference>) {
    match (read::<Fields>(asked), read::<Fields>(held)) {
        (Ok(asked), Ok(held)) => compare_shown(path, asked.iter(), &held, differences),
        _ => compare(path, asked, Some(held), differences),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str(value.get())
}

struct Rows {
    member: &'static str,
    id: Option<&'static str>,
    of: &'static [&'static str],
    more: bool,
}

fn compare_rows(rows: Rows, found: &Fields, asked: &Fields, differences: &mut Vec<Difference>) {
    let asked = entries(asked, rows.member).unwrap_or_default();
    let held = entries(found, rows.member).unwrap_or_default();
    // Where each id stands, the first place last: to look through all rows for each would take minutes for some
    // ten thousand.
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, row) in held.iter().enumerate().rev() {
        if let Some(id) = rows.id.and_then(|id| row.text(id)) {
            places.entry(id).or_default().push(at);
        }
    }
    let has_id = |row: &Fields| rows.id.is_some_and(|id| row.text(id).is_some());
    let likes = matching(asked.len(), held.len(), |index, at| match (asked.get(index), held.get(at)) {
        (Some(row), Some(other)) => !has_id(row) && unequal(rows.of, other, row).next().is_none(),
        _ => false,
    });
    // What a row was found for is no other's.
    let mut held: Vec<Option<Fields>> = held.into_iter().map(Some).collect();
    let name = rows.member;
    for (index, (row, like)) in asked.iter().zip(likes).enumerate() {
        let is_free = |at: &usize| held.get(*at).is_some_and(Option::is_some);
        let at = match rows.id.and_then(|id| row.text(id)) {
            Some(id) => places.get_mut(&id).and_then(|places| std::iter::from_fn(|| places.pop()).find(is_free)),
            None => like,
        };
        let Some(other) = at.and_then(|at| held.get_mut(at)?.take()) else {
            differences.push(difference(&format!("{name}[{index}]"), None));
            continue;
        };
        for member in unequal(rows.of, &other, row) {
            differences.push(difference(&format!("{name}[{index}].{member}"), other.get(member)));
        }
    }
    // Lines that the server made of a bundle belong to a line that was asked for (contract 10.2).
    let extra = held.iter().flatten().find(|row| row.get("billOfMaterialsId").is_none());
    if let Some(row) = extra.filter(|_| !rows.more) {
        let named = rows.id.and_then(|id| row.text(id)).unwrap_or_default();
        let found = serde_json::Value::String(format!("one more, {named}")).to_string();
        differences.push(Difference { path: name.to_owned(), found: shortened(&found) });
    }
}

/// The members that a row gives and the other one shows otherwise.
fn unequal(of: &[&'static str], found: &Fields, asked: &Fields) -> impl Iterator<Item = &'static str> {
    of.iter().filter_map(move |member| {
        let name = member.strip_suffix('?').unwrap_or(member);
        let (value, held) = (asked.get(name)?, found.get(name));
        let is_hidden = held.is_none() && member.ends_with('?');
        (!is_hidden && !covers(value, held)).then_some(name)
    })
}

/// Whether what FFN holds shows this value, whatever it has beside it.
fn covers(asked: &RawValue, found: Option<&RawValue>) -> bool {
    // FFN leaves out what is empty (contract 4).
    let Some(found) = found.map(RawValue::get) else { return is_empty(asked) };
    let asked = asked.get();
    match asked.as_bytes().first() {
        Some(b'{') => {
            type Members = BTreeMap<String, Box<RawValue>>;
            let (Ok(asked), Ok(found)) =
                (serde_json::from_str::<Members>(asked), serde_json::from_str::<Members>(found))
            else {
                return false;
            };
            asked.iter().all(|(name, value)| covers(value, found.get(name).map(|found| &**found)))
        }
        Some(b'[') => {
            type Entries = Vec<Box<RawValue>>;
            let (Ok(asked), Ok(found)) =
                (serde_json::from_str::<Entries>(asked), serde_json::from_str::<Entries>(found))
            else {
                return false;
            };
            asked.len() == found.len() && asked.iter().zip(&found).all(|(asked, found)| covers(asked, Some(found)))
        }
        Some(b'"') => {
            let (Ok(asked), Ok(found)) = (serde_json::from_str::<String>(asked), serde_json::from_str::<String>(found))
            else {
                return false;
            };
            asked == found || instant(&asked).zip(instant(&found)).is_some_and(|(one, other)| is_same_time(one, other))
        }
        Some(b'-' | b'0'..=b'9') => {
            found.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && canonical(asked) == canonical(found)
        }
        _ => asked == found,
    }
}

fn is_empty(value: &RawValue) -> bool {
    read::<Value>(value).is_ok_and(|value| says_nothing(&value))
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_same_time(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    (one - other).abs() < TimeDelta::milliseconds(1)
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

fn difference(path: &str, found: Option<&RawValue>) -> Difference {
    Difference { path: path.to_owned(), found: shortened(found.map_or("null", RawValue::get)) }
}

fn shortened(json: &str) -> String {
    json.chars().take(80).collect()
}

/// A JSON number as sign, digits and exponent without superfluous zeros: `2`, `2.0` and `20e-1` are the same.
fn canonical(number: &str) -> (bool, String, i64) {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let mut exponent: i64 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(0));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let stripped = digits.trim_end_matches('0');
    if stripped.is_empty() {
        return (false, String::new(), 0);
    }
    let zeros = i64::try_from(digits.len() - stripped.len()).unwrap_or(0);
    (negative, stripped.to_owned(), exponent.saturating_add(zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"{"merchantOutboundNumber":"SO-1","warehouseId":"W","shippingType":"Standard",
        "shippingAddress":{"lastname":"Beispiel","city":"Musterstadt"},
        "items":[{"outboundItemId":"1","merchantSku":"MUG","quantity":2},{"outboundItemId":"2","jfsku":"J","quantity":0.1}]}"#;

    const SAME: &[Same] = &[
        Same::Member("warehouseId"),
        Same::Member("shippingAddress"),
        Same::Rows {
            member: "items",
            id: Some("outboundItemId"),
            of: &["jfsku", "merchantSku", "quantity"],
            more: false,
        },
    ];

    fn fields(text: &str) -> Fields {
        serde_json::from_str(text).unwrap()
    }

    fn compare(found: &str) -> Vec<Difference> {
        differences(SAME, &fields(found), &fields(ASKED))
    }

    #[test]
    fn what_ffn_fills_in_makes_no_difference() {
        let found = r#"{"outboundId":"X","warehouseId":"W","shippingMethodId":"M","status":"Shipped",
            "shippingAddress":{"lastname":"Beispiel","city":"Musterstadt","country":"DE"},
            "items":[{"outboundItemId":"2","jfsku":"J","quantity":0.10},
                     {"outboundItemId":"1","jfsku":"K","merchantSku":"MUG","quantity":2.0,"quantityOpen":0},
                     {"outboundItemId":"1-a","billOfMaterialsId":"1","quantity":4}]}"#;
        assert_eq!(compare(found), []);
    }

    #[test]
    fn every_difference_is_named() {
        let found = r#"{"warehouseId":"V","shippingAddress":{"lastname":"Other","city":"Musterstadt"},
            "items":[{"outboundItemId":"1","merchantSku":"CUP","quantity":3},{"outboundItemId":"9","quantity":1}]}"#;
        let paths: Vec<String> = compare(found).into_iter().map(|difference| difference.path).collect();
        assert_eq!(
            paths,
            [
                "warehouseId",
                "shippingAddress.lastname",
                "items[0].merchantSku",
                "items[0].quantity",
                "items[1]",
                "items"
            ]
        );
    }

    #[test]
    fn what_is_told_of_ffns_values_is_short() {
        let row = format!(r#"{{"outboundItemId":"{}","quantity":1}}"#, "9".repeat(1_000));
        let found = format!(r#"{{"warehouseId":"{}","items":[{row}]}}"#, "W".repeat(1_000));
        let told = compare(&found);
        assert_eq!(told.last().unwrap().path, "items");
        assert!(told.iter().all(|difference| difference.found.chars().count() <= 80), "{told:?}");
    }

    #[test]
    fn numbers_are_compared_as_decimals() {
        for (one, other) in [("2", "2.0"), ("20e-1", "2"), ("0.10", "0.1"), ("-0", "0"), ("1e2", "100")] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
        assert_ne!(canonical("12345678901234.5678"), canonical("12345678901234.5679"));
        assert_ne!(canonical("1"), canonical("-1"));
        assert_ne!(canonical("1"), canonical("10"));
    }

    #[test]
    fn rows_without_an_id_are_matched_by_what_they_hold() {
        let same =
            &[Same::Rows { member: "items", id: None, of: &["jfsku?", "merchantSku?", "quantity"], more: false }];
        let asked = fields(r#"{"items":[{"merchantSku":"A","quantity":1},{"jfsku":"J","quantity":2.0}]}"#);
        let compare = |found: &str| -> Vec<String> {
            differences(same, &fields(found), &asked).into_iter().map(|difference| difference.path).collect()
        };
        assert!(compare(r#"{"items":[{"jfsku":"J","quantity":2},{"jfsku":"K","quantity":1}]}"#).is_empty());
        assert_eq!(compare(r#"{"items":[{"jfsku":"K","quantity":1}]}"#), ["items[1]"]);
        let found = r#"{"items":[{"jfsku":"J","quantity":2},{"jfsku":"K","quantity":1},{"jfsku":"L","quantity":9}]}"#;
        assert_eq!(compare(found), ["items"]);
    }

    #[test]
    fn whatever_else_is_given_agrees_as_far_as_it_is_shown() {
        let same = &[Same::Member("name"), Same::Size { data: "data", size: "size" }, Same::Given];
        let asked = fields(
            r#"{"name":"Mug","data":"YWJj","note":"n","token":"secret","weight":0.350,"condition":null,
                "identifier":{"ean":"1","mpn":{},"asin":null},"attributes":[{"key":"a","value":"1"},{"key":"b","value":"2"}],
                "parts":[{"merchantSku":"A","quantity":2.0}],"at":"2026-01-05T12:00:00.1234567Z","serials":["x","y"]}"#,
        );
        let compare = |found: &str| -> Vec<String> {
            differences(same, &fields(found), &asked).into_iter().map(|difference| difference.path).collect()
        };
        // In another order, to the millisecond, with what FFN fills in and without what it does not show.
        assert!(
            compare(
                r#"{"name":"Mug","data":"?","weight":0.35,"condition":"Default","identifier":{"ean":"1","upc":"2"},
                "attributes":[{"key":"b","value":"2","attributeType":"String"},{"key":"a","value":"1"}],
                "parts":[{"jfsku":"J","quantity":2}],"at":"2026-01-05T13:00:00.123+01:00","serials":["y","x"]}"#
            )
            .is_empty()
        );
        assert_eq!(
            compare(
                r#"{"note":"m","weight":0.351,"identifier":{"upc":"2"},"attributes":[{"key":"b","value":"2"},
                {"key":"a","value":"3"}],"parts":[],"at":"2026-01-05T12:00:00.125Z","serials":["x","y","z"]}"#
            ),
            ["name", "note", "weight", "identifier.ean", "attributes[0].value", "parts[0]", "at", "serials"]
        );
        assert!(may_be(same, &fields(r#"{"name":"Mug","note":"m"}"#), &asked));
        assert!(!may_be(same, &fields(r#"{"name":"Cup"}"#), &asked));
    }

    #[test]
    fn an_entry_that_is_like_several_leaves_each_other_its_own() {
        // Of a product by the merchant's number FFN shows its own id: the first is like both.
        let asked = fields(r#"{"parts":[{"merchantSku":"RED","quantity":1},{"jfsku":"C","quantity":1}]}"#);
        let shown = |rows: &str| differences(&[Same::Given], &fields(&format!(r#"{{"parts":[{rows}]}}"#)), &asked);
        let (one, other) = (r#"{"jfsku":"C","quantity":1}"#, r#"{"jfsku":"D","quantity":1}"#);
        assert_eq!(shown(&format!("{one},{other}")), []);
        assert_eq!(shown(&format!("{other},{one}")), []);
        assert_eq!(shown(&format!("{other},{other}")).len(), 1);
        let rows =
            &[Same::Rows { member: "parts", id: None, of: &["merchantSku?", "jfsku?", "quantity"], more: false }];
        assert_eq!(differences(rows, &fields(&format!(r#"{{"parts":[{one},{other}]}}"#)), &asked), []);
        let asked = fields(r#"{"identifier":{"mpn":{"manufacturer":"","partNumber":null}}}"#);
        assert_eq!(differences(&[Same::Given], &fields(r#"{"identifier":{}}"#), &asked), []);
    }

    #[test]
    fn sizes_are_compared() {
        let size = &[Same::Size { data: "data", size: "size" }];
        for (data, held, equal) in [("aGVsbG8=", "5", true), ("aGVsbG8=", "6", false), ("YWJj", "3", true)] {
            let (found, asked) = (format!(r#"{{"size":{held}}}"#), format!(r#"{{"data":"{data}"}}"#));
            assert_eq!(differences(size, &fields(&found), &fields(&asked)).is_empty(), equal, "{data} {held}");
        }
    }

    #[test]
    fn an_object_shows_all_that_was_asked_for_whatever_else_it_has() {
        let found = fields(
            r#"{"note":"x","weight":1.50,"at":"2026-01-05T08:00:00.000+00:00","address":{"city":"B","zip":"1"}}"#,
        );
        let shown = |asked: &str| shows_all(&found, &fields(asked));
        assert!(shown(
            r#"{"note":"x","weight":1.5,"at":"2026-01-05T09:00:00+01:00","address":{"city":"B"},"gone":null}"#
        ));
        for asked in [r#"{"note":"y"}"#, r#"{"address":{"city":"C"}}"#, r#"{"other":1}"#, r#"{"weight":"1.5"}"#] {
            assert!(!shown(asked), "{asked}");
        }
    }
}
