//! The one way to the API: sends a call with a token, within the account's budget, and sorts the answer.
//!
//! Feeds, operations and look-ups are built on [`Client::call`]. The guarantees: a 401 leads to a better
//! token and a repetition, a 403 or 404 to none (contract 2.4); the host is the configured one and
//! redirects are off, so the bearer token goes nowhere else (contract 1); a body larger than
//! [`BODY_LIMIT`] is never read to its end; every answer teaches the server's clock (contract 7.6, rule 2).

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderName, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::Config;
use super::auth::Auth;
use super::budget::Hint;
use super::error::Error;
use super::gate::Gate;
use super::refusal::Refusal;
use super::request::{Answer, Request, retry_after, server_time};
use crate::domain::account::{AccountName, Role};
use crate::metrics::FfnMetrics;

/// The largest body that is read, in bytes after decompression.
pub const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// How often a call is repeated whose token ended on its way. One that is rejected although it was refreshed
/// for this is not repeated.
const REPETITIONS: usize = 3;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How far clocks may be apart, and nobody wonders.
pub const AHEAD: TimeDelta = TimeDelta::seconds(10);
/// How far `Date` may be ahead of what FFN goes by, and nothing is lost.
const MOST_AHEAD: TimeDelta = TimeDelta::hours(1);

