//! What the tests of this component share: an API that answers as told, and a store in memory.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::config::RateLimit;
use super::{Auth, Client, Config};
use crate::domain::account::{AccountName, Role};
use crate::domain::clock::Clock;
use crate::domain::token::{
    KeptAnswer, Lease, Origin, Pending, RefreshEnding, RefreshRecord, StoreError, StoredLogin, TokenPair, TokenStore,
    fingerprint,
};
use crate::metrics::Metrics;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    /// How many came to this path before.
    pub(crate) nth: usize,
}

/// An answer to give.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) silent: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec(), silent: false }
    }

    /// Whatever it is.
    pub(crate) fn bytes(body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..Self::json(200, "") }
    }

    /// No answer, ever.
    pub(crate) fn silence() -> Self {
        Self { silent: true, ..Self::json(200, "") }
    }

    /// The nth pair of tokens.
    pub(crate) fn tokens(nth: usize, life: u32) -> Self {
        Self::json(
            200,
            &format!(
                r#"{{"token_type":"Bearer","expires_in":{life},"access_token":"access-{nth}","refresh_token":"refresh-{nth}"}}"#
            ),
        )
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Handler = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

/// A server on a free port that answers as the test says and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) base: Url,
    calls: Arc<Mutex<Vec<Call>>>,
    handler: Handler,
}

impl Api {
    pub(crate) async fn start(handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let api = Self { base, calls: Arc::default(), handler: Arc::new(handler) };
        let router = Router::new().fallback(Self::answer).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    /// The calls whose path or query holds `part`.
    pub(crate) fn calls(&self, part: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.uri.contains(part)).cloned().collect()
    }

    async fn answer(State(api): State<Self>, request: axum::extract::Request) -> Response {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let path = |uri: &str| uri.split('?').next().unwrap().to_owned();
        let uri = head.uri.to_string();
        let call = {
            let mut calls = api.calls.lock().unwrap();
            let call = Call {
                method: head.method.to_string(),
                nth: calls.iter().filter(|call| path(&call.uri) == path(&uri)).count(),
                uri,
                headers: head
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect(),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            calls.push(call.clone());
            call
        };
        let reply = (api.handler)(&call);
        if reply.silent {
            return std::future::pending().await;
        }
        let mut response = reply.body.into_response();
        *response.status_mut() = axum::http::StatusCode::from_u16(reply.status).unwrap();
        for (name, value) in reply.headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}

/// A token store in memory that can be told to fail. Nobody else ever holds its lease.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) login: Mutex<Option<StoredLogin>>,
    pub(crate) kept: Mutex<Vec<String>>,
    /// So many of the next saves fail.
    pub(crate) failing_saves: AtomicUsize,
    pub(crate) reads: AtomicUsize,
}

impl MemoryStore {
    /// Puts a pair there, as another process would.
    pub(crate) fn put(&self, pair: TokenPair) -> i64 {
        let mut login = self.login.lock().unwrap();
        let generation = login.as_ref().map_or(1, |login| login.generation + 1);
        let signed_in_at = Utc::now();
        *login = Some(StoredLogin {
            tokens: Some(pair),
            generation,
            signed_in_at,
            login_required: None,
            login_required_since: None,
            refresh: None,
        });
        generation
    }

    pub(crate) fn refresh_token(&self) -> String {
        self.now().tokens.unwrap().refresh.expose_secret().to_owned()
    }

    pub(crate) fn login_required(&self) -> Option<String> {
        self.now().login_required
    }

    /// Leaves behind what a process leaves that is killed while it refreshes.
    pub(crate) fn crash_in_refresh(&self) {
        self.change(|login| {
            let fingerprint = fingerprint(&login.tokens.as_ref().unwrap().refresh);
            let began_at = Utc::now();
            login.refresh = Some(RefreshRecord { fingerprint, began_at, is_open: true, unclear: 0, unreadable: 0 });
        });
    }

    pub(crate) fn now(&self) -> StoredLogin {
        self.login.lock().unwrap().clone().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut StoredLogin)) {
        self.login.lock().unwrap().as_mut().map(change);
    }
}

impl TokenStore for MemoryStore {
    fn login<'a>(&'a self, _: &'a AccountName) -> Pending<'a, Option<StoredLogin>> {
        Box::pin(async {
            self.reads.fetch_add(1, Ordering::SeqCst);
            Ok(self.login.lock().unwrap().clone())
        })
    }

    fn take_lease<'a>(&'a self, account: &'a AccountName, _: Duration) -> Pending<'a, Option<Lease>> {
        Box::pin(async { Ok(Some(Lease { account: account.clone(), owner: String::new() })) })
    }

