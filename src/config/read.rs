//! Readers of the kinds of values that several sections have: numbers, durations, rates, names, URLs.
//! Each says what was given and what would be right.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::{Host, Url};

use crate::ffn::config::RateLimit;

use super::suggest::{did_you_mean, one_of};
use super::tree::Kind;
use super::value::Value;

/// A string that says something.
pub(super) fn text(value: &Value<'_>) -> Option<String> {
    match value.text("a string")?.trim() {
        "" => value.refuse("is empty"),
        text => Some(text.to_owned()),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value<'_>) -> Option<bool> {
    match value.node.kind {
        Kind::Boolean(yes) => Some(yes),
        _ => value.wrong_type("true or false"),
    }
}

/// One of a few words, each of which stands for something.
pub(super) fn choice<T: Clone>(choices: &[(&str, T)]) -> impl Fn(&Value<'_>) -> Option<T> {
    |value| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let given = value.text(&one_of(&words))?;
        match choices.iter().find(|(word, _)| *word == given) {
            Some((_, choice)) => Some(choice.clone()),
            None => {
                let hint = did_you_mean(given, words.iter().copied());
                value.refuse_given(&format!("is not known here: write {}{hint}", one_of(&words)))
            }
        }
    }
}

/// A whole number within bounds.
pub(super) fn integer<T: TryFrom<i64>>(bounds: RangeInclusive<i64>) -> impl Fn(&Value<'_>) -> Option<T> {
    move |value| {
        let wanted = format!("an integer from {} to {}", bounds.start(), bounds.end());
        let number = value.integer(&wanted)?;
        match T::try_from(number) {
            Ok(result) if bounds.contains(&number) => Some(result),
            _ => value.refuse_given(&format!("is out of bounds: write {wanted}")),
        }
    }
}

/// A stretch of time within bounds, in whole milliseconds.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&Value<'_>) -> Option<Duration> {
    move |value| {
        let wanted = r#"a number and a unit in quotes, such as "500ms", "30s" or "5m""#;
        let text = value.text(wanted)?;
        let Ok(duration) = humantime::parse_duration(text.trim()) else {
            return value.refuse_given(&format!("is no duration: write {wanted}"));
        };
        let (least, most) = (humantime::format_duration(*bounds.start()), humantime::format_duration(*bounds.end()));
        if duration.is_zero() && !bounds.contains(&duration) {
            value.refuse_given(&format!("makes no sense here: write at least \"{least}\""))
        } else if !bounds.contains(&duration) || duration.subsec_nanos() % 1_000_000 != 0 {
            value.refuse_given(&format!("is out of bounds: write whole milliseconds from \"{least}\" to \"{most}\""))
        } else {
            Some(duration)
        }
    }
}

/// A size within bounds, in bytes.
pub(super) fn size(bounds: RangeInclusive<usize>) -> impl Fn(&Value<'_>) -> Option<usize> {
    move |value| {
        let wanted = r#"a whole number and a unit in quotes, such as "512KiB" or "15MiB""#;
        let read = |text: &str| {
            let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
            let unit = match unit.trim() {
                "B" => 1,
                "KiB" => 1024,
                "MiB" => 1024 * 1024,
                _ => return None,
            };
            number.parse::<usize>().ok()?.checked_mul(unit)
        };
        match read(value.text(wanted)?.trim()) {
            None => value.refuse_given(&format!("is no size: write {wanted}")),
            Some(bytes) if !bounds.contains(&bytes) => value.refuse_given(&format!(
                "is out of bounds: write \"{}KiB\" to \"{}MiB\"",
                bounds.start() / 1024,
                bounds.end() / (1024 * 1024)
            )),
            size => size,
        }
    }
}

/// So many calls a second, minute or hour.
pub(super) fn rate(value: &Value<'_>) -> Option<RateLimit> {
    let wanted = r#"calls in a second, minute or hour, such as "5/s", "300/m" or "10/h""#;
    value.text(wanted)?.parse().ok().or_else(|| value.refuse_given(&format!("is no rate: write {wanted}")))
}

/// The name of an exchange or a queue.
pub(super) fn broker_name(value: &Value<'_>) -> Option<String> {
    let name = value.text("a name")?;
    if !(1..=127).contains(&name.len()) {
        value.refuse(format!("a name of {} bytes: write one of 1 to 127 bytes", name.len()))
    } else if name.starts_with("amq.") {
        value.refuse_given("is the broker's own: names that begin with \"amq.\" are reserved")
    } else if name.chars().any(char::is_control) {
        value.refuse_given("holds a control character: leave it out")
    } else {
        Some(name.to_owned())
    }
}

/// A URL over which tokens travel: https, or http to this machine.
pub(super) fn web_url(value: &Value<'_>) -> Option<Url> {
    let wanted = "a URL that begins with https://";
    let url = match Url::parse(value.text(wanted)?.trim()) {
        Ok(url) => url,
        Err(error) => return value.refuse_given(&format!("is no URL ({error}): write {wanted}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return value.refuse("holds a user or a password: leave them out, client_id and client_secret sign the calls");
    }
    if url.fragment().is_some() {
        return value.refuse_given("has a fragment: leave out the # and what follows");
    }
    match url.scheme() {
        "https" => Some(url),
        "http" if is_loopback(&url) => Some(url),
        "http" => value.refuse_given(
            "would send tokens unencrypted: write https://; http:// is for this machine alone (localhost, 127.0.0.1, [::1])",
        ),
        _ => value.refuse_given(&format!("does not fit: write {wanted}")),
    }
}

/// The API's base URL: with a path, without a query, without a slash at the end.
pub(super) fn base_url(value: &Value<'_>) -> Option<Url> {
    let mut url = web_url(value)?;
    if url.query().is_some() {
        return value.refuse_given("has a query: leave out the ? and what follows");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.is_empty() {
        return value.refuse_given("stops before the API: write it with its path, which ends in /api at FFN");
    }
    url.set_path(&path);
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
