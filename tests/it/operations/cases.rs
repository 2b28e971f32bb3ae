//! For each operation a command that can be carried out, with all that has to be there before.

use ffn_bridge::domain::account::Role;
use serde_json::{Value, json};

use super::Stage;
use crate::support::order;

pub const MAIN: &str = "WARE04MAIN-00001-0001";
pub const SIDE: &str = "WARE04SIDE-00002-0001";
pub const MUG: &str = "ACME01A1B2C";
pub const STANDARD: &str = "WARE0A0001";
pub const EXPRESS: &str = "WARE0A0002";
pub const NOON: &str = "2026-01-05T12:00:00Z";
/// The first bytes of a PNG picture, and of a PDF document.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
pub const PDF: &str = "JVBERi0xLjQKJSVFT0YK";

/// Makes what the operation needs and gives the command's body.
pub async fn prepare(stage: &mut Stage, name: &str, role: Role) -> Value {
    let tag = stage.tag();
    match name {
        "outbound.create" => order(&tag),
        "outbound.find" => {
            make_order(stage, &tag).await;
            json!({"merchantOutboundNumber": tag})
        }
        "inbound.find" => {
            make_inbound(stage, &tag).await;
            json!({"merchantInboundNumber": tag})
        }
        "product.find" => json!({"merchantSku": "MUG-BLUE"}),
        "return.find" => {
            let (account, body, number) = new_return(role, &tag);
            stage.done(account, "return.create", body).await;
            json!({number: tag})
        }
        "outbound.change-status" if role == Role::Merchant => {
            let mut body = order(&tag);
            body["status"] = json!("Preparation");
            let order = stage.done("acme", "outbound.create", body).await;
            json!({"outboundId": order["outboundId"], "status": "Pending"})
        }
        "outbounds.change-status" => {
            let (one, other) = (make_order(stage, &tag).await, make_order(stage, &format!("{tag}-2")).await);
            json!({"items": [
                {"outboundId": one, "status": "Acknowledged"}, {"outboundId": other, "status": "Pickprocess"}
            ]})
        }
        "shipping-label.create" | "shipping-label.get" => labelled(stage, name, &tag).await,
        _ if name.starts_with("outbound.") || name.starts_with("attachment.") || name.starts_with("shipment") => {
            of_order(stage, name, &tag).await
        }
        "inbound.create" => new_inbound(&tag),
        _ if name.starts_with("inbound.") || name.starts_with("inbound-shipment") => {
            of_inbound(stage, name, &tag).await
        }
        "return.create" => new_return(role, &tag).1,
        _ if name.starts_with("return.") || name.starts_with("return-item.") => {
            of_return(stage, name, role, &tag).await
        }
        _ if name.contains("product") || name.starts_with("picture.") => of_product(stage, name, role, &tag).await,
        "credential.create" => new_credential(&tag),
        "credential.get" | "credential.delete" => {
            let made = stage.done("acme", "credential.create", new_credential(&tag)).await;
            json!({"credentialId": made["credentialId"]})
        }
        "stock.adjust" => {
            json!({"jfsku": MUG, "warehouseId": MAIN, "quantity": 5, "fulfillerTimestamp": NOON})
        }
        "stock.get" => json!({"jfsku": MUG}),
        "stock.get-in-warehouse" => json!({"jfsku": MUG, "warehouseId": MAIN}),
        "stocks.list-in-warehouse" => json!({"warehouseId": MAIN}),
        "stocks.list-complete" | "user.get" | "cancel-reasons.list" | "credentials.list" => json!({}),
        "stock-changes.list" => json!({"$top": 3, "$orderBy": "modificationInfo/createdAt"}),
        _ if name.ends_with("s.list") => json!({"$top": 3}),
        "warehouse.create" => new_warehouse(&tag),
        "warehouse.get" => json!({"warehouseId": MAIN}),
        "warehouse.update" | "warehouse.delete" => {
            let id = make_warehouse(stage, &tag).await;
            match name {
                "warehouse.update" => json!({"warehouseId": id, "name": format!("{tag} anew")}),
                _ => json!({"warehouseId": id}),
            }
        }
        "shipping-method.create" => new_method(&tag),
        "shipping-method.get" => json!({"shippingMethodId": STANDARD}),
        "shipping-method.update" | "shipping-method.delete" => {
            let made = stage.done("ware", "shipping-method.create", new_method(&tag)).await;
            match name {
                "shipping-method.update" => json!({"shippingMethodId": made["shippingMethodId"], "note": tag}),
                _ => json!({"shippingMethodId": made["shippingMethodId"]}),
            }
        }
        _ if name.starts_with("authorization.") => of_grant(stage, name, &tag).await,
        "merchant.get" => json!({"merchantId": "ACME"}),
        "fulfiller.get" => json!({"fulfillerId": "WARE"}),
        _ => panic!("no command is known for {name} of a {role}"),
    }
}

async fn make_order(stage: &mut Stage, number: &str) -> Value {
    stage.done("acme", "outbound.create", order(number)).await["outboundId"].clone()
}

