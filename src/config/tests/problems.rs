//! One problem at a time: where it is said to be and what would be right.

use super::{LEAST, instead, one, parse, said, with};

#[test]
fn the_least_is_enough() {
    parse(LEAST, &[]).unwrap();
    parse(&LEAST.replace('\n', "\r\n"), &[]).unwrap();
    parse(&format!("\u{feff}{LEAST}"), &[]).unwrap();
}

#[test]
fn unknown_keys() {
    one(
        &with("http", "lisen = \"127.0.0.1:1\""),
        "13:1: http.lisen: unknown key; did you mean \"listen\"? Allowed here: listen, admin_token",
    );
    one(
        &format!("colour = 1\n{LEAST}"),
        "1:1: colour: unknown key. Allowed here: broker, store, http, log, commands, accounts",
    );
    one(
        &instead("\"swordfish\"", "{ env = \"NO\" }"),
        "10:25: accounts[0].client_secret.env: the environment variable NO is not set (or is not UTF-8): set it",
    );
}

#[test]
fn wrong_types() {
    one(
        &with("broker", "prefetch = \"32\""),
        "3:12: broker.prefetch: expected an integer from 1 to 1000, got a string (\"32\")",
    );
    one(&with("broker", "declare = 1"), "3:11: broker.declare: expected true or false, got an integer (1)");
    one(
        &with("accounts", "poll_interval = 30"),
        "11:17: accounts[0].poll_interval: expected a number and a unit in quotes, such as \"500ms\", \"30s\" or \"5m\", got an integer (30)",
    );
    one(
        &instead("[[accounts]]", "[accounts]"),
        "5:1: accounts: expected a list of tables: write [[accounts]], with two brackets, and its keys on the lines below, got a table",
    );
    one(
        &format!("http = 5\n{LEAST}"),
        "1:8: http: expected a table: write [http] and its keys on the lines below, got an integer",
    );
    one(
        &with("accounts", "feeds = [\"outbounds\", 2]"),
        "11:23: accounts[0].feeds[1]: expected \"outbounds\", \"outbound-shipments\", \"inbounds\", \"inbound-shipments\", \"returns\", \"stocks\", \"products\", \"warehouses\", \"shipping-methods\", \"fulfillers\", \"merchants\" or \"authorizations\", got an integer (2)",
    );
}

#[test]
fn syntax() {
    one("[broker]\nurl = \"x\nprefetch = 1\n", "2:9: not valid TOML: invalid basic string, expected `\"`");
    let twice = said("[broker]\nprefetch = 1\nprefetch = 2\n", &[]);
    assert_eq!(twice, ["test.toml:3:1: not valid TOML: duplicate key"]);
}

#[test]
fn missing_keys() {
    one(
        &instead("url = \"amqp://guest:hunter2@localhost/%2f\"\n", ""),
        "2:1: broker.url: missing: write url = \"amqp://USER:PASSWORD@HOST:5672/%2f\", or set FFN_BRIDGE__BROKER__URL",
    );
    one(
        &instead("client_id = \"me\"\n", ""),
        "5:1: accounts[0].client_id: missing: write client_id = \"…\", or set FFN_BRIDGE__ACCOUNTS__0__CLIENT_ID",
    );
    one(
        &instead("environment = \"sandbox\"\n", ""),
        "5:1: accounts[0].environment: missing: write environment = \"production\" or \"sandbox\" (or base_url, authorize_url and token_url by hand), or set FFN_BRIDGE__ACCOUNTS__0__ENVIRONMENT",
    );
    let none = said(LEAST.split("[[accounts]]").next().unwrap(), &[]);
    assert_eq!(none.len(), 1);
    assert!(none[0].starts_with("test.toml: accounts: missing: write at least one [[accounts]] table"), "{none:?}");
}

