//! The bridge or the broker ends at the worst moment: no event is lost, and forgetting repeats each
//! order's events stay in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::BasicProperties;
use serde_json::json;

use crate::support::record::{asked_for, check, receive_all, repeats, settle};
use crate::support::{
    Broker, Direction, Node, Proxy, Setup, Simulator, Subscription, World, broker, until, until_within,
};

/// No overlap: it would hide a checkpoint that moved too early.
const NO_OVERLAP: &str = "overlap = \"0s\"";

async fn world_behind_proxy() -> (World, Proxy) {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let world = Setup::new().account(NO_OVERLAP).simulator(&["--chunk-size", "50"]).through(&through).start().await;
    (world, proxy)
}

/// Rows of the events' lane, and the position up to which they are recorded as confirmed.
fn journal(world: &World) -> (i64, i64) {
    let db = world.db();
    let rows = db.number("SELECT COUNT(*) FROM journal WHERE lane = 'events:acme'", []);
    (rows, db.number("SELECT COALESCE(MAX(confirmed), 0) FROM lanes WHERE lane = 'events:acme'", []))
}

/// Publishes past the bridge, and gives whether that is the next thing the subscriber sees.
async fn is_silent(world: &World, events: &mut Subscription) -> bool {
    world.broker.publish(&world.names.events(), "marker", BasicProperties::default(), b"{}").await;
    events.next().await;
    events.seen.pop().unwrap().routing_key == "marker"
}

/// An even stream of new orders and steps, at random, until it is told to end.
async fn traffic(simulator: &Simulator, seed: u64, end: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut open: Vec<(String, u8)> = Vec::new();
    let mut count = 0;
    while !end.load(Ordering::Relaxed) {
        if open.len() < 5 || random.u8(..4) == 0 {
            count += 1;
            simulator.post("outbounds/bulk", json!({"count": 1, "prefix": "T-", "start": count})).await;
            open.push((format!("T-{count:06}"), 0));
        } else {
            let at = random.usize(..open.len());
            let steps = random.u8(1..=2);
            let (number, made) = &mut open[at];
            simulator.post(&format!("outbounds/{number}/advance"), json!({"steps": steps, "gap_ms": 5})).await;
            *made += steps;
            if *made >= 3 {
                open.swap_remove(at);
            }
        }
        // The pace of the stream; nothing waits for it.
        tokio::time::sleep(Duration::from_millis(random.u64(5..40))).await;
    }
}

/// Runs traffic while `trouble` lasts.
async fn under_traffic(simulator: &Simulator, seed: u64, trouble: impl Future<Output = ()>) {
    let end = AtomicBool::new(false);
    let trouble = async {
        trouble.await;
        end.store(true, Ordering::Relaxed);
    };
    tokio::join!(traffic(simulator, seed, &end), trouble);
}

/// The seed of a test's randomness; `SEED=…` repeats a run.
fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed}");
    seed
}

async fn published(world: &World) -> u64 {
    world.bridge.count("ffn_bridge_events_published_total{account=\"acme\"").await
}

async fn reconnects(world: &World) -> u64 {
    world.bridge.count("ffn_bridge_broker_reconnects_total").await
}

#[tokio::test]
async fn killed_with_events_in_the_journal_it_publishes_them_after_its_restart() {
    let (mut world, proxy) = world_behind_proxy().await;
    let mut events = world.broker.events(&["#"]).await;
    // It has published before: what is held back is not the opening of the channel.
    world.simulator.bulk(1, "FIRST-").await;
    receive_all(&mut events, &world.simulator).await;
    until("the confirm to be recorded", async || (journal(&world).1 == 2).then_some(())).await;
    proxy.hold(Direction::Up);
    world.simulator.bulk(20, "SO-").await;
    until("the journal to hold all of it", async || (journal(&world).0 == 42).then_some(())).await;
    until("the bridge to try", async || (proxy.waiting() > 1000).then_some(())).await;
    world.bridge.kill();
    proxy.cut();
    proxy.release(Direction::Up);
    assert_eq!(journal(&world), (42, 2), "what has not left counts as published");
    assert!(is_silent(&world, &mut events).await, "something was published before the kill");

    world.bridge.start().await;
    settle(&mut events, &world.simulator).await;
    assert_eq!(repeats(&events.seen), 0);
}

#[tokio::test]
async fn killed_between_publishing_and_the_confirm_it_publishes_again_with_the_same_id_and_body() {
    let (mut world, proxy) = world_behind_proxy().await;
    let mut events = world.broker.events(&["#"]).await;
    // It has published before: what is held back is not the opening of the channel.
    world.simulator.bulk(1, "FIRST-").await;
    receive_all(&mut events, &world.simulator).await;
    until("the confirm to be recorded", async || (journal(&world).1 >= 2).then_some(())).await;
    proxy.hold(Direction::Down);
    world.simulator.bulk(10, "SO-").await;
    let first = events.next().await;
    let (_, confirmed) = journal(&world);
    world.bridge.kill();
    proxy.cut();
    proxy.release(Direction::Down);
    assert_eq!(confirmed, 2, "what the broker has not confirmed counts as published");

    world.bridge.start().await;
    settle(&mut events, &world.simulator).await;
    let copies = events.seen.iter().filter(|message| message.id() == first.id()).count();
    assert_eq!(copies, 2, "it could not know that the broker had it");
}

