//! Outbounds and their shipping notifications: the objects, how they are shown, which changes of
//! status are allowed.

use crate::catalog::Role;
use crate::clock::Clock;
use crate::decimal::Decimal;
use crate::json::{Json, int, obj, overlay};

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Merchant,
    Fulfiller,
    /// The simulated warehouse or the control API: the fulfiller's account, another application.
    House,
}

impl Actor {
    pub(crate) const fn of(role: Role) -> Self {
        match role {
            Role::Merchant => Actor::Merchant,
            Role::Fulfiller => Actor::Fulfiller,
        }
    }

    fn is_user(self, role: Role) -> bool {
        (self == Actor::Merchant) == (role == Role::Merchant)
    }

    fn is_application(self) -> bool {
        self != Actor::House
    }
}

/// A span of time of a change feed, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) inclusive: bool,
}

const NANOS: i64 = 1_000_000;

impl Window {
    pub(crate) fn contains(&self, ms: i64) -> bool {
        let at = ms.saturating_mul(NANOS);
        at >= self.from && (at < self.to || (self.inclusive && at == self.to))
    }

    /// The same span as a range of whole milliseconds; `None` if it is empty.
    pub(crate) fn range(&self) -> Option<std::ops::Range<i64>> {
        let ceiling = |ns: i64| ns.div_euclid(NANOS) + i64::from(ns.rem_euclid(NANOS) != 0);
        let from = ceiling(self.from);
        let to = if self.inclusive { self.to.div_euclid(NANOS) + 1 } else { ceiling(self.to) };
        (from < to).then_some(from..to)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: i64,
    pub(crate) state: &'static str,
    pub(crate) by: Actor,
}

/// `modificationInfo` of an object; inside a feed with the changes of the window.
pub(crate) fn modified(changes: &[Change], window: Option<&Window>, clock: &Clock) -> Json {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Json::Null };
    let one = |c: &Change| obj([("createdAt", clock.text(c.at).into()), ("state", c.state.into())]);
    let inside = window.map(|w| changes.iter().filter(|c| w.contains(c.at)).map(one).collect::<Vec<_>>());
    obj([
        ("createdAt", clock.text(first.at).into()),
        ("updatedAt", clock.text(last.at).into()),
        ("state", last.state.into()),
        ("changesInRange", inside.into()),
    ])
}

/// Whether every change of the window was the caller's own, in the sense of the two flags of a feed.
pub(crate) fn all_own(changes: &[Change], window: &Window, role: Role, application: bool, user: bool) -> bool {
    let own = |c: &Change| (application && c.by.is_application()) || (user && c.by.is_user(role));
    (application || user) && changes.iter().filter(|c| window.contains(c.at)).all(own)
}

/// A line of an order.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) jfsku: Option<String>,
    pub(crate) kind: String,
    pub(crate) quantity: Decimal,
    /// The quantity as the merchant wrote it.
    pub(crate) written: String,
    pub(crate) shipped: Decimal,
    /// Lines without stock of their own are open until the order is through.
    pub(crate) done: bool,
    pub(crate) rest: Vec<(String, Json)>,
}

impl Line {
    /// Whether the line takes goods out of the warehouse.
    pub(crate) fn is_stock(&self) -> bool {
        self.kind == "Product" && self.jfsku.is_some()
    }

    pub(crate) fn open(&self) -> Decimal {
        if self.is_stock() {
            self.quantity.sub(self.shipped).unwrap_or(Decimal::ZERO)
        } else if self.done {
            Decimal::ZERO
        } else {
            self.quantity
        }
    }

    fn json(&self) -> Json {
        let open =
            if self.shipped == Decimal::ZERO && !self.done { self.written.clone() } else { self.open().to_string() };
        let mut row = obj([
            ("outboundItemId", self.id.as_str().into()),
            ("jfsku", self.jfsku.as_deref().into()),
            ("itemType", self.kind.as_str().into()),
            ("quantity", Json::Num(self.written.clone())),
            ("quantityOpen", Json::Num(open)),
        ]);
        if let Json::Obj(members) = &mut row {
            members.extend(self.rest.iter().cloned());
        }
        row
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) warehouse: String,
    pub(crate) status: String,
    /// Everything else that the merchant gave, in the API's words.
    pub(crate) members: Json,
    pub(crate) lines: Vec<Line>,
    pub(crate) cancel: Option<(String, Option<String>)>,
    pub(crate) changes: Vec<Change>,
    /// Every status that was reached, and when.
    pub(crate) history: Vec<(String, i64)>,
    pub(crate) notifications: Vec<usize>,
    pub(crate) overlay: Vec<(String, Option<String>)>,
    pub(crate) deleted: bool,
}

