//! What is known of an account's tokens, and the steps that change it. One task at a time holds it.
//!
//! Order of a renewal: take the lease, store what could not be stored before, read the store, record that
//! the refresh token will be sent, and only then send it; the answer is kept here until the store has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::super::oauth::{Authorization, OAuth, TokenError};
use super::shared::{Need, Shared};
use super::{Error, NewLogin};
use crate::domain::account::AccountName;
use crate::domain::clock::Clock;
use crate::domain::token::{
    Cause, Lease, Origin, RefreshEnding, RefreshRecord, StoredLogin, TokenPair, TokenStore, fingerprint,
};
use crate::metrics::FfnMetrics;

/// A token is refreshed this long before its end, but not before half of its life (contract 2.2).
const MARGIN: TimeDelta = TimeDelta::minutes(4);
/// A pair older than this is refreshed however long it lives: nobody knows how long an unused refresh
/// token does (contract 2.2).
const OLDEST: TimeDelta = TimeDelta::hours(24);
/// Longer than sending a refresh token once can take. Who holds the lease longer without a sign is stuck.
const LEASE: Duration = Duration::from_secs(45);
/// How often a lease that somebody else holds is tried for, and how long.
const LEASE_LOOK: Duration = Duration::from_millis(50);
const LEASE_PATIENCE: Duration = Duration::from_secs(60);
/// A server that asks to wait longer than this is left alone meanwhile.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// How long the token endpoint is left alone after it gave no clear answer: first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How long an account counts as rejected before its tokens are tried again: first, and at most.
const REJECTED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
/// A refreshed token that is rejected within this time was no remedy; later it is another trouble.
const REMEDY: Duration = Duration::from_secs(60);
/// So long after a pause for rejected tokens, a rejection begins a new row of pauses.
const CALM: Duration = Duration::from_secs(600);
/// What is due and was not done is tried again after this.
const SOON: Duration = Duration::from_millis(200);
/// How often the store is asked by callers whether somebody has signed in.
const LOGIN_LOOK: Duration = Duration::from_secs(1);

/// Why a renewal is asked for.
pub(super) enum Why {
    /// A call waits for a token.
    Needed,
    /// The time has come.
    Due,
    /// FFN answered this token with 401.
    Rejected(SecretString),
}

/// A time to be left alone, and for how long it was.
struct Pause<T> {
    until: Instant,
    length: Duration,
    cause: T,
}

/// A row of fresh pairs that FFN rejected, by their generations.
struct GivenUp {
    first: i64,
    latest: i64,
}

/// The tokens of one account and how to get new ones.
pub(super) struct Session {
    account: AccountName,
    oauth: Arc<OAuth>,
    store: Arc<dyn TokenStore>,
    clock: Clock,
    metrics: FfnMetrics,
    shared: Arc<Shared>,
    /// Pauses between tries of one renewal.
    pub(super) retry: ExponentialBuilder,
    /// As last read from the store or stored.
    login: Option<StoredLogin>,
    read_at: Option<Instant>,
    /// A pair the store has not taken yet.
    unsaved: Option<(Origin, TokenPair)>,
    /// Held until that pair is stored.
    lease: Option<Lease>,
    /// The generation whose refresh token was refused, and why, should the store not know yet.
    refused: Option<(i64, String)>,
    /// The token endpoint is left alone.
    paused: Option<Pause<Arc<TokenError>>>,
    /// The generation that a rejected token was refreshed to, and when.
    remedy: Option<(i64, Instant)>,
    /// FFN rejected that one as well.
    rejected: Option<Pause<GivenUp>>,
    /// Hundredths of a quarter of the margin, so that not all accounts and bridges refresh at the same moment.
    jitter: i32,
}

impl Session {
    pub(super) fn new(
        account: AccountName,
        oauth: Arc<OAuth>,
        store: Arc<dyn TokenStore>,
        clock: Clock,
        metrics: FfnMetrics,
        shared: Arc<Shared>,
    ) -> Self {
        let retry = ExponentialBuilder::default().with_min_delay(Duration::from_millis(500)).with_jitter();
        Self {
            account,
            oauth,
            store,
            clock,
            metrics,
            shared,
            retry: retry.with_max_times(3),
            login: None,
            read_at: None,
            unsaved: None,
            lease: None,
            refused: None,
            paused: None,
            remedy: None,
            rejected: None,
            jitter: fastrand::i32(0..100),
        }
    }

