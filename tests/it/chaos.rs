//! Thousands of commands of every kind under faults of every kind: each has its effect once, in order, and one end.
//!
//! A seed is a mix of scripts (`scripts.rs`), sent with repetitions at random, while the simulator cuts connections
//! before and after the effect, hangs, answers 503, 429 and 423, or later than the bridge waits, and the bridge is
//! killed every second or two. Then the results are compared with the simulator's own record (`check.rs` says how).
//!
//! Every end has to be a success, as every fault passes: FFN answers most calls, looks tell what became of those in
//! doubt, and neither kills nor an absent FFN count against a command. Only where FFN shows nothing that would tell
//! may the end be `outcome-unknown`; a few of these are in the mix, and they are never done twice. Left out is
//! `products.share` alone: twice has the effect of once, and it touches the entities of all other scripts.
//!
//! `FFN_BRIDGE_CHAOS_COMMANDS=5000` sends so many, `SEED=17` the mix of that seed; `make soak` sends 5,000.

mod check;
mod scripts;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use ffn_bridge::domain::account::Role;
use ffn_bridge::ffn::operations::{Operation, Subject as Names};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::scripts::{SCRIPTS, Script, Step, Subject, UNKNOWABLE};
use crate::commands::held::own_way;
use crate::commands::{header, with_id};
use crate::support::process::written;
use crate::support::{Bridge, Broker, Message, Setup, Subscription, World, until};

/// Entities at a time, so that commands of all phases meet in the queue.
const WINDOW: usize = 60;
/// A command that has not ended when so long nothing has come is lost.
const PATIENCE: Duration = Duration::from_secs(40);
/// One of so many entities has a command of which nothing would tell.
const UNKNOWABLE_EVERY: usize = 12;

/// What is switched off, to show that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The bridge's record of commands forgets each at once.
    Inbox,
    /// Whatever is looked for at FFN is not found.
    LookUp,
}

/// One entity of the mix.
pub struct Entity {
    script: Script,
    subject: Subject,
    phase: usize,
    steps: Vec<Sent>,
    /// Commands of the phase that have not ended.
    open: usize,
    /// In which order they have ended, first results only.
    ended: Vec<usize>,
    /// Everything that a row of the simulator's record may name it by.
    names: BTreeSet<String>,
}

/// A command that was sent.
pub struct Sent {
    id: String,
    step: Step,
    /// Its results, without repetitions.
    ends: Vec<Message>,
    /// A repetition that says something else under the same id.
    contradiction: Option<String>,
}

/// The operation of a step.
fn operation(step: &Step) -> (&'static Operation, Role) {
    let role = if step.account == "acme" { Role::Merchant } else { Role::Fulfiller };
    (Operation::of(step.name, role).unwrap(), role)
}

struct Mix<'a> {
    broker: &'a Broker,
    exchange: String,
    rng: fastrand::Rng,
    broken: Broken,
    entities: Vec<Entity>,
    /// Commands by their ids.
    ids: HashMap<String, (usize, usize)>,
    /// Repetitions that are sent some time later.
    echoes: Vec<(usize, usize)>,
    running: usize,
    repeated: usize,
    results: usize,
}

impl<'a> Mix<'a> {
    fn new(broker: &'a Broker, exchange: String, rng: fastrand::Rng, broken: Broken) -> Self {
        let (entities, ids, echoes) = (Vec::new(), HashMap::new(), Vec::new());
        Self { broker, exchange, rng, broken, entities, ids, echoes, running: 0, repeated: 0, results: 0 }
    }

    /// In figures.
    fn summary(&self) -> String {
        let sent = || self.entities.iter().flat_map(|entity| &entity.steps);
        let ends = || sent().filter_map(|sent| sent.ends.first());
        let kinds: BTreeSet<&str> = sent().map(|sent| sent.step.name).collect();
        format!(
            "{} commands of {} kinds for {} entities, {} repetitions, {} results, {} settled by looking, {} failed, \
             {} attempts at most",
            sent().count(),
            kinds.len(),
            self.entities.len(),
            self.repeated,
            self.results,
            ends().filter(|end| end.data()["reconciled"] == true).count(),
            ends().filter(|end| end.event() == "failed").count(),
            ends().filter_map(|end| end.data()["attempts"].as_u64()).max().unwrap_or_default(),
        )
    }

