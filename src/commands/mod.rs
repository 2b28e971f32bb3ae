//! Flow 2: from a command in the queue to an effect at FFN, once, and an answer.
//!
//! ```text
//! queue ─► intake ─► decode ─► lane ─► worker ─► executor ─► ffn::operations
//!                                        │  ▲         │
//!                                 inbox ◄┘  └─ outcome┘
//!                                        └─► result into the journal ─► relay ─► ffn.results, reply_to
//!                                        └─► waiting queue | dead-letter queue, then the acknowledgement
//! ```
//!
//! Who does what: [`Intake`] takes deliveries and keeps those of one ordering key in order; `decode`
//! reads routing key, identity and body; [`Worker`] writes the inbox row before the call and the
//! outcome with its result after it, and acknowledges last; `executor` calls FFN, and `settle` finds out by asking
//! what became of a call in doubt; `reply` writes the result. While an account can't call, its `gate` sends its
//! commands to its held queue instead; `held` works that off when it can call again, and `pause` finds out when.
//!
//! The states of a command in the inbox, and who sets them: `running` (worker, before the call),
//! `waiting` (worker, before it goes to a waiting queue), `finished` (worker, with the result). One
//! that is found `running` by a delivery was cut off: its outcome is in doubt, and FFN is asked before
//! anything is sent again.
//!
//! What is guaranteed: a command with a `message_id` has its effect once and is answered at least once;
//! no command is dropped; commands of one ordering key have their effects in the order they were taken.

mod compare;
pub mod config;
pub mod dead_letters;
mod decode;
mod executor;
mod gate;
mod held;
mod intake;
mod lanes;
mod pause;
mod reply;
mod settle;
mod worker;

pub use config::Config;
pub use intake::Intake;
pub use reply::Reply;
pub use worker::{Account, Worker};