    pub(super) fn account(&self) -> &AccountName {
        &self.account
    }

    /// The keeper's look: at the store, and whether it is time to refresh. Gives how long it is until then.
    pub(super) async fn tend(&mut self) -> Result<Duration, Error> {
        self.save_unsaved().await?;
        self.read().await?;
        let may_refresh = self.waits_for().is_none() && !self.is_paused();
        if may_refresh && self.is_due() {
            self.renew(Why::Due).await?;
        }
        let due = self.due().filter(|_| may_refresh && !self.is_paused());
        Ok(due.map_or(Duration::MAX, |due| (due - self.clock.now()).to_std().unwrap_or(SOON)))
    }

    /// A better access token; `None` if one that was rejected came from a refresh for this reason.
    pub(super) async fn renew(&mut self, why: Why) -> Result<Option<SecretString>, Error> {
        if let Some(token) = self.good_enough(&why) {
            return Ok(Some(token));
        }
        if self.waits_for().is_some() && self.read_at.is_some_and(|at| at.elapsed() < LOGIN_LOOK) {
            return Err(self.login_error());
        }
        // Before the lease, which may be held for just this pair.
        self.save_unsaved().await?;
        let lease = self.take_lease().await?;
        let renewed = self.renew_under(&lease, &why).await;
        if self.unsaved.is_some() {
            // The token is spent and its successor is only here: nobody else may send it.
            self.lease = Some(lease);
        } else {
            self.give_back(lease).await;
        }
        self.show();
        // Trouble with the refresh is none for the caller while the old token lives.
        match (renewed, self.living(&why, TimeDelta::seconds(1))) {
            (Err(error), Some(token)) if !matches!(error, Error::NeedsLogin { .. }) => {
                tracing::warn!(account = %self.account, error = %error, "refresh failed, the old token is used on");
                Ok(Some(token))
            }
            (renewed, _) => renewed,
        }
    }

    /// Exchanges a code.
    pub(super) async fn sign_in(&mut self, flow: Authorization, code: &SecretString) -> Result<NewLogin, Error> {
        let exchanged = self.oauth.exchange(flow, code, self.clock.now()).await;
        self.brought(exchanged).await
    }

    /// Spends a refresh token from elsewhere. Nobody else refreshes meanwhile, should it be the account's own.
    pub(super) async fn adopt(&mut self, refresh: &SecretString) -> Result<NewLogin, Error> {
        let lease = self.take_lease().await?;
        let may_be_sent_again = |error: &TokenError| {
            matches!(error.ending(), Some(RefreshEnding::Unclear | RefreshEnding::NotSpent))
                && !matches!(error, TokenError::Client { .. })
        };
        let spend = || self.oauth.refresh(refresh, self.clock.now());
        let spent = spend.retry(self.retry).when(may_be_sent_again).await;
        self.give_back(lease).await;
        self.brought(spent).await
    }

    /// What a sign-in brought; an answer that can't be read is kept for a person.
    async fn brought(&self, pair: Result<TokenPair, TokenError>) -> Result<NewLogin, Error> {
        match pair {
            Ok(pair) => Ok(NewLogin(pair)),
            Err(error) => {
                if let Some(ending @ RefreshEnding::Unreadable(_)) = error.ending() {
                    self.store.end_refresh(&self.account, 0, ending).await?;
                }
                Err(self.explain(Arc::new(error)))
            }
        }
    }

    /// Stores a pair from a sign-in, whatever was there before.
    pub(super) async fn accept(&mut self, pair: TokenPair) -> Result<(), Error> {
        self.unsaved = Some((Origin::SignIn, pair));
        self.save_unsaved().await
    }

    async fn give_back(&self, lease: Lease) {
        if let Err(error) = self.store.release_lease(lease).await {
            tracing::debug!(account = %self.account, %error, "a lease could not be given back; its time runs out");
        }
    }

    async fn take_lease(&self) -> Result<Lease, Error> {
        let begun = Instant::now();
        loop {
            match self.store.take_lease(&self.account, LEASE).await? {
                Some(lease) => return Ok(lease),
                None if begun.elapsed() > LEASE_PATIENCE => return Err(Error::Busy { account: self.account.clone() }),
                None => tokio::time::sleep(LEASE_LOOK).await,
            }
        }
    }

