//! What everything refers to: products, warehouses, shipping methods, partners and grants; the objects
//! that are there at start, and what the rest of the simulator looks up in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::json::{Json, int, obj};
use crate::things::{Kind, Thing};

/// Which side of the network looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Merchant,
    Fulfiller,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Role::Merchant => "merchant",
            Role::Fulfiller => "fulfiller",
        }
    }
}

/// What is looked up in a product.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) jfsku: String,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) divisible: bool,
    pub(crate) batch: bool,
    pub(crate) best_before: bool,
    pub(crate) serial: bool,
    pub(crate) active: bool,
    /// The fulfiller may see it.
    pub(crate) shared: bool,
    /// Components of a bundle: jfsku and quantity.
    pub(crate) components: Vec<(String, Decimal)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Warehouse {
    pub(crate) id: String,
    pub(crate) active: bool,
}

/// What is looked up in a shipping method.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) carrier_code: String,
    pub(crate) schema: String,
    pub(crate) active: bool,
}

#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) merchant: String,
    pub(crate) fulfiller: String,
    /// In the order of their stores.
    pub(crate) products: Vec<Product>,
    pub(crate) warehouses: Vec<Warehouse>,
    pub(crate) methods: Vec<Method>,
    /// What the merchant may use: warehouses, and the methods in each.
    pub(crate) grants: BTreeMap<String, BTreeSet<String>>,
    /// All methods of the grants.
    pub(crate) usable: BTreeSet<String>,
    /// Products that the merchant keeps to himself.
    unshared: BTreeSet<String>,
    by_jfsku: HashMap<String, usize>,
    by_sku: HashMap<String, usize>,
    warehouse_ids: HashMap<String, usize>,
    method_ids: HashMap<String, usize>,
}

/// Stock that every stockable product has at start, per warehouse.
pub(crate) const OPENING_STOCK: Decimal = Decimal::whole(1_000_000);

/// Cancel reasons: code and name.
pub(crate) const CANCEL_REASONS: &[(&str, &str)] = &[
    ("None", "No reason given"),
    ("CustomerRequest", "The customer asked for it"),
    ("OutOfStock", "The goods are not in stock"),
    ("AddressInvalid", "The address can not be delivered to"),
    ("Other", "Another reason"),
];

fn flag(body: &Json, path: &str) -> bool {
    body.walk(path) == Some(&Json::Bool(true))
}

fn text(body: &Json, name: &str) -> String {
    body.text(name).unwrap_or_default().to_owned()
}

fn list<'a>(body: &'a Json, path: &str) -> &'a [Json] {
    match body.walk(path) {
        Some(Json::Arr(values)) => values,
        _ => &[],
    }
}

/// Keeps what is looked up in the place of its object.
fn keep<T>(rows: &mut Vec<T>, n: usize, row: T) {
    match rows.get_mut(n) {
        Some(slot) => *slot = row,
        None => rows.push(row),
    }
}

/// The address of a partner.
pub(crate) fn address(company: &str) -> Json {
    obj([
        ("company", company.into()),
        ("street", "Hauptweg 3".into()),
        ("city", "Musterstadt".into()),
        ("zip", "12345".into()),
        ("country", "DE".into()),
    ])
}

/// A product as it stands in the API.
pub(crate) fn product_body(jfsku: &str, sku: &str, name: &str, weight: &str, price: &str) -> Json {
    let no = || Json::Bool(false);
    let specifications = obj([
        ("isBatch", no()),
        ("isDivisible", no()),
        ("isBestBefore", no()),
        ("isSerialNumber", no()),
        ("isBillOfMaterials", no()),
        ("billOfMaterialsComponents", Json::Arr(Vec::new())),
        ("isPackaging", no()),
    ]);
    obj([
        ("jfsku", jfsku.into()),
        ("name", name.into()),
        ("merchantSku", sku.into()),
        ("pictures", Json::Arr(Vec::new())),
        ("productGroup", "Tableware".into()),
        ("originCountry", "DE".into()),
        ("weight", Json::Num(weight.to_owned())),
        ("identifier", obj([])),
        ("specifications", specifications),
        ("attributes", Json::Arr(Vec::new())),
        ("netRetailPrice", obj([("amount", Json::Num(price.to_owned())), ("currency", "EUR".into())])),
        ("bundles", Json::Arr(Vec::new())),
        ("relatedProducts", Json::Arr(Vec::new())),
        ("condition", "Default".into()),
    ])
}

/// A warehouse as it stands in the API.
pub(crate) fn warehouse_body(id: &str, name: &str, city: &str) -> Json {
    let address = obj([
        ("company", "Example Logistics".into()),
        ("street", "Hallenweg 1".into()),
        ("city", city.into()),
        ("zip", "01234".into()),
        ("country", "DE".into()),
    ]);
    obj([("warehouseId", id.into()), ("name", name.into()), ("address", address)])
}

