//! The people in the warehouse: they move outbounds on, by themselves or when told to.

use serde::Deserialize;

use crate::decimal::Decimal;
use crate::json::{Json, int, obj};
use crate::outbound::{Outbound, may_change, may_ship};
use crate::record::Actor;
use crate::things::Kind;
use crate::world::{Picks, Shipment, World};

/// Real milliseconds of one step at speed 1.
const STEP_MS: f64 = 60_000.0;

/// What `advance` may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Advance {
    pub(crate) to: Option<String>,
    pub(crate) steps: Option<u32>,
    pub(crate) partial: bool,
    /// Returned goods can not be sold again.
    pub(crate) blocked: bool,
    pub(crate) gap_ms: u32,
}

enum Step {
    Set(String),
    Ship { partial: bool },
}

impl World {
    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn dice(&self, kind: Kind, n: usize, purpose: u64) -> fastrand::Rng {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        let purpose = match kind {
            Kind::Outbounds => purpose,
            Kind::Inbounds => purpose.wrapping_add(1_000_000),
            _ => purpose.wrapping_add(2_000_000),
        };
        fastrand::Rng::with_seed(self.seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.rotate_left(40))
    }

    /// Plans the next step of an object, if the warehouse works by itself.
    pub(crate) fn plan(&mut self, kind: Kind, n: usize) {
        let done = match kind {
            Kind::Outbounds => {
                let Some(o) = self.outbounds.get(n) else { return };
                o.status == "Preparation" || o.is_over()
            }
            _ => {
                let Ok(thing) = self.thing(kind, n) else { return };
                thing.record.deleted || matches!(thing.status(kind), "Preparation" | "Closed" | "Completed")
            }
        };
        if self.flags.speed <= 0.0 || done {
            return;
        }
        let history = self.shelf(kind).record(n).map_or(0, |r| r.history.len());
        let step = u64::try_from(history).unwrap_or(u64::MAX);
        let jitter = 0.6 + 0.8 * self.dice(kind, n, step).f64();
        let wait = std::time::Duration::try_from_secs_f64(STEP_MS / self.flags.speed * jitter / 1000.0);
        let wait = wait.map_or(u64::MAX, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        self.due.insert((self.elapsed().saturating_add(wait), kind, n));
    }

    /// Does what is due. A limited number of steps at a time, so that requests get their turn.
    pub(crate) fn work(&mut self) {
        let now = self.elapsed();
        for _ in 0..500 {
            match self.due.first().copied() {
                Some((at, kind, n)) if at <= now => {
                    self.due.pop_first();
                    self.writes = self.writes.wrapping_add(1);
                    let goes_on = match kind {
                        Kind::Outbounds => self.own_step(n),
                        _ => self.step_of(kind, n),
                    };
                    if goes_on {
                        self.plan(kind, n);
                    }
                }
                _ => break,
            }
        }
    }

    /// A step of an inbound or a return; what was made up is followed by another one at its end.
    fn step_of(&mut self, kind: Kind, n: usize) -> bool {
        let lucky = |of: u8| self.flags.variety && self.dice(kind, n, 103).u8(..100) < of;
        let Ok(thing) = self.thing(kind, n) else { return false };
        if thing.record.deleted {
            return false;
        }
        let made_up = thing.number.strip_prefix("OWN-").and_then(|number| number.parse::<usize>().ok());
        let first = thing.record.history.len() == 1;
        let reached = match kind {
            Kind::Inbounds => {
                let partial = first && lucky(40);
                self.inbound_step(n, partial)
            }
            _ => {
                let blocked = lucky(20);
                self.return_step(n, blocked)
            }
        };
        if let (Some(number), Ok("Closed" | "Completed")) = (made_up, reached.as_deref()) {
            let next = number.saturating_add(self.flags.own_objects);
            let name = format!("OWN-{next:06}");
            match kind {
                Kind::Inbounds => self.make_inbound(&name, next),
                _ => self.make_return(&name, next),
            };
        }
        reached.is_ok()
    }

    fn own_step(&mut self, n: usize) -> bool {
        let Some(o) = self.outbounds.get(n) else { return false };
        if o.is_over() {
            return false;
        }
        let step = match o.status.as_str() {
            "Pending" => Step::Set("Acknowledged".to_owned()),
            "Acknowledged"
                if self.flags.variety
                    && self.dice(Kind::Outbounds, n, 101).u8(..100) < 15
                    && !was(&o.record.history, "Locked") =>
            {
                Step::Set("Locked".to_owned())
            }
            "Acknowledged" | "Locked" => Step::Set("Pickprocess".to_owned()),
            "Pickprocess"
                if self.flags.variety
                    && self.dice(Kind::Outbounds, n, 102).u8(..100) < 20
                    && can_split(o)
                    && !was(&o.record.history, "PartiallyShipped") =>
            {
                Step::Ship { partial: true }
            }
            "Pickprocess" | "PartiallyShipped" => Step::Ship { partial: false },
            // A status that was forced: nobody knows what to do with it.
            _ => return false,
        };
        self.make_step(n, step);
        true
    }

    fn make_step(&mut self, n: usize, step: Step) {
        match step {
            Step::Set(status) if status == "Canceled" || status == "PartiallyCanceled" => {
                self.cancel(n, &status, "None", None, Actor::House);
            }
            Step::Set(status) => {
                self.set_status(n, &status, Actor::House);
            }
            Step::Ship { partial } => self.house_ship(n, partial),
        }
    }

    /// The warehouse ships what is open, or a part of it.
    pub(crate) fn house_ship(&mut self, n: usize, partial: bool) {
        let Some(o) = self.outbounds.get(n) else { return };
        let open: Picks = o
            .lines
            .iter()
            .enumerate()
            .filter(|(_, l)| l.is_stock() && l.open().is_positive())
            .map(|(i, l)| (i, l.open()))
            .collect();
        let picks: Picks = match (partial, open.as_slice()) {
            (true, [(line, quantity)]) => vec![(*line, quantity.half())],
            (true, [first, ..]) => vec![*first],
            _ => open,
        };
        let jfsku = |line: usize| o.lines.get(line).and_then(|l| l.jfsku.as_deref());
        let items: Vec<Json> =
            picks.iter().map(|(line, q)| obj([("jfsku", jfsku(*line).into()), ("quantity", int(q))])).collect();
        let parcels = o.notifications.len();
        let mut dice = self.dice(Kind::Outbounds, n, 200 + u64::try_from(parcels).unwrap_or(0));
        let wanted = o.members.text("shippingMethodId");
        let method =
            wanted.and_then(|id| self.catalog.method(id)).or_else(|| self.catalog.methods.iter().find(|m| m.active));
        let Some(method) = method else { return };
        let at = self.clock.text(self.clock.now());
        let package = |dice: &mut fastrand::Rng| {
            let digits: String = std::iter::repeat_with(|| dice.digit(10)).take(12).collect();
            let id = match method.carrier_code.as_str() {
                "UPS" => format!("1Z999{digits}"),
                _ => format!("00340434{digits}"),
            };
            let identifier = obj([("value", id.as_str().into()), ("identifierType", "TrackingId".into())]);
            obj([
                ("freightOption", "Parcel".into()),
                ("trackingUrl", method.schema.replace("{0}", &id).into()),
                ("identifier", Json::Arr(vec![identifier])),
                ("shippingDate", at.as_str().into()),
                ("shippingMethodId", method.id.as_str().into()),
                ("weight", Json::Num(format!("{}.{:02}", dice.u8(0..5), dice.u8(5..100)))),
            ])
        };
        let count = dice.usize(1..=2);
        let packages: Vec<Json> = (0..count).map(|_| package(&mut dice)).collect();
        let number = format!("DN-{}-{}", o.id, parcels + 1);
        let shipment = Shipment { id: None, number, items, packages: packages.into(), note: None };
        self.ship(n, &picks, shipment, Actor::House);
    }

    /// Moves an outbound on as told; answers the statuses it went through.
    pub(crate) fn advance(&mut self, n: usize, told: &Advance) -> Result<Vec<String>, String> {
        let limit = told.steps.unwrap_or(if told.to.is_some() { 12 } else { 1 });
        let mut partial = told.partial;
        let mut reached = Vec::new();
        for step in 0..limit {
            let Some(o) = self.outbounds.get(n) else { return Err("no such outbound".to_owned()) };
            let from = o.status.clone();
            if told.to.as_deref() == Some(from.as_str()) {
                break;
            }
            let next = match next_step(&from, told.to.as_deref(), partial) {
                Ok(next) => next,
                // A number of steps that leads past the end is no mistake.
                Err(_) if told.to.is_none() && step > 0 => break,
                Err(problem) => return Err(problem),
            };
            if step > 0 {
                self.clock.advance(i64::from(told.gap_ms));
            }
            if let Step::Ship { partial: true } = next {
                let whole =
                    o.lines.iter().filter(|l| l.is_stock()).fold(Decimal::ZERO, |s, l| s.add(l.open()).unwrap_or(s));
                if !whole.is_positive() {
                    return Err("nothing is open that could be shipped in parts".to_owned());
                }
                partial = false;
            }
            self.make_step(n, next);
            reached.extend(self.outbounds.get(n).map(|o| o.status.clone()));
        }
        match &told.to {
            Some(to) if told.steps.is_none() && self.outbounds.get(n).is_none_or(|o| o.status != *to) => {
                Err(format!("{to} was not reached"))
            }
            _ => Ok(reached),
        }
    }
}

/// Whether the order has parts that can be shipped without cutting goods in two.
fn can_split(o: &Outbound) -> bool {
    let mut open = o.lines.iter().filter(|l| l.is_stock() && l.open().is_positive());
    match (open.next(), open.next()) {
        (Some(only), None) => only.open() >= Decimal::whole(2),
        (first, _) => first.is_some(),
    }
}

fn was(history: &[(String, i64)], status: &str) -> bool {
    history.iter().any(|(s, _)| s == status)
}

fn next_step(from: &str, to: Option<&str>, partial: bool) -> Result<Step, String> {
    const CHAIN: [&str; 6] = ["Preparation", "Pending", "Acknowledged", "Pickprocess", "PartiallyShipped", "Shipped"];
    let place = |status: &str| CHAIN.iter().position(|s| *s == status);
    let set = |status: &str| Ok(Step::Set(status.to_owned()));
    let partial = match to {
        Some(to @ ("Canceled" | "Locked" | "PartiallyCanceled")) => {
            let any = |role| may_change(role, from, to);
            if any(crate::catalog::Role::Fulfiller) || any(crate::catalog::Role::Merchant) {
                return set(to);
            }
            if to == "Canceled" {
                return Err(format!("{from} can not become Canceled"));
            }
            true
        }
        Some("PartiallyShipped") => true,
        Some(to) => {
            if place(to).is_none() {
                return Err(format!("{to} is no status to advance to; force it with .../status"));
            }
            if may_change(crate::catalog::Role::Fulfiller, from, to) && place(to) <= place(from) {
                return set(to);
            }
            if from == "Locked" && to == "Acknowledged" {
                return set(to);
            }
            if place(from) > place(to) {
                return Err(format!("{from} does not go back to {to}"));
            }
            partial
        }
        None => partial,
    };
    match from {
        "Preparation" => set("Pending"),
        "Pending" => set("Acknowledged"),
        "Acknowledged" | "Locked" => set("Pickprocess"),
        "Pickprocess" | "PartiallyShipped" if may_ship(from) => Ok(Step::Ship { partial }),
        _ => Err(format!("{from} does not go on")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    fn world() -> World {
        let mut world = World::new(Flags::for_test());
        world.make("A".to_owned(), "Pending").unwrap();
        world
    }

    fn told(text: &str) -> Advance {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_status_has_its_own_time() {
        let mut world = world();
        let reached = world.advance(0, &told(r#"{"to":"Shipped","gap_ms":50}"#)).unwrap();
        assert_eq!(reached, ["Acknowledged", "Pickprocess", "Shipped"]);
        let history = &world.outbounds[0].record.history;
        assert!(history.windows(2).skip(1).all(|w| w[1].1 - w[0].1 >= 50));
        assert_eq!(world.notifications.len(), 1);
        assert!(world.advance(0, &told("{}")).is_err(), "Shipped is the end");
    }

    #[test]
    fn parts_first() {
        let mut world = world();
        let reached = world.advance(0, &told(r#"{"to":"Shipped","partial":true}"#)).unwrap();
        assert_eq!(reached, ["Acknowledged", "Pickprocess", "PartiallyShipped", "Shipped"]);
        assert_eq!(world.notifications.len(), 2);
        let stock = world.ledger.levels("WARE04MAIN-00001-0001", "ACME01A1B2C");
        assert!(stock.reserved.is_zero());
        assert_eq!(stock.level.to_string(), "999999");
    }

    #[test]
    fn side_ways() {
        let mut w = world();
        assert_eq!(w.advance(0, &told(r#"{"to":"Locked"}"#)).unwrap(), ["Locked"]);
        assert_eq!(w.advance(0, &told(r#"{"to":"Acknowledged"}"#)).unwrap(), ["Acknowledged"]);
        assert_eq!(w.advance(0, &told(r#"{"to":"PartiallyCanceled"}"#)).unwrap().last().unwrap(), "PartiallyCanceled");
        assert!(w.ledger.levels("WARE04MAIN-00001-0001", "ACME01A1B2C").reserved.is_zero());
        let mut w = world();
        assert_eq!(w.advance(0, &told(r#"{"to":"Canceled"}"#)).unwrap(), ["Canceled"]);
        assert!(w.advance(0, &told(r#"{"to":"Pending"}"#)).is_err());
        assert!(w.advance(0, &told(r#"{"to":"Weird"}"#)).is_err());
    }
}
