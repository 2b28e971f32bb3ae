//! The command line as a person or a script meets it: what it prints, what it says of trouble, how it ends.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::{Proxy, Setup, World, broker, order, until};

/// Everything a command has printed.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn output(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An address where nothing listens.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a command: its exit code and all it has printed, in which there may be no secret.
pub async fn run(world: &World, arguments: &[&str]) -> (i32, String) {
    let output = world.bridge.cli(arguments, "");
    let said = said(&output);
    no_secret(world, &said).await;
    (output.status.code().unwrap(), said)
}

pub async fn no_secret(world: &World, said: &str) {
    let broker = url::Url::parse(&broker::shared_url()).unwrap();
    let password = format!(":{}@", broker.password().unwrap());
    for secret in world.simulator.secrets().await.into_iter().chain([password, "wr0ng".to_owned()]) {
        assert!(!said.contains(&secret), "{secret} is told: {said}");
    }
}

/// Each of `words` is there.
pub fn tells(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not told: {said}");
    }
}

/// The line of a check that says that `what` failed, and the line with the remedy.
fn failure(said: &str, what: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("FAIL  {what}: ")));
    let at = at.unwrap_or_else(|| panic!("{what} did not fail: {said}"));
    assert!(lines.get(at + 1).is_some_and(|line| line.trim_start().starts_with('→')), "no remedy: {said}");
    lines[at..=at + 1].join("\n")
}

// ---------------------------------------------------------------- check

#[tokio::test]
async fn a_check_where_all_is_well_says_so() {
    let mut world = Setup::new().build().await;
    let (code, before) = run(&world, &["check"]).await;
    assert_eq!(code, 0, "{before}");
    tells(&before, &["ok    configuration: 1 account", "will be made at start", "ok    store", "signed in as ACME"]);
    world.bridge.start().await;
    let (code, beside) = run(&world, &["check"]).await;
    assert_eq!(code, 0, "{beside}");
    tells(&beside, &["exchanges and queues are as they should be"]);
    assert!(!beside.contains("FAIL"), "{beside}");
}

#[tokio::test]
async fn a_check_tells_every_trouble_with_the_broker_apart() {
    let world = Setup::new().build().await;
    let url = broker::shared_url();
    let parsed = url::Url::parse(&url).unwrap();
    let with = |change: &dyn Fn(&mut url::Url)| {
        let mut other = parsed.clone();
        change(&mut other);
        world.set_config(&world.config().replace(&url, other.as_str()));
    };

    with(&|url| url.set_password(Some("wr0ng")).unwrap());
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "broker"), &["ACCESS_REFUSED", "check user and password in broker.url"]);
    tells(&said, &["ok    account acme"]);

    with(&|url| url.set_port(Some(closed_port())).unwrap());
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "broker"), &["127.0.0.1:", "nothing listens there: is the broker running"]);

    with(&|url| url.set_path("/nowhere"));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "broker"), &["nowhere", "the virtual host in broker.url does not exist"]);
}

#[tokio::test]
async fn a_check_tells_a_wrong_client_secret_even_while_the_access_token_lives() {
    let world = Setup::new().build().await;
    world.set_config(&world.config().replace("demo-secret", "wr0ng"));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "account acme"), &["check client_id and client_secret of account acme"]);
    assert_eq!(world.simulator.tokens("refusedClients").await, 1);
    // Nothing was spent by that.
    world.set_config(world.config());
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn a_check_tells_a_dead_refresh_token_even_while_the_access_token_lives() {
    let world = Setup::new().build().await;
    world.simulator.post("tokens/revoke", json!({"what": "refresh"})).await;
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "account acme"), &["refused", "run `ffn-bridge login acme`: a person has to sign in"]);
}

#[tokio::test]
async fn a_check_tells_an_api_that_cannot_be_reached_from_tokens_that_do_not_work() {
    let world = Setup::new().build().await;
    let (api, nowhere) = (world.simulator.url("/api"), format!("http://127.0.0.1:{}/api", closed_port()));
    world.set_config(&world.config().replace(&format!("\"{api}\""), &format!("\"{nowhere}\"")));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "account acme"), &["FFN can't be reached", &nowhere, "is base_url right?"]);

    let (token, nowhere) = (world.simulator.url("/token"), format!("http://127.0.0.1:{}/token", closed_port()));
    world.set_config(&world.config().replace(&token, &nowhere));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "account acme"), &[&nowhere, "The tokens are kept"]);
}

