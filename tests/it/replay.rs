//! `ffn-bridge replay`: what was published is published again, as it was, to whom a person names.

use lapin::types::AMQPValue;

use crate::cli::{run, tells};
use crate::support::process::Process;
use crate::support::record::receive_all;
use crate::support::{Message, Setup, Subscription, World, until};

/// A world in which six orders were made and three shipped, all of it told; the bridge has stopped.
async fn told() -> (World, Subscription) {
    let mut world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(6, "SO-").await;
    for number in 1..=3 {
        world.simulator.advance(&format!("SO-00000{number}"), "Shipped").await;
    }
    receive_all(&mut events, &world.simulator).await;
    assert_eq!(world.bridge.stop().await, Some(0));
    (world, events)
}

/// The message without the mark of a replay, which it has to have.
fn unmarked(message: &Message) -> Message {
    let mut headers = message.properties.headers().clone().unwrap().inner().clone();
    let mark = headers.remove("ffn-replay");
    assert_eq!(mark, Some(AMQPValue::LongString("true".into())), "{:?}", message.properties);
    Message { properties: message.properties.clone().with_headers(headers.into()), ..message.clone() }
}

/// Key, properties with all headers, and body; a queue of its own changes the key.
fn parts(message: &Message) -> (String, String, String) {
    (message.id(), format!("{:?}", message.properties), message.text())
}

fn of_type(seen: &[Message], name: &str) -> usize {
    seen.iter().filter(|message| message.properties.kind().as_ref().is_some_and(|it| it.as_str() == name)).count()
}

#[tokio::test]
async fn a_replay_brings_the_same_bytes_in_the_same_order() {
    let (world, events) = told().await;
    let original = events.seen.clone();
    // To one queue, while no bridge runs; the other subscriber sees nothing of it.
    let queue = world.broker.bind("more", &world.names.events(), &[]).await;
    let (code, said) = run(&world, &["replay", "--to-queue", &queue]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &[&format!("published {} events", original.len())]);
    let mut more = world.broker.subscribe(&queue).await;
    let replayed = more.distinct(original.len()).await;
    assert_eq!(more.seen.len(), original.len(), "each once");
    for (first, again) in original.iter().zip(&replayed) {
        assert_eq!(parts(&unmarked(again)), parts(first));
        assert_eq!(again.properties.delivery_mode(), &Some(2));
        assert!(first.header("ffn-replay").is_none());
    }
    // To all who are bound, with the keys they had.
    let mut events = events;
    events.seen.clear();
    let (code, said) = run(&world, &["replay", "--account", "acme", "--type", "ffn.outbound.*"]).await;
    assert_eq!(code, 0, "{said}");
    let wanted: Vec<&Message> =
        original.iter().filter(|message| message.routing_key.starts_with("acme.outbound.")).collect();
    assert!(wanted.len() < original.len());
    let again = events.distinct(wanted.len()).await;
    for (first, again) in wanted.iter().zip(&again) {
        assert_eq!((parts(&unmarked(again)), &again.routing_key), (parts(first), &first.routing_key));
    }
    assert_eq!(world.broker.depth(&queue).await, 0);
}

#[tokio::test]
async fn a_replay_takes_what_fits_and_a_dry_run_counts_it() {
    let (mut world, events) = told().await;
    let seen = &events.seen;
    let (created, shipped) = (of_type(seen, "ffn.outbound.created.v1"), of_type(seen, "ffn.outbound.shipped.v1"));
    assert_eq!((created, shipped), (6, 3));
    let chosen = ["replay", "--dry-run", "--type", "ffn.outbound.created.v1", "--type", "*.shipped.v?"];
    let (code, said) = run(&world, &chosen).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["6  ffn.outbound.created.v1", "6  would be published"]);
    assert!(!said.contains("shipped"), "a ? is a ?: {said}");
    let (_, said) = run(&world, &["replay", "--dry-run", "--type", "ffn.outbound.shipped.*", "--since", "1h"]).await;
    tells(&said, &["3  ffn.outbound.shipped.v1", "3  would be published"]);
    let (_, said) = run(&world, &["replay", "--dry-run", "--until", "1h"]).await;
    tells(&said, &["         0  would be published"]);
    // By the event's time, to the millisecond: from the last order's creation on.
    let time = |message: &&crate::support::Message| {
        chrono::DateTime::parse_from_rfc3339(&message.header("cloudEvents_time").unwrap()).unwrap()
    };
    let last = seen.iter().filter(|message| message.event() == "created").max_by_key(time).unwrap();
    let time = last.header("cloudEvents_time").unwrap();
    let (_, said) = run(&world, &["replay", "--dry-run", "--type", "ffn.outbound.created.v1", "--since", &time]).await;
    tells(&said, &["1  would be published"]);
    let (_, said) = run(&world, &["replay", "--dry-run", "--type", "ffn.outbound.created.v1", "--until", &time]).await;
    tells(&said, &["5  would be published"]);

    // What the broker has not confirmed is the bridge's to publish; results are nobody's.
    world.alter("UPDATE lanes SET confirmed = (SELECT MAX(position) FROM journal) - 2 WHERE lane = 'events:acme'");
    let (_, said) = run(&world, &["replay", "--dry-run"]).await;
    tells(&said, &[&format!("{}  would be published", seen.len() - 2), "2 more that fit wait to be published"]);
    world.alter("UPDATE journal SET lane = 'results'");
    let (code, said) = run(&world, &["replay"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["nothing to publish"]);

    for (arguments, word) in [
        (&["replay", "--account", "nobody"][..], "there is no account \"nobody\""),
        (&["replay", "--since", "1h", "--until", "2h"], "has to be before --until"),
        (&["replay", "--since", "yesterday"], "how long ago, such as 2h"),
    ] {
        let (code, said) = run(&world, arguments).await;
        assert_ne!(code, 0, "{said}");
        tells(&said, &[word]);
    }
    // Nothing of all this was published.
    assert_eq!(world.broker.depth(&world.names.queue("events")).await, 0);
    world.bridge.process = None;
}

