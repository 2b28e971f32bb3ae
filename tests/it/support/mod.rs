//! What every test stands on. [`World`] is the whole of it: broker, simulator, bridge, store.

#![allow(dead_code, unused_imports)]

pub mod bridge;
pub mod broker;
pub mod browser;
pub mod chromium;
pub mod node;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod record;
pub mod schema;
pub mod simulator;
pub mod transitions;
pub mod wait;

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

pub use bridge::{Bridge, Db};
pub use broker::{Broker, Message, Subscription};
pub use node::Node;
pub use proxy::{Direction, Proxy};
pub use simulator::Simulator;
pub use wait::{until, until_within};

/// A test's world. Everything in it ends with it.
pub struct World {
    pub simulator: Simulator,
    /// Ends before its queues are deleted: it would make them again.
    pub bridge: Bridge,
    pub broker: Broker,
    pub dir: TempDir,
    pub names: Names,
    config: String,
}

/// The names of a test's own exchanges and queues.
#[derive(Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    pub fn fresh() -> Self {
        Self { prefix: format!("it.{}", uuid::Uuid::new_v4().simple()) }
    }

    pub fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    pub fn commands(&self) -> String {
        format!("{}.commands", self.prefix)
    }

    pub fn results(&self) -> String {
        format!("{}.results", self.prefix)
    }

    pub fn dead(&self) -> String {
        format!("{}.commands.dead", self.prefix)
    }

    pub fn queue(&self, name: &str) -> String {
        format!("{}.q.{name}", self.prefix)
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// How a world is made.
pub struct Setup {
    simulator_flags: Vec<String>,
    account: String,
    extra: String,
    broker_lines: String,
    store_lines: String,
    amqp_url: Option<String>,
    second: Option<(String, String)>,
    signed_in: bool,
    through: Option<String>,
    dir: TempDir,
    names: Names,
}

impl Setup {
    /// A warehouse that works only when told, pages of three items, and waits short enough for tests.
    pub fn new() -> Self {
        Self {
            simulator_flags: ["--speed", "0", "--chunk-size", "3"].map(String::from).to_vec(),
            account: String::new(),
            extra: "[commands]\nretry_steps = [\"300ms\", \"1s\"]\nsettle_delay = \"100ms\"\nquick_delay = \"20ms\"\nprobe_delay = \"100ms\"\n"
                .to_owned(),
            broker_lines: String::new(),
            store_lines: String::new(),
            amqp_url: None,
            second: None,
            signed_in: true,
            through: None,
            dir: TempDir::new().unwrap(),
            names: Names::fresh(),
        }
    }

    /// Adds flags for the simulator; a later flag of the same name counts.
    pub fn simulator(mut self, flags: &[&str]) -> Self {
        for pair in flags.chunks(2) {
            if let Some(at) = self.simulator_flags.iter().position(|flag| flag == pair[0]) {
                self.simulator_flags.drain(at..at + pair.len());
            }
            self.simulator_flags.extend(pair.iter().map(|flag| (*flag).to_owned()));
        }
        self
    }

    /// Adds lines to the account's table.
    pub fn account(mut self, lines: &str) -> Self {
        self.account.push_str(lines);
        self.account.push('\n');
        self
    }

    /// Adds lines to the `[broker]` table.
    pub fn broker_lines(mut self, lines: &str) -> Self {
        self.broker_lines.push_str(lines);
        self.broker_lines.push('\n');
        self
    }

    /// Adds lines to the `[store]` table.
    pub fn store_lines(mut self, lines: &str) -> Self {
        self.store_lines.push_str(lines);
        self.store_lines.push('\n');
        self
    }

    /// Replaces the `[commands]` table and whatever else stands beside broker, store, http and accounts.
    pub fn tables(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.extra);
        self
    }

    /// Another broker than the shared one: a private node, or a proxy in front of one.
    pub fn broker(mut self, url: &str) -> Self {
        self.amqp_url = Some(url.to_owned());
        self
    }

    /// A second account on the same simulator; nobody has signed it in.
    pub fn second(mut self, name: &str, role: &str) -> Self {
        self.second = Some((name.to_owned(), role.to_owned()));
        self
    }

    /// Leaves the account without a sign-in.
    pub fn signed_out(mut self) -> Self {
        self.signed_in = false;
        self
    }

    /// Another way to the broker for the bridge alone, such as a proxy; the test itself goes straight.
    pub fn through(mut self, url: &str) -> Self {
        self.through = Some(url.to_owned());
        self
    }

    /// Starts the simulator and signs the account in; the bridge is not running yet.
    pub async fn build(self) -> World {
        let simulator = Simulator::start(&self.simulator_flags).await;
        let url = self.amqp_url.unwrap_or_else(broker::shared_url);
        let broker_lines = format!("url = \"{}\"\n{}", self.through.as_ref().unwrap_or(&url), self.broker_lines);
        let db = self.dir.path().join("bridge.db");
        let mut config = config(&broker_lines, &simulator, &self.names, &self.account, &self.extra, db);
        config = config.replacen("[store]\n", &format!("[store]\n{}", self.store_lines), 1);
        if let Some((name, role)) = &self.second {
            let first = config[config.find("[[accounts]]").unwrap()..].to_owned();
            let second = first.replace("name = \"acme\"", &format!("name = \"{name}\""));
            config += &second.replace("role = \"merchant\"", &format!("role = \"{role}\""));
        }
        let path = self.dir.path().join("ffn-bridge.toml");
        std::fs::write(&path, &config).unwrap();
        let bridge = Bridge::new(path);
        if self.signed_in {
            bridge.login("acme", "demo-refresh-token");
        }
        let broker = Broker::connect(&url, self.names.clone()).await;
        World { simulator, broker, bridge, dir: self.dir, names: self.names, config }
    }

    /// Starts everything and waits until the bridge is ready.
    pub async fn start(self) -> World {
        let mut world = self.build().await;
        world.bridge.start().await;
        world
    }
}

