//! The admin server: health, status and metrics, and what a topology that is not there does to a start.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::prometheus::{Family, parse};
use crate::support::{Direction, Proxy, Setup, World, broker, order, until};

async fn families(world: &World) -> BTreeMap<String, Family> {
    parse(&world.bridge.get("/metrics").await.1)
}

fn check<'v>(readiness: &'v Value, name: &str) -> &'v Value {
    readiness["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()
}

#[tokio::test]
async fn the_metrics_of_an_idle_bridge_are_well_formed_and_known_label_sets_stand_at_zero() {
    let world = Setup::new().start().await;
    until("both feeds to be read", async || {
        let polls = families(&world).await.remove("ffn_bridge_polls_total").unwrap();
        let is_read = |feed| polls.value(&[("account", "acme"), ("feed", feed), ("outcome", "empty")]) >= Some(1.0);
        (is_read("outbounds") && is_read("outbound-shipments")).then_some(())
    })
    .await;
    let families = families(&world).await;
    let value = |name: &str, labels: &[(&str, &str)]| {
        let family = families.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        family.value(labels).unwrap_or_else(|| panic!("{name} has no {labels:?}"))
    };
    let zero = |name: &str, labels: &[(&str, &str)]| assert_eq!(value(name, labels) as i64, 0, "{name} {labels:?}");
    let acme = ("account", "acme");
    for event in ["outbound.created", "outbound.shipped", "outbound.deleted", "shipment.dispatched", "shipment.updated"]
    {
        zero("ffn_bridge_events_published_total", &[acme, ("type", &format!("ffn.{event}.v1"))]);
    }
    for command in ["outbound.create", "outbound.update", "outbound.cancel", "outbound.get"] {
        for outcome in ["succeeded", "failed", "duplicate", "retried"] {
            zero("ffn_bridge_commands_total", &[acme, ("command", command), ("outcome", outcome)]);
        }
        zero("ffn_bridge_retries_total", &[acme, ("command", command)]);
    }
    let codes = "invalid-command unknown-account unknown-command rejected unauthorized forbidden not-found conflict \
                 rate-limited unavailable outcome-unknown retries-exhausted";
    for code in codes.split(' ') {
        zero("ffn_bridge_dead_letters_total", &[acme, ("code", code)]);
    }
    for feed in ["outbounds", "outbound-shipments"] {
        for outcome in ["changed", "failed"] {
            zero("ffn_bridge_polls_total", &[acme, ("feed", feed), ("outcome", outcome)]);
        }
        assert!(value("ffn_bridge_polls_total", &[acme, ("feed", feed), ("outcome", "empty")]) >= 1.0);
        assert!(value("ffn_bridge_feed_lag_seconds", &[acme, ("feed", feed)]) < 60.0);
    }
    for outcome in ["refreshed", "refused", "failed"] {
        zero("ffn_bridge_token_refreshes_total", &[acme, ("outcome", outcome)]);
    }
    zero("ffn_bridge_login_required", &[acme]);
    zero("ffn_bridge_journal_pending_events", &[acme]);
    let expires = value("ffn_bridge_token_expires_timestamp_seconds", &[acme]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now + 1500.0..now + 1900.0).contains(&expires), "{expires}");
    assert_eq!(value("ffn_bridge_broker_connected", &[]) as i64, 1);
    assert_eq!(value("ffn_bridge_build_info", &[("version", env!("CARGO_PKG_VERSION"))]) as i64, 1);
    for name in ["cpu_seconds_total", "open_fds", "resident_memory_bytes", "start_time_seconds"] {
        // Seconds of processor time are whole, so the first is long in coming.
        let least = if name == "cpu_seconds_total" { 0.0 } else { 1.0 };
        assert!(value(&format!("process_{name}"), &[]) >= least, "{name}");
    }
}

#[tokio::test]
async fn that_a_feed_has_never_been_read_shows_as_its_lag() {
    let mut world = Setup::new().build().await;
    world.simulator.fault(json!({"match": {"path": "/api/"}, "times": 0, "kind": "cut_before"})).await;
    world.bridge.start().await;
    for feed in ["outbounds", "outbound-shipments"] {
        let lag = format!("ffn_bridge_feed_lag_seconds{{account=\"acme\",feed=\"{feed}\"}}");
        let first = world.bridge.metric(&lag).await;
        until("the lag to grow", async || (world.bridge.metric(&lag).await >= first + 1.0).then_some(())).await;
    }
    assert_eq!(world.db().number("SELECT COUNT(*) FROM checkpoints", []), 0);
}

