//! The operations that write, as a client meets them over HTTP: what they do, and how they refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http_tests::{Got, Server};

/// A server with a token for each side.
struct Net {
    server: Server,
    merchant: String,
    fulfiller: String,
}

const MAIN: &str = "WARE04MAIN-00001-0001";
const SIDE: &str = "WARE04SIDE-00002-0001";
const BLUE: &str = "ACME01A1B2C";
const RED: &str = "ACME01A1B2D";
const PAIR: &str = "ACME01E8T6U";

impl Net {
    async fn start(flags: &[&str]) -> Self {
        let server = Server::start(flags).await;
        let mut tokens = Vec::new();
        for token in ["demo-refresh-token", "demo-fulfiller-refresh-token"] {
            let got = server.refresh(token).await.unwrap().json();
            tokens.push(got["access_token"].as_str().unwrap().to_owned());
        }
        let [merchant, fulfiller] = <[String; 2]>::try_from(tokens).unwrap();
        Net { server, merchant, fulfiller }
    }

    /// `None` if there is no answer.
    async fn maybe(&self, method: &str, path: &str, body: Value) -> Option<Got> {
        let token = if path.starts_with("merchant/") { &self.merchant } else { &self.fulfiller };
        let url = format!("{}/api/v1/{path}", self.server.base);
        let request = self.server.http.request(method.parse().unwrap(), url).bearer_auth(token);
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        self.server.send(request).await
    }

    async fn got(&self, method: &str, path: &str, body: Value) -> Got {
        self.maybe(method, path, body).await.unwrap()
    }

    /// Status, and the body or null.
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let got = self.got(method, path, body).await;
        (got.status, serde_json::from_str(got.body.as_deref().unwrap_or_default()).unwrap_or_default())
    }

    /// The body of a success.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(matches!(status, 200 | 201 | 204), "{method} {path}: {status} {answer}");
        answer
    }

    /// The refusal, as status and code.
    async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let (status, answer) = self.call(method, path, body).await;
        format!("{status} {}", answer["errorCode"]["code"].as_str().unwrap_or_default())
    }

    /// Creates an outbound with so many blue mugs; answers its id.
    async fn order(&self, number: &str, quantity: u32) -> String {
        let made = self.done("POST", "merchant/outbounds", order(number, quantity)).await;
        made["outboundId"].as_str().unwrap().to_owned()
    }

    /// Effects, each as method, text and key.
    async fn effects(&self) -> Vec<String> {
        let all = self.server.get("effects").await;
        let text = |row: &Value| {
            format!("{} {} [{}]", row["role"].as_str().unwrap(), row["effect"].as_str().unwrap(), row["key"])
        };
        all["effects"].as_array().unwrap().iter().map(text).collect()
    }

    async fn level(&self, place: &str) -> (String, String) {
        let stock = self.done("GET", &format!("merchant/stocks/{BLUE}/{place}"), Value::Null).await;
        (stock["stockLevel"].to_string(), stock["stockLevelReserved"].to_string())
    }
}

fn order(number: &str, quantity: u32) -> Value {
    json!({"merchantOutboundNumber": number, "warehouseId": MAIN, "currency": "EUR", "shippingType": "Standard",
        "shippingAddress": {"lastname": "B", "street": "S", "city": "C", "country": "DE"},
        "items": [{"outboundItemId": "1", "jfsku": BLUE, "quantity": quantity}]})
}

