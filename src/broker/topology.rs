//! The exchanges and queues that the bridge needs: the plan, and bringing the broker to it.
//!
//! Beside what `interface` names there are, for the commands' sake:
//! - `{dead letter queue}`: a fanout exchange in front of the queue of the same name, so that a dead
//!   letter keeps its routing key and can be put back;
//! - `{commands queue}.wait.{step}`: a fanout exchange and queue per step of the ladder, with a fixed
//!   time to live; what expires goes to
//! - `{commands queue}.retry`: a fanout exchange in front of the commands queue, so that a retry does
//!   not reach others who are bound to the commands exchange;
//! - `{commands queue}.held.{account}`: a fanout exchange and queue per account, where its commands wait
//!   while it can't call. They leave only by being consumed, by one consumer at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPError, AMQPErrorKind};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::{Config, Error, Link, answered};
use crate::domain::account::AccountName;

/// Deliveries of one command before the broker itself sets it aside. Our own record gives up long
/// before; RabbitMQ 4 would default to 20, which a few restarts with a full prefetch can reach.
const DELIVERY_LIMIT: i64 = 100;

/// One thing the broker has to have.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A durable exchange.
    Exchange {
        /// Its name.
        name: String,
        /// `topic` or `fanout`.
        fanout: bool,
    },
    /// A durable quorum queue.
    Queue {
        /// Its name.
        name: String,
        /// Its arguments beside the type.
        arguments: BTreeMap<&'static str, Argument>,
    },
    /// A binding of a queue for every routing key.
    Binding {
        /// The queue.
        queue: String,
        /// The exchange.
        exchange: String,
    },
}

/// The value of a queue's argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// On.
    Yes,
}

/// What is wrong with an item, and what to do.
#[derive(Debug, Clone)]
pub struct Problem {
    /// For example `queue ffn.commands`.
    pub what: String,
    /// What the broker says.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}. {}", self.what, self.reason, self.remedy)
    }
}

/// The exchange in front of the dead-letter queue.
pub fn dead_letter_exchange(config: &Config) -> &str {
    &config.dead_letter_queue
}

/// The exchange, and queue, of a step of the ladder.
pub fn wait_exchange(config: &Config, step: Duration) -> String {
    format!("{}.wait.{}", config.commands_queue, humantime::format_duration(step).to_string().replace(' ', ""))
}

/// The exchange, and queue, of an account's commands that wait until it can call again.
pub fn held_queue(config: &Config, account: &AccountName) -> String {
    format!("{}.held.{account}", config.commands_queue)
}

fn retry_exchange(config: &Config) -> String {
    format!("{}.retry", config.commands_queue)
}

/// Everything the bridge needs, in the order in which it can be declared.
pub fn plan(config: &Config) -> Vec<Item> {
    let exchange = |name: &str, fanout| Item::Exchange { name: name.to_owned(), fanout };
    let binding =
        |queue: &str, exchange: &str| Item::Binding { queue: queue.to_owned(), exchange: exchange.to_owned() };
    // Dead-lettering at least once works only together with reject-publish.
    let safely_to = |target: &str| {
        BTreeMap::from([
            ("x-dead-letter-exchange", Argument::Text(target.to_owned())),
            ("x-dead-letter-strategy", Argument::Text("at-least-once".to_owned())),
            ("x-overflow", Argument::Text("reject-publish".to_owned())),
        ])
    };
    let dead = dead_letter_exchange(config);
    let retry = retry_exchange(config);
    let taken_from = || {
        let mut arguments = safely_to(dead);
        arguments.insert("x-delivery-limit", Argument::Number(DELIVERY_LIMIT));
        arguments
    };
    let mut items = vec![
        exchange(&config.events_exchange, false),
        exchange(&config.commands_exchange, false),
        exchange(&config.results_exchange, false),
        exchange(dead, true),
        exchange(&retry, true),
        Item::Queue { name: config.dead_letter_queue.clone(), arguments: BTreeMap::new() },
        binding(&config.dead_letter_queue, dead),
        Item::Queue { name: config.commands_queue.clone(), arguments: taken_from() },
        binding(&config.commands_queue, &config.commands_exchange),
        binding(&config.commands_queue, &retry),
    ];
    for step in &config.retry_steps {
        let name = wait_exchange(config, *step);
        let mut arguments = safely_to(&retry);
        let millis = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-message-ttl", Argument::Number(millis));
        items.push(exchange(&name, true));
        items.push(Item::Queue { name: name.clone(), arguments });
        items.push(binding(&name, &name));
    }
    for account in &config.accounts {
        let name = held_queue(config, account);
        let mut arguments = taken_from();
        // What a consumer leaves behind comes back before the next one gets anything.
        arguments.insert("x-single-active-consumer", Argument::Yes);
        items.push(exchange(&name, true));
        items.push(Item::Queue { name: name.clone(), arguments });
        items.push(binding(&name, &name));
    }
    items
}

