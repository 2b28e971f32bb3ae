//! The stock ledger: one entry per movement of goods, with versions that have no gaps per warehouse
//! and product; and the stock as the API shows it.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::Role;
use crate::decimal::Decimal;
use crate::json::{Json, int, obj};
use crate::record::{Actor, Entity, Record, Store, Window, modified};
use crate::world::World;

/// Goods of one product in one warehouse, or a change of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Levels {
    /// What can still be sold.
    pub(crate) level: Decimal,
    /// What is kept for orders.
    pub(crate) reserved: Decimal,
    pub(crate) blocked: Decimal,
    /// What inbounds are going to bring.
    pub(crate) announced: Decimal,
}

impl Levels {
    pub(crate) const ZERO: Levels =
        Levels { level: Decimal::ZERO, reserved: Decimal::ZERO, blocked: Decimal::ZERO, announced: Decimal::ZERO };

    fn add(self, other: Levels) -> Levels {
        let sum = |a: Decimal, b: Decimal| a.add(b).unwrap_or(a);
        Levels {
            level: sum(self.level, other.level),
            reserved: sum(self.reserved, other.reserved),
            blocked: sum(self.blocked, other.blocked),
            announced: sum(self.announced, other.announced),
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        [self.level, self.reserved, self.blocked, self.announced].iter().all(|d| d.is_zero())
    }
}

/// Less than nothing of it.
pub(crate) fn minus(value: Decimal) -> Decimal {
    Decimal::ZERO.sub(value).unwrap_or(Decimal::ZERO)
}

/// What moved the goods: places in orders, deliveries and returns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    /// Number of the order in its store, and the line.
    pub(crate) outbound: Option<(usize, String)>,
    /// Number of the delivery in its store, and the line.
    pub(crate) inbound: Option<(usize, String)>,
    /// Ids of the return and of the item.
    pub(crate) returned: Option<(String, String)>,
    /// Ids of the shipping notification and of the item.
    pub(crate) shipped: Option<(String, String)>,
}

/// What a fulfiller may say about a movement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) batch: Option<String>,
    pub(crate) best_before: Option<Json>,
    pub(crate) note: Option<String>,
    pub(crate) own_id: Option<String>,
    pub(crate) own_time: Option<String>,
}

impl Remarks {
    /// The members of this meaning in a request.
    pub(crate) fn read(item: &Json) -> Self {
        let text = |name| item.text(name).map(str::to_owned);
        Remarks {
            batch: text("batch"),
            best_before: item.get("bestBefore").filter(|v| **v != Json::Null).cloned(),
            note: text("note"),
            own_id: text("fulfillerStockChangeId"),
            own_time: text("fulfillerTimestamp"),
        }
    }

    fn is_empty(&self) -> bool {
        self.batch.is_none()
            && self.best_before.is_none()
            && self.note.is_none()
            && self.own_id.is_none()
            && self.own_time.is_none()
    }
}

/// An entry to be.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) warehouse: &'a str,
    pub(crate) jfsku: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) delta: Levels,
    pub(crate) cause: Cause,
    pub(crate) remarks: Remarks,
}

/// An entry of the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Movement {
    pub(crate) pile: usize,
    pub(crate) version: usize,
    pub(crate) kind: String,
    pub(crate) delta: Levels,
    pub(crate) after: Levels,
    pub(crate) cause: Cause,
    pub(crate) remarks: Option<Box<Remarks>>,
    pub(crate) record: Record,
}

impl Entity for Movement {
    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

/// Which batch, and the text of its best-before date.
type Lot = (Option<String>, Option<String>);

/// All goods of one product in one warehouse.
#[derive(Debug)]
pub(crate) struct Pile {
    pub(crate) warehouse: String,
    pub(crate) jfsku: String,
    pub(crate) levels: Levels,
    /// The entries, version 1 first.
    pub(crate) entries: Vec<usize>,
    reserved_for: BTreeMap<(String, String), Decimal>,
    announced_by: BTreeMap<(String, String), Decimal>,
    lots: BTreeMap<Lot, (Decimal, Decimal)>,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) movements: Store<Movement>,
    pub(crate) piles: Vec<Pile>,
    by_key: BTreeMap<(String, String), usize>,
    by_product: HashMap<String, Vec<usize>>,
}

impl Ledger {
    pub(crate) fn pile(&self, warehouse: &str, jfsku: &str) -> Option<&Pile> {
        self.by_key.get(&(warehouse.to_owned(), jfsku.to_owned())).and_then(|p| self.piles.get(*p))
    }

