//! The simulator as a process, and its control API.

use std::io::{Read, Write};
use std::process::Command;

use serde_json::{Value, json};

use super::process::Process;
use super::until;

pub struct Simulator {
    pub process: Process,
    base: String,
    http: reqwest::Client,
}

impl Simulator {
    pub async fn start(flags: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ffn-simulator"));
        command.args(["--listen", "127.0.0.1:0", "--seed", "7"]).args(flags);
        let mut process = Process::spawn("ffn-simulator", &mut command);
        let base = until("the simulator's address", async || {
            assert!(process.ended().is_none(), "the simulator has ended: {:?}", process.lines());
            process.find(|line| line.strip_prefix("listening on ").map(str::to_owned))
        })
        .await;
        Self { process, base, http: reqwest::Client::new() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A call to the control API that has to succeed.
    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let url = self.url(&format!("/_simulator/{path}"));
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.control("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.control("POST", path, Some(body)).await
    }

    /// The members that `raw` gives, byte for byte, replace the object's.
    pub async fn post_raw(&self, path: &str, body: &str) {
        let url = self.url(&format!("/_simulator/{path}"));
        let request = self.http.post(url).header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    /// Every outbound, as the simulator's own record has it.
    pub async fn outbounds(&self) -> Vec<Value> {
        self.get("outbounds").await["outbounds"].as_array().unwrap().clone()
    }

    /// Makes `count` outbounds at the server; numbers are `{prefix}{000001}` …
    pub async fn bulk(&self, count: usize, prefix: &str) {
        self.post("outbounds/bulk", json!({"count": count, "prefix": prefix})).await;
    }

    /// Drives an outbound to a status, step by step.
    pub async fn advance(&self, id: &str, to: &str) -> Value {
        self.post(&format!("outbounds/{id}/advance"), json!({"to": to, "gap_ms": 50})).await
    }

    /// Plans a fault: see `docs/simulator.md`.
    pub async fn fault(&self, fault: Value) {
        self.post("faults", fault).await;
    }

    /// A counter of `tokens`: see `docs/simulator.md`.
    pub async fn tokens(&self, counter: &str) -> u64 {
        self.get("tokens").await[counter].as_u64().unwrap()
    }

    /// Every code, token and client secret so far, as they are and as they are written in URLs.
    pub async fn secrets(&self) -> Vec<String> {
        let listed = self.get("secrets").await;
        let listed = listed.get("secrets").unwrap_or(&listed).as_array().unwrap().clone();
        listed.iter().map(|secret| secret["value"].as_str().unwrap().to_owned()).collect()
    }

    /// Requests to the API so far that fit method and path; done or not.
    pub async fn requests(&self, method: &str, path: &str) -> Vec<Value> {
        let all = self.get("requests?since=0").await;
        let fits = |request: &&Value| request["method"] == method && request["path"].as_str().unwrap().contains(path);
        all["requests"].as_array().unwrap().iter().filter(fits).cloned().collect()
    }
}

/// At the end of every test: no line that the bridge or its commands have written holds a secret that the simulator knows.
impl Drop for Simulator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let Some(listed) = self.secrets_now() else { return };
        let secrets = listed["secrets"].as_array().unwrap();
        for line in super::process::written("ffn-bridge") {
            for secret in secrets {
                let at = line.find(secret["value"].as_str().unwrap());
                assert!(at.is_none(), "{} stands in the bridge's log after {:?}", secret["kind"], &line[..at.unwrap()]);
            }
        }
    }
}

impl Simulator {
    /// Without a runtime, which ends before what it runs; `None` if the simulator has ended.
    fn secrets_now(&self) -> Option<Value> {
        let host = self.base.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(host).ok()?;
        write!(stream, "GET /_simulator/secrets HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Some(serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap())
    }
}