/// Brings the broker to the plan, or with `declare = false` looks whether it is there, and gives
/// every problem. Exchanges and queues that exist otherwise are left as they are.
///
/// # Errors
/// No connection.
pub async fn ensure(link: &Link, config: &Config) -> Result<Vec<Problem>, Error> {
    apply_all(link, &plan(config), config.declare).await
}

/// Looks whether these items are there, and gives every problem. Changes nothing.
///
/// # Errors
/// No connection.
pub async fn look(link: &Link, items: &[Item]) -> Result<Vec<Problem>, Error> {
    apply_all(link, items, false).await
}

async fn apply_all(link: &Link, items: &[Item], declare: bool) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    let mut channel = link.channel().await?;
    for item in items {
        if let Err(error) = apply(&channel, item, declare).await? {
            problems.push(explain(item, &error, declare));
            // A refused declaration closes the channel.
            channel = link.channel().await?;
        }
    }
    if let Err(error) = answered("close a channel", channel.close(200, "done".into())).await {
        tracing::debug!(%error, "closing a channel failed");
    }
    Ok(problems)
}

/// What the broker lacks and what it has otherwise, without changing anything there.
///
/// # Errors
/// No connection.
pub async fn inspect(link: &Link, config: &Config) -> Result<Inspection, Error> {
    let mut inspection = Inspection::default();
    let mut channel = link.channel().await?;
    for item in plan(config) {
        if let Err(error) = apply(&channel, &item, false).await? {
            channel = link.channel().await?;
            let is_missing = error.get_id() == 404;
            if is_missing && config.declare {
                inspection.missing.push(item);
            } else {
                inspection.problems.push(explain(&item, &error, config.declare));
            }
            continue;
        }
        // Declaring what exists changes nothing and shows whether its properties fit.
        let shows_properties = config.declare && !matches!(item, Item::Binding { .. });
        if shows_properties && let Err(error) = apply(&channel, &item, true).await? {
            inspection.problems.push(explain(&item, &error, true));
            channel = link.channel().await?;
        }
    }
    Ok(inspection)
}

/// The broker against the plan.
#[derive(Debug, Default)]
pub struct Inspection {
    /// What will be made at start.
    pub missing: Vec<Item>,
    /// What stands in the way.
    pub problems: Vec<Problem>,
}