/// A shipping method as it stands in the API.
pub(crate) fn method_body(id: &str, number: &str, name: &str, kind: &str, carrier: &str, cutoff: &str) -> Json {
    obj([
        ("shippingMethodId", id.into()),
        ("name", name.into()),
        ("fulfillerShippingMethodNumber", number.into()),
        ("shippingType", kind.into()),
        ("trackingUrlSchema", format!("https://tracking.example/{}?id={{0}}", carrier.to_lowercase()).into()),
        ("carrierCode", carrier.into()),
        ("carrierName", carrier.into()),
        ("cutoffTime", cutoff.into()),
    ])
}

/// A merchant or a fulfiller as it stands in the API.
pub(crate) fn partner_body(id: &str, company: &str) -> Json {
    obj([("userId", id.into()), ("isActive", true.into()), ("address", address(company))])
}

impl Catalog {
    pub(crate) fn new(merchant: &str, fulfiller: &str) -> Self {
        Catalog {
            merchant: merchant.to_owned(),
            fulfiller: fulfiller.to_owned(),
            products: Vec::new(),
            warehouses: Vec::new(),
            methods: Vec::new(),
            grants: BTreeMap::new(),
            usable: BTreeSet::new(),
            unshared: BTreeSet::new(),
            by_jfsku: HashMap::new(),
            by_sku: HashMap::new(),
            warehouse_ids: HashMap::new(),
            method_ids: HashMap::new(),
        }
    }

    /// The objects that are there at start. `at` is the time of the grants.
    pub(crate) fn seeds(&self, at: &str) -> Vec<(Kind, Json)> {
        let (merchant, fulfiller) = (&self.merchant, &self.fulfiller);
        let jfsku = |tail: &str| format!("{merchant}01{tail}");
        let product = |tail: &str, sku, name, weight, price| product_body(&jfsku(tail), sku, name, weight, price);
        let with = |mut body: Json, name: &str, value: Json| {
            let mut specifications = body.get("specifications").cloned().unwrap_or(Json::Null);
            specifications.set(name, value);
            body.set("specifications", specifications);
            body
        };
        let parts = [("A1B2C", "MUG-BLUE"), ("A1B2D", "MUG-RED")];
        let component = |(tail, sku): (&str, &str)| {
            obj([("jfsku", jfsku(tail).into()), ("merchantSku", sku.into()), ("quantity", int(1))])
        };
        let related = |(tail, _): (&str, &str)| {
            obj([
                ("jfsku", jfsku(tail).into()),
                ("condition", "Default".into()),
                ("kindOfRelation", "BillOfMaterials".into()),
            ])
        };
        let pair = product("E8T6U", "MUG-PAIR", "Two mugs, blue and red", "0.70", "18.00");
        let pair = with(pair, "isBillOfMaterials", true.into());
        let mut pair = with(pair, "billOfMaterialsComponents", parts.map(component).to_vec().into());
        pair.set("relatedProducts", parts.map(related).to_vec().into());
        let rope = product("D5R4S", "ROPE-METRE", "Rope, by the metre", "0.08", "1.10");
        let places = [format!("{fulfiller}04MAIN-00001-0001"), format!("{fulfiller}04SIDE-00002-0001")];
        let ways = [format!("{fulfiller}0A0001"), format!("{fulfiller}0A0002")];
        let granted =
            ways.each_ref().map(|id| obj([("shippingMethodId", id.as_str().into()), ("createdAt", at.into())]));
        let grant = |id: &String| {
            obj([
                ("warehouseId", id.as_str().into()),
                ("createdAt", at.into()),
                ("shippingMethods", granted.to_vec().into()),
            ])
        };
        let grants = places.each_ref().map(grant).to_vec();
        let [main, side] = &places;
        let [first, second] = &ways;
        vec![
            (Kind::Products, product("A1B2C", "MUG-BLUE", "Mug, blue", "0.35", "9.90")),
            (Kind::Products, product("A1B2D", "MUG-RED", "Mug, red", "0.35", "9.90")),
            (Kind::Products, product("B7K0P", "PLATE-WHITE", "Plate, white", "0.62", "12.50")),
            (Kind::Products, product("C3M9Q", "BOWL-GREEN", "Bowl, green", "0.41", "11.00")),
            (Kind::Products, with(rope, "isDivisible", true.into())),
            (Kind::Products, pair),
            (Kind::Products, product("F2V1W", "MUG-OLD", "Mug, no longer sold", "0.35", "4.00")),
            (Kind::Methods, method_body(first, "10", "DHL Paket", "Standard", "DHL", "15:00")),
            (Kind::Methods, method_body(second, "20", "UPS Express Saver", "NextDay", "UPS", "12:00")),
            (Kind::Warehouses, warehouse_body(main, "Main warehouse", "Lagerstadt")),
            (Kind::Warehouses, warehouse_body(side, "Side warehouse", "Nebenort")),
            (Kind::Fulfillers, partner_body(fulfiller, "Example Logistics")),
            (Kind::Merchants, partner_body(merchant, "Example Shop")),
            (Kind::Authorizations, obj([("merchantId", merchant.as_str().into()), ("warehouses", grants.into())])),
        ]
    }

