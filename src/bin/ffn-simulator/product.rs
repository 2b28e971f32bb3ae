//! Products: what the merchant sells, and which of it the fulfiller may see.

use crate::answer::{Fail, Outcome};
use crate::catalog::{Product, Role, product_body};
use crate::json::{Json, int};
use crate::ledger::{Cause, Entry, Levels, Remarks, minus};
use crate::record::Actor;
use crate::related::condition;
use crate::things::{Kind, merge};
use crate::world::World;

/// Specifications that are fixed once a product is there.
const FIXED: [&str; 5] = ["isBatch", "isDivisible", "isBestBefore", "isSerialNumber", "isBillOfMaterials"];

impl World {
    /// Creates a product from the members of a request. It is shared with the fulfiller only if told so.
    pub(crate) fn create_product(&mut self, body: &Json, shared: bool, by: Actor) -> Outcome<usize> {
        let sku = body.text("merchantSku").unwrap_or_default();
        let given = body.text("jfsku");
        let same_sku = self.catalog.by_sku(sku).filter(|p| p.active);
        if let Some(p) = same_sku.or_else(|| given.and_then(|jfsku| self.catalog.product(jfsku))) {
            return Err(Fail::new(400, "Products_DuplicateProduct", "There is such a product already.")
                .with("Jfsku", p.jfsku.as_str())
                .with("MerchantSku", p.sku.as_str()));
        }
        let jfsku = match given {
            Some(jfsku) => jfsku.to_owned(),
            None => self.new_id(Kind::Products, Role::Merchant, "01", 5),
        };
        let mut product = product_body(&jfsku, sku, sku, "0.50", "5.00");
        for name in ["productGroup", "originCountry", "weight", "netRetailPrice"] {
            if by == Actor::Merchant {
                // What the merchant did not say is not known.
                product.remove(name);
            }
        }
        if by == Actor::Merchant {
            product.remove("condition");
        }
        merge(&mut product, body);
        Self::check_bundle_condition("Products_CanNotCreateBillOfMaterialWithCondition", &product, body, &jfsku)?;
        let parts = product.walk("specifications/billOfMaterialsComponents").cloned();
        if let Some(Json::Arr(parts)) = parts {
            self.products_of(&parts)?;
            let known = |part: &Json| {
                let mut part = part.clone();
                if let Some(p) = self.catalog.product_of(&part) {
                    part.set("jfsku", p.jfsku.as_str().into());
                }
                part
            };
            let parts: Vec<Json> = parts.iter().map(known).collect();
            let mut specifications = product.get("specifications").cloned().unwrap_or(Json::Null);
            specifications.set("billOfMaterialsComponents", parts.into());
            product.set("specifications", specifications);
        }
        let n = self.put(Kind::Products, product, None, by);
        self.catalog.share(n, shared);
        Ok(n)
    }

    /// Changes a product.
    pub(crate) fn change_product(&mut self, n: usize, members: &Json, by: Actor) -> Outcome<()> {
        let product = self.thing(Kind::Products, n)?;
        let jfsku = product.id.clone();
        let fixed = |name: &str| {
            let path = format!("specifications/{name}");
            members.walk(&path).is_some_and(|new| product.body.walk(&path) != Some(new))
        };
        if by == Actor::Merchant && FIXED.iter().any(|name| fixed(name)) {
            let text = "This specification can not be changed.";
            return Err(Fail::new(400, "Products_SpecificationChangeNotAllowed", text).with("Jfsku", jfsku));
        }
        let sku = members.text("merchantSku");
        if sku.and_then(|sku| self.catalog.by_sku(sku)).is_some_and(|p| p.active && p.jfsku != jfsku) {
            return Err(Fail::new(400, "Shared_DuplicateKey", "The key exists already."));
        }
        if by == Actor::Merchant {
            let code = "Products_CanNotUpdateBillOfMaterialWithCondition";
            Self::check_bundle_condition(code, &product.body, members, &jfsku)?;
            let wanted = members.text("condition");
            if condition(&product.body).is_some() && wanted.is_some() && wanted != product.body.text("condition") {
                let fail = Fail::new(400, "Products_ConditionAlreadySet", "The condition can be set once only.");
                return Err(fail.with("Jfsku", jfsku));
            }
            self.known_components(members)?;
        }
        self.alter(Kind::Products, n, by, |body| merge(body, members));
        Ok(())
    }