impl Outbound {
    pub(crate) fn updated(&self) -> i64 {
        self.changes.last().map_or(0, |c| c.at)
    }

    pub(crate) fn created(&self) -> i64 {
        self.changes.first().map_or(0, |c| c.at)
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.status == "Canceled"
    }

    /// Whether nothing is reserved for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.deleted || matches!(self.status.as_str(), "Shipped" | "Canceled" | "PartiallyCanceled")
    }

    /// The object as one side sees it.
    pub(crate) fn json(&self, role: Role, partner: &str, window: Option<&Window>, clock: &Clock) -> Json {
        let partner_name = match role {
            Role::Merchant => "fulfillerId",
            Role::Fulfiller => "merchantId",
        };
        let mut row = obj([
            ("outboundId", self.id.as_str().into()),
            (partner_name, partner.into()),
            ("status", self.status.as_str().into()),
            ("priority", int(0)),
            ("merchantOutboundNumber", self.number.as_str().into()),
            ("warehouseId", self.warehouse.as_str().into()),
            ("cancelReasonCode", self.cancel.as_ref().map(|(code, _)| code.as_str()).into()),
            ("cancelReason", self.cancel.as_ref().and_then(|(_, text)| text.as_deref()).into()),
        ]);
        if let Json::Obj(members) = &self.members {
            for (name, value) in members {
                row.set(name, value.clone());
            }
        }
        if row.get("attributes").is_none() {
            row.set("attributes", Json::Arr(Vec::new()));
        }
        row.set("items", self.lines.iter().map(Line::json).collect::<Vec<_>>().into());
        row.set("attachments", Json::Arr(Vec::new()));
        row.set("modificationInfo", modified(&self.changes, window, clock));
        let mut stamps = obj([]);
        for (status, at) in &self.history {
            let mut name = status.clone();
            if let Some(first) = name.get_mut(0..1) {
                first.make_ascii_lowercase();
            }
            // Only the statuses of the document have a time stamp there.
            if crate::schema::STATUSES.contains(&status.as_str()) {
                stamps.set(&name, clock.text(*at).into());
            }
        }
        row.set("statusTimestamp", stamps);
        overlay(&mut row, &self.overlay);
        row
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) id: String,
    pub(crate) outbound: usize,
    pub(crate) outbound_id: String,
    pub(crate) outbound_number: String,
    pub(crate) number: String,
    pub(crate) items: Json,
    pub(crate) packages: Json,
    pub(crate) note: Option<String>,
    pub(crate) status: String,
    pub(crate) changes: Vec<Change>,
    pub(crate) overlay: Vec<(String, Option<String>)>,
}

impl Notification {
    pub(crate) fn json(&self, role: Role, partner: &str, window: Option<&Window>, clock: &Clock) -> Json {
        let (fulfiller, merchant, number) = match role {
            Role::Merchant => (partner.into(), Json::Null, self.outbound_number.as_str().into()),
            Role::Fulfiller => (Json::Null, partner.into(), Json::Null),
        };
        let mut row = obj([
            ("outboundId", self.outbound_id.as_str().into()),
            ("fulfillerId", fulfiller),
            ("merchantId", merchant),
            ("fulfillerShippingNotificationNumber", self.number.as_str().into()),
            ("merchantOutboundNumber", number),
            ("outboundShippingNotificationId", self.id.as_str().into()),
            ("items", self.items.clone()),
            ("packages", self.packages.clone()),
            ("outboundStatus", self.status.as_str().into()),
            ("note", self.note.as_deref().into()),
            ("modificationInfo", modified(&self.changes, window, clock)),
        ]);
        overlay(&mut row, &self.overlay);
        row
    }
}

/// Whether a side may bring an outbound from one status to another.
pub(crate) fn may_change(role: Role, from: &str, to: &str) -> bool {
    match role {
        Role::Merchant => matches!(
            (from, to),
            ("Preparation", "Pending") | ("Preparation" | "Pending" | "Acknowledged" | "Locked", "Canceled")
        ),
        Role::Fulfiller => match to {
            "Acknowledged" => matches!(from, "Pending" | "Locked" | "Pickprocess"),
            "Pickprocess" => matches!(from, "Pending" | "Acknowledged" | "Locked" | "PartiallyShipped"),
            "Locked" => matches!(from, "Pending" | "Acknowledged" | "Pickprocess" | "PartiallyShipped"),
            "Canceled" => matches!(from, "Pending" | "Acknowledged" | "Locked" | "Pickprocess"),
            "PartiallyCanceled" => from == "PartiallyShipped",
            _ => false,
        },
    }
}