async fn of_order(stage: &mut Stage, name: &str, tag: &str) -> Value {
    let id = make_order(stage, tag).await;
    let document = json!({"outboundId": id, "merchantDocumentId": tag, "documentType": "Invoice", "data": PDF});
    let shipment = json!({
        "outboundId": id, "fulfillerShippingNotificationNumber": tag,
        "items": [{"jfsku": MUG, "quantity": 1}],
        "packages": [{"shippingMethodId": STANDARD, "shippingDate": NOON,
            "identifier": [{"identifierType": "TrackingId", "value": tag}]}]
    });
    match name {
        "outbound.update" => json!({"outboundId": id, "internalNote": tag, "orderValue": 1.10}),
        "outbound.cancel" => json!({"outboundId": id, "cancelReason": "changed their mind"}),
        "outbound.change-status" => json!({"outboundId": id, "status": "Acknowledged"}),
        "outbound.change-warehouse" => json!({"outboundId": id, "warehouseId": SIDE}),
        "outbound.get" | "shipments.list" => json!({"outboundId": id}),
        "attachment.create" => document,
        "attachment.get" | "attachment.delete" => {
            stage.done("acme", "attachment.create", document).await;
            json!({"outboundId": id, "merchantDocumentId": tag})
        }
        "shipment.create" => shipment,
        "shipment.get" => {
            stage.done("ware", "shipment.create", shipment).await;
            json!({"outboundId": id, "shippingNotificationId": tag})
        }
        _ => panic!("no command is known for {name}"),
    }
}

async fn labelled(stage: &mut Stage, name: &str, tag: &str) -> Value {
    stage.done("acme", "credential.create", new_credential(tag)).await;
    let mut body = order(tag);
    body["premiumType"] = json!("AmazonSellerFulfilledPrime");
    body["shippingLabelProviderData"] = json!({"amazonSfpShippingLabelProviderData": {"sellerId": tag}});
    let id = stage.done("acme", "outbound.create", body).await["outboundId"].clone();
    let label = json!({"outboundId": id, "amazonSfpShippingLabelData": {
        "carrierWillPickUp": true, "insurance": false, "useWarehouseAddressForSenderAddress": false,
        "deliveryExperience": "NoTracking", "weight": 1.5, "dimensions": {"width": 0.2, "length": 0.3, "height": 0.1}
    }});
    match name {
        "shipping-label.create" => label,
        _ => {
            let made = stage.done("ware", "shipping-label.create", label).await;
            json!({"outboundId": id, "shippingLabelId": made["shippingLabelId"]})
        }
    }
}