fn file(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn document(id: &str) -> Value {
    json!({"data": file(b"%PDF-1.7 invoice"), "merchantDocumentId": id, "documentType": "Invoice"})
}

fn shipment(number: &str, quantity: u32) -> Value {
    json!({"fulfillerShippingNotificationNumber": number, "items": [{"jfsku": BLUE, "quantity": quantity}],
        "packages": [{"shippingMethodId": "WARE0A0001", "shippingDate": "2026-01-05T08:00:00Z"}]})
}

#[tokio::test]
async fn every_operation_of_both_roles_is_there() {
    let both = [
        "GET outbounds",
        "GET outbounds/updates",
        "GET outbounds/x",
        "GET outbounds/x/attachments/x",
        "GET outbounds/x/shipping-notifications",
        "GET outbounds/x/shipping-notifications/x",
        "PUT outbounds/x/status",
        "GET inbounds",
        "GET inbounds/updates",
        "GET inbounds/shipping-notifications/updates",
        "GET inbounds/x",
        "PUT inbounds/x/close",
        "GET inbounds/x/shipping-notifications",
        "GET inbounds/x/shipping-notifications/x",
        "GET products",
        "GET products/updates",
        "GET products/x",
        "GET products/x/pictures/1",
        "GET products/x/pictures/1/data",
        "POST products/x/related-products/condition",
        "GET returns",
        "POST returns",
        "GET returns/changes",
        "GET returns/updates",
        "GET returns/x",
        "PATCH returns/x",
        "DELETE returns/x",
        "GET returns/x/changes",
        "POST returns/x/items",
        "GET returns/x/items/x",
        "POST returns/x/items/x",
        "PATCH returns/x/items/x",
        "DELETE returns/x/items/x",
        "PUT returns/x/lock",
        "PUT returns/x/unlock",
        "GET shippingmethods",
        "GET shippingmethods/updates",
        "GET shippingmethods/x",
        "GET stocks",
        "GET stocks/changes",
        "GET stocks/updates",
        "GET stocks/warehouse/x",
        "GET stocks/x",
        "GET stocks/x/x",
        "GET warehouses",
        "GET warehouses/updates",
        "GET warehouses/x",
    ];
    let merchant = [
        "GET credentials/amazonSfp",
        "POST credentials/amazonSfp",
        "GET credentials/amazonSfp/x",
        "DELETE credentials/amazonSfp/x",
        "GET fulfillers",
        "GET fulfillers/updates",
        "GET fulfillers/x",
        "POST inbounds",
        "PATCH inbounds/x",
        "POST inbounds/x/shipping-notifications",
        "PATCH inbounds/x/shipping-notifications/x",
        "DELETE inbounds/x/shipping-notifications/x",
        "POST outbounds",
        "GET outbounds/shipping-notifications/updates",
        "PATCH outbounds/x",
        "POST outbounds/x/attachments",
        "DELETE outbounds/x/attachments/x",
        "POST products",
        "POST products/authorizations",
        "PATCH products/x",
        "DELETE products/x",
        "GET products/x/authorizations",
        "POST products/x/authorizations",
        "DELETE products/x/authorizations/WARE",
        "POST products/x/pictures",
        "DELETE products/x/pictures/1",
        "GET stocks/complete",
    ];
    let fulfiller = [
        "GET authorizations",
        "GET authorizations/updates",
        "GET authorizations/x",
        "POST authorizations/x/warehouses",
        "DELETE authorizations/x/warehouses/x",
        "POST authorizations/x/warehouses/x/shippingMethods",
        "DELETE authorizations/x/warehouses/x/shippingMethods/x",
        "POST inbounds/x/incoming-goods",
        "POST inbounds/x/incoming-goods/bulk",
        "GET merchants",
        "GET merchants/updates",
        "GET merchants/x",
        "POST outbounds/status",
        "POST outbounds/x/shipping-labels",
        "GET outbounds/x/shipping-labels/x",
        "POST outbounds/x/shipping-notifications",
        "PUT outbounds/x/warehouse",
        "POST returns/x/items/x/incomming-goods",
        "POST shippingmethods",
        "PATCH shippingmethods/x",
        "DELETE shippingmethods/x",
        "POST stocks/adjustments",
        "GET stocks/changes/x",
        "POST warehouses",
        "PATCH warehouses/x",
        "DELETE warehouses/x",
    ];
    let net = Net::start(&[]).await;
    let all = [("merchant", both.as_slice()), ("merchant", &merchant), ("fulfiller", &both), ("fulfiller", &fulfiller)];
    for (role, operations) in all {
        for operation in operations {
            let (method, path) = operation.split_once(' ').unwrap();
            let body = if method == "GET" || method == "DELETE" { Value::Null } else { json!({}) };
            let (status, body) = net.call(method, &format!("{role}/{path}"), body).await;
            let named = body["errorCode"]["code"].is_string();
            assert!(status == 200 || named, "{role} {operation}: {status} {body}");
        }
    }
    assert_eq!(net.refused("POST", "merchant/outbounds/x/shipping-labels", json!({})).await, "404 ");
    assert_eq!(net.refused("POST", "fulfiller/outbounds/x/attachments", json!({})).await, "404 ");
}

#[tokio::test]
async fn documents_of_an_outbound() {
    let net = Net::start(&[]).await;
    let id = net.order("A", 1).await;
    let path = "merchant/outbounds/A/attachments";
    let made = net.done("POST", path, document("INV-1")).await;
    assert_eq!((made["mimeType"].as_str(), made["size"].as_i64()), (Some("application/pdf"), Some(16)));
    assert!(made["url"].as_str().unwrap().ends_with(&format!("/api/v1/merchant/outbounds/{id}/attachments/INV-1")));
    assert_eq!(net.refused("POST", path, document("INV-1")).await, "400 Outbounds_DuplicateAttachmentId");
    assert_eq!(net.refused("POST", path, document("a/b")).await, "400 Products_InvalidIdentifier");
    let mut wrong = document("INV-2");
    wrong["data"] = json!(file(b"MZ\x90\x00"));
    assert_eq!(net.refused("POST", path, wrong.clone()).await, "400 Shared_InvalidContentType");
    wrong["data"] = json!("no base64!");
    assert_eq!(net.refused("POST", path, wrong).await, "400 Shared_ModelValidation");
    assert_eq!(
        net.refused("POST", "merchant/outbounds/none/attachments", document("X")).await,
        "404 Outbounds_OutboundNotFound"
    );

    let shown = net.done("GET", &format!("fulfiller/outbounds/{id}"), Value::Null).await;
    assert_eq!(shown["attachments"][0]["merchantDocumentId"], "INV-1");
    assert!(shown["attachments"][0]["url"].as_str().unwrap().contains("/v1/fulfiller/"));
    for role in ["merchant", "fulfiller"] {
        let whole = net.done("GET", &format!("{role}/outbounds/{id}/attachments/INV-1"), Value::Null).await;
        assert_eq!(whole["data"], file(b"%PDF-1.7 invoice"));
    }
    let missing = |role| format!("{role}/outbounds/{id}/attachments/none");
    assert_eq!(net.refused("GET", &missing("merchant"), Value::Null).await, "404 Outbounds_AttachmentNotFound");
    assert_eq!(
        net.refused("GET", &missing("fulfiller"), Value::Null).await,
        "404 Outbounds_OutboundAttachmentNotFound"
    );
    net.done("DELETE", &format!("{path}/INV-1"), Value::Null).await;
    for (method, role) in [("GET", "merchant"), ("GET", "fulfiller"), ("DELETE", "merchant")] {
        let gone = format!("{role}/outbounds/{id}/attachments/INV-1");
        assert_eq!(net.refused(method, &gone, Value::Null).await, "410 Outbounds_OutboundAttachmentDeleted");
    }
    assert_eq!(net.refused("POST", path, document("INV-1")).await, "400 Outbounds_DuplicateAttachmentId");
    net.server.post("settings", json!({"reuse_deleted_documents": true, "attachment_life_s": 0})).await;
    net.done("POST", path, document("INV-1")).await;
    let aged = net.call("GET", &format!("{path}/INV-1"), Value::Null).await.1;
    assert_eq!(aged["errorCode"]["code"], "Outbounds_AttachmentIsNoLongerAvailable");
    assert_eq!(aged["errorMetaData"]["MerchantDocumentId"], "INV-1");

    let record = net.server.get("attachments?number=INV-1").await;
    assert_eq!((&record["count"], &record["attachments"][0]["merchantOutboundNumber"]), (&json!(2), &json!("A")));
    let deed = |what: &str| format!("merchant attachments {id}:INV-1 {what} [\"INV-1\"]");
    let effects = net.effects().await;
    assert_eq!(effects[1..], [deed("created"), deed("deleted"), deed("created")]);
}

#[tokio::test]
async fn the_fulfiller_reads_no_document_without_a_relation() {
    let net = Net::start(&[]).await;
    let id = net.order("A", 1).await;
    net.done("POST", "merchant/outbounds/A/attachments", document("D")).await;
    net.server.post("authorizations/ACME/delete", json!({})).await;
    let path = format!("fulfiller/outbounds/{id}/attachments/D");
    assert_eq!(net.refused("GET", &path, Value::Null).await, "403 Authorizations_AuthorizationNotFound");
    let path = format!("fulfiller/outbounds/{id}/status");
    let told = json!({"status": "Acknowledged"});
    assert_eq!(net.refused("PUT", &path, told).await, "403 Authorizations_AuthorizationNotFound");
    assert_eq!(
        net.refused("POST", "merchant/outbounds", order("B", 1)).await,
        "403 Authorizations_AuthorizationNotFound"
    );
}

#[tokio::test]
async fn pictures_of_a_product() {
    let net = Net::start(&[]).await;
    let path = format!("merchant/products/{BLUE}/pictures");
    let png = b"\x89PNG\r\n\x1a\n....".as_slice();
    let made = net.done("POST", &path, json!({"data": file(png)})).await;
    assert_eq!((&made["number"], &made["mimeType"], &made["size"]), (&json!(1), &json!("image/png"), &json!(12)));
    let again = json!({"data": file(png), "number": 1});
    assert_eq!(net.refused("POST", &path, again).await, "400 Products_PictureWithNumberAlreadyExists");
    let pdf = json!({"data": file(b"%PDF-1.7")});
    assert_eq!(net.refused("POST", &path, pdf).await, "400 Shared_InvalidContentType");
    let nowhere = "merchant/products/ACME01XXXXX/pictures";
    assert_eq!(net.refused("POST", nowhere, json!({"data": file(png)})).await, "404 Products_ProductNotFound");
    for role in ["merchant", "fulfiller"] {
        let whole = net.done("GET", &format!("{role}/products/{BLUE}/pictures/1"), Value::Null).await;
        assert_eq!(whole["data"], file(png));
        let got = net.got("GET", &format!("{role}/products/{BLUE}/pictures/1/data"), Value::Null).await;
        assert_eq!(got.header("content-type"), "image/png");
        let product = net.done("GET", &format!("{role}/products/{BLUE}"), Value::Null).await;
        assert!(product["pictures"][0]["url"].as_str().unwrap().contains(&format!("/v1/{role}/products/{BLUE}/")));
        for path in [format!("{role}/products/{BLUE}/pictures/2"), format!("{role}/products/{BLUE}/pictures/2/data")] {
            assert_eq!(net.refused("GET", &path, Value::Null).await, "404 Products_PictureNotFound");
        }
    }
    let public = made["publicUrl"].as_str().unwrap().split_once("/api/").unwrap().1.to_owned();
    let got = net.server.http.get(format!("{}/api/{public}", net.server.base)).send().await.unwrap();
    assert_eq!((got.status().as_u16(), got.bytes().await.unwrap().as_ref()), (200, png), "without a token");
    let guid = public.strip_prefix("pictures/").unwrap();
    net.server.post(&format!("pictures/{guid}/change"), json!({"data": null})).await;
    let lost = format!("fulfiller/products/{BLUE}/pictures/1/data");
    assert_eq!(net.refused("GET", &lost, Value::Null).await, "404 Shared_FileNotFound");
    net.done("DELETE", &format!("{path}/1"), Value::Null).await;
    assert_eq!(net.refused("DELETE", &format!("{path}/1"), Value::Null).await, "404 Products_PictureNotFound");
    let product = net.done("GET", &format!("merchant/products/{BLUE}"), Value::Null).await;
    assert_eq!(product["pictures"], json!([]));
    assert_eq!(
        net.effects().await,
        ["created", "deleted"].map(|what| format!("merchant pictures {BLUE}:1 {what} [\"MUG-BLUE\"]"))
    );
}

#[tokio::test]
async fn products_in_another_condition() {
    let net = Net::start(&[]).await;
    let path = |role: &str, jfsku: &str| format!("{role}/products/{jfsku}/related-products/condition");
    let used = net.done("POST", &path("fulfiller", BLUE), json!({"condition": "Used"})).await;
    assert_eq!((&used["condition"], &used["relatedProducts"][0]["jfsku"]), (&json!("Used"), &json!(BLUE)));
    for (jfsku, condition, code) in [
        (BLUE, "Used", "400 Products_ConditionMustBeUniqueInRelatedProductsList"),
        (BLUE, "Unknown", "400 Products_ConditionOfRelatedProductCanNotBeUnknown"),
        (PAIR, "Used", "400 Products_CanNotCreateBillOfMaterialWithCondition"),
        ("ACME01XXXXX", "Used", "404 Products_ProductNotFound"),
    ] {
        let told = json!({"condition": condition});
        assert_eq!(net.refused("POST", &path("fulfiller", jfsku), told).await, code);
    }
    let new = |sku: &str| json!({"name": sku, "merchantSku": sku, "identifier": {}});
    let plain = net.done("POST", "merchant/products", new("P")).await["jfsku"].as_str().unwrap().to_owned();
    let linked = |other: &str| json!({"jfsku": other});
    for (jfsku, other, code) in [
        (RED, plain.as_str(), "400 Products_ConditionOfRelatedProductCanNotBeUnknown"),
        (RED, BLUE, "400 Products_ConditionMustBeUniqueInRelatedProductsList"),
        (RED, PAIR, "400 Products_CanNotAddBillOfMaterialProductToRelatedProductList"),
        (RED, "ACME01XXXXX", "404 Products_ProductNotFound"),
    ] {
        assert_eq!(net.refused("POST", &path("merchant", jfsku), linked(other)).await, code);
    }
    let own = format!("merchant/products/{plain}");
    net.done("PATCH", &own, json!({"condition": "Damaged"})).await;
    assert_eq!(net.refused("PATCH", &own, json!({"condition": "Used"})).await, "400 Products_ConditionAlreadySet");
    let red = net.done("POST", &path("merchant", RED), linked(&plain)).await;
    assert_eq!(
        red["relatedProducts"],
        json!([{"jfsku": plain, "condition": "Damaged", "kindOfRelation": "Condition"}])
    );
    let mut third = new("R");
    third["condition"] = json!("Refurbished");
    let made = net.done("POST", &format!("merchant/products?relatedJfsku={RED}"), third).await;
    assert_eq!(made["relatedProducts"][0]["jfsku"], RED);
    assert_eq!(
        net.refused("POST", "merchant/products?relatedJfsku=ACME01XXXXX", new("Q")).await,
        "400 Products_ProductNotFound"
    );
}

#[tokio::test]
async fn rules_of_products() {
    let net = Net::start(&[]).await;
    let pair = format!("merchant/products/{PAIR}");
    assert_eq!(
        net.refused("PATCH", &pair, json!({"condition": "Used"})).await,
        "400 Products_CanNotUpdateBillOfMaterialWithCondition"
    );
    let parts = json!({"specifications": {"billOfMaterialsComponents": [{"jfsku": "ACME01XXXXX", "quantity": 1}]}});
    assert_eq!(net.refused("PATCH", &pair, parts).await, "400 Products_ProductsNotFound");
    let bundle = json!({"name": "B", "merchantSku": "B", "identifier": {}, "condition": "Used", "specifications": {
        "isBillOfMaterials": true, "billOfMaterialsComponents": [{"jfsku": BLUE, "quantity": 1}]}});
    assert_eq!(
        net.refused("POST", "merchant/products", bundle.clone()).await,
        "400 Products_CanNotCreateBillOfMaterialWithCondition"
    );
    let new = json!({"name": "N", "merchantSku": "N", "identifier": {}});
    let jfsku = net.done("POST", "merchant/products", new).await["jfsku"].as_str().unwrap().to_owned();
    let mut bundle = bundle;
    bundle["condition"] = Value::Null;
    bundle["specifications"]["billOfMaterialsComponents"][0]["jfsku"] = json!(jfsku);
    let whole = net.done("POST", "merchant/products", bundle).await["jfsku"].as_str().unwrap().to_owned();
    let share = |jfsku: &str| format!("merchant/products/{jfsku}/authorizations");
    let told = json!({"fulfillerId": "WARE"});
    assert_eq!(
        net.refused("POST", &share(&whole), told.clone()).await,
        "400 Products_CanNotAuthorizeBillOfMaterialWithoutComponents"
    );
    let mut unshared = order("A", 1);
    unshared["items"][0]["jfsku"] = json!(jfsku);
    assert_eq!(net.refused("POST", "merchant/outbounds", unshared).await, "400 Products_ProductNotFound");
    net.done("POST", &share(&jfsku), told.clone()).await;
    net.done("POST", &share(&whole), told.clone()).await;
    assert_eq!(net.refused("POST", &share(&whole), told).await, "400 Products_ProductAlreadyAuthorized");
    assert_eq!(net.refused("POST", &share(&jfsku), json!({"fulfillerId": "NONE"})).await, "400 Users_UserNotFound");
    net.server.post("fulfillers", json!({"userId": "ELSE"})).await;
    assert_eq!(
        net.refused("POST", &share(&jfsku), json!({"fulfillerId": "ELSE"})).await,
        "400 Authorizations_AuthorizationNotFound"
    );
    net.done("DELETE", &format!("{}/WARE", share(&jfsku)), Value::Null).await;
    let stocked = format!("{}/WARE", share(BLUE));
    assert_eq!(net.refused("DELETE", &stocked, Value::Null).await, "400 Stocks_QuantityNotZero");
    net.order("O", 1).await;
    let plate = net.done("GET", "merchant/products?$filter=merchantSku eq 'PLATE-WHITE'", Value::Null).await;
    let plate = plate["items"][0]["jfsku"].as_str().unwrap().to_owned();
    let mut open = order("P", 1);
    open["items"][0]["jfsku"] = json!(plate);
    net.done("POST", "merchant/outbounds", open).await;
    let path = format!("merchant/products/{plate}");
    assert_eq!(net.refused("DELETE", &path, Value::Null).await, "400 Products_OpenOutboundsForProduct");
    assert_eq!(
        net.refused("DELETE", &format!("merchant/products/{BLUE}"), Value::Null).await,
        "400 Products_CouldNotDeleteBillOfMaterialsComponentProduct"
    );
}

#[tokio::test]
async fn credentials_and_labels() {
    let net = Net::start(&[]).await;
    let path = "merchant/credentials/amazonSfp";
    let told = json!({"sellerId": "S-1", "mwsAuthToken": "amzn-secret-token", "platform": "Amazon_de"});
    let mut amazon = order("A", 1);
    amazon["premiumType"] = json!("AmazonSellerFulfilledPrime");
    assert_eq!(net.refused("POST", "merchant/outbounds", amazon.clone()).await, "400 Outbounds_PremiumTypeMismatch");
    amazon["shippingLabelProviderData"] = json!({"amazonSfpShippingLabelProviderData": {"sellerId": "S-1"}});
    assert_eq!(net.refused("POST", "merchant/outbounds", amazon.clone()).await, "400 Outbounds_AmazonCredentials");
    let made = net.done("POST", path, told.clone()).await;
    let one = format!("{path}/{}", made["credentialId"].as_str().unwrap());
    assert_eq!(made.as_object().unwrap().len(), 3);
    assert_eq!(net.refused("POST", path, told).await, "400 Credentials_DuplicateCredential");
    assert_eq!(net.done("GET", path, Value::Null).await, json!([made]));
    assert_eq!(net.done("GET", &one, Value::Null).await, made);
    assert_eq!(net.refused("GET", &format!("{path}/none"), Value::Null).await, "404 Credentials_CredentialNotFound");
    assert!(net.server.get("secrets").await.to_string().contains("amzn-secret-token"));
    assert!(!net.server.get("credentials").await.to_string().contains("amzn-secret-token"));

    let id = net.done("POST", "merchant/outbounds", amazon.clone()).await["outboundId"].as_str().unwrap().to_owned();
    amazon["premiumType"] = json!("EbayPlus");
    amazon["merchantOutboundNumber"] = json!("B");
    assert_eq!(net.refused("POST", "merchant/outbounds", amazon).await, "400 Outbounds_PremiumTypeMismatch");
    let data = json!({"carrierWillPickUp": true, "insurance": false, "useWarehouseAddressForSenderAddress": false,
        "deliveryExperience": "NoTracking", "weight": 1.5, "dimensions": {"width": 1, "length": 2, "height": 3}});
    let ask = json!({"amazonSfpShippingLabelData": data});
    let labels = format!("fulfiller/outbounds/{id}/shipping-labels");
    let label = net.done("POST", &labels, ask.clone()).await;
    assert!(label["trackingId"].is_string() && label["mimeType"] == "application/pdf");
    let own = format!("{labels}/{}", label["shippingLabelId"].as_str().unwrap());
    assert_eq!(net.done("GET", &own, Value::Null).await, label);
    assert_eq!(
        net.refused("GET", &format!("{labels}/none"), Value::Null).await,
        "404 Outbounds_OutboundShippingLabelNotFound"
    );
    let mut odd = ask.clone();
    odd["amazonSfpShippingLabelData"]["shippingServiceId"] = json!("PIGEON");
    assert_eq!(net.refused("POST", &labels, odd).await, "400 Outbounds_AmazonSfpShippingServiceNotAvailable");
    let plain = net.order("C", 1).await;
    let other = format!("fulfiller/outbounds/{plain}/shipping-labels");
    assert_eq!(net.refused("POST", &other, ask.clone()).await, "400 Outbounds_ShippingLabelProvider");
    net.done("DELETE", &one, Value::Null).await;
    assert_eq!(net.refused("DELETE", &one, Value::Null).await, "404 Credentials_CredentialNotFound");
    assert_eq!(net.refused("POST", &labels, ask).await, "400 Credentials_CredentialNotFound");
    assert_eq!(net.refused("GET", &own, Value::Null).await, "400 Credentials_CredentialNotFound");
    assert_eq!(net.server.get("shipping-labels").await["count"], 1);
    let effects = net.effects().await;
    assert!(effects[0].starts_with("merchant credentials ") && effects[0].ends_with("created [\"S-1\"]"));
    assert!(effects[2].starts_with("fulfiller shipping-labels ") && effects[2].ends_with("created [\"A\"]"));
    assert!(effects[4].ends_with("deleted [\"S-1\"]"), "{}", effects[4]);
}

#[tokio::test]
async fn grants() {
    let net = Net::start(&[]).await;
    let address = json!({"street": "S", "city": "C", "country": "DE"});
    let place = net.done("POST", "fulfiller/warehouses", json!({"name": "New", "address": address})).await;
    let place = place["warehouseId"].as_str().unwrap().to_owned();
    let base = "fulfiller/authorizations/ACME/warehouses";
    let with =
        |place: &str, method: &str| json!({"warehouseId": place, "shippingMethods": [{"shippingMethodId": method}]});
    let seen = format!("merchant/warehouses/{place}");
    assert_eq!(net.refused("GET", &seen, Value::Null).await, "404 Warehouses_WarehouseNotFound");
    let mut there = order("A", 1);
    there["warehouseId"] = json!(place);
    assert_eq!(
        net.refused("POST", "merchant/outbounds", there.clone()).await,
        "403 Authorizations_AuthorizationNotFound"
    );
    for (path, body, code) in [
        ("NONE", with(&place, "WARE0A0001"), "404 Users_UserNotFound"),
        ("WARE", with(&place, "WARE0A0001"), "400 Shared_UserIsNotAMerchant"),
        ("ACME", with("WARE04NONE-00001-0001", "WARE0A0001"), "400 Warehouses_WarehouseNotFound"),
        ("ACME", with(&place, "WARE0A9999"), "400 ShippingMethods_ShippingMethodNotFound"),
        ("ACME", with(&place, "WARE0A0002"), "400 Authorizations_NoStandardShippingMethodAuthorized"),
        ("ACME", with(MAIN, "WARE0A0001"), "400 Warehouses_WarehouseAlreadyAuthorized"),
        ("ACME", json!({}), "400 Shared_ModelValidation"),
    ] {
        let path = format!("fulfiller/authorizations/{path}/warehouses");
        assert_eq!(net.refused("POST", &path, body).await, code);
    }
    let granted = net.done("POST", base, with(&place, "WARE0A0001")).await;
    assert_eq!(granted["warehouses"].as_array().unwrap().len(), 3);
    assert_eq!(net.done("GET", &seen, Value::Null).await["shippingMethodIds"], json!(["WARE0A0001"]));
    let methods = format!("{base}/{place}/shippingMethods");
    there["shippingType"] = Value::Null;
    there["shippingMethodId"] = json!("WARE0A0002");
    assert_eq!(
        net.refused("POST", "merchant/outbounds?oversale=true", there).await,
        "400 Outbounds_InapropriateShippingMethod"
    );
    net.done("POST", &methods, json!({"shippingMethodId": "WARE0A0002"})).await;
    for (path, id, code) in [
        (methods.clone(), "WARE0A0002", "400 Authorizations_ShippingMethodAuthorizationExists"),
        (methods.clone(), "WARE0A9999", "404 ShippingMethods_ShippingMethodNotFound"),
        (format!("{base}/WARE04NONE-00001-0001/shippingMethods"), "WARE0A0001", "400 Warehouses_WarehouseNotFound"),
        (methods.replace("ACME", "WARE"), "WARE0A0001", "404 Shared_UserIsNotAMerchant"),
        (methods.replace("ACME", "NONE"), "WARE0A0001", "404 Users_UserNotFound"),
    ] {
        assert_eq!(net.refused("POST", &path, json!({"shippingMethodId": id})).await, code);
    }
    let standard = format!("{methods}/WARE0A0001");
    assert_eq!(
        net.refused("DELETE", &standard, Value::Null).await,
        "400 Authorizations_NoStandardShippingMethodAuthorized"
    );
    net.done("DELETE", &format!("{methods}/WARE0A0002"), Value::Null).await;
    assert_eq!(
        net.refused("DELETE", &format!("{methods}/WARE0A0002"), Value::Null).await,
        "404 ShippingMethods_ShippingMethodNotFound"
    );
    let own = format!("fulfiller/warehouses/{place}");
    assert_eq!(net.refused("DELETE", &own, Value::Null).await, "400 Warehouses_WarehouseStillAuthorized");
    assert_eq!(net.refused("DELETE", &format!("{base}/{MAIN}"), Value::Null).await, "400 Stocks_QuantityNotZero");
    net.done("DELETE", &format!("{base}/{place}"), Value::Null).await;
    assert_eq!(
        net.refused("DELETE", &format!("{base}/{place}"), Value::Null).await,
        "400 Warehouses_WarehouseNotFound"
    );
    assert_eq!(net.refused("DELETE", &standard, Value::Null).await, "404 Authorizations_AuthorizationNotFound");
    assert_eq!(
        net.refused("POST", &methods, json!({"shippingMethodId": "WARE0A0002"})).await,
        "400 Authorizations_AuthorizationNotFound"
    );
    net.done("DELETE", &own, Value::Null).await;
    assert_eq!(
        net.refused("DELETE", "fulfiller/shippingmethods/WARE0A0001", Value::Null).await,
        "400 Authorizations_NoStandardShippingMethodAuthorized"
    );
    assert_eq!(net.refused("GET", "fulfiller/authorizations/NONE", Value::Null).await, "404 Users_UserNotFound");
    let effects = net.effects().await;
    assert_eq!(effects[1], format!("fulfiller warehouse {place} granted to ACME [\"{place}\"]"));
    assert!(effects[2].ends_with(&format!("[\"{place}:WARE0A0002\"]")), "{}", effects[2]);
}

#[tokio::test]
async fn a_warehouse_with_stock_is_not_deleted() {
    let net = Net::start(&[]).await;
    net.server.post("authorizations/ACME/revoke", json!({"warehouseId": SIDE})).await;
    let path = format!("fulfiller/warehouses/{SIDE}");
    assert_eq!(net.refused("DELETE", &path, Value::Null).await, "403 Shared_OperationForbidden");
}

#[tokio::test]
async fn an_outbound_moves_to_another_warehouse() {
    let net = Net::start(&[]).await;
    let id = net.order("A", 3).await;
    let path = format!("fulfiller/outbounds/{id}/warehouse");
    let text = |level: &str, reserved: &str| (level.to_owned(), reserved.to_owned());
    net.done("PUT", &path, json!({"warehouseId": SIDE})).await;
    assert_eq!(net.level(MAIN).await, text("1000000", "0"));
    assert_eq!(net.level(SIDE).await, text("999997", "3"));
    let kinds = net.server.get(&format!("stock-changes?jfsku={BLUE}")).await;
    let kinds: Vec<&str> =
        kinds["stock-changes"].as_array().unwrap().iter().map(|m| m["changeType"].as_str().unwrap()).collect();
    assert_eq!(kinds[2..], ["Reservation", "ReservationCanceled", "Reservation"]);
    assert_eq!(
        net.refused("PUT", &path, json!({"warehouseId": "WARE04NONE-00001-0001"})).await,
        "400 Warehouses_WarehouseNotFound"
    );
    net.server.post("stock", json!({"merchantSku": "MUG-BLUE", "stockLevel": "2"})).await;
    assert_eq!(net.refused("PUT", &path, json!({"warehouseId": MAIN})).await, "400 Stocks_NotEnoughStock");
    net.done("PUT", &format!("{path}?oversale=true"), json!({"warehouseId": MAIN})).await;
    assert_eq!(net.level(MAIN).await, text("-1", "3"));
    net.server.post("warehouses", json!({"warehouseId": "WARE04LONE-00001-0001", "granted": false})).await;
    assert_eq!(
        net.refused("PUT", &path, json!({"warehouseId": "WARE04LONE-00001-0001"})).await,
        "404 Authorizations_AuthorizationNotFound"
    );
    assert_eq!(
        net.refused("PUT", "fulfiller/outbounds/none/warehouse", json!({"warehouseId": MAIN})).await,
        "404 Outbounds_OutboundNotFound"
    );
    let effects = net.effects().await;
    assert_eq!(effects[1], format!("fulfiller outbound {id} is in {SIDE} [\"A\"]"));
    net.server.post("outbounds/A/advance", json!({"to": "Shipped"})).await;
    assert_eq!(net.refused("PUT", &path, json!({"warehouseId": SIDE})).await, "403 Outbounds_OutboundUpdateForbidden");
}

#[tokio::test]
async fn shipping_numbers_are_unique_unless_told() {
    let net = Net::start(&[]).await;
    let id = net.order("A", 5).await;
    let path = format!("fulfiller/outbounds/{id}/shipping-notifications");
    let mut first = shipment("DN-1", 1);
    first["outboundShippingNotificationId"] = json!("ACME06OWN");
    assert_eq!(net.refused("POST", &path, first.clone()).await, "400 Shared_ModelValidation");
    first["outboundShippingNotificationId"] = json!("WARE06OWN");
    let made = net.done("POST", &path, first).await;
    assert_eq!(made["outboundShippingNotificationId"], "WARE06OWN");
    assert_eq!(net.refused("POST", &path, shipment("DN-1", 1)).await, "400 Shared_DuplicateKey");
    let other = net.order("B", 1).await;
    let elsewhere = format!("fulfiller/outbounds/{other}/shipping-notifications");
    net.done("POST", &elsewhere, shipment("DN-1", 1)).await;
    net.server.post("settings", json!({"accept_duplicate_shipping_numbers": true})).await;
    net.done("POST", &path, shipment("DN-1", 1)).await;
    let mut batch = shipment("DN-2", 1);
    batch["items"][0]["batch"] = json!("B1");
    assert_eq!(net.refused("POST", &path, batch).await, "400 Stocks_BatchSetForNonBatchProduct");
    let effects = net.effects().await;
    assert_eq!(effects.iter().filter(|e| e.ends_with("[\"DN-1\"]")).count(), 3);
    let by_key = net.server.get("effects?key=DN-1").await;
    assert_eq!(by_key["effects"].as_array().unwrap().len(), 3);
    let members = json!(["fulfillerShippingNotificationNumber", "items", "outboundShippingNotificationId", "packages"]);
    assert_eq!(by_key["effects"][0]["members"], members);
}

#[tokio::test]
async fn stock_is_booked_as_often_as_it_is_told() {
    let net = Net::start(&[]).await;
    let inbound = json!({"merchantInboundNumber": "I", "warehouseId": MAIN, "inboundId": "ACME03OWN1",
        "items": [{"inboundItemId": "1", "jfsku": BLUE, "quantity": 10}]});
    net.done("POST", "merchant/inbounds", inbound).await;
    let goods = |own: &str, quantity: i32| {
        json!({"jfsku": BLUE, "warehouseId": MAIN, "quantity": quantity, "fulfillerStockChangeId": own,
            "fulfillerTimestamp": "2026-01-05T08:00:00Z"})
    };
    let arrivals = "fulfiller/inbounds/ACME03OWN1/incoming-goods";
    for _ in 0..2 {
        net.done("POST", "fulfiller/stocks/adjustments", goods("ADJ", 4)).await;
        net.done("POST", arrivals, goods("IN", 1)).await;
    }
    net.done("POST", &format!("{arrivals}/bulk"), json!({"items": [goods("X", 1), goods("Y", 1)]})).await;
    for (own, kind, count) in [("ADJ", "Adjustment", 2), ("IN", "Inbound", 2), ("X", "Inbound", 1)] {
        for role in ["merchant", "fulfiller"] {
            let path = format!("{role}/stocks/changes?$filter=fulfillerStockChangeId eq '{own}'");
            let found = net.done("GET", &path, Value::Null).await;
            let rows = found["items"].as_array().unwrap();
            assert_eq!(rows.len(), count, "{role} {own}");
            assert!(rows.iter().all(|row| row["changeType"] == kind));
        }
    }
    let keys: Vec<String> = net.effects().await.iter().map(|e| e.split_once('[').unwrap().1.to_owned()).collect();
    assert_eq!(keys, ["\"I\"]", "\"ADJ\"]", "\"IN\"]", "\"ADJ\"]", "\"IN\"]", "\"X\"]", "\"Y\"]"]);
    let adjust = "fulfiller/stocks/adjustments";
    assert_eq!(net.refused("POST", adjust, goods("Z", -2_000_000)).await, "400 Stocks_NotEnoughStock");
    let mut odd = goods("Z", 0);
    assert_eq!(net.refused("POST", adjust, odd.clone()).await, "400 Stocks_QuantityAndBlockedIsZero");
    odd["quantityBlocked"] = json!(-1);
    assert_eq!(net.refused("POST", adjust, odd.clone()).await, "400 Stocks_StockLevelBlockedIsNegative");
    odd["quantityBlocked"] = json!(0.5);
    assert_eq!(net.refused("POST", adjust, odd.clone()).await, "400 Stocks_ProductIsNotDivisible");
    let mut lot = goods("Z", 1);
    lot["bestBefore"] = json!({"year": 2027, "month": 1, "day": 2});
    assert_eq!(net.refused("POST", adjust, lot).await, "400 Stocks_BestBeforeSetForNonBestBeforeProduct");
    let fresh = json!({"name": "Milk", "merchantSku": "MILK", "identifier": {},
        "specifications": {"isBatch": true, "isBestBefore": true}});
    let milk = net.done("POST", "merchant/products", fresh).await["jfsku"].clone();
    let mut lot = goods("M", 1);
    lot["jfsku"] = milk;
    assert_eq!(net.refused("POST", adjust, lot.clone()).await, "400 Stocks_BatchNotSet");
    lot["batch"] = json!("L1");
    assert_eq!(net.refused("POST", adjust, lot.clone()).await, "400 Stocks_BestBeforeNotSet");
    lot["bestBefore"] = json!({"year": 2027, "month": 1, "day": 2});
    net.done("POST", adjust, lot).await;
}

#[tokio::test]
async fn ids_of_inbounds_and_their_notifications() {
    let net = Net::start(&[]).await;
    let inbound = |number: &str, id: &str| {
        json!({"merchantInboundNumber": number, "warehouseId": MAIN, "inboundId": id,
            "items": [{"inboundItemId": "1", "jfsku": BLUE, "quantity": 10}]})
    };
    let base = "merchant/inbounds";
    assert_eq!(net.refused("POST", base, inbound("I", "WARE03OWN1")).await, "400 Products_InvalidIdentifier");
    net.done("POST", base, inbound("I", "ACME03OWN1")).await;
    assert_eq!(net.refused("POST", base, inbound("J", "ACME03OWN1")).await, "400 Inbounds_DuplicateInbound");
    assert_eq!(net.refused("POST", base, inbound("I", "ACME03OWN2")).await, "400 Inbounds_DuplicateInbound");
    net.done("POST", base, inbound("J", "ACME03OWN2")).await;
    let note = |number: &str, id: &str| {
        json!({"merchantShippingNotificationNumber": number, "inboundShippingNotificationId": id,
            "items": [{"jfsku": BLUE, "quantity": 1}], "packages": []})
    };
    let (one, two) = ("merchant/inbounds/I/shipping-notifications", "merchant/inbounds/J/shipping-notifications");
    assert_eq!(net.refused("POST", one, note("N", "ACME03OWN9")).await, "400 Shared_ModelValidation");
    net.done("POST", one, note("N", "ACME07OWN1")).await;
    let same = "400 Inbounds_DuplicateInboundShippingNotificationId";
    assert_eq!(net.refused("POST", one, note("M", "ACME07OWN1")).await, same);
    let same = "400 Inbounds_DuplicateMerchantShippingNotificationNumber";
    assert_eq!(net.refused("POST", one, note("N", "ACME07OWN2")).await, same);
    assert_eq!(net.refused("POST", two, note("N", "ACME07OWN1")).await, "400 Shared_DuplicateKey");
    net.done("POST", two, note("N", "ACME07OWN2")).await;
    for (member, value, code) in [
        ("batch", json!("B"), "400 Inbounds_ProductIsNotBatch"),
        ("bestBefore", json!({"year": 2027, "month": 1, "day": 1}), "400 Inbounds_ProductIsNotBestBefore"),
        ("serialnumbers", json!(["1"]), "400 Inbounds_ProductIsNotSerialNumbers"),
        ("quantity", json!(0.5), "400 Stocks_ProductIsNotDivisible"),
        ("packageId", json!(3), "400 Inbounds_InboundShippingNotificationItemsPackageIdOutOfRange"),
    ] {
        let mut body = note("O", "ACME07OWN3");
        body["items"][0][member] = value;
        assert_eq!(net.refused("POST", one, body.clone()).await, code);
        let change = json!({"items": body["items"]});
        assert_eq!(net.refused("PATCH", &format!("{one}/N"), change).await, code);
    }
}

#[tokio::test]
async fn numbers_and_versions_of_returns() {
    let net = Net::start(&[]).await;
    let new = |number: &str| {
        json!({"merchantReturnNumber": number, "warehouseId": MAIN,
            "customerAddress": {"lastname": "B", "street": "S", "city": "C", "country": "DE"},
            "items": [{"returnItemId": format!("{number}-1"), "jfsku": BLUE, "quantity": 2}]})
    };
    let made = net.done("POST", "merchant/returns", new("R")).await;
    net.done("POST", "merchant/returns", new("S")).await;
    let one = format!("merchant/returns/{}", made["returnId"].as_str().unwrap());
    assert_eq!(net.refused("POST", "merchant/returns", new("R")).await, "400 Returns_DuplicateReturn");
    let renamed = json!({"merchantReturnNumber": "S"});
    assert_eq!(net.refused("PATCH", &one, renamed).await, "400 Shared_DuplicateKey");
    net.done("PATCH", &one, json!({"merchantReturnNumber": "T"})).await;
    net.done("POST", "merchant/returns", new("R")).await;
    assert_eq!(net.refused("POST", "merchant/returns", new("T")).await, "400 Returns_DuplicateReturn");
    let version = "objectVersion=2026-01-05T08:00:00Z";
    for (method, path, body) in [
        ("PATCH", String::new(), json!({"contact": "x"})),
        ("PUT", "/lock".to_owned(), json!({})),
        ("PUT", "/unlock".to_owned(), json!({})),
        ("POST", "/items".to_owned(), json!({"jfsku": BLUE, "quantity": 1})),
        ("POST", "/items/R-1".to_owned(), json!({"quantity": 1})),
        ("PATCH", "/items/R-1".to_owned(), json!({"reasonNote": "x"})),
    ] {
        let path = format!("{one}{path}?{version}");
        assert_eq!(net.refused(method, &path, body).await, "400 Shared_OutdatedObject", "{method} {path}");
    }
    let split = json!({"quantity": 1, "returnItemId": "R-1"});
    assert_eq!(net.refused("POST", &format!("{one}/items/R-1"), split).await, "400 Returns_DuplicateReturnItem");
    let theirs = one.replace("merchant/", "fulfiller/");
    let book = json!({"warehouseId": MAIN, "quantity": 2, "fulfillerTimestamp": "2026-01-05T08:00:00Z"});
    let goods = format!("{theirs}/items/R-1/incomming-goods");
    assert_eq!(net.refused("POST", &goods, book.clone()).await, "400 Returns_NotAllowedItemState");
    net.done("PATCH", &format!("{theirs}/items/R-1"), json!({"state": "Arrived"})).await;
    net.server.post("settings", json!({"booking_needs_condition": true})).await;
    assert_eq!(
        net.refused("POST", &goods, book.clone()).await,
        "400 Products_ConditionOfRelatedProductCanNotBeUnknown"
    );
    net.done("PATCH", &format!("{theirs}/items/R-1"), json!({"condition": "Used"})).await;
    net.done("POST", &goods, book).await;
    assert_eq!(net.refused("DELETE", &one, Value::Null).await, "400 Returns_NotAllowedState");
    let effects = net.effects().await;
    assert!(effects.last().unwrap().ends_with("item R-1 booked [\"T\"]"), "{effects:?}");
}

#[tokio::test]
async fn what_an_order_may_not_do_without() {
    let net = Net::start(&[]).await;
    let id = net.order("A", 1).await;
    let path = format!("fulfiller/outbounds/{id}/status");
    let told = json!({"status": "Acknowledged"});
    net.server.post("authorizations/ACME/revoke", json!({"warehouseId": MAIN, "shippingMethodId": "WARE0A0001"})).await;
    assert_eq!(net.refused("PUT", &path, told.clone()).await, "400 Outbounds_InapropriateShippingMethod");
    net.server.post("shippingmethods/WARE0A0001/delete", json!({})).await;
    assert_eq!(net.refused("PUT", &path, told.clone()).await, "400 ShippingMethods_ShippingMethodNotFound");
    net.server.post(&format!("warehouses/{MAIN}/delete"), json!({})).await;
    assert_eq!(net.refused("PUT", &path, told.clone()).await, "400 Warehouses_WarehouseNotFound");
    net.server.post("merchants/ACME/delete", json!({})).await;
    assert_eq!(net.refused("PUT", &path, told).await, "400 Users_UserNotFound");
    net.done("PUT", &path, json!({"status": "Canceled"})).await;
}

#[tokio::test]
async fn stale_versions_and_many_statuses() {
    let net = Net::start(&["--outdated-answer", "outbound"]).await;
    let (a, b) = (net.order("A", 1).await, net.order("B", 1).await);
    let old = "2026-01-05T08:00:00.000+00:00";
    let path = format!("fulfiller/outbounds/{a}/status?objectVersion={}", old.replace('+', "%2B"));
    let told = json!({"status": "Acknowledged"});
    assert_eq!(net.refused("PUT", &path, told.clone()).await, "400 Outbounds_OutdatedOutbound");
    net.server.post("settings", json!({"outdated_answer": "shared"})).await;
    assert_eq!(net.refused("PUT", &path, told).await, "400 Shared_OutdatedObject");
    let items = json!([{"outboundId": a, "status": "Acknowledged", "objectVersion": old},
        {"outboundId": b, "status": "Acknowledged"}, {"outboundId": "ACME02NONE", "status": "Locked"},
        {"outboundId": b, "status": "Acknowledged"}]);
    let rows = net.done("POST", "fulfiller/outbounds/status", json!({"items": items})).await;
    let codes: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["errorCode"]).collect();
    assert_eq!(
        codes,
        [
            &json!("Shared_OutdatedObject"),
            &Value::Null,
            &json!("Outbounds_OutboundNotFound"),
            &json!("Outbound_StatusChangeForbidden")
        ]
    );
    assert_eq!(net.effects().await.last().unwrap(), &format!("fulfiller outbound {b} is Acknowledged [\"B\"]"));
    net.server.post("settings", json!({"leave_out_failed_statuses": true})).await;
    let items = json!([{"outboundId": a, "status": "Locked"}, {"outboundId": "ACME02NONE", "status": "Locked"}]);
    let rows = net.done("POST", "fulfiller/outbounds/status", json!({"items": items})).await;
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["status"], "Locked");
}

