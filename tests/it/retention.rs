//! What is old leaves the store while the bridge runs; what somebody waits for stays, whatever its age.

use crate::support::record::receive_all;
use crate::support::{Setup, order, until};

const DAY_MILLIS: i64 = 86_400_000;

#[tokio::test]
async fn what_is_old_is_taken_out_while_events_flow_and_what_waits_stays() {
    const COPIES: i64 = 3_000;
    let mut world = Setup::new().start().await;
    let mut events = world.broker.events(&["#"]).await;
    let mut results = world.broker.results().await;
    world.simulator.bulk(2, "OLD-").await;
    receive_all(&mut events, &world.simulator).await;
    world.broker.command("acme.outbound.create", "order-1", &order("SO-1")).await;
    results.next().await;
    receive_all(&mut events, &world.simulator).await;
    assert_eq!(world.bridge.stop().await, Some(0));

    // All of it was some 100 days ago, and there was far more. Beside it stand, as old: a lane that nobody
    // publishes any more, commands that are not finished, and what is young enough for its table.
    let ago = |days: i64| format!("{} - {}", chrono::Utc::now().timestamp_millis(), days * DAY_MILLIS);
    let (old, young) = (ago(100), ago(80));
    let columns = "event_time, exchange, routing_key, message_id, message_type, content_type, timestamp, headers, body";
    let first = "(SELECT * FROM journal WHERE lane = 'events:acme' LIMIT 1)";
    world.alter(&format!(
        "UPDATE journal SET recorded_at = {old};
         WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {COPIES})
         INSERT INTO journal (lane, recorded_at, {columns}) SELECT lane, {old}, {columns} FROM copies, {first};
         UPDATE lanes SET confirmed = (SELECT MAX(position) FROM journal);
         INSERT INTO journal (lane, recorded_at, {columns}) SELECT 'events:gone', {old}, {columns} FROM {first};
         UPDATE commands SET finished_at = {old};
         INSERT INTO commands (account, id, routing_key, digest, ordering_key, state, arrived_at)
         VALUES ('acme', 'running', 'k', 'd', 'one', 'running', {old}), ('acme', 'waiting', 'k', 'd', 'two', 'waiting', {old});
         INSERT INTO entities (account, feed, id, known, seen_at)
         VALUES ('acme', 'outbounds', 'forgotten', '{{}}', {}), ('acme', 'outbounds', 'kept', '{{}}', {});
         INSERT INTO parked (account, feed, item, reason, recorded_at)
         VALUES ('acme', 'outbounds', '1', 'odd', {old}), ('acme', 'outbounds', '2', 'odd', {young});",
        ago(401),
        ago(399),
    ));
    let rows = world.db().number("SELECT COUNT(*) FROM journal WHERE lane != 'events:gone'", []);
    assert!(rows > COPIES);

    world.bridge.start().await;
    assert_eq!(world.bridge.count("ffn_bridge_pruned_rows_total").await, 0, "a series each, from the start");
    // Traffic, as long as it takes.
    let mut made = 0;
    until("the old rows to leave", async || {
        made += 1;
        world.simulator.bulk(1, &format!("NEW-{made}-")).await;
        let pruned = world.bridge.count("ffn_bridge_pruned_rows_total{table=\"parked\"}").await;
        (pruned > 0).then_some(())
    })
    .await;
    receive_all(&mut events, &world.simulator).await;
    let pruned = async |table: &str| {
        i64::try_from(world.bridge.count(&format!("ffn_bridge_pruned_rows_total{{table=\"{table}\"}}")).await).unwrap()
    };
    assert_eq!(pruned("journal").await, rows);
    assert_eq!((pruned("entities").await, pruned("commands").await, pruned("parked").await), (1, 1, 1));
    let db = world.db();
    assert_eq!(db.number("SELECT COUNT(*) FROM journal WHERE lane = 'events:gone'", []), 1);
    assert_eq!(db.number("SELECT COUNT(*) FROM journal WHERE recorded_at < ?1", [0]), 0);
    assert_eq!(db.number("SELECT COUNT(*) FROM commands WHERE id IN ('running', 'waiting')", []), 2);
    assert_eq!(db.number("SELECT COUNT(*) FROM commands WHERE state = 'finished'", []), 0);
    assert_eq!(db.number("SELECT COUNT(*) FROM entities WHERE id = 'kept'", []), 1);
    assert_eq!(db.text("SELECT item FROM parked", []).as_deref(), Some("2"));
    // What was told of the old orders is not told again.
    let again = events.seen.iter().filter(|message| message.text().contains("OLD-")).count();
    assert_eq!(again, events.first_of_each().iter().filter(|message| message.text().contains("OLD-")).count());
}
