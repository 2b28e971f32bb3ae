//! Every operation (contract appendices A and B): reads and writes of both roles.

use super::effects::{Brings, Reach, To, booked, to, to_if};
use super::settle::{Key, Place, Same, Settle, State, Wanted};
use super::{Body, Lane, Operation, OwnId, Subject, Verb};
use crate::domain::account::Role;
use crate::ffn::request::Area;

const M: &[Role] = &[Role::Merchant];
const F: &[Role] = &[Role::Fulfiller];
const BOTH: &[Role] = &[Role::Merchant, Role::Fulfiller];

const LIST: &[&str] = &["$top", "$skip", "$filter", "$select", "$orderBy"];
const LIST_AT: &[&str] = &["$top", "$skip", "$filter", "$select", "$orderBy", "date"];
const ITEMS: &[&str] = &["oversale", "autoCompleteBillOfMaterials"];
const VERSION: &[&str] = &["objectVersion"];

const OUTBOUND: Lane = lane("outbound", &["merchantOutboundNumber", "outboundId"]);
const INBOUND: Lane = lane("inbound", &["merchantInboundNumber", "inboundId"]);
const RETURN: Lane = lane("return", &["merchantReturnNumber", "fulfillerReturnNumber", "returnId"]);
/// Commands on a return that exists name it by FFN's id alone: the numbers in them are new ones.
const RETURN_ID: Lane = lane("return", &["returnId"]);
const PRODUCT: Lane = lane("product", &["jfsku", "merchantSku"]);
const STOCK: Lane = lane("stock", &["jfsku"]);
const WAREHOUSE: Lane = lane("warehouse", &["warehouseId", "name"]);
const SHIPPING_METHOD: Lane = lane("shipping-method", &["shippingMethodId", "fulfillerShippingMethodNumber"]);
const AUTHORIZATION: Lane = lane("authorization", &["merchantId"]);
const CREDENTIAL: Lane = lane("credential", &["credentialId", "sellerId"]);

const DUPLICATE_KEY: &str = "Shared_DuplicateKey";
const STATUS_FORBIDDEN: &[&str] = &["Outbounds_OutboundStatusChangeForbidden"];

const fn lane(resource: &'static str, members: &'static [&'static str]) -> Lane {
    Lane { resource, members }
}

/// Parcels and announcements of deliveries are named by their numbers.
const SHIPMENT: Lane = lane("shipment", &["outboundShippingNotificationId", "fulfillerShippingNotificationNumber"]);
const INBOUND_SHIPMENT: Lane = lane(
    "inbound-shipment",
    &["inboundShippingNotificationId", "shippingNotificationId", "merchantShippingNotificationNumber"],
);

/// Members that move goods.
const GOODS: &[&str] = &["items", "warehouseId"];
const MOVES_GOODS: &[&str] = &["stock.Reservation", "stock.ReservationCanceled"];
const ORDER_EDITED: &[Brings] = &[to(OUTBOUND, &["outbound.updated"]), to_if(GOODS, OUTBOUND, MOVES_GOODS)];
const ORDER_CANCELED: &[Brings] =
    &[to(OUTBOUND, &["outbound.canceled", "outbound.partially-canceled", "stock.ReservationCanceled"])];
const STATUS: Option<Reach> = Some(Reach { member: "status", default: None });
const ORDER_MOVED: &[Brings] = &[Brings { status: STATUS, ..to(OUTBOUND, &[]) }];
const ORDER_TOUCHED: &[Brings] = &[to(OUTBOUND, &["outbound.updated"])];
/// What has arrived is one entry, what was announced of it another.
const RECEIVED: &[Brings] = &[
    booked(&["stock.Inbound"]),
    to(
        INBOUND,
        &[
            "inbound.partially-receipted",
            "inbound.receipted",
            "inbound.updated",
            "stock.Inbound",
            "stock.AnnouncementCanceled",
        ],
    ),
];
const ANNOUNCEMENT_EDITED: &[Brings] =
    &[to(INBOUND_SHIPMENT, &["inbound-shipment.updated"]), to(INBOUND, &["inbound.updated"])];
const RETURN_MADE: &[Brings] = &[to(RETURN, &["return.announced", "return.arrived", "return.completed"])];
/// Its state follows from those of its items.
const RETURN_EDITED: &[Brings] = &[to(
    RETURN_ID,
    &["return.updated", "return.announced", "return.arrived", "return.completed", "stock.ConditionChanged"],
)];
const RETURN_TOUCHED: &[Brings] = &[to(RETURN_ID, &["return.updated"])];
const PRODUCT_EDITED: &[Brings] = &[to(PRODUCT, &["product.updated"])];
/// A warehouse shows to whom it is granted.
const GRANTED: &[Brings] =
    &[to(AUTHORIZATION, &["authorization.created", "authorization.updated"]), to(WAREHOUSE, &["warehouse.updated"])];
const REVOKED: &[Brings] =
    &[to(AUTHORIZATION, &["authorization.updated", "authorization.deleted"]), to(WAREHOUSE, &["warehouse.updated"])];

const fn call(name: &'static str, roles: &'static [Role], method: Verb, path: &'static str) -> Operation {
    Operation {
        name,
        roles,
        method,
        area: Area::Role,
        path,
        query: &[],
        body: Body::Members { fixed: &[], renamed: &[] },
        subject: Subject::None,
        settle: Settle::Repeatable,
        own_id: None,
        lane: None,
        brings: &[],
    }
}

const fn post(name: &'static str, roles: &'static [Role], path: &'static str) -> Operation {
    call(name, roles, Verb::Post, path)
}

/// A change: of one in doubt it is looked whether the object shows it already, so that it is not changed twice.
const fn patch(name: &'static str, roles: &'static [Role], path: &'static str) -> Operation {
    Operation { settle: Settle::ReadBack { path }, ..call(name, roles, Verb::Patch, path) }
}

const fn get(name: &'static str, roles: &'static [Role], path: &'static str) -> Operation {
    Operation { body: Body::None, ..call(name, roles, Verb::Get, path) }
}

const fn list(name: &'static str, roles: &'static [Role], path: &'static str) -> Operation {
    Operation { query: LIST, ..get(name, roles, path) }
}

const fn find(name: &'static str, roles: &'static [Role], path: &'static str, number: &'static str) -> Operation {
    Operation { body: Body::Number(number), ..get(name, roles, path) }
}

const fn delete(
    name: &'static str,
    roles: &'static [Role],
    path: &'static str,
    gone: &'static [&'static str],
) -> Operation {
    Operation { body: Body::None, settle: Settle::Told { done: &[], gone }, ..call(name, roles, Verb::Delete, path) }
}