#[tokio::test]
async fn what_tells_that_an_outbound_is_there() {
    let net = Net::start(&[]).await;
    let with_id = |number: &str, id: &str| {
        let mut body = order(number, 1);
        body["outboundId"] = json!(id);
        body
    };
    let create = "merchant/outbounds";
    net.done("POST", create, with_id("A", "ACME02OWN1")).await;
    let exists = "400 Outbounds_NotCanceledOutboundExists";
    for (check, same_number, same_id) in
        [("both", exists, exists), ("number", exists, "400 Shared_DuplicateKey"), ("id", "201 ", exists)]
    {
        net.server.post("settings", json!({"duplicate_check": check})).await;
        assert_eq!(net.refused("POST", create, order("A", 1)).await, same_number, "{check}");
        assert_eq!(net.refused("POST", create, with_id("B", "ACME02OWN1")).await, same_id, "{check}");
    }
    let all = net.done("GET", "merchant/outbounds?$filter=merchantOutboundNumber eq 'A'", Value::Null).await;
    let newest = all["items"].as_array().unwrap().iter().find(|row| row["outboundId"] != "ACME02OWN1").unwrap();
    let found = async || net.done("GET", "merchant/outbounds/A", Value::Null).await["outboundId"].clone();
    for (switch, wanted) in [("oldest", json!("ACME02OWN1")), ("newest", newest["outboundId"].clone())] {
        net.server.post("settings", json!({"same_number_get": switch})).await;
        assert_eq!(found().await, wanted);
    }
    let cancel = json!({"status": "Canceled"});
    net.done("PUT", "merchant/outbounds/ACME02OWN1/status", cancel.clone()).await;
    let twice = "merchant/outbounds/ACME02OWN1/status";
    assert_eq!(net.refused("PUT", twice, cancel.clone()).await, "403 Outbounds_OutboundStatusChangeForbidden");
    let before = net.effects().await.len();
    net.server.post("settings", json!({"accept_cancel_twice": true, "same_number_get": "live"})).await;
    assert_eq!(net.refused("PUT", twice, cancel.clone()).await, "204 ");
    assert_eq!(net.effects().await.len(), before, "nothing happened");
    assert_eq!(found().await, newest["outboundId"]);
    net.done("PUT", "merchant/outbounds/A/status", cancel).await;
    net.server.post("settings", json!({"duplicate_check": "both", "keep_canceled_numbers": true})).await;
    assert_eq!(net.refused("POST", create, order("A", 1)).await, "400 Shared_DuplicateKey");
    net.server.post("settings", json!({"keep_canceled_numbers": false})).await;
    net.order("A", 1).await;
}

