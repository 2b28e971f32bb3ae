//! A TCP proxy that a test can stop in either direction, or cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One of the two directions through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the bridge to the server.
    Up,
    /// From the server to the bridge.
    Down,
}

/// A proxy in front of a server.
pub struct Proxy {
    address: String,
    gates: Arc<Gates>,
    task: tokio::task::JoinHandle<()>,
}

struct Gates {
    up: watch::Sender<bool>,
    down: watch::Sender<bool>,
    /// Bytes that came to a gate while it was closed, in either direction.
    waiting: AtomicUsize,
    /// Counts cuts: a connection ends when it sees another number than at its begin.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `upstream` (`host:port`).
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gates = Arc::new(Gates {
            up: watch::Sender::new(true),
            down: watch::Sender::new(true),
            waiting: AtomicUsize::new(0),
            cuts: watch::Sender::new(0),
        });
        let (upstream, shared) = (upstream.to_owned(), gates.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&upstream).await else { continue };
                tokio::spawn(connect(client, server, shared.clone()));
            }
        });
        Self { address, gates, task }
    }

    /// A proxy in front of the broker of this URL, and the URL that leads through it.
    pub async fn before_broker(url: &str) -> (Self, String) {
        let parsed = url::Url::parse(url).unwrap();
        let upstream = format!("{}:{}", parsed.host_str().unwrap(), parsed.port().unwrap_or(5672));
        let proxy = Self::start(&upstream).await;
        let through = url.replacen(&upstream, &proxy.address, 1);
        assert_ne!(through, url, "the URL names host and port");
        (proxy, through)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets nothing more through in one direction; it waits in the proxy.
    pub fn hold(&self, direction: Direction) {
        self.gate(direction).send_replace(false);
    }

    /// Lets through what waits and what comes.
    pub fn release(&self, direction: Direction) {
        self.gate(direction).send_replace(true);
    }

    /// Bytes that came while they were not let through.
    pub fn waiting(&self) -> usize {
        self.gates.waiting.load(Ordering::Relaxed)
    }

    /// Ends every connection; new ones are accepted.
    pub fn cut(&self) {
        self.gates.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn gate(&self, direction: Direction) -> &watch::Sender<bool> {
        match direction {
            Direction::Up => &self.gates.up,
            Direction::Down => &self.gates.down,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn connect(client: TcpStream, server: TcpStream, gates: Arc<Gates>) {
    let mut cuts = gates.cuts.subscribe();
    cuts.mark_unchanged();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        // First, so that after a cut nothing more gets through, even if a gate is opened right away.
        biased;
        _ = cuts.changed() => {}
        () = pass(client_read, server_write, gates.up.subscribe(), &gates.waiting) => {}
        () = pass(server_read, client_write, gates.down.subscribe(), &gates.waiting) => {}
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut open: watch::Receiver<bool>,
    waiting: &AtomicUsize,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut held = Vec::new();
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => {
                let Ok(count @ 1..) = read else { break };
                held.extend_from_slice(&buffer[..count]);
                if !*open.borrow() {
                    waiting.fetch_add(count, Ordering::Relaxed);
                }
            }
            opened = open.changed() => {
                if opened.is_err() {
                    return;
                }
            }
        }
        // It reads on while the gate is closed, so that all that comes is counted.
        if *open.borrow() && to.write_all(&std::mem::take(&mut held)).await.is_err() {
            return;
        }
    }
    // What was sent before the end is on its way, and arrives.
    if open.wait_for(|open| *open).await.is_ok() {
        to.write_all(&held).await.ok();
    }
}
