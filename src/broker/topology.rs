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
//!   while it can't call. They leave only by being consumed, by one consumer at a time;
//! - with several commands queues, `{commands queue}.by-key`: a consistent-hash exchange that gives each
//!   ordering key one of `{commands queue}.1` … `.N`, also for what comes back from the ladder.
//!
//! What is never done here: an exchange, queue or binding that exists is neither changed nor removed.

mod definitions;
mod survey;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

pub use definitions::definitions;
pub use survey::{Finding, State, look, survey};

use super::config::MOST_COMMAND_QUEUES;
use super::{Config, Error, Link};
use crate::domain::account::AccountName;

/// Deliveries of one command before the broker itself sets it aside. Our own record gives up long
/// before; RabbitMQ 4 would default to 20, which a few restarts with a full prefetch can reach.
const DELIVERY_LIMIT: i64 = 100;
/// Of a dead letter: as good as none. Each look counts as a delivery, and RabbitMQ 4 would drop the letter for good at
/// the 21st. Its word for none is -1, which 3.10 refuses; a number that is never reached means the same to both.
const NO_DELIVERY_LIMIT: i64 = 1_000_000_000;
/// Header that a command is given its queue by, where there are several.
pub const ORDERING_KEY_HEADER: &str = "ffn-ordering-key";
/// Share of a queue on the ring of the consistent-hash exchange.
const WEIGHT: &str = "1";
/// A binding for every routing key.
const EVERY_KEY: &str = "#";

/// One thing the broker has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A durable exchange.
    Exchange {
        /// Its name.
        name: String,
        /// What it does with routing keys.
        kind: Kind,
    },
    /// A durable quorum queue.
    Queue {
        /// Its name.
        name: String,
        /// Its arguments beside the type.
        arguments: BTreeMap<&'static str, Argument>,
    },
    /// A binding.
    Binding {
        /// Where messages come from.
        exchange: String,
        /// Where they go.
        to: Target,
        /// Its routing key.
        key: &'static str,
    },
}

/// Kinds of exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `topic`.
    Topic,
    /// `fanout`.
    Fanout,
    /// `x-consistent-hash` on the ordering key: a plugin that the broker brings along.
    ByKey,
}

impl Kind {
    /// As AMQP calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Fanout => "fanout",
            Self::ByKey => "x-consistent-hash",
        }
    }
}

/// The end of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A queue.
    Queue(String),
    /// Another exchange.
    Exchange(String),
}

/// The value of a queue's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// On.
    Yes,
}

impl std::fmt::Display for Argument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Yes => formatter.write_str("true"),
        }
    }
}

impl std::fmt::Display for Item {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exchange { name, .. } => write!(formatter, "exchange {name}"),
            Self::Queue { name, .. } => write!(formatter, "queue {name}"),
            Self::Binding { exchange, to: Target::Queue(queue), .. } => {
                write!(formatter, "binding of queue {queue} to exchange {exchange}")
            }
            Self::Binding { exchange, to: Target::Exchange(target), .. } => {
                write!(formatter, "binding of exchange {target} to exchange {exchange}")
            }
        }
    }
}

/// What is wrong with an item, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The queues that commands are consumed from.
pub fn command_queues(config: &Config) -> Vec<String> {
    match config.command_queues {
        0 | 1 => vec![config.commands_queue.clone()],
        several => (1..=several).map(|number| numbered(config, number)).collect(),
    }
}

fn numbered(config: &Config, number: u16) -> String {
    format!("{}.{number}", config.commands_queue)
}

fn retry_exchange(config: &Config) -> String {
    format!("{}.retry", config.commands_queue)
}

fn by_key_exchange(config: &Config) -> String {
    format!("{}.by-key", config.commands_queue)
}

