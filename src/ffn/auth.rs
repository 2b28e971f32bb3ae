//! Access tokens for one account: one refresher, and a new pair is stored before anybody uses it.
//!
//! [`super::Client`] asks here before each call and again when FFN answers 401; the keeper
//! ([`Auth::keep`]) refreshes ahead of need and notices what other processes store. The guarantees (contract
//! 2.2): of any number of callers and processes one refreshes, under a lease of the store; that it will is on
//! record before the refresh token is sent; a refresh token that was answered is never sent again; the answer
//! is in the store before its access token leaves this module (but for [`NewLogin`], which a sign-in
//! looks at before it is accepted); a refresh whose outcome nobody knows is tried
//! again with the same token and changes nothing; a refused one ends in "login required", recorded in the
//! store. A refresh runs in a task of its own, so that a caller who gives up does not take an answered pair
//! with it. Tokens are in no log and no error.

mod session;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::shared::Need;
pub use super::oauth::{Authorization, TokenError};
use super::{Config, oauth::OAuth};
use crate::domain::account::AccountName;
use crate::domain::clock::Clock;
pub use crate::domain::token::Cause;
use crate::domain::token::{StoreError, TokenPair, TokenStore};
use crate::metrics::FfnMetrics;
use crate::telemetry::Chain;
use session::{Session, Why};
use shared::Shared;

/// How often the keeper looks at the store and at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// The sign-in of one account.
pub struct Auth {
    oauth: Arc<OAuth>,
    clock: Clock,
    shared: Arc<Shared>,
    session: Arc<Mutex<Session>>,
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A person has to sign in.
    #[error("account {account} has to sign in: {reason}; run `ffn-bridge login {account}`")]
    NeedsLogin {
        /// The account.
        account: AccountName,
        /// Why.
        reason: String,
    },
    /// The OAuth server does not accept client id and secret; the refresh token is not spent.
    #[error(
        "account {account} has a client id or secret that the OAuth server does not accept; mend them in the configuration"
    )]
    ClientRefused {
        /// The account.
        account: AccountName,
        /// What the server said.
        #[source]
        source: Arc<TokenError>,
    },
    /// The OAuth server gave no clear answer; the tokens are what they were.
    #[error("the access token of account {account} can't be refreshed for now")]
    Temporary {
        /// The account.
        account: AccountName,
        /// Why, or `None` if the refresh was interrupted.
        #[source]
        source: Option<Arc<TokenError>>,
    },
    /// Somebody else holds the lease on the account's refreshes and does not give it back.
    #[error("another process is refreshing the tokens of account {account}")]
    Busy {
        /// The account.
        account: AccountName,
    },
    /// The store failed, and nothing is used that is not stored.
    #[error("the tokens can't be read or stored")]
    Store(#[from] StoreError),
}

/// A pair of tokens that a sign-in brought and that is not stored yet: see [`Auth::accept`].
#[derive(Debug)]
pub struct NewLogin(TokenPair);

impl NewLogin {
    /// The scopes, as far as FFN named them; else empty.
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// The access token, to look whose it is.
    pub fn access(&self) -> &SecretString {
        &self.0.access
    }
}

impl Auth {
    /// The sign-in of the account in `config`. Reads nothing yet.
    ///
    /// # Errors
    /// The HTTP client can't be set up, for example for want of root certificates.
    pub fn new(
        config: &Config,
        store: Arc<dyn TokenStore>,
        clock: Clock,
        metrics: FfnMetrics,
    ) -> Result<Self, reqwest::Error> {
        let oauth = Arc::new(OAuth::new(config)?);
        let shared = Arc::new(Shared::default());
        let session = Session::new(
            config.account.clone(),
            Arc::clone(&oauth),
            store,
            clock.clone(),
            metrics,
            Arc::clone(&shared),
        );
        Ok(Self { oauth, clock, shared, session: Arc::new(Mutex::new(session)) })
    }

