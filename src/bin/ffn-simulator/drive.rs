//! The control API for every kind of object but outbounds: look at them, make them, move them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Fail;
use crate::catalog::{Role, partner_body};
use crate::clock;
use crate::control::{Bulk, Done, MOST_BULK, bad, conflict, duration_ms, read};
use crate::decimal::Decimal;
use crate::inbound::{list as members_of, number};
use crate::json::{Json, obj};
use crate::ledger::{Cause, Entry, Levels, Remarks};
use crate::oauth::field;
use crate::record::Actor;
use crate::things::{Kind, merge};
use crate::warehouse::Advance;
use crate::world::World;

pub(crate) fn told(body: &[u8]) -> Result<Json, (u16, String)> {
    let text = std::str::from_utf8(body).map_err(bad)?;
    let value = Json::parse(if text.trim().is_empty() { "{}" } else { text }).map_err(bad)?;
    if matches!(value, Json::Obj(_)) { Ok(value) } else { Err(bad("an object is needed")) }
}

fn refused(fail: Fail) -> (u16, String) {
    let data: Vec<String> = fail.data.iter().map(|(key, value)| format!("{key} {value}")).collect();
    (409, format!("{} {} {}", fail.code, fail.message, data.join(", ")).trim().to_owned())
}

/// Takes a member out of a request.
fn take(body: &mut Json, name: &str) -> Option<Json> {
    let value = body.get(name).cloned();
    body.remove(name);
    value
}

fn text(value: Option<Json>) -> Option<String> {
    match value {
        Some(Json::Str(text)) => Some(text),
        _ => None,
    }
}

/// In whose name something happens; `default` unless the request says so in `by`.
fn actor(body: &mut Json, default: Actor) -> Result<Actor, (u16, String)> {
    match text(take(body, "by")).as_deref() {
        None => Ok(default),
        Some("merchant") => Ok(Actor::Shop),
        Some("fulfiller") => Ok(Actor::House),
        Some(other) => Err(bad(format!("by: merchant or fulfiller is needed, not {other}"))),
    }
}

/// An object as the simulator's own record has it.
pub(crate) fn describe(world: &World, kind: Kind, n: usize) -> Value {
    let Some(record) = world.shelf(kind).record(n) else { return Value::Null };
    let time = |at: i64| world.clock.text(at);
    let spec = kind.spec();
    let (id, number, status, what): (Value, &str, &str, &[String]) = match kind {
        Kind::StockChanges => {
            let Some(m) = world.ledger.movements.get(n) else { return Value::Null };
            let shown = world.movement_json(m, Role::Merchant, None).to_string();
            let mut value: Value = serde_json::from_str(&shown).unwrap_or_default();
            if let Value::Object(members) = &mut value {
                members.remove("modificationInfo");
                members.insert("at".to_owned(), json!(time(record.created())));
                members.insert("updatedAt".to_owned(), json!(time(record.updated())));
                members.insert("hidden".to_owned(), json!(record.hidden.is_some()));
            }
            return value;
        }
        Kind::Notifications => match world.notifications.get(n) {
            Some(x) => (json!(x.id), &x.number, &x.status, &[]),
            None => return Value::Null,
        },
        _ => match world.thing(kind, n) {
            Ok(thing) if kind == Kind::ReturnChanges => {
                (json!(n), &thing.number, thing.body.text("state").unwrap_or_default(), &[])
            }
            Ok(thing) => (json!(thing.id), &thing.number, thing.status(kind), &thing.what),
            Err(_) => return Value::Null,
        },
    };
    let history: Vec<Value> =
        record.history.iter().map(|(status, at)| json!({"status": status, "at": time(*at)})).collect();
    let log: Vec<Value> = record
        .changes
        .iter()
        .enumerate()
        .map(|(k, c)| json!({"at": time(c.at), "state": c.state, "by": c.by.name(), "what": what.get(k)}))
        .collect();
    let mut value = json!({
        spec.id: id,
        "status": (!status.is_empty()).then_some(status),
        "createdAt": time(record.created()),
        "updatedAt": time(record.updated()),
        "deleted": record.deleted,
        "hidden": record.hidden.is_some(),
        "history": history,
        "changes": record.changes.len(),
        "log": log,
    });
    if let Value::Object(members) = &mut value {
        let name = if kind == Kind::ReturnChanges { "returnId" } else { spec.number };
        if !name.is_empty() {
            members.insert(name.to_owned(), json!(number));
        }
        match kind {
            Kind::InboundNotifications => {
                let parent = world.thing(kind, n).ok().and_then(|t| t.parent);
                let inbound = parent.and_then(|p| world.things.inbounds.get(p));
                members.insert("inboundId".to_owned(), json!(inbound.map(|i| i.id.as_str())));
            }
            Kind::Notifications => {
                let x = world.notifications.get(n);
                members.insert("outboundId".to_owned(), json!(x.map(|x| x.outbound_id.as_str())));
            }
            Kind::Attachments | Kind::Labels => {
                let body = world.thing(kind, n).map(|t| &t.body);
                for name in ["outboundId", "merchantOutboundNumber", "size"] {
                    let value = body.as_ref().ok().and_then(|b| b.get(name)).map(Json::to_string).unwrap_or_default();
                    members.insert(name.to_owned(), serde_json::from_str(&value).unwrap_or_default());
                }
            }
            Kind::Products => {
                members.insert("shared".to_owned(), json!(world.catalog.products.get(n).is_some_and(|p| p.shared)));
            }
            _ => (),
        }
    }
    value
}