#[tokio::test]
async fn a_check_names_the_login_that_was_never_made_and_the_folder_that_is_not_there() {
    let world = Setup::new().signed_out().build().await;
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "account acme"), &["nobody has signed in yet", "run `ffn-bridge login acme`"]);

    world.set_config(&world.config().replace("/bridge.db", "/missing/bridge.db"));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "store"), &["/missing/bridge.db", "No such file or directory", "check store.url"]);
}

#[tokio::test]
async fn a_command_that_needs_what_the_bridge_has_stored_makes_no_database_of_its_own() {
    let world = Setup::new().signed_out().build().await;
    let file = world.dir.path().join("elsewhere.db");
    world.set_config(&world.config().replace("/bridge.db", "/elsewhere.db"));
    for arguments in [
        &["parked", "list"][..],
        &["parked", "retry", "--all"],
        &["replay", "--dry-run"],
        &["backfill", "acme", "--from", "2h", "--dry-run"],
        &["keys", "status"],
    ] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 1, "{arguments:?} {said}");
        tells(&said, &["there is no database", "/elsewhere.db", "check store.url"]);
        assert!(!file.exists(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_check_tells_several_mistakes_in_one_run() {
    let world = Setup::new().build().await;
    world.simulator.post("tokens/revoke", json!({"what": "refresh"})).await;
    let url = broker::shared_url();
    let port = url::Url::parse(&url).unwrap().port().unwrap_or(5672);
    let elsewhere = url.replace(&format!(":{port}/"), &format!(":{}/", closed_port()));
    world.set_config(&world.config().replace(&url, &elsewhere));
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    failure(&said, "broker");
    failure(&said, "account acme");
    tells(&said, &["ok    store"]);
}

#[tokio::test]
async fn a_misspelt_key_is_refused_with_its_place_and_what_would_be_right() {
    let world = Setup::new().build().await;
    let text =
        world.config().replace("poll_interval", "poll_intervall").replace("role = \"merchant\"", "role = \"shop\"");
    world.set_config(&text);
    let line = 1 + text.lines().position(|line| line.starts_with("poll_intervall")).unwrap();
    for command in ["check", "run"] {
        let output = world.bridge.cli(&[command], "");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        tells(
            &said,
            &[&format!("ffn-bridge.toml:{line}:1: accounts[0].poll_intervall"), "did you mean \"poll_interval\""],
        );
        tells(&said, &["accounts[0].role", "\"shop\"", "2 problems in the configuration"]);
        no_secret(&world, &said).await;
    }
}

#[tokio::test]
async fn a_queue_that_exists_otherwise_is_told_by_check_and_by_run() {
    let world = Setup::new().build().await;
    // A classic queue where the bridge wants a quorum queue.
    let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
    let queue = world.names.commands();
    let arguments = lapin::types::FieldTable::default();
    world.broker.channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
    let wanted = [&format!("queue {queue}") as &str, "PRECONDITION_FAILED", "It exists with other properties"];
    let (code, said) = run(&world, &["check"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&failure(&said, "broker"), &wanted);
    let (code, said) = run(&world, &["run"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &wanted);
}

// ---------------------------------------------------------------- send, tail, schema

#[tokio::test]
async fn send_prints_the_result_with_every_digit_and_tells_failure_by_its_exit_code() {
    let mut world = Setup::new().start().await;
    let mut body = order("SO-1");
    body["items"][0]["merchantSku"] = json!("ROPE-METRE");
    let text = body.to_string().replace("\"quantity\":2", "\"quantity\":1.10");
    let file = world.dir.path().join("order.json");
    std::fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap();
    let sent = world.bridge.cli(&["send", "acme.outbound.create", file, "--wait", "--id", "order-1"], "");
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let result: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((&result["commandId"], &result["command"]), (&json!("order-1"), &json!("outbound.create")));
    assert!(output(&sent).contains("\"quantity\":1.10"), "{}", output(&sent));

    // From standard input, and a product that nobody has.
    let unknown = order("SO-2").to_string().replace("MUG-BLUE", "NO-SUCH-MUG");
    let refused = world.bridge.cli(&["send", "acme.outbound.create", "--wait"], &unknown);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let result: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(result["error"]["code"], "rejected");
    tells(&String::from_utf8_lossy(&refused.stderr), &["the command failed: rejected: "]);

    // The same id is answered from the record.
    let again = world.bridge.cli(&["send", "acme.outbound.create", "-", "--wait", "--id", "order-1"], &text);
    assert_eq!((again.status.code(), again.stdout), (Some(0), sent.stdout));
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 2);

    // Without --wait it prints the id. With it and without a bridge it says so after its patience.
    assert_eq!(world.bridge.stop().await, Some(0));
    let queued = world.bridge.cli(&["send", "acme.outbound.create", "--id", "order-3"], &order("SO-3").to_string());
    assert_eq!((queued.status.code(), output(&queued).as_str()), (Some(0), "order-3\n"));
    let patience = ["send", "acme.outbound.create", "--wait", "--timeout", "300ms", "--id", "order-4"];
    let (code, said) = run(&world, &patience).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["no result within 300ms", "order-4", "Is the bridge running?"]);
    assert_eq!(world.broker.depth(&world.names.commands()).await, 2);
}

#[tokio::test]
async fn send_on_a_broker_without_the_exchange_says_so() {
    let world = Setup::new().build().await;
    for arguments in [&["send", "acme.outbound.create"][..], &["send", "acme.outbound.create", "--wait"]] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &["has a bridge ever run on this broker?", &world.names.commands(), "no exchange"]);
    }
    let (code, said) = run(&world, &["tail"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["no exchange", &world.names.events()]);
}

/// `tail`, listening.
async fn tail(world: &World, arguments: &[&str]) -> Process {
    let mut tail = Process::spawn("ffn-bridge tail", &mut world.bridge.command(&[&["tail"], arguments].concat()));
    until("tail to listen", async || {
        assert!(tail.ended().is_none(), "{:?}", tail.lines());
        tail.find(|line| line.starts_with("listening for").then_some(()))
    })
    .await;
    tail
}

#[tokio::test]
async fn tail_shows_an_event_a_line_and_ends_after_the_count() {
    let world = Setup::new().start().await;
    let mut people = tail(&world, &["acme.outbound.*", "--count", "2"]).await;
    let mut pipe = tail(&world, &["--json", "--count", "2"]).await;
    world.simulator.bulk(1, "SO-").await;
    for tail in [&mut people, &mut pipe] {
        assert_eq!(until("tail to end by itself", async || tail.ended()).await, Some(0));
    }
    let lines = people.output();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("  acme.outbound.created ") && lines[0].contains("SO-000001"), "{lines:?}");
    assert!(lines[1].contains("  acme.outbound.pending ") && lines[1].contains("SO-000001"), "{lines:?}");
    let events: Vec<Value> = pipe.output().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ffn.outbound.created.v1", "ffn.outbound.pending.v1"]);
}

