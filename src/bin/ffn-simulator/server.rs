//! The HTTP server: connections that can be cut, planned faults, the journal, the `Date` header.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use http::{HeaderValue, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::Answer;
use crate::api::{self, Call};
use crate::clock;
use crate::control;
use crate::faults::Kind;
use crate::journal::Entry;
use crate::world::World;

const MAX_BODY: usize = 16 * 1024 * 1024;

/// The world, shared by all requests and the warehouse.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Shared(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handle that cuts one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

/// A connection that refuses to write once it was cut.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    cut: Cut,
}

impl Connection {
    fn check(&self) -> io::Result<()> {
        if self.cut.0.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections that can be cut.
#[derive(Debug)]
pub(crate) struct Cuttable(pub(crate) TcpListener);

impl Listener for Cuttable {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "no TCP_NODELAY");
                    }
                    return (Connection { stream, cut: Cut::default() }, address);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Cuttable>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        stream.io().cut.clone()
    }
}

/// Serves until `stop` is done; open requests get a moment to finish.
pub(crate) async fn serve(
    listener: Cuttable,
    shared: Shared,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = Router::new().fallback(handle).with_state(shared).into_make_service_with_connect_info::<Cut>();
    let (told, heard) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        drop(told);
    });
    tokio::select! {
        done = server => done,
        () = async { drop(heard.await); tokio::time::sleep(Duration::from_secs(2)).await } => Ok(()),
    }
}

/// Says whether the client is still there: it turns false when the waiting side goes away.
struct Presence(Arc<AtomicBool>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// How a request ends.
enum End {
    Answer(Answer),
    Cut,
    Hang,
}

async fn handle(State(shared): State<Shared>, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let raw_query = parts.uri.query().unwrap_or_default().to_owned();
    let bytes = match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(bytes) => bytes,
        Err(_) => return write(&shared, Answer::empty(413)),
    };
    if path == "/_simulator" || path.starts_with("/_simulator/") {
        let answer = control::respond(&mut shared.lock(), &parts.method, &path, &raw_query, &bytes);
        return write(&shared, answer);
    }
    let text = |name| parts.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).map(str::to_owned);
    let call = Call {
        method: parts.method,
        path,
        raw_query,
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        body: bytes.to_vec(),
        own_lock: false,
    };
    // A task of its own: like a real server it goes on if the client leaves in the meantime.
    let presence = Presence(Arc::new(AtomicBool::new(true)));
    let end = tokio::spawn(process(shared.clone(), call, Arc::clone(&presence.0))).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request failed");
        End::Answer(Answer::empty(500))
    });
    match end {
        End::Answer(answer) => write(&shared, answer),
        End::Hang => std::future::pending().await,
        End::Cut => {
            cut.0.store(true, Ordering::SeqCst);
            write(&shared, Answer::empty(500))
        }
    }
}

/// Takes the lock of a number that is being created, unless somebody holds it.
fn take_lock(world: &mut World, call: &mut Call) -> Option<String> {
    let number = api::number_to_create(call)?;
    call.own_lock = world.creating.insert(number.clone());
    call.own_lock.then_some(number)
}

async fn process(shared: Shared, mut call: Call, present: Arc<AtomicBool>) -> End {
    let (seq, fault, lock) = {
        let mut world = shared.lock();
        let fault = world.faults.take(call.method.as_str(), &call.path, &call.raw_query, &call.body);
        let entry = Entry {
            seq: 0,
            time: world.clock.now(),
            method: call.method.to_string(),
            path: call.path.clone(),
            query: call.raw_query.clone(),
            authorization: world.oauth.label(call.authorization.as_deref()),
            fault: fault.as_ref().map(Kind::label),
            status: None,
            effect: None,
            done: false,
        };
        let lock = match fault {
            Some(Kind::Delay(_)) => take_lock(&mut world, &mut call),
            _ => None,
        };
        (world.journal.open(entry), fault, lock)
    };
    match &fault {
        Some(Kind::CutBefore) => return finish(&shared, seq, None, End::Cut),
        Some(Kind::Hang) => return finish(&shared, seq, None, End::Hang),
        Some(kind @ Kind::Status { after: false, .. }) => {
            let answer = replacement(kind);
            return finish(&shared, seq, None, End::Answer(answer));
        }
        Some(Kind::Delay(ms)) => tokio::time::sleep(Duration::from_millis(*ms)).await,
        _ => (),
    }
    let (answer, spent) = {
        let mut world = shared.lock();
        let done = api::respond(&mut world, &call);
        if let Some(number) = lock {
            world.creating.remove(&number);
        }
        if let Some(entry) = world.journal.entry(seq) {
            entry.effect.clone_from(&done.0.effect);
        }
        done
    };
    let effect = answer.effect.clone();
    let swapped = matches!(fault, Some(Kind::Status { .. }));
    let end = match fault {
        Some(Kind::CutAfter) => End::Cut,
        Some(Kind::HangAfter) => End::Hang,
        Some(kind @ Kind::Status { .. }) => End::Answer(replacement(&kind)),
        Some(Kind::DelayAfter(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            End::Answer(answer)
        }
        _ => End::Answer(answer),
    };
    if let Some(token) = spent
        && (swapped || !present.load(Ordering::SeqCst) || !matches!(end, End::Answer(_)))
    {
        shared.lock().oauth.answer_lost(&token);
    }
    finish(&shared, seq, effect, end)
}

fn replacement(kind: &Kind) -> Answer {
    let Kind::Status { status, body, json, headers, .. } = kind else { return Answer::empty(500) };
    let mut answer = if *json { Answer::json(*status, body.clone()) } else { Answer::empty(*status) };
    answer.body.clone_from(body);
    answer.headers.clone_from(headers);
    answer
}

fn finish(shared: &Shared, seq: u64, effect: Option<String>, end: End) -> End {
    if let Some(entry) = shared.lock().journal.entry(seq) {
        entry.done = true;
        entry.effect = effect;
        if let End::Answer(answer) = &end {
            entry.status = Some(answer.status);
        }
    }
    end
}

fn write(shared: &Shared, answer: Answer) -> Response {
    let date = clock::http_date(shared.lock().clock.now());
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    if !answer.kind.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    }
    if let Ok(date) = HeaderValue::try_from(date) {
        headers.insert(header::DATE, date);
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}