const fn put(name: &'static str, roles: &'static [Role], path: &'static str) -> Operation {
    Operation { body: Body::None, ..call(name, roles, Verb::Put, path) }
}

const fn member(name: &'static str) -> Same {
    Same::Member(name)
}

/// An outbound's status that the merchant may set, and the fulfiller with a version (contract 10.6, 16).
const fn status(name: &'static str, roles: &'static [Role], wanted: Wanted) -> Operation {
    let state = State { path: "outbounds/{outboundId}", field: "status", wanted, refused: STATUS_FORBIDDEN };
    Operation {
        body: Body::Members { fixed: &[], renamed: &[] },
        subject: Subject::Member("outboundId"),
        settle: Settle::State(state),
        lane: Some(OUTBOUND),
        brings: ORDER_MOVED,
        ..put(name, roles, "outbounds/{outboundId}/status")
    }
}

const CANCELED: Body = Body::Members { fixed: &[("status", "\"Canceled\"")], renamed: &[] };

/// A key of one member that has the same name in command and row.
const fn key(
    members: &'static [(&'static str, &'static str)],
    place: Place,
    same: &'static [Same],
    exists: &'static [&'static str],
) -> Key {
    Key { members, place, same, exists, named: None, dead: None, other: None, is_unique: true, has_secret: false }
}

const RETURN_SAME: &[Same] = &[
    member("warehouseId"),
    Same::Rows { member: "items", id: None, of: &["jfsku?", "merchantSku?", "quantity"], more: false },
    Same::Given,
];
const RETURN_EXISTS: &[&str] = &["Returns_DuplicateReturn", "Returns_DuplicateReturnItem", DUPLICATE_KEY];
const RETURN_ITEMS: Place = Place::Within { path: "returns/{returnId}", member: "items" };
const NOTIFIED: &[Same] =
    &[Same::Rows { member: "items", id: None, of: &["jfsku?", "merchantSku?", "quantity"], more: false }, Same::Given];
const RELATED: Place = Place::Within { path: "products/{jfsku}", member: "relatedProducts" };
/// Products that are related as parts of a bundle are another matter.
const BUNDLED: Option<(&str, &str)> = Some(("kindOfRelation", "BillOfMaterials"));
const RELATED_EXISTS: &[&str] = &["Products_ConditionMustBeUniqueInRelatedProductsList", DUPLICATE_KEY];

