//! Signing in, against an OAuth server and an API that answer as told.

use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::*;
use crate::ffn::testing::{Account, Api, Reply};

const MERCHANT: &str = r#"{"userId":"ACME","roles":["Merchant"]}"#;
const FULL: [&str; 2] = ["ffn.merchant.read", "ffn.merchant.write"];

/// An API that answers by path: the token endpoint with this status, the others as told.
async fn account_with(
    token: u16,
    scopes: &'static [&'static str],
    answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> Account {
    let api = Api::start(move |call| match (call.uri.as_str(), token) {
        ("/token", 200) => {
            let mut reply = Reply::tokens(call.nth, 1800);
            if !scopes.is_empty() {
                let text = String::from_utf8(reply.body).unwrap();
                reply.body = text.replacen('{', &format!(r#"{{"scope":"{}","#, scopes.join(" ")), 1).into();
            }
            reply
        }
        ("/token", status) => Reply::json(status, r#"{"error":"invalid_grant"}"#),
        (path, _) => answer(path.trim_start_matches("/api/v1/")),
    });
    Account::against(api.await)
}

async fn account(token: u16, user: u16) -> Account {
    account_with(token, &[], move |path| match (path, user) {
        ("users/current", 200) => Reply::json(200, MERCHANT),
        (_, 200) => Reply::json(200, "{}"),
        (_, status) => Reply::json(status, ""),
    })
    .await
}

fn with<'a>(account: &'a Account, output: &'a mut Vec<u8>) -> SignIn<'a, Vec<u8>> {
    SignIn { auth: &account.auth, client: &account.client, config: &account.config, output }
}

async fn sign_in(account: &Account, way: Way, input: &str) -> (anyhow::Result<()>, String) {
    let mut output = Vec::new();
    let result = with(account, &mut output).by(way, input.as_bytes()).await;
    (result, String::from_utf8(output).unwrap())
}

/// The sign-in is refused for this reason; nothing is stored, and what was stays.
async fn refused(account: &Account, reasons: &[&str]) {
    let (result, output) = sign_in(account, Way::Manual, "code").await;
    let error = format!("{:#}", result.unwrap_err());
    for reason in reasons.iter().chain(&["Nothing was stored; what was stored for account acme before stays."]) {
        assert!(error.contains(reason), "{reason:?} is not told: {error}");
    }
    assert!(!output.contains("are stored"), "{output}");
    assert!(account.store.login.lock().unwrap().is_none(), "nothing is stored");
    account.store.put(crate::ffn::testing::pair("before", chrono::TimeDelta::minutes(30)));
    assert!(sign_in(account, Way::Manual, "code").await.0.is_err());
    assert_eq!(account.store.refresh_token(), "refresh-before");
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
async fn an_adopted_token_that_does_not_fit_is_spent_and_that_is_told() {
    let account = account(200, 404).await;
    let (result, _) = sign_in(&account, Way::RefreshToken, "def50200aa11").await;
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.contains("never signed in") && error.contains("is spent") && !error.contains("def50200"), "{error}");
    assert!(account.store.login.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_user_that_never_opened_the_portal_is_told_so() {
    refused(&account(200, 404).await, &["You have never signed in to the fulfillment portal: "]).await;
}

#[tokio::test]
async fn a_token_that_ffn_does_not_take_is_told() {
    refused(&account(200, 401).await, &["does not accept the token", "base_url"]).await;
    refused(&account(200, 403).await, &["it lacks the scope ffn.merchant.read"]).await;
}

#[tokio::test]
async fn scopes_that_are_named_and_do_not_do_are_refused_without_asking_further() {
    let reply = |_: &str| Reply::json(200, MERCHANT);
    let narrow = account_with(200, &["ffn.merchant.read"], reply).await;
    refused(&narrow, &["lacks the scope ffn.merchant.write, which the role merchant", "it has ffn.merchant.read"])
        .await;
    let other = account_with(200, &["ffn.fulfiller.read", "ffn.fulfiller.write"], reply).await;
    refused(&other, &["the scopes ffn.merchant.read and ffn.merchant.write", "mend role"]).await;
    assert!(narrow.api.calls("users/current").is_empty());
    let full = account_with(200, &FULL, reply).await;
    let (result, output) = sign_in(&full, Way::Manual, "code").await;
    result.unwrap();
    assert!(output.contains("Granted: ffn.merchant.read, ffn.merchant.write."), "{output}");
    assert!(full.api.calls("warehouses").is_empty(), "roles and scopes are told: nothing has to be proved");
}

#[tokio::test]
async fn a_user_with_the_other_role_is_refused() {
    let other = account_with(200, &FULL, |_| Reply::json(200, r#"{"userId":"WARE","roles":["Fulfiller"]}"#)).await;
    refused(&other, &["(WARE) is a fulfiller at FFN, but account acme is configured as a merchant"]).await;
}

/// FFN tells no roles, and answers the proof with this.
async fn proved_by(status: u16, body: &'static str) -> Account {
    account_with(200, &FULL, move |path| match path {
        "users/current" => Reply::json(200, r#"{"userId":"ACME"}"#),
        "merchant/warehouses?$top=1" => Reply::json(status, body),
        other => panic!("{other}"),
    })
    .await
}

#[tokio::test]
async fn a_role_that_is_not_told_is_proved_by_a_read() {
    let good = proved_by(200, r#"{"items":[]}"#).await;
    let (result, output) = sign_in(&good, Way::Manual, "code").await;
    result.unwrap();
    assert!(output.contains("Signed in as ACME (merchant)."), "{output}");
    assert_eq!(good.api.calls("warehouses").len(), 1);

    let code = r#"{"errorCode":{"code":"Shared_UserIsNotAMerchant"}}"#;
    refused(&proved_by(403, code).await, &["is a fulfiller at FFN, but account acme"]).await;
    refused(&proved_by(403, "").await, &["it lacks the scope ffn.merchant.read"]).await;
}

#[tokio::test]
async fn scopes_that_are_not_told_are_proved_even_if_the_role_is() {
    let account = account_with(200, &[], |path| match path {
        "users/current" => Reply::json(200, MERCHANT),
        _ => Reply::json(403, ""),
    });
    refused(&account.await, &["it lacks the scope ffn.merchant.read"]).await;
}

#[tokio::test]
async fn a_sign_in_is_not_lost_because_ffn_is_in_trouble() {
    for status in [500, 503, 429, 404] {
        let body = if status == 404 { r#"{"errorCode":{"code":"Shared_SomethingElse"}}"# } else { "" };
        let account = account_with(200, &FULL, move |_| Reply::json(status, body)).await;
        let (result, output) = sign_in(&account, Way::Manual, "code").await;
        result.unwrap();
        assert!(output.contains("could not be checked now") && output.contains(&status.to_string()), "{output}");
        assert!(output.contains("Run `ffn-bridge check`"), "{output}");
        assert_eq!(account.store.refresh_token(), "refresh-0");
    }
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_told() {
    let account = account(200, 200).await;
    account.store.failing_saves.store(100, std::sync::atomic::Ordering::SeqCst);
    let (result, output) = sign_in(&account, Way::Manual, "code").await;
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.contains("can't be stored") && error.contains("the disk is full"), "{error}");
    assert!(!output.contains("are stored"), "{output}");
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
    let queries =
        ["code=evil&state=guess", "code=evil&state=more", "code=good&state=STATE"].map(str::to_owned).to_vec();
    let open = |url: &Url| {
        visit = Some(visits(url, queries));
        true
    };
    with(&account, &mut output).browser(open).await.unwrap();
    let pages = visit.unwrap().await.unwrap();
    assert_eq!((pages[0].0, pages[1].0, pages[2].0), (400, 400, 200));
    assert!(pages[0].1.contains("belongs to another sign-in"), "{}", pages[0].1);
    assert!(pages[2].1.contains("Signed in as ACME (merchant). You can close this window."), "{}", pages[2].1);
    let output = String::from_utf8(output).unwrap();
    assert_eq!(output.matches("It was turned away").count(), 1, "told once: {output}");
    assert!(!output.contains("No browser could be opened"), "{output}");
    assert_eq!(value(&form(&account), "code"), "good");
    assert!(value(&form(&account), "redirect_uri").starts_with("http://127.0.0.1:"));
    assert_eq!(account.auth.access_token().await.unwrap().expose_secret(), "access-0");
}

#[tokio::test]
async fn a_refusal_in_the_browser_ends_the_wait_and_stands_on_the_page() {
    let account = account(200, 200).await;
    let (mut output, mut visit) = (Vec::new(), None);
    let open = |url: &Url| {
        visit = Some(visits(url, vec!["error=access_denied&state=STATE".to_owned()]));
        false
    };
    let result = with(&account, &mut output).browser(open).await;
    assert!(result.unwrap_err().to_string().contains("access_denied"));
    let page = visit.unwrap().await.unwrap().remove(0).1;
    assert!(page.contains("Not signed in") && page.contains("The sign-in was refused: access_denied"), "{page}");
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("No browser could be opened here"), "{output}");
}

#[tokio::test]
async fn a_sign_in_that_does_not_fit_is_no_success_in_the_browser() {
    let account = account(200, 404).await;
    let (mut output, mut visit) = (Vec::new(), None);
    let open = |url: &Url| {
        visit = Some(visits(url, vec!["code=good&state=STATE".to_owned()]));
        true
    };
    with(&account, &mut output).browser(open).await.unwrap_err();
    let page = visit.unwrap().await.unwrap().remove(0).1;
    assert!(page.contains("Not signed in") && page.contains("never signed in to the fulfillment portal"), "{page}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/cb", taken.local_addr().unwrap())).unwrap();
    let error = listen(Some(&url)).await.unwrap_err().to_string();
    assert!(error.contains("is in use by another program") && error.contains("--manual"), "{error}");
}

#[tokio::test]
async fn a_redirect_to_another_machine_asks_for_manual() {
    for elsewhere in ["https://127.0.0.1/x", "http://bridge.example/callback", "http://192.0.2.1:80/x"] {
        let error = listen(Some(&Url::parse(elsewhere).unwrap())).await.unwrap_err();
        assert!(error.to_string().contains("--manual"), "{error}");
    }
}
