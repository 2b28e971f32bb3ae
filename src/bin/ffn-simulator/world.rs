//! The state of the simulated network and everything that can happen to it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use crate::answer::{Fail, Outcome};
use crate::catalog::{CANCEL_REASONS, Catalog, OPENING_STOCK, Role};
use crate::chaos::Chaos;
use crate::clock::{self, Clock};
use crate::decimal::Decimal;
use crate::effects::Effects;
use crate::faults::Faults;
use crate::flags::Flags;
use crate::inbound::unknown_products;
use crate::journal::Journal;
use crate::json::{Json, obj};
use crate::ledger::{Cause, Entry, Ledger, Levels, Remarks, minus};
use crate::list::Kept;
use crate::oauth::OAuth;
use crate::outbound::{Line, Notification, Outbound, may_change, may_edit, may_ship};
use crate::quota::Quotas;
use crate::record::{Actor, Change, Record, Store};
use crate::schema::{self, Flaw};
use crate::switches::{DuplicateCheck, OutdatedAnswer, SameNumber};
use crate::things::{Kind, Things};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) flags: Flags,
    /// The flags of the start, with the seed in use: what a reset goes back to.
    pub(crate) start: Box<Flags>,
    /// Counts resets: what was begun before one has no place in this world.
    pub(crate) epoch: u64,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) catalog: Catalog,
    pub(crate) oauth: OAuth,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    /// Faults by chance.
    pub(crate) chaos: Option<Chaos>,
    pub(crate) effects: Effects,
    pub(crate) quotas: Quotas,
    pub(crate) outbounds: Store<Outbound>,
    pub(crate) notifications: Store<Notification>,
    pub(crate) things: Things,
    pub(crate) ledger: Ledger,
    /// Some object is served with members that are not its own, so that indexes can not be trusted.
    pub(crate) overlaid: bool,
    /// Counts whatever may have changed something.
    pub(crate) writes: u64,
    pub(crate) lists: RefCell<Kept>,
    /// Merchant numbers whose creation is locked, and until when.
    pub(crate) locks: HashMap<String, i64>,
    /// Merchant numbers that a request is creating right now.
    pub(crate) creating: HashSet<String>,
    /// Order of chunks.
    pub(crate) shuffle: fastrand::Rng,
    ids: fastrand::Rng,
    pub(crate) started: Instant,
    /// Work of the warehouse: when (real milliseconds since start) and at which object.
    pub(crate) due: BTreeSet<(u64, Kind, usize)>,
}

/// How much of which line leaves the warehouse.
pub(crate) type Picks = Vec<(usize, Decimal)>;

/// What a notification says besides the picks.
#[derive(Debug)]
pub(crate) struct Shipment {
    pub(crate) id: Option<String>,
    pub(crate) number: String,
    pub(crate) items: Vec<Json>,
    pub(crate) packages: Json,
    pub(crate) note: Option<String>,
}

fn not_found() -> Fail {
    Fail::new(404, "Outbounds_OutboundNotFound", "The outbound was not found.")
}

fn too_large() -> Fail {
    Fail::model("items", "the quantities have too many digits")
}

impl World {
    pub(crate) fn new(mut flags: Flags) -> Self {
        let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
        flags.seed = Some(seed);
        let skew = flags.switches.clock_skew_s.saturating_mul(1_000);
        let mut clock = Clock::new(flags.clock, flags.switches.seven_decimals);
        clock.shift(skew);
        let catalog = Catalog::new(&flags.user_merchant, &flags.user_fulfiller);
        let mut faults = Faults::default();
        for plan in &flags.fault {
            faults.add(plan.clone());
        }
        let since = clock.now().saturating_sub(30 * 86_400_000);
        let mut world = World {
            oauth: OAuth::new(&flags, seed, clock.now().saturating_sub(skew)),
            start: Box::new(flags.clone()),
            epoch: 0,
            flags,
            seed,
            clock,
            catalog,
            journal: Journal::default(),
            faults,
            chaos: None,
            effects: Effects::default(),
            quotas: Quotas::default(),
            outbounds: Store::default(),
            notifications: Store::default(),
            things: Things::default(),
            ledger: Ledger::default(),
            overlaid: false,
            writes: 0,
            lists: RefCell::default(),
            locks: HashMap::new(),
            creating: HashSet::new(),
            shuffle: fastrand::Rng::with_seed(seed ^ 0x6665_6564),
            ids: fastrand::Rng::with_seed(seed),
            started: Instant::now(),
            due: BTreeSet::new(),
        };
        world.open(since);
        world
    }

    /// The time of the OAuth server, whose clock is always right.
    pub(crate) fn oauth_now(&self) -> i64 {
        self.clock.now().saturating_sub(self.flags.switches.clock_skew_s.saturating_mul(1_000))
    }

    /// Another value whenever something may have changed.
    pub(crate) fn state(&self) -> (u64, i64) {
        (self.writes, self.clock.newest())
    }

    /// Puts in what is there at start.
    fn open(&mut self, since: i64) {
        for (kind, body) in self.catalog.seeds(&self.clock.text(since)) {
            let by = if kind == Kind::Products { Actor::Shop } else { Actor::House };
            self.put_at(kind, body, None, by, since);
        }
        if let Some(old) = self.catalog.by_sku("MUG-OLD").and_then(|p| self.things.products.known(&p.jfsku)) {
            self.bury_at(Kind::Products, old, Actor::Shop, since);
        }
        let places: Vec<String> = self.catalog.warehouses.iter().map(|w| w.id.clone()).collect();
        let goods = self.catalog.products.iter().filter(|p| p.active && p.components.is_empty());
        let goods: Vec<String> = goods.map(|p| p.jfsku.clone()).collect();
        for warehouse in &places {
            for jfsku in &goods {
                let delta = Levels { level: OPENING_STOCK, ..Levels::ZERO };
                let (cause, remarks) = (Cause::default(), Remarks::default());
                self.book(Entry { warehouse, jfsku, kind: "Adjustment", delta, cause, remarks }, since, Actor::House);
            }
        }
        for n in 0..self.flags.own_objects {
            self.make_inbound(&format!("OWN-{:06}", n + 1), n);
            self.make_return(&format!("OWN-{:06}", n + 1), n);
        }
    }

    pub(crate) fn partner(&self, role: Role) -> &str {
        match role {
            Role::Merchant => &self.catalog.fulfiller,
            Role::Fulfiller => &self.catalog.merchant,
        }
    }

    pub(crate) fn token(&mut self, count: usize) -> String {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
        (0..count).map(|_| char::from(self.ids.choice(LETTERS).copied().unwrap_or(b'0'))).collect()
    }

