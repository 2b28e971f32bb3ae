//! A real browser: headless Chromium, driven through chromedriver's WebDriver protocol.
//!
//! Both are programs of the system; `make test` brings them or says that it could not. Each browser has a
//! profile of its own and ends with its test.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::process::Process;
use super::until;

/// What lets it start as root and keeps it from calling home.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
];
/// How WebDriver calls an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Chromium {
    session: String,
    http: reqwest::Client,
    // In the order in which they have to end.
    _driver: Process,
    _browser: Process,
    _profile: TempDir,
}

/// Where the programs are, if both are here.
pub fn find() -> Option<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH")?;
    let find = |names: &[&str]| {
        let places = std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        places.into_iter().find(|place| place.is_file())
    };
    Some((find(&["chromium", "chromium-browser", "google-chrome"])?, find(&["chromedriver"])?))
}

impl Chromium {
    pub async fn start() -> Self {
        let (chromium, chromedriver) = find().expect("chromium and chromedriver are here");
        let profile = TempDir::new().unwrap();
        let mut command = Command::new(chromium);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.env("HOME", profile.path()).env("TMPDIR", profile.path());
        let mut browser = Process::spawn("chromium", &mut command);
        let port_file = profile.path().join("DevToolsActivePort");
        let debugger = until("Chromium to come up", async || {
            assert!(browser.ended().is_none(), "Chromium has ended: {:?}", browser.lines());
            Some(std::fs::read_to_string(&port_file).ok()?.lines().next()?.to_owned())
        })
        .await;
        let mut driver = Process::spawn("chromedriver", Command::new(chromedriver).arg("--port=0"));
        let port = until("chromedriver to come up", async || {
            assert!(driver.ended().is_none(), "chromedriver has ended: {:?}", driver.lines());
            driver
                .find(|line| Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned()))
        })
        .await;
        // To the browser that is there: one that chromedriver starts would outlive a killed chromedriver.
        let options = json!({"goog:chromeOptions": {"debuggerAddress": format!("127.0.0.1:{debugger}")}});
        let mut chromium = Self {
            session: format!("http://127.0.0.1:{port}/session"),
            http: reqwest::Client::new(),
            _driver: driver,
            _browser: browser,
            _profile: profile,
        };
        let session = chromium.send("POST", "", json!({"capabilities": {"alwaysMatch": options}})).await;
        chromium.session = format!("{}/{}", chromium.session, session["sessionId"].as_str().unwrap());
        chromium
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.session));
        let request = if method == "POST" { request.body(body.to_string()) } else { request };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap()["value"].take()
    }

    /// Goes to a page and waits until it is there.
    pub async fn go(&self, url: &Url) {
        self.send("POST", "/url", json!({"url": url.as_str()})).await;
    }

    /// Where it is.
    pub async fn url(&self) -> Url {
        self.send("GET", "/url", Value::Null).await.as_str().unwrap().parse().unwrap()
    }

    /// Waits for an element and gives its id.
    async fn element(&self, css: &str) -> String {
        until(css, async || {
            let found = self.send("POST", "/elements", json!({"using": "css selector", "value": css})).await;
            Some(found.as_array()?.first()?[ELEMENT].as_str()?.to_owned())
        })
        .await
    }

    /// Clicks the element, as a person does.
    pub async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.send("POST", &format!("/element/{element}/click"), json!({})).await;
    }

    /// The text that a person sees.
    pub async fn text(&self, css: &str) -> String {
        let element = self.element(css).await;
        self.send("GET", &format!("/element/{element}/text"), Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Waits for a page with this heading; gives its whole text.
    pub async fn page(&self, heading: &str) -> String {
        until(&format!("the page {heading:?}"), async || (self.text("h1").await == heading).then_some(())).await;
        self.text("body").await
    }

    /// A picture of the page into the folder that `FFN_BRIDGE_SCREENSHOTS` names, if it does.
    pub async fn picture(&self, name: &str) {
        use base64::Engine as _;
        let Some(folder) = std::env::var_os("FFN_BRIDGE_SCREENSHOTS") else { return };
        let picture = self.send("GET", "/screenshot", Value::Null).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes).unwrap();
    }
}
