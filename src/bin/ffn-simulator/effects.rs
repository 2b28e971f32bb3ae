//! `GET /_simulator/effects`: what the requests of the API changed, in order, with the numbers by which
//! the callers know it.

use std::collections::VecDeque;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::api::Call;
use crate::catalog::Role;
use crate::clock;
use crate::json::Json;
use crate::things::Kind;
use crate::world::World;

/// Older ones are dropped.
const KEPT: usize = 200_000;

#[derive(Clone, Debug)]
struct Row {
    seq: u64,
    time: i64,
    method: Method,
    path: String,
    role: Option<Role>,
    effect: String,
    key: Option<String>,
    /// The names of the body's members, so that two changes of one object can be told apart.
    members: Vec<String>,
}

/// All effects that are kept, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    rows: VecDeque<Row>,
}

/// Members that hold the number of an object, as its maker has it; the most particular first. A warehouse has but a name.
const NUMBERS: [&str; 12] = [
    "merchantDocumentId",
    "fulfillerShippingNotificationNumber",
    "merchantShippingNotificationNumber",
    "fulfillerStockChangeId",
    "merchantOutboundNumber",
    "merchantInboundNumber",
    "merchantReturnNumber",
    "fulfillerReturnNumber",
    "merchantSku",
    "fulfillerShippingMethodNumber",
    "sellerId",
    "name",
];

/// Writes down what a request of the API changed.
pub(crate) fn note(world: &mut World, call: &Call, answer: &Answer) {
    if answer.effects.is_empty() {
        return;
    }
    let segments = call.segments();
    let lower: Vec<String> = segments.iter().map(|s| s.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let role = match lower.as_slice() {
        ["api", "v1", "merchant", ..] => Some(Role::Merchant),
        ["api", "v1", "fulfiller", ..] => Some(Role::Fulfiller),
        _ => None,
    };
    if lower.first() != Some(&"api") {
        return;
    }
    let below: Vec<&str> = segments.iter().skip(3).map(String::as_str).collect();
    let members = members(call);
    let general = in_body(call).or_else(|| in_path(world, lower.get(3..).unwrap_or_default(), &below));
    let time = world.clock.now();
    for effect in &answer.effects {
        if world.effects.rows.len() >= KEPT {
            world.effects.rows.pop_front();
        }
        world.effects.rows.push_back(Row {
            seq: call.seq,
            time,
            method: call.method.clone(),
            path: call.path.clone(),
            role,
            effect: effect.text.clone(),
            key: effect.key.clone().or_else(|| general.clone()),
            members: members.clone(),
        });
    }
}

/// In alphabetical order; none if there is no body.
fn members(call: &Call) -> Vec<String> {
    let Ok(Json::Obj(members)) = call.json() else { return Vec::new() };
    let mut names: Vec<String> = members.into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

fn in_body(call: &Call) -> Option<String> {
    let body = call.json().ok()?;
    NUMBERS.iter().find_map(|name| body.text(name)).map(str::to_owned)
}

/// The number of the object that a path names, deleted ones too; else the last part of the path.
fn in_path(world: &World, lower: &[&str], path: &[&str]) -> Option<String> {
    let name = path.get(1)?;
    let last = path.last().map(|last| (*last).to_owned());
    let number = |kind: Kind, name: &str| {
        let n = world.named(kind, name)?;
        let text = match kind {
            Kind::Outbounds => &world.outbounds.get(n)?.number,
            _ => &world.thing(kind, n).ok()?.number,
        };
        (!text.is_empty()).then(|| text.clone())
    };
    match lower {
        ["outbounds", _, "attachments", ..] => last,
        ["outbounds", ..] => number(Kind::Outbounds, name).or(last),
        ["inbounds", _, "shipping-notifications", _] => number(Kind::InboundNotifications, path.get(3)?).or(last),
        ["inbounds", ..] => number(Kind::Inbounds, name).or(last),
        ["products", ..] => number(Kind::Products, name).or(last),
        ["shippingmethods", ..] => number(Kind::Methods, name).or(last),
        ["credentials", _, _] => number(Kind::Credentials, path.get(2)?).or(last),
        ["returns", ..] => {
            let theirs = || {
                let n = world.named(Kind::Returns, name)?;
                world.thing(Kind::Returns, n).ok()?.body.text("fulfillerReturnNumber").map(str::to_owned)
            };
            number(Kind::Returns, name).or_else(theirs).or(last)
        }
        _ => last,
    }
}

impl Effects {
    /// Those of requests after number `since`, all or with one key.
    pub(crate) fn since(&self, since: u64, key: Option<&str>) -> Value {
        let one = |r: &Row| {
            json!({
                "seq": r.seq, "time": clock::format_ms(r.time, false), "method": r.method.as_str(), "path": r.path,
                "role": r.role, "effect": r.effect, "key": r.key, "members": r.members,
            })
        };
        let wanted = |r: &&Row| r.seq > since && key.is_none_or(|key| r.key.as_deref() == Some(key));
        self.rows.iter().filter(wanted).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use crate::refreshes::Receipt;

    #[test]
    fn a_hundred_thousand_are_kept_and_found_by_key() {
        let mut world = World::new(Flags::for_test());
        let mut call = Call {
            method: Method::POST,
            path: "/api/v1/merchant/outbounds".to_owned(),
            raw_query: String::new(),
            authorization: None,
            content_type: String::new(),
            body: Vec::new(),
            own_lock: false,
            seq: 0,
            receipt: Receipt::default(),
        };
        for seq in 1..=250_000 {
            call.seq = seq;
            call.body = format!(r#"{{"merchantOutboundNumber":"A-{}"}}"#, seq % 100_000).into_bytes();
            note(&mut world, &call, &Answer::empty(201).effect("outbound created"));
        }
        note(&mut world, &call, &Answer::empty(200));
        assert_eq!(world.effects.rows.len(), KEPT);
        assert_eq!(world.effects.since(150_000, None).as_array().unwrap().len(), 100_000);
        let rows = world.effects.since(0, Some("A-99999"));
        let seqs: Vec<u64> = rows.as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, [99_999, 199_999]);
    }
}