/// Refusals that mean the same whatever they say (contract 2.4, 5).
const NEEDS_NO_BODY: [StatusCode; 3] =
    [StatusCode::UNAUTHORIZED, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The API as one account sees it.
pub struct Client {
    config: Config,
    auth: Arc<Auth>,
    metrics: FfnMetrics,
    http: reqwest::Client,
    gate: Gate,
    /// Milliseconds the server's clock is ahead of ours.
    skew: AtomicI64,
    knows_clock: AtomicBool,
    calls: AtomicU64,
}

/// What came back, before it is known to be a success.
struct Raw {
    status: StatusCode,
    retry_after: Option<Duration>,
    hint: Hint,
    body: Vec<u8>,
    cut: bool,
}

impl Client {
    /// The API of the account in `config`. Sends nothing yet.
    ///
    /// # Errors
    /// The HTTP client can't be set up, for example for want of root certificates.
    pub fn new(config: Config, auth: Arc<Auth>, metrics: FfnMetrics) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("ffn-bridge/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(config.call_timeout))
            .timeout(config.call_timeout)
            .build()?;
        let gate = Gate::new(config.rate_limit, config.max_concurrency);
        show_budget(&metrics, &config.account, gate.spacing());
        let (skew, knows_clock, calls) = (AtomicI64::new(0), AtomicBool::new(false), AtomicU64::new(0));
        Ok(Self { config, auth, metrics, http, gate, skew, knows_clock, calls })
    }

    /// The account that calls.
    pub fn account(&self) -> &AccountName {
        &self.config.account
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.config.role
    }

    /// Whether an answer has told the server's clock yet.
    pub fn knows_clock(&self) -> bool {
        self.knows_clock.load(Ordering::Relaxed)
    }

    /// How often it has called.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The time now on the server's clock, as far as its answers have told; never ahead of it by more than
    /// the drift since the last answer.
    pub fn server_now(&self) -> DateTime<Utc> {
        self.server_time_of(self.auth.clock().now())
    }

    /// How far the server's clock is ahead of this machine's, to the second.
    pub fn clock_ahead(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.skew.load(Ordering::Relaxed))
    }

    /// How far a window may end, if FFN takes it, in what has not happened yet: where `Date` is ahead of this machine's
    /// clock it may be ahead of what FFN goes by, too.
    pub fn ahead(&self) -> TimeDelta {
        let ahead = self.clock_ahead();
        if ahead > AHEAD { ahead.min(MOST_AHEAD) } else { TimeDelta::zero() }
    }

    /// That time on the server's clock.
    pub fn server_time_of(&self, local: DateTime<Utc>) -> DateTime<Utc> {
        local + self.clock_ahead()
    }

    /// How long FFN has asked this account not to call; a call made now would wait for that.
    pub fn closed_for(&self) -> Option<Duration> {
        self.gate.closed_for()
    }

    /// Sends a call when its turn has come.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::disposition`] says what to do.
    pub async fn call(&self, request: Request) -> Result<Answer, Error> {
        let no_token = |source| Error::NoToken { operation: request.operation, source };
        let mut repetitions = REPETITIONS;
        loop {
            // A token in hand may end while its turn is awaited: it is fetched afterwards.
            let asked_to_wait = |wait| Error::AskedToWait { operation: request.operation, wait };
            let permit = self.gate.enter(request.priority).await.map_err(asked_to_wait)?;
            let token = self.auth.access_token().await.map_err(no_token)?;
            let raw = self.send(&request, &token).await?;
            drop(permit);
            let is_rejected = raw.status == StatusCode::UNAUTHORIZED && repetitions > 0;
            if !is_rejected || self.auth.rejected(&token).await.map_err(no_token)?.is_none() {
                return self.judge(&request, raw);
            }
            repetitions -= 1;
        }
    }

    /// Sends a call with a token that is not the account's yet; a 401 is an answer like any other.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call_with(&self, token: &SecretString, request: Request) -> Result<Answer, Error> {
        let asked_to_wait = |wait| Error::AskedToWait { operation: request.operation, wait };
        let _permit = self.gate.enter(request.priority).await.map_err(asked_to_wait)?;
        let raw = self.send(&request, token).await?;
        self.judge(&request, raw)
    }

    fn judge(&self, request: &Request, raw: Raw) -> Result<Answer, Error> {
        let operation = request.operation;
        if !raw.status.is_success() {
            let mut refusal = Refusal::read(operation, raw.status, raw.retry_after, &raw.body);
            // Who has locked it, and until when (contract 12).
            let until = refusal.metadata("LockedUntil").and_then(|until| DateTime::parse_from_rfc3339(until).ok());
            let wait = until.and_then(|until| (until.to_utc() - self.server_now()).to_std().ok());
            refusal.retry_after = refusal.retry_after.or(wait);
            return Err(Error::Refused(Box::new(refusal)));
        }
        if raw.cut {
            return Err(Error::TooLarge { operation, limit: BODY_LIMIT });
        }
        Ok(Answer { status: raw.status, body: raw.body })
    }

    /// Sends once and counts.
    async fn send(&self, request: &Request, token: &SecretString) -> Result<Raw, Error> {
        let prepared = self.prepare(request, token)?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let begin = Instant::now();
        let result = self.exchange(request.operation, prepared).await;
        let status = match &result {
            Ok(raw) => raw.status.as_u16().to_string(),
            Err(_) => "error".to_owned(),
        };
        let labels = [self.config.account.as_str(), request.operation, &status];
        self.metrics.requests.with_label_values(&labels).inc();
        let duration = self.metrics.request_duration.with_label_values(&[request.operation]);
        duration.observe(begin.elapsed().as_secs_f64());
        if let Ok(raw) = &result
            && let Some(spacing) = self.gate.learn(raw.hint)
        {
            tracing::info!(account = %self.config.account, milliseconds = spacing.as_millis(), "the time between two calls is another one now, as FFN's answers tell");
            show_budget(&self.metrics, &self.config.account, spacing);
        }
        if let Ok(raw) = &result
            && matches!(raw.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            && let Some(wait) = raw.retry_after
        {
            tracing::info!(account = %self.config.account, seconds = wait.as_secs(), "FFN asks to wait");
            self.gate.close_for(wait);
        }
        result
    }

    fn prepare(&self, request: &Request, token: &SecretString) -> Result<reqwest::Request, Error> {
        let unsendable = |what: &str| Error::Unsendable {
            operation: request.operation,
            reason: format!("{what} is no header value"),
        };
        let url = request.url(&self.config.base_url, self.config.role);
        let mut prepared = reqwest::Request::new(request.method.clone(), url);
        let bearer = format!("Bearer {}", token.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| unsendable("the access token"))?;
        bearer.set_sensitive(true);
        prepared.headers_mut().insert(AUTHORIZATION, bearer);
        prepared.headers_mut().insert(ACCEPT, JSON);
        if let Some(traceparent) = &request.traceparent {
            let value = HeaderValue::try_from(traceparent).map_err(|_| unsendable("traceparent"))?;
            prepared.headers_mut().insert(TRACEPARENT, value);
        }
        if let Some(body) = &request.body {
            prepared.headers_mut().insert(CONTENT_TYPE, JSON);
            *prepared.body_mut() = Some(body.clone().into());
        }
        Ok(prepared)
    }

    /// Sends and reads the whole answer.
    async fn exchange(&self, operation: &'static str, request: reqwest::Request) -> Result<Raw, Error> {
        let mut answer = self.http.execute(request).await.map_err(|error| Error::from_transport(operation, error))?;
        let server_time = server_time(answer.headers());
        if let Some(time) = server_time {
            self.learn_clock(time);
        }
        let status = answer.status();
        let mut raw = Raw {
            status,
            retry_after: retry_after(answer.headers(), server_time.unwrap_or_else(|| self.server_now())),
            hint: Hint::read(status, answer.headers()),
            body: Vec::new(),
            cut: false,
        };
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if raw.body.len() + chunk.len() > BODY_LIMIT => {
                    raw.cut = true;
                    return Ok(raw);
                }
                Ok(Some(chunk)) => raw.body.extend_from_slice(&chunk),
                Ok(None) => return Ok(raw),
                // The status has said enough, unless it is a refusal: its code decides, and is lost.
                Err(_) if !status.is_success() && (!status.is_client_error() || NEEDS_NO_BODY.contains(&status)) => {
                    return Ok(raw);
                }
                Err(error) => return Err(Error::NoAnswer { operation, source: error.without_url() }),
            }
        }
    }

    fn learn_clock(&self, server_time: DateTime<Utc>) {
        let skew = (server_time - self.auth.clock().now()).num_milliseconds();
        self.skew.store(skew, Ordering::Relaxed);
        self.knows_clock.store(true, Ordering::Relaxed);
        let gauge = self.metrics.clock_skew.with_label_values(&[self.config.account.as_str()]);
        gauge.set(skew as f64 / 1000.0);
    }
}

fn show_budget(metrics: &FfnMetrics, account: &AccountName, spacing: Duration) {
    let per_second = 1.0 / spacing.max(Duration::from_nanos(1)).as_secs_f64();
    metrics.budget.with_label_values(&[account.as_str()]).set(per_second);
}
