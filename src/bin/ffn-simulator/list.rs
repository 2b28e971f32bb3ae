//! List endpoints: filter, order, pages.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::Role;
use crate::filter::{self, Fields, Filter, SortKey};
use crate::json::{Json, int, obj};
use crate::record::Record;
use crate::switches::{ListShape, PageTotal};
use crate::things::Kind;
use crate::world::World;

const OUTBOUNDS: Fields = Fields {
    plain: &[
        "outboundId",
        "merchantOutboundNumber",
        "warehouseId",
        "externalNumber",
        "premiumType",
        "status",
        "shippingAddress/lastname",
        "shippingAddress/company",
        "shippingAddress/city",
        "shippingAddress/email",
        "items/jfsku",
        "items/outboundItemId",
        "items/name",
        "items/merchantSku",
        "items/quantity",
        "senderAddress/lastname",
        "senderAddress/company",
        "senderAddress/city",
        "senderAddress/email",
        "attributes/key",
        "attributes/value",
        "statusTimestamp/pending",
        "statusTimestamp/preparation",
        "statusTimestamp/acknowledged",
        "statusTimestamp/locked",
        "statusTimestamp/pickprocess",
        "statusTimestamp/shipped",
        "statusTimestamp/partiallyShipped",
        "statusTimestamp/canceled",
        "statusTimestamp/partiallyCanceled",
    ],
    also: &[],
    lists: &["items", "attributes"],
};

const INBOUNDS: Fields = Fields {
    plain: &[
        "inboundId",
        "status",
        "merchantInboundNumber",
        "warehouseId",
        "purchaseOrderNumber",
        "externalInboundNumber",
        "attributes/key",
        "attributes/value",
        "items/inboundItemId",
        "items/jfsku",
        "items/quantity",
        "items/supplierSku",
    ],
    also: &[],
    lists: &["items", "attributes"],
};

const RETURNS: Fields = Fields {
    plain: &[
        "returnId",
        "state",
        "warehouseId",
        "merchantReturnNumber",
        "fulfillerReturnNumber",
        "customerAddress/lastname",
        "customerAddress/company",
        "customerAddress/city",
        "customerAddress/email",
        "items/returnItemId",
        "items/jfsku",
        "items/merchantSku",
        "items/name",
        "items/outboundId",
        "items/condition",
    ],
    also: &[],
    lists: &["items"],
};

const STOCK_CHANGES: Fields = Fields {
    plain: &[
        "fulfillerStockChangeId",
        "fulfillerTimestamp",
        "stockLevel",
        "stockLevelReserved",
        "stockLevelBlocked",
        "stockLevelAnnounced",
        "quantity",
        "quantityReserved",
        "quantityBlocked",
        "quantityAnnounced",
        "changeType",
        "stockChangeId/warehouseId",
        "stockChangeId/jfsku",
        "inboundItem/inboundId",
        "outboundItem/outboundId",
        "outboundShippingNotificationItem/outboundShippingNotificationId",
    ],
    also: &["current"],
    lists: &[],
};

const AUTHORIZATIONS: Fields =
    Fields { plain: &["merchantId", "warehouses/warehouseId"], also: &[], lists: &["warehouses"] };

const NONE: Fields = Fields { plain: &[], also: &[], lists: &[] };

const PRODUCTS: Fields = Fields {
    plain: &[
        "jfsku",
        "name",
        "merchantSku",
        "productGroup",
        "manufacturer",
        "condition",
        "identifier/ean",
        "identifier/isbn",
        "identifier/upc",
        "identifier/asin",
        "identifier/mpn/manufacturer",
        "identifier/mpn/partNumber",
        "specifications/unNumber",
        "specifications/hazardIdentifier",
        "specifications/taric",
        "specifications/fnsku",
        "specifications/isBatch",
        "specifications/isDivisible",
        "specifications/isBestBefore",
        "specifications/isSerialNumber",
        "specifications/isBillOfMaterials",
        "attributes/key",
        "attributes/value",
        "bundles/ean",
        "bundles/upc",
        "relatedProducts/jfsku",
        "relatedProducts/condition",
        "identifier",
        "pictures/number",
        "statistics/incomingGoods",
        "statistics/outgoingGoods",
        "statistics/outgoingGoodsLast30",
        "statistics/outgoingGoodsLast365",
        "statistics/outgoingGoods30To60",
        "statistics/averageInventory",
        "statistics/inventoryTurnover",
        "statistics/rangesOfCoverage",
        "stock/stockLevel",
        "stock/stockLevelAnnounced",
        "stock/stockLevelReserved",
        "stock/stockLevelBlocked",
    ],
    also: &[],
    lists: &["attributes", "bundles", "relatedProducts", "pictures"],
};

