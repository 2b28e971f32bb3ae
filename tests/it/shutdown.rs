//! Stopping: what is in flight is brought to its end, what is not begun is left, and nothing is lost.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use crate::support::{Broker, Direction, Proxy, Setup, World, broker, order, until, until_within};

/// A process that has nothing to wait for is gone by then.
const PROMPTLY: Duration = Duration::from_secs(5);

/// A broker at which nobody listens.
fn nowhere(world: &World) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.config().replace(&broker::shared_url(), &format!("amqp://guest:guest@127.0.0.1:{port}/%2f"))
}

/// Sends SIGTERM and waits until the bridge has taken note.
async fn begin_to_stop(world: &World) {
    let process = world.bridge.process.as_ref().unwrap();
    process.signal("TERM");
    until("the bridge to take note", async || process.find(|line| line.contains("\"stopping: ").then_some(()))).await;
}

/// Waits for the end; gives the exit code.
async fn ended(world: &mut World, patience: Duration) -> Option<i32> {
    let process = world.bridge.process.as_mut().unwrap();
    until_within(patience, "the bridge to end", async || process.ended()).await
}

/// A world whose bridge speaks to the broker through a proxy; the test itself does not.
async fn behind_a_proxy() -> (Proxy, World, Broker) {
    let (proxy, url) = Proxy::before_broker(&broker::shared_url()).await;
    let mut world = Setup::new().build().await;
    world.set_config(&world.config().replace(&broker::shared_url(), &url));
    world.bridge.start().await;
    let subscriber = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    (proxy, world, subscriber)
}

/// Makes changes at FFN and waits until their events wait in the journal.
async fn events_that_wait(world: &World, orders: usize) -> i64 {
    world.simulator.bulk(orders, "SO-").await;
    let db = world.db();
    until("the events in the journal", async || {
        let rows = db.number("SELECT count(*) FROM journal WHERE lane != 'results'", []);
        (rows >= 2 * orders as i64).then_some(rows)
    })
    .await
}

#[tokio::test]
async fn a_command_whose_call_is_in_flight_is_finished_and_one_not_begun_is_left_for_the_next_start() {
    let mut world = Setup::new().start().await;
    let mut results = world.broker.results().await;
    let slow = json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": {"delay_ms": 2000}});
    world.simulator.fault(slow).await;
    // The same ordering key: the second does not begin before the first has ended.
    for number in ["SO-1", "SO-2"] {
        let mut headers = FieldTable::default();
        headers.insert("ffn-ordering-key".into(), AMQPValue::LongString("lane".into()));
        let properties = BasicProperties::default().with_message_id(number.into()).with_headers(headers);
        let body = order(number).to_string();
        world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    }
    until("the call to be in flight", async || {
        (world.simulator.requests("POST", "/outbounds").await.len() == 1).then_some(())
    })
    .await;
    assert!(world.simulator.outbounds().await.is_empty(), "it has had no effect yet");

    assert_eq!(world.bridge.stop().await, Some(0));
    let result = results.next().await;
    assert_eq!(
        (result.routing_key.as_str(), result.data()["commandId"].as_str()),
        ("acme.outbound.create.succeeded", Some("SO-1"))
    );
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1, "the second was not begun");
    until("the second to be back in the queue, and the first to be gone from it", async || {
        (world.broker.depth(&world.names.commands()).await == 1).then_some(())
    })
    .await;

    world.bridge.start().await;
    let result = results.next().await;
    assert_eq!(result.data()["commandId"], "SO-2", "{}", result.text());
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 2, "neither was sent twice");
    assert_eq!(world.simulator.outbounds().await.len(), 2);
}

