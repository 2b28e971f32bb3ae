//! OAuth tokens as the bridge keeps them.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

/// A pair of tokens of one account. FFN's refresh tokens work exactly once (contract 2.2), so a pair
/// is stored before any part of it is used.
#[derive(Debug, Clone)]
pub struct TokenPair {
    /// Bearer token for the API. `None` right after a refresh token was adopted by hand.
    pub access: Option<SecretString>,
    /// When the access token ends, on this machine's clock.
    pub access_expires_at: Option<DateTime<Utc>>,
    /// The single-use refresh token.
    pub refresh: SecretString,
    /// When this pair was obtained.
    pub obtained_at: DateTime<Utc>,
    /// The scopes granted, as far as the server named them.
    pub scopes: Vec<String>,
}

impl TokenPair {
    /// The access token, if it lives longer than `margin` from `now`.
    pub fn usable_access(&self, now: DateTime<Utc>, margin: TimeDelta) -> Option<&SecretString> {
        let access = self.access.as_ref()?;
        let expires_at = self.access_expires_at?;
        (expires_at - now > margin).then_some(access)
    }
}

/// What the store knows of an account's sign-in.
#[derive(Debug, Clone)]
pub struct StoredLogin {
    /// The newest pair.
    pub tokens: TokenPair,
    /// Counts the pairs stored so far for this account: a higher one is newer.
    pub generation: i64,
    /// Set when FFN refused the refresh token: the reason a person has to sign in again.
    pub login_required: Option<String>,
}
