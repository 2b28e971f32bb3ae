//! Events per second from feed to confirmed, against a bare pipe in the same run.
//!
//! The bare pipe reads the same pages of the same simulator and publishes as many messages of the same
//! shape (headers, properties, size of the body) to the same exchange and quorum queue, in bursts,
//! mandatory, persistent and confirmed; it keeps no journal, derives nothing and forgets everything. What the bridge does on top of that is what the
//! ratio shows. Both run as processes of their own, in turns, and each fills a queue that is empty.
//!
//! Run it with `make bench`. Figures of a noisy machine: compare within one run, don't quote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss)]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use serde_json::value::RawValue;

mod support;

use support::{Bridge, Ended, Queue, channel, cpu_seconds, median, post};

/// Orders that the simulator holds; each gives the events `created` and `pending`.
const ORDERS: usize = 10_000;
const EVENTS_AN_ORDER: usize = 2;
/// Items on a page of the feed.
const PAGE: usize = 50;
/// Turns of each side.
const TURNS: usize = 3;
/// What an event's envelope and own fields add to the entity in the body, bytes.
const ENVELOPE: usize = 690;
/// The headers of an event, with values as long as the bridge's.
const HEADERS: [(&str, usize); 12] = [
    ("account", 4),
    ("dataschema", 49),
    ("id", 36),
    ("partitionkey", 14),
    ("recordedtime", 30),
    ("role", 8),
    ("sequence", 20),
    ("source", 9),
    ("specversion", 3),
    ("subject", 14),
    ("time", 24),
    ("type", 24),
];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--bare") {
        Some(at) => bare(&arguments[at + 1..]).await,
        None => compare().await,
    }
}

/// A finished turn.
struct Turn {
    events_per_second: f64,
    cpu_seconds: f64,
    memory_mb: f64,
}

async fn compare() {
    let url = support::broker();
    let simulator = Simulator::start().await;
    let channel = channel(&url).await;
    println!("{ORDERS} orders, {} events, pages of {PAGE}, {TURNS} turns each", ORDERS * EVENTS_AN_ORDER);
    println!("{:<8} {:>12} {:>22} {:>12}", "side", "events/s", "CPU s / 10,000 events", "peak MB");
    let (mut bridge, mut bare) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        // Who begins changes, so that neither always finds the warmer machine.
        for side in if turn % 2 == 0 { ["bare", "bridge"] } else { ["bridge", "bare"] } {
            let prefix = format!("bench.{}", uuid::Uuid::new_v4().simple());
            let queue = Queue::make(&channel, &prefix).await;
            let (result, into) = match side {
                "bare" => (fill(&queue, start_bare(&url, &simulator, &prefix)).await, &mut bare),
                _ => (fill(&queue, start_bridge(&url, &simulator, &prefix)).await, &mut bridge),
            };
            queue.delete().await;
            println!(
                "{side:<8} {:>12.0} {:>22.2} {:>12.0}",
                result.events_per_second, result.cpu_seconds, result.memory_mb
            );
            into.push(result);
        }
    }
    let speed = |turns: &[Turn]| median(turns.iter().map(|turn| turn.events_per_second));
    let cpu = |turns: &[Turn]| median(turns.iter().map(|turn| turn.cpu_seconds));
    println!();
    println!("events/s, bridge to bare pipe (medians): {:.2}", speed(&bridge) / speed(&bare));
    println!("CPU seconds per 10,000 events: bridge {:.2}, bare pipe {:.2}", cpu(&bridge), cpu(&bare));
}

struct Simulator {
    _process: Ended,
    base: String,
    /// Begin and end of a window that holds every order.
    window: (String, String),
}

impl Simulator {
    async fn start() -> Self {
        let (process, base) = support::simulator(PAGE);
        let begin = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
        let body = format!(r#"{{"count":{ORDERS},"prefix":"B-"}}"#);
        post(&format!("{base}/_simulator/outbounds/bulk"), body).await;
        // Past the last stamp, so that one window holds all.
        post(&format!("{base}/_simulator/clock"), r#"{"advance":"120s"}"#.to_owned()).await;
        let end = begin + chrono::TimeDelta::seconds(100);
        let bound = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        Self { _process: process, base, window: (bound(begin), bound(end)) }
    }
}

/// Waits until the process has filled the queue. The clock runs from the first message to the last.
async fn fill(queue: &Queue<'_>, process: Child) -> Turn {
    let mut process = Ended(process);
    let wanted = ORDERS * EVENTS_AN_ORDER;
    let mut first: Option<(Instant, usize)> = None;
    let patience = Instant::now();
    let (seconds, events) = loop {
        let depth = queue.depth().await;
        if depth > 0 && first.is_none() {
            first = Some((Instant::now(), depth));
        }
        if let Some((begun, before)) = first
            && depth >= wanted
        {
            break (begun.elapsed().as_secs_f64(), wanted - before);
        }
        assert!(patience.elapsed() < Duration::from_secs(120), "{depth} of {wanted} messages in 120 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let id = process.0.id();
    let (mut cpu, memory_mb) = (cpu_seconds(id), peak_memory_mb(id));
    // What is done after the last message (recording, reading the window again) counts as well.
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = cpu_seconds(id);
        if process.0.try_wait().unwrap().is_some() || now - cpu < 0.02 {
            break;
        }
        cpu = now;
    }
    Turn { events_per_second: events as f64 / seconds, cpu_seconds: cpu * 10_000.0 / wanted as f64, memory_mb }
}

fn peak_memory_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
}

fn start_bridge(url: &str, simulator: &Simulator, prefix: &str) -> Child {
    let lines = format!(
        r#"poll_interval = "1h"
overlap = "0s"
safety_lag = "0s"
rate_limit = "100000/s"
start = "{}""#,
        simulator.window.0
    );
    let bridge = Bridge::new(url, &simulator.base, prefix, &lines);
    bridge.login(&next_refresh_token());
    keep_refresh_token(&bridge.database);
    bridge.command(&["run"]).spawn().unwrap()
}

/// The simulator's refresh tokens work once, as FFN's do: each turn takes over where the last one ended.
fn next_refresh_token() -> String {
    std::fs::read_to_string(token_file()).unwrap_or_else(|_| "demo-refresh-token".to_owned())
}

fn keep_refresh_token(database: &std::path::Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let token: String = connection.query_row("SELECT refresh FROM logins", [], |row| row.get(0)).unwrap();
    std::fs::write(token_file(), token).unwrap();
}

fn token_file() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("ffn-bridge-bench-token.{}", std::process::id()))
}

