//! OAuth tokens as the bridge keeps them, and what a store of them has to do.
//!
//! FFN's refresh tokens work exactly once (contract 2.2), so the store holds more than the tokens: a lease,
//! so that one process at a time refreshes an account, and a record of each refresh that began, so that
//! after a crash it is known that its outcome is not.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::account::AccountName;

/// A pair of tokens of one account. A pair is stored before any part of it is used.
#[derive(Debug, Clone)]
pub struct TokenPair {
    /// Bearer token for the API.
    pub access: SecretString,
    /// When the access token ends, on this machine's clock.
    pub access_expires_at: DateTime<Utc>,
    /// The single-use refresh token.
    pub refresh: SecretString,
    /// When this pair was obtained.
    pub obtained_at: DateTime<Utc>,
    /// The scopes granted, as far as the server named them.
    pub scopes: Vec<String>,
}

impl TokenPair {
    /// How long the access token lives in all.
    pub fn life(&self) -> TimeDelta {
        self.access_expires_at - self.obtained_at
    }

    /// Whether the access token lives longer than `margin` from `now`.
    pub fn lives(&self, now: DateTime<Utc>, margin: TimeDelta) -> bool {
        self.access_expires_at - now > margin
    }
}

/// What the store knows of an account's sign-in.
#[derive(Debug, Clone)]
pub struct StoredLogin {
    /// The newest pair; `None` after a sign-out.
    pub tokens: Option<TokenPair>,
    /// Counts the pairs stored so far for this account: a higher one is newer.
    pub generation: i64,
    /// When a person signed in; refreshes since then do not change it.
    pub signed_in_at: DateTime<Utc>,
    /// Why a person has to sign in again, if one has to.
    pub login_required: Option<String>,
    /// Since when.
    pub login_required_since: Option<DateTime<Utc>>,
    /// A refresh of this pair that began and has brought neither a newer pair nor the need of a person.
    pub refresh: Option<RefreshRecord>,
}

// Part of events: a word that is here stays.
/// What kind of thing keeps an account from calling until a person has acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nobody has signed in yet.
    NeverSignedIn,
    /// The account was signed out.
    SignedOut,
    /// The refresh token is of no use any more: it was refused, or the answers to it could not be read.
    TokenRefused,
    /// FFN rejects access tokens although they were just refreshed. It is tried again, and may pass by itself.
    AccessRejected,
    /// The OAuth server does not accept client id and secret. They have to be mended; a sign-in does not help.
    ClientRefused,
}

impl Cause {
    /// The word, as it stands in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverSignedIn => "never-signed-in",
            Self::SignedOut => "signed-out",
            Self::TokenRefused => "token-refused",
            Self::AccessRejected => "access-rejected",
            Self::ClientRefused => "client-refused",
        }
    }
}

/// What is recorded of the refreshes of one pair, until they bring a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// Of the refresh token that was sent: see [`fingerprint`].
    pub fingerprint: String,
    /// When it was first sent.
    pub began_at: DateTime<Utc>,
    /// Whether it was sent and nothing is recorded of the answer: it is on its way, or a process ended.
    pub is_open: bool,
    /// How often no clear answer came.
    pub unclear: u32,
    /// How often a success came that could not be read.
    pub unreadable: u32,
}

impl RefreshRecord {
    /// Whether the token may have been spent without its successor arriving.
    pub fn is_doubtful(&self) -> bool {
        self.is_open || self.unclear > 0 || self.unreadable > 0
    }
}

/// How the sending of a refresh token ended that brought no new pair and no refusal.
#[derive(Debug)]
pub enum RefreshEnding {
    /// It was surely not spent: never sent, or turned away unread.
    NotSpent,
    /// Nobody knows.
    Unclear,
    /// A success came whose body can't be read; it may hold the only copy of the new tokens.
    Unreadable(SecretString),
}

/// An answer of the OAuth server that a person may have to look at.
#[derive(Debug)]
pub struct KeptAnswer {
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// The body as it came, where it was not UTF-8 with replacement characters.
    pub body: SecretString,
}

/// Where a pair comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A person signed in: it takes the place of whatever is there.
    SignIn,
    /// A refresh of the pair of this generation: it counts only while nothing newer is there.
    Refresh {
        /// Of the pair that was spent.
        of: i64,
    },
}

/// The right to refresh an account's tokens, for a while.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    /// The account.
    pub account: AccountName,
    /// Who holds it, in the store's own words.
    pub owner: String,
}

/// Why a store of tokens failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// What a call to the store gives, sooner or later.
pub type Pending<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The sign-ins of the accounts. When a call returns `Ok`, what it wrote survives the loss of power.
pub trait TokenStore: Send + Sync {
    /// The newest sign-in of an account, or `None` before the first.
    fn login<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Option<StoredLogin>>;

    /// Takes the lease on an account's refreshes for `life`, or gives `None` while somebody else, in this
    /// process or another, holds it. One whose holder is dead, or whose time is over, is taken over.
    fn take_lease<'a>(&'a self, account: &'a AccountName, life: Duration) -> Pending<'a, Option<Lease>>;

    /// Gives the lease back. Does nothing if somebody has taken it over.
    fn release_lease(&self, lease: Lease) -> Pending<'_, ()>;

    /// Records, before the refresh token of `generation` is sent, that it will be, and prolongs the lease to
    /// `life` from now. `false`, and nothing is recorded, if the lease has been taken over or the pair is
    /// no longer the newest: then it must not be sent.
    fn begin_refresh<'a>(
        &'a self,
        lease: &'a Lease,
        generation: i64,
        fingerprint: String,
        life: Duration,
    ) -> Pending<'a, bool>;

    /// Records how a sending ended that brought neither a pair nor a refusal.
    fn end_refresh<'a>(&'a self, account: &'a AccountName, generation: i64, ending: RefreshEnding) -> Pending<'a, ()>;

    /// Stores a pair, clears `login_required`, the record of refreshes and the kept answers, and gives the
    /// sign-in that counts now: the new one, or for [`Origin::Refresh`] a newer one that was there.
    fn save_tokens<'a>(
        &'a self,
        account: &'a AccountName,
        tokens: TokenPair,
        origin: Origin,
    ) -> Pending<'a, StoredLogin>;

    /// Records that a person has to sign in, because of the pair of `generation`. Does nothing if a newer
    /// pair is there by now.
    fn require_login<'a>(&'a self, account: &'a AccountName, generation: i64, reason: String) -> Pending<'a, ()>;

    /// Forgets an account's tokens and the answers kept for a person, without reading them. `false` if there
    /// was no sign-in.
    fn sign_out<'a>(&'a self, account: &'a AccountName) -> Pending<'a, bool>;

    /// The answers kept for a person since the newest pair was stored, oldest first.
    fn kept_answers<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Vec<KeptAnswer>>;
}

/// Names a token without telling it: 16 hexadecimal digits that can't be turned back.
pub fn fingerprint(token: &SecretString) -> String {
    let mut digest = Sha256::new();
    digest.update("ffn-bridge refresh token\0");
    digest.update(token.expose_secret());
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_names_a_token_and_does_not_hold_it() {
        let name = fingerprint(&"def50200aa".into());
        assert_eq!(name, fingerprint(&"def50200aa".into()));
        assert_ne!(name, fingerprint(&"def50200ab".into()));
        assert!(name.len() == 16 && !name.contains("def50200"), "{name}");
    }
}
