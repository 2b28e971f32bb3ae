//! The browser's answer to a sign-in, and the tiny server that takes it.
//!
//! The guarantees: an answer without the state that was sent out is shown the door and does not end the wait,
//! so that no other page can end or hijack a sign-in; the page that the browser shows is the real end of the
//! sign-in, because it waits for it.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::sentences::printable;

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
                Self::Denied(printable(&words))
            }
            _ => Self::Foreign,
        }
    }
}

/// Compares in a time that does not tell where texts differ.
fn is_same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// How a sign-in ended, for the person in the browser.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) is_signed_in: bool,
    pub(super) words: String,
}

/// The page that waits in the browser for the end of the sign-in.
#[derive(Debug)]
pub(super) struct Page(oneshot::Sender<Ending>);

impl Page {
    /// Tells the person in the browser how it ended.
    pub(super) fn show(self, ending: Ending) {
        // Who has closed the window reads it in the terminal.
        let _closed = self.0.send(ending);
    }
}

/// Something came from the browser.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The answer to our question.
    Answer(Callback, Page),
    /// One that is not ours, for the first time. The wait goes on.
    Stray,
}

/// The server that waits for the browser.
pub(super) struct Receiver {
    arrivals: mpsc::Receiver<(Callback, Page)>,
    /// Changes once: with the first answer that is not ours.
    strays: watch::Receiver<bool>,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

#[derive(Clone)]
struct Shared {
    path: String,
    state: SecretString,
    arrivals: mpsc::Sender<(Callback, Page)>,
    strays: watch::Sender<bool>,
}

impl Receiver {
    /// Serves `path` until stopped.
    pub(super) fn start(listener: TcpListener, path: &str, state: SecretString) -> Self {
        let (sender, arrivals) = mpsc::channel(1);
        let strays = watch::Sender::new(false);
        let strayed = strays.subscribe();
        let shared = Shared { path: path.to_owned(), state, arrivals: sender, strays };
        let router = Router::new().fallback(answer).with_state(shared);
        let stop = CancellationToken::new();
        let serve = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        Self { arrivals, strays: strayed, stop, server: tokio::spawn(serve.into_future()) }
    }

    /// What comes next; `None` if the server has ended by itself.
    pub(super) async fn arrival(&mut self) -> Option<Arrival> {
        tokio::select! {
            arrival = self.arrivals.recv() => arrival.map(|(callback, page)| Arrival::Answer(callback, page)),
            Ok(()) = self.strays.changed() => Some(Arrival::Stray),
        }
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
        return page(StatusCode::NOT_FOUND, "Nothing here", "This address does not belong to a sign-in.");
    }
    let callback = Callback::read(uri.query().unwrap_or_default(), &shared.state);
    if matches!(callback, Callback::Foreign) {
        shared.strays.send_if_modified(|strayed| !std::mem::replace(strayed, true));
        return page(
            StatusCode::BAD_REQUEST,
            "This is not the sign-in that was begun",
            "The answer that brought you here belongs to another sign-in: its state is not the one that was sent out. \
             Nothing was stored. Open the page that the terminal shows, and sign in there.",
        );
    }
    let (page_sender, ending) = oneshot::channel();
    if shared.arrivals.try_send((callback, Page(page_sender))).is_err() {
        let words = "This sign-in has its answer already. The terminal says how it ended.";
        return page(StatusCode::CONFLICT, "Once is enough", words);
    }
    match ending.await {
        Ok(Ending { is_signed_in: true, words }) => {
            page(StatusCode::OK, "Signed in", &format!("{words} You can close this window."))
        }
        Ok(Ending { is_signed_in: false, words }) => page(StatusCode::OK, "Not signed in", &words),
        Err(_) => page(StatusCode::OK, "Not signed in", "The command has ended. The terminal says why."),
    }
}

/// A page without scripts and without anything from elsewhere.
fn page(status: StatusCode, heading: &str, words: &str) -> Response {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{heading} - ffn-bridge</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>\
         :root{{color-scheme:light dark}}body{{font:1.05rem/1.6 system-ui,sans-serif;max-width:36em;\
         margin:15vh auto;padding:0 1.5em;overflow-wrap:anywhere}}h1{{font-size:1.5rem}}\
         footer{{margin-top:3em;font-size:.85rem;opacity:.7}}</style></head>\
         <body><h1>{heading}</h1><p>{words}</p><footer>ffn-bridge</footer></body></html>\n",
        heading = escaped(heading),
        words = with_code(&escaped(words)),
    );
    let headers = [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
    ];
    (status, headers, Html(html)).into_response()
}

/// What stands between backticks in the terminal's sentences is something to type.
fn with_code(words: &str) -> String {
    let mut parts = words.split('`').peekable();
    let mut html = String::new();
    while let (Some(text), code) = (parts.next(), parts.next()) {
        html.push_str(text);
        match code {
            Some(code) if parts.peek().is_some() => html.push_str(&format!("<code>{code}</code>")),
            Some(rest) => html.push_str(&format!("`{rest}")),
            None => {}
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_with_our_state_counts() {
        let state = SecretString::from("abc");
        let read = |query: &str| Callback::read(query, &state);
        assert!(matches!(read("code=x%2By&state=abc"), Callback::Code(code) if code.expose_secret() == "x+y"));
        for foreign in [
            "",
            "code=x",
            "code=x&state=",
            "code=x&state=ab",
            "code=x&state=abd",
            "code=x&state=abcd",
            "code=x&state=ABC",
            "code=x&state=abd&state=abc",
            "error=access_denied",
            "error=access_denied&state=abd",
            "state=abc",
            "code=&state=abc",
        ] {
            assert!(matches!(read(foreign), Callback::Foreign), "{foreign}");
        }
        let denied = read("error=access_denied&error_description=no%0Away&state=abc");
        assert!(matches!(denied, Callback::Denied(reason) if reason == "access_denied, noway"));
    }

    #[tokio::test]
    async fn a_page_shows_foreign_words_as_text() {
        let response = page(StatusCode::OK, "a<b", "<script>alert(1)</script> & more");
        assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more") && text.contains("<h1>a&lt;b</h1>"));
        assert!(!text.contains("<script"), "{text}");
    }

    #[test]
    fn commands_stand_out_on_a_page() {
        assert_eq!(with_code("Run `a b`, then `c`."), "Run <code>a b</code>, then <code>c</code>.");
        assert_eq!(with_code("`a`"), "<code>a</code>");
        for plain in ["", "no code", "one ` alone"] {
            assert_eq!(with_code(plain), plain);
        }
    }
}
