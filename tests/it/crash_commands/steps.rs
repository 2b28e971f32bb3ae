//! A kill at each step: inbox row, call, outcome, result, dead letter, acknowledgement.

use serde_json::{Value, json};

use super::connection::CommandsProxy;
use crate::commands::{leaves_nothing, no_more_dead_letters, only, outcome, requested, result_of, results_of, setup};
use crate::support::{Broker, Direction, Message, Proxy, Subscription, World, broker, order, until};

/// A world whose bridge reaches the broker through a proxy, and the test's own way past it.
struct Beside {
    world: World,
    broker: Broker,
    results: Subscription,
    dead: Subscription,
    /// Goes last: the bridge's connections lead through it.
    _proxy: Option<Proxy>,
}

impl Beside {
    async fn start(through: &str) -> Self {
        let world = setup().broker(through).start().await;
        let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
        let (results, dead) = (broker.results().await, broker.dead_letters().await);
        Self { world, broker, results, dead, _proxy: None }
    }

    async fn state(&self, id: &str, wanted: &str) {
        let state = "SELECT state FROM commands WHERE id = ?1";
        until(&format!("{id} to be {wanted}"), async || {
            (self.world.db().text(state, [id]).as_deref() == Some(wanted)).then_some(())
        })
        .await;
    }

    /// The one order is there, the one outcome told, and nothing is left.
    async fn ends_well(mut self, wanted: &str, dead_letters: usize) -> Message {
        let result = result_of(&mut self.results, "c-1").await;
        assert_eq!(outcome(&result), wanted, "{}", result.text());
        // What comes behind it shows that it does not stand in the way.
        self.broker.command("acme.outbound.create", "c-2", &order("SO-2")).await;
        assert_eq!(outcome(&result_of(&mut self.results, "c-2").await), "succeeded");
        while self.dead.seen.len() < dead_letters {
            self.dead.next().await;
        }
        leaves_nothing(&mut self.world, &self.broker).await;
        let mine = |message: &&Message| message.data()["commandId"] == "c-1";
        for other in self.results.seen.iter().filter(mine) {
            assert_eq!((other.id(), other.data()), (result.id(), result.data()), "another outcome");
        }
        assert!(self.dead.seen.iter().all(|letter| letter.id() == "c-1"));
        no_more_dead_letters(&self.broker, &self.world.names, &mut self.dead).await;
        result
    }
}

/// Starts a command that hangs in FFN, kills the bridge there and starts it again.
async fn killed_in_the_call(key: &str, body: &Value, method: &str, kind: &str) -> (World, Message, Subscription) {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    if key != "acme.outbound.create" {
        crate::commands::run(&world, &mut results, "acme.outbound.create", "c-0", &order("SO-1")).await;
    }
    world.simulator.fault(json!({"match": {"method": method, "path": "/outbounds"}, "kind": kind})).await;
    world.broker.command(key, "c-1", body).await;
    requested(&world.simulator, method, "/outbounds", if method == "POST" { 1 } else { 0 }).await;
    until("the call to hang", async || {
        let calls = world.simulator.requests(method, "/outbounds").await;
        let hangs = |call: &Value| call["fault"] == kind && (kind == "hang" || !call["effect"].is_null());
        calls.iter().any(hangs).then_some(())
    })
    .await;
    let state = world.db().text("SELECT state FROM commands WHERE id = 'c-1'", []);
    assert_eq!(state.as_deref(), Some("running"), "the inbox row is written before the call");
    world.bridge.kill();
    world.bridge.start().await;
    let result = result_of(&mut results, "c-1").await;
    assert_eq!(outcome(&result), "succeeded", "{}", result.text());
    assert_eq!(result.data()["attempts"], 2);
    (world, result, results)
}

