//! Grants by API: the fulfiller lets merchants use warehouses, and shipping methods in each.

use crate::answer::{Fail, Outcome};
use crate::catalog::Role;
use crate::inbound::list;
use crate::json::{Json, obj};
use crate::record::Actor;
use crate::things::Kind;
use crate::world::World;

/// The codes of one thing that is missing differ between the grants.
pub(crate) struct Missing {
    /// The status for a user who is no merchant.
    pub(crate) no_merchant: u16,
    /// The status for a merchant without any relation, or a warehouse that is not granted.
    pub(crate) no_grant: u16,
    /// The status for an unknown shipping method.
    pub(crate) no_method: u16,
}

fn method_not_found(status: u16, id: &str) -> Fail {
    Fail { status, ..Kind::Methods.not_found(id) }
}

impl World {
    fn no_grant(&self, status: u16, merchant: &str) -> Fail {
        Fail::new(status, "Authorizations_AuthorizationNotFound", "There is no such authorization.")
            .with("FulfillerId", self.catalog.fulfiller.as_str())
            .with("MerchantId", merchant)
    }

    /// Refuses if the merchant and the fulfiller do not work together any more.
    pub(crate) fn check_relation(&self, status: u16) -> Outcome<()> {
        match self.things.authorizations.by_id(&self.catalog.merchant) {
            Some(_) => Ok(()),
            None => Err(self.no_grant(status, &self.catalog.merchant)),
        }
    }

    /// Refuses a warehouse that the merchant may not use.
    pub(crate) fn check_granted(&self, warehouse: &str, status: u16) -> Outcome<()> {
        self.known_warehouse(warehouse)?;
        if self.catalog.grants.contains_key(warehouse) {
            return Ok(());
        }
        Err(self.no_grant(status, &self.catalog.merchant).with("WarehouseId", warehouse))
    }

    /// The authorization of a merchant.
    pub(crate) fn authorization(&self, merchant: &str, missing: &Missing) -> Outcome<usize> {
        if merchant == self.catalog.fulfiller || self.things.fulfillers.by_id(merchant).is_some() {
            return Err(Fail::new(missing.no_merchant, "Shared_UserIsNotAMerchant", "The user is not a merchant.")
                .with("UserId", merchant));
        }
        if self.things.merchants.by_id(merchant).is_none() {
            return Err(Fail::new(404, "Users_UserNotFound", "The user was not found.").with("UserId", merchant));
        }
        let found = self.things.authorizations.by_id(merchant);
        found.ok_or_else(|| self.no_grant(missing.no_grant, merchant))
    }

    /// The grant of a warehouse in an authorization.
    fn granted(&self, n: usize, warehouse: &str) -> Option<Json> {
        let rows = self.thing(Kind::Authorizations, n).map(|a| list(&a.body, "warehouses")).unwrap_or_default();
        rows.into_iter().find(|row| row.text("warehouseId") == Some(warehouse))
    }

    fn is_standard(&self, method: &str) -> bool {
        self.catalog.method(method).is_some_and(|m| m.kind == "Standard")
    }

    fn no_standard(&self, n: usize, warehouse: &str) -> Fail {
        let merchant = self.thing(Kind::Authorizations, n).map(|a| a.id.clone()).unwrap_or_default();
        let text = "A warehouse needs a shipping method of type Standard.";
        Fail::new(400, "Authorizations_NoStandardShippingMethodAuthorized", text)
            .with("FulfillerId", self.catalog.fulfiller.as_str())
            .with("MerchantId", merchant)
            .with("WarehouseId", warehouse)
    }

