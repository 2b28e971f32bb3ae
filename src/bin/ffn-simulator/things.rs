//! Objects that are kept in the API's own words: what kinds there are, how they change, and how each
//! side sees them.

use std::collections::BTreeSet;

use crate::answer::{Fail, Outcome};
use crate::catalog::Role;
use crate::documents;
use crate::json::{Json, obj, overlay};
use crate::record::{Actor, Change, Entity, Record, Shelf, Store, Window, modified};
use crate::returns;
use crate::switches::Tombstones;
use crate::world::World;

/// Every kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Outbounds,
    Notifications,
    Inbounds,
    InboundNotifications,
    Returns,
    ReturnChanges,
    Products,
    StockChanges,
    Warehouses,
    Methods,
    Fulfillers,
    Merchants,
    Authorizations,
    Attachments,
    Pictures,
    Credentials,
    Labels,
}

/// What is particular about a kind.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Its name in the control API.
    pub(crate) name: &'static str,
    /// Its path in the API.
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    /// The number that the partner chose.
    pub(crate) number: &'static str,
    pub(crate) status: &'static str,
    /// The error for one that is not there, and the key of its metadata.
    pub(crate) missing: (&'static str, &'static str),
    /// Members that may be null: by the path of their object; `*` is every member of a list.
    nulls: &'static [(&'static str, &'static [&'static str])],
}

const ADDRESS: &[&str] = &[
    "salutation",
    "firstname",
    "lastname",
    "company",
    "zip",
    "email",
    "phone",
    "extraLine",
    "extraAddressLine",
    "state",
    "mobile",
    "fax",
];

const PACKAGE: &[&str] = &[
    "estimatedDeliveryDate",
    "note",
    "trackingUrl",
    "carrierCode",
    "carrierName",
    "shipmentCount",
    "dimensions",
    "weight",
];

pub(crate) const KINDS: [Kind; 17] = [
    Kind::Outbounds,
    Kind::Notifications,
    Kind::Inbounds,
    Kind::InboundNotifications,
    Kind::Returns,
    Kind::ReturnChanges,
    Kind::Products,
    Kind::StockChanges,
    Kind::Warehouses,
    Kind::Methods,
    Kind::Fulfillers,
    Kind::Merchants,
    Kind::Authorizations,
    Kind::Attachments,
    Kind::Pictures,
    Kind::Credentials,
    Kind::Labels,
];