/// All objects of a kind, deleted ones too.
pub(crate) fn list(world: &World, kind: Kind, query: &[(String, String)]) -> Value {
    let ask = |name| field(query, name);
    let since = ask("since").and_then(clock::parse).map_or(i64::MIN, |at| at.timestamp_millis());
    let fits = |n: &usize| {
        let created = world.shelf(kind).record(*n).is_some_and(|r| r.created() >= since);
        let named = match kind {
            Kind::StockChanges => {
                let pile = world.ledger.movements.get(*n).and_then(|m| world.ledger.piles.get(m.pile));
                pile.is_some_and(|p| {
                    ask("warehouse").is_none_or(|w| w == p.warehouse) && ask("jfsku").is_none_or(|j| j == p.jfsku)
                })
            }
            _ => {
                let names = match (kind, world.notifications.get(*n), world.thing(kind, *n)) {
                    (Kind::Notifications, Some(x), _) => (x.id.as_str(), x.number.as_str()),
                    (_, _, Ok(thing)) => (thing.id.as_str(), thing.number.as_str()),
                    _ => ("", ""),
                };
                ask("id").is_none_or(|id| id == names.0)
                    && ask("number").is_none_or(|number| number == names.1)
                    && ask("prefix").is_none_or(|p| names.0.starts_with(p) || names.1.starts_with(p))
            }
        };
        created && named
    };
    let rows: Vec<Value> = (0..world.shelf(kind).count()).filter(fits).map(|n| describe(world, kind, n)).collect();
    json!({"count": rows.len(), kind.spec().name: rows})
}

/// Stamps a change in which nothing changes.
pub(crate) fn touch(world: &mut World, kind: Kind, n: usize) {
    let deleted = world.shelf(kind).record(n).is_some_and(|r| r.deleted);
    let state = if deleted { "Deleted" } else { "Modified" };
    match world.things.of_mut(kind).and_then(|store| store.get_mut(n)) {
        Some(thing) => {
            thing.what.push("touched".to_owned());
            world.stamp(kind, n, Actor::House, state);
        }
        None => {
            world.stamp(kind, n, Actor::House, state);
        }
    }
}

/// Who writes such objects as a rule.
const fn writer(kind: Kind) -> Actor {
    match kind {
        Kind::Inbounds | Kind::InboundNotifications | Kind::Returns | Kind::Products | Kind::Merchants => Actor::Shop,
        Kind::Attachments | Kind::Pictures | Kind::Credentials => Actor::Shop,
        _ => Actor::House,
    }
}

fn one(world: &World, kind: Kind, n: usize, reached: &[String]) -> Done {
    let mut value = describe(world, kind, n);
    if let Value::Object(members) = &mut value {
        members.insert("reached".to_owned(), json!(reached));
    }
    Ok(value)
}