    async fn renew_under(&mut self, lease: &Lease, why: &Why) -> Result<Option<SecretString>, Error> {
        self.read().await?;
        if let Some(token) = self.good_enough(why) {
            return Ok(Some(token));
        }
        if let Some((generation, reason)) =
            self.refused.clone().filter(|(refused, _)| Some(*refused) == self.generation())
        {
            return self.require_login(generation, reason, why).await;
        }
        let usable = self.login.as_ref().filter(|_| self.waits_for().is_none());
        let Some((generation, pair)) = usable.and_then(|login| Some((login.generation, login.tokens.clone()?))) else {
            return Err(self.login_error());
        };
        if let Some(pause) = self.paused.as_ref().filter(|pause| Instant::now() < pause.until) {
            return Err(self.explain(Arc::clone(&pause.cause)));
        }
        let is_rejected = matches!(why, Why::Rejected(_));
        let given_up = self.rejected.as_ref().map(|pause| pause.cause.latest);
        let is_remedy = self.remedy.is_some_and(|(remedy, at)| remedy == generation && at.elapsed() < REMEDY);
        let is_in_doubt = self.login.as_ref().and_then(|login| login.refresh.as_ref()).is_some_and(|it| it.is_open);
        if is_rejected && is_remedy && !is_in_doubt && given_up != Some(generation) {
            self.give_up(generation);
            return Ok(None);
        }
        let token = self.refresh(lease, generation, &pair.refresh, why).await?;
        if is_rejected && let Some(newer) = self.generation().filter(|newer| *newer != generation) {
            self.remedy = Some((newer, Instant::now()));
        }
        Ok(token)
    }

    /// FFN rejects a token that was just refreshed because of this: the account is left alone for a while.
    fn give_up(&mut self, generation: i64) {
        let (shortest, most) = REJECTED;
        // After a time without a rejection it is another trouble.
        let last = self.rejected.as_ref().filter(|last| last.until.elapsed() < CALM);
        let length = last.map_or(shortest, |last| (last.length * 2).min(most));
        let seconds = length.as_secs();
        let first = last.map_or(generation, |last| last.cause.first);
        tracing::warn!(account = %self.account, seconds, "FFN rejects a token that was just refreshed");
        self.rejected =
            Some(Pause { until: Instant::now() + length, length, cause: GivenUp { first, latest: generation } });
    }

