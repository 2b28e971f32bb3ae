//! Signing in and out as a person does it: every way, every refusal, and what is told of it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use crate::cli::{no_secret, run, said, tells};
use crate::support::browser::{SignIn, approve, refuse, sign_in, visit};
use crate::support::{Setup, World, until};

/// How many sign-ins of the account have been stored.
pub fn generation(world: &World) -> i64 {
    if !world.dir.path().join("bridge.db").exists() {
        return 0;
    }
    world.db().number("SELECT coalesce(max(generation), 0) FROM logins WHERE account = 'acme'", [])
}

/// `login` with a browser that notes which page it is to open.
pub async fn with_browser(world: &World) -> SignIn {
    let folder = world.dir.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let (browser, opened) = (folder.join("xdg-open"), world.dir.path().join("opened"));
    std::fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n", opened.display()))
        .unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.bridge.command(&["login", "acme"]);
    command.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    let sign_in = SignIn::begin(command).await;
    let page = until("the browser to be opened", async || std::fs::read_to_string(&opened).ok()).await;
    assert_eq!(page, sign_in.url.as_str(), "the browser gets what is printed");
    std::fs::remove_file(&opened).unwrap();
    sign_in
}

/// Signs in by hand at a simulator that approves: exit code and what was said.
async fn by_hand(world: &World) -> (i32, String) {
    let mut sign_in = SignIn::begin(world.bridge.command(&["login", "acme", "--manual"])).await;
    let location = approve(&sign_in.url).await;
    sign_in.paste(location.as_str()).await;
    let output = sign_in.end().await;
    (output.status.code().unwrap(), said(&output))
}

/// A sign-in that does not fit is refused with these words, and the one that was there stays.
async fn is_refused(world: &World, switches: Value, words: &[&str]) {
    let before = (generation(world), world.simulator.tokens("codesRedeemed").await);
    world.simulator.post("settings", switches).await;
    let (code, said) = by_hand(world).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, words);
    tells(&said, &["Nothing was stored; what was stored for account acme before stays."]);
    no_secret(world, &said).await;
    assert!(world.simulator.tokens("codesRedeemed").await > before.1, "it was the fit that failed");
    assert_eq!(generation(world), before.0, "nothing is stored");
    world.simulator.control("DELETE", "settings", None).await;
}

async fn status(world: &World) -> (i32, Value) {
    let output = world.bridge.cli(&["login", "acme", "--status", "--json"], "");
    no_secret(world, &said(&output)).await;
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

// ---------------------------------------------------------------- three ways

#[tokio::test]
async fn a_refresh_token_from_elsewhere_is_taken_once() {
    let world = Setup::new().signed_out().build().await;
    let output = world.bridge.cli(&["login", "acme", "--refresh-token", "-"], "demo-refresh-token\n");
    assert!(output.status.success(), "{}", said(&output));
    tells(&said(&output), &["The tokens of account acme are stored.", "Signed in as ACME (merchant)."]);
    no_secret(&world, &said(&output)).await;
    let before = generation(&world);

    let output = world.bridge.cli(&["login", "acme", "--refresh-token", "-"], "demo-refresh-token\n");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    tells(&said(&output), &["A refresh token works once", "What was stored for account acme stays"]);
    no_secret(&world, &said(&output)).await;
    assert_eq!(generation(&world), before);
    assert_eq!(run(&world, &["check"]).await.0, 0);
}

#[tokio::test]
async fn an_account_that_is_not_there_is_told_with_those_that_are() {
    let world = Setup::new().second("ware", "fulfiller").build().await;
    for arguments in [
        &["login", "nobody"][..],
        &["login", "nobody", "--manual"],
        &["login", "nobody", "--status"],
        &["login", "nobody", "--kept-answers"],
        &["logout", "nobody"],
        &["backfill", "nobody", "--from", "1h"],
        &["replay", "--account", "nobody"],
        &["parked", "list", "--account", "nobody"],
    ] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {said}");
        tells(&said, &["there is no account \"nobody\"", "there is acme, ware"]);
    }
}

