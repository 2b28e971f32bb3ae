//! Writes by API to everything but outbounds, and to what hangs on outbounds.

use http::Method;

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::Role;
use crate::clock;
use crate::grants::Missing;
use crate::inbound::{list, number};
use crate::json::{Json, obj};
use crate::ledger::{Cause, Entry, Levels, Remarks};
use crate::oauth::field;
use crate::record::Actor;
use crate::schema::{self, Field};
use crate::switches::ChangeAnswer;
use crate::things::{Kind, merge};
use crate::world::World;

/// Whether there is something to write at a path, whatever the method.
pub(crate) fn is_path(role: Role, path: &[&str]) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].iter().any(|m| is_there(role, m, path))
}

/// Whether one side may write with this method at this path.
pub(crate) fn is_there(role: Role, method: &Method, path: &[&str]) -> bool {
    let merchant = role == Role::Merchant;
    match (method.as_str(), path) {
        ("POST", ["returns"] | ["returns", _, "items"] | ["returns", _, "items", _]) => true,
        ("PATCH", ["returns", _] | ["returns", _, "items", _]) => true,
        ("DELETE", ["returns", id]) => !matches!(*id, "updates" | "changes"),
        ("DELETE", ["returns", _, "items", _]) => true,
        ("PUT", ["returns", _, "lock" | "unlock"] | ["inbounds", _, "close"]) => true,
        ("POST", ["inbounds" | "products"] | ["inbounds", _, "shipping-notifications"]) => merchant,
        ("PATCH", ["inbounds" | "products", _] | ["inbounds", _, "shipping-notifications", _]) => merchant,
        ("DELETE", ["products", _] | ["inbounds", _, "shipping-notifications", _]) => merchant,
        ("POST", ["products", "authorizations"] | ["products", _, "authorizations"]) => merchant,
        ("DELETE", ["products", _, "authorizations", _]) => merchant,
        ("POST", ["inbounds", _, "incoming-goods"] | ["inbounds", _, "incoming-goods", "bulk"]) => !merchant,
        ("POST", ["returns", _, "items", _, "incomming-goods"] | ["stocks", "adjustments"]) => !merchant,
        ("POST", ["warehouses" | "shippingmethods"]) => !merchant,
        ("PATCH" | "DELETE", ["warehouses" | "shippingmethods", _]) => !merchant,
        ("POST", ["outbounds", _, "attachments"]) => merchant,
        ("DELETE", ["outbounds", _, "attachments", _]) => merchant,
        ("POST", ["outbounds", _, "shipping-labels"]) => !merchant,
        ("PUT", ["outbounds", _, "warehouse"]) => !merchant,
        ("POST", ["products", _, "pictures"]) => merchant,
        ("DELETE", ["products", _, "pictures", _]) => merchant,
        ("POST", ["products", _, "related-products", "condition"]) => true,
        ("POST", ["credentials", "amazonsfp"]) => merchant,
        ("DELETE", ["credentials", "amazonsfp", _]) => merchant,
        ("POST", ["authorizations", _, "warehouses"] | ["authorizations", _, "warehouses", _, "shippingmethods"]) => {
            !merchant
        }
        ("DELETE", ["authorizations", _, "warehouses", _]) => !merchant,
        ("DELETE", ["authorizations", _, "warehouses", _, "shippingmethods", _]) => !merchant,
        _ => false,
    }
}

/// The request's body, checked; nulls that clear something are in it.
fn read(body: &Json, fields: &'static [Field]) -> Outcome<Json> {
    let mut clean = schema::check(body, fields).map_err(Fail::flaws)?;
    for name in schema::cleared(body, fields) {
        clean.set(name, Json::Null);
    }
    Ok(clean)
}

/// Refuses a stale `objectVersion`.
fn check_version(world: &World, n: usize, given: Option<&str>) -> Outcome<()> {
    let Some(given) = given else { return Ok(()) };
    let r = world.thing(Kind::Returns, n)?;
    let Some(at) = clock::parse(given) else { return Err(Fail::model("objectVersion", "no date-time")) };
    let updated = r.record.updated();
    if at.timestamp_nanos_opt() == Some(updated.saturating_mul(1_000_000)) {
        return Ok(());
    }
    Err(Fail::new(400, "Shared_OutdatedObject", "The object was changed in the meantime.")
        .with("Pk", r.id.as_str())
        .with("CurrentObjectVersion", world.clock.text(updated))
        .with("GivenObjectVersion", given))
}