impl Kind {
    /// The kind of this name in the control API.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.spec().name == name)
    }

    pub(crate) const fn spec(self) -> &'static Spec {
        match self {
            Kind::Outbounds => &Spec {
                name: "outbounds",
                path: "outbounds",
                id: "outboundId",
                number: "merchantOutboundNumber",
                status: "status",
                missing: ("Outbounds_OutboundNotFound", ""),
                nulls: &[
                    (
                        "",
                        &[
                            "externalNumber",
                            "internalNote",
                            "externalNote",
                            "premiumType",
                            "salesChannel",
                            "desiredDeliveryDate",
                            "shippingMethodId",
                            "shippingType",
                            "senderAddress",
                            "cancelReasonCode",
                            "cancelReason",
                            "shippingFee",
                            "orderValue",
                        ],
                    ),
                    ("shippingAddress", ADDRESS),
                    (
                        "items/*",
                        &[
                            "jfsku",
                            "name",
                            "merchantSku",
                            "externalNumber",
                            "price",
                            "vat",
                            "billOfMaterialsId",
                            "note",
                        ],
                    ),
                    (
                        "statusTimestamp",
                        &[
                            "pending",
                            "preparation",
                            "acknowledged",
                            "locked",
                            "pickprocess",
                            "shipped",
                            "partiallyShipped",
                            "canceled",
                            "partiallyCanceled",
                        ],
                    ),
                ],
            },
            Kind::Notifications => &Spec {
                name: "notifications",
                path: "outbounds/shipping-notifications",
                id: "outboundShippingNotificationId",
                number: "fulfillerShippingNotificationNumber",
                status: "outboundStatus",
                missing: ("Outbounds_OutboundShippingNotificationNotFound", "FulfillerShippingNotificationNumber"),
                nulls: &[
                    ("", &["note"]),
                    ("items/*", &["jfsku", "note", "bestBefore", "batch"]),
                    ("packages/*", PACKAGE),
                ],
            },
            Kind::Inbounds => &Spec {
                name: "inbounds",
                path: "inbounds",
                id: "inboundId",
                number: "merchantInboundNumber",
                status: "status",
                missing: ("Inbounds_InboundNotFound", "MerchantInboundNumber"),
                nulls: &[
                    ("", &["note", "purchaseOrderNumber", "externalInboundNumber", "supplier"]),
                    ("items/*", &["supplierSku", "supplierProductName", "note"]),
                ],
            },
            Kind::InboundNotifications => &Spec {
                name: "inbound-notifications",
                path: "inbounds/shipping-notifications",
                id: "inboundShippingNotificationId",
                number: "merchantShippingNotificationNumber",
                status: "",
                missing: ("Inbounds_InboundShippingNotificationNotFound", "MerchantShippingNotificationNumber"),
                nulls: &[
                    ("", &["note"]),
                    ("items/*", &["note", "packageId", "bestBefore", "batch"]),
                    ("packages/*", PACKAGE),
                ],
            },
            Kind::Returns => &Spec {
                name: "returns",
                path: "returns",
                id: "returnId",
                number: "merchantReturnNumber",
                status: "state",
                missing: ("Returns_ReturnNotFound", "ReturnId"),
                nulls: &[
                    (
                        "",
                        &[
                            "merchantReturnNumber",
                            "fulfillerReturnNumber",
                            "contact",
                            "internalNote",
                            "externalNote",
                            "writeLock",
                        ],
                    ),
                    ("customerAddress", ADDRESS),
                    ("items/*", &["outboundId", "outboundItemId", "reasonNote", "conditionNote"]),
                ],
            },
            Kind::ReturnChanges => &Spec {
                name: "return-changes",
                path: "returns/changes",
                id: "id",
                number: "",
                status: "",
                missing: ("Returns_ReturnNotFound", "ReturnId"),
                nulls: &[],
            },
            Kind::Products => &Spec {
                name: "products",
                path: "products",
                id: "jfsku",
                number: "merchantSku",
                status: "",
                missing: ("Products_ProductNotFound", "Jfsku"),
                nulls: &[
                    (
                        "",
                        &[
                            "productGroup",
                            "originCountry",
                            "manufacturer",
                            "weight",
                            "netWeight",
                            "note",
                            "dimensions",
                            "netRetailPrice",
                            "condition",
                        ],
                    ),
                    ("identifier", &["mpn", "ean", "isbn", "upc", "asin"]),
                    ("specifications", &["unNumber", "hazardIdentifier", "taric", "fnsku"]),
                ],
            },
            Kind::StockChanges => &Spec {
                name: "stock-changes",
                path: "stocks",
                id: "stockChangeId",
                number: "",
                status: "",
                missing: ("", ""),
                nulls: &[(
                    "",
                    &[
                        "fulfillerStockChangeId",
                        "batch",
                        "bestBefore",
                        "outboundItem",
                        "inboundItem",
                        "returnItem",
                        "outboundShippingNotificationItem",
                        "note",
                        "fulfillerTimestamp",
                    ],
                )],
            },
            Kind::Warehouses => &Spec {
                name: "warehouses",
                path: "warehouses",
                id: "warehouseId",
                number: "",
                status: "",
                missing: ("Warehouses_WarehouseNotFound", "WarehouseId"),
                nulls: &[("address", ADDRESS)],
            },
            Kind::Methods => &Spec {
                name: "shippingmethods",
                path: "shippingmethods",
                id: "shippingMethodId",
                number: "fulfillerShippingMethodNumber",
                status: "",
                missing: ("ShippingMethods_ShippingMethodNotFound", "ShippingMethodId"),
                nulls: &[("", &["trackingUrlSchema", "carrierCode", "carrierName", "cutoffTime", "note"])],
            },
            Kind::Fulfillers => &Spec {
                name: "fulfillers",
                path: "fulfillers",
                id: "userId",
                number: "",
                status: "",
                missing: ("Users_UserNotFound", "UserId"),
                nulls: &[("address", ADDRESS)],
            },
            Kind::Merchants => &Spec {
                name: "merchants",
                path: "merchants",
                id: "userId",
                number: "",
                status: "",
                missing: ("Users_UserNotFound", "UserId"),
                nulls: &[("address", ADDRESS)],
            },
            Kind::Authorizations => &Spec {
                name: "authorizations",
                path: "authorizations",
                id: "merchantId",
                number: "",
                status: "",
                missing: ("Authorizations_AuthorizationNotFound", "MerchantId"),
                nulls: &[],
            },
            Kind::Attachments => &Spec {
                name: "attachments",
                path: "outbounds/attachments",
                id: "attachmentId",
                number: "merchantDocumentId",
                status: "",
                missing: ("Outbounds_AttachmentNotFound", "MerchantDocumentId"),
                nulls: &[],
            },
            Kind::Pictures => &Spec {
                name: "pictures",
                path: "products/pictures",
                id: "pictureId",
                number: "picture",
                status: "",
                missing: ("Products_PictureNotFound", "Number"),
                nulls: &[],
            },
            Kind::Credentials => &Spec {
                name: "credentials",
                path: "credentials/amazonsfp",
                id: "credentialId",
                number: "sellerId",
                status: "",
                missing: ("Credentials_CredentialNotFound", "CredentialId"),
                nulls: &[],
            },
            Kind::Labels => &Spec {
                name: "shipping-labels",
                path: "outbounds/shipping-labels",
                id: "shippingLabelId",
                number: "",
                status: "",
                missing: ("Outbounds_OutboundShippingLabelNotFound", "ShippingLableId"),
                nulls: &[],
            },
        }
    }

    /// Whether a change feed tells of them.
    pub(crate) fn has_feed(self, role: Role) -> bool {
        match self {
            Kind::Attachments | Kind::Pictures | Kind::Credentials | Kind::Labels => false,
            Kind::Notifications => role == Role::Merchant,
            _ => self.is_for(role),
        }
    }

    /// Which side sees them.
    pub(crate) fn is_for(self, role: Role) -> bool {
        match self {
            Kind::Fulfillers | Kind::Credentials => role == Role::Merchant,
            Kind::Merchants | Kind::Authorizations | Kind::Labels => role == Role::Fulfiller,
            _ => true,
        }
    }

    pub(crate) fn not_found(self, name: &str) -> Fail {
        let (code, key) = self.spec().missing;
        let fail = Fail::new(404, code, "The object was not found.");
        if key.is_empty() { fail } else { fail.with(key, name) }
    }
}

