//! Signing in, against an OAuth server and an API that answer as told.

use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::*;
use crate::ffn::testing::{Account, Api, Reply};

async fn account(token: u16, user: u16) -> Account {
    let api = Api::start(move |call| match (call.uri.as_str(), token, user) {
        ("/token", 200, _) => Reply::tokens(call.nth, 1800),
        ("/token", status, _) => Reply::json(status, r#"{"error":"invalid_grant"}"#),
        ("/api/v1/users/current", _, 200) => Reply::json(200, r#"{"userId":"ACME"}"#),
        (_, _, status) => Reply::json(status, ""),
    });
    Account::against(api.await)
}

async fn sign_in(account: &Account, way: Way, input: &str) -> (anyhow::Result<()>, String) {
    let mut output = Vec::new();
    let result = login(&account.auth, &account.client, &account.config, way, input.as_bytes(), &mut output).await;
    (result, String::from_utf8(output).unwrap())
}

fn form(account: &Account) -> Vec<(String, String)> {
    let call = account.api.calls("/token").pop().unwrap();
    form_urlencoded::parse(call.body.as_bytes()).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap()
}

#[tokio::test]
async fn a_pasted_code_is_exchanged_stored_and_proved() {
    let account = account(200, 200).await;
    let (result, output) = sign_in(&account, Way::Manual, "the+code\n").await;
    result.unwrap();
    assert!(output.contains("Signed in as ACME (merchant)."), "{output}");
    assert!(!output.contains("refresh-0") && !output.contains("access-0") && !output.contains("the+code"));
    assert_eq!(account.store.refresh_token(), "refresh-0");
    let form = form(&account);
    assert_eq!(value(&form, "grant_type"), "authorization_code");
    assert_eq!(value(&form, "code"), "the+code");
    assert_eq!(value(&form, "redirect_uri"), "http://127.0.0.1/callback");
    assert!(value(&form, "code_verifier").len() >= 43);
    let page = output.lines().find(|line| line.starts_with("http")).unwrap();
    let query: Vec<(String, String)> = Url::parse(page).unwrap().query_pairs().into_owned().collect();
    assert_eq!(value(&query, "response_type"), "code");
    assert_eq!(value(&query, "scope"), "ffn.merchant.read ffn.merchant.write");
    assert_eq!(value(&query, "code_challenge_method"), "S256");
}

#[tokio::test]
async fn a_pasted_address_of_another_sign_in_is_refused() {
    let account = account(200, 200).await;
    let (result, _) = sign_in(&account, Way::Manual, "http://127.0.0.1/callback?code=x&state=other\n").await;
    assert!(result.unwrap_err().to_string().contains("another sign-in"));
    assert!(account.api.calls("/token").is_empty());
}

#[tokio::test]
async fn a_refused_code_says_what_to_do() {
    let account = account(400, 200).await;
    let (result, _) = sign_in(&account, Way::Manual, "old").await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("invalid_grant") && error.contains("run the command again"), "{error}");
    assert!(account.store.login.lock().unwrap().is_none());
}

#[tokio::test]
async fn an_adopted_token_is_spent_and_its_successor_stored() {
    let account = account(200, 200).await;
    let (result, output) = sign_in(&account, Way::RefreshToken, "def50200aa11\n").await;
    result.unwrap();
    assert_eq!(value(&form(&account), "refresh_token"), "def50200aa11");
    assert_eq!(account.store.refresh_token(), "refresh-0");
    assert!(!output.contains("def50200aa11"));
}

#[tokio::test]
async fn a_refused_adopted_token_leaves_the_sign_in_that_was_there() {
    let account = account(401, 200).await;
    account.store.put(crate::ffn::testing::pair("good", chrono::TimeDelta::minutes(30)));
    let (result, _) = sign_in(&account, Way::RefreshToken, "spent").await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("stays") && !error.contains("spent"), "{error}");
    assert_eq!((account.store.refresh_token(), account.store.login_required()), ("refresh-good".to_owned(), None));
}

#[tokio::test]
async fn a_user_that_never_opened_the_portal_is_told_so() {
    let account = account(200, 404).await;
    let (result, _) = sign_in(&account, Way::Manual, "code").await;
    assert!(result.unwrap_err().to_string().contains("never signed in to the fulfillment portal"));
    assert_eq!(account.store.refresh_token(), "refresh-0");
}

#[tokio::test]
async fn nothing_on_standard_input_is_an_error() {
    let account = account(200, 200).await;
    for way in [Way::Manual, Way::RefreshToken] {
        assert!(sign_in(&account, way, " \n").await.0.unwrap_err().to_string().contains("nothing was given"));
    }
}

/// A browser that comes to the redirect address with these queries, one after the other.
fn visits(url: &Url, queries: Vec<String>) -> tokio::task::JoinHandle<Vec<(u16, String)>> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (redirect, state) = (value(&pairs, "redirect_uri").to_owned(), value(&pairs, "state").to_owned());
    tokio::spawn(async move {
        let mut pages = Vec::new();
        for query in queries {
            let answer = reqwest::get(format!("{redirect}?{}", query.replace("STATE", &state))).await.unwrap();
            pages.push((answer.status().as_u16(), answer.text().await.unwrap()));
        }
        pages
    })
}

#[tokio::test]
async fn the_browser_brings_the_code_to_a_port_of_our_own() {
    let account = account(200, 200).await;
    let (mut output, mut visit) = (Vec::new(), None);
    let queries = vec!["code=evil&state=guess".to_owned(), "code=good&state=STATE".to_owned()];
    let login =
        browser(&account.auth, &account.config, &mut output, |url| visit = Some(visits(url, queries))).await.unwrap();
    account.auth.accept(login).await.unwrap();
    let pages = visit.unwrap().await.unwrap();
    assert_eq!((pages[0].0, pages[1].0), (400, 200));
    assert!(pages[1].1.contains("Signed in."), "{}", pages[1].1);
    assert_eq!(value(&form(&account), "code"), "good");
    assert!(value(&form(&account), "redirect_uri").starts_with("http://127.0.0.1:"));
    assert_eq!(account.auth.access_token().await.unwrap().expose_secret(), "access-0");
}

#[tokio::test]
async fn a_refusal_in_the_browser_ends_the_wait() {
    let account = account(200, 200).await;
    let (mut output, mut visit) = (Vec::new(), None);
    let queries = vec!["error=access_denied&state=STATE".to_owned()];
    let result = browser(&account.auth, &account.config, &mut output, |url| visit = Some(visits(url, queries))).await;
    assert!(result.unwrap_err().to_string().contains("access_denied"));
    assert!(visit.unwrap().await.unwrap()[0].1.contains("failed"));
}

#[tokio::test]
async fn a_redirect_to_another_machine_asks_for_manual() {
    for elsewhere in ["https://127.0.0.1/x", "http://bridge.example/callback", "http://192.0.2.1:80/x"] {
        let error = listen(Some(&Url::parse(elsewhere).unwrap())).await.unwrap_err();
        assert!(error.to_string().contains("--manual"), "{error}");
    }
}
