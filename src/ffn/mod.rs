//! The FFN REST API and only it: tokens, calls, feeds and operations.
//!
//! ```text
//! feeds ─┐                       ┌─► auth ──► oauth ──► /token        tokens: one refresher, stored before use
//! operations ─┼─► request ─► client ─┤
//! lookup, users, … ───┘          └─► gate ──► /api/v1/…             one budget, commands first
//! ```
//!
//! A call ends in an answer or an [`Error`], and [`Error::disposition`] says what to do about it. Feeds and
//! operations are tables: a new one is a row. Nothing here knows the broker, the journal or a retry loop.

pub mod auth;
mod budget;
pub mod client;
mod codes;
pub mod config;
pub mod entities;
pub mod error;
pub mod feeds;
pub mod fields;
#[cfg(test)]
mod fuzz;
mod gate;
pub mod lists;
pub mod lookup;
mod oauth;
pub mod operations;
pub mod refusal;
pub mod request;
pub mod shipping_methods;
pub mod stocks;
#[cfg(test)]
pub(crate) mod testing;
pub mod users;

pub use auth::Auth;
pub use client::Client;
pub use config::Config;
pub use error::{Disposition, Error};
pub use feeds::Endpoint;
pub use refusal::Refusal;
pub use request::{Answer, Area, Priority, Request};
