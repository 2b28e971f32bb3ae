//! What becomes of one entity: commands in phases. Those of a phase are sent at once, all by one account; the next
//! phase begins when they have ended. A phase can use what FFN answered before.

use serde_json::{Value, json};

use crate::operations::cases::{EXPRESS, MAIN, MUG, NOON, PDF, PNG, SIDE, STANDARD};
use crate::operations::cases::{new_credential, new_inbound, new_method, new_product, new_warehouse};
use crate::support::order;

/// A command of a script.
#[derive(Debug, Clone)]
pub struct Step {
    pub account: &'static str,
    pub name: &'static str,
    pub body: Value,
    /// For each effect that it has: what its row in the simulator's record shows of it.
    pub marks: Vec<String>,
    /// Whether FFN shows what would tell whether it was done.
    pub can_be_known: bool,
}

impl Step {
    /// Its row has this key.
    fn marked(self, key: &str) -> Self {
        self.shown(&format!("{key:?}"))
    }

    /// Its row has this text.
    fn shown(mut self, text: &str) -> Self {
        self.marks = vec![text.to_owned()];
        self
    }

    fn read(mut self) -> Self {
        self.marks.clear();
        self
    }

    fn unknowable(mut self) -> Self {
        self.can_be_known = false;
        self
    }
}

/// What a script knows of its entity.
#[derive(Debug, Default)]
pub struct Subject {
    /// In all of its numbers.
    pub tag: String,
    /// An id of the merchant's own making for an order.
    pub own: String,
    /// What FFN answered, command by command.
    pub answers: Vec<Value>,
}

/// The commands of a phase; none after the last.
pub type Script = fn(&Subject, usize) -> Vec<Step>;

/// Each script as often as it shall come among the others.
pub const SCRIPTS: &[(usize, Script)] = &[
    (5, shipped),
    (3, canceled),
    (1, refused),
    (2, several),
    (3, delivered),
    (2, called_off),
    (3, returned),
    (2, announced_by_the_warehouse),
    (3, product),
    (2, withdrawn),
    (1, related),
    (2, method),
    (2, credential),
    (4, booked),
];

/// Those with a command of which FFN shows nothing that would tell.
pub const UNKNOWABLE: &[Script] = &[labelled, split, place];

fn acme(name: &'static str, body: Value) -> Step {
    Step { account: "acme", name, body, marks: vec![String::new()], can_be_known: true }
}

fn ware(name: &'static str, body: Value) -> Step {
    Step { account: "ware", ..acme(name, body) }
}

impl Subject {
    /// A number with the tag in it.
    fn number(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    fn answered(&self, nth: usize, member: &str) -> Value {
        self.answers[nth][member].clone()
    }

    /// An order under the tag as its number, with the id of the merchant's own.
    fn order(&self) -> Step {
        let mut body = order(&self.tag);
        body["outboundId"] = json!(self.own);
        acme("outbound.create", body).marked(&self.tag)
    }

    fn shipment(&self, number: &str) -> Step {
        let number = self.number(number);
        let body = json!({
            "outboundId": self.own, "fulfillerShippingNotificationNumber": number,
            "items": [{"jfsku": MUG, "quantity": 1}],
            "packages": [{"shippingMethodId": STANDARD, "shippingDate": NOON}],
        });
        ware("shipment.create", body).marked(&number)
    }

    fn document(&self, name: &str) -> Value {
        json!({"outboundId": self.own, "merchantDocumentId": self.number(name)})
    }
}

/// A document of the merchant's for his order.
fn upload(mut document: Value) -> Step {
    let id = document["merchantDocumentId"].as_str().unwrap().to_owned();
    document["documentType"] = json!("Invoice");
    document["data"] = json!(PDF);
    acme("attachment.create", document).marked(&id)
}

fn status(account: fn(&'static str, Value) -> Step, id: &str, to: &str) -> Step {
    account("outbound.change-status", json!({"outboundId": id, "status": to})).shown(&format!("is {to}"))
}

fn shipped(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => vec![
            it.order(),
            acme("outbound.update", json!({"outboundId": it.own, "externalNumber": it.tag})),
            upload(it.document("invoice")),
            acme("outbound.update", json!({"outboundId": it.tag, "internalNote": it.tag, "orderValue": 1.10})),
            upload(it.document("note")),
            acme("attachment.delete", it.document("invoice")).marked(&it.number("invoice")),
            acme("outbound.get", json!({"outboundId": it.tag})).read(),
        ],
        1 => vec![
            ware("outbound.change-warehouse", json!({"outboundId": it.own, "warehouseId": SIDE})).shown(SIDE),
            status(ware, &it.own, "Acknowledged"),
            status(ware, &it.own, "Pickprocess"),
            it.shipment("s1"),
            it.shipment("s2"),
            ware("shipments.list", json!({"outboundId": it.own})).read(),
        ],
        _ => Vec::new(),
    }
}

/// Canceled, and made again under the same number.
fn canceled(it: &Subject, phase: usize) -> Vec<Step> {
    let mut prepared = it.order();
    prepared.body["status"] = json!("Preparation");
    match phase {
        0 => vec![
            prepared,
            acme("outbound.update", json!({"outboundId": it.tag, "internalNote": "first"})),
            status(acme, &it.own, "Pending"),
            acme("outbound.cancel", json!({"outboundId": it.own, "cancelReason": "changed their mind"}))
                .shown("is Canceled"),
            acme("outbound.create", order(&it.tag)).marked(&it.tag),
            acme("outbound.update", json!({"outboundId": it.tag, "externalNumber": "second"})),
        ],
        _ => Vec::new(),
    }
}

fn refused(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => vec![it.order()],
        1 => vec![
            status(ware, &it.own, "Locked"),
            ware("outbound.cancel", json!({"outboundId": it.own})).shown("is Canceled"),
        ],
        _ => Vec::new(),
    }
}

