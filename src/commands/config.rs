//! What commands are executed with.

use std::time::Duration;

/// How commands are executed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Attempts within one delivery before the command goes to the waiting queues.
    pub quick_attempts: u32,
    /// Pause before the second attempt of a delivery; it doubles for each further one.
    pub quick_delay: Duration,
    /// Attempts in all before a command is given up. Each delivery that failed counts as one, unless FFN was
    /// away, asked to wait, or lacked a sign-in.
    pub max_attempts: u32,
    /// After an outcome that nobody knows: how long to wait before looking, and again before sending
    /// once more, because the first request may still be running at FFN (contract 10.3, rule 7).
    pub settle_delay: Duration,
    /// Pause before FFN is asked again whether it answers; it doubles for each further one, with jitter.
    pub probe_delay: Duration,
    /// The longest of these pauses, before jitter.
    pub probe_max_delay: Duration,
    /// Starts of a command that a process did not survive, in a row, before it is set aside.
    pub max_crashes: u32,
    /// The largest body of a command, in bytes.
    pub max_body: usize,
}