/// `POST /_simulator/{kind}…`
pub(crate) fn act(world: &mut World, kind: Kind, path: &[&str], body: &[u8]) -> Done {
    match path {
        [] => {
            let n = create(world, kind, told(body)?, None)?;
            one(world, kind, n, &[])
        }
        ["bulk"] => bulk(world, kind, read(body)?),
        [id, action] => {
            let n = world.named(kind, id).ok_or_else(|| (404, format!("no {} {id}", kind.spec().name)))?;
            let reached = drive(world, kind, n, action, told(body)?, body)?;
            one(world, kind, n, &reached)
        }
        _ => Err((404, format!("no control request {}; see --help", path.join("/")))),
    }
}

/// Makes an object: what the request says, and defaults for the rest.
fn create(world: &mut World, kind: Kind, mut members: Json, bulk_number: Option<&str>) -> Result<usize, (u16, String)> {
    let by = actor(&mut members, writer(kind))?;
    let spec = kind.spec();
    let seed = world.shelf(kind).count();
    let given = members.text(spec.number).map(str::to_owned).or(bulk_number.map(str::to_owned));
    let number_of = given.unwrap_or_else(|| format!("{}-{:06}", spec.name.to_uppercase(), seed + 1));
    match kind {
        Kind::Inbounds => {
            let mut whole = world.default_inbound(&number_of, seed);
            merge(&mut whole, &members);
            world.create_inbound(&whole, by).map_err(refused)
        }
        Kind::InboundNotifications => {
            let inbound = text(take(&mut members, "inbound"));
            let n = match &inbound {
                Some(name) => world.named(Kind::Inbounds, name).ok_or_else(|| (404, format!("no inbound {name}")))?,
                None => world.things.inbounds.len().checked_sub(1).ok_or_else(|| bad("there is no inbound"))?,
            };
            let mut whole = world.default_notification(n);
            if let Some(number) = bulk_number {
                whole.set("merchantShippingNotificationNumber", number.into());
            }
            merge(&mut whole, &members);
            world.notify_inbound(n, &whole, by).map_err(refused)
        }
        Kind::Returns => {
            let mut whole = world.default_return(&number_of, seed);
            if by.role() == Role::Fulfiller {
                whole.remove("merchantReturnNumber");
                whole.set("fulfillerReturnNumber", number_of.into());
            }
            merge(&mut whole, &members);
            world.create_return(&whole, by).map_err(refused)
        }
        Kind::Products => {
            let shared = take(&mut members, "shared") != Some(Json::Bool(false));
            let mut whole = World::default_product(&number_of);
            merge(&mut whole, &members);
            world.create_product(&whole, shared, by).map_err(refused)
        }
        Kind::Warehouses | Kind::Methods => {
            let granted = take(&mut members, "granted") != Some(Json::Bool(false));
            if let Some(number) = bulk_number.filter(|_| members.get("name").is_none()) {
                members.set("name", number.into());
            }
            if let Some(number) = bulk_number.filter(|_| kind == Kind::Methods) {
                members.set("fulfillerShippingMethodNumber", number.into());
            }
            let n = match kind {
                Kind::Warehouses => world.create_warehouse(&members, by),
                _ => world.create_method(&members, by),
            };
            let n = n.map_err(refused)?;
            // A bulk request grants all of them at its end.
            if granted && bulk_number.is_none() {
                let id = world.thing(kind, n).map(|t| t.id.clone()).unwrap_or_default();
                match kind {
                    Kind::Warehouses => world.grant(&[id], &[], Actor::House),
                    _ => world.grant(&[], &[id], Actor::House),
                }
            }
            Ok(n)
        }
        Kind::Fulfillers | Kind::Merchants | Kind::Authorizations => {
            let id = match members.text(spec.id) {
                Some(id) => id.to_owned(),
                None => loop {
                    let id = world.token(4);
                    if world.things.of(kind).is_none_or(|store| store.known(&id).is_none()) {
                        break id;
                    }
                },
            };
            if world.things.of(kind).is_some_and(|store| store.known(&id).is_some()) {
                return Err(conflict(format!("{id} is there already")));
            }
            let mut whole = match kind {
                Kind::Authorizations => {
                    obj([("merchantId", id.as_str().into()), ("warehouses", Json::Arr(Vec::new()))])
                }
                _ => partner_body(&id, &format!("Partner {id}")),
            };
            merge(&mut whole, &members);
            Ok(world.put(kind, whole, None, by))
        }
        _ => Err(bad("objects of this kind can not be made")),
    }
}

