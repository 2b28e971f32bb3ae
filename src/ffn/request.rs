//! A call before it is sent, and the pure rules of how it is written: paths, queries, waiting times.
//!
//! [`super::Client`] sends it. The guarantee: whatever a caller puts into a path segment or a value stays
//! inside that segment or value.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use http::{Method, StatusCode};
use url::{Url, form_urlencoded};

use crate::domain::account::Role;

/// Whose turn it is when calls have to wait: one budget serves all (contract 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the answer: goes first.
    Command,
    /// Reading feeds, and what that needs.
    Poll,
    /// Reading whole lists: has a share of the budget, so that feeds are read on meanwhile.
    Background,
}

/// The part of the API a path belongs to (contract 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// `/v1/{role}/…`
    Role,
    /// `/v1/…`: the same for both roles (contract 3).
    Shared,
}

/// A call to the API.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name for metrics, logs and errors: from a closed set.
    pub operation: &'static str,
    /// Method.
    pub method: Method,
    /// The part of the API.
    pub area: Area,
    /// Path behind the area, its segments encoded by [`segment`].
    pub path: String,
    /// Query parameters, not encoded yet.
    pub query: Vec<(String, String)>,
    /// Body, JSON.
    pub body: Option<Vec<u8>>,
    /// Whose turn it is.
    pub priority: Priority,
    /// W3C trace context to pass on.
    pub traceparent: Option<String>,
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status, 2xx.
    pub status: StatusCode,
    /// Body; may be empty.
    pub body: Vec<u8>,
}

impl Request {
    /// A call without query and body, under the role's part of the API.
    pub fn new(operation: &'static str, method: Method, path: impl Into<String>, priority: Priority) -> Self {
        Self {
            operation,
            method,
            area: Area::Role,
            path: path.into(),
            query: Vec::new(),
            body: None,
            priority,
            traceparent: None,
        }
    }

    /// The same call with one more query parameter.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// The address of the call.
    pub(super) fn url(&self, base: &Url, role: Role) -> Url {
        let mut url = base.clone();
        let root = base.path().trim_end_matches('/');
        match self.area {
            Area::Role => url.set_path(&format!("{root}/v1/{role}/{}", self.path)),
            Area::Shared => url.set_path(&format!("{root}/v1/{}", self.path)),
        }
        if !self.query.is_empty() {
            let pairs: Vec<String> =
                self.query.iter().map(|(name, value)| format!("{}={}", name, encoded(value))).collect();
            url.set_query(Some(&pairs.join("&")));
        }
        url
    }
}

/// Names that mean something else in the place of an outbound's id (contract appendix A).
const ROUTES: [&str; 3] = ["updates", "shipping-notifications", "status"];

/// `id` as one segment of a path, or `None` where it is risky there even when encoded (contract 9).
pub fn segment(id: &str) -> Option<String> {
    let risky = |c: char| c.is_whitespace() || c.is_control() || "/\\?#%".contains(c);
    let is_route = ROUTES.iter().any(|route| route.eq_ignore_ascii_case(id));
    if id.is_empty() || id.starts_with('.') || id.contains(risky) || is_route { None } else { Some(encoded(id)) }
}

/// A value in percent encoding, a space as `%20` and a plus as `%2B` (contract 4).
fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The server's clock as the answer tells it.
pub(super) fn server_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// How long the server asks to wait: `Retry-After` in seconds or as a date, or the length of the interval
/// that other APIs of JTL name (contract 5).
pub(super) fn retry_after(headers: &HeaderMap, server_now: DateTime<Utc>) -> Option<Duration> {
    const INTERVAL: HeaderName = HeaderName::from_static("x-ratelimit-interval-length-seconds");
    let seconds = |name: &HeaderName| headers.get(name)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs);
    let until = || http_date(headers.get(RETRY_AFTER)?.to_str().ok()?);
    seconds(&RETRY_AFTER)
        .or_else(|| until().map(|until| (until - server_now).to_std().unwrap_or(Duration::ZERO)))
        .or_else(|| seconds(&INTERVAL))
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(request: &Request, base: &str) -> String {
        request.url(&Url::parse(base).unwrap(), Role::Merchant).into()
    }

    #[test]
    fn paths_and_queries_are_written_as_the_contract_asks() {
        let request = Request::new("x", Method::GET, "outbounds", Priority::Poll)
            .with_query("$filter", "merchantOutboundNumber eq 'A''1 +ü'")
            .with_query("$top", "50");
        assert_eq!(
            url(&request, "https://ffn.example/api/"),
            "https://ffn.example/api/v1/merchant/outbounds?\
             $filter=merchantOutboundNumber%20eq%20%27A%27%271%20%2B%C3%BC%27&$top=50"
        );
        let mut shared = Request::new("x", Method::GET, "users/current", Priority::Poll);
        shared.area = Area::Shared;
        assert_eq!(url(&shared, "http://127.0.0.1:8080/api"), "http://127.0.0.1:8080/api/v1/users/current");
    }

    #[test]
    fn a_number_that_is_risky_in_a_path_is_no_segment() {
        for risky in ["", "a/b", "a?b", "a#b", "a%b", "a b", ".", "..", ".a", "a\\b", "a\nb", "updates", "Status"] {
            assert_eq!(segment(risky), None, "{risky:?}");
        }
        assert_eq!(segment("SO-1001").as_deref(), Some("SO-1001"));
        assert_eq!(segment("Ä+&1").as_deref(), Some("%C3%84%2B%261"));
        let path = format!("outbounds/{}", segment("Ä+&1").unwrap());
        let request = Request::new("x", Method::GET, path, Priority::Poll);
        assert_eq!(url(&request, "http://h/api"), "http://h/api/v1/merchant/outbounds/%C3%84%2B%261");
    }

    #[test]
    fn waiting_times_are_seconds_dates_or_intervals() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("x-ratelimit-interval-length-seconds", "10"), Some(Duration::from_secs(10)));
        assert_eq!(wait("x-other", "10"), None);
    }
}
