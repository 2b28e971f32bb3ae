//! The browser's answer to a sign-in, and the tiny server that takes it.
//!
//! The guarantee: an answer without the state that was sent out is shown the door and does not end the wait,
//! so that no other page can end or hijack a sign-in.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

/// How long the browser may take to fetch the last page.
const LAST_PAGE: std::time::Duration = std::time::Duration::from_secs(3);

/// What the OAuth server sent the browser back with (contract 2.1).
#[derive(Debug)]
pub(super) enum Callback {
    /// The code.
    Code(SecretString),
    /// A refusal and its reason.
    Denied(String),
    /// An answer to another question than ours.
    Foreign,
}

impl Callback {
    /// Reads the query of the redirect.
    pub(super) fn read(query: &str, state: &SecretString) -> Self {
        let member = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        if !member("state").is_some_and(|given| is_same(&given, state.expose_secret())) {
            return Self::Foreign;
        }
        match (member("code"), member("error")) {
            (Some(code), None) if !code.is_empty() => Self::Code(code.into()),
            (_, Some(error)) => {
                let words = member("error_description").map_or(error.clone(), |words| format!("{error}, {words}"));
                Self::Denied(words.chars().filter(|c| !c.is_control()).take(300).collect())
            }
            _ => Self::Foreign,
        }
    }
}

/// Compares in a time that does not tell where texts differ.
fn is_same(left: &str, right: &str) -> bool {
    let differences = left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && std::hint::black_box(differences) == 0
}

/// The page that waits in the browser for the end of the sign-in.
#[derive(Debug)]
pub(super) struct Page(oneshot::Sender<bool>);

impl Page {
    /// Tells the person in the browser how it ended.
    pub(super) fn show(self, is_signed_in: bool) {
        // Who has closed the window reads it in the terminal.
        let _closed = self.0.send(is_signed_in);
    }
}

/// The server that waits for the browser.
pub(super) struct Receiver {
    arrivals: mpsc::Receiver<(Callback, Page)>,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

#[derive(Clone)]
struct Shared {
    path: String,
    state: SecretString,
    arrivals: mpsc::Sender<(Callback, Page)>,
}

impl Receiver {
    /// Serves `path` until stopped.
    pub(super) fn start(listener: TcpListener, path: &str, state: SecretString) -> Self {
        let (sender, arrivals) = mpsc::channel(1);
        let router =
            Router::new().fallback(answer).with_state(Shared { path: path.to_owned(), state, arrivals: sender });
        let stop = CancellationToken::new();
        let serve = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        Self { arrivals, stop, server: tokio::spawn(serve.into_future()) }
    }

    /// The first answer to our question.
    pub(super) async fn arrival(&mut self) -> Option<(Callback, Page)> {
        self.arrivals.recv().await
    }

    /// Ends the server once the browser has its page, or soon.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_PAGE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

async fn answer(State(shared): State<Shared>, uri: Uri) -> Response {
    if uri.path() != shared.path {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let callback = Callback::read(uri.query().unwrap_or_default(), &shared.state);
    if matches!(callback, Callback::Foreign) {
        return page(StatusCode::BAD_REQUEST, "This address does not belong to the sign-in that waits here.");
    }
    let (page_sender, outcome) = oneshot::channel();
    if shared.arrivals.try_send((callback, Page(page_sender))).is_err() {
        return page(StatusCode::CONFLICT, "This sign-in has its answer already.");
    }
    match outcome.await {
        Ok(true) => page(StatusCode::OK, "Signed in. You can close this window."),
        Ok(false) | Err(_) => page(StatusCode::OK, "The sign-in failed. The terminal says why."),
    }
}

fn page(status: StatusCode, sentence: &'static str) -> Response {
    let html = format!("<!doctype html><meta charset=utf-8><title>ffn-bridge</title><p>{sentence}</p>");
    (status, [("cache-control", "no-store"), ("referrer-policy", "no-referrer")], Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_with_our_state_counts() {
        let state = SecretString::from("abc");
        let read = |query: &str| Callback::read(query, &state);
        assert!(matches!(read("code=x%2By&state=abc"), Callback::Code(code) if code.expose_secret() == "x+y"));
        for foreign in
            ["", "code=x", "code=x&state=", "code=x&state=ab", "code=x&state=abd", "state=abc", "code=&state=abc"]
        {
            assert!(matches!(read(foreign), Callback::Foreign), "{foreign}");
        }
        let denied = read("error=access_denied&error_description=no%0Away&state=abc");
        assert!(matches!(denied, Callback::Denied(reason) if reason == "access_denied, noway"));
    }
}