/// An object in the API's own words.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) id: String,
    pub(crate) number: String,
    /// All members that do not depend on who looks.
    pub(crate) body: Json,
    /// The object that it belongs to.
    pub(crate) parent: Option<usize>,
    /// What each change was about.
    pub(crate) what: Vec<String>,
    pub(crate) record: Record,
}

impl Entity for Thing {
    fn record(&self) -> &Record {
        &self.record
    }

    fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

impl Thing {
    pub(crate) fn status(&self, kind: Kind) -> &str {
        self.body.text(kind.spec().status).unwrap_or_default()
    }
}

/// All stores of such objects.
#[derive(Debug, Default)]
pub(crate) struct Things {
    pub(crate) inbounds: Store<Thing>,
    pub(crate) inbound_notifications: Store<Thing>,
    pub(crate) returns: Store<Thing>,
    pub(crate) return_changes: Store<Thing>,
    pub(crate) products: Store<Thing>,
    pub(crate) warehouses: Store<Thing>,
    pub(crate) methods: Store<Thing>,
    pub(crate) fulfillers: Store<Thing>,
    pub(crate) merchants: Store<Thing>,
    pub(crate) authorizations: Store<Thing>,
    pub(crate) attachments: Store<Thing>,
    pub(crate) pictures: Store<Thing>,
    pub(crate) credentials: Store<Thing>,
    pub(crate) labels: Store<Thing>,
}

impl Things {
    /// `None` for outbounds, their notifications and stock changes, which are kept in another way.
    pub(crate) fn of(&self, kind: Kind) -> Option<&Store<Thing>> {
        Some(match kind {
            Kind::Inbounds => &self.inbounds,
            Kind::InboundNotifications => &self.inbound_notifications,
            Kind::Returns => &self.returns,
            Kind::ReturnChanges => &self.return_changes,
            Kind::Products => &self.products,
            Kind::Warehouses => &self.warehouses,
            Kind::Methods => &self.methods,
            Kind::Fulfillers => &self.fulfillers,
            Kind::Merchants => &self.merchants,
            Kind::Authorizations => &self.authorizations,
            Kind::Attachments => &self.attachments,
            Kind::Pictures => &self.pictures,
            Kind::Credentials => &self.credentials,
            Kind::Labels => &self.labels,
            Kind::Outbounds | Kind::Notifications | Kind::StockChanges => return None,
        })
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> Option<&mut Store<Thing>> {
        Some(match kind {
            Kind::Inbounds => &mut self.inbounds,
            Kind::InboundNotifications => &mut self.inbound_notifications,
            Kind::Returns => &mut self.returns,
            Kind::ReturnChanges => &mut self.return_changes,
            Kind::Products => &mut self.products,
            Kind::Warehouses => &mut self.warehouses,
            Kind::Methods => &mut self.methods,
            Kind::Fulfillers => &mut self.fulfillers,
            Kind::Merchants => &mut self.merchants,
            Kind::Authorizations => &mut self.authorizations,
            Kind::Attachments => &mut self.attachments,
            Kind::Pictures => &mut self.pictures,
            Kind::Credentials => &mut self.credentials,
            Kind::Labels => &mut self.labels,
            Kind::Outbounds | Kind::Notifications | Kind::StockChanges => return None,
        })
    }
}

/// The names of top-level members in which two objects differ.
fn differences(old: &Json, new: &Json) -> String {
    let (Json::Obj(before), Json::Obj(after)) = (old, new) else { return String::new() };
    let names: BTreeSet<&str> = before.iter().chain(after).map(|(name, _)| name.as_str()).collect();
    let changed: Vec<&str> = names.into_iter().filter(|name| old.get(name) != new.get(name)).collect();
    changed.join(",")
}

/// Replaces members of an object; null removes one. Objects inside are merged too.
pub(crate) fn merge(body: &mut Json, members: &Json) {
    let Json::Obj(members) = members else { return };
    for (name, value) in members {
        match (body.get(name).cloned(), value) {
            (_, Json::Null) => body.remove(name),
            (Some(mut inner @ Json::Obj(_)), Json::Obj(_)) => {
                merge(&mut inner, value);
                body.set(name, inner);
            }
            _ => body.set(name, value.clone()),
        }
    }
}

fn add_nulls(row: &mut Json, path: &str, names: &[&str]) {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match row {
        Json::Obj(members) if path.is_empty() => {
            for name in names {
                if !members.iter().any(|(known, _)| known == name) {
                    members.push(((*name).to_owned(), Json::Null));
                }
            }
        }
        Json::Obj(members) => {
            if let Some((_, inner)) = members.iter_mut().find(|(name, _)| name == first) {
                add_nulls(inner, rest, names);
            }
        }
        Json::Arr(values) if first == "*" => values.iter_mut().for_each(|value| add_nulls(value, rest, names)),
        _ => (),
    }
}

/// Puts a member in at the second place.
fn insert(row: &mut Json, name: &str, value: &str) {
    if let Json::Obj(members) = row {
        members.insert(members.len().min(1), (name.to_owned(), value.into()));
    }
}

impl World {
    pub(crate) fn shelf(&self, kind: Kind) -> &dyn Shelf {
        match kind {
            Kind::Outbounds => &self.outbounds,
            Kind::Notifications => &self.notifications,
            Kind::StockChanges => &self.ledger.movements,
            Kind::Inbounds => &self.things.inbounds,
            Kind::InboundNotifications => &self.things.inbound_notifications,
            Kind::Returns => &self.things.returns,
            Kind::ReturnChanges => &self.things.return_changes,
            Kind::Products => &self.things.products,
            Kind::Warehouses => &self.things.warehouses,
            Kind::Methods => &self.things.methods,
            Kind::Fulfillers => &self.things.fulfillers,
            Kind::Merchants => &self.things.merchants,
            Kind::Authorizations => &self.things.authorizations,
            Kind::Attachments => &self.things.attachments,
            Kind::Pictures => &self.things.pictures,
            Kind::Credentials => &self.things.credentials,
            Kind::Labels => &self.things.labels,
        }
    }