fn start_bare(url: &str, simulator: &Simulator, prefix: &str) -> Child {
    let token = next_refresh_token();
    Command::new(std::env::current_exe().unwrap())
        .args(["--bare", url, &simulator.base, prefix, &simulator.window.0, &simulator.window.1, token.trim()])
        .env("BENCH_TOKEN_FILE", token_file())
        .spawn()
        .unwrap()
}

/// The bare pipe: `URL BASE PREFIX FROM TO REFRESH_TOKEN`.
async fn bare(arguments: &[String]) {
    let [url, base, prefix, from, to, refresh] = arguments else { panic!("--bare takes six arguments") };
    let http = reqwest::Client::new();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let request = http
        .post(format!("{base}/token"))
        .basic_auth("demo-client", Some("demo-secret"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
    let tokens: serde_json::Value = serde_json::from_str(&answer).unwrap();
    std::fs::write(std::env::var("BENCH_TOKEN_FILE").unwrap(), tokens["refresh_token"].as_str().unwrap()).unwrap();
    let access = tokens["access_token"].as_str().unwrap().to_owned();
    let channel = channel(url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let exchange = format!("{prefix}.events");
    let encoded = |time: &str| time.replace(':', "%3A");
    let page = |number: usize| {
        let url = format!(
            "{base}/api/v1/merchant/outbounds/updates?fromDate={}&toDate={}&page={number}",
            encoded(from),
            encoded(to)
        );
        let (http, access) = (http.clone(), access.clone());
        async move {
            let answer = http.get(url).bearer_auth(access).send().await.unwrap().error_for_status().unwrap();
            answer.bytes().await.unwrap()
        }
    };
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
        more_data_available: bool,
    }
    let mut number = 1;
    let mut body = page(number).await;
    loop {
        let bytes = body.clone();
        let read: Page<'_> = serde_json::from_slice(&bytes).unwrap();
        // The next page is fetched while this one is published.
        let publish = publish(&channel, &exchange, &read.data);
        if !read.more_data_available {
            publish.await;
            return;
        }
        number += 1;
        (_, body) = tokio::join!(publish, page(number));
    }
}

/// As many messages an order as the bridge makes, of about the size of the bridge's, as one burst.
async fn publish(channel: &Channel, exchange: &str, items: &[&RawValue]) {
    let mut confirms = Vec::with_capacity(items.len() * EVENTS_AN_ORDER);
    for item in items {
        for event in ["created", "pending"] {
            let mut body = Vec::with_capacity(item.get().len() + ENVELOPE);
            body.extend_from_slice(br#"{"pad":""#);
            body.resize(ENVELOPE, b'x');
            body.extend_from_slice(br#"","data":"#);
            body.extend_from_slice(item.get().as_bytes());
            body.push(b'}');
            let mut headers = FieldTable::default();
            for (name, length) in HEADERS {
                let value = AMQPValue::LongString("x".repeat(length).into());
                headers.insert(format!("cloudEvents_{name}").into(), value);
            }
            let properties = BasicProperties::default()
                .with_delivery_mode(2)
                .with_content_type("application/cloudevents+json; charset=utf-8".into())
                .with_headers(headers)
                .with_timestamp(1_700_000_000)
                .with_type("ffn.outbound.created.v1".into())
                .with_app_id("bare".into())
                .with_message_id(uuid::Uuid::new_v4().to_string().into());
            let key = format!("acme.outbound.{event}");
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let sent = channel.basic_publish(exchange.into(), key.as_str().into(), options, &body, properties);
            confirms.push(sent.await.unwrap());
        }
    }
    for confirmation in try_join_all(confirms).await.unwrap() {
        assert!(confirmation.is_ack());
    }
}
