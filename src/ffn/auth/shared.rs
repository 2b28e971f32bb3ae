//! What everybody may know of a sign-in without waiting for a refresh in flight.

use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use crate::domain::account::AccountName;
use crate::domain::token::{Cause, TokenPair};

/// Callers get no token that ends sooner than this, or than a quarter of its life.
const MARGIN: TimeDelta = TimeDelta::seconds(30);

/// Why an account can't call until a person has acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What kind of thing it is.
    pub cause: Cause,
    /// The generation of the pair that is of no use, or 0 if there never was one. Where fresh tokens are
    /// rejected again and again it is that of the first.
    pub generation: i64,
    /// When a person last signed in, if one ever did.
    pub signed_in_at: Option<DateTime<Utc>>,
    /// A sentence without a full stop.
    pub reason: String,
    /// When it was found out: by whoever did, if that is on record, else by this process.
    pub since: DateTime<Utc>,
}

impl Need {
    /// What the person has to do.
    pub fn action(&self, account: &AccountName) -> String {
        match self.cause {
            Cause::NeverSignedIn | Cause::SignedOut | Cause::TokenRefused => {
                format!("run `ffn-bridge login {account}`")
            }
            Cause::AccessRejected => format!("run `ffn-bridge login {account}`, unless it passes by itself"),
            Cause::ClientRefused => format!(
                "mend client_id and client_secret of account {account} in the configuration and start the bridge again"
            ),
        }
    }
}

/// The current access token, and whether a person is needed.
#[derive(Default)]
pub(super) struct Shared {
    current: RwLock<Option<TokenPair>>,
    pub(super) need: watch::Sender<Option<Need>>,
}

impl Shared {
    /// Shows what counts from now on.
    pub(super) fn set(&self, current: Option<TokenPair>, need: Option<Need>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        self.need.send_if_modified(|old| {
            let changes = *old != need;
            *old = need;
            changes
        });
    }

    /// The access token if it lives a while yet and is not the one that FFN rejected.
    pub(super) fn usable(&self, now: DateTime<Utc>, rejected: Option<&SecretString>) -> Option<SecretString> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let pair = current.as_ref()?;
        let is_rejected = rejected.is_some_and(|token| token.expose_secret() == pair.access.expose_secret());
        (!is_rejected && pair.lives(now, MARGIN.min(pair.life() / 4))).then(|| pair.access.clone())
    }
}
