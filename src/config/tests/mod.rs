//! What a configuration means, and what is said about a wrong one.

mod environment;
mod everything;
mod problems;
mod secrets;
mod urls;

use std::path::Path;

use super::{Config, Errors};

/// The least that is a configuration.
const LEAST: &str = r#"
[broker]
url = "amqp://guest:hunter2@localhost/%2f"

[[accounts]]
name = "acme"
role = "merchant"
environment = "sandbox"
client_id = "me"
client_secret = "swordfish"
"#;

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, Errors> {
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    super::parse(text, Path::new("test.toml"), env)
}

/// What is said about a configuration, line by line, without the last line.
fn said(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let said = parse(text, env).map(|config| config.redacted()).expect_err("nothing is wrong").to_string();
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let last = lines.pop().unwrap();
    assert!(last.starts_with(&lines.len().to_string()) && last.contains("in the configuration"), "{said}");
    lines
}

/// `LEAST` with lines put in after `[broker]` (so that they begin on line 3), or a further section at the
/// end (so that it begins on line 12), or keys of the account (from line 11 on).
fn with(section: &str, lines: &str) -> String {
    match section {
        "broker" => LEAST.replace("[broker]\n", &format!("[broker]\n{lines}\n")),
        "accounts" => format!("{LEAST}{lines}\n"),
        _ => format!("{LEAST}\n[{section}]\n{lines}\n"),
    }
}

/// `LEAST` with one of its lines replaced.
fn instead(line: &str, other: &str) -> String {
    assert!(LEAST.contains(line), "{line}");
    LEAST.replace(line, other)
}

#[track_caller]
fn one(text: &str, expected: &str) {
    let said = said(text, &[]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(said[0], format!("test.toml:{expected}"));
}
