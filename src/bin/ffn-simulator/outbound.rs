//! Outbounds and their shipping notifications: the objects, how they are shown, which changes of
//! status are allowed.

use crate::catalog::Role;
use crate::clock::Clock;
use crate::decimal::Decimal;
use crate::json::{Json, int, obj};
use crate::record::{Entity, Record, Window, modified};

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
    pub(crate) notifications: Vec<usize>,
    /// Its documents, without their bytes and addresses.
    pub(crate) attachments: Vec<Json>,
    pub(crate) record: Record,
}

impl Entity for Outbound {
    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

impl Outbound {
    pub(crate) fn is_canceled(&self) -> bool {
        self.status == "Canceled"
    }

    /// Whether nothing is reserved for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.record.deleted || matches!(self.status.as_str(), "Shipped" | "Canceled" | "PartiallyCanceled")
    }

    /// Members of these names; `None` if one of them is not known here.
    pub(crate) fn part(&self, names: &[&str], role: Role, partner: &str, clock: &Clock) -> Option<Json> {
        let value = |name: &str| {
            Some(match name {
                "outboundId" => self.id.as_str().into(),
                "status" => self.status.as_str().into(),
                "merchantOutboundNumber" => self.number.as_str().into(),
                "warehouseId" => self.warehouse.as_str().into(),
                "fulfillerId" if role == Role::Merchant => partner.into(),
                "merchantId" if role == Role::Fulfiller => partner.into(),
                "items" => self.lines.iter().map(Line::json).collect::<Vec<_>>().into(),
                "modificationInfo" => modified(&self.record.changes, None, clock),
                "statusTimestamp" => self.stamps(clock),
                "externalNumber" | "premiumType" | "shippingAddress" | "senderAddress" => {
                    self.members.get(name).cloned().into()
                }
                _ => return None,
            })
        };
        let members = names.iter().map(|name| Some(((*name).to_owned(), value(name)?)));
        let members = members.collect::<Option<Vec<_>>>()?;
        Some(Json::Obj(members.into_iter().filter(|(_, value)| *value != Json::Null).collect()))
    }

    /// When which status was reached.
    fn stamps(&self, clock: &Clock) -> Json {
        let mut stamps = obj([]);
        for (status, at) in &self.record.history {
            let mut name = status.clone();
            if let Some(first) = name.get_mut(0..1) {
                first.make_ascii_lowercase();
            }
            // Only the statuses of the document have a time stamp there.
            if crate::schema::STATUSES.contains(&status.as_str()) {
                stamps.set(&name, clock.text(*at).into());
            }
        }
        stamps
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
        row.set("attachments", self.attachments.clone().into());
        row.set("modificationInfo", modified(&self.record.changes, window, clock));
        row.set("statusTimestamp", self.stamps(clock));
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
    pub(crate) record: Record,
}

impl Entity for Notification {
    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

impl Notification {
    pub(crate) fn json(&self, role: Role, partner: &str, window: Option<&Window>, clock: &Clock) -> Json {
        let (fulfiller, merchant, number) = match role {
            Role::Merchant => (partner.into(), Json::Null, self.outbound_number.as_str().into()),
            Role::Fulfiller => (Json::Null, partner.into(), Json::Null),
        };
        obj([
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
            ("modificationInfo", modified(&self.record.changes, window, clock)),
        ])
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
}
