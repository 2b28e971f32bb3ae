//! The environment over the file, and instead of it.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{LEAST, parse, said};
use crate::config::{Place, load};

#[test]
fn variables_override_the_file() {
    let config = parse(
        LEAST,
        &[
            ("FFN_BRIDGE__BROKER__URL", "amqps://broker.example/shop"),
            ("FFN_BRIDGE__BROKER__PREFETCH", "7"),
            ("FFN_BRIDGE__BROKER__DECLARE", "false"),
            ("FFN_BRIDGE__BROKER__REPLY_TO_ALLOW", r#"["a*", "b"]"#),
            ("FFN_BRIDGE__HTTP__LISTEN", "0.0.0.0:80"),
            ("FFN_BRIDGE__ACCOUNTS__0__POLL_INTERVAL", "1m"),
            ("FFN_BRIDGE_CONFIG", "not one of these"),
            ("PATH", "neither"),
        ],
    )
    .unwrap();
    assert_eq!(config.broker.url.expose_secret(), "amqps://broker.example/shop");
    assert_eq!((config.broker.prefetch, config.broker.declare), (7, false));
    assert_eq!(config.broker.reply_to_allow.len(), 2);
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.accounts[0].events.poll_interval, Duration::from_secs(60));
}

#[test]
fn a_text_that_looks_like_another_type_is_still_a_text() {
    let config = parse(
        LEAST,
        &[
            ("FFN_BRIDGE__ACCOUNTS__0__CLIENT_ID", "123"),
            ("FFN_BRIDGE__ACCOUNTS__0__CLIENT_SECRET", "0123"),
            ("FFN_BRIDGE__HTTP__ADMIN_TOKEN", "true"),
        ],
    )
    .unwrap();
    assert_eq!(config.accounts[0].ffn.client_id, "123");
    assert_eq!(config.accounts[0].ffn.client_secret.expose_secret(), "0123");
    assert_eq!(config.http.admin_token.unwrap().expose_secret(), "true");
}

#[test]
fn accounts_are_addressed_by_name() {
    let text = LEAST.replace("\"acme\"", "\"my-shop\"");
    let config = parse(
        &text,
        &[("FFN_BRIDGE__ACCOUNTS__MY_SHOP__CLIENT_SECRET", "{ env = \"ELSEWHERE\" }"), ("ELSEWHERE", "x")],
    );
    assert_eq!(config.unwrap().accounts[0].ffn.client_secret.expose_secret(), "x");

    let said = said(&text, &[("FFN_BRIDGE__ACCOUNTS__MY_SHOB__CLIENT_SECRET", "x")]);
    assert_eq!(
        said,
        [
            "environment variable FFN_BRIDGE__ACCOUNTS__MY_SHOB__CLIENT_SECRET: no account is called \"my_shob\": FFN_BRIDGE__ACCOUNTS__1__NAME=… adds one; did you mean \"my_shop\"?"
        ]
    );
}

#[test]
fn the_environment_alone_is_enough() {
    let config = parse(
        "",
        &[
            ("FFN_BRIDGE__BROKER__URL", "amqp://localhost"),
            ("FFN_BRIDGE__ACCOUNTS__0__NAME", "acme"),
            ("FFN_BRIDGE__ACCOUNTS__ACME__ROLE", "fulfiller"),
            ("FFN_BRIDGE__ACCOUNTS__ACME__ENVIRONMENT", "production"),
            ("FFN_BRIDGE__ACCOUNTS__ACME__CLIENT_ID", "me"),
            ("FFN_BRIDGE__ACCOUNTS__ACME__CLIENT_SECRET__ENV", "S"),
            ("S", "x"),
            (
                "FFN_BRIDGE__ACCOUNTS__1",
                r#"{ name = "b", role = "merchant", environment = "sandbox", client_id = "b", client_secret = "b" }"#,
            ),
            ("FFN_BRIDGE__ACCOUNTS__B__START", "2026-11-01T00:00:00Z"),
        ],
    )
    .unwrap();
    assert_eq!(config.accounts.len(), 2);
    assert_eq!(config.accounts[0].ffn.base_url.as_str(), "https://ffn2.api.jtl-software.com/api");
}

#[test]
fn problems_name_the_variable() {
    let lines = said(
        LEAST,
        &[
            ("FFN_BRIDGE__ACCOUNTS__2__NAME", "c"),
            ("FFN_BRIDGE__BROKER__PREFETCH", "many"),
            ("FFN_BRIDGE__BROKER__Prefetch", "3"),
            ("FFN_BRIDGE__HTTP__0", "x"),
            ("FFN_BRIDGE__LOG__FORMAT", ""),
        ],
    );
    let expected = [
        "environment variable FFN_BRIDGE__ACCOUNTS__2__NAME: 2 would leave a gap: the next free place in the list is 1",
        "environment variable FFN_BRIDGE__BROKER__PREFETCH (broker.prefetch): expected an integer from 1 to 1000, got a string (\"many\")",
        "environment variable FFN_BRIDGE__BROKER__Prefetch: sets the same key as FFN_BRIDGE__BROKER__PREFETCH: take one of the two away",
        "environment variable FFN_BRIDGE__HTTP__0 (http): expected a table: write [http] and its keys on the lines below, got a list",
        "environment variable FFN_BRIDGE__LOG__FORMAT (log.format): \"\" is not known here: write \"text\" or \"json\"",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn only_a_file_that_was_named_must_be_there() {
    let none = || std::iter::empty();
    let errors = load(Some(Path::new("no-such-file.toml")), none()).unwrap_err().to_string();
    assert!(errors.starts_with("no-such-file.toml: can't be read: "), "{errors}");

    let errors = load(None, none()).unwrap_err();
    assert!(errors.problems().iter().all(|problem| problem.place == Place::Nowhere));
    let text = errors.to_string();
    assert!(text.contains("ffn-bridge.toml: there is no such file here"), "{text}");
    assert!(text.contains("broker.url: missing") && text.contains("accounts: missing"), "{text}");
}
