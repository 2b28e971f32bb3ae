//! Commands per second from publishing to result, against a bare loop of calls in the same run.
//!
//! The bare loop sends the same orders to the same simulator with the same token, as many at a time as the bridge may,
//! with the HTTP client that the bridge has; it keeps nothing, checks nothing and forgets everything. The bridge takes its
//! orders from the broker, writes each down before the call and after it, and publishes a result, which is received.
//! Both go in turns, twice: against a simulator that answers as fast as it can, and against one that takes as long as
//! an API elsewhere does. Afterwards the simulator holds each order once.
//!
//! Run it with `make bench`. Figures of a noisy machine: compare within one run, don't quote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Consumer};
use serde_json::{Value, json};

mod support;

use support::{Bridge, Ended, Queue, channel, cpu_seconds, median, post};

/// Orders of a turn.
const ORDERS: usize = 3_000;
/// Orders of a turn against the slow simulator.
const FEW: usize = 1_000;
/// How long the slow one takes.
const SLOW: Duration = Duration::from_millis(50);
/// Turns of each side.
const TURNS: usize = 3;
/// Calls at a time.
const CONCURRENCY: usize = 16;

/// What both sides need.
struct World {
    base: String,
    access: String,
    channel: Channel,
    prefix: String,
    bridge: u32,
    /// Orders so far: no number comes twice.
    orders: AtomicUsize,
}

/// A finished turn.
struct Turn {
    per_second: f64,
    /// Of the bridge, for a thousand.
    cpu_seconds: f64,
}