    /// Takes in what an object says now.
    pub(crate) fn learn(&mut self, kind: Kind, n: usize, thing: &Thing) {
        let (id, body, active) = (&thing.id, &thing.body, !thing.record.deleted);
        match kind {
            Kind::Products => {
                let quantity = |c: &Json| match c.get("quantity") {
                    Some(Json::Num(literal)) => Decimal::parse(literal),
                    _ => None,
                };
                let components = list(body, "specifications/billOfMaterialsComponents");
                let components = components.iter().filter_map(|c| Some((text(c, "jfsku"), quantity(c)?))).collect();
                let sku = text(body, "merchantSku");
                if let Some(old) = self.products.get(n).filter(|old| old.sku != sku) {
                    self.by_sku.remove(&old.sku);
                }
                self.by_jfsku.insert(id.clone(), n);
                // The number of a deleted product is free for another one.
                if active || !self.by_sku.contains_key(&sku) {
                    self.by_sku.insert(sku.clone(), n);
                }
                let product = Product {
                    jfsku: id.clone(),
                    sku,
                    name: text(body, "name"),
                    divisible: flag(body, "specifications/isDivisible"),
                    batch: flag(body, "specifications/isBatch"),
                    best_before: flag(body, "specifications/isBestBefore"),
                    serial: flag(body, "specifications/isSerialNumber"),
                    active,
                    shared: !self.unshared.contains(id),
                    components,
                };
                keep(&mut self.products, n, product);
            }
            Kind::Warehouses => {
                self.warehouse_ids.insert(id.clone(), n);
                keep(&mut self.warehouses, n, Warehouse { id: id.clone(), active });
            }
            Kind::Methods => {
                self.method_ids.insert(id.clone(), n);
                let method = Method {
                    id: id.clone(),
                    kind: text(body, "shippingType"),
                    carrier_code: text(body, "carrierCode"),
                    schema: text(body, "trackingUrlSchema"),
                    active,
                };
                keep(&mut self.methods, n, method);
            }
            Kind::Authorizations if *id == self.merchant => {
                let places = if active { list(body, "warehouses") } else { &[] };
                let methods = |w: &Json| -> BTreeSet<String> {
                    list(w, "shippingMethods").iter().map(|m| text(m, "shippingMethodId")).collect()
                };
                self.usable = places.iter().flat_map(methods).collect();
                self.grants = places.iter().map(|w| (text(w, "warehouseId"), methods(w))).collect();
            }
            _ => (),
        }
    }

    /// Shows a product to the fulfiller, or no longer.
    pub(crate) fn share(&mut self, n: usize, shared: bool) {
        if let Some(product) = self.products.get_mut(n) {
            product.shared = shared;
            if shared {
                self.unshared.remove(&product.jfsku);
            } else {
                self.unshared.insert(product.jfsku.clone());
            }
        }
    }

    pub(crate) fn product(&self, jfsku: &str) -> Option<&Product> {
        self.by_jfsku.get(jfsku).and_then(|n| self.products.get(*n))
    }

    pub(crate) fn by_sku(&self, sku: &str) -> Option<&Product> {
        self.by_sku.get(sku).and_then(|n| self.products.get(*n))
    }

    /// The product that an item names by `jfsku` or `merchantSku`.
    pub(crate) fn product_of(&self, item: &Json) -> Option<&Product> {
        match (item.text("jfsku"), item.text("merchantSku")) {
            (Some(jfsku), _) => self.product(jfsku),
            (None, Some(sku)) => self.by_sku(sku),
            (None, None) => None,
        }
    }

    pub(crate) fn method(&self, id: &str) -> Option<&Method> {
        self.method_ids.get(id).and_then(|n| self.methods.get(*n)).filter(|m| m.active)
    }

    pub(crate) fn has_warehouse(&self, id: &str) -> bool {
        self.warehouse_ids.get(id).and_then(|n| self.warehouses.get(*n)).is_some_and(|w| w.active)
    }

    pub(crate) fn user_id(&self, role: Role) -> &str {
        match role {
            Role::Merchant => &self.merchant,
            Role::Fulfiller => &self.fulfiller,
        }
    }

    pub(crate) fn user_json(&self, role: Role, tell_role: bool) -> Json {
        let (name, title) = match role {
            Role::Merchant => ("Example Shop", "Merchant"),
            Role::Fulfiller => ("Example Logistics", "Fulfiller"),
        };
        let roles = tell_role.then(|| Json::Arr(vec![title.into()]));
        obj([("userId", self.user_id(role).into()), ("roles", roles.into()), ("address", address(name))])
    }
}
