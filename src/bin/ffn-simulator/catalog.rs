//! The seeded data that outbounds refer to: products, warehouses, shipping methods, partners.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::json::{Json, int, obj};

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

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) jfsku: String,
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    pub(crate) weight: &'static str,
    pub(crate) price: &'static str,
    pub(crate) divisible: bool,
    pub(crate) active: bool,
    /// Components of a bundle: jfsku and quantity.
    pub(crate) components: Vec<(String, Decimal)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Warehouse {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) city: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) carrier_code: &'static str,
    pub(crate) carrier_name: &'static str,
    pub(crate) schema: &'static str,
    pub(crate) cutoff: &'static str,
    pub(crate) number: &'static str,
}

#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) merchant: String,
    pub(crate) fulfiller: String,
    pub(crate) since: String,
    pub(crate) products: Vec<Product>,
    pub(crate) warehouses: Vec<Warehouse>,
    pub(crate) methods: Vec<Method>,
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

impl Catalog {
    pub(crate) fn new(merchant: &str, fulfiller: &str, since: String) -> Self {
        let jfsku = |tail: &str| format!("{merchant}01{tail}");
        let product = |tail: &str, sku, name, weight, price| Product {
            jfsku: jfsku(tail),
            sku,
            name,
            weight,
            price,
            divisible: false,
            active: true,
            components: Vec::new(),
        };
        let products = vec![
            product("A1B2C", "MUG-BLUE", "Mug, blue", "0.35", "9.90"),
            product("A1B2D", "MUG-RED", "Mug, red", "0.35", "9.90"),
            product("B7K0P", "PLATE-WHITE", "Plate, white", "0.62", "12.50"),
            product("C3M9Q", "BOWL-GREEN", "Bowl, green", "0.41", "11.00"),
            Product { divisible: true, ..product("D5R4S", "ROPE-METRE", "Rope, by the metre", "0.08", "1.10") },
            Product {
                components: vec![(jfsku("A1B2C"), Decimal::whole(1)), (jfsku("A1B2D"), Decimal::whole(1))],
                ..product("E8T6U", "MUG-PAIR", "Two mugs, blue and red", "0.70", "18.00")
            },
            Product { active: false, ..product("F2V1W", "MUG-OLD", "Mug, no longer sold", "0.35", "4.00") },
        ];
        let warehouses = vec![
            Warehouse { id: format!("{fulfiller}04MAIN-00001-0001"), name: "Main warehouse", city: "Lagerstadt" },
            Warehouse { id: format!("{fulfiller}04SIDE-00002-0001"), name: "Side warehouse", city: "Nebenort" },
        ];
        let methods = vec![
            Method {
                id: format!("{fulfiller}0A0001"),
                name: "DHL Paket",
                kind: "Standard",
                carrier_code: "DHL",
                carrier_name: "DHL",
                schema: "https://tracking.example/dhl?id={0}",
                cutoff: "15:00",
                number: "10",
            },
            Method {
                id: format!("{fulfiller}0A0002"),
                name: "UPS Express Saver",
                kind: "NextDay",
                carrier_code: "UPS",
                carrier_name: "UPS",
                schema: "https://tracking.example/ups?id={0}",
                cutoff: "12:00",
                number: "20",
            },
        ];
        Catalog { merchant: merchant.to_owned(), fulfiller: fulfiller.to_owned(), since, products, warehouses, methods }
    }

    pub(crate) fn product(&self, jfsku: &str) -> Option<&Product> {
        self.products.iter().find(|p| p.jfsku == jfsku)
    }

    pub(crate) fn by_sku(&self, sku: &str) -> Option<&Product> {
        self.products.iter().find(|p| p.sku == sku)
    }

    pub(crate) fn method(&self, id: &str) -> Option<&Method> {
        self.methods.iter().find(|m| m.id == id)
    }

    pub(crate) fn has_warehouse(&self, id: &str) -> bool {
        self.warehouses.iter().any(|w| w.id == id)
    }

    fn modified(&self) -> Json {
        obj([
            ("createdAt", self.since.as_str().into()),
            ("updatedAt", self.since.as_str().into()),
            ("state", "New".into()),
        ])
    }

