//! The table of all commands, and the parameters of their paths.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::super::document::object_of;
use super::inbound::{InboundChange, InboundNumber, InboundShipment, IncomingGoods, NewInbound, NewInboundShipment};
use super::outbound::{
    Cancellation, FulfillerStatus, MerchantStatus, NewAttachment, NewLabel, NewOutbound, NewShipment, OutboundChange,
    OutboundNumber, StatusChanges, WarehouseChange as OutboundWarehouse,
};
use super::place::{
    NewCredential, NewShippingMethod, NewWarehouse, ShippingMethodChange, ShippingMethodDetails, ShippingMethodGrant,
    WarehouseChange, WarehouseGrant,
};
use super::product::{NewPicture, NewProduct, ProductChange, ProductDetails, RelatedProduct, Share, Sku, Variant};
use super::query::{At, CompleteStock, Completion, List, OfFulfiller, OfWarehouse, Oversale, Related, Version};
use super::returns::{
    ChangedFulfillerNumber, ChangedMerchantNumber, Finding, FulfillerReturn, FulfillerReturnItem,
    FulfillerReturnNumber, MerchantReturn, MerchantReturnItem, MerchantReturnNumber, NewReturn, ReturnChange,
    ReturnItemChange, Split,
};
use super::stock::{Booking, ReturnWarehouse, StockBooking};
use super::values::{Int32, Jfsku, PathId, UserId};
use super::{CommandSpec, Role};
use crate::schema::rules;

const M: &[Role] = &[Role::Merchant];
const F: &[Role] = &[Role::Fulfiller];
const BOTH: &[Role] = &[Role::Merchant, Role::Fulfiller];

const PATCH: &str = "Absent leaves a member as it is, null clears it; lists are replaced whole.";
const BOOKING: &str = "One of `quantity` and `quantityBlocked` is not zero.";