const STOCKS: Fields = Fields {
    plain: &[
        "stockLevel",
        "stockLevelAnnounced",
        "stockLevelReserved",
        "stockLevelBlocked",
        "stockReservedDetails/outboundId",
        "stockAnnouncedDetails/inboundId",
        "warehouses/warehouseId",
        "warehouses/stockLevel",
        "warehouses/stockLevelAnnounced",
        "warehouses/stockLevelReserved",
        "warehouses/stockLevelBlocked",
    ],
    also: &[],
    lists: &["stockReservedDetails", "stockAnnouncedDetails", "warehouses", "fulfiller"],
};

const STOCKS_OF: Fields = Fields {
    plain: &[
        "warehouseId",
        "stockLevel",
        "stockLevelAnnounced",
        "stockLevelReserved",
        "stockLevelBlocked",
        "stockReservedDetails/outboundId",
        "stockAnnouncedDetails/inboundId",
    ],
    also: &[],
    lists: &["stockReservedDetails", "stockAnnouncedDetails"],
};

const WAREHOUSES: Fields = Fields {
    plain: &[
        "warehouseId",
        "fulfillerId",
        "name",
        "address/lastname",
        "address/company",
        "address/city",
        "address/email",
    ],
    also: &[],
    lists: &[],
};

const METHODS: Fields = Fields {
    plain: &["shippingMethodId", "name", "carrierCode", "carrierName", "shippingType"],
    also: &[],
    lists: &[],
};

const PARTNERS: Fields = Fields {
    plain: &["userId", "address/lastname", "address/company", "address/city", "address/email"],
    also: &[],
    lists: &[],
};

/// Which list of stocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stocks {
    All,
    InWarehouse,
}

/// The fields that a role may name in a list, `stocks/changes/{warehouseId}` (`in_one`) having fewer.
const fn fields(kind: Kind, role: Role, in_one: bool) -> Fields {
    let merchant = matches!(role, Role::Merchant);
    let fields = match kind {
        Kind::Outbounds => OUTBOUNDS,
        Kind::Inbounds => INBOUNDS,
        Kind::Returns => RETURNS,
        Kind::Products => PRODUCTS,
        Kind::StockChanges => STOCK_CHANGES,
        Kind::Warehouses => WAREHOUSES,
        Kind::Methods => METHODS,
        Kind::Fulfillers | Kind::Merchants => PARTNERS,
        Kind::Authorizations => AUTHORIZATIONS,
        Kind::Notifications
        | Kind::InboundNotifications
        | Kind::ReturnChanges
        | Kind::Attachments
        | Kind::Pictures
        | Kind::Credentials
        | Kind::Labels => NONE,
    };
    let also: &[&str] = match kind {
        Kind::Outbounds | Kind::Inbounds | Kind::Returns if merchant => &["fulfillerId"],
        Kind::Outbounds | Kind::Inbounds | Kind::Returns => &["merchantId"],
        Kind::Products if !merchant => &["merchantId"],
        Kind::Methods if merchant => &["fulfillerId"],
        Kind::Methods => &["fulfillerShippingMethodNumber"],
        Kind::StockChanges if merchant => {
            &["current", "inboundItem/merchantInboundNumber", "outboundItem/merchantOutboundNumber"]
        }
        Kind::StockChanges if in_one => &[],
        _ => fields.also,
    };
    Fields { also, ..fields }
}