/// A request that writes. `lower` is the path below the role in lower case, `path` as it came.
pub(crate) struct Write<'a> {
    pub(crate) role: Role,
    pub(crate) method: &'a Method,
    pub(crate) lower: &'a [&'a str],
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: &'a dyn Fn() -> Outcome<Json>,
}

/// The answer to a change or a deletion.
pub(crate) fn changed(world: &World, role: Role, kind: Kind, n: usize, effect: String) -> Answer {
    let answer = match world.flags.switches.change_answer {
        ChangeAnswer::NoContent => Answer::empty(204),
        ChangeAnswer::Empty => Answer::empty(200),
        ChangeAnswer::Object => Answer::json(200, world.show(kind, n, role, None).to_string()),
    };
    answer.effect(effect)
}

fn made(world: &World, role: Role, kind: Kind, n: usize) -> Outcome {
    let effect = format!("{} {} created", kind.spec().name, world.thing(kind, n)?.id);
    Ok(Answer::json(201, world.show(kind, n, role, None).to_string()).effect(effect))
}

fn done(world: &World, role: Role, kind: Kind, n: usize, what: &str) -> Outcome {
    let effect = format!("{} {} {what}", kind.spec().name, world.thing(kind, n)?.id);
    Ok(changed(world, role, kind, n, effect))
}