/// Two orders that get their statuses with one command.
fn several(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => {
            let other = it.number("other");
            vec![it.order(), acme("outbound.create", order(&other)).marked(&other)]
        }
        1 => {
            let other = it.answered(1, "outboundId");
            let items = json!([
                {"outboundId": it.own, "status": "Acknowledged"}, {"outboundId": other, "status": "Pickprocess"}
            ]);
            let mut step = ware("outbounds.change-status", json!({"items": items}));
            step.marks = vec!["is Acknowledged".to_owned(), "is Pickprocess".to_owned()];
            vec![step]
        }
        _ => Vec::new(),
    }
}

fn announcement(it: &Subject, name: &str) -> Step {
    let number = it.number(name);
    let body = json!({"inboundId": it.tag, "merchantShippingNotificationNumber": number,
        "items": [{"merchantSku": "MUG-BLUE", "quantity": 7, "packageId": 0}],
        "packages": [{"shippingDate": NOON, "carrierName": "DHL"}]});
    acme("inbound-shipment.create", body).marked(&number)
}

fn delivered(it: &Subject, phase: usize) -> Vec<Step> {
    let goods =
        |quantity: u32| json!({"jfsku": MUG, "warehouseId": MAIN, "quantity": quantity, "fulfillerTimestamp": NOON});
    let late = json!({"inboundId": it.tag, "shippingNotificationId": it.number("a"), "note": "late"});
    match phase {
        0 => vec![
            acme("inbound.create", new_inbound(&it.tag)).marked(&it.tag),
            acme("inbound.update", json!({"inboundId": it.tag, "note": it.tag})),
            announcement(it, "a"),
            acme("inbound-shipment.update", late),
        ],
        1 => {
            let mut one = goods(2);
            one["inboundId"] = it.answered(0, "inboundId");
            let mut other = one.clone();
            other["fulfillerStockChangeId"] = json!(it.number("own"));
            let mut bulk = ware(
                "inbound.receive-bulk",
                json!({"inboundId": it.answered(0, "inboundId"), "items": [goods(1), goods(2)]}),
            );
            bulk.marks = vec![String::new(); 2];
            let close = ware("inbound.close", json!({"inboundId": it.answered(0, "inboundId")}));
            vec![ware("inbound.receive", one), ware("inbound.receive", other).marked(&it.number("own")), bulk, close]
        }
        _ => Vec::new(),
    }
}

fn called_off(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => vec![
            acme("inbound.create", new_inbound(&it.tag)).marked(&it.tag),
            announcement(it, "a"),
            announcement(it, "b"),
            acme("inbound-shipment.delete", json!({"inboundId": it.tag, "shippingNotificationId": it.number("a")}))
                .shown("deleted"),
            acme("inbound.close", json!({"inboundId": it.tag})),
        ],
        _ => Vec::new(),
    }
}

