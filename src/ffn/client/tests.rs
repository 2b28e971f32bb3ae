//! The promises of [`super::Client`], against an API that answers as told.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use http::Method;

use super::super::testing::{Account, Call, Reply};
use super::super::{Disposition, Error, Priority, Request};

fn get() -> Request {
    Request::new("outbound.get", Method::GET, "outbounds/1", Priority::Command)
}

fn bearers(account: &Account) -> Vec<String> {
    account.api.calls("/api/").iter().map(|call| call.headers["authorization"].clone()).collect()
}

#[tokio::test]
async fn a_call_carries_token_headers_and_body() {
    let account = Account::new(|_| Reply::json(201, r#"{"price":1.10}"#)).await;
    let mut request = Request::new("outbound.create", Method::POST, "outbounds", Priority::Command);
    request.body = Some(br#"{"a":1.10}"#.to_vec());
    request.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let answer = account.client.call(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (201, &br#"{"price":1.10}"#[..]));
    let Call { method, uri, headers, body, .. } = account.api.calls("/api/").remove(0);
    assert_eq!((method.as_str(), uri.as_str(), body.as_str()), ("POST", "/api/v1/merchant/outbounds", r#"{"a":1.10}"#));
    assert_eq!(headers["authorization"], "Bearer access-first");
    assert_eq!(
        (headers["accept"].as_str(), headers["content-type"].as_str()),
        ("application/json", "application/json")
    );
    assert!(headers["traceparent"].starts_with("00-0af7") && headers["accept-encoding"].contains("gzip"));
    let counted = account.metrics.ffn.requests.with_label_values(&["acme", "outbound.create", "201"]).get();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn a_401_is_repeated_once_with_a_better_token() {
    let account = Account::new(|call| Reply::json(if call.nth == 0 { 401 } else { 200 }, "{}")).await;
    account.client.call(get()).await.unwrap();
    assert_eq!(bearers(&account), ["Bearer access-first", "Bearer access-0"]);
    assert_eq!(account.api.calls("/token").len(), 1);
}

#[tokio::test]
async fn a_401_that_stays_ends_in_needs_login_without_a_storm_of_refreshes() {
    let account = Account::new(|_| Reply::json(401, "")).await;
    for _ in 0..3 {
        let error = account.client.call(get()).await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::NeedsLogin);
    }
    assert_eq!(account.api.calls("/token").len(), 1);
    // Two of the first call; then the account is left alone.
    assert_eq!(account.api.calls("/api/").len(), 2);
}

#[tokio::test]
async fn a_403_or_404_refreshes_nothing() {
    let account = Account::new(|call| Reply::json(if call.nth == 0 { 403 } else { 404 }, "")).await;
    for _ in 0..2 {
        assert_eq!(account.client.call(get()).await.unwrap_err().disposition(), Disposition::Never);
    }
    assert!(account.api.calls("/token").is_empty());
}

#[tokio::test]
async fn after_retry_after_all_calls_of_the_account_wait() {
    let account = Account::new(|call| match call.nth {
        0 => Reply::json(429, "").with("retry-after", "1"),
        _ => Reply::json(200, "{}"),
    })
    .await;
    let error = account.client.call(get()).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Again { after: Some(Duration::from_secs(1)) });
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    let (begin, mut poll) = (Instant::now(), get());
    poll.priority = Priority::Poll;
    let waited = async |request| account.client.call(request).await.map(|_| begin.elapsed()).unwrap();
    let (command, poll) = tokio::join!(waited(get()), waited(poll));
    assert!(command.min(poll) >= Duration::from_millis(900), "{command:?} {poll:?}");
}

#[tokio::test]
async fn the_servers_clock_is_learnt_from_every_answer() {
    let account = Account::new(|_| Reply::json(404, "").with("date", "Mon, 05 Jan 2060 08:00:00 GMT")).await;
    assert!((account.client.server_now() - Utc::now()).num_seconds().abs() <= 1);
    account.client.call(get()).await.unwrap_err();
    let told: DateTime<Utc> = "2060-01-05T08:00:00Z".parse().unwrap();
    let ahead = account.client.server_now() - told;
    assert!((0..30).contains(&ahead.num_seconds()), "{ahead}");
    assert!(account.metrics.ffn.clock_skew.with_label_values(&["acme"]).get() > 1e8);
}

#[tokio::test]
async fn no_connection_is_told_apart_from_no_answer() {
    let mut account = Account::new(|_| Reply::silence()).await;
    account.config.call_timeout = Duration::from_millis(200);
    let slow = super::Client::new(account.config.clone(), account.auth.clone(), account.metrics.ffn.clone()).unwrap();
    let error = slow.call(get()).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }));
    assert_eq!(error.disposition(), Disposition::InDoubt);

    account.config.base_url = "http://127.0.0.1:1/api".parse().unwrap();
    let closed = super::Client::new(account.config.clone(), account.auth.clone(), account.metrics.ffn.clone()).unwrap();
    let error = closed.call(get()).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Again { after: None });
    assert!(matches!(&error, Error::NotSent { source, .. } if source.url().is_none()));
    assert_eq!(account.metrics.ffn.requests.with_label_values(&["acme", "outbound.get", "error"]).get(), 2);
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let account = Account::new(|_| Reply::json(200, &" ".repeat(super::BODY_LIMIT + 1))).await;
    let error = account.client.call(get()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let account = Account::new(|_| Reply::json(302, "").with("location", "/api/v1/elsewhere")).await;
    assert_eq!(account.client.call(get()).await.unwrap_err().disposition(), Disposition::InDoubt);
    assert!(account.api.calls("elsewhere").is_empty());
}

#[tokio::test]
async fn what_ffn_says_of_its_limit_changes_the_budget_and_shows() {
    let account = Account::new(|call| match call.nth {
        0 => Reply::json(200, "{}"),
        1 => Reply::json(429, ""),
        _ => Reply::json(200, "{}")
            .with("x-ratelimit-limit", "9")
            .with("x-ratelimit-interval-length-seconds", "1")
            .with("x-ratelimit-remaining", "5"),
    })
    .await;
    let budget = || account.metrics.ffn.budget.with_label_values(&["acme"]).get().round();
    assert_eq!(budget().to_string(), "1000");
    account.client.call(get()).await.unwrap();
    assert_eq!(budget().to_string(), "1000");
    account.client.call(get()).await.unwrap_err();
    assert_eq!(budget().to_string(), "500");
    account.client.call(get()).await.unwrap();
    assert_eq!(budget().to_string(), "8");
    let begin = Instant::now();
    for _ in 0..3 {
        account.client.call(get()).await.unwrap();
    }
    assert!(begin.elapsed() >= Duration::from_millis(350), "{:?}", begin.elapsed());
}
