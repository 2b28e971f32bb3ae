//! ffn-bridge: a bridge between the JTL Fulfillment Network (FFN) REST API and RabbitMQ.
//!
//! What changes at FFN comes out as one message per change, and commands go in as messages and are
//! answered with one. One process, two flows, and one journal between them and the broker: events and
//! results go out only from there, and what is recorded there will be published.
//!
//! ```text
//! main ── cli ── app ── config           parse, load, compose, exit code
//!                 │
//!        events       commands           the two flows
//!                 │
//!    ffn       store       broker        adapters: one external system each
//!                 │
//!     metrics, telemetry, schema
//!                 │
//!              domain                    pure types and rules
//! ```
//!
//! A module imports only from layers below it, and siblings do not know each other. Each component has
//! its own section of the configuration; [`config`] is the sum of them.
//!
//! # Read an event
//!
//! [`events`] tells the story. Then, in the order of an event's way: [`events::Poller`] reads a window
//! of a feed with [`ffn::feeds::read_page`]; [`events::normalizer`] derives events from an item and
//! what is [`Known`](domain::entity::Known) of it; each is a [`Draft`](domain::message::Draft), which
//! [`Journal::append`](store::Journal::append) turns into a finished
//! [`Message`](domain::message::Message); [`events::Relay`] hands those to [`broker::Publisher`].
//!
//! # Read a command
//!
//! [`commands`] tells the story. Then: [`broker::Consumer`] delivers, [`commands::Intake`] takes and keeps
//! the order, [`commands::Worker`] asks [`CommandLog::begin`](store::CommandLog::begin) what to do with it
//! and calls FFN by a row of [`ffn::operations::OPERATIONS`]; an [`ffn::Error`] says by its
//! [`Disposition`](ffn::Disposition) what follows; [`commands::Reply`] makes the result, which
//! [`CommandLog::finish`](store::CommandLog::finish) records, and from the journal on it goes an event's way.
//!
//! # Read a start
//!
//! [`cli::main`] reads the command line and [`config::load`] the configuration; [`app::App`] builds the
//! parts, runs them and stops them in order.

pub mod app;
pub mod broker;
pub mod cli;
pub mod commands;
pub mod config;
pub mod domain;
pub mod events;
pub mod ffn;
#[cfg(test)]
mod fuzz;
pub mod metrics;
pub mod schema;
pub mod store;
pub mod telemetry;
