//! `ffn-bridge send ROUTING_KEY [FILE]`: publishes a command and, with `--wait`, prints its result.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{complain, explained, link};
use crate::broker::{Consumer, DIRECT_REPLY_TO, Outgoing, Publisher};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Account, resource and action: `acme.outbound.create`
    routing_key: String,
    /// The command's body, JSON; `-` or nothing reads standard input
    file: Option<PathBuf>,
    /// The message id, by which a repetition is known [default: a new one]
    #[arg(long)]
    id: Option<String>,
    /// Waits for the result and prints it; exit 1 if the command failed
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let body = read(arguments)?;
    let id = arguments.id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    for (what, text) in [("routing key", &arguments.routing_key), ("id", &id)] {
        if text.is_empty() || text.len() > 255 {
            bail!("the {what} has {} bytes; AMQP takes 1 to 255", text.len());
        }
    }
    let link = link(config, "send");
    let (mut replies, channel) = Consumer::replies(&link).await.map_err(explained)?;
    let mut publisher = Publisher::on(link.clone(), channel).await?;
    let outgoing = Outgoing {
        exchange: &config.broker.commands_exchange,
        routing_key: &arguments.routing_key,
        message_id: &id,
        reply_to: arguments.wait.then_some(DIRECT_REPLY_TO),
        body: &body,
    };
    publisher.send(&outgoing).await.with_context(|| {
        format!(
            "the command was not taken; has a bridge ever run on this broker? ({})",
            config.broker.commands_exchange
        )
    })?;
    if !arguments.wait {
        writeln!(io::stdout(), "{id}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let Ok(reply) = tokio::time::timeout(arguments.timeout, replies.next()).await else {
        bail!(
            "no result within {}. The command {id} is in the queue and will be executed; \
             its result will go to {}. Is the bridge running?",
            humantime::format_duration(arguments.timeout),
            config.broker.results_exchange
        );
    };
    let reply = reply.context("the broker ended the subscription to replies")??;
    let code = show(reply.body())?;
    link.close().await;
    Ok(code)
}

fn read(arguments: &Arguments) -> anyhow::Result<Vec<u8>> {
    match &arguments.file {
        Some(path) if path.as_os_str() != "-" => {
            std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))
        }
        _ => {
            let mut body = Vec::new();
            io::stdin().lock().read_to_end(&mut body).context("standard input can't be read")?;
            Ok(body)
        }
    }
}

/// Prints the result's data with every digit as it came, and gives the exit code.
fn show(body: &[u8]) -> anyhow::Result<ExitCode> {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let event: Option<Event<'_>> = serde_json::from_slice(body).ok();
    let data = event.as_ref().and_then(|event| event.data).map_or(body, |data| data.get().as_bytes());
    let mut output = io::stdout().lock();
    output.write_all(data)?;
    writeln!(output)?;
    let value: Value = serde_json::from_slice(data).context("the result is not JSON")?;
    let Some(error) = value.get("error") else { return Ok(ExitCode::SUCCESS) };
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    complain(&format!("the command failed: {}: {}", text("code"), text("message")));
    Ok(ExitCode::FAILURE)
}