    /// Refuses components of a bundle that are not there.
    fn known_components(&self, members: &Json) -> Outcome<()> {
        let Some(Json::Arr(parts)) = members.walk("specifications/billOfMaterialsComponents") else { return Ok(()) };
        let unknown = |part: &&Json| self.catalog.product_of(part).is_none_or(|p| !p.active);
        let names: Vec<&str> = parts
            .iter()
            .filter(unknown)
            .map(|part| part.text("jfsku").or(part.text("merchantSku")).unwrap_or_default())
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let fail = Fail::new(400, "Products_ProductsNotFound", "Products were not found.");
        Err(fail.with("Jfskus", names.join(", ")))
    }

    /// Refuses to share a bundle whose components are not shared.
    pub(crate) fn check_components_shared(&self, n: usize) -> Outcome<()> {
        let Some(product) = self.catalog.products.get(n) else { return Ok(()) };
        if product.components.iter().all(|(part, _)| self.catalog.product(part).is_some_and(|p| p.shared)) {
            return Ok(());
        }
        let code = "Products_CanNotAuthorizeBillOfMaterialWithoutComponents";
        Err(Fail::new(400, code, "The components of the bundle have to be shared first.")
            .with("FulfillerId", self.catalog.fulfiller.as_str())
            .with("Jfsku", product.jfsku.as_str()))
    }

    /// Refuses if there is stock of a product.
    pub(crate) fn check_no_stock(&self, n: usize) -> Outcome<()> {
        let jfsku = &self.thing(Kind::Products, n)?.id;
        let left = |l: Levels| !l.level.is_zero() || !l.reserved.is_zero() || !l.blocked.is_zero();
        match self.ledger.piles_of(jfsku).find(|p| left(p.levels)) {
            None => Ok(()),
            Some(pile) => Err(Fail::new(400, "Stocks_QuantityNotZero", "There is stock of the product.")
                .with("Jfsku", jfsku.as_str())
                .with("WarehouseId", pile.warehouse.as_str())),
        }
    }

    /// Shows a product to the fulfiller, or no longer.
    pub(crate) fn share_product(&mut self, n: usize, shared: bool, by: Actor) {
        self.catalog.share(n, shared);
        self.alter(Kind::Products, n, by, |_| ());
    }

    /// Whether a product may be deleted.
    pub(crate) fn check_product_delete(&self, n: usize) -> Outcome<()> {
        let jfsku = self.thing(Kind::Products, n)?.id.clone();
        let fail = |code, text: &str| Fail::new(400, code, text).with("Jfsku", jfsku.as_str());
        let holds = |p: &&Product| p.active && p.components.iter().any(|(part, _)| *part == jfsku);
        let bundles: Vec<&str> = self.catalog.products.iter().filter(holds).map(|p| p.jfsku.as_str()).collect();
        if !bundles.is_empty() {
            let code = "Products_CouldNotDeleteBillOfMaterialsComponentProduct";
            return Err(fail(code, "The product is part of a bundle.").with("BillOfMaterials", bundles.join(", ")));
        }
        let open = |l: &crate::outbound::Line| l.jfsku.as_deref() == Some(&jfsku) && l.open().is_positive();
        let orders = self.outbounds.iter().filter(|o| !o.is_over() && o.lines.iter().any(open));
        let numbers: Vec<&str> = orders.map(|o| o.number.as_str()).collect();
        if !numbers.is_empty() {
            let text = "There are open orders for the product.";
            return Err(
                fail("Products_OpenOutboundsForProduct", text).with("MerchantOutboundNumbers", numbers.join(", "))
            );
        }
        self.check_no_stock(n)
    }

