//! `ffn-simulator`: a local stand-in for the JTL Fulfillment Network (FFN) REST API.
//!
//! It shares no code with the bridge. Both are written from the same contract, so that a
//! misreading on one side shows as a failing test.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)
)]

mod answer;
mod api;
mod authorize;
mod catalog;
mod chaos;
mod clock;
mod connection;
mod control;
mod decimal;
mod documents;
mod drive;
mod effects;
mod faults;
mod feed;
#[cfg(test)]
mod feed_tests;
mod filter;
mod flags;
mod grants;
#[cfg(test)]
mod http_tests;
mod inbound;
mod journal;
mod json;
mod labels;
mod ledger;
mod list;
mod oauth;
mod outbound;
mod places;
mod product;
mod quota;
mod record;
mod refreshes;
mod related;
mod reset;
mod returns;
mod schema;
mod script;
mod server;
mod switches;
mod things;
mod transitions;
mod warehouse;
mod world;
mod writes;
#[cfg(test)]
mod writes_tests;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::connection::Cuttable;
use crate::flags::Flags;
use crate::server::Shared;
use crate::world::World;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ffn-simulator stops");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(flags.listen).await?;
    let address = listener.local_addr()?;
    let speed = flags.speed;
    let shared = Shared::new(World::new(flags));

    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()?;
    drop(out);

    let warehouse = (speed > 0.0).then(|| tokio::spawn(work(shared.clone(), speed)));
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    };
    let done = server::serve(Cuttable(listener), shared, stop).await;
    if let Some(task) = warehouse {
        task.abort();
    }
    done
}

/// The warehouse looks for due work several times per step.
async fn work(shared: Shared, speed: f64) {
    let tick = Duration::from_secs_f64((60.0 / speed / 20.0).clamp(0.005, 0.5));
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        shared.lock().work();
    }
}
