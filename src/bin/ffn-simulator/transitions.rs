//! `GET /_simulator/transitions`: every change of every object, from the records that the objects carry.

use crate::answer::Answer;
use crate::catalog::Role;
use crate::clock;
use crate::control;
use crate::json::write_text;
use crate::oauth::field;
use crate::things::{KINDS, Kind};
use crate::world::World;

/// The roles that have a feed of this kind and see this object.
fn roles(world: &World, kind: Kind, n: usize) -> impl Iterator<Item = Role> + '_ {
    let has_feed = move |role: &Role| kind.has_feed(*role);
    let sees = move |role: &Role| world.is_shown(kind, n, *role);
    [Role::Merchant, Role::Fulfiller].into_iter().filter(has_feed).filter(sees)
}

/// Id and number of an object, as a feed has them.
fn names(world: &World, kind: Kind, n: usize) -> (String, Option<&str>) {
    let some = |number: &'_ str| !number.is_empty();
    match kind {
        Kind::Outbounds => {
            world.outbounds.get(n).map_or_else(Default::default, |o| (o.id.clone(), Some(o.number.as_str())))
        }
        Kind::Notifications => {
            world.notifications.get(n).map_or_else(Default::default, |x| (x.id.clone(), Some(x.number.as_str())))
        }
        Kind::StockChanges => {
            let m = world.ledger.movements.get(n);
            let pile = m.and_then(|m| Some((world.ledger.piles.get(m.pile)?, m.version)));
            pile.map_or_else(Default::default, |(p, version)| (format!("{}:{}:{version}", p.warehouse, p.jfsku), None))
        }
        Kind::ReturnChanges => (n.to_string(), world.thing(kind, n).ok().map(|t| t.number.as_str())),
        _ => world.thing(kind, n).map_or_else(
            |_| Default::default(),
            |t| (t.id.clone(), Some(t.number.as_str()).filter(|number| some(number))),
        ),
    }
}

/// The status after a change, and whether that change brought it.
fn status(world: &World, kind: Kind, n: usize, k: usize) -> (Option<&str>, bool) {
    let Some(record) = world.shelf(kind).record(n) else { return (None, false) };
    let at = |k: usize| record.changes.get(k).map(|change| change.at);
    let until = |time: Option<i64>| record.history.iter().rev().find(|(_, at)| time.is_some_and(|t| *at <= t));
    let now = until(at(k)).map(|(status, _)| status.as_str());
    // Of several changes of one moment the first is the one that counts.
    let before = k.checked_sub(1).and_then(|k| until(at(k))).map(|(status, _)| status.as_str());
    (now, now != before)
}

/// Answers the changes at or after `since`, also of one `kind` only, in the order of their times.
pub(crate) fn answer(world: &World, query: &[(String, String)]) -> Answer {
    let since = match field(query, "since") {
        None => i64::MIN,
        Some(text) => match clock::parse(text) {
            Some(at) => at.timestamp_millis(),
            None => return control::mistake(400, "since must be a date-time"),
        },
    };
    let kinds: Vec<Kind> = match field(query, "kind") {
        None => KINDS.to_vec(),
        Some(name) => match Kind::named(name) {
            Some(kind) => vec![kind],
            None => return control::mistake(400, &format!("there is no kind {name}")),
        },
    };
    let mut rows: Vec<(i64, Kind, usize, usize)> = Vec::new();
    for kind in kinds {
        rows.extend(world.shelf(kind).changes_since(since).map(|(at, n, k)| (at, kind, n, k)));
    }
    rows.sort_unstable();
    let mut out = format!("{{\"count\":{},\"transitions\":[", rows.len());
    for (i, (at, kind, n, k)) in rows.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let Some(record) = world.shelf(kind).record(n) else { continue };
        let state = record.changes.get(k).map_or("", |change| change.state);
        let (id, number) = names(world, kind, n);
        let (status, changed) = status(world, kind, n, k);
        let roles: Vec<String> = roles(world, kind, n).map(|role| format!("\"{}\"", role.name())).collect();
        out.push_str("{\"kind\":");
        write_text(kind.spec().name, &mut out);
        out.push_str(",\"id\":");
        write_text(&id, &mut out);
        for (name, value) in [(",\"number\":", number), (",\"status\":", status)] {
            out.push_str(name);
            match value {
                Some(text) => write_text(text, &mut out),
                None => out.push_str("null"),
            }
        }
        out.push_str(&format!(
            ",\"at\":\"{}\",\"state\":\"{state}\",\"statusChanged\":{changed},\"visible\":{},\"roles\":[{}],\"hidden\":{}}}",
            world.clock.text(at),
            !roles.is_empty(),
            roles.join(","),
            record.hidden.is_some(),
        ));
    }
    out.push_str("]}");
    Answer::json(200, out)
}