    pub(crate) fn levels(&self, warehouse: &str, jfsku: &str) -> Levels {
        self.pile(warehouse, jfsku).map_or(Levels::ZERO, |p| p.levels)
    }

    /// All goods of a product.
    pub(crate) fn piles_of(&self, jfsku: &str) -> impl Iterator<Item = &Pile> {
        let known = self.by_product.get(jfsku).map(Vec::as_slice).unwrap_or_default();
        known.iter().filter_map(|p| self.piles.get(*p))
    }

    /// Whether there ever was stock of it.
    pub(crate) fn knows(&self, jfsku: &str) -> bool {
        self.by_product.contains_key(jfsku)
    }

    /// The entry `{warehouseId}:{jfsku}:{stockVersion}`.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        let mut parts = name.split(':');
        let pile = self.pile(parts.next()?, parts.next()?)?;
        let version: usize = parts.next()?.parse().ok()?;
        pile.entries.get(version.checked_sub(1)?).copied()
    }

    fn pile_for(&mut self, warehouse: &str, jfsku: &str) -> usize {
        let key = (warehouse.to_owned(), jfsku.to_owned());
        if let Some(p) = self.by_key.get(&key) {
            return *p;
        }
        let p = self.piles.len();
        self.piles.push(Pile {
            warehouse: key.0.clone(),
            jfsku: key.1.clone(),
            levels: Levels::ZERO,
            entries: Vec::new(),
            reserved_for: BTreeMap::new(),
            announced_by: BTreeMap::new(),
            lots: BTreeMap::new(),
        });
        self.by_product.entry(key.1.clone()).or_default().push(p);
        self.by_key.insert(key, p);
        p
    }

    fn at(&self, pile: &Pile, at: Option<i64>) -> Levels {
        let Some(at) = at else { return pile.levels };
        let time = |n: &usize| self.movements.get(*n).map_or(i64::MAX, |m| m.record.created());
        let count = pile.entries.partition_point(|n| time(n) <= at);
        let last = count.checked_sub(1).and_then(|i| pile.entries.get(i));
        last.and_then(|n| self.movements.get(*n)).map_or(Levels::ZERO, |m| m.after)
    }
}

fn shift(map: &mut BTreeMap<(String, String), Decimal>, key: (String, String), by: Decimal) {
    let slot = map.entry(key.clone()).or_insert(Decimal::ZERO);
    *slot = slot.add(by).unwrap_or(*slot);
    if !slot.is_positive() {
        map.remove(&key);
    }
}

impl World {
    /// Writes an entry into the ledger.
    pub(crate) fn book(&mut self, entry: Entry<'_>, at: i64, by: Actor) -> usize {
        let p = self.ledger.pile_for(entry.warehouse, entry.jfsku);
        let order = entry.cause.outbound.as_ref().and_then(|(n, line)| {
            let id = self.outbounds.get(*n).map(|o| o.id.clone())?;
            Some((id, line.clone()))
        });
        let delivery = entry.cause.inbound.as_ref().and_then(|(n, line)| {
            let id = self.things.inbounds.get(*n).map(|i| i.id.clone())?;
            Some((id, line.clone()))
        });
        let n = self.ledger.movements.len();
        let Some(pile) = self.ledger.piles.get_mut(p) else { return n };
        pile.levels = pile.levels.add(entry.delta);
        if let Some(key) = order {
            shift(&mut pile.reserved_for, key, entry.delta.reserved);
        }
        if let Some(key) = delivery {
            shift(&mut pile.announced_by, key, entry.delta.announced);
        }
        let lot = (entry.remarks.batch.clone(), entry.remarks.best_before.as_ref().map(Json::to_string));
        let slot = pile.lots.entry(lot).or_insert((Decimal::ZERO, Decimal::ZERO));
        slot.0 = slot.0.add(entry.delta.level).unwrap_or(slot.0);
        slot.1 = slot.1.add(entry.delta.blocked).unwrap_or(slot.1);
        pile.entries.push(n);
        let (version, after) = (pile.entries.len(), pile.levels);
        let movement = Movement {
            pile: p,
            version,
            kind: entry.kind.to_owned(),
            delta: entry.delta,
            after,
            cause: entry.cause,
            remarks: (!entry.remarks.is_empty()).then(|| Box::new(entry.remarks)),
            record: Record::new(at, by, None),
        };
        self.ledger.movements.add(None, None, movement)
    }

