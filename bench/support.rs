//! What the benchmarks share: processes that end with their turn, queues of their own, and a bridge.

#![allow(dead_code)] // Each benchmark uses a part of it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

/// A process that does not outlive its turn.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub async fn post(url: &str, body: String) -> String {
    let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.text().await.unwrap()
}

pub async fn channel(url: &str) -> Channel {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    // The connection has to outlive its channel.
    Box::leak(Box::new(connection));
    channel
}

/// A quorum queue behind a topic exchange, as a subscriber has it.
pub struct Queue<'a> {
    channel: &'a Channel,
    pub prefix: String,
}

impl<'a> Queue<'a> {
    pub async fn make(channel: &'a Channel, prefix: &str) -> Self {
        let (queue, exchange) = (format!("{prefix}.q"), format!("{prefix}.events"));
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, options, FieldTable::default())
            .await
            .unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
        let (queue, exchange) = (queue.as_str().into(), exchange.as_str().into());
        channel
            .queue_bind(queue, exchange, "#".into(), QueueBindOptions::default(), FieldTable::default())
            .await
            .unwrap();
        Self { channel, prefix: prefix.to_owned() }
    }

    pub async fn depth(&self) -> usize {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = format!("{}.q", self.prefix);
        let queue = self.channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
        usize::try_from(queue.message_count()).unwrap()
    }

    pub async fn delete(&self) {
        let prefix = &self.prefix;
        for name in ["q", "commands", "commands.dead", "commands.wait.10s", "commands.held.acme"] {
            let queue = format!("{prefix}.{name}");
            self.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
        }
        let behind = ["commands.dead", "commands.retry", "commands.wait.10s", "commands.held.acme"];
        for name in ["events", "commands", "results"].into_iter().chain(behind) {
            let exchange = format!("{prefix}.{name}");
            self.channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
        }
    }
}

/// A bridge with a folder and names of its own, and one feed of the simulator.
pub struct Bridge {
    config: PathBuf,
    pub database: PathBuf,
}

impl Bridge {
    /// `lines` say how the account is read.
    pub fn new(url: &str, base: &str, prefix: &str, lines: &str) -> Self {
        Self::with_broker_lines(url, base, prefix, "", lines)
    }

    /// The same with more lines for the `[broker]` table.
    pub fn with_broker_lines(url: &str, base: &str, prefix: &str, broker: &str, lines: &str) -> Self {
        let folder = std::env::temp_dir().join(prefix);
        std::fs::create_dir_all(&folder).unwrap();
        let database = folder.join("bridge.db");
        let config = format!(
            r#"[broker]
url = "{url}"
events_exchange = "{prefix}.events"
commands_exchange = "{prefix}.commands"
results_exchange = "{prefix}.results"
commands_queue = "{prefix}.commands"
dead_letter_queue = "{prefix}.commands.dead"
{broker}
[store]
url = "sqlite:{}"
[http]
listen = "127.0.0.1:0"
[log]
filter = "warn"
[commands]
retry_steps = ["10s"]
[[accounts]]
name = "acme"
role = "merchant"
base_url = "{base}/api"
authorize_url = "{base}/authorize"
token_url = "{base}/token"
client_id = "demo-client"
client_secret = "demo-secret"
feeds = ["outbounds"]
{lines}
"#,
            database.display(),
        );
        let path = folder.join("ffn-bridge.toml");
        std::fs::write(&path, config).unwrap();
        Self { config: path, database }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ffn-bridge"));
        command.arg("--config").arg(&self.config).args(arguments);
        command
    }

    pub fn login(&self, refresh_token: &str) {
        let mut login = self.command(&["login", "acme", "--refresh-token", "-"]);
        let mut login = login.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut login.stdin.take().unwrap(), refresh_token.as_bytes()).unwrap();
        assert!(login.wait().unwrap().success());
    }
}

/// A simulator whose warehouse does nothing by itself; gives its address.
pub fn simulator(page: usize) -> (Ended, String) {
    let chunk = page.to_string();
    let mut process = Command::new(env!("CARGO_BIN_EXE_ffn-simulator"))
        .args(["--listen", "127.0.0.1:0", "--speed", "0", "--chunk-size", &chunk])
        .args(["--access-token-ttl", "86400"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(process.stdout.take().unwrap()), &mut line).unwrap();
    (Ended(process), line.trim().strip_prefix("listening on ").unwrap().to_owned())
}

/// The address of the broker.
pub fn broker() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// User and system time of a process so far, from `/proc`.
pub fn cpu_seconds(process: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return 0.0 };
    // The name may hold spaces; what follows it does not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
