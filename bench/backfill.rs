//! How long a change takes to a subscriber while a backfill runs, against the time without one in the same run.
//!
//! A bridge follows a feed in which orders are made at an even pace. In turns nothing else happens, and another
//! process reads thousands of old orders into the same database, from the same API, for the same relay. The delay of
//! a live event is that from FFN's stamp to its arrival at the subscriber. Afterwards what has arrived is compared
//! with what was made: each event once, the old and the new.
//!
//! Run it with `make bench`. Figures of a noisy machine: compare within one run, don't quote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use serde_json::Value;

mod support;

use support::{Bridge, Ended, Queue, channel, post};

/// Old orders that each backfill tells of; each gives the events `created` and `pending`.
const OLD: usize = 4_000;
const EVENTS_AN_ORDER: usize = 2;
/// Items on a page of the feed.
const PAGE: usize = 50;
/// Turns with and without a backfill.
const TURNS: usize = 3;
/// Calls in a second of a backfill.
const RATE: &str = "30";
/// Time between two live orders.
const PACE: Duration = Duration::from_millis(100);
/// How long a turn without a backfill is.
const QUIET: Duration = Duration::from_secs(15);

/// What a subscriber has received.
#[derive(Default)]
struct Received {
    /// How often each event of each order came.
    events: BTreeMap<(String, String), usize>,
    /// When live events came, and how long they took, in milliseconds.
    delays: Vec<(Instant, f64)>,
}

#[tokio::main]
async fn main() {
    let url = support::broker();
    let (_simulator, base) = support::simulator(PAGE);
    let control = |path: &str| format!("{base}/_simulator/{path}");
    let mut periods = Vec::new();
    for turn in 0..TURNS {
        let begin = clock(&base).await;
        post(&control("outbounds/bulk"), format!(r#"{{"count":{OLD},"prefix":"OLD-{turn}-"}}"#)).await;
        post(&control("clock"), r#"{"advance":"10m"}"#.to_owned()).await;
        periods.push((begin, clock(&base).await));
    }
    let ahead = clock(&base).await - Utc::now();
    let prefix = format!("bench.{}", uuid::Uuid::new_v4().simple());
    let channel = channel(&url).await;
    let queue = Queue::make(&channel, &prefix).await;
    let lines = "poll_interval = \"1s\"\nsafety_lag = \"0s\"\noverlap = \"10s\"\nrate_limit = \"100/s\"";
    let bridge = Bridge::new(&url, &base, &prefix, lines);
    bridge.login("demo-refresh-token");
    let process = Ended(bridge.command(&["run"]).spawn().unwrap());
    let received = Arc::new(Mutex::new(Received::default()));
    let name = format!("{prefix}.q");
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let messages =
        channel.basic_consume(name.as_str().into(), "".into(), options, FieldTable::default()).await.unwrap();
    tokio::spawn(receive(messages, ahead, received.clone()));

    let end = Arc::new(AtomicBool::new(false));
    let live = tokio::spawn(live(control("outbounds/bulk"), end.clone()));
    // The feed has begun, and the first orders are through.
    until(|| received.lock().unwrap().delays.len() > 20).await;
    println!(
        "{OLD} old orders a backfill at {RATE} calls/s, {} live orders/s, {TURNS} turns each",
        1.0 / PACE.as_secs_f64()
    );
    println!("{:<10} {:>8} {:>8} {:>10} {:>10} {:>10}", "turn", "seconds", "events", "p50 ms", "p95 ms", "max ms");
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for (from, to) in periods {
        let begun = Instant::now();
        tokio::time::sleep(QUIET).await;
        quiet.extend(report("without", &received, begun));
        let begun = Instant::now();
        let arguments = ["backfill", "acme", "--rate", RATE, "--from", &stamp(from), "--to", &stamp(to)];
        let mut backfill = bridge.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let status = loop {
            if let Some(status) = backfill.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success());
        busy.extend(report("with", &received, begun));
    }
    end.store(true, Ordering::Relaxed);
    let made = live.await.unwrap();
    let wanted = (made + OLD * TURNS) * EVENTS_AN_ORDER;
    until(|| received.lock().unwrap().events.len() >= wanted).await;
    let (p50, p95) =
        (percentile(&busy, 0.5) / percentile(&quiet, 0.5), percentile(&busy, 0.95) / percentile(&quiet, 0.95));
    println!();
    println!("live delay with a backfill to without one: p50 {p50:.2}, p95 {p95:.2}");
    let numbers = |prefix: String, count: usize| (1..=count).map(move |number| format!("{prefix}{number:06}"));
    let old = (0..TURNS).flat_map(|turn| numbers(format!("OLD-{turn}-"), OLD));
    let orders = old.chain(numbers("LIVE-".to_owned(), made));
    let asked: BTreeMap<_, _> =
        orders.flat_map(|order| ["created", "pending"].map(|event| ((order.clone(), event.to_owned()), 1))).collect();
    assert!(received.lock().unwrap().events == asked, "what was told is not what was made");
    println!("sets are equal: {} events of {made} live and {} old orders, each once", asked.len(), OLD * TURNS);
    drop(process);
    queue.delete().await;
}

/// Makes orders at an even pace until the end, and gives their number.
async fn live(url: String, end: Arc<AtomicBool>) -> usize {
    let mut pace = tokio::time::interval(PACE);
    let mut made = 0;
    while !end.load(Ordering::Relaxed) {
        pace.tick().await;
        made += 1;
        post(&url, format!(r#"{{"count":1,"prefix":"LIVE-","start":{made}}}"#)).await;
    }
    made
}

async fn receive(mut messages: lapin::Consumer, ahead: TimeDelta, received: Arc<Mutex<Received>>) {
    while let Some(Ok(delivery)) = messages.next().await {
        let now = Utc::now() + ahead;
        let event: Value = serde_json::from_slice(&delivery.data).unwrap();
        let number = event["data"]["merchantOutboundNumber"].as_str().unwrap().to_owned();
        let at: DateTime<Utc> = event["time"].as_str().unwrap().parse().unwrap();
        let mut received = received.lock().unwrap();
        if number.starts_with("LIVE-") {
            received.delays.push((Instant::now(), (now - at).as_seconds_f64() * 1000.0));
        }
        let name = event["type"].as_str().unwrap().split('.').nth(2).unwrap().to_owned();
        *received.events.entry((number, name)).or_default() += 1;
    }
}

/// Prints a turn, and gives the delays of the events that came in it.
fn report(name: &str, received: &Mutex<Received>, begun: Instant) -> Vec<f64> {
    let received = received.lock().unwrap();
    let delays: Vec<f64> = received.delays.iter().filter(|(at, _)| *at >= begun).map(|(_, delay)| *delay).collect();
    println!(
        "{name:<10} {:>8.1} {:>8} {:>10.0} {:>10.0} {:>10.0}",
        begun.elapsed().as_secs_f64(),
        delays.len(),
        percentile(&delays, 0.5),
        percentile(&delays, 0.95),
        percentile(&delays, 1.0),
    );
    delays
}

fn percentile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// FFN's clock.
async fn clock(base: &str) -> DateTime<Utc> {
    let state = reqwest::get(format!("{base}/_simulator/state")).await.unwrap().text().await.unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    state["clock"].as_str().unwrap().parse().unwrap()
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

async fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing more has come in 120 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
