//! Warehouses, shipping methods, and what of them the merchant may use.

use crate::answer::{Fail, Outcome};
use crate::catalog::{Role, method_body, warehouse_body};
use crate::inbound::list;
use crate::json::{Json, obj};
use crate::record::Actor;
use crate::things::{Kind, merge};
use crate::world::World;

impl World {
    /// Creates a warehouse from the members of a request.
    pub(crate) fn create_warehouse(&mut self, body: &Json, by: Actor) -> Outcome<usize> {
        let id = match body.text("warehouseId") {
            Some(id) => id.to_owned(),
            None => format!("{}-00001-0001", self.new_id(Kind::Warehouses, Role::Fulfiller, "04", 6)),
        };
        if self.things.warehouses.known(&id).is_some() {
            return Err(Fail::new(400, "Shared_DuplicateKey", "The key exists already."));
        }
        let mut warehouse = warehouse_body(&id, "Another warehouse", "Neuort");
        merge(&mut warehouse, body);
        if let Some(address) = body.get("address") {
            warehouse.set("address", address.clone());
        }
        Ok(self.put(Kind::Warehouses, warehouse, None, by))
    }

    /// Creates a shipping method from the members of a request.
    pub(crate) fn create_method(&mut self, body: &Json, by: Actor) -> Outcome<usize> {
        let number = body.text("fulfillerShippingMethodNumber").map(str::to_owned);
        let number = number.unwrap_or_else(|| (10 * (self.things.methods.len() + 1)).to_string());
        let taken = body.text("shippingMethodId").is_some_and(|id| self.things.methods.known(id).is_some());
        if taken || self.things.methods.numbered(&number).next().is_some() {
            let text = "There is such a shipping method already.";
            return Err(Fail::new(400, "ShippingMethods_DuplicateShippingMethod", text));
        }
        let id = match body.text("shippingMethodId") {
            Some(id) => id.to_owned(),
            None => self.new_id(Kind::Methods, Role::Fulfiller, "0A", 5),
        };
        let mut method = method_body(&id, &number, "Another method", "Standard", "DHL", "16:00");
        if by == Actor::Fulfiller {
            method = obj([("shippingMethodId", id.into()), ("fulfillerShippingMethodNumber", number.into())]);
        }
        merge(&mut method, body);
        Ok(self.put(Kind::Methods, method, None, by))
    }

    /// Lets the merchant use warehouses (with the methods named, else all) or, if none is named, lets him
    /// use methods in every warehouse that he has.
    pub(crate) fn grant(&mut self, warehouses: &[String], methods: &[String], by: Actor) {
        let at = self.clock.stamp();
        let time = self.clock.text(at);
        let every = self.catalog.methods.iter().filter(|m| m.active).map(|m| m.id.clone());
        let wanted: Vec<String> = if methods.is_empty() { every.collect() } else { methods.to_vec() };
        let add = |rows: &mut Vec<Json>, known: &std::collections::BTreeSet<String>| {
            for id in wanted.iter().filter(|id| !known.contains(*id)) {
                rows.push(obj([("shippingMethodId", id.as_str().into()), ("createdAt", time.as_str().into())]));
            }
        };
        let none = std::collections::BTreeSet::new();
        let grants = self.catalog.grants.clone();
        let Some(n) = self.things.authorizations.known(&self.catalog.merchant) else { return };
        self.alter_at(Kind::Authorizations, n, by, at, |body| {
            let mut rows = list(body, "warehouses");
            for row in &mut rows {
                let id = row.text("warehouseId").unwrap_or_default().to_owned();
                if warehouses.is_empty() || warehouses.contains(&id) {
                    let mut inside = list(row, "shippingMethods");
                    add(&mut inside, grants.get(&id).unwrap_or(&none));
                    row.set("shippingMethods", inside.into());
                }
            }
            for id in warehouses.iter().filter(|id| !grants.contains_key(*id)) {
                let mut inside = Vec::new();
                add(&mut inside, &none);
                rows.push(obj([
                    ("warehouseId", id.as_str().into()),
                    ("createdAt", time.as_str().into()),
                    ("shippingMethods", inside.into()),
                ]));
            }
            body.set("warehouses", rows.into());
        });
    }

    /// Stamps warehouses whose methods changed for the merchant.
    pub(crate) fn touch_warehouses(&mut self, ids: &[&str], by: Actor) {
        for id in ids {
            if let Some(n) = self.things.warehouses.by_id(id) {
                self.alter(Kind::Warehouses, n, by, |_| ());
            }
        }
    }

    /// Takes a warehouse, or a method in one or in all, away from the merchant.
    pub(crate) fn revoke_grant(&mut self, warehouse: Option<&str>, method: Option<&str>, by: Actor) {
        let Some(n) = self.things.authorizations.known(&self.catalog.merchant) else { return };
        let meant = |row: &Json| warehouse.is_none_or(|id| row.text("warehouseId") == Some(id));
        self.alter(Kind::Authorizations, n, by, |body| {
            let mut rows = list(body, "warehouses");
            match method {
                None => rows.retain(|row| !meant(row)),
                Some(method) => {
                    for row in rows.iter_mut().filter(|row| meant(row)) {
                        let mut inside = list(row, "shippingMethods");
                        inside.retain(|m| m.text("shippingMethodId") != Some(method));
                        row.set("shippingMethods", inside.into());
                    }
                }
            }
            body.set("warehouses", rows.into());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    #[test]
    fn the_merchant_sees_what_is_granted() {
        let mut w = World::new(Flags::for_test());
        let place = w.create_warehouse(&Json::parse(r#"{"name":"New"}"#).unwrap(), Actor::Fulfiller).unwrap();
        let method =
            w.create_method(&Json::parse(r#"{"name":"M","shippingType":"SameDay"}"#).unwrap(), Actor::Fulfiller);
        let method = method.unwrap();
        let (id, method_id) = (w.things.warehouses[place].id.clone(), w.things.methods[method].id.clone());
        assert!(id.len() >= 14);
        let merchant = |w: &World| {
            (
                w.find_thing(Kind::Warehouses, Role::Merchant, &id).is_ok(),
                w.is_shown(Kind::Methods, method, Role::Merchant),
            )
        };
        assert_eq!(merchant(&w), (false, false));
        assert!(w.find_thing(Kind::Warehouses, Role::Fulfiller, &id).is_ok());
        w.grant(std::slice::from_ref(&id), std::slice::from_ref(&method_id), Actor::Fulfiller);
        assert_eq!(merchant(&w), (true, true));
        let row = w.show(Kind::Warehouses, place, Role::Merchant, None);
        assert_eq!(row.get("shippingMethodIds").unwrap().to_string(), format!("[\"{method_id}\"]"));
        assert!(w.show(Kind::Warehouses, place, Role::Fulfiller, None).get("shippingMethodIds").is_none());
        let row = w.show(Kind::Methods, method, Role::Merchant, None);
        assert!(row.get("fulfillerShippingMethodNumber").is_none() && row.text("fulfillerId") == Some("WARE"));
        w.revoke_grant(None, Some(&method_id), Actor::House);
        assert_eq!(merchant(&w), (true, false));
        w.revoke_grant(Some(&id), None, Actor::House);
        assert_eq!(merchant(&w), (false, false));
        assert_eq!(w.things.authorizations[0].what, ["created", "warehouses", "warehouses", "warehouses"]);
    }
}
