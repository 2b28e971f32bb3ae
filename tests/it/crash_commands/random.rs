//! Many orders, many kills, faults of every kind at random: whatever the mixture, one order each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::commands::{leaves_nothing, only, outcome, setup_with};
use crate::support::{Broker, broker, order, until_within};

const ORDERS: usize = 60;
const KILLS: usize = 10;

/// A small generator (xorshift): a seed gives the same sequence everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[tokio::test]
async fn sixty_orders_survive_ten_kills_and_faults_at_random() {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(u64::from(fresh) | 1);
    eprintln!("SEED={seed}");
    let mut random = Random(seed);
    // Here it is the test that ends the process, and no command is to blame.
    let mut world = setup_with("retry_steps = [\"300ms\", \"1s\"]\nmax_crashes = 50")
        .account("call_timeout = \"400ms\"\nmax_concurrency = 8")
        .start()
        .await;
    let mut results = world.broker.results().await;
    for _ in 0..40 {
        let kind = match random.below(7) {
            0 => json!("cut_before"),
            1 => json!("cut_after"),
            2 => json!({"status": 503}),
            3 => json!({"status": 500, "after": true}),
            4 => json!({"delay_ms": 50 + random.below(800)}),
            5 => json!({"delay_after_ms": 50 + random.below(800)}),
            _ => json!("hang_after"),
        };
        let target = if random.below(4) == 0 { json!({"method": "GET", "query": "filter"}) } else { post() };
        let mut target = target;
        target["skip"] = json!(random.below(50));
        world.simulator.fault(json!({"match": target, "kind": kind})).await;
    }
    for number in 0..ORDERS {
        world.broker.command("acme.outbound.create", &format!("c-{number}"), &order(&format!("SO-{number}"))).await;
    }
    for kill in 1..=KILLS {
        // A kill comes when a few more orders are made, or a while has passed.
        let wanted = kill * ORDERS / (KILLS + 2);
        let begun = std::time::Instant::now();
        let patience = Duration::from_millis(300 + random.below(700));
        until_within(Duration::from_secs(60), "a moment to kill", async || {
            let made = world.simulator.outbounds().await.len();
            (made >= wanted || begun.elapsed() > patience).then_some(())
        })
        .await;
        world.bridge.kill();
        world.bridge.start().await;
    }
    results.distinct(ORDERS).await;
    for number in 0..ORDERS {
        only(&world.simulator, &format!("SO-{number}")).await;
    }
    let broker = Broker::connect(&broker::shared_url(), world.names.clone()).await;
    leaves_nothing(&mut world, &broker).await;
    let ends = results.first_of_each();
    assert_eq!(ends.len(), ORDERS, "a command has two outcomes");
    for end in ends {
        assert_eq!(outcome(&end), "succeeded", "SEED={seed}: {}", end.text());
    }
}

fn post() -> Value {
    json!({"method": "POST", "path": "/outbounds"})
}
