//! `[[accounts]]`: who the bridge speaks for, with every key, its default and its bounds in one place.

use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use crate::domain::account::{AccountName, Role};
use crate::domain::feed::FeedName;
use crate::events::config::Start;
use crate::ffn::feeds::Feed;
use crate::{events, ffn};

use super::AccountConfig;
use super::read::{base_url, choice, duration, integer, rate, text, web_url};
use super::secret::secret;
use super::section::Section;
use super::sections::{DAY, HOUR, MILLISECOND, MINUTE};
use super::suggest::{did_you_mean, one_of};
use super::value::Value;

/// An account that would do, as messages show it.
pub(super) const EXAMPLE: &str =
    "at least one [[accounts]] table with name, role, environment, client_id and client_secret";

/// FFN's hosts (contract 1). One OAuth server serves both environments.
const PRODUCTION: &str = "https://ffn2.api.jtl-software.com/api";
const SANDBOX: &str = "https://ffn-sbx.api.jtl-software.com/api";
const AUTHORIZE: &str = "https://oauth2.api.jtl-software.com/authorize";
const TOKEN: &str = "https://oauth2.api.jtl-software.com/token";

/// How long a feed fails before that is told, where nothing else is written: so many polls, and at least so long.
const STALLED_POLLS: u32 = 10;
const STALLED_AFTER: Duration = Duration::from_secs(300);

