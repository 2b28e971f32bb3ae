//! What request bodies may look like: one table per body, one walker for all of them.
//!
//! The walker answers the body with only its known members and without nulls, and collects
//! everything that is wrong with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock;
use crate::decimal::Decimal;
use crate::json::Json;

/// The type of a member.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text of a number of characters.
    Text(usize, usize),
    /// Text without line breaks.
    Line(usize, usize),
    /// Exactly so many letters.
    Letters(usize),
    Whole(i64, i64),
    Number,
    Bool,
    /// Bytes as base64.
    Bytes,
    When,
    Choice(&'static [&'static str]),
    Object(&'static [Field]),
    /// A list of at least so many.
    List(usize, &'static Kind),
    /// An object that is kept as it is.
    Any,
}

/// A member of a body.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    needed: bool,
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, needed: false }
}

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, needed: true }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flaw {
    pub(crate) target: String,
    pub(crate) message: String,
}

const SHORT: Kind = Kind::Text(0, 255);
const LONG: Kind = Kind::Text(0, 4096);

/// All statuses of an outbound.
pub(crate) const STATUSES: &[&str] = &[
    "Preparation",
    "Pending",
    "Acknowledged",
    "Pickprocess",
    "Locked",
    "PartiallyShipped",
    "Shipped",
    "PartiallyCanceled",
    "Canceled",
];
const SHIPPING_TYPES: &[&str] =
    &["Standard", "Expedited", "NextDay", "SecondDay", "SameDay", "ByShippingLabelProvider"];
const PREMIUM_TYPES: &[&str] = &["EbayPlus", "AmazonSellerFulfilledPrime"];

const ATTRIBUTE: Kind = Kind::Object(&[
    must("key", SHORT),
    must("value", LONG),
    may("attributeType", Kind::Choice(&["String", "Integer", "Decimal", "Boolean", "Date"])),
]);

const ADDRESS: Kind = Kind::Object(&[
    may("salutation", SHORT),
    may("firstname", SHORT),
    may("lastname", SHORT),
    may("company", SHORT),
    must("street", Kind::Text(1, 255)),
    must("city", Kind::Text(1, 255)),
    may("zip", Kind::Text(1, 255)),
    must("country", Kind::Letters(2)),
    may("email", SHORT),
    may("phone", SHORT),
    may("extraLine", SHORT),
    may("extraAddressLine", SHORT),
    may("state", SHORT),
    may("mobile", SHORT),
    may("fax", SHORT),
]);

const ADDRESS_CHANGE: Kind = Kind::Object(&[
    may("salutation", SHORT),
    may("firstname", SHORT),
    may("lastname", SHORT),
    may("company", SHORT),
    may("street", Kind::Text(1, 255)),
    may("city", Kind::Text(1, 255)),
    may("zip", Kind::Text(1, 255)),
    may("country", Kind::Letters(2)),
    may("email", SHORT),
    may("phone", SHORT),
    may("extraLine", SHORT),
    may("extraAddressLine", SHORT),
    may("state", SHORT),
    may("mobile", SHORT),
    may("fax", SHORT),
]);

const LINE: Kind = Kind::Object(&[
    must("outboundItemId", Kind::Text(1, 255)),
    may("jfsku", Kind::Text(11, 11)),
    may("itemType", Kind::Choice(&["Product", "Shipping", "Other", "BillOfMaterials"])),
    must("quantity", Kind::Number),
    may("name", SHORT),
    may("merchantSku", SHORT),
    may("externalNumber", SHORT),
    may("price", Kind::Number),
    may("vat", Kind::Number),
    may("billOfMaterialsId", SHORT),
    may("note", LONG),
]);

/// Body of a new outbound.
pub(crate) const CREATE_OUTBOUND: &[Field] = &[
    may("outboundId", SHORT),
    may("externalNumber", SHORT),
    may("status", Kind::Choice(&["Preparation", "Pending"])),
    may("priority", Kind::Whole(-5, 5)),
    must("merchantOutboundNumber", Kind::Line(1, 255)),
    must("warehouseId", Kind::Text(14, 255)),
    must("currency", Kind::Letters(3)),
    may("internalNote", LONG),
    may("externalNote", LONG),
    may("premiumType", Kind::Choice(PREMIUM_TYPES)),
    may("salesChannel", SHORT),
    may("attributes", Kind::List(0, &ATTRIBUTE)),
    may("desiredDeliveryDate", Kind::When),
    may("shippingMethodId", Kind::Text(4, 255)),
    may("shippingType", Kind::Choice(SHIPPING_TYPES)),
    must("shippingAddress", ADDRESS),
    may("senderAddress", ADDRESS),
    may("shippingFee", Kind::Number),
    may("orderValue", Kind::Number),
    must("items", Kind::List(1, &LINE)),
    may("shippingLabelProviderData", Kind::Any),
];