fn bulk(world: &mut World, kind: Kind, told: Bulk) -> Done {
    if told.count > MOST_BULK {
        return Err(bad(format!("count must be {MOST_BULK} at most")));
    }
    let members = Json::parse(&Value::Object(told.members).to_string()).map_err(bad)?;
    let begin = world.clock.now();
    let mut names: (Option<String>, Option<String>) = (None, None);
    let mut made = Vec::new();
    for i in 0..told.count {
        let number = format!("{}{:06}", told.prefix, told.start.saturating_add(i));
        let n = create(world, kind, members.clone(), Some(&number))?;
        for status in &told.statuses {
            status_by_name(world, kind, n, status)?;
        }
        made.push(n);
        names.0.get_or_insert_with(|| number.clone());
        names.1 = Some(number);
    }
    if members.get("granted") != Some(&Json::Bool(false)) {
        let ids: Vec<String> = made.iter().filter_map(|n| Some(world.thing(kind, *n).ok()?.id.clone())).collect();
        match kind {
            _ if ids.is_empty() => (),
            Kind::Warehouses => world.grant(&ids, &[], Actor::House),
            Kind::Methods => world.grant(&[], &ids, Actor::House),
            _ => (),
        }
    }
    let (from, to) = (world.clock.text(begin), world.clock.text(world.clock.now()));
    Ok(json!({"created": told.count, "first": names.0, "last": names.1, "from": from, "to": to}))
}

/// Brings an object to a status in the way that it has, or forces it.
fn status_by_name(world: &mut World, kind: Kind, n: usize, status: &str) -> Result<(), (u16, String)> {
    let house = Actor::House;
    let done = match (kind, status) {
        (Kind::Inbounds, "PartiallyReceipted") => world.receive_open(n, true, house),
        (Kind::Inbounds, "Receipted") => world.receive_open(n, false, house),
        (Kind::Inbounds, "Closed") => world.close_inbound(n, house),
        (Kind::Returns, "Arrived") => world.arrive(n, &[], house),
        (Kind::Returns, "Completed") => {
            world.arrive(n, &[], house).and_then(|()| world.complete_return(n, false, None))
        }
        (Kind::Inbounds, "Pending") | (Kind::Returns, "Announced") => Ok(()),
        _ => return force(world, kind, n, status),
    };
    done.map_err(refused)
}

fn force(world: &mut World, kind: Kind, n: usize, status: &str) -> Result<(), (u16, String)> {
    let name = kind.spec().status;
    if name.is_empty() {
        return Err(bad("objects of this kind have no status"));
    }
    world.alter(kind, n, Actor::House, |body| body.set(name, status.into()));
    Ok(())
}

