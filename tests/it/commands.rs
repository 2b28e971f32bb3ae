//! Commands: what a publisher may rely on, whatever it sends and however FFN and the network behave.

mod deadline;
pub mod held;
mod idempotency;
mod malformed;
mod no_id;
mod order;
mod outage;
mod outcome;
mod poison;
mod put_back;
mod retry;
mod success;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::support::{Broker, Message, Names, Setup, Simulator, Subscription, World, order, until};

/// A world whose polls stay out of the way.
pub fn setup() -> Setup {
    Setup::new().account("poll_interval = \"10s\"")
}

/// The same with this `[commands]` table.
pub fn setup_with(commands: &str) -> Setup {
    setup().tables(&format!(
        "[commands]\nsettle_delay = \"50ms\"\nquick_delay = \"20ms\"\nprobe_delay = \"100ms\"\n{commands}"
    ))
}

/// The end of a command: the first result with its id.
pub async fn result_of(results: &mut Subscription, id: &str) -> Message {
    let mine = |message: &&Message| message.data()["commandId"] == id;
    results.until(|seen| seen.iter().any(|message| mine(&message))).await.iter().find(mine).unwrap().clone()
}

/// Receives until so many results of this command have come, repetitions included.
pub async fn results_of(results: &mut Subscription, id: &str, count: usize) -> Vec<Message> {
    let mine = |message: &&Message| message.data()["commandId"] == id;
    let seen = results.until(|seen| seen.iter().filter(mine).count() >= count).await;
    seen.iter().filter(mine).cloned().collect()
}

/// The outcome's word and, of a failure, the code: `succeeded`, `failed conflict`.
pub fn outcome(result: &Message) -> String {
    match result.data()["error"]["code"].as_str() {
        Some(code) => format!("{} {code}", result.event()),
        None => result.event(),
    }
}

/// Publishes a command and waits for its end.
pub async fn run(world: &World, results: &mut Subscription, key: &str, id: &str, body: &Value) -> Message {
    world.broker.command(key, id, body).await;
    result_of(results, id).await
}

/// The simulator's own record of the outbounds of a number.
pub async fn outbounds_of(simulator: &Simulator, number: &str) -> Vec<Value> {
    simulator.outbounds().await.into_iter().filter(|outbound| outbound["merchantOutboundNumber"] == number).collect()
}

/// Asserts that the simulator holds one outbound of this number, and gives it.
pub async fn only(simulator: &Simulator, number: &str) -> Value {
    let found = outbounds_of(simulator, number).await;
    assert_eq!(found.len(), 1, "{number}: {found:#?}");
    found.into_iter().next().unwrap()
}

/// Stops the bridge and asserts that it leaves no command behind, neither in its queue nor in a waiting queue.
pub async fn leaves_nothing(world: &mut World, broker: &Broker) {
    let commands = world.names.commands();
    assert_eq!(world.bridge.stop().await, Some(0));
    // A repetition of what was answered already may not have had its turn: a stop gives it back.
    for _ in 0..3 {
        if broker.depth(&commands).await > 0 {
            world.bridge.start().await;
            until("the rest to be taken", async || (broker.depth(&commands).await == 0).then_some(())).await;
            assert_eq!(world.bridge.stop().await, Some(0));
        }
    }
    // Whatever was not acknowledged would stand before this.
    broker.command("acme.outbound.get", "the-last", &json!({})).await;
    let mut left = broker.subscribe(&commands).await;
    assert_eq!(left.next().await.id(), "the-last", "a command was left behind");
    for step in ["300ms", "1s"] {
        assert_eq!(broker.depth(&format!("{commands}.wait.{step}")).await, 0, "a command is left waiting in {step}");
    }
}

/// Asserts that no dead letter came beside those received so far.
pub async fn no_more_dead_letters(broker: &Broker, names: &Names, dead: &mut Subscription) {
    let so_far = dead.seen.len();
    broker.publish(&names.dead(), "marker", with_id("marker"), b"").await;
    dead.until(|seen| seen.iter().any(|letter| letter.id() == "marker")).await;
    assert_eq!(dead.seen.len(), so_far + 1, "a dead letter too many: {:#?}", dead.seen.last());
}

pub fn header(name: &str, value: &str) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
    headers
}

pub fn with_id(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into()).with_delivery_mode(2)
}

/// An order of a number, with another quantity than [`order`].
pub fn other_order(number: &str) -> Value {
    let mut body = order(number);
    body["items"][0]["quantity"] = json!(5);
    body
}

/// Waits until the simulator has seen that many requests.
pub async fn requested(simulator: &Simulator, method: &str, path: &str, count: usize) {
    until("the request at the simulator", async || {
        (simulator.requests(method, path).await.len() >= count).then_some(())
    })
    .await;
}