/// Body of a change of an outbound.
pub(crate) const UPDATE_OUTBOUND: &[Field] = &[
    may("externalNumber", SHORT),
    may("priority", Kind::Whole(-5, 5)),
    may("warehouseId", Kind::Text(14, 255)),
    may("currency", Kind::Letters(3)),
    may("internalNote", LONG),
    may("externalNote", LONG),
    may("premiumType", Kind::Choice(PREMIUM_TYPES)),
    may("salesChannel", SHORT),
    may("attributes", Kind::List(0, &ATTRIBUTE)),
    may("desiredDeliveryDate", Kind::When),
    may("shippingMethodId", Kind::Text(4, 255)),
    may("shippingType", Kind::Choice(SHIPPING_TYPES)),
    may("shippingAddress", ADDRESS_CHANGE),
    may("senderAddress", ADDRESS_CHANGE),
    may("shippingFee", Kind::Number),
    may("orderValue", Kind::Number),
    may("items", Kind::List(1, &LINE)),
    may("shippingLabelProviderData", Kind::Any),
];

/// Body of the merchant's change of status.
pub(crate) const MERCHANT_STATUS: &[Field] =
    &[must("status", Kind::Choice(STATUSES)), may("cancelReasonCode", SHORT), may("cancelReason", SHORT)];

const FULFILLER_STATUSES: &[&str] = &["Acknowledged", "Locked", "Pickprocess", "Canceled", "PartiallyCanceled"];

/// Body of the fulfiller's change of status.
pub(crate) const FULFILLER_STATUS: &[Field] =
    &[must("status", Kind::Choice(FULFILLER_STATUSES)), may("cancelReasonCode", SHORT), may("cancelReason", SHORT)];

/// Body of the fulfiller's change of many statuses.
pub(crate) const BULK_STATUS: &[Field] = &[must(
    "items",
    Kind::List(
        1,
        &Kind::Object(&[
            must("outboundId", Kind::Text(7, 255)),
            must("status", Kind::Choice(FULFILLER_STATUSES)),
            may("cancelReasonCode", SHORT),
            may("cancelReason", SHORT),
            may("objectVersion", Kind::When),
        ]),
    ),
)];

const BEST_BEFORE: Kind = Kind::Object(&[
    must("year", Kind::Whole(1, 9999)),
    must("month", Kind::Whole(1, 12)),
    must("day", Kind::Whole(1, 31)),
]);

/// Body of a new shipping notification.
pub(crate) const CREATE_NOTIFICATION: &[Field] = &[
    may("outboundShippingNotificationId", Kind::Text(7, 255)),
    must("fulfillerShippingNotificationNumber", Kind::Text(1, 255)),
    must(
        "items",
        Kind::List(
            1,
            &Kind::Object(&[
                may("merchantSku", SHORT),
                may("jfsku", Kind::Text(11, 11)),
                may("warehouseId", SHORT),
                must("quantity", Kind::Number),
                may("note", LONG),
                may("bestBefore", BEST_BEFORE),
                may("batch", SHORT),
                may("serialnumbers", Kind::List(0, &SHORT)),
            ]),
        ),
    ),
    must(
        "packages",
        Kind::List(
            1,
            &Kind::Object(&[
                may("freightOption", Kind::Choice(&["Parcel", "LessThanTruckload", "FullTruckload", "Other"])),
                may("estimatedDeliveryDate", Kind::When),
                may("note", LONG),
                may("trackingUrl", SHORT),
                may(
                    "identifier",
                    Kind::List(
                        0,
                        &Kind::Object(&[
                            must("value", SHORT),
                            must("identifierType", Kind::Choice(&["TrackingId", "AmazonShipmentId", "Other"])),
                            may("name", SHORT),
                        ]),
                    ),
                ),
                must("shippingDate", Kind::When),
                must("shippingMethodId", Kind::Text(4, 255)),
                may(
                    "dimensions",
                    Kind::Object(&[
                        must("width", Kind::Number),
                        must("length", Kind::Number),
                        must("height", Kind::Number),
                    ]),
                ),
                may("weight", Kind::Number),
            ]),
        ),
    ),
    may("note", LONG),
];