#[tokio::test]
async fn a_sign_in_by_hand_takes_the_pasted_address_or_the_code_alone() {
    let world = Setup::new().simulator(&["--auto-approve"]).signed_out().build().await;
    for code_alone in [false, true] {
        let before = generation(&world);
        let mut sign_in = SignIn::begin(world.bridge.command(&["login", "acme", "--manual"])).await;
        let location = approve(&sign_in.url).await;
        let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        sign_in.paste(if code_alone { &code } else { location.as_str() }).await;
        let output = sign_in.end().await;
        assert!(output.status.success(), "{}", said(&output));
        tells(&said(&output), &["Granted: ffn.merchant.read, ffn.merchant.write", "Signed in as ACME (merchant)."]);
        no_secret(&world, &said(&output)).await;
        assert_eq!(generation(&world), before + 1);
    }
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn a_sign_in_by_hand_that_was_refused_or_belongs_elsewhere_stores_nothing() {
    let world = Setup::new().signed_out().build().await;
    let mut sign_in = SignIn::begin(world.bridge.command(&["login", "acme", "--manual"])).await;
    let location = refuse(&sign_in.url).await;
    sign_in.paste(location.as_str()).await;
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &["the sign-in was refused: access_denied", "demo-client"]);

    let mut sign_in = SignIn::begin(world.bridge.command(&["login", "acme", "--manual"])).await;
    sign_in.paste("http://127.0.0.1/callback?code=abc&state=another").await;
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &["belongs to another sign-in", "Run the command again"]);

    let mut sign_in = SignIn::begin(world.bridge.command(&["login", "acme", "--manual"])).await;
    sign_in.paste("made-up-code").await;
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &["A code works once", "check redirect_uri"]);
    assert!(!said(&output).contains("made-up-code"), "{}", said(&output));

    // The simulator's own wrong and missing state.
    for state in ["wrong", "missing"] {
        world.simulator.post("settings", json!({"auto_approve": true, "callback_state": state})).await;
        let (code, said) = by_hand(&world).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &["belongs to another sign-in"]);
    }
    assert_eq!(world.simulator.tokens("codesRedeemed").await, 0, "no code is sent on");
    assert_eq!(generation(&world), 0, "nothing is stored");
}

#[tokio::test]
async fn a_sign_in_through_the_browser_ends_with_a_page_that_says_so() {
    let world = Setup::new().simulator(&["--auto-approve"]).signed_out().build().await;
    let sign_in = with_browser(&world).await;
    let query: Vec<_> = sign_in.url.query_pairs().into_owned().collect();
    assert!(query.contains(&("code_challenge_method".to_owned(), "S256".to_owned())), "{query:?}");
    let (status, page) = visit(&sign_in.url).await;
    assert_eq!(status, 200);
    tells(&page, &["<h1>Signed in</h1>", "Signed in as ACME (merchant). You can close this window."]);
    let output = sign_in.end().await;
    assert!(output.status.success(), "{}", said(&output));
    tells(
        &said(&output),
        &[
            "Opening the browser",
            "Waiting up to 10 minutes for the browser to come back to http://127.0.0.1:",
            "Exchanging it for tokens",
            "Asking FFN who has signed in",
            "The tokens of account acme are stored.",
            "Signed in as ACME (merchant).",
        ],
    );
    no_secret(&world, &said(&output)).await;
    assert_eq!(generation(&world), 1);
}

#[tokio::test]
async fn a_sign_in_through_the_browser_that_was_refused_stores_nothing_and_a_foreign_answer_does_not_end_it() {
    let world = Setup::new().signed_out().build().await;
    let mut sign_in = with_browser(&world).await;
    let redirect = refuse(&sign_in.url).await;
    let mut foreign = redirect.clone();
    foreign.set_query(Some("code=abc&state=another"));
    let (status, page) = visit(&foreign).await;
    assert_eq!(status, 400, "{page}");
    sign_in.read_to("It was turned away. Still waiting").await;
    let (status, page) = visit(&redirect).await;
    assert_eq!(status, 200);
    tells(
        &page,
        &["<h1>Not signed in</h1>", "The sign-in was refused: access_denied", "<code>ffn-bridge login acme</code>"],
    );
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &["the sign-in was refused: access_denied"]);
    assert_eq!(generation(&world), 0);
}

