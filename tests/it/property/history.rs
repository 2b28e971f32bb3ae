//! Random histories: what merchant, fulfiller and warehouse do, as control requests of the simulator.

use std::collections::HashMap;

use fastrand::Rng;
use ffn_bridge::domain::feed::FeedName;
use serde_json::{Value, json};

/// What there is of one kind, by the numbers that it was made with.
struct Kind {
    path: &'static str,
    prefix: &'static str,
    made: usize,
    open: Vec<String>,
}

pub struct History {
    rng: Rng,
    feeds: Vec<FeedName>,
    keeps_orders: bool,
    kinds: HashMap<FeedName, Kind>,
    /// Entities that must not change before they have been read: FFN does not show a change that is followed by
    /// another before it becomes visible.
    busy: Option<Vec<String>>,
}

impl History {
    /// `is_late`: changes become visible late.
    pub fn new(seed: u64, role: &str, feeds: &[FeedName], is_late: bool) -> Self {
        let keeps_orders = role == "fulfiller" && feeds.contains(&FeedName::OutboundShipments);
        let kind = |path, prefix| Kind { path, prefix, made: 0, open: Vec::new() };
        let kinds = HashMap::from([
            (FeedName::Outbounds, kind("outbounds", "SO-")),
            (FeedName::Inbounds, kind("inbounds", "IN-")),
            (FeedName::Returns, kind("returns", "RE-")),
            (FeedName::Products, kind("products", "PR-")),
        ]);
        let busy = is_late.then(Vec::new);
        Self { rng: Rng::with_seed(seed), feeds: feeds.to_vec(), keeps_orders, kinds, busy }
    }

