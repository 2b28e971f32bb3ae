//! The way from the bridge to the simulator, on which something may happen after a page has been read: the world
//! moves on, or the bridge crashes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::Notify;

#[derive(Clone)]
pub struct Door {
    pub base: String,
    inner: Arc<Inner>,
}

struct Inner {
    simulator: String,
    http: reqwest::Client,
    plan: Mutex<Plan>,
    crash: Notify,
    /// An access token of each role, without end.
    tokens: HashMap<&'static str, String>,
}

/// What happens behind pages that are read from now on.
#[derive(Default)]
pub struct Plan {
    /// Steps for the simulator's script, each behind a page; `None` for a page after which nothing happens.
    pub between: VecDeque<Option<Value>>,
    /// The bridge crashes with the answer to so many requests.
    pub crash_after: Option<u32>,
}

impl Door {
    pub async fn open(simulator: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::new();
        let mut tokens = HashMap::new();
        for (role, refresh) in [("merchant", "demo-refresh-token"), ("fulfiller", "demo-fulfiller-refresh-token")] {
            let request = http.post(format!("{simulator}/token")).basic_auth("demo-client", Some("demo-secret"));
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer =
                request.body(format!("grant_type=refresh_token&refresh_token={refresh}")).send().await.unwrap();
            let pair: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            tokens.insert(role, pair["access_token"].as_str().unwrap().to_owned());
        }
        let inner = Inner { simulator, http, plan: Mutex::default(), crash: Notify::new(), tokens };
        let door = Self { base, inner: Arc::new(inner) };
        let router = Router::new().fallback(pass).with_state(door.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        door
    }

    pub fn token(&self, role: &str) -> String {
        self.inner.tokens[role].clone()
    }

    pub fn plan(&self, plan: Plan) {
        *self.inner.plan.lock().unwrap() = plan;
    }

    /// What has not happened.
    pub fn rest(&self) -> Vec<Value> {
        std::mem::take(&mut *self.inner.plan.lock().unwrap()).between.into_iter().flatten().collect()
    }

    pub async fn crashed(&self) {
        self.inner.crash.notified().await;
    }

    /// Control requests, one after the other; those that can't be are left out.
    pub async fn script(&self, steps: Vec<Value>) -> Vec<Value> {
        let body = json!({"steps": steps, "stop_on_error": false}).to_string();
        let request = self.inner.http.post(format!("{}/_simulator/script", self.inner.simulator)).body(body.clone());
        let text = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("{text}")).clone();
        // What can't be is a conflict, or about something that was not made. Anything else would be a history in which
        // nothing happens.
        let odd = results.iter().find(|result| match result["status"].as_u64() {
            Some(404) => result["body"]["error"].as_str().is_none_or(|error| error.contains("control request")),
            status => !matches!(status, Some(200..=299 | 409)),
        });
        assert!(odd.is_none(), "{odd:?} of {body}");
        results
    }
}

async fn pass(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut forward = door.inner.http.request(parts.method, format!("{}{path}", door.inner.simulator)).body(body);
    for (name, value) in &parts.headers {
        if name != "host" && name != "content-length" {
            forward = forward.header(name, value);
        }
    }
    // A connection that the simulator cuts is cut here, too.
    let Ok(answer) = forward.send().await else { return cut() };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "content-length" && name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    let Ok(bytes) = answer.bytes().await else { return cut() };
    let is_page = path.contains("/updates?") || path.contains("/changes?");
    let (step, crashes) = {
        let mut plan = door.inner.plan.lock().unwrap();
        let step = if is_page { plan.between.pop_front().flatten() } else { None };
        plan.crash_after = plan.crash_after.and_then(|left| left.checked_sub(1));
        (step, plan.crash_after == Some(0))
    };
    if let Some(step) = step {
        door.script(vec![step]).await;
    }
    if crashes {
        door.inner.crash.notify_one();
    }
    response.body(Body::from(bytes)).unwrap()
}

/// An answer whose body breaks off.
fn cut() -> Response {
    let broken = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    Response::new(Body::from_stream(broken))
}
