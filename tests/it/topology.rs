//! What the broker has against what the bridge needs, and commands that are divided by their key.

use std::process::Output;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::cli::{run, tells};
use crate::commands::{self, header, only, outcome, result_of, setup, with_id};
use crate::support::{Node, order, until};

/// States by what they are of, from `topology --json`.
fn states(output: &Output) -> Vec<(String, String, Value)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (text_of(&line["what"]), text_of(&line["state"]), line)).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn state_of<'s>(states: &'s [(String, String, Value)], what: &str) -> &'s str {
    &states.iter().find(|(of, _, _)| of == what).unwrap_or_else(|| panic!("{what}: {states:#?}")).1
}

#[tokio::test]
async fn what_is_missing_is_told_and_made_and_nothing_else_is_touched() {
    let mut world = setup().build().await;
    let (commands, dead) = (world.names.commands(), world.names.dead());
    let (code, before) = run(&world, &["topology"]).await;
    assert_eq!(code, 1, "{before}");
    tells(
        &before,
        &[
            &format!("missing   exchange {commands}  (topic)"),
            &format!("missing   queue {commands}  (quorum, x-dead-letter-exchange {dead}"),
            &format!("unseen    binding of queue {commands} to exchange {commands}  (key #)"),
            "→ It does not exist: `ffn-bridge run` makes it",
            "AMQP shows no bindings",
            "policies are not seen either",
        ],
    );
    let (code, _) = run(&world, &["topology"]).await;
    assert_eq!(code, 1, "showing makes nothing");
    let (code, said) = run(&world, &["topology", "--apply"]).await;
    assert_eq!(code, 0, "{said}");
    tells(&said, &[&format!("made      queue {commands}"), "ok        binding"]);
    let output = world.bridge.cli(&["topology", "--json"], "");
    assert!(output.status.success());
    assert!(states(&output).iter().all(|(_, state, _)| state == "ok" || state == "unseen"), "{output:?}");

    // The bindings are there too: a command finds its way, waits on the ladder, and fails into the dead letters.
    world.bridge.start().await;
    let mut results = world.broker.results().await;
    world.simulator.fault(json!({"match": {"method": "POST"}, "times": 4, "kind": {"status": 503}})).await;
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result_of(&mut results, "c-1").await), "succeeded");
    world.broker.command("acme.outbound.cancel", "c-2", &json!({"outboundId": "none"})).await;
    assert_eq!(world.broker.dead_letters().await.next().await.id(), "c-2");

    // A binding that somebody took away is not seen, and comes back.
    assert_eq!(world.bridge.stop().await, Some(0));
    let (queue, exchange) = (commands.as_str().into(), commands.as_str().into());
    world.broker.channel.queue_unbind(queue, exchange, "#".into(), FieldTable::default()).await.unwrap();
    for arguments in [&["topology"][..], &["topology", "--apply"]] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 0, "{said}");
    }
    world.broker.command("acme.outbound.get", "c-3", &json!({"outboundId": "SO-1"})).await;
}

#[tokio::test]
async fn what_is_there_otherwise_is_named_with_its_argument_and_left_alone() {
    let world = setup().build().await;
    let commands = world.names.commands();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(20));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let queue = world.names.dead();
    world.broker.channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
    for arguments in [&["topology"][..], &["topology", "--apply"]] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 1, "{said}");
        tells(
            &said,
            &[&format!("differs   queue {queue}"), "x-delivery-limit is 20, wanted is 1000000000", "empty and delete"],
        );
    }
    let output = world.bridge.cli(&["topology", "--json"], "");
    assert_eq!(output.status.code(), Some(1));
    let states = states(&output);
    assert_eq!(state_of(&states, &format!("queue {queue}")), "differs");
    assert_eq!(state_of(&states, &format!("queue {commands}")), "ok", "the rest was applied");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    tells(&said, &["1 of "]);
}

#[tokio::test]
async fn without_the_plugin_it_is_said_what_to_enable() {
    let world = setup().broker_lines("command_queues = 2").build().await;
    for arguments in [&["topology", "--apply"][..], &["run"]] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &["rabbitmq-plugins enable rabbitmq_consistent_hash_exchange", ".by-key"]);
    }
}

