//! Signing in with a real browser at the simulator's page, clicking its buttons.

use std::net::TcpListener;

use serde_json::json;

use crate::cli::{no_secret, run, said, tells};
use crate::login::{generation, with_browser};
use crate::support::browser::SignIn;
use crate::support::chromium::{self, Chromium};
use crate::support::{Setup, World};

/// Nobody is to believe that these have run where there is no browser. `make test` does not begin them then.
fn has_browser() -> bool {
    let has = chromium::find().is_some();
    assert!(
        has || std::env::var_os("FFN_BRIDGE_NEEDS_CHROMIUM").is_none(),
        "chromium or chromedriver is not there, although it was found before the tests"
    );
    if !has {
        eprintln!(
            "DID NOT RUN: chromium and chromedriver are not installed; `scripts/chromium.sh install` brings them"
        );
    }
    has
}

/// `ffn-bridge login`, and a browser at the page that it has opened.
async fn at_the_page(world: &World) -> (SignIn, Chromium) {
    let browser = Chromium::start().await;
    let sign_in = with_browser(world).await;
    browser.go(&sign_in.url).await;
    assert_eq!(browser.text("#client").await, "demo-client");
    (sign_in, browser)
}

#[tokio::test]
async fn approved() {
    if !has_browser() {
        return;
    }
    let world = Setup::new().signed_out().build().await;
    let (sign_in, browser) = at_the_page(&world).await;
    browser.picture("approval").await;
    assert_eq!(browser.text("#scopes").await, "ffn.merchant.read\nffn.merchant.write");
    browser.click("#approve").await;
    let page = browser.page("Signed in").await;
    browser.picture("signed-in").await;
    tells(&page, &["Signed in as ACME (merchant). You can close this window."]);
    let output = sign_in.end().await;
    assert!(output.status.success(), "{}", said(&output));
    tells(&said(&output), &["The tokens of account acme are stored.", "Signed in as ACME (merchant)."]);
    no_secret(&world, &said(&output)).await;
    assert_eq!(generation(&world), 1);
    let (code, checked) = run(&world, &["check"]).await;
    assert_eq!(code, 0, "{checked}");
}

#[tokio::test]
async fn refused() {
    if !has_browser() {
        return;
    }
    let world = Setup::new().build().await;
    let (sign_in, browser) = at_the_page(&world).await;
    browser.click("#refuse").await;
    let page = browser.page("Not signed in").await;
    browser.picture("refused").await;
    tells(&page, &["The sign-in was refused: access_denied", "Run ffn-bridge login acme again"]);
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &["the sign-in was refused: access_denied"]);
    assert_eq!(generation(&world), 1, "the earlier sign-in stays");
}

#[tokio::test]
async fn back_with_another_state() {
    if !has_browser() {
        return;
    }
    let world = Setup::new().signed_out().build().await;
    for state in ["wrong", "missing"] {
        world.simulator.post("settings", json!({"callback_state": state})).await;
        let (mut sign_in, browser) = at_the_page(&world).await;
        browser.click("#approve").await;
        let page = browser.page("This is not the sign-in that was begun").await;
        browser.picture(&format!("{state}-state")).await;
        tells(&page, &["belongs to another sign-in", "Nothing was stored."]);
        sign_in.read_to("It was turned away. Still waiting").await;
        assert_eq!(world.simulator.tokens("codesRedeemed").await, 0, "its code is not sent on");
        assert_eq!(generation(&world), 0);

        // It did not end the wait: the right answer is taken.
        world.simulator.post("settings", json!({"callback_state": "right"})).await;
        browser.go(&sign_in.url).await;
        browser.click("#refuse").await;
        browser.page("Not signed in").await;
        assert_eq!(sign_in.end().await.status.code(), Some(1));
    }
    assert_eq!(generation(&world), 0);
}

#[tokio::test]
async fn approved_with_too_few_scopes() {
    if !has_browser() {
        return;
    }
    let world = Setup::new().build().await;
    world.simulator.post("settings", json!({"granted_scope": ["ffn.merchant.read"]})).await;
    let (sign_in, browser) = at_the_page(&world).await;
    browser.click("#approve").await;
    let page = browser.page("Not signed in").await;
    browser.picture("too-few-scopes").await;
    let words = ["lacks the scope ffn.merchant.write", "Nothing was stored", "sign in as a merchant and allow"];
    tells(&page, &words);
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &words);
    no_secret(&world, &said(&output)).await;
    assert_eq!(generation(&world), 1, "the earlier sign-in stays");
}

#[tokio::test]
async fn approved_by_an_account_that_never_saw_the_portal() {
    if !has_browser() {
        return;
    }
    let world = Setup::new().signed_out().build().await;
    world.simulator.post("settings", json!({"portal_never_visited": ["merchant"]})).await;
    let (sign_in, browser) = at_the_page(&world).await;
    browser.click("#approve").await;
    let page = browser.page("Not signed in").await;
    browser.picture("never-in-the-portal").await;
    tells(&page, &["You have never signed in to the fulfillment portal: "]);
    assert_eq!(sign_in.end().await.status.code(), Some(1));
    assert_eq!(generation(&world), 0);
}

#[tokio::test]
async fn back_at_a_registered_port_that_was_taken_at_first() {
    if !has_browser() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let redirect = format!("http://localhost:{port}/sign-in/done");
    let world = Setup::new()
        .simulator(&["--redirect-uri", &redirect])
        .signed_out()
        .account(&format!("redirect_uri = \"{redirect}\""))
        .build()
        .await;
    let (code, refused) = run(&world, &["login", "acme"]).await;
    assert_eq!(code, 1, "{refused}");
    tells(&refused, &[&format!("port {port} of redirect_uri {redirect} is in use by another program"), "--manual"]);
    assert!(world.simulator.requests("GET", "/authorize").await.is_empty(), "no page is opened");

    drop(taken);
    let (sign_in, browser) = at_the_page(&world).await;
    browser.click("#approve").await;
    browser.page("Signed in").await;
    assert_eq!(browser.url().await.as_str().split('?').next(), Some(redirect.as_str()));
    assert!(sign_in.end().await.status.success());
    assert_eq!(generation(&world), 1);
}
