//! Connections that can be cut, and that tell whether an answer was written in full.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::refreshes::Receipt;

/// Says at its end that an answer was lost, unless it was delivered before.
#[derive(Debug, Default)]
pub(crate) struct Pending(pub(crate) Receipt);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.lost();
    }
}

#[derive(Debug, Default)]
struct Wire {
    cut: AtomicBool,
    /// An answer on its way, and its body for as long as the HTTP layer still holds it.
    unsent: Mutex<Option<(Pending, Weak<[u8]>)>>,
}

/// Handle of one connection: cuts it, and watches an answer until it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<Wire>);

impl Cut {
    pub(crate) fn now(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
    }

    fn unsent(&self) -> MutexGuard<'_, Option<(Pending, Weak<[u8]>)>> {
        self.0.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body whose answer counts as delivered once all of it was written to the socket.
    pub(crate) fn watched(&self, answer: Pending, body: Vec<u8>) -> Body {
        let bytes: Arc<[u8]> = body.into();
        *self.unsent() = Some((answer, Arc::downgrade(&bytes)));
        Body::from(Bytes::from_owner(bytes))
    }

    /// Everything that the HTTP layer let go of is written.
    fn flushed(&self) {
        let mut unsent = self.unsent();
        if unsent.as_ref().is_some_and(|(_, body)| body.strong_count() == 0)
            && let Some((answer, _)) = unsent.take()
        {
            answer.0.delivered();
        }
    }
}

/// The `Date` header of an answer that shall have none. The HTTP layer adds one where there is none,
/// so that its name has to go on the wire.
pub(crate) const NO_DATE: &str = "absent";

const NAMED: &[u8] = b"\r\ndate: absent\r\n";
const RENAMED: &[u8] = b"\r\nnone: absent\r\n";

/// The same bytes with another name for that header, if it is in there.
fn without_date(bytes: &[u8]) -> Option<Vec<u8>> {
    let at = bytes.windows(NAMED.len()).position(|part| part == NAMED)?;
    let mut changed = bytes.to_vec();
    changed.get_mut(at..at + NAMED.len())?.copy_from_slice(RENAMED);
    Some(changed)
}

/// A connection that refuses to write once it was cut.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    cut: Cut,
}

impl Connection {
    fn check(&self) -> io::Result<()> {
        if self.cut.0.cut.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut.unsent().take();
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
        match without_date(buf) {
            Some(changed) => Pin::new(&mut self.stream).poll_write(cx, &changed),
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(done, Poll::Ready(Ok(()))) {
            self.cut.flushed();
        }
        done
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
        // The head of an answer is a part of its own.
        match bufs.first().and_then(|head| without_date(head)) {
            Some(changed) => Pin::new(&mut self.stream).poll_write(cx, &changed),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
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
