//! Secrets: a string, `{ env = "NAME" }` or `{ file = "PATH" }`. No message and no line of the effective
//! configuration holds one.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::section::Section;
use super::tree::{Kind, quoted};
use super::value::Value;
use crate::store::seal::Key;

/// A secret, from wherever it is kept.
pub(super) fn secret(value: &Value<'_>) -> Option<SecretString> {
    let wanted = r#"a string, { env = "NAME" } or { file = "PATH" }"#;
    let refers = |key| value.node.get(key).is_some();
    let (text, origin) = match (&value.node.kind, &value.node.raw) {
        (Kind::Text(text), _) => (text.clone(), None),
        // A variable whose text happens to be TOML, but no reference, is the secret itself.
        (_, Some(raw)) if !refers("env") && !refers("file") => (raw.clone(), None),
        (Kind::Table(_), _) => value.table(wanted, referred)?,
        _ => return value.refuse(format!("expected {wanted}, got {}", value.node.what())),
    };
    value.mask(quoted("***"), origin.clone());
    if text.is_empty() {
        let origin = origin.map(|origin| format!("{origin} ")).unwrap_or_default();
        return value.refuse(format!("{origin}is empty: a secret has at least one character"));
    }
    Some(text.into())
}

/// The broker's URL: a secret, because it may hold a password.
pub(super) fn amqp_url(value: &Value<'_>) -> Option<SecretString> {
    let secret = secret(value)?;
    match check_amqp_url(secret.expose_secret()) {
        Ok(shown) => {
            value.mask(quoted(&shown), value.masked_origin());
            Some(secret)
        }
        Err(message) => value.refuse(message),
    }
}

/// A key that seals what is stored. What was given is not quoted: it may be a key with a slip.
pub(super) fn sealing_key(value: &Value<'_>) -> Option<Key> {
    let secret = secret(value)?;
    Key::parse(&secret).map(Some).unwrap_or_else(|error| {
        let subject = value.masked_origin().unwrap_or_else(|| "what was given".to_owned());
        value.refuse(format!(
            "{subject} {error}: a key is 32 random bytes in base64, 43 characters or 44 with the = at its end; \
             `ffn-bridge keys generate` makes one"
        ))
    })
}

/// A list of such keys.
pub(super) fn sealing_keys(value: &Value<'_>) -> Option<Vec<Key>> {
    let wanted = r#"a list of keys such as [{ env = "NAME" }]"#;
    if !matches!(value.node.kind, Kind::List(_)) {
        return value.wrong_type_unseen(wanted);
    }
    let keys = value.each(wanted, sealing_key)?;
    value.mask(format!("[{}]", vec![quoted("***"); keys.len()].join(", ")), None);
    Some(keys)
}

/// What an `env` or `file` refers to, and a word on where that is.
fn referred(section: &mut Section<'_>) -> Option<(String, Option<String>)> {
    let variable = section.optional("env", variable);
    let file = section.optional("file", file);
    match (variable?, file?) {
        (Some(found), None) | (None, Some(found)) => Some(found),
        (Some(_), Some(_)) => section.value.refuse("both env and file: write one of the two"),
        (None, None) => section.value.refuse(r#"an empty table: write { env = "NAME" } or { file = "PATH" }"#),
    }
}

fn variable(value: &Value<'_>) -> Option<(String, Option<String>)> {
    let name = value.text("the name of an environment variable")?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        // Not shown: it may be the secret itself, in the wrong place.
        return value.refuse("no name of an environment variable: letters, digits and _ are allowed");
    }
    match value.source.env.get(name) {
        Some(text) => Some((text.clone(), Some(format!("environment variable {name}")))),
        None => value.refuse(format!("the environment variable {name} is not set (or is not UTF-8): set it")),
    }
}

fn file(value: &Value<'_>) -> Option<(String, Option<String>)> {
    let name = value.text("the path of a file")?;
    let folder = value.source.file.parent().unwrap_or(Path::new(""));
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some((text.trim_end_matches(['\r', '\n']).to_owned(), Some(format!("file {name}")))),
        Err(error) => value.refuse(format!("the file {} can't be read: {error}", path.display())),
    }
}

/// The URL with its password hidden, or what is wrong with it, without quoting it.
fn check_amqp_url(text: &str) -> Result<String, String> {
    let form = "amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS";
    let encoding = "special characters of the password are percent-encoded: @ is %40, / is %2f, # is %23";
    let mut url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "amqp" | "amqps") && !url.cannot_be_a_base() => url,
        Ok(_) => return Err(format!("no AMQP URL: write {form}")),
        Err(error) => return Err(format!("no URL ({error}): write {form}; {encoding}")),
    };
    match url.host() {
        None | Some(Host::Domain("")) => return Err(format!("names no host: write {form}")),
        // lapin would connect to localhost instead, without a word.
        Some(Host::Ipv6(_)) => return Err("an IPv6 address can't be used here: write a host name".to_owned()),
        Some(_) => {}
    }
    if url.path() == "/" {
        return Err("an empty virtual host: end with /%2f for the default one, or leave out the last /".to_owned());
    }
    if url.fragment().is_some() {
        return Err(format!("holds a #: {encoding}"));
    }
    text.parse::<lapin::uri::AMQPUri>().map_err(|error| format!("no AMQP URL ({error}): write {form}"))?;
    if url.query().is_some_and(|query| query.contains("pass")) {
        url.set_query(None);
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return Ok("***".to_owned());
    }
    Ok(url.to_string())
}
