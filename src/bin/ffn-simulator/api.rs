//! The routes of the API: who may call what, and what comes back.

use http::Method;
use percent::decode_segment;

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::{CANCEL_REASONS, Product, Role};
use crate::feed;
use crate::json::{Json, obj};
use crate::list::{self, Limits, Stocks};
use crate::oauth::{TokenCall, field};
use crate::refreshes::Receipt;
use crate::schema;
use crate::switches::{CreateAnswer, ReasonsShape};
use crate::things::{KINDS, Kind};
use crate::world::World;
use crate::writes::{self, Write};

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

    /// The parts of the path.
    pub(crate) fn segments(&self) -> Vec<String> {
        let trimmed = self.path.strip_suffix('/').unwrap_or(&self.path);
        trimmed.split('/').skip(1).map(decode_segment).collect()
    }

    pub(crate) fn json(&self) -> Outcome<Json> {
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
    List(Kind),
    Feed(Kind),
    One(Kind),
    Status,
    BulkStatus,
    Notifications,
    Notification,
    InboundNotifications,
    InboundNotification,
    ChangesOfReturn,
    ReturnItem,
    ProductAuthorizations,
    Stocks,
    Stock,
    StockIn,
    StocksOf,
    CompleteStocks,
    StockChangesIn,
    Attachment,
    Label,
    Picture,
    PictureBytes,
    Credentials,
    Credential,
    /// Nothing to read here.
    WriteOnly,
}

fn resource(role: Role, path: &[&str]) -> Option<Resource> {
    use Resource as R;
    let merchant = role == Role::Merchant;
    let kind_of = |name: &str| KINDS.into_iter().find(|k| k.spec().path == name && k.is_for(role));
    Some(match path {
        ["outbounds", "status"] if !merchant => R::BulkStatus,
        ["outbounds", "shipping-notifications", "updates"] if merchant => R::Feed(Kind::Notifications),
        ["outbounds", _, "status"] => R::Status,
        ["outbounds", _, "shipping-notifications"] => R::Notifications,
        ["outbounds", _, "shipping-notifications", _] => R::Notification,
        ["outbounds", _, "attachments", _] => R::Attachment,
        ["outbounds", _, "shipping-labels", _] if !merchant => R::Label,
        ["products", _, "pictures", _] => R::Picture,
        ["products", _, "pictures", _, "data"] => R::PictureBytes,
        ["credentials", "amazonsfp"] if merchant => R::Credentials,
        ["credentials", "amazonsfp", _] if merchant => R::Credential,
        ["inbounds", "shipping-notifications", "updates"] => R::Feed(Kind::InboundNotifications),
        ["inbounds", _, "shipping-notifications"] => R::InboundNotifications,
        ["inbounds", _, "shipping-notifications", _] => R::InboundNotification,
        ["returns", "changes"] => R::Feed(Kind::ReturnChanges),
        ["returns", _, "changes"] => R::ChangesOfReturn,
        ["returns", _, "items", _] => R::ReturnItem,
        ["products", _, "authorizations"] if merchant => R::ProductAuthorizations,
        ["stocks"] => R::Stocks,
        ["stocks", "updates"] => R::Feed(Kind::StockChanges),
        ["stocks", "changes"] => R::List(Kind::StockChanges),
        ["stocks", "changes", _] if !merchant => R::StockChangesIn,
        ["stocks", "complete"] if merchant => R::CompleteStocks,
        ["stocks", "complete"] => return None,
        ["stocks", "warehouse", _] => R::StocksOf,
        ["stocks", _] => R::Stock,
        ["stocks", _, _] => R::StockIn,
        [name] => R::List(kind_of(name)?),
        [name, "updates"] => R::Feed(kind_of(name)?),
        [name, _] => R::One(kind_of(name)?),
        _ => return None,
    })
}

