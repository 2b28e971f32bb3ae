//! When a person is needed: told once, shown everywhere, and over as soon as somebody has signed in.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::approve;
use crate::support::{Message, Setup, Simulator, Subscription, World, until, until_within};

/// Within seconds: what an operator who has just signed in is ready to wait.
const SECONDS: Duration = Duration::from_secs(10);

const EVENT: &str = "bridge.login-required";

/// Revokes every token of a role.
async fn revoke(world: &World, role: &str) {
    world.simulator.post("tokens/revoke", json!({"what": "all", "role": role})).await;
}

/// A refresh token, as somebody would bring it from elsewhere; the simulator must approve by itself.
async fn fresh_refresh_token(simulator: &Simulator) -> String {
    let page = "/authorize?response_type=code&client_id=demo-client&state=s&redirect_uri=http://127.0.0.1/&\
                scope=ffn.merchant.read%20ffn.merchant.write";
    let location = approve(&simulator.url(page).parse().unwrap()).await;
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let request = reqwest::Client::new().post(simulator.url("/token")).basic_auth("demo-client", Some("demo-secret"));
    let form = format!("grant_type=authorization_code&code={code}&redirect_uri=http://127.0.0.1/");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["refresh_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The metric; `None` if it is not there.
async fn login_required(world: &World, account: &str) -> Option<i64> {
    let (_, text) = world.bridge.get("/metrics").await;
    let start = format!("ffn_bridge_login_required{{account=\"{account}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

async fn until_login_required(world: &World, account: &str, wanted: i64) {
    until_within(SECONDS, &format!("ffn_bridge_login_required of {account} to be {wanted}"), async || {
        (login_required(world, account).await == Some(wanted)).then_some(())
    })
    .await;
}

/// The sign-in of an account as `/status` shows it.
async fn login(world: &World, account: &str) -> Value {
    let report: Value = serde_json::from_str(&world.bridge.get("/status").await.1).unwrap();
    let accounts = report["accounts"].as_array().unwrap();
    accounts.iter().find(|it| it["name"] == account).unwrap()["login"].clone()
}

/// What `/readyz` says of the accounts.
async fn readyz(world: &World) -> (u16, bool, String) {
    let (code, text) = world.bridge.get("/readyz").await;
    let readiness: Value = serde_json::from_str(&text).unwrap();
    let check = readiness["checks"].as_array().unwrap().iter().find(|it| it["name"] == "accounts").unwrap();
    (code, check["ok"].as_bool().unwrap(), check["reason"].as_str().unwrap_or_default().to_owned())
}

fn notices(seen: &[Message]) -> Vec<&Message> {
    seen.iter().filter(|message| message.routing_key.contains(".bridge.")).collect()
}

/// Receives until the order of this number has been told of; a notice before it would have come before.
async fn receive_until(events: &mut Subscription, number: &str) {
    events.until(|seen| seen.iter().any(|it| it.data()["merchantOutboundNumber"] == number)).await;
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok())
}

#[tokio::test]
async fn a_dead_refresh_token_is_told_once_whatever_happens_and_a_sign_in_elsewhere_ends_it() {
    let mut world = Setup::new().simulator(&["--auto-approve"]).start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "BEFORE-").await;
    receive_until(&mut events, "BEFORE-000001").await;
    assert_eq!((login_required(&world, "acme").await, notices(&events.seen).len()), (Some(0), 0));

    revoke(&world, "merchant").await;
    let told = events.until(|seen| !notices(seen).is_empty()).await.last().unwrap().clone();
    assert_eq!(told.routing_key, format!("acme.{EVENT}"));
    let (event, data) = (told.json(), told.data());
    assert_eq!(event["type"], format!("ffn.{EVENT}.v1"));
    assert_eq!((&event["subject"], &event["partitionkey"]), (&json!("acme"), &json!("acme")));
    assert_eq!((&event["source"], &event["role"]), (&json!("/ffn/acme"), &json!("merchant")));
    assert_eq!((&data["account"], &data["cause"]), (&json!("acme"), &json!("token-refused")));
    assert_eq!(data["action"], "run `ffn-bridge login acme`");
    assert!(data["reason"].as_str().unwrap().contains("refused it with status 401"), "{data}");
    let since = chrono::DateTime::parse_from_rfc3339(data["since"].as_str().unwrap()).unwrap();
    assert_eq!(since, chrono::DateTime::parse_from_rfc3339(event["time"].as_str().unwrap()).unwrap());

    assert_eq!(login_required(&world, "acme").await, Some(1));
    let (code, able, reason) = readyz(&world).await;
    assert_eq!((code, able), (503, false), "{reason}");
    assert!(reason.starts_with("acme: ") && reason.ends_with(": run `ffn-bridge login acme`"), "{reason}");
    let shown = login(&world, "acme").await;
    assert_eq!((&shown["state"], &shown["cause"]), (&json!("required"), &json!("token-refused")));
    assert_eq!(shown["since"], data["since"], "told and shown alike");
    assert!(reason.contains(shown["reason"].as_str().unwrap()), "{shown}");
    for member in ["signedInAt", "obtainedAt", "accessTokenExpiresAt"] {
        assert!(is_time(&shown[member]), "{member}: {shown}");
    }

    // It is known from the first scrape on, and told to nobody again, whoever starts.
    world.bridge.kill();
    world.simulator.bulk(1, "MEANWHILE-").await;
    let mut other = world.another_bridge();
    for _ in 0..2 {
        world.bridge.launch().await;
        assert_eq!(login_required(&world, "acme").await, Some(1), "the first scrape");
        assert_eq!(login(&world, "acme").await["since"], data["since"]);
        other.launch().await;
        for bridge in [&world.bridge, &other] {
            let recorded = |line: &String| line.contains("a notice is on record");
            until("it to be told again", async || bridge.lines().iter().any(recorded).then_some(())).await;
        }
        other.kill();
        world.bridge.kill();
    }
    world.bridge.launch().await;
    until("the broker", async || (readyz(&world).await.0 == 503).then_some(())).await;

    let fresh = fresh_refresh_token(&world.simulator).await;
    world.bridge.login("acme", &fresh);
    until_login_required(&world, "acme", 0).await;
    until_within(SECONDS, "the bridge to be ready", async || (readyz(&world).await.0 == 200).then_some(())).await;
    let shown = login(&world, "acme").await;
    assert_eq!(shown["state"], "ok");
    assert!(shown.get("since").is_none() && shown.get("cause").is_none() && shown.get("reason").is_none(), "{shown}");
    receive_until(&mut events, "MEANWHILE-000001").await;
    assert_eq!(notices(&events.seen).len(), 1, "once");

    // Another need is another event.
    revoke(&world, "merchant").await;
    events.until(|seen| notices(seen).len() == 2).await;
    let told = notices(&events.seen);
    assert_ne!(told[0].id(), told[1].id());
    assert!(told[0].json()["sequence"].as_str() < told[1].json()["sequence"].as_str());
    until_login_required(&world, "acme", 1).await;

    let all: String = notices(&events.seen).iter().map(|it| it.text()).collect();
    let pages = world.bridge.get("/status").await.1 + &world.bridge.get("/readyz").await.1;
    for secret in world.simulator.secrets().await {
        assert!(!all.contains(&secret) && !pages.contains(&secret), "a secret was told");
    }
}

#[tokio::test]
async fn an_account_that_needs_a_person_holds_up_no_other() {
    let mut world = Setup::new().simulator(&["--auto-approve"]).second("ware", "fulfiller").build().await;
    world.bridge.login("ware", "demo-fulfiller-refresh-token");
    world.bridge.start().await;
    let mut events = world.broker.events(&["#"]).await;
    revoke(&world, "merchant").await;
    events.until(|seen| !notices(seen).is_empty()).await;
    until_login_required(&world, "acme", 1).await;
    assert_eq!(login_required(&world, "ware").await, Some(0));
    let (code, able, reason) = readyz(&world).await;
    assert_eq!((code, able), (200, true), "{reason}");
    assert!(reason.contains("run `ffn-bridge login acme`") && !reason.contains("ware"), "{reason}");
    assert_eq!(login(&world, "ware").await["state"], "ok");

    world.simulator.bulk(1, "OF-WARE-").await;
    events.until(|seen| seen.iter().any(|it| it.routing_key == "ware.outbound.created")).await;
    assert!(events.seen.iter().all(|it| it.routing_key != "acme.outbound.created"));
    let fresh = fresh_refresh_token(&world.simulator).await;
    world.bridge.login("acme", &fresh);
    until_login_required(&world, "acme", 0).await;
    events.until(|seen| seen.iter().any(|it| it.routing_key == "acme.outbound.created")).await;
    assert_eq!(notices(&events.seen).len(), 1);
}

#[tokio::test]
async fn an_account_that_nobody_has_signed_in_is_told_of_and_shown_from_the_first_answer() {
    // No feed and no command: nobody asks for a token, and who notices the sign-in is the keeper alone.
    let mut world = Setup::new().account("feeds = []").signed_out().build().await;
    world.bridge.launch().await;
    assert_eq!(login_required(&world, "acme").await, Some(1), "the first scrape");
    let shown = login(&world, "acme").await;
    assert_eq!((&shown["state"], &shown["cause"]), (&json!("missing"), &json!("never-signed-in")));
    assert!(is_time(&shown["since"]), "{shown}");
    assert_eq!((&shown["refreshInDoubt"], &shown["scopes"]), (&json!(false), &json!([])));
    until("the event to be in the journal", async || {
        let rows = "SELECT COUNT(*) FROM journal WHERE routing_key = 'acme.bridge.login-required'";
        (world.db().number(rows, ()) == 1).then_some(())
    })
    .await;
    world.bridge.login("acme", "demo-refresh-token");
    until_login_required(&world, "acme", 0).await;
    let shown = login(&world, "acme").await;
    assert_eq!(
        (&shown["state"], &shown["scopes"]),
        (&json!("ok"), &json!(["ffn.merchant.read", "ffn.merchant.write"]))
    );
    assert!(is_time(&shown["signedInAt"]) && shown.get("refreshedAt").is_none(), "{shown}");
}

#[tokio::test]
async fn a_wrong_client_secret_is_told_with_what_to_mend_and_ends_when_the_server_takes_it_again() {
    let world = Setup::new().simulator(&["--access-token-ttl", "2"]).start().await;
    let mut events = world.broker.events(&["#"]).await;
    until("a refresh to be shown", async || is_time(&login(&world, "acme").await["refreshedAt"]).then_some(())).await;
    world.simulator.post("settings", json!({"client_secret": "another-secret"})).await;
    let told = events.until(|seen| !notices(seen).is_empty()).await.last().unwrap().clone();
    let data = told.data();
    assert_eq!(data["cause"], "client-refused");
    assert!(
        data["action"].as_str().unwrap().contains("client_secret") && !told.text().contains("login acme"),
        "{data}"
    );
    until_login_required(&world, "acme", 1).await;
    let (code, _, reason) = readyz(&world).await;
    assert!(code == 503 && reason.contains("client_secret"), "{reason}");
    world.simulator.post("settings", json!({"client_secret": "demo-secret"})).await;
    until("the account to go on", async || (readyz(&world).await.0 == 200).then_some(())).await;
    world.simulator.bulk(1, "AFTER-").await;
    receive_until(&mut events, "AFTER-000001").await;
    assert_eq!(notices(&events.seen).len(), 1);
}

#[tokio::test]
async fn a_refresh_whose_answer_is_lost_is_shown_in_doubt_until_it_is_settled() {
    let world = Setup::new().start().await;
    assert_eq!(login(&world, "acme").await["refreshInDoubt"], false);
    let lost = json!({"match": {"path": "/token"}, "times": 0, "kind": {"status": 503}});
    world.simulator.fault(lost).await;
    world.simulator.post("tokens/revoke", json!({"what": "access"})).await;
    until("the doubt", async || (login(&world, "acme").await["refreshInDoubt"] == true).then_some(())).await;
    assert_eq!(login_required(&world, "acme").await, Some(0), "a doubt needs nobody");
    world.simulator.control("DELETE", "faults", None).await;
    until("the doubt to be settled", async || {
        let shown = login(&world, "acme").await;
        (shown["refreshInDoubt"] == false && is_time(&shown["refreshedAt"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_fails_for_long_is_told_once_and_its_recovery_too_also_after_a_restart() {
    let account = "feeds = [\"outbounds\"]\nstalled_after = \"300ms\"";
    let mut world = Setup::new().account(account).start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "BEFORE-").await;
    receive_until(&mut events, "BEFORE-000001").await;
    let fail = json!({"match": {"path": "/updates"}, "times": 0, "kind": {"status": 503}});
    let named = |seen: &[Message], event: &str| notices(seen).iter().filter(|it| it.event() == event).count();

    world.simulator.fault(fail.clone()).await;
    events.until(|seen| named(seen, "feed-stalled") == 1).await;
    let told = notices(&events.seen)[0].clone();
    assert_eq!(told.routing_key, "acme.bridge.feed-stalled");
    let stalled = told.data();
    assert_eq!((&stalled["account"], &stalled["feed"]), (&json!("acme"), &json!("outbounds")));
    assert!(is_time(&stalled["since"]) && is_time(&stalled["position"]), "{stalled}");
    assert!(stalled["failures"].as_u64() >= Some(1) && stalled["error"].as_str().unwrap().contains("503"), "{stalled}");
    // The same stall in another process is no other stall.
    world.bridge.stop().await;
    let polls = async || world.simulator.requests("GET", "/updates").await.len();
    let before = polls().await;
    world.bridge.spawn();
    until("it has failed for long again", async || (polls().await > before + 4).then_some(())).await;
    world.simulator.control("DELETE", "faults", None).await;
    events.until(|seen| named(seen, "feed-recovered") == 1).await;
    let recovered = notices(&events.seen).last().unwrap().data();
    assert_eq!(recovered["stalledSince"], stalled["since"]);
    assert!(recovered["position"].as_str() > stalled["position"].as_str(), "{recovered}");
    world.simulator.bulk(1, "AFTER-").await;
    receive_until(&mut events, "AFTER-000001").await;

    // A second stall is one of its own.
    world.simulator.fault(fail).await;
    events.until(|seen| named(seen, "feed-stalled") == 2).await;
    assert_eq!((named(&events.seen, "feed-stalled"), named(&events.seen, "feed-recovered")), (2, 1));
}