    /// Sets the level that can be sold, with an adjustment.
    pub(crate) fn adjust_to(&mut self, warehouse: &str, jfsku: &str, level: Decimal) -> Option<Levels> {
        let before = self.ledger.levels(warehouse, jfsku);
        let delta = Levels { level: level.sub(before.level)?, ..Levels::ZERO };
        if !delta.is_zero() {
            let at = self.clock.stamp();
            let cause = Cause::default();
            let entry = Entry { warehouse, jfsku, kind: "Adjustment", delta, cause, remarks: Remarks::default() };
            self.book(entry, at, Actor::House);
        }
        Some(self.ledger.levels(warehouse, jfsku))
    }

    /// `stockChangeId` of an entry.
    pub(crate) fn movement_id(&self, m: &Movement) -> Json {
        let pile = self.ledger.piles.get(m.pile);
        obj([
            ("warehouseId", pile.map(|p| p.warehouse.as_str()).into()),
            ("jfsku", pile.map(|p| p.jfsku.as_str()).into()),
            ("stockVersion", int(m.version)),
        ])
    }

    /// An entry as one side sees it.
    pub(crate) fn movement_json(&self, m: &Movement, role: Role, window: Option<&Window>) -> Json {
        let Some(pile) = self.ledger.piles.get(m.pile) else { return Json::Null };
        let merchant = role == Role::Merchant;
        let outbound = m.cause.outbound.as_ref().and_then(|(n, line)| {
            let o = self.outbounds.get(*n)?;
            Some(obj([
                ("merchantOutboundNumber", merchant.then_some(o.number.as_str()).into()),
                ("outboundItemId", line.as_str().into()),
                ("outboundId", o.id.as_str().into()),
            ]))
        });
        let inbound = m.cause.inbound.as_ref().and_then(|(n, line)| {
            let i = self.things.inbounds.get(*n)?;
            Some(obj([
                ("merchantInboundNumber", merchant.then_some(i.number.as_str()).into()),
                ("inboundItemId", line.as_str().into()),
                ("inboundId", i.id.as_str().into()),
            ]))
        });
        let returned = m.cause.returned.as_ref();
        let returned =
            returned.map(|(id, item)| obj([("returnId", id.as_str().into()), ("returnItemId", item.as_str().into())]));
        let shipped = m.cause.shipped.as_ref().map(|(id, item)| {
            obj([
                ("outboundShippingNotificationId", id.as_str().into()),
                ("outboundShippingNotificationItemId", item.as_str().into()),
            ])
        });
        let remarks = m.remarks.as_deref();
        let text = |pick: fn(&Remarks) -> Option<&str>| Json::from(remarks.and_then(pick));
        obj([
            ("stockChangeId", self.movement_id(m)),
            ("fulfillerStockChangeId", text(|r| r.own_id.as_deref())),
            ("stockLevel", int(m.after.level)),
            ("stockLevelReserved", int(m.after.reserved)),
            ("stockLevelBlocked", int(m.after.blocked)),
            ("stockLevelAnnounced", int(m.after.announced)),
            ("quantity", int(m.delta.level)),
            ("quantityReserved", int(m.delta.reserved)),
            ("quantityBlocked", int(m.delta.blocked)),
            ("quantityAnnounced", int(m.delta.announced)),
            ("batch", text(|r| r.batch.as_deref())),
            ("bestBefore", remarks.and_then(|r| r.best_before.clone()).into()),
            ("changeType", m.kind.as_str().into()),
            ("outboundItem", outbound.into()),
            ("inboundItem", inbound.into()),
            ("returnItem", returned.into()),
            ("outboundShippingNotificationItem", shipped.into()),
            ("note", text(|r| r.note.as_deref())),
            ("current", (m.version == pile.entries.len()).into()),
            ("modificationInfo", modified(&m.record.changes, window, &self.clock)),
            ("merchantSku", self.catalog.product(&pile.jfsku).map(|p| p.sku.as_str()).into()),
            ("fulfillerTimestamp", text(|r| r.own_time.as_deref())),
        ])
    }