/// Whether goods may leave for an outbound in this status.
pub(crate) fn may_ship(status: &str) -> bool {
    matches!(status, "Pending" | "Acknowledged" | "Locked" | "Pickprocess" | "PartiallyShipped")
}

/// Whether the merchant may still edit.
pub(crate) fn may_edit(status: &str) -> bool {
    matches!(status, "Preparation" | "Pending" | "Acknowledged" | "Locked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn window(from: &str, to: &str, inclusive: bool) -> Window {
        let ns = |text| clock::parse(text).unwrap().timestamp_nanos_opt().unwrap();
        Window { from: ns(from), to: ns(to), inclusive }
    }

    fn ms(text: &str) -> i64 {
        clock::parse(text).unwrap().timestamp_millis()
    }

    #[test]
    fn from_belongs_to_the_window_and_to_does_not() {
        let (a, b) = ("2026-01-05T08:00:00.000Z", "2026-01-05T08:00:01.000Z");
        for (inclusive, end) in [(false, false), (true, true)] {
            let w = window(a, b, inclusive);
            assert!(w.contains(ms(a)));
            assert!(!w.contains(ms(a) - 1));
            assert_eq!(w.contains(ms(b)), end);
            assert!(w.contains(ms(b) - 1));
            let range = w.range().unwrap();
            for at in [ms(a) - 1, ms(a), ms(b) - 1, ms(b), ms(b) + 1] {
                assert_eq!(range.contains(&at), w.contains(at));
            }
        }
    }

    #[test]
    fn bounds_between_two_milliseconds() {
        for inclusive in [false, true] {
            let w = window("2026-01-05T08:00:00.0000001Z", "2026-01-05T08:00:00.0020001Z", inclusive);
            let base = ms("2026-01-05T08:00:00Z");
            let range = w.range().unwrap();
            for at in base..base + 4 {
                assert_eq!(range.contains(&at), w.contains(at), "{at}");
            }
            assert!(!w.contains(base) && w.contains(base + 2) && !w.contains(base + 3));
        }
        assert!(window("2026-01-05T08:00:00Z", "2026-01-05T08:00:00Z", false).range().is_none());
        assert!(window("2026-01-05T08:00:00Z", "2026-01-05T08:00:00Z", true).range().is_some());
    }

    #[test]
    fn the_transition_table() {
        let columns = ["Pending", "Acknowledged", "Pickprocess", "Locked", "Canceled", "PartiallyCanceled"];
        let table = [
            ("Preparation", ["M", "-", "-", "-", "M", "-"], false),
            ("Pending", ["-", "F", "F", "F", "MF", "-"], true),
            ("Acknowledged", ["-", "-", "F", "F", "MF", "-"], true),
            ("Locked", ["-", "F", "F", "-", "MF", "-"], true),
            ("Pickprocess", ["-", "F", "-", "F", "F", "-"], true),
            ("PartiallyShipped", ["-", "-", "F", "F", "-", "F"], true),
            ("Shipped", ["-", "-", "-", "-", "-", "-"], false),
            ("Canceled", ["-", "-", "-", "-", "-", "-"], false),
            ("PartiallyCanceled", ["-", "-", "-", "-", "-", "-"], false),
        ];
        for (from, cells, ships) in table {
            assert_eq!(may_ship(from), ships, "ship from {from}");
            for (to, cell) in columns.into_iter().zip(cells) {
                assert_eq!(may_change(Role::Merchant, from, to), cell.contains('M'), "merchant {from} {to}");
                assert_eq!(may_change(Role::Fulfiller, from, to), cell.contains('F'), "fulfiller {from} {to}");
            }
            for to in ["Preparation", "PartiallyShipped", "Shipped"] {
                assert!(!may_change(Role::Merchant, from, to) && !may_change(Role::Fulfiller, from, to));
            }
        }
    }

    #[test]
    fn own_changes() {
        let w = window("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z", false);
        let at = ms("2026-01-05T08:30:00Z");
        let change = |by| Change { at, state: "New", by };
        let mine = [change(Actor::Merchant)];
        let both = [change(Actor::Merchant), change(Actor::House)];
        assert!(!all_own(&mine, &w, Role::Merchant, false, false));
        assert!(all_own(&mine, &w, Role::Merchant, true, false));
        assert!(all_own(&mine, &w, Role::Merchant, false, true));
        assert!(!all_own(&mine, &w, Role::Fulfiller, false, true));
        assert!(!all_own(&both, &w, Role::Merchant, true, true));
    }
}