#[tokio::test]
async fn without_a_browser_the_page_is_printed_and_works() {
    let world = Setup::new().simulator(&["--auto-approve"]).signed_out().build().await;
    let nothing = world.dir.path().join("no-programs");
    std::fs::create_dir(&nothing).unwrap();
    let mut command = world.bridge.command(&["login", "acme"]);
    command.env("PATH", nothing);
    let mut sign_in = SignIn::begin(command).await;
    sign_in.read_to("No browser could be opened here").await;
    sign_in.read_to("Waiting up to 10 minutes").await;
    tells(&visit(&sign_in.url).await.1, &["<h1>Signed in</h1>"]);
    assert!(sign_in.end().await.status.success());
    assert_eq!(generation(&world), 1);
}

#[tokio::test]
async fn a_registered_redirect_whose_port_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let redirect = format!("redirect_uri = \"http://127.0.0.1:{port}/callback\"");
    let world = Setup::new().signed_out().account(&redirect).build().await;
    let (code, said) = run(&world, &["login", "acme"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &[&format!("port {port} of redirect_uri"), "is in use by another program", "--manual"]);
    assert!(world.simulator.requests("GET", "/authorize").await.is_empty());
}

#[tokio::test]
async fn an_interrupted_sign_in_leaves_nothing_behind() {
    let world = Setup::new().signed_out().build().await;
    let mut sign_in = with_browser(&world).await;
    sign_in.read_to("Waiting up to 10 minutes").await;
    let redirect = refuse(&sign_in.url).await;
    let place = format!("127.0.0.1:{}", redirect.port().unwrap());
    assert!(TcpStream::connect(&place).is_ok(), "it listens");
    sign_in.interrupt();
    let output = sign_in.end().await;
    assert_eq!(output.status.signal(), Some(2), "it ends as a shell expects: {}", said(&output));
    assert!(TcpStream::connect(&place).is_err(), "nobody listens any more");
    assert_eq!(generation(&world), 0);
    assert_eq!(status(&world).await.1["state"], "missing");
}

// ---------------------------------------------------------------- what does not fit

#[tokio::test]
async fn a_sign_in_without_the_scopes_of_the_role_is_refused() {
    let world = Setup::new().build().await;
    let narrow = json!({"auto_approve": true, "granted_scope": ["ffn.merchant.read"]});
    is_refused(
        &world,
        narrow,
        &["lacks the scope ffn.merchant.write, which the role merchant of account acme needs; it has ffn.merchant.read"],
    )
    .await;
    // Where the token does not name them, FFN's answer to a call does.
    for form in ["opaque", "jwt_without_scopes"] {
        let silent = json!({"auto_approve": true, "granted_scope": [], "access_token_form": form});
        is_refused(&world, silent, &["it lacks the scope ffn.merchant.read", "allow ffn.merchant.read and"]).await;
    }
    // The other way of the OAuth server to say so.
    let refusing = json!({"auto_approve": true, "granted_scope": [], "missing_scope_answer": "invalid_scope"});
    world.simulator.post("settings", refusing).await;
    let (code, said) = by_hand(&world).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["the sign-in was refused: invalid_scope", "may not have ffn.merchant.read and ffn.merchant.write"]);
    assert_eq!(status(&world).await.0, 0, "the earlier sign-in is what it was");
}

#[tokio::test]
async fn a_user_with_the_other_role_is_refused() {
    let world = Setup::new().build().await;
    let scopes = json!(["ffn.merchant.read", "ffn.merchant.write"]);
    let other = json!({"auto_approve": true, "sign_in_as": "fulfiller", "granted_scope": scopes});
    let words = ["is a fulfiller at FFN, but account acme is configured as a merchant", "write role = \"fulfiller\""];
    is_refused(&world, other.clone(), &["The JTL account that signed in (WARE) is", words[0], words[1]]).await;
    // FFN does not tell roles: a call does.
    let mut silent = other;
    silent["leave_out_roles"] = json!(true);
    is_refused(&world, silent.clone(), &words).await;
    // The right one passes without roles, too.
    world.simulator.post("settings", json!({"auto_approve": true, "leave_out_roles": true})).await;
    let (code, said) = by_hand(&world).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["Signed in as ACME (merchant)."]);
}