#[tokio::test]
async fn answers_with_and_without_bodies() {
    let net = Net::start(&["--create-answer", "empty"]).await;
    let got = net.got("POST", "merchant/outbounds", order("A", 1)).await;
    assert_eq!((got.status, got.body.as_deref()), (201, Some("")));
    for (switch, status, body) in [("no_content", 204, false), ("empty", 200, false), ("object", 200, true)] {
        net.server.post("settings", json!({"change_answer": switch})).await;
        let change = net.got("PATCH", "merchant/outbounds/A", json!({"externalNote": switch})).await;
        let attached = net.got("POST", "merchant/outbounds/A/attachments", document(switch)).await;
        assert_eq!((attached.status, attached.body.as_deref()), (201, Some("")));
        let gone = net.got("DELETE", &format!("merchant/outbounds/A/attachments/{switch}"), Value::Null).await;
        let product = net.got("PATCH", &format!("merchant/products/{BLUE}"), json!({"note": switch})).await;
        for got in [change, gone, product] {
            assert_eq!((got.status, !got.body.unwrap().is_empty()), (status, body), "{switch}");
        }
    }
}

#[tokio::test]
async fn chaos_follows_its_seed() {
    let run = async |seed: u64| {
        let net = Net::start(&[]).await;
        let told =
            json!({"seed": seed, "rate": 0.5, "match": {"role": "merchant"}, "delay_ms": 5, "delay_after_ms": 5});
        net.server.post("chaos", told).await;
        let mut ends = Vec::new();
        for n in 0..60 {
            let got = net.maybe("POST", "merchant/outbounds", order(&format!("A-{n}"), 1)).await;
            ends.push(got.map_or(0, |got| got.status));
        }
        assert_eq!(net.call("GET", "fulfiller/outbounds", Value::Null).await.0, 200);
        let shown = net.server.get("chaos").await["chaos"].clone();
        assert_eq!(shown["matched"], 60);
        let hits = shown["hits"].as_object().unwrap().clone();
        assert_eq!(hits.len(), 9);
        let total: i64 = hits.values().map(|count| count.as_i64().unwrap()).sum();
        let requests = net.server.get("requests").await["requests"].as_array().unwrap().clone();
        let faults: Vec<String> = requests.iter().filter_map(|r| r["fault"].as_str().map(str::to_owned)).collect();
        assert_eq!(i64::try_from(faults.len()).unwrap(), total);
        let created = net.server.get("outbounds").await["count"].as_i64().unwrap();
        assert_eq!(i64::try_from(net.effects().await.len()).unwrap(), created, "what was created, and nothing else");
        net.server.control("DELETE", "chaos", &Value::Null).await;
        assert_eq!(net.server.get("chaos").await["chaos"], Value::Null);
        (ends, faults)
    };
    let first = run(7).await;
    assert!((15..45).contains(&first.1.len()), "{:?}", first.1);
    for status in [0, 201, 423, 429, 503] {
        assert!(first.0.contains(&status), "{status}: {:?}", first.0);
    }
    assert_eq!(run(7).await, first);
    assert_ne!(run(8).await, first);
}