    /// Deletes a product; what there is of it leaves the ledger.
    pub(crate) fn delete_product(&mut self, n: usize, by: Actor) {
        let at = self.bury(Kind::Products, n, by);
        let Some(jfsku) = self.things.products.get(n).map(|p| p.id.clone()) else { return };
        let places: Vec<String> = self.catalog.warehouses.iter().map(|w| w.id.clone()).collect();
        for warehouse in places {
            let l = self.ledger.levels(&warehouse, &jfsku);
            if !l.is_zero() {
                let delta = Levels {
                    level: minus(l.level),
                    reserved: minus(l.reserved),
                    blocked: minus(l.blocked),
                    announced: minus(l.announced),
                };
                let (cause, remarks) = (Cause::default(), Remarks::default());
                let entry = Entry { warehouse: &warehouse, jfsku: &jfsku, kind: "Deleted", delta, cause, remarks };
                self.book(entry, at, by);
            }
        }
    }

    /// The request for a product that nobody asked for.
    pub(crate) fn default_product(sku: &str) -> Json {
        crate::json::obj([
            ("name", format!("Thing {sku}").into()),
            ("merchantSku", sku.into()),
            ("weight", int("0.50")),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    fn told(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn created_changed_shared_and_deleted() {
        let mut w = World::new(Flags::for_test());
        let body = told(r#"{"name":"Lamp","merchantSku":"LAMP","identifier":{"ean":"1"},"weight":1.20}"#);
        let n = w.create_product(&body, false, Actor::Merchant).unwrap();
        assert_eq!(w.create_product(&body, false, Actor::Merchant).unwrap_err().code, "Products_DuplicateProduct");
        let jfsku = w.things.products[n].id.clone();
        assert_eq!(jfsku.len(), 11);
        assert!(w.find_thing(Kind::Products, Role::Fulfiller, &jfsku).is_err(), "not shared");
        w.share_product(n, true, Actor::Merchant);
        let row = w.show(Kind::Products, n, Role::Fulfiller, None);
        assert_eq!((row.text("merchantId"), row.get("weight").unwrap().to_string()), (Some("ACME"), "1.20".into()));
        let fixed = told(r#"{"specifications":{"isBatch":true}}"#);
        let refused = w.change_product(n, &fixed, Actor::Merchant).unwrap_err();
        assert_eq!(refused.code, "Products_SpecificationChangeNotAllowed");
        w.change_product(n, &told(r#"{"merchantSku":"LAMP-2","note":null}"#), Actor::Merchant).unwrap();
        assert!(w.catalog.by_sku("LAMP").is_none() && w.catalog.by_sku("LAMP-2").is_some());
        let taken = w.change_product(n, &told(r#"{"merchantSku":"MUG-RED"}"#), Actor::Merchant).unwrap_err();
        assert_eq!(taken.code, "Shared_DuplicateKey");
        w.check_product_delete(n).unwrap();
        w.delete_product(n, Actor::Merchant);
        assert!(!w.catalog.product(&jfsku).unwrap().active);
        assert!(w.create_product(&told(r#"{"name":"L","merchantSku":"LAMP-2"}"#), true, Actor::Shop).is_ok());
    }

    #[test]
    fn what_keeps_a_product_from_being_deleted() {
        let mut w = World::new(Flags::for_test());
        let n = |w: &World, sku: &str| w.things.products.known(&w.catalog.by_sku(sku).unwrap().jfsku).unwrap();
        let (blue, plate) = (n(&w, "MUG-BLUE"), n(&w, "PLATE-WHITE"));
        assert_eq!(
            w.check_product_delete(blue).unwrap_err().code,
            "Products_CouldNotDeleteBillOfMaterialsComponentProduct"
        );
        assert_eq!(w.check_product_delete(plate).unwrap_err().code, "Stocks_QuantityNotZero");
        w.delete_product(plate, Actor::Shop);
        let jfsku = w.things.products[plate].id.clone();
        assert!(w.ledger.levels("WARE04MAIN-00001-0001", &jfsku).is_zero());
        let last = w.ledger.movements.last().unwrap();
        assert_eq!((last.kind.as_str(), last.version), ("Deleted", 2));
    }
}