/// Answers a write.
pub(crate) fn run(world: &mut World, write: &Write<'_>) -> Outcome {
    let Write { role, method, lower, path, query, body } = *write;
    match lower {
        ["outbounds", ..] => return of_outbound(world, write),
        ["products", _, "pictures" | "related-products", ..] => return beside_product(world, write),
        ["credentials", ..] => return of_credential(world, write),
        ["authorizations", ..] => return grant(world, write),
        _ => (),
    }
    let by = Actor::of(role);
    let version = field(query, "objectVersion");
    let name = path.get(1).copied().unwrap_or_default();
    let third = path.get(3).copied().unwrap_or_default();
    let made = |world: &World, kind: Kind, n: usize| made(world, role, kind, n);
    let done = |world: &World, kind: Kind, n: usize, what: &str| done(world, role, kind, n, what);
    match (method.as_str(), lower) {
        ("POST", ["inbounds"]) => {
            let n = world.create_inbound(&read(&body()?, schema::CREATE_INBOUND)?, by)?;
            made(world, Kind::Inbounds, n)
        }
        ("PATCH", ["inbounds", _]) => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            world.change_inbound(n, &read(&body()?, schema::UPDATE_INBOUND)?, by)?;
            done(world, Kind::Inbounds, n, "changed")
        }
        ("PUT", ["inbounds", _, "close"]) => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            world.close_inbound(n, by)?;
            done(world, Kind::Inbounds, n, "is Closed")
        }
        ("POST", ["inbounds", _, "shipping-notifications"]) => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            let x = world.notify_inbound(n, &read(&body()?, schema::CREATE_INBOUND_NOTIFICATION)?, by)?;
            made(world, Kind::InboundNotifications, x)
        }
        (_, ["inbounds", _, "shipping-notifications", _]) => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            let x = crate::api::notification_of(world, n, third)?;
            if *method == Method::DELETE {
                world.bury(Kind::InboundNotifications, x, by);
                return done(world, Kind::InboundNotifications, x, "deleted");
            }
            world.change_notification(x, &read(&body()?, schema::UPDATE_INBOUND_NOTIFICATION)?, by)?;
            done(world, Kind::InboundNotifications, x, "changed")
        }
        ("POST", ["inbounds", _, "incoming-goods", rest @ ..]) => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            let told = if rest.is_empty() { obj([("items", Json::Arr(vec![body()?]))]) } else { body()? };
            let told = read(&told, schema::INCOMING_GOODS)?;
            if world.thing(Kind::Inbounds, n)?.status(Kind::Inbounds) == "Closed" {
                return Err(Fail::new(400, "Stocks_InvalidInboundItem", "The inbound is closed."));
            }
            let items = list(&told, "items");
            world.receive(n, &items, by)?;
            let mut answer = made(world, Kind::Inbounds, n)?.effect(format!("goods of inbound {name} arrived"));
            if !rest.is_empty() {
                answer.effects.clear();
            }
            Ok(items.iter().filter(|_| !rest.is_empty()).fold(answer, |answer, item| {
                let key = item.text("fulfillerStockChangeId").unwrap_or(name);
                answer.also(format!("goods of inbound {name} arrived"), key)
            }))
        }
        ("POST", ["stocks", "adjustments"]) => adjust(world, role, &read(&body()?, schema::ADJUSTMENT)?),
        ("POST", ["returns"]) => {
            let fields = if role == Role::Merchant { schema::MERCHANT_RETURN } else { schema::FULFILLER_RETURN };
            let told = read(&body()?, fields)?;
            let mut flaws = Vec::new();
            schema::check_address(told.get("customerAddress").unwrap_or(&Json::Null), "customerAddress", &mut flaws);
            if !flaws.is_empty() {
                return Err(Fail::flaws(flaws));
            }
            let n = world.create_return(&told, by)?;
            made(world, Kind::Returns, n)
        }
        (_, ["returns", _, rest @ ..]) => {
            let n = world.find_thing(Kind::Returns, role, name)?;
            check_version(world, n, version)?;
            world.check_lock(n, role)?;
            match (method.as_str(), rest) {
                ("PATCH", []) => {
                    let told = read(&body()?, schema::UPDATE_RETURN)?;
                    if let Some(warehouse) = told.text("warehouseId") {
                        world.known_warehouse(warehouse)?;
                    }
                    world.check_return_numbers(&told, Some(n), "Shared_DuplicateKey")?;
                    world.alter(Kind::Returns, n, by, |old| merge(old, &told));
                    done(world, Kind::Returns, n, "changed")
                }
                ("DELETE", []) => {
                    let r = world.thing(Kind::Returns, n)?;
                    let state = r.status(Kind::Returns);
                    if state != "Announced" {
                        return Err(Fail::new(400, "Returns_NotAllowedState", "The return can not be deleted.")
                            .with("ReturnId", r.id.as_str())
                            .with("allowedStates", "Announced")
                            .with("currentState", state));
                    }
                    world.bury(Kind::Returns, n, by);
                    done(world, Kind::Returns, n, "deleted")
                }
                ("PUT", ["lock"]) => {
                    world.lock_return(n, by, 900_000);
                    done(world, Kind::Returns, n, "locked")
                }
                ("PUT", _) => {
                    world.unlock_return(n, by);
                    done(world, Kind::Returns, n, "unlocked")
                }
                ("POST", ["items"]) => {
                    let told = read(&body()?, schema::CREATE_RETURN_ITEM)?;
                    let new = world.add_return_items(n, &[told], by)?;
                    let row = new.first().map(Json::to_string).unwrap_or_default();
                    Ok(Answer::json(201, row).effect(format!("returns {name} has a new item")))
                }
                ("POST", ["items", _]) => {
                    let new = world.split_item(n, third, &read(&body()?, schema::SPLIT_RETURN_ITEM)?, by)?;
                    Ok(Answer::json(201, new.to_string()).effect(format!("item {third} split")))
                }
                ("POST", _) => {
                    let m = world.book_return(n, third, &read(&body()?, schema::INCOMING_RETURN)?, by)?;
                    let row = world.show(Kind::StockChanges, m, role, None).to_string();
                    Ok(Answer::json(201, row).effect(format!("item {third} booked")))
                }
                ("DELETE", _) => {
                    world.remove_item(n, third, by)?;
                    done(world, Kind::Returns, n, "lost an item")
                }
                _ => {
                    let mut told = read(&body()?, schema::UPDATE_RETURN_ITEM)?;
                    if role == Role::Merchant {
                        told.remove("condition");
                        told.remove("conditionNote");
                    }
                    world.change_item(n, third, &told, by)?;
                    done(world, Kind::Returns, n, "has another item")
                }
            }
        }
        ("POST", ["products"]) => {
            let told = read(&body()?, schema::CREATE_PRODUCT)?;
            let n = match field(query, "relatedJfsku") {
                Some(jfsku) => world.relate_new(&told, jfsku, by)?,
                None => world.create_product(&told, false, by)?,
            };
            made(world, Kind::Products, n)
        }
        ("POST", ["products", "authorizations"]) => {
            known_fulfiller(world, &read(&body()?, schema::SHARE)?)?;
            for n in 0..world.catalog.products.len() {
                if world.catalog.products.get(n).is_some_and(|p| p.active && !p.shared) {
                    world.share_product(n, true, by);
                }
            }
            Ok(Answer::empty(201).effect("all products shared"))
        }
        (_, ["products", _, "authorizations", ..]) => {
            let n = world.find_thing(Kind::Products, role, name)?;
            let shared = world.catalog.products.get(n).is_some_and(|p| p.shared);
            if *method == Method::DELETE {
                if !shared || third != world.catalog.fulfiller {
                    return Err(Kind::Authorizations.not_found(&world.catalog.merchant));
                }
                world.check_no_stock(n)?;
                world.share_product(n, false, by);
                return done(world, Kind::Products, n, "no longer shared");
            }
            known_fulfiller(world, &read(&body()?, schema::SHARE)?)?;
            if shared {
                let fail = Fail::new(400, "Products_ProductAlreadyAuthorized", "The product is shared already.");
                return Err(fail.with("FulfillerId", world.catalog.fulfiller.as_str()).with("Jfsku", name));
            }
            world.check_components_shared(n)?;
            world.share_product(n, true, by);
            let modified = world.show(Kind::Products, n, role, None).get("modificationInfo").cloned();
            let fulfiller = world.catalog.fulfiller.as_str().into();
            let row = obj([("fulfillerId", fulfiller), ("modificationInfo", modified.into())]);
            Ok(Answer::json(201, row.to_string()).effect(format!("products {name} shared")))
        }
        (_, ["products", _]) => {
            let n = match world.find_thing(Kind::Products, role, name) {
                Err(_) if *method == Method::DELETE && world.catalog.product(name).is_some() => {
                    let fail = Fail::new(404, "Products_AlreadyInactive", "The product was deleted before.");
                    return Err(fail.with("Jfsku", name));
                }
                found => found?,
            };
            if *method == Method::DELETE {
                world.check_product_delete(n)?;
                world.delete_product(n, by);
                return done(world, Kind::Products, n, "deleted");
            }
            world.change_product(n, &read(&body()?, schema::UPDATE_PRODUCT)?, by)?;
            done(world, Kind::Products, n, "changed")
        }
        ("POST", ["warehouses"]) => {
            let n = world.create_warehouse(&read(&body()?, schema::CREATE_WAREHOUSE)?, by)?;
            made(world, Kind::Warehouses, n)
        }
        ("POST", ["shippingmethods"]) => {
            let n = world.create_method(&read(&body()?, schema::CREATE_METHOD)?, by)?;
            made(world, Kind::Methods, n)
        }
        (_, [which, _]) => {
            let (kind, fields) = match *which {
                "warehouses" => (Kind::Warehouses, schema::UPDATE_WAREHOUSE),
                _ => (Kind::Methods, schema::UPDATE_METHOD),
            };
            let n = world.find_thing(kind, role, name)?;
            if *method == Method::DELETE {
                if kind == Kind::Warehouses && world.catalog.grants.contains_key(name) {
                    let fail = Fail::new(400, "Warehouses_WarehouseStillAuthorized", "A merchant may use it.");
                    return Err(fail.with("WarehouseId", name));
                }
                match kind {
                    Kind::Methods => world.check_method_delete(name)?,
                    _ if world.ledger.piles.iter().any(|p| p.warehouse == name && !p.levels.is_zero()) => {
                        return Err(Fail::new(403, "Shared_OperationForbidden", "There is stock in the warehouse."));
                    }
                    _ => (),
                }
                world.bury(kind, n, by);
                return done(world, kind, n, "deleted");
            }
            let told = read(&body()?, fields)?;
            world.alter(kind, n, by, |old| merge(old, &told));
            done(world, kind, n, "changed")
        }
        _ => Err(Fail::bare(404)),
    }
}