/// What only the merchant may name in a list of stocks.
const fn stock_fields(kind: Stocks, role: Role) -> Fields {
    let (fields, more): (Fields, &[&str]) = match kind {
        Stocks::All => (
            STOCKS,
            &[
                "warehouses/fulfillerId",
                "fulfiller/fulfillerId",
                "fulfiller/stockLevel",
                "fulfiller/stockLevelAnnounced",
                "fulfiller/stockLevelReserved",
                "fulfiller/stockLevelBlocked",
            ],
        ),
        Stocks::InWarehouse => (STOCKS_OF, &["fulfillerId"]),
    };
    match role {
        Role::Merchant => Fields { also: more, ..fields },
        Role::Fulfiller => fields,
    }
}

#[derive(Debug)]
struct Ask {
    top: usize,
    skip: usize,
    filter: Option<Filter>,
    order: Vec<SortKey>,
    /// Filter and order as they came, for the links.
    filter_text: Option<String>,
    order_text: Option<String>,
}

const DEFAULT_TOP: usize = 50;

fn read(world: &World, query: &[(String, String)], fields: Fields) -> Outcome<Ask> {
    let get = |name: &str| query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let number = |name: &'static str, default: usize| match get(name) {
        None => Ok(default),
        Some(text) => match text.parse::<u32>() {
            Ok(n) => Ok(n as usize),
            Err(_) => Err(Fail::model(name, "a number from 0 is needed")),
        },
    };
    let filter = get("$filter").map(|text| filter::parse(text, fields)).transpose();
    let order = get("$orderBy").map(|text| filter::parse_order(text, fields)).transpose();
    let most = usize::try_from(world.flags.switches.top_cap).unwrap_or(usize::MAX).max(1);
    Ok(Ask {
        top: number("$top", DEFAULT_TOP)?.clamp(1, most),
        skip: number("$skip", 0)?,
        filter: filter.map_err(|problem| Fail::model("$filter", problem))?,
        order: order.map_err(|problem| Fail::model("$orderBy", problem))?.unwrap_or_default(),
        filter_text: get("$filter").map(str::to_owned),
        order_text: get("$orderBy").map(str::to_owned),
    })
}

fn page(world: &World, name: &str, ask: &Ask, items: Vec<Json>, total: usize) -> Answer {
    let switches = &world.flags.switches;
    if switches.list_shape == ListShape::Array {
        return Answer::json(200, Json::Arr(items).to_string());
    }
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let link = |skip: usize| {
        let mut link = String::from("?");
        if let Some(text) = &ask.filter_text {
            link.push_str(&format!("$filter={}&", encode(text)));
        }
        if let Some(text) = &ask.order_text {
            link.push_str(&format!("$orderBy={}&", encode(text)));
        }
        format!("{link}$top={}&$skip={skip}", ask.top)
    };
    let next = (ask.skip.saturating_add(items.len()) < total && !items.is_empty()).then(|| link(ask.skip + ask.top));
    let previous = (ask.skip > 0).then(|| link(ask.skip.saturating_sub(ask.top)));
    let shown_total = match switches.page_total {
        PageTotal::Items => Some(total),
        PageTotal::Pages => Some(total.div_ceil(ask.top)),
        PageTotal::Absent => None,
    };
    let page = obj([("total", shown_total.map(int).into()), ("limit", int(ask.top)), ("offset", int(ask.skip))]);
    let links = obj([("previous", previous.into()), ("next", next.clone().into())]);
    let with_links = !switches.leave_out_links;
    let body = obj([
        (if switches.list_shape == ListShape::Named { name } else { "items" }, items.into()),
        ("_page", (!switches.leave_out_page).then_some(page).into()),
        ("_links", with_links.then_some(links).into()),
        ("nextPageLink", next.filter(|_| with_links).into()),
        ("count", int(total)),
    ]);
    Answer::json(200, body.to_string())
}

