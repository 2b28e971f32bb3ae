//! The kinds of entities that events are about, as a table: what names them, which statuses they have, and
//! what their events are called (interface, "Events"; contract 10 to 15).

use super::feed::FeedName;

/// A kind of entity.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// Second word of the routing key and of an event's type.
    pub name: &'static str,
    /// What it is called in a sentence, with its article.
    pub phrase: &'static str,
    /// The member that holds FFN's id; an event's subject.
    pub id: &'static str,
    /// Further members that name it, its natural key among them. They stand in every event's data.
    pub keys: &'static [&'static str],
    /// The event of its coming into being.
    pub created: &'static str,
    /// The event of its end; `None` if the end is told as `updated`.
    pub deleted: Option<&'static str>,
    /// How its statuses are told, if it has any.
    pub statuses: Option<Statuses>,
}

/// The statuses of a kind of entity.
#[derive(Debug, PartialEq, Eq)]
pub struct Statuses {
    /// The member that holds the status.
    pub member: &'static str,
    /// FFN's statuses that have an event of their own, with its name. Others become words of their own.
    pub events: &'static [(&'static str, &'static str)],
    /// The status that a new entity has where nothing tells it.
    pub initial: &'static str,
    /// A status that has no event of its own: as the first one the creation has told it, later it is told as `updated`.
    pub silent: Option<&'static str>,
    /// The statuses that nothing follows: an entity in any other is open.
    pub closed: &'static [&'static str],
}

impl Resource {
    /// The kind of entity that a feed tells of.
    pub fn of(feed: FeedName) -> &'static Self {
        match feed {
            FeedName::Outbounds => &OUTBOUND,
            FeedName::OutboundShipments => &SHIPMENT,
            FeedName::Inbounds => &INBOUND,
            FeedName::InboundShipments => &INBOUND_SHIPMENT,
            FeedName::Returns => &RETURN,
            FeedName::Stocks => &STOCK,
            FeedName::Products => &PRODUCT,
            FeedName::Warehouses => &WAREHOUSE,
            FeedName::ShippingMethods => &SHIPPING_METHOD,
            FeedName::Fulfillers => &FULFILLER,
            FeedName::Merchants => &MERCHANT,
            FeedName::Authorizations => &AUTHORIZATION,
        }
    }

    /// The names of its events that are known beforehand, each once.
    pub fn events(&self) -> Vec<&'static str> {
        if std::ptr::eq(self, &STOCK) {
            return vec!["changed", "gap"];
        }
        let mut events = vec![self.created];
        let statuses = self.statuses.iter().flat_map(|statuses| statuses.events).map(|(_, event)| *event);
        for event in statuses.chain(["updated"]).chain(self.deleted) {
            if !events.contains(&event) {
                events.push(event);
            }
        }
        events
    }

    /// The members that name it, and not what it belongs to: its id, and the numbers that its makers gave it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let owners = [&OUTBOUND, &INBOUND].into_iter().filter(|owner| owner.name != self.name);
        let owners: Vec<&str> =
            owners.flat_map(|owner| std::iter::once(&owner.id).chain(owner.keys)).copied().collect();
        std::iter::once(&self.id).chain(self.keys).copied().filter(move |member| !owners.contains(member))
    }

    /// The event of reaching a status, if that has one of its own.
    pub fn event_of(&self, status: &str) -> Option<&'static str> {
        let mut known = self.statuses.iter().flat_map(|statuses| statuses.events);
        known.find(|(name, _)| *name == status).map(|(_, event)| *event)
    }

    /// Every kind, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        FeedName::ALL.into_iter().map(Self::of)
    }
}

/// Orders to ship (contract 10).
pub const OUTBOUND: Resource = Resource {
    name: "outbound",
    phrase: "an order",
    id: "outboundId",
    keys: &["merchantOutboundNumber"],
    created: "created",
    deleted: Some("deleted"),
    statuses: Some(Statuses {
        member: "status",
        events: &[
            ("Pending", "pending"),
            ("Acknowledged", "acknowledged"),
            ("Pickprocess", "pickprocess"),
            ("Locked", "locked"),
            ("PartiallyShipped", "partially-shipped"),
            ("Shipped", "shipped"),
            ("PartiallyCanceled", "partially-canceled"),
            ("Canceled", "canceled"),
        ],
        initial: "Pending",
        silent: Some("Preparation"),
        closed: &["Shipped", "PartiallyCanceled", "Canceled"],
    }),
};