/// Documents, labels and the warehouse of an outbound.
fn of_outbound(world: &mut World, write: &Write<'_>) -> Outcome {
    let Write { role, method, lower, path, query, body } = *write;
    let by = Actor::of(role);
    let n = world.find(role, path.get(1).copied().unwrap_or_default())?;
    let third = path.get(3).copied().unwrap_or_default();
    match (method.as_str(), lower) {
        ("POST", [.., "attachments"]) => {
            let a = world.attach(n, &read(&body()?, schema::CREATE_ATTACHMENT)?, by)?;
            let row = world.attachment_row(a, role).to_string();
            Ok(Answer::json(201, row).effect(format!("attachments {} created", world.thing(Kind::Attachments, a)?.id)))
        }
        ("DELETE", _) => {
            let a = world.attachment(n, role, third)?;
            world.detach(n, a, by);
            let effect = format!("attachments {} deleted", world.thing(Kind::Attachments, a)?.id);
            Ok(changed(world, role, Kind::Outbounds, n, effect))
        }
        ("POST", _) => {
            let l = world.create_label(n, &read(&body()?, schema::CREATE_LABEL)?, by)?;
            let id = world.thing(Kind::Labels, l)?.id.clone();
            let effect = format!("shipping-labels {id} of outbound {} created", world.outbound(n)?.id);
            Ok(Answer::json(201, world.label_json(n, &id)?.to_string()).effect(effect))
        }
        _ => {
            let told = read(&body()?, schema::CHANGE_WAREHOUSE)?;
            let warehouse = told.text("warehouseId").unwrap_or_default();
            world.move_outbound(n, warehouse, crate::api::flag(query, "oversale")?, by)?;
            let effect = format!("outbound {} is in {warehouse}", world.outbound(n)?.id);
            Ok(changed(world, role, Kind::Outbounds, n, effect))
        }
    }
}

