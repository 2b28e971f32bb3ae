//! Inbounds and their shipping notifications: announced deliveries, what arrives of them, their end.

use crate::answer::{Fail, Outcome};
use crate::catalog::{Product, Role};
use crate::decimal::Decimal;
use crate::json::{Json, int, obj};
use crate::ledger::{Cause, Entry, Levels, Remarks, minus};
use crate::record::Actor;
use crate::schema;
use crate::things::{Kind, merge};
use crate::world::World;

/// The members of a list; none if it is no list.
pub(crate) fn list(body: &Json, name: &str) -> Vec<Json> {
    match body.get(name) {
        Some(Json::Arr(values)) => values.clone(),
        _ => Vec::new(),
    }
}

/// A number member; 0 if there is none.
pub(crate) fn number(body: &Json, name: &str) -> Decimal {
    match body.get(name) {
        Some(Json::Num(literal)) => Decimal::parse(literal).unwrap_or(Decimal::ZERO),
        // Control requests may write numbers as texts, so that no digits are lost on the way.
        Some(Json::Str(text)) => Decimal::parse(text).unwrap_or(Decimal::ZERO),
        _ => Decimal::ZERO,
    }
}

pub(crate) fn plus(a: Decimal, b: Decimal) -> Decimal {
    a.add(b).unwrap_or(a)
}

fn needed(target: &str, value: Decimal) -> Outcome<()> {
    if value.is_positive() { Ok(()) } else { Err(Fail::model(target, "more than 0 is needed")) }
}

/// Refuses products that are not there.
pub(crate) fn unknown_products(names: &[String]) -> Outcome<()> {
    match names {
        [] => Ok(()),
        [one] => {
            Err(Fail::new(400, "Products_ProductNotFound", "The product was not found.").with("Jfsku", one.as_str()))
        }
        many => {
            Err(Fail::new(400, "Products_ProductsNotFound", "Products were not found.").with("Jfskus", many.join(", ")))
        }
    }
}