const INBOUND_LINE: Kind = Kind::Object(&[
    may("merchantSku", SHORT),
    must("inboundItemId", Kind::Text(1, 255)),
    may("jfsku", Kind::Text(11, 11)),
    must("quantity", Kind::Number),
    may("supplierSku", SHORT),
    may("supplierProductName", SHORT),
    may("note", LONG),
]);

/// Body of a new inbound.
pub(crate) const CREATE_INBOUND: &[Field] = &[
    may("inboundId", Kind::Text(7, 16)),
    must("items", Kind::List(1, &INBOUND_LINE)),
    must("merchantInboundNumber", Kind::Line(1, 255)),
    must("warehouseId", Kind::Text(14, 255)),
    may("note", LONG),
    may("purchaseOrderNumber", SHORT),
    may("externalInboundNumber", SHORT),
    may("attributes", Kind::List(0, &ATTRIBUTE)),
    may(
        "supplier",
        Kind::Object(&[may("merchantSupplierName", SHORT), must("merchantSupplierNumber", Kind::Line(1, 255))]),
    ),
];

/// Body of a change of an inbound.
pub(crate) const UPDATE_INBOUND: &[Field] = &[
    may("items", Kind::List(1, &INBOUND_LINE)),
    may("note", LONG),
    may("purchaseOrderNumber", SHORT),
    may("externalInboundNumber", SHORT),
    may("attributes", Kind::List(0, &ATTRIBUTE)),
];

const INBOUND_NOTIFICATION_LINES: Kind = Kind::List(
    0,
    &Kind::Object(&[
        may("jfsku", Kind::Text(11, 11)),
        must("quantity", Kind::Number),
        may("merchantSku", SHORT),
        may("note", LONG),
        may("packageId", Kind::Whole(0, 2_147_483_647)),
        may("bestBefore", BEST_BEFORE),
        may("batch", SHORT),
        may("serialnumbers", Kind::List(0, &SHORT)),
    ]),
);

const INBOUND_PACKAGES: Kind = Kind::List(
    0,
    &Kind::Object(&[
        may("estimatedDeliveryDate", Kind::When),
        may("freightOption", Kind::Choice(&["Parcel", "LessThanTruckload", "FullTruckload", "Other"])),
        may("trackingUrl", SHORT),
        may("carrierCode", SHORT),
        may("carrierName", SHORT),
        may(
            "identifier",
            Kind::List(
                0,
                &Kind::Object(&[
                    must("value", SHORT),
                    must("identifierType", Kind::Choice(&["TrackingId", "AmazonShipmentId", "Other"])),
                    may("name", SHORT),
                ]),
            ),
        ),
        may("shipmentCount", Kind::Whole(0, 2_147_483_647)),
        must("shippingDate", Kind::When),
        may("note", LONG),
        may("dimensions", Kind::Any),
        may("weight", Kind::Number),
    ]),
);

/// Body of a new shipping notification of an inbound.
pub(crate) const CREATE_INBOUND_NOTIFICATION: &[Field] = &[
    may("inboundShippingNotificationId", Kind::Text(7, 16)),
    may("items", INBOUND_NOTIFICATION_LINES),
    may("packages", INBOUND_PACKAGES),
    must("merchantShippingNotificationNumber", Kind::Text(1, 255)),
    may("note", LONG),
];

/// Body of a change of a shipping notification of an inbound.
pub(crate) const UPDATE_INBOUND_NOTIFICATION: &[Field] =
    &[may("items", INBOUND_NOTIFICATION_LINES), may("packages", INBOUND_PACKAGES), may("note", LONG)];

const GOODS: Kind = Kind::Object(&[
    must("jfsku", Kind::Text(11, 11)),
    must("warehouseId", Kind::Text(14, 255)),
    may("quantityBlocked", Kind::Number),
    may("quantity", Kind::Number),
    may("note", LONG),
    may("batch", SHORT),
    may("bestBefore", BEST_BEFORE),
    must("fulfillerTimestamp", Kind::When),
    may("fulfillerStockChangeId", SHORT),
]);

/// Body of goods that arrive for an inbound: one item in a list.
pub(crate) const INCOMING_GOODS: &[Field] = &[must("items", Kind::List(1, &GOODS))];