/// One account.
pub(super) fn account(section: &mut Section<'_>) -> Option<AccountConfig> {
    let name = section.required("name", r#"name = "acme""#, account_name);
    let roles = [("merchant", Role::Merchant), ("fulfiller", Role::Fulfiller)];
    let role = section.required("role", r#"role = "merchant" or "fulfiller""#, choice(&roles));
    let hosts = hosts(section);
    let client_id = section.required("client_id", r#"client_id = "…""#, text);
    let client_secret = section.required("client_secret", r#"client_secret = { env = "NAME" }"#, secret);
    let redirect_uri = section.optional("redirect_uri", web_url);
    let default_feeds: Vec<&str> =
        FeedName::ALL.into_iter().filter(|feed| exists_for(*feed, role)).map(FeedName::as_str).collect();
    let feeds = section.or("feeds", default_feeds.as_slice(), |value| feeds(value, role));
    let poll_interval = section.or("poll_interval", "30s", duration(MILLISECOND..=DAY));
    let overlap = section.or("overlap", "5m", duration(Duration::ZERO..=DAY));
    let safety_lag = section.or("safety_lag", "5s", duration(Duration::ZERO..=HOUR));
    let stalled_after = section.optional("stalled_after", duration(MILLISECOND..=DAY));
    let sweep_interval = section.or("sweep_interval", "24h", duration(MILLISECOND..=365 * DAY));
    let rate_limit = section.or("rate_limit", "5/s", rate);
    let max_concurrency = section.or("max_concurrency", 4, integer::<u16>(1..=100));
    let call_timeout = section.or("call_timeout", "30s", duration(MILLISECOND..=10 * MINUTE));
    let start = section.or("start", "now", start);
    let Hosts { base_url, authorize_url, token_url } = hosts?;
    let ffn = ffn::Config {
        account: name?,
        role: role?,
        base_url,
        authorize_url,
        token_url,
        client_id: client_id?,
        client_secret: client_secret?,
        redirect_uri: redirect_uri?,
        rate_limit: rate_limit?,
        max_concurrency: usize::from(max_concurrency?),
        call_timeout: call_timeout?,
    };
    let poll_interval = poll_interval?;
    let events = events::Config {
        feeds: feeds?,
        poll_interval,
        overlap: overlap?,
        safety_lag: safety_lag?,
        stalled_after: stalled_after?.unwrap_or((poll_interval * STALLED_POLLS).max(STALLED_AFTER)),
        sweep_interval: sweep_interval?,
        start: start?,
    };
    Some(AccountConfig { ffn, events })
}

struct Hosts {
    base_url: Url,
    authorize_url: Url,
    token_url: Url,
}

/// The hosts: by the name of FFN's environment, or all three by hand.
fn hosts(section: &mut Section<'_>) -> Option<Hosts> {
    let known = [("production", PRODUCTION), ("sandbox", SANDBOX)];
    let environment = section.optional("environment", choice(&known));
    let by_hand = ["base_url", "authorize_url", "token_url"];
    let urls = [
        section.optional("base_url", base_url),
        section.optional("authorize_url", web_url),
        section.optional("token_url", web_url),
    ];
    let missing: Vec<&str> = by_hand.into_iter().filter(|key| !section.has(key)).collect();
    match (section.has("environment"), missing.len()) {
        (true, 3) => {
            let url = |text: &str| Url::parse(text).ok();
            let base_url = environment??;
            Some(Hosts { base_url: url(base_url)?, authorize_url: url(AUTHORIZE)?, token_url: url(TOKEN)? })
        }
        (true, _) => section
            .refuse("environment", "excludes base_url, authorize_url and token_url: write it or the three, not both"),
        (false, 3) => section.missing(
            "environment",
            r#"environment = "production" or "sandbox" (or base_url, authorize_url and token_url by hand)"#,
        ),
        (false, 0) => {
            let [base_url, authorize_url, token_url] = urls;
            Some(Hosts { base_url: base_url??, authorize_url: authorize_url??, token_url: token_url?? })
        }
        (false, _) => {
            for key in missing {
                let _: Option<()> =
                    section.missing(key, &format!("{key} = \"https://…\" (hosts by hand are all three)"));
            }
            None
        }
    }
}

fn account_name(value: &Value<'_>) -> Option<AccountName> {
    let name = value.text(r#"a name such as "acme""#)?;
    match name.parse() {
        Ok(name) => Some(name),
        Err(error) => value.refuse(format!("{error}")),
    }
}

/// With a role that nobody knows, no feed is refused.
fn exists_for(feed: FeedName, role: Option<Role>) -> bool {
    role.is_none_or(|role| Feed::of(feed).is_for(role))
}

fn feeds(value: &Value<'_>, role: Option<Role>) -> Option<Vec<FeedName>> {
    let words: Vec<&str> = FeedName::ALL.into_iter().map(FeedName::as_str).collect();
    let feed = |item: &Value<'_>| {
        let given = item.text(&one_of(&words))?;
        match given.parse::<FeedName>() {
            Ok(feed) if exists_for(feed, role) => Some(feed),
            Ok(_) => {
                let [other, own] = match role {
                    Some(Role::Fulfiller) => ["merchant", "fulfiller"],
                    _ => ["fulfiller", "merchant"],
                };
                item.refuse_given(&format!("is a {other}'s feed: a {own} has none of this kind, leave it out"))
            }
            Err(()) => {
                let hint = did_you_mean(given, words.iter().copied());
                item.refuse_given(&format!("is no feed: write {}{hint}", one_of(&words)))
            }
        }
    };
    let feeds = value.each(r#"a list of feeds such as ["outbounds"]"#, feed)?;
    let twice = feeds.iter().enumerate().find(|(at, feed)| feeds.iter().take(*at).any(|other| other == *feed));
    match twice {
        Some((_, feed)) => value.refuse(format!("\"{feed}\" stands here twice: write it once")),
        None => Some(feeds),
    }
}

fn start(value: &Value<'_>) -> Option<Start> {
    let wanted = r#""now", "snapshot" or an instant such as "2026-11-01T00:00:00Z""#;
    match value.text(wanted)?.trim() {
        "now" => Some(Start::Now),
        "snapshot" => Some(Start::Snapshot),
        text => match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Some(Start::At(instant.with_timezone(&Utc))),
            Err(_) => value.refuse_given(&format!("is no start: write {wanted}, with its time zone")),
        },
    }
}