impl World {
    /// The products of a list of items; names the ones that are not there.
    pub(crate) fn products_of(&self, items: &[Json]) -> Outcome<Vec<Product>> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for item in items {
            match self.catalog.product_of(item).filter(|p| p.active) {
                Some(product) => found.push(product.clone()),
                None => match item.text("jfsku").or(item.text("merchantSku")) {
                    Some(name) => unknown.push(name.to_owned()),
                    None => return Err(Fail::model("items", "jfsku or merchantSku is required")),
                },
            }
        }
        unknown_products(&unknown)?;
        Ok(found)
    }

    /// Whether what a fulfiller says about a batch and a date fits the product.
    pub(crate) fn check_lot(product: &Product, warehouse: &str, told: &Json) -> Outcome<()> {
        let set = |name: &str| told.get(name).is_some_and(|value| *value != Json::Null);
        let wrong = match (product.batch, set("batch"), product.best_before, set("bestBefore")) {
            (true, false, _, _) => ("Stocks_BatchNotSet", "A batch is needed."),
            (false, true, _, _) => ("Stocks_BatchSetForNonBatchProduct", "The product has no batches."),
            (_, _, true, false) => ("Stocks_BestBeforeNotSet", "A best-before date is needed."),
            (_, _, false, true) => {
                ("Stocks_BestBeforeSetForNonBestBeforeProduct", "The product has no best-before date.")
            }
            _ => return Ok(()),
        };
        Err(Fail::new(400, wrong.0, wrong.1)
            .with("FulfillerStockChangeId", told.text("fulfillerStockChangeId").unwrap_or_default())
            .with("Jfsku", product.jfsku.as_str())
            .with("WarehouseId", warehouse))
    }

    /// Refuses to take out more than there is.
    pub(crate) fn check_left(&self, jfsku: &str, warehouse: &str, delta: Levels, told: &Json) -> Outcome<()> {
        let now = self.ledger.levels(warehouse, jfsku);
        let short = |by: Decimal, level: Decimal| by < Decimal::ZERO && plus(level, by) < Decimal::ZERO;
        let wrong = match (short(delta.level, now.level), short(delta.blocked, now.blocked)) {
            (true, _) => ("Stocks_NotEnoughStock", "There is not enough stock."),
            (_, true) => ("Stocks_StockLevelBlockedIsNegative", "There is not so much blocked stock."),
            _ => return Ok(()),
        };
        Err(Fail::new(400, wrong.0, wrong.1)
            .with("FulfillerStockChangeId", told.text("fulfillerStockChangeId").unwrap_or_default())
            .with("Jfsku", jfsku)
            .with("WarehouseId", warehouse))
    }

    /// Whether a quantity of a product may move.
    pub(crate) fn check_goods(product: &Product, warehouse: &str, quantity: Decimal) -> Outcome<()> {
        let fail = |code, text: &str| {
            Err(Fail::new(400, code, text).with("Jfsku", product.jfsku.as_str()).with("WarehouseId", warehouse))
        };
        if !product.components.is_empty() {
            return fail("Stocks_IsBillOfMaterial", "A bundle has no stock of its own.");
        }
        if !product.divisible && !quantity.is_whole() {
            return fail("Stocks_ProductIsNotDivisible", "The product is kept in whole units only.");
        }
        Ok(())
    }

    /// Creates an inbound from the members of a request.
    pub(crate) fn create_inbound(&mut self, body: &Json, by: Actor) -> Outcome<usize> {
        let number_of = body.text("merchantInboundNumber").unwrap_or_default().to_owned();
        let id = body.text("inboundId").map(str::to_owned);
        let taken = self.things.inbounds.numbered(&number_of).next().is_some()
            || id.as_ref().is_some_and(|id| self.things.inbounds.known(id).is_some());
        if taken {
            return Err(Fail::new(400, "Inbounds_DuplicateInbound", "There is an inbound with this number already.")
                .with("MerchantInboundNumber", number_of));
        }
        if let Some(id) = id.as_ref().filter(|id| schema::own_id(id, "", &self.catalog.merchant, "03").is_some()) {
            let fail = Fail::new(400, "Products_InvalidIdentifier", "The id is malformed.");
            return Err(fail.with("Id", id.as_str()));
        }
        let warehouse = body.text("warehouseId").unwrap_or_default().to_owned();
        match by.is_application() {
            true => self.check_granted(&warehouse, 403)?,
            false => self.known_warehouse(&warehouse)?,
        }
        let items = list(body, "items");
        let products = self.products_of(&items)?;
        let mut lines = Vec::new();
        let mut announced = Vec::new();
        for (item, product) in items.iter().zip(products) {
            let quantity = number(item, "quantity");
            needed("items.quantity", quantity)?;
            Self::check_goods(&product, &warehouse, quantity)?;
            let line = item.text("inboundItemId").unwrap_or_default();
            let literal = item.get("quantity").map_or_else(|| int(quantity), Json::clone);
            let part = |name: &str| item.get(name).cloned().unwrap_or(Json::Null);
            lines.push(obj([
                ("inboundItemId", line.into()),
                ("jfsku", product.jfsku.as_str().into()),
                ("quantity", literal.clone()),
                ("quantityOpen", literal),
                ("supplierSku", part("supplierSku")),
                ("supplierProductName", part("supplierProductName")),
                ("note", part("note")),
            ]));
            announced.push((line.to_owned(), product.jfsku, quantity));
        }
        let id = id.unwrap_or_else(|| self.new_id(Kind::Inbounds, Role::Merchant, "03", 8));
        let part = |name: &str| body.get(name).cloned().unwrap_or(Json::Null);
        let inbound = obj([
            ("inboundId", id.into()),
            ("items", lines.into()),
            ("status", body.text("status").unwrap_or("Pending").into()),
            ("merchantInboundNumber", number_of.into()),
            ("warehouseId", warehouse.as_str().into()),
            ("note", part("note")),
            ("purchaseOrderNumber", part("purchaseOrderNumber")),
            ("externalInboundNumber", part("externalInboundNumber")),
            ("attributes", body.get("attributes").cloned().unwrap_or(Json::Arr(Vec::new()))),
            ("supplier", part("supplier")),
        ]);
        let at = self.clock.stamp();
        let n = self.put_at(Kind::Inbounds, inbound, None, by, at);
        for (line, jfsku, quantity) in announced {
            self.announce(n, &line, &jfsku, quantity, "Announcement", (at, by));
        }
        self.plan(Kind::Inbounds, n);
        Ok(n)
    }

    fn announce(&mut self, n: usize, line: &str, jfsku: &str, by: Decimal, kind: &str, when: (i64, Actor)) {
        let Some(inbound) = self.things.inbounds.get(n) else { return };
        let warehouse = inbound.body.text("warehouseId").unwrap_or_default().to_owned();
        let cause = Cause { inbound: Some((n, line.to_owned())), ..Cause::default() };
        let delta = Levels { announced: by, ..Levels::ZERO };
        let entry = Entry { warehouse: &warehouse, jfsku, kind, delta, cause, remarks: Remarks::default() };
        self.book(entry, when.0, when.1);
    }

    /// The merchant changes an inbound. New items replace the old ones and their announcements.
    pub(crate) fn change_inbound(&mut self, n: usize, members: &Json, by: Actor) -> Outcome<()> {
        let inbound = self.thing(Kind::Inbounds, n)?;
        if !matches!(inbound.status(Kind::Inbounds), "Preparation" | "Pending") {
            return Err(Fail::new(403, "Inbounds_InboundUpdateForbidden", "The inbound can not be changed any more.")
                .with("MerchantInboundNumber", inbound.number.as_str()));
        }
        let (old, warehouse) = (list(&inbound.body, "items"), inbound.body.text("warehouseId").unwrap_or_default());
        let mut members = members.clone();
        let mut moves = Vec::new();
        if let Some(Json::Arr(items)) = members.get("items").cloned() {
            let products = self.products_of(&items)?;
            let mut lines = Vec::new();
            for (item, product) in items.iter().zip(products) {
                let quantity = number(item, "quantity");
                needed("items.quantity", quantity)?;
                Self::check_goods(&product, warehouse, quantity)?;
                let mut line = item.clone();
                line.remove("merchantSku");
                line.set("jfsku", product.jfsku.as_str().into());
                line.set("quantityOpen", item.get("quantity").cloned().unwrap_or(Json::Null));
                let id = item.text("inboundItemId").unwrap_or_default().to_owned();
                moves.push((id, product.jfsku, quantity, "Announcement"));
                lines.push(line);
            }
            let back = |i: &Json| {
                let id = i.text("inboundItemId").unwrap_or_default().to_owned();
                let jfsku = i.text("jfsku").unwrap_or_default().to_owned();
                (id, jfsku, minus(number(i, "quantityOpen")), "AnnouncementCanceled")
            };
            moves.splice(0..0, old.iter().map(back));
            members.set("items", lines.into());
        }
        let at = self.alter(Kind::Inbounds, n, by, |body| merge(body, &members));
        for (line, jfsku, quantity, kind) in moves {
            self.announce(n, &line, &jfsku, quantity, kind, (at, by));
        }
        Ok(())
    }

    /// Goods arrive. Each item names a line, a product, or nothing if there is only one line.
    pub(crate) fn receive(&mut self, n: usize, goods: &[Json], by: Actor) -> Outcome<()> {
        let inbound = self.thing(Kind::Inbounds, n)?;
        let home = inbound.body.text("warehouseId").unwrap_or_default().to_owned();
        let mut lines = list(&inbound.body, "items");
        let wrong = |code, text: &str, jfsku: &str| {
            Err(Fail::new(400, code, text).with("Jfsku", jfsku).with("WarehouseId", home.as_str()))
        };
        let mut bookings = Vec::new();
        for item in goods {
            let product = self.catalog.product_of(item);
            let name = item.text("jfsku").or(item.text("merchantSku")).unwrap_or_default();
            if product.is_none() && !name.is_empty() {
                let fail = Fail::new(400, "Products_ProductNotFound", "The product was not found.");
                return Err(fail.with("Jfsku", name));
            }
            let fits = |line: &Json| match (item.text("inboundItemId"), product) {
                (Some(id), _) => line.text("inboundItemId") == Some(id),
                (None, Some(p)) => line.text("jfsku") == Some(&p.jfsku),
                (None, None) => true,
            };
            let open = |line: &Json| number(line, "quantityOpen").is_positive();
            let place = lines.iter().position(|l| fits(l) && open(l)).or_else(|| lines.iter().position(fits));
            let Some(line) = place.and_then(|p| lines.get_mut(p)) else {
                return wrong("Stocks_InvalidInboundItem", "The product is not part of the inbound.", name);
            };
            let (good, blocked) = (number(item, "quantity"), number(item, "quantityBlocked"));
            let total = plus(good, blocked);
            let jfsku = line.text("jfsku").unwrap_or_default().to_owned();
            if good.is_zero() && blocked.is_zero() {
                return wrong("Stocks_QuantityAndBlockedIsZero", "A quantity is needed.", &jfsku);
            }
            let warehouse = item.text("warehouseId").unwrap_or(&home).to_owned();
            if let Some(product) = self.catalog.product(&jfsku) {
                Self::check_goods(product, &warehouse, total)?;
                if by.is_application() {
                    Self::check_lot(product, &warehouse, item)?;
                }
            }
            if !self.catalog.has_warehouse(&warehouse) {
                let fail = Fail::new(400, "Warehouses_WarehouseNotFound", "The warehouse was not found.");
                return Err(fail.with("WarehouseId", warehouse));
            }
            self.check_left(&jfsku, &warehouse, Levels { level: good, blocked, ..Levels::ZERO }, item)?;
            let before = number(line, "quantityOpen");
            let awaited = if before.is_positive() { before } else { Decimal::ZERO };
            let arrived = if total > awaited { awaited } else { total };
            line.set("quantityOpen", int(before.sub(total).unwrap_or(before)));
            let id = line.text("inboundItemId").unwrap_or_default().to_owned();
            bookings.push((id, jfsku, warehouse, good, blocked, arrived, Remarks::read(item)));
        }
        let left = lines.iter().any(|line| number(line, "quantityOpen").is_positive());
        let status = if left { "PartiallyReceipted" } else { "Receipted" };
        let at = self.alter(Kind::Inbounds, n, by, |body| {
            body.set("items", lines.into());
            body.set("status", status.into());
        });
        for (line, jfsku, warehouse, good, blocked, arrived, remarks) in bookings {
            if warehouse != home && arrived.is_positive() {
                // The announcement was for another warehouse.
                self.announce(n, &line, &jfsku, minus(arrived), "AnnouncementCanceled", (at, by));
            }
            let announced = if warehouse == home { minus(arrived) } else { Decimal::ZERO };
            let delta = Levels { level: good, blocked, announced, ..Levels::ZERO };
            let cause = Cause { inbound: Some((n, line)), ..Cause::default() };
            let (warehouse, jfsku) = (warehouse.as_str(), jfsku.as_str());
            self.book(Entry { warehouse, jfsku, kind: "Inbound", delta, cause, remarks }, at, by);
        }
        Ok(())
    }

    /// What is still open, or a part of it, as goods that arrive.
    fn open_goods(&self, n: usize, partial: bool) -> Vec<Json> {
        let Some(inbound) = self.things.inbounds.get(n) else { return Vec::new() };
        let lines = list(&inbound.body, "items");
        let open: Vec<&Json> = lines.iter().filter(|l| number(l, "quantityOpen").is_positive()).collect();
        let arrive = |line: &Json, quantity: Decimal| {
            obj([("inboundItemId", line.text("inboundItemId").into()), ("quantity", int(quantity))])
        };
        match (partial, open.as_slice()) {
            (true, [only]) => vec![arrive(only, number(only, "quantityOpen").half())],
            (true, [first, ..]) => vec![arrive(first, number(first, "quantityOpen"))],
            _ => open.iter().map(|line| arrive(line, number(line, "quantityOpen"))).collect(),
        }
    }

    /// Everything that is open arrives, or a part of it.
    pub(crate) fn receive_open(&mut self, n: usize, partial: bool, by: Actor) -> Outcome<()> {
        let goods = self.open_goods(n, partial);
        if goods.is_empty() {
            return Err(Fail::new(400, "Stocks_QuantityAndBlockedIsZero", "Nothing is open."));
        }
        self.receive(n, &goods, by)
    }

    /// Ends an inbound and takes back what was announced and did not come.
    pub(crate) fn close_inbound(&mut self, n: usize, by: Actor) -> Outcome<()> {
        let inbound = self.thing(Kind::Inbounds, n)?;
        let status = inbound.status(Kind::Inbounds).to_owned();
        if status == "Closed" {
            return Err(match by.role() {
                Role::Merchant => {
                    Fail::new(400, "Inbounds_MerchantCanNotCloseInbound", "The inbound can not be closed.")
                        .with("MerchantInboundNumber", inbound.number.as_str())
                }
                Role::Fulfiller => {
                    Fail::new(400, "Inbounds_FulfillerCanNotCloseInbound", "The inbound can not be closed.")
                        .with("InboundId", inbound.id.as_str())
                }
            }
            .with("Status", status));
        }
        let at = self.alter(Kind::Inbounds, n, by, |body| body.set("status", "Closed".into()));
        self.take_back(n, at, by);
        Ok(())
    }

    fn take_back(&mut self, n: usize, at: i64, by: Actor) {
        let Some(inbound) = self.things.inbounds.get(n) else { return };
        for line in list(&inbound.body, "items") {
            let open = number(&line, "quantityOpen");
            if open.is_positive() {
                let id = line.text("inboundItemId").unwrap_or_default();
                let jfsku = line.text("jfsku").unwrap_or_default();
                self.announce(n, id, jfsku, minus(open), "AnnouncementCanceled", (at, by));
            }
        }
    }

    /// Deletes an inbound; what was announced is taken back.
    pub(crate) fn delete_inbound(&mut self, n: usize, by: Actor) {
        let closed = self.thing(Kind::Inbounds, n).is_ok_and(|i| i.status(Kind::Inbounds) == "Closed");
        let at = self.bury(Kind::Inbounds, n, by);
        if !closed {
            self.take_back(n, at, by);
        }
    }

    /// One step on the way of an inbound; answers the status it has then.
    pub(crate) fn inbound_step(&mut self, n: usize, partial: bool) -> Result<String, String> {
        let status = self.things.inbounds.get(n).map(|i| i.status(Kind::Inbounds).to_owned()).unwrap_or_default();
        let house = Actor::House;
        let done = match status.as_str() {
            "Preparation" => {
                self.alter(Kind::Inbounds, n, Actor::Shop, |body| body.set("status", "Pending".into()));
                Ok(())
            }
            "Pending" | "PartiallyReceipted" => self.receive_open(n, partial, house),
            "Receipted" => self.close_inbound(n, house),
            _ => return Err(format!("{status} does not go on")),
        };
        done.map_err(|fail| fail.message)?;
        Ok(self.things.inbounds.get(n).map(|i| i.status(Kind::Inbounds).to_owned()).unwrap_or_default())
    }

    /// The merchant announces a shipment of an inbound.
    pub(crate) fn notify_inbound(&mut self, n: usize, body: &Json, by: Actor) -> Outcome<usize> {
        let inbound = self.thing(Kind::Inbounds, n)?;
        let (inbound_id, inbound_number) = (inbound.id.clone(), inbound.number.clone());
        let number_of = body.text("merchantShippingNotificationNumber").unwrap_or_default().to_owned();
        let given = body.text("inboundShippingNotificationId").map(str::to_owned);
        let store = &self.things.inbound_notifications;
        let same_inbound = |x: usize| store.get(x).is_some_and(|t| t.parent == Some(n));
        let known = given.as_ref().and_then(|id| store.known(id));
        if known.is_some_and(|x| !same_inbound(x)) {
            return Err(Fail::new(400, "Shared_DuplicateKey", "The key exists already."));
        }
        if known.is_some() {
            let code = "Inbounds_DuplicateInboundShippingNotificationId";
            return Err(Fail::new(400, code, "The id is in use.")
                .with("InboundShippingNotificationId", given.unwrap_or_default())
                .with("MerchantInboundNumber", inbound_number));
        }
        if store.numbered(&number_of).any(same_inbound) {
            let code = "Inbounds_DuplicateMerchantShippingNotificationNumber";
            return Err(Fail::new(400, code, "The number is in use.")
                .with("MerchantInboundNumber", inbound_number)
                .with("MerchantShippingNotificationNumber", number_of));
        }
        if by.is_application()
            && let Some(flaw) = given
                .as_ref()
                .and_then(|id| schema::own_id(id, "inboundShippingNotificationId", &self.catalog.merchant, "07"))
        {
            return Err(Fail::flaws(vec![flaw]));
        }
        let id = given.unwrap_or_else(|| self.new_id(Kind::InboundNotifications, Role::Merchant, "07", 8));
        let (items, packages) = self.notification_parts(body, &id, &inbound_number)?;
        let notification = obj([
            ("inboundShippingNotificationId", id.into()),
            ("inboundId", inbound_id.into()),
            ("merchantInboundNumber", inbound_number.into()),
            ("items", items.into()),
            ("packages", packages.into()),
            ("merchantShippingNotificationNumber", number_of.into()),
            ("note", body.get("note").cloned().unwrap_or(Json::Null)),
        ]);
        Ok(self.put(Kind::InboundNotifications, notification, Some(n), by))
    }

    fn notification_parts(&self, body: &Json, id: &str, inbound_number: &str) -> Outcome<(Vec<Json>, Vec<Json>)> {
        let mut packages = list(body, "packages");
        for package in &mut packages {
            if package.get("freightOption").is_none() {
                package.set("freightOption", "Parcel".into());
            }
            if package.get("identifier").is_none() {
                package.set("identifier", Json::Arr(Vec::new()));
            }
        }
        let items = list(body, "items");
        let products = self.products_of(&items)?;
        let mut shown = Vec::new();
        for (i, (item, product)) in items.iter().zip(products).enumerate() {
            needed("items.quantity", number(item, "quantity"))?;
            let has = |name: &str| !matches!(item.get(name), None | Some(Json::Null));
            let numbered = !list(item, "serialnumbers").is_empty();
            let wrong = match (product.batch, product.best_before, product.serial) {
                (false, _, _) if has("batch") => Some("Inbounds_ProductIsNotBatch"),
                (_, false, _) if has("bestBefore") => Some("Inbounds_ProductIsNotBestBefore"),
                (_, _, false) if numbered => Some("Inbounds_ProductIsNotSerialNumbers"),
                _ => None,
            };
            if let Some(code) = wrong {
                return Err(Fail::new(400, code, "The product is not told apart so.")
                    .with("Jfsku", product.jfsku)
                    .with("MerchantInboundNumber", inbound_number));
            }
            if !product.divisible && !number(item, "quantity").is_whole() {
                let fail = Fail::new(400, "Stocks_ProductIsNotDivisible", "The product is kept in whole units only.");
                return Err(fail.with("Jfsku", product.jfsku));
            }
            if let Some(Json::Num(index)) = item.get("packageId")
                && index.parse::<usize>().is_ok_and(|index| index >= packages.len())
            {
                let code = "Inbounds_InboundShippingNotificationItemsPackageIdOutOfRange";
                return Err(Fail::new(400, code, "There is no such package.")
                    .with("Jfsku", product.jfsku)
                    .with("MerchantInboundNumber", inbound_number)
                    .with("PackageCount", packages.len().to_string())
                    .with("PackageId", index.as_str()));
            }
            let own = item.text("inboundShippingNotificationItemId").map(str::to_owned);
            let mut row = obj([
                ("inboundShippingNotificationItemId", own.unwrap_or_else(|| format!("{id}-{}", i + 1)).into()),
                ("jfsku", product.jfsku.into()),
            ]);
            let mut rest = item.clone();
            rest.remove("merchantSku");
            rest.remove("jfsku");
            merge(&mut row, &rest);
            if row.get("serialnumbers").is_none() {
                row.set("serialnumbers", Json::Arr(Vec::new()));
            }
            shown.push(row);
        }
        Ok((shown, packages))
    }

    /// The merchant changes a shipping notification. Lists are replaced as a whole.
    pub(crate) fn change_notification(&mut self, x: usize, members: &Json, by: Actor) -> Outcome<()> {
        let old = self.thing(Kind::InboundNotifications, x)?;
        let inbound_number = old.body.text("merchantInboundNumber").unwrap_or_default().to_owned();
        let mut whole = old.body.clone();
        merge(&mut whole, members);
        let (items, packages) = self.notification_parts(&whole, &old.id.clone(), &inbound_number)?;
        let mut members = members.clone();
        for (name, value) in [("items", items), ("packages", packages)] {
            if members.get(name).is_some() {
                members.set(name, value.into());
            }
        }
        self.alter(Kind::InboundNotifications, x, by, |body| merge(body, &members));
        Ok(())
    }

    /// An inbound that nobody ordered: two lines, quantities by the seed.
    pub(crate) fn make_inbound(&mut self, number_of: &str, seed: usize) -> Option<usize> {
        let body = self.default_inbound(number_of, seed);
        self.create_inbound(&body, Actor::Shop).ok()
    }

    /// The request for such an inbound.
    pub(crate) fn default_inbound(&self, number_of: &str, seed: usize) -> Json {
        let mut dice = self.dice(Kind::Inbounds, seed, 300);
        let goods = self.catalog.products.iter().filter(|p| p.active && p.components.is_empty()).take(2);
        let mut line = |(i, product): (usize, &Product)| {
            obj([
                ("inboundItemId", (i + 1).to_string().into()),
                ("jfsku", product.jfsku.as_str().into()),
                ("quantity", int(dice.u32(2..50))),
            ])
        };
        let items: Vec<Json> = goods.enumerate().map(&mut line).collect();
        let warehouse = self.catalog.warehouses.iter().find(|w| w.active).map(|w| w.id.as_str());
        obj([("merchantInboundNumber", number_of.into()), ("warehouseId", warehouse.into()), ("items", items.into())])
    }

    /// The request for a shipping notification of an inbound: all of it in one package.
    pub(crate) fn default_notification(&self, n: usize) -> Json {
        let Some(inbound) = self.things.inbounds.get(n) else { return obj([]) };
        let count = self.things.inbound_notifications.len();
        let item = |line: &Json| {
            obj([
                ("jfsku", line.text("jfsku").into()),
                ("quantity", line.get("quantity").cloned().unwrap_or(Json::Null)),
                ("packageId", int(0)),
            ])
        };
        let tracking = format!("00340434{:012}", self.things.inbound_notifications.len() + 1);
        let identifier = obj([("value", tracking.into()), ("identifierType", "TrackingId".into())]);
        let package = obj([
            ("freightOption", "Parcel".into()),
            ("carrierName", "DHL".into()),
            ("identifier", Json::Arr(vec![identifier])),
            ("shipmentCount", int(1)),
            ("shippingDate", self.clock.text(self.clock.now()).into()),
        ]);
        obj([
            ("merchantShippingNotificationNumber", format!("ASN-{}-{}", inbound.number, count + 1).into()),
            ("items", list(&inbound.body, "items").iter().map(item).collect::<Vec<_>>().into()),
            ("packages", Json::Arr(vec![package])),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    const MAIN: &str = "WARE04MAIN-00001-0001";

    fn world() -> (World, usize) {
        let mut w = World::new(Flags::for_test());
        let body = r#"{"merchantInboundNumber":"I","warehouseId":"WARE04MAIN-00001-0001","items":[
            {"inboundItemId":"1","merchantSku":"MUG-BLUE","quantity":10},
            {"inboundItemId":"2","merchantSku":"ROPE-METRE","quantity":1.50,"supplierSku":"S"}]}"#;
        let n = w.create_inbound(&Json::parse(body).unwrap(), Actor::Merchant).unwrap();
        (w, n)
    }

    fn ledger(w: &World, jfsku: &str) -> Vec<String> {
        let pile = w.ledger.pile(MAIN, jfsku).unwrap();
        let rows = pile.entries.iter().map(|n| &w.ledger.movements[*n]);
        rows.map(|m| {
            let (d, a) = (m.delta, m.after);
            format!(
                "{} {} {}/{}/{} {}/{}/{}",
                m.version, m.kind, d.level, d.blocked, d.announced, a.level, a.blocked, a.announced
            )
        })
        .collect()
    }

    fn goods(text: &str) -> Vec<Json> {
        list(&Json::parse(&format!(r#"{{"x":{text}}}"#)).unwrap(), "x")
    }

    #[test]
    fn announced_received_too_much_and_closed() {
        let (mut w, n) = world();
        w.receive(
            n,
            &goods(r#"[{"merchantSku":"MUG-BLUE","quantity":4,"quantityBlocked":1,"batch":"B"}]"#),
            Actor::House,
        )
        .unwrap();
        assert_eq!(w.things.inbounds[n].status(Kind::Inbounds), "PartiallyReceipted");
        w.receive(n, &goods(r#"[{"inboundItemId":"1","quantity":7}]"#), Actor::House).unwrap();
        assert_eq!(
            ledger(&w, "ACME01A1B2C"),
            [
                "1 Adjustment 1000000/0/0 1000000/0/0",
                "2 Announcement 0/0/10 1000000/0/10",
                "3 Inbound 4/1/-5 1000004/1/5",
                "4 Inbound 7/0/-5 1000011/1/0",
            ]
        );
        let line = |w: &World, i: usize| list(&w.things.inbounds[n].body, "items")[i].to_string();
        assert!(line(&w, 0).contains(r#""quantityOpen":-2"#), "{}", line(&w, 0));
        assert!(line(&w, 1).contains(r#""quantity":1.50,"quantityOpen":1.50"#));
        w.close_inbound(n, Actor::Fulfiller).unwrap();
        assert_eq!(ledger(&w, "ACME01D5R4S").last().unwrap(), "3 AnnouncementCanceled 0/0/-1.50 1000000/0/0.00");
        assert_eq!(w.close_inbound(n, Actor::Merchant).unwrap_err().code, "Inbounds_MerchantCanNotCloseInbound");
        let statuses: Vec<&str> = w.things.inbounds[n].record.history.iter().map(|(s, _)| s.as_str()).collect();
        assert_eq!(statuses, ["Pending", "PartiallyReceipted", "Closed"]);
    }

    #[test]
    fn steps_and_the_stock_they_leave() {
        let (mut w, n) = world();
        let reached: Vec<String> = (0..3).map(|i| w.inbound_step(n, i == 0).unwrap()).collect();
        assert_eq!(reached, ["PartiallyReceipted", "Receipted", "Closed"]);
        assert!(w.inbound_step(n, false).is_err());
        let levels = w.ledger.levels(MAIN, "ACME01A1B2C");
        assert_eq!((levels.level.to_string(), levels.announced.to_string()), ("1000010".into(), "0".into()));
        let stock = w.stock_json("ACME01A1B2C", Some(MAIN), Role::Merchant, None);
        assert_eq!(stock.get("stockAnnouncedDetails"), Some(&Json::Arr(Vec::new())));
    }

    #[test]
    fn new_items_replace_the_announcement() {
        let (mut w, n) = world();
        let change = r#"{"items":[{"inboundItemId":"1","jfsku":"ACME01A1B2C","quantity":3}],"note":"n"}"#;
        w.change_inbound(n, &Json::parse(change).unwrap(), Actor::Merchant).unwrap();
        assert_eq!(w.ledger.levels(MAIN, "ACME01A1B2C").announced.to_string(), "3");
        assert!(w.ledger.levels(MAIN, "ACME01D5R4S").announced.is_zero());
        w.receive_open(n, false, Actor::House).unwrap();
        assert_eq!(w.change_inbound(n, &obj([]), Actor::Merchant).unwrap_err().status, 403);
        w.delete_inbound(n, Actor::House);
        assert!(w.ledger.levels(MAIN, "ACME01A1B2C").announced.is_zero());
    }

    #[test]
    fn wrong_requests() {
        let (mut w, n) = world();
        let mut refused = |change: &str| {
            let mut body = w.default_inbound("J", 0);
            merge(&mut body, &Json::parse(change).unwrap());
            w.create_inbound(&body, Actor::Merchant).map(|_| "").unwrap_err().code
        };
        assert_eq!(refused(r#"{"merchantInboundNumber":"I"}"#), "Inbounds_DuplicateInbound");
        assert_eq!(refused(r#"{"warehouseId":"nowhere"}"#), "Warehouses_WarehouseNotFound");
        assert_eq!(refused(r#"{"items":[{"jfsku":"x","quantity":1}]}"#), "Products_ProductNotFound");
        assert_eq!(refused(r#"{"items":[{"merchantSku":"MUG-PAIR","quantity":1}]}"#), "Stocks_IsBillOfMaterial");
        assert_eq!(refused(r#"{"items":[{"merchantSku":"MUG-RED","quantity":0.5}]}"#), "Stocks_ProductIsNotDivisible");
        assert_eq!(refused(r#"{"items":[{"merchantSku":"MUG-RED","quantity":0}]}"#), "Shared_ModelValidation");
        let mut wrong = |text: &str| w.receive(n, &goods(text), Actor::Fulfiller).unwrap_err().code;
        assert_eq!(wrong(r#"[{"merchantSku":"MUG-RED","quantity":1}]"#), "Stocks_InvalidInboundItem");
        assert_eq!(wrong(r#"[{"jfsku":"ACME01XXXXX","quantity":1}]"#), "Products_ProductNotFound");
        assert_eq!(wrong(r#"[{"inboundItemId":"1"}]"#), "Stocks_QuantityAndBlockedIsZero");
    }

    #[test]
    fn notifications() {
        let (mut w, n) = world();
        let body = w.default_notification(n);
        let x = w.notify_inbound(n, &body, Actor::Merchant).unwrap();
        assert_eq!(
            w.notify_inbound(n, &body, Actor::Merchant).unwrap_err().code,
            "Inbounds_DuplicateMerchantShippingNotificationNumber"
        );
        let row = w.show(Kind::InboundNotifications, x, Role::Fulfiller, None);
        assert_eq!((row.text("merchantId"), row.text("merchantInboundNumber")), (Some("ACME"), Some("I")));
        let wrong = Json::parse(r#"{"items":[{"merchantSku":"MUG-BLUE","quantity":1,"packageId":1}]}"#).unwrap();
        assert_eq!(
            w.change_notification(x, &wrong, Actor::Merchant).unwrap_err().code,
            "Inbounds_InboundShippingNotificationItemsPackageIdOutOfRange"
        );
        w.change_notification(x, &Json::parse(r#"{"note":"late"}"#).unwrap(), Actor::Merchant).unwrap();
        assert_eq!(w.things.inbound_notifications[x].what, ["created", "note"]);
        assert!(w.find_thing(Kind::InboundNotifications, Role::Fulfiller, "ASN-I-1").is_ok());
    }
}