/// Body of goods that arrive for an item of a return.
pub(crate) const INCOMING_RETURN: &[Field] = &[
    must("warehouseId", SHORT),
    may("quantityBlocked", Kind::Number),
    may("quantity", Kind::Number),
    may("note", LONG),
    may("batch", SHORT),
    may("bestBefore", BEST_BEFORE),
    must("fulfillerTimestamp", Kind::When),
    may("fulfillerStockChangeId", SHORT),
];

/// Body of an adjustment of the stock.
pub(crate) const ADJUSTMENT: &[Field] = &[
    may("fulfillerStockChangeId", SHORT),
    must("jfsku", Kind::Text(11, 11)),
    must("warehouseId", Kind::Text(14, 255)),
    may("quantity", Kind::Number),
    may("quantityBlocked", Kind::Number),
    may("batch", SHORT),
    may("bestBefore", BEST_BEFORE),
    may("note", LONG),
    must("fulfillerTimestamp", Kind::When),
];

const REASONS: Kind = Kind::Choice(&[
    "NoReason",
    "OrderedByMistake",
    "FoundCheaperPrice",
    "InsufficientPerformanceOrQuality",
    "IncompatibleOrNotAppropriateForIntendedUse",
    "ShippingPackagingIntactItemDamaged",
    "ArrivedTooLate",
    "PartsAccessoriesMissing",
    "ShippingPackageAndItemDamaged",
    "WrongItemSent",
    "DefectiveDoesNotWorkPerfectly",
    "ExcessDelivery",
    "DoNotLikeAnymore",
    "UnauthorisedPurchase",
    "DoesNotMatchDescriptionOnWebsite",
    "RecipientCouldNotBeDetermined",
    "PickUpTimeExpired",
]);

const RETURN_LINE: &[Field] = &[
    may("returnItemId", SHORT),
    may("jfsku", Kind::Text(11, 11)),
    may("merchantSku", SHORT),
    may("outboundId", SHORT),
    may("outboundItemId", SHORT),
    must("quantity", Kind::Number),
    may("reason", REASONS),
    may("reasonNote", LONG),
];

/// Body of the merchant's new return.
pub(crate) const MERCHANT_RETURN: &[Field] = &[
    may("returnId", SHORT),
    must("warehouseId", SHORT),
    may("internalNote", LONG),
    may("externalNote", LONG),
    must("merchantReturnNumber", Kind::Text(1, 255)),
    must("customerAddress", ADDRESS),
    must("items", Kind::List(1, &Kind::Object(RETURN_LINE))),
    may("contact", SHORT),
];

/// Body of the fulfiller's new return.
pub(crate) const FULFILLER_RETURN: &[Field] = &[
    may("returnId", SHORT),
    must("merchantId", SHORT),
    must("warehouseId", SHORT),
    may("internalNote", LONG),
    may("externalNote", LONG),
    must("fulfillerReturnNumber", Kind::Text(1, 255)),
    must("customerAddress", ADDRESS),
    must("items", Kind::List(1, &Kind::Object(RETURN_LINE))),
    may("contact", SHORT),
];

/// Body of a change of a return.
pub(crate) const UPDATE_RETURN: &[Field] = &[
    may("warehouseId", SHORT),
    may("merchantReturnNumber", SHORT),
    may("fulfillerReturnNumber", SHORT),
    may("internalNote", LONG),
    may("externalNote", LONG),
    may("customerAddress", ADDRESS_CHANGE),
    may("contact", SHORT),
];

/// Body of a new item of a return.
pub(crate) const CREATE_RETURN_ITEM: &[Field] = RETURN_LINE;

/// Body of a part of an item of a return.
pub(crate) const SPLIT_RETURN_ITEM: &[Field] = &[must("quantity", Kind::Number), may("returnItemId", SHORT)];

const CONDITIONS: Kind = Kind::Choice(&["Unknown", "Default", "Refurbished", "Used", "Damaged"]);

/// Body of a change of an item of a return; the merchant has no condition.
pub(crate) const UPDATE_RETURN_ITEM: &[Field] = &[
    may("quantity", Kind::Number),
    may("reason", REASONS),
    may("reasonNote", LONG),
    may("state", Kind::Choice(&["Announced", "Arrived", "Completed"])),
    may("condition", CONDITIONS),
    may("conditionNote", LONG),
];