    /// Sends the refresh token of `generation`, once or, while nobody says that it is spent, a few times.
    async fn refresh(
        &mut self,
        lease: &Lease,
        generation: i64,
        token: &SecretString,
        why: &Why,
    ) -> Result<Option<SecretString>, Error> {
        let name = fingerprint(token);
        let before = self.login.as_ref().and_then(|login| login.refresh.clone()).filter(|it| it.fingerprint == name);
        if let Some(RefreshRecord { began_at, is_open: true, .. }) = before {
            tracing::warn!(account = %self.account, token = name, %began_at, "the outcome of an earlier refresh is unknown; its token is tried once more");
        }
        // What a crash has left in doubt is tried once, not again and again.
        let mut left = if before.as_ref().is_some_and(|record| record.is_open) { 0 } else { usize::MAX };
        let mut is_doubtful = before.as_ref().is_some_and(RefreshRecord::is_doubtful);
        let mut unreadable = before.as_ref().map_or(0, |record| record.unreadable);
        let mut delays = self.retry.build();
        loop {
            if !self.store.begin_refresh(lease, generation, name.clone(), LEASE).await? {
                self.read().await?;
                return match self.good_enough(why) {
                    Some(token) => Ok(Some(token)),
                    None if self.waits_for().is_some() => Err(self.login_error()),
                    None => Err(Error::Busy { account: self.account.clone() }),
                };
            }
            let error = match self.oauth.refresh(token, self.clock.now()).await {
                Ok(pair) => {
                    self.count("refreshed");
                    self.paused = None;
                    self.unsaved = Some((Origin::Refresh { of: generation }, pair));
                    self.save_unsaved().await?;
                    return Ok(self.living(&Why::Needed, TimeDelta::zero()));
                }
                Err(error) => error,
            };
            let Some(ending) = error.ending() else {
                self.count("refused");
                let mut reason = error.to_string();
                if is_doubtful {
                    reason = format!("the answer to a refresh was lost, and then {reason}");
                }
                self.refused = Some((generation, reason.clone()));
                return self.require_login(generation, reason, why).await;
            };
            let is_unreadable = matches!(ending, RefreshEnding::Unreadable(_));
            is_doubtful |= !matches!(ending, RefreshEnding::NotSpent);
            self.store.end_refresh(&self.account, generation, ending).await?;
            if is_unreadable {
                unreadable += 1;
                left = left.min(1);
            }
            if unreadable > 1 {
                self.count("failed");
                let reason = format!(
                    "{error}, twice. The answers are kept: `ffn-bridge login {} --kept-answers` shows them",
                    self.account
                );
                return self.require_login(generation, reason, why).await;
            }
            let wait = delays.next().map(|delay| delay.max(error.retry_after().unwrap_or_default()));
            let may_go_on = left > 0 && !matches!(error, TokenError::Client { .. });
            match wait.filter(|wait| may_go_on && *wait <= LONGEST_DELAY) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    self.count("failed");
                    return Err(self.pause(Arc::new(error)));
                }
            }
            left -= 1;
        }
    }

    /// Leaves the token endpoint alone, longer each time.
    fn pause(&mut self, error: Arc<TokenError>) -> Error {
        let (first, most) = PAUSES;
        let length = self.paused.as_ref().map_or(first, |last| (last.length * 2).min(most));
        let length = length.max(error.retry_after().unwrap_or_default().min(most));
        self.paused = Some(Pause { until: Instant::now() + length, length, cause: Arc::clone(&error) });
        self.explain(error)
    }

    /// Records that a person is needed, unless another process has stored a newer pair meanwhile.
    async fn require_login(
        &mut self,
        generation: i64,
        reason: String,
        why: &Why,
    ) -> Result<Option<SecretString>, Error> {
        tracing::warn!(account = %self.account, reason, "a person has to sign in");
        self.store.require_login(&self.account, generation, reason).await?;
        self.read().await?;
        self.good_enough(why).map(Some).ok_or_else(|| self.login_error())
    }

    /// Stores what is not stored yet. If it fails the pair stays here for the next time.
    pub(super) async fn save_unsaved(&mut self) -> Result<(), Error> {
        let Some((origin, pair)) = self.unsaved.clone() else { return Ok(()) };
        let save = || self.store.save_tokens(&self.account, pair.clone(), origin);
        self.login = Some(save.retry(self.retry).await?);
        self.unsaved = None;
        self.jitter = fastrand::i32(0..100);
        self.show();
        if let Some(lease) = self.lease.take() {
            self.give_back(lease).await;
        }
        Ok(())
    }

    /// Looks what is stored, and shows it.
    pub(super) async fn read(&mut self) -> Result<(), Error> {
        let login = self.store.login(&self.account).await?;
        if login.as_ref().map(|login| login.generation) != self.generation() {
            // What was said of another pair is none of this one's business.
            self.paused = None;
        }
        let signed_in_at = |login: &Option<StoredLogin>| login.as_ref().map(|login| login.signed_in_at);
        if signed_in_at(&login) != signed_in_at(&self.login) {
            self.rejected = None;
            self.remedy = None;
        }
        self.login = login;
        self.read_at = Some(Instant::now());
        self.show();
        Ok(())
    }

    fn generation(&self) -> Option<i64> {
        self.login.as_ref().map(|login| login.generation)
    }

    /// The access token if it does for this purpose.
    fn good_enough(&self, why: &Why) -> Option<SecretString> {
        match why {
            Why::Needed => self.shared.usable(self.clock.now(), None),
            Why::Rejected(token) => self.shared.usable(self.clock.now(), Some(token)),
            Why::Due if self.is_due() => None,
            Why::Due => self.shared.usable(self.clock.now(), None),
        }
    }

    /// The access token if it lives longer than `margin` and is not the one that was rejected.
    fn living(&self, why: &Why, margin: TimeDelta) -> Option<SecretString> {
        let login = self.login.as_ref().filter(|_| self.needs_login().is_none())?;
        let pair = login.tokens.as_ref().filter(|pair| pair.lives(self.clock.now(), margin))?;
        let is_rejected = matches!(why, Why::Rejected(token) if token.expose_secret() == pair.access.expose_secret());
        (!is_rejected).then(|| pair.access.clone())
    }

    /// Whether the pair is old enough to be refreshed, or a refresh of it was begun and not ended.
    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| self.clock.now() >= due)
    }

    /// When the pair is to be refreshed: at once where a refresh of it was begun and not ended.
    fn due(&self) -> Option<DateTime<Utc>> {
        let login = self.login.as_ref()?;
        let pair = login.tokens.as_ref()?;
        if login.refresh.as_ref().is_some_and(|record| record.is_open) {
            return Some(pair.obtained_at);
        }
        let margin = MARGIN.min(pair.life() / 2);
        let latest = (pair.access_expires_at - margin).min(pair.obtained_at + OLDEST);
        Some(latest - margin * self.jitter / 400)
    }

    fn is_paused(&self) -> bool {
        self.paused.as_ref().is_some_and(|pause| Instant::now() < pause.until)
    }

    /// As if the pauses were over.
    #[cfg(test)]
    pub(super) fn end_pause(&mut self) {
        let now = Instant::now();
        self.read_at = None;
        self.paused.iter_mut().for_each(|pause| pause.until = now);
        self.rejected.iter_mut().for_each(|pause| pause.until = now);
    }

    /// Why a person is needed, if one is. This is the one place that decides it.
    fn needs_login(&self) -> Option<Need> {
        let Some(login) = &self.login else {
            return Some(self.need(Cause::NeverSignedIn, 0, "nobody has signed in yet".to_owned()));
        };
        let lives = || login.tokens.as_ref().is_some_and(|pair| pair.lives(self.clock.now(), TimeDelta::zero()));
        match (&login.login_required, &self.rejected, &self.paused) {
            (Some(reason), ..) => {
                let cause = if login.tokens.is_some() { Cause::TokenRefused } else { Cause::SignedOut };
                Some(self.need(cause, login.generation, reason.clone()))
            }
            (None, Some(rejected), _) if Instant::now() < rejected.until => {
                let reason = "FFN rejects access tokens although they were just refreshed".to_owned();
                Some(self.need(Cause::AccessRejected, rejected.cause.first, reason))
            }
            (None, _, Some(pause)) if matches!(*pause.cause, TokenError::Client { .. }) && !lives() => {
                Some(self.need(Cause::ClientRefused, login.generation, pause.cause.to_string()))
            }
            (None, ..) => None,
        }
    }

    fn need(&self, cause: Cause, generation: i64, reason: String) -> Need {
        let on_record = self.login.as_ref().and_then(|login| login.login_required_since);
        let since = on_record.unwrap_or_else(|| {
            let shown = self.shared.need.borrow();
            let same = shown.as_ref().filter(|need| need.cause == cause && need.generation == generation);
            same.map_or_else(|| self.clock.now(), |need| need.since)
        });
        Need { cause, generation, signed_in_at: self.login.as_ref().map(|login| login.signed_in_at), reason, since }
    }

    /// What nothing but a person can help against. A refused client id or secret spends no token, so it is
    /// tried again after a pause: the fault may be the server's.
    fn waits_for(&self) -> Option<Need> {
        self.needs_login().filter(|need| need.cause != Cause::ClientRefused || self.is_paused())
    }

    fn login_error(&self) -> Error {
        let account = self.account.clone();
        let need = self.needs_login();
        if let (Some(Cause::ClientRefused), Some(pause)) = (need.as_ref().map(|need| need.cause), &self.paused) {
            return Error::ClientRefused { account, source: Arc::clone(&pause.cause) };
        }
        let reason = need.map(|need| need.reason).or_else(|| self.refused.as_ref().map(|(_, reason)| reason.clone()));
        Error::NeedsLogin { account, reason: reason.unwrap_or_else(|| "the refresh token was refused".to_owned()) }
    }

    fn explain(&self, error: Arc<TokenError>) -> Error {
        let account = self.account.clone();
        match &*error {
            TokenError::Refused { .. } => Error::NeedsLogin { account, reason: error.to_string() },
            TokenError::Client { .. } => Error::ClientRefused { account, source: error },
            _ => Error::Temporary { account, source: Some(error) },
        }
    }

    fn count(&self, outcome: &str) {
        self.metrics.token_refreshes.with_label_values(&[self.account.as_str(), outcome]).inc();
    }

    /// Tells everybody what counts now.
    fn show(&self) {
        let account = [self.account.as_str()];
        let need = self.needs_login();
        let pair = self.login.as_ref().and_then(|login| login.tokens.clone());
        self.metrics.login_required.with_label_values(&account).set(i64::from(need.is_some()));
        if let Some(pair) = &pair {
            self.metrics.token_expires.with_label_values(&account).set(pair.access_expires_at.timestamp() as f64);
        }
        self.shared.set(pair.filter(|_| need.is_none()), need);
    }
}
