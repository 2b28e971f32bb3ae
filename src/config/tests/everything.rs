//! Many problems at once, defaults, and the annotated example.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{LEAST, parse, said};
use crate::domain::account::Role;
use crate::domain::feed::FeedName;
use crate::domain::message::ContentMode;
use crate::events::config::Start;
use crate::ffn::feeds::Feed;
use crate::store;

const EVERYTHING_WRONG: &str = r#"
colour = "red"

[broker]
url = "http://guest:hunter2@localhost"
prefetch = 0
declare = "yes"
events_exchange = "amq.events"

[store]
url = "postgres://me:hunter2@db/ffn"

[http]
listen = 9464
admin_token = { env = "NO_SUCH_TOKEN" }

[log]
filter = "ffn_bridge=loud"

[commands]
retry_steps = ["0s", "1m"]

[[accounts]]
name = "Acme"
role = "merchand"
environment = "test"
client_secret = { file = "no-such-file" }
feeds = ["stock"]
rate_limit = "fast"

[[accounts]]
name = "b"
role = "fulfiller"
environment = "sandbox"
client_id = 5
client_secret = { enw = "hunter2" }

[[accounts]]
name = "b"
poll_interval = "0s"
"#;

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let said = said(EVERYTHING_WRONG, &[("FFN_BRIDGE__STOR__URL", "x"), ("FFN_BRIDGE__BROKER__EVENT_MODE", "soap")]);
    let expected = [
        "test.toml:2:1: colour: unknown key",
        "test.toml:5:7: broker.url: no AMQP URL",
        "test.toml:6:12: broker.prefetch: 0 is out of bounds",
        "test.toml:7:11: broker.declare: expected true or false, got a string (\"yes\")",
        "test.toml:8:19: broker.events_exchange: \"amq.events\" is the broker's own",
        "test.toml:11:7: store.url: PostgreSQL is not available in this version",
        "test.toml:14:10: http.listen: expected an IP address and a port",
        "test.toml:15:23: http.admin_token.env: the environment variable NO_SUCH_TOKEN is not set",
        "test.toml:18:10: log.filter: \"ffn_bridge=loud\" is no filter",
        "test.toml:21:16: commands.retry_steps[0]: \"0s\" makes no sense here: write at least \"1ms\"",
        "test.toml:23:1: accounts[0].client_id: missing",
        "test.toml:24:8: accounts[0].name: \"Acme\" is no account name",
        "test.toml:25:8: accounts[0].role: \"merchand\" is not known here: write \"merchant\" or \"fulfiller\"; did you mean \"merchant\"?",
        "test.toml:26:15: accounts[0].environment: \"test\" is not known here",
        "test.toml:27:26: accounts[0].client_secret.file: the file no-such-file can't be read: ",
        "test.toml:28:10: accounts[0].feeds[0]: \"stock\" is no feed",
        "test.toml:29:14: accounts[0].rate_limit: \"fast\" is no rate",
        "test.toml:35:13: accounts[1].client_id: expected a string, got an integer (5)",
        "test.toml:36:17: accounts[1].client_secret: an empty table",
        "test.toml:36:19: accounts[1].client_secret.enw: unknown key; did you mean \"env\"? Allowed here: env, file",
        "test.toml:38:1: accounts[2].client_id: missing",
        "test.toml:38:1: accounts[2].client_secret: missing",
        "test.toml:38:1: accounts[2].environment: missing",
        "test.toml:38:1: accounts[2].role: missing",
        "test.toml:39:8: accounts[2].name: accounts[1] has this name already",
        "test.toml:40:17: accounts[2].poll_interval: \"0s\" makes no sense here",
        "environment variable FFN_BRIDGE__BROKER__EVENT_MODE (broker.event_mode): \"soap\" is not known here",
        "environment variable FFN_BRIDGE__STOR__URL (stor): unknown key; did you mean \"store\"?",
    ];
    for (line, expected) in said.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nshould begin with\n{expected}\n{said:#?}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = parse(LEAST, &[]).unwrap();
    let broker = &config.broker;
    assert_eq!(broker.url.expose_secret(), "amqp://guest:hunter2@localhost/%2f");
    assert_eq!(
        [&broker.events_exchange, &broker.commands_exchange, &broker.results_exchange],
        ["ffn.events", "ffn.commands", "ffn.results"]
    );
    assert_eq!([&broker.commands_queue, &broker.dead_letter_queue], ["ffn.commands", "ffn.commands.dead"]);
    assert!(broker.declare);
    assert_eq!(broker.command_queues, 1);
    assert_eq!((broker.prefetch, broker.event_mode), (32, ContentMode::Structured));
    assert_eq!(broker.reply_to_allow.len(), 5);
    assert_eq!(broker.retry_steps, [10, 60, 600].map(Duration::from_secs));
    assert_eq!(config.store.database, store::Database::Sqlite { path: "ffn-bridge.db".into() });
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let kept = store::Retention { journal: days(30), entities: days(400), commands: days(30), parked: days(90) };
    assert_eq!(config.store.retention, kept);
    assert!(config.store.keyring.current().is_none());
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:9464");
    assert!(config.http.admin_token.is_none());
    assert_eq!(config.log.filter, "info");
    let commands = &config.commands;
    assert_eq!((commands.quick_attempts, commands.max_attempts), (3, 12));
    assert_eq!((commands.quick_delay, commands.settle_delay), (Duration::from_millis(250), Duration::from_secs(2)));
    assert_eq!([commands.probe_delay, commands.probe_max_delay], [1, 60].map(Duration::from_secs));
    assert_eq!((commands.max_crashes, commands.max_body), (3, 15 * 1024 * 1024));
    let ffn = &config.accounts[0].ffn;
    assert_eq!(ffn.base_url.as_str(), "https://ffn-sbx.api.jtl-software.com/api");
    assert_eq!(ffn.authorize_url.as_str(), "https://oauth2.api.jtl-software.com/authorize");
    assert_eq!(ffn.token_url.as_str(), "https://oauth2.api.jtl-software.com/token");
    assert_eq!((ffn.rate_limit.calls.get(), ffn.rate_limit.period), (5, Duration::from_secs(1)));
    assert_eq!((ffn.max_concurrency, ffn.call_timeout), (4, Duration::from_secs(30)));
    assert!(ffn.redirect_uri.is_none());
    let events = &config.accounts[0].events;
    let of_a_merchant = FeedName::ALL.into_iter().filter(|feed| Feed::of(*feed).is_for(Role::Merchant));
    assert_eq!(events.feeds, of_a_merchant.collect::<Vec<_>>());
    assert_eq!([events.poll_interval, events.overlap, events.safety_lag], [30, 300, 5].map(Duration::from_secs));
    assert_eq!(events.stalled_after, Duration::from_secs(300));
    assert_eq!(events.sweep_interval, Duration::from_secs(86_400));
    assert_eq!(events.start, Start::Now);
}

