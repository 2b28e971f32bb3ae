//! Planned faults: which request they hit, and what goes wrong then.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::catalog::Role;

/// Which requests are meant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    method: Option<String>,
    /// Part of the path, upper and lower case alike.
    path: Option<String>,
    query: Option<String>,
    body: Option<String>,
    /// Whose token the request carries, in the header or in the form.
    role: Option<Role>,
    /// The form's member of this name.
    grant_type: Option<String>,
    /// Only the n-th matching request, counted from 1.
    nth: Option<u64>,
    /// Let so many matching requests pass.
    skip: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanBody {
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
    hang_ms: Option<u64>,
    hang_after_ms: Option<u64>,
    truncate: Option<i64>,
    cut: bool,
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
    /// The body ends early; with `cut` the connection closes there, short of the length it gave.
    Truncate {
        at: i64,
        cut: bool,
    },
    CutBefore,
    CutAfter,
    /// Without an answer: for so many milliseconds, else until the client gives up.
    Hang(Option<u64>),
    HangAfter(Option<u64>),
}

impl Kind {
    /// Whether it takes the place of the request's effect.
    pub(crate) fn is_instead(&self) -> bool {
        matches!(self, Kind::Status { after: false, .. } | Kind::CutBefore | Kind::Hang(_))
    }

    pub(crate) fn label(&self) -> String {
        match self {
            Kind::Status { status, after: false, .. } => format!("status {status}"),
            Kind::Status { status, after: true, .. } => format!("status {status} after"),
            Kind::Delay(ms) => format!("delay {ms} ms"),
            Kind::DelayAfter(ms) => format!("delay {ms} ms after"),
            Kind::Truncate { at, cut: false } => format!("truncate at {at}"),
            Kind::Truncate { at, cut: true } => format!("truncate at {at} and cut"),
            Kind::CutBefore => "cut_before".to_owned(),
            Kind::CutAfter => "cut_after".to_owned(),
            Kind::Hang(None) => "hang".to_owned(),
            Kind::HangAfter(None) => "hang_after".to_owned(),
            Kind::Hang(Some(ms)) => format!("hang {ms} ms"),
            Kind::HangAfter(Some(ms)) => format!("hang_after {ms} ms"),
        }
    }
}