/// Everything the bridge needs, in the order in which it can be declared.
pub fn plan(config: &Config) -> Vec<Item> {
    let exchange = |name: &str, kind| Item::Exchange { name: name.to_owned(), kind };
    let queue = |name: &str, arguments| Item::Queue { name: name.to_owned(), arguments };
    let bound = |name: &str, exchange: &str| Item::Binding {
        exchange: exchange.to_owned(),
        to: Target::Queue(name.to_owned()),
        key: EVERY_KEY,
    };
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
    let taken_by_one = || {
        let mut arguments = safely_to(dead);
        arguments.insert("x-delivery-limit", Argument::Number(DELIVERY_LIMIT));
        // What a consumer leaves behind comes back before the next one gets anything: a bridge that died, and that
        // the broker has not missed yet, may have taken what later commands have to wait for.
        arguments.insert("x-single-active-consumer", Argument::Yes);
        arguments
    };
    let looked_at = BTreeMap::from([("x-delivery-limit", Argument::Number(NO_DELIVERY_LIMIT))]);
    let mut items = vec![
        exchange(&config.events_exchange, Kind::Topic),
        exchange(&config.commands_exchange, Kind::Topic),
        exchange(&config.results_exchange, Kind::Topic),
        exchange(dead, Kind::Fanout),
        exchange(&retry, Kind::Fanout),
        queue(&config.dead_letter_queue, looked_at),
        bound(&config.dead_letter_queue, dead),
    ];
    if config.command_queues > 1 {
        let by_key = by_key_exchange(config);
        items.push(exchange(&by_key, Kind::ByKey));
        let mut queues = command_queues(config);
        // A broker that restarts may bind anew in the order of names: from the beginning so, the ring stays as it was.
        queues.sort();
        for name in queues {
            items.push(queue(&name, taken_by_one()));
            items.push(Item::Binding { exchange: by_key.clone(), to: Target::Queue(name), key: WEIGHT });
        }
        // Last: nothing is routed to a ring that is not whole.
        for source in [&retry, &config.commands_exchange] {
            let to = Target::Exchange(by_key.clone());
            items.push(Item::Binding { exchange: source.clone(), to, key: EVERY_KEY });
        }
    } else {
        items.push(queue(&config.commands_queue, taken_by_one()));
        items.push(bound(&config.commands_queue, &config.commands_exchange));
        items.push(bound(&config.commands_queue, &retry));
    }
    for step in &config.retry_steps {
        let name = wait_exchange(config, *step);
        let mut arguments = safely_to(&retry);
        let millis = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-message-ttl", Argument::Number(millis));
        items.push(exchange(&name, Kind::Fanout));
        items.push(queue(&name, arguments));
        items.push(bound(&name, &name));
    }
    for account in &config.accounts {
        let name = held_queue(config, account);
        items.push(exchange(&name, Kind::Fanout));
        items.push(queue(&name, taken_by_one()));
        items.push(bound(&name, &name));
    }
    items
}

/// Brings the broker to the plan, or with `declare = false` looks whether it is there, and gives
/// every problem. Exchanges and queues that exist otherwise are left as they are.
///
/// # Errors
/// No connection.
pub async fn ensure(link: &Link, config: &Config) -> Result<Vec<Problem>, Error> {
    survey::apply_all(link, &plan(config), config.declare).await
}

/// Declares these items, and gives every problem. What exists is left as it is.
///
/// # Errors
/// No connection.
pub async fn declare(link: &Link, items: &[Item]) -> Result<Vec<Problem>, Error> {
    survey::apply_all(link, items, true).await
}