#[test]
fn a_feed_stalls_after_ten_polls_and_five_minutes_unless_it_is_said() {
    for (lines, wanted) in [
        ("poll_interval = \"1s\"\n", 300),
        ("poll_interval = \"2m\"\n", 1200),
        ("poll_interval = \"2m\"\nstalled_after = \"7s\"\n", 7),
    ] {
        let config = parse(&format!("{LEAST}{lines}"), &[]).unwrap();
        assert_eq!(config.accounts[0].events.stalled_after, Duration::from_secs(wanted), "{lines}");
    }
}

#[test]
fn values_are_taken_over() {
    let text = format!(
        "{LEAST}rate_limit = \"300/m\"\nsafety_lag = \"0s\"\nstart = 2026-11-01T00:00:00+01:00\nfeeds = []\n[log]\nformat = \"json\"\n[store]\nurl = \"sqlite:/var/lib/x.db\"\n"
    );
    let config = parse(&text, &[]).unwrap();
    let account = &config.accounts[0];
    assert_eq!((account.ffn.rate_limit.calls.get(), account.ffn.rate_limit.period), (300, Duration::from_secs(60)));
    assert_eq!(account.events.safety_lag, Duration::ZERO);
    assert_eq!(account.events.start, Start::At("2026-10-31T23:00:00Z".parse().unwrap()));
    assert!(account.events.feeds.is_empty());
    let again = parse(&format!("{LEAST}start = \"snapshot\"\nsweep_interval = \"1h\"\n"), &[]).unwrap();
    let events = &again.accounts[0].events;
    assert_eq!((events.start, events.sweep_interval), (Start::Snapshot, Duration::from_secs(3600)));
    assert_eq!(config.store.database, store::Database::Sqlite { path: "/var/lib/x.db".into() });
}

/// The example's keys, commented ones included.
fn example(uncomment: bool) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ffn-bridge.example.toml");
    let text = std::fs::read_to_string(path).unwrap();
    if !uncomment {
        return text;
    }
    let key = |line: &str| {
        line.strip_prefix("# ").filter(|rest| rest.split(' ').nth(1) == Some("=")).unwrap_or(line).to_owned()
    };
    text.lines().filter(|line| !line.starts_with("environment")).map(key).collect::<Vec<_>>().join("\n")
}

const EXAMPLE_ENVIRONMENT: [(&str, &str); 5] = [
    ("FFN_BRIDGE_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f"),
    ("ACME_CLIENT_SECRET", "swordfish"),
    ("FFN_BRIDGE_ADMIN_TOKEN", "sesame"),
    ("FFN_BRIDGE_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("FFN_BRIDGE_OLD_KEY", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="),
];

#[test]
fn the_example_loads_and_shows_the_defaults() {
    let config = parse(&example(false), &EXAMPLE_ENVIRONMENT).unwrap();
    let defaults = parse(LEAST, &[]).unwrap();
    assert_eq!(config.store.database, defaults.store.database);
    assert_eq!(config.log, defaults.log);
    let values = |config: &crate::config::Config| {
        let line = |line: &str| line.split("  # ").next().unwrap_or_default().to_owned();
        let own = ["url = \"amqp", "client_id", "client_secret"];
        let lines: Vec<String> = config.redacted().lines().map(line).collect();
        lines.into_iter().filter(|line| !own.iter().any(|key| line.starts_with(key))).collect::<Vec<_>>()
    };
    assert_eq!(values(&config), values(&defaults));
}

#[test]
fn the_example_has_every_key() {
    let config = parse(&example(true), &EXAMPLE_ENVIRONMENT).unwrap();
    assert!(config.http.admin_token.is_some());
    assert_eq!(config.store.keyring.ids().count(), 2);
    assert!(config.accounts[0].ffn.redirect_uri.is_some());
    assert_eq!(config.accounts[0].ffn.base_url.as_str(), "http://127.0.0.1:8080/api");
    assert!(!config.redacted().contains("# default"), "{}", config.redacted());
}