fn allows(resource: Resource, role: Role, method: &Method) -> bool {
    use Resource as R;
    let merchant = role == Role::Merchant;
    match (resource, method) {
        (R::Status, method) => *method == Method::PUT,
        (R::BulkStatus, method) => *method == Method::POST,
        (R::WriteOnly, _) => false,
        (_, &Method::GET) => true,
        (R::List(Kind::Outbounds), &Method::POST) | (R::One(Kind::Outbounds), &Method::PATCH) => merchant,
        (R::Notifications, &Method::POST) => !merchant,
        _ => false,
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
    let now = world.oauth_now();
    if call.method != Method::GET {
        world.writes = world.writes.wrapping_add(1);
    }
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
            let limited = world.flags.switches.rate_limit.is_some();
            let caller = limited.then(|| world.oauth.caller(call.authorization.as_deref(), now)).flatten();
            let quota =
                caller.and_then(|caller| world.quotas.take(caller.role, world.clock.now(), &world.flags.switches));
            let answer = quota.and_then(|quota| quota.refusal()).unwrap_or_else(|| {
                let switches = &world.flags.switches;
                let (spelling, create) = (switches.error_metadata_spelling, switches.create_answer);
                match api(world, call, now) {
                    Ok(answer) if answer.status == 201 && create == CreateAnswer::Empty => {
                        Answer { kind: "", body: Vec::new(), ..answer }
                    }
                    Ok(answer) => answer,
                    Err(fail) => fail.into_answer(spelling),
                }
            });
            match quota {
                Some(quota) => quota.tell(answer),
                None => answer,
            }
        }
    }
}