    /// Lets a merchant use a warehouse with some shipping methods.
    pub(crate) fn grant_warehouse(&mut self, n: usize, told: &Json, by: Actor) -> Outcome<()> {
        let warehouse = told.text("warehouseId").unwrap_or_default();
        self.known_warehouse(warehouse)?;
        if self.granted(n, warehouse).is_some() {
            let merchant = self.thing(Kind::Authorizations, n)?.id.clone();
            return Err(Fail::new(400, "Warehouses_WarehouseAlreadyAuthorized", "The warehouse is granted already.")
                .with("MerchantId", merchant)
                .with("WarehouseId", warehouse));
        }
        let methods = list(told, "shippingMethods");
        let ids: Vec<&str> = methods.iter().filter_map(|m| m.text("shippingMethodId")).collect();
        if let Some(id) = ids.iter().find(|id| self.catalog.method(id).is_none()) {
            return Err(method_not_found(400, id));
        }
        if !ids.iter().any(|id| self.is_standard(id)) {
            return Err(self.no_standard(n, warehouse));
        }
        let at = self.clock.stamp();
        let time = self.clock.text(at);
        let row = |id: &&str| obj([("shippingMethodId", (*id).into()), ("createdAt", time.as_str().into())]);
        let row = obj([
            ("warehouseId", warehouse.into()),
            ("createdAt", time.as_str().into()),
            ("shippingMethods", ids.iter().map(row).collect::<Vec<_>>().into()),
        ]);
        self.alter_at(Kind::Authorizations, n, by, at, |body| {
            let mut rows = list(body, "warehouses");
            rows.push(row);
            body.set("warehouses", rows.into());
        });
        self.touch_warehouses(&[warehouse], by);
        Ok(())
    }

    /// Takes a warehouse away from a merchant.
    pub(crate) fn ungrant_warehouse(&mut self, n: usize, warehouse: &str, by: Actor) -> Outcome<()> {
        if self.granted(n, warehouse).is_none() {
            return Err(Fail { status: 400, ..Kind::Warehouses.not_found(warehouse) });
        }
        let own = self.thing(Kind::Authorizations, n)?.id == self.catalog.merchant;
        let stocked = self.ledger.piles.iter().find(|p| own && p.warehouse == warehouse && !p.levels.is_zero());
        if let Some(pile) = stocked {
            return Err(Fail::new(400, "Stocks_QuantityNotZero", "There is stock of the merchant in the warehouse.")
                .with("Jfsku", pile.jfsku.as_str())
                .with("WarehouseId", warehouse));
        }
        self.alter(Kind::Authorizations, n, by, |body| {
            let mut rows = list(body, "warehouses");
            rows.retain(|row| row.text("warehouseId") != Some(warehouse));
            body.set("warehouses", rows.into());
        });
        self.touch_warehouses(&[warehouse], by);
        Ok(())
    }

    /// Lets a merchant use another shipping method in a warehouse.
    pub(crate) fn grant_method(&mut self, n: usize, warehouse: &str, method: &str, missing: &Missing) -> Outcome<()> {
        self.known_warehouse(warehouse)?;
        let (_, ids) = self.methods_in(n, warehouse, missing)?;
        if self.catalog.method(method).is_none() {
            return Err(method_not_found(missing.no_method, method));
        }
        if ids.iter().any(|id| id == method) {
            let code = "Authorizations_ShippingMethodAuthorizationExists";
            return Err(
                Fail::new(400, code, "The shipping method is granted already.").with("ShippingMethodId", method)
            );
        }
        let at = self.clock.stamp();
        let row = obj([("shippingMethodId", method.into()), ("createdAt", self.clock.text(at).into())]);
        self.change_methods(n, warehouse, at, |rows| rows.push(row));
        Ok(())
    }

    /// Takes a shipping method in a warehouse away from a merchant.
    pub(crate) fn ungrant_method(&mut self, n: usize, warehouse: &str, method: &str, missing: &Missing) -> Outcome<()> {
        let (_, ids) = self.methods_in(n, warehouse, missing)?;
        if !ids.iter().any(|id| id == method) {
            return Err(method_not_found(missing.no_method, method));
        }
        if !ids.iter().any(|id| id != method && self.is_standard(id)) {
            return Err(self.no_standard(n, warehouse));
        }
        let at = self.clock.stamp();
        self.change_methods(n, warehouse, at, |rows| {
            rows.retain(|row| row.text("shippingMethodId") != Some(method));
        });
        Ok(())
    }