    /// Sends commands until there are so many, and takes their results until all have ended, or nothing comes.
    async fn run(&mut self, results: &mut Subscription, commands: usize) {
        loop {
            while self.running < WINDOW && self.ids.len() < commands {
                self.begin().await;
            }
            if self.running == 0 {
                break;
            }
            let Ok(message) = tokio::time::timeout(PATIENCE, results.next()).await else { break };
            self.take(message).await;
            while !self.echoes.is_empty() && self.rng.u8(..3) == 0 {
                self.echo().await;
            }
        }
        while !self.echoes.is_empty() {
            self.echo().await;
        }
    }

    async fn begin(&mut self) {
        let number = self.entities.len();
        let script = if number % UNKNOWABLE_EVERY == UNKNOWABLE_EVERY - 1 {
            UNKNOWABLE[number / UNKNOWABLE_EVERY % UNKNOWABLE.len()]
        } else {
            let all: usize = SCRIPTS.iter().map(|(often, _)| often).sum();
            let mut place = self.rng.usize(..all);
            let chosen = SCRIPTS.iter().find(|(often, _)| match place.checked_sub(*often) {
                Some(rest) => {
                    place = rest;
                    false
                }
                None => true,
            });
            chosen.unwrap().1
        };
        let (tag, own) = (format!("C{number:05}"), format!("ACME02C{number:05}"));
        let names = BTreeSet::from([tag.clone(), own.clone()]);
        let subject = Subject { tag, own, answers: Vec::new() };
        self.entities.push(Entity { script, subject, phase: 0, steps: Vec::new(), open: 0, ended: Vec::new(), names });
        self.running += 1;
        self.send_phase(number).await;
    }

    /// Sends the commands of an entity's phase, and some of them again.
    async fn send_phase(&mut self, number: usize) {
        let entity = &mut self.entities[number];
        let mut steps = (entity.script)(&entity.subject, entity.phase);
        // What only reads can't do without what it looks for.
        steps.retain(|step| self.broken != Broken::LookUp || !step.marks.is_empty());
        assert!(steps.iter().all(|step| step.account == steps[0].account), "order is kept per account");
        entity.open = steps.len();
        if steps.is_empty() {
            self.running -= 1;
        }
        for step in steps {
            let entity = &mut self.entities[number];
            let nth = entity.steps.len();
            let id = format!("{}/{nth}", entity.subject.tag);
            self.ids.insert(id.clone(), (number, nth));
            entity.steps.push(Sent { id, step, ends: Vec::new(), contradiction: None });
            self.send(number, nth).await;
            match self.rng.u8(..20) {
                0..2 => {
                    self.repeated += 1;
                    self.send(number, nth).await;
                }
                2 => self.echoes.push((number, nth)),
                _ => {}
            }
        }
    }

    async fn echo(&mut self) {
        let (number, nth) = self.echoes.swap_remove(self.rng.usize(..self.echoes.len()));
        self.repeated += 1;
        self.send(number, nth).await;
    }

    async fn send(&self, number: usize, nth: usize) {
        let entity = &self.entities[number];
        let Sent { id, step, .. } = &entity.steps[nth];
        let properties = with_id(id).with_headers(header("ffn-ordering-key", &entity.subject.tag));
        let key = format!("{}.{}", step.account, step.name);
        self.broker.publish(&self.exchange, &key, properties, step.body.to_string().as_bytes()).await;
    }

