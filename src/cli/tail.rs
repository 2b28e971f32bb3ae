//! `ffn-bridge tail [BINDING…]`: events as they arrive, one line each.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;

use super::{clean, complain, explained, link};
use crate::app::Signals;
use crate::broker::{Consumer, Delivery};
use crate::config::Config;
use crate::events::replay::REPLAY_HEADER;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which events, as a topic pattern: `acme.outbound.*`, `*.shipment.#` [default: #]
    #[arg(value_name = "BINDING", default_value = "#", hide_default_value = true)]
    bindings: Vec<String>,
    /// Prints each message's body as one line of JSON
    #[arg(long)]
    json: bool,
    /// Ends after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let link = link(config, "tail");
    let exchange = &config.broker.events_exchange;
    let mut shown = 0;
    // The first connection has to stand; later ones may take their time.
    let mut consumer = Consumer::listen(&link, exchange, &arguments.bindings).await.map_err(explained)?;
    complain(&format!("listening for {} on {exchange}; Ctrl-C ends it", arguments.bindings.join(", ")));
    while arguments.count.is_none_or(|count| shown < count) {
        let delivery = tokio::select! {
            () = signals.recv() => break,
            delivery = consumer.next() => delivery,
        };
        if let Some(Ok(delivery)) = delivery {
            show(&delivery, arguments.json)?;
            shown += 1;
            continue;
        }
        complain("the connection to the broker is gone; events that come meanwhile are not shown");
        consumer = tokio::select! {
            () = signals.recv() => break,
            consumer = listen_again(config, arguments, &link) => consumer,
        };
        complain("connected again");
    }
    link.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn listen_again(config: &Config, arguments: &Arguments, link: &crate::broker::Link) -> Consumer {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Ok(consumer) = Consumer::listen(link, &config.broker.events_exchange, &arguments.bindings).await {
            return consumer;
        }
    }
}

/// What an event's entity is called, best name first.
const NAMES: [&str; 12] = [
    "merchantOutboundNumber",
    "merchantInboundNumber",
    "merchantReturnNumber",
    "fulfillerReturnNumber",
    "merchantSku",
    "name",
    "userId",
    "merchantId",
    "outboundId",
    "inboundId",
    "jfsku",
    "account",
];

fn show(delivery: &Delivery, json: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if json {
        // A body from elsewhere may hold line breaks; JSON allows none within strings.
        let line: Vec<u8> = delivery.body().iter().copied().filter(|byte| *byte != b'\n' && *byte != b'\r').collect();
        output.write_all(&line)?;
        writeln!(output)?;
    } else {
        writeln!(output, "{}", line(delivery, output.is_terminal()))?;
    }
    output.flush()
}

/// The time of an event of today, and the day as well of an older one.
fn clock(time: &str, today: &str) -> String {
    match (time.get(..10), time.get(11..19)) {
        (Some(day), Some(clock)) if day != today => format!("{day} {clock}"),
        (_, Some(clock)) => clock.to_owned(),
        _ => "--:--:--".to_owned(),
    }
}

/// An event in one line: time, key, whose, and what is worth knowing.
fn line(delivery: &Delivery, color: bool) -> String {
    let body: Value = serde_json::from_slice(delivery.body()).unwrap_or(Value::Null);
    // In binary mode the body is `data` alone, and the time is a header.
    let data = body.get("data").filter(|_| body.get("specversion").is_some()).unwrap_or(&body);
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let time = delivery.header("cloudEvents_time").unwrap_or_default();
    let clock = clean(&clock(&time, &Utc::now().date_naive().to_string()));
    let key = format!("{:<32}", clean(delivery.routing_key()));
    let key = if color { format!("\u{1b}[1m{key}\u{1b}[0m") } else { key };
    let name = NAMES.iter().find_map(|name| text(name)).unwrap_or_default();
    let mut words = vec![clean(name)];
    match (text("previousStatus"), text("status")) {
        (Some(before), Some(now)) => words.push(clean(&format!("{before} → {now}"))),
        (None, Some(now)) => words.push(clean(now)),
        _ => {}
    }
    let list = |name: &str| {
        let items = data.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        clean(&items.collect::<Vec<_>>().join(", "))
    };
    if data.get("trackingIds").is_some() {
        words.push(format!("{} {}", clean(text("carrier").unwrap_or("carrier unknown")), list("trackingIds")));
        words.push(list("trackingUrls"));
    }
    let number = |name: &str| data.get(name).filter(|value| value.is_number()).map(Value::to_string);
    if let (Some(version), Some(kind)) = (number("stockVersion"), text("changeType")) {
        let of = |name: &str| number(name).filter(|by| by != "0").map(|by| format!("{name} {by}"));
        let by =
            ["quantity", "quantityReserved", "quantityBlocked", "quantityAnnounced"].iter().filter_map(|it| of(it));
        let place = text("warehouseId").unwrap_or_default();
        words.push(clean(&format!("{kind}  {}  #{version} in {place}", by.collect::<Vec<_>>().join(", "))));
    }
    if let (Some(from), Some(to)) = (number("fromVersion"), number("toVersion")) {
        words
            .push(clean(&format!("entries {from} to {to} of {} are missing", text("warehouseId").unwrap_or_default())));
    }
    words.extend(["feed", "reason", "error"].into_iter().filter_map(text).map(clean));
    let changed = list("changed");
    if !changed.is_empty() {
        words.push(format!("changed: {changed}"));
    }
    if data.get("inferred").and_then(Value::as_bool) == Some(true) {
        words.push("(inferred)".to_owned());
    }
    if delivery.header("cloudEvents_snapshot").as_deref() == Some("true") {
        words.push("(was there)".to_owned());
    }
    if delivery.header(REPLAY_HEADER).as_deref() == Some("true") {
        words.push("(replayed)".to_owned());
    }
    words.retain(|word| !word.trim().is_empty());
    format!("{clock}  {key}  {}", words.join("  "))
}
