//! The bridge is killed (SIGKILL) at every step of a refresh, again and again. The rules are those of a
//! token that works once: it is never sent again once its successor is stored, and a person is needed only
//! where the server answered and the answer was lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::sign_in;
use crate::support::*;

const ROUNDS: usize = 110;

/// The simulator's `refresh-N` as a number.
fn number(name: &Value) -> usize {
    name.as_str().and_then(|name| name.strip_prefix("refresh-")?.parse().ok()).expect("a token that was issued")
}

/// The refreshes that were asked for, from this request on.
async fn asked(world: &World, since: i64) -> Vec<Value> {
    let all = world.simulator.get(&format!("tokens/refreshes?since={since}")).await;
    all["refreshes"].as_array().unwrap().clone()
}

/// Which of the issued refresh tokens the bridge has on record.
async fn stored(world: &World) -> usize {
    let token = world.db().text("SELECT refresh FROM logins WHERE account = 'acme'", []).unwrap();
    let secrets = world.simulator.get("secrets").await;
    let secrets = secrets.get("secrets").unwrap_or(&secrets).as_array().unwrap().clone();
    let issued = secrets.iter().filter(|secret| secret["kind"] == "refresh_token");
    issued.map(|secret| secret["value"].as_str().unwrap()).position(|value| value == token).unwrap() + 1
}

fn login_required(world: &World) -> Option<String> {
    world.db().text("SELECT login_required FROM logins WHERE account = 'acme'", [])
}

/// What happened in all rounds together.
#[derive(Debug, Default)]
struct Tally {
    refreshed: usize,
    killed_unsent: usize,
    killed_unanswered: usize,
    people: usize,
}

/// What refreshes meet in a round.
enum Weather {
    /// Nothing stands in the way.
    Fine,
    /// The server never gets to it.
    Silence,
    /// This fault, for so many milliseconds.
    Slow(&'static str),
}

/// Kills the bridge in each round.
async fn rounds(mut weather: impl FnMut(&mut fastrand::Rng) -> Weather) -> Tally {
    let seed = std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // A token that ends soon is refreshed at every start.
    let setup = Setup::new().simulator(&["--access-token-ttl", "1", "--auto-approve"]).account("feeds = []");
    let mut world = setup.build().await;
    let mut tally = Tally::default();
    let last = |requests: &[Value]| requests.last().map(|request| request["seq"].as_i64().unwrap());
    let (mut seen, mut floor) = (last(&asked(&world, 0).await).unwrap_or(0), stored(&world).await);
    for round in 0..ROUNDS {
        world.simulator.control("DELETE", "faults", None).await;
        let fault = |kind: Value| json!({"match": {"path": "/token"}, "times": 0, "kind": kind});
        match weather(&mut random) {
            Weather::Fine => {}
            Weather::Silence => world.simulator.fault(fault(json!("hang"))).await,
            Weather::Slow(kind) => world.simulator.fault(fault(json!({kind: random.u64(0..80)}))).await,
        }
        world.bridge.spawn();
        if random.bool() {
            // About the time of the refresh, whatever else the start takes.
            until("a refresh to begin", async || (!asked(&world, seen).await.is_empty()).then_some(())).await;
            tokio::time::sleep(Duration::from_millis(random.u64(0..100))).await;
        } else {
            tokio::time::sleep(Duration::from_millis(random.u64(0..900))).await;
        }
        world.bridge.kill();
        until("the simulator to be at rest", async || {
            asked(&world, seen).await.iter().all(|request| !request["delivered"].is_null()).then_some(())
        })
        .await;

        let requests = asked(&world, seen).await;
        seen = last(&requests).unwrap_or(seen);
        let now = stored(&world).await;
        for (at, request) in requests.iter().enumerate() {
            let token = number(&request["token"]);
            assert!(token >= floor, "round {round}: refresh-{token} was sent although refresh-{floor} was stored");
            let again = requests[at + 1..].iter().any(|later| number(&later["token"]) == token);
            let answered = request["outcome"] == "refreshed" && request["delivered"] == true;
            assert!(!(answered && again), "round {round}: sent again after its answer: {requests:#?}");
            // One that was on its way when its process was killed may come in the next round; nobody hears it.
            let refused = request["outcome"].as_str().unwrap().starts_with("refused") && request["delivered"] == true;
            assert!(!(refused && again), "round {round}: sent again after its refusal: {requests:#?}");
        }
        match requests.last() {
            None => tally.killed_unsent += 1,
            Some(last) if number(&last["token"]) == now => tally.killed_unanswered += 1,
            Some(_) => tally.refreshed += 1,
        }
        floor = now;
        if let Some(reason) = login_required(&world) {
            // Only a token that the server has spent, and whose successor never arrived, needs a person.
            let spent = asked(&world, 0)
                .await
                .into_iter()
                .find(|it| number(&it["token"]) == now && it["outcome"] == "refreshed");
            assert!(spent.is_some(), "round {round}: a person was called without need: {reason}");
            assert!(reason.contains("lost") && reason.contains("refused"), "{reason}");
            // One command, and it goes on.
            sign_in(&world.bridge, "acme").await;
            assert_eq!(login_required(&world), None);
            tally.people += 1;
            floor = stored(&world).await;
            seen = last(&asked(&world, seen).await).unwrap_or(seen);
        }
    }
    // A refusal that was killed as well is asked for once more: one try after each start.
    let refused = world.simulator.tokens("refused").await;
    assert!((tally.people..=ROUNDS).contains(&(refused as usize)), "{refused} refused, {tally:?}");
    eprintln!("{tally:?}");
    tally
}

#[tokio::test]
async fn killed_before_the_server_has_got_to_the_refresh_it_needs_nobody() {
    let tally = rounds(|_| Weather::Silence).await;
    assert!(tally.killed_unsent > 0 && tally.killed_unanswered > 0, "{tally:?}");
    assert_eq!((tally.people, tally.refreshed), (0, 0), "{tally:?}");
}

#[tokio::test]
async fn killed_around_the_servers_answer_it_needs_one_sign_in_where_that_was_lost() {
    let tally = rounds(|random| Weather::Slow(if random.bool() { "delay_ms" } else { "delay_after_ms" })).await;
    assert!(tally.refreshed > 0 && tally.people > 0, "{tally:?}");
}

#[tokio::test]
async fn killed_at_any_moment_of_a_quick_refresh_it_never_sends_a_token_whose_successor_is_stored() {
    let tally = rounds(|random| if random.u8(..8) == 0 { Weather::Silence } else { Weather::Fine }).await;
    assert!(tally.refreshed > 0 && tally.killed_unsent > 0, "{tally:?}");
}
