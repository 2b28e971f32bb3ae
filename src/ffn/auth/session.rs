//! What is known of an account's tokens, and the steps that change it. One task at a time holds it.
//!
//! Order of a renewal: lock out other processes, store what an earlier one could not store, read the store,
//! and only then spend the refresh token; the answer is kept here until the store has taken it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::super::oauth::{Authorization, OAuth, TokenError};
use super::Error;
use crate::domain::account::AccountName;
use crate::domain::clock::Clock;
use crate::domain::token::{StoredLogin, TokenPair};
use crate::metrics::FfnMetrics;
use crate::store::TokenStore;

/// A token is refreshed this long before its end, but not before half of its life (contract 2.2).
const MARGIN: TimeDelta = TimeDelta::minutes(4);
/// How often the store is asked whether somebody has signed in.
const LOGIN_CHECK: Duration = Duration::from_secs(1);
/// How long the token endpoint is left alone after it gave no clear answer.
const PAUSE: Duration = Duration::from_secs(5);
/// A token that FFN rejects although it is no older than this is not refreshed once more.
const REJECTION_PAUSE: Duration = Duration::from_secs(10);

/// The tokens of one account and how to get new ones.
pub(super) struct Session {
    account: AccountName,
    oauth: Arc<OAuth>,
    store: Arc<dyn TokenStore>,
    clock: Clock,
    metrics: FfnMetrics,
    pub(super) retry: ExponentialBuilder,
    pub(super) pause: Duration,
    /// As last read from the store or stored.
    login: Option<StoredLogin>,
    /// When the store was last read.
    read_at: Option<Instant>,
    /// A pair the store has not taken yet, and the generation it follows.
    unsaved: Option<(i64, TokenPair)>,
    /// The generation whose refresh token was refused, and why.
    refused: Option<(i64, String)>,
    /// The last unclear answer and when to try again.
    paused: Option<(Instant, Arc<TokenError>)>,
    /// When a rejected access token last led to a refresh.
    rejected_at: Option<Instant>,
    /// Whether a person has to sign in, for whoever waits for that.
    pub(super) login_needed: watch::Sender<bool>,
}

impl Session {
    pub(super) fn new(
        account: AccountName,
        oauth: Arc<OAuth>,
        store: Arc<dyn TokenStore>,
        clock: Clock,
        metrics: FfnMetrics,
    ) -> Self {
        let retry = ExponentialBuilder::default().with_min_delay(Duration::from_millis(500)).with_jitter();
        Self {
            account,
            oauth,
            store,
            clock,
            metrics,
            retry: retry.with_max_times(3),
            pause: PAUSE,
            login: None,
            read_at: None,
            unsaved: None,
            refused: None,
            paused: None,
            rejected_at: None,
            login_needed: watch::Sender::new(false),
        }
    }

    pub(super) fn account(&self) -> &AccountName {
        &self.account
    }

    /// The access token if it need not be refreshed yet and is not the one that FFN rejected.
    pub(super) fn fresh(&self, rejected: Option<&SecretString>) -> Option<SecretString> {
        let tokens = &self.login.as_ref()?.tokens;
        let life = tokens.access_expires_at? - tokens.obtained_at;
        self.living(MARGIN.min(life / 2), rejected)
    }

    /// A better access token; `None` if a rejected one was refreshed a moment ago already.
    pub(super) async fn renew(&mut self, rejected: Option<&SecretString>) -> Result<Option<SecretString>, Error> {
        let renewed = self.try_renew(rejected).await;
        // Trouble with the refresh is none for the caller while the old token lives.
        match (renewed, self.living(TimeDelta::seconds(1), rejected)) {
            (Err(error), Some(token)) if !matches!(error, Error::NeedsLogin { .. }) => {
                tracing::warn!(account = %self.account, error = %error, "refresh failed, the old token is used on");
                Ok(Some(token))
            }
            (renewed, _) => renewed,
        }
    }

    /// Exchanges a code and stores the pair.
    pub(super) async fn sign_in(&mut self, flow: Authorization, code: &SecretString) -> Result<Vec<String>, Error> {
        let exchanged = self.oauth.exchange(flow, code, self.clock.now()).await;
        let pair = exchanged.map_err(|error| self.explain(Arc::new(error), code))?;
        self.keep(pair).await
    }

    /// Spends a refresh token from elsewhere and stores the pair.
    pub(super) async fn adopt(&mut self, refresh: &SecretString) -> Result<Vec<String>, Error> {
        let spent = self.spend(refresh).await;
        let pair = spent.map_err(|error| self.explain(Arc::new(error), refresh))?;
        self.keep(pair).await
    }