    pub(crate) fn shelf_mut(&mut self, kind: Kind) -> &mut dyn Shelf {
        match kind {
            Kind::Outbounds => &mut self.outbounds,
            Kind::Notifications => &mut self.notifications,
            Kind::StockChanges => &mut self.ledger.movements,
            Kind::Inbounds => &mut self.things.inbounds,
            Kind::InboundNotifications => &mut self.things.inbound_notifications,
            Kind::Returns => &mut self.things.returns,
            Kind::ReturnChanges => &mut self.things.return_changes,
            Kind::Products => &mut self.things.products,
            Kind::Warehouses => &mut self.things.warehouses,
            Kind::Methods => &mut self.things.methods,
            Kind::Fulfillers => &mut self.things.fulfillers,
            Kind::Merchants => &mut self.things.merchants,
            Kind::Authorizations => &mut self.things.authorizations,
            Kind::Attachments => &mut self.things.attachments,
            Kind::Pictures => &mut self.things.pictures,
            Kind::Credentials => &mut self.things.credentials,
            Kind::Labels => &mut self.things.labels,
        }
    }

    /// What the control API means by a name: an id, a number, or a place in the ledger.
    pub(crate) fn named(&self, kind: Kind, name: &str) -> Option<usize> {
        match kind {
            Kind::Outbounds => self.any_name(name).or_else(|| self.outbounds.any_name(name)),
            Kind::StockChanges => self.ledger.named(name),
            Kind::ReturnChanges => name.parse().ok().filter(|n| *n < self.things.return_changes.len()),
            _ => self.shelf(kind).named(name),
        }
    }

