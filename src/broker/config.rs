//! The broker's section of the configuration.

use std::time::Duration;

use secrecy::SecretString;

use crate::domain::account::AccountName;
use crate::domain::message::ContentMode;

/// More commands queues than anybody needs; each number below may have been configured before and is looked for.
pub const MOST_COMMAND_QUEUES: u16 = 16;

/// Where the broker is and how the bridge's exchanges and queues are called there.
#[derive(Debug, Clone)]
pub struct Config {
    /// `amqp://` or `amqps://` URL; it holds the password.
    pub url: SecretString,
    /// Topic exchange of the events.
    pub events_exchange: String,
    /// Topic exchange that takes commands.
    pub commands_exchange: String,
    /// Topic exchange of the results.
    pub results_exchange: String,
    /// Quorum queue the bridge consumes commands from.
    pub commands_queue: String,
    /// Into how many queues commands are divided by their ordering key; 1 is the queue above, undivided.
    pub command_queues: u16,
    /// Quorum queue of the commands that can't succeed.
    pub dead_letter_queue: String,
    /// Whether the bridge declares the topology or only checks it.
    pub declare: bool,
    /// Unacknowledged commands at a time.
    pub prefetch: u16,
    /// How events are laid into messages.
    pub event_mode: ContentMode,
    /// Patterns of the reply queues that a command may name.
    pub reply_to_allow: Vec<ReplyPattern>,
    /// The ladder: how long a command waits in the broker before its next attempt, step by step.
    pub retry_steps: Vec<Duration>,
    /// The accounts: each has a queue for commands that wait until it can call again.
    pub accounts: Vec<AccountName>,
}

/// A pattern for queue names: `*` stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyPattern(pub String);

impl ReplyPattern {
    /// Whether the whole `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let mut rest = rest;
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return part.is_empty() || rest.ends_with(part);
            }
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_patterns_fit_whole_names() {
        let fits = |pattern: &str, name: &str| ReplyPattern(pattern.into()).matches(name);
        assert!(fits("reply*", "reply.me"));
        assert!(fits("*.replies", "shop.replies"));
        assert!(fits("amq.gen-*", "amq.gen-abc"));
        assert!(fits("a*b*c", "a1b2c"));
        assert!(fits("exact", "exact"));
        assert!(!fits("exact", "exactly"));
        assert!(!fits("reply*", "no-reply"));
        assert!(!fits("*.replies", "shop.replies.x"));
        assert!(!fits("a*b*c", "a1c2"));
        assert!(!fits("reply*", "amq.rabbitmq.trace"));
    }
}