fn read_kind(raw: &str) -> Result<Kind, String> {
    if raw.trim_start().starts_with('"') {
        let name: String = serde_json::from_str(raw).map_err(|e| e.to_string())?;
        return match name.as_str() {
            "cut_before" => Ok(Kind::CutBefore),
            "cut_after" => Ok(Kind::CutAfter),
            "hang" => Ok(Kind::Hang(None)),
            "hang_after" => Ok(Kind::HangAfter(None)),
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
    found.extend(body.hang_ms.map(|ms| Kind::Hang(Some(ms))));
    found.extend(body.hang_after_ms.map(|ms| Kind::HangAfter(Some(ms))));
    found.extend(body.truncate.map(|at| Kind::Truncate { at, cut: body.cut }));
    if body.cut && body.truncate.is_none() {
        return Err("cut goes with truncate only".to_owned());
    }
    if body.after && body.status.is_none() {
        return Err("after goes with status only".to_owned());
    }
    for (set, kind) in [
        (body.cut_before, Kind::CutBefore),
        (body.cut_after, Kind::CutAfter),
        (body.hang, Kind::Hang(None)),
        (body.hang_after, Kind::HangAfter(None)),
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

/// A fault as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    aim: Match,
    times: u64,
    kind: Kind,
}

impl Plan {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let plan: PlanBody = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if plan.aim.nth == Some(0) {
            return Err("nth counts from 1".to_owned());
        }
        Ok(Plan { aim: plan.aim, times: plan.times.unwrap_or(1), kind: read_kind(plan.kind.get())? })
    }
}

/// What a request shows of itself to a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) role: Option<Role>,
}

impl Match {
    /// Whether every request that looks like it is meant.
    pub(crate) fn is_plain(&self) -> bool {
        self.nth.is_none() && self.skip == 0
    }

    pub(crate) fn json(&self) -> Value {
        json!({"method": self.method, "path": self.path, "query": self.query, "body": self.body, "role": self.role,
            "grant_type": self.grant_type, "nth": self.nth, "skip": self.skip})
    }

    pub(crate) fn hits(&self, seen: Seen<'_>) -> bool {
        let grant = || url::form_urlencoded::parse(seen.body).find(|(n, _)| n == "grant_type").map(|(_, v)| v);
        let path = seen.path.to_ascii_lowercase();
        self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(seen.method))
            && self.path.as_ref().is_none_or(|p| path.contains(&p.to_ascii_lowercase()))
            && self.query.as_ref().is_none_or(|q| seen.query.contains(q.as_str()))
            && self.body.as_ref().is_none_or(|b| String::from_utf8_lossy(seen.body).contains(b.as_str()))
            && self.role.is_none_or(|r| seen.role == Some(r))
            && self.grant_type.as_ref().is_none_or(|g| grant().is_some_and(|given| given == g.as_str()))
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
    pub(crate) fn add(&mut self, plan: Plan) -> u64 {
        self.last += 1;
        let left = if plan.aim.nth.is_some() { Some(1) } else { (plan.times > 0).then_some(plan.times) };
        self.list.push(Fault { id: self.last, aim: plan.aim, left, matched: 0, fired: 0, kind: plan.kind });
        self.last
    }

    /// The fault that hits this request, if any; counts it.
    pub(crate) fn take(&mut self, seen: Seen<'_>) -> Option<Kind> {
        for fault in self.list.iter_mut().filter(|f| f.left != Some(0)) {
            let aim = &fault.aim;
            if !aim.hits(seen) {
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
                "match": f.aim.json(),
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
        assert_eq!(read_kind("{\"truncate\":-2,\"cut\":true}"), Ok(Kind::Truncate { at: -2, cut: true }));
        assert!(Plan::read(r#"{"kind":"hang","match":{"nth":0}}"#).is_err());
        assert!(Plan::read(r#"{"kind":"hang","match":{"role":"boss"}}"#).is_err());
        for bad in [
            "{\"cut\":true}",
            "{\"delay_ms\":1,\"after\":true}",
            "{}",
            "\"x\"",
            "{\"status\":99}",
            "{\"delay_ms\":1,\"hang\":true}",
            "{\"typo\":1}",
            "3",
        ] {
            assert!(read_kind(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn skip_times_and_nth() {
        let hits = |plan: &str| {
            let mut faults = Faults::default();
            faults.add(Plan::read(plan).unwrap());
            let seen = Seen { method: "GET", path: "/api/V1/x", query: "", body: b"", role: Some(Role::Merchant) };
            (1..=6).map(|_| u8::from(faults.take(seen).is_some())).collect::<Vec<_>>()
        };
        assert_eq!(hits(r#"{"kind":"hang"}"#), [1, 0, 0, 0, 0, 0]);
        assert_eq!(hits(r#"{"kind":"hang","times":2,"match":{"skip":1,"path":"/v1/"}}"#), [0, 1, 1, 0, 0, 0]);
        assert_eq!(hits(r#"{"kind":"hang","match":{"nth":3}}"#), [0, 0, 1, 0, 0, 0]);
        assert_eq!(hits(r#"{"kind":"hang","times":0}"#), [1; 6]);
        assert_eq!(hits(r#"{"kind":"hang","match":{"method":"POST"}}"#), [0; 6]);
        assert_eq!(hits(r#"{"kind":"hang","times":0,"match":{"role":"merchant"}}"#), [1; 6]);
        assert_eq!(hits(r#"{"kind":"hang","match":{"role":"fulfiller"}}"#), [0; 6]);
        assert_eq!(hits(r#"{"kind":"hang","match":{"grant_type":"refresh_token"}}"#), [0; 6]);
    }

    #[test]
    fn a_grant_type_is_read_from_the_form() {
        let hits = |body: &str| {
            let mut faults = Faults::default();
            faults
                .add(Plan::read(r#"{"kind":"hang","match":{"path":"/token","grant_type":"refresh_token"}}"#).unwrap());
            let seen = Seen { method: "POST", path: "/token", query: "", body: body.as_bytes(), role: None };
            faults.take(seen).is_some()
        };
        assert!(hits("a=b&grant_type=refresh%5Ftoken"));
        assert!(!hits("grant_type=authorization_code&x=refresh_token"));
    }
}
