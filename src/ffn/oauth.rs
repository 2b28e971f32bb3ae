//! The OAuth server: its two grants, and what its answers say about a single-use token (contract 2).
//!
//! [`super::Auth`] decides when to come here; this file only talks. The guarantee: a failure tells apart
//! what FFN refused from what nobody knows, because a refresh token works exactly once (contract 2.2).
//! Redirects are off, so that secrets go nowhere else, and no text here holds a token.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    Scope, TokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::Config;
use super::request::{retry_after, server_time};
use crate::domain::token::{RefreshEnding, TokenPair};

/// Life of an access token where the answer names none (contract 2.2).
const DEFAULT_LIFE: Duration = Duration::from_secs(1800);
/// How long one request to the token endpoint may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);
/// And after that: what has arrived is read.
const GRACE: Duration = Duration::from_millis(500);
/// The largest answer of the token endpoint that is read, in bytes.
const BODY_LIMIT: usize = 256 * 1024;

type Endpoints = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// The OAuth client of one account.
#[derive(Debug)]
pub(super) struct OAuth {
    endpoints: Endpoints,
    http: Http,
    scopes: [&'static str; 2],
    client_secret: SecretString,
}

/// Why the token endpoint gave no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Status 400 or 401: the code or refresh token is spent or unknown. Final (contract 2.2, rule 5).
    #[error("the OAuth server refused it with status {status}: {reason}")]
    Refused {
        /// The status.
        status: u16,
        /// What the server said.
        reason: String,
    },
    /// The client's id or secret is wrong; no token was spent (contract 2.2, rule 6).
    #[error("the OAuth server does not know this client id and secret: {reason}")]
    Client {
        /// What the server said.
        reason: String,
    },
    /// Another status: whether the token was spent is unknown, unless it is 429.
    #[error("the OAuth server answered with status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// No connection was made, so nothing was spent.
    #[error("the OAuth server can't be reached")]
    NotSent(#[source] reqwest::Error),
    /// No answer: whether the token was spent is unknown.
    #[error("no answer from the OAuth server")]
    Transport(#[source] reqwest::Error),
    /// No answer in time: whether the token was spent is unknown.
    #[error("no answer from the OAuth server within {} s", .0.as_secs())]
    Silent(Duration),
    /// A success that can't be read, so the token is probably spent. The body may hold new tokens.
    #[error("the OAuth server answered with success, but with something else than tokens")]
    Unreadable(SecretString),
}

/// One way through the browser: where to send the person and what to compare afterwards.
#[derive(Debug)]
pub struct Authorization {
    /// The page to open.
    pub url: Url,
    /// Must come back unchanged.
    pub state: SecretString,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

impl OAuth {
    pub(super) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TOKEN_TIMEOUT.min(config.call_timeout))
            .build()?;
        let http = Http { client: http, timeout: TOKEN_TIMEOUT.min(config.call_timeout) };
        let endpoints = BasicClient::new(ClientId::new(config.client_id.clone()))
            .set_client_secret(ClientSecret::new(config.client_secret.expose_secret().to_owned()))
            .set_auth_uri(AuthUrl::from_url(config.authorize_url.clone()))
            .set_token_uri(TokenUrl::from_url(config.token_url.clone()));
        let client_secret = config.client_secret.clone();
        Ok(Self { endpoints, http, scopes: config.role.scopes(), client_secret })
    }

    /// Begins a sign-in: random state, PKCE S256 (contract 2.1).
    pub(super) fn authorize(&self, redirect: &Url) -> Authorization {
        let redirect = RedirectUrl::from_url(redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = self
            .endpoints
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.scopes.map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .set_redirect_uri(std::borrow::Cow::Borrowed(&redirect))
            .url();
        Authorization { url, state: state.secret().clone().into(), verifier, redirect }
    }

    /// Exchanges the code of a sign-in.
    pub(super) async fn exchange(
        &self,
        authorization: Authorization,
        code: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<TokenPair, TokenError> {
        let answer = self
            .endpoints
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(authorization.verifier)
            .set_redirect_uri(std::borrow::Cow::Owned(authorization.redirect))
            .request_async(&self.http)
            .await
            .map_err(|error| TokenError::from_request(error).without(&[code, &self.client_secret]))?;
        let Some(refresh) = answer.refresh_token() else {
            return Err(TokenError::Unreadable("it holds no refresh token".into()));
        };
        Ok(pair(&answer, refresh.secret().clone().into(), now))
    }

    /// Spends a refresh token. An answer without a new one keeps the old (contract 2.2).
    pub(super) async fn refresh(&self, token: &SecretString, now: DateTime<Utc>) -> Result<TokenPair, TokenError> {
        let answer = self
            .endpoints
            .exchange_refresh_token(&RefreshToken::new(token.expose_secret().to_owned()))
            .request_async(&self.http)
            .await
            .map_err(|error| TokenError::from_request(error).without(&[token, &self.client_secret]))?;
        let refresh = answer.refresh_token().map_or_else(|| token.clone(), |new| new.secret().clone().into());
        Ok(pair(&answer, refresh, now))
    }
}

impl TokenError {
    /// What it says about the token that was sent; `None` if that is refused for good (contract 2.2, rules 4
    /// to 6).
    pub(super) fn ending(&self) -> Option<RefreshEnding> {
        match self {
            Self::Refused { .. } => None,
            Self::Client { .. } | Self::NotSent(_) | Self::Status { status: 429, .. } => Some(RefreshEnding::NotSpent),
            Self::Status { .. } | Self::Transport(_) | Self::Silent(_) => Some(RefreshEnding::Unclear),
            Self::Unreadable(body) => Some(RefreshEnding::Unreadable(body.clone())),
        }
    }

    /// The server's words without the secrets, should it repeat them, and not too many of them.
    fn without(self, secrets: &[&SecretString]) -> Self {
        let clean = |words: String| -> String {
            let words = secrets.iter().fold(words, |words, secret| words.replace(secret.expose_secret(), "[secret]"));
            words.chars().filter(|char| !char.is_control()).take(300).collect()
        };
        match self {
            Self::Refused { status, reason } => Self::Refused { status, reason: clean(reason) },
            Self::Client { reason } => Self::Client { reason: clean(reason) },
            other => other,
        }
    }

    /// How long the server asked to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The crate's errors may hold a whole body with tokens, so only our own parts are kept.
    fn from_request(error: RequestTokenError<Self, BasicErrorResponse>) -> Self {
        match error {
            RequestTokenError::Request(ours) => ours,
            RequestTokenError::Parse(_, body) => {
                let text = String::from_utf8_lossy(&body).into_owned();
                Self::Unreadable(text.into())
            }
            RequestTokenError::ServerResponse(_) | RequestTokenError::Other(_) => Self::Unreadable("".into()),
        }
    }

    fn from_status(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let error = ErrorBody::read(body);
        let is_client = error.error.as_deref() == Some("invalid_client");
        match status {
            400 | 401 if is_client => Self::Client { reason: error.words() },
            400 | 401 => Self::Refused { status, reason: error.words() },
            _ => Self::Status { status, retry_after },
        }
    }
}

/// The bodies seen with a refusal (contract 2.2, rule 5).
#[derive(Default)]
struct ErrorBody {
    error: Option<String>,
    error_description: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

impl ErrorBody {
    /// What can be read of it; a member of an odd type hides no other.
    fn read(body: &[u8]) -> Self {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name)?.as_str().map(str::to_owned);
        Self {
            error: text("error"),
            error_description: text("error_description"),
            message: text("message"),
            hint: text("hint"),
        }
    }

    fn words(&self) -> String {
        let description = self.error_description.as_ref().or(self.message.as_ref());
        let parts = [self.error.as_ref(), description, self.hint.as_ref()];
        let words: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() { "no reason given".to_owned() } else { words.join(", ") }
    }
}

fn pair(answer: &BasicTokenResponse, refresh: SecretString, now: DateTime<Utc>) -> TokenPair {
    // A life of nothing would be refreshed without end.
    let life = answer.expires_in().filter(|life| !life.is_zero()).unwrap_or(DEFAULT_LIFE);
    let life = TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX);
    let access = answer.access_token().secret();
    let access_expires_at = now.checked_add_signed(life).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let scopes = answer.scopes().map_or_else(
        || scopes_of_jwt(access).unwrap_or_default(),
        |scopes| scopes.iter().map(|scope| scope.to_string()).collect(),
    );
    TokenPair { access: access.clone().into(), access_expires_at, refresh, obtained_at: now, scopes }
}

/// The claim `scopes`, where the token is a JWT (contract 2.2); nothing else of it is read.
fn scopes_of_jwt(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Claims {
        scopes: Vec<String>,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&payload).ok().map(|claims| claims.scopes)
}

/// The oauth2 crate's way to the network: our reqwest, and statuses sorted before the crate sees them.
#[derive(Debug)]
struct Http {
    client: reqwest::Client,
    timeout: Duration,
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = TokenError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TokenError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let mut call = Box::pin(async move {
            let transport = |error: reqwest::Error| match error.is_connect() || error.is_builder() {
                true => TokenError::NotSent(error.without_url()),
                false => TokenError::Transport(error.without_url()),
            };
            let request = reqwest::Request::try_from(request).map_err(transport)?;
            let mut answer = self.client.execute(request).await.map_err(transport)?;
            let status = answer.status();
            let wait = retry_after(answer.headers(), server_time(answer.headers()).unwrap_or_else(Utc::now));
            let mut body = Vec::new();
            loop {
                match answer.chunk().await {
                    Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_LIMIT => body.extend_from_slice(&chunk),
                    Ok(None) => break,
                    // The status has said enough if it is no success, and so has the beginning of what is too long.
                    Ok(Some(_)) => break,
                    Err(_) if !status.is_success() => break,
                    Err(error) if body.is_empty() => return Err(transport(error)),
                    // A success that broke off: what came may hold the new tokens.
                    Err(_) => break,
                }
            }
            if !status.is_success() {
                return Err(TokenError::from_status(status.as_u16(), wait, &body));
            }
            Ok(HttpResponse::new(body))
        });
        Box::pin(async move {
            match tokio::time::timeout(self.timeout, &mut call).await {
                Ok(answer) => answer,
                // A process that was stopped for a while finds its time over before it has read what came.
                Err(_) => tokio::time::timeout(GRACE, call).await.unwrap_or(Err(TokenError::Silent(self.timeout))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_client_is_told_apart_from_a_refused_token() {
        let client = TokenError::from_status(401, None, br#"{"error":"invalid_client"}"#);
        assert!(matches!(client, TokenError::Client { .. }));
        let token = TokenError::from_status(
            401,
            None,
            br#"{"error":"invalid_request","message":"The refresh token is invalid.","hint":"Token has been revoked"}"#,
        );
        assert_eq!(
            token.to_string(),
            "the OAuth server refused it with status 401: invalid_request, The refresh token is invalid., Token has been revoked"
        );
        for (status, body) in [(400, &b"<html>"[..]), (401, b"")] {
            assert!(matches!(TokenError::from_status(status, None, body), TokenError::Refused { .. }));
        }
        for status in [302, 403, 404, 408, 500, 503] {
            let ending = TokenError::from_status(status, None, br#"{"error":"invalid_grant"}"#).ending();
            assert!(matches!(ending, Some(RefreshEnding::Unclear)), "{status}");
        }
        let busy = TokenError::from_status(429, Some(Duration::from_secs(7)), b"");
        assert!(matches!(busy.ending(), Some(RefreshEnding::NotSpent)));
        assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_secret_that_the_server_repeats_is_taken_out_before_its_words_are_cut() {
        let secret = "def50200".repeat(100);
        let body =
            format!(r#"{{"error":"invalid_request","message":"The token {secret} is spent.\u001b[2J","hint":[]}}"#);
        let told = TokenError::from_status(401, None, body.as_bytes()).without(&[&secret.into()]).to_string();
        assert!(told.ends_with("invalid_request, The token [secret] is spent.[2J"), "{told}");
        let client = br#"{"error":"invalid_client","hint":7}"#;
        assert!(matches!(TokenError::from_status(401, None, client), TokenError::Client { .. }));
    }

    #[test]
    fn scopes_are_read_from_a_jwt_and_anything_else_is_left_alone() {
        let payload = URL_SAFE_NO_PAD.encode(br#"{"sub":"x","scopes":["ffn.merchant.read"]}"#);
        assert_eq!(scopes_of_jwt(&format!("h.{payload}.s")), Some(vec!["ffn.merchant.read".to_owned()]));
        for opaque in ["", "abc", "a.b.c", "a..c"] {
            assert_eq!(scopes_of_jwt(opaque), None, "{opaque}");
        }
    }
}
