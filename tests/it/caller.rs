//! A caller that is not ours: `examples/caller.py`, with Python and pika, over direct reply-to.

use std::process::Command;

use serde_json::json;

use crate::commands::{only, result_of, setup};
use crate::support::process::Process;
use crate::support::{World, until};

/// A Python with pika. Nobody is to believe that these have run where there is none; `make test` finds or brings
/// one, or does not begin them.
fn python() -> Option<String> {
    let has_pika = |python: &str| {
        let checked = Command::new(python).args(["-c", "import pika"]).output();
        checked.is_ok_and(|output| output.status.success())
    };
    if let Ok(python) = std::env::var("FFN_BRIDGE_PYTHON") {
        assert!(has_pika(&python), "{python} has no pika, although it was found before the tests");
        return Some(python);
    }
    let found = [".run/pika/bin/python", "python3", "/usr/bin/python3"].into_iter().find(|python| has_pika(python));
    if found.is_none() {
        eprintln!("DID NOT RUN: there is no Python with pika; `scripts/pika.sh ensure` brings one");
    }
    found.map(str::to_owned)
}

/// Begins the example with the order of this number.
fn call(python: &str, world: &World, number: &str) -> Process {
    let mut command = Command::new(python);
    command.args(["examples/caller.py", number]);
    command.env("AMQP_URL", crate::support::broker::shared_url()).env("EXCHANGE", world.names.commands());
    Process::spawn("caller.py", &mut command)
}

/// Waits for its end and gives what it has printed.
async fn printed(mut caller: Process) -> Vec<String> {
    let code = until("the caller to end", async || caller.ended()).await;
    assert_eq!(code, Some(0), "{:?}", caller.lines());
    // The last lines may still be on their way from the pipe.
    until("what it printed", async || caller.find(|line| line.contains("items[0].quantity").then_some(()))).await;
    caller.output()
}

#[tokio::test]
async fn a_caller_from_another_language_gets_its_answers() {
    let Some(python) = python() else { return };
    let world = setup().start().await;
    let lines = printed(call(&python, &world, "SO-1")).await;
    let id = only(&world.simulator, "SO-1").await["outboundId"].as_str().unwrap().to_owned();
    let wanted = [
        format!("SO-1 is placed; FFN calls it {id}"),
        format!("asked again with the same id, it is still {id}"),
        "it is Pending with 1 line".to_owned(),
        "a bad order is refused: invalid-command".to_owned(),
    ];
    assert_eq!(lines[..4], wanted, "{lines:?}");
    assert!(lines[4].starts_with("  items[0].quantity "), "{lines:?}");
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
}

#[tokio::test]
async fn a_caller_that_is_gone_before_its_answer_loses_nothing_and_may_ask_again() {
    let Some(python) = python() else { return };
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    world
        .simulator
        .fault(json!({"match": {"method": "POST", "path": "/outbounds"}, "times": 0, "kind": {"status": 503}}))
        .await;
    let mut caller = call(&python, &world, "SO-1");
    until("the order to have been tried", async || {
        assert!(caller.ended().is_none(), "{:?}", caller.lines());
        (!world.simulator.requests("POST", "/outbounds").await.is_empty()).then_some(())
    })
    .await;
    caller.kill();
    world.simulator.control("DELETE", "faults", None).await;
    let result = result_of(&mut results, "SO-1/create").await;
    assert_eq!(result.routing_key, "acme.outbound.create.succeeded");
    let lines = printed(call(&python, &world, "SO-1")).await;
    let id = &result.data()["response"]["outboundId"];
    assert_eq!(lines[0], format!("SO-1 is placed; FFN calls it {}", id.as_str().unwrap()), "{lines:?}");
    only(&world.simulator, "SO-1").await;
}