/// Body of a new product.
pub(crate) const CREATE_PRODUCT: &[Field] = &[
    must("name", Kind::Text(1, 255)),
    must("merchantSku", Kind::Text(1, 255)),
    may("productGroup", SHORT),
    may("originCountry", Kind::Letters(2)),
    may("manufacturer", SHORT),
    may("weight", Kind::Number),
    may("netWeight", Kind::Number),
    may("note", LONG),
    must("identifier", Kind::Any),
    may("specifications", Kind::Any),
    may("dimensions", Kind::Any),
    may("attributes", Kind::List(0, &ATTRIBUTE)),
    may("netRetailPrice", Kind::Any),
    may("bundles", Kind::List(0, &Kind::Any)),
    may("condition", CONDITIONS),
];

/// Body of a change of a product.
pub(crate) const UPDATE_PRODUCT: &[Field] = &[
    may("name", Kind::Text(1, 255)),
    may("merchantSku", Kind::Text(1, 255)),
    may("productGroup", SHORT),
    may("originCountry", Kind::Letters(2)),
    may("manufacturer", SHORT),
    may("weight", Kind::Number),
    may("netWeight", Kind::Number),
    may("note", LONG),
    may("identifier", Kind::Any),
    may("specifications", Kind::Any),
    may("dimensions", Kind::Any),
    may("attributes", Kind::List(0, &ATTRIBUTE)),
    may("netRetailPrice", Kind::Any),
    may("bundles", Kind::List(0, &Kind::Any)),
    may("condition", CONDITIONS),
];

/// Body that shares products.
pub(crate) const SHARE: &[Field] = &[must("fulfillerId", Kind::Text(4, 4))];

/// Body of a new warehouse.
pub(crate) const CREATE_WAREHOUSE: &[Field] = &[must("name", Kind::Text(1, 255)), must("address", ADDRESS)];

/// Body of a change of a warehouse.
pub(crate) const UPDATE_WAREHOUSE: &[Field] = &[may("name", Kind::Text(1, 255)), may("address", ADDRESS_CHANGE)];

/// Body of a new shipping method.
pub(crate) const CREATE_METHOD: &[Field] = &[
    must("name", Kind::Text(1, 255)),
    must("shippingType", Kind::Choice(SHIPPING_TYPES)),
    may("trackingUrlSchema", SHORT),
    may("carrierCode", SHORT),
    may("carrierName", SHORT),
    may("cutoffTime", SHORT),
    may("note", LONG),
    must("fulfillerShippingMethodNumber", Kind::Text(1, 255)),
];

/// Body of a change of a shipping method.
pub(crate) const UPDATE_METHOD: &[Field] = &[
    may("name", Kind::Text(1, 255)),
    may("trackingUrlSchema", SHORT),
    may("carrierCode", SHORT),
    may("carrierName", SHORT),
    may("note", LONG),
    may("cutoffTime", SHORT),
];

/// Body of a document of an outbound.
pub(crate) const CREATE_ATTACHMENT: &[Field] = &[
    must("data", Kind::Bytes),
    must("merchantDocumentId", Kind::Text(1, 255)),
    must("documentType", Kind::Choice(&["Invoice", "DeliveryNote", "ShippingLabel", "Custom"])),
];

/// Body of a picture of a product.
pub(crate) const CREATE_PICTURE: &[Field] = &[must("data", Kind::Bytes), may("number", Kind::Whole(0, 2_147_483_647))];

/// Body of the merchant's link to a product in another condition.
pub(crate) const MERCHANT_RELATED: &[Field] = &[must("jfsku", Kind::Text(11, 11))];

/// Body of the fulfiller's product in another condition.
pub(crate) const FULFILLER_RELATED: &[Field] = &[must("condition", CONDITIONS)];

/// Body of an Amazon credential.
pub(crate) const CREATE_CREDENTIAL: &[Field] = &[
    must("sellerId", Kind::Text(1, 255)),
    must("mwsAuthToken", Kind::Text(1, 255)),
    must(
        "platform",
        Kind::Choice(&[
            "Amazon_de",
            "Amazon_com",
            "Amazon_co_uk",
            "Amazon_fr",
            "Amazon_ca",
            "Amazon_it",
            "Amazon_es",
            "Amazon_com_mx",
            "Amazon_com_au",
        ]),
    ),
];