pub fn new_inbound(tag: &str) -> Value {
    json!({"merchantInboundNumber": tag, "warehouseId": MAIN,
        "items": [{"inboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 7}]})
}

async fn make_inbound(stage: &mut Stage, tag: &str) -> Value {
    stage.done("acme", "inbound.create", new_inbound(tag)).await["inboundId"].clone()
}

async fn of_inbound(stage: &mut Stage, name: &str, tag: &str) -> Value {
    let id = make_inbound(stage, tag).await;
    let goods =
        |quantity: u32| json!({"jfsku": MUG, "warehouseId": MAIN, "quantity": quantity, "fulfillerTimestamp": NOON});
    let notification = json!({"inboundId": id, "merchantShippingNotificationNumber": tag,
        "items": [{"merchantSku": "MUG-BLUE", "quantity": 7, "packageId": 0}],
        "packages": [{"shippingDate": NOON, "carrierName": "DHL"}]});
    match name {
        "inbound.update" => json!({"inboundId": id, "note": tag}),
        "inbound.close" | "inbound.get" | "inbound-shipments.list" => json!({"inboundId": id}),
        "inbound.receive" => {
            let mut body = goods(2);
            body["inboundId"] = id;
            body
        }
        "inbound.receive-bulk" => json!({"inboundId": id, "items": [goods(1), goods(2)]}),
        "inbound-shipment.create" => notification,
        _ => {
            stage.done("acme", "inbound-shipment.create", notification).await;
            match name {
                "inbound-shipment.update" => json!({"inboundId": id, "shippingNotificationId": tag, "note": "late"}),
                "inbound-shipment.get" | "inbound-shipment.delete" => {
                    json!({"inboundId": id, "shippingNotificationId": tag})
                }
                _ => panic!("no command is known for {name}"),
            }
        }
    }
}

/// Who makes it, the command, and the member with its number.
fn new_return(role: Role, tag: &str) -> (&'static str, Value, &'static str) {
    let address = order("")["shippingAddress"].clone();
    let mut body = json!({"warehouseId": MAIN, "customerAddress": address,
        "items": [{"jfsku": MUG, "quantity": 3}, {"jfsku": MUG, "quantity": 1, "reason": "ArrivedTooLate"}]});
    match role {
        Role::Merchant => {
            body["merchantReturnNumber"] = json!(tag);
            ("acme", body, "merchantReturnNumber")
        }
        Role::Fulfiller => {
            body["fulfillerReturnNumber"] = json!(tag);
            body["merchantId"] = json!("ACME");
            ("ware", body, "fulfillerReturnNumber")
        }
    }
}

async fn of_return(stage: &mut Stage, name: &str, role: Role, tag: &str) -> Value {
    let (account, body, _) = new_return(role, tag);
    let made = stage.done(account, "return.create", body).await;
    let (id, item) = (&made["returnId"], &made["items"][0]["returnItemId"]);
    match name {
        "return.update" => json!({"returnId": id, "internalNote": tag}),
        "return.get" | "return.delete" | "return.lock" => json!({"returnId": id}),
        "return.unlock" => {
            stage.done(account, "return.lock", json!({"returnId": id})).await;
            json!({"returnId": id})
        }
        "return-item.create" => {
            json!({"returnId": id, "returnItemId": format!("{tag}-9"), "jfsku": MUG, "quantity": 9})
        }
        "return-item.split" => json!({"returnId": id, "returnItemId": item, "quantity": 2}),
        "return-item.update" => json!({"returnId": id, "returnItemId": item, "reasonNote": tag}),
        "return-item.get" | "return-item.delete" => json!({"returnId": id, "returnItemId": item}),
        "return-item.receive" => {
            let arrived = json!({"returnId": id, "returnItemId": item, "state": "Arrived", "condition": "Default"});
            stage.done("ware", "return-item.update", arrived).await;
            json!({"returnId": id, "returnItemId": item, "warehouseId": MAIN, "quantity": 3, "fulfillerTimestamp": NOON})
        }
        _ => panic!("no command is known for {name}"),
    }
}

pub fn new_product(tag: &str) -> Value {
    json!({"name": format!("Product {tag}"), "merchantSku": tag, "identifier": {"ean": "4006381333931"}, "weight": 0.350})
}

async fn make_product(stage: &mut Stage, tag: &str) -> Value {
    stage.done("acme", "product.create", new_product(tag)).await["jfsku"].clone()
}

async fn of_product(stage: &mut Stage, name: &str, role: Role, tag: &str) -> Value {
    match name {
        "product.create" => return new_product(tag),
        "product.get" => return json!({"jfsku": MUG}),
        "products.list" => return json!({"$top": 3}),
        "products.share" => {
            make_product(stage, tag).await;
            return json!({"fulfillerId": "WARE"});
        }
        _ => {}
    }
    let id = make_product(stage, tag).await;
    let share = json!({"jfsku": id, "fulfillerId": "WARE"});
    let picture = json!({"jfsku": id, "number": 4, "data": PNG});
    match name {
        "product.update" => json!({"jfsku": id, "note": tag, "weight": 0.40}),
        "product.delete" | "product-authorizations.list" => json!({"jfsku": id}),
        "product.share" => share,
        "product.unshare" => {
            stage.done("acme", "product.share", share.clone()).await;
            share
        }
        "related-product.create" => {
            stage.done("acme", "product.share", share).await;
            if role == Role::Fulfiller {
                return json!({"jfsku": id, "condition": "Used"});
            }
            let mut used = new_product(&format!("{tag}-used"));
            used["condition"] = json!("Used");
            let other = stage.done("acme", "product.create", used).await;
            json!({"jfsku": id, "relatedJfsku": other["jfsku"]})
        }
        "picture.create" => picture,
        "picture.delete" | "picture.get" => {
            stage.done("acme", "picture.create", picture).await;
            if role == Role::Fulfiller {
                stage.done("acme", "product.share", share).await;
            }
            json!({"jfsku": id, "number": 4})
        }
        _ => panic!("no command is known for {name}"),
    }
}

pub fn new_credential(tag: &str) -> Value {
    json!({"sellerId": tag, "mwsAuthToken": format!("amzn.mws.{tag}"), "platform": "Amazon_de"})
}

pub fn new_warehouse(tag: &str) -> Value {
    json!({"name": tag, "address": order("")["shippingAddress"]})
}

async fn make_warehouse(stage: &mut Stage, tag: &str) -> Value {
    stage.done("ware", "warehouse.create", new_warehouse(tag)).await["warehouseId"].clone()
}

pub fn new_method(tag: &str) -> Value {
    json!({"name": tag, "shippingType": "Expedited", "fulfillerShippingMethodNumber": tag, "cutoffTime": "16:00"})
}

async fn of_grant(stage: &mut Stage, name: &str, tag: &str) -> Value {
    if name == "authorization.get" {
        return json!({"merchantId": "ACME"});
    }
    let warehouse = make_warehouse(stage, tag).await;
    let grant =
        json!({"merchantId": "ACME", "warehouseId": warehouse, "shippingMethods": [{"shippingMethodId": STANDARD}]});
    let method = json!({"merchantId": "ACME", "warehouseId": warehouse, "shippingMethodId": EXPRESS});
    if name == "authorization.grant-warehouse" {
        return grant;
    }
    stage.done("ware", "authorization.grant-warehouse", grant).await;
    match name {
        "authorization.revoke-warehouse" => json!({"merchantId": "ACME", "warehouseId": warehouse}),
        "authorization.grant-shipping-method" => method,
        "authorization.revoke-shipping-method" => {
            stage.done("ware", "authorization.grant-shipping-method", method.clone()).await;
            method
        }
        _ => panic!("no command is known for {name}"),
    }
}