    /// Notes a result, and goes on with its entity if it was the last of its phase.
    async fn take(&mut self, message: Message) {
        self.results += 1;
        let data = message.data();
        let (number, nth) = self.ids[data["commandId"].as_str().unwrap()];
        let entity = &mut self.entities[number];
        let sent = &mut entity.steps[nth];
        if let Some(known) = sent.ends.iter().find(|known| known.id() == message.id()) {
            // A repetition has a place of its own in the journal.
            let told = |message: &Message| {
                let mut told = message.json();
                told["sequence"].take();
                told
            };
            if told(known) != told(&message) {
                sent.contradiction = Some(message.text());
            }
            return;
        }
        sent.ends.push(message);
        if sent.ends.len() > 1 {
            return;
        }
        entity.ended.push(nth);
        let response = &data["response"];
        let member = match operation(&sent.step).0.subject {
            Names::Answer(member) => Some(member),
            Names::Member(_) | Names::None => None,
        };
        for name in member.into_iter().chain(["fulfillerStockChangeId"]) {
            entity.names.extend(response[name].as_str().map(str::to_owned));
        }
        entity.open -= 1;
        if entity.open > 0 {
            return;
        }
        if entity.steps.iter().all(|sent| sent.ends[0].event() == "succeeded") {
            entity.subject.answers = entity.steps.iter().map(|sent| sent.ends[0].data()["response"].clone()).collect();
            entity.phase += 1;
            self.send_phase(number).await;
        } else {
            self.running -= 1;
        }
    }
}

/// Kills the bridge and starts it again every second or two until it is over; how often.
async fn kill(bridge: &mut Bridge, rng: &mut fastrand::Rng, over: &CancellationToken) -> usize {
    let mut kills = 0;
    loop {
        let pause = Duration::from_millis(rng.u64(800..2000));
        if tokio::time::timeout(pause, over.cancelled()).await.is_ok() {
            return kills;
        }
        bridge.kill();
        kills += 1;
        bridge.start_unready().await;
    }
}

/// Waits until the broker has nothing left for the bridge, and stops it.
async fn drain(world: &mut World) {
    let commands = world.names.commands();
    let beside = ["wait.300ms", "wait.1s", "held.acme", "held.ware"].map(|end| format!("{commands}.{end}"));
    let queues: Vec<String> = beside.into_iter().chain([commands]).collect();
    let left = async |broker: &Broker| {
        let mut left = 0;
        for queue in &queues {
            left += broker.depth(queue).await;
        }
        left
    };
    for _ in 0..5 {
        until("the queues to be empty", async || (left(&world.broker).await == 0).then_some(())).await;
        // What has not had its turn goes back.
        assert_eq!(world.bridge.stop().await, Some(0));
        if left(&world.broker).await == 0 {
            return;
        }
        world.bridge.start().await;
    }
    panic!("something comes back to the queues again and again");
}

/// A merchant and a fulfiller, and a bridge that lacks something.
async fn start(broken: Broken) -> World {
    let setup = Setup::new()
        // Nothing but commands calls FFN, and FFN takes a shipment's number twice.
        .account("feeds = []\ncall_timeout = \"1s\"\nmax_concurrency = 8")
        .simulator(&["--accept-duplicate-shipping-numbers"])
        // Here it is the test that ends the process, and no command is to blame.
        .tables(
            "[commands]\nretry_steps = [\"300ms\", \"1s\"]\nsettle_delay = \"50ms\"\nquick_delay = \"20ms\"\n\
             probe_delay = \"50ms\"\nprobe_max_delay = \"200ms\"\nmax_crashes = 50\nmax_attempts = 100\n",
        )
        .second("ware", "fulfiller");
    let mut world = setup.build().await;
    world.bridge.login("ware", "demo-fulfiller-refresh-token");
    match broken {
        Broken::Nothing => {}
        Broken::Inbox => world.alter(
            "CREATE TRIGGER forgets AFTER UPDATE ON commands
             BEGIN UPDATE commands SET state = 'waiting', in_doubt = 0, result = NULL, hold_until = 0, due = 0
                   WHERE arrival = NEW.arrival; END",
        ),
        Broken::LookUp => {
            for path in ["/v1/merchant/", "/v1/fulfiller/"] {
                let blind = json!({"status": 200, "body": {"items": []}});
                let blind = json!({"match": {"method": "GET", "path": path}, "times": 0, "kind": blind});
                world.simulator.fault(blind).await;
            }
        }
    }
    world.bridge.start().await;
    world
}

