//! The vocabulary: pure types and rules, without tokio, SQL, HTTP or AMQP.

pub mod account;
pub mod cause;
pub mod clock;
pub mod entity;
pub mod feed;
pub mod fit;
pub mod listing;
pub mod message;
pub mod resource;
pub mod token;