fn api(world: &mut World, call: &Call, now: i64) -> Outcome {
    let segments = call.segments();
    let lower: Vec<String> = segments.iter().map(|s| s.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let below = lower.get(3..).unwrap_or_default();
    let found = |role: Role, rest: &[&str]| {
        let found = resource(role, rest).or_else(|| writes::is_path(role, rest).then_some(Resource::WriteOnly));
        found.ok_or_else(|| Fail::bare(404))
    };
    let (role, resource) = match lower.as_slice() {
        ["api", "pictures", _] if call.method == Method::GET => {
            // For everybody, also without a token.
            let guid = segments.get(2).map(String::as_str).unwrap_or_default();
            let p = world.things.pictures.by_id(guid).ok_or_else(|| Fail::bare(404))?;
            return world.picture_bytes(p, Role::Fulfiller);
        }
        ["api", "v1", "users", "current"] => (None, Resource::User),
        ["api", "v1", "cancelreasons"] => (None, Resource::CancelReasons),
        ["api", "v1", "merchant", rest @ ..] => (Some(Role::Merchant), found(Role::Merchant, rest)?),
        ["api", "v1", "fulfiller", rest @ ..] => (Some(Role::Fulfiller), found(Role::Fulfiller, rest)?),
        _ => return Err(Fail::bare(404)),
    };
    let write = role.is_some_and(|role| writes::is_there(role, &call.method, below));
    if !write && !allows(resource, role.unwrap_or(Role::Merchant), &call.method) {
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
    let bodiless = write && call.body.is_empty() && (call.method == Method::DELETE || call.method == Method::PUT);
    let json = call.content_type.to_ascii_lowercase().starts_with("application/json");
    if call.method != Method::GET && !bodiless && !json {
        return Err(Fail::bare(415));
    }
    if write {
        let path: Vec<&str> = segments.iter().skip(3).map(String::as_str).collect();
        let query = call.query();
        let body = || call.json();
        let write =
            Write { role: caller.role, method: &call.method, lower: below, path: &path, query: &query, body: &body };
        return writes::run(world, &write);
    }
    let name = segments.get(4).map(String::as_str).unwrap_or_default();
    let second = segments.get(6).map(String::as_str).unwrap_or_default();
    let place = segments.get(5).map(String::as_str).unwrap_or_default();
    run(world, call, caller.role, resource, [name, place, second])
}

fn shown(world: &World, kind: Kind, n: usize, role: Role) -> String {
    world.show(kind, n, role, None).to_string()
}

pub(crate) fn flag(query: &[(String, String)], name: &str) -> Outcome<bool> {
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
    match resource {
        R::User => {
            Ok(Answer::json(200, world.catalog.user_json(role, !world.flags.switches.leave_out_roles).to_string()))
        }
        R::CancelReasons => {
            let rows: Vec<Json> = CANCEL_REASONS
                .iter()
                .map(|(code, text)| obj([("code", (*code).into()), ("name", (*text).into())]))
                .collect();
            let body = match world.flags.switches.cancel_reasons_shape {
                ReasonsShape::Array => Json::Arr(rows),
                ReasonsShape::Items => obj([("items", rows.into())]),
            };
            Ok(Answer::json(200, body.to_string()))
        }
        R::List(Kind::Outbounds) if call.method == Method::POST => {
            let (oversale, complete) = (flag(&query, "oversale")?, flag(&query, "autoCompleteBillOfMaterials")?);
            let n = world.create(&call.json()?, oversale, complete, call.own_lock)?;
            let o = world.outbound(n)?;
            let effect = format!("outbound {} created", o.id);
            let location = format!("/api/v1/merchant/outbounds/{}", o.id);
            let body = shown(world, Kind::Outbounds, n, role);
            Ok(Answer::json(201, body).header("Location", location).effect(effect))
        }
        R::One(Kind::Outbounds) if call.method == Method::PATCH => {
            let n = world.find(role, name)?;
            let (oversale, complete) = (flag(&query, "oversale")?, flag(&query, "autoCompleteBillOfMaterials")?);
            world.change(n, &call.json()?, oversale, complete)?;
            let effect = format!("outbound {} changed", world.outbound(n)?.id);
            Ok(writes::changed(world, role, Kind::Outbounds, n, effect))
        }
        R::List(Kind::Products) => {
            // The two queries of this list only: who may see the product, where it has stock.
            let limits = Limits {
                stocked_in: field(&query, "referencedWarehouse"),
                shared_with: field(&query, "referencedFulfiller"),
                ..Limits::default()
            };
            list::of(world, role, Kind::Products, &query, limits)
        }
        R::List(kind) => list::of(world, role, kind, &query, Limits::default()),
        R::Feed(kind) => {
            let tail = match kind {
                Kind::ReturnChanges => kind.spec().path.to_owned(),
                _ => format!("{}/updates", kind.spec().path),
            };
            feed::of(world, role, kind, &tail, None, &query)
        }
        R::One(Kind::Outbounds) => {
            let n = world.find(role, name)?;
            Ok(Answer::json(200, shown(world, Kind::Outbounds, n, role)))
        }
        R::One(kind) => {
            let found = world.find_thing(kind, role, name).map_err(|fail| {
                let gone = kind == Kind::Products && world.catalog.product(name).is_some_and(|p| !p.active);
                match gone && role == Role::Merchant {
                    true => {
                        Fail::new(404, "Products_ProductNotActive", "The product is not active.").with("Jfsku", name)
                    }
                    false if kind == Kind::Authorizations && world.things.merchants.by_id(name).is_none() => {
                        Kind::Merchants.not_found(name)
                    }
                    false => fail,
                }
            });
            Ok(Answer::json(200, shown(world, kind, found?, role)))
        }
        R::Status => {
            let n = world.find(role, name)?;
            if role == Role::Fulfiller {
                world.check_version(n, field(&query, "objectVersion"))?;
            }
            let told = call.json()?;
            let effect = match world.change_status(role, n, &told)? {
                true => world.outbound(n).map(|o| format!("outbound {} is {}", o.id, o.status))?,
                false => String::new(),
            };
            let mut answer = writes::changed(world, role, Kind::Outbounds, n, effect);
            answer.effects.retain(|effect| !effect.text.is_empty());
            Ok(answer)
        }
        R::BulkStatus => bulk_status(world, role, &call.json()?),
        R::Notifications if call.method == Method::GET => {
            let n = world.find(role, name)?;
            let all = world.outbound(n)?.notifications.iter();
            let rows: Vec<Json> = all.map(|x| world.show(Kind::Notifications, *x, role, None)).collect();
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
            Ok(Answer::json(201, shown(world, Kind::Notifications, x, role)).effect(effect))
        }
        R::Notification => {
            let n = world.find(role, name)?;
            let x = world.find_notification(n, second)?;
            Ok(Answer::json(200, shown(world, Kind::Notifications, x, role)))
        }
        R::InboundNotifications => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            let store = &world.things.inbound_notifications;
            let own = |x: &usize| store.get(*x).is_some_and(|t| t.parent == Some(n) && !t.record.deleted);
            let rows = (0..store.len()).filter(own).map(|x| world.show(Kind::InboundNotifications, x, role, None));
            Ok(Answer::json(200, Json::Arr(rows.collect()).to_string()))
        }
        R::InboundNotification => {
            let n = world.find_thing(Kind::Inbounds, role, name)?;
            let x = notification_of(world, n, second)?;
            Ok(Answer::json(200, shown(world, Kind::InboundNotifications, x, role)))
        }
        R::ChangesOfReturn => {
            // The changes of a deleted return stay.
            let id = match world.things.returns.known(name) {
                Some(n) => world.thing(Kind::Returns, n)?.id.clone(),
                None => return Err(Kind::Returns.not_found(name)),
            };
            feed::of(world, role, Kind::ReturnChanges, &format!("returns/{id}/changes"), Some(&id), &query)
        }
        R::Attachment => world.attachment_data(world.find(role, name)?, role, second),
        R::Label => Ok(Answer::json(200, world.label_json(world.find(role, name)?, second)?.to_string())),
        R::Picture | R::PictureBytes => {
            let p = world.picture(world.find_thing(Kind::Products, role, name)?, second)?;
            if resource == R::Picture { world.picture_data(p, role) } else { world.picture_bytes(p, role) }
        }
        R::Credentials => {
            let all = world.things.credentials.iter().enumerate().filter(|(_, c)| !c.record.deleted);
            let rows = all.map(|(c, _)| world.show(Kind::Credentials, c, role, None));
            Ok(Answer::json(200, Json::Arr(rows.collect()).to_string()))
        }
        R::Credential => {
            let c = world.find_thing(Kind::Credentials, role, place)?;
            Ok(Answer::json(200, shown(world, Kind::Credentials, c, role)))
        }
        R::ReturnItem => {
            let n = world.find_thing(Kind::Returns, role, name)?;
            let (_, item) = world.return_item(n, second)?;
            Ok(Answer::json(200, item.to_string()))
        }
        R::ProductAuthorizations => {
            let n = world.find_thing(Kind::Products, role, name)?;
            let shared = world.catalog.products.get(n).is_some_and(|p| p.shared);
            let grant = || {
                let modified = world.show(Kind::Products, n, role, None).get("modificationInfo").cloned();
                let fulfiller = world.catalog.fulfiller.as_str();
                obj([("fulfillerId", fulfiller.into()), ("modificationInfo", modified.into())])
            };
            let rows: Vec<Json> = shared.then(grant).into_iter().collect();
            Ok(Answer::json(200, Json::Arr(rows).to_string()))
        }
        R::WriteOnly => Err(Fail::bare(405)),
        R::StockChangesIn => {
            if !world.catalog.has_warehouse(place) {
                return Err(no_warehouse(place));
            }
            let limits = Limits { place: Some(place), ..Limits::default() };
            list::of(world, role, Kind::StockChanges, &query, limits)
        }
        R::Stocks => {
            let at = date(&query)?;
            let rows = stocked(world, false).filter(|jfsku| world.ledger.knows(jfsku));
            let rows = rows.map(|jfsku| world.stock_json(jfsku, None, role, at)).collect();
            list::stocks(world, role, rows, Stocks::All, &query)
        }
        R::CompleteStocks => complete_stocks(world, role, &query),
        R::StocksOf => {
            if !world.catalog.has_warehouse(place) {
                return Err(no_warehouse(place));
            }
            let at = date(&query)?;
            let rows = stocked(world, false).filter(|jfsku| world.ledger.pile(place, jfsku).is_some());
            let rows = rows.map(|jfsku| world.stock_json(jfsku, Some(place), role, at)).collect();
            list::stocks(world, role, rows, Stocks::InWarehouse, &query)
        }
        R::Stock | R::StockIn => {
            let warehouse = (resource == R::StockIn).then_some(place);
            if let Some(place) = warehouse.filter(|place| !world.catalog.has_warehouse(place)) {
                return Err(no_warehouse(place));
            }
            let at = date(&query)?;
            match world.catalog.product(name) {
                Some(p) => Ok(Answer::json(200, world.stock_json(&p.jfsku, warehouse, role, at).to_string())),
                None => Err(Kind::Products.not_found(name)),
            }
        }
    }
}

/// The notification of an inbound by its id or number.
pub(crate) fn notification_of(world: &World, inbound: usize, name: &str) -> Outcome<usize> {
    let store = &world.things.inbound_notifications;
    let own = |x: &usize| store.get(*x).is_some_and(|t| t.parent == Some(inbound));
    let found = store.by_id(name).filter(own).or_else(|| store.numbered(name).find(own));
    found.ok_or_else(|| Kind::InboundNotifications.not_found(name))
}

/// The time that `date` asks for.
fn date(query: &[(String, String)]) -> Outcome<Option<i64>> {
    match query.iter().find(|(n, _)| n.eq_ignore_ascii_case("date")) {
        None => Ok(None),
        Some((_, text)) => match crate::clock::parse(text) {
            Some(at) => Ok(Some(at.timestamp_millis())),
            None => Err(Fail::model("date", format!("{text} is no date-time"))),
        },
    }
}

/// All products, also those without stock; pages like a feed.
fn complete_stocks(world: &World, role: Role, query: &[(String, String)]) -> Outcome {
    let at = date(query)?.unwrap_or_else(|| world.clock.now());
    let bundles = flag(query, "includeBillOfMaterials")?;
    let page = match field(query, "page").map(str::parse::<usize>) {
        None => 1,
        Some(Ok(page)) if page > 0 => page,
        Some(_) => return Err(Fail::model("page", "a number from 1 is needed")),
    };
    let size = world.flags.switches.chunk_size;
    let mut rows = stocked(world, bundles).skip((page - 1).saturating_mul(size));
    let items: Vec<Json> =
        rows.by_ref().take(size).map(|jfsku| world.stock_json(jfsku, None, role, Some(at))).collect();
    let more = rows.next().is_some();
    let text = world.clock.text(at);
    let url = more.then(|| {
        let query = format!("date={}&page={}&includeBillOfMaterials={bundles}", feed::escape(&text), page + 1);
        feed::chunk_url(world, &format!("/api/v1/{}/stocks/complete", role.name()), &query)
    });
    let url = url.filter(|_| !world.flags.switches.leave_out_next_chunk_url);
    let body = obj([
        ("date", text.as_str().into()),
        ("items", items.into()),
        ("moreDataAvailable", more.into()),
        ("nextChunkUrl", url.into()),
    ]);
    Ok(Answer::json(200, body.to_string()))
}

fn no_warehouse(id: &str) -> Fail {
    Fail::new(404, "Warehouses_WarehouseNotFound", "The warehouse was not found.").with("WarehouseId", id)
}

fn stocked(world: &World, bundles: bool) -> impl Iterator<Item = &str> {
    let fits = move |p: &&Product| p.active && (bundles || p.components.is_empty());
    world.catalog.products.iter().filter(fits).map(|p| p.jfsku.as_str())
}

/// Every item stands for itself: what fails is named in its row, and the answer is still 200.
fn bulk_status(world: &mut World, role: Role, body: &Json) -> Outcome {
    let body = schema::check(body, schema::BULK_STATUS).map_err(Fail::flaws)?;
    let Some(Json::Arr(items)) = body.get("items") else { return Err(Fail::bare(400)) };
    let mut rows = Vec::new();
    let mut answer = Answer::json(200, String::new());
    for item in items {
        let id = item.text("outboundId").unwrap_or_default();
        let mut change = item.clone();
        change.remove("outboundId");
        change.remove("objectVersion");
        let done = world.find(role, id).and_then(|n| {
            world.check_version(n, item.text("objectVersion"))?;
            world.change_status(role, n, &change)
        });
        let known = world.outbounds.by_id(id).and_then(|n| world.outbounds.get(n));
        let error = done.as_ref().err().map(|fail| match fail.code {
            // The singular stands in the document's sample.
            "Outbounds_OutboundStatusChangeForbidden" => "Outbound_StatusChangeForbidden",
            code => code,
        });
        if let (Ok(true), Some(o)) = (&done, known) {
            answer = answer.also(format!("outbound {id} is {}", o.status), o.number.as_str());
        }
        if error.is_some() && world.flags.switches.leave_out_failed_statuses {
            continue;
        }
        rows.push(obj([
            ("outboundId", id.into()),
            ("status", known.map_or(item.text("status"), |o| Some(o.status.as_str())).into()),
            ("errorCode", error.into()),
            ("objectVersion", known.map(|o| world.clock.text(o.record.updated())).into()),
        ]));
    }
    answer.body = Json::Arr(rows).to_string().into_bytes();
    Ok(answer)
}