    /// So many hexadecimal digits.
    pub(crate) fn hex(&mut self, count: usize) -> String {
        (0..count).map(|_| self.ids.digit(16)).collect()
    }

    fn new_outbound_id(&mut self) -> String {
        loop {
            let tail = self.token(8);
            let id = format!("{}02{tail}", self.catalog.merchant);
            if self.outbounds.known(&id).is_none() {
                return id;
            }
        }
    }

    /// An id that nothing of this kind has.
    pub(crate) fn new_id(&mut self, kind: Kind, owner: Role, code: &str, count: usize) -> String {
        loop {
            let tail = self.token(count);
            let id = format!("{}{code}{tail}", self.catalog.user_id(owner));
            if self.things.of(kind).is_none_or(|store| store.known(&id).is_none()) {
                return id;
            }
        }
    }

    // --- looking up ---------------------------------------------------------------------------

    /// By id or by the merchant's number; of several equal numbers the one that the switch says.
    pub(crate) fn any_name(&self, name: &str) -> Option<usize> {
        self.outbounds.by_id(name).or_else(|| {
            let live = |n: &usize| self.outbounds.get(*n).is_some_and(|o| !o.is_canceled());
            let mut equal = self.outbounds.numbered(name);
            match self.flags.switches.same_number_get {
                SameNumber::Oldest => equal.next(),
                SameNumber::Newest => equal.last(),
                SameNumber::Live => equal.find(live).or_else(|| self.outbounds.numbered(name).last()),
            }
        })
    }

    /// The outbound that a path names.
    pub(crate) fn find(&self, role: Role, name: &str) -> Outcome<usize> {
        match role {
            Role::Merchant => self.any_name(name),
            Role::Fulfiller => self.outbounds.by_id(name),
        }
        .ok_or_else(not_found)
    }

    pub(crate) fn outbound(&self, n: usize) -> Outcome<&Outbound> {
        self.outbounds.get(n).ok_or_else(not_found)
    }

    fn outbound_mut(&mut self, n: usize) -> Outcome<&mut Outbound> {
        self.outbounds.get_mut(n).ok_or_else(not_found)
    }

    pub(crate) fn find_notification(&self, outbound: usize, name: &str) -> Outcome<usize> {
        let o = self.outbound(outbound)?;
        let fits = |n: &&usize| self.notifications.get(**n).is_some_and(|x| x.id == name || x.number == name);
        o.notifications.iter().find(fits).copied().ok_or_else(|| {
            Fail::new(404, "Outbounds_OutboundShippingNotificationNotFound", "The shipping notification was not found.")
                .with("FulfillerShippingNotificationNumber", name)
                .with("OutboundId", o.id.as_str())
        })
    }

    // --- writing ------------------------------------------------------------------------------

    /// Stamps a change of any object.
    pub(crate) fn stamp(&mut self, kind: Kind, n: usize, by: Actor, state: &'static str) -> i64 {
        let at = self.clock.stamp();
        self.shelf_mut(kind).stamp(n, Change { at, state, by });
        at
    }

    /// Stamps a change of an outbound.
    pub(crate) fn touch(&mut self, n: usize, by: Actor, state: &'static str) -> i64 {
        self.stamp(Kind::Outbounds, n, by, state)
    }

    /// Gives an outbound a status, whatever it was, and stamps it.
    pub(crate) fn set_status(&mut self, n: usize, status: &str, by: Actor) -> i64 {
        let at = self.touch(n, by, "Modified");
        if let Some(o) = self.outbounds.get_mut(n) {
            o.status = status.to_owned();
            o.record.history.push((status.to_owned(), at));
        }
        at
    }

    /// Reserves (or gives back) what is open on the lines.
    fn reserve(&mut self, n: usize, warehouse: &str, lines: &[Line], back: bool, (at, by): (i64, Actor)) {
        for line in lines.iter().filter(|l| l.is_stock()) {
            let open = line.open();
            if open.is_zero() {
                continue;
            }
            let (kind, level, reserved) = match back {
                true => ("ReservationCanceled", open, minus(open)),
                false => ("Reservation", minus(open), open),
            };
            let cause = Cause { outbound: Some((n, line.id.clone())), ..Cause::default() };
            let delta = Levels { level, reserved, ..Levels::ZERO };
            let jfsku = line.jfsku.as_deref().unwrap_or_default();
            self.book(Entry { warehouse, jfsku, kind, delta, cause, remarks: Remarks::default() }, at, by);
        }
    }

    fn release(&mut self, n: usize, at: i64, by: Actor) {
        if let Some(o) = self.outbounds.get(n) {
            let (warehouse, lines) = (o.warehouse.clone(), o.lines.clone());
            self.reserve(n, &warehouse, &lines, true, (at, by));
        }
    }

