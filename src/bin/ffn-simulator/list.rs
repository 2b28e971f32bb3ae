//! List endpoints: filter, order, pages.

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::Role;
use crate::filter::{self, Fields, Filter, SortKey};
use crate::json::{Json, int, obj};
use crate::switches::ListShape;
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
        "fulfillerId",
        "merchantId",
    ],
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
        "fulfillerId",
        "merchantId",
    ],
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
        "fulfillerId",
        "merchantId",
    ],
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
        "current",
        "stockChangeId/warehouseId",
        "stockChangeId/jfsku",
        "inboundItem/inboundId",
        "inboundItem/merchantInboundNumber",
        "outboundItem/outboundId",
        "outboundItem/merchantOutboundNumber",
        "outboundShippingNotificationItem/outboundShippingNotificationId",
    ],
    lists: &[],
};

const AUTHORIZATIONS: Fields = Fields { plain: &["merchantId", "warehouses/warehouseId"], lists: &["warehouses"] };

const NONE: Fields = Fields { plain: &[], lists: &[] };

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
        "merchantId",
    ],
    lists: &["attributes", "bundles", "relatedProducts"],
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
        "warehouses/fulfillerId",
        "fulfiller/fulfillerId",
        "fulfiller/stockLevel",
        "fulfiller/stockLevelAnnounced",
        "fulfiller/stockLevelReserved",
        "fulfiller/stockLevelBlocked",
    ],
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
        "fulfillerId",
    ],
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
    lists: &[],
};

const METHODS: Fields = Fields {
    plain: &[
        "shippingMethodId",
        "name",
        "carrierCode",
        "carrierName",
        "shippingType",
        "fulfillerId",
        "fulfillerShippingMethodNumber",
    ],
    lists: &[],
};

const PARTNERS: Fields =
    Fields { plain: &["userId", "address/lastname", "address/company", "address/city", "address/email"], lists: &[] };

/// Which list of stocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stocks {
    All,
    InWarehouse,
}

const fn fields(kind: Kind) -> Fields {
    match kind {
        Kind::Outbounds => OUTBOUNDS,
        Kind::Inbounds => INBOUNDS,
        Kind::Returns => RETURNS,
        Kind::Products => PRODUCTS,
        Kind::StockChanges => STOCK_CHANGES,
        Kind::Warehouses => WAREHOUSES,
        Kind::Methods => METHODS,
        Kind::Fulfillers | Kind::Merchants => PARTNERS,
        Kind::Authorizations => AUTHORIZATIONS,
        Kind::Notifications | Kind::InboundNotifications | Kind::ReturnChanges => NONE,
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

fn page(world: &World, ask: &Ask, items: Vec<Json>, total: usize) -> Answer {
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
    let count = items.len();
    let page = obj([("total", int(total)), ("limit", int(ask.top)), ("offset", int(ask.skip))]);
    let links = obj([("previous", previous.into()), ("next", next.clone().into())]);
    let with_links = !switches.leave_out_links;
    let body = obj([
        ("items", items.into()),
        ("_page", (!switches.leave_out_page).then_some(page).into()),
        ("_links", with_links.then_some(links).into()),
        ("nextPageLink", next.filter(|_| with_links).into()),
        ("count", int(count)),
    ]);
    Answer::json(200, body.to_string())
}

/// An order that nobody should count on, but that stays the same between two pages.
fn mixed(seed: u64, n: usize) -> u64 {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    let x = (seed ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The list of a kind. `among` limits it to some objects.
pub(crate) fn of(
    world: &World,
    role: Role,
    kind: Kind,
    query: &[(String, String)],
    among: impl Fn(usize) -> bool,
) -> Outcome {
    let ask = read(world, query, fields(kind))?;
    let row = |n: usize| world.show(kind, n, role, None);
    let filter = ask.filter.as_ref();
    let (shelf, spec) = (world.shelf(kind), kind.spec());
    let pinned = |name: &str| filter.filter(|_| !world.overlaid && !name.is_empty()).and_then(|f| f.pinned(name));
    let there = |n: &usize| shelf.record(*n).is_some_and(|r| !r.deleted) && world.is_shown(kind, *n, role) && among(*n);
    let mut keys: Vec<usize> = match (pinned(spec.number), pinned(spec.id)) {
        (Some(number), _) => shelf.with_number(number),
        (None, Some(id)) => shelf.live(id).into_iter().collect(),
        (None, None) => (0..shelf.count()).collect(),
    };
    keys.retain(there);
    if let Some(filter) = filter {
        keys.retain(|n| filter.fits(&row(*n)));
    }
    match ask.order.as_slice() {
        [] => keys.sort_by_key(|n| mixed(world.seed, *n)),
        // Objects are kept in the order of their creation.
        [SortKey { field, descending }] if field == "modificationInfo/createdAt" => {
            if *descending {
                keys.reverse();
            }
        }
        order => {
            let mut rows: Vec<(Json, usize)> = keys.iter().map(|n| (row(*n), *n)).collect();
            rows.sort_by(|(a, _), (b, _)| filter::order(a, b, order));
            keys = rows.into_iter().map(|(_, n)| n).collect();
        }
    }
    let items: Vec<Json> = keys.iter().skip(ask.skip).take(ask.top).map(|n| row(*n)).collect();
    Ok(page(world, &ask, items, keys.len()))
}

/// A list of stocks.
pub(crate) fn stocks(world: &World, mut rows: Vec<Json>, kind: Stocks, query: &[(String, String)]) -> Outcome {
    let fields = match kind {
        Stocks::All => STOCKS,
        Stocks::InWarehouse => STOCKS_OF,
    };
    let ask = read(world, query, fields)?;
    if let Some(filter) = &ask.filter {
        rows.retain(|row| filter.fits(row));
    }
    rows.sort_by(|a, b| filter::order(a, b, &ask.order));
    let total = rows.len();
    let items = rows.into_iter().skip(ask.skip).take(ask.top).collect();
    Ok(page(world, &ask, items, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use serde_json::Value;

    fn ask(world: &World, query: &[(&str, &str)]) -> Result<Value, u16> {
        let query: Vec<(String, String)> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        of(world, Role::Merchant, Kind::Outbounds, &query, |_| true)
            .map(|a| serde_json::from_str(&a.body).unwrap())
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
}