/// An order that nobody should count on, but that stays the same between two pages.
fn mixed(seed: u64, n: usize) -> u64 {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    let x = (seed ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The places of the objects of one list, all pages of it.
type Keys = Arc<Vec<usize>>;

/// The lists that were asked for last, for as long as nothing changes: their next pages cost only their rows.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The state of the world that they belong to.
    state: (u64, i64),
    lists: VecDeque<(String, Keys)>,
}

const MOST_KEPT: usize = 4;

impl Kept {
    fn find(&self, state: (u64, i64), name: &str) -> Option<Keys> {
        let known = self.lists.iter().find(|(known, _)| self.state == state && known == name);
        known.map(|(_, keys)| Arc::clone(keys))
    }

    fn keep(&mut self, state: (u64, i64), name: String, keys: &Keys) {
        if self.state != state || self.lists.len() >= MOST_KEPT {
            self.lists.clear();
        }
        self.state = state;
        self.lists.push_back((name, Arc::clone(keys)));
    }
}

/// What a list is limited to, besides its filter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits<'a> {
    /// Stock changes in this warehouse.
    pub(crate) place: Option<&'a str>,
    /// Products that have stock in this warehouse.
    pub(crate) stocked_in: Option<&'a str>,
    /// Products that this fulfiller may see.
    pub(crate) shared_with: Option<&'a str>,
}

impl Limits<'_> {
    fn admit(&self, world: &World, kind: Kind, n: usize) -> bool {
        match kind {
            Kind::StockChanges => self.place.is_none_or(|place| {
                let pile = world.ledger.movements.get(n).and_then(|m| world.ledger.piles.get(m.pile));
                pile.is_some_and(|p| p.warehouse == place)
            }),
            Kind::Products if self.stocked_in.is_some() || self.shared_with.is_some() => {
                world.catalog.products.get(n).is_some_and(|p| {
                    self.stocked_in.is_none_or(|place| world.ledger.pile(place, &p.jfsku).is_some())
                        && self.shared_with.is_none_or(|who| p.shared && who == world.catalog.fulfiller)
                })
            }
            _ => true,
        }
    }
}

/// The objects among which those of a list are found: all, or what an index knows.
fn candidates(world: &World, kind: Kind, ask: &Ask, limits: Limits<'_>) -> Vec<usize> {
    let (shelf, spec) = (world.shelf(kind), kind.spec());
    let filter = ask.filter.as_ref().filter(|_| !world.overlaid);
    let pinned = |name: &str| filter.filter(|_| !name.is_empty()).and_then(|f| f.pinned(name));
    if kind == Kind::StockChanges {
        let place = pinned("stockChangeId/warehouseId").or(limits.place);
        return match (pinned("stockChangeId/jfsku"), place) {
            (Some(jfsku), Some(place)) => {
                world.ledger.pile(place, jfsku).map(|p| p.entries.clone()).unwrap_or_default()
            }
            (Some(jfsku), None) => {
                let mut all: Vec<usize> =
                    world.ledger.piles_of(jfsku).flat_map(|p| p.entries.iter().copied()).collect();
                all.sort_unstable();
                all
            }
            _ => (0..shelf.count()).collect(),
        };
    }
    match (pinned(spec.number), pinned(spec.id)) {
        (Some(number), _) => shelf.with_number(number),
        (None, Some(id)) => shelf.live(id).into_iter().collect(),
        (None, None) => (0..shelf.count()).collect(),
    }
}

/// A text member of an object, if it can be had without building the object.
fn at_hand<'a>(world: &'a World, kind: Kind, n: usize, name: &str) -> Option<Option<&'a str>> {
    match kind {
        Kind::Outbounds => {
            let o = world.outbounds.get(n).filter(|o| o.record.overlay.is_empty())?;
            match name {
                "status" => Some(Some(&o.status)),
                "warehouseId" => Some(Some(&o.warehouse)),
                "outboundId" => Some(Some(&o.id)),
                "merchantOutboundNumber" => Some(Some(&o.number)),
                _ => None,
            }
        }
        Kind::StockChanges => {
            let m = world.ledger.movements.get(n).filter(|m| m.record.overlay.is_empty())?;
            match name {
                "changeType" => Some(Some(&m.kind)),
                "stockChangeId/warehouseId" => Some(Some(&world.ledger.piles.get(m.pile)?.warehouse)),
                "stockChangeId/jfsku" => Some(Some(&world.ledger.piles.get(m.pile)?.jfsku)),
                "fulfillerStockChangeId" => Some(m.remarks.as_ref().and_then(|r| r.own_id.as_deref())),
                _ => None,
            }
        }
        _ => {
            let thing = world.things.of(kind)?.get(n).filter(|t| t.record.overlay.is_empty())?;
            thing.body.text(name).map(Some)
        }
    }
}