/// Body of a shipping label.
pub(crate) const CREATE_LABEL: &[Field] = &[must(
    "amazonSfpShippingLabelData",
    Kind::Object(&[
        must("carrierWillPickUp", Kind::Bool),
        must("insurance", Kind::Bool),
        must("useWarehouseAddressForSenderAddress", Kind::Bool),
        must(
            "deliveryExperience",
            Kind::Choice(&[
                "DeliveryConfirmationWithoutSignature",
                "DeliveryConfirmationWithAdultSignature",
                "DeliveryConfirmationWithSignature",
                "NoTracking",
            ]),
        ),
        may("shippingServiceId", SHORT),
        must("weight", Kind::Number),
        must(
            "dimensions",
            Kind::Object(&[must("width", Kind::Number), must("length", Kind::Number), must("height", Kind::Number)]),
        ),
    ]),
)];

/// Body that lets a merchant use a warehouse.
pub(crate) const GRANT_WAREHOUSE: &[Field] =
    &[must("warehouseId", Kind::Text(14, 255)), must("shippingMethods", Kind::List(1, &Kind::Object(GRANT_METHOD)))];

/// Body that lets a merchant use a shipping method.
pub(crate) const GRANT_METHOD: &[Field] = &[must("shippingMethodId", Kind::Text(4, 255))];

/// Body of the fulfiller's change of an outbound's warehouse.
pub(crate) const CHANGE_WAREHOUSE: &[Field] = &[must("warehouseId", Kind::Text(14, 255))];

/// What is wrong with an id that its creator chose; `code` says what it is of.
pub(crate) fn own_id(id: &str, target: &str, user: &str, code: &str) -> Option<Flaw> {
    let own = format!("{user}{code}");
    let fits = (7..=16).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()) && id.starts_with(&own);
    let message = || format!("7 to 16 letters and digits that start with {own} are needed");
    (!fits).then(|| Flaw { target: target.to_owned(), message: message() })
}

/// Checks a body and answers its known members.
pub(crate) fn check(body: &Json, fields: &'static [Field]) -> Result<Json, Vec<Flaw>> {
    let mut flaws = Vec::new();
    let clean = walk_object(body, fields, "", &mut flaws);
    if flaws.is_empty() { Ok(clean) } else { Err(flaws) }
}