/// A return of three pieces, whose item has an id of its maker's own.
fn goods_back(it: &Subject) -> Value {
    json!({"warehouseId": MAIN, "customerAddress": order("")["shippingAddress"],
        "items": [{"returnItemId": it.number("1"), "jfsku": MUG, "quantity": 3}]})
}

fn returned(it: &Subject, phase: usize) -> Vec<Step> {
    let id = || it.answered(0, "returnId");
    let item = it.number("1");
    match phase {
        0 => {
            let mut body = goods_back(it);
            body["merchantReturnNumber"] = json!(it.tag);
            vec![acme("return.create", body).marked(&it.tag)]
        }
        1 => vec![
            acme("return.update", json!({"returnId": id(), "internalNote": it.tag})),
            acme("return.lock", json!({"returnId": id()})),
            acme(
                "return-item.create",
                json!({"returnId": id(), "returnItemId": it.number("9"), "jfsku": MUG, "quantity": 9}),
            ),
            acme("return-item.update", json!({"returnId": id(), "returnItemId": item, "reasonNote": it.tag})),
            acme("return-item.update", json!({"returnId": id(), "returnItemId": item, "reason": "ArrivedTooLate"})),
            acme("return.unlock", json!({"returnId": id()})),
        ],
        2 => {
            let arrived = json!({"returnId": id(), "returnItemId": item, "state": "Arrived", "condition": "Default"});
            let booked = json!({"returnId": id(), "returnItemId": item, "warehouseId": MAIN, "quantity": 3,
                "fulfillerTimestamp": NOON});
            vec![ware("return-item.update", arrived), ware("return-item.receive", booked).shown("booked")]
        }
        _ => Vec::new(),
    }
}

fn announced_by_the_warehouse(it: &Subject, phase: usize) -> Vec<Step> {
    let id = || it.answered(0, "returnId");
    match phase {
        0 => {
            let mut body = goods_back(it);
            body["fulfillerReturnNumber"] = json!(it.tag);
            body["merchantId"] = json!("ACME");
            vec![ware("return.create", body).marked(&it.tag)]
        }
        1 => {
            let more = json!({"returnId": id(), "returnItemId": it.number("9"), "jfsku": MUG, "quantity": 9});
            vec![
                ware("return-item.create", more),
                ware("return-item.delete", json!({"returnId": id(), "returnItemId": it.number("1")})),
                ware("return.delete", json!({"returnId": id()})).shown("deleted"),
            ]
        }
        _ => Vec::new(),
    }
}

fn product(it: &Subject, phase: usize) -> Vec<Step> {
    let id = || it.answered(0, "jfsku");
    match phase {
        0 => vec![acme("product.create", new_product(&it.tag)).marked(&it.tag)],
        1 => vec![
            acme("product.update", json!({"jfsku": id(), "note": it.tag})),
            acme("picture.create", json!({"jfsku": id(), "number": 4, "data": PNG})),
            acme("picture.create", json!({"jfsku": id(), "number": 5, "data": PNG})),
            acme("picture.delete", json!({"jfsku": id(), "number": 4})),
            acme("product.share", json!({"jfsku": id(), "fulfillerId": "WARE"})),
        ],
        2 => vec![ware("related-product.create", json!({"jfsku": id(), "condition": "Used"}))],
        3 => vec![
            acme("product.update", json!({"jfsku": id(), "weight": 0.40})),
            acme("product.get", json!({"jfsku": id()})).read(),
        ],
        _ => Vec::new(),
    }
}

fn withdrawn(it: &Subject, phase: usize) -> Vec<Step> {
    let id = || it.answered(0, "jfsku");
    let share = || json!({"jfsku": id(), "fulfillerId": "WARE"});
    match phase {
        0 => vec![acme("product.create", new_product(&it.tag)).marked(&it.tag)],
        1 => vec![
            acme("product.share", share()),
            acme("product.unshare", share()),
            acme("product.update", json!({"jfsku": id(), "note": "gone"})),
            acme("product.delete", json!({"jfsku": id()})),
        ],
        _ => Vec::new(),
    }
}

