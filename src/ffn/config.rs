//! An account's way to the API.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::account::{AccountName, Role};

/// One account's API: hosts, credentials and limits (contract 1 and 2).
#[derive(Debug, Clone)]
pub struct Config {
    /// The account.
    pub account: AccountName,
    /// Its role, a segment of every path.
    pub role: Role,
    /// Base of the API up to `/api`, without a slash at the end: `https://ffn2.api.jtl-software.com/api`.
    pub base_url: Url,
    /// The OAuth page that asks the person.
    pub authorize_url: Url,
    /// The OAuth token endpoint.
    pub token_url: Url,
    /// OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The redirect URI registered for the client, if it is a fixed one; else a free loopback port is used.
    pub redirect_uri: Option<Url>,
    /// One budget for everything this account calls.
    pub rate_limit: RateLimit,
    /// Calls in flight at a time.
    pub max_concurrency: usize,
    /// How long one call may take.
    pub call_timeout: Duration,
}

/// So many calls in so much time, written `"5/s"`, `"300/m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls in a period.
    pub calls: NonZeroU32,
    /// The period.
    pub period: Duration,
}

impl FromStr for RateLimit {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (calls, unit) = text.split_once('/').ok_or(())?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(()),
        };
        let calls = calls.trim().parse().map_err(drop)?;
        Ok(Self { calls, period: Duration::from_secs(seconds) })
    }
}