/// Every command, by kind of entity; see [`CommandSpec`].
#[rustfmt::skip]
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::new(M, "outbound.create", "POST outbounds", "Creates an order to ship.",
        &[object_of::<NewOutbound>, object_of::<Oversale>, object_of::<Completion>])
        .noting("`outboundItemId` is unique within the order. `autoCompleteBillOfMaterials: true` excludes `billOfMaterialsId` on the lines.")
        .checked(&[rules::order_lines, rules::bundles]),
    CommandSpec::new(M, "outbound.update", "PATCH outbounds/{outboundId}", "Changes an order that the fulfiller has not yet taken too far.",
        &[object_of::<OutboundChange>, object_of::<Oversale>, object_of::<Completion>])
        .noting(PATCH)
        .checked(&[rules::order_lines, rules::bundles]),
    CommandSpec::new(M, "outbound.cancel", "PUT outbounds/{outboundId}/status", "Cancels an order.",
        &[object_of::<Cancellation>])
        .noting("The status is not part of the command."),
    CommandSpec::new(F, "outbound.cancel", "PUT outbounds/{outboundId}/status", "Cancels an order.",
        &[object_of::<Cancellation>, object_of::<Version>])
        .noting("The status is not part of the command."),
    CommandSpec::new(M, "outbound.change-status", "PUT outbounds/{outboundId}/status", "Sets an order's status.",
        &[object_of::<MerchantStatus>, object_of::<Cancellation>])
        .noting("`Pending` releases an order in `Preparation`; what else is allowed, FFN decides.")
        .checked(&[rules::cancel_reason]),
    CommandSpec::new(F, "outbound.change-status", "PUT outbounds/{outboundId}/status", "Sets an order's status.",
        &[object_of::<FulfillerStatus>, object_of::<Cancellation>, object_of::<Version>])
        .checked(&[rules::cancel_reason]),
    CommandSpec::new(F, "outbounds.change-status", "POST outbounds/status", "Sets the status of many orders.",
        &[object_of::<StatusChanges>])
        .noting("The answer has an entry for each: some may fail.")
        .checked(&[rules::cancel_reasons]),
    CommandSpec::new(F, "outbound.change-warehouse", "PUT outbounds/{outboundId}/warehouse", "Moves an order to another warehouse.",
        &[object_of::<OutboundWarehouse>, object_of::<Oversale>]),
    CommandSpec::new(BOTH, "outbound.get", "GET outbounds/{outboundId}", "Reads an order.", &[]),
    CommandSpec::new(BOTH, "outbound.find", "GET outbounds", "Reads the orders with a merchant's number.",
        &[object_of::<OutboundNumber>]),
    CommandSpec::new(BOTH, "outbounds.list", "GET outbounds", "Lists orders.", &[object_of::<List>]),

    CommandSpec::new(M, "attachment.create", "POST outbounds/{outboundId}/attachments", "Adds a document to an order.",
        &[object_of::<NewAttachment>])
        .checked(&[rules::data]),
    CommandSpec::new(BOTH, "attachment.get", "GET outbounds/{outboundId}/attachments/{merchantDocumentId}", "Reads a document of an order.", &[]),
    CommandSpec::new(M, "attachment.delete", "DELETE outbounds/{outboundId}/attachments/{merchantDocumentId}", "Takes a document from an order.", &[]),

    CommandSpec::new(F, "shipment.create", "POST outbounds/{outboundId}/shipping-notifications", "Tells that parcels of an order left.",
        &[object_of::<NewShipment>])
        .noting("FFN takes the stock out by itself.")
        .checked(&[rules::best_before_of_items]),
    CommandSpec::new(BOTH, "shipment.get", "GET outbounds/{outboundId}/shipping-notifications/{shippingNotificationId}", "Reads a shipping notification of an order.", &[]),
    CommandSpec::new(BOTH, "shipments.list", "GET outbounds/{outboundId}/shipping-notifications", "Lists the shipping notifications of an order.", &[]),
    CommandSpec::new(F, "shipping-label.create", "POST outbounds/{outboundId}/shipping-labels", "Has a marketplace make a label.",
        &[object_of::<NewLabel>]),
    CommandSpec::new(F, "shipping-label.get", "GET outbounds/{outboundId}/shipping-labels/{shippingLabelId}", "Reads a label.", &[]),

    CommandSpec::new(M, "inbound.create", "POST inbounds", "Announces a delivery.", &[object_of::<NewInbound>])
        .noting("`inboundItemId` is unique within the delivery.")
        .checked(&[rules::delivery_lines]),
    CommandSpec::new(M, "inbound.update", "PATCH inbounds/{inboundId}", "Changes a delivery.", &[object_of::<InboundChange>])
        .noting(PATCH)
        .checked(&[rules::delivery_lines]),
    CommandSpec::new(BOTH, "inbound.close", "PUT inbounds/{inboundId}/close", "Ends a delivery; what is open is announced no more.", &[]),
    CommandSpec::new(BOTH, "inbound.get", "GET inbounds/{inboundId}", "Reads a delivery.", &[]),
    CommandSpec::new(BOTH, "inbound.find", "GET inbounds", "Reads the deliveries with a merchant's number.",
        &[object_of::<InboundNumber>]),
    CommandSpec::new(BOTH, "inbounds.list", "GET inbounds", "Lists deliveries.", &[object_of::<List>]),
    CommandSpec::new(F, "inbound.receive", "POST inbounds/{inboundId}/incoming-goods", "Books goods of a delivery that arrived.",
        &[object_of::<StockBooking>])
        .noting(BOOKING)
        .checked(&[rules::best_before]),
    CommandSpec::new(F, "inbound.receive-bulk", "POST inbounds/{inboundId}/incoming-goods/bulk", "Books many goods of a delivery that arrived.",
        &[object_of::<IncomingGoods>])
        .checked(&[rules::best_before_of_items]),

    CommandSpec::new(M, "inbound-shipment.create", "POST inbounds/{inboundId}/shipping-notifications", "Tells that parcels of a delivery left.",
        &[object_of::<NewInboundShipment>, object_of::<InboundShipment>])
        .checked(&[rules::packages, rules::best_before_of_items]),
    CommandSpec::new(M, "inbound-shipment.update", "PATCH inbounds/{inboundId}/shipping-notifications/{shippingNotificationId}", "Changes a shipping notification of a delivery.",
        &[object_of::<InboundShipment>])
        .noting(PATCH)
        .checked(&[rules::given_packages, rules::best_before_of_items]),
    CommandSpec::new(M, "inbound-shipment.delete", "DELETE inbounds/{inboundId}/shipping-notifications/{shippingNotificationId}", "Deletes a shipping notification of a delivery.", &[]),
    CommandSpec::new(BOTH, "inbound-shipment.get", "GET inbounds/{inboundId}/shipping-notifications/{shippingNotificationId}", "Reads a shipping notification of a delivery.", &[]),
    CommandSpec::new(BOTH, "inbound-shipments.list", "GET inbounds/{inboundId}/shipping-notifications", "Lists the shipping notifications of a delivery.", &[]),

    CommandSpec::new(M, "return.create", "POST returns", "Announces a return.",
        &[object_of::<MerchantReturn>, object_of::<NewReturn>])
        .checked(&[rules::return_lines]),
    CommandSpec::new(F, "return.create", "POST returns", "Announces a return.",
        &[object_of::<FulfillerReturn>, object_of::<NewReturn>])
        .checked(&[rules::return_lines]),
    CommandSpec::new(M, "return.update", "PATCH returns/{returnId}", "Changes a return.",
        &[object_of::<ChangedMerchantNumber>, object_of::<ReturnChange>, object_of::<Version>])
        .noting(PATCH),
    CommandSpec::new(F, "return.update", "PATCH returns/{returnId}", "Changes a return.",
        &[object_of::<ChangedFulfillerNumber>, object_of::<ReturnChange>, object_of::<Version>])
        .noting(PATCH),
    CommandSpec::new(BOTH, "return.delete", "DELETE returns/{returnId}", "Deletes a return.", &[]),
    CommandSpec::new(BOTH, "return.lock", "PUT returns/{returnId}/lock", "Keeps the other side from changing a return.", &[object_of::<Version>]),
    CommandSpec::new(BOTH, "return.unlock", "PUT returns/{returnId}/unlock", "Lets the other side change a return again.", &[object_of::<Version>]),
    CommandSpec::new(BOTH, "return.get", "GET returns/{returnId}", "Reads a return.", &[]),
    CommandSpec::new(M, "return.find", "GET returns", "Reads the returns with a number of yours.", &[object_of::<MerchantReturnNumber>]),
    CommandSpec::new(F, "return.find", "GET returns", "Reads the returns with a number of yours.", &[object_of::<FulfillerReturnNumber>]),
    CommandSpec::new(BOTH, "returns.list", "GET returns", "Lists returns.", &[object_of::<List>]),

    CommandSpec::new(M, "return-item.create", "POST returns/{returnId}/items", "Adds an item to a return.",
        &[object_of::<MerchantReturnItem>, object_of::<Version>])
        .checked(&[rules::return_line]),
    CommandSpec::new(F, "return-item.create", "POST returns/{returnId}/items", "Adds an item to a return.",
        &[object_of::<FulfillerReturnItem>, object_of::<Version>])
        .checked(&[rules::return_line]),
    CommandSpec::new(BOTH, "return-item.split", "POST returns/{returnId}/items/{returnItemId}", "Makes a part of a return's item an item of its own.",
        &[object_of::<Split>, object_of::<Version>]),
    CommandSpec::new(M, "return-item.update", "PATCH returns/{returnId}/items/{returnItemId}", "Changes an item of a return.",
        &[object_of::<ReturnItemChange>, object_of::<Version>])
        .noting(PATCH),
    CommandSpec::new(F, "return-item.update", "PATCH returns/{returnId}/items/{returnItemId}", "Changes an item of a return.",
        &[object_of::<ReturnItemChange>, object_of::<Finding>, object_of::<Version>])
        .noting(PATCH),
    CommandSpec::new(BOTH, "return-item.delete", "DELETE returns/{returnId}/items/{returnItemId}", "Takes an item from a return.", &[]),
    CommandSpec::new(F, "return-item.receive", "POST returns/{returnId}/items/{returnItemId}/incomming-goods", "Books goods of a return that arrived.",
        &[object_of::<ReturnWarehouse>, object_of::<Booking>, object_of::<Version>])
        .noting("One of `quantity` and `quantityBlocked` is the item's quantity.")
        .checked(&[rules::best_before]),
    CommandSpec::new(BOTH, "return-item.get", "GET returns/{returnId}/items/{returnItemId}", "Reads an item of a return.", &[]),

    CommandSpec::new(M, "product.create", "POST products", "Creates a product.", &[object_of::<NewProduct>, object_of::<ProductDetails>, object_of::<Related>])
        .noting("Fulfillers don't see it before it is shared."),
    CommandSpec::new(M, "product.update", "PATCH products/{jfsku}", "Changes a product.", &[object_of::<ProductChange>, object_of::<ProductDetails>])
        .noting(PATCH),
    CommandSpec::new(M, "product.delete", "DELETE products/{jfsku}", "Deletes a product without stock and open orders.", &[]),
    CommandSpec::new(BOTH, "product.get", "GET products/{jfsku}", "Reads a product.", &[]),
    CommandSpec::new(BOTH, "product.find", "GET products", "Reads the products with a merchant's SKU.", &[object_of::<Sku>]),
    CommandSpec::new(M, "products.list", "GET products", "Lists products.",
        &[object_of::<List>, object_of::<OfWarehouse>, object_of::<OfFulfiller>]),
    CommandSpec::new(F, "products.list", "GET products", "Lists products.", &[object_of::<List>, object_of::<OfWarehouse>]),
    CommandSpec::new(M, "product.share", "POST products/{jfsku}/authorizations", "Lets a fulfiller see a product.", &[object_of::<Share>]),
    CommandSpec::new(M, "product.unshare", "DELETE products/{jfsku}/authorizations/{fulfillerId}", "Hides a product from a fulfiller again.", &[]),
    CommandSpec::new(M, "products.share", "POST products/authorizations", "Lets a fulfiller see all products.", &[object_of::<Share>]),
    CommandSpec::new(M, "product-authorizations.list", "GET products/{jfsku}/authorizations", "Lists the fulfillers who see a product.", &[]),
    CommandSpec::new(M, "related-product.create", "POST products/{jfsku}/related-products/condition", "Makes a product's variant of another condition.",
        &[object_of::<RelatedProduct>])
        .noting("`relatedJfsku` becomes the `jfsku` of FFN's request body: in the command that name is the path's."),
    CommandSpec::new(F, "related-product.create", "POST products/{jfsku}/related-products/condition", "Makes a product's variant of another condition.",
        &[object_of::<Variant>]),
    CommandSpec::new(M, "picture.create", "POST products/{jfsku}/pictures", "Adds a picture to a product.", &[object_of::<NewPicture>])
        .checked(&[rules::data]),
    CommandSpec::new(M, "picture.delete", "DELETE products/{jfsku}/pictures/{number}", "Takes a picture from a product.", &[]),
    CommandSpec::new(BOTH, "picture.get", "GET products/{jfsku}/pictures/{number}", "Reads a picture of a product.", &[]),

    CommandSpec::new(M, "credential.create", "POST credentials/amazonSfp", "Stores an account at Amazon.", &[object_of::<NewCredential>]),
    CommandSpec::new(M, "credential.delete", "DELETE credentials/amazonSfp/{credentialId}", "Deletes an account at Amazon.", &[]),
    CommandSpec::new(M, "credential.get", "GET credentials/amazonSfp/{credentialId}", "Reads an account at Amazon.", &[]),
    CommandSpec::new(M, "credentials.list", "GET credentials/amazonSfp", "Lists the accounts at Amazon.", &[]),

    CommandSpec::new(F, "stock.adjust", "POST stocks/adjustments", "Corrects a stock.", &[object_of::<StockBooking>])
        .noting("For exceptions only: deliveries, parcels and returns book their stock themselves. One of `quantity` and `quantityBlocked` is not zero.")
        .checked(&[rules::best_before]),
    CommandSpec::new(BOTH, "stock.get", "GET stocks/{jfsku}", "Reads the stock of a product.", &[object_of::<At>]),
    CommandSpec::new(BOTH, "stock.get-in-warehouse", "GET stocks/{jfsku}/{warehouseId}", "Reads the stock of a product in a warehouse.", &[object_of::<At>]),
    CommandSpec::new(BOTH, "stocks.list", "GET stocks", "Lists stocks.", &[object_of::<List>, object_of::<At>]),
    CommandSpec::new(BOTH, "stocks.list-in-warehouse", "GET stocks/warehouse/{warehouseId}", "Lists the stocks in a warehouse.",
        &[object_of::<List>, object_of::<At>]),
    CommandSpec::new(M, "stocks.list-complete", "GET stocks/complete", "Lists all stocks, also of products without any.", &[object_of::<CompleteStock>]),
    CommandSpec::new(BOTH, "stock-changes.list", "GET stocks/changes", "Lists entries of the stock ledger.", &[object_of::<List>, object_of::<At>]),

    CommandSpec::new(F, "warehouse.create", "POST warehouses", "Creates a warehouse.", &[object_of::<NewWarehouse>]),
    CommandSpec::new(F, "warehouse.update", "PATCH warehouses/{warehouseId}", "Changes a warehouse.", &[object_of::<WarehouseChange>])
        .noting(PATCH),
    CommandSpec::new(F, "warehouse.delete", "DELETE warehouses/{warehouseId}", "Deletes a warehouse that is granted to nobody.", &[]),
    CommandSpec::new(BOTH, "warehouse.get", "GET warehouses/{warehouseId}", "Reads a warehouse.", &[]),
    CommandSpec::new(BOTH, "warehouses.list", "GET warehouses", "Lists warehouses.", &[object_of::<List>]),

    CommandSpec::new(F, "shipping-method.create", "POST shippingmethods", "Creates a shipping method.", &[object_of::<NewShippingMethod>, object_of::<ShippingMethodDetails>]),
    CommandSpec::new(F, "shipping-method.update", "PATCH shippingmethods/{shippingMethodId}", "Changes a shipping method.",
        &[object_of::<ShippingMethodChange>, object_of::<ShippingMethodDetails>])
        .noting(PATCH),
    CommandSpec::new(F, "shipping-method.delete", "DELETE shippingmethods/{shippingMethodId}", "Deletes a shipping method.", &[]),
    CommandSpec::new(BOTH, "shipping-method.get", "GET shippingmethods/{shippingMethodId}", "Reads a shipping method.", &[]),
    CommandSpec::new(BOTH, "shipping-methods.list", "GET shippingmethods", "Lists shipping methods.", &[object_of::<List>]),

    CommandSpec::new(F, "authorization.grant-warehouse", "POST authorizations/{merchantId}/warehouses", "Lets a merchant use a warehouse.",
        &[object_of::<WarehouseGrant>]),
    CommandSpec::new(F, "authorization.revoke-warehouse", "DELETE authorizations/{merchantId}/warehouses/{warehouseId}", "Takes a warehouse from a merchant.", &[]),
    CommandSpec::new(F, "authorization.grant-shipping-method", "POST authorizations/{merchantId}/warehouses/{warehouseId}/shippingMethods", "Lets a merchant use a shipping method.",
        &[object_of::<ShippingMethodGrant>]),
    CommandSpec::new(F, "authorization.revoke-shipping-method", "DELETE authorizations/{merchantId}/warehouses/{warehouseId}/shippingMethods/{shippingMethodId}", "Takes a shipping method from a merchant.", &[]),
    CommandSpec::new(F, "authorization.get", "GET authorizations/{merchantId}", "Reads what a merchant may use.", &[]),
    CommandSpec::new(F, "authorizations.list", "GET authorizations", "Lists what merchants may use.", &[object_of::<List>]),

    CommandSpec::new(F, "merchant.get", "GET merchants/{merchantId}", "Reads a merchant.", &[]),
    CommandSpec::new(F, "merchants.list", "GET merchants", "Lists merchants.", &[object_of::<List>]),
    CommandSpec::new(M, "fulfiller.get", "GET fulfillers/{fulfillerId}", "Reads a fulfiller.", &[]),
    CommandSpec::new(M, "fulfillers.list", "GET fulfillers", "Lists fulfillers.", &[object_of::<List>]),
    CommandSpec::new(BOTH, "user.get", "GET /v1/users/current", "Reads who the account is.", &[]),
    CommandSpec::new(BOTH, "cancel-reasons.list", "GET /v1/cancelreasons", "Lists the codes of reasons to cancel.", &[]),
];