fn related(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => {
            let used = it.number("used");
            let mut other = new_product(&used);
            other["condition"] = json!("Used");
            vec![
                acme("product.create", new_product(&it.tag)).marked(&it.tag),
                acme("product.create", other).marked(&used),
            ]
        }
        1 => {
            let (id, other) = (it.answered(0, "jfsku"), it.answered(1, "jfsku"));
            vec![
                acme("product.share", json!({"jfsku": id, "fulfillerId": "WARE"})),
                acme("related-product.create", json!({"jfsku": id, "relatedJfsku": other})),
            ]
        }
        _ => Vec::new(),
    }
}

fn method(it: &Subject, phase: usize) -> Vec<Step> {
    let id = || it.answered(0, "shippingMethodId");
    match phase {
        0 => vec![ware("shipping-method.create", new_method(&it.tag)).marked(&it.tag)],
        1 => vec![
            ware("shipping-method.update", json!({"shippingMethodId": id(), "note": it.tag})),
            ware("shipping-method.update", json!({"shippingMethodId": id(), "cutoffTime": "17:00"})),
            ware("shipping-method.delete", json!({"shippingMethodId": id()})),
        ],
        _ => Vec::new(),
    }
}

fn place(it: &Subject, phase: usize) -> Vec<Step> {
    let id = || it.answered(0, "warehouseId");
    let express = || json!({"merchantId": "ACME", "warehouseId": id(), "shippingMethodId": EXPRESS});
    match phase {
        0 => vec![ware("warehouse.create", new_warehouse(&it.tag)).marked(&it.tag).unknowable()],
        1 => {
            let grant =
                json!({"merchantId": "ACME", "warehouseId": id(), "shippingMethods": [{"shippingMethodId": STANDARD}]});
            vec![
                ware("warehouse.update", json!({"warehouseId": id(), "name": it.number("anew")})),
                ware("authorization.grant-warehouse", grant),
                ware("authorization.grant-shipping-method", express()),
                ware("authorization.revoke-shipping-method", express()),
                ware("authorization.revoke-warehouse", json!({"merchantId": "ACME", "warehouseId": id()})),
                ware("warehouse.delete", json!({"warehouseId": id()})),
            ]
        }
        _ => Vec::new(),
    }
}

fn credential(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => vec![acme("credential.create", new_credential(&it.tag)).marked(&it.tag)],
        1 => vec![acme("credential.delete", json!({"credentialId": it.answered(0, "credentialId")}))],
        _ => Vec::new(),
    }
}

/// Corrections of stock, with ids of the publisher's own and of the bridge's.
fn booked(it: &Subject, phase: usize) -> Vec<Step> {
    let adjust = |quantity: i32| json!({"jfsku": MUG, "warehouseId": MAIN, "quantity": quantity, "fulfillerTimestamp": NOON, "note": it.tag});
    let own = |quantity: i32, name: &str| {
        let mut body = adjust(quantity);
        body["fulfillerStockChangeId"] = json!(it.number(name));
        ware("stock.adjust", body).marked(&it.number(name))
    };
    match phase {
        0 => vec![own(5, "a"), ware("stock.adjust", adjust(-2)), own(1, "b"), ware("stock.adjust", adjust(-4))],
        _ => Vec::new(),
    }
}

fn labelled(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => {
            let mut prime = it.order();
            prime.body["premiumType"] = json!("AmazonSellerFulfilledPrime");
            prime.body["shippingLabelProviderData"] =
                json!({"amazonSfpShippingLabelProviderData": {"sellerId": it.tag}});
            vec![acme("credential.create", new_credential(&it.tag)).marked(&it.tag), prime]
        }
        1 => {
            let label = json!({"outboundId": it.own, "amazonSfpShippingLabelData": {
                "carrierWillPickUp": true, "insurance": false, "useWarehouseAddressForSenderAddress": false,
                "deliveryExperience": "NoTracking", "weight": 1.5,
                "dimensions": {"width": 0.2, "length": 0.3, "height": 0.1}
            }});
            vec![ware("shipping-label.create", label).unknowable()]
        }
        _ => Vec::new(),
    }
}

fn split(it: &Subject, phase: usize) -> Vec<Step> {
    match phase {
        0 => {
            let mut body = goods_back(it);
            body["merchantReturnNumber"] = json!(it.tag);
            vec![acme("return.create", body).marked(&it.tag)]
        }
        1 => {
            let body = json!({"returnId": it.answered(0, "returnId"), "returnItemId": it.number("1"), "quantity": 2});
            vec![acme("return-item.split", body).unknowable()]
        }
        _ => Vec::new(),
    }
}
