//! Access tokens for one account: one refresher, and a new pair is stored before anybody uses it.
//!
//! [`super::Client`] asks here before each call and again when FFN answers 401. The guarantees
//! (contract 2.2): of any number of callers one refreshes; a refresh token that was answered is never sent
//! again; the answer is in the store before its access token leaves this module; a refresh whose outcome
//! nobody knows is tried again with the same token and changes nothing; a refused one ends in
//! "login required", recorded in the store. A refresh runs in a task of its own, so that a caller who gives
//! up does not take an answered pair with it. Tokens are in no log and no error.

mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::{Mutex, watch};
use url::Url;

pub use super::oauth::{Authorization, TokenError};
use super::{Config, oauth::OAuth};
use crate::domain::account::AccountName;
use crate::domain::clock::Clock;
use crate::metrics::FfnMetrics;
use crate::store::{self, TokenStore};
use session::Session;

/// The sign-in of one account.
pub struct Auth {
    oauth: Arc<OAuth>,
    clock: Clock,
    session: Arc<Mutex<Session>>,
    login_needed: watch::Receiver<bool>,
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
    /// The store failed, and nothing is used that is not stored.
    #[error("the tokens can't be read or stored")]
    Store(#[source] store::Error),
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
        let session = Session::new(config.account.clone(), Arc::clone(&oauth), store, clock.clone(), metrics);
        let login_needed = session.login_needed.subscribe();
        Ok(Self { oauth, clock, session: Arc::new(Mutex::new(session)), login_needed })
    }

    /// A token that lives a while yet, refreshed if need be.
    ///
    /// # Errors
    /// See [`Error`]; while the old token still lives, trouble with the refresh is no error.
    pub async fn access_token(&self) -> Result<SecretString, Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        if let Some(token) = session.fresh(None) {
            return Ok(token);
        }
        let account = session.account().clone();
        match apart(session, |mut session| async move { session.renew(None).await }).await {
            Some(Ok(Some(token))) => Ok(token),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => Err(Error::Temporary { account, source: None }),
        }
    }

    /// A better token than `token`, which FFN answered with 401: from the store, or by one refresh.
    /// `None` if a token that was refreshed for this a moment ago is rejected as well (contract 2.2, rule 3).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rejected(&self, token: &SecretString) -> Result<Option<SecretString>, Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        if let Some(newer) = session.fresh(Some(token)) {
            return Ok(Some(newer));
        }
        let account = session.account().clone();
        let token = token.clone();
        let renewed = apart(session, |mut session| async move { session.renew(Some(&token)).await }).await;
        renewed.unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Whether a person has to sign in, as far as is known; nothing is known before the tokens were first
    /// read. Tells each change.
    pub fn needs_login(&self) -> watch::Receiver<bool> {
        self.login_needed.clone()
    }

    /// Begins a sign-in through the browser (contract 2.1).
    pub fn authorize(&self, redirect: &Url) -> Authorization {
        self.oauth.authorize(redirect)
    }

    /// Ends a sign-in: exchanges the code and stores the pair. Gives the scopes, as far as FFN named them.
    ///
    /// # Errors
    /// [`Error::NeedsLogin`] if the code was refused; else see [`Error`].
    pub async fn sign_in(&self, authorization: Authorization, code: SecretString) -> Result<Vec<String>, Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        apart(session, |mut session| async move { session.sign_in(authorization, &code).await })
            .await
            .unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Takes over a refresh token that was obtained elsewhere: spends it and stores the pair. What was
    /// stored before stays if the token is refused.
    ///
    /// # Errors
    /// [`Error::NeedsLogin`] if the token was refused; else see [`Error`].
    pub async fn adopt(&self, refresh: SecretString) -> Result<Vec<String>, Error> {
        let session = Arc::clone(&self.session).lock_owned().await;
        let account = session.account().clone();
        apart(session, |mut session| async move { session.adopt(&refresh).await })
            .await
            .unwrap_or(Err(Error::Temporary { account, source: None }))
    }

    /// Waits until no refresh is in flight; for the end of the process.
    pub async fn settle(&self) {
        drop(self.session.lock().await);
    }

    /// The clock tokens are measured with.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// Runs `work` to its end even if the caller goes away. `None` if it panicked or the runtime ends.
async fn apart<F, W, T>(session: tokio::sync::OwnedMutexGuard<Session>, work: W) -> Option<T>
where
    W: FnOnce(tokio::sync::OwnedMutexGuard<Session>) -> F,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(work(session)).await.ok()
}