#[tokio::test]
async fn killed_while_a_page_is_awaited_it_reads_the_window_again() {
    let mut world = Setup::new().account(NO_OVERLAP).start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "FIRST-").await;
    receive_all(&mut events, &world.simulator).await;
    let second = json!({"match": {"path": "outbounds/updates", "query": "page=2"}, "kind": "hang"});
    world.simulator.fault(second).await;
    world.simulator.bulk(11, "SO-").await;
    until("the second page to be awaited", async || {
        let requests = world.simulator.requests("GET", "outbounds/updates").await;
        requests.into_iter().find(|request| request["query"].as_str().unwrap().contains("page=2"))
    })
    .await;
    // The first page goes its way meanwhile; of its three orders one may be the one from before.
    events.distinct(2 + 2 * 2).await;
    let position = world.db().number("SELECT position FROM checkpoints WHERE feed = 'outbounds'", []);
    let record = world.simulator.outbounds().await;
    let asked = asked_for(&record).into_values().flatten();
    let newest = asked.map(|(.., at)| at).max().unwrap();
    world.bridge.kill();
    assert!(position <= newest, "the checkpoint has passed what was not read");

    world.bridge.start().await;
    settle(&mut events, &world.simulator).await;
}

#[tokio::test]
async fn killed_again_and_again_under_traffic_it_loses_nothing() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut world, proxy) = world_behind_proxy().await;
    let World { simulator, broker, bridge, .. } = &mut world;
    let mut events = broker.events(&["#"]).await;
    // The first token is there: another test kills while one is refreshed.
    simulator.bulk(1, "FIRST-").await;
    receive_all(&mut events, simulator).await;
    under_traffic(simulator, seed, async {
        for _ in 0..15 {
            // Any moment of its life, from the first to busy ones. What it sends or hears is held up
            // for a while before, so that the short moments in between are long enough to be hit.
            tokio::time::sleep(Duration::from_millis(random.u64(0..700))).await;
            let held = random.choice([None, Some(Direction::Up), Some(Direction::Down)]).flatten();
            if let Some(direction) = held {
                proxy.hold(direction);
                tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
            }
            bridge.kill();
            proxy.cut();
            held.inspect(|direction| proxy.release(*direction));
            bridge.launch().await;
        }
    })
    .await;
    settle(&mut events, simulator).await;
    eprintln!("{} events, {} repeats", events.seen.len(), repeats(&events.seen));
    assert!(events.seen.len() > 100, "too little traffic to tell anything");
}

#[tokio::test]
async fn a_connection_that_is_cut_again_and_again_under_traffic_loses_nothing() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let (world, proxy) = world_behind_proxy().await;
    let mut events = world.broker.events(&["#"]).await;
    under_traffic(&world.simulator, seed, async {
        for _ in 0..10 {
            let before = published(&world).await;
            until("events to flow", async || (published(&world).await > before).then_some(())).await;
            // Some of the cuts come while messages or confirms are under way.
            let direction = random.choice([None, Some(Direction::Up), Some(Direction::Down)]).flatten();
            if let Some(direction) = direction {
                proxy.hold(direction);
                let (rows, _) = journal(&world);
                until("more to publish", async || (journal(&world).0 > rows).then_some(())).await;
            }
            let before = reconnects(&world).await;
            proxy.cut();
            direction.inspect(|direction| proxy.release(*direction));
            until("the loss to be seen", async || (reconnects(&world).await > before).then_some(())).await;
        }
    })
    .await;
    settle(&mut events, &world.simulator).await;
    eprintln!("{} events, {} repeats", events.seen.len(), repeats(&events.seen));
    assert_eq!(world.bridge.get("/readyz").await.0, 200);
}

/// How a broker goes away.
#[derive(Clone, Copy)]
enum End {
    Stop,
    Kill,
}

async fn a_broker_that_ends_and_comes_back(end: End) {
    let seed = seed();
    let mut node = Node::start().await;
    let world = Setup::new().account(NO_OVERLAP).simulator(&["--chunk-size", "50"]).broker(node.url()).start().await;
    // Bound before there are events, read at the end: no subscriber stands through the outage.
    let queue = world.broker.bind("events", &world.names.events(), &["#"]).await;
    node.has_written_its_queues().await;
    under_traffic(&world.simulator, seed, async {
        until("events to flow", async || (published(&world).await > 20).then_some(())).await;
        match end {
            End::Stop => node.stop().await,
            End::Kill => node.kill().await,
        }
        until("the bridge to say that it is not ready", async || {
            let (status, body) = world.bridge.get("/readyz").await;
            (status == 503 && body.contains("no connection to the broker")).then_some(())
        })
        .await;
        assert_eq!(world.bridge.get("/livez").await.0, 200, "a broker that is away is no reason to end the process");
        let (rows, _) = journal(&world);
        until("events to gather in the journal", async || (journal(&world).0 > rows + 20).then_some(())).await;
        node.up().await;
        // The waits between its attempts have grown meanwhile.
        let patience = Duration::from_secs(120);
        until_within(patience, "the bridge to be ready again", async || {
            (world.bridge.get("/readyz").await.0 == 200).then_some(())
        })
        .await;
        let before = published(&world).await;
        until("events to flow again", async || (published(&world).await > before).then_some(())).await;
    })
    .await;
    let again = Broker::connect(node.url(), world.names.clone()).await;
    let mut events = again.subscribe(&queue).await;
    settle(&mut events, &world.simulator).await;
    check(&events.seen, &world.simulator.outbounds().await);
    eprintln!("{} events, {} repeats", events.seen.len(), repeats(&events.seen));
}

#[tokio::test]
async fn a_broker_that_is_stopped_and_started_under_traffic_loses_nothing() {
    a_broker_that_ends_and_comes_back(End::Stop).await;
}

#[tokio::test]
async fn a_broker_that_is_killed_and_started_under_traffic_loses_nothing() {
    a_broker_that_ends_and_comes_back(End::Kill).await;
}