#[tokio::test]
async fn another_number_of_queues_is_refused_while_the_old_ones_are_there() {
    let mut world = setup().start().await;
    assert_eq!(world.bridge.stop().await, Some(0));
    let commands = world.names.commands();
    let one = world.config().to_owned();
    world.set_config(&one.replace("[broker]\n", "[broker]\ncommand_queues = 3\n"));
    for arguments in [&["topology"][..], &["topology", "--apply"], &["check"], &["run"]] {
        let (code, said) = run(&world, arguments).await;
        assert_eq!(code, 1, "{said}");
        tells(&said, &[&format!("queue {commands}"), "still bound and consumed by nobody", "then delete it"]);
    }
    let output = world.bridge.cli(&["topology", "--json"], "");
    let states = states(&output);
    assert_eq!(state_of(&states, &format!("queue {commands}.1")), "missing", "nothing was applied");

    world.broker.delete(&commands).await;
    let (code, said) = run(&world, &["topology"]).await;
    assert!(code == 1 && !said.contains("left over"), "{said}");
    // And back: one that is left of three would be forgotten.
    let arguments = FieldTable::default();
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let third = format!("{commands}.3");
    world.broker.channel.queue_declare(third.as_str().into(), options, arguments).await.unwrap();
    world.set_config(&one);
    let (code, said) = run(&world, &["run"]).await;
    assert_eq!(code, 1, "{said}");
    tells(&said, &[&format!("queue {third}")]);
    world.broker.channel.queue_delete(third.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    world.bridge.start().await;
}

#[tokio::test]
async fn commands_that_are_divided_keep_the_order_of_their_key_also_when_a_replica_dies() {
    const KEYS: usize = 6;
    const STEPS: usize = 12;
    let node = Node::start_with(&["rabbitmq_consistent_hash_exchange"]).await;
    // The topology is imported, as somebody would make it who may, and looked at by a bridge that may not.
    let mut world = setup().broker(node.url()).broker_lines("command_queues = 3\ndeclare = false").build().await;
    let commands = world.names.commands();
    let (code, said) = run(&world, &["topology"]).await;
    assert_eq!(code, 1, "{said}");
    let exported = world.bridge.cli(&["topology", "--export"], "");
    assert!(exported.status.success());
    let file = world.dir.path().join("definitions.json");
    std::fs::write(&file, &exported.stdout).unwrap();
    node.ctl(&["import_definitions", file.to_str().unwrap()]).await;
    node.ctl(&["add_user", "looker", "wr0ng"]).await;
    let prefix = world.names.prefix();
    node.ctl(&["set_permissions", "looker", "^$", &format!("^({prefix}.*|amq\\.default)$"), &format!("^{prefix}.*$")])
        .await;
    let looker = world.config().replace("guest:guest@", "looker:wr0ng@");
    world.set_config(&looker);
    let output = world.bridge.cli(&["topology", "--json"], "");
    assert!(output.status.success(), "{output:?}");
    assert!(states(&output).iter().all(|(_, state, _)| state == "there" || state == "unseen"), "{output:?}");
    // One who may look closer finds that all of it fits; one who may not is told so.
    let mut closer = world.bridge.command(&["topology", "--json"]);
    let closer = closer.env("FFN_BRIDGE__BROKER__DECLARE", "true");
    let refused = closer.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(state_of(&states(&refused), &format!("queue {commands}.1")), "refused");
    let output = closer.env("FFN_BRIDGE__BROKER__URL", node.url()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(state_of(&states(&output), &format!("exchange {commands}.by-key")), "ok");
    assert_eq!(state_of(&states(&output), &format!("queue {commands}.3")), "ok");

    // Nobody consumes yet: each key has its queue, and what has no key shares one.
    let depths = async || {
        let mut depths = Vec::new();
        for number in 1..=3 {
            depths.push(world.broker.depth(&format!("{commands}.{number}")).await);
        }
        depths
    };
    let get = json!({"outboundId": "none"}).to_string();
    let keyed = |key: &str| with_id(&format!("get-{key}")).with_headers(header("ffn-ordering-key", key));
    for key in 0..24 {
        world.broker.publish(&commands, "acme.outbound.get", keyed(&key.to_string()), get.as_bytes()).await;
    }
    let divided = depths().await;
    assert_eq!(divided.iter().sum::<u32>(), 24, "each came once");
    assert!(divided.iter().all(|depth| *depth > 0), "{divided:?}");
    for (what, properties) in [("one key", keyed("same")), ("no key", with_id("keyless"))] {
        let before = depths().await;
        for _ in 0..5 {
            world.broker.publish(&commands, "acme.outbound.get", properties.clone(), get.as_bytes()).await;
        }
        let grown: Vec<u32> = depths().await.iter().zip(&before).map(|(now, before)| now - before).collect();
        assert!(grown.contains(&5), "{what} went to several queues: {grown:?}");
    }

    world.bridge.start().await;
    let mut other = world.another_bridge();
    other.start().await;
    let mut results = world.broker.results().await;
    // Retries come back by their key as well.
    world.simulator.fault(json!({"match": {"method": "POST"}, "times": 4, "kind": {"status": 503}})).await;
    for key in 0..KEYS {
        world.broker.command("acme.outbound.create", &format!("create-{key}"), &order(&format!("SO-{key}"))).await;
    }
    for key in 0..KEYS {
        assert_eq!(outcome(&result_of(&mut results, &format!("create-{key}")).await), "succeeded");
    }
    for step in 0..STEPS {
        for key in 0..KEYS {
            let number = format!("SO-{key}");
            let body = json!({"outboundId": number, "externalNumber": format!("step-{step}")});
            let properties = with_id(&format!("u-{key}-{step}")).with_headers(header("ffn-ordering-key", &number));
            world.broker.publish(&commands, "acme.outbound.update", properties, body.to_string().as_bytes()).await;
        }
        if step == STEPS / 2 {
            world.bridge.kill();
        }
    }
    for key in 0..KEYS {
        result_of(&mut results, &format!("u-{key}-{}", STEPS - 1)).await;
    }
    for key in 0..KEYS {
        // Results go out in the order of the journal, which is that of the effects.
        let mine = format!("u-{key}-");
        let seen = results.first_of_each();
        let steps: Vec<String> =
            seen.iter().map(|result| text_of(&result.data()["commandId"])).filter(|id| id.starts_with(&mine)).collect();
        let wanted: Vec<String> = (0..STEPS).map(|step| format!("{mine}{step}")).collect();
        assert_eq!(steps, wanted);
        only(&world.simulator, &format!("SO-{key}")).await;
        let body = json!({"outboundId": format!("SO-{key}")});
        let read = commands::run(&world, &mut results, "acme.outbound.get", &format!("last-{key}"), &body).await;
        assert_eq!(read.data()["response"]["externalNumber"], format!("step-{}", STEPS - 1));
    }
    until("every queue to be empty", async || (depths().await == [0, 0, 0]).then_some(())).await;
    // A dead letter is put back the same way.
    let before = world.simulator.requests("GET", "/outbounds/none").await.len();
    let (code, said) = run(&world, &["dead-letters", "requeue", "--id", "get-7"]).await;
    assert_eq!(code, 0, "{said}");
    commands::requested(&world.simulator, "GET", "/outbounds/none", before + 1).await;
    other.kill();
}