/// What the broker lacks and what it has otherwise, without changing anything there.
///
/// # Errors
/// No connection.
pub async fn inspect(link: &Link, config: &Config) -> Result<Inspection, Error> {
    let mut inspection = Inspection { missing: Vec::new(), problems: left_over(link, config).await? };
    for Finding { item, state } in survey(link, &plan(config), config.declare).await? {
        match state {
            State::Fits | State::There | State::Unseen => {}
            State::Missing(_) if config.declare => inspection.missing.push(item),
            State::Missing(problem) | State::Differs(problem) | State::Refused(problem) => {
                inspection.problems.push(problem);
            }
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

/// Commands queues of another number than the configured one, from before it was changed. What is in them would be
/// forgotten, and what is still bound would get commands: while there are any, nothing may be declared.
///
/// # Errors
/// No connection.
pub async fn left_over(link: &Link, config: &Config) -> Result<Vec<Problem>, Error> {
    let wanted = command_queues(config);
    let single = std::iter::once(config.commands_queue.clone());
    let possible = single.chain((1..=MOST_COMMAND_QUEUES).map(|number| numbered(config, number)));
    let others: Vec<String> = possible.filter(|name| !wanted.contains(name)).collect();
    let looks = others.iter().map(|name| survey::exists(link, name));
    let mut problems = Vec::new();
    for (name, exists) in others.iter().zip(join_all(looks).await) {
        if exists? {
            problems.push(Problem {
                what: format!("queue {name}"),
                reason: format!(
                    "it is a commands queue of another broker.command_queues than {}, still bound and consumed by nobody",
                    config.command_queues
                ),
                remedy: "Set broker.command_queues back until it is empty while nothing is published, then delete it:                          only then does the bridge make the new ones."
                    .to_owned(),
            });
        }
    }
    Ok(problems)
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
            command_queues: 1,
            dead_letter_queue: "ffn.commands.dead".into(),
            declare: true,
            prefetch: 32,
            event_mode: crate::domain::message::ContentMode::Structured,
            reply_to_allow: Vec::new(),
            retry_steps: vec![Duration::from_secs(10), Duration::from_secs(90)],
            accounts: vec!["acme".parse().unwrap()],
        }
    }

    fn binding(exchange: &str, to: Target, key: &'static str) -> Item {
        Item::Binding { exchange: exchange.to_owned(), to, key }
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
        assert!(plan.contains(&binding(&wait, Target::Queue(wait.clone()), "#")));
        assert!(plan.contains(&binding("ffn.commands.retry", Target::Queue("ffn.commands".into()), "#")));
    }

    #[test]
    fn what_is_sent_or_held_stays_until_it_is_taken_by_one_at_a_time() {
        let plan = plan(&config());
        let held = held_queue(&config(), &"acme".parse().unwrap());
        assert_eq!(held, "ffn.commands.held.acme");
        for wanted in ["ffn.commands", &held] {
            let queue = plan.iter().find_map(|item| match item {
                Item::Queue { name, arguments } if name == wanted => Some(arguments),
                _ => None,
            });
            let queue = queue.unwrap();
            assert_eq!(queue["x-single-active-consumer"], Argument::Yes);
            assert_eq!(queue["x-dead-letter-exchange"], Argument::Text("ffn.commands.dead".into()));
            assert_eq!(queue["x-delivery-limit"], Argument::Number(DELIVERY_LIMIT));
            assert!(!queue.contains_key("x-message-ttl"));
        }
        assert!(plan.contains(&Item::Exchange { name: held.clone(), kind: Kind::Fanout }));
        assert!(plan.contains(&binding(&held, Target::Queue(held.clone()), "#")));
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

    #[test]
    fn with_several_queues_everything_that_is_executed_goes_by_its_key() {
        let config = Config { command_queues: 3, ..config() };
        assert_eq!(command_queues(&config), ["ffn.commands.1", "ffn.commands.2", "ffn.commands.3"]);
        let plan = plan(&config);
        let ring = Target::Exchange("ffn.commands.by-key".into());
        for source in ["ffn.commands", "ffn.commands.retry"] {
            assert!(plan.contains(&binding(source, ring.clone(), "#")), "{source}");
        }
        for queue in command_queues(&config) {
            assert!(plan.contains(&binding("ffn.commands.by-key", Target::Queue(queue.clone()), "1")));
            let arguments = plan.iter().find_map(|item| match item {
                Item::Queue { name, arguments } if *name == queue => Some(arguments),
                _ => None,
            });
            assert_eq!(arguments.unwrap()["x-single-active-consumer"], Argument::Yes);
        }
        let single = |item: &&Item| matches!(item, Item::Queue { name, .. } if name == "ffn.commands");
        assert_eq!(plan.iter().find(single), None, "two ways would mean two deliveries");
    }

    #[test]
    fn a_look_at_a_dead_letter_never_uses_it_up() {
        let plan = plan(&config());
        let dead = plan.iter().find_map(|item| match item {
            Item::Queue { name, arguments } if name == "ffn.commands.dead" => Some(arguments),
            _ => None,
        });
        assert_eq!(dead.unwrap()["x-delivery-limit"], Argument::Number(NO_DELIVERY_LIMIT));
    }
}
