//! Whatever is published as a command is answered: it is taken, and then it can be sent, or it is refused with a
//! result and a reason that fit a message.

use std::sync::LazyLock;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use serde_json::Value;

use super::*;
use crate::commands::compare::{differences, shows_all};
use crate::commands::decode::{DEADLINE_HEADER, decode};
use crate::domain::account::Role;
use crate::domain::message::ContentMode;
use crate::ffn;
use crate::ffn::operations::Settle;
use crate::ffn::testing;
use crate::fuzz::{self, Input};
use crate::metrics::Metrics;
use crate::schema::{COMMANDS, CommandSpec, document};
use crate::store::{Keyring, Sqlite};

const MAX_BODY: usize = 200 << 10;
/// Of a result that refuses: as many faults as are told, each with its path and its words.
const LARGEST_ANSWER: usize = 128 << 10;

/// The examples of all commands, small and full, each with its command.
static SEEDS: LazyLock<Vec<(&CommandSpec, Vec<u8>)>> = LazyLock::new(|| {
    let examples = |spec: &'static CommandSpec| {
        let schema = document(&spec.document()).unwrap().schema;
        let examples = schema["examples"].as_array().unwrap().clone();
        examples.into_iter().map(move |body| (spec, body.to_string().into_bytes()))
    };
    COMMANDS.iter().flat_map(examples).collect()
});

/// A worker with an account of either role, which never calls anybody.
async fn worker(dir: &std::path::Path) -> Worker {
    let account = testing::Account::new(|_| testing::Reply::silence()).await;
    let of = |name: &str, role| {
        let config = ffn::Config { role, account: name.parse().unwrap(), ..account.config.clone() };
        let client = Client::new(config, account.auth.clone(), account.metrics.ffn.clone()).unwrap();
        (name.parse().unwrap(), Account::new(Arc::new(client), account.auth.clone()))
    };
    let broker = broker::Config {
        url: "amqp://127.0.0.1".into(),
        events_exchange: "ffn.events".into(),
        commands_exchange: "ffn.commands".into(),
        results_exchange: "ffn.results".into(),
        commands_queue: "ffn.commands".into(),
        command_queues: 1,
        dead_letter_queue: "ffn.commands.dead".into(),
        declare: true,
        prefetch: 32,
        event_mode: ContentMode::Structured,
        reply_to_allow: vec![broker::config::ReplyPattern("reply*".into())],
        retry_steps: vec![Duration::from_secs(10)],
        accounts: Vec::new(),
    };
    let link = Arc::new(broker::Link::new("amqp://127.0.0.1".into(), "fuzz", None));
    Worker {
        accounts: HashMap::from([of("acme", Role::Merchant), of("ware", Role::Fulfiller)]),
        store: Arc::new(Sqlite::open(&dir.join("bridge.db"), Keyring::default()).await.unwrap()),
        validator: CommandValidator::default(),
        reply: Reply {
            exchange: broker.results_exchange.clone(),
            mode: ContentMode::Structured,
            allowed: broker.reply_to_allow.clone(),
        },
        publisher: Mutex::new(Publisher::new(link, broker.clone())),
        broker,
        config: Config {
            quick_attempts: 1,
            quick_delay: Duration::ZERO,
            max_attempts: 1,
            settle_delay: Duration::ZERO,
            probe_delay: Duration::ZERO,
            probe_max_delay: Duration::ZERO,
            max_crashes: 3,
            max_body: MAX_BODY,
        },
        metrics: Metrics::new().unwrap().commands,
        abort: CancellationToken::new(),
        alone: Mutex::new(()),
    }
}

/// The start of the bytes as text that AMQP takes in a name.
fn short(bytes: &[u8]) -> ShortString {
    let text = String::from_utf8_lossy(bytes);
    ShortString::from(text.get(..text.floor_char_boundary(255)).unwrap())
}

