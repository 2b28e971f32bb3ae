//! The promises, proven on a real broker, over real HTTP to the simulator, with real processes.
//!
//! Every test has a simulator, a bridge and a store of its own; the broker is shared, with exchanges
//! and queues of the test's own names. Tests that end or cut off a broker start a node of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counters are small.

mod admin;
mod caller;
mod causes;
mod chaos;
mod cli;
mod commands;
mod crash_commands;
mod crash_events;
mod crash_tokens;
mod dead_letters;
mod events;
mod feeds;
mod keys;
mod lists;
mod login;
mod login_browser;
mod needs;
mod operations;
mod outage;
mod parked;
mod property;
mod replay;
mod retention;
mod shutdown;
mod smoke;
mod support;
mod tokens;
mod topology;