    pub(crate) fn thing(&self, kind: Kind, n: usize) -> Outcome<&Thing> {
        self.things.of(kind).and_then(|store| store.get(n)).ok_or_else(|| kind.not_found(""))
    }

    /// The object that a path names.
    pub(crate) fn find_thing(&self, kind: Kind, role: Role, name: &str) -> Outcome<usize> {
        let by_number = match kind {
            Kind::Inbounds => role == Role::Merchant,
            Kind::InboundNotifications => true,
            _ => false,
        };
        let store = self.things.of(kind).ok_or_else(|| kind.not_found(name))?;
        let found = store.by_id(name).or_else(|| store.numbered(name).last().filter(|_| by_number));
        found.filter(|n| self.is_shown(kind, *n, role)).ok_or_else(|| kind.not_found(name))
    }

    /// Whether one side gets to see an object at all.
    pub(crate) fn is_shown(&self, kind: Kind, n: usize, role: Role) -> bool {
        match (kind, role) {
            (Kind::Products, Role::Fulfiller) => self.catalog.products.get(n).is_some_and(|p| p.shared),
            (Kind::Warehouses, Role::Merchant) => {
                self.things.warehouses.get(n).is_some_and(|w| self.catalog.grants.contains_key(&w.id))
            }
            (Kind::Methods, Role::Merchant) => {
                self.things.methods.get(n).is_some_and(|m| self.catalog.usable.contains(&m.id))
            }
            _ => kind.is_for(role),
        }
    }