    /// Everything that has happened so far has been read.
    pub fn all_read(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.clear();
        }
    }

    /// So many entities of the kinds that are read, at the start or later.
    pub fn make(&mut self, count: usize) -> Vec<Value> {
        let kinds: Vec<FeedName> = [FeedName::Outbounds, FeedName::Inbounds, FeedName::Returns, FeedName::Products]
            .into_iter()
            .filter(|kind| self.feeds.iter().any(|feed| made_with(*feed) == *kind))
            .collect();
        (0..kinds.len()).map(|at| self.bulk(kinds[at], count.div_ceil(kinds.len()))).collect()
    }

    /// Something that happens.
    pub fn step(&mut self) -> Value {
        let feed = self.feeds[self.rng.usize(..self.feeds.len())];
        self.step_of(feed)
    }

    /// Something that happens to what a feed shows.
    pub fn step_of(&mut self, feed: FeedName) -> Value {
        match made_with(feed) {
            FeedName::Outbounds => self.order(feed),
            FeedName::Inbounds => self.delivery(feed),
            FeedName::Returns => self.give_back(),
            FeedName::Products => self.product(feed),
            FeedName::Stocks => {
                let sku = ["MUG-RED", "MUG-BLUE", "PLATE-WHITE"][self.rng.usize(..3)];
                let warehouse = ["WARE04MAIN-00001-0001", "WARE04SIDE-00002-0001"][self.rng.usize(..2)];
                post("stock-changes", json!({"merchantSku": sku, "warehouseId": warehouse, "count": self.rng.u8(1..5)}))
            }
            FeedName::Warehouses => self.plain("warehouses", &["WARE04MAIN-00001-0001", "WARE04SIDE-00002-0001"]),
            FeedName::ShippingMethods => self.plain("shippingmethods", &["WARE0A0001", "WARE0A0002"]),
            FeedName::Fulfillers => self.plain("fulfillers", &["WARE"]),
            FeedName::Merchants => self.plain("merchants", &["ACME"]),
            _ => self.plain("authorizations", &["ACME"]),
        }
    }

    /// Time passes, up to so many milliseconds.
    pub fn wait(&mut self, most: u64) -> Value {
        post("clock", json!({"advance": format!("{}ms", self.rng.u64(1..=most))}))
    }

    fn bulk(&mut self, kind: FeedName, count: usize) -> Value {
        let of = self.kinds.get_mut(&kind).unwrap();
        let (first, prefix) = (of.made + 1, of.prefix);
        of.made += count;
        let numbers: Vec<String> = (first..first + count).map(|number| format!("{prefix}{number:06}")).collect();
        of.open.extend(numbers.iter().cloned());
        if let Some(busy) = &mut self.busy {
            busy.extend(numbers);
        }
        post(&format!("{}/bulk", of.path), json!({"count": count, "prefix": prefix, "start": first}))
    }

    fn any(&mut self, kind: FeedName) -> Option<String> {
        let open = &self.kinds[&kind].open;
        open.get(self.rng.usize(..open.len().max(1))).cloned()
    }

    /// One that may change now, `None` if there is none.
    fn one(&mut self, kind: FeedName) -> Option<String> {
        let number = self.any(kind)?;
        match &mut self.busy {
            Some(busy) if busy.contains(&number) => None,
            Some(busy) => {
                busy.push(number.clone());
                Some(number)
            }
            None => Some(number),
        }
    }

    fn order(&mut self, feed: FeedName) -> Value {
        if self.rng.u8(..5) == 0 {
            let count = self.rng.usize(1..6);
            return self.bulk(FeedName::Outbounds, count);
        }
        let Some(number) = self.one(FeedName::Outbounds) else { return nothing() };
        let gap = self.rng.u32(1..4000);
        let at = |what: &str| format!("outbounds/{number}/{what}");
        let shows_parcels = feed == FeedName::OutboundShipments;
        match self.rng.u8(..20) {
            _ if shows_parcels => {
                post(&at("advance"), json!({"to": "Shipped", "partial": self.rng.bool(), "gap_ms": gap}))
            }
            0..=9 => post(&at("advance"), json!({"steps": self.rng.u8(1..=3), "gap_ms": gap})),
            10..=12 => self.edit(&at("change"), "internalNote"),
            // An order that goes its way can't be changed by that; it is by others.
            13..=14 => post(&at("touch"), json!({})),
            15 => post(&at("advance"), json!({"to": "Locked"})),
            16 => post(&at("advance"), json!({"to": "Canceled"})),
            17 => post(&at("advance"), json!({"to": "Shipped", "partial": true, "gap_ms": gap})),
            // One that nobody knows, and one that has no event of its own.
            18 if self.rng.bool() => post(&at("status"), json!({"status": "Teleported"})),
            // It stays there: FFN would forget when it was pending before.
            18 => self.leave(FeedName::Outbounds, &number, "status", json!({"status": "Preparation"})),
            // A fulfiller asks the order for its parcels: one that is gone has none.
            _ if self.keeps_orders => nothing(),
            _ => self.end(FeedName::Outbounds, number),
        }
    }

    fn delivery(&mut self, feed: FeedName) -> Value {
        if self.rng.u8(..5) == 0 {
            let count = self.rng.usize(1..4);
            return self.bulk(FeedName::Inbounds, count);
        }
        let Some(number) = self.one(FeedName::Inbounds) else { return nothing() };
        let at = |what: &str| format!("inbounds/{number}/{what}");
        match self.rng.u8(..12) {
            _ if feed == FeedName::InboundShipments => post(&at("notify"), json!({})),
            0..=4 => post(&at("advance"), json!({"partial": self.rng.bool()})),
            5..=7 => self.edit(&at("change"), "note"),
            8 => post(&at("touch"), json!({})),
            9 => post(&at("close"), json!({"by": "merchant"})),
            10 => post(&at("status"), json!({"status": "Quarantined"})),
            _ => self.end(FeedName::Inbounds, number),
        }
    }

    fn give_back(&mut self) -> Value {
        if self.rng.u8(..5) == 0 {
            let count = self.rng.usize(1..4);
            return self.bulk(FeedName::Returns, count);
        }
        if self.rng.u8(..12) == 0 {
            // What has changed before it is gone can't be looked at.
            let gone = self.one(FeedName::Returns);
            return gone.map_or_else(nothing, |number| self.end(FeedName::Returns, number));
        }
        // Its changes are listed, also those that others follow.
        let Some(number) = self.any(FeedName::Returns) else { return nothing() };
        if let Some(busy) = &mut self.busy {
            busy.push(number.clone());
        }
        let at = |what: &str| format!("returns/{number}/{what}");
        match self.rng.u8(..11) {
            0..=5 => post(&at("advance"), json!({"steps": self.rng.u8(1..=2), "gap_ms": self.rng.u32(1..4000)})),
            6..=7 => post(&at("add"), json!({"items": [{"merchantSku": "MUG-RED", "quantity": 1}]})),
            _ => self.edit(&at("change"), "internalNote"),
        }
    }

    fn product(&mut self, _: FeedName) -> Value {
        if self.rng.u8(..4) == 0 {
            let count = self.rng.usize(1..4);
            return self.bulk(FeedName::Products, count);
        }
        let Some(number) = self.one(FeedName::Products) else { return nothing() };
        match self.rng.u8(..8) {
            0 => self.end(FeedName::Products, number),
            1 => post(&format!("products/{number}/touch"), json!({})),
            _ => self.edit(&format!("products/{number}/change"), "name"),
        }
    }

    fn plain(&mut self, path: &str, ids: &[&str]) -> Value {
        let id = ids[self.rng.usize(..ids.len())].to_owned();
        match &mut self.busy {
            Some(busy) if busy.contains(&id) => return nothing(),
            Some(busy) => busy.push(id.clone()),
            None => {}
        }
        post(&format!("{path}/{id}/touch"), json!({}))
    }

    fn edit(&mut self, path: &str, member: &str) -> Value {
        post(path, json!({member: format!("text {}", self.rng.u32(..))}))
    }

    fn end(&mut self, kind: FeedName, number: String) -> Value {
        self.leave(kind, &number, "delete", json!({}))
    }

    /// The last that happens to one.
    fn leave(&mut self, kind: FeedName, number: &str, how: &str, body: Value) -> Value {
        let of = self.kinds.get_mut(&kind).unwrap();
        of.open.retain(|other| other != number);
        post(&format!("{}/{number}/{how}", of.path), body)
    }
}

/// The feed whose entities make this one's.
fn made_with(feed: FeedName) -> FeedName {
    match feed {
        FeedName::OutboundShipments => FeedName::Outbounds,
        FeedName::InboundShipments => FeedName::Inbounds,
        other => other,
    }
}

fn post(path: &str, body: Value) -> Value {
    json!({"post": path, "body": body})
}

fn nothing() -> Value {
    json!({"get": "settings"})
}
