use super::*;

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn call<'a>(header: Option<&'a str>, body: &'a str, receipt: &'a Receipt, now: i64) -> TokenCall<'a> {
    TokenCall { authorization: header, form: true, body: body.as_bytes(), seq: 1, receipt, now }
}

/// A refresh whose answer has this receipt.
fn refresh_with(oauth: &mut OAuth, flags: &Flags, token: &str, receipt: &Receipt, now: i64) -> (u16, Value) {
    let (header, body) = (basic("demo-client:demo-secret"), format!("grant_type=refresh_token&refresh_token={token}"));
    let answer = oauth.token(flags, &call(Some(&header), &body, receipt, now));
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

/// A refresh whose answer is delivered.
fn refresh(oauth: &mut OAuth, flags: &Flags, token: &str) -> (u16, Value) {
    let receipt = Receipt::default();
    receipt.delivered();
    refresh_with(oauth, flags, token, &receipt, 0)
}

fn switched(change: &str) -> (OAuth, Flags) {
    let mut flags = Flags::for_test();
    flags.switches = flags.switches.with(change.as_bytes()).unwrap();
    (OAuth::new(&flags, 1, 0), flags)
}

fn bearer(tokens: &Value) -> String {
    format!("Bearer {}", tokens["access_token"].as_str().unwrap())
}

/// Name, outcome and delivery of every refresh.
fn record(oauth: &OAuth) -> Vec<String> {
    let rows = oauth.record.since(0);
    let one =
        |r: &Value| format!("{} {} {}", r["token"].as_str().unwrap(), r["outcome"].as_str().unwrap(), r["delivered"]);
    rows.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_refresh_token_works_once() {
    let flags = Flags::for_test();
    let mut oauth = OAuth::new(&flags, 1, 0);
    let (status, body) = refresh(&mut oauth, &flags, "demo-refresh-token");
    assert_eq!((status, body["expires_in"].as_i64()), (200, Some(1800)));
    let (status, again) = refresh(&mut oauth, &flags, "demo-refresh-token");
    assert_eq!((status, again["error"].as_str()), (401, Some("invalid_request")));
    assert_eq!(again["hint"], "Token has been revoked");
    assert_eq!(oauth.counters()["reuses"], 1);
    assert_eq!(refresh(&mut oauth, &flags, body["refresh_token"].as_str().unwrap()).0, 200);
    let header = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert!(oauth.caller(Some(&header), 1_799_999).is_some(), "a refresh does not end it");
    assert!(oauth.caller(Some(&header), 1_800_000).is_none());
}

#[test]
fn a_lost_answer_is_no_double_spend() {
    let (mut oauth, flags) = switched("{}");
    let first = Receipt::default();
    refresh_with(&mut oauth, &flags, "demo-refresh-token", &first, 0);
    assert_eq!(refresh(&mut oauth, &flags, "demo-refresh-token").0, 401);
    assert_eq!(oauth.counters()["reusesUndecided"], 1, "the first request is still open");
    first.lost();
    let counters = oauth.counters();
    for (name, count) in [("reuses", 0), ("reusesUndecided", 0), ("reusesAfterLostAnswer", 1), ("answersLost", 1)] {
        assert_eq!(counters[name], count, "{name}");
    }
    assert_eq!(record(&oauth), ["refresh-1 refreshed false", "refresh-1 refused_reuse_after_lost true"]);
}

#[test]
fn every_refusal_has_its_name() {
    let (mut oauth, mut flags) = switched(r#"{"refresh_reuse_answer":"invalid_grant"}"#);
    let (_, tokens) = refresh(&mut oauth, &flags, "demo-refresh-token");
    let next = tokens["refresh_token"].as_str().unwrap();
    let (status, body) = refresh(&mut oauth, &flags, "demo-refresh-token");
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    for token in ["never-issued-1", "never-issued-2", "never-issued-1", ""] {
        assert_eq!(refresh(&mut oauth, &flags, token).0, 400);
    }
    flags.switches.refresh_token_ttl = Some(60);
    let receipt = Receipt::default();
    assert_eq!(refresh_with(&mut oauth, &flags, next, &receipt, 60_000).1["hint"], "Token has expired");
    assert_eq!(oauth.revoke(false, true, |grant| grant.role == Role::Merchant), (0, 1));
    refresh(&mut oauth, &flags, next);
    let (body, wrong) = (format!("grant_type=refresh_token&refresh_token={next}"), basic("demo-client:old-secret"));
    oauth.token(&flags, &call(Some(&wrong), &body, &receipt, 0));
    oauth.not_processed(&call(None, &body, &receipt, 0));
    oauth.not_processed(&call(None, "grant_type=authorization_code", &receipt, 0));
    let wanted = [
        "refresh-1 refreshed true",
        "refresh-1 refused_reuse_after_delivered true",
        "unknown-1 refused_unknown true",
        "unknown-2 refused_unknown true",
        "unknown-1 refused_unknown true",
        "none refused_unknown true",
        "refresh-3 refused_expired null",
        "refresh-3 refused_revoked true",
        "refresh-3 refused_client null",
        "refresh-3 not_processed null",
    ];
    assert_eq!(record(&oauth), wanted);
    assert_eq!(oauth.record.since(0)[0]["issued"], "refresh-3");
    assert_eq!(refresh(&mut oauth, &flags, "demo-fulfiller-refresh-token").0, 200, "the other role lives on");
    let secrets = oauth.secrets().to_string();
    assert!(secrets.contains("never-issued-2") && secrets.contains("old-secret") && secrets.contains(next));
    assert!(!oauth.record.since(0).to_string().contains(next));
}

#[test]
fn an_unused_refresh_token_lives_as_long_as_it_is_told() {
    let (mut oauth, flags) = switched(r#"{"refresh_token_ttl":60}"#);
    let receipt = Receipt::default();
    let (status, tokens) = refresh_with(&mut oauth, &flags, "demo-refresh-token", &receipt, 59_999);
    assert_eq!(status, 200);
    let next = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(refresh_with(&mut oauth, &flags, next, &receipt, 119_999).0, 401);
    assert_eq!(refresh_with(&mut oauth, &flags, next, &receipt, 119_998).0, 200);
}

#[test]
fn reuse_detection_ends_the_chain() {
    for (change, ends) in [("{}", false), (r#"{"refresh_reuse_ends_chain":true}"#, true)] {
        let (mut oauth, flags) = switched(change);
        let (_, tokens) = refresh(&mut oauth, &flags, "demo-refresh-token");
        let (_, others) = refresh(&mut oauth, &flags, "demo-fulfiller-refresh-token");
        assert_eq!(refresh(&mut oauth, &flags, "demo-refresh-token").0, 401);
        assert_eq!(oauth.record.since(0)[2]["chainRevoked"], ends);
        assert_eq!(oauth.caller(Some(&bearer(&tokens)), 0).is_none(), ends);
        assert!(oauth.caller(Some(&bearer(&others)), 0).is_some(), "another chain");
        let status = refresh(&mut oauth, &flags, tokens["refresh_token"].as_str().unwrap()).0;
        assert_eq!(status, if ends { 401 } else { 200 });
    }
}

#[test]
fn access_token_forms() {
    let claims = |form: &str| {
        let (mut oauth, flags) = switched(&format!(r#"{{"access_token_form":"{form}"}}"#));
        let (_, tokens) = refresh(&mut oauth, &flags, "demo-refresh-token");
        assert!(oauth.caller(Some(&bearer(&tokens)), 0).is_some());
        let text = tokens["access_token"].as_str().unwrap();
        text.split('.').nth(1).map(|part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
    };
    assert!(claims("jwt").unwrap().contains(r#""scopes":["ffn.merchant.read","ffn.merchant.write"]"#));
    assert!(!claims("jwt_without_scopes").unwrap().contains("scopes"));
    assert_eq!(claims("opaque"), None);
}

#[test]
fn initial_tokens_have_the_granted_scopes() {
    let (mut oauth, flags) = switched(r#"{"granted_scope":["ffn.merchant.read"]}"#);
    let (_, tokens) = refresh(&mut oauth, &flags, "demo-refresh-token");
    assert_eq!(oauth.caller(Some(&bearer(&tokens)), 0).unwrap().scopes, ["ffn.merchant.read"]);
}

#[test]
fn the_role_behind_a_request() {
    let (mut oauth, flags) = switched("{}");
    let (_, tokens) = refresh(&mut oauth, &flags, "demo-fulfiller-refresh-token");
    assert_eq!(oauth.role_of(Some(&bearer(&tokens)), b""), Some(Role::Fulfiller));
    assert_eq!(oauth.role_of(None, b"refresh_token=demo-refresh-token"), Some(Role::Merchant));
    assert_eq!(oauth.role_of(Some("Bearer x"), b"refresh_token=x"), None);
}

#[test]
fn wrong_clients_are_refused() {
    let flags = Flags::for_test();
    let mut oauth = OAuth::new(&flags, 1, 0);
    for header in [None, Some(basic("demo-client:x")), Some(basic("demo-client")), Some("Basic !".to_owned())] {
        let receipt = Receipt::default();
        let answer = oauth.token(&flags, &call(header.as_deref(), "grant_type=refresh_token", &receipt, 0));
        assert_eq!(answer.status, 401);
        assert!(answer.text().contains("invalid_client"));
    }
    assert_eq!(refresh(&mut oauth, &flags, "demo-refresh-token").0, 200);
}

#[test]
fn codes_are_bound_to_redirect_and_verifier() {
    let (mut oauth, flags) = switched(r#"{"auto_approve":true}"#);
    let ask = "response_type=code&client_id=demo-client&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&state=s%201\
               &scope=ffn.merchant.read&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    let answer = oauth.authorize(&flags, ask.as_bytes(), None, 0);
    let location = url::Url::parse(&answer.headers[0].1).unwrap();
    let fields = pairs(location.query().unwrap().as_bytes());
    assert_eq!(field(&fields, "state"), Some("s 1"));
    let code = field(&fields, "code").unwrap();
    let mut redeem = |redirect: &str, verifier: &str| {
        let body =
            format!("grant_type=authorization_code&code={code}&redirect_uri={redirect}&code_verifier={verifier}");
        oauth.token(&flags, &call(Some(&basic("demo-client:demo-secret")), &body, &Receipt::default(), 0)).status
    };
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(redeem("http://localhost/other", verifier), 400);
    assert_eq!(redeem("http://localhost/cb", "short"), 400);
    assert_eq!(redeem("http://localhost/cb", &verifier.replace('d', "e")), 400);
    assert_eq!(redeem("http://localhost/cb", verifier), 200);
    assert_eq!(redeem("http://localhost/cb", verifier), 400, "single use");
}