    /// Adds an object.
    pub(crate) fn put(&mut self, kind: Kind, body: Json, parent: Option<usize>, by: Actor) -> usize {
        let at = self.clock.stamp();
        self.put_at(kind, body, parent, by, at)
    }

    /// Adds an object that is that old.
    pub(crate) fn put_at(&mut self, kind: Kind, body: Json, parent: Option<usize>, by: Actor, at: i64) -> usize {
        let spec = kind.spec();
        let id = body.text(spec.id).unwrap_or_default().to_owned();
        let number = body.text(spec.number).unwrap_or_default().to_owned();
        let status = body.text(spec.status).map(str::to_owned);
        if kind == Kind::Returns {
            self.note_return_change(None, Some(&body), &id, at, by);
        }
        let record = Record::new(at, by, status.as_deref());
        let what = vec!["created".to_owned()];
        let thing = Thing { id: id.clone(), number: number.clone(), body, parent, what, record };
        let Some(store) = self.things.of_mut(kind) else { return 0 };
        let number = (!number.is_empty()).then_some(number.as_str());
        let n = store.add(Some(&id), number, thing);
        self.learn(kind, n);
        n
    }

    /// Changes an object and stamps it.
    pub(crate) fn alter(&mut self, kind: Kind, n: usize, by: Actor, change: impl FnOnce(&mut Json)) -> i64 {
        let at = self.clock.stamp();
        self.alter_at(kind, n, by, at, change);
        at
    }

    /// The same with a stamp that other writes share.
    pub(crate) fn alter_at(&mut self, kind: Kind, n: usize, by: Actor, at: i64, change: impl FnOnce(&mut Json)) {
        let spec = kind.spec();
        let Some(store) = self.things.of_mut(kind) else { return };
        let Some(thing) = store.get_mut(n) else { return };
        let old = thing.body.clone();
        change(&mut thing.body);
        let what = differences(&old, &thing.body);
        let id = thing.id.clone();
        let number = thing.body.text(spec.number).unwrap_or_default().to_owned();
        let before = std::mem::replace(&mut thing.number, number.clone());
        let status = thing.body.text(spec.status).map(str::to_owned);
        if let Some(status) = status.filter(|s| old.text(spec.status) != Some(s)) {
            thing.record.history.push((status, at));
        }
        thing.what.push(if what.is_empty() { "touched".to_owned() } else { what });
        store.renumber(n, &before, &number);
        store.touch(n, Change { at, state: "Modified", by });
        if kind == Kind::Returns {
            let new = self.things.returns.get(n).map(|r| r.body.clone());
            self.note_return_change(Some(&old), new.as_ref(), &id, at, by);
        }
        self.learn(kind, n);
    }

    /// Deletes an object: a tombstone in the feed, gone everywhere else.
    pub(crate) fn bury(&mut self, kind: Kind, n: usize, by: Actor) -> i64 {
        let at = self.clock.stamp();
        self.bury_at(kind, n, by, at);
        at
    }

