//! Tokens at rest: sealed, with keys that can be changed, wrong ones refused, and copies of the database.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use serde_json::json;

use crate::support::process::Process;
use crate::support::{Bridge, Setup, World, until};

/// A key and its id.
struct Key {
    text: String,
    id: String,
}

/// A new key, as `keys generate` prints it.
fn generate(world: &World) -> Key {
    let output = world.bridge.cli(&["keys", "generate"], "");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let advice = String::from_utf8(output.stderr).unwrap();
    assert!(text.len() == 44 && !advice.contains(&text), "{text} {advice}");
    let id = advice.split("its id is ").nth(1).unwrap()[..8].to_owned();
    Key { text, id }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The configuration with these keys, the current one first.
fn with_keys(world: &World, keys: &[&Key]) -> String {
    let Some((current, old)) = keys.split_first() else { return world.config().to_owned() };
    let old: Vec<&str> = old.iter().map(|key| key.text.as_str()).collect();
    let lines = format!("[store]\nencryption_key = \"{}\"\nold_encryption_keys = {old:?}\n", current.text);
    world.config().replacen("[store]\n", &lines, 1)
}

/// A command that has to end with this code; all it says.
fn run(bridge: &Bridge, arguments: &[&str], code: i32) -> String {
    let output = bridge.cli(arguments, "a-refresh-token");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// A start of the bridge that has to be refused; all it says.
async fn refused_start(bridge: &Bridge) -> String {
    let mut process = Process::spawn("ffn-bridge", &mut bridge.command(&["run"]));
    let code = until("the bridge to refuse to start", async || process.ended()).await;
    assert_eq!(code, Some(1), "{:?}", process.lines());
    until("what it says", async || process.find(|line| line.starts_with("ffn-bridge: ").then_some(()))).await;
    process.lines().join("\n")
}

/// The sign-ins as they are stored.
fn rows(folder: &Path) -> Vec<(String, i64, String, String)> {
    let connection = Connection::open(folder.join("bridge.db")).unwrap();
    let mut statement = connection.prepare("SELECT account, generation, access, refresh FROM logins").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Every file of the folder but the configuration, one after the other.
fn bytes(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().contains("bridge.db"));
    files.flat_map(|path| std::fs::read(path).unwrap_or_default()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Fails if any token of the simulator stands in the database's files.
async fn no_token_is_readable(world: &World) {
    let secrets = world.simulator.secrets().await;
    let stored = bytes(world.dir.path());
    assert!(secrets.len() > 2 && !stored.is_empty());
    for secret in secrets {
        assert!(!holds(&stored, &secret), "{secret} can be read in the database");
    }
}

async fn next_refresh(world: &World) {
    let before = world.simulator.tokens("refreshes").await;
    until("the next refresh", async || (world.simulator.tokens("refreshes").await > before).then_some(())).await;
}

#[tokio::test]
async fn a_key_is_changed_under_a_running_bridge_that_goes_on_refreshing() {
    let mut world = Setup::new().simulator(&["--access-token-ttl", "2"]).build().await;
    // What was stored without a key is sealed by the first rotation.
    let (old, new) = (generate(&world), generate(&world));
    let stored = bytes(world.dir.path());
    assert!(world.simulator.secrets().await.iter().any(|secret| holds(&stored, secret)));
    world.set_config(&with_keys(&world, &[&old]));
    world.bridge.start().await;
    assert!(run(&world.bridge, &["keys", "rotate"], 0).contains(&old.id));
    next_refresh(&world).await;
    no_token_is_readable(&world).await;

    // 1. The new key, the old one for reading, and a restart.
    world.set_config(&with_keys(&world, &[&new, &old]));
    let status = run(&world.bridge, &["keys", "status"], 0);
    assert!(status.contains(&format!("{} (store.encryption_key) seals nothing", new.id)), "{status}");
    assert!(status.contains(&format!("{} (store.old_encryption_keys) seals 1 sign-in (acme)", old.id)), "{status}");
    assert_eq!(world.bridge.stop().await, Some(0));
    world.bridge.start().await;
    // 2. Rotations, while the bridge reads and writes the tokens.
    for _ in 0..4 {
        let told = run(&world.bridge, &["keys", "rotate"], 0);
        assert!(told.contains(&new.id) && told.contains("take store.old_encryption_keys out"), "{told}");
        next_refresh(&world).await;
    }
    let sealed = format!("sealed:1:{}:", new.id);
    for (account, _, access, refresh) in rows(world.dir.path()) {
        assert!(access.starts_with(&sealed) && refresh.starts_with(&sealed), "{account}: {access} {refresh}");
    }
    run(&world.bridge, &["keys", "rotate"], 0);
    assert!(!holds(&bytes(world.dir.path()), &format!("sealed:1:{}:", old.id)), "something is sealed with the old key");
    no_token_is_readable(&world).await;
    let status = run(&world.bridge, &["keys", "status"], 0);
    assert!(status.contains(&format!("{} (store.old_encryption_keys) seals nothing: it can be", old.id)), "{status}");
    // 3. Without the old key.
    world.set_config(&with_keys(&world, &[&new]));
    assert_eq!(world.bridge.stop().await, Some(0));
    world.bridge.start().await;
    next_refresh(&world).await;

    for counter in ["reuses", "reusesAfterLostAnswer", "refused"] {
        assert_eq!(world.simulator.tokens(counter).await, 0, "{counter}");
    }
    for outcome in ["failed", "refused"] {
        let metric = format!("ffn_bridge_token_refreshes_total{{account=\"acme\",outcome=\"{outcome}\"}}");
        assert_eq!(world.bridge.count(&metric).await, 0, "{outcome}");
    }
    assert_eq!(world.bridge.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_bridge_that_knows_only_the_old_key_says_so_and_spends_and_overwrites_nothing() {
    let mut world = Setup::new().build().await;
    let (old, new) = (generate(&world), generate(&world));
    world.set_config(&with_keys(&world, &[&old]));
    run(&world.bridge, &["keys", "rotate"], 0);
    world.bridge.start().await;
    world.set_config(&with_keys(&world, &[&new, &old]));
    run(&world.bridge, &["keys", "rotate"], 0);
    let (before, refreshes) = (rows(world.dir.path()), world.simulator.tokens("refreshes").await);
    world.simulator.post("tokens/revoke", json!({"what": "access"})).await;
    until("the old bridge to say what is wrong", async || {
        let is_told = |line: &String| line.contains(&new.id) && line.contains("store.old_encryption_keys");
        world.bridge.lines().iter().any(is_told).then_some(())
    })
    .await;
    let (code, text) = world.bridge.get("/readyz").await;
    assert!(code == 503 && text.contains(&new.id), "{text}");
    assert_eq!(rows(world.dir.path()), before);
    assert_eq!(world.simulator.tokens("refreshes").await, refreshes, "a token was spent that could not be replaced");

    assert_eq!(world.bridge.stop().await, Some(0));
    world.bridge.start().await;
    next_refresh_or_more(&world, refreshes).await;
    assert_eq!(world.simulator.tokens("reuses").await, 0);
}

async fn next_refresh_or_more(world: &World, before: u64) {
    until("a refresh", async || (world.simulator.tokens("refreshes").await > before).then_some(())).await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_at_the_start_and_changes_nothing() {
    let mut world = Setup::new().second("ware", "fulfiller").build().await;
    let (right, wrong) = (generate(&world), generate(&world));
    world.set_config(&with_keys(&world, &[&right]));
    run(&world.bridge, &["keys", "rotate"], 0);
    let before = rows(world.dir.path());
    let refreshes = world.simulator.tokens("refreshes").await;

    for (keys, why) in [
        (vec![&wrong], format!("it is sealed with key {}, which is not configured", right.id)),
        (vec![], format!("it is sealed with key {}, and no key is configured", right.id)),
    ] {
        world.set_config(&with_keys(&world, &keys));
        let sentence = format!("a stored sign-in can't be opened (of account acme: {why}). Nothing was changed.");
        for told in [refused_start(&world.bridge).await, run(&world.bridge, &["check"], 1)] {
            assert!(told.contains(&sentence), "{told}");
            assert!(told.contains("store.encryption_key") && told.contains("store.old_encryption_keys"), "{told}");
            assert!(!told.contains("ware:") && !told.contains(&right.text) && !told.contains(&wrong.text), "{told}");
        }
        // Before anything is sent that could not be stored.
        let told = run(&world.bridge, &["login", "acme", "--refresh-token", "-"], 1);
        assert!(told.contains(&sentence), "{told}");
        let told = run(&world.bridge, &["keys", "rotate"], 1);
        assert!(told.contains("Nothing was changed"), "{told}");
        let told = run(&world.bridge, &["keys", "status"], 1);
        assert!(told.contains(&format!("key {} is not configured and seals 1 sign-in (acme)", right.id)), "{told}");
        assert_eq!(rows(world.dir.path()), before);
    }
    assert_eq!(world.simulator.tokens("refreshes").await, refreshes);
    assert_eq!(world.simulator.tokens("refused").await, 0);

    world.set_config(&with_keys(&world, &[&wrong, &right]));
    world.bridge.start().await;
    assert_eq!(world.bridge.get("/readyz").await.0, 200);
}

/// Copies a database whose bridge is not running, readable for everybody, and gives a bridge on the copy.
fn copy(world: &World, keys: &[&Key], to: &Path) -> Bridge {
    for file in ["bridge.db", "bridge.db-wal"] {
        let from = world.dir.path().join(file);
        if from.exists() {
            std::fs::copy(from, to.join(file)).unwrap();
            std::fs::set_permissions(to.join(file), PermissionsExt::from_mode(0o644)).unwrap();
        }
    }
    let from = format!("sqlite:{}", world.dir.path().join("bridge.db").display());
    let config = with_keys(world, keys);
    assert!(config.contains(&from));
    let path = to.join("ffn-bridge.toml");
    std::fs::write(&path, config.replace(&from, &format!("sqlite:{}", to.join("bridge.db").display()))).unwrap();
    Bridge::new(path)
}

fn modes(folder: &Path) -> Vec<u32> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().contains("bridge.db"));
    files.map(|path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777).collect()
}

#[tokio::test]
async fn a_database_copied_from_another_machine_opens_with_its_key_alone() {
    let world = Setup::new().build().await;
    let key = generate(&world);
    world.set_config(&with_keys(&world, &[&key]));
    run(&world.bridge, &["keys", "rotate"], 0);
    no_token_is_readable(&world).await;

    let folder = tempfile::tempdir().unwrap();
    let stranger = copy(&world, &[], folder.path());
    let before = rows(folder.path());
    let told = refused_start(&stranger).await;
    assert!(told.contains(&format!("sealed with key {}, and no key is configured", key.id)), "{told}");
    assert!(told.contains("bridge.db was open to others (mode 644); its mode is 600 now"), "{told}");
    assert!(modes(folder.path()).iter().all(|mode| *mode == 0o600), "{:?}", modes(folder.path()));
    assert_eq!(rows(folder.path()), before);

    let folder = tempfile::tempdir().unwrap();
    let mut moved = copy(&world, &[&key], folder.path());
    moved.start().await;
    assert!(moved.lines().iter().any(|line| line.contains("was open to others (mode 644)")));
    assert!(!moved.lines().iter().any(|line| line.contains("unsealed")), "{:?}", moved.lines());
    assert_eq!(moved.get("/readyz").await.0, 200);
    assert_eq!(modes(folder.path()), vec![0o600; modes(folder.path()).len()]);
    assert_eq!(moved.stop().await, Some(0));
    let told = run(&moved, &["check"], 0);
    assert!(told.contains(&format!("tokens are sealed with key {}", key.id)), "{told}");
}

#[tokio::test]
async fn an_unsealed_database_is_private_and_the_start_says_once_what_protects_it() {
    let world = Setup::new().build().await;
    let folder = tempfile::tempdir().unwrap();
    let mut copied = copy(&world, &[], folder.path());
    copied.start().await;
    let lines = copied.lines();
    let told = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("tokens are stored unsealed"), 1, "{lines:?}");
    assert!(told("bridge.db was open to others (mode 644); its mode is 600 now") == 1, "{lines:?}");
    assert!(modes(folder.path()).len() >= 3, "log and index are there while it runs");
    assert_eq!(modes(folder.path()), vec![0o600; modes(folder.path()).len()]);
    assert_eq!(copied.stop().await, Some(0));

    // With a key, what is there is told of until it is sealed.
    let key = generate(&world);
    let config = std::fs::read_to_string(folder.path().join("ffn-bridge.toml")).unwrap();
    let lines = format!("[store]\nencryption_key = \"{}\"\n", key.text);
    std::fs::write(folder.path().join("ffn-bridge.toml"), config.replacen("[store]\n", &lines, 1)).unwrap();
    for (unsealed, rotate) in [(1, true), (0, false)] {
        copied.start().await;
        let lines = copied.lines();
        let told = lines.iter().filter(|line| line.contains("`ffn-bridge keys rotate` seals them")).count();
        assert_eq!(told, unsealed, "{lines:?}");
        if rotate {
            run(&copied, &["keys", "rotate"], 0);
        }
        assert_eq!(copied.stop().await, Some(0));
    }
}