    fn release_lease(&self, _: Lease) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn begin_refresh<'a>(
        &'a self,
        _: &'a Lease,
        generation: i64,
        fingerprint: String,
        _: Duration,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            let is_newest = self.now().generation == generation;
            let began_at = Utc::now();
            let first = RefreshRecord { fingerprint, began_at, is_open: true, unclear: 0, unreadable: 0 };
            self.change(|login| match &mut login.refresh {
                Some(record) => {
                    record.unclear += u32::from(record.is_open);
                    record.is_open = true;
                }
                none => *none = Some(first),
            });
            Ok(is_newest)
        })
    }

    fn end_refresh<'a>(&'a self, _: &'a AccountName, _: i64, ending: RefreshEnding) -> Pending<'a, ()> {
        Box::pin(async move {
            self.change(|login| {
                let Some(record) = &mut login.refresh else { return };
                record.is_open = false;
                match &ending {
                    RefreshEnding::NotSpent => {}
                    RefreshEnding::Unclear => record.unclear += 1,
                    RefreshEnding::Unreadable(_) => record.unreadable += 1,
                }
            });
            if let RefreshEnding::Unreadable(body) = ending {
                self.kept.lock().unwrap().push(body.expose_secret().to_owned());
            }
            Ok(())
        })
    }

    fn save_tokens<'a>(&'a self, _: &'a AccountName, tokens: TokenPair, origin: Origin) -> Pending<'a, StoredLogin> {
        Box::pin(async move {
            let failing =
                self.failing_saves.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if failing.is_ok() {
                return Err(StoreError("the disk is full".into()));
            }
            let newest = self.login.lock().unwrap().as_ref().map_or(0, |login| login.generation);
            if !matches!(origin, Origin::Refresh { of } if newest > of) {
                let signed_in_at = self.login.lock().unwrap().as_ref().map(|login| login.signed_in_at);
                self.put(tokens);
                if let (Origin::Refresh { .. }, Some(signed_in_at)) = (origin, signed_in_at) {
                    self.change(|login| login.signed_in_at = signed_in_at);
                }
            }
            Ok(self.now())
        })
    }

    fn require_login<'a>(&'a self, _: &'a AccountName, generation: i64, reason: String) -> Pending<'a, ()> {
        Box::pin(async move {
            self.change(|login| {
                if login.generation == generation {
                    login.login_required = Some(reason);
                    login.login_required_since.get_or_insert_with(Utc::now);
                }
            });
            Ok(())
        })
    }

    fn sign_out<'a>(&'a self, _: &'a AccountName) -> Pending<'a, bool> {
        Box::pin(async { Ok(self.login.lock().unwrap().take().is_some()) })
    }

    fn kept_answers<'a>(&'a self, _: &'a AccountName) -> Pending<'a, Vec<KeptAnswer>> {
        let answer = |body: &String| KeptAnswer { received_at: Utc::now(), body: body.clone().into() };
        Box::pin(async move { Ok(self.kept.lock().unwrap().iter().map(answer).collect()) })
    }
}

/// A pair that was obtained now and lives for `life`.
pub(crate) fn pair(name: &str, life: TimeDelta) -> TokenPair {
    let now = Utc::now();
    TokenPair {
        access: SecretString::from(format!("access-{name}")),
        access_expires_at: now + life,
        refresh: SecretString::from(format!("refresh-{name}")),
        obtained_at: now,
        scopes: Vec::new(),
    }
}

/// An account against a server of our own.
pub(crate) struct Account {
    pub(crate) api: Api,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) client: Arc<Client>,
    pub(crate) metrics: Metrics,
    pub(crate) config: Config,
}

impl Account {
    /// A merchant's, signed in for half an hour; `/token` gives `access-0`, `access-1` ….
    pub(crate) async fn new(handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Role::Merchant, handler).await
    }

    /// The same of somebody with this role.
    pub(crate) async fn of(role: Role, handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let account = Self::with_role(
            role,
            Api::start(move |call| match call.uri.as_str() {
                "/token" => Reply::tokens(call.nth, 1800),
                _ => handler(call),
            })
            .await,
        );
        account.store.put(pair("first", TimeDelta::minutes(30)));
        account
    }

    /// The same, that may call so often in a second.
    pub(crate) fn at_rate(mut self, calls: u32) -> Self {
        self.config.rate_limit = RateLimit { calls: NonZeroU32::new(calls).unwrap(), period: Duration::from_secs(1) };
        let (config, auth, metrics) = (self.config.clone(), self.auth.clone(), self.metrics.ffn.clone());
        self.client = Arc::new(Client::new(config, auth, metrics).unwrap());
        self
    }

    /// A merchant's, against a server that answers `/token` as well; not signed in yet.
    pub(crate) fn against(api: Api) -> Self {
        Self::with_role(Role::Merchant, api)
    }

    fn with_role(role: Role, api: Api) -> Self {
        let config = Config {
            account: "acme".parse().unwrap(),
            role,
            base_url: api.base.join("/api").unwrap(),
            authorize_url: api.base.join("/authorize").unwrap(),
            token_url: api.base.join("/token").unwrap(),
            client_id: "client".to_owned(),
            client_secret: SecretString::from("secret"),
            redirect_uri: None,
            rate_limit: RateLimit { calls: NonZeroU32::new(1000).unwrap(), period: Duration::from_secs(1) },
            max_concurrency: 8,
            call_timeout: Duration::from_secs(5),
        };
        let (metrics, store) = (Metrics::new().unwrap(), Arc::new(MemoryStore::default()));
        let shared: Arc<dyn TokenStore> = Arc::<MemoryStore>::clone(&store);
        let auth = Arc::new(Auth::new(&config, shared, Clock::System, metrics.ffn.clone()).unwrap());
        let client = Arc::new(Client::new(config.clone(), Arc::clone(&auth), metrics.ffn.clone()).unwrap());
        Self { api, store, auth, client, metrics, config }
    }
}