/// The members that a change sets to null, which clears them.
pub(crate) fn cleared(body: &Json, fields: &'static [Field]) -> Vec<&'static str> {
    fields.iter().filter(|f| body.get(f.name) == Some(&Json::Null)).map(|f| f.name).collect()
}

/// A recipient needs a name.
pub(crate) fn check_address(address: &Json, target: &str, flaws: &mut Vec<Flaw>) {
    let named = |name| address.text(name).is_some_and(|text| !text.trim().is_empty());
    if !named("company") && !named("lastname") {
        flaws.push(Flaw { target: target.to_owned(), message: "company or lastname is required".to_owned() });
    }
}

fn walk_object(value: &Json, fields: &'static [Field], path: &str, flaws: &mut Vec<Flaw>) -> Json {
    if !matches!(value, Json::Obj(_)) {
        flaws.push(Flaw { target: path.to_owned(), message: "an object is required".to_owned() });
        return Json::Null;
    }
    let mut out = Vec::new();
    for field in fields {
        let target = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        match value.get(field.name) {
            None | Some(Json::Null) => {
                if field.needed {
                    flaws.push(Flaw { message: format!("the field {} is required", field.name), target });
                }
            }
            Some(member) => out.push((field.name.to_owned(), walk(member, &field.kind, &target, flaws))),
        }
    }
    Json::Obj(out)
}

fn walk(value: &Json, kind: &'static Kind, path: &str, flaws: &mut Vec<Flaw>) -> Json {
    let problem = match (kind, value) {
        (Kind::Object(fields), _) => return walk_object(value, fields, path, flaws),
        (Kind::List(least, of), Json::Arr(values)) => {
            if values.len() >= *least {
                return Json::Arr(
                    values.iter().enumerate().map(|(n, v)| walk(v, of, &format!("{path}[{n}]"), flaws)).collect(),
                );
            }
            Some(format!("at least {least} needed"))
        }
        (Kind::Text(least, most), Json::Str(text)) => length(text, *least, *most),
        (Kind::Line(least, most), Json::Str(text)) => length(text, *least, *most)
            .or_else(|| text.contains(['\r', '\n']).then(|| "line breaks are not allowed".to_owned())),
        (Kind::Letters(count), Json::Str(text)) => {
            let fits = text.len() == *count && text.bytes().all(|b| b.is_ascii_alphabetic());
            (!fits).then(|| format!("exactly {count} letters needed"))
        }
        (Kind::Whole(least, most), Json::Num(literal)) => {
            let fits = literal.parse::<i64>().is_ok_and(|n| n >= *least && n <= *most);
            (!fits).then(|| format!("a whole number from {least} to {most} is needed"))
        }
        (Kind::Number, Json::Num(literal)) => {
            Decimal::parse(literal).is_none().then(|| "the number has too many digits".to_owned())
        }
        (Kind::Any, Json::Obj(_)) | (Kind::Bool, Json::Bool(_)) => None,
        (Kind::Bytes, Json::Str(text)) => STANDARD.decode(text).is_err().then(|| "no base64".to_owned()),
        (Kind::When, Json::Str(text)) => match clock::parse(text) {
            // Given back the way the API writes times, not the way they came.
            Some(at) => return clock::format_ms(at.timestamp_millis(), false).into(),
            None => Some("no date-time".to_owned()),
        },
        (Kind::Choice(names), Json::Str(text)) => {
            (!names.contains(&text.as_str())).then(|| format!("one of {} is needed", names.join(", ")))
        }
        _ => Some("wrong type".to_owned()),
    };
    if let Some(message) = problem {
        flaws.push(Flaw { target: path.to_owned(), message });
    }
    value.clone()
}

fn length(text: &str, least: usize, most: usize) -> Option<String> {
    let count = text.chars().count();
    (count < least || count > most).then(|| format!("{least} to {most} characters needed, there are {count}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(change: impl Fn(&mut Json)) -> Result<Json, Vec<Flaw>> {
        let mut body = Json::parse(
            r#"{"merchantOutboundNumber":"A-1","warehouseId":"WARE04MAIN-00001-0001","currency":"EUR","made":"up",
            "shippingAddress":{"lastname":"B","street":"S","city":"C","country":"DE"},
            "items":[{"outboundItemId":"1","quantity":1.10,"merchantSku":"M","note":null}]}"#,
        )
        .unwrap();
        change(&mut body);
        check(&body, CREATE_OUTBOUND)
    }

    fn targets(result: Result<Json, Vec<Flaw>>) -> Vec<String> {
        result.unwrap_err().into_iter().map(|flaw| flaw.target).collect()
    }

    #[test]
    fn a_good_body_keeps_known_members_only() {
        let clean = order(|_| ()).unwrap();
        assert!(clean.get("made").is_none());
        assert!(clean.to_string().contains(r#""items":[{"outboundItemId":"1","quantity":1.10,"merchantSku":"M"}]"#));
    }

    #[test]
    fn flaws_name_their_place() {
        assert_eq!(targets(order(|b| b.remove("currency"))), ["currency"]);
        assert_eq!(targets(order(|b| b.set("items", Json::Arr(vec![])))), ["items"]);
        assert_eq!(
            targets(order(|b| b.set("items", Json::parse(r#"[{"outboundItemId":"1"}]"#).unwrap()))),
            ["items[0].quantity"]
        );
        assert_eq!(targets(order(|b| b.set("merchantOutboundNumber", "a\nb".into()))), ["merchantOutboundNumber"]);
        assert_eq!(targets(order(|b| b.set("status", "Shipped".into()))), ["status"]);
        assert_eq!(targets(order(|b| b.set("priority", Json::Num("6".into())))), ["priority"]);
        assert_eq!(targets(order(|b| b.set("shippingFee", "1.0".into()))), ["shippingFee"]);
        assert_eq!(targets(check(&Json::Arr(vec![]), CREATE_OUTBOUND)), [""]);
    }

    #[test]
    fn times_come_back_in_the_words_of_the_api() {
        let clean = order(|b| b.set("desiredDeliveryDate", "2026-01-05T12:00:00+01:00".into())).unwrap();
        assert_eq!(clean.text("desiredDeliveryDate"), Some("2026-01-05T11:00:00.000+00:00"));
        assert_eq!(targets(order(|b| b.set("desiredDeliveryDate", "tomorrow".into()))), ["desiredDeliveryDate"]);
    }

    #[test]
    fn nulls_of_a_change_clear() {
        let body = Json::parse(r#"{"externalNote":null,"priority":1,"unknown":null}"#).unwrap();
        assert_eq!(cleared(&body, UPDATE_OUTBOUND), ["externalNote"]);
    }
}