/// Declares an item, or looks whether it is there. The inner error is the broker's word on the item,
/// the outer one trouble with the connection.
async fn apply(channel: &Channel, item: &Item, declare: bool) -> Result<Result<(), AMQPError>, Error> {
    const ACTION: &str = "declare an exchange or queue";
    let request = async {
        match item {
            Item::Exchange { name, fanout } => {
                let kind = if *fanout { ExchangeKind::Fanout } else { ExchangeKind::Topic };
                let options = ExchangeDeclareOptions { passive: !declare, durable: true, ..Default::default() };
                channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await
            }
            Item::Queue { name, arguments } => {
                let options = QueueDeclareOptions { passive: !declare, durable: true, ..Default::default() };
                channel.queue_declare(name.as_str().into(), options, table(arguments)).await.map(drop)
            }
            // A binding can't be looked at through AMQP; one that is missing shows as an unroutable message.
            Item::Binding { .. } if !declare => Ok(()),
            Item::Binding { queue, exchange } => {
                let (queue, exchange, options) =
                    (queue.as_str().into(), exchange.as_str().into(), QueueBindOptions::default());
                channel.queue_bind(queue, exchange, "#".into(), options, FieldTable::default()).await
            }
        }
    };
    // What the broker says of the item closes the channel; anything else is no word on the item.
    let settled = async {
        match request.await {
            Ok(()) => Ok(Ok(())),
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(word) if matches!(word.kind(), AMQPErrorKind::Soft(_)) => {
                    Ok(Err(word.clone()))
                }
                _ => Err(error),
            },
        }
    };
    answered(ACTION, settled).await
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
    let what = match item {
        Item::Exchange { name, .. } => format!("exchange {name}"),
        Item::Queue { name, .. } => format!("queue {name}"),
        Item::Binding { queue, exchange } => format!("binding of queue {queue} to exchange {exchange}"),
    };
    let code = error.get_id();
    let remedy = match (code, declare) {
        (404, _) => "It does not exist: let the bridge make it (broker.declare = true) or ask who runs the broker to.",
        (406, _) => {
            "It exists with other properties: give the bridge another name for it in [broker], or empty and delete \
             the old one, after which the bridge makes it anew."
        }
        (403, true) => {
            "The user may not configure it: grant the permission, or have it made by someone who may and set \
             broker.declare = false."
        }
        (403, false) => "The user may not see it: grant the permission.",
        _ => "The broker's log may say more.",
    };
    Problem { what, reason: error.to_string(), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            url: "amqp://127.0.0.1".into(),
            events_exchange: "ffn.events".into(),
            commands_exchange: "ffn.commands".into(),
            results_exchange: "ffn.results".into(),
            commands_queue: "ffn.commands".into(),
            dead_letter_queue: "ffn.commands.dead".into(),
            declare: true,
            prefetch: 32,
            event_mode: crate::domain::message::ContentMode::Structured,
            reply_to_allow: Vec::new(),
            retry_steps: vec![Duration::from_secs(10), Duration::from_secs(90)],
            accounts: vec!["acme".parse().unwrap()],
        }
    }

    #[test]
    fn what_expires_in_the_ladder_comes_back_without_reaching_others() {
        let plan = plan(&config());
        let wait = "ffn.commands.wait.1m30s".to_owned();
        let queue = plan.iter().find_map(|item| match item {
            Item::Queue { name, arguments } if *name == wait => Some(arguments),
            _ => None,
        });
        assert_eq!(queue.unwrap()["x-message-ttl"], Argument::Number(90_000));
        assert_eq!(queue.unwrap()["x-dead-letter-exchange"], Argument::Text("ffn.commands.retry".into()));
        assert!(plan.contains(&Item::Binding { queue: wait.clone(), exchange: wait }));
        assert!(plan.contains(&Item::Binding { queue: "ffn.commands".into(), exchange: "ffn.commands.retry".into() }));
    }

    #[test]
    fn what_is_held_stays_until_it_is_taken_by_one_at_a_time() {
        let plan = plan(&config());
        let held = held_queue(&config(), &"acme".parse().unwrap());
        assert_eq!(held, "ffn.commands.held.acme");
        let queue = plan.iter().find_map(|item| match item {
            Item::Queue { name, arguments } if *name == held => Some(arguments),
            _ => None,
        });
        let queue = queue.unwrap();
        assert_eq!(queue["x-single-active-consumer"], Argument::Yes);
        assert_eq!(queue["x-dead-letter-exchange"], Argument::Text("ffn.commands.dead".into()));
        assert_eq!(queue["x-delivery-limit"], Argument::Number(DELIVERY_LIMIT));
        assert!(!queue.contains_key("x-message-ttl"));
        assert!(plan.contains(&Item::Exchange { name: held.clone(), fanout: true }));
        assert!(plan.contains(&Item::Binding { queue: held.clone(), exchange: held }));
    }

    #[test]
    fn dead_lettering_is_at_least_once_and_its_target_is_bound() {
        let plan = plan(&config());
        for item in &plan {
            if let Item::Queue { arguments, .. } = item
                && let Some(Argument::Text(target)) = arguments.get("x-dead-letter-exchange")
            {
                assert_eq!(arguments["x-dead-letter-strategy"], Argument::Text("at-least-once".into()));
                assert_eq!(arguments["x-overflow"], Argument::Text("reject-publish".into()));
                assert!(plan.iter().any(|other| matches!(other, Item::Binding { exchange, .. } if exchange == target)));
            }
        }
    }
}