#[tokio::test]
async fn a_clock_of_ffns_that_is_ahead_is_no_lag() {
    let mut world = Setup::new().simulator(&["--clock-skew-s", "1200"]).build().await;
    world.bridge.start().await;
    until("the skew to be known and the feed read", async || {
        let skew = world.bridge.metric("ffn_bridge_clock_skew_seconds{account=\"acme\"}").await;
        let polls =
            world.bridge.metric("ffn_bridge_polls_total{account=\"acme\",feed=\"outbounds\",outcome=\"empty\"}").await;
        (skew > 1100.0 && polls >= 3.0).then_some(())
    })
    .await;
    let lag = world.bridge.metric("ffn_bridge_feed_lag_seconds{account=\"acme\",feed=\"outbounds\"}").await;
    assert!(lag < 60.0, "{lag}");
}

#[tokio::test]
async fn the_metrics_of_a_bridge_at_work_have_the_labels_that_are_promised() {
    let world = Setup::new().start().await;
    let mut results = world.broker.results().await;
    let _queue = world.broker.bind("events", &world.names.events(), &["#"]).await;
    world.broker.command("acme.outbound.create", "good", &order("SO-1")).await;
    world.broker.command("acme.outbound.create", "bad", &json!({"currency": 7})).await;
    world.broker.command("nobody.outbound.create", "foreign", &order("SO-2")).await;
    world.broker.command("acme.outbound.explode", "unknown", &json!({})).await;
    results.distinct(4).await;
    world.simulator.post("outbounds/SO-1/status", json!({"status": "Teleported"})).await;
    until("the events to be counted", async || {
        (world.bridge.metric("ffn_bridge_events_published_total{account=\"acme\"").await >= 3.0).then_some(())
    })
    .await;
    until("the dead letters to be counted", async || {
        (world.bridge.metric("ffn_bridge_dead_letters_total").await >= 3.0).then_some(())
    })
    .await;
    let families = families(&world).await;
    for (name, kind, labels) in [
        ("events_published_total", "counter", "account type"),
        ("event_delay_seconds", "histogram", "account"),
        ("feed_lag_seconds", "gauge", "account feed"),
        ("polls_total", "counter", "account feed outcome"),
        ("journal_pending_events", "gauge", "account"),
        ("commands_total", "counter", "account command outcome"),
        ("command_duration_seconds", "histogram", "command"),
        ("api_requests_total", "counter", "account operation status"),
        ("api_request_duration_seconds", "histogram", "operation"),
        ("retries_total", "counter", "account command"),
        ("dead_letters_total", "counter", "account code"),
        ("token_expires_timestamp_seconds", "gauge", "account"),
        ("token_refreshes_total", "counter", "account outcome"),
        ("login_required", "gauge", "account"),
        ("broker_connected", "gauge", ""),
        ("build_info", "gauge", "version"),
    ] {
        let family = families.get(&format!("ffn_bridge_{name}")).unwrap_or_else(|| panic!("{name} is not there"));
        assert_eq!(family.kind, kind, "{name}");
        let wanted: std::collections::BTreeSet<String> = labels.split_whitespace().map(str::to_owned).collect();
        assert_eq!(family.labels(), wanted, "{name}");
    }
    // What comes from outside makes no labels of its own.
    let text = world.bridge.get("/metrics").await.1;
    for word in ["SO-1", "nobody", "explode", "Teleported", "teleported"] {
        assert!(!text.contains(word), "{word} has become a label: {text}");
    }
    let other = families["ffn_bridge_events_published_total"].value(&[("account", "acme"), ("type", "other")]);
    assert_eq!(other.map(|value| value as i64), Some(1));
}

#[tokio::test]
async fn a_broker_that_is_gone_makes_the_bridge_unready_but_not_dead() {
    let (proxy, url) = Proxy::before_broker(&broker::shared_url()).await;
    let mut world = Setup::new().build().await;
    world.set_config(&world.config().replace(&broker::shared_url(), &url));
    proxy.hold(Direction::Up);
    world.bridge.launch().await;
    for begun in [false, true] {
        if begun {
            proxy.hold(Direction::Up);
            proxy.cut();
        }
        let reason = until("the bridge to be unready", async || {
            let (code, text) = world.bridge.get("/readyz").await;
            let readiness: Value = serde_json::from_str(&text).unwrap();
            (code == 503).then(|| check(&readiness, "broker").clone())
        })
        .await;
        assert_eq!(reason, json!({"name": "broker", "ok": false, "reason": "no connection to the broker"}));
        assert_eq!(world.bridge.get("/livez").await, (200, "ok\n".to_owned()));
        let metrics = families(&world).await;
        assert_eq!(metrics["ffn_bridge_broker_connected"].value(&[]), Some(0.0));
        let status: Value = serde_json::from_str(&world.bridge.get("/status").await.1).unwrap();
        assert_eq!(status["ready"], false);
        proxy.release(Direction::Up);
        proxy.cut();
        until("the bridge to be ready", async || (world.bridge.get("/readyz").await.0 == 200).then_some(())).await;
    }
}