/// Pictures of a product, and products that are related to it.
fn beside_product(world: &mut World, write: &Write<'_>) -> Outcome {
    let Write { role, method, lower, path, body, .. } = *write;
    let by = Actor::of(role);
    let n = world.find_thing(Kind::Products, role, path.get(1).copied().unwrap_or_default())?;
    match (method.as_str(), lower) {
        ("POST", [.., "pictures"]) => {
            let p = world.add_picture(n, &read(&body()?, schema::CREATE_PICTURE)?, by)?;
            let effect = format!("pictures {} created", world.thing(Kind::Pictures, p)?.number);
            Ok(Answer::json(201, world.picture_row(n, p, role).to_string()).effect(effect))
        }
        ("DELETE", _) => {
            let p = world.picture(n, path.get(3).copied().unwrap_or_default())?;
            world.remove_picture(n, p, by);
            let effect = format!("pictures {} deleted", world.thing(Kind::Pictures, p)?.number);
            Ok(changed(world, role, Kind::Products, n, effect))
        }
        _ if role == Role::Merchant => {
            let told = read(&body()?, schema::MERCHANT_RELATED)?;
            let other = told.text("jfsku").unwrap_or_default();
            world.add_related(n, other, by)?;
            made(world, role, Kind::Products, n).map(|answer| {
                let effect = format!("products {} related to {other}", path.get(1).copied().unwrap_or_default());
                answer.effect(effect)
            })
        }
        _ => {
            let other = world.create_related(n, &read(&body()?, schema::FULFILLER_RELATED)?, by)?;
            made(world, role, Kind::Products, other)
        }
    }
}

/// Amazon credentials of the merchant.
fn of_credential(world: &mut World, write: &Write<'_>) -> Outcome {
    let Write { role, method, path, body, .. } = *write;
    let by = Actor::of(role);
    if *method == Method::POST {
        let c = world.create_credential(&read(&body()?, schema::CREATE_CREDENTIAL)?, by)?;
        return made(world, role, Kind::Credentials, c);
    }
    let c = world.find_thing(Kind::Credentials, role, path.get(2).copied().unwrap_or_default())?;
    world.bury(Kind::Credentials, c, by);
    done(world, role, Kind::Credentials, c, "deleted")
}