    async fn try_renew(&mut self, rejected: Option<&SecretString>) -> Result<Option<SecretString>, Error> {
        if self.needs_login().is_some() && self.read_at.is_some_and(|at| at.elapsed() < LOGIN_CHECK) {
            return Err(self.login_error());
        }
        // Another process on this store may be refreshing right now: what it stores is read below.
        let _lock = self.store.lock_refresh(&self.account).await.map_err(Error::Store)?;
        self.save_pending().await?;
        self.read().await?;
        if let Some(token) = self.fresh(rejected) {
            return Ok(Some(token));
        }
        let Some(login) = self.login.clone().filter(|login| login.login_required.is_none()) else {
            return Err(self.login_error());
        };
        if let Some((generation, reason)) = self.refused.clone().filter(|(refused, _)| *refused == login.generation) {
            return self.require_login(generation, reason).await;
        }
        if let Some((_, error)) = self.paused.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(self.explain(Arc::clone(error), &login.tokens.refresh));
        }
        if rejected.is_some() {
            if self.rejected_at.is_some_and(|at| at.elapsed() < REJECTION_PAUSE) {
                return Ok(None);
            }
            self.rejected_at = Some(Instant::now());
        }
        self.refresh(login).await
    }

    /// Spends the refresh token of `login`, once or, while nobody says that it is spent, a few times.
    async fn refresh(&mut self, login: StoredLogin) -> Result<Option<SecretString>, Error> {
        let spent = self.spend(&login.tokens.refresh).await;
        let outcome = match &spent {
            Ok(_) => "refreshed",
            Err(TokenError::Refused { .. }) => "refused",
            Err(_) => "failed",
        };
        self.metrics.token_refreshes.with_label_values(&[self.account.as_str(), outcome]).inc();
        match spent {
            Ok(pair) => {
                self.paused = None;
                self.unsaved = Some((login.generation, pair));
                self.save_pending().await?;
                Ok(self.living(TimeDelta::zero(), None))
            }
            Err(TokenError::Refused { status, reason }) => {
                let error = TokenError::Refused { status, reason };
                let reason = without(&error.to_string(), &login.tokens.refresh);
                self.refused = Some((login.generation, reason.clone()));
                self.require_login(login.generation, reason).await
            }
            Err(error) => {
                let error = Arc::new(error);
                self.paused = Some((Instant::now() + self.pause, Arc::clone(&error)));
                Err(self.explain(error, &login.tokens.refresh))
            }
        }
    }

    async fn spend(&self, refresh: &SecretString) -> Result<TokenPair, TokenError> {
        (|| self.oauth.refresh(refresh, self.clock.now())).retry(self.retry).when(TokenError::is_unclear).await
    }

    /// Records that a person is needed, unless another process has stored a newer pair meanwhile.
    async fn require_login(&mut self, generation: i64, reason: String) -> Result<Option<SecretString>, Error> {
        tracing::warn!(account = %self.account, reason, "the refresh token was refused, a person has to sign in");
        self.store.require_login(&self.account, generation, reason).await.map_err(Error::Store)?;
        self.read().await?;
        self.fresh(None).map(Some).ok_or_else(|| self.login_error())
    }

    /// Stores a pair from a sign-in, whatever was there before.
    async fn keep(&mut self, pair: TokenPair) -> Result<Vec<String>, Error> {
        let scopes = pair.scopes.clone();
        self.unsaved = Some((i64::MAX, pair));
        self.save_pending().await?;
        Ok(scopes)
    }

    /// Stores what is not stored yet. If it fails the pair stays here for the next time.
    async fn save_pending(&mut self) -> Result<(), Error> {
        let Some((follows, pair)) = self.unsaved.clone() else { return Ok(()) };
        let save = || async {
            let newest = self.store.login(&self.account).await?;
            if newest.as_ref().is_some_and(|login| login.generation > follows) {
                return Ok(newest); // somebody has signed in meanwhile
            }
            let generation = self.store.save_tokens(&self.account, pair.clone()).await?;
            Ok(Some(StoredLogin { tokens: pair.clone(), generation, login_required: None }))
        };
        self.login = save.retry(self.retry).await.map_err(Error::Store)?;
        self.unsaved = None;
        self.show();
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Error> {
        self.login = self.store.login(&self.account).await.map_err(Error::Store)?;
        self.read_at = Some(Instant::now());
        self.show();
        Ok(())
    }

    fn living(&self, margin: TimeDelta, rejected: Option<&SecretString>) -> Option<SecretString> {
        let login = self.login.as_ref().filter(|login| login.login_required.is_none())?;
        let token = login.tokens.usable_access(self.clock.now(), margin)?;
        let is_rejected = rejected.is_some_and(|rejected| rejected.expose_secret() == token.expose_secret());
        (!is_rejected).then(|| token.clone())
    }

    /// Why a person has to sign in, if so.
    fn needs_login(&self) -> Option<&str> {
        match &self.login {
            None => Some("nobody has signed in yet"),
            Some(login) => login.login_required.as_deref(),
        }
    }

    fn login_error(&self) -> Error {
        let reason = self.needs_login().or(self.refused.as_ref().map(|(_, reason)| reason.as_str()));
        let reason = reason.unwrap_or("the refresh token was refused").to_owned();
        Error::NeedsLogin { account: self.account.clone(), reason }
    }

    fn explain(&self, error: Arc<TokenError>, secret: &SecretString) -> Error {
        let account = self.account.clone();
        match &*error {
            TokenError::Refused { .. } => Error::NeedsLogin { account, reason: without(&error.to_string(), secret) },
            TokenError::Client { .. } => Error::ClientRefused { account, source: error },
            TokenError::Status { .. } | TokenError::Transport(_) | TokenError::Unreadable => {
                Error::Temporary { account, source: Some(error) }
            }
        }
    }

    fn show(&self) {
        let account = [self.account.as_str()];
        self.metrics.login_required.with_label_values(&account).set(i64::from(self.needs_login().is_some()));
        let needed = self.needs_login().is_some();
        self.login_needed.send_if_modified(|known| std::mem::replace(known, needed) != needed);
        if let Some(end) = self.login.as_ref().and_then(|login| login.tokens.access_expires_at) {
            self.metrics.token_expires.with_label_values(&account).set(end.timestamp() as f64);
        }
    }
}

/// A server's words without the secret, should it repeat it.
fn without(words: &str, secret: &SecretString) -> String {
    words.replace(secret.expose_secret(), "[secret]")
}