fn found(world: &World, role: Role, kind: Kind, ask: &Ask, limits: Limits<'_>) -> Vec<usize> {
    let shelf = world.shelf(kind);
    let mut keys = candidates(world, kind, ask, limits);
    let by_update = matches!(ask.order.as_slice(), [key] if key.field == "modificationInfo/updatedAt");
    if by_update && keys.len() == shelf.count() {
        keys = shelf.changed(i64::MIN..i64::MAX, false).collect();
    }
    keys.retain(|n| {
        shelf.record(*n).is_some_and(|r| !r.deleted && !r.unlisted)
            && world.is_shown(kind, *n, role)
            && limits.admit(world, kind, *n)
    });
    if let Some(filter) = &ask.filter {
        let mut names = Vec::new();
        filter.members(&mut names);
        keys.retain(|n| {
            let decided = filter.decided(&|name: &str| at_hand(world, kind, *n, name));
            decided.unwrap_or_else(|| filter.fits(&world.glance(kind, *n, role, &names)))
        });
    }
    match ask.order.as_slice() {
        [] => {
            let seed = match world.flags.switches.shifting_lists {
                true => world.seed.wrapping_add(world.journal.count()),
                false => world.seed,
            };
            let mut mixed: Vec<(u64, usize)> = keys.into_iter().map(|n| (mixed(seed, n), n)).collect();
            mixed.sort_unstable();
            keys = mixed.into_iter().map(|(_, n)| n).collect();
        }
        // Objects are kept in the order of their creation.
        [key] if key.field == "modificationInfo/createdAt" => {
            if key.descending {
                keys.reverse();
            }
        }
        [key] if by_update => {
            keys.sort_by_key(|n| shelf.record(*n).map(Record::updated));
            if key.descending {
                keys.reverse();
            }
        }
        order => {
            let names: Vec<&str> = order.iter().map(|key| filter::top_level(&key.field)).collect();
            let mut rows: Vec<(Json, usize)> =
                keys.iter().map(|n| (world.glance(kind, *n, role, &names), *n)).collect();
            rows.sort_by(|(a, _), (b, _)| filter::order(a, b, order));
            keys = rows.into_iter().map(|(_, n)| n).collect();
        }
    }
    keys
}

/// The list of a kind.
pub(crate) fn of(world: &World, role: Role, kind: Kind, query: &[(String, String)], limits: Limits<'_>) -> Outcome {
    let ask = read(world, query, fields(kind, role, limits.place.is_some()))?;
    let state = world.state();
    let name = format!("{role:?} {kind:?} {limits:?} {:?} {:?}", ask.filter_text, ask.order_text);
    let kept = world.lists.borrow().find(state, &name).filter(|_| !world.flags.switches.shifting_lists);
    let keys = kept.unwrap_or_else(|| {
        let keys = Arc::new(found(world, role, kind, &ask, limits));
        world.lists.borrow_mut().keep(state, name, &keys);
        keys
    });
    let items = keys.iter().skip(ask.skip).take(ask.top).map(|n| world.show(kind, *n, role, None)).collect();
    Ok(page(world, kind.spec().name, &ask, items, keys.len()))
}