#[tokio::test]
async fn a_fulfiller_is_looked_at_by_its_own_scopes_and_role() {
    let world = Setup::new().simulator(&["--auto-approve"]).second("ware", "fulfiller").signed_out().build().await;
    for switches in [json!({}), json!({"leave_out_roles": true, "access_token_form": "opaque"})] {
        world.simulator.post("settings", switches).await;
        tells(&said(&sign_in(&world.bridge, "ware").await), &["Signed in as WARE (fulfiller)."]);
    }
    let wrong = json!({"sign_in_as": "merchant", "granted_scope": ["ffn.fulfiller.read", "ffn.fulfiller.write"]});
    world.simulator.post("settings", wrong).await;
    let mut sign_in = SignIn::begin(world.bridge.command(&["login", "ware", "--manual"])).await;
    let location = approve(&sign_in.url).await;
    sign_in.paste(location.as_str()).await;
    let output = sign_in.end().await;
    assert_eq!(output.status.code(), Some(1));
    tells(&said(&output), &["is a merchant at FFN, but account ware is configured as a fulfiller"]);
}

#[tokio::test]
async fn a_user_who_never_signed_in_to_the_portal_is_told_so() {
    let world = Setup::new().build().await;
    let never = json!({"auto_approve": true, "portal_never_visited": ["merchant"]});
    let words = ["You have never signed in to the fulfillment portal: ", "https://fulfillment.jtl-software.com"];
    is_refused(&world, never.clone(), &words).await;
    // A refresh token is spent by the try, and that is told.
    world.simulator.post("settings", never).await;
    let secrets = world.simulator.get("secrets").await["secrets"].as_array().unwrap().clone();
    let fresh = secrets.iter().rev().find(|secret| secret["kind"] == "refresh_token").unwrap()["value"].clone();
    let before = generation(&world);
    let output = world.bridge.cli(&["login", "acme", "--refresh-token", "-"], fresh.as_str().unwrap());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    tells(&said(&output), &[words[0], "The refresh token that was given is spent"]);
    assert_eq!(generation(&world), before);
}

#[tokio::test]
async fn a_sign_in_is_kept_when_ffn_is_away_and_checked_later() {
    let world = Setup::new().simulator(&["--auto-approve"]).signed_out().build().await;
    let faults = [json!({"status": 503}), json!("cut_before"), json!({"status": 429, "headers": {"Retry-After": "1"}})];
    for (stored, kind) in faults.into_iter().enumerate() {
        world.simulator.fault(json!({"match": {"path": "users/current"}, "kind": kind})).await;
        let (code, said) = by_hand(&world).await;
        assert_eq!(code, 0, "{said}");
        tells(&said, &["The tokens of account acme are stored.", "could not be checked now", "Run `ffn-bridge check`"]);
        assert_eq!(generation(&world), i64::try_from(stored).unwrap() + 1);
    }
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn check_finds_a_sign_in_that_does_not_fit() {
    let world = Setup::new().build().await;
    // Somebody changes the configuration after the sign-in.
    world.set_config(&world.config().replace("role = \"merchant\"", "role = \"fulfiller\""));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["FAIL  account acme: The sign-in lacks the scopes ffn.fulfiller.read and ffn.fulfiller.write"]);
    tells(&said, &["→ Run `ffn-bridge login acme`, sign in as a fulfiller"]);
    let (code, status) = status(&world).await;
    assert_eq!((code, &status["state"]), (1, &json!("required")));

    // The account was given another role at FFN.
    world.set_config(world.config());
    world
        .simulator
        .fault(json!({"match": {"path": "users/current"}, "times": 0,
        "kind": {"status": 200, "body": {"userId": "ACME", "roles": ["Fulfiller"]}}}))
        .await;
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["FAIL  account acme: The JTL account that signed in (ACME) is a fulfiller at FFN"]);
}

