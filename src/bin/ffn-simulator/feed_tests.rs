//! Every feed, list and object over HTTP, for both roles; the drives of the control API; the switches
//! that are about reading.

use serde_json::{Value, json};

use crate::http_tests::{Got, Server};

struct Site {
    server: Server,
    merchant: String,
    fulfiller: String,
}

impl Site {
    async fn start(flags: &[&str]) -> Self {
        let server = Server::start(flags).await;
        let access = |got: Option<Got>| got.unwrap().json()["access_token"].as_str().unwrap().to_owned();
        let merchant = access(server.refresh("demo-refresh-token").await);
        let fulfiller = access(server.refresh("demo-fulfiller-refresh-token").await);
        Site { server, merchant, fulfiller }
    }

    async fn api(&self, path: &str) -> Got {
        let token = if path.starts_with("merchant") { &self.merchant } else { &self.fulfiller };
        self.server.api(token, path).await
    }

    async fn ok(&self, path: &str) -> Value {
        let got = self.api(path).await;
        assert_eq!(got.status, 200, "{path}: {:?}", got.body);
        got.json()
    }

    async fn write(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let token = if path.starts_with("merchant") { &self.merchant } else { &self.fulfiller };
        let request = self.server.http.request(method.parse().unwrap(), format!("{}/api/v1/{path}", self.server.base));
        let request = request.bearer_auth(token).header("content-type", "application/json");
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let got = self.server.send(request).await.unwrap();
        let text = got.body.clone().unwrap_or_default();
        (got.status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.server.post(path, body).await
    }

    /// All rows of a feed, chunk by chunk.
    async fn feed(&self, path: &str) -> Vec<Value> {
        // What was written in this very millisecond is not before now.
        self.post("clock", json!({"advance": "2ms"})).await;
        let mut rows = Vec::new();
        for page in 1.. {
            let chunk = self.ok(&format!("{path}?page={page}")).await;
            rows.extend(chunk["data"].as_array().unwrap().iter().cloned());
            if chunk["moreDataAvailable"] == false {
                break;
            }
        }
        rows
    }
}

/// One new object of every kind.
async fn fill(site: &Site) {
    site.post("outbounds/bulk", json!({"count": 1, "prefix": "O-", "statuses": ["Pending", "Shipped"]})).await;
    site.post("inbounds", json!({"merchantInboundNumber": "I-1"})).await;
    site.post("inbounds/I-1/notify", json!({})).await;
    site.post("returns", json!({"merchantReturnNumber": "R-1"})).await;
    site.post("products", json!({"merchantSku": "P-1"})).await;
    site.post("warehouses", json!({"name": "W-1"})).await;
    site.post("shippingmethods", json!({"name": "S-1"})).await;
    site.post("fulfillers/WARE/touch", json!({})).await;
    site.post("merchants/ACME/change", json!({"isActive": false})).await;
    site.post("authorizations", json!({"merchantId": "ABCD"})).await;
}

#[tokio::test]
async fn every_feed_list_and_object_of_both_roles() {
    let site = Site::start(&["--chunk-size", "3"]).await;
    fill(&site).await;
    for (tail, id, merchant, fulfiller) in [
        ("outbounds", "outboundId", Some(1), Some(1)),
        ("outbounds/shipping-notifications", "outboundShippingNotificationId", Some(1), None),
        ("inbounds", "inboundId", Some(1), Some(1)),
        ("inbounds/shipping-notifications", "inboundShippingNotificationId", Some(1), Some(1)),
        ("returns", "returnId", Some(1), Some(1)),
        ("products", "jfsku", Some(1), Some(1)),
        ("stocks", "stockChangeId", Some(4), Some(4)),
        ("warehouses", "warehouseId", Some(1), Some(1)),
        ("shippingmethods", "shippingMethodId", Some(1), Some(1)),
        ("fulfillers", "userId", Some(1), None),
        ("merchants", "userId", None, Some(1)),
        ("authorizations", "merchantId", None, Some(2)),
    ] {
        for (role, wanted) in [("merchant", merchant), ("fulfiller", fulfiller)] {
            let path = format!("{role}/{tail}/updates");
            let Some(wanted) = wanted else {
                assert_eq!(site.api(&path).await.status, 404, "{path}");
                continue;
            };
            let rows = site.feed(&path).await;
            assert_eq!(rows.len(), wanted, "{path}");
            let changes = rows[0]["modificationInfo"]["changesInRange"].as_array().unwrap();
            assert!(!changes.is_empty() && rows[0].get(id).is_some(), "{path}");
            if tail.contains('/') || tail == "stocks" {
                continue;
            }
            let key = rows[0][id].as_str().unwrap();
            let alone = site.ok(&format!("{role}/{tail}/{key}")).await;
            assert_eq!(alone[id], key);
            assert!(alone["modificationInfo"].get("changesInRange").is_none());
            let list = site.ok(&format!("{role}/{tail}?$filter={id} eq '{key}'")).await;
            assert_eq!((&list["count"], &list["items"][0]), (&json!(1), &alone), "{path}");
            let (ours, theirs) =
                if role == "merchant" { ("merchantId", "fulfillerId") } else { ("fulfillerId", "merchantId") };
            if matches!(tail, "outbounds" | "inbounds" | "returns") {
                assert!(alone.get(ours).is_none() && alone.get(theirs).is_some(), "{path}");
            }
        }
    }
    for role in ["merchant", "fulfiller"] {
        for name in ["nothing", "outbounds/nothing", "inbounds/x/y"] {
            assert_eq!(site.api(&format!("{role}/{name}")).await.status, 404, "{role}/{name}");
        }
        let codes = [
            ("inbounds/x", "Inbounds_InboundNotFound"),
            ("returns/x", "Returns_ReturnNotFound"),
            ("products/x", "Products_ProductNotFound"),
            ("warehouses/x", "Warehouses_WarehouseNotFound"),
            ("shippingmethods/x", "ShippingMethods_ShippingMethodNotFound"),
            ("stocks/x", "Products_ProductNotFound"),
        ];
        for (name, code) in codes {
            let got = site.api(&format!("{role}/{name}")).await;
            assert_eq!((got.status, &got.json()["errorCode"]["code"]), (404, &json!(code)), "{role}/{name}");
        }
    }
}

#[tokio::test]
async fn inbounds_by_number_and_their_notifications() {
    let site = Site::start(&[]).await;
    fill(&site).await;
    let id = site.ok("merchant/inbounds/I-1").await["inboundId"].as_str().unwrap().to_owned();
    assert_eq!(site.api("fulfiller/inbounds/I-1").await.status, 404, "the merchant's number is not the fulfiller's");
    for path in [
        "merchant/inbounds/I-1/shipping-notifications".to_owned(),
        format!("fulfiller/inbounds/{id}/shipping-notifications"),
    ] {
        let rows = site.ok(&path).await;
        assert_eq!(rows.as_array().unwrap().len(), 1);
        let one = site.ok(&format!("{path}/ASN-I-1-1")).await;
        assert_eq!((&rows[0], &one["inboundId"]), (&one, &json!(id)));
    }
    let reached = site.post("inbounds/I-1/advance", json!({"to": "Closed", "partial": true, "gap_ms": 50})).await;
    assert_eq!(reached["reached"], json!(["PartiallyReceipted", "Receipted", "Closed"]));
    let row = &site.server.get("inbounds?number=I-1").await["inbounds"][0];
    let statuses: Vec<&str> =
        row["history"].as_array().unwrap().iter().map(|h| h["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["Pending", "PartiallyReceipted", "Receipted", "Closed"]);
    assert_eq!((&row["changes"], &row["log"][1]["what"]), (&json!(4), &json!("items,status")));
    let states = site.feed("merchant/inbounds/updates").await[0]["modificationInfo"]["changesInRange"].clone();
    assert_eq!(states.as_array().unwrap().len(), 4);
    site.post("inbounds/I-1/delete", json!({})).await;
    assert_eq!(site.api("merchant/inbounds/I-1").await.status, 404);
    assert_eq!(site.feed("merchant/inbounds/updates").await[0]["modificationInfo"]["state"], "Deleted");
    assert_eq!(site.ok("merchant/inbounds").await["count"], 0);
}

#[tokio::test]
async fn the_log_of_returns() {
    let site = Site::start(&["--ordered-chunks"]).await;
    fill(&site).await;
    site.post("returns/R-1/lock", json!({"by": "merchant", "seconds": 5})).await;
    site.post("returns/R-1/change", json!({"internalNote": "x"})).await;
    site.post("returns/R-1/touch", json!({})).await;
    let id = site.feed("merchant/returns/updates").await[0]["returnId"].as_str().unwrap().to_owned();
    let all = site.feed("merchant/returns/changes").await;
    assert_eq!(all.len(), 3, "a touch changes no field");
    assert_eq!((&all[0]["modificationState"], &all[0]["id"]), (&json!("New"), &json!(id)));
    assert_eq!(all[0]["changes"]["fulfillerId"]["value"], "WARE");
    assert_eq!(all[1]["changes"]["writeLock"]["lockedByUserId"], json!({"value": "ACME"}));
    assert_eq!(all[2]["changes"], json!({"internalNote": {"value": "x"}}));
    let theirs = site.feed(&format!("fulfiller/returns/{id}/changes")).await;
    assert_eq!((theirs.len(), &theirs[0]["changes"]["merchantId"]["value"]), (3, &json!("ACME")));
    assert_eq!(site.api("merchant/returns/x/changes").await.status, 404);
}

#[tokio::test]
async fn the_stock_ledger_has_no_gaps_unless_told() {
    let site = Site::start(&["--ordered-chunks"]).await;
    site.post("stock", json!({"merchantSku": "MUG-RED", "stockLevel": "5"})).await;
    site.post(
        "stock-changes",
        json!({"merchantSku": "MUG-RED", "changeType": "Teleported", "quantity": "0.5", "count": 3}),
    )
    .await;
    let versions = |rows: &[Value]| -> Vec<i64> {
        rows.iter().map(|r| r["stockChangeId"]["stockVersion"].as_i64().unwrap()).collect()
    };
    let rows = site.feed("merchant/stocks/updates").await;
    assert_eq!(versions(&rows), [2, 3, 4, 5]);
    assert_eq!(
        (&rows[3]["stockLevel"], &rows[3]["current"], &rows[2]["current"]),
        (&json!(6.5), &json!(true), &json!(false))
    );
    let place = "stock-changes/WARE04MAIN-00001-0001:ACME01A1B2D";
    site.post(&format!("{place}:3/hide"), json!({"reads": 1})).await;
    site.post(&format!("{place}:4/hide"), json!({"always": true})).await;
    site.post(&format!("{place}:5/raw"), json!({"quantity": "odd", "extra": {"a": 1}})).await;
    let rows = site.feed("merchant/stocks/updates").await;
    assert_eq!(versions(&rows), [2, 5]);
    assert_eq!((&rows[1]["quantity"], &rows[1]["extra"]), (&json!("odd"), &json!({"a": 1})));
    assert_eq!(versions(&site.feed("fulfiller/stocks/updates").await), [2, 3, 5]);
    site.post(&format!("{place}:4/hide"), json!({})).await;
    assert_eq!(versions(&site.feed("merchant/stocks/updates").await), [2, 3, 4, 5]);
    let one = site.ok("merchant/stocks/ACME01A1B2D/WARE04MAIN-00001-0001").await;
    assert_eq!((&one["stockLevel"], &one["fulfillerId"]), (&json!(6.5), &json!("WARE")));
    let before = site.ok("merchant/stocks/ACME01A1B2D?date=2020-01-01T00:00:00Z").await;
    assert_eq!(before["stockLevel"], 0);
    let found = site.ok("fulfiller/stocks/changes/WARE04MAIN-00001-0001?$filter=changeType eq 'Teleported'").await;
    assert_eq!(found["count"], 3);
    let all =
        site.ok("fulfiller/stocks/changes?$filter=current eq true and stockChangeId/jfsku eq 'ACME01A1B2D'").await;
    assert_eq!(all["count"], 2);
    site.post("products", json!({"merchantSku": "NEW"})).await;
    site.post("settings", json!({"chunk_size": 4})).await;
    let first = site.ok("merchant/stocks/complete").await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["moreDataAvailable"]), (4, &json!(true)));
    assert!(first["nextChunkUrl"].as_str().unwrap().contains("/merchant/stocks/complete?date="));
    let second = site.ok("merchant/stocks/complete?page=2&includeBillOfMaterials=true").await;
    assert_eq!(second["items"].as_array().unwrap().len(), 3);
    assert_eq!(site.ok("merchant/stocks").await["count"], 5, "without the one that never had stock");
}

#[tokio::test]
async fn many_of_every_kind() {
    let site = Site::start(&["--chunk-size", "1000"]).await;
    for (kind, statuses, feed) in [
        ("inbounds", json!(["Pending", "PartiallyReceipted", "Receipted", "Closed"]), "inbounds"),
        ("inbound-notifications", json!([]), "inbounds/shipping-notifications"),
        ("returns", json!(["Arrived", "Completed"]), "returns"),
        ("products", json!([]), "products"),
        ("warehouses", json!([]), "warehouses"),
        ("shippingmethods", json!([]), "shippingmethods"),
    ] {
        let made = site.post(&format!("{kind}/bulk"), json!({"count": 40, "prefix": "X-", "statuses": statuses})).await;
        assert_eq!((&made["created"], &made["last"]), (&json!(40), &json!("X-000040")));
        assert_eq!(site.feed(&format!("merchant/{feed}/updates")).await.len(), 40, "{kind}");
    }
    let granted = site.ok("fulfiller/authorizations/ACME").await;
    assert_eq!(granted["warehouses"].as_array().unwrap().len(), 42);
    assert_eq!(site.server.get("state").await["objects"]["returns"], 40);
}

#[tokio::test]
async fn grants_and_sharing() {
    let site = Site::start(&[]).await;
    let made = site.post("warehouses", json!({"granted": false})).await;
    let id = made["warehouseId"].as_str().unwrap();
    assert_eq!(site.api(&format!("merchant/warehouses/{id}")).await.status, 404);
    let granted = json!({"warehouseId": id, "shippingMethodIds": ["WARE0A0001"]});
    site.post("authorizations/ACME/grant", granted).await;
    assert_eq!(site.ok(&format!("merchant/warehouses/{id}")).await["shippingMethodIds"], json!(["WARE0A0001"]));
    site.post("authorizations/ACME/revoke", json!({"warehouseId": id})).await;
    assert_eq!(site.ok("merchant/warehouses").await["count"], 2);
    let made = site.post("products", json!({"merchantSku": "SECRET", "shared": false})).await;
    let jfsku = made["jfsku"].as_str().unwrap();
    assert_eq!(site.api(&format!("fulfiller/products/{jfsku}")).await.status, 404);
    assert!(site.feed("fulfiller/products/updates").await.is_empty());
    site.post("products/SECRET/share", json!({})).await;
    assert_eq!(site.feed("fulfiller/products/updates").await.len(), 1);
    assert_eq!(site.ok(&format!("merchant/products/{jfsku}/authorizations")).await[0]["fulfillerId"], "WARE");
}

#[tokio::test]
async fn how_answers_look() {
    let site = Site::start(&[]).await;
    fill(&site).await;
    let plain = site.ok("merchant/inbounds/I-1").await;
    assert!(plain.get("note").is_none());
    site.post("settings", json!({"keep_nulls": true, "seven_decimals": true})).await;
    let nulls = site.ok("merchant/inbounds/I-1").await;
    assert!(nulls["note"].is_null() && nulls.as_object().unwrap().contains_key("note"));
    assert!(nulls["items"][0].as_object().unwrap().contains_key("supplierSku"));
    assert!(nulls["modificationInfo"]["createdAt"].as_str().unwrap().ends_with("0000+00:00"));
    site.post("settings", json!({"leave_out_page": true, "leave_out_links": true, "top_cap": 2})).await;
    let list = site.ok("merchant/products?$top=100").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert!(["_page", "_links", "nextPageLink"].iter().all(|name| list.get(*name).is_none()));
    site.post("settings", json!({"list_shape": "array"})).await;
    assert_eq!(site.ok("merchant/stocks/warehouse/WARE04MAIN-00001-0001").await.as_array().unwrap().len(), 2);
    site.post("settings", json!({"error_metadata_spelling": "errorMetadata"})).await;
    assert_eq!(site.api("merchant/inbounds/x").await.json()["errorMetadata"]["MerchantInboundNumber"], "x");
    site.server.control("DELETE", "settings", &Value::Null).await;
    assert_eq!(site.ok("merchant/inbounds/I-1").await, plain);
}

#[tokio::test]
async fn clocks_that_are_wrong() {
    let site = Site::start(&["--clock-skew-s", "-300"]).await;
    let date = |got: &Got| chrono::DateTime::parse_from_rfc2822(got.header("date")).unwrap().timestamp();
    let now = chrono::Utc::now().timestamp();
    assert!((date(&site.api("merchant/warehouses").await) - now + 300).abs() < 60);
    site.post("settings", json!({"date_skew_s": 1000})).await;
    assert!((date(&site.api("merchant/warehouses").await) - now - 700).abs() < 60);
    site.post("settings", json!({"date_header": "real", "date_skew_s": 0})).await;
    assert!((date(&site.api("merchant/warehouses").await) - now).abs() < 60);
    site.post("settings", json!({"clock_skew_s": 3600})).await;
    let to = site.ok("merchant/inbounds/updates").await["to"].as_str().unwrap().to_owned();
    assert!((chrono::DateTime::parse_from_rfc3339(&to).unwrap().timestamp() - now - 3600).abs() < 60);
    site.post("settings", json!({"date_header": "absent"})).await;
    let got = site.api("merchant/warehouses").await;
    assert!(got.headers.get("date").is_none() && got.status == 200 && got.json()["count"] == 2);
    site.post("settings", json!({"date_header": "unreadable"})).await;
    assert_eq!(site.api("merchant/warehouses").await.header("date"), "yesterday");
    site.post("inbounds", json!({})).await;
    let url = format!("{}/_simulator/settings", site.server.base);
    let got = site.server.send(site.server.http.post(url).body(r#"{"clock_skew_s":0}"#)).await.unwrap();
    assert_eq!(got.status, 409, "there was a write");
}

#[tokio::test]
async fn a_world_of_its_own() {
    let site = Site::start(&["--own-objects", "2", "--speed", "20000"]).await;
    for _ in 0..400 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        site.server.shared.lock().work();
        let state = site.server.get("state").await;
        if state["objects"]["inbounds"].as_i64() > Some(4) && state["objects"]["returns"].as_i64() > Some(4) {
            return;
        }
    }
    panic!("nothing moves");
}

#[tokio::test]
async fn writes_of_both_roles() {
    let site = Site::start(&[]).await;
    let inbound = json!({"merchantInboundNumber": "A", "warehouseId": "WARE04MAIN-00001-0001",
        "items": [{"inboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 5}]});
    let (status, made) = site.write("POST", "merchant/inbounds", inbound.clone()).await;
    assert_eq!((status, &made["status"]), (201, &json!("Pending")));
    let (status, twice) = site.write("POST", "merchant/inbounds", inbound).await;
    assert_eq!((status, &twice["errorCode"]["code"]), (400, &json!("Inbounds_DuplicateInbound")));
    assert_eq!(site.write("PATCH", "merchant/inbounds/A", json!({"note": "n"})).await.0, 204);
    let notification = json!({"merchantShippingNotificationNumber": "N", "items": [], "packages": []});
    assert_eq!(site.write("POST", "merchant/inbounds/A/shipping-notifications", notification).await.0, 201);
    assert_eq!(site.write("DELETE", "merchant/inbounds/A/shipping-notifications/N", Value::Null).await.0, 204);
    let id = made["inboundId"].as_str().unwrap();
    let goods = json!({"jfsku": "ACME01A1B2C", "warehouseId": "WARE04MAIN-00001-0001", "quantity": 3,
        "fulfillerTimestamp": "2026-01-01T00:00:00Z", "fulfillerStockChangeId": "F-1"});
    let (status, row) = site.write("POST", &format!("fulfiller/inbounds/{id}/incoming-goods"), goods.clone()).await;
    assert_eq!(
        (status, &row["status"], &row["items"][0]["quantityOpen"]),
        (201, &json!("PartiallyReceipted"), &json!(2))
    );
    let found = site.ok("fulfiller/stocks/changes?$filter=fulfillerStockChangeId eq 'F-1'").await;
    assert_eq!(found["items"][0]["changeType"], "Inbound");
    assert_eq!(site.write("PUT", &format!("fulfiller/inbounds/{id}/close"), Value::Null).await.0, 204);
    let (status, row) = site.write("PUT", "merchant/inbounds/A/close", Value::Null).await;
    assert_eq!((status, &row["errorCode"]["code"]), (400, &json!("Inbounds_MerchantCanNotCloseInbound")));
    assert_eq!(site.api("merchant/inbounds/A/close").await.status, 405);

    let address = json!({"lastname": "L", "street": "S", "city": "C", "country": "DE"});
    let body = json!({"merchantReturnNumber": "R", "warehouseId": "WARE04MAIN-00001-0001", "customerAddress": address,
        "items": [{"returnItemId": "x", "merchantSku": "MUG-BLUE", "quantity": 2}]});
    let (status, made) = site.write("POST", "merchant/returns", body).await;
    assert_eq!((status, &made["state"]), (201, &json!("Announced")));
    let r = format!("fulfiller/returns/{}", made["returnId"].as_str().unwrap());
    let version = made["modificationInfo"]["updatedAt"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(site.write("PUT", &format!("{r}/lock?objectVersion={version}"), Value::Null).await.0, 204);
    let (status, row) = site.write("PATCH", &format!("{r}?objectVersion={version}"), json!({"contact": "c"})).await;
    assert_eq!((status, &row["errorCode"]["code"]), (400, &json!("Shared_OutdatedObject")));
    let (status, row) = site.write("DELETE", &r.replace("fulfiller", "merchant"), Value::Null).await;
    assert_eq!((status, &row["errorCode"]["code"]), (403, &json!("Returns_ReturnIsLocked")));
    assert_eq!(
        site.write("PATCH", &format!("{r}/items/x"), json!({"state": "Arrived", "condition": "Used"})).await.0,
        204
    );
    let mut told = goods.clone();
    told["quantity"] = json!(2);
    told["fulfillerStockChangeId"] = json!("F-2");
    let (status, row) = site.write("POST", &format!("{r}/items/x/incomming-goods"), told).await;
    assert_eq!((status, &row["changeType"], &row["returnItem"]["returnItemId"]), (201, &json!("Return"), &json!("x")));
    assert_eq!(site.ok(&r).await["state"], "Completed");

    let product = json!({"name": "N", "merchantSku": "N", "identifier": {}});
    let (status, made) = site.write("POST", "merchant/products", product).await;
    assert_eq!(status, 201);
    let p = format!("merchant/products/{}", made["jfsku"].as_str().unwrap());
    assert_eq!(site.write("POST", &format!("{p}/authorizations"), json!({"fulfillerId": "WARE"})).await.0, 201);
    assert_eq!(site.write("PATCH", &p, json!({"name": "M"})).await.0, 204);
    assert_eq!(site.ok(&p.replace("merchant/", "fulfiller/")).await["name"], "M");
    assert_eq!(site.write("DELETE", &p, Value::Null).await.0, 204);
    assert_eq!(site.api(&p).await.json()["errorCode"]["code"], "Products_ProductNotActive");

    let (status, made) = site.write("POST", "fulfiller/warehouses", json!({"name": "W", "address": address})).await;
    assert_eq!(status, 201);
    let w = format!("fulfiller/warehouses/{}", made["warehouseId"].as_str().unwrap());
    assert_eq!(site.write("PATCH", &w, json!({"name": "V"})).await.0, 204);
    assert_eq!(site.write("DELETE", &w, Value::Null).await.0, 204);
    let kept = site.write("DELETE", "fulfiller/warehouses/WARE04MAIN-00001-0001", Value::Null).await;
    assert_eq!((kept.0, &kept.1["errorCode"]["code"]), (400, &json!("Warehouses_WarehouseStillAuthorized")));
    let method = json!({"name": "M", "shippingType": "Standard", "fulfillerShippingMethodNumber": "77"});
    assert_eq!(site.write("POST", "fulfiller/shippingmethods", method.clone()).await.0, 201);
    assert_eq!(site.write("POST", "fulfiller/shippingmethods", method).await.0, 400);
    let mut told = goods;
    told["quantity"] = json!(-4);
    assert_eq!(site.write("POST", "fulfiller/stocks/adjustments", told).await.1["quantity"], -4);
    assert_eq!(site.write("POST", "merchant/stocks/adjustments", json!({})).await.0, 405);
}

#[tokio::test]
async fn transitions_of_every_kind_in_the_order_of_time() {
    let site = Site::start(&[]).await;
    let begin = site.server.get("state").await["clock"].as_str().unwrap().replace('+', "%2B");
    let old = site.server.get("transitions").await["count"].as_i64().unwrap();
    site.post("clock", json!({"advance": "1s"})).await;
    fill(&site).await;
    site.post("outbounds/O-000001/touch", json!({})).await;
    site.post("outbounds/bulk", json!({"count": 1, "prefix": "P-"})).await;
    site.post("outbounds/P-000001/status", json!({"status": "Teleported"})).await;
    site.post("outbounds/P-000001/delete", json!({})).await;
    site.post("inbounds/I-1/advance", json!({"to": "Closed"})).await;
    site.post("products/P-1/unshare", json!({})).await;
    let all = site.server.get(&format!("transitions?since={begin}")).await;
    let rows = all["transitions"].as_array().unwrap();
    assert_eq!(all["count"].as_u64().map(usize::try_from), Some(Ok(rows.len())));
    assert_eq!(site.server.get("transitions").await["count"], json!(old + all["count"].as_i64().unwrap()));
    assert!(rows.is_sorted_by_key(|r| r["at"].as_str().unwrap()));
    let of = |kind: &str, number: Value| -> Vec<Value> {
        let fits = |r: &&Value| r["kind"] == kind && r["number"] == number;
        rows.iter().filter(fits).map(|r| json!([r["state"], r["status"], r["statusChanged"], r["roles"]])).collect()
    };
    let both = json!(["merchant", "fulfiller"]);
    assert_eq!(
        of("outbounds", json!("O-000001")),
        [
            json!(["New", "Pending", true, both]),
            json!(["Modified", "Shipped", true, both]),
            json!(["Modified", "Shipped", false, both])
        ]
    );
    assert_eq!(
        of("outbounds", json!("P-000001")),
        [
            json!(["New", "Pending", true, both]),
            json!(["Modified", "Teleported", true, both]),
            json!(["Deleted", "Teleported", false, both])
        ]
    );
    assert_eq!(of("inbounds", json!("I-1")).last(), Some(&json!(["Modified", "Closed", true, both])));
    assert_eq!(of("inbound-notifications", json!("ASN-I-1-1")), [json!(["New", null, false, both])]);
    assert_eq!(of("returns", json!("R-1")), [json!(["New", "Announced", true, both])]);
    assert_eq!(of("products", json!("P-1"))[0], json!(["New", null, false, ["merchant"]]), "not shared now");
    let one = |kind: &str| rows.iter().find(|r| r["kind"] == kind).unwrap();
    let shipped = one("notifications");
    assert_eq!((&shipped["status"], &shipped["roles"]), (&json!("Shipped"), &json!(["merchant"])));
    assert_eq!(one("merchants")["roles"], json!(["fulfiller"]));
    let stock: Vec<&str> =
        rows.iter().filter(|r| r["kind"] == "stock-changes").map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(stock[..2], ["WARE04MAIN-00001-0001:ACME01A1B2C:2", "WARE04MAIN-00001-0001:ACME01A1B2C:3"]);
    // What was made without the feeds is what the feeds show.
    let seen = site.feed("merchant/stocks/updates").await;
    assert_eq!(seen.len(), stock.len());
    let newest = site.server.get(&format!("transitions?kind=stock-changes&since={begin}")).await;
    assert_eq!(newest["count"], json!(stock.len()));
    for wrong in ["transitions?since=yesterday", "transitions?kind=boats"] {
        let url = format!("{}/_simulator/{wrong}", site.server.base);
        assert_eq!(site.server.send(site.server.http.get(url)).await.unwrap().status, 400);
    }
}

#[tokio::test]
async fn stock_changes_by_every_field_of_the_document() {
    let site = Site::start(&[]).await;
    fill(&site).await;
    site.post("outbounds/bulk", json!({"count": 1, "prefix": "S-"})).await;
    let told = json!({"merchantSku": "MUG-RED", "changeType": "Teleported", "quantity": "1.5", "quantityBlocked": "2",
        "quantityReserved": "3", "quantityAnnounced": "4", "fulfillerStockChangeId": "F-1",
        "fulfillerTimestamp": "2026-01-01T00:00:00Z"});
    site.post("stock-changes", told).await;
    let main = "WARE04MAIN-00001-0001";
    let shipped = site.server.get("notifications").await["notifications"][0].clone();
    let inbound = site.server.get("inbounds").await["inbounds"][0]["inboundId"].as_str().unwrap().to_owned();
    let outbound = shipped["outboundId"].as_str().unwrap();
    let shipped = shipped["outboundShippingNotificationId"].as_str().unwrap();
    let red = "stockChangeId/jfsku eq 'ACME01A1B2D'";
    for (filter, merchant, fulfiller, in_one) in [
        ("fulfillerStockChangeId eq 'F-1'".to_owned(), 1, Some(1), Some(1)),
        ("fulfillerTimestamp lt 2026-01-02T00:00:00Z".to_owned(), 1, Some(1), Some(1)),
        (format!("{red} and stockLevel gt 1000000"), 1, Some(1), Some(1)),
        ("stockLevelReserved ge 3".to_owned(), 1, Some(1), Some(1)),
        ("stockLevelBlocked eq 2".to_owned(), 1, Some(1), Some(1)),
        (format!("{red} and quantity gt 0 and stockLevelAnnounced ge 4"), 1, Some(1), Some(1)),
        ("quantity eq 1.5".to_owned(), 1, Some(1), Some(1)),
        ("quantityReserved eq 3".to_owned(), 1, Some(1), Some(1)),
        ("quantityBlocked eq 2".to_owned(), 1, Some(1), Some(1)),
        ("quantityAnnounced eq 4".to_owned(), 1, Some(1), Some(1)),
        ("changeType eq 'Teleported'".to_owned(), 1, Some(1), Some(1)),
        (red.to_owned(), 4, Some(4), Some(3)),
        (format!("{red} and stockChangeId/warehouseId eq '{main}'"), 3, Some(3), Some(3)),
        (format!("{red} and stockChangeId/warehouseId ne '{main}'"), 1, Some(1), Some(0)),
        (format!("stockChangeId/warehouseId eq '{main}' and changeType eq 'Teleported'"), 1, Some(1), Some(1)),
        (format!("{red} and current eq true"), 2, Some(2), None),
        (format!("inboundItem/inboundId eq '{inbound}'"), 2, Some(2), Some(2)),
        ("inboundItem/merchantInboundNumber eq 'I-1'".to_owned(), 2, None, None),
        (format!("outboundItem/outboundId eq '{outbound}'"), 2, Some(2), Some(2)),
        ("outboundItem/merchantOutboundNumber eq 'S-000001'".to_owned(), 1, None, None),
        (
            format!("outboundShippingNotificationItem/outboundShippingNotificationId eq '{shipped}'"),
            1,
            Some(1),
            Some(1),
        ),
    ] {
        for (path, wanted) in [
            ("merchant/stocks/changes".to_owned(), Some(merchant)),
            ("fulfiller/stocks/changes".to_owned(), fulfiller),
            (format!("fulfiller/stocks/changes/{main}"), in_one),
        ] {
            let got = site.api(&format!("{path}?$filter={filter}")).await;
            let count = (got.status == 200).then(|| got.json()["count"].as_i64().unwrap());
            assert_eq!(count, wanted, "{path} {filter} {:?}", got.body);
        }
    }
}

#[tokio::test]
async fn a_stock_change_that_nothing_shows() {
    let site = Site::start(&[]).await;
    site.post("stock-changes", json!({"merchantSku": "MUG-RED", "count": 3})).await;
    let place = "stock-changes/WARE04MAIN-00001-0001:ACME01A1B2D:3/hide";
    let lists =
        ["merchant/stocks/changes", "fulfiller/stocks/changes", "fulfiller/stocks/changes/WARE04MAIN-00001-0001"];
    for (hide, listed) in [
        (json!({"always": true}), 4),
        (json!({"always": true, "lists": true}), 3),
        (json!({"always": true}), 4),
        (json!({"always": true, "lists": true}), 3),
    ] {
        site.post(place, hide).await;
        assert_eq!(site.feed("merchant/stocks/updates").await.len(), 2);
        for path in lists {
            let in_main = "stockChangeId/warehouseId eq 'WARE04MAIN-00001-0001'";
            let list = site.ok(&format!("{path}?$filter={in_main} and stockChangeId/jfsku eq 'ACME01A1B2D'")).await;
            assert_eq!((&list["count"], &list["_page"]["total"]), (&json!(listed), &json!(listed)), "{path}");
        }
    }
    site.post(place, json!({})).await;
    assert_eq!(site.feed("merchant/stocks/updates").await.len(), 3);
    let url = format!("{}/_simulator/{place}", site.server.base);
    let wrong = site.server.http.post(url).body(r#"{"reads":1,"lists":true}"#);
    assert_eq!(site.server.send(wrong).await.unwrap().status, 400);
}

#[tokio::test]
async fn one_bad_item_and_one_huge_one() {
    let site = Site::start(&["--ordered-chunks"]).await;
    site.post("outbounds/bulk", json!({"count": 3, "prefix": "O-"})).await;
    let instead = async |text: &'static str, query: &str| {
        let url = format!("{}/_simulator/outbounds/O-000002/instead{query}", site.server.base);
        assert_eq!(site.server.send(site.server.http.post(url).body(text)).await.unwrap().status, 200);
    };
    for (text, item) in [("null", json!(null)), ("\"odd\"", json!("odd")), ("{}", json!({})), ("[1.50]", json!([1.50]))]
    {
        instead(text, "?feeds=true").await;
        let rows = site.feed("merchant/outbounds/updates").await;
        assert_eq!((rows.len(), &rows[1]), (3, &item));
        assert_eq!(site.ok("merchant/outbounds/O-000002").await["merchantOutboundNumber"], "O-000002");
        instead(text, "").await;
        assert_eq!(site.ok("merchant/outbounds/O-000002").await, item);
        let list = site.ok("merchant/outbounds?$orderBy=merchantOutboundNumber&$filter=status eq 'Pending'").await;
        assert_eq!((&list["count"], &list["items"][1]), (&json!(3), &item));
    }
    instead("{\"a\":", "").await;
    let broken = site.api("merchant/outbounds/O-000002").await;
    assert_eq!(broken.body.as_deref(), Some("{\"a\":"), "also what is no JSON");
    instead("", "").await;
    assert_eq!(site.feed("merchant/outbounds/updates").await[1]["merchantOutboundNumber"], "O-000002");

    let huge = "x".repeat(5 * 1024 * 1024);
    site.post("outbounds/O-000003/raw?touch=true", json!({"internalNote": huge, "status": "Unheard", "brandNew": [1]}))
        .await;
    site.post("inbounds", json!({"merchantInboundNumber": "I-1"})).await;
    site.post("inbounds/I-1/change", json!({"note": huge})).await;
    let rows = site.feed("merchant/outbounds/updates").await;
    assert_eq!((&rows[2]["status"], &rows[2]["brandNew"]), (&json!("Unheard"), &json!([1])));
    assert_eq!(rows[2]["internalNote"].as_str().unwrap().len(), huge.len());
    assert_eq!(site.feed("fulfiller/inbounds/updates").await[0]["note"].as_str().unwrap().len(), huge.len());
}

#[tokio::test]
async fn shapes_of_cancel_reasons() {
    let site = Site::start(&[]).await;
    assert_eq!(site.ok("cancelreasons").await[0]["code"], "None");
    site.post("settings", json!({"cancel_reasons_shape": "items"})).await;
    assert_eq!(site.ok("cancelreasons").await["items"][0]["code"], "None");
}