/// A delivery of the input: most often as its command is published, else with what there is to get wrong.
fn delivery(input: &Input) -> Delivery {
    let spec = SEEDS[input.seed].0;
    let [key, form, id, header, wait, flags] = input.dice;
    let account = if spec.roles.contains(&Role::Merchant) { "acme" } else { "ware" };
    let routing_key = match key % 24 {
        0 => short(&input.other),
        1 => short(format!("{account}.{}", SEEDS[key as usize % SEEDS.len()].0.name).as_bytes()),
        2 => short(format!("{account}.").as_bytes()),
        3 => short(format!("ware.{}", spec.name).as_bytes()),
        4 => short(format!("{account}.{}{}", spec.name, "x".repeat(300)).as_bytes()),
        _ => short(format!("{account}.{}", spec.name).as_bytes()),
    };
    let text = |bytes: &[u8]| AMQPValue::LongString(LongString::from(bytes.to_vec()));
    let mut headers = FieldTable::default();
    let odd = [
        text(&input.other),
        text(b"2026-01-05T08:00:00Z"),
        text(b"99999999999999y"),
        text(b"18446744073709551615s"),
        text(b"5m"),
        text(b"-1s"),
        text(b"+262142-12-31T23:59:59Z"),
        text(b"-262143-01-01T00:00:00Z"),
        AMQPValue::Void,
        AMQPValue::Boolean(true),
        AMQPValue::Timestamp(u64::MAX),
        AMQPValue::ShortString(short(&input.other)),
    ];
    let names = [
        DEADLINE_HEADER,
        EXPIRES_HEADER,
        LAST_FAILED_HEADER,
        COMMAND_ID_HEADER,
        REDELIVERED_HEADER,
        "ffn-ordering-key",
        "traceparent",
        "cloudEvents_id",
        "cloudEvents:type",
        "x-death",
    ];
    if header % 3 == 0 {
        for n in 0..=(wait % 3) {
            let name = names[(header / 3 + n) as usize % names.len()];
            headers.insert(name.into(), odd[(wait / 3 + n * 5) as usize % odd.len()].clone());
        }
    }
    let mut properties = BasicProperties::default();
    let mut body = input.bytes.clone();
    match form % 8 {
        0 => {
            properties = properties.with_content_type("application/cloudevents+json; charset=utf-8".into());
            let event_type = if form % 16 == 0 { "ffn.outbound.create" } else { spec.name };
            let before = format!(r#"{{"specversion":"1.0","id":"e-1","source":"/s","type":"ffn.{event_type}","data":"#);
            body = [before.as_bytes(), &input.bytes, b"}"].concat();
        }
        1 => {
            properties = properties.with_content_type("Application/CLOUDEVENTS".into());
            body.clone_from(&input.other);
        }
        2 => {
            for (name, value) in [("id", "e-2"), ("source", "/s"), ("specversion", "1.0")] {
                headers.insert(format!("cloudEvents_{name}").into(), text(value.as_bytes()));
            }
            headers.insert("cloudEvents_type".into(), text(format!("ffn.{}", spec.name).as_bytes()));
        }
        _ => {}
    }
    if id % 4 > 0 {
        properties = properties.with_message_id(if id % 16 == 1 { short(&input.other) } else { "c-1".into() });
    }
    if wait % 5 == 0 {
        let times = ["0", "60000", "18446744073709551615", "-1", "", "1e3", "99999999999999999999999"];
        properties = properties.with_expiration(times[wait as usize / 5 % times.len()].into());
    }
    if flags % 4 == 0 {
        let times = [0, 1_700_000_000, u64::MAX, 8_210_266_876_799, 8_210_266_876_800, 253_402_300_800];
        properties = properties.with_timestamp(times[flags as usize / 4 % times.len()]);
    }
    if flags % 3 == 0 {
        properties = properties.with_reply_to(if flags % 2 == 0 { "reply.me".into() } else { short(&input.other) });
        properties = properties.with_correlation_id(short(&input.other));
    }
    let mut delivery = lapin::message::Delivery::mock(1, "ffn.commands".into(), routing_key, flags % 7 == 0, body);
    delivery.properties = properties.with_headers(headers);
    Delivery::new(delivery)
}

/// Takes the delivery as far as it gets without a call, and holds the answer; whether it is a command.
fn answer(worker: &Worker, input: &Input) -> bool {
    let delivery = delivery(input);
    let command = decode(&delivery, MAX_BODY);
    let job = Job { delivery, command, arrived: Instant::now(), taken: None };
    let ((_, lane), id) = job.lane();
    assert!(!id.is_empty() && !job.envelope().id.is_empty() && job.envelope().id.len() <= 255 && lane.len() < 1 << 20);
    match worker.accept(&job) {
        Ok(accepted) => can_be_sent(&accepted, input),
        Err(refusal) => {
            is_told(worker, *refusal);
            false
        }
    }
}

/// A command that was taken can be told from others, put into a call, and looked for afterwards. Of entries in which a
/// member is given twice the executor says that they can't be sent: then it is `false`.
fn can_be_sent(accepted: &Accepted<'_>, input: &Input) -> bool {
    let Accepted { operation, fields, command, .. } = accepted;
    assert_eq!(command.digest.len(), 32);
    let parts = operation.split(fields).unwrap_or_else(|reason| panic!("{}: {reason}", operation.name));
    assert!(parts.path.iter().all(|(_, value)| !value.is_empty()));
    if let Some(body) = &parts.body {
        assert!(serde_json::from_slice::<Value>(body).unwrap().is_object());
    }
    let with_ids = match operation.with_own_ids(fields, |n| format!("own-{n}")) {
        Ok(with_ids) => with_ids,
        Err(reason) => {
            assert!((10..200).contains(&reason.len()), "{reason}");
            return false;
        }
    };
    for (id, _) in operation.own_ids(&with_ids).unwrap() {
        assert!(!id.is_empty());
    }
    operation.split(&with_ids).unwrap();
    let found: Option<Fields> = serde_json::from_slice(&input.other).ok();
    if let (Settle::Key(key), Some(found)) = (operation.settle, found) {
        for (found, asked) in [(&found, fields), (fields, fields)] {
            for difference in differences(key.same, found, asked) {
                assert!(!difference.path.is_empty() && difference.found.chars().count() <= 90);
            }
        }
        assert!(shows_all(fields, fields), "{}: it is unlike itself", operation.name);
    }
    true
}

/// A refusal has a result and a dead letter that the broker takes, and says why.
fn is_told(worker: &Worker, refusal: Refusal) {
    let Refusal { envelope, error } = refusal;
    assert!((10..4_000).contains(&error.message.len()), "{error:?}");
    let ending = Ending::failed(&envelope, 0, false, error);
    let event = worker.reply.event(&envelope, Some(Role::Merchant), &ending, "").unwrap();
    let drafts = worker.reply.drafts(&envelope, &event);
    assert!((1..=2).contains(&drafts.len()));
    for draft in drafts {
        let message = draft.finish(1).unwrap();
        assert!(message.destination.routing_key.len() <= 255 && message.message_id.len() <= 255);
        assert!(message.correlation_id.is_none_or(|id| id.len() <= 255));
        assert!(message.body.len() < LARGEST_ANSWER, "a result of {} bytes", message.body.len());
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(body["data"]["commandId"], *envelope.id);
    }
    for (name, _) in carried(&envelope) {
        assert!(!name.is_empty());
    }
}

#[tokio::test]
async fn whatever_is_published_is_taken_or_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path()).await;
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|(_, body)| body.clone()).collect();
    fuzz::run("commands", &seeds, |input| {
        let is_command = answer(&worker, input);
        // Nothing can be wrong with what nobody has touched.
        let is_plain = input.is_whole && input.dice[0] % 24 > 4 && input.dice[1] % 8 > 2 && input.dice[3] % 3 > 0;
        assert!(is_command || !is_plain, "an example is refused");
        is_command
    });
}

#[test]
fn a_long_list_is_compared_in_a_time_that_grows_with_it() {
    let list = |numbers: &mut dyn Iterator<Item = usize>| -> Fields {
        let rows: Vec<String> =
            numbers.map(|n| format!(r#"{{"outboundItemId":"{n}","jfsku":"J{n}","quantity":{n}}}"#)).collect();
        serde_json::from_str(&format!(r#"{{"merchantOutboundNumber":"SO","items":[{}]}}"#, rows.join(","))).unwrap()
    };
    let create = Operation::named("outbound.create").unwrap();
    let Settle::Key(key) = create.settle else { panic!("{:?}", create.settle) };
    let count = 20_000;
    let (asked, found) = (list(&mut (0..count)), list(&mut (0..count).rev()));
    let begun = Instant::now();
    assert_eq!(differences(key.same, &found, &asked), []);
    // A look at all rows for each of them would take minutes here without optimisation.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