    /// The stock of a product as the API shows it, in one warehouse or in all; now or at a time.
    pub(crate) fn stock_json(&self, jfsku: &str, warehouse: Option<&str>, role: Role, at: Option<i64>) -> Json {
        let merchant = role == Role::Merchant;
        let sku = || Json::from(self.catalog.product(jfsku).map(|p| p.sku.as_str()));
        let fulfiller = || Json::from(merchant.then_some(self.catalog.fulfiller.as_str()));
        let levels = |l: &Levels| {
            [
                ("stockLevel", int(l.level)),
                ("stockLevelReserved", int(l.reserved)),
                ("stockLevelBlocked", int(l.blocked)),
                ("stockLevelAnnounced", int(l.announced)),
            ]
        };
        let details = |piles: &[&Pile], total: &Levels| {
            let (mut lots, mut reserved, mut announced) = (BTreeMap::new(), Vec::new(), Vec::new());
            for pile in piles.iter().filter(|_| at.is_none()) {
                for (lot, (level, blocked)) in &pile.lots {
                    let sum = lots.entry(lot).or_insert((Decimal::ZERO, Decimal::ZERO));
                    *sum = (sum.0.add(*level).unwrap_or(sum.0), sum.1.add(*blocked).unwrap_or(sum.1));
                }
                for ((id, line), quantity) in &pile.reserved_for {
                    reserved.push(obj([
                        ("outboundId", id.as_str().into()),
                        ("outboundItemId", line.as_str().into()),
                        ("quantityReserved", int(quantity)),
                    ]));
                }
                for ((id, line), quantity) in &pile.announced_by {
                    announced.push(obj([
                        ("inboundId", id.as_str().into()),
                        ("inboundItemId", line.as_str().into()),
                        ("quantityAnnounced", int(quantity)),
                    ]));
                }
            }
            let empty = |level: &Decimal, blocked: &Decimal| level.is_zero() && blocked.is_zero();
            let row = |((batch, date), (level, blocked)): (&Lot, (Decimal, Decimal))| {
                obj([
                    ("batch", batch.as_deref().into()),
                    ("bestBefore", date.clone().map(Json::Num).into()),
                    ("stockLevel", int(level)),
                    ("stockLevelBlocked", int(blocked)),
                ])
            };
            let mut rows: Vec<Json> =
                lots.into_iter().filter(|(_, (level, blocked))| !empty(level, blocked)).map(row).collect();
            if at.is_some() {
                rows.push(obj([("stockLevel", int(total.level)), ("stockLevelBlocked", int(total.blocked))]));
            }
            [
                ("stockLevelDetails", Json::Arr(rows)),
                ("stockReservedDetails", Json::Arr(reserved)),
                ("stockAnnouncedDetails", Json::Arr(announced)),
            ]
        };
        let build = |parts: Vec<(&str, Json)>| {
            Json::Obj(parts.into_iter().filter(|(_, v)| *v != Json::Null).map(|(n, v)| (n.to_owned(), v)).collect())
        };
        let in_one = |place: &str, pile: Option<&Pile>| {
            let total = pile.map_or(Levels::ZERO, |p| self.ledger.at(p, at));
            let piles: Vec<&Pile> = pile.into_iter().collect();
            let mut parts = vec![("jfsku", jfsku.into()), ("warehouseId", place.into()), ("fulfillerId", fulfiller())];
            parts.extend(levels(&total));
            parts.extend(details(&piles, &total));
            parts.push(("merchantSku", sku()));
            build(parts)
        };
        if let Some(place) = warehouse {
            return in_one(place, self.ledger.pile(place, jfsku));
        }
        let piles: Vec<&Pile> = self.ledger.piles_of(jfsku).collect();
        let total = piles.iter().fold(Levels::ZERO, |sum, p| sum.add(self.ledger.at(p, at)));
        let mut parts = vec![("jfsku", jfsku.into())];
        parts.extend(levels(&total));
        parts.extend(details(&piles, &total));
        parts.push(("warehouses", piles.iter().map(|p| in_one(&p.warehouse, Some(p))).collect::<Vec<_>>().into()));
        if merchant {
            let mut own = vec![("jfsku", jfsku.into()), ("fulfillerId", fulfiller())];
            own.extend(levels(&total));
            own.extend(details(&piles, &total));
            own.push(("merchantSku", sku()));
            parts.push(("fulfiller", Json::Arr(vec![build(own)])));
        }
        parts.push(("merchantSku", sku()));
        build(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use crate::outbound::Outbound;

    const MAIN: &str = "WARE04MAIN-00001-0001";
    const MUG: &str = "ACME01A1B2C";

    fn ledger(w: &World) -> Vec<String> {
        let pile = w.ledger.pile(MAIN, MUG).unwrap();
        let rows = pile.entries.iter().map(|n| &w.ledger.movements[*n]);
        rows.map(|m| {
            let (d, a) = (m.delta, m.after);
            format!("{} {} {}/{} {}/{}", m.version, m.kind, d.level, d.reserved, a.level, a.reserved)
        })
        .collect()
    }

    fn cause(w: &World, version: usize, role: Role) -> String {
        let n = w.ledger.named(&format!("{MAIN}:{MUG}:{version}")).unwrap();
        let row = w.show(crate::things::Kind::StockChanges, n, role, None);
        let part = |name: &str| row.get(name).map(Json::to_string).unwrap_or_default();
        format!("{}{}", part("outboundItem"), part("outboundShippingNotificationItem"))
    }

    #[test]
    fn an_order_that_ships_in_two_parts_and_one_that_is_canceled() {
        let mut w = World::new(Flags::for_test());
        let n = w.make("A".to_owned(), "Pending").unwrap();
        let id = w.outbounds[n].id.clone();
        w.house_ship(n, true);
        w.house_ship(n, false);
        let o = w.make("B".to_owned(), "Pending").unwrap();
        w.cancel(o, "Canceled", "None", None, Actor::Merchant);
        assert_eq!(
            ledger(&w),
            [
                "1 Adjustment 1000000/0 1000000/0",
                "2 Reservation -1/1 999999/1",
                "3 Delivery 0/-0.5 999999/0.5",
                "4 Delivery 0/-0.5 999999/0.0",
                "5 Reservation -1/1 999998/1.0",
                "6 ReservationCanceled 1/-1 999999/0.0",
            ]
        );
        let shipped = &w.notifications[0].id;
        let item = format!(
            r#""outboundItemId":"1","outboundId":"{id}"}}{{"outboundShippingNotificationId":"{shipped}","outboundShippingNotificationItemId":"{shipped}-1"}}"#
        );
        assert_eq!(cause(&w, 3, Role::Merchant), format!(r#"{{"merchantOutboundNumber":"A",{item}"#));
        assert_eq!(cause(&w, 3, Role::Fulfiller), format!("{{{item}"));
        let at = |n: usize| w.ledger.movements[n].record.created();
        let stamp = |o: &Outbound, k: usize| o.record.changes[k].at;
        let pile = w.ledger.pile(MAIN, MUG).unwrap();
        assert_eq!(at(pile.entries[1]), stamp(&w.outbounds[n], 0), "one stamp for what happened at once");
        assert_eq!(at(pile.entries[5]), stamp(&w.outbounds[o], 1));
    }

    #[test]
    fn only_the_newest_entry_is_current_and_the_past_can_be_asked_for() {
        let mut w = World::new(Flags::for_test());
        let before = w.clock.now();
        w.clock.advance(1_000);
        w.adjust_to(MAIN, MUG, Decimal::whole(7)).unwrap();
        w.adjust_to(MAIN, MUG, Decimal::whole(7)).unwrap();
        assert_eq!(ledger(&w).len(), 2, "nothing to adjust is no entry");
        let current = |version: usize| {
            let n = w.ledger.named(&format!("{MAIN}:{MUG}:{version}")).unwrap();
            w.show(crate::things::Kind::StockChanges, n, Role::Merchant, None).get("current").unwrap().to_string()
        };
        assert_eq!((current(1), current(2)), ("false".into(), "true".into()));
        let level = |at| w.stock_json(MUG, Some(MAIN), Role::Merchant, at).get("stockLevel").unwrap().to_string();
        assert_eq!((level(None), level(Some(before)), level(Some(0))), ("7".into(), "1000000".into(), "0".into()));
        assert!(w.ledger.named("x").is_none() && w.ledger.named(&format!("{MAIN}:{MUG}:0")).is_none());
    }

    #[test]
    fn lots_are_told_apart_and_summed_over_warehouses() {
        let mut w = World::new(Flags::for_test());
        let remarks =
            Remarks::read(&Json::parse(r#"{"batch":"B1","bestBefore":{"year":2027,"month":1,"day":2}}"#).unwrap());
        for warehouse in [MAIN, "WARE04SIDE-00002-0001"] {
            let delta = Levels { level: Decimal::whole(2), blocked: Decimal::whole(1), ..Levels::ZERO };
            let (cause, remarks) = (Cause::default(), remarks.clone());
            w.book(Entry { warehouse, jfsku: MUG, kind: "Adjustment", delta, cause, remarks }, 1, Actor::House);
        }
        let stock = w.stock_json(MUG, None, Role::Merchant, None);
        assert_eq!(
            stock.get("stockLevelDetails").unwrap().to_string(),
            r#"[{"stockLevel":2000000,"stockLevelBlocked":0},{"batch":"B1","bestBefore":{"year":2027,"month":1,"day":2},"stockLevel":4,"stockLevelBlocked":2}]"#
        );
        assert!(stock.get("fulfiller").is_some() && stock.get("stockLevel").unwrap().to_string() == "2000004");
        assert!(w.stock_json(MUG, None, Role::Fulfiller, None).get("fulfiller").is_none());
    }
}