fn config(broker: &str, simulator: &Simulator, names: &Names, account: &str, extra: &str, db: PathBuf) -> String {
    let base = simulator.url("");
    let set = |key: &str, value: &str| {
        let given = account.lines().any(|line| line.trim_start().starts_with(key));
        if given { String::new() } else { format!("{key} = {value}\n") }
    };
    let defaults: String = [
        ("feeds", "[\"outbounds\", \"outbound-shipments\"]"),
        ("poll_interval", "\"150ms\""),
        ("overlap", "\"60s\""),
        ("safety_lag", "\"0s\""),
        ("rate_limit", "\"1000/s\""),
        ("client_secret", "\"demo-secret\""),
        ("base_url", &format!("\"{base}/api\"")),
        ("token_url", &format!("\"{base}/token\"")),
        ("authorize_url", &format!("\"{base}/authorize\"")),
    ]
    .iter()
    .map(|(key, value)| set(key, value))
    .collect();
    format!(
        r#"[broker]
{broker}events_exchange = "{events}"
commands_exchange = "{commands}"
results_exchange = "{results}"
commands_queue = "{commands}"
dead_letter_queue = "{dead}"

[store]
url = "sqlite:{db}"

[http]
listen = "127.0.0.1:0"

[log]
format = "json"
filter = "info,ffn_bridge=debug"

{extra}
[[accounts]]
name = "acme"
role = "merchant"
client_id = "demo-client"
{defaults}{account}
"#,
        events = names.events(),
        commands = names.commands(),
        results = names.results(),
        dead = names.dead(),
        db = db.display(),
    )
}

impl World {
    /// The configuration as text.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Writes another configuration; the next start uses it.
    pub fn set_config(&self, config: &str) {
        std::fs::write(self.dir.path().join("ffn-bridge.toml"), config).unwrap();
    }

    /// A second bridge with the same configuration: the same broker, the same store.
    pub fn another_bridge(&self) -> Bridge {
        Bridge::new(self.dir.path().join("ffn-bridge.toml"))
    }

    /// Changes the bridge's database from outside: what would take too long to come by itself.
    pub fn alter(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.dir.path().join("bridge.db")).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// Read-only access to the bridge's database.
    pub fn db(&self) -> Db {
        Db::open(&self.dir.path().join("bridge.db"))
    }
}

/// The body of an order that the simulator takes.
pub fn order(number: &str) -> Value {
    json!({
        "merchantOutboundNumber": number,
        "warehouseId": "WARE04MAIN-00001-0001",
        "currency": "EUR",
        "shippingType": "Standard",
        "shippingAddress": {
            "firstname": "Ida", "lastname": "Beispiel", "street": "Hauptweg 3",
            "zip": "12345", "city": "Musterstadt", "country": "DE"
        },
        "items": [{"outboundItemId": "1", "merchantSku": "MUG-BLUE", "quantity": 2}]
    })
}
