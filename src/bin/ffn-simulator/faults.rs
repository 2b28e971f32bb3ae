//! Planned faults: which request they hit, and what goes wrong then.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Match {
    method: Option<String>,
    /// Part of the path, upper and lower case alike.
    path: Option<String>,
    query: Option<String>,
    body: Option<String>,
    /// Only the n-th matching request, counted from 1.
    nth: Option<u64>,
    /// Let so many matching requests pass.
    skip: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    #[serde(rename = "match", default)]
    aim: Match,
    /// How often; 0 = until it is deleted.
    times: Option<u64>,
    kind: Box<RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KindBody {
    status: Option<u16>,
    body: Option<Box<RawValue>>,
    headers: BTreeMap<String, String>,
    after: bool,
    delay_ms: Option<u64>,
    delay_after_ms: Option<u64>,
    cut_before: bool,
    cut_after: bool,
    hang: bool,
    hang_after: bool,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Another answer, without (or `after`) the effect.
    Status {
        status: u16,
        body: String,
        json: bool,
        headers: Vec<(String, String)>,
        after: bool,
    },
    Delay(u64),
    DelayAfter(u64),
    CutBefore,
    CutAfter,
    Hang,
    HangAfter,
}

impl Kind {
    pub(crate) fn label(&self) -> String {
        match self {
            Kind::Status { status, after: false, .. } => format!("status {status}"),
            Kind::Status { status, after: true, .. } => format!("status {status} after"),
            Kind::Delay(ms) => format!("delay {ms} ms"),
            Kind::DelayAfter(ms) => format!("delay {ms} ms after"),
            Kind::CutBefore => "cut_before".to_owned(),
            Kind::CutAfter => "cut_after".to_owned(),
            Kind::Hang => "hang".to_owned(),
            Kind::HangAfter => "hang_after".to_owned(),
        }
    }
}

fn read_kind(raw: &str) -> Result<Kind, String> {
    if raw.trim_start().starts_with('"') {
        let name: String = serde_json::from_str(raw).map_err(|e| e.to_string())?;
        return match name.as_str() {
            "cut_before" => Ok(Kind::CutBefore),
            "cut_after" => Ok(Kind::CutAfter),
            "hang" => Ok(Kind::Hang),
            "hang_after" => Ok(Kind::HangAfter),
            other => Err(format!("unknown kind {other}")),
        };
    }
    let body: KindBody = serde_json::from_str(raw).map_err(|e| format!("kind: {e}"))?;
    let mut found = Vec::new();
    if let Some(status) = body.status {
        if !(200..=599).contains(&status) {
            return Err("status must be 200 to 599".to_owned());
        }
        for (name, value) in &body.headers {
            if http::HeaderName::try_from(name).is_err() || http::HeaderValue::try_from(value).is_err() {
                return Err(format!("{name} is no header"));
            }
        }
        let raw = body.body.as_ref().map(|b| b.get()).filter(|b| *b != "null");
        let (text, json) = match raw.map(|raw| (raw, serde_json::from_str::<String>(raw))) {
            None => (String::new(), false),
            Some((_, Ok(text))) => (text, false),
            Some((raw, Err(_))) => (raw.to_owned(), true),
        };
        let headers = body.headers.into_iter().collect();
        found.push(Kind::Status { status, body: text, json, headers, after: body.after });
    }
    found.extend(body.delay_ms.map(Kind::Delay));
    found.extend(body.delay_after_ms.map(Kind::DelayAfter));
    for (set, kind) in [
        (body.cut_before, Kind::CutBefore),
        (body.cut_after, Kind::CutAfter),
        (body.hang, Kind::Hang),
        (body.hang_after, Kind::HangAfter),
    ] {
        if set {
            found.push(kind);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(kind), true) => Ok(kind),
        _ => Err("kind must name exactly one fault".to_owned()),
    }
}

#[derive(Debug)]
struct Fault {
    id: u64,
    aim: Match,
    /// `None`: without end.
    left: Option<u64>,
    matched: u64,
    fired: u64,
    kind: Kind,
}

