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