    /// The same with a stamp that other writes share.
    pub(crate) fn bury_at(&mut self, kind: Kind, n: usize, by: Actor, at: i64) {
        if let Some(store) = self.things.of_mut(kind)
            && let Some(thing) = store.get_mut(n)
        {
            thing.record.deleted = true;
            thing.what.push("deleted".to_owned());
            let id = thing.id.clone();
            store.touch(n, Change { at, state: "Deleted", by });
            if kind == Kind::Returns {
                self.note_return_change(None, None, &id, at, by);
            }
        }
        self.learn(kind, n);
    }

    /// Lets the catalog know what other parts of the simulator look up in it.
    fn learn(&mut self, kind: Kind, n: usize) {
        if let Some(thing) = self.things.of(kind).and_then(|store| store.get(n)) {
            self.catalog.learn(kind, n, thing);
        }
    }

    /// The members of these names, as the object has them, and perhaps others.
    pub(crate) fn glance(&self, kind: Kind, n: usize, role: Role, names: &[&str]) -> Json {
        let outbound = || {
            let o = self.outbounds.get(n).filter(|o| o.record.overlay.is_empty() && !o.record.deleted)?;
            o.part(names, role, self.partner(role), &self.clock)
        };
        let thing = || {
            let thing = self.things.of(kind)?.get(n).filter(|t| t.record.overlay.is_empty() && !t.record.deleted)?;
            let values = names.iter().map(|name| Some(((*name).to_owned(), thing.body.get(name)?.clone())));
            values.collect::<Option<Vec<_>>>().map(Json::Obj)
        };
        let part = if kind == Kind::Outbounds { outbound() } else { thing() };
        part.unwrap_or_else(|| self.row(kind, n, role, None))
    }

    /// Any object as it is served to one side; inside a feed with the changes of the window.
    pub(crate) fn show(&self, kind: Kind, n: usize, role: Role, window: Option<&Window>) -> Json {
        let instead = self.shelf(kind).record(n).and_then(|record| record.instead.as_ref());
        match instead.filter(|instead| !instead.feeds || window.is_some()) {
            // The text of a number is written unchanged, so it can carry any literal.
            Some(instead) => Json::Num(instead.text.clone()),
            None => self.row(kind, n, role, window),
        }
    }