#[tokio::test]
async fn killed_after_the_inbox_row_and_before_ffn_did_anything() {
    let (mut world, result, _results) =
        killed_in_the_call("acme.outbound.create", &order("SO-1"), "POST", "hang").await;
    assert_eq!(result.data()["reconciled"], false);
    only(&world.simulator, "SO-1").await;
    let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn killed_after_ffn_made_the_order_and_before_the_outcome_was_recorded() {
    let (mut world, result, _results) =
        killed_in_the_call("acme.outbound.create", &order("SO-1"), "POST", "hang_after").await;
    assert_eq!(result.data()["reconciled"], true);
    only(&world.simulator, "SO-1").await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
    let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn killed_while_a_cancellation_is_under_way() {
    for (kind, reconciled) in [("hang", false), ("hang_after", true)] {
        let cancel = json!({"outboundId": "SO-1"});
        let (world, result, _results) = killed_in_the_call("acme.outbound.cancel", &cancel, "PUT", kind).await;
        assert_eq!(result.data()["reconciled"], reconciled, "{kind}");
        assert_eq!(only(&world.simulator, "SO-1").await["status"], "Canceled");
    }
}

#[tokio::test]
async fn killed_while_a_change_is_under_way() {
    for kind in ["hang", "hang_after"] {
        let change = json!({"outboundId": "SO-1", "priority": 3});
        let (world, _, mut results) = killed_in_the_call("acme.outbound.update", &change, "PATCH", kind).await;
        let get = json!({"outboundId": "SO-1"});
        let read = crate::commands::run(&world, &mut results, "acme.outbound.get", "c-3", &get).await;
        assert_eq!(read.data()["response"]["priority"], 3);
    }
}

/// Runs a command while nothing gets from the bridge to the broker, and kills the bridge when the
/// command has that state.
async fn killed_unheard(body: &Value, state: &str) -> Beside {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let mut beside = Beside::start(&through).await;
    proxy.hold(Direction::Up);
    beside.broker.command("acme.outbound.create", "c-1", body).await;
    beside.state("c-1", state).await;
    let none_told = "SELECT coalesce(max(confirmed), 0) FROM lanes WHERE lane LIKE 'result%'";
    assert_eq!(beside.world.db().number(none_told, []), 0);
    beside.world.bridge.kill();
    proxy.cut();
    proxy.release(Direction::Up);
    assert!(beside.results.seen.is_empty());
    beside.world.bridge.start().await;
    beside._proxy = Some(proxy);
    beside
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_outcome_was_recorded_and_before_anybody_heard_of_it() {
    let beside = killed_unheard(&order("SO-1"), "finished").await;
    only(&beside.world.simulator, "SO-1").await;
    let posts = beside.world.simulator.requests("POST", "/outbounds").await.len();
    assert_eq!(posts, 1);
    let result = beside.ends_well("succeeded", 0).await;
    assert_eq!((&result.data()["attempts"], &result.data()["reconciled"]), (&json!(1), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_a_failure_was_recorded_and_before_it_was_set_aside() {
    let mut body = order("SO-1");
    body["items"][0]["merchantSku"] = json!("NO-SUCH");
    let beside = killed_unheard(&body, "finished").await;
    assert_eq!(beside.world.simulator.requests("POST", "/outbounds").await.len(), 1);
    let result = beside.ends_well("failed rejected", 1).await;
    assert_eq!(result.data()["attempts"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_a_wait_was_recorded_and_before_the_command_was_in_the_waiting_queue() {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let mut beside = Beside::start(&through).await;
    let away = json!({"match": {"method": "POST", "path": "/outbounds"}, "times": 3, "kind": {"status": 500}});
    beside.world.simulator.fault(away).await;
    proxy.hold(Direction::Up);
    beside.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    requested(&beside.world.simulator, "POST", "/outbounds", 3).await;
    beside.state("c-1", "waiting").await;
    beside.world.bridge.kill();
    proxy.cut();
    proxy.release(Direction::Up);
    beside.world.bridge.start().await;
    only_after_result(&mut beside).await;
    let result = beside.ends_well("succeeded", 0).await;
    assert_eq!(result.data()["attempts"], 2);
}

async fn only_after_result(beside: &mut Beside) {
    result_of(&mut beside.results, "c-1").await;
    only(&beside.world.simulator, "SO-1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_result_was_published_and_before_the_acknowledgement() {
    let (proxy, through) = CommandsProxy::before_broker(&broker::shared_url()).await;
    let mut beside = Beside::start(&through).await;
    // Results pass; what goes up on the connection that takes commands does not.
    proxy.hold_acknowledgements();
    beside.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    let first = result_of(&mut beside.results, "c-1").await;
    beside.world.bridge.kill();
    proxy.cut();
    proxy.release();
    beside.world.bridge.start().await;
    let both = results_of(&mut beside.results, "c-1", 2).await;
    assert_eq!(both[1].id(), first.id());
    assert_eq!(both[1].data(), first.data());
    only(&beside.world.simulator, "SO-1").await;
    assert_eq!(beside.world.simulator.requests("POST", "/outbounds").await.len(), 1);
    beside.ends_well("succeeded", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_a_failed_command_was_set_aside_and_before_the_acknowledgement() {
    let (proxy, through) = CommandsProxy::before_broker(&broker::shared_url()).await;
    let mut beside = Beside::start(&through).await;
    proxy.hold_acknowledgements();
    let mut body = order("SO-1");
    body["items"][0]["merchantSku"] = json!("NO-SUCH");
    beside.broker.command("acme.outbound.create", "c-1", &body).await;
    beside.dead.next().await;
    let recorded = "SELECT set_aside FROM commands WHERE id = 'c-1'";
    until("the dead letter to be on record", async || (beside.world.db().number(recorded, []) == 1).then_some(()))
        .await;
    beside.world.bridge.kill();
    proxy.cut();
    proxy.release();
    beside.world.bridge.start().await;
    results_of(&mut beside.results, "c-1", 2).await;
    assert_eq!(beside.world.simulator.requests("POST", "/outbounds").await.len(), 1);
    // One dead letter is enough: there is no second.
    beside.ends_well("failed rejected", 1).await;
}