/// A list of stocks.
pub(crate) fn stocks(
    world: &World,
    role: Role,
    mut rows: Vec<Json>,
    kind: Stocks,
    query: &[(String, String)],
) -> Outcome {
    let ask = read(world, query, stock_fields(kind, role))?;
    if let Some(filter) = &ask.filter {
        rows.retain(|row| filter.fits(row));
    }
    rows.sort_by(|a, b| filter::order(a, b, &ask.order));
    let total = rows.len();
    let items = rows.into_iter().skip(ask.skip).take(ask.top).collect();
    Ok(page(world, "stocks", &ask, items, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use serde_json::Value;

    fn ask(world: &World, query: &[(&str, &str)]) -> Result<Value, u16> {
        let query: Vec<(String, String)> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        of(world, Role::Merchant, Kind::Outbounds, &query, Limits::default())
            .map(|a| serde_json::from_str(&a.text()).unwrap())
            .map_err(|f| f.status)
    }

    fn world() -> World {
        let mut world = World::new(Flags::for_test());
        for n in 0..7 {
            world.make(format!("N{n}"), "Pending");
        }
        world
    }

    fn numbers(page: &Value) -> Vec<&str> {
        page["items"].as_array().unwrap().iter().map(|o| o["merchantOutboundNumber"].as_str().unwrap()).collect()
    }

    #[test]
    fn pages_in_order() {
        let w = world();
        let by = ("$orderBy", "modificationInfo/createdAt");
        let first = ask(&w, &[by, ("$top", "3")]).unwrap();
        assert_eq!(numbers(&first), ["N0", "N1", "N2"]);
        assert_eq!(first["nextPageLink"], "?$orderBy=modificationInfo%2FcreatedAt&$top=3&$skip=3");
        assert_eq!(first["_links"]["next"], first["nextPageLink"]);
        let last = ask(&w, &[by, ("$top", "3"), ("$skip", "6")]).unwrap();
        assert_eq!(numbers(&last), ["N6"]);
        assert!(last.get("nextPageLink").is_none() && last["_links"].get("next").is_none());
        assert_eq!(numbers(&ask(&w, &[("$orderBy", "merchantOutboundNumber desc"), ("$top", "1")]).unwrap()), ["N6"]);
    }

    #[test]
    fn without_an_order_the_order_is_odd_but_stable() {
        let w = world();
        let all = ask(&w, &[]).unwrap();
        assert_ne!(numbers(&all), ["N0", "N1", "N2", "N3", "N4", "N5", "N6"]);
        assert_eq!(numbers(&all), numbers(&ask(&w, &[]).unwrap()));
    }

    #[test]
    fn filters() {
        let w = world();
        assert_eq!(numbers(&ask(&w, &[("$filter", "merchantOutboundNumber eq 'N3'")]).unwrap()), ["N3"]);
        assert!(
            numbers(&ask(&w, &[("$filter", "merchantOutboundNumber eq 'N3' and status eq 'Shipped'")]).unwrap())
                .is_empty()
        );
        assert_eq!(numbers(&ask(&w, &[("$filter", "items/any(a:contains(a/merchantSku,'BLUE'))")]).unwrap()).len(), 7);
        assert_eq!(
            numbers(&ask(&w, &[("merchantOutboundNumber", "N3")]).unwrap()).len(),
            7,
            "unknown names are ignored"
        );
        assert_eq!(ask(&w, &[("$filter", "modificationInfo/createdAt gt 2020-01-01T00:00:00Z")]).unwrap_err(), 400);
        assert_eq!(ask(&w, &[("$top", "x")]).unwrap_err(), 400);
        assert_eq!(ask(&w, &[("$top", "900")]).unwrap()["_page"]["limit"], 500);
    }

    #[test]
    fn every_way_to_find_the_same_rows() {
        let mut w = world();
        w.set_status(3, "Shipped", crate::record::Actor::House);
        w.set_status(1, "Shipped", crate::record::Actor::House);
        w.delete(5);
        let filtered = |w: &World, filter: &str, order: &str| {
            let page = ask(w, &[("$filter", filter), ("$orderBy", order)]).unwrap();
            assert_eq!((&page["count"], &page["_page"]["total"]), (&page["_page"]["total"], &page["count"]));
            numbers(&page).join(" ")
        };
        let created = "modificationInfo/createdAt";
        for open in [
            "status eq 'Pending'",
            "status ne 'Shipped'",
            "not (status eq 'Shipped')",
            "startswith(status,'Pend')",
            "status eq 'Pending' and shippingAddress/city eq 'Musterstadt'",
            "statusTimestamp/shipped eq null",
        ] {
            assert_eq!(filtered(&w, open, created), "N0 N2 N4 N6", "{open}");
            assert_eq!(filtered(&w, open, "merchantOutboundNumber desc"), "N6 N4 N2 N0", "{open}");
        }
        let all = "items/any(i:i/quantity eq 1)";
        assert_eq!(filtered(&w, all, "modificationInfo/createdAt desc"), "N6 N4 N3 N2 N1 N0");
        assert_eq!(filtered(&w, all, "modificationInfo/updatedAt"), "N0 N2 N4 N6 N3 N1");
        assert_eq!(filtered(&w, all, "modificationInfo/updatedAt desc"), "N1 N3 N6 N4 N2 N0");
        assert_eq!(filtered(&w, all, "status,externalNumber,modificationInfo/createdAt desc"), "N6 N4 N2 N0 N3 N1");
    }

    #[test]
    fn rows_move_up_when_one_is_deleted() {
        let mut w = world();
        let page = |w: &World, skip: &str| {
            let order = ("$orderBy", "modificationInfo/createdAt");
            ask(w, &[order, ("$top", "3"), ("$skip", skip)]).unwrap()
        };
        assert_eq!(numbers(&page(&w, "3")), ["N3", "N4", "N5"]);
        w.set_status(2, "Acknowledged", crate::record::Actor::House);
        assert_eq!(numbers(&page(&w, "3")), ["N3", "N4", "N5"], "a change moves nothing");
        w.delete(0);
        assert_eq!(numbers(&page(&w, "3")), ["N4", "N5", "N6"]);
        assert_eq!((&page(&w, "3")["count"], &page(&w, "3")["_page"]["total"]), (&6.into(), &6.into()));
        w.make("N7".to_owned(), "Pending").unwrap();
        assert_eq!(numbers(&page(&w, "6")), ["N7"]);
        assert!(numbers(&page(&w, "100000")).is_empty());
    }

    #[test]
    fn lists_that_shift_and_what_their_total_counts() {
        let mut w = world();
        w.flags.switches.shifting_lists = true;
        let orders: std::collections::BTreeSet<String> = (0..9)
            .map(|_| {
                w.journal.open(crate::journal::Entry::default());
                numbers(&ask(&w, &[]).unwrap()).join(" ")
            })
            .collect();
        assert!(orders.len() > 3);
        let total = |w: &World| ask(w, &[("$top", "3")]).unwrap()["_page"].get("total").cloned();
        assert_eq!(total(&w), Some(7.into()));
        w.flags.switches.page_total = PageTotal::Pages;
        assert_eq!(total(&w), Some(3.into()));
        w.flags.switches.page_total = PageTotal::Absent;
        assert_eq!(total(&w), None);
        w.flags.switches.list_shape = ListShape::Named;
        let page = ask(&w, &[]).unwrap();
        assert!(page.get("items").is_none() && page["outbounds"].as_array().unwrap().len() == 7);
    }

    #[test]
    fn each_role_may_name_its_own_fields() {
        let w = world();
        let allowed = |role, kind, place: Option<&str>, filter: &str| {
            let query = [("$filter".to_owned(), filter.to_owned())];
            of(&w, role, kind, &query, Limits { place, ..Limits::default() }).is_ok()
        };
        let (m, f) = (Role::Merchant, Role::Fulfiller);
        for (kind, field, roles) in [
            (Kind::Outbounds, "fulfillerId", (true, false)),
            (Kind::Outbounds, "merchantId", (false, true)),
            (Kind::Products, "merchantId", (false, true)),
            (Kind::Methods, "fulfillerShippingMethodNumber", (false, true)),
            (Kind::StockChanges, "outboundItem/merchantOutboundNumber", (true, false)),
            (Kind::StockChanges, "inboundItem/merchantInboundNumber", (true, false)),
        ] {
            let filter = format!("{field} eq 'x'");
            assert_eq!((allowed(m, kind, None, &filter), allowed(f, kind, None, &filter)), roles, "{field}");
        }
        assert!(allowed(f, Kind::StockChanges, None, "current eq true"));
        assert!(!allowed(f, Kind::StockChanges, Some("W"), "current eq true"));
    }
}