    /// Refreshes ahead of need until `stop` is cancelled, resolves what a crash left in doubt, and notices
    /// within seconds when a person signs in or out in another process.
    pub async fn keep(&self, stop: CancellationToken) {
        loop {
            // A look that is under way at a stop goes on by itself; `settle` waits for it.
            let tended = tokio::select! {
                () = stop.cancelled() => return,
                tended = async {
                    let session = Arc::clone(&self.session).lock_owned().await;
                    apart(session, |session| session.tend().boxed()).await
                } => tended,
            };
            let idle = match tended {
                Some(Ok(until_due)) => until_due.min(LOOK),
                Some(Err(error)) => {
                    tracing::debug!(error = %Chain(&error), "the tokens could not be looked after");
                    LOOK
                }
                None => LOOK,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(idle) => {}
            }
        }
    }

    /// Looks once what is stored, so that [`Auth::needs_login`] and the metrics are right from then on.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn look(&self) -> Result<(), Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        apart(session, |session| session.read().boxed())
            .await
            .unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Whether and why a person is needed, as it is now and as it changes. Known after [`Auth::look`],
    /// the first call here or the keeper's first look.
    pub fn needs_login(&self) -> watch::Receiver<Option<Need>> {
        self.shared.need.subscribe()
    }

    /// A token that lives a while yet, refreshed if need be.
    ///
    /// # Errors
    /// See [`Error`]; while the old token still lives, trouble with the refresh is no error.
    pub async fn access_token(&self) -> Result<SecretString, Error> {
        if let Some(token) = self.shared.usable(self.clock.now(), None) {
            return Ok(token);
        }
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        match apart(session, |session| session.renew(Why::Needed).boxed()).await {
            Some(Ok(Some(token))) => Ok(token),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => Err(Error::Temporary { account, source: None }),
        }
    }

    /// A better token than `token`, which FFN answered with 401: from the store, or by one refresh.
    /// `None` if `token` itself came from a refresh for this reason (contract 2.2, rule 3): then the account
    /// counts as one that needs a person, and is tried again after a pause that grows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rejected(&self, token: &SecretString) -> Result<Option<SecretString>, Error> {
        if let Some(newer) = self.shared.usable(self.clock.now(), Some(token)) {
            return Ok(Some(newer));
        }
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        let token = token.clone();
        let renewed = apart(session, move |session| session.renew(Why::Rejected(token)).boxed()).await;
        renewed.unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Begins a sign-in through the browser (contract 2.1).
    pub fn authorize(&self, redirect: &Url) -> Authorization {
        self.oauth.authorize(redirect)
    }

    /// Ends a sign-in: exchanges the code. Nothing is stored yet, and what was stored stays.
    ///
    /// # Errors
    /// [`Error::NeedsLogin`] if the code was refused; else see [`Error`].
    pub async fn sign_in(&self, authorization: Authorization, code: SecretString) -> Result<NewLogin, Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        apart(session, move |session| async move { session.sign_in(authorization, &code).await }.boxed())
            .await
            .unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Takes over a refresh token that was obtained elsewhere: spends it, once the store has proved that it
    /// can be written. The new pair is not stored yet, and what was stored stays.
    ///
    /// # Errors
    /// [`Error::NeedsLogin`] if the token was refused; else see [`Error`].
    pub async fn adopt(&self, refresh: SecretString) -> Result<NewLogin, Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        apart(session, move |session| async move { session.adopt(&refresh).await }.boxed())
            .await
            .unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Stores what a sign-in brought, in place of what was there. Whoever runs on this store uses it from
    /// then on.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn accept(&self, login: NewLogin) -> Result<(), Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        apart(session, move |session| session.accept(login.0).boxed())
            .await
            .unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Waits until no refresh is in flight and stores what is not stored yet; for the end of the process.
    pub async fn settle(&self) {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        if let Some(Err(error)) = apart(session, |session| session.save_unsaved().boxed()).await {
            let error = Chain(&error).to_string();
            tracing::error!(%account, error, "new tokens can't be stored: a person will have to sign in again");
        }
    }

    /// The clock tokens are measured with.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// Runs `work` to its end even if the caller goes away. `None` if it panicked or the runtime ends.
async fn apart<W, T>(mut session: OwnedMutexGuard<Session>, work: W) -> Option<T>
where
    W: FnOnce(&mut Session) -> BoxFuture<'_, T> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(async move { work(&mut session).await }).await.ok()
}
