//! The broker's connection breaks, or the bridge is away: commands wait and are carried out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lapin::BasicProperties;
use lapin::types::AMQPValue;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::commands::held::own_way;
use crate::commands::{leaves_nothing, only, outcome, requested, result_of, setup, with_id};
use crate::support::{Broker, Direction, Message, Proxy, broker, order, until};

/// A proxy in front of the broker that can hold what the bridge's consuming connection sends, its
/// acknowledgements, while the publishing connection goes on.
pub struct CommandsProxy {
    held: Arc<AtomicBool>,
    cuts: watch::Sender<u64>,
}

/// How the bridge names the connection; it stands in the handshake.
const CONSUMER: &[u8] = b"ffn-bridge consumer";

impl CommandsProxy {
    /// The proxy, and the URL that leads through it.
    pub async fn before_broker(url: &str) -> (Self, String) {
        let parsed = url::Url::parse(url).unwrap();
        let upstream = format!("{}:{}", parsed.host_str().unwrap(), parsed.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = url.replacen(&upstream, &listener.local_addr().unwrap().to_string(), 1);
        let proxy = Self { held: Arc::default(), cuts: watch::Sender::new(0) };
        let (held, cuts) = (proxy.held.clone(), proxy.cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&upstream).await else { continue };
                let (held, mut cut) = (held.clone(), cuts.subscribe());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, server, held) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        (proxy, through)
    }

    pub fn hold_acknowledgements(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
    }

