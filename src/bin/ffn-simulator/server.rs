//! The HTTP server: planned faults, the journal, the `Date` header.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, header};

use crate::answer::Answer;
use crate::api::{self, Call};
use crate::clock;
use crate::connection::{self, Cut, Cuttable, Pending};
use crate::control;
use crate::effects;
use crate::faults::{Kind, Seen};
use crate::journal::Entry;
use crate::refreshes::Receipt;
use crate::switches::DateHeader;
use crate::world::World;

/// How long the first part of a torn answer gets to leave before the connection closes.
const TEAR_PAUSE: Duration = Duration::from_millis(50);

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

/// How a request ends.
enum End {
    Answer(Answer),
    /// The connection closes after so many bytes of the body.
    Torn(Answer, usize),
    Cut,
    Hang,
}

async fn handle(State(shared): State<Shared>, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let raw_query = parts.uri.query().unwrap_or_default().to_owned();
    let bytes = match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(bytes) => bytes,
        Err(_) => return write(&shared, Answer::empty(413), Body::from),
    };
    if path == "/_simulator" || path.starts_with("/_simulator/") {
        let answer = control::respond(&mut shared.lock(), &parts.method, &path, &raw_query, &bytes);
        return write(&shared, answer, Body::from);
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
        seq: 0,
        receipt: Receipt::default(),
    };
    // If the client leaves in the meantime, this is dropped and with it the answer.
    let pending = Pending(call.receipt.clone());
    // A task of its own: like a real server it goes on then.
    let end = tokio::spawn(process(shared.clone(), call)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request failed");
        End::Answer(Answer::empty(500))
    });
    match end {
        End::Answer(answer) => write(&shared, answer, |body| cut.watched(pending, body)),
        End::Torn(answer, at) => {
            let length = answer.body.len().to_string();
            write(&shared, answer.header("Content-Length", length), |body| torn(body, at, cut))
        }
        End::Hang => std::future::pending().await,
        End::Cut => {
            cut.now();
            write(&shared, Answer::empty(500), Body::from)
        }
    }
}

/// A body that ends with the connection, short of its length.
fn torn(mut body: Vec<u8>, at: usize, cut: Cut) -> Body {
    body.truncate(at);
    let end = async move {
        tokio::time::sleep(TEAR_PAUSE).await;
        cut.now();
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    Body::from_stream(stream::iter([Ok(Bytes::from(body))]).chain(stream::once(end)))
}

/// Takes the lock of a number that is being created, unless somebody holds it.
fn take_lock(world: &mut World, call: &mut Call) -> Option<String> {
    let number = api::number_to_create(call)?;
    call.own_lock = world.creating.insert(number.clone());
    call.own_lock.then_some(number)
}

async fn process(shared: Shared, mut call: Call) -> End {
    let (fault, lock, epoch) = {
        let mut world = shared.lock();
        let epoch = world.epoch;
        let seen = Seen {
            method: call.method.as_str(),
            path: &call.path,
            query: &call.raw_query,
            body: &call.body,
            role: world.oauth.role_of(call.authorization.as_deref(), &call.body),
        };
        let fault = world.faults.take(seen).or_else(|| {
            let number = world.chaos.as_ref().and_then(|_| api::number_to_create(&call));
            world.chaos.as_mut().and_then(|chaos| chaos.take(seen, number.as_deref()))
        });
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
        call.seq = world.journal.open(entry);
        if call.path == "/token" && fault.as_ref().is_some_and(Kind::is_instead) {
            call.receipt.lost();
            let now = world.oauth_now();
            world.oauth.not_processed(&call.for_token(now));
        }
        (fault, lock, epoch)
    };
    let place = (epoch, call.seq);
    match &fault {
        Some(Kind::CutBefore) => return finish(&shared, place, None, End::Cut),
        Some(Kind::Hang(None)) => return finish(&shared, place, None, End::Hang),
        Some(Kind::Hang(Some(ms))) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            return finish(&shared, place, None, End::Cut);
        }
        Some(kind @ Kind::Status { after: false, .. }) => {
            let answer = replacement(kind);
            return finish(&shared, place, None, End::Answer(answer));
        }
        Some(Kind::Delay(ms)) => tokio::time::sleep(Duration::from_millis(*ms)).await,
        _ => (),
    }
    let answer = {
        let mut world = shared.lock();
        if world.epoch != epoch {
            drop(world);
            call.receipt.lost();
            return End::Cut;
        }
        let done = api::respond(&mut world, &call);
        if let Some(number) = lock {
            world.creating.remove(&number);
        }
        effects::note(&mut world, &call, &done);
        if let Some(entry) = world.journal.entry(call.seq) {
            entry.effect = done.effect_line();
        }
        done
    };
    let effect = answer.effect_line();
    let mut whole = true;
    let end = match fault {
        Some(Kind::CutAfter) => End::Cut,
        Some(Kind::HangAfter(None)) => End::Hang,
        Some(Kind::HangAfter(Some(ms))) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            End::Cut
        }
        Some(kind @ Kind::Status { .. }) => {
            whole = false;
            End::Answer(replacement(&kind))
        }
        Some(Kind::Truncate { at, cut }) => {
            let at = cut_at(&answer.body, at);
            whole = at == answer.body.len();
            if cut && !whole { End::Torn(answer, at) } else { End::Answer(shortened(answer, at)) }
        }
        Some(Kind::DelayAfter(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            End::Answer(answer)
        }
        _ => End::Answer(answer),
    };
    if !whole || !matches!(end, End::Answer(_)) {
        call.receipt.lost();
    }
    finish(&shared, place, effect, end)
}

/// Where a body ends: after `at` bytes, or so many before its end if that is negative. Never inside a character.
fn cut_at(body: &[u8], at: i64) -> usize {
    let count = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    let place = if at < 0 { body.len().saturating_sub(count) } else { count };
    std::str::from_utf8(body).map_or(place.min(body.len()), |text| text.floor_char_boundary(place))
}

fn shortened(mut answer: Answer, at: usize) -> Answer {
    answer.body.truncate(at);
    answer
}

fn replacement(kind: &Kind) -> Answer {
    let Kind::Status { status, body, json, headers, .. } = kind else { return Answer::empty(500) };
    let mut answer = if *json { Answer::json(*status, body.clone()) } else { Answer::empty(*status) };
    answer.body = body.clone().into_bytes();
    answer.headers.clone_from(headers);
    answer
}

/// Writes down how a request ended, in the journal of the world that it was for.
fn finish(shared: &Shared, (epoch, seq): (u64, u64), effect: Option<String>, end: End) -> End {
    let mut world = shared.lock();
    if world.epoch == epoch
        && let Some(entry) = world.journal.entry(seq)
    {
        entry.done = true;
        entry.effect = effect;
        if let End::Answer(answer) | End::Torn(answer, _) = &end {
            entry.status = Some(answer.status);
        }
    }
    end
}

fn date_header(world: &World) -> String {
    let switches = &world.flags.switches;
    let ahead = switches.date_skew_s.saturating_mul(1_000);
    match switches.date_header {
        DateHeader::Right => clock::http_date(world.clock.now().saturating_add(ahead)),
        DateHeader::Real => clock::http_date(clock::real_now().saturating_add(ahead)),
        DateHeader::Unreadable => "yesterday".to_owned(),
        DateHeader::Absent => connection::NO_DATE.to_owned(),
    }
}

fn write(shared: &Shared, answer: Answer, body: impl FnOnce(Vec<u8>) -> Body) -> Response {
    let date = date_header(&shared.lock());
    let mut response = Response::new(body(answer.body));
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
