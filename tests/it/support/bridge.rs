//! The bridge as a process, its admin server and its database.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::{Connection, OpenFlags, Params};
use serde_json::Value;

use super::process::Process;
use super::until;

pub struct Bridge {
    config: PathBuf,
    pub process: Option<Process>,
    admin: String,
    http: reqwest::Client,
}

impl Bridge {
    pub fn new(config: PathBuf) -> Self {
        Self { config, process: None, admin: String::new(), http: reqwest::Client::new() }
    }

    /// The program with the test's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ffn-bridge"));
        command.arg("--config").arg(&self.config).args(arguments);
        command
    }

    /// Runs a command of the program to its end, with this standard input.
    pub fn cli(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that reads nothing may have ended already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        super::process::note("ffn-bridge", &output.stdout);
        super::process::note("ffn-bridge", &output.stderr);
        output
    }

    pub fn login(&self, account: &str, refresh_token: &str) {
        let output = self.cli(&["login", account, "--refresh-token", "-"], refresh_token);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&mut self) {
        self.process = Some(Process::spawn("ffn-bridge", &mut self.command(&["run"])));
    }

    /// Starts it without waiting for anything but the process.
    pub async fn launch(&mut self) {
        let mut process = Process::spawn("ffn-bridge", &mut self.command(&["run"]));
        self.admin = until("the bridge's admin address", async || {
            assert!(process.ended().is_none(), "the bridge has ended: {:?}", process.lines());
            process.find(|line| {
                let event: Value = serde_json::from_str(line).ok()?;
                Some(format!("http://{}", event.get("admin")?.as_str()?))
            })
        })
        .await;
        self.process = Some(process);
    }

    /// Starts it and waits until it is ready, and takes commands.
    pub async fn start(&mut self) {
        self.launch().await;
        until("the bridge to be ready", async || {
            let process = self.process.as_mut().unwrap();
            assert!(process.ended().is_none(), "the bridge has ended: {:?}", process.lines());
            let takes = process.find(|line| line.contains("taking commands").then_some(()));
            (takes.is_some() && self.get("/readyz").await.0 == 200).then_some(())
        })
        .await;
    }

    /// Starts it and waits until it takes commands; no account need be able to call.
    pub async fn start_unready(&mut self) {
        self.launch().await;
        until("the bridge to take commands", async || {
            let process = self.process.as_mut().unwrap();
            assert!(process.ended().is_none(), "the bridge has ended: {:?}", process.lines());
            process.find(|line| line.contains("taking commands").then_some(()))
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("the bridge runs").kill();
    }

    /// SIGTERM; gives the exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("the bridge runs");
        process.signal("TERM");
        let code = until("the bridge to stop", async || process.ended()).await;
        if code != Some(0) {
            // Whoever called asserts on the code: here is why.
            let lines = process.lines();
            eprintln!(
                "--- the bridge stopped with {code:?} ---\n{}",
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
        code
    }

    /// Status and body of a page of the admin server; 0 while nobody answers.
    pub async fn get(&self, path: &str) -> (u16, String) {
        match self.http.get(format!("{}{path}", self.admin)).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    }

    /// The value of a metric whose line begins with `name`, for example `x_total{account="acme"`; the sum of all such lines.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The same of a metric that counts.
    pub async fn count(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics").await;
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    pub fn lines(&self) -> Vec<String> {
        self.process.as_ref().map(Process::lines).unwrap_or_default()
    }
}

/// The bridge's database, read beside it.
pub struct Db(Connection);

impl Db {
    pub fn open(path: &Path) -> Self {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        Self(connection)
    }

    /// The first column of the first row.
    pub fn number(&self, sql: &str, params: impl Params) -> i64 {
        self.0.query_row(sql, params, |row| row.get(0)).unwrap()
    }

    /// Every row, its columns as text.
    pub fn rows<const N: usize>(&self, sql: &str) -> Vec<[String; N]> {
        let mut statement = self.0.prepare(sql).unwrap();
        let text = |row: &rusqlite::Row<'_>, at: usize| match row.get_ref(at).unwrap() {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let rows = statement.query_map([], |row| Ok(std::array::from_fn(|at| text(row, at)))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    pub fn text(&self, sql: &str, params: impl Params) -> Option<String> {
        self.0.query_row(sql, params, |row| row.get(0)).ok()
    }
}
