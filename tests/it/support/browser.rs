//! A sign-in with `ffn-bridge login`, and the browser's part of it.

use std::process::{Command, Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use url::Url;

/// A running `ffn-bridge login` that has printed where to sign in.
pub struct SignIn {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    printed: String,
    /// The page to open.
    pub url: Url,
}

impl SignIn {
    /// Starts the command and waits for the page's address.
    pub async fn begin(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        loop {
            let Some(line) = lines.next_line().await.unwrap() else {
                let output = child.wait_with_output().await.unwrap();
                panic!("no address was printed: {printed}{}", String::from_utf8_lossy(&output.stderr));
            };
            printed += &format!("{line}\n");
            if line.starts_with("http") {
                return Self { child, lines, printed, url: line.parse().unwrap() };
            }
        }
    }

    /// Writes a line to its standard input.
    pub async fn paste(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{text}\n").as_bytes()).await.unwrap();
    }

    /// Reads its output up to the line that holds this.
    pub async fn read_to(&mut self, words: &str) {
        while !self.printed.lines().any(|line| line.contains(words)) {
            let Some(line) = self.lines.next_line().await.unwrap() else {
                panic!("it has ended without saying {words:?}: {}", self.printed);
            };
            self.printed += &format!("{line}\n");
        }
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(&self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    /// Waits for its end; gives all of its output.
    pub async fn end(mut self) -> Output {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.printed += &format!("{line}\n");
        }
        let output = self.child.wait_with_output().await.unwrap();
        super::process::note("ffn-bridge", self.printed.as_bytes());
        super::process::note("ffn-bridge", &output.stderr);
        Output { stdout: self.printed.into_bytes(), ..output }
    }
}

/// Signs an account in with `--manual`; the simulator must approve by itself.
pub async fn sign_in(bridge: &super::Bridge, account: &str) -> Output {
    let mut sign_in = SignIn::begin(bridge.command(&["login", account, "--manual"])).await;
    let location = approve(&sign_in.url).await;
    sign_in.paste(location.as_str()).await;
    let output = sign_in.end().await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Opens the page of a server that approves by itself; gives where the browser is sent.
pub async fn approve(page: &Url) -> Url {
    location(reqwest::Method::GET, page.clone(), String::new()).await
}

/// Presses the page's button "Refuse"; gives where the browser is sent.
pub async fn refuse(page: &Url) -> Url {
    let form = format!("{}&decision=refuse", page.query().unwrap());
    let mut target = page.clone();
    target.set_query(None);
    location(reqwest::Method::POST, target, form).await
}

async fn location(method: reqwest::Method, url: Url, form: String) -> Url {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = http.request(method, url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    location.unwrap_or_else(|| panic!("no redirect but {}", answer.status())).parse().unwrap()
}

/// Opens a page; status and text.
pub async fn visit(url: &Url) -> (u16, String) {
    let answer = reqwest::Client::new().get(url.clone()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