#[tokio::test]
async fn events_in_the_journal_are_published_and_confirmed_before_the_end() {
    let (proxy, mut world, subscriber) = behind_a_proxy().await;
    let mut events = subscriber.events(&["acme.#"]).await;
    proxy.hold(Direction::Up);
    let rows = events_that_wait(&world, 20).await;
    begin_to_stop(&world).await;
    let waiting = world.bridge.metric("ffn_bridge_journal_pending_events{account=\"acme\"}").await;
    assert_eq!(waiting as i64, rows, "they wait, and the admin server says so while the bridge stops");
    assert!(world.bridge.process.as_mut().unwrap().ended().is_none());
    proxy.release(Direction::Up);
    assert_eq!(ended(&mut world, Duration::from_secs(30)).await, Some(0));
    let confirmed = world.db().number("SELECT confirmed FROM lanes WHERE lane != 'results'", []);
    let last = world.db().number("SELECT max(position) FROM journal WHERE lane != 'results'", []);
    assert_eq!(confirmed, last, "every row is confirmed");
    assert_eq!(events.distinct(rows as usize).await.len() as i64, rows);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_ends_the_stop_at_its_deadline_and_nothing_is_lost() {
    let (proxy, mut world, subscriber) = behind_a_proxy().await;
    let mut events = subscriber.events(&["acme.#"]).await;
    proxy.hold(Direction::Up);
    proxy.hold(Direction::Down);
    let rows = events_that_wait(&world, 5).await;
    begin_to_stop(&world).await;
    let code = ended(&mut world, Duration::from_secs(40)).await;
    assert_eq!(code, Some(1), "it says that it left something undone");
    let lines = world.bridge.lines().join("\n");
    assert!(lines.contains("it is kept in the journal and in the broker"), "{lines}");

    proxy.release(Direction::Up);
    proxy.release(Direction::Down);
    world.bridge.start().await;
    assert_eq!(events.distinct(rows as usize).await.len() as i64, rows);
}

#[tokio::test]
async fn a_second_signal_ends_a_stop_at_once_and_nothing_is_lost() {
    let (proxy, mut world, subscriber) = behind_a_proxy().await;
    let mut events = subscriber.events(&["acme.#"]).await;
    proxy.hold(Direction::Up);
    let rows = events_that_wait(&world, 5).await;
    begin_to_stop(&world).await;
    world.bridge.process.as_ref().unwrap().signal("INT");
    assert_eq!(ended(&mut world, PROMPTLY).await, Some(1));
    proxy.release(Direction::Up);
    world.bridge.start().await;
    assert_eq!(events.distinct(rows as usize).await.len() as i64, rows);
}

#[tokio::test]
async fn a_stop_while_the_broker_is_away_and_nothing_waits_is_prompt() {
    let (proxy, mut world, _subscriber) = behind_a_proxy().await;
    // Nobody listens there any more: connections end, and no new one is made.
    drop(proxy);
    until("the bridge to notice", async || (world.bridge.get("/readyz").await.0 == 503).then_some(())).await;
    begin_to_stop(&world).await;
    assert_eq!(ended(&mut world, PROMPTLY).await, Some(0));
}

#[tokio::test]
async fn a_stop_before_the_broker_was_ever_reached_is_prompt() {
    let mut world = Setup::new().build().await;
    world.set_config(&nowhere(&world));
    world.bridge.launch().await;
    let tried = |line: &str| line.contains("the broker can't be reached").then_some(());
    until("an attempt", async || world.bridge.process.as_ref().unwrap().find(tried)).await;
    let begun = Instant::now();
    assert_eq!(world.bridge.stop().await, Some(0));
    assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());

    // So it is with one that takes the connection and then says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://guest:guest@{}/%2f", silent.local_addr().unwrap());
    world.set_config(&world.config().replace(&broker::shared_url(), &url));
    world.bridge.launch().await;
    let taken = tokio::task::spawn_blocking(move || silent.accept().map(|_| silent)).await.unwrap();
    let begun = Instant::now();
    assert_eq!(world.bridge.stop().await, Some(0));
    assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
    drop(taken);
}

#[tokio::test]
async fn an_admin_address_that_is_taken_is_told_at_start() {
    let world = Setup::new().build().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    world.set_config(&world.config().replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{address}\"")));
    let output = world.bridge.cli(&["run"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for word in [&format!("can't listen on {address}") as &str, "set http.listen to a free address", "in use"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