#[tokio::test]
async fn chaos_of_one_kind_and_planned_faults_first() {
    let net = Net::start(&[]).await;
    let told = json!({"seed": 1, "rate": 1, "kinds": ["429"], "match": {"method": "POST"}, "retry_after_s": 3});
    net.server.post("chaos", told).await;
    net.server.post("faults", json!({"match": {"path": "/outbounds"}, "kind": {"status": 500}})).await;
    assert_eq!(net.call("POST", "merchant/outbounds", order("A", 1)).await.0, 500);
    let got = net.got("POST", "merchant/outbounds", order("A", 1)).await;
    assert_eq!((got.status, got.header("retry-after")), (429, "3"));
    net.server.post("chaos", json!({"seed": 1, "rate": 1, "kinds": ["423"]})).await;
    let locked = net.call("POST", "merchant/outbounds", order("A", 1)).await;
    assert_eq!((locked.0, &locked.1["errorMetaData"]), (423, &json!({"MerchantOutboundNumber": "A"})));
    assert_eq!(net.call("GET", "merchant/outbounds", Value::Null).await.0, 200, "423 is for creations");
    assert!(net.server.refresh("demo-refresh-token").await.is_some(), "not for the OAuth server");
    net.server.post("chaos", json!({"seed": 1, "rate": 1, "kinds": ["hang_after"], "delay_ms": 20})).await;
    assert!(net.maybe("POST", "merchant/outbounds", order("A", 1)).await.is_none());
    assert_eq!(net.server.get("outbounds").await["count"], 1);
    for wrong in [
        json!({"rate": 0.5}),
        json!({"seed": 1, "rate": 2}),
        json!({"seed": 1, "rate": 0.1, "kinds": []}),
        json!({"seed": 1, "rate": 0.1, "kinds": ["typo"]}),
        json!({"seed": 1, "rate": 0.1, "match": {"nth": 1}}),
    ] {
        let url = format!("{}/_simulator/chaos", net.server.base);
        assert_eq!(net.server.send(net.server.http.post(url).body(wrong.to_string())).await.unwrap().status, 400);
    }
    net.server.post("reset", json!({})).await;
    assert_eq!(net.server.get("chaos").await["chaos"], Value::Null, "a reset ends it");
}

#[tokio::test]
async fn a_limit_of_requests() {
    let net = Net::start(&["--rate-limit", "3", "--rate-limit-window-s", "60"]).await;
    for left in ["2", "1", "0"] {
        let got = net.got("GET", "merchant/warehouses", Value::Null).await;
        assert_eq!((got.status, got.header("x-ratelimit-remaining")), (200, left));
        assert_eq!(got.header("x-ratelimit-limit"), "3");
        assert_eq!(got.header("x-ratelimit-interval-length-seconds"), "60");
    }
    let got = net.got("POST", "merchant/outbounds", order("A", 1)).await;
    assert_eq!((got.status, got.header("x-ratelimit-remaining")), (429, "0"));
    assert!((1..=60).contains(&got.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(net.server.get("outbounds").await["count"], 0);
    assert_eq!(net.call("GET", "fulfiller/warehouses", Value::Null).await.0, 200, "another account");
    net.server.post("clock", json!({"advance": "61s"})).await;
    net.order("A", 1).await;
    net.server.post("settings", json!({"rate_limit": null})).await;
    let got = net.got("GET", "merchant/warehouses", Value::Null).await;
    assert!(!got.headers.contains_key("x-ratelimit-limit"));
}