    pub(crate) fn product_json(&self, p: &Product, role: Role) -> Json {
        let related = |(jfsku, _): &(String, Decimal)| {
            obj([
                ("jfsku", jfsku.as_str().into()),
                ("condition", "Default".into()),
                ("kindOfRelation", "BillOfMaterials".into()),
            ])
        };
        let component = |(jfsku, quantity): &(String, Decimal)| {
            let sku = self.product(jfsku).map(|p| p.sku);
            obj([("jfsku", jfsku.as_str().into()), ("merchantSku", sku.into()), ("quantity", int(quantity))])
        };
        let specifications = obj([
            ("isBatch", false.into()),
            ("isDivisible", p.divisible.into()),
            ("isBestBefore", false.into()),
            ("isSerialNumber", false.into()),
            ("isBillOfMaterials", (!p.components.is_empty()).into()),
            ("billOfMaterialsComponents", p.components.iter().map(component).collect::<Vec<_>>().into()),
            ("isPackaging", false.into()),
        ]);
        obj([
            ("jfsku", p.jfsku.as_str().into()),
            ("merchantId", if role == Role::Fulfiller { self.merchant.as_str().into() } else { Json::Null }),
            ("name", p.name.into()),
            ("merchantSku", p.sku.into()),
            ("pictures", Json::Arr(Vec::new())),
            ("productGroup", "Tableware".into()),
            ("originCountry", "DE".into()),
            ("weight", Json::Num(p.weight.to_owned())),
            ("identifier", obj([])),
            ("specifications", specifications),
            ("attributes", Json::Arr(Vec::new())),
            ("netRetailPrice", obj([("amount", Json::Num(p.price.to_owned())), ("currency", "EUR".into())])),
            ("bundles", Json::Arr(Vec::new())),
            ("relatedProducts", p.components.iter().map(related).collect::<Vec<_>>().into()),
            ("condition", "Default".into()),
            ("modificationInfo", self.modified()),
        ])
    }

    pub(crate) fn warehouse_json(&self, w: &Warehouse, role: Role) -> Json {
        let methods: Vec<Json> = self.methods.iter().map(|m| m.id.as_str().into()).collect();
        let address = obj([
            ("company", "Example Logistics".into()),
            ("street", "Hallenweg 1".into()),
            ("city", w.city.into()),
            ("zip", "01234".into()),
            ("country", "DE".into()),
        ]);
        obj([
            ("warehouseId", w.id.as_str().into()),
            ("fulfillerId", self.fulfiller.as_str().into()),
            ("name", w.name.into()),
            ("address", address),
            ("shippingMethodIds", if role == Role::Merchant { methods.into() } else { Json::Null }),
            ("modificationInfo", self.modified()),
        ])
    }

    pub(crate) fn method_json(&self, m: &Method, role: Role) -> Json {
        let (fulfiller, number) = match role {
            Role::Merchant => (self.fulfiller.as_str().into(), Json::Null),
            Role::Fulfiller => (Json::Null, m.number.into()),
        };
        obj([
            ("shippingMethodId", m.id.as_str().into()),
            ("name", m.name.into()),
            ("fulfillerId", fulfiller),
            ("fulfillerShippingMethodNumber", number),
            ("shippingType", m.kind.into()),
            ("trackingUrlSchema", m.schema.into()),
            ("carrierCode", m.carrier_code.into()),
            ("carrierName", m.carrier_name.into()),
            ("cutoffTime", m.cutoff.into()),
            ("modificationInfo", self.modified()),
        ])
    }

    /// The other side, as the caller sees it.
    pub(crate) fn partner_json(&self, role: Role) -> Json {
        let (id, name) = match role {
            Role::Merchant => (&self.fulfiller, "Example Logistics"),
            Role::Fulfiller => (&self.merchant, "Example Shop"),
        };
        obj([
            ("userId", id.as_str().into()),
            ("isActive", true.into()),
            ("address", self.address(name)),
            ("modificationInfo", self.modified()),
        ])
    }

    fn address(&self, company: &str) -> Json {
        obj([
            ("company", company.into()),
            ("street", "Hauptweg 3".into()),
            ("city", "Musterstadt".into()),
            ("zip", "12345".into()),
            ("country", "DE".into()),
        ])
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
        obj([("userId", self.user_id(role).into()), ("roles", roles.into()), ("address", self.address(name))])
    }
}