#[tokio::test]
async fn a_bridge_without_a_sign_in_is_unready_and_says_what_to_do() {
    let mut world = Setup::new().signed_out().build().await;
    world.bridge.launch().await;
    until("the broker", async || (world.bridge.metric("ffn_bridge_broker_connected").await > 0.0).then_some(())).await;
    let (code, text) = world.bridge.get("/readyz").await;
    assert_eq!(code, 503);
    let readiness: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(readiness["ready"], false);
    assert_eq!(check(&readiness, "broker")["ok"], true);
    assert_eq!(check(&readiness, "store")["ok"], true);
    let reason = "acme: no sign-in yet: run `ffn-bridge login acme`";
    assert_eq!(*check(&readiness, "accounts"), json!({"name": "accounts", "ok": false, "reason": reason}));
    assert_eq!(world.bridge.get("/livez").await.0, 200);
    until("the metric", async || {
        (world.bridge.metric("ffn_bridge_login_required{account=\"acme\"}").await > 0.0).then_some(())
    })
    .await;
    world.bridge.login("acme", "demo-refresh-token");
    until("the bridge to be ready", async || (world.bridge.get("/readyz").await.0 == 200).then_some(())).await;
}

#[tokio::test]
async fn the_status_shows_accounts_feeds_lag_and_sign_in_and_no_secret() {
    let world = Setup::new().start().await;
    let status = until("both feeds to be read", async || {
        let status: Value = serde_json::from_str(&world.bridge.get("/status").await.1).unwrap();
        let feeds = status["accounts"][0]["feeds"].as_array().unwrap();
        (feeds.len() == 2 && feeds.iter().all(|feed| feed["lagSeconds"].is_number())).then(|| status.clone())
    })
    .await;
    assert_eq!((&status["version"], &status["ready"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(true)));
    assert_eq!((&status["pendingResults"], &status["accounts"][0]["pendingEvents"]), (&json!(0), &json!(0)));
    assert!(chrono::DateTime::parse_from_rfc3339(status["startedAt"].as_str().unwrap()).is_ok());
    let account = &status["accounts"][0];
    assert_eq!((&account["name"], &account["role"]), (&json!("acme"), &json!("merchant")));
    let mut feeds: Vec<&str> =
        account["feeds"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    feeds.sort_unstable();
    assert_eq!(feeds, ["outbound-shipments", "outbounds"]);
    assert!(account["feeds"][0]["lagSeconds"].as_f64().unwrap() < 60.0, "{account}");
    assert_eq!(account["login"]["state"], "ok");
    for member in ["accessTokenExpiresAt", "obtainedAt"] {
        assert!(chrono::DateTime::parse_from_rfc3339(account["login"][member].as_str().unwrap()).is_ok(), "{account}");
    }
    let text = status.to_string();
    for secret in world.simulator.secrets().await {
        assert!(!text.contains(&secret), "{text}");
    }
    assert_eq!(world.bridge.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn a_bridge_that_may_not_declare_names_everything_that_is_missing_and_runs_once_it_is_there() {
    let mut world = Setup::new().build().await;
    let declaring = world.config().to_owned();
    let checking = declaring.replace("[store]", "declare = false\n\n[store]");
    world.set_config(&checking);
    let names = &world.names;
    let commands = names.commands();
    let mut wanted = vec![format!("exchange {}", names.events()), format!("exchange {}", names.results())];
    let others = ["wait.300ms", "wait.1s", "held.acme"].map(|name| format!("{commands}.{name}"));
    for both in [commands.clone(), names.dead()].into_iter().chain(others) {
        wanted.extend([format!("exchange {both}"), format!("queue {both}")]);
    }
    wanted.push(format!("exchange {commands}.retry"));
    for command in ["run", "check"] {
        let output = world.bridge.cli(&[command], "");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        for item in &wanted {
            assert!(said.contains(&format!("{item}: ")), "{item}: {said}");
        }
        assert_eq!(
            said.matches("It does not exist: let the bridge make it (broker.declare = true)").count(),
            wanted.len()
        );
    }
    // Nothing was made by that.
    world.set_config(&declaring);
    world.bridge.start().await;
    assert_eq!(world.bridge.stop().await, Some(0));
    world.set_config(&checking);
    world.bridge.start().await;
    let mut results = world.broker.results().await;
    world.broker.command("acme.outbound.create", "order-1", &order("SO-1")).await;
    assert_eq!(results.next().await.routing_key, "acme.outbound.create.succeeded");
}
