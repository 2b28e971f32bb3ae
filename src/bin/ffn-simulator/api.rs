//! The routes of the API: who may call what, and what comes back.

use http::Method;
use percent::decode_segment;

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::{CANCEL_REASONS, Role};
use crate::feed;
use crate::json::{Json, obj};
use crate::list::{self, Rows};
use crate::oauth::{TokenCall, field};
use crate::outbound::Outbound;
use crate::refreshes::Receipt;
use crate::schema;
use crate::world::World;

/// One request of the API or of the OAuth server.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// The request holds the creation lock of its number.
    pub(crate) own_lock: bool,
    /// Its number in the journal.
    pub(crate) seq: u64,
    pub(crate) receipt: Receipt,
}

impl Call {
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.raw_query.as_bytes()).into_owned().collect()
    }

    /// The request as the token endpoint sees it.
    pub(crate) fn for_token(&self, now: i64) -> TokenCall<'_> {
        TokenCall {
            authorization: self.authorization.as_deref(),
            form: self.content_type.starts_with("application/x-www-form-urlencoded"),
            body: &self.body,
            seq: self.seq,
            receipt: &self.receipt,
            now,
        }
    }

    fn json(&self) -> Outcome<Json> {
        let text = std::str::from_utf8(&self.body).map_err(|_| Fail::model("", "the body is not UTF-8"))?;
        Json::parse(text).map_err(|problem| Fail::model("", format!("the body is no JSON: {problem}")))
    }
}