    /// Ends every connection, with what is held of it.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(client: TcpStream, server: TcpStream, held: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let down = async { drop(tokio::io::copy(&mut from_server, &mut to_client).await) };
    let up = async {
        let (mut buffer, mut begin, mut is_consumer) = (vec![0; 64 * 1024], Vec::new(), false);
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if begin.len() < 4096 {
                begin.extend_from_slice(&buffer[..count]);
                is_consumer = begin.windows(CONSUMER.len()).any(|window| window == CONSUMER);
            }
            // What is held once is held until the connection is cut.
            if is_consumer && held.load(Ordering::SeqCst) {
                return std::future::pending().await;
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = down => {}, () = up => {} }
}

#[tokio::test]
async fn commands_sent_while_the_bridge_is_away_are_carried_out_when_it_is_back() {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    for (stop, number) in [(true, 0), (false, 10)] {
        if stop {
            assert_eq!(world.bridge.stop().await, Some(0));
        } else {
            world.bridge.kill();
        }
        for number in number..number + 10 {
            world.broker.command("acme.outbound.create", &format!("c-{number}"), &order(&format!("SO-{number}"))).await;
        }
        world.bridge.start().await;
        for number in number..number + 10 {
            assert_eq!(outcome(&result_of(&mut results, &format!("c-{number}")).await), "succeeded");
            only(&world.simulator, &format!("SO-{number}")).await;
        }
    }
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 20);
    let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_to_the_broker_breaks_again_and_again_while_commands_run() {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let mut world = setup().broker(&through).start().await;
    let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    let mut results = broker.results().await;
    let post = json!({"method": "POST", "path": "/outbounds"});
    world.simulator.fault(json!({"match": post, "times": 0, "kind": {"delay_ms": 60}})).await;
    for number in 0..40 {
        let key = "acme.outbound.create";
        broker.command(key, &format!("c-{number}"), &order(&format!("SO-{number}"))).await;
    }
    for done in [3, 9, 15, 24, 33] {
        requested(&world.simulator, "POST", "/outbounds", done).await;
        proxy.cut();
    }
    results.distinct(40).await;
    for number in 0..40 {
        only(&world.simulator, &format!("SO-{number}")).await;
    }
    assert!(results.first_of_each().iter().all(|result| outcome(result) == "succeeded"));
    assert_eq!(results.first_of_each().len(), 40, "a command has two outcomes");
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_breaks_during_a_call_and_the_call_is_not_repeated() {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let world = setup().broker(&through).start().await;
    let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    let mut results = broker.results().await;
    for (index, properties) in [with_id("c-1"), BasicProperties::default()].into_iter().enumerate() {
        let post = json!({"method": "POST", "path": "/outbounds"});
        world.simulator.fault(json!({"match": post, "kind": {"delay_ms": 800}})).await;
        let body = order(&format!("SO-{index}")).to_string();
        broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
        requested(&world.simulator, "POST", "/outbounds", index + 1).await;
        proxy.cut();
        let number = format!("SO-{index}");
        let mine = |message: &Message| message.data()["response"]["merchantOutboundNumber"] == *number;
        results.until(|seen| seen.iter().any(mine)).await;
        only(&world.simulator, &format!("SO-{index}")).await;
    }
    run_once_more(&broker, &mut results).await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 3);
}

async fn run_once_more(broker: &Broker, results: &mut crate::support::Subscription) {
    broker.command("acme.outbound.create", "last", &order("SO-LAST")).await;
    assert_eq!(outcome(&result_of(results, "last").await), "succeeded");
}

#[tokio::test]
async fn a_command_whose_time_is_up_before_the_bridge_takes_it_is_set_aside_and_not_carried_out() {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    assert_eq!(world.bridge.stop().await, Some(0));
    let body = order("SO-1").to_string();
    let short_lived = with_id("c-1").with_expiration("100".into()).with_correlation_id("corr".into());
    world.broker.publish(&world.names.commands(), "acme.outbound.create", short_lived, body.as_bytes()).await;
    let letter = dead.next().await;
    assert_eq!((letter.id(), letter.text()), ("c-1".to_owned(), body));
    assert_eq!(letter.routing_key, "acme.outbound.create");
    assert_eq!(letter.properties.correlation_id().as_ref().unwrap().as_str(), "corr");
    // The broker did it, so its own header says why.
    let headers = letter.properties.headers().clone().unwrap();
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { panic!("no x-death: {headers:?}") };
    let AMQPValue::FieldTable(death) = &deaths.as_slice()[0] else { panic!("{deaths:?}") };
    let text = |name: &str| match death.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!((text("reason"), text("queue")), ("expired".to_owned(), world.names.commands()));
    assert_eq!(letter.header("x-first-death-reason").as_deref(), Some("expired"));
    world.bridge.start().await;
    // One that has time enough is carried out; the late one is not.
    let patient = with_id("c-2").with_expiration("60000".into());
    let body = order("SO-2").to_string();
    world.broker.publish(&world.names.commands(), "acme.outbound.create", patient, body.as_bytes()).await;
    assert_eq!(outcome(&result_of(&mut results, "c-2").await), "succeeded");
    assert_eq!(world.simulator.outbounds().await.len(), 1);
    assert_eq!(results.seen.len(), 1);
}

#[tokio::test]
async fn a_command_with_an_expiration_is_lost_neither_while_it_waits_nor_as_a_dead_letter() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let away = json!({"match": {"method": "POST", "path": "/outbounds"}, "times": 0, "kind": {"status": 500}});
    world.simulator.fault(away).await;
    let body = order("SO-1").to_string();
    // It runs out in the waiting queue: too late to be carried out, and its publisher is told.
    let properties = with_id("c-1").with_expiration("250".into());
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    assert_eq!(outcome(&result_of(&mut results, "c-1").await), "failed retries-exhausted");
    assert!(world.simulator.outbounds().await.is_empty());
    let mut dead = world.broker.dead_letters().await;
    let letter = dead.next().await;
    assert_eq!((letter.id().as_str(), letter.text(), letter.properties.expiration()), ("c-1", body, &None));
    // Nobody would notice a dead letter that runs out.
    let properties = with_id("c-3").with_expiration("20000".into());
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, b"{}").await;
    assert_eq!(dead.next().await.properties.expiration(), &None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_bridge_had_taken_comes_first_though_the_broker_still_believes_it_alive() {
    let (proxy, through) = Proxy::before_broker(&broker::shared_url()).await;
    let mut world = setup().account("feeds = []").broker_lines("prefetch = 2").through(&through).start().await;
    let broker = own_way(&world).await;
    let mut results = broker.results().await;
    world.simulator.fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "hang"})).await;
    // Two are taken, one of them is begun, and the others are still in the queue.
    broker.command("acme.outbound.create", "c-0", &order("SO-1")).await;
    for step in 1..5 {
        let change = json!({"outboundId": "SO-1", "externalNumber": format!("step-{step}")});
        broker.command("acme.outbound.update", &format!("c-{step}"), &change).await;
    }
    requested(&world.simulator, "POST", "/outbounds", 1).await;
    until("two to be taken", async || (broker.depth(&world.names.commands()).await == 3).then_some(())).await;
    // As if its machine had lost its power: the broker's end of the connections stays open.
    proxy.hold(Direction::Up);
    proxy.hold(Direction::Down);
    world.bridge.kill();
    world.set_config(&world.config().replace(&through, &broker::shared_url()));
    world.bridge.start_unready().await;
    proxy.cut();
    results.distinct(5).await;
    let ids: Vec<String> = results.seen.iter().map(|it| it.data()["commandId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["c-0", "c-1", "c-2", "c-3", "c-4"]);
    assert!(results.seen.iter().all(|result| outcome(result) == "succeeded"), "{:#?}", results.seen);
    leaves_nothing(&mut world, &broker).await;
}
