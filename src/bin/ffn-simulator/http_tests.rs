//! The switches as a client meets them, over HTTP.

use std::time::Duration;

use clap::Parser as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::connection::Cuttable;
use crate::flags::Flags;
use crate::server::{self, Shared};
use crate::world::World;

pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) shared: Shared,
}

pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    /// `None` if the connection ended before the body did.
    pub(crate) body: Option<String>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.body.as_deref().unwrap()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Server {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let idle: &[&str] = if flags.contains(&"--speed") { &[] } else { &["--speed", "0"] };
        let always = [&["ffn-simulator", "--seed", "7"], idle].concat();
        let shared = Shared::new(World::new(Flags::try_parse_from(always.iter().chain(flags)).unwrap()));
        tokio::spawn(server::serve(Cuttable(listener), shared.clone(), std::future::pending()));
        let redirect = reqwest::redirect::Policy::none();
        Server { base, http: reqwest::Client::builder().redirect(redirect).build().unwrap(), shared }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Option<Got> {
        let answer = request.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Some(Got { status, headers, body: answer.text().await.ok() })
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}/_simulator/{path}", self.base));
        let got = self.send(request.body(body.to_string())).await.unwrap();
        assert_eq!(got.status, 200, "{path}: {:?}", got.body);
        got.json()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.control("POST", path, &body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.control("GET", path, &Value::Null).await
    }

    fn refreshing(&self, token: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}/token", self.base))
            .basic_auth("demo-client", Some("demo-secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=refresh_token&refresh_token={token}"))
    }

    /// `None` if there is no answer.
    pub(crate) async fn refresh(&self, token: &str) -> Option<Got> {
        self.send(self.refreshing(token)).await
    }

    pub(crate) async fn api(&self, token: &str, path: &str) -> Got {
        self.send(self.http.get(format!("{}/api/v1/{path}", self.base)).bearer_auth(token)).await.unwrap()
    }

    /// Outcome and delivery of every refresh, once none is open.
    async fn record(&self) -> Vec<String> {
        for _ in 0..200 {
            let rows = self.get("tokens/refreshes").await["refreshes"].as_array().unwrap().clone();
            if rows.iter().all(|r| !r["delivered"].is_null()) {
                return rows.iter().map(|r| format!("{} {}", r["outcome"].as_str().unwrap(), r["delivered"])).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a refresh stays open");
    }

    /// One refresh of the merchant's first token that meets this fault, and how the record has it.
    async fn faulty(kind: Value) -> (Option<Got>, String, Self) {
        let server = Self::start(&[]).await;
        server.post("faults", json!({"match": {"path": "/token", "grant_type": "refresh_token"}, "kind": kind})).await;
        let got = server.refresh("demo-refresh-token").await;
        let record = server.record().await;
        assert_eq!(record.len(), 1);
        (got, record[0].clone(), server)
    }

    /// What the second use of the token is then.
    async fn second(&self) -> String {
        self.refresh("demo-refresh-token").await.unwrap();
        self.record().await[1].clone()
    }
}

const UNTOUCHED: &str = "not_processed false";
const LOST: &str = "refreshed false";
const DELIVERED: &str = "refreshed true";
const FRESH: &str = "refreshed true";
const AFTER_LOST: &str = "refused_reuse_after_lost true";
const AFTER_DELIVERED: &str = "refused_reuse_after_delivered true";

#[tokio::test]
async fn a_plain_answer_is_delivered() {
    let server = Server::start(&[]).await;
    assert_eq!(server.refresh("demo-refresh-token").await.unwrap().status, 200);
    assert_eq!(server.refresh("demo-refresh-token").await.unwrap().status, 401);
    assert_eq!(server.record().await, [DELIVERED, AFTER_DELIVERED]);
    let counters = server.get("tokens").await;
    assert_eq!((&counters["answersDelivered"], &counters["reuses"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn burnt_and_dropped() {
    let (got, record, server) = Server::faulty(json!("cut_after")).await;
    assert!(got.is_none());
    assert_eq!((record.as_str(), server.second().await.as_str()), (LOST, AFTER_LOST));
    let counters = server.get("tokens").await;
    assert_eq!((&counters["reuses"], &counters["reusesAfterLostAnswer"]), (&json!(0), &json!(1)));
    let (got, record, server) = Server::faulty(json!("cut_before")).await;
    assert!(got.is_none());
    assert_eq!((record.as_str(), server.second().await.as_str()), (UNTOUCHED, FRESH));
}

#[tokio::test]
async fn refused_with_a_status_before_and_after() {
    let limit = |after: bool| json!({"status": 429, "headers": {"Retry-After": "2"}, "after": after});
    let (got, record, server) = Server::faulty(limit(false)).await;
    let got = got.unwrap();
    assert_eq!((got.status, got.header("retry-after")), (429, "2"));
    assert_eq!((record.as_str(), server.second().await.as_str()), (UNTOUCHED, FRESH));
    let (got, record, server) = Server::faulty(limit(true)).await;
    assert_eq!(got.unwrap().header("retry-after"), "2");
    assert_eq!((record.as_str(), server.second().await.as_str()), (LOST, AFTER_LOST));
}

#[tokio::test]
async fn another_content_type() {
    let portal = json!({"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<p>Sign in</p>"});
    let (got, record, server) = Server::faulty(portal).await;
    let got = got.unwrap();
    assert_eq!((got.status, got.header("content-type")), (200, "text/html"));
    assert_eq!(got.body.as_deref(), Some("<p>Sign in</p>"));
    assert_eq!((record.as_str(), server.second().await.as_str()), (UNTOUCHED, FRESH));
}

#[tokio::test]
async fn answers_that_end_early() {
    let (got, record, server) = Server::faulty(json!({"truncate": 20})).await;
    assert_eq!(got.unwrap().body.as_deref(), Some(r#"{"token_type":"Beare"#));
    assert_eq!((record.as_str(), server.second().await.as_str()), (LOST, AFTER_LOST));

    let (got, record, server) = Server::faulty(json!({"truncate": -2})).await;
    let body = got.unwrap().body.unwrap();
    let (_, token) = body.rsplit_once('"').unwrap();
    assert_eq!(record, LOST);
    assert_eq!(server.refresh(token).await.unwrap().status, 200, "the whole token was in there");

    let (got, record, _) = Server::faulty(json!({"truncate": 20, "cut": true})).await;
    let got = got.unwrap();
    assert_eq!((got.status, got.body), (200, None));
    assert_eq!(record, LOST);

    let (got, record, _) = Server::faulty(json!({"truncate": 100_000, "cut": true})).await;
    assert!(got.unwrap().json()["refresh_token"].is_string());
    assert_eq!(record, DELIVERED, "nothing was left out");
}

#[tokio::test]
async fn slow_before_and_after() {
    for (kind, first, second) in [
        (json!({"delay_ms": 400}), "refreshed false", AFTER_LOST),
        (json!({"delay_after_ms": 400}), LOST, AFTER_LOST),
        (json!("hang_after"), LOST, AFTER_LOST),
        (json!("hang"), UNTOUCHED, FRESH),
    ] {
        let server = Server::start(&[]).await;
        server.post("faults", json!({"match": {"path": "/token"}, "kind": kind})).await;
        let impatient = server.refreshing("demo-refresh-token").timeout(Duration::from_millis(100));
        assert!(server.send(impatient).await.is_none(), "{kind}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(server.record().await, [first], "{kind}");
        assert_eq!(server.second().await, second, "{kind}");
    }
    let (got, record, _) = Server::faulty(json!({"delay_after_ms": 50})).await;
    assert_eq!((got.unwrap().status, record.as_str()), (200, DELIVERED));
}

#[tokio::test]
async fn an_early_second_use_is_judged_by_how_the_first_ends() {
    for (patience, second) in [(5_000, AFTER_DELIVERED), (200, AFTER_LOST)] {
        let server = Server::start(&[]).await;
        server.post("faults", json!({"match": {"path": "/token"}, "kind": {"delay_after_ms": 400}})).await;
        let first = server.refreshing("demo-refresh-token").timeout(Duration::from_millis(patience));
        let first = tokio::spawn(first.send());
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.refresh("demo-refresh-token").await.unwrap();
        assert_eq!(server.get("tokens").await["reusesUndecided"], 1);
        assert_eq!(first.await.unwrap().is_ok(), patience > 400);
        assert_eq!(server.record().await[1], second);
    }
}

#[tokio::test]
async fn faults_of_the_command_line_hit_one_role() {
    let plan = r#"{"match":{"grant_type":"refresh_token","role":"fulfiller"},"times":0,"kind":{"status":503}}"#;
    let server = Server::start(&["--fault", plan]).await;
    assert_eq!(server.refresh("demo-refresh-token").await.unwrap().status, 200);
    for _ in 0..3 {
        assert_eq!(server.refresh("demo-fulfiller-refresh-token").await.unwrap().status, 503);
    }
    let faults = server.get("faults").await;
    assert_eq!(
        (&faults["faults"][0]["fired"], &faults["faults"][0]["match"]["role"]),
        (&json!(3), &json!("fulfiller"))
    );
    assert!(Flags::try_parse_from(["ffn-simulator", "--fault", r#"{"kind":"typo"}"#]).is_err());
}

#[tokio::test]
async fn a_portal_that_was_never_visited() {
    let server = Server::start(&["--portal-never-visited", "merchant"]).await;
    let access = |got: Option<Got>| got.unwrap().json()["access_token"].as_str().unwrap().to_owned();
    let merchant = access(server.refresh("demo-refresh-token").await);
    let fulfiller = access(server.refresh("demo-fulfiller-refresh-token").await);
    for path in ["users/current", "cancelreasons", "merchant/outbounds", "fulfiller/outbounds"] {
        let got = server.api(&merchant, path).await;
        assert_eq!((got.status, got.body.as_deref()), (404, Some("")), "{path}");
    }
    assert_eq!(server.api("no-token", "users/current").await.status, 401);
    assert_eq!(server.api(&fulfiller, "users/current").await.status, 200);
    server.post("settings", json!({"portal_never_visited": []})).await;
    assert_eq!(server.api(&merchant, "users/current").await.json()["roles"], json!(["Merchant"]));
    server.post("settings", json!({"leave_out_roles": true})).await;
    let user = server.api(&merchant, "users/current").await.json();
    assert_eq!((&user["userId"], user.get("roles")), (&json!("ACME"), None));
    let settings = server.control("DELETE", "settings", &Value::Null).await;
    assert_eq!(settings["portal_never_visited"], json!(["merchant"]));
    assert_eq!(server.api(&merchant, "users/current").await.status, 404);
}

#[tokio::test]
async fn somebody_of_the_other_role_signs_in() {
    for (switch, body) in [
        (json!({"auto_approve": true, "sign_in_as": "fulfiller"}), None),
        (
            json!({"auto_approve": true, "sign_in_as": "fulfiller", "granted_scope": ["ffn.merchant.read"]}),
            Some("Shared_UserIsNotAMerchant"),
        ),
    ] {
        let server = Server::start(&[]).await;
        server.post("settings", switch).await;
        let ask =
            "response_type=code&client_id=demo-client&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&scope=ffn.merchant.read";
        let got = server.send(server.http.get(format!("{}/authorize?{ask}", server.base))).await.unwrap();
        let back = url::Url::parse(got.header("location")).unwrap();
        let code = back.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
        let redeem = format!("grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2Flocalhost%2Fcb");
        let got = server.send(server.refreshing("").body(redeem)).await.unwrap();
        let access = got.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(server.api(&access, "users/current").await.json()["userId"], "WARE");
        let refused = server.api(&access, "merchant/outbounds").await;
        assert_eq!(refused.status, 403);
        match body {
            None => assert_eq!(refused.body.as_deref(), Some("")),
            Some(code) => assert_eq!(refused.json()["errorCode"]["code"], code),
        }
    }
}

#[tokio::test]
async fn tokens_are_revoked_per_role() {
    let server = Server::start(&[]).await;
    let mut tokens = Vec::new();
    for token in ["demo-refresh-token", "demo-fulfiller-refresh-token"] {
        tokens.push(server.refresh(token).await.unwrap().json());
    }
    let text = |n: usize, name: &str| tokens[n][name].as_str().unwrap().to_owned();
    let revoked = server.post("tokens/revoke", json!({"what": "access", "role": "merchant"})).await;
    assert_eq!(revoked, json!({"accessTokensRevoked": 1, "refreshTokensRevoked": 0}));
    assert_eq!(server.api(&text(0, "access_token"), "users/current").await.status, 401);
    assert_eq!(server.api(&text(1, "access_token"), "users/current").await.status, 200);
    let revoked = server.post("tokens/revoke", json!({"what": "all", "role": "fulfiller"})).await;
    assert_eq!(revoked, json!({"accessTokensRevoked": 1, "refreshTokensRevoked": 1}));
    assert_eq!(server.refresh(&text(1, "refresh_token")).await.unwrap().status, 401);
    assert_eq!(server.refresh(&text(0, "refresh_token")).await.unwrap().status, 200);
}

#[tokio::test]
async fn another_client_secret() {
    let server = Server::start(&[]).await;
    server.post("settings", json!({"client_secret": "rotated-secret"})).await;
    let got = server.refresh("demo-refresh-token").await.unwrap();
    assert_eq!((got.status, &got.json()["error"]), (401, &json!("invalid_client")));
    assert_eq!(server.record().await, ["refused_client true"]);
    let secrets = server.get("secrets").await.to_string();
    for secret in ["demo-secret", "rotated-secret", "ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ="] {
        assert!(secrets.contains(secret), "{secret}");
    }
    server.control("DELETE", "settings", &Value::Null).await;
    assert_eq!(server.refresh("demo-refresh-token").await.unwrap().status, 200);
}

#[tokio::test]
async fn wrong_control_requests_are_a_400() {
    let server = Server::start(&[]).await;
    for (path, body, named) in [
        ("settings", r#"{"acess_token_ttl":1}"#, "acess_token_ttl"),
        ("settings", r#"{"portal_never_visited":"merchant"}"#, "portal_never_visited"),
        ("settings", "", "EOF"),
        ("tokens/revoke", r#"{"what":"all","role":"boss"}"#, "boss"),
        ("faults", r#"{"kind":{"truncate":"x"}}"#, "kind"),
    ] {
        let request = server.http.post(format!("{}/_simulator/{path}", server.base)).body(body);
        let got = server.send(request).await.unwrap();
        assert_eq!(got.status, 400, "{path} {body}");
        assert!(got.json()["error"].as_str().unwrap().contains(named), "{:?}", got.body);
    }
}

#[tokio::test]
async fn a_reset_makes_the_first_refresh_tokens_valid_again() {
    let server = Server::start(&["--clock", "2026-01-05T08:00:00Z"]).await;
    let first = server.refresh("demo-refresh-token").await.unwrap().json();
    let access = first["access_token"].as_str().unwrap();
    server.post("outbounds/bulk", json!({"count": 2})).await;
    server.post("reset", json!({})).await;
    let state = server.get("state").await;
    assert_eq!((&state["outbounds"], &state["requests"]), (&json!(0), &json!(0)));
    assert!(state["clock"].as_str().unwrap().starts_with("2026-01-05T08:00:0"));
    assert_eq!(server.api(access, "users/current").await.status, 401);
    let again = server.refresh("demo-refresh-token").await.unwrap().json();
    assert_eq!(server.api(again["access_token"].as_str().unwrap(), "users/current").await.status, 200);
    assert_eq!(server.get("requests").await["last"], 3);
}

#[tokio::test]
async fn a_reset_that_keeps_tokens() {
    let server = Server::start(&["--access-token-ttl", "60", "--refresh-token-ttl", "600"]).await;
    let tokens = server.refresh("demo-refresh-token").await.unwrap().json();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    for clock in ["2031-01-01T00:00:00Z", "2021-01-01T00:00:00Z"] {
        server.post("reset", json!({"keep_tokens": true, "clock": clock, "seed": 5})).await;
        assert_eq!(server.api(access, "users/current").await.status, 200, "{clock}");
        server.post("clock", json!({"advance": "59s"})).await;
        assert_eq!(server.api(access, "users/current").await.status, 200, "{clock}");
        server.post("clock", json!({"advance": "1s"})).await;
        assert_eq!(server.api(access, "users/current").await.status, 401, "{clock}: its life is over");
    }
    assert_eq!(server.get("tokens").await["refreshes"], 0, "counted anew");
    server.post("reset", json!({"keep_tokens": true})).await;
    assert_eq!(server.refresh("demo-refresh-token").await.unwrap().status, 401, "spent before");
    assert_eq!(server.refresh(refresh).await.unwrap().status, 200);
    server.post("tokens/revoke", json!({"what": "all"})).await;
    server.post("reset", json!({"keep_tokens": true})).await;
    assert_eq!(server.api(access, "users/current").await.status, 401, "revoked before");
}

#[tokio::test]
async fn a_request_of_the_time_before_a_reset_changes_nothing() {
    let server = Server::start(&[]).await;
    let token = server.refresh("demo-refresh-token").await.unwrap().json()["access_token"].as_str().unwrap().to_owned();
    server.post("faults", json!({"match": {"path": "/outbounds/A/status"}, "kind": {"delay_ms": 300}})).await;
    server.shared.lock().make("A".to_owned(), "Pending").unwrap();
    let url = format!("{}/api/v1/merchant/outbounds/A/status", server.base);
    let late = server.http.put(url).bearer_auth(&token).header("content-type", "application/json");
    let late = tokio::spawn(late.body(r#"{"status":"Canceled"}"#).send());
    while server.get("state").await["requests"] != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.post("reset", json!({"keep_tokens": true})).await;
    server.shared.lock().make("A".to_owned(), "Pending").unwrap();
    for _ in 0..2 {
        assert_eq!(server.api(&token, "users/current").await.status, 200);
    }
    assert!(late.await.unwrap().is_err());
    assert_eq!(server.shared.lock().outbounds[0].status, "Pending");
    let requests = server.get("requests").await;
    assert_eq!((&requests["last"], &requests["requests"][1]["status"]), (&json!(2), &json!(200)));
}
