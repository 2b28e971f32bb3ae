//! The broker against the plan, item by item, over AMQP alone.
//!
//! What AMQP shows: whether an exchange or queue is there, to anybody; whether it is as it should be, to a user who
//! may configure it, because declaring what exists changes nothing and is refused if it differs. What it does not
//! show: bindings, policies, and more than one difference at a time.

use std::collections::BTreeMap;

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPError, AMQPErrorKind};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::super::{Error, Link, answered};
use super::{Argument, Item, Kind, ORDERING_KEY_HEADER, Problem, Target};

/// What the broker's word on a kind of exchange says that it does not have.
const UNKNOWN_KIND: &str = "unknown exchange type";

/// An item and how it is there.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What is wanted.
    pub item: Item,
    /// What there is.
    pub state: State,
}

/// How an item is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fits,
    /// It is there; its properties were not compared.
    There,
    /// AMQP does not show it.
    Unseen,
    /// It is not there.
    Missing(Problem),
    /// It is there, otherwise than it should be.
    Differs(Problem),
    /// The broker does not let us look, or declare what `run` would.
    Refused(Problem),
}

/// Looks at each item and changes nothing. With `compare` also at the properties of what is there, for which the
/// user has to be allowed to configure it.
///
/// # Errors
/// No connection.
pub async fn survey(link: &Link, items: &[Item], compare: bool) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::with_capacity(items.len());
    let mut channel = link.channel().await?;
    for item in items {
        let mut state = match item {
            Item::Binding { .. } => State::Unseen,
            Item::Exchange { .. } | Item::Queue { .. } => State::There,
        };
        for declare in [false, true] {
            if state != State::There || (declare && !compare) {
                continue;
            }
            match apply(&channel, item, declare).await? {
                Ok(()) if declare => state = State::Fits,
                Ok(()) => {}
                Err(error) => {
                    let problem = explain(item, &error, compare);
                    state = match error.get_id() {
                        404 => State::Missing(problem),
                        406 => State::Differs(problem),
                        _ => State::Refused(problem),
                    };
                    // A refused declaration closes the channel.
                    channel = link.channel().await?;
                }
            }
        }
        findings.push(Finding { item: item.clone(), state });
    }
    close(&channel).await;
    Ok(findings)
}

/// Looks whether these items are there, and gives every problem. Changes nothing.
///
/// # Errors
/// No connection.
pub async fn look(link: &Link, items: &[Item]) -> Result<Vec<Problem>, Error> {
    apply_all(link, items, false).await
}

/// Whether there is a queue of this name, whatever its properties.
pub(super) async fn exists(link: &Link, queue: &str) -> Result<bool, Error> {
    let channel = link.channel().await?;
    let item = Item::Queue { name: queue.to_owned(), arguments: BTreeMap::new() };
    let found = apply(&channel, &item, false).await?;
    if found.is_ok() {
        close(&channel).await;
    }
    // One that is locked or may not be seen is there.
    Ok(found.err().is_none_or(|error| error.get_id() != 404))
}

/// Declares each item, or looks at it, and gives every problem.
pub(super) async fn apply_all(link: &Link, items: &[Item], declare: bool) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    let mut channel = link.channel().await?;
    for item in items {
        if let Err(error) = apply(&channel, item, declare).await? {
            problems.push(explain(item, &error, declare));
            // A refused declaration closes the channel.
            channel = link.channel().await?;
        }
    }
    close(&channel).await;
    Ok(problems)
}

async fn close(channel: &Channel) {
    if let Err(error) = answered("close a channel", channel.close(200, "done".into())).await {
        tracing::debug!(%error, "closing a channel failed");
    }
}

