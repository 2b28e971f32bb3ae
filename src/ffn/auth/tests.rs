//! The promises of [`super::Auth`], against a token endpoint that answers as told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::ExponentialBuilder;
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::{Auth, Cause, Error};
use crate::ffn::testing::{Account, Api, Call, MemoryStore, Reply, pair};

/// An account whose stored access token has ended.
async fn expired(token: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Account {
    let account = Account::against(Api::start(token).await);
    account.store.put(pair("old", TimeDelta::seconds(-1)));
    account.auth.session.lock().await.retry =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(1)).with_max_times(3);
    account
}

async fn token(auth: &Auth) -> String {
    auth.access_token().await.unwrap().expose_secret().to_owned()
}

fn refreshes(account: &Account, outcome: &str) -> u64 {
    account.metrics.ffn.token_refreshes.with_label_values(&["acme", outcome]).get()
}

fn sent_refresh_tokens(account: &Account) -> Vec<String> {
    let of_body = |call: Call| {
        let mut pairs = url::form_urlencoded::parse(call.body.as_bytes()).into_owned();
        pairs.find(|(name, _)| name == "refresh_token").unwrap().1
    };
    account.api.calls("/token").into_iter().map(of_body).collect()
}

#[tokio::test]
async fn eight_callers_make_one_refresh() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let callers = (0..8).map(|_| account.auth.access_token());
    for token in futures_util::future::join_all(callers).await {
        assert_eq!(token.unwrap().expose_secret(), "access-0");
    }
    assert_eq!(sent_refresh_tokens(&account), ["refresh-old"]);
    assert_eq!(account.store.refresh_token(), "refresh-0");
    assert_eq!(refreshes(&account, "refreshed"), 1);
    let call = &account.api.calls("/token")[0];
    assert_eq!(call.headers["authorization"], "Basic Y2xpZW50OnNlY3JldA==");
    assert_eq!(call.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(call.body.contains("grant_type=refresh_token"));
}

#[tokio::test]
async fn a_pair_that_can_not_be_stored_is_not_handed_out_and_not_lost() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    account.store.failing_saves.store(4, Ordering::SeqCst);
    assert!(matches!(account.auth.access_token().await, Err(Error::Store(_))));
    assert_eq!(account.store.refresh_token(), "refresh-old");
    assert_eq!(token(&account.auth).await, "access-0");
    assert_eq!(account.store.refresh_token(), "refresh-0");
    assert_eq!(sent_refresh_tokens(&account), ["refresh-old"]);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_take_the_answer_with_it() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let auth = Arc::clone(&account.auth);
    let caller = tokio::spawn(async move { auth.access_token().await });
    while account.api.calls("/token").is_empty() {
        tokio::task::yield_now().await;
    }
    caller.abort();
    account.auth.settle().await;
    assert_eq!(account.store.refresh_token(), "refresh-0");
    assert_eq!(token(&account.auth).await, "access-0");
    assert_eq!(sent_refresh_tokens(&account).len(), 1);
}

#[tokio::test]
async fn a_newer_pair_of_another_process_is_used_instead_of_a_refresh() {
    let account = expired(|_| Reply::json(500, "")).await;
    account.store.put(pair("other", TimeDelta::minutes(30)));
    assert_eq!(token(&account.auth).await, "access-other");
    account.store.put(pair("newest", TimeDelta::minutes(30)));
    let better = account.auth.rejected(&SecretString::from("access-other")).await.unwrap().unwrap();
    assert_eq!(better.expose_secret(), "access-newest");
    assert!(account.api.calls("/token").is_empty());
}