/// The simulator's own record of what FFN's requests have changed.
async fn done(world: &World) -> Vec<Value> {
    world.simulator.get("effects?since=0").await["effects"].as_array().unwrap().clone()
}

/// Runs the mix of a seed; what was not as it should be.
async fn run(seed: u64, commands: usize, broken: Broken) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut world = start(broken).await;
    let broker = own_way(&world).await;
    let (mut results, mut dead) = (broker.results().await, broker.dead_letters().await);
    let chaos = json!({"seed": rng.u32(..), "rate": 0.15, "delay_ms": 1500, "delay_after_ms": 1500});
    world.simulator.post("chaos", chaos).await;
    let mut mix = Mix::new(&broker, world.names.commands(), rng.fork(), broken);
    let (begun, over) = (Instant::now(), CancellationToken::new());
    let driven = async {
        mix.run(&mut results, commands).await;
        over.cancel();
    };
    let (kills, ()) = tokio::join!(kill(&mut world.bridge, &mut rng, &over), driven);
    let took = begun.elapsed();
    let hits = world.simulator.get("chaos").await["chaos"].clone();
    world.simulator.control("DELETE", "chaos", None).await;
    if mix.running > 0 {
        let mut faults = check::unended(&mix.entities);
        faults.extend(check::effects(&mix.entities, &done(&world).await));
        return faults;
    }
    drain(&mut world).await;
    for exchange in [world.names.results(), world.names.dead()] {
        broker.publish(&exchange, "marker", with_id("marker"), b"").await;
    }
    dead.until(|seen| seen.iter().any(|letter| letter.id() == "marker")).await;
    loop {
        let message = results.next().await;
        if message.id() == "marker" {
            break;
        }
        mix.take(message).await;
    }
    let effects = done(&world).await;
    eprintln!(
        "SEED={seed}: {} in {took:.1?}; {kills} kills; {} effects; {} requests, hit {}",
        mix.summary(),
        effects.len(),
        hits["matched"],
        hits["hits"]
    );
    if std::env::var_os("FFN_BRIDGE_CHAOS_LOG").is_some() {
        for line in written("ffn-bridge") {
            eprintln!("{line}");
        }
    }
    let mut faults = check::results(&mix.entities);
    faults.extend(check::effects(&mix.entities, &effects));
    faults.extend(check::dead_letters(&mix.entities, &dead.seen));
    if kills == 0 {
        faults.push("the bridge was never killed: it was too short".to_owned());
    }
    faults
}

fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(fastrand::u32(..)))
}

fn report(seed: u64, faults: &[String]) -> String {
    format!("SEED={seed}: {} faults:\n{}", faults.len(), faults.join("\n"))
}

#[tokio::test]
async fn each_of_many_commands_has_its_effect_once_in_order_and_one_end_whatever_fails() {
    let given = std::env::var("FFN_BRIDGE_CHAOS_COMMANDS").ok().and_then(|count| count.parse().ok());
    let seed = seed();
    eprintln!("SEED={seed}");
    let faults = run(seed, given.unwrap_or(300), Broken::Nothing).await;
    assert!(faults.is_empty(), "{}", report(seed, &faults));
}

#[tokio::test]
async fn without_its_record_of_commands_it_would_do_some_of_them_twice() {
    let seed = seed();
    let faults = run(seed, 150, Broken::Inbox).await;
    assert!(faults.iter().any(|fault| fault.contains("was done again")), "{}", report(seed, &faults));
}

#[tokio::test]
async fn without_a_look_at_ffn_it_would_do_some_of_them_twice() {
    let seed = seed();
    let faults = run(seed, 150, Broken::LookUp).await;
    assert!(faults.iter().any(|fault| fault.contains("was done again")), "{}", report(seed, &faults));
}