/// Every operation. Some names have a row per role: their calls differ.
pub static OPERATIONS: &[Operation] = &[
    // Orders (contract 10).
    Operation {
        query: ITEMS,
        subject: Subject::Answer("outboundId"),
        settle: Settle::Key(Key {
            named: Some(("OutboundId", "outbounds/{}")),
            dead: Some(("status", "Canceled")),
            ..key(
                &[("merchantOutboundNumber", "merchantOutboundNumber")],
                Place::List("outbounds"),
                &[
                    member("warehouseId"),
                    member("shippingAddress"),
                    Same::Rows {
                        member: "items",
                        id: Some("outboundItemId"),
                        of: &["jfsku?", "merchantSku?", "quantity"],
                        more: false,
                    },
                ],
                &["Outbounds_NotCanceledOutboundExists", DUPLICATE_KEY],
            )
        }),
        lane: Some(OUTBOUND),
        brings: &[Brings {
            status: Some(Reach { member: "status", default: Some("Pending") }),
            ..to(OUTBOUND, &["outbound.created", "stock.Reservation"])
        }],
        ..post("outbound.create", M, "outbounds")
    },
    Operation {
        query: ITEMS,
        subject: Subject::Member("outboundId"),
        lane: Some(OUTBOUND),
        brings: ORDER_EDITED,
        ..patch("outbound.update", M, "outbounds/{outboundId}")
    },
    Operation { body: CANCELED, brings: ORDER_CANCELED, ..status("outbound.cancel", M, Wanted::Is("Canceled")) },
    Operation {
        body: CANCELED,
        query: VERSION,
        brings: ORDER_CANCELED,
        ..status("outbound.cancel", F, Wanted::Is("Canceled"))
    },
    status("outbound.change-status", M, Wanted::Reached("status")),
    Operation { query: VERSION, ..status("outbound.change-status", F, Wanted::Reached("status")) },
    Operation {
        settle: Settle::EachStatus,
        brings: &[Brings { to: To::EachOf { list: "items", entity: OUTBOUND }, status: STATUS, ..to(OUTBOUND, &[]) }],
        ..post("outbounds.change-status", F, "outbounds/status")
    },
    Operation {
        query: &["oversale"],
        body: Body::Members { fixed: &[], renamed: &[] },
        subject: Subject::Member("outboundId"),
        settle: Settle::State(State {
            path: "outbounds/{outboundId}",
            field: "warehouseId",
            wanted: Wanted::Asked("warehouseId"),
            refused: &[],
        }),
        lane: Some(OUTBOUND),
        brings: ORDER_EDITED,
        ..put("outbound.change-warehouse", F, "outbounds/{outboundId}/warehouse")
    },
    Operation {
        subject: Subject::Answer("outboundId"),
        lane: Some(OUTBOUND),
        ..get("outbound.get", BOTH, "outbounds/{outboundId}")
    },
    Operation { lane: Some(OUTBOUND), ..find("outbound.find", BOTH, "outbounds", "merchantOutboundNumber") },
    list("outbounds.list", BOTH, "outbounds"),
    Operation {
        subject: Subject::Member("outboundId"),
        settle: Settle::Key(key(
            &[("merchantDocumentId", "merchantDocumentId")],
            Place::Within { path: "outbounds/{outboundId}", member: "attachments" },
            &[member("documentType"), Same::Size { data: "data", size: "size" }],
            &["Outbounds_DuplicateAttachmentId", DUPLICATE_KEY],
        )),
        lane: Some(OUTBOUND),
        brings: ORDER_TOUCHED,
        ..post("attachment.create", M, "outbounds/{outboundId}/attachments")
    },
    Operation {
        subject: Subject::Member("outboundId"),
        lane: Some(OUTBOUND),
        ..get("attachment.get", BOTH, "outbounds/{outboundId}/attachments/{merchantDocumentId}")
    },
    Operation {
        subject: Subject::Member("outboundId"),
        lane: Some(OUTBOUND),
        brings: ORDER_TOUCHED,
        ..delete(
            "attachment.delete",
            M,
            "outbounds/{outboundId}/attachments/{merchantDocumentId}",
            &["Outbounds_AttachmentNotFound", "Outbounds_OutboundAttachmentDeleted"],
        )
    },
    Operation {
        subject: Subject::Answer("outboundShippingNotificationId"),
        settle: Settle::Key(Key {
            // Whether FFN refuses a second one is not known (contract 10.9).
            is_unique: false,
            ..key(
                &[("fulfillerShippingNotificationNumber", "fulfillerShippingNotificationNumber")],
                Place::Children("outbounds/{outboundId}/shipping-notifications"),
                NOTIFIED,
                &[DUPLICATE_KEY],
            )
        }),
        lane: Some(OUTBOUND),
        brings: &[
            to(SHIPMENT, &["shipment.dispatched", "stock.Delivery"]),
            to(
                OUTBOUND,
                &[
                    "outbound.partially-shipped",
                    "outbound.shipped",
                    "outbound.updated",
                    "stock.Delivery",
                    "stock.ReservationCanceled",
                ],
            ),
        ],
        ..post("shipment.create", F, "outbounds/{outboundId}/shipping-notifications")
    },
    Operation {
        subject: Subject::Answer("outboundShippingNotificationId"),
        lane: Some(OUTBOUND),
        ..get("shipment.get", BOTH, "outbounds/{outboundId}/shipping-notifications/{shippingNotificationId}")
    },
    Operation {
        subject: Subject::Member("outboundId"),
        lane: Some(OUTBOUND),
        ..get("shipments.list", BOTH, "outbounds/{outboundId}/shipping-notifications")
    },
    Operation {
        subject: Subject::Answer("shippingLabelId"),
        settle: Settle::Nothing,
        lane: Some(OUTBOUND),
        ..post("shipping-label.create", F, "outbounds/{outboundId}/shipping-labels")
    },
    Operation {
        subject: Subject::Answer("shippingLabelId"),
        lane: Some(OUTBOUND),
        ..get("shipping-label.get", F, "outbounds/{outboundId}/shipping-labels/{shippingLabelId}")
    },
    // Announced deliveries (contract 11).
    Operation {
        subject: Subject::Answer("inboundId"),
        settle: Settle::Key(key(
            &[("merchantInboundNumber", "merchantInboundNumber")],
            Place::List("inbounds"),
            &[
                member("warehouseId"),
                Same::Rows {
                    member: "items",
                    id: Some("inboundItemId"),
                    of: &["jfsku", "merchantSku?", "quantity"],
                    more: false,
                },
                Same::Given,
            ],
            &["Inbounds_DuplicateInbound", DUPLICATE_KEY],
        )),
        lane: Some(INBOUND),
        brings: &[to(INBOUND, &["inbound.created", "inbound.pending", "stock.Announcement"])],
        ..post("inbound.create", M, "inbounds")
    },
    Operation {
        subject: Subject::Member("inboundId"),
        lane: Some(INBOUND),
        brings: &[
            to(INBOUND, &["inbound.updated"]),
            to_if(GOODS, INBOUND, &["stock.Announcement", "stock.AnnouncementCanceled"]),
        ],
        ..patch("inbound.update", M, "inbounds/{inboundId}")
    },
    Operation {
        subject: Subject::Member("inboundId"),
        settle: Settle::State(State {
            path: "inbounds/{inboundId}",
            field: "status",
            wanted: Wanted::Is("Closed"),
            refused: &["Inbounds_MerchantCanNotCloseInbound", "Inbounds_FulfillerCanNotCloseInbound"],
        }),
        lane: Some(INBOUND),
        brings: &[to(INBOUND, &["inbound.closed", "stock.AnnouncementCanceled"])],
        ..put("inbound.close", BOTH, "inbounds/{inboundId}/close")
    },
    Operation {
        subject: Subject::Answer("inboundId"),
        lane: Some(INBOUND),
        ..get("inbound.get", BOTH, "inbounds/{inboundId}")
    },
    Operation { lane: Some(INBOUND), ..find("inbound.find", BOTH, "inbounds", "merchantInboundNumber") },
    list("inbounds.list", BOTH, "inbounds"),
    Operation {
        subject: Subject::Answer("inboundId"),
        settle: Settle::Ledger { answer: Some("inbounds/{inboundId}") },
        own_id: Some(OwnId::Member("fulfillerStockChangeId")),
        lane: Some(INBOUND),
        brings: RECEIVED,
        ..post("inbound.receive", F, "inbounds/{inboundId}/incoming-goods")
    },
    Operation {
        subject: Subject::Answer("inboundId"),
        settle: Settle::Ledger { answer: Some("inbounds/{inboundId}") },
        own_id: Some(OwnId::EachOf { list: "items", member: "fulfillerStockChangeId" }),
        lane: Some(INBOUND),
        brings: RECEIVED,
        ..post("inbound.receive-bulk", F, "inbounds/{inboundId}/incoming-goods/bulk")
    },
    Operation {
        subject: Subject::Answer("inboundShippingNotificationId"),
        settle: Settle::Key(key(
            &[("merchantShippingNotificationNumber", "merchantShippingNotificationNumber")],
            Place::Children("inbounds/{inboundId}/shipping-notifications"),
            NOTIFIED,
            &[
                "Inbounds_DuplicateMerchantShippingNotificationNumber",
                "Inbounds_DuplicateInboundShippingNotificationId",
                DUPLICATE_KEY,
            ],
        )),
        lane: Some(INBOUND),
        brings: &[to(INBOUND_SHIPMENT, &["inbound-shipment.announced"]), to(INBOUND, &["inbound.updated"])],
        ..post("inbound-shipment.create", M, "inbounds/{inboundId}/shipping-notifications")
    },
    Operation {
        subject: Subject::Member("shippingNotificationId"),
        lane: Some(INBOUND),
        brings: ANNOUNCEMENT_EDITED,
        ..patch("inbound-shipment.update", M, "inbounds/{inboundId}/shipping-notifications/{shippingNotificationId}")
    },
    Operation {
        subject: Subject::Member("shippingNotificationId"),
        lane: Some(INBOUND),
        brings: ANNOUNCEMENT_EDITED,
        ..delete(
            "inbound-shipment.delete",
            M,
            "inbounds/{inboundId}/shipping-notifications/{shippingNotificationId}",
            &["Inbounds_InboundShippingNotificationNotFound"],
        )
    },
    Operation {
        subject: Subject::Answer("inboundShippingNotificationId"),
        lane: Some(INBOUND),
        ..get("inbound-shipment.get", BOTH, "inbounds/{inboundId}/shipping-notifications/{shippingNotificationId}")
    },
    Operation {
        subject: Subject::Member("inboundId"),
        lane: Some(INBOUND),
        ..get("inbound-shipments.list", BOTH, "inbounds/{inboundId}/shipping-notifications")
    },
    // Returns (contract 12).
    Operation {
        subject: Subject::Answer("returnId"),
        settle: Settle::Key(key(
            &[("merchantReturnNumber", "merchantReturnNumber")],
            Place::List("returns"),
            RETURN_SAME,
            RETURN_EXISTS,
        )),
        lane: Some(RETURN),
        brings: RETURN_MADE,
        ..post("return.create", M, "returns")
    },
    Operation {
        subject: Subject::Answer("returnId"),
        settle: Settle::Key(key(
            &[("fulfillerReturnNumber", "fulfillerReturnNumber"), ("merchantId", "merchantId")],
            Place::List("returns"),
            RETURN_SAME,
            RETURN_EXISTS,
        )),
        lane: Some(RETURN),
        brings: RETURN_MADE,
        ..post("return.create", F, "returns")
    },
    Operation {
        query: VERSION,
        subject: Subject::Member("returnId"),
        lane: Some(RETURN_ID),
        brings: RETURN_EDITED,
        ..patch("return.update", BOTH, "returns/{returnId}")
    },
    Operation {
        subject: Subject::Member("returnId"),
        lane: Some(RETURN_ID),
        brings: &[to(RETURN_ID, &["return.deleted"])],
        ..delete("return.delete", BOTH, "returns/{returnId}", &["Returns_ReturnNotFound"])
    },
    Operation {
        query: VERSION,
        subject: Subject::Member("returnId"),
        settle: Settle::State(State {
            path: "returns/{returnId}",
            field: "writeLock",
            wanted: Wanted::LockedByMe,
            refused: &["Returns_ReturnIsLocked"],
        }),
        lane: Some(RETURN_ID),
        brings: RETURN_TOUCHED,
        ..put("return.lock", BOTH, "returns/{returnId}/lock")
    },
    Operation {
        query: VERSION,
        subject: Subject::Member("returnId"),
        settle: Settle::State(State {
            path: "returns/{returnId}",
            field: "writeLock",
            wanted: Wanted::Unlocked,
            refused: &[],
        }),
        lane: Some(RETURN_ID),
        brings: RETURN_TOUCHED,
        ..put("return.unlock", BOTH, "returns/{returnId}/unlock")
    },
    Operation {
        subject: Subject::Answer("returnId"),
        lane: Some(RETURN_ID),
        ..get("return.get", BOTH, "returns/{returnId}")
    },
    Operation { lane: Some(RETURN), ..find("return.find", M, "returns", "merchantReturnNumber") },
    Operation { lane: Some(RETURN), ..find("return.find", F, "returns", "fulfillerReturnNumber") },
    list("returns.list", BOTH, "returns"),
    Operation {
        query: VERSION,
        subject: Subject::Answer("returnItemId"),
        settle: Settle::Key(key(
            &[("returnItemId", "returnItemId")],
            RETURN_ITEMS,
            &[member("jfsku"), member("merchantSku"), member("quantity"), Same::Given],
            &["Returns_DuplicateReturnItem", DUPLICATE_KEY],
        )),
        lane: Some(RETURN_ID),
        brings: RETURN_EDITED,
        ..post("return-item.create", BOTH, "returns/{returnId}/items")
    },
    Operation {
        query: VERSION,
        subject: Subject::Answer("returnItemId"),
        settle: Settle::Key(key(&[], RETURN_ITEMS, &[member("quantity")], &[])),
        lane: Some(RETURN_ID),
        brings: RETURN_EDITED,
        ..post("return-item.split", BOTH, "returns/{returnId}/items/{returnItemId}")
    },
    Operation {
        query: VERSION,
        subject: Subject::Member("returnItemId"),
        lane: Some(RETURN_ID),
        brings: RETURN_EDITED,
        ..patch("return-item.update", BOTH, "returns/{returnId}/items/{returnItemId}")
    },
    Operation {
        subject: Subject::Member("returnItemId"),
        lane: Some(RETURN_ID),
        brings: RETURN_EDITED,
        ..delete("return-item.delete", BOTH, "returns/{returnId}/items/{returnItemId}", &["Returns_ReturnItemNotFound"])
    },
    Operation {
        query: VERSION,
        subject: Subject::Member("returnItemId"),
        settle: Settle::Ledger { answer: None },
        own_id: Some(OwnId::Member("fulfillerStockChangeId")),
        lane: Some(RETURN_ID),
        brings: &[
            booked(&["stock.Return"]),
            to(RETURN_ID, &["return.updated", "return.arrived", "return.completed", "stock.Return"]),
        ],
        ..post("return-item.receive", F, "returns/{returnId}/items/{returnItemId}/incomming-goods")
    },
    Operation {
        subject: Subject::Answer("returnItemId"),
        lane: Some(RETURN_ID),
        ..get("return-item.get", BOTH, "returns/{returnId}/items/{returnItemId}")
    },
    // Products (contract 13).
    Operation {
        query: &["relatedJfsku"],
        subject: Subject::Answer("jfsku"),
        settle: Settle::Key(Key {
            named: Some(("Jfsku", "products/{}")),
            ..key(
                &[("merchantSku", "merchantSku")],
                Place::List("products"),
                &[member("name"), Same::Given],
                &["Products_DuplicateProduct", DUPLICATE_KEY],
            )
        }),
        lane: Some(PRODUCT),
        brings: &[to(PRODUCT, &["product.created"])],
        ..post("product.create", M, "products")
    },
    Operation {
        subject: Subject::Member("jfsku"),
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..patch("product.update", M, "products/{jfsku}")
    },
    Operation {
        subject: Subject::Member("jfsku"),
        settle: Settle::Told {
            done: &["Products_AlreadyInactive"],
            gone: &["Products_ProductNotFound", "Products_ProductNotActive"],
        },
        lane: Some(PRODUCT),
        brings: &[to(PRODUCT, &["product.deleted", "stock.Deleted"])],
        ..delete("product.delete", M, "products/{jfsku}", &[])
    },
    Operation {
        subject: Subject::Answer("jfsku"),
        lane: Some(PRODUCT),
        ..get("product.get", BOTH, "products/{jfsku}")
    },
    Operation { lane: Some(PRODUCT), ..find("product.find", BOTH, "products", "merchantSku") },
    Operation {
        query: &["$top", "$skip", "$filter", "$select", "$orderBy", "referencedWarehouse", "referencedFulfiller"],
        ..get("products.list", M, "products")
    },
    Operation {
        query: &["$top", "$skip", "$filter", "$select", "$orderBy", "referencedWarehouse"],
        ..get("products.list", F, "products")
    },
    Operation {
        subject: Subject::Member("jfsku"),
        settle: Settle::Told { done: &["Products_ProductAlreadyAuthorized"], gone: &[] },
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..post("product.share", M, "products/{jfsku}/authorizations")
    },
    Operation {
        subject: Subject::Member("jfsku"),
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..delete(
            "product.unshare",
            M,
            "products/{jfsku}/authorizations/{fulfillerId}",
            &["Authorizations_AuthorizationNotFound"],
        )
    },
    post("products.share", M, "products/authorizations"),
    Operation {
        subject: Subject::Member("jfsku"),
        lane: Some(PRODUCT),
        ..get("product-authorizations.list", M, "products/{jfsku}/authorizations")
    },
    Operation {
        body: Body::Members { fixed: &[], renamed: &[("relatedJfsku", "jfsku")] },
        subject: Subject::Answer("jfsku"),
        settle: Settle::Key(Key { other: BUNDLED, ..key(&[("relatedJfsku", "jfsku")], RELATED, &[], RELATED_EXISTS) }),
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..post("related-product.create", M, "products/{jfsku}/related-products/condition")
    },
    Operation {
        subject: Subject::Answer("jfsku"),
        settle: Settle::Key(Key { other: BUNDLED, ..key(&[("condition", "condition")], RELATED, &[], RELATED_EXISTS) }),
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..post("related-product.create", F, "products/{jfsku}/related-products/condition")
    },
    Operation {
        subject: Subject::Member("jfsku"),
        settle: Settle::Key(key(
            &[("number", "number")],
            Place::Within { path: "products/{jfsku}", member: "pictures" },
            &[Same::Size { data: "data", size: "size" }],
            &["Products_PictureWithNumberAlreadyExists", DUPLICATE_KEY],
        )),
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..post("picture.create", M, "products/{jfsku}/pictures")
    },
    Operation {
        subject: Subject::Member("jfsku"),
        lane: Some(PRODUCT),
        brings: PRODUCT_EDITED,
        ..delete("picture.delete", M, "products/{jfsku}/pictures/{number}", &["Products_PictureNotFound"])
    },
    Operation {
        subject: Subject::Member("jfsku"),
        lane: Some(PRODUCT),
        ..get("picture.get", BOTH, "products/{jfsku}/pictures/{number}")
    },
    // Marketplace credentials.
    Operation {
        subject: Subject::Answer("credentialId"),
        settle: Settle::Key(Key {
            has_secret: true,
            ..key(
                &[("sellerId", "sellerId"), ("platform", "platform")],
                Place::Children("credentials/amazonSfp"),
                &[],
                &["Credentials_DuplicateCredential", DUPLICATE_KEY],
            )
        }),
        lane: Some(CREDENTIAL),
        ..post("credential.create", M, "credentials/amazonSfp")
    },
    Operation {
        subject: Subject::Member("credentialId"),
        lane: Some(CREDENTIAL),
        ..delete("credential.delete", M, "credentials/amazonSfp/{credentialId}", &["Credentials_CredentialNotFound"])
    },
    Operation {
        subject: Subject::Answer("credentialId"),
        lane: Some(CREDENTIAL),
        ..get("credential.get", M, "credentials/amazonSfp/{credentialId}")
    },
    get("credentials.list", M, "credentials/amazonSfp"),
    // Stock (contract 14).
    Operation {
        subject: Subject::Member("jfsku"),
        settle: Settle::Ledger { answer: None },
        own_id: Some(OwnId::Member("fulfillerStockChangeId")),
        lane: Some(STOCK),
        brings: &[booked(&["stock.Adjustment"])],
        ..post("stock.adjust", F, "stocks/adjustments")
    },
    Operation {
        query: &["date"],
        subject: Subject::Answer("jfsku"),
        lane: Some(STOCK),
        ..get("stock.get", BOTH, "stocks/{jfsku}")
    },
    Operation {
        query: &["date"],
        subject: Subject::Answer("jfsku"),
        lane: Some(STOCK),
        ..get("stock.get-in-warehouse", BOTH, "stocks/{jfsku}/{warehouseId}")
    },
    Operation { query: LIST_AT, ..get("stocks.list", BOTH, "stocks") },
    Operation { query: LIST_AT, ..get("stocks.list-in-warehouse", BOTH, "stocks/warehouse/{warehouseId}") },
    Operation {
        query: &["page", "date", "includeBillOfMaterials"],
        ..get("stocks.list-complete", M, "stocks/complete")
    },
    Operation { query: LIST_AT, ..get("stock-changes.list", BOTH, "stocks/changes") },
    // Places, partners and grants (contract 15).
    Operation {
        subject: Subject::Answer("warehouseId"),
        settle: Settle::Key(key(
            &[],
            Place::List("warehouses"),
            &[member("name"), member("address")],
            &[DUPLICATE_KEY],
        )),
        lane: Some(WAREHOUSE),
        brings: &[to(WAREHOUSE, &["warehouse.created"])],
        ..post("warehouse.create", F, "warehouses")
    },
    Operation {
        subject: Subject::Member("warehouseId"),
        lane: Some(WAREHOUSE),
        brings: &[to(WAREHOUSE, &["warehouse.updated"])],
        ..patch("warehouse.update", F, "warehouses/{warehouseId}")
    },
    Operation {
        subject: Subject::Member("warehouseId"),
        lane: Some(WAREHOUSE),
        brings: &[to(WAREHOUSE, &["warehouse.deleted"])],
        ..delete("warehouse.delete", F, "warehouses/{warehouseId}", &["Warehouses_WarehouseNotFound"])
    },
    Operation {
        subject: Subject::Answer("warehouseId"),
        lane: Some(WAREHOUSE),
        ..get("warehouse.get", BOTH, "warehouses/{warehouseId}")
    },
    list("warehouses.list", BOTH, "warehouses"),
    Operation {
        subject: Subject::Answer("shippingMethodId"),
        settle: Settle::Key(key(
            &[("fulfillerShippingMethodNumber", "fulfillerShippingMethodNumber")],
            Place::List("shippingmethods"),
            &[member("name"), member("shippingType"), Same::Given],
            &["ShippingMethods_DuplicateShippingMethod", DUPLICATE_KEY],
        )),
        lane: Some(SHIPPING_METHOD),
        brings: &[to(SHIPPING_METHOD, &["shipping-method.created"])],
        ..post("shipping-method.create", F, "shippingmethods")
    },
    Operation {
        subject: Subject::Member("shippingMethodId"),
        lane: Some(SHIPPING_METHOD),
        brings: &[to(SHIPPING_METHOD, &["shipping-method.updated"])],
        ..patch("shipping-method.update", F, "shippingmethods/{shippingMethodId}")
    },
    Operation {
        subject: Subject::Member("shippingMethodId"),
        lane: Some(SHIPPING_METHOD),
        brings: &[to(SHIPPING_METHOD, &["shipping-method.deleted"])],
        ..delete(
            "shipping-method.delete",
            F,
            "shippingmethods/{shippingMethodId}",
            &["ShippingMethods_ShippingMethodNotFound"],
        )
    },
    Operation {
        subject: Subject::Answer("shippingMethodId"),
        lane: Some(SHIPPING_METHOD),
        ..get("shipping-method.get", BOTH, "shippingmethods/{shippingMethodId}")
    },
    list("shipping-methods.list", BOTH, "shippingmethods"),
    Operation {
        subject: Subject::Member("merchantId"),
        settle: Settle::Key(key(
            &[("warehouseId", "warehouseId")],
            Place::Within { path: "authorizations/{merchantId}", member: "warehouses" },
            &[Same::Rows { member: "shippingMethods", id: Some("shippingMethodId"), of: &[], more: true }],
            &["Authorizations_AlreadyAuthorized", "Warehouses_WarehouseAlreadyAuthorized", DUPLICATE_KEY],
        )),
        lane: Some(AUTHORIZATION),
        brings: GRANTED,
        ..post("authorization.grant-warehouse", F, "authorizations/{merchantId}/warehouses")
    },
    Operation {
        subject: Subject::Member("merchantId"),
        lane: Some(AUTHORIZATION),
        brings: REVOKED,
        ..delete(
            "authorization.revoke-warehouse",
            F,
            "authorizations/{merchantId}/warehouses/{warehouseId}",
            &["Warehouses_WarehouseNotFound", "Authorizations_AuthorizationNotFound"],
        )
    },
    Operation {
        subject: Subject::Member("merchantId"),
        settle: Settle::Told { done: &["Authorizations_ShippingMethodAuthorizationExists"], gone: &[] },
        lane: Some(AUTHORIZATION),
        brings: GRANTED,
        ..post(
            "authorization.grant-shipping-method",
            F,
            "authorizations/{merchantId}/warehouses/{warehouseId}/shippingMethods",
        )
    },
    Operation {
        subject: Subject::Member("merchantId"),
        lane: Some(AUTHORIZATION),
        brings: REVOKED,
        ..delete(
            "authorization.revoke-shipping-method",
            F,
            "authorizations/{merchantId}/warehouses/{warehouseId}/shippingMethods/{shippingMethodId}",
            &["Authorizations_AuthorizationNotFound", "ShippingMethods_ShippingMethodNotFound"],
        )
    },
    Operation {
        subject: Subject::Answer("merchantId"),
        lane: Some(AUTHORIZATION),
        ..get("authorization.get", F, "authorizations/{merchantId}")
    },
    list("authorizations.list", F, "authorizations"),
    Operation { subject: Subject::Answer("userId"), ..get("merchant.get", F, "merchants/{merchantId}") },
    list("merchants.list", F, "merchants"),
    Operation { subject: Subject::Answer("userId"), ..get("fulfiller.get", M, "fulfillers/{fulfillerId}") },
    list("fulfillers.list", M, "fulfillers"),
    // What both roles share (contract 3).
    Operation { area: Area::Shared, subject: Subject::Answer("userId"), ..get("user.get", BOTH, "users/current") },
    Operation { area: Area::Shared, ..get("cancel-reasons.list", BOTH, "cancelreasons") },
];