#[tokio::test]
async fn a_refused_refresh_asks_for_a_person_and_is_never_sent_again() {
    let account = expired(|_| {
        Reply::json(401, r#"{"error":"invalid_request","message":"bad refresh-old","hint":"Token has been revoked"}"#)
    })
    .await;
    for _ in 0..5 {
        let error = account.auth.access_token().await.unwrap_err();
        assert!(matches!(&error, Error::NeedsLogin { .. }), "{error}");
        assert!(error.to_string().contains("Token has been revoked") && !error.to_string().contains("refresh-old"));
    }
    assert!(account.store.login_required().unwrap().contains("revoked"));
    assert_eq!(sent_refresh_tokens(&account).len(), 1);
    assert_eq!(refreshes(&account, "refused"), 1);
    assert_eq!(account.metrics.ffn.login_required.with_label_values(&["acme"]).get(), 1);
}

#[tokio::test]
async fn a_sign_in_by_another_process_ends_the_wait_for_a_person() {
    let account = expired(|_| Reply::json(400, "no")).await;
    assert!(account.auth.access_token().await.is_err());
    let reads = account.store.reads.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert!(account.auth.access_token().await.is_err());
    }
    assert!(account.store.reads.load(Ordering::SeqCst) <= reads + 3, "the store is asked once a second at most");
    account.store.put(pair("person", TimeDelta::minutes(30)));
    let signed_in = async {
        loop {
            match account.auth.access_token().await {
                Ok(token) => break token,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let token = tokio::time::timeout(Duration::from_secs(10), signed_in).await.unwrap();
    assert_eq!(token.expose_secret(), "access-person");
    assert_eq!(account.metrics.ffn.login_required.with_label_values(&["acme"]).get(), 0);
}

#[tokio::test]
async fn an_unclear_refresh_is_tried_again_with_the_same_token() {
    let account = expired(|call| match call.nth {
        0 => Reply::json(503, ""),
        1 => Reply::json(200, "<html>"),
        nth => Reply::tokens(nth, 1800),
    })
    .await;
    assert_eq!(token(&account.auth).await, "access-2");
    assert_eq!(token(&account.auth).await, "access-2");
    assert_eq!(sent_refresh_tokens(&account), ["refresh-old"; 3]);
}

#[tokio::test]
async fn trouble_that_lasts_is_temporary_and_changes_no_token() {
    let account = expired(|_| Reply::json(429, r#"{"error":"invalid_grant"}"#)).await;
    for _ in 0..3 {
        assert!(matches!(account.auth.access_token().await, Err(Error::Temporary { .. })));
    }
    assert_eq!(sent_refresh_tokens(&account), ["refresh-old"; 4], "after the tries there is a pause");
    assert_eq!((account.store.refresh_token(), account.store.login_required()), ("refresh-old".to_owned(), None));
    assert_eq!(refreshes(&account, "failed"), 1);
}

#[tokio::test]
async fn a_wrong_client_secret_costs_no_sign_in() {
    let account = expired(|_| Reply::json(401, r#"{"error":"invalid_client"}"#)).await;
    assert!(matches!(account.auth.access_token().await, Err(Error::ClientRefused { .. })));
    assert_eq!(account.store.login_required(), None);
    assert_eq!(sent_refresh_tokens(&account).len(), 1);
}

#[tokio::test]
async fn while_the_old_token_lives_a_failing_refresh_is_no_trouble() {
    let account = expired(|_| Reply::json(500, "")).await;
    let mut living = pair("living", TimeDelta::seconds(20));
    living.obtained_at -= TimeDelta::minutes(29);
    account.store.put(living);
    assert_eq!(token(&account.auth).await, "access-living");
    assert_eq!(sent_refresh_tokens(&account), ["refresh-living"; 4]);
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let account =
        expired(|_| Reply::json(200, r#"{"token_type":"bearer","expires_in":1800,"access_token":"new"}"#)).await;
    assert_eq!(token(&account.auth).await, "new");
    assert_eq!(account.store.refresh_token(), "refresh-old");
}

#[tokio::test]
async fn a_token_of_two_seconds_is_used_for_its_first_half() {
    let account = expired(|call| Reply::tokens(call.nth, 2)).await;
    assert_eq!(token(&account.auth).await, "access-0");
    assert_eq!(token(&account.auth).await, "access-0");
    while token(&account.auth).await == "access-0" {
        tokio::task::yield_now().await;
    }
    assert_eq!(sent_refresh_tokens(&account), ["refresh-old", "refresh-0"]);
}

#[tokio::test]
async fn a_rejected_token_is_refreshed_once_and_not_for_every_401() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let first = account.auth.access_token().await.unwrap();
    let rejections = (0..8).map(|_| account.auth.rejected(&first));
    for better in futures_util::future::join_all(rejections).await {
        assert_eq!(better.unwrap().unwrap().expose_secret(), "access-1");
    }
    let again = account.auth.rejected(&SecretString::from("access-1")).await.unwrap();
    assert!(again.is_none());
    assert_eq!(sent_refresh_tokens(&account).len(), 2);
}

#[tokio::test]
async fn nobody_signed_in_is_told_so() {
    let account = Account::against(Api::start(|_| Reply::json(500, "")).await);
    let error = account.auth.access_token().await.unwrap_err();
    assert_eq!(error.to_string(), "account acme has to sign in: nobody has signed in yet; run `ffn-bridge login acme`");
    assert!(account.store.login.lock().unwrap().is_none() && MemoryStore::default().login.lock().unwrap().is_none());
}

/// The keeper of an account, until the guard is dropped.
fn keeper(account: &Account) -> tokio_util::sync::DropGuard {
    let (auth, stop) = (Arc::clone(&account.auth), tokio_util::sync::CancellationToken::new());
    let guard = stop.clone().drop_guard();
    tokio::spawn(async move { auth.keep(stop).await });
    guard
}

/// Waits until the account does, or does not, need a person; gives the reason.
async fn until_needed(account: &Account, is_needed: bool) -> Option<String> {
    let mut need = account.auth.needs_login();
    let waiting = need.wait_for(|need| need.is_some() == is_needed);
    let need = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time").unwrap().clone();
    need.map(|need| need.reason)
}

#[tokio::test]
async fn what_a_crash_left_in_doubt_is_tried_once_more_and_then_needs_a_person() {
    let account = expired(|_| Reply::json(401, r#"{"error":"invalid_request"}"#)).await;
    account.store.crash_in_refresh();
    let _keeper = keeper(&account);
    let reason = until_needed(&account, true).await.unwrap();
    assert!(reason.starts_with("the answer to a refresh was lost, and then"), "{reason}");
    for _ in 0..3 {
        assert!(account.auth.access_token().await.is_err());
    }
    assert_eq!(sent_refresh_tokens(&account), ["refresh-old"]);
}

#[tokio::test]
async fn what_a_crash_left_in_doubt_is_settled_at_the_next_start_though_the_old_token_lives() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    account.store.put(pair("living", TimeDelta::minutes(29)));
    account.store.crash_in_refresh();
    let _keeper = keeper(&account);
    while account.store.refresh_token() != "refresh-0" {
        tokio::task::yield_now().await;
    }
    assert_eq!(account.store.now().refresh, None);
}

#[tokio::test]
async fn a_try_in_doubt_that_gets_no_clear_answer_is_not_repeated_at_once() {
    let account = expired(|_| Reply::json(502, "")).await;
    account.store.crash_in_refresh();
    assert!(matches!(account.auth.access_token().await, Err(Error::Temporary { .. })));
    assert_eq!(sent_refresh_tokens(&account).len(), 1);
    let record = account.store.now().refresh.unwrap();
    assert_eq!((record.is_open, record.unclear), (false, 2), "the crash counts too");
}

#[tokio::test]
async fn a_success_that_can_not_be_read_is_kept_and_asked_for_once_more_only() {
    let account = expired(|call| Reply::json(200, &format!("<html>{}", call.nth))).await;
    let error = account.auth.access_token().await.unwrap_err();
    assert!(error.to_string().contains("login acme --kept-answers"), "{error}");
    assert!(!error.to_string().contains("<html>"));
    assert!(account.auth.access_token().await.is_err());
    assert_eq!(sent_refresh_tokens(&account).len(), 2);
    assert_eq!(*account.store.kept.lock().unwrap(), ["<html>0", "<html>1"]);
    assert!(account.store.login_required().is_some());
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_left_alone() {
    let account = expired(|_| Reply::json(429, "").with("retry-after", "60")).await;
    for _ in 0..3 {
        assert!(matches!(account.auth.access_token().await, Err(Error::Temporary { .. })));
    }
    assert_eq!(sent_refresh_tokens(&account).len(), 1);
    assert!(!account.store.now().refresh.unwrap().is_doubtful());
}

#[tokio::test]
async fn the_keeper_refreshes_ahead_of_need_and_at_start_when_stale() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let _keeper = keeper(&account);
    while account.store.refresh_token() != "refresh-0" {
        tokio::task::yield_now().await;
    }
    // Old by the day, though it would live much longer.
    let mut old = pair("old", TimeDelta::days(300));
    old.obtained_at -= TimeDelta::hours(25);
    account.store.put(old);
    while account.store.refresh_token() != "refresh-1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(sent_refresh_tokens(&account).len(), 2, "and only when it is time");
}

#[tokio::test]
async fn the_keeper_notices_a_sign_out_and_a_sign_in_of_another_process() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let _keeper = keeper(&account);
    until_needed(&account, false).await;
    account.store.login.lock().unwrap().take();
    assert_eq!(until_needed(&account, true).await.as_deref(), Some("nobody has signed in yet"));
    account.store.put(pair("person", TimeDelta::minutes(30)));
    until_needed(&account, false).await;
    assert_eq!(token(&account.auth).await, "access-person");
}

#[tokio::test]
async fn an_account_whose_fresh_token_is_rejected_is_left_alone_for_a_while() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let first = account.auth.access_token().await.unwrap();
    let second = account.auth.rejected(&first).await.unwrap().unwrap();
    assert!(account.auth.rejected(&second).await.unwrap().is_none());
    let error = account.auth.access_token().await.unwrap_err();
    assert!(error.to_string().contains("FFN rejects access tokens"), "{error}");
    assert!(account.auth.needs_login().borrow().is_some());
    assert_eq!(sent_refresh_tokens(&account).len(), 2);
    assert_eq!(account.store.login_required(), None, "it may pass");
}

#[tokio::test]
async fn a_token_from_elsewhere_is_handed_over_before_it_is_stored() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let login = account.auth.adopt("elsewhere".into()).await.unwrap();
    assert_eq!((login.access().expose_secret(), account.store.refresh_token().as_str()), ("access-0", "refresh-old"));
    account.auth.accept(login).await.unwrap();
    assert_eq!(account.store.refresh_token(), "refresh-0");
    assert_eq!(sent_refresh_tokens(&account), ["elsewhere"]);
}

#[tokio::test]
async fn a_look_tells_what_is_stored_and_since_when() {
    let account = Account::against(Api::start(|_| Reply::json(500, "")).await);
    let shown = account.metrics.ffn.login_required.clone();
    let need = async |account: &Account| {
        account.auth.look().await.unwrap();
        account.auth.needs_login().borrow().clone()
    };
    let first = need(&account).await.unwrap();
    assert_eq!((first.cause, first.generation, first.signed_in_at), (Cause::NeverSignedIn, 0, None));
    assert_eq!(need(&account).await.unwrap(), first, "since the first look");
    assert_eq!(shown.with_label_values(&["acme"]).get(), 1);
    let generation = account.store.put(pair("person", TimeDelta::minutes(30)));
    assert_eq!(need(&account).await, None);
    assert_eq!(shown.with_label_values(&["acme"]).get(), 0);
    let store: &dyn crate::domain::token::TokenStore = &*account.store;
    store.require_login(&account.config.account, generation, "it was refused".into()).await.unwrap();
    let refused = need(&account).await.unwrap();
    let stored = account.store.now();
    assert_eq!(
        (refused.cause, refused.generation, refused.reason.as_str()),
        (Cause::TokenRefused, generation, "it was refused")
    );
    assert_eq!((Some(refused.since), refused.signed_in_at), (stored.login_required_since, Some(stored.signed_in_at)));
    assert_eq!(refused.action(&account.config.account), "run `ffn-bridge login acme`");
}

#[tokio::test]
async fn a_wrong_client_secret_needs_a_person_and_is_tried_again_after_a_pause() {
    let account = expired(|call| match call.nth {
        0 | 1 => Reply::json(401, r#"{"error":"invalid_client"}"#),
        nth => Reply::tokens(nth, 1800),
    })
    .await;
    for _ in 0..5 {
        assert!(matches!(account.auth.access_token().await, Err(Error::ClientRefused { .. })));
    }
    assert_eq!(sent_refresh_tokens(&account).len(), 1);
    let need = account.auth.needs_login().borrow().clone().unwrap();
    assert_eq!((need.cause, need.generation), (Cause::ClientRefused, 1));
    assert!(need.action(&account.config.account).contains("client_secret"), "{need:?}");
    account.auth.session.lock().await.end_pause();
    assert!(matches!(account.auth.access_token().await, Err(Error::ClientRefused { .. })));
    assert_eq!(account.auth.needs_login().borrow().clone(), Some(need), "it is the same need");
    account.auth.session.lock().await.end_pause();
    assert_eq!(token(&account.auth).await, "access-2");
    assert_eq!(account.auth.needs_login().borrow().clone(), None);
}

#[tokio::test]
async fn tokens_that_are_rejected_again_and_again_are_one_need() {
    let account = expired(|call| Reply::tokens(call.nth, 1800)).await;
    let mut last = account.auth.access_token().await.unwrap();
    let mut generations = Vec::new();
    for _ in 0..3 {
        while let Some(next) = account.auth.rejected(&last).await.unwrap() {
            last = next;
        }
        let need = account.auth.needs_login().borrow().clone().unwrap();
        assert_eq!(need.cause, Cause::AccessRejected);
        generations.push(need.generation);
        account.auth.session.lock().await.end_pause();
        account.auth.look().await.unwrap();
    }
    assert_eq!(generations, [3; 3], "{generations:?}");
    assert!(sent_refresh_tokens(&account).len() > 3);
}
