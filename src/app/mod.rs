//! The composition root: builds every part from the configuration, runs the tasks, and stops them in order.
//!
//! Stopping drains: polling and consuming stop first, calls in flight are finished, the relays
//! publish what is left and wait for its confirms, then the broker and at last the admin
//! server close. A second signal, or the deadline, ends it at once.

mod admin;
mod build;
mod lifecycle;
mod pruner;
mod run;
mod scrape;
mod status;

pub use build::{Account, App, Error};
pub use lifecycle::Signals;
