//! The sections that concern the whole process: every key, its default and its bounds, in one place.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::broker::config::{MOST_COMMAND_QUEUES, ReplyPattern};
use crate::domain::message::ContentMode;
use crate::store::Keyring;
use crate::{broker, commands, store, telemetry};

use super::HttpConfig;
use super::read::{boolean, broker_name, choice, duration, integer, size, text};
use super::secret::{amqp_url, sealing_key, sealing_keys, secret};
use super::section::Section;
use super::value::Value;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Longer than anybody waits.
const CENTURY: Duration = Duration::from_secs(100 * 31_557_600);

/// Reply queues that a command may name unless the configuration says otherwise.
const REPLY_TO_ALLOW: [&str; 5] = ["amq.rabbitmq.reply-to*", "amq.gen-*", "reply*", "*.reply", "*.replies"];

/// `[broker]`; the ladder comes from `[commands]`, the accounts' names from `[[accounts]]`.
pub(super) fn broker(section: &mut Section<'_>) -> Option<broker::Config> {
    let url = section.required("url", r#"url = "amqp://USER:PASSWORD@HOST:5672/%2f""#, amqp_url);
    let events_exchange = section.or("events_exchange", "ffn.events", broker_name);
    let commands_exchange = section.or("commands_exchange", "ffn.commands", broker_name);
    let results_exchange = section.or("results_exchange", "ffn.results", broker_name);
    let commands_queue = section.or("commands_queue", "ffn.commands", broker_name);
    let command_queues = section.or("command_queues", 1, integer(1..=i64::from(MOST_COMMAND_QUEUES)));
    let dead_letter_queue = section.or("dead_letter_queue", "ffn.commands.dead", broker_name);
    let declare = section.or("declare", true, boolean);
    let prefetch = section.or("prefetch", 32, integer(1..=1_000));
    let modes = [("structured", ContentMode::Structured), ("binary", ContentMode::Binary)];
    let event_mode = section.or("event_mode", "structured", choice(&modes));
    let reply_to_allow = section.or("reply_to_allow", REPLY_TO_ALLOW, reply_patterns);

    let distinct = [
        distinct(section, ("events_exchange", &events_exchange), ("commands_exchange", &commands_exchange)),
        distinct(section, ("events_exchange", &events_exchange), ("results_exchange", &results_exchange)),
        distinct(section, ("commands_exchange", &commands_exchange), ("results_exchange", &results_exchange)),
        distinct(section, ("commands_queue", &commands_queue), ("dead_letter_queue", &dead_letter_queue)),
    ];
    if distinct.contains(&None) {
        return None;
    }
    Some(broker::Config {
        url: url?,
        events_exchange: events_exchange?,
        commands_exchange: commands_exchange?,
        results_exchange: results_exchange?,
        commands_queue: commands_queue?,
        command_queues: command_queues?,
        dead_letter_queue: dead_letter_queue?,
        declare: declare?,
        prefetch: prefetch?,
        event_mode: event_mode?,
        reply_to_allow: reply_to_allow?,
        retry_steps: Vec::new(),
        accounts: Vec::new(),
    })
}

/// Refuses two names that must differ, at whichever of them was given.
fn distinct(
    section: &Section<'_>,
    (first, first_name): (&str, &Option<String>),
    (second, second_name): (&str, &Option<String>),
) -> Option<()> {
    match (first_name, second_name) {
        (Some(one), Some(other)) if one == other => {
            let (at, instead) = if section.has(second) { (second, first) } else { (first, second) };
            section.refuse(at, format!("{one:?} is the name of {instead} as well: give each its own"))
        }
        _ => Some(()),
    }
}

fn reply_patterns(value: &Value<'_>) -> Option<Vec<ReplyPattern>> {
    let pattern = |item: &Value<'_>| {
        let pattern = text(item)?;
        if pattern.len() > 255 {
            return item.refuse("a pattern of more than 255 bytes: no queue has such a name");
        }
        Some(ReplyPattern(pattern))
    };
    value.each(r#"a list of patterns such as ["reply*", "*.replies"]"#, pattern)
}

/// `[store]`.
pub(super) fn store(section: &mut Section<'_>) -> Option<store::Config> {
    let database = section.or("url", "sqlite:ffn-bridge.db", database);
    let current = section.optional("encryption_key", sealing_key);
    let old = section.optional("old_encryption_keys", sealing_keys);
    let retention = retention(section);
    if section.has("old_encryption_keys") && !section.has("encryption_key") {
        let why = "without encryption_key nothing is sealed: set it as well (`ffn-bridge keys generate` makes a key)";
        return section.refuse("old_encryption_keys", why);
    }
    let (current, old) = (current?, old?.unwrap_or_default());
    let retention = retention?;
    let keyring = current.map(|current| Keyring::new(current, old)).unwrap_or_default();
    Some(store::Config { database: database?, keyring, retention })
}

/// How long rows are kept. A feed may read again what it has read up to three days ago (the longest overlap
/// and pause between two polls, and a window); the journal has to know that much, and what is known of
/// entities has to last longer than their events.
fn retention(section: &mut Section<'_>) -> Option<store::Retention> {
    let journal = section.or("keep_journal", "30d", duration(3 * DAY..=CENTURY));
    let entities = section.or("keep_entities", "400d", duration(30 * DAY..=CENTURY));
    let commands = section.or("keep_commands", "30d", duration(DAY..=CENTURY));
    let parked = section.or("keep_parked", "90d", duration(DAY..=CENTURY));
    let (journal, entities) = (journal?, entities?);
    if entities < journal {
        let at = if section.has("keep_entities") { "keep_entities" } else { "keep_journal" };
        return section.refuse(
            at,
            "what is known of entities has to last as long as the journal: let keep_entities be at least keep_journal",
        );
    }
    Some(store::Retention { journal, entities, commands: commands?, parked: parked? })
}

fn database(value: &Value<'_>) -> Option<store::Database> {
    let wanted = r#""sqlite:" and the path of a file, such as "sqlite:ffn-bridge.db""#;
    let url = value.text(wanted)?;
    let scheme = url.split(':').next().unwrap_or_default();
    if matches!(scheme, "postgres" | "postgresql") {
        return value.refuse(format!("PostgreSQL is not available in this version: write {wanted}"));
    }
    match url.strip_prefix("sqlite:") {
        None => value.refuse_given(&format!("is no store: write {wanted}")),
        Some("" | ":memory:") => value.refuse_given(&format!("keeps nothing: write {wanted}")),
        Some(path) if path.starts_with("//") => {
            value.refuse_given(&format!("has slashes too many: write {wanted}, or \"sqlite:/var/lib/…\""))
        }
        Some(path) if path.contains('?') => value.refuse_given("has parameters: leave out the ? and what follows"),
        Some(path) => Some(store::Database::Sqlite { path: PathBuf::from(path) }),
    }
}

/// `[http]`.
pub(super) fn http(section: &mut Section<'_>) -> Option<HttpConfig> {
    let listen = section.or("listen", "127.0.0.1:9464", |value| {
        let wanted = r#"an IP address and a port, such as "127.0.0.1:9464" or "[::]:9464""#;
        let address: Result<SocketAddr, _> = value.text(wanted)?.trim().parse();
        address.ok().or_else(|| value.refuse_given(&format!("is no address: write {wanted}")))
    });
    let admin_token = section.optional("admin_token", secret);
    Some(HttpConfig { listen: listen?, admin_token: admin_token? })
}

/// `[log]`.
pub(super) fn log(section: &mut Section<'_>) -> Option<telemetry::Config> {
    let formats = [("text", telemetry::Format::Text), ("json", telemetry::Format::Json)];
    let format = section.or("format", "text", choice(&formats));
    let filter = section.or("filter", "info", |value| {
        let filter = text(value)?;
        match EnvFilter::builder().parse(&filter) {
            Ok(_) => Some(filter),
            Err(error) => value.refuse_given(&format!(
                "is no filter ({error}): write levels such as \"info\" or \"info,ffn_bridge=debug\""
            )),
        }
    });
    Some(telemetry::Config { format: format?, filter: filter? })
}

/// `[commands]`, and the ladder that the broker waits with.
pub(super) fn commands(section: &mut Section<'_>) -> Option<(commands::Config, Vec<Duration>)> {
    let retry_steps = section.or("retry_steps", ["10s", "1m", "10m"], ladder);
    let quick_attempts = section.or("quick_attempts", 3, integer(1..=100));
    let quick_delay = section.or("quick_delay", "250ms", duration(MILLISECOND..=MINUTE));
    let max_attempts = section.or("max_attempts", 12, integer(1..=10_000));
    let settle_delay = section.or("settle_delay", "2s", duration(Duration::ZERO..=10 * MINUTE));
    let probe_delay = section.or("probe_delay", "1s", duration(MILLISECOND..=HOUR));
    let probe_max_delay = section.or("probe_max_delay", "1m", duration(MILLISECOND..=DAY));
    let max_crashes = section.or("max_crashes", 3, integer(2..=50));
    let max_body = section.or("max_body", "15MiB", size(1024..=512 * 1024 * 1024));
    let (probe_delay, probe_max_delay) = (probe_delay?, probe_max_delay?);
    if probe_max_delay < probe_delay {
        let at = if section.has("probe_max_delay") { "probe_max_delay" } else { "probe_delay" };
        return section.refuse(
            at,
            "the longest pause can't be shorter than the first: let probe_max_delay be at least probe_delay",
        );
    }
    let config = commands::Config {
        quick_attempts: quick_attempts?,
        quick_delay: quick_delay?,
        max_attempts: max_attempts?,
        settle_delay: settle_delay?,
        probe_delay,
        probe_max_delay,
        max_crashes: max_crashes?,
        max_body: max_body?,
    };
    Some((config, retry_steps?))
}

/// One to eight waits, each longer than the one before. A queue's TTL has an upper bound: 30 days is within it.
fn ladder(value: &Value<'_>) -> Option<Vec<Duration>> {
    let wanted = r#"1 to 8 durations, each longer than the one before, such as ["10s", "1m", "10m"]"#;
    let steps = value.each(wanted, duration(MILLISECOND..=30 * DAY))?;
    if (1..=8).contains(&steps.len()) && steps.is_sorted_by(|one, next| one < next) {
        Some(steps)
    } else {
        value.refuse_given(&format!("is no ladder: write {wanted}"))
    }
}