    /// The merchant of an authorization and the shipping methods that he has in a warehouse.
    fn methods_in(&self, n: usize, warehouse: &str, missing: &Missing) -> Outcome<(String, Vec<String>)> {
        let merchant = self.thing(Kind::Authorizations, n)?.id.clone();
        let Some(row) = self.granted(n, warehouse) else {
            return Err(self.no_grant(missing.no_grant, &merchant).with("WarehouseId", warehouse));
        };
        let ids = list(&row, "shippingMethods");
        let ids = ids.iter().filter_map(|m| m.text("shippingMethodId")).map(str::to_owned).collect();
        Ok((merchant, ids))
    }

    fn change_methods(&mut self, n: usize, warehouse: &str, at: i64, change: impl FnOnce(&mut Vec<Json>)) {
        self.alter_at(Kind::Authorizations, n, Actor::Fulfiller, at, |body| {
            let mut rows = list(body, "warehouses");
            if let Some(row) = rows.iter_mut().find(|row| row.text("warehouseId") == Some(warehouse)) {
                let mut inside = list(row, "shippingMethods");
                change(&mut inside);
                row.set("shippingMethods", inside.into());
            }
            body.set("warehouses", rows.into());
        });
        self.touch_warehouses(&[warehouse], Actor::Fulfiller);
    }

    /// Refuses to delete a shipping method that some grant can not do without.
    pub(crate) fn check_method_delete(&self, method: &str) -> Outcome<()> {
        for (n, thing) in self.things.authorizations.iter().enumerate().filter(|(_, a)| !a.record.deleted) {
            for row in list(&thing.body, "warehouses") {
                let methods = list(&row, "shippingMethods");
                let ids: Vec<&str> = methods.iter().filter_map(|m| m.text("shippingMethodId")).collect();
                if ids.contains(&method)
                    && self.is_standard(method)
                    && !ids.iter().any(|id| *id != method && self.is_standard(id))
                {
                    return Err(self.no_standard(n, row.text("warehouseId").unwrap_or_default()));
                }
            }
        }
        Ok(())
    }

    /// What the merchant of an order may not do without when its status is to go on. The status of the
    /// answer depends on the side.
    pub(crate) fn check_basis(&self, role: Role, n: usize) -> Outcome<()> {
        let o = self.outbound(n)?;
        let method = o.members.text("shippingMethodId");
        let unknown = method.filter(|id| self.catalog.method(id).is_none());
        if role == Role::Merchant {
            return unknown.map_or(Ok(()), |id| Err(method_not_found(403, id)));
        }
        if self.things.merchants.by_id(&self.catalog.merchant).is_none() {
            let fail = Fail::new(400, "Users_UserNotFound", "The user was not found.");
            return Err(fail.with("UserId", self.catalog.merchant.as_str()));
        }
        self.check_relation(403)?;
        self.known_warehouse(&o.warehouse)?;
        if let Some(id) = unknown {
            return Err(method_not_found(400, id));
        }
        if let Some(id) = method {
            self.check_method_in(id, &o.warehouse)?;
        }
        let gone = |jfsku: &str| self.catalog.product(jfsku).is_none_or(|p| !p.active);
        let names = o.lines.iter().filter_map(|l| l.jfsku.as_deref()).filter(|jfsku| gone(jfsku));
        crate::inbound::unknown_products(&names.map(str::to_owned).collect::<Vec<_>>())
    }

    /// Refuses a shipping method that the merchant does not have in a warehouse.
    pub(crate) fn check_method_in(&self, method: &str, warehouse: &str) -> Outcome<()> {
        if self.catalog.grants.get(warehouse).is_none_or(|methods| methods.contains(method)) {
            return Ok(());
        }
        Err(Fail::new(400, "Outbounds_InapropriateShippingMethod", "The shipping method can not be used here.")
            .with("Reason", "It is not granted in this warehouse.")
            .with("ShippingMethodId", method))
    }
}
