//! Secrets come from where they are kept and are never shown.

use secrecy::ExposeSecret;

use super::{LEAST, parse, said};
use crate::config::load;

#[test]
fn files_are_looked_for_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    std::fs::write(folder.path().join("secret"), "from a file\r\n").unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let write = |name: &str| std::fs::write(&file, LEAST.replace("\"swordfish\"", &format!("{{ file = \"{name}\" }}")));

    write("secret").unwrap();
    let config = load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(config.accounts[0].ffn.client_secret.expose_secret(), "from a file");
    assert!(config.redacted().contains("client_secret = \"***\"  # file secret ("), "{}", config.redacted());

    write("empty").unwrap();
    let errors = load(Some(&file), std::iter::empty()).unwrap_err().to_string();
    assert!(errors.contains("bridge.toml:10:17: accounts[0].client_secret: file empty is empty"), "{errors}");
}

#[test]
fn no_secret_is_ever_shown() {
    let text = format!("{LEAST}\n[http]\nadmin_token = {{ env = \"TOKEN\" }}\n");
    let env = [("TOKEN", "sesame"), ("FFN_BRIDGE__ACCOUNTS__ACME__CLIENT_SECRET", "12345678")];
    let config = parse(&text, &env).unwrap();
    let shown = format!("{config:?}{config:#?}{}", config.redacted());
    for secret in ["hunter2", "sesame", "swordfish", "12345678"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn no_message_holds_a_secret() {
    for given in [
        "{ env = \"hunter 2\" }",
        "{ hunter = \"hunter2\" }",
        "[\"hunter2\"]",
        "{ env = [\"hunter2\"] , x = \"hunter2\" }",
    ] {
        let text = LEAST.replace("\"swordfish\"", given);
        for line in said(&text, &[]) {
            assert!(!line.contains("hunter2") && !line.contains("hunter 2"), "{line}");
        }
    }
    for (name, text) in [
        ("FFN_BRIDGE__ACCOUNTS", "[{ name = \"acme\", client_secret = \"hunter2\" "),
        ("FFN_BRIDGE__ACCOUNTS__0", "{ client_secret = \"hunter2\" "),
        ("FFN_BRIDGE__ACCOUNTS__ACME", "hunter2"),
        ("FFN_BRIDGE__BROKER", "hunter2"),
        ("FFN_BRIDGE__ACCOUNTS__0__CLIENT_SECRET__ENV", "{ hunter2"),
        ("FFN_BRIDGE__BROKER__URL", "{ url = \"hunter2\" }"),
    ] {
        let said = said(LEAST, &[(name, text)]);
        assert!(said.iter().all(|line| !line.contains("hunter2")), "{said:#?}");
    }
    let text = LEAST.replace("amqp://guest:hunter2@localhost/%2f", "amqp:hunter2");
    assert!(said(&text, &[]).iter().all(|line| !line.contains("hunter2")));
    let by_hand = LEAST.replace(
        "environment = \"sandbox\"",
        "base_url = \"http://me:hunter2@x/api\"\nauthorize_url = \"me:hunter2@x\"\ntoken_url = \"//me:hunter2@x\"",
    );
    assert!(said(&by_hand, &[]).iter().all(|line| !line.contains("hunter2")));
}

#[test]
fn the_effective_configuration_says_where_each_key_came_from_and_is_toml() {
    let config = parse(LEAST, &[("FFN_BRIDGE__BROKER__PREFETCH", "7")]).unwrap();
    let shown = config.redacted();
    for line in [
        "[broker]",
        "url = \"amqp://guest:***@localhost/%2f\"  # test.toml:3",
        "prefetch = 7  # FFN_BRIDGE__BROKER__PREFETCH",
        "declare = true  # default",
        "reply_to_allow = [\"amq.rabbitmq.reply-to*\", \"amq.gen-*\", \"reply*\", \"*.reply\", \"*.replies\"]  # default",
        "[[accounts]]",
        "client_secret = \"***\"  # test.toml:10",
        "poll_interval = \"30s\"  # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    toml::from_str::<toml::Table>(&shown).unwrap();
}

/// 32 bytes each.
const KEY: &str = "swordfish/swordfish+swordfish/swordfish+abc=";
const OTHER: &str = "hunter2hunter2hunter2hunter2hunter2hunter2c=";

fn store(lines: &str, env: &[(&str, &str)]) -> Result<crate::config::Config, crate::config::Errors> {
    parse(&format!("{LEAST}\n[store]\n{lines}\n"), env)
}

#[test]
fn keys_come_from_where_secrets_come_from_in_any_kind_of_base64() {
    let plain = store(&format!("encryption_key = \"{KEY}\""), &[]).unwrap();
    let id = plain.store.keyring.current().unwrap().id().clone();
    for (lines, env) in [
        ("encryption_key = { env = \"KEY\" }", ("KEY", KEY)),
        ("", ("FFN_BRIDGE__STORE__ENCRYPTION_KEY", KEY)),
        ("encryption_key = { env = \"KEY\" }", ("KEY", &format!(" {KEY} "))),
        ("encryption_key = { env = \"KEY\" }", ("KEY", KEY.trim_end_matches('='))),
        ("encryption_key = { env = \"KEY\" }", ("KEY", &KEY.replace('/', "_").replace('+', "-"))),
    ] {
        let config = store(lines, &[env]).unwrap();
        assert_eq!(config.store.keyring.ids().collect::<Vec<_>>(), [&id], "{lines} {env:?}");
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    std::fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
    std::fs::write(folder.path().join("old"), plain.store.keyring.current().unwrap().to_base64().as_str()).unwrap();
    let lines = "encryption_key = { file = \"key\" }\nold_encryption_keys = [{ file = \"old\" }]";
    std::fs::write(&file, format!("{LEAST}\n[store]\n{lines}\n")).unwrap();
    let config = load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(config.store.keyring.ids().collect::<Vec<_>>(), [&id, &id]);
}

#[test]
fn what_is_no_key_is_refused_with_its_place_and_never_quoted() {
    let right = "a key is 32 random bytes in base64, 43 characters or 44 with the = at its end; `ffn-bridge keys generate` makes one";
    for (lines, env, expected) in [
        (
            "encryption_key = \"hunter2\"",
            ("A", ""),
            format!("test.toml:13:18: store.encryption_key: what was given is not base64: {right}"),
        ),
        (
            "encryption_key = \"hunter22\"",
            ("A", ""),
            format!("test.toml:13:18: store.encryption_key: what was given is base64 of 6 bytes: {right}"),
        ),
        (
            "encryption_key = { env = \"A\" }",
            ("A", "hunter22hunter22"),
            format!("test.toml:13:18: store.encryption_key: environment variable A is base64 of 12 bytes: {right}"),
        ),
        (
            "encryption_key = { env = \"B\" }\nold_encryption_keys = [{ env = \"B\" }, \"hunter2\"]",
            ("B", KEY),
            format!("test.toml:14:39: store.old_encryption_keys[1]: what was given is not base64: {right}"),
        ),
        (
            "encryption_key = { env = \"B\" }\nold_encryption_keys = \"hunter2\"",
            ("B", KEY),
            "test.toml:14:23: store.old_encryption_keys: expected a list of keys such as [{ env = \"NAME\" }], got a string".to_owned(),
        ),
        (
            "encryption_key = [\"hunter2\"]",
            ("A", ""),
            "test.toml:13:18: store.encryption_key: expected a string, { env = \"NAME\" } or { file = \"PATH\" }, got a list".to_owned(),
        ),
        (
            "old_encryption_keys = [{ env = \"B\" }]",
            ("B", KEY),
            "test.toml:13:23: store.old_encryption_keys: without encryption_key nothing is sealed: set it as well (`ffn-bridge keys generate` makes a key)".to_owned(),
        ),
    ] {
        let said = said(&format!("{LEAST}\n[store]\n{lines}\n"), &[env]);
        assert_eq!(said, [expected]);
        assert!(!said[0].contains("hunter2"), "{said:?}");
    }
}

#[test]
fn keys_are_never_shown() {
    let lines = format!("encryption_key = \"{KEY}\"\nold_encryption_keys = [\"{OTHER}\", {{ env = \"OLD\" }}]");
    let config = store(&lines, &[("OLD", KEY)]).unwrap();
    let shown = config.redacted();
    assert!(shown.contains("encryption_key = \"***\"  # test.toml:13"), "{shown}");
    assert!(shown.contains("old_encryption_keys = [\"***\", \"***\"]  # test.toml:14"), "{shown}");
    let shown = format!("{shown}{config:?}{config:#?}");
    for secret in ["hunter2", "swordfish/"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