/// The fulfiller's grants.
fn grant(world: &mut World, write: &Write<'_>) -> Outcome {
    let Write { role, method, lower, path, body, .. } = *write;
    let by = Actor::of(role);
    let part = |i: usize| path.get(i).copied().unwrap_or_default();
    let (merchant, warehouse, method_id) = (part(1), part(3), part(5));
    let created = *method == Method::POST;
    let missing = match lower {
        [_, _, "warehouses"] => Missing { no_merchant: 400, no_grant: 400, no_method: 400 },
        _ => Missing { no_merchant: 404, no_grant: if created { 400 } else { 404 }, no_method: 404 },
    };
    let n = world.authorization(merchant, &missing)?;
    let effect = match (created, lower) {
        (true, [_, _, "warehouses"]) => {
            let told = read(&body()?, schema::GRANT_WAREHOUSE)?;
            world.grant_warehouse(n, &told, by)?;
            let warehouse = told.text("warehouseId").unwrap_or_default();
            return granted(world, role, n, format!("warehouse {warehouse} granted to {merchant}"), warehouse);
        }
        (true, _) => {
            let told = read(&body()?, schema::GRANT_METHOD)?;
            let method = told.text("shippingMethodId").unwrap_or_default();
            world.grant_method(n, warehouse, method, &missing)?;
            let effect = format!("shipping method {method} in {warehouse} granted to {merchant}");
            return granted(world, role, n, effect, &format!("{warehouse}:{method}"));
        }
        (false, [_, _, _, _]) => {
            world.ungrant_warehouse(n, warehouse, by)?;
            format!("warehouse {warehouse} taken from {merchant}")
        }
        (false, _) => {
            world.ungrant_method(n, warehouse, method_id, &missing)?;
            format!("shipping method {method_id} in {warehouse} taken from {merchant}")
        }
    };
    let key = if method_id.is_empty() { warehouse.to_owned() } else { format!("{warehouse}:{method_id}") };
    let mut answer = changed(world, role, Kind::Authorizations, n, String::new());
    answer.effects.clear();
    Ok(answer.also(effect, key))
}

fn granted(world: &World, role: Role, n: usize, effect: String, key: &str) -> Outcome {
    let mut answer = made(world, role, Kind::Authorizations, n)?;
    answer.effects.clear();
    Ok(answer.also(effect, key))
}

fn known_fulfiller(world: &World, told: &Json) -> Outcome<()> {
    let id = told.text("fulfillerId").unwrap_or_default();
    if id == world.catalog.fulfiller {
        return world.check_relation(400);
    }
    if world.things.fulfillers.by_id(id).is_some() {
        return Err(Fail { status: 400, ..Kind::Authorizations.not_found(&world.catalog.merchant) });
    }
    Err(Fail::new(400, "Users_UserNotFound", "The user was not found.").with("UserId", id))
}

/// The fulfiller corrects the stock.
fn adjust(world: &mut World, role: Role, told: &Json) -> Outcome {
    let (jfsku, warehouse) = (told.text("jfsku").unwrap_or_default(), told.text("warehouseId").unwrap_or_default());
    let Some(product) = world.catalog.product(jfsku).cloned() else {
        return Err(Kind::Products.not_found(jfsku));
    };
    if !world.catalog.has_warehouse(warehouse) {
        return Err(Kind::Warehouses.not_found(warehouse));
    }
    let (level, blocked) = (number(told, "quantity"), number(told, "quantityBlocked"));
    World::check_goods(&product, warehouse, level)?;
    World::check_goods(&product, warehouse, blocked)?;
    World::check_lot(&product, warehouse, told)?;
    if level.is_zero() && blocked.is_zero() {
        let fail = Fail::new(400, "Stocks_QuantityAndBlockedIsZero", "A quantity is needed.");
        return Err(fail.with("Jfsku", jfsku).with("WarehouseId", warehouse));
    }
    let delta = Levels { level, blocked, ..Levels::ZERO };
    world.check_left(jfsku, warehouse, delta, told)?;
    let at = world.clock.stamp();
    let (cause, remarks) = (Cause::default(), Remarks::read(told));
    let entry = Entry { warehouse, jfsku, kind: "Adjustment", delta, cause, remarks };
    let m = world.book(entry, at, Actor::of(role));
    let row = world.show(Kind::StockChanges, m, role, None).to_string();
    Ok(Answer::json(201, row).effect(format!("stock of {jfsku} adjusted")))
}