mod percent {
    /// Decodes a path segment. An encoded slash stays encoded, as servers of this kind do it.
    pub(super) fn decode_segment(segment: &str) -> String {
        let mut out = Vec::with_capacity(segment.len());
        let mut bytes = segment.bytes();
        while let Some(b) = bytes.next() {
            if b != b'%' {
                out.push(b);
                continue;
            }
            let mut ahead = bytes.clone();
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
            match (digit(ahead.next()), digit(ahead.next())) {
                (Some(high), Some(low)) if (high, low) != (2, 15) => {
                    out.push(high * 16 + low);
                    bytes = ahead;
                }
                _ => out.push(b),
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn decodes() {
            assert_eq!(super::decode_segment("A%2D1%20%C3%BC"), "A-1 ü");
            assert_eq!(super::decode_segment("A%2F1%2f%"), "A%2F1%2f%");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Resource {
    User,
    CancelReasons,
    Outbounds,
    OutboundFeed,
    NotificationFeed,
    Outbound,
    Status,
    BulkStatus,
    Notifications,
    Notification,
    Products,
    ProductFeed,
    Product,
    Stocks,
    Stock,
    StockIn,
    StocksOf,
    Warehouses,
    WarehouseFeed,
    Warehouse,
    Methods,
    MethodFeed,
    Method,
    Partners,
    PartnerFeed,
    Partner,
}

fn resource(role: Role, path: &[&str]) -> Option<Resource> {
    use Resource as R;
    let merchant = role == Role::Merchant;
    Some(match path {
        ["outbounds"] => R::Outbounds,
        ["outbounds", "updates"] => R::OutboundFeed,
        ["outbounds", "status"] if !merchant => R::BulkStatus,
        ["outbounds", "shipping-notifications", "updates"] if merchant => R::NotificationFeed,
        ["outbounds", _] => R::Outbound,
        ["outbounds", _, "status"] => R::Status,
        ["outbounds", _, "shipping-notifications"] => R::Notifications,
        ["outbounds", _, "shipping-notifications", _] => R::Notification,
        ["products"] => R::Products,
        ["products", "updates"] => R::ProductFeed,
        ["products", _] => R::Product,
        ["stocks"] => R::Stocks,
        ["stocks", "updates" | "changes" | "complete"] => return None,
        ["stocks", "warehouse", _] => R::StocksOf,
        ["stocks", _] => R::Stock,
        ["stocks", _, _] => R::StockIn,
        ["warehouses"] => R::Warehouses,
        ["warehouses", "updates"] => R::WarehouseFeed,
        ["warehouses", _] => R::Warehouse,
        ["shippingmethods"] => R::Methods,
        ["shippingmethods", "updates"] => R::MethodFeed,
        ["shippingmethods", _] => R::Method,
        ["fulfillers"] if merchant => R::Partners,
        ["fulfillers", "updates"] if merchant => R::PartnerFeed,
        ["fulfillers", _] if merchant => R::Partner,
        ["merchants"] if !merchant => R::Partners,
        ["merchants", "updates"] if !merchant => R::PartnerFeed,
        ["merchants", _] if !merchant => R::Partner,
        _ => return None,
    })
}

fn allows(resource: Resource, role: Role, method: &Method) -> bool {
    use Resource as R;
    match resource {
        R::Outbounds => *method == Method::GET || (*method == Method::POST && role == Role::Merchant),
        R::Outbound => *method == Method::GET || (*method == Method::PATCH && role == Role::Merchant),
        R::Status => *method == Method::PUT,
        R::BulkStatus => *method == Method::POST,
        R::Notifications => *method == Method::GET || (*method == Method::POST && role == Role::Fulfiller),
        _ => *method == Method::GET,
    }
}

/// The number in the body of a request that creates an outbound; `None` for every other request.
pub(crate) fn number_to_create(call: &Call) -> Option<String> {
    let path = call.path.trim_end_matches('/');
    if call.method != Method::POST || !path.eq_ignore_ascii_case("/api/v1/merchant/outbounds") {
        return None;
    }
    call.json().ok()?.text("merchantOutboundNumber").map(str::to_owned)
}

/// Answers a request.
pub(crate) fn respond(world: &mut World, call: &Call) -> Answer {
    let now = world.clock.now();
    match (call.path.as_str(), &call.method) {
        ("/authorize", method) => {
            let form = (*method == Method::POST).then_some(call.body.as_slice());
            if form.is_none() && *method != Method::GET {
                return Answer::empty(405);
            }
            world.oauth.authorize(&world.flags, call.raw_query.as_bytes(), form, now)
        }
        ("/token", &Method::POST) => world.oauth.token(&world.flags, &call.for_token(now)),
        ("/token", _) => Answer::empty(405),
        _ => {
            let spelling = world.flags.error_metadata_spelling;
            api(world, call, now).unwrap_or_else(|fail| fail.into_answer(spelling))
        }
    }
}

fn api(world: &mut World, call: &Call, now: i64) -> Outcome {
    let trimmed = call.path.strip_suffix('/').unwrap_or(&call.path);
    let segments: Vec<String> = trimmed.split('/').skip(1).map(decode_segment).collect();
    let lower: Vec<String> = segments.iter().map(|s| s.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let (role, resource) = match lower.as_slice() {
        ["api", "v1", "users", "current"] => (None, Resource::User),
        ["api", "v1", "cancelreasons"] => (None, Resource::CancelReasons),
        ["api", "v1", "merchant", rest @ ..] => {
            (Some(Role::Merchant), resource(Role::Merchant, rest).ok_or_else(|| Fail::bare(404))?)
        }
        ["api", "v1", "fulfiller", rest @ ..] => {
            (Some(Role::Fulfiller), resource(Role::Fulfiller, rest).ok_or_else(|| Fail::bare(404))?)
        }
        _ => return Err(Fail::bare(404)),
    };
    if !allows(resource, role.unwrap_or(Role::Merchant), &call.method) {
        return Err(Fail::bare(405));
    }
    let caller = world.oauth.caller(call.authorization.as_deref(), now).ok_or_else(|| Fail::bare(401))?;
    if world.flags.switches.portal_never_visited.contains(&caller.role) {
        return Err(Fail::bare(404));
    }
    let right = if call.method == Method::GET { "read" } else { "write" };
    if let Some(role) = role {
        let scope = format!("ffn.{}.{right}", role.name());
        if !caller.scopes.contains(&scope) {
            return Err(Fail::bare(403));
        }
        if caller.role != role {
            return Err(match role {
                Role::Merchant => Fail::new(403, "Shared_UserIsNotAMerchant", "The user is not a merchant."),
                Role::Fulfiller => Fail::new(403, "Shared_UserIsNotAFulfiller", "The user is not a fulfiller."),
            });
        }
    }
    if call.method != Method::GET && !call.content_type.to_ascii_lowercase().starts_with("application/json") {
        return Err(Fail::bare(415));
    }
    let name = segments.get(4).map(String::as_str).unwrap_or_default();
    let second = segments.get(6).map(String::as_str).unwrap_or_default();
    let place = segments.get(5).map(String::as_str).unwrap_or_default();
    run(world, call, caller.role, resource, [name, place, second])
}

fn shown(world: &World, o: &Outbound, role: Role) -> String {
    o.json(role, world.partner(role), None, &world.clock).to_string()
}

fn flag(query: &[(String, String)], name: &str) -> Outcome<bool> {
    match query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_ascii_lowercase()) {
        None => Ok(false),
        Some(text) if text == "true" => Ok(true),
        Some(text) if text == "false" => Ok(false),
        Some(_) => Err(Fail::model(name, "true or false is needed")),
    }
}

fn run(world: &mut World, call: &Call, role: Role, resource: Resource, [name, place, second]: [&str; 3]) -> Outcome {
    use Resource as R;
    let query = call.query();
    let one = |found: Option<Json>, code: &'static str, key: &'static str| match found {
        Some(row) => Ok(Answer::json(200, row.to_string())),
        None => Err(Fail::new(404, code, "The object was not found.").with(key, name)),
    };
    match resource {
        R::User => {
            Ok(Answer::json(200, world.catalog.user_json(role, !world.flags.switches.leave_out_roles).to_string()))
        }
        R::CancelReasons => {
            let rows: Vec<Json> = CANCEL_REASONS
                .iter()
                .map(|(code, text)| obj([("code", (*code).into()), ("name", (*text).into())]))
                .collect();
            Ok(Answer::json(200, Json::Arr(rows).to_string()))
        }
        R::Outbounds if call.method == Method::GET => list::outbounds(world, role, &query),
        R::Outbounds => {
            let (oversale, complete) = (flag(&query, "oversale")?, flag(&query, "autoCompleteBillOfMaterials")?);
            let n = world.create(&call.json()?, oversale, complete, call.own_lock)?;
            let o = world.outbound(n)?;
            let effect = format!("outbound {} created", o.id);
            let location = format!("/api/v1/merchant/outbounds/{}", o.id);
            Ok(Answer::json(201, shown(world, o, role)).header("Location", location).effect(effect))
        }
        R::OutboundFeed => feed::outbounds(world, role, &query),
        R::NotificationFeed => feed::notifications(world, role, &query),
        R::ProductFeed | R::WarehouseFeed | R::MethodFeed | R::PartnerFeed => {
            let (tail, rows) = match resource {
                R::ProductFeed => ("products", products(world, role)),
                R::WarehouseFeed => ("warehouses", warehouses(world, role)),
                R::MethodFeed => ("shippingmethods", methods(world, role)),
                _ if role == Role::Merchant => ("fulfillers", vec![world.catalog.partner_json(role)]),
                _ => ("merchants", vec![world.catalog.partner_json(role)]),
            };
            feed::fixed(world, role, tail, rows, &query)
        }
        R::Outbound if call.method == Method::GET => {
            let n = world.find(role, name)?;
            Ok(Answer::json(200, shown(world, world.outbound(n)?, role)))
        }
        R::Outbound => {
            let n = world.find(role, name)?;
            let (oversale, complete) = (flag(&query, "oversale")?, flag(&query, "autoCompleteBillOfMaterials")?);
            world.change(n, &call.json()?, oversale, complete)?;
            Ok(Answer::empty(204).effect(format!("outbound {} changed", world.outbound(n)?.id)))
        }
        R::Status => {
            let n = world.find(role, name)?;
            if role == Role::Fulfiller {
                world.check_version(n, field(&query, "objectVersion"))?;
            }
            world.change_status(role, n, &call.json()?)?;
            let o = world.outbound(n)?;
            Ok(Answer::empty(204).effect(format!("outbound {} is {}", o.id, o.status)))
        }
        R::BulkStatus => bulk_status(world, role, &call.json()?),
        R::Notifications if call.method == Method::GET => {
            let n = world.find(role, name)?;
            let all = &world.outbound(n)?.notifications;
            let rows = all.iter().filter_map(|x| world.notifications.get(*x));
            let rows: Vec<Json> = rows.map(|x| x.json(role, world.partner(role), None, &world.clock)).collect();
            Ok(Answer::json(200, Json::Arr(rows).to_string()))
        }
        R::Notifications => {
            let n = world.find(role, name)?;
            let x = world.notify(n, &call.json()?)?;
            let Some(notification) = world.notifications.get(x) else { return Err(Fail::bare(500)) };
            let effect = format!(
                "notification {} created, outbound {} is {}",
                notification.id, notification.outbound_id, notification.status
            );
            let body = notification.json(role, world.partner(role), None, &world.clock).to_string();
            Ok(Answer::json(201, body).effect(effect))
        }
        R::Notification => {
            let n = world.find(role, name)?;
            let x = world.find_notification(n, second)?;
            let row = world.notifications.get(x).map(|x| x.json(role, world.partner(role), None, &world.clock));
            one(row, "Outbounds_OutboundShippingNotificationNotFound", "OutboundId")
        }
        R::Products => list::fixed(products(world, role), Rows::Products, &query),
        R::Product => match world.catalog.product(name) {
            Some(p) if !p.active && role == Role::Merchant => {
                Err(Fail::new(404, "Products_ProductNotActive", "The product is not active.").with("Jfsku", name))
            }
            found => one(found.map(|p| world.catalog.product_json(p, role)), "Products_ProductNotFound", "Jfsku"),
        },
        R::Stocks => {
            let rows = stocked(world).map(|jfsku| world.stock_json(jfsku, None, role)).collect();
            list::fixed(rows, Rows::Stocks, &query)
        }
        R::StocksOf => {
            if !world.catalog.has_warehouse(place) {
                return Err(no_warehouse(place));
            }
            let rows = stocked(world).map(|jfsku| world.stock_json(jfsku, Some(place), role)).collect();
            list::fixed(rows, Rows::StocksOf, &query)
        }
        R::Stock => {
            let found = world.catalog.product(name).map(|p| world.stock_json(&p.jfsku, None, role));
            one(found, "Products_ProductNotFound", "Jfsku")
        }
        R::StockIn => {
            if !world.catalog.has_warehouse(place) {
                return Err(no_warehouse(place));
            }
            let found = world.catalog.product(name).map(|p| world.stock_json(&p.jfsku, Some(place), role));
            one(found, "Products_ProductNotFound", "Jfsku")
        }
        R::Warehouses => list::fixed(warehouses(world, role), Rows::Warehouses, &query),
        R::Warehouse => {
            let found = world.catalog.warehouses.iter().find(|w| w.id == name);
            one(found.map(|w| world.catalog.warehouse_json(w, role)), "Warehouses_WarehouseNotFound", "WarehouseId")
        }
        R::Methods => list::fixed(methods(world, role), Rows::Methods, &query),
        R::Method => {
            let found = world.catalog.method(name).map(|m| world.catalog.method_json(m, role));
            one(found, "ShippingMethods_ShippingMethodNotFound", "ShippingMethodId")
        }
        R::Partners => list::fixed(vec![world.catalog.partner_json(role)], Rows::Partners, &query),
        R::Partner => {
            let found = (world.partner(role) == name).then(|| world.catalog.partner_json(role));
            one(found, "Users_UserNotFound", "UserId")
        }
    }
}

fn no_warehouse(id: &str) -> Fail {
    Fail::new(404, "Warehouses_WarehouseNotFound", "The warehouse was not found.").with("WarehouseId", id)
}

fn stocked(world: &World) -> impl Iterator<Item = &str> {
    world.catalog.products.iter().filter(|p| p.active && p.components.is_empty()).map(|p| p.jfsku.as_str())
}

fn products(world: &World, role: Role) -> Vec<Json> {
    world.catalog.products.iter().filter(|p| p.active).map(|p| world.catalog.product_json(p, role)).collect()
}

fn warehouses(world: &World, role: Role) -> Vec<Json> {
    world.catalog.warehouses.iter().map(|w| world.catalog.warehouse_json(w, role)).collect()
}

fn methods(world: &World, role: Role) -> Vec<Json> {
    world.catalog.methods.iter().map(|m| world.catalog.method_json(m, role)).collect()
}

/// Every item stands for itself: what fails is named in its row, and the answer is still 200.
fn bulk_status(world: &mut World, role: Role, body: &Json) -> Outcome {
    let body = schema::check(body, schema::BULK_STATUS).map_err(Fail::flaws)?;
    let Some(Json::Arr(items)) = body.get("items") else { return Err(Fail::bare(400)) };
    let mut rows = Vec::new();
    let mut effects = Vec::new();
    for item in items {
        let id = item.text("outboundId").unwrap_or_default();
        let mut change = item.clone();
        change.remove("outboundId");
        change.remove("objectVersion");
        let done = world.find(role, id).and_then(|n| {
            world.check_version(n, item.text("objectVersion"))?;
            world.change_status(role, n, &change)?;
            Ok(n)
        });
        let known = done.as_ref().ok().copied().or_else(|| world.by_id(id)).and_then(|n| world.outbounds.get(n));
        let error = done.as_ref().err().map(|fail| match fail.code {
            // The singular stands in the document's sample.
            "Outbounds_OutboundStatusChangeForbidden" => "Outbound_StatusChangeForbidden",
            code => code,
        });
        if error.is_none() {
            effects.push(format!("outbound {id} is {}", known.map_or("", |o| o.status.as_str())));
        }
        rows.push(obj([
            ("outboundId", id.into()),
            ("status", known.map_or(item.text("status"), |o| Some(o.status.as_str())).into()),
            ("errorCode", error.into()),
            ("objectVersion", known.map(|o| world.clock.text(o.updated())).into()),
        ]));
    }
    let answer = Answer::json(200, Json::Arr(rows).to_string());
    Ok(if effects.is_empty() { answer } else { answer.effect(effects.join(", ")) })
}
