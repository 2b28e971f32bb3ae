//! Hosts, and the broker's address.

use super::{instead, one, parse, said, with};

#[test]
fn hosts_are_named_or_written_by_hand() {
    let by_hand = |lines: &str| instead("environment = \"sandbox\"\n", lines);
    one(
        &with("accounts", "token_url = \"https://a.example/token\""),
        "8:15: accounts[0].environment: excludes base_url, authorize_url and token_url: write it or the three, not both",
    );
    let said = said(&by_hand("base_url = \"https://a.example/api\"\n"), &[]);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].contains("authorize_url: missing") && said[1].contains("token_url: missing"), "{said:#?}");

    let three = "base_url = \"http://127.0.0.1:8080/api/\"\nauthorize_url = \"http://localhost/a\"\ntoken_url = \"https://a.example/t\"\n";
    let config = parse(&by_hand(three), &[]).unwrap();
    assert_eq!(config.accounts[0].ffn.base_url.as_str(), "http://127.0.0.1:8080/api");
    for (base_url, why) in [
        ("http://ffn.example/api", "would send tokens unencrypted"),
        ("https://ffn.example/", "stops before the API"),
        ("ftp://ffn.example/api", "does not fit"),
        ("ffn.example/api", "is no URL"),
        ("https://ffn.example/api?x=1", "has a query"),
    ] {
        one_of_by_hand(&by_hand(&three.replace("http://127.0.0.1:8080/api/", base_url)), why);
    }
}

fn one_of_by_hand(text: &str, why: &str) {
    let said = said(text, &[]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].starts_with("test.toml:8:12: accounts[0].base_url: ") && said[0].contains(why), "{said:#?}");
}

#[test]
fn broker_urls() {
    for (url, why) in [
        ("http://localhost", "no AMQP URL: write amqp://"),
        ("amqp:localhost", "no AMQP URL"),
        ("localhost", "no URL (relative URL without a base)"),
        ("amqp://me:pw@/x", "host"),
        ("amqp://me:pw@[::1]/x", "an IPv6 address can't be used here"),
        ("amqp://me:pw@host/", "an empty virtual host"),
        ("amqp://me:p#w@host/x", "percent-encoded"),
        ("amqp://host/x?heartbeat=soon", "no AMQP URL (invalid digit found in string)"),
    ] {
        let said = said(&instead("amqp://guest:hunter2@localhost/%2f", url), &[]);
        assert_eq!(said.len(), 1, "{url}: {said:#?}");
        assert!(said[0].starts_with("test.toml:3:7: broker.url: ") && said[0].contains(why), "{url}: {said:#?}");
    }
}