/// Declares an item, or looks whether it is there. The inner error is the broker's word on the item,
/// the outer one trouble with the connection.
async fn apply(channel: &Channel, item: &Item, declare: bool) -> Result<Result<(), AMQPError>, Error> {
    const ACTION: &str = "declare an exchange or queue";
    let none = FieldTable::default;
    let request = async {
        match item {
            Item::Exchange { name, kind } => {
                let options = ExchangeDeclareOptions { passive: !declare, durable: true, ..Default::default() };
                channel.exchange_declare(name.as_str().into(), amqp_kind(*kind), options, hashed_on(*kind)).await
            }
            Item::Queue { name, arguments } => {
                let options = QueueDeclareOptions { passive: !declare, durable: true, ..Default::default() };
                channel.queue_declare(name.as_str().into(), options, table(arguments)).await.map(drop)
            }
            // A binding can't be looked at through AMQP; one that is missing shows as an unroutable message.
            Item::Binding { .. } if !declare => Ok(()),
            Item::Binding { exchange, to: Target::Queue(queue), key } => {
                let (queue, exchange, options) =
                    (queue.as_str().into(), exchange.as_str().into(), QueueBindOptions::default());
                channel.queue_bind(queue, exchange, (*key).into(), options, none()).await
            }
            Item::Binding { exchange, to: Target::Exchange(target), key } => {
                let (target, exchange, options) =
                    (target.as_str().into(), exchange.as_str().into(), ExchangeBindOptions::default());
                channel.exchange_bind(target, exchange, (*key).into(), options, none()).await
            }
        }
    };
    // What the broker says of the item closes the channel; anything else is no word on the item. That it has no such
    // kind of exchange closes the connection, and is one all the same.
    let is_word = |word: &AMQPError| {
        matches!(word.kind(), AMQPErrorKind::Soft(_)) || word.get_message().as_str().contains(UNKNOWN_KIND)
    };
    let settled = async {
        match request.await {
            Ok(()) => Ok(Ok(())),
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(word) if is_word(word) => Ok(Err(word.clone())),
                _ => Err(error),
            },
        }
    };
    answered(ACTION, settled).await
}

fn amqp_kind(kind: Kind) -> ExchangeKind {
    match kind {
        Kind::Topic => ExchangeKind::Topic,
        Kind::Fanout => ExchangeKind::Fanout,
        Kind::ByKey => ExchangeKind::Custom(kind.as_str().to_owned()),
    }
}

fn hashed_on(kind: Kind) -> FieldTable {
    let mut table = FieldTable::default();
    if kind == Kind::ByKey {
        table.insert("hash-header".into(), AMQPValue::LongString(ORDERING_KEY_HEADER.into()));
    }
    table
}

fn table(arguments: &BTreeMap<&'static str, Argument>) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    for (name, value) in arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
            Argument::Yes => AMQPValue::Boolean(true),
        };
        table.insert((*name).into(), value);
    }
    table
}

fn explain(item: &Item, error: &AMQPError, declare: bool) -> Problem {
    let word = error.get_message().as_str();
    let remedy = match (error.get_id(), declare) {
        (404, true) => "It does not exist: `ffn-bridge run` makes it, and so does `ffn-bridge topology --apply`.",
        (404, false) => {
            "It does not exist: let the bridge make it (broker.declare = true), or have it made by someone who may, \
             with `ffn-bridge topology --apply` or from `ffn-bridge topology --export`."
        }
        (406, _) => {
            "It exists with other properties: give the bridge another name for it in [broker], or empty and delete \
             the old one, after which the bridge makes it anew."
        }
        (403, true) => {
            "The user may not configure it: grant the permission, or have it made by someone who may and set \
             broker.declare = false."
        }
        (403, false) => "The user may not see it: grant the permission.",
        _ if word.contains(UNKNOWN_KIND) => {
            "broker.command_queues above 1 needs a plugin that comes with RabbitMQ: \
             `rabbitmq-plugins enable rabbitmq_consistent_hash_exchange` on each node."
        }
        _ => "The broker's log may say more.",
    };
    let reason = match difference(word) {
        Some(difference) => format!("{difference} ({error})"),
        None => error.to_string(),
    };
    Problem { what: item.to_string(), reason, remedy: remedy.to_owned() }
}

/// What the broker says of the first property that differs, in our words.
fn difference(word: &str) -> Option<String> {
    let (_, rest) = word.split_once("inequivalent arg '")?;
    let (name, rest) = rest.split_once('\'')?;
    let (_, values) = rest.split_once(": received ")?;
    let (wanted, has) = values.split_once(" but current is ")?;
    let plain = |text: &str| {
        let text = text.trim().trim_start_matches("the value ");
        let text = text.split(" of type ").next().unwrap_or(text);
        text.trim_matches('\'').to_owned()
    };
    Some(format!("{name} is {}, wanted is {}", plain(has), plain(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_that_differs_is_named_with_both_its_values() {
        let said = "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'ffn.commands' in vhost '/': \
                    received the value '100' of type 'signedint' but current is the value '20' of type 'long'";
        assert_eq!(difference(said).unwrap(), "x-delivery-limit is 20, wanted is 100");
        let said = "PRECONDITION_FAILED - inequivalent arg 'x-overflow' for queue 'q' in vhost '/': received the value \
                    'reject-publish' of type 'longstr' but current is none";
        assert_eq!(difference(said).unwrap(), "x-overflow is none, wanted is reject-publish");
        let said = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'e' in vhost '/': received 'topic' but \
                    current is 'fanout'";
        assert_eq!(difference(said).unwrap(), "type is fanout, wanted is topic");
        assert_eq!(difference("NOT_FOUND - no queue 'q' in vhost '/'"), None);
    }
}