/// All planned faults, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    last: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, body: &str) -> Result<u64, String> {
        let plan: Plan = serde_json::from_str(body).map_err(|e| e.to_string())?;
        let kind = read_kind(plan.kind.get())?;
        let times = plan.times.unwrap_or(1);
        self.last += 1;
        let left = if plan.aim.nth.is_some() { Some(1) } else { (times > 0).then_some(times) };
        self.list.push(Fault { id: self.last, aim: plan.aim, left, matched: 0, fired: 0, kind });
        Ok(self.last)
    }

    /// The fault that hits this request, if any; counts it.
    pub(crate) fn take(&mut self, method: &str, path: &str, query: &str, body: &[u8]) -> Option<Kind> {
        let lower = path.to_ascii_lowercase();
        for fault in self.list.iter_mut().filter(|f| f.left != Some(0)) {
            let aim = &fault.aim;
            let hit = aim.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(method))
                && aim.path.as_ref().is_none_or(|p| lower.contains(&p.to_ascii_lowercase()))
                && aim.query.as_ref().is_none_or(|q| query.contains(q.as_str()))
                && aim.body.as_ref().is_none_or(|b| String::from_utf8_lossy(body).contains(b.as_str()));
            if !hit {
                continue;
            }
            fault.matched += 1;
            let turn = match aim.nth {
                Some(nth) => fault.matched == nth,
                None => fault.matched > aim.skip,
            };
            if turn {
                fault.fired += 1;
                fault.left = fault.left.map(|n| n - 1);
                return Some(fault.kind.clone());
            }
        }
        None
    }

    pub(crate) fn list(&self) -> Value {
        let one = |f: &Fault| {
            json!({
                "id": f.id, "kind": f.kind.label(), "left": f.left, "matched": f.matched, "fired": f.fired,
                "match": {"method": f.aim.method, "path": f.aim.path, "query": f.aim.query, "body": f.aim.body,
                    "nth": f.aim.nth, "skip": f.aim.skip},
            })
        };
        self.list.iter().map(one).collect()
    }

    /// Removes one fault or all; answers how many.
    pub(crate) fn remove(&mut self, id: Option<u64>) -> usize {
        let before = self.list.len();
        self.list.retain(|f| id.is_some_and(|id| f.id != id));
        before - self.list.len()
    }

    /// How many may still fire.
    pub(crate) fn armed(&self) -> usize {
        self.list.iter().filter(|f| f.left != Some(0)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kinds() {
        assert_eq!(read_kind("\"cut_after\""), Ok(Kind::CutAfter));
        assert_eq!(read_kind("{\"cut_before\":true}"), Ok(Kind::CutBefore));
        assert_eq!(read_kind("{\"delay_ms\":5}"), Ok(Kind::Delay(5)));
        assert!(matches!(
            read_kind(r#"{"status":429,"headers":{"Retry-After":"2"},"body":{"a":1.10}}"#),
            Ok(Kind::Status { status: 429, json: true, body, .. }) if body == r#"{"a":1.10}"#
        ));
        for bad in ["{}", "\"x\"", "{\"status\":99}", "{\"delay_ms\":1,\"hang\":true}", "{\"typo\":1}", "3"] {
            assert!(read_kind(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn skip_times_and_nth() {
        let hits = |plan: &str| {
            let mut faults = Faults::default();
            faults.add(plan).unwrap();
            (1..=6)
                .filter(|_| true)
                .map(|_| u8::from(faults.take("GET", "/api/V1/x", "", b"").is_some()))
                .collect::<Vec<_>>()
        };
        assert_eq!(hits(r#"{"kind":"hang"}"#), [1, 0, 0, 0, 0, 0]);
        assert_eq!(hits(r#"{"kind":"hang","times":2,"match":{"skip":1,"path":"/v1/"}}"#), [0, 1, 1, 0, 0, 0]);
        assert_eq!(hits(r#"{"kind":"hang","match":{"nth":3}}"#), [0, 0, 1, 0, 0, 0]);
        assert_eq!(hits(r#"{"kind":"hang","times":0}"#), [1; 6]);
        assert_eq!(hits(r#"{"kind":"hang","match":{"method":"POST"}}"#), [0; 6]);
    }
}