/// Parcels that left, one per shipping notification (contract 10.9).
pub const SHIPMENT: Resource = Resource {
    name: "shipment",
    phrase: "a shipping notification",
    id: "outboundShippingNotificationId",
    keys: &["outboundId", "merchantOutboundNumber", "fulfillerShippingNotificationNumber"],
    created: "dispatched",
    deleted: None,
    statuses: None,
};

/// Announced deliveries (contract 11).
pub const INBOUND: Resource = Resource {
    name: "inbound",
    phrase: "an announced delivery",
    id: "inboundId",
    keys: &["merchantInboundNumber"],
    created: "created",
    deleted: Some("deleted"),
    statuses: Some(Statuses {
        member: "status",
        events: &[
            ("Pending", "pending"),
            ("PartiallyReceipted", "partially-receipted"),
            ("Receipted", "receipted"),
            ("Closed", "closed"),
        ],
        initial: "Pending",
        silent: Some("Preparation"),
        closed: &["Closed"],
    }),
};

/// Shipping notifications of announced deliveries (contract 11).
pub const INBOUND_SHIPMENT: Resource = Resource {
    name: "inbound-shipment",
    phrase: "a shipping notification of an announced delivery",
    id: "inboundShippingNotificationId",
    keys: &["inboundId", "merchantInboundNumber", "merchantShippingNotificationNumber"],
    created: "announced",
    deleted: None,
    statuses: None,
};

/// Returns (contract 12). They have no event of their creation but that of their first state.
pub const RETURN: Resource = Resource {
    name: "return",
    phrase: "a return",
    id: "returnId",
    keys: &["merchantReturnNumber", "fulfillerReturnNumber"],
    created: "announced",
    deleted: Some("deleted"),
    statuses: Some(Statuses {
        member: "state",
        events: &[("Announced", "announced"), ("Arrived", "arrived"), ("Completed", "completed")],
        initial: "Announced",
        silent: None,
        closed: &["Completed"],
    }),
};

/// Entries of the stock ledger (contract 14): no entities, each is told once.
pub const STOCK: Resource = Resource {
    name: "stock",
    phrase: "a stock",
    id: "jfsku",
    keys: &["merchantSku", "warehouseId"],
    created: "changed",
    deleted: None,
    statuses: None,
};

/// Products (contract 13).
pub const PRODUCT: Resource = plain("product", "a product", "jfsku", &["merchantSku"]);

/// Warehouses (contract 15).
pub const WAREHOUSE: Resource = plain("warehouse", "a warehouse", "warehouseId", &["name"]);

/// Shipping methods (contract 15).
pub const SHIPPING_METHOD: Resource =
    plain("shipping-method", "a shipping method", "shippingMethodId", &["name", "fulfillerShippingMethodNumber"]);

/// A merchant's partners (contract 15).
pub const FULFILLER: Resource = plain("fulfiller", "a fulfiller", "userId", &[]);

/// A fulfiller's partners (contract 15).
pub const MERCHANT: Resource = plain("merchant", "a merchant", "userId", &[]);

/// What a fulfiller has granted to a merchant (contract 15).
pub const AUTHORIZATION: Resource = plain("authorization", "a grant", "merchantId", &[]);

/// A kind of entity that is made, changed and deleted, and has no status.
const fn plain(name: &'static str, phrase: &'static str, id: &'static str, keys: &'static [&'static str]) -> Resource {
    Resource { name, phrase, id, keys, created: "created", deleted: Some("deleted"), statuses: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_another_is_not_named_by_that() {
        let names = |resource: &Resource| resource.names().collect::<Vec<_>>();
        assert_eq!(names(&OUTBOUND), ["outboundId", "merchantOutboundNumber"]);
        assert_eq!(names(&SHIPMENT), ["outboundShippingNotificationId", "fulfillerShippingNotificationNumber"]);
        assert_eq!(names(&INBOUND_SHIPMENT), ["inboundShippingNotificationId", "merchantShippingNotificationNumber"]);
    }

    #[test]
    fn events_are_those_of_the_interface() {
        let events: Vec<String> =
            Resource::all().map(|resource| format!("{} {}", resource.name, resource.events().join(" "))).collect();
        assert_eq!(
            events,
            [
                "outbound created pending acknowledged pickprocess locked partially-shipped shipped \
                 partially-canceled canceled updated deleted",
                "shipment dispatched updated",
                "inbound created pending partially-receipted receipted closed updated deleted",
                "inbound-shipment announced updated",
                "return announced arrived completed updated deleted",
                "stock changed gap",
                "product created updated deleted",
                "warehouse created updated deleted",
                "shipping-method created updated deleted",
                "fulfiller created updated deleted",
                "merchant created updated deleted",
                "authorization created updated deleted",
            ]
        );
    }
}