/// The schema of a path's parameter, by its name (contract 9).
pub(super) fn parameter(name: &str, generator: &mut SchemaGenerator) -> Value {
    let schema = match name {
        "jfsku" => Jfsku::json_schema(generator),
        "merchantId" | "fulfillerId" => UserId::json_schema(generator),
        "number" => Int32::json_schema(generator),
        _ => PathId::json_schema(generator),
    };
    let mut schema = schema.to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), about(name).into());
    }
    schema
}

/// What a path's parameter names.
fn about(name: &str) -> &'static str {
    match name {
        "outboundId" => "The order: FFN's id, or for merchants also the `merchantOutboundNumber`.",
        "merchantDocumentId" => "The document: the id that its merchant gave it.",
        "shippingNotificationId" => "The shipping notification: FFN's id, or the number that its maker gave it.",
        "shippingLabelId" => "The label.",
        "inboundId" => "The delivery: FFN's id, or for merchants also the `merchantInboundNumber`.",
        "returnId" => "The return: FFN's id.",
        "returnItemId" => "The return's item: FFN's id.",
        "jfsku" => "The product: FFN's id.",
        "fulfillerId" => "The fulfiller.",
        "merchantId" => "The merchant.",
        "number" => "The picture's place among the product's.",
        "credentialId" => "The account at Amazon, by FFN's id.",
        "warehouseId" => "The warehouse.",
        "shippingMethodId" => "The shipping method.",
        _ => "",
    }
}
