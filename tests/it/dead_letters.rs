//! Dead letters from the command line: looked at without being touched, put back without being executed twice.

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::cli::{run, tells};
use crate::commands::{only, outbounds_of, outcome, result_of, results_of, setup, with_id};
use crate::support::{World, order, until};

/// A letter as the bridge would set it aside.
fn letter(id: &str, code: &str, failed_at: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("ffn-error-code", code),
        ("ffn-error-message", "FFN says no"),
        ("ffn-attempts", "3"),
        ("ffn-first-failed-at", "2026-11-01T08:00:00Z"),
        ("ffn-last-failed-at", failed_at),
    ] {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    with_id(id).with_headers(headers).with_content_type("application/json".into())
}

/// Asserts that both are the same, and says where they begin to differ.
fn same(found: &[&str], wanted: &[&str]) {
    let differ = found.iter().zip(wanted).position(|(one, other)| one != other);
    assert!(differ.is_none(), "at {differ:?}: {:?} instead of {:?}", found[differ.unwrap()], wanted[differ.unwrap()]);
    assert_eq!(found.len(), wanted.len());
}

/// What `dead-letters list --json` lists, in its order.
async fn listed(world: &World, filters: &[&str]) -> Vec<Value> {
    let output = world.bridge.cli(&[&["dead-letters", "list", "--json"], filters].concat(), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect()
}

/// Waits until the dead-letter queue has so many letters.
async fn dead(world: &World, count: u32) {
    let queue = world.names.dead();
    until("the dead letters", async || (world.broker.depth(&queue).await == count).then_some(())).await;
}

#[tokio::test]
async fn a_look_tells_everything_and_changes_nothing() {
    let world = setup().start().await;
    world.broker.command("acme.outbound.create", "bad", &json!({"merchantOutboundNumber": "1.50"})).await;
    dead(&world, 1).await;
    let (queue, old) = (world.names.dead(), letter("old", "not-found", "2026-11-02T08:00:00Z"));
    world.broker.publish(&queue, "shop.outbound.cancel", old, b"{\"outboundId\":\"x\"}").await;
    // No command at all: no id, no key of ours, no JSON, bytes that a terminal would act on.
    let odd = BasicProperties::default().with_delivery_mode(2);
    world.broker.publish(&queue, "odd", odd, b"\xff\x1b[31m{").await;
    let all = listed(&world, &[]).await;
    assert_eq!(ids(&all)[..2], ["bad", "old"]);
    let bad = &all[0];
    assert_eq!((&bad["account"], &bad["command"]), (&json!("acme"), &json!("outbound.create")));
    assert_eq!((&bad["code"], &bad["attempts"]), (&json!("invalid-command"), &json!(0)));
    assert_eq!(bad["firstFailedAt"], bad["lastFailedAt"]);
    assert!(bad["message"].as_str().unwrap().starts_with("the command is not valid: "), "{bad}");
    let old = json!({
        "id": "old", "account": "shop", "command": "outbound.cancel", "routingKey": "shop.outbound.cancel",
        "code": "not-found", "attempts": 3, "firstFailedAt": "2026-11-01T08:00:00Z",
        "lastFailedAt": "2026-11-02T08:00:00Z", "message": "FFN says no", "size": 18
    });
    assert_eq!(all[1], old);
    let odd = all[2]["id"].as_str().unwrap();
    assert!(odd.starts_with("no-id-") && all[2]["code"].is_null(), "{}", all[2]);
    for _ in 0..25 {
        assert_eq!(listed(&world, &[]).await, all, "another look tells the same");
    }

    for (filters, expected) in [
        (vec!["--account", "acme", "--account", "shop"], vec!["bad", "old"]),
        (vec!["--command", "outbound.c*", "--code", "not-found"], vec!["old"]),
        (vec!["--older-than", "1h"], vec!["old"]),
        (vec!["--since", "2026-11-02T08:00:00Z"], vec!["bad", "old"]),
        (vec!["--since", "1h"], vec!["bad"]),
        (vec!["--id", odd], vec![odd]),
    ] {
        assert_eq!(ids(&listed(&world, &filters).await), expected, "{filters:?}");
    }
    let (code, said) = run(&world, &["dead-letters", "list"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["2026-11-02T08:00:00Z  2026-11-01T08:00:00Z    3  not-found", "3 dead letters in"]);
    let (code, said) = run(&world, &["dead-letters", "show", "bad"]).await;
    assert_eq!(code, 0, "{said}");
    let body = "{\n  \"merchantOutboundNumber\": \"1.50\"\n}";
    tells(&said, &["message_id: bad", "  ffn-error-code: invalid-command", "routing key: acme.outbound.create", body]);
    let (code, said) = run(&world, &["dead-letters", "show", odd]).await;
    assert!(code == 0 && said.contains("[31m{") && !said.contains('\u{1b}'), "{said}");
    let (code, said) = run(&world, &["dead-letters", "show", "none"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["no dead letter \"none\""]);
    dead(&world, 3).await;

    // What another one holds is not seen, and that is told.
    let channel = world.broker.connection.create_channel().await.unwrap();
    channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut other =
        channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await.unwrap();
    let held = other.next().await.unwrap().unwrap();
    assert_eq!(held.properties.message_id().as_ref().unwrap().as_str(), "bad");
    let (code, said) = run(&world, &["dead-letters", "list"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["2 dead letters in", "1 other consumer of"]);
}

#[tokio::test]
async fn of_thousands_those_that_were_chosen_go_and_the_others_keep_their_order() {
    const COUNT: usize = 1_250;
    let mut world = setup().start().await;
    // Nobody is there to execute what is put back: it stays where it can be counted.
    assert_eq!(world.bridge.stop().await, Some(0));
    let codes = ["rejected", "conflict", "not-found", "rejected", "rejected"];
    let names: Vec<String> = (0..COUNT).map(|number| format!("c-{number:04}")).collect();
    let mut confirms = Vec::new();
    for (number, id) in names.iter().enumerate() {
        let properties = letter(id, codes[number % codes.len()], "2026-11-02T08:00:00Z");
        let (exchange, options) = (world.names.dead(), BasicPublishOptions::default());
        let (exchange, key) = (exchange.as_str().into(), "acme.outbound.get".into());
        confirms.push(world.broker.channel.basic_publish(exchange, key, options, b"{}", properties).await.unwrap());
    }
    futures_util::future::try_join_all(confirms).await.unwrap();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    // The second time they come as the first look has left them.
    for _ in 0..2 {
        same(&ids(&listed(&world, &[]).await), &all);
    }

    let chosen = COUNT / codes.len();
    for verb in ["requeue", "drop"] {
        let (code, said) = run(&world, &["dead-letters", verb, "--code", "conflict", "--dry-run"]).await;
        assert_eq!(code, 0, "{said}");
        tells(&said, &[&format!("{chosen} dead letters would be")]);
    }
    // A busy broker takes its time to see that nobody looks any more.
    until("nobody to look", async || (world.broker.consumers(&world.names.dead()).await == 0).then_some(())).await;
    let (code, said) = run(&world, &["dead-letters", "requeue", "--code", "conflict"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &[&format!("put back {chosen} dead letters")]);
    let commands = world.names.commands();
    until("them among the commands", async || (world.broker.depth(&commands).await as usize == chosen).then_some(()))
        .await;
    let back = world.broker.subscribe(&commands).await.distinct(chosen).await;
    assert_eq!(back[1].id(), "c-0006");
    assert_eq!(back[1].routing_key, "acme.outbound.get");
    assert_eq!(back[1].header("ffn-last-failed-at").unwrap(), "2026-11-02T08:00:00Z");

    for (words, complaint) in [
        (vec!["drop", "--code", "not-found"], "say --yes"),
        (vec!["drop", "--yes"], "say which"),
        (vec!["requeue"], "say which"),
        (vec!["requeue", "--all", "--id", "c-1"], "exclude each other"),
    ] {
        let (code, said) = run(&world, &[&["dead-letters"], words.as_slice()].concat()).await;
        assert_eq!(code, 2, "{said}");
        tells(&said, &[complaint]);
    }
    let (code, said) = run(&world, &["dead-letters", "drop", "--code", "not-found", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &[&format!("dropped {chosen} dead letters")]);
    let rest: Vec<&str> =
        all.iter().enumerate().filter(|(number, _)| codes[number % 5] == "rejected").map(|(_, id)| *id).collect();
    same(&ids(&listed(&world, &[]).await), &rest);
    let mut left = world.broker.dead_letters().await;
    let left: Vec<String> = left.distinct(rest.len()).await.iter().map(|letter| letter.id()).collect();
    same(&left.iter().map(String::as_str).collect::<Vec<_>>(), &rest);
}

#[tokio::test]
async fn a_letter_that_is_put_back_twice_is_executed_once() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    world.simulator.post("stock", json!({"merchantSku": "MUG-BLUE", "stockLevel": "1"})).await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    let failure = result_of(&mut results, "c-1").await;
    assert_eq!(outcome(&failure), "failed rejected");
    dead(&world, 1).await;
    world.simulator.post("stock", json!({"merchantSku": "MUG-BLUE", "stockLevel": "100"})).await;

    // A queue that is full refuses its copy: the publish is not confirmed, though the bridge has got it.
    let full = world.broker.bind_full("full", &world.names.commands()).await;
    world.broker.publish("", &full, with_id("stopper"), b"").await;
    let (code, said) = run(&world, &["dead-letters", "requeue", "--id", "c-1"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &["put back 0 dead letters", "c-1 could not be put back: it is still a dead letter", "nack"]);
    let all = results_of(&mut results, "c-1", 2).await;
    assert_eq!(outcome(&all[1]), "succeeded");
    assert_eq!(ids(&listed(&world, &[]).await), ["c-1"], "not confirmed, not taken out");

    world.broker.delete(&full).await;
    let (code, said) = run(&world, &["dead-letters", "requeue", "--all"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &["put back 1 dead letter"]);
    let all = results_of(&mut results, "c-1", 3).await;
    assert_eq!(all[2].id(), all[1].id(), "the second copy is answered from the record");
    only(&world.simulator, "SO-1").await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 2, "the failure and the success");
    dead(&world, 0).await;
}

#[tokio::test]
async fn what_the_broker_gives_up_is_a_dead_letter_like_others() {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    assert_eq!(world.bridge.stop().await, Some(0));
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    let expiring = with_id("c-2").with_expiration("1".into());
    let commands = world.names.commands();
    world.broker.publish(&commands, "acme.outbound.create", expiring, order("SO-2").to_string().as_bytes()).await;

    // Somebody who takes it and never brings it to its end.
    let channel = world.broker.connection.create_channel().await.unwrap();
    channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut taker =
        channel.basic_consume(commands.as_str().into(), "".into(), options, FieldTable::default()).await.unwrap();
    let queue = world.names.dead();
    let given_up = async {
        while let Some(Ok(delivery)) = taker.next().await {
            let options = BasicNackOptions { requeue: true, ..Default::default() };
            delivery.acker.nack(options).await.unwrap();
        }
    };
    tokio::select! {
        () = given_up => unreachable!("the subscription stands"),
        () = until("the broker to give up both", async || (world.broker.depth(&queue).await == 2).then_some(())) => {}
    }
    channel.close(200, "done".into()).await.unwrap();

    let all = listed(&world, &[]).await;
    let find = |id: &str| all.iter().find(|letter| letter["id"] == id).unwrap_or_else(|| panic!("{id}: {all:#?}"));
    let (limited, expired) = (find("c-1"), find("c-2"));
    assert_eq!((&limited["code"], &expired["code"]), (&json!("delivery-limit"), &json!("expired")));
    assert_eq!((&limited["command"], &limited["attempts"]), (&json!("outbound.create"), &Value::Null));
    assert!(limited["message"].as_str().unwrap().contains(&commands), "{limited}");
    assert!(chrono::DateTime::parse_from_rfc3339(limited["lastFailedAt"].as_str().unwrap()).is_ok(), "{limited}");
    assert_eq!(ids(&listed(&world, &["--since", "1h", "--code", "delivery-limit"]).await), ["c-1"]);

    world.bridge.start().await;
    let (code, said) = run(&world, &["dead-letters", "requeue", "--code", "delivery-limit"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(outcome(&result_of(&mut results, "c-1").await), "succeeded");
    only(&world.simulator, "SO-1").await;
    assert_eq!(outbounds_of(&world.simulator, "SO-2").await.len(), 0);
    assert_eq!(ids(&listed(&world, &[]).await), ["c-2"]);
}