#[tokio::test]
async fn a_replay_that_can_not_arrive_is_told() {
    let (world, mut events) = told().await;
    let count = events.seen.len();
    events.seen.clear();
    for (queue, words) in [
        (world.names.queue("nowhere"), ["no queue", "Nothing was published"]),
        (world.names.commands(), ["the bridge's own queue", "Nothing was published"]),
        ("amq.rabbitmq.reply-to".to_owned(), ["is no name of a queue", "Nothing was published"]),
    ] {
        let (code, said) = run(&world, &["replay", "--to-queue", &queue]).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &words);
    }
    // A queue that takes one and refuses the others.
    let full = world.broker.bind_full("more", &world.names.events()).await;
    let (code, said) = run(&world, &["replay", "--to-queue", &full]).await;
    assert_eq!(code, 1, "{said}");
    let refused = count - usize::try_from(world.broker.depth(&full).await).unwrap();
    assert!(refused > 0);
    tells(&said, &[&format!("published {} event", count - refused), &format!("{refused} events did not arrive")]);
    tells(&said, &["the broker refused them, is a queue full?"]);
    world.broker.delete(&full).await;

    // Nobody is bound for the shipments any more.
    world.broker.delete(&world.names.queue("events")).await;
    let queue = world.broker.bind("results", &world.names.events(), &["*.outbound.#"]).await;
    let mut some = world.broker.subscribe(&queue).await;
    let (code, said) = run(&world, &["replay"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["3 events did not arrive: no queue is bound for them", "acme.shipment.dispatched"]);
    assert_eq!(some.distinct(count - 3).await.len(), count - 3);

    // No exchange: nothing is sent at all.
    let options = lapin::options::ExchangeDeleteOptions::default();
    world.broker.channel.exchange_delete(world.names.events().into(), options).await.unwrap();
    let (code, said) = run(&world, &["replay"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["no exchange", &world.names.events(), "Nothing was published"]);
}

#[tokio::test]
async fn a_replay_beside_a_running_bridge_stops_when_it_is_told_to_and_says_how_far_it_got() {
    const COPIES: i64 = 40_000;
    let (mut world, _events) = told().await;
    world.broker.delete(&world.names.queue("events")).await;
    // As many events as take a while.
    world.alter(&format!(
        "WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {COPIES})
         INSERT INTO journal (lane, event_time, recorded_at, exchange, routing_key, message_id, message_type,
                              content_type, timestamp, headers, body)
         SELECT lane, event_time, recorded_at, exchange, routing_key, 'copy-' || n, message_type,
                content_type, timestamp, headers, body
         FROM copies, (SELECT * FROM journal WHERE message_type = 'ffn.outbound.created.v1' LIMIT 1)
         ORDER BY n"
    ));
    world.alter("UPDATE lanes SET confirmed = (SELECT MAX(position) FROM journal)");
    world.bridge.start().await;
    let queue = world.broker.bind("more", &world.names.events(), &[]).await;
    let arguments = ["replay", "--to-queue", &queue];
    let mut replay = Process::spawn("ffn-bridge replay", &mut world.bridge.command(&arguments));
    until("the first burst", async || (world.broker.depth(&queue).await > 0).then_some(())).await;
    replay.signal("INT");
    assert_eq!(until("the replay to end", async || replay.ended()).await, Some(1));
    let said = replay.lines().join("\n");
    let total = world.db().number("SELECT COUNT(*) FROM journal WHERE lane = 'events:acme'", []);
    let published = until("the count", async || {
        let depth = world.broker.depth(&queue).await;
        said.contains(&format!("published {depth} of {total} events")).then_some(i64::from(depth))
    })
    .await;
    assert!(published < total, "{said}");
    tells(&said, &["interrupted; every other event was left alone"]);

    // The bridge beside it took no notice.
    let mut events = world.broker.events(&["#"]).await;
    world.simulator.bulk(1, "LATER-").await;
    let next = events.next().await;
    assert!(next.header("ffn-replay").is_none() && next.text().contains("LATER-"));
}