    /// Checks lines against the catalog and the stock. `freed` is what an older version gives back.
    fn lines(
        &self,
        items: &Json,
        id: &str,
        warehouse: &str,
        oversale: bool,
        complete: bool,
        freed: &[Line],
    ) -> Outcome<Vec<Line>> {
        let Json::Arr(items) = items else { return Err(Fail::model("items", "a list is required")) };
        let mut lines: Vec<Line> = Vec::new();
        let mut unknown = Vec::new();
        let mut flaws = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let text = |name| item.text(name);
            let item_id = text("outboundItemId").unwrap_or_default();
            let written = match item.get("quantity") {
                Some(Json::Num(literal)) => literal.clone(),
                _ => String::new(),
            };
            let quantity = Decimal::parse(&written).ok_or_else(too_large)?;
            if !quantity.is_positive() {
                flaws
                    .push(Flaw { target: format!("items[{n}].quantity"), message: "more than 0 is needed".to_owned() });
            }
            let asked = text("itemType");
            let product = match (text("jfsku"), text("merchantSku")) {
                (None, None) => {
                    if !matches!(asked, Some("Shipping" | "Other")) {
                        let message = "jfsku or merchantSku is required".to_owned();
                        flaws.push(Flaw { target: format!("items[{n}]"), message });
                    }
                    None
                }
                (jfsku, sku) => {
                    let found = match (jfsku, sku) {
                        (Some(jfsku), sku) => {
                            self.catalog.product(jfsku).filter(|p| sku.is_none_or(|sku| sku == p.sku))
                        }
                        (None, sku) => self.catalog.by_sku(sku.unwrap_or_default()),
                    };
                    // What is not shared is not there for the fulfiller.
                    let found = found.filter(|p| p.shared || !p.active);
                    if found.is_none() {
                        unknown.push(jfsku.or(sku).unwrap_or_default().to_owned());
                    }
                    found
                }
            };
            let bundle = product.is_some_and(|p| !p.components.is_empty());
            let natural = if bundle { "BillOfMaterials" } else { "Product" };
            let kind = asked.unwrap_or(natural);
            if let Some(product) = product {
                if !product.active {
                    return Err(Fail::new(400, "Products_ProductNotActive", "The product is not active.")
                        .with("Jfsku", product.jfsku.as_str()));
                }
                if kind != natural {
                    return Err(Fail::new(
                        400,
                        "Outbounds_OutboundItemTypeMismatch",
                        "The type of the item does not fit the product.",
                    )
                    .with("Jfsku", product.jfsku.as_str())
                    .with("OutboundId", id)
                    .with("OutboundItemId", item_id));
                }
                if !product.divisible && !quantity.is_whole() {
                    return Err(Fail::new(
                        400,
                        "Stocks_ProductIsNotDivisible",
                        "The product is sold in whole units only.",
                    )
                    .with("Jfsku", product.jfsku.as_str())
                    .with("Quantity", written.as_str())
                    .with("WarehouseId", warehouse));
                }
            }
            if complete && text("billOfMaterialsId").is_some() {
                let code = "Outbounds_AutoCompleteBillOfMaterialsWithBillOfMaterialsId";
                return Err(Fail::new(400, code, "Lines of a bundle are completed by the server.")
                    .with("OutboundId", id)
                    .with("OutboundItemId", item_id));
            }
            let mut rest = Vec::new();
            for name in ["name", "merchantSku", "externalNumber", "price", "vat", "billOfMaterialsId", "note"] {
                match item.get(name) {
                    Some(value) => rest.push((name.to_owned(), value.clone())),
                    None if name == "name" || name == "merchantSku" => {
                        if let Some(p) = product {
                            let text = if name == "name" { &p.name } else { &p.sku };
                            rest.push((name.to_owned(), text.as_str().into()));
                        }
                    }
                    None => (),
                }
            }
            lines.push(Line {
                id: item_id.to_owned(),
                jfsku: product.map(|p| p.jfsku.clone()),
                kind: kind.to_owned(),
                quantity,
                written,
                shipped: Decimal::ZERO,
                done: false,
                rest,
            });
            for (c, (jfsku, each)) in
                product.filter(|_| complete).map(|p| p.components.iter().enumerate()).into_iter().flatten()
            {
                let part = self.catalog.product(jfsku);
                let total = quantity.times(*each).ok_or_else(too_large)?;
                lines.push(Line {
                    id: format!("{item_id}-{}", c + 1),
                    jfsku: Some(jfsku.clone()),
                    kind: "Product".to_owned(),
                    quantity: total,
                    written: total.to_string(),
                    shipped: Decimal::ZERO,
                    done: false,
                    rest: vec![
                        ("name".to_owned(), part.map(|p| p.name.as_str()).into()),
                        ("merchantSku".to_owned(), part.map(|p| p.sku.as_str()).into()),
                        ("billOfMaterialsId".to_owned(), item_id.into()),
                    ],
                });
            }
        }
        if !flaws.is_empty() {
            return Err(Fail::flaws(flaws));
        }
        unknown_products(&unknown)?;
        let mut seen = HashSet::new();
        let twice: Vec<&str> = lines.iter().filter(|l| !seen.insert(l.id.as_str())).map(|l| l.id.as_str()).collect();
        if !twice.is_empty() {
            return Err(Fail::new(400, "Outbounds_DuplicateOutboundItemIds", "Item ids must be unique.")
                .with("Ids", twice.join(", ")));
        }
        let parent = |l: &Line| l.rest.iter().find(|(n, _)| n == "billOfMaterialsId").map(|(_, v)| v.clone());
        let childless: Vec<&str> = lines
            .iter()
            .filter(|l| l.kind == "BillOfMaterials")
            .filter(|l| !lines.iter().any(|child| parent(child) == Some(l.id.as_str().into())))
            .map(|l| l.id.as_str())
            .collect();
        if !childless.is_empty() {
            return Err(Fail::new(
                400,
                "Outbounds_OutboundItemBillOfMaterialsHasNoChild",
                "A bundle needs its components.",
            )
            .with("OutboundId", id)
            .with("OutboundItemIds", childless.join(", ")));
        }
        self.check_stock(&lines, warehouse, oversale, freed)?;
        Ok(lines)
    }

    /// Refuses lines for whose open goods there is not enough stock.
    fn check_stock(&self, lines: &[Line], warehouse: &str, oversale: bool, freed: &[Line]) -> Outcome<()> {
        let mut needed: BTreeMap<&str, Decimal> = BTreeMap::new();
        for line in lines.iter().filter(|l| l.is_stock()) {
            let sum = needed.entry(line.jfsku.as_deref().unwrap_or_default()).or_insert(Decimal::ZERO);
            *sum = sum.add(line.open()).ok_or_else(too_large)?;
        }
        for (jfsku, sum) in needed {
            let mut level = self.ledger.levels(warehouse, jfsku).level;
            for line in freed.iter().filter(|l| l.is_stock() && l.jfsku.as_deref() == Some(jfsku)) {
                level = level.add(line.open()).ok_or_else(too_large)?;
            }
            // Also makes sure that the stock can still be counted afterwards.
            level.sub(sum).ok_or_else(too_large)?;
            if !oversale && sum > level {
                return Err(Fail::new(400, "Stocks_NotEnoughStock", "There is not enough stock.")
                    .with("Jfsku", jfsku)
                    .with("WarehouseId", warehouse));
            }
        }
        Ok(())
    }

    /// Checks the way of shipping; answers the method that the order gets.
    fn method_for(&self, body: &Json, warehouse: &str) -> Outcome<Option<(String, String)>> {
        let usable = |id: &str| self.catalog.grants.get(warehouse).is_none_or(|methods| methods.contains(id));
        match (body.text("shippingMethodId"), body.text("shippingType")) {
            (Some(_), Some(_)) => Err(Fail::new(
                400,
                "Outbounds_OutboundShippingMethodAndShippingTypeSet",
                "Only one of shippingMethodId and shippingType may be set.",
            )),
            (Some(id), None) => match self.catalog.method(id) {
                Some(method) => {
                    self.check_method_in(id, warehouse)?;
                    Ok(Some((method.id.clone(), method.kind.clone())))
                }
                None => {
                    Err(Fail::new(400, "ShippingMethods_ShippingMethodNotFound", "The shipping method was not found.")
                        .with("ShippingMethodId", id))
                }
            },
            (None, Some(kind)) => {
                match self.catalog.methods.iter().find(|m| m.active && m.kind == kind && usable(&m.id)) {
                    Some(method) => Ok(Some((method.id.clone(), kind.to_owned()))),
                    None => {
                        let code = "ShippingMethods_ShippingMethodNotFoundByShippingType";
                        Err(Fail::new(400, code, "There is no shipping method of this type.")
                            .with("ShippingType", kind))
                    }
                }
            }
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn known_warehouse(&self, id: &str) -> Outcome<()> {
        if self.catalog.has_warehouse(id) {
            return Ok(());
        }
        Err(Fail::new(400, "Warehouses_WarehouseNotFound", "The warehouse was not found.").with("WarehouseId", id))
    }

    /// Creates an outbound for the merchant. `own_lock`: this request holds the lock of its number.
    pub(crate) fn create(&mut self, body: &Json, oversale: bool, complete: bool, own_lock: bool) -> Outcome<usize> {
        let body = schema::check(body, schema::CREATE_OUTBOUND).map_err(Fail::flaws)?;
        let mut flaws = Vec::new();
        for name in ["shippingAddress", "senderAddress"] {
            if let Some(address) = body.get(name) {
                schema::check_address(address, name, &mut flaws);
            }
        }
        let given_id = body.text("outboundId").map(str::to_owned);
        if let Some(id) = &given_id {
            flaws.extend(schema::own_id(id, "outboundId", &self.catalog.merchant, "02"));
        }
        if !flaws.is_empty() {
            return Err(Fail::flaws(flaws));
        }
        let number = body.text("merchantOutboundNumber").unwrap_or_default().to_owned();
        let now = self.clock.now();
        if (self.creating.contains(&number) && !own_lock) || self.locks.get(&number).is_some_and(|until| now < *until) {
            return Err(Fail::new(423, "Outbounds_OutboundCreationIsLocked", "This outbound is being created.")
                .with("MerchantOutboundNumber", number));
        }
        let exists = |id: &str| {
            Fail::new(400, "Outbounds_NotCanceledOutboundExists", "There is an outbound already that is not canceled.")
                .with("OutboundId", id)
        };
        let taken = || Fail::new(400, "Shared_DuplicateKey", "The key exists already.");
        let live = |n: usize| self.outbounds.get(n).filter(|o| !o.is_canceled());
        let switches = &self.flags.switches;
        if switches.duplicate_check != DuplicateCheck::Id {
            if let Some(o) = self.outbounds.numbered(&number).find_map(live) {
                return Err(exists(&o.id));
            }
            if switches.keep_canceled_numbers && self.outbounds.numbered(&number).next().is_some() {
                return Err(taken());
            }
        }
        if let Some(n) = given_id.as_ref().and_then(|id| self.outbounds.known(id)) {
            // Two objects never have the same id, whatever is looked at before.
            return Err(match live(n).filter(|_| switches.duplicate_check != DuplicateCheck::Number) {
                Some(o) => exists(&o.id),
                None => taken(),
            });
        }
        let warehouse = body.text("warehouseId").unwrap_or_default().to_owned();
        self.check_granted(&warehouse, 403)?;
        let method = self.method_for(&body, &warehouse)?;
        let shown_id = given_id.clone().unwrap_or_default();
        self.check_amazon(&body, &shown_id)?;
        let lines =
            self.lines(body.get("items").unwrap_or(&Json::Null), &shown_id, &warehouse, oversale, complete, &[])?;

        let status = body.text("status").unwrap_or("Pending").to_owned();
        let mut members = body;
        for name in ["outboundId", "merchantOutboundNumber", "warehouseId", "status", "items"] {
            members.remove(name);
        }
        if let Some((id, kind)) = method {
            members.set("shippingMethodId", id.into());
            members.set("shippingType", kind.into());
        }
        let id = given_id.unwrap_or_else(|| self.new_outbound_id());
        Ok(self.store(id, number, warehouse, &status, members, lines, Actor::Merchant))
    }

    #[allow(clippy::too_many_arguments)]
    fn store(
        &mut self,
        id: String,
        number: String,
        warehouse: String,
        status: &str,
        members: Json,
        lines: Vec<Line>,
        by: Actor,
    ) -> usize {
        let at = self.clock.stamp();
        let outbound = Outbound {
            id: id.clone(),
            number: number.clone(),
            warehouse: warehouse.clone(),
            status: status.to_owned(),
            members,
            lines: lines.clone(),
            cancel: None,
            notifications: Vec::new(),
            attachments: Vec::new(),
            record: Record::new(at, by, Some(status)),
        };
        let n = self.outbounds.add(Some(&id), Some(&number), outbound);
        self.reserve(n, &warehouse, &lines, false, (at, by));
        self.plan(Kind::Outbounds, n);
        n
    }

    /// An outbound that nobody ordered, for tests and benchmarks.
    pub(crate) fn make(&mut self, number: String, status: &str) -> Option<usize> {
        let product = self.catalog.products.first()?;
        let line = Line {
            id: "1".to_owned(),
            jfsku: Some(product.jfsku.clone()),
            kind: "Product".to_owned(),
            quantity: Decimal::whole(1),
            written: "1".to_owned(),
            shipped: Decimal::ZERO,
            done: false,
            rest: vec![
                ("name".to_owned(), product.name.as_str().into()),
                ("merchantSku".to_owned(), product.sku.as_str().into()),
                ("price".to_owned(), Json::Num("9.90".to_owned())),
                ("vat".to_owned(), Json::Num("19.0".to_owned())),
            ],
        };
        let warehouse = self.catalog.warehouses.first()?.id.clone();
        let method = self.catalog.methods.first()?;
        let address = obj([
            ("firstname", "Ida".into()),
            ("lastname", "Beispiel".into()),
            ("street", "Hauptweg 3".into()),
            ("city", "Musterstadt".into()),
            ("zip", "12345".into()),
            ("country", "DE".into()),
        ]);
        let members = obj([
            ("currency", "EUR".into()),
            ("shippingMethodId", method.id.as_str().into()),
            ("shippingType", method.kind.as_str().into()),
            ("shippingAddress", address),
        ]);
        let id = self.new_outbound_id();
        Some(self.store(id, number, warehouse, status, members, vec![line], Actor::Merchant))
    }

    /// The merchant changes an outbound.
    pub(crate) fn change(&mut self, n: usize, body: &Json, oversale: bool, complete: bool) -> Outcome<()> {
        let cleared = schema::cleared(body, schema::UPDATE_OUTBOUND);
        let body = schema::check(body, schema::UPDATE_OUTBOUND).map_err(Fail::flaws)?;
        let old = self.outbound(n)?.clone();
        let goods_left = old.lines.iter().any(|l| !l.shipped.is_zero());
        if !may_edit(&old.status) || (goods_left && body.get("items").is_some()) {
            return Err(Fail::new(
                403,
                "Outbounds_OutboundUpdateForbidden",
                "The outbound can not be changed any more.",
            )
            .with("OutboundId", old.id));
        }
        let needed = ["warehouseId", "currency", "shippingAddress", "items"];
        if let Some(name) = cleared.iter().find(|name| needed.contains(name)) {
            return Err(Fail::model(name, "null is not allowed here"));
        }
        let warehouse = body.text("warehouseId").unwrap_or(&old.warehouse).to_owned();
        self.known_warehouse(&warehouse)?;
        let method = self.method_for(&body, &warehouse)?;
        let mut new = old.clone();
        let mut flaws = Vec::new();
        if let Json::Obj(members) = &body {
            for (name, value) in members.iter().filter(|(name, _)| name != "items" && name != "warehouseId") {
                match (new.members.get(name).cloned(), value) {
                    (Some(mut address), Json::Obj(parts)) if name.ends_with("Address") => {
                        for (part, text) in parts {
                            address.set(part, text.clone());
                        }
                        schema::check_address(&address, name, &mut flaws);
                        new.members.set(name, address);
                    }
                    (None, Json::Obj(_)) if name.ends_with("Address") => {
                        schema::check_address(value, name, &mut flaws);
                        for part in ["street", "city", "country"] {
                            if value.get(part).is_none() {
                                let message = format!("the field {part} is required");
                                flaws.push(Flaw { target: format!("{name}.{part}"), message });
                            }
                        }
                        new.members.set(name, value.clone());
                    }
                    _ => new.members.set(name, value.clone()),
                }
            }
        }
        if !flaws.is_empty() {
            return Err(Fail::flaws(flaws));
        }
        for name in cleared {
            new.members.remove(name);
        }
        if let Some((id, kind)) = method {
            new.members.set("shippingMethodId", id.into());
            new.members.set("shippingType", kind.into());
        }
        if ["premiumType", "shippingLabelProviderData"].iter().any(|name| body.get(name).is_some()) {
            self.check_amazon(&new.members, &old.id)?;
        }
        if let Some(items) = body.get("items") {
            let same_place = warehouse == old.warehouse;
            let freed: &[Line] = if same_place { &old.lines } else { &[] };
            new.lines = self.lines(items, &old.id, &warehouse, oversale, complete, freed).map_err(|fail| {
                // The same code has another status here.
                let status = if fail.code == "Products_ProductNotActive" { 403 } else { fail.status };
                Fail { status, ..fail }
            })?;
        }
        if body.get("items").is_none() && warehouse != old.warehouse {
            self.check_stock(&new.lines, &warehouse, oversale, &[])?;
        }
        new.warehouse.clone_from(&warehouse);
        let moves = body.get("items").is_some() || warehouse != old.warehouse;
        let lines = new.lines.clone();
        *self.outbound_mut(n)? = new;
        let at = self.touch(n, Actor::Merchant, "Modified");
        if moves {
            self.reserve(n, &old.warehouse, &old.lines, true, (at, Actor::Merchant));
            self.reserve(n, &warehouse, &lines, false, (at, Actor::Merchant));
        }
        Ok(())
    }

    /// A side changes the status of an outbound; answers whether that changed anything.
    pub(crate) fn change_status(&mut self, role: Role, n: usize, body: &Json) -> Outcome<bool> {
        let fields = match role {
            Role::Merchant => schema::MERCHANT_STATUS,
            Role::Fulfiller => schema::FULFILLER_STATUS,
        };
        let body = schema::check(body, fields).map_err(Fail::flaws)?;
        let to = body.text("status").unwrap_or_default();
        let from = self.outbound(n)?.status.clone();
        let code = body.text("cancelReasonCode");
        if let Some(code) = code {
            if !CANCEL_REASONS.iter().any(|(known, _)| *known == code) {
                return Err(Fail::model("cancelReasonCode", "the cancel reason is not known"));
            }
            if code != "None" && !to.ends_with("Canceled") {
                return Err(Fail::model("cancelReasonCode", "a cancel reason goes with Canceled only"));
            }
        }
        if self.flags.switches.accept_cancel_twice && to == "Canceled" && from == to {
            return Ok(false);
        }
        if !may_change(role, &from, to) {
            let status = if role == Role::Merchant { 403 } else { 400 };
            return Err(Fail::new(
                status,
                "Outbounds_OutboundStatusChangeForbidden",
                "This change of status is not allowed.",
            )
            .with("From", from)
            .with("To", to));
        }
        if to.ends_with("Canceled") {
            let reason = body.text("cancelReason").map(str::to_owned);
            self.cancel(n, to, code.unwrap_or("None"), reason, Actor::of(role));
        } else {
            self.check_basis(role, n)?;
            self.set_status(n, to, Actor::of(role));
            if to == "Pending" {
                self.plan(Kind::Outbounds, n);
            }
        }
        Ok(true)
    }

    /// The fulfiller ships an outbound from another warehouse: what is reserved moves there.
    pub(crate) fn move_outbound(&mut self, n: usize, warehouse: &str, oversale: bool, by: Actor) -> Outcome<()> {
        let o = self.outbound(n)?;
        self.check_granted(warehouse, 404)?;
        if o.is_over() {
            let text = "The outbound is through.";
            return Err(Fail::new(403, "Outbounds_OutboundUpdateForbidden", text).with("OutboundId", o.id.as_str()));
        }
        let (from, lines) = (o.warehouse.clone(), o.lines.clone());
        let freed: &[Line] = if from == warehouse { &lines } else { &[] };
        self.check_stock(&lines, warehouse, oversale, freed)?;
        self.outbound_mut(n)?.warehouse = warehouse.to_owned();
        let at = self.touch(n, by, "Modified");
        self.reserve(n, &from, &lines, true, (at, by));
        self.reserve(n, warehouse, &lines, false, (at, by));
        Ok(())
    }

    pub(crate) fn cancel(&mut self, n: usize, to: &str, code: &str, reason: Option<String>, by: Actor) {
        if let Some(o) = self.outbounds.get_mut(n) {
            o.cancel = Some((code.to_owned(), reason));
        }
        let at = self.set_status(n, to, by);
        self.release(n, at, by);
    }

    /// Refuses a stale `objectVersion`.
    pub(crate) fn check_version(&self, n: usize, given: Option<&str>) -> Outcome<()> {
        let Some(given) = given else { return Ok(()) };
        let o = self.outbound(n)?;
        let Some(at) = clock::parse(given) else {
            return Err(Fail::model("objectVersion", "no date-time"));
        };
        // As exact as the time was given out: whole milliseconds.
        if at.timestamp_nanos_opt() == Some(o.record.updated().saturating_mul(1_000_000)) {
            return Ok(());
        }
        if self.flags.switches.outdated_answer == OutdatedAnswer::Outbound {
            let fail = Fail::new(400, "Outbounds_OutdatedOutbound", "The outbound was changed in the meantime.");
            return Err(fail.with("OutboundId", o.id.as_str()));
        }
        Err(Fail::new(400, "Shared_OutdatedObject", "The object was changed in the meantime.")
            .with("Pk", o.id.as_str())
            .with("CurrentObjectVersion", self.clock.text(o.record.updated()))
            .with("GivenObjectVersion", given))
    }

    /// The fulfiller reports a shipment.
    pub(crate) fn notify(&mut self, n: usize, body: &Json) -> Outcome<usize> {
        let body = schema::check(body, schema::CREATE_NOTIFICATION).map_err(Fail::flaws)?;
        let o = self.outbound(n)?;
        if !may_ship(&o.status) {
            return Err(Fail::new(
                403,
                "Outbounds_OutboundShippingNotificationStatusForbidden",
                "The status of the outbound does not allow shipping.",
            )
            .with("OutboundId", o.id.as_str())
            .with("Status", o.status.as_str()));
        }
        let number = body.text("fulfillerShippingNotificationNumber").unwrap_or_default();
        let id = body.text("outboundShippingNotificationId");
        if let Some(flaw) =
            id.and_then(|id| schema::own_id(id, "outboundShippingNotificationId", &self.catalog.fulfiller, "06"))
        {
            return Err(Fail::flaws(vec![flaw]));
        }
        let own = |x: usize| self.notifications.get(x).is_some_and(|x| x.outbound == n);
        let unique = !self.flags.switches.accept_duplicate_shipping_numbers;
        if id.is_some_and(|id| self.notifications.known(id).is_some())
            || (unique && self.notifications.numbered(number).any(own))
        {
            return Err(Fail::new(400, "Shared_DuplicateKey", "The key exists already."));
        }
        let list = |name: &str| match body.get(name) {
            Some(Json::Arr(values)) => values.clone(),
            _ => Vec::new(),
        };
        let mut picks: Picks = Vec::new();
        let mut items = Vec::new();
        for item in list("items") {
            let product = match (item.text("jfsku"), item.text("merchantSku")) {
                (Some(jfsku), _) => self.catalog.product(jfsku),
                (None, Some(sku)) => self.catalog.by_sku(sku),
                (None, None) => return Err(Fail::model("items", "jfsku or merchantSku is required")),
            };
            let Some(product) = product else {
                let name = item.text("jfsku").or(item.text("merchantSku")).unwrap_or_default();
                return Err(
                    Fail::new(400, "Products_ProductNotFound", "The product was not found.").with("Jfsku", name)
                );
            };
            let Some(Json::Num(written)) = item.get("quantity") else { return Err(too_large()) };
            let mut left = Decimal::parse(written).ok_or_else(too_large)?;
            if !left.is_positive() {
                return Err(Fail::model("items", "more than 0 is needed"));
            }
            Self::check_goods(product, &o.warehouse, left)?;
            Self::check_lot(product, &o.warehouse, &item)?;
            let mut open = Decimal::ZERO;
            for (l, line) in o.lines.iter().enumerate() {
                if !line.is_stock() || line.jfsku.as_deref() != Some(product.jfsku.as_str()) {
                    continue;
                }
                let picked = picks.iter().filter(|(p, _)| *p == l).try_fold(Decimal::ZERO, |sum, (_, q)| sum.add(*q));
                let free = line.open().sub(picked.ok_or_else(too_large)?).ok_or_else(too_large)?;
                open = open.add(free).ok_or_else(too_large)?;
                let take = if left > free { free } else { left };
                if take.is_positive() {
                    left = left.sub(take).ok_or_else(too_large)?;
                    picks.push((l, take));
                }
            }
            if left.is_positive() {
                let code = "Outbounds_OutboundShippingNotificationNotEnoughQuantityOpen";
                return Err(Fail::new(400, code, "More than the open quantity can not be shipped.")
                    .with("Jfsku", product.jfsku.as_str())
                    .with("OutboundId", o.id.as_str())
                    .with("QuantityOpen", open.to_string())
                    .with("QuantityShippingNotification", written.as_str()));
            }
            let mut shown = item.clone();
            shown.remove("merchantSku");
            shown.remove("warehouseId");
            shown.set("jfsku", product.jfsku.as_str().into());
            items.push(shown);
        }
        let mut packages = list("packages");
        for package in &mut packages {
            let method = package.text("shippingMethodId").unwrap_or_default();
            if self.catalog.method(method).is_none() {
                return Err(Fail::new(
                    400,
                    "ShippingMethods_ShippingMethodNotFound",
                    "The shipping method was not found.",
                )
                .with("ShippingMethodId", method));
            }
            if package.get("freightOption").is_none() {
                package.set("freightOption", "Parcel".into());
            }
            if package.get("identifier").is_none() {
                package.set("identifier", Json::Arr(Vec::new()));
            }
        }
        let shipment = Shipment {
            id: id.map(str::to_owned),
            number: number.to_owned(),
            items,
            packages: packages.into(),
            note: body.text("note").map(str::to_owned),
        };
        Ok(self.ship(n, &picks, shipment, Actor::Fulfiller))
    }

    /// Goods leave: the notification comes first, then the outbound's new status.
    pub(crate) fn ship(&mut self, n: usize, picks: &Picks, shipment: Shipment, by: Actor) -> usize {
        let mut gone = Vec::new();
        let mut status = "Shipped";
        let mut names = (String::new(), String::new(), String::new());
        if let Some(o) = self.outbounds.get_mut(n) {
            for (l, quantity) in picks {
                if let Some(line) = o.lines.get_mut(*l) {
                    line.shipped = line.shipped.add(*quantity).unwrap_or(line.quantity);
                    gone.push((line.jfsku.clone().unwrap_or_default(), line.id.clone(), *quantity));
                }
            }
            if o.lines.iter().any(|l| l.is_stock() && l.open().is_positive()) {
                status = "PartiallyShipped";
            } else {
                o.lines.iter_mut().filter(|l| !l.is_stock()).for_each(|l| l.done = true);
            }
            names = (o.id.clone(), o.number.clone(), o.warehouse.clone());
        }
        let (outbound_id, outbound_number, warehouse) = names;
        let x = self.notifications.len();
        let tail = self.token(4);
        let id = shipment.id.unwrap_or_else(|| format!("{}06{tail}{:X}", self.catalog.fulfiller, x + 1));
        let mut items = shipment.items;
        for (i, item) in items.iter_mut().enumerate() {
            let mut members = vec![("outboundShippingNotificationItemId".to_owned(), format!("{id}-{}", i + 1).into())];
            if let Json::Obj(rest) = item {
                members.append(rest);
            }
            *item = Json::Obj(members);
            if item.get("serialnumbers").is_none() {
                item.set("serialnumbers", Json::Arr(Vec::new()));
            }
        }
        let at = self.clock.stamp();
        for (jfsku, line, quantity) in gone {
            let item = items.iter().find(|i| i.text("jfsku") == Some(&jfsku)).or(items.first());
            let item_id = item.and_then(|i| i.text("outboundShippingNotificationItemId")).unwrap_or_default();
            let cause = Cause {
                outbound: Some((n, line)),
                shipped: Some((id.clone(), item_id.to_owned())),
                ..Cause::default()
            };
            let delta = Levels { reserved: minus(quantity), ..Levels::ZERO };
            let remarks = item.map_or_else(Remarks::default, Remarks::read);
            let (warehouse, jfsku) = (warehouse.as_str(), jfsku.as_str());
            self.book(Entry { warehouse, jfsku, kind: "Delivery", delta, cause, remarks }, at, by);
        }
        let notification = Notification {
            id: id.clone(),
            outbound: n,
            outbound_id,
            outbound_number,
            number: shipment.number.clone(),
            items: items.into(),
            packages: shipment.packages,
            note: shipment.note,
            status: status.to_owned(),
            record: Record::new(at, by, Some(status)),
        };
        self.notifications.add(Some(&id), Some(&shipment.number), notification);
        if let Some(o) = self.outbounds.get_mut(n) {
            o.notifications.push(x);
        }
        self.set_status(n, status, by);
        x
    }

    /// Marks an outbound as deleted: a tombstone in the feed.
    pub(crate) fn delete(&mut self, n: usize) {
        let open = self.outbounds.get(n).is_some_and(|o| !o.is_over());
        if let Some(o) = self.outbounds.get_mut(n) {
            o.record.deleted = true;
        }
        let at = self.touch(n, Actor::House, "Deleted");
        if open {
            self.release(n, at, Actor::House);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: &str, items: &str) -> Json {
        Json::parse(&format!(
            r#"{{"merchantOutboundNumber":"{number}","warehouseId":"WARE04MAIN-00001-0001","currency":"EUR",
            "shippingType":"Standard","orderValue":12345678901234.5678,
            "shippingAddress":{{"lastname":"B","street":"S","city":"C","country":"DE"}},"items":{items}}}"#
        ))
        .unwrap()
    }

    const TWO_MUGS: &str = r#"[{"outboundItemId":"1","merchantSku":"MUG-BLUE","quantity":2,"price":9.90}]"#;

    fn world() -> World {
        World::new(Flags::for_test())
    }

    fn create(world: &mut World, body: &Json) -> Result<usize, &'static str> {
        world.create(body, false, false, false).map_err(|fail| fail.code)
    }

    fn mugs(world: &World) -> (String, String) {
        let stock = world.ledger.levels("WARE04MAIN-00001-0001", "ACME01A1B2C");
        (stock.level.to_string(), stock.reserved.to_string())
    }

    fn status(world: &mut World, role: Role, n: usize, to: &str) -> Result<(), (u16, &'static str)> {
        let body = obj([("status", to.into())]);
        world.change_status(role, n, &body).map(|_| ()).map_err(|fail| (fail.status, fail.code))
    }

    #[test]
    fn a_number_is_free_again_after_a_cancel_and_an_id_is_not() {
        let mut w = world();
        let mut body = order("A", TWO_MUGS);
        body.set("outboundId", "ACME02OWN".into());
        let n = create(&mut w, &body).unwrap();
        assert_eq!(create(&mut w, &order("A", TWO_MUGS)), Err("Outbounds_NotCanceledOutboundExists"));
        let mut other = body.clone();
        other.set("merchantOutboundNumber", "B".into());
        assert_eq!(create(&mut w, &other), Err("Outbounds_NotCanceledOutboundExists"));
        status(&mut w, Role::Merchant, n, "Canceled").unwrap();
        assert_eq!(create(&mut w, &other), Err("Shared_DuplicateKey"));
        let again = create(&mut w, &order("A", TWO_MUGS)).unwrap();
        assert_eq!(w.any_name("A"), Some(again), "the live one");
        assert_eq!(w.any_name("ACME02OWN"), Some(n));
        body.set("outboundId", "WARE02OWN".into());
        assert_eq!(create(&mut w, &body), Err("Shared_ModelValidation"));
    }

    #[test]
    fn locks() {
        let mut w = world();
        w.creating.insert("A".to_owned());
        assert_eq!(create(&mut w, &order("A", TWO_MUGS)), Err("Outbounds_OutboundCreationIsLocked"));
        assert!(w.create(&order("A", TWO_MUGS), false, false, true).is_ok(), "its own lock");
        w.locks.insert("B".to_owned(), w.clock.now() + 60_000);
        assert_eq!(create(&mut w, &order("B", TWO_MUGS)), Err("Outbounds_OutboundCreationIsLocked"));
        w.clock.advance(60_000);
        assert!(create(&mut w, &order("B", TWO_MUGS)).is_ok());
    }

    #[test]
    fn stock_follows_the_order() {
        let mut w = world();
        let n = create(&mut w, &order("A", TWO_MUGS)).unwrap();
        assert_eq!(mugs(&w), ("999998".to_owned(), "2".to_owned()));
        let five = Json::parse(&format!(r#"{{"items":{}}}"#, TWO_MUGS.replace(":2,", ":5,"))).unwrap();
        w.change(n, &five, false, false).unwrap();
        assert_eq!(mugs(&w), ("999995".to_owned(), "5".to_owned()));
        status(&mut w, Role::Merchant, n, "Canceled").unwrap();
        assert_eq!(mugs(&w), ("1000000".to_owned(), "0".to_owned()));
        assert_eq!(
            status(&mut w, Role::Merchant, n, "Canceled"),
            Err((403, "Outbounds_OutboundStatusChangeForbidden"))
        );
        let many = order("B", &TWO_MUGS.replace(":2,", ":1000001,"));
        assert_eq!(create(&mut w, &many), Err("Stocks_NotEnoughStock"));
        let n = w.create(&many, true, false, false).unwrap();
        assert_eq!(mugs(&w), ("-1".to_owned(), "1000001".to_owned()));
        w.house_ship(n, false);
        assert_eq!(mugs(&w), ("-1".to_owned(), "0".to_owned()));
        w.delete(n);
        assert_eq!(mugs(&w), ("-1".to_owned(), "0".to_owned()), "a shipped order gives nothing back");
    }

    #[test]
    fn numbers_come_back_as_sent() {
        let mut w = world();
        let items = r#"[{"outboundItemId":"1","merchantSku":"ROPE-METRE","quantity":1.10,"price":0.1,"vat":19.0}]"#;
        let n = create(&mut w, &order("A", items)).unwrap();
        let shown = |w: &World| w.outbounds[n].json(Role::Merchant, "WARE", None, &w.clock).to_string();
        for text in [
            r#""quantity":1.10,"#,
            r#""quantityOpen":1.10,"#,
            r#""price":0.1,"#,
            r#""orderValue":12345678901234.5678,"#,
        ] {
            assert!(shown(&w).contains(text), "{text}");
        }
        let part = Json::parse(
            r#"{"fulfillerShippingNotificationNumber":"D","items":[{"merchantSku":"ROPE-METRE","quantity":0.4}],
            "packages":[{"shippingMethodId":"WARE0A0001","shippingDate":"2026-01-05T08:00:00Z"}]}"#,
        )
        .unwrap();
        w.notify(n, &part).unwrap();
        assert!(shown(&w).contains(r#""status":"PartiallyShipped""#) && shown(&w).contains(r#""quantityOpen":0.70,"#));
        assert_eq!(w.notify(n, &part).unwrap_err().code, "Shared_DuplicateKey");
        let mut more = part.clone();
        more.set("fulfillerShippingNotificationNumber", "E".into());
        more.set("items", Json::parse(r#"[{"merchantSku":"ROPE-METRE","quantity":0.71}]"#).unwrap());
        assert_eq!(w.notify(n, &more).unwrap_err().code, "Outbounds_OutboundShippingNotificationNotEnoughQuantityOpen");
    }

    #[test]
    fn lines_are_checked() {
        let mut w = world();
        let mut refused = |items: &str| create(&mut w, &order("A", items)).unwrap_err();
        assert_eq!(refused(r#"[{"outboundItemId":"1","quantity":1}]"#), "Shared_ModelValidation");
        assert_eq!(
            refused(r#"[{"outboundItemId":"1","merchantSku":"MUG-BLUE","quantity":0}]"#),
            "Shared_ModelValidation"
        );
        assert_eq!(
            refused(r#"[{"outboundItemId":"1","merchantSku":"MUG-BLUE","quantity":1.5}]"#),
            "Stocks_ProductIsNotDivisible"
        );
        assert_eq!(
            refused(r#"[{"outboundItemId":"1","merchantSku":"MUG-OLD","quantity":1}]"#),
            "Products_ProductNotActive"
        );
        assert_eq!(refused(r#"[{"outboundItemId":"1","merchantSku":"X","quantity":1}]"#), "Products_ProductNotFound");
        assert_eq!(
            refused(
                r#"[{"outboundItemId":"1","merchantSku":"X","quantity":1},{"outboundItemId":"2","merchantSku":"Y","quantity":1}]"#
            ),
            "Products_ProductsNotFound"
        );
        assert_eq!(
            refused(r#"[{"outboundItemId":"1","merchantSku":"MUG-PAIR","quantity":1}]"#),
            "Outbounds_OutboundItemBillOfMaterialsHasNoChild"
        );
        let pair = r#"[{"outboundItemId":"1","merchantSku":"MUG-PAIR","quantity":2},{"outboundItemId":"s","itemType":"Shipping","name":"Parcel","quantity":1}]"#;
        let n = w.create(&order("P", pair), false, true, false).unwrap();
        assert_eq!(w.outbounds[n].lines.len(), 4);
        assert_eq!(mugs(&w).1, "2");
        w.house_ship(n, false);
        assert_eq!(w.outbounds[n].status, "Shipped");
        assert!(w.outbounds[n].lines.iter().all(|l| l.open().is_zero()));
    }

    #[test]
    fn a_change_leaves_clears_and_replaces() {
        let mut w = world();
        let mut body = order("A", TWO_MUGS);
        body.set("externalNote", "note".into());
        let n = create(&mut w, &body).unwrap();
        let change = |text: &str| Json::parse(text).unwrap();
        w.change(
            n,
            &change(r#"{"externalNote":null,"shippingAddress":{"city":"Ulm"},"shippingMethodId":"WARE0A0002"}"#),
            false,
            false,
        )
        .unwrap();
        let shown = w.outbounds[n].json(Role::Merchant, "WARE", None, &w.clock).to_string();
        assert!(!shown.contains("externalNote"));
        assert!(shown.contains(r#"{"lastname":"B","street":"S","city":"Ulm","country":"DE"}"#));
        assert!(shown.contains(r#""shippingType":"NextDay""#));
        assert!(w.change(n, &change(r#"{"currency":null}"#), false, false).is_err());
        w.set_status(n, "Pickprocess", Actor::House);
        assert_eq!(w.change(n, &change("{}"), false, false).unwrap_err().status, 403);
    }

    #[test]
    fn stale_versions() {
        let mut w = world();
        let n = create(&mut w, &order("A", TWO_MUGS)).unwrap();
        let version = w.clock.text(w.outbounds[n].record.updated());
        assert!(w.check_version(n, Some(&version)).is_ok());
        assert!(w.check_version(n, None).is_ok());
        assert_eq!(status(&mut w, Role::Fulfiller, n, "Shipped"), Err((400, "Shared_ModelValidation")));
        status(&mut w, Role::Fulfiller, n, "Acknowledged").unwrap();
        assert_eq!(w.check_version(n, Some(&version)).unwrap_err().code, "Shared_OutdatedObject");
        assert_eq!(
            status(&mut w, Role::Fulfiller, n, "Acknowledged"),
            Err((400, "Outbounds_OutboundStatusChangeForbidden"))
        );
    }
}
