//! Returns: what comes back from customers, and the field-level log of their changes.

use crate::answer::{Fail, Outcome};
use crate::catalog::{Role, address};
use crate::clock::Clock;
use crate::decimal::Decimal;
use crate::inbound::{list, number, plus};
use crate::json::{Json, int, obj};
use crate::ledger::{Cause, Entry, Levels, Remarks};
use crate::record::{Actor, Record};
use crate::related::condition as condition_of;
use crate::things::{Kind, Thing, merge};
use crate::world::World;

/// How a list inside a return is told apart: the name of the list, and of the id of its members.
const LISTS: [(&str, &str); 2] = [("items", "returnItemId"), ("stockChanges", "stockChangeId")];

/// Everything in which two states of an object differ: leaves with their value and the one before.
fn differences(old: &Json, new: &Json, stamp: &[(&str, Json)]) -> Json {
    let mut out = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for side in [new, old] {
        if let Json::Obj(members) = side {
            for (name, _) in members {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
    }
    for name in names {
        let (before, after) = (old.get(name).unwrap_or(&Json::Null), new.get(name).unwrap_or(&Json::Null));
        if before == after {
            continue;
        }
        let value = match (before, after) {
            (Json::Arr(_), _) | (_, Json::Arr(_)) => {
                let Some((_, id)) = LISTS.iter().find(|(list, _)| *list == name) else { continue };
                let rows = list_differences(before, after, id, stamp);
                if rows.is_empty() {
                    continue;
                }
                Json::Arr(rows)
            }
            (Json::Obj(_), _) | (_, Json::Obj(_)) => differences(before, after, stamp),
            _ => obj([("value", after.clone()), ("previousValue", before.clone())]),
        };
        out.push((name.to_owned(), value));
    }
    Json::Obj(out)
}

fn list_differences(old: &Json, new: &Json, id: &str, stamp: &[(&str, Json)]) -> Vec<Json> {
    let rows = |side: &Json| match side {
        Json::Arr(rows) => rows.clone(),
        _ => Vec::new(),
    };
    let (before, after) = (rows(old), rows(new));
    let with = |list: &[Json], row: &Json| list.iter().find(|r| r.get(id) == row.get(id)).cloned();
    let mut out = Vec::new();
    for row in after.iter().chain(before.iter().filter(|row| with(&after, row).is_none())) {
        let (was, is) = (with(&before, row), with(&after, row));
        let state = match (&was, &is) {
            (None, _) => "New",
            (_, None) => "Deleted",
            _ => "Modified",
        };
        let changes = differences(&was.unwrap_or(Json::Null), &is.unwrap_or(Json::Null), stamp);
        if changes == Json::Obj(Vec::new()) {
            continue;
        }
        let part = |name: &str| stamp.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        out.push(obj([
            ("id", row.get(id).cloned().unwrap_or(Json::Null)),
            ("updatedAt", part("updatedAt").into()),
            ("modificationState", state.into()),
            ("modifiedFrom", part("modifiedFrom").into()),
            ("changes", changes),
        ]));
    }
    out
}

/// A change of a return as one side sees it.
pub(crate) fn change_json(change: &Thing, role: Role, partner: &str, clock: &Clock) -> Json {
    let Some(first) = change.record.changes.first() else { return Json::Null };
    let text = |name| change.body.text(name).unwrap_or_default();
    // The changes are kept as text, because that is smaller.
    let mut changes = Json::parse(text("changes")).unwrap_or(Json::Null);
    if text("state") == "New" {
        let name = match role {
            Role::Merchant => "fulfillerId",
            Role::Fulfiller => "merchantId",
        };
        changes.set(name, obj([("value", partner.into())]));
    }
    obj([
        ("id", change.number.as_str().into()),
        ("updatedAt", clock.text(first.at).into()),
        ("modificationState", text("state").into()),
        ("modifiedFrom", text("from").into()),
        ("changes", changes),
    ])
}

impl World {
    /// Writes down in which members a return changed. `None` before: it is new; after: it is deleted.
    pub(crate) fn note_return_change(&mut self, old: Option<&Json>, new: Option<&Json>, id: &str, at: i64, by: Actor) {
        let from = self.catalog.user_id(by.role()).to_owned();
        let state = match (old, new) {
            (None, Some(_)) => "New",
            (_, None) => "Deleted",
            _ => "Modified",
        };
        let stamp = [("updatedAt", self.clock.text(at).into()), ("modifiedFrom", from.as_str().into())];
        let none = Json::Obj(Vec::new());
        let changes = differences(old.unwrap_or(&none), new.unwrap_or(&none), &stamp);
        if state == "Modified" && changes == none {
            return;
        }
        let body = obj([("state", state.into()), ("from", from.into()), ("changes", changes.to_string().into())]);
        let change = Thing {
            id: String::new(),
            number: id.to_owned(),
            body,
            parent: None,
            what: Vec::new(),
            record: Record::new(at, by, None),
        };
        self.things.return_changes.add(None, Some(id), change);
    }

    fn new_item_id(&mut self) -> String {
        let tail = self.token(8);
        format!("{}05{tail}", self.catalog.merchant)
    }

    /// The items of a request, in the words of a return.
    fn return_items(&mut self, items: &[Json], return_id: &str, taken: &[Json]) -> Outcome<Vec<Json>> {
        let products = self.products_of(items)?;
        let mut rows: Vec<Json> = Vec::new();
        for (item, product) in items.iter().zip(products) {
            let quantity = number(item, "quantity");
            if !quantity.is_positive() {
                return Err(Fail::model("items.quantity", "more than 0 is needed"));
            }
            let id = match item.text("returnItemId") {
                Some(id) => id.to_owned(),
                None => self.new_item_id(),
            };
            let same = |row: &Json| row.text("returnItemId") == Some(&id);
            if rows.iter().any(same) || taken.iter().any(same) {
                return Err(Fail::new(400, "Returns_DuplicateReturnItem", "The id of the item is in use.")
                    .with("ReturnId", return_id)
                    .with("ReturnItemId", id));
            }
            if let Some(outbound) = item.text("outboundId") {
                let fail = |code, text: &str| {
                    Err(Fail::new(400, code, text)
                        .with("OutboundId", outbound)
                        .with("ReturnId", return_id)
                        .with("ReturnItemId", id.as_str()))
                };
                let Some(o) = self.outbounds.by_id(outbound).and_then(|n| self.outbounds.get(n)) else {
                    return fail("Returns_OutboundForReturnItemNotFound", "The outbound was not found.");
                };
                if let Some(wanted) = item.text("outboundItemId") {
                    let Some(line) = o.lines.iter().find(|l| l.id == wanted) else {
                        return fail("Returns_OutboundItemNotFound", "The line of the outbound was not found.");
                    };
                    if line.jfsku.as_deref() != Some(product.jfsku.as_str()) {
                        let text = "The line of the outbound has another product.";
                        return fail("Returns_JfskuDoesNotMatchOutboundItem", text).map_err(|fail: Fail| {
                            fail.with("ExpectedJfsku", line.jfsku.clone().unwrap_or_default())
                                .with("Jfsku", product.jfsku)
                                .with("OutboundItemId", wanted)
                        });
                    }
                    if line.shipped.is_zero() {
                        return fail("Returns_OutboundItemNotShipped", "The line of the outbound was not shipped.");
                    }
                }
            }
            let part = |name: &str| item.get(name).cloned().unwrap_or(Json::Null);
            rows.push(obj([
                ("returnItemId", id.into()),
                ("jfsku", product.jfsku.into()),
                ("merchantSku", product.sku.into()),
                ("name", product.name.into()),
                ("outboundId", part("outboundId")),
                ("outboundItemId", part("outboundItemId")),
                ("quantity", part("quantity")),
                ("reason", item.text("reason").unwrap_or("NoReason").into()),
                ("reasonNote", part("reasonNote")),
                ("conditionNote", part("conditionNote")),
                ("state", item.text("state").unwrap_or("Announced").into()),
                ("condition", item.text("condition").unwrap_or("Unknown").into()),
                ("stockChanges", Json::Arr(Vec::new())),
            ]));
        }
        Ok(rows)
    }

    /// Creates a return from the members of a request.
    pub(crate) fn create_return(&mut self, body: &Json, by: Actor) -> Outcome<usize> {
        let given = body.text("returnId").map(str::to_owned);
        if given.as_ref().is_some_and(|id| self.things.returns.known(id).is_some()) {
            return Err(Fail::new(400, "Returns_DuplicateReturn", "There is such a return already."));
        }
        self.check_return_numbers(body, None, "Returns_DuplicateReturn")?;
        let warehouse = body.text("warehouseId").unwrap_or_default().to_owned();
        self.known_warehouse(&warehouse)?;
        let owner = if by.role() == Role::Merchant { Role::Merchant } else { Role::Fulfiller };
        let id = given.unwrap_or_else(|| self.new_id(Kind::Returns, owner, "05", 8));
        let items = self.return_items(&list(body, "items"), &id, &[])?;
        let part = |name: &str| body.get(name).cloned().unwrap_or(Json::Null);
        let whole = obj([
            ("returnId", id.into()),
            ("warehouseId", warehouse.into()),
            ("merchantReturnNumber", part("merchantReturnNumber")),
            ("fulfillerReturnNumber", part("fulfillerReturnNumber")),
            ("contact", part("contact")),
            ("internalNote", part("internalNote")),
            ("externalNote", part("externalNote")),
            ("customerAddress", part("customerAddress")),
            ("state", body.text("state").unwrap_or("Announced").into()),
            ("items", items.into()),
        ]);
        let n = self.put(Kind::Returns, whole, None, by);
        self.plan(Kind::Returns, n);
        Ok(n)
    }

    /// Refuses numbers that another return has.
    pub(crate) fn check_return_numbers(&self, told: &Json, own: Option<usize>, code: &'static str) -> Outcome<()> {
        let other = |n: &usize| Some(*n) != own;
        let number = told.text("merchantReturnNumber").unwrap_or_default();
        let theirs = told.text("fulfillerReturnNumber");
        let same_theirs =
            |(n, r): (usize, &Thing)| other(&n) && !r.record.deleted && r.body.text("fulfillerReturnNumber") == theirs;
        if (!number.is_empty() && self.things.returns.numbered(number).any(|n| other(&n)))
            || (theirs.is_some() && self.things.returns.iter().enumerate().any(same_theirs))
        {
            return Err(Fail::new(400, code, "There is such a return already."));
        }
        Ok(())
    }

    /// The place of an item in a return.
    pub(crate) fn return_item(&self, n: usize, item: &str) -> Outcome<(usize, Json)> {
        let r = self.thing(Kind::Returns, n)?;
        let rows = list(&r.body, "items");
        let found = rows.iter().position(|i| i.text("returnItemId") == Some(item));
        found.and_then(|i| Some((i, rows.get(i)?.clone()))).ok_or_else(|| {
            Fail::new(404, "Returns_ReturnItemNotFound", "The item was not found.")
                .with("ReturnId", r.id.as_str())
                .with("ReturnItemId", item)
        })
    }

    /// Changes items of a return; its own state follows from theirs.
    pub(crate) fn change_items(&mut self, n: usize, by: Actor, at: i64, mut change: impl FnMut(&mut Vec<Json>)) {
        self.alter_at(Kind::Returns, n, by, at, |body| {
            let mut rows = list(body, "items");
            change(&mut rows);
            let all = |state: &str| rows.iter().all(|i| i.text("state") == Some(state));
            let known = |i: &Json| matches!(i.text("state"), Some("Announced" | "Arrived" | "Completed"));
            if rows.iter().all(known) {
                let state = match (all("Announced"), all("Completed")) {
                    (true, _) => "Announced",
                    (_, true) => "Completed",
                    _ => "Arrived",
                };
                body.set("state", state.into());
            }
            body.set("items", rows.into());
        });
    }

    /// Items arrive; all that are announced if none is named.
    pub(crate) fn arrive(&mut self, n: usize, items: &[String], by: Actor) -> Outcome<()> {
        for item in items {
            self.return_item(n, item)?;
        }
        let meant = |i: &Json| match i.text("returnItemId") {
            Some(id) if !items.is_empty() => items.iter().any(|named| named == id),
            _ => i.text("state") == Some("Announced"),
        };
        let at = self.clock.stamp();
        self.change_items(n, by, at, |rows| {
            rows.iter_mut().filter(|i| meant(i)).for_each(|i| i.set("state", "Arrived".into()));
        });
        Ok(())
    }

    /// The goods of an item that has arrived go into stock; answers the entry of the ledger.
    pub(crate) fn book_return(&mut self, n: usize, item: &str, told: &Json, by: Actor) -> Outcome<usize> {
        let (place, row) = self.return_item(n, item)?;
        let r = self.thing(Kind::Returns, n)?;
        let (return_id, home) = (r.id.clone(), r.body.text("warehouseId").unwrap_or_default().to_owned());
        let state = row.text("state").unwrap_or_default();
        if state != "Arrived" {
            return Err(Fail::new(400, "Returns_NotAllowedItemState", "The item has not arrived or is done with.")
                .with("ReturnId", return_id)
                .with("ReturnItemId", item)
                .with("allowedStates", "Arrived")
                .with("currentState", state));
        }
        let (good, blocked, expected) =
            (number(told, "quantity"), number(told, "quantityBlocked"), number(&row, "quantity"));
        let total = plus(good, blocked);
        if total.partial_cmp(&expected) != Some(std::cmp::Ordering::Equal) {
            return Err(Fail::new(400, "Returns_QuantityDoesNotCorresond", "All of the item has to be booked.")
                .with("ExpectedQuantity", expected.to_string())
                .with("Quantity", good.to_string())
                .with("QuantityBlocked", blocked.to_string())
                .with("ReturnId", return_id)
                .with("ReturnItemId", item));
        }
        let condition = told.text("condition").unwrap_or_else(|| match row.text("condition") {
            None | Some("Unknown") => "Default",
            Some(known) => known,
        });
        let warehouse = told.text("warehouseId").unwrap_or(&home).to_owned();
        self.known_warehouse(&warehouse)?;
        if by.is_application() {
            if self.flags.switches.booking_needs_condition && condition_of(&row).is_none() {
                let code = "Products_ConditionOfRelatedProductCanNotBeUnknown";
                return Err(Fail::new(400, code, "The condition of the item is not known.")
                    .with("Jfsku", row.text("jfsku").unwrap_or_default()));
            }
            if let Some(product) = self.catalog.product(row.text("jfsku").unwrap_or_default()) {
                Self::check_lot(product, &warehouse, told)?;
            }
        }
        let jfsku = row.text("jfsku").unwrap_or_default().to_owned();
        let at = self.clock.stamp();
        let cause = Cause { returned: Some((return_id, item.to_owned())), ..Cause::default() };
        let delta = Levels { level: good, blocked, ..Levels::ZERO };
        let remarks = Remarks::read(told);
        let entry = Entry { warehouse: &warehouse, jfsku: &jfsku, kind: "Return", delta, cause, remarks };
        let m = self.book(entry, at, by);
        let stock_id = self.ledger.movements.get(m).map_or(Json::Null, |m| self.movement_id(m));
        let booked = obj([
            ("stockChangeId", stock_id),
            ("merchantSku", row.text("merchantSku").into()),
            ("quantity", int(good)),
            ("quantityBlocked", int(blocked)),
        ]);
        self.change_items(n, by, at, |rows| {
            if let Some(i) = rows.get_mut(place) {
                i.set("state", "Completed".into());
                i.set("condition", condition.into());
                let mut all = list(i, "stockChanges");
                all.push(booked.clone());
                i.set("stockChanges", all.into());
            }
        });
        Ok(m)
    }

    /// Completes what has arrived; `blocked` books it as blocked goods.
    pub(crate) fn complete_return(&mut self, n: usize, blocked: bool, condition: Option<&str>) -> Outcome<()> {
        let rows = list(&self.thing(Kind::Returns, n)?.body, "items");
        for row in rows.iter().filter(|i| i.text("state") == Some("Arrived")) {
            let quantity = row.get("quantity").cloned().unwrap_or(Json::Null);
            let name = if blocked { "quantityBlocked" } else { "quantity" };
            let told = obj([(name, quantity), ("condition", condition.into())]);
            self.book_return(n, row.text("returnItemId").unwrap_or_default(), &told, Actor::House)?;
        }
        Ok(())
    }

    /// One step on the way of a return; answers the state it has then.
    pub(crate) fn return_step(&mut self, n: usize, blocked: bool) -> Result<String, String> {
        let state = |w: &World| w.things.returns.get(n).map(|r| r.status(Kind::Returns).to_owned()).unwrap_or_default();
        let any = |w: &World, wanted: &str| {
            let rows = w.things.returns.get(n).map(|r| list(&r.body, "items")).unwrap_or_default();
            rows.iter().any(|i| i.text("state") == Some(wanted))
        };
        let done = match state(self).as_str() {
            "Announced" => self.arrive(n, &[], Actor::House),
            "Arrived" if any(self, "Announced") && !any(self, "Arrived") => self.arrive(n, &[], Actor::House),
            "Arrived" => self.complete_return(n, blocked, None),
            other => return Err(format!("{other} does not go on")),
        };
        done.map_err(|fail| fail.message)?;
        Ok(state(self))
    }

    /// Refuses a write of somebody who does not hold the lock.
    pub(crate) fn check_lock(&self, n: usize, role: Role) -> Outcome<()> {
        let r = self.thing(Kind::Returns, n)?;
        let Some(lock) = r.body.get("writeLock") else { return Ok(()) };
        let holder = lock.text("lockedByUserId").unwrap_or_default();
        let until = lock.text("lockedUntil").unwrap_or_default();
        let over = crate::clock::parse(until).is_some_and(|at| at.timestamp_millis() <= self.clock.now());
        if over || holder == self.catalog.user_id(role) {
            return Ok(());
        }
        Err(Fail::new(403, "Returns_ReturnIsLocked", "The return is locked.")
            .with("LockedByUserId", holder)
            .with("LockedUntil", until)
            .with("ReturnId", r.id.as_str()))
    }

    /// Locks a return for a side.
    pub(crate) fn lock_return(&mut self, n: usize, by: Actor, ms: i64) {
        let now = self.clock.now();
        let lock = obj([
            ("lockedByUserId", self.catalog.user_id(by.role()).into()),
            ("lockedAt", self.clock.text(now).into()),
            ("lockedUntil", self.clock.text(now.saturating_add(ms)).into()),
        ]);
        self.alter(Kind::Returns, n, by, |body| body.set("writeLock", lock));
    }

    pub(crate) fn unlock_return(&mut self, n: usize, by: Actor) {
        self.alter(Kind::Returns, n, by, |body| body.remove("writeLock"));
    }

    /// Adds items to a return; answers them.
    pub(crate) fn add_return_items(&mut self, n: usize, items: &[Json], by: Actor) -> Outcome<Vec<Json>> {
        let r = self.thing(Kind::Returns, n)?;
        let (id, old) = (r.id.clone(), list(&r.body, "items"));
        let new = self.return_items(items, &id, &old)?;
        let at = self.clock.stamp();
        self.change_items(n, by, at, |rows| rows.extend(new.iter().cloned()));
        Ok(new)
    }

    /// Takes a part of an item as an item of its own; answers that.
    pub(crate) fn split_item(&mut self, n: usize, item: &str, told: &Json, by: Actor) -> Outcome<Json> {
        let (place, row) = self.return_item(n, item)?;
        let (whole, part) = (number(&row, "quantity"), number(told, "quantity"));
        let rest = whole.sub(part).unwrap_or(Decimal::ZERO);
        if !part.is_positive() || !rest.is_positive() {
            return Err(Fail::new(400, "Returns_NotEnoughQuantity", "A part is less than the whole.")
                .with("ReturnId", self.thing(Kind::Returns, n)?.id.as_str())
                .with("ReturnItemId", item));
        }
        let mut new = row;
        let id = match told.text("returnItemId") {
            Some(id) if self.return_item(n, id).is_ok() => {
                return Err(Fail::new(400, "Returns_DuplicateReturnItem", "The id of the item is in use.")
                    .with("ReturnId", self.thing(Kind::Returns, n)?.id.as_str())
                    .with("ReturnItemId", id));
            }
            Some(id) => id.to_owned(),
            None => self.new_item_id(),
        };
        new.set("returnItemId", id.into());
        new.set("quantity", told.get("quantity").cloned().unwrap_or(Json::Null));
        let at = self.clock.stamp();
        self.change_items(n, by, at, |rows| {
            if let Some(old) = rows.get_mut(place) {
                old.set("quantity", int(rest));
            }
            rows.push(new.clone());
        });
        Ok(new)
    }

    /// Changes members of an item.
    pub(crate) fn change_item(&mut self, n: usize, item: &str, members: &Json, by: Actor) -> Outcome<()> {
        let (place, _) = self.return_item(n, item)?;
        let at = self.clock.stamp();
        self.change_items(n, by, at, |rows| {
            if let Some(row) = rows.get_mut(place) {
                merge(row, members);
            }
        });
        Ok(())
    }

    /// Takes an item out of a return.
    pub(crate) fn remove_item(&mut self, n: usize, item: &str, by: Actor) -> Outcome<()> {
        let (place, row) = self.return_item(n, item)?;
        let r = self.thing(Kind::Returns, n)?;
        if list(&r.body, "items").len() < 2 {
            return Err(Fail::new(404, "Returns_ItemListIsEmpty", "A return needs an item.").with("ReturnId", &*r.id));
        }
        let state = row.text("state").unwrap_or_default();
        if by.role() == Role::Fulfiller && state == "Completed" {
            return Err(Fail::new(404, "Returns_NotAllowedItemState", "The item is done with.")
                .with("ReturnId", &*r.id)
                .with("ReturnItemId", item)
                .with("allowedStates", "Announced, Arrived")
                .with("currentState", state));
        }
        let at = self.clock.stamp();
        self.change_items(n, by, at, |rows| {
            rows.remove(place);
        });
        Ok(())
    }

    /// A return that nobody asked for: one item, the quantity by the seed.
    pub(crate) fn make_return(&mut self, number_of: &str, seed: usize) -> Option<usize> {
        let body = self.default_return(number_of, seed);
        self.create_return(&body, Actor::Shop).ok()
    }

    /// The request for such a return.
    pub(crate) fn default_return(&self, number_of: &str, seed: usize) -> Json {
        let mut dice = self.dice(Kind::Returns, seed, 301);
        let goods = self.catalog.products.iter().filter(|p| p.active && p.components.is_empty()).take(2);
        let goods: Vec<&str> = goods.map(|p| p.jfsku.as_str()).collect();
        let reason = ["NoReason", "DoNotLikeAnymore", "WrongItemSent", "ArrivedTooLate"];
        let item = obj([
            ("jfsku", dice.choice(goods).into()),
            ("quantity", int(dice.u32(1..4))),
            ("reason", dice.choice(reason).into()),
        ]);
        let warehouse = self.catalog.warehouses.iter().find(|w| w.active).map(|w| w.id.as_str());
        obj([
            ("merchantReturnNumber", number_of.into()),
            ("warehouseId", warehouse.into()),
            ("customerAddress", address("Ida Beispiel")),
            ("items", Json::Arr(vec![item])),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    fn world() -> (World, usize) {
        let mut w = World::new(Flags::for_test());
        let mut body = w.default_return("R", 0);
        let items = r#"[{"returnItemId":"a","merchantSku":"MUG-BLUE","quantity":3},
            {"returnItemId":"b","merchantSku":"MUG-RED","quantity":1,"reason":"WrongItemSent"}]"#;
        body.set("items", Json::parse(items).unwrap());
        let n = w.create_return(&body, Actor::Merchant).unwrap();
        (w, n)
    }

    fn log(w: &World) -> Vec<String> {
        let shown = |n| w.show(Kind::ReturnChanges, n, Role::Merchant, None);
        let text = |row: Json| {
            let part = |name| row.text(name).unwrap().to_owned();
            format!("{} {} {}", part("modificationState"), part("modifiedFrom"), row.get("changes").unwrap())
        };
        (0..w.things.return_changes.len()).map(shown).map(text).collect()
    }

    #[test]
    fn the_way_of_a_return_and_its_log() {
        let (mut w, n) = world();
        assert_eq!(w.return_step(n, false).unwrap(), "Arrived");
        assert_eq!(w.return_step(n, true).unwrap(), "Completed");
        assert!(w.return_step(n, false).is_err());
        let levels = w.ledger.levels("WARE04MAIN-00001-0001", "ACME01A1B2C");
        assert_eq!((levels.level.to_string(), levels.blocked.to_string()), ("1000000".into(), "3".into()));
        let log = log(&w);
        assert_eq!(log.len(), 4, "one item after the other is booked");
        assert!(log[0].starts_with("New ACME {\"returnId\":{\"value\":"), "{}", log[0]);
        assert!(log[0].contains(r#""fulfillerId":{"value":"WARE"}"#));
        assert!(log[1].starts_with(
            r#"Modified WARE {"state":{"value":"Arrived","previousValue":"Announced"},"items":[{"id":"a","updatedAt":"#
        ));
        assert!(log[2].contains(r#""condition":{"value":"Default","previousValue":"Unknown"}"#), "{}", log[2]);
        assert!(log[2].contains(
            r#""stockChanges":[{"id":{"warehouseId":"WARE04MAIN-00001-0001","jfsku":"ACME01A1B2C","stockVersion":2},"#
        ));
        assert!(log[2].contains(r#""quantityBlocked":{"value":3}"#) && !log[2].contains(r#""id":"b""#));
        assert!(log[3].contains(r#""state":{"value":"Completed","previousValue":"Arrived"}"#));
        let statuses: Vec<&str> = w.things.returns[n].record.history.iter().map(|(s, _)| s.as_str()).collect();
        assert_eq!(statuses, ["Announced", "Arrived", "Completed"]);
    }

    #[test]
    fn a_part_may_arrive_first() {
        let (mut w, n) = world();
        w.arrive(n, &["b".to_owned()], Actor::House).unwrap();
        assert_eq!(w.things.returns[n].status(Kind::Returns), "Arrived");
        let told = Json::parse(r#"{"quantity":3}"#).unwrap();
        assert_eq!(w.book_return(n, "a", &told, Actor::House).unwrap_err().code, "Returns_NotAllowedItemState");
        assert_eq!(w.book_return(n, "b", &told, Actor::House).unwrap_err().code, "Returns_QuantityDoesNotCorresond");
        let steps: Vec<String> = (0..3).map(|_| w.return_step(n, false).unwrap()).collect();
        assert_eq!(steps, ["Arrived", "Arrived", "Completed"]);
    }

    #[test]
    fn items_are_split_changed_and_removed() {
        let (mut w, n) = world();
        let told = |text: &str| Json::parse(text).unwrap();
        assert_eq!(
            w.split_item(n, "a", &told(r#"{"quantity":3}"#), Actor::Merchant).unwrap_err().code,
            "Returns_NotEnoughQuantity"
        );
        w.split_item(n, "a", &told(r#"{"quantity":1,"returnItemId":"c"}"#), Actor::Merchant).unwrap();
        w.change_item(n, "c", &told(r#"{"reason":"ArrivedTooLate"}"#), Actor::Merchant).unwrap();
        w.remove_item(n, "b", Actor::Merchant).unwrap();
        let log = log(&w);
        assert!(log[1].contains(r#""changes":{"quantity":{"value":2,"previousValue":3}}"#), "{}", log[1]);
        assert!(log[1].contains(r#""modificationState":"New""#));
        assert!(log[2].contains(r#"{"reason":{"value":"ArrivedTooLate","previousValue":"NoReason"}}"#));
        assert!(log[3].contains(r#""modificationState":"Deleted""#), "{}", log[3]);
        w.remove_item(n, "c", Actor::Merchant).unwrap();
        assert_eq!(w.remove_item(n, "a", Actor::Merchant).unwrap_err().code, "Returns_ItemListIsEmpty");
        w.bury(Kind::Returns, n, Actor::Merchant);
        assert_eq!(super::tests::log(&w).last().unwrap(), "Deleted ACME {}");
    }

    #[test]
    fn the_lock_keeps_the_other_side_out_for_a_while() {
        let (mut w, n) = world();
        w.lock_return(n, Actor::Fulfiller, 60_000);
        assert!(w.check_lock(n, Role::Fulfiller).is_ok());
        assert_eq!(w.check_lock(n, Role::Merchant).unwrap_err().code, "Returns_ReturnIsLocked");
        w.clock.advance(60_000);
        assert!(w.check_lock(n, Role::Merchant).is_ok());
        w.unlock_return(n, Actor::Fulfiller);
        assert!(log(&w)[2].contains(r#""writeLock":{"lockedByUserId":{"previousValue":"WARE"}"#));
    }

    #[test]
    fn wrong_requests() {
        let (mut w, _) = world();
        let o = w.make("O".to_owned(), "Pending").unwrap();
        let id = w.outbounds[o].id.clone();
        let refused = |w: &mut World, change: &str| {
            let mut body = w.default_return("S", 0);
            merge(&mut body, &Json::parse(change).unwrap());
            w.create_return(&body, Actor::Merchant).map_err(|fail| fail.code)
        };
        assert_eq!(refused(&mut w, r#"{"merchantReturnNumber":"R"}"#), Err("Returns_DuplicateReturn"));
        assert_eq!(refused(&mut w, r#"{"warehouseId":"x"}"#), Err("Warehouses_WarehouseNotFound"));
        let twice = r#"{"items":[{"returnItemId":"a","merchantSku":"MUG-RED","quantity":1},
            {"returnItemId":"a","merchantSku":"MUG-RED","quantity":1}]}"#;
        assert_eq!(refused(&mut w, twice), Err("Returns_DuplicateReturnItem"));
        let of = |sku: &str, line: &str| {
            format!(
                r#"{{"items":[{{"merchantSku":"{sku}","quantity":1,"outboundId":"{id}","outboundItemId":"{line}"}}]}}"#
            )
        };
        assert_eq!(refused(&mut w, &of("MUG-RED", "1")), Err("Returns_JfskuDoesNotMatchOutboundItem"));
        assert_eq!(refused(&mut w, &of("MUG-BLUE", "2")), Err("Returns_OutboundItemNotFound"));
        assert_eq!(refused(&mut w, &of("MUG-BLUE", "1")), Err("Returns_OutboundItemNotShipped"));
        w.house_ship(o, false);
        assert!(refused(&mut w, &of("MUG-BLUE", "1")).is_ok());
    }
}