    /// The same without what is served instead of a whole object.
    fn row(&self, kind: Kind, n: usize, role: Role, window: Option<&Window>) -> Json {
        let Some(record) = self.shelf(kind).record(n) else { return Json::Null };
        let partner = self.partner(role);
        let partner_name = match role {
            Role::Merchant => "fulfillerId",
            Role::Fulfiller => "merchantId",
        };
        let mut row = match kind {
            Kind::Outbounds => {
                let Some(o) = self.outbounds.get(n) else { return Json::Null };
                let mut row = o.json(role, partner, window, &self.clock);
                let base = || self.address_of(role, &format!("outbounds/{}/attachments", o.id));
                documents::add_urls(&mut row, "attachments", base, "merchantDocumentId", "");
                row
            }
            Kind::Notifications => {
                self.notifications.get(n).map_or(Json::Null, |x| x.json(role, partner, window, &self.clock))
            }
            Kind::StockChanges => {
                self.ledger.movements.get(n).map_or(Json::Null, |m| self.movement_json(m, role, window))
            }
            Kind::ReturnChanges => {
                let change = self.things.return_changes.get(n);
                change.map_or(Json::Null, |c| returns::change_json(c, role, partner, &self.clock))
            }
            _ => {
                let Some(thing) = self.things.of(kind).and_then(|store| store.get(n)) else { return Json::Null };
                let mut row = thing.body.clone();
                if kind == Kind::Products {
                    let base = || self.address_of(role, &format!("products/{}/pictures", thing.id));
                    documents::add_urls(&mut row, "pictures", base, "number", "/data");
                }
                match (kind, role) {
                    (Kind::Inbounds | Kind::InboundNotifications | Kind::Returns, _)
                    | (Kind::Products, Role::Fulfiller) => insert(&mut row, partner_name, partner),
                    (Kind::Warehouses, _) => {
                        insert(&mut row, "fulfillerId", &self.catalog.fulfiller);
                        if role == Role::Merchant {
                            let granted = self.catalog.grants.get(&thing.id);
                            let ids: Vec<Json> = granted.into_iter().flatten().map(|m| m.as_str().into()).collect();
                            row.set("shippingMethodIds", ids.into());
                        }
                    }
                    (Kind::Methods, Role::Merchant) => {
                        insert(&mut row, "fulfillerId", &self.catalog.fulfiller);
                        row.remove("fulfillerShippingMethodNumber");
                    }
                    _ => (),
                }
                if kind.has_feed(role) {
                    row.set("modificationInfo", modified(&thing.record.changes, window, &self.clock));
                }
                row
            }
        };
        let spec = kind.spec();
        let switches = &self.flags.switches;
        if record.deleted && switches.tombstones == Tombstones::Bare {
            let part = |name: &str| row.get(name).cloned().unwrap_or(Json::Null);
            row = obj([(spec.id, part(spec.id)), ("modificationInfo", part("modificationInfo"))]);
        } else if switches.keep_nulls {
            for (path, names) in spec.nulls {
                add_nulls(&mut row, path, names);
            }
        }
        overlay(&mut row, &record.overlay);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    #[test]
    fn every_kind_has_names_of_its_own() {
        let names: BTreeSet<&str> = KINDS.iter().map(|k| k.spec().name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(KINDS.iter().all(|k| Kind::named(k.spec().name) == Some(*k)));
    }

    #[test]
    fn changes_are_named_and_statuses_are_kept() {
        let mut w = World::new(Flags::for_test());
        let body =
            Json::parse(r#"{"inboundId":"I","merchantInboundNumber":"N","status":"Pending","note":"a"}"#).unwrap();
        let n = w.put(Kind::Inbounds, body, None, Actor::Shop);
        w.alter(Kind::Inbounds, n, Actor::House, |b| {
            merge(b, &Json::parse(r#"{"status":"Receipted","note":null,"x":{"a":1}}"#).unwrap());
        });
        w.alter(Kind::Inbounds, n, Actor::House, |b| merge(b, &Json::parse(r#"{"x":{"b":2}}"#).unwrap()));
        w.alter(Kind::Inbounds, n, Actor::House, |_| ());
        let thing = &w.things.inbounds[n];
        assert_eq!(thing.what, ["created", "note,status,x", "x", "touched"]);
        assert_eq!(thing.body.get("x").unwrap().to_string(), r#"{"a":1,"b":2}"#);
        assert_eq!(thing.record.history.iter().map(|(s, _)| s.as_str()).collect::<Vec<_>>(), ["Pending", "Receipted"]);
        w.bury(Kind::Inbounds, n, Actor::House);
        assert!(w.find_thing(Kind::Inbounds, Role::Merchant, "N").is_err());
        w.flags.switches.tombstones = Tombstones::Bare;
        let row = w.show(Kind::Inbounds, n, Role::Merchant, None).to_string();
        assert!(row.starts_with(r#"{"inboundId":"I","modificationInfo":{"#) && row.ends_with(r#""state":"Deleted"}}"#));
    }

    #[test]
    fn nulls_where_the_document_has_optional_members() {
        let mut row = Json::parse(r#"{"items":[{"note":"x"},{}],"address":{"city":"C"}}"#).unwrap();
        add_nulls(&mut row, "", &["a", "items"]);
        add_nulls(&mut row, "items/*", &["note"]);
        add_nulls(&mut row, "address", &["zip"]);
        add_nulls(&mut row, "missing", &["zip"]);
        assert_eq!(
            row.to_string(),
            r#"{"items":[{"note":"x"},{"note":null}],"address":{"city":"C","zip":null},"a":null}"#
        );
    }
}