#[tokio::main]
async fn main() {
    let url = support::broker();
    let (_simulator, base) = support::simulator(50);
    let prefix = format!("bench.{}", uuid::Uuid::new_v4().simple());
    let channel = channel(&url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let queue = Queue::make(&channel, &prefix).await;
    let lines = format!("poll_interval = \"1h\"\nrate_limit = \"100000/s\"\nmax_concurrency = {CONCURRENCY}");
    let bridge = Bridge::with_broker_lines(&url, &base, &prefix, "prefetch = 200", &lines);
    bridge.login("demo-refresh-token");
    let database = rusqlite::Connection::open(&bridge.database).unwrap();
    let access: String = database.query_row("SELECT access FROM logins", [], |row| row.get(0)).unwrap();
    drop(database);
    let process = Ended(bridge.command(&["run"]).spawn().unwrap());
    let (bridge, orders) = (process.0.id(), AtomicUsize::new(0));
    let mut results = subscribe(&channel, &prefix).await;
    let world = World { base, access, channel: channel.clone(), prefix, bridge, orders };
    // Whatever is made at the first call, on either side, is made before the clock runs.
    world.bare(CONCURRENCY).await;
    world.bridged(CONCURRENCY, &mut results).await;

    println!("{CONCURRENCY} calls at a time, {TURNS} turns each");
    println!("{:<8} {:<8} {:>10} {:>22}", "answers", "side", "orders/s", "CPU s / 1,000 orders");
    let fast = world.compare("at once", ORDERS, &mut results).await;
    let kind =
        json!({"match": {"method": "POST", "path": "/outbounds"}, "times": 0, "kind": {"delay_ms": SLOW.as_millis()}});
    post(&format!("{}/_simulator/faults", world.base), kind.to_string()).await;
    let slow = world.compare("in 50 ms", FEW, &mut results).await;
    println!();
    println!("orders/s, bridge to bare loop, answers at once: {fast}");
    println!("orders/s, bridge to bare loop, answers in 50 ms: {slow}");
    let state = reqwest::get(format!("{}/_simulator/outbounds", world.base)).await.unwrap().text().await.unwrap();
    let held: Value = serde_json::from_str(&state).unwrap();
    let made = world.orders.load(Ordering::Relaxed);
    let count = held["outbounds"].as_array().unwrap().len();
    assert_eq!(count, made, "the simulator holds another number of orders");
    println!("the simulator holds each of the {made} orders once");
    drop(process);
    queue.delete().await;
}

impl World {
    /// Both sides in turns; gives the ratio of their medians, and between which the turns' own lie.
    async fn compare(&self, answers: &str, count: usize, results: &mut Consumer) -> String {
        let (mut bridge, mut bare) = (Vec::new(), Vec::new());
        for turn in 0..TURNS {
            // Who begins changes, so that neither always finds the warmer machine.
            for side in if turn % 2 == 0 { ["bare", "bridge"] } else { ["bridge", "bare"] } {
                let (result, into) = match side {
                    "bare" => (self.bare(count).await, &mut bare),
                    _ => (self.bridged(count, results).await, &mut bridge),
                };
                println!("{answers:<8} {side:<8} {:>10.0} {:>22.2}", result.per_second, result.cpu_seconds);
                into.push(result);
            }
        }
        let speed = |turns: &[Turn]| median(turns.iter().map(|turn| turn.per_second));
        let ratios: Vec<f64> = bridge.iter().zip(&bare).map(|(one, other)| one.per_second / other.per_second).collect();
        let (low, high) = (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        format!("{:.2} (turns: {low:.2} to {high:.2})", speed(&bridge) / speed(&bare))
    }

    /// The bodies of as many new orders.
    fn bodies(&self, count: usize) -> Vec<String> {
        let first = self.orders.fetch_add(count, Ordering::Relaxed);
        let body = |number: usize| {
            json!({
                "merchantOutboundNumber": format!("B-{number:06}"), "warehouseId": "WARE04MAIN-00001-0001", "currency": "EUR",
                "shippingType": "Standard",
                "shippingAddress": {"firstname": "Ida", "lastname": "Beispiel", "street": "Hauptweg 3", "zip": "12345",
                    "city": "Musterstadt", "country": "DE"},
                "items": [{"outboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 1}]
            })
            .to_string()
        };
        (first..first + count).map(body).collect()
    }

    /// The bare loop.
    async fn bare(&self, count: usize) -> Turn {
        let bodies = Arc::new(self.bodies(count));
        let next = Arc::new(AtomicUsize::new(0));
        let (http, url) = (reqwest::Client::new(), format!("{}/api/v1/merchant/outbounds", self.base));
        let begun = Instant::now();
        let loops = (0..CONCURRENCY).map(|_| {
            let (bodies, next, http, url) = (bodies.clone(), next.clone(), http.clone(), url.clone());
            let access = self.access.clone();
            tokio::spawn(async move {
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let request = http.post(&url).bearer_auth(&access).header("content-type", "application/json");
                    let answer = request.body(body.clone()).send().await.unwrap().error_for_status().unwrap();
                    answer.bytes().await.unwrap();
                }
            })
        });
        for ended in join_all(loops).await {
            ended.unwrap();
        }
        Turn { per_second: count as f64 / begun.elapsed().as_secs_f64(), cpu_seconds: 0.0 }
    }

    /// The same through broker and bridge: from the first command to the last result.
    async fn bridged(&self, count: usize, results: &mut Consumer) -> Turn {
        let bodies = self.bodies(count);
        let exchange = format!("{}.commands", self.prefix);
        let (begun, cpu) = (Instant::now(), cpu_seconds(self.bridge));
        let publish = async {
            let mut confirms = Vec::with_capacity(count);
            for body in &bodies {
                let properties = BasicProperties::default()
                    .with_message_id(uuid::Uuid::new_v4().to_string().into())
                    .with_content_type("application/json".into())
                    .with_delivery_mode(2);
                let (exchange, options) = (exchange.as_str().into(), BasicPublishOptions::default());
                let key = "acme.outbound.create".into();
                confirms.push(
                    self.channel.basic_publish(exchange, key, options, body.as_bytes(), properties).await.unwrap(),
                );
            }
            try_join_all(confirms).await.unwrap();
        };
        let receive = async {
            for received in 0..count {
                let result = tokio::time::timeout(Duration::from_secs(60), results.next()).await;
                let result = result.unwrap_or_else(|_| panic!("{received} of {count} results")).unwrap().unwrap();
                assert!(
                    result.routing_key.as_str().ends_with(".succeeded"),
                    "{}",
                    String::from_utf8_lossy(&result.data)
                );
            }
        };
        tokio::join!(publish, receive);
        let per_second = count as f64 / begun.elapsed().as_secs_f64();
        Turn { per_second, cpu_seconds: (cpu_seconds(self.bridge) - cpu) * 1000.0 / count as f64 }
    }
}

/// Takes the results as soon as the bridge has made their exchange.
async fn subscribe(channel: &Channel, prefix: &str) -> Consumer {
    let (queue, exchange) = (format!("{prefix}.q"), format!("{prefix}.results"));
    let patience = Instant::now();
    let url = support::broker();
    loop {
        // A missing exchange closes the channel.
        let own = support::channel(&url).await;
        let (name, table) = (queue.as_str().into(), FieldTable::default());
        if own.queue_bind(name, exchange.as_str().into(), "#".into(), QueueBindOptions::default(), table).await.is_ok()
        {
            break;
        }
        assert!(patience.elapsed() < Duration::from_secs(60), "the bridge does not come up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await.unwrap()
}
