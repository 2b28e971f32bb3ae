//! List endpoints: filter, order, pages.

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::Role;
use crate::filter::{self, Fields, Filter, SortKey};
use crate::json::{Json, int, obj};
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
        "warehouses/warehouseId",
        "warehouses/stockLevel",
        "warehouses/stockLevelReserved",
        "warehouses/fulfillerId",
        "fulfiller/fulfillerId",
    ],
    lists: &["stockReservedDetails", "warehouses", "fulfiller"],
};

const STOCKS_OF: Fields = Fields {
    plain: &[
        "warehouseId",
        "stockLevel",
        "stockLevelAnnounced",
        "stockLevelReserved",
        "stockLevelBlocked",
        "stockReservedDetails/outboundId",
        "fulfillerId",
    ],
    lists: &["stockReservedDetails"],
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

/// Which resource a list shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows {
    Products,
    Stocks,
    StocksOf,
    Warehouses,
    Methods,
    Partners,
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
const MOST: usize = 500;

fn read(query: &[(String, String)], fields: Fields) -> Outcome<Ask> {
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
    Ok(Ask {
        top: number("$top", DEFAULT_TOP)?.clamp(1, MOST),
        skip: number("$skip", 0)?,
        filter: filter.map_err(|problem| Fail::model("$filter", problem))?,
        order: order.map_err(|problem| Fail::model("$orderBy", problem))?.unwrap_or_default(),
        filter_text: get("$filter").map(str::to_owned),
        order_text: get("$orderBy").map(str::to_owned),
    })
}

fn page(ask: &Ask, items: Vec<Json>, total: usize) -> Answer {
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
    let body = obj([
        ("items", items.into()),
        ("_page", obj([("total", int(total)), ("limit", int(ask.top)), ("offset", int(ask.skip))])),
        ("_links", obj([("previous", previous.into()), ("next", next.clone().into())])),
        ("nextPageLink", next.into()),
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

/// `GET …/outbounds`.
pub(crate) fn outbounds(world: &World, role: Role, query: &[(String, String)]) -> Outcome {
    let ask = read(query, OUTBOUNDS)?;
    let row =
        |n: usize| world.outbounds.get(n).map_or(Json::Null, |o| o.json(role, world.partner(role), None, &world.clock));
    let filter = ask.filter.as_ref();
    let untouched = |name: &str| !world.outbounds.iter().any(|o| o.overlay.iter().any(|(n, _)| n == name));
    let number =
        filter.and_then(|f| f.pinned("merchantOutboundNumber")).filter(|_| untouched("merchantOutboundNumber"));
    let id = filter.and_then(|f| f.pinned("outboundId")).filter(|_| untouched("outboundId"));
    let mut keys: Vec<usize> = match (number, id) {
        (Some(number), _) => world.numbered(number).collect(),
        (None, Some(id)) => world.by_id(id).into_iter().collect(),
        (None, None) => world.outbounds.iter().enumerate().filter(|(_, o)| !o.deleted).map(|(n, _)| n).collect(),
    };
    if let Some(filter) = filter {
        keys.retain(|n| filter.fits(&row(*n)));
    }
    match ask.order.as_slice() {
        [] => keys.sort_by_key(|n| mixed(world.seed, *n)),
        // Outbounds are kept in the order of their creation.
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
    Ok(page(&ask, items, keys.len()))
}

/// The list of a resource that fits into memory twice.
pub(crate) fn fixed(mut rows: Vec<Json>, kind: Rows, query: &[(String, String)]) -> Outcome {
    let fields = match kind {
        Rows::Products => PRODUCTS,
        Rows::Stocks => STOCKS,
        Rows::StocksOf => STOCKS_OF,
        Rows::Warehouses => WAREHOUSES,
        Rows::Methods => METHODS,
        Rows::Partners => PARTNERS,
    };
    let ask = read(query, fields)?;
    if let Some(filter) = &ask.filter {
        rows.retain(|row| filter.fits(row));
    }
    rows.sort_by(|a, b| filter::order(a, b, &ask.order));
    let total = rows.len();
    let items = rows.into_iter().skip(ask.skip).take(ask.top).collect();
    Ok(page(&ask, items, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use serde_json::Value;

    fn ask(world: &World, query: &[(&str, &str)]) -> Result<Value, u16> {
        let query: Vec<(String, String)> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        outbounds(world, Role::Merchant, &query).map(|a| serde_json::from_str(&a.body).unwrap()).map_err(|f| f.status)
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