#[tokio::test]
async fn tail_says_of_when_an_event_is_that_it_was_there_rebuilt_or_replayed_and_why_a_feed_stands_still() {
    let world = Setup::new().start().await;
    let mut tail = tail(&world, &["acme.#", "--count", "5"]).await;
    let mut headers = FieldTable::default();
    for (name, value) in [("cloudEvents_time", "2025-12-31T23:59:58.5Z"), ("cloudEvents_snapshot", "true")] {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let properties = BasicProperties::default().with_headers(headers);
    let (events, body) = (world.names.events(), br#"{"merchantOutboundNumber":"SO-1","status":"Pending"}"#);
    world.broker.publish(&events, "acme.outbound.pending", properties, body).await;
    let body = br#"{"account":"acme","feed":"returns","error":"FFN answered with status 503"}"#;
    world.broker.publish(&events, "acme.bridge.feed-stalled", BasicProperties::default(), body).await;
    let body = br#"{"merchantOutboundNumber":"SO-1","status":"Acknowledged","inferred":true}"#;
    world.broker.publish(&events, "acme.outbound.acknowledged", BasicProperties::default(), body).await;
    let mut headers = FieldTable::default();
    headers.insert("ffn-replay".into(), AMQPValue::LongString("true".into()));
    for changed in ["[]", r#"["note","items"]"#] {
        let body = format!(r#"{{"merchantOutboundNumber":"SO-1","status":"Pending","changed":{changed}}}"#);
        let properties = BasicProperties::default().with_headers(headers.clone());
        world.broker.publish(&events, "acme.outbound.updated", properties, body.as_bytes()).await;
    }
    assert_eq!(until("tail to end by itself", async || tail.ended()).await, Some(0));
    let lines = tail.output();
    assert!(lines[0].starts_with("2025-12-31 23:59:58  acme.outbound.pending "), "{lines:?}");
    assert!(lines[0].ends_with("SO-1  Pending  (was there)"), "{lines:?}");
    assert!(lines[1].ends_with("acme  returns  FFN answered with status 503"), "{lines:?}");
    assert!(lines[2].ends_with("SO-1  Acknowledged  (inferred)"), "{lines:?}");
    assert!(lines[3].ends_with("SO-1  Pending  (replayed)"), "{lines:?}");
    assert!(lines[4].ends_with("SO-1  Pending  changed: note, items  (replayed)"), "{lines:?}");
}

#[tokio::test]
async fn tail_comes_back_when_the_connection_was_cut() {
    let (proxy, url) = Proxy::before_broker(&broker::shared_url()).await;
    let world = Setup::new().start().await;
    let config = world.config().replace(&broker::shared_url(), &url);
    let other = world.dir.path().join("through-the-proxy.toml");
    std::fs::write(&other, config).unwrap();
    let mut tail = tail(&world, &["--config", other.to_str().unwrap(), "*.outbound.created"]).await;
    proxy.cut();
    until("tail to be back", async || {
        assert!(tail.ended().is_none(), "{:?}", tail.lines());
        tail.find(|line| (line == "connected again").then_some(()))
    })
    .await;
    tells(&tail.lines().join("\n"), &["the connection to the broker is gone"]);
    world.simulator.bulk(1, "SO-").await;
    until("the event", async || tail.find(|line| line.contains("SO-000001").then_some(()))).await;
    tail.signal("INT");
    assert_eq!(until("tail to end", async || tail.ended()).await, Some(0));
}

/// The program without a configuration, in an empty folder.
fn plain(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ffn-bridge"));
    command.current_dir(folder).env_remove("FFN_BRIDGE_CONFIG").args(arguments);
    command
}

#[test]
fn schemas_are_listed_shown_and_written_without_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let listed = plain(folder.path(), &["schema"]).output().unwrap();
    assert_eq!(listed.status.code(), Some(0));
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas"));
    let mut names: Vec<String> = output(&listed).lines().map(str::to_owned).collect();
    let mut wanted: Vec<String> =
        files.iter().map(|(name, _)| name.rsplit('/').next().unwrap().trim_end_matches(".json").to_owned()).collect();
    names.sort();
    wanted.sort();
    assert_eq!(names, wanted);

    for name in ["ffn.outbound.shipped.v1", "outbound.create", "return.create.fulfiller", "ffn.command.failed.v1"] {
        let one = plain(folder.path(), &["schema", name]).output().unwrap();
        assert_eq!(one.status.code(), Some(0), "{name}");
        let text = files.iter().find(|(file, _)| file.ends_with(&format!("/{name}.json"))).unwrap().1.clone();
        assert_eq!(output(&one), text, "{name}");
    }
    // What stands in a message's `dataschema`, also of a status that the bridge has no name for.
    for (name, file) in
        [("ffn.outbound.shipped.v1", "ffn.outbound.shipped.v1"), ("ffn.outbound.on-hold.v1", "ffn.outbound.status.v1")]
    {
        let one = plain(folder.path(), &["schema", &format!("urn:ffn-bridge:schema:{name}")]).output().unwrap();
        assert_eq!(one.status.code(), Some(0), "{name}");
        let text = &files.iter().find(|(path, _)| path.ends_with(&format!("/{file}.json"))).unwrap().1;
        assert_eq!(output(&one), *text, "{name}");
    }
    let unknown = plain(folder.path(), &["schema", "ffn.parcel.vanished.v1"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty());
    tells(&said(&unknown), &["there is no schema \"ffn.parcel.vanished.v1\"", "`ffn-bridge schema` lists all"]);

    // The roles send different bodies.
    let twice = plain(folder.path(), &["schema", "return.create"]).output().unwrap();
    assert_eq!(twice.status.code(), Some(2));
    tells(&said(&twice), &["each role has its own: return.create.merchant, return.create.fulfiller"]);

    let written = plain(folder.path(), &["schema", "--write", "here"]).output().unwrap();
    assert_eq!(written.status.code(), Some(0), "{}", said(&written));
    assert_eq!(self::files(&folder.path().join("here")), files, "what is written is what is in schemas/");
}

/// Every JSON file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

// ---------------------------------------------------------------- the program as a whole

#[tokio::test]
async fn the_configuration_is_named_before_or_after_the_command_or_by_the_environment() {
    let world = Setup::new().build().await;
    let path = world.dir.path().join("ffn-bridge.toml");
    let path = path.to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let none = plain(elsewhere.path(), &["check"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));
    tells(&said(&none), &["there is no such file here", "--config PATH", "FFN_BRIDGE_CONFIG"]);
    let missing = plain(elsewhere.path(), &["--config", "nowhere.toml", "check"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    tells(&said(&missing), &["nowhere.toml", "can't be read"]);

    let mut by_environment = plain(elsewhere.path(), &["check"]);
    by_environment.env("FFN_BRIDGE_CONFIG", path);
    let mut in_the_folder = plain(world.dir.path(), &["check"]);
    let mut before = plain(elsewhere.path(), &["--config", path, "check"]);
    let mut after = plain(elsewhere.path(), &["check", "--config", path]);
    for command in [&mut before, &mut after, &mut by_environment, &mut in_the_folder] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", said(&output));
    }
}

#[test]
fn help_lists_the_commands_and_a_command_that_is_none_is_bad_usage() {
    let folder = tempfile::tempdir().unwrap();
    let help = plain(folder.path(), &["--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    for command in ["run", "check", "login", "logout", "tail", "send", "schema"] {
        assert!(output(&help).lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}");
        let own = plain(folder.path(), &[command, "--help"]).output().unwrap();
        assert_eq!(own.status.code(), Some(0));
    }
    for arguments in [
        &["teil"][..],
        &[],
        &["send"],
        &["login"],
        &["logout"],
        &["login", "acme", "--status", "--manual"],
        &["login", "acme", "--json"],
        &["schema", "--sideways"],
    ] {
        let bad = plain(folder.path(), arguments).output().unwrap();
        assert_eq!(bad.status.code(), Some(2), "{arguments:?}: {}", said(&bad));
        assert!(bad.stdout.is_empty() && !bad.stderr.is_empty(), "{arguments:?}");
    }
    tells(&said(&plain(folder.path(), &["teil"]).output().unwrap()), &["tail"]);
    let version = plain(folder.path(), &["--version"]).output().unwrap();
    assert_eq!(output(&version), format!("ffn-bridge {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn nothing_panics_when_nobody_reads_the_output() {
    let world = Setup::new().start().await;
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = world.bridge.command(arguments);
        command.stdin(std::process::Stdio::null()).stdout(writer);
        command
    };
    for arguments in [&["schema"][..], &["schema", "outbound.create"], &["check"], &["--help"]] {
        let output = unread(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    }
    let mut tail = unread(&["tail"]);
    let mut tail = tail.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut number = 0;
    let status = until("tail to end for want of a reader", async || {
        number += 1;
        world.simulator.bulk(1, &format!("N{number}-")).await;
        tail.try_wait().unwrap()
    })
    .await;
    let mut said = String::new();
    std::io::Read::read_to_string(&mut tail.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

// ---------------------------------------------------------------- secrets

#[tokio::test]
async fn no_secret_is_in_any_output_even_with_the_log_turned_all_the_way_up() {
    let mut world = Setup::new().simulator(&["--auto-approve", "--access-token-ttl", "1"]).build().await;
    // Also of the libraries that are quiet until they are named.
    let filter = "trace,reqwest=trace,hyper=trace,hyper_util=trace,rustls=trace,lapin=trace,async_rs=trace";
    world.set_config(&world.config().replace("info,ffn_bridge=debug", filter));
    world.bridge.start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    let mut told = String::new();

    let signed_in = crate::support::browser::sign_in(&world.bridge, "acme").await;
    told += &said(&signed_in);
    world.broker.command("acme.outbound.create", "good", &order("SO-1")).await;
    world.broker.command("acme.outbound.create", "invalid", &json!({"currency": 7})).await;
    let mut unknown = order("SO-2");
    unknown["items"][0]["merchantSku"] = json!("NO-SUCH-MUG");
    world.broker.command("acme.outbound.create", "rejected", &unknown).await;
    results.distinct(3).await;
    while dead.seen.len() < 2 {
        dead.next().await;
    }
    world.simulator.fault(json!({"match": {"path": "/token"}, "times": 2, "kind": {"status": 503}})).await;
    let before = world.simulator.tokens("refreshes").await;
    until("some refreshes", async || (world.simulator.tokens("refreshes").await > before + 2).then_some(())).await;
    // An error that quotes what it was asked.
    let refresh = world.db().text("SELECT refresh FROM logins WHERE account = 'acme'", []).unwrap();
    world.simulator.post("tokens/revoke", json!({"what": "all"})).await;
    let body = json!({"error": "invalid_grant", "error_description": "no such token"});
    world.simulator.fault(json!({"match": {"path": "/token"}, "kind": {"status": 400, "body": body}})).await;
    let required = "ffn_bridge_login_required{account=\"acme\"}";
    until("the refusal", async || (world.bridge.metric(required).await > 0.0).then_some(())).await;

    for path in ["/status", "/metrics", "/readyz", "/livez"] {
        told += &world.bridge.get(path).await.1;
    }
    for message in results.seen.iter().chain(&dead.seen) {
        told += &format!("{:?}{}", message.properties, message.text());
    }
    told += &said(&world.bridge.cli(&["check"], ""));
    let mut log = world.bridge.lines().join("\n");
    assert!(log.contains("\"level\":\"TRACE\""), "the log is turned up");
    let secrets = world.simulator.secrets().await;
    assert!(secrets.len() > 8 && secrets.contains(&"demo-secret".to_owned()) && secrets.contains(&refresh));
    // The broker's password; a wrong one is easier to find than one that is also the user's name.
    let url = broker::shared_url();
    let mut wrong = url::Url::parse(&url).unwrap();
    wrong.set_password(Some("wr0ng")).unwrap();
    assert_eq!(world.bridge.stop().await, Some(0));
    world.set_config(&world.config().replace("info,ffn_bridge=debug", filter).replace(&url, wrong.as_str()));
    world.bridge.launch().await;
    let refused = |line: &str| line.contains("the broker can't be reached").then_some(());
    until("the broker to refuse", async || world.bridge.process.as_ref().unwrap().find(refused)).await;
    log += &world.bridge.lines().join("\n");
    told += &world.bridge.get("/status").await.1;

    let mut secrets = secrets;
    // The last is the password as a list of bytes.
    secrets.extend(["wr0ng", "guest:guest", "119, 114, 48, 110, 103"].map(str::to_owned));
    for (where_, text) in [("the output", &told), ("the log", &log)] {
        for secret in &secrets {
            let found = text.find(secret.as_str()).map(|at| &text[at.saturating_sub(200)..at]);
            assert!(found.is_none(), "a secret stands in {where_} after {found:?}");
        }
    }
}