#[tokio::test]
async fn an_oauth_server_that_is_in_trouble_or_knows_no_client_is_told() {
    let world = Setup::new().simulator(&["--auto-approve"]).build().await;
    world.simulator.fault(json!({"match": {"path": "/token"}, "times": 0, "kind": {"status": 503}})).await;
    let (code, said) = by_hand(&world).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["gave no clear answer", "Nothing was stored; run the command again", "503"]);
    world.simulator.control("DELETE", "faults", None).await;
    world.simulator.post("settings", json!({"client_secret": "another"})).await;
    let (code, said) = by_hand(&world).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["does not accept the client id demo-client with its secret", "Mend client_id and client_secret"]);
    assert_eq!(generation(&world), 1);
}

// ---------------------------------------------------------------- status, kept answers, logout

#[tokio::test]
async fn the_status_tells_every_state_and_never_a_token() {
    let world = Setup::new().simulator(&["--auto-approve"]).signed_out().build().await;
    let (code, said) = run(&world, &["login", "acme", "--status"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["Account acme (merchant)", "nobody has signed in yet; run `ffn-bridge login acme`"]);
    assert_eq!(status(&world).await.1["state"], "missing");

    sign_in(&world.bridge, "acme").await;
    let (code, said) = run(&world, &["login", "acme", "--status"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["state         signed in", " s ago", "none since the sign-in", "lives until ", "29 min from now"]);
    tells(&said, &["scopes        ffn.merchant.read, ffn.merchant.write", "none in doubt"]);
    let (code, first) = status(&world).await;
    assert_eq!((code, &first["state"], &first["lastRefreshAt"]), (0, &json!("ok"), &Value::Null));
    assert_eq!(first["scopes"], json!(["ffn.merchant.read", "ffn.merchant.write"]));

    // A check renews the tokens.
    assert_eq!(run(&world, &["check"]).await.0, 0);
    let (_, renewed) = status(&world).await;
    assert_eq!(renewed["signedInAt"], first["signedInAt"]);
    assert!(renewed["lastRefreshAt"].as_str() > first["signedInAt"].as_str(), "{renewed}");

    world.simulator.post("tokens/revoke", json!({"what": "all"})).await;
    assert_eq!(run(&world, &["check"]).await.0, 1);
    let (code, said) = run(&world, &["login", "acme", "--status"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["a person has to sign in again: ", "refused", "run `ffn-bridge login acme`"]);
    let (code, required) = status(&world).await;
    assert_eq!((code, &required["state"]), (1, &json!("required")));

    assert_eq!(run(&world, &["logout", "acme"]).await.0, 0);
    let (code, said) = run(&world, &["login", "acme", "--status"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["state         signed out; run `ffn-bridge login acme`"]);
    assert_eq!(status(&world).await.1["state"], "signed-out");
}

#[tokio::test]
async fn the_status_works_beside_a_running_bridge_and_asks_nobody() {
    let mut world = Setup::new().account("feeds = []").start().await;
    let before = world.simulator.get("requests?since=0").await["last"].clone();
    let (code, said) = run(&world, &["login", "acme", "--status"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.simulator.get("requests?since=0").await["last"], before, "nobody is asked");
    // Nor is anybody needed.
    world.simulator.process.kill();
    let output = world.bridge.cli(&["login", "acme", "--status"], "");
    assert_eq!(output.status.code(), Some(0), "{}", self::said(&output));
    assert_eq!(world.bridge.stop().await, Some(0));
}

#[tokio::test]
async fn a_refresh_in_doubt_shows_in_the_status() {
    let world = Setup::new().build().await;
    world.simulator.fault(json!({"match": {"path": "/token"}, "times": 0, "kind": {"status": 502}})).await;
    assert_eq!(run(&world, &["check"]).await.0, 1);
    let (code, said) = run(&world, &["login", "acme", "--status"]).await;
    assert_eq!(code, 0, "a refresh in doubt is no reason to sign in: {said}");
    tells(&said, &["refresh       in doubt since ", "unclear"]);
    assert!(status(&world).await.1["refreshInDoubt"]["unclearAnswers"].as_u64().unwrap() > 0);
    world.simulator.control("DELETE", "faults", None).await;
    assert_eq!(run(&world, &["check"]).await.0, 0);
    assert_eq!(status(&world).await.1["refreshInDoubt"], Value::Null);
}

#[tokio::test]
async fn answers_that_could_not_be_read_are_printed_on_demand_with_a_warning() {
    let world = Setup::new().build().await;
    let none = world.bridge.cli(&["login", "acme", "--kept-answers"], "");
    assert_eq!((none.status.code(), none.stdout.as_slice()), (Some(0), &b""[..]));
    tells(&said(&none), &["No answer of the OAuth server is kept for account acme"]);

    let body = "<html>refresh_token=def50200kept</html>";
    let kind = json!({"status": 200, "body": body});
    world.simulator.fault(json!({"match": {"path": "/token"}, "times": 0, "kind": kind})).await;
    let (code, checked) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{checked}");
    let (_, status) = run(&world, &["login", "acme", "--status"]).await;
    tells(
        &status,
        &["kept answers  2 answers that could not be read; `ffn-bridge login acme --kept-answers` prints them"],
    );
    assert!(!checked.contains("def50200kept") && !status.contains("def50200kept"), "{checked}{status}");

    let kept = world.bridge.cli(&["login", "acme", "--kept-answers"], "");
    assert_eq!(kept.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&kept.stdout), format!("{body}\n{body}\n"), "standard output has them alone");
    tells(&String::from_utf8_lossy(&kept.stderr), &["Beware", "may hold tokens", "Answer 2 of 2, of 20"]);

    assert_eq!(run(&world, &["logout", "acme"]).await.0, 0);
    assert!(world.bridge.cli(&["login", "acme", "--kept-answers"], "").stdout.is_empty(), "they go with the sign-in");
}

#[tokio::test]
async fn a_logout_forgets_the_tokens_and_a_running_bridge_notices() {
    let mut world = Setup::new().simulator(&["--auto-approve"]).build().await;
    world.bridge.start().await;
    let (code, said) = run(&world, &["logout", "acme"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["Account acme is signed out", "no way known to us to revoke", "access token lives until 20"]);
    tells(&said, &["A running bridge notices within seconds"]);
    let kept = "SELECT count(*) FROM logins WHERE access IS NOT NULL OR refresh IS NOT NULL";
    assert_eq!(world.db().number(kept, []), 0);
    let required = "ffn_bridge_login_required{account=\"acme\"}";
    until("the bridge to notice", async || (world.bridge.metric(required).await > 0.0).then_some(())).await;
    assert_eq!(world.bridge.get("/readyz").await.0, 503);
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["ffn-bridge login acme"]);

    let (code, said) = run(&world, &["logout", "acme"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["Account acme is not signed in: there was nothing to forget."]);

    sign_in(&world.bridge, "acme").await;
    until("the bridge to go on", async || (world.bridge.get("/readyz").await.0 == 200).then_some(())).await;
    assert_eq!(world.bridge.stop().await, Some(0));
}

#[tokio::test]
async fn an_account_that_has_left_the_configuration_can_be_signed_out() {
    let world = Setup::new().build().await;
    world.set_config(&world.config().replace("name = \"acme\"", "name = \"other\""));
    let (code, said) = run(&world, &["logout", "acme"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["Account acme is signed out"]);
    let (code, said) = run(&world, &["logout", "acme"]).await;
    assert_eq!(code, 2, "{said}");
    tells(&said, &["there is no account \"acme\"", "there is other"]);
}

#[tokio::test]
async fn tokens_whose_key_is_lost_can_be_forgotten_and_replaced() {
    let world = Setup::new().simulator(&["--auto-approve"]).signed_out().build().await;
    let with_new_key = || {
        let key = world.bridge.cli(&["keys", "generate"], "").stdout;
        let line = format!("[store]\nencryption_key = \"{}\"\n", String::from_utf8(key).unwrap().trim());
        world.set_config(&world.config().replacen("[store]\n", &line, 1));
    };
    with_new_key();
    sign_in(&world.bridge, "acme").await;
    with_new_key();
    for arguments in [&["login", "acme", "--status"][..], &["login", "acme"]] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &["can't be opened", "which is not configured"]);
    }
    let (code, said) = run(&world, &["logout", "acme"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["Account acme is signed out", "lives for up to 30 minutes"]);
    sign_in(&world.bridge, "acme").await;
    assert_eq!(run(&world, &["check"]).await.0, 0);
    assert_eq!(status(&world).await.1["state"], "ok");
}