#[test]
fn impossible_values() {
    for (section, line, column, expected) in [
        ("broker", "prefetch = 0", 12, "0 is out of bounds: write an integer from 1 to 1000"),
        (
            "broker",
            "event_mode = \"binry\"",
            14,
            "\"binry\" is not known here: write \"structured\" or \"binary\"; did you mean \"binary\"?",
        ),
        (
            "broker",
            "events_exchange = \"amq.topic\"",
            19,
            "\"amq.topic\" is the broker's own: names that begin with \"amq.\" are reserved",
        ),
        ("broker", "commands_queue = \"\"", 18, "a name of 0 bytes: write one of 1 to 127 bytes"),
        (
            "broker",
            "events_exchange = \"ffn.results\"",
            19,
            "\"ffn.results\" is the name of results_exchange as well: give each its own",
        ),
        (
            "broker",
            "commands_queue = \"ffn.commands.dead\"",
            18,
            "\"ffn.commands.dead\" is the name of dead_letter_queue as well: give each its own",
        ),
        (
            "store",
            "url = \"postgres://me:pw@host/db\"",
            7,
            "PostgreSQL is not available in this version: write \"sqlite:\" and the path of a file, such as \"sqlite:ffn-bridge.db\"",
        ),
        (
            "http",
            "listen = \"localhost:9464\"",
            10,
            "\"localhost:9464\" is no address: write an IP address and a port, such as \"127.0.0.1:9464\" or \"[::]:9464\"",
        ),
        (
            "log",
            "format = \"jsn\"",
            10,
            "\"jsn\" is not known here: write \"text\" or \"json\"; did you mean \"json\"?",
        ),
        (
            "commands",
            "retry_steps = [\"10s\", \"5s\"]",
            15,
            "[\"10s\", \"5s\"] is no ladder: write 1 to 8 durations, each longer than the one before, such as [\"10s\", \"1m\", \"10m\"]",
        ),
        ("commands", "quick_delay = \"0s\"", 15, "\"0s\" makes no sense here: write at least \"1ms\""),
        (
            "accounts",
            "poll_interval = \"2x\"",
            17,
            "\"2x\" is no duration: write a number and a unit in quotes, such as \"500ms\", \"30s\" or \"5m\"",
        ),
        (
            "accounts",
            "overlap = \"3days\"",
            11,
            "\"3days\" is out of bounds: write whole milliseconds from \"0s\" to \"1day\"",
        ),
        (
            "accounts",
            "rate_limit = \"5\"",
            14,
            "\"5\" is no rate: write calls in a second, minute or hour, such as \"5/s\", \"300/m\" or \"10/h\"",
        ),
        (
            "accounts",
            "feeds = [\"outbound\"]",
            10,
            "\"outbound\" is no feed: write \"outbounds\", \"outbound-shipments\", \"inbounds\", \"inbound-shipments\", \"returns\", \"stocks\", \"products\", \"warehouses\", \"shipping-methods\", \"fulfillers\", \"merchants\" or \"authorizations\"; did you mean \"outbounds\"?",
        ),
        ("accounts", "feeds = [\"outbounds\", \"outbounds\"]", 9, "\"outbounds\" stands here twice: write it once"),
        (
            "accounts",
            "start = 2026-11-01",
            9,
            "2026-11-01 is no start: write \"now\", \"snapshot\" or an instant such as \"2026-11-01T00:00:00Z\", with its time zone",
        ),
        (
            "accounts",
            "redirect_uri = \"http://shop.example/cb\"",
            16,
            "\"http://shop.example/cb\" would send tokens unencrypted: write https://; http:// is for this machine alone (localhost, 127.0.0.1, [::1])",
        ),
    ] {
        let said = said(&with(section, line), &[]);
        assert_eq!(said.len(), 1, "{line}: {said:#?}");
        let row = match section {
            "broker" => 3,
            "accounts" => 11,
            _ => 13,
        };
        assert!(said[0].starts_with(&format!("test.toml:{row}:{column}: ")), "{line}: {}", said[0]);
        assert!(said[0].ends_with(&format!(": {expected}")), "{line}: {}", said[0]);
    }
}

#[test]
fn each_role_has_feeds_of_its_own() {
    let merchant = parse(LEAST, &[]).unwrap();
    assert_eq!(merchant.accounts[0].events.feeds.len(), 10);
    let fulfiller = instead("\"merchant\"", "\"fulfiller\"");
    let config = parse(&fulfiller, &[]).unwrap();
    assert_eq!(config.accounts[0].events.feeds.len(), 11);
    one(
        &format!("{fulfiller}feeds = [\"outbounds\", \"fulfillers\"]\n"),
        "11:23: accounts[0].feeds[1]: \"fulfillers\" is a merchant's feed: a fulfiller has none of this kind, leave it out",
    );
    one(
        &with("accounts", "feeds = [\"merchants\"]"),
        "11:10: accounts[0].feeds[0]: \"merchants\" is a fulfiller's feed: a merchant has none of this kind, leave it out",
    );
}

#[test]
fn names_are_given_once() {
    let account = LEAST.split("\n\n").nth(1).unwrap();
    one(
        &format!("{LEAST}\n{account}"),
        "13:8: accounts[1].name: accounts[0] has this name already: give each account its own",
    );
}

#[test]
fn what_is_kept_is_kept_long_enough() {
    one(
        &with("store", "keep_journal = \"2d\""),
        "13:16: store.keep_journal: \"2d\" is out of bounds: write whole milliseconds from \"3days\" to \"100years\"",
    );
    one(
        &with("store", "keep_commands = \"0s\""),
        "13:17: store.keep_commands: \"0s\" makes no sense here: write at least \"1day\"",
    );
    one(
        &with("store", "keep_entities = \"60d\"\nkeep_journal = \"90d\""),
        "13:17: store.keep_entities: what is known of entities has to last as long as the journal: let keep_entities be at least keep_journal",
    );
    let config = parse(&with("store", "keep_journal = \"3d\"\nkeep_parked = \"1y\""), &[]).unwrap();
    assert!(config.redacted().contains("keep_journal = \"3d\"  # test.toml:13"), "{}", config.redacted());
    assert!(config.redacted().contains("keep_entities = \"400d\"  # default"), "{}", config.redacted());
}
