//! The control API below `/_simulator/`: what tests use to look inside and to make things happen.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::catalog::Role;
use crate::chaos::Chaos;
use crate::clock;
use crate::decimal::Decimal;
use crate::drive;
use crate::faults::Plan;
use crate::json::Members;
use crate::oauth::{Grant, field};
use crate::record::{Actor, Hidden, Instead, Overlay};
use crate::reset::reset;
use crate::script;
use crate::switches::Switches;
use crate::things::{KINDS, Kind};
use crate::transitions;
use crate::warehouse::Advance;
use crate::world::World;

/// The most objects that one bulk request makes.
pub(crate) const MOST_BULK: u32 = 500_000;

/// The end of the year 9999.
pub(crate) const LAST_MS: i64 = 253_402_300_799_999;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveClock {
    advance: Option<Span>,
    set: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Span {
    Seconds(f64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    pub(crate) count: u32,
    #[serde(default = "bulk_prefix")]
    pub(crate) prefix: String,
    #[serde(default = "bulk_start")]
    pub(crate) start: u32,
    /// Members that each gets, besides what it has anyway.
    #[serde(default)]
    pub(crate) members: serde_json::Map<String, Value>,
    #[serde(default)]
    pub(crate) statuses: Vec<String>,
}

fn bulk_prefix() -> String {
    "BULK-".to_owned()
}

fn bulk_start() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Force {
    status: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Lock {
    merchant_outbound_number: String,
    seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SetStock {
    merchant_sku: Option<String>,
    jfsku: Option<String>,
    warehouse_id: Option<String>,
    stock_level: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    what: What,
    /// Only tokens of this account.
    role: Option<Role>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum What {
    Access,
    Refresh,
    All,
}

pub(crate) type Done = Result<Value, (u16, String)>;

pub(crate) fn bad(problem: impl ToString) -> (u16, String) {
    (400, problem.to_string())
}

pub(crate) fn conflict(problem: impl ToString) -> (u16, String) {
    (409, problem.to_string())
}

/// Milliseconds of `90`, `"90"`, `"90s"`, `"1500ms"`, `"30m"`, `"2h"` or `"1d"`.
fn span_ms(span: &Span) -> Option<i64> {
    let (text, unit) = match span {
        Span::Seconds(seconds) => return duration_ms(*seconds),
        Span::Text(text) => {
            let text = text.trim();
            let cut = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
            text.split_at_checked(cut)?
        }
    };
    let factor = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    duration_ms(text.trim().parse::<f64>().ok()? * factor)
}

pub(crate) fn duration_ms(seconds: f64) -> Option<i64> {
    i64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
}

pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(if body.is_empty() { b"{}" } else { body }).map_err(bad)
}

/// Answers a control request.
pub(crate) fn respond(world: &mut World, method: &Method, path: &str, raw_query: &str, body: &[u8]) -> Answer {
    let query: Vec<(String, String)> = url::form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect();
    if *method != Method::GET {
        world.writes = world.writes.wrapping_add(1);
    }
    let decode = |s: &str| {
        // Only the path is decoded, a plus is a plus here.
        let fixed = s.replace('+', "%2B");
        url::form_urlencoded::parse(format!("v={fixed}").as_bytes()).next().map(|(_, v)| v.into_owned())
    };
    let segments: Vec<String> = path.split('/').skip(2).filter(|s| !s.is_empty()).filter_map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["script"]) => return script::run(world, body),
        ("GET", ["transitions"]) => return transitions::answer(world, &query),
        _ => (),
    }
    match act(world, method.as_str(), &segments, &query, body) {
        Ok(value) => Answer::json(200, value.to_string()),
        Err((status, problem)) => mistake(status, &problem),
    }
}

/// The answer to a control request that is wrong or can not be done.
pub(crate) fn mistake(status: u16, problem: &str) -> Answer {
    Answer::json(status, json!({"error": problem}).to_string())
}

fn act(world: &mut World, method: &str, path: &[&str], query: &[(String, String)], body: &[u8]) -> Done {
    match (method, path) {
        ("GET", ["state"]) => Ok(state(world)),
        ("POST", ["clock"]) => move_clock(world, read(body)?),
        ("POST", ["reset"]) => reset(world, body),
        ("GET", [name]) if Kind::named(name).is_some_and(|kind| kind != Kind::Outbounds) => {
            Kind::named(name).map_or(Ok(Value::Null), |kind| Ok(drive::list(world, kind, query)))
        }
        ("GET", ["outbounds"]) => Ok(outbounds(world, query)),
        ("POST", ["outbounds", "bulk"]) => bulk(world, read(body)?),
        ("POST", [name, id, action @ ("raw" | "instead" | "hide" | "touch")]) if Kind::named(name).is_some() => {
            let Some(kind) = Kind::named(name) else { return Ok(Value::Null) };
            let n = world.named(kind, id).ok_or_else(|| (404, format!("no {name} {id}")))?;
            match *action {
                "raw" => {
                    let members = raw_members(body)?;
                    if let Some(record) = world.shelf_mut(kind).record_mut(n) {
                        record.overlay(members);
                    }
                    world.overlaid = true;
                }
                "instead" => {
                    let text = std::str::from_utf8(body).map_err(bad)?.to_owned();
                    let feeds = field(query, "feeds") == Some("true");
                    if let Some(record) = world.shelf_mut(kind).record_mut(n) {
                        record.instead = (!text.is_empty()).then(|| Box::new(Instead { text, feeds }));
                    }
                }
                "hide" => {
                    let hide: Hide = read(body)?;
                    let hidden = hide.hidden(world.clock.now()).map_err(bad)?;
                    if let Some(record) = world.shelf_mut(kind).record_mut(n) {
                        record.hidden = hidden;
                        record.unlisted = hide.lists;
                    }
                }
                _ => (),
            }
            if *action == "touch" || field(query, "touch") == Some("true") {
                drive::touch(world, kind, n);
            }
            Ok(match kind {
                Kind::Outbounds => one(world, n, json!([])),
                _ => drive::describe(world, kind, n),
            })
        }
        ("POST", ["outbounds", name, action @ ("advance" | "status" | "change" | "delete")]) => {
            let n = world.any_name(name).ok_or_else(|| (404, format!("no outbound {name}")))?;
            match *action {
                "advance" => {
                    let told: Advance = read(body)?;
                    let reached = world.advance(n, &told).map_err(conflict)?;
                    Ok(one(world, n, json!(reached)))
                }
                "status" => {
                    let force: Force = read(body)?;
                    world.set_status(n, &force.status, Actor::House);
                    Ok(one(world, n, json!([force.status])))
                }
                "change" => {
                    let told = drive::told(body)?;
                    world.change(n, &told, true, true).map_err(|fail| conflict(fail.message))?;
                    Ok(one(world, n, json!([])))
                }
                "delete" => {
                    world.delete(n);
                    Ok(one(world, n, json!([])))
                }
                _ => Err((404, (*action).to_owned())),
            }
        }
        ("POST", [name, rest @ ..]) if Kind::named(name).is_some_and(|kind| world.things.of(kind).is_some()) => {
            Kind::named(name).map_or(Ok(Value::Null), |kind| drive::act(world, kind, rest, body))
        }
        ("POST", ["locks"]) => {
            let lock: Lock = read(body)?;
            let ms = duration_ms(lock.seconds).ok_or_else(|| bad("seconds must be 0 or more"))?;
            let until = world.clock.now().saturating_add(ms);
            world.locks.insert(lock.merchant_outbound_number.clone(), until);
            Ok(json!({"merchantOutboundNumber": lock.merchant_outbound_number, "until": world.clock.text(until)}))
        }
        ("POST", ["stock"]) => set_stock(world, read(body)?),
        ("POST", ["stock-changes"]) => drive::stock_change(world, body),
        ("POST", ["faults"]) => {
            let text = std::str::from_utf8(body).map_err(bad)?;
            let plan = Plan::read(text).map_err(bad)?;
            Ok(json!({"id": world.faults.add(plan)}))
        }
        ("GET", ["faults"]) => Ok(json!({"faults": world.faults.list()})),
        ("DELETE", ["faults"]) => Ok(json!({"removed": world.faults.remove(None)})),
        ("DELETE", ["faults", id]) => {
            let id = id.parse().map_err(bad)?;
            Ok(json!({"removed": world.faults.remove(Some(id))}))
        }
        ("POST", ["chaos"]) => {
            let chaos = Chaos::read(body).map_err(bad)?;
            Ok(json!({"chaos": world.chaos.insert(chaos).json()}))
        }
        ("GET", ["chaos"]) => Ok(json!({"chaos": world.chaos.as_ref().map(Chaos::json)})),
        ("DELETE", ["chaos"]) => Ok(json!({"chaos": world.chaos.take().as_ref().map(Chaos::json)})),
        ("GET", ["effects"]) => {
            let since = field(query, "since").map_or(Ok(0), str::parse).map_err(bad)?;
            let rows = world.effects.since(since, field(query, "key"));
            Ok(json!({"last": world.journal.count(), "effects": rows}))
        }
        ("GET", ["requests"]) => {
            let since = field(query, "since").map_or(Ok(0), str::parse).map_err(bad)?;
            Ok(json!({"last": world.journal.count(), "requests": world.journal.since(since)}))
        }
        ("GET", ["settings"]) => Ok(world.flags.switches.json()),
        ("POST", ["settings"]) => {
            let changed = world.flags.switches.with(body).map_err(bad)?;
            switch(world, changed)
        }
        ("DELETE", ["settings"]) => {
            let start = world.start.switches.clone();
            switch(world, start)
        }
        ("GET", ["tokens"]) => Ok(world.oauth.counters()),
        ("GET", ["tokens", "refreshes"]) => {
            let since = field(query, "since").map_or(Ok(0), str::parse).map_err(bad)?;
            Ok(json!({"refreshes": world.oauth.record.since(since)}))
        }
        ("POST", ["tokens", "revoke"]) => {
            let Revoke { what, role } = read(body)?;
            let meant = |grant: &Grant| role.is_none_or(|r| grant.role == r);
            let (access, refresh) = world.oauth.revoke(what != What::Refresh, what != What::Access, meant);
            Ok(json!({"accessTokensRevoked": access, "refreshTokensRevoked": refresh}))
        }
        ("GET", ["secrets"]) => Ok(json!({"secrets": world.oauth.secrets()})),
        _ => Err((404, format!("no control request {method} {}; see --help", path.join("/")))),
    }
}

fn switch(world: &mut World, to: Switches) -> Done {
    let shift = to.clock_skew_s.saturating_sub(world.flags.switches.clock_skew_s).saturating_mul(1_000);
    if !world.clock.may_shift(shift) || world.clock.now().saturating_add(shift) > LAST_MS {
        return Err(conflict("clock_skew_s: the clock can not go behind the newest write or past the year 9999"));
    }
    world.clock.shift(shift);
    world.clock.write_seven(to.seven_decimals);
    world.oauth.learn_client(&world.flags.client_id, &to.client_secret);
    world.flags.switches = to;
    Ok(world.flags.switches.json())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hide {
    reads: Option<u32>,
    seconds: Option<f64>,
    #[serde(default)]
    always: bool,
    /// From lists too.
    #[serde(default)]
    lists: bool,
}

impl Hide {
    fn hidden(&self, now: i64) -> Result<Option<Hidden>, String> {
        if self.lists && !self.always {
            return Err("lists goes with always only".to_owned());
        }
        match (self.reads, self.seconds, self.always) {
            (None, None, false) => Ok(None),
            (Some(reads), None, false) => Ok(Some(Hidden::Reads(reads))),
            (None, Some(seconds), false) => {
                let ms = duration_ms(seconds).ok_or("seconds must be 0 or more")?;
                Ok(Some(Hidden::Until(now.saturating_add(ms))))
            }
            (None, None, true) => Ok(Some(Hidden::Always)),
            _ => Err("only one of reads, seconds and always".to_owned()),
        }
    }
}

fn state(world: &World) -> Value {
    let mut by_status = serde_json::Map::new();
    for o in world.outbounds.iter().filter(|o| !o.record.deleted) {
        let count = by_status.get(&o.status).and_then(Value::as_u64).unwrap_or(0);
        by_status.insert(o.status.clone(), json!(count + 1));
    }
    let counts: serde_json::Map<String, Value> =
        KINDS.iter().map(|kind| (kind.spec().name.to_owned(), json!(world.shelf(*kind).count()))).collect();
    json!({
        "clock": world.clock.text(world.clock.now()),
        "offsetMs": world.clock.offset(),
        "seed": world.seed,
        "speed": world.flags.speed,
        "chunkSize": world.flags.switches.chunk_size,
        "objects": counts,
        "merchant": world.catalog.merchant,
        "fulfiller": world.catalog.fulfiller,
        "outbounds": world.outbounds.len(),
        "outboundsByStatus": by_status,
        "notifications": world.notifications.len(),
        "requests": world.journal.count(),
        "faultsArmed": world.faults.armed(),
        "tokens": world.oauth.counters(),
    })
}

fn move_clock(world: &mut World, told: MoveClock) -> Done {
    match (told.advance, told.set) {
        (Some(span), None) => {
            let ms = span_ms(&span).ok_or_else(|| bad("advance must be seconds or a text such as \"90s\""))?;
            if world.clock.now().saturating_add(ms) > LAST_MS {
                return Err(bad("the clock ends with the year 9999"));
            }
            world.clock.advance(ms);
        }
        (None, Some(text)) => {
            let at = clock::parse(&text).filter(|at| at.timestamp_millis() <= LAST_MS);
            let at = at.ok_or_else(|| bad("set must be a date-time before the year 10000"))?;
            world.clock.set(at).map_err(conflict)?;
        }
        _ => return Err(bad("either advance or set is needed")),
    }
    Ok(json!({"clock": world.clock.text(world.clock.now())}))
}

fn describe(world: &World, n: usize) -> Value {
    let Some(o) = world.outbounds.get(n) else { return Value::Null };
    let history: Vec<Value> =
        o.record.history.iter().map(|(status, at)| json!({"status": status, "at": world.clock.text(*at)})).collect();
    let notifications: Vec<&str> =
        o.notifications.iter().filter_map(|x| world.notifications.get(*x)).map(|x| x.id.as_str()).collect();
    json!({
        "outboundId": o.id,
        "merchantOutboundNumber": o.number,
        "status": o.status,
        "createdAt": world.clock.text(o.record.created()),
        "updatedAt": world.clock.text(o.record.updated()),
        "deleted": o.record.deleted,
        "history": history,
        "changes": o.record.changes.len(),
        "notifications": notifications,
    })
}

fn one(world: &World, n: usize, reached: Value) -> Value {
    let mut value = describe(world, n);
    if let Value::Object(members) = &mut value {
        members.insert("reached".to_owned(), reached);
    }
    value
}

fn outbounds(world: &World, query: &[(String, String)]) -> Value {
    let (number, prefix) = (field(query, "number"), field(query, "prefix"));
    let since = field(query, "since").and_then(clock::parse).map_or(i64::MIN, |at| at.timestamp_millis());
    let fits = |n: &usize| {
        world.outbounds.get(*n).is_some_and(|o| {
            number.is_none_or(|x| x == o.number)
                && prefix.is_none_or(|x| o.number.starts_with(x))
                && o.record.created() >= since
        })
    };
    let rows: Vec<Value> = (0..world.outbounds.len()).filter(fits).map(|n| describe(world, n)).collect();
    json!({"count": rows.len(), "outbounds": rows})
}

fn bulk(world: &mut World, told: Bulk) -> Done {
    if told.count > MOST_BULK {
        return Err(bad(format!("count must be {MOST_BULK} at most")));
    }
    let mut statuses = told.statuses.iter();
    let first = match told.statuses.first().map(String::as_str) {
        Some(status @ ("Preparation" | "Pending")) => {
            statuses.next();
            status
        }
        _ => "Pending",
    };
    let begin = world.clock.now();
    let mut names = (None, None);
    for n in 0..told.count {
        let number = format!("{}{:06}", told.prefix, told.start.saturating_add(n));
        if world.outbounds.numbered(&number).next().is_some() {
            return Err(conflict(format!("the number {number} exists already")));
        }
        let Some(key) = world.make(number.clone(), first) else { break };
        for status in statuses.clone() {
            match status.as_str() {
                "Shipped" => world.house_ship(key, false),
                "PartiallyShipped" => world.house_ship(key, true),
                "Canceled" | "PartiallyCanceled" => world.cancel(key, status, "None", None, Actor::House),
                other => {
                    world.set_status(key, other, Actor::House);
                }
            }
        }
        if names.0.is_none() {
            names.0 = Some(number.clone());
        }
        names.1 = Some(number);
    }
    let (from, to) = (world.clock.text(begin), world.clock.text(world.clock.now()));
    Ok(json!({"created": told.count, "first": names.0, "last": names.1, "from": from, "to": to}))
}

fn raw_members(body: &[u8]) -> Result<Overlay, (u16, String)> {
    let text = std::str::from_utf8(body).map_err(bad)?;
    let members: Members<'_> = serde_json::from_str(text).map_err(bad)?;
    let literal = |(name, raw): (String, &serde_json::value::RawValue)| {
        (name, (raw.get() != "null").then(|| raw.get().to_owned()))
    };
    Ok(members.0.into_iter().map(literal).collect())
}

fn set_stock(world: &mut World, told: SetStock) -> Done {
    let level = Decimal::parse(&told.stock_level).ok_or_else(|| bad("stockLevel must be a number in quotes"))?;
    let product = match (&told.jfsku, &told.merchant_sku) {
        (Some(jfsku), _) => world.catalog.product(jfsku),
        (None, Some(sku)) => world.catalog.by_sku(sku),
        (None, None) => None,
    };
    let jfsku = product.map(|p| p.jfsku.clone()).ok_or_else(|| bad("the product is not known"))?;
    let first = world.catalog.warehouses.first().map(|w| w.id.clone()).unwrap_or_default();
    let warehouse = told.warehouse_id.unwrap_or(first);
    if !world.catalog.has_warehouse(&warehouse) {
        return Err(bad("the warehouse is not known"));
    }
    let stock = world.adjust_to(&warehouse, &jfsku, level).ok_or_else(|| bad("too many digits"))?;
    Ok(json!({"warehouseId": warehouse, "jfsku": jfsku, "stockLevel": level.to_string(),
        "stockLevelReserved": stock.reserved.to_string()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    fn post(world: &mut World, path: &str, body: &str) -> (u16, Value) {
        let answer = respond(world, &Method::POST, path, "", body.as_bytes());
        (answer.status, serde_json::from_str(&answer.text()).unwrap())
    }

    #[test]
    fn spans() {
        let ms = |text: &str| span_ms(&serde_json::from_str(text).unwrap());
        assert_eq!(ms("90"), Some(90_000));
        assert_eq!(ms("\"90s\""), Some(90_000));
        assert_eq!(ms("\"1500ms\""), Some(1_500));
        assert_eq!(ms("\"31m\""), Some(1_860_000));
        for wrong in ["-1", "\"x\"", "\"5 parsecs\"", "1e300"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bulk_goes_through_statuses() {
        let mut world = World::new(Flags::for_test());
        let (status, body) = post(
            &mut world,
            "/_simulator/outbounds/bulk",
            r#"{"count":3,"prefix":"B-","statuses":["Pending","Acknowledged","Shipped"]}"#,
        );
        assert_eq!((status, body["created"].as_i64()), (200, Some(3)));
        assert_eq!(world.notifications.len(), 3);
        assert_eq!(post(&mut world, "/_simulator/outbounds/bulk", r#"{"count":1,"prefix":"B-"}"#).0, 409);
    }

    #[test]
    fn raw_members_are_served_as_they_are() {
        let mut world = World::new(Flags::for_test());
        world.make("A 1".to_owned(), "Pending").unwrap();
        let (status, _) = post(
            &mut world,
            "/_simulator/outbounds/A%201/raw",
            r#"{"orderValue":1.5000e0,"odd":{"x" : [1.0]},"currency":null,"status":"New \u0041"}"#,
        );
        assert_eq!(status, 200);
        let text = world.show(Kind::Outbounds, 0, Role::Merchant, None).to_string();
        assert!(text.contains(r#""orderValue":1.5000e0"#) && text.contains(r#""odd":{"x" : [1.0]}"#));
        assert!(text.contains(r#""status":"New \u0041""#) && !text.contains("currency"));
    }

    #[test]
    fn mistakes_are_told() {
        let mut world = World::new(Flags::for_test());
        assert_eq!(post(&mut world, "/_simulator/clock", r#"{"advanse":1}"#).0, 400);
        assert_eq!(post(&mut world, "/_simulator/clock", r#"{"advance":9e15}"#).0, 400);
        assert_eq!(post(&mut world, "/_simulator/outbounds/none/advance", "{}").0, 404);
        assert_eq!(post(&mut world, "/_simulator/what", "{}").0, 404);
        assert_eq!(post(&mut world, "/_simulator/faults", "{").0, 400);
    }
}