fn advance(world: &mut World, kind: Kind, n: usize, told: &Advance) -> Result<Vec<String>, (u16, String)> {
    let limit = told.steps.unwrap_or(if told.to.is_some() { 12 } else { 1 });
    let status = |w: &World| w.thing(kind, n).map(|t| t.status(kind).to_owned()).unwrap_or_default();
    let mut partial = told.partial || told.to.as_deref() == Some("PartiallyReceipted");
    let mut reached = Vec::new();
    for step in 0..limit {
        if told.to.as_deref() == Some(status(world).as_str()) {
            break;
        }
        if step > 0 {
            world.clock.advance(i64::from(told.gap_ms));
        }
        let done = match kind {
            Kind::Inbounds => {
                let now_partial = partial && status(world) != "Preparation";
                let done = world.inbound_step(n, now_partial);
                partial = partial && !now_partial;
                done
            }
            Kind::Returns => world.return_step(n, told.blocked),
            _ => return Err((404, "objects of this kind do not advance".to_owned())),
        };
        match done {
            Ok(status) => reached.push(status),
            // A number of steps that leads past the end is no mistake.
            Err(_) if told.to.is_none() && step > 0 => break,
            Err(problem) => return Err(conflict(problem)),
        }
    }
    match &told.to {
        Some(to) if told.steps.is_none() && status(world) != *to => Err(conflict(format!("{to} was not reached"))),
        _ => Ok(reached),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Complete {
    blocked: bool,
    condition: Option<String>,
}

fn item_name(body: &mut Json) -> Result<String, (u16, String)> {
    text(take(body, "returnItemId")).ok_or_else(|| bad("returnItemId is needed"))
}

fn drive(
    world: &mut World,
    kind: Kind,
    n: usize,
    action: &str,
    mut body: Json,
    raw: &[u8],
) -> Result<Vec<String>, (u16, String)> {
    let before = world.thing(kind, n).map(|t| t.record.history.len()).unwrap_or_default();
    let done = match (kind, action) {
        (_, "advance") => {
            let told: Advance = read(raw)?;
            return advance(world, kind, n, &told);
        }
        (_, "status" | "state") => {
            let status = body.text("status").or(body.text("state"));
            force(world, kind, n, status.ok_or_else(|| bad("status is needed"))?)?;
            Ok(())
        }
        (Kind::ReturnChanges, _) => return Err((404, format!("no control request {action}; see --help"))),
        (_, "change") => {
            let by = actor(&mut body, writer(kind))?;
            world.alter(kind, n, by, |old| merge(old, &body));
            Ok(())
        }
        (_, "delete") => {
            let by = actor(&mut body, writer(kind))?;
            match kind {
                Kind::Inbounds => world.delete_inbound(n, by),
                Kind::Products => world.delete_product(n, by),
                _ => {
                    world.bury(kind, n, by);
                }
            }
            Ok(())
        }
        (Kind::Inbounds, "receive") => match body.get("items") {
            Some(_) => world.receive(n, &members_of(&body, "items"), Actor::House),
            None => world.receive_open(n, body.get("partial") == Some(&Json::Bool(true)), Actor::House),
        },
        (Kind::Inbounds, "close") => {
            let by = actor(&mut body, Actor::House)?;
            world.close_inbound(n, by)
        }
        (Kind::Inbounds, "notify") => {
            let mut whole = world.default_notification(n);
            merge(&mut whole, &body);
            world.notify_inbound(n, &whole, Actor::Shop).map(|_| ())
        }
        (Kind::Returns, "arrive") => {
            let items: Vec<String> =
                members_of(&body, "items").into_iter().filter_map(|item| text(Some(item))).collect();
            world.arrive(n, &items, Actor::House)
        }
        (Kind::Returns, "complete") => {
            let told: Complete = read(raw)?;
            world.complete_return(n, told.blocked, told.condition.as_deref())
        }
        (Kind::Returns, "book") => {
            let item = item_name(&mut body)?;
            world.book_return(n, &item, &body, Actor::House).map(|_| ())
        }
        (Kind::Returns, "lock") => {
            let by = actor(&mut body, Actor::House)?;
            let seconds: f64 = match body.get("seconds") {
                None => 900.0,
                Some(value) => value.to_string().parse().map_err(bad)?,
            };
            let ms = duration_ms(seconds).ok_or_else(|| bad("seconds must be 0 or more"))?;
            world.lock_return(n, by, ms);
            Ok(())
        }
        (Kind::Returns, "unlock") => {
            let by = actor(&mut body, Actor::House)?;
            world.unlock_return(n, by);
            Ok(())
        }
        (Kind::Returns, "split") => {
            let item = item_name(&mut body)?;
            if let Some(id) = text(take(&mut body, "newReturnItemId")) {
                body.set("returnItemId", id.into());
            }
            world.split_item(n, &item, &body, Actor::House).map(|_| ())
        }
        (Kind::Returns, "add") => {
            let by = actor(&mut body, Actor::Shop)?;
            world.add_return_items(n, &members_of(&body, "items"), by).map(|_| ())
        }
        (Kind::Returns, "remove") => {
            let item = item_name(&mut body)?;
            world.remove_item(n, &item, Actor::House)
        }
        (Kind::Returns, "item") => {
            let by = actor(&mut body, Actor::House)?;
            let item = item_name(&mut body)?;
            world.change_item(n, &item, &body, by)
        }
        (Kind::Products, "share" | "unshare") => {
            world.share_product(n, action == "share", Actor::Shop);
            Ok(())
        }
        (Kind::Authorizations, "grant") => {
            let warehouse: Vec<String> = body.text("warehouseId").map(str::to_owned).into_iter().collect();
            let methods: Vec<String> =
                members_of(&body, "shippingMethodIds").into_iter().filter_map(|m| text(Some(m))).collect();
            world.grant(&warehouse, &methods, Actor::House);
            let named: Vec<&str> = warehouse.iter().map(String::as_str).collect();
            world.touch_warehouses(&named, Actor::House);
            Ok(())
        }
        (Kind::Authorizations, "revoke") => {
            world.revoke_grant(body.text("warehouseId"), body.text("shippingMethodId"), Actor::House);
            let named: Vec<&str> = body.text("warehouseId").into_iter().collect();
            world.touch_warehouses(&named, Actor::House);
            Ok(())
        }
        _ => return Err((404, format!("no control request {action}; see --help"))),
    };
    done.map_err(refused)?;
    let history = world.thing(kind, n).map(|t| t.record.history.as_slice()).unwrap_or_default();
    Ok(history.iter().skip(before).map(|(status, _)| status.clone()).collect())
}

/// Writes any entry into the stock ledger, as often as `count` says.
pub(crate) fn stock_change(world: &mut World, body: &[u8]) -> Done {
    const KNOWN: [&str; 15] = [
        "merchantSku",
        "jfsku",
        "warehouseId",
        "changeType",
        "quantity",
        "quantityReserved",
        "quantityBlocked",
        "quantityAnnounced",
        "batch",
        "bestBefore",
        "note",
        "fulfillerStockChangeId",
        "fulfillerTimestamp",
        "count",
        "by",
    ];
    let mut body = told(body)?;
    if let Json::Obj(members) = &body {
        let known: BTreeSet<&str> = KNOWN.into();
        if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(name.as_str())) {
            return Err(bad(format!("unknown member {name}")));
        }
    }
    let by = actor(&mut body, Actor::House)?;
    let product = world.catalog.product_of(&body).ok_or_else(|| bad("the product is not known"))?;
    let jfsku = product.jfsku.clone();
    let first = world.catalog.warehouses.first().map(|w| w.id.clone()).unwrap_or_default();
    let warehouse = body.text("warehouseId").map_or(first, str::to_owned);
    if !world.catalog.has_warehouse(&warehouse) {
        return Err(bad("the warehouse is not known"));
    }
    let count = match body.get("count") {
        None => 1,
        Some(count) => count.to_string().parse::<u32>().map_err(bad)?,
    };
    if count > MOST_BULK {
        return Err(bad(format!("count must be {MOST_BULK} at most")));
    }
    let mut delta = Levels {
        level: number(&body, "quantity"),
        reserved: number(&body, "quantityReserved"),
        blocked: number(&body, "quantityBlocked"),
        announced: number(&body, "quantityAnnounced"),
    };
    if delta.is_zero() {
        delta.level = Decimal::whole(1);
    }
    let mut last = 0;
    let begin = world.clock.now();
    for _ in 0..count {
        let at = world.clock.stamp();
        let kind = body.text("changeType").unwrap_or("Adjustment");
        let (cause, remarks) = (Cause::default(), Remarks::read(&body));
        last = world.book(Entry { warehouse: &warehouse, jfsku: &jfsku, kind, delta, cause, remarks }, at, by);
    }
    let mut value = describe(world, Kind::StockChanges, last);
    if let Value::Object(members) = &mut value {
        members.insert("created".to_owned(), json!(count));
        members.insert("from".to_owned(), json!(world.clock.text(begin)));
        members.insert("to".to_owned(), json!(world.clock.text(world.clock.now())));
    }
    Ok(value)
}
