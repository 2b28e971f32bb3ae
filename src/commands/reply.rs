//! Results: what the publisher of a command, and whoever else is interested, gets to know.

use std::collections::BTreeMap;

use chrono::Utc;

use super::decode::Envelope;
use crate::broker::config::ReplyPattern;
use crate::domain::account::Role;
use crate::domain::entity::event_id;
use crate::domain::message::{CloudEvent, ContentMode, Destination, Draft, Lane};
use crate::schema::result::{CommandError, FAILED_TYPE, ResultFailed, ResultSucceeded, SUCCEEDED_TYPE};

/// How a command ended, for good.
#[derive(Debug)]
pub enum Ending {
    /// It was carried out.
    Succeeded {
        /// FFN's id of the entity, where known.
        subject: Option<String>,
        /// What it brought.
        result: ResultSucceeded,
    },
    /// It was not, or nobody knows.
    Failed {
        /// FFN's id of the entity, where known.
        subject: Option<String>,
        /// Why.
        result: ResultFailed,
    },
}

/// Makes results.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The results exchange.
    pub exchange: String,
    /// How events are laid into messages.
    pub mode: ContentMode,
    /// Reply queues that a command may name.
    pub allowed: Vec<ReplyPattern>,
}

/// The longest routing key AMQP can carry, in bytes.
const ROUTING_KEY_LIMIT: usize = 255;

impl Reply {
    /// The event that tells how a command ended. `distinct` keeps the ids of endings apart that one
    /// command id can have: empty for the command's own.
    ///
    /// # Errors
    /// JSON that can't be written: a fault of this code.
    pub fn event(
        &self,
        envelope: &Envelope,
        role: Option<Role>,
        ending: &Ending,
        distinct: &str,
    ) -> Result<CloudEvent, serde_json::Error> {
        let (event_type, subject, data) = match ending {
            Ending::Succeeded { subject, result } => {
                (SUCCEEDED_TYPE, subject, serde_json::value::to_raw_value(result)?)
            }
            Ending::Failed { subject, result } => (FAILED_TYPE, subject, serde_json::value::to_raw_value(result)?),
        };
        let now = Utc::now();
        Ok(CloudEvent {
            id: event_id(&[&envelope.account, "result", &envelope.id, event_type, distinct]),
            event_type: event_type.to_owned(),
            subject: subject.clone(),
            time: now,
            account: envelope.account.clone(),
            role,
            recorded_time: now,
            causation_id: Some(envelope.id.clone()),
            is_snapshot: false,
            data,
        })
    }

    /// The messages that carry a result: one to the results exchange and, if the command names a
    /// reply queue that it may name, one to that.
    pub fn drafts(&self, envelope: &Envelope, event: &CloudEvent) -> Vec<Draft> {
        let ending = if event.event_type == SUCCEEDED_TYPE { ".succeeded" } else { ".failed" };
        let mut routing_key = envelope.routing_key.clone();
        truncate(&mut routing_key, ROUTING_KEY_LIMIT - ending.len());
        routing_key.push_str(ending);
        let mut destinations = vec![Destination { exchange: self.exchange.clone(), routing_key }];
        if let Some(queue) = &envelope.reply_to {
            if self.allowed.iter().any(|pattern| pattern.matches(queue)) {
                destinations.push(Destination { exchange: String::new(), routing_key: queue.clone() });
            } else {
                tracing::warn!(
                    command.id = envelope.id,
                    reply_to = queue,
                    "the reply queue is ignored: it matches no pattern of broker.reply_to_allow"
                );
            }
        }
        let mut headers = BTreeMap::new();
        if let Some(traceparent) = &envelope.traceparent {
            headers.insert("traceparent".to_owned(), traceparent.clone());
        }
        let draft = |destination| Draft {
            lane: Lane::Results,
            destination,
            unique: false,
            correlation_id: envelope.correlation_id.clone(),
            mode: self.mode,
            headers: headers.clone(),
            clue: None,
            event: event.clone(),
        };
        destinations.into_iter().map(draft).collect()
    }
}

impl Ending {
    /// A failure of a command.
    pub fn failed(envelope: &Envelope, attempts: u32, reconciled: bool, error: CommandError) -> Self {
        let result = ResultFailed {
            command_id: envelope.id.clone(),
            command: envelope.command.clone(),
            attempts,
            reconciled,
            error,
        };
        Self::Failed { subject: None, result }
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<&CommandError> {
        match self {
            Self::Succeeded { .. } => None,
            Self::Failed { result, .. } => Some(&result.error),
        }
    }
}

/// Cuts a text to at most `limit` bytes, between characters.
fn truncate(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}
