//! Whatever happens at FFN, and whenever it is read, every change is told once, under one id, in order.
//!
//! A seed is a history of at least 200 entities, and how it is read: windows from seconds to days, overlap, pages of
//! any size, rows that shift while they are paged, changes that become visible late, a clock that is minutes off,
//! calls that fail, two readers at once, and a process that crashes between any two answers. Then what the journal
//! holds is compared with the simulator's own record (`check.rs` says what is compared). Time is the simulator's.
//!
//! `FFN_BRIDGE_SEEDS=17` or `17..40` runs these seeds; `make soak` runs ten thousand.

mod check;
mod door;
mod history;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use ffn_bridge::domain::feed::FeedName;
use ffn_bridge::domain::fit::Fit;
use ffn_bridge::events;
use ffn_bridge::events::Polled;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::check::Record;
use self::door::{Door, Plan};
use self::history::History;
use self::reading::{Reading, Setup};
use crate::support::Simulator;

/// When every history begins.
const BEGIN: &str = "2026-01-05T08:00:00Z";

/// What a seed makes of the world.
#[derive(Debug, Clone)]
struct World {
    role: &'static str,
    feeds: Vec<FeedName>,
    settings: Value,
    overlap_s: i64,
    lag_ms: i64,
    safety_lag_s: i64,
    start_now: bool,
    rounds: usize,
    /// The longest time between two rounds, in seconds.
    longest_s: i64,
    bare: bool,
    /// Whether much changes between the pages of windows.
    is_shifting: bool,
}

/// What a world is like that shows what something is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stress {
    /// Anything.
    Any,
    /// Changes become visible late: windows overlap because of that.
    Late,
    /// Rows move up while windows are paged: that is why they are read again.
    Shifting,
}

impl World {
    fn of(rng: &mut Rng, stress: Stress) -> Self {
        let role = if rng.u8(..3) == 0 { "fulfiller" } else { "merchant" };
        let mut of_role: Vec<FeedName> = FeedName::ALL
            .into_iter()
            .filter(|feed| match feed {
                FeedName::Fulfillers => role == "merchant",
                FeedName::Merchants | FeedName::Authorizations => role == "fulfiller",
                _ => true,
            })
            .collect();
        rng.shuffle(&mut of_role);
        of_role.truncate(4);
        if !of_role.iter().any(|feed| [FeedName::Outbounds, FeedName::Inbounds, FeedName::Returns].contains(feed)) {
            of_role.push(FeedName::Outbounds);
        }
        let (is_late, is_shifting) = match stress {
            Stress::Any => (rng.u8(..3) == 0, rng.u8(..6) == 0),
            Stress::Late => (true, false),
            Stress::Shifting => (false, true),
        };
        let overlap_s = rng.i64(60..900);
        let lag_ms = if is_late { rng.i64(1..overlap_s * 1000) } else { 0 };
        let skew = if rng.bool() { rng.i64(-600..=600) } else { 0 };
        // A clock in `Date` that is wrong shifts the end of windows: the overlap has to cover that, too.
        let date_skew = if lag_ms == 0 && rng.u8(..4) == 0 { rng.i64(-50..50) } else { 0 };
        let bare = rng.u8(..4) == 0;
        // What is longer is refused.
        let largest_window_s = (rng.u8(..3) == 0).then_some(43_200);
        let sizes = [1, 3, 7, 10, 20, 20, 50, 50, 100, 1000];
        let shapes = ["items", "array"];
        let settings = json!({
            // Many pages, though not so many that it takes long.
            "chunk_size": sizes[if is_shifting { rng.usize(2..6) } else { rng.usize(..10) }],
            "require_dates": rng.bool(),
            "inclusive_bounds": rng.bool(),
            "exclusive_from": rng.u8(..4) == 0,
            // Frozen windows show the newest state, visible or not.
            "freeze_windows": lag_ms == 0 && !is_shifting && rng.u8(..3) == 0,
            "ordered_chunks": rng.bool(),
            "commit_lag_ms": lag_ms,
            "tombstones": if bare { "bare" } else { "full" },
            "leave_out_next_chunk_url": rng.bool(),
            "clock_skew_s": skew,
            "date_skew_s": date_skew,
            "seven_decimals": rng.bool(),
            "keep_nulls": rng.bool(),
            "list_shape": shapes[rng.usize(..2)],
            "shifting_lists": rng.bool(),
            "largest_window_s": largest_window_s,
        });
        Self {
            role,
            feeds: of_role,
            settings,
            overlap_s,
            lag_ms,
            safety_lag_s: rng.i64(1..10),
            start_now: rng.u8(..3) == 0,
            rounds: rng.usize(3..9),
            longest_s: [30, 600, 7200, 80_000, 200_000][rng.usize(..5)],
            bare,
            is_shifting,
        }
    }
}

struct Run {
    rng: Rng,
    world: World,
    door: Door,
    setup: Setup,
    history: History,
    polled: check::Polled,
    /// What has changed while a window was read.
    moved: BTreeSet<String>,
    /// What was read, for who looks for a fault.
    trace: Vec<(FeedName, String)>,
    dir: TempDir,
    reading: Option<Reading>,
}

/// Runs one seed and gives what is wrong with it. If `is_broken`, the reading lacks what the stress is about.
async fn run(seed: u64, stress: Stress, is_broken: bool, door: &Door) -> (World, Vec<String>) {
    let mut rng = Rng::with_seed(seed);
    let world = World::of(&mut rng, stress);
    let reset = json!({"seed": seed, "clock": BEGIN, "settings": world.settings, "keep_tokens": true});
    let begun = door.script(vec![json!({"post": "reset", "body": reset})]).await;
    assert_eq!(begun[0]["status"], 200, "{begun:?}");
    let skew = TimeDelta::seconds(world.settings["clock_skew_s"].as_i64().unwrap());
    let begin: DateTime<Utc> = BEGIN.parse::<DateTime<Utc>>().unwrap() + skew;
    let setup = Setup {
        role: world.role,
        base: door.base.clone(),
        token: door.token(world.role),
        overlap_s: if is_broken && stress == Stress::Late { 0 } else { world.overlap_s },
        safety_lag_s: world.safety_lag_s,
        start: if world.start_now { "now".to_owned() } else { begin.to_rfc3339() },
        reads_again: !(is_broken && stress == Stress::Shifting),
    };
    let history = History::new(rng.u64(..), world.role, &world.feeds, world.lag_ms > 0);
    let dir = tempfile::Builder::new().prefix("ffn-bridge-").tempdir_in(memory()).unwrap();
    let mut run = Run {
        rng,
        world,
        door: door.clone(),
        setup,
        history,
        polled: BTreeMap::new(),
        moved: BTreeSet::new(),
        trace: Vec::new(),
        dir,
        reading: None,
    };
    let mut faults = run.go(begin).await;
    if let Some(first) = faults.first() {
        let of_its_feed = run.trace.iter().filter(|(feed, _)| first.starts_with(feed.as_str()));
        let lines: Vec<&str> = of_its_feed.map(|(_, line)| line.as_str()).collect();
        faults.push(format!("what was read:\n    {}", lines.join("\n    ")));
    }
    (run.world, faults)
}

impl Run {
    async fn go(&mut self, begin: DateTime<Utc>) -> Vec<String> {
        self.door.script(vec![json!({"post": "clock", "body": {"advance": "2s"}})]).await;
        // Where reading begins with the first poll, it begins before the history.
        let since = if self.setup.start == "now" { self.read_all(false).await } else { begin };
        let many = self.history.make(200);
        self.door.script(many).await;
        for _ in 0..self.world.rounds {
            self.happen().await;
            self.read_all(true).await;
            if self.rng.bool() {
                self.reading = None;
            }
            if self.rng.u8(..3) == 0 {
                self.catch_up().await;
            }
        }
        self.catch_up().await;
        let record = self.door.script(vec![json!({"get": "transitions"})]).await.remove(0);
        let journal = self.reading().await.journal().await;
        let mut faults = check::faults(&Record {
            transitions: &record["body"],
            journal: &journal,
            role: self.world.role,
            feeds: &self.world.feeds,
            since,
            polled: &self.polled,
            bare: self.world.bare,
            slice: if self.world.settings["largest_window_s"].is_null() {
                TimeDelta::hours(23)
            } else {
                TimeDelta::hours(5)
            },
            is_punctual: self.world.lag_ms == 0 && self.world.settings["date_skew_s"] == 0,
        });
        let whole = if self.world.settings["largest_window_s"].is_null() { 80_000 } else { 40_000 };
        if self.world.longest_s * (self.world.rounds as i64) < whole {
            faults.extend(self.same_ids_again(begin, since, &journal).await);
        }
        faults
    }

    /// The world moves on for a while.
    async fn happen(&mut self) {
        let mut steps = Vec::new();
        for _ in 0..self.rng.usize(5..60) {
            steps.push(self.history.step());
            steps.push(self.history.wait(3000));
        }
        let most = u64::try_from(self.rng.i64(1..=self.world.longest_s)).unwrap() * 1000;
        steps.insert(self.rng.usize(..=steps.len()), self.history.wait(most));
        // A change of just now is not in the window yet, and neither is what it has moved out of it.
        // A clock that is behind makes windows end earlier; one that is ahead as well, by what is refused.
        let date_skew = self.world.settings["date_skew_s"].as_i64().unwrap();
        let early = if date_skew >= self.world.safety_lag_s { 90 } else { (-date_skew).max(0) };
        let quiet = self.world.safety_lag_s + 2 + early;
        steps.push(json!({"post": "clock", "body": {"advance": format!("{quiet}s")}}));
        self.door.script(steps).await;
    }

    async fn reading(&mut self) -> &mut Reading {
        if self.reading.is_none() {
            self.reading = Some(Reading::begin(&self.setup, &self.dir.path().join("bridge.db")).await);
        }
        self.reading.as_mut().unwrap()
    }

    /// Some feeds, or all, with whatever comes between. Gives FFN's time before.
    async fn read_all(&mut self, with_trouble: bool) -> DateTime<Utc> {
        let mut begun = self.reading().await.learn_clock().await;
        let mut feeds = self.world.feeds.clone();
        self.rng.shuffle(&mut feeds);
        if with_trouble {
            feeds.truncate(self.rng.usize(1..=feeds.len()));
        }
        for feed in feeds {
            let mut plan = Plan::default();
            if with_trouble {
                if self.world.is_shifting || self.rng.u8(..3) == 0 {
                    let most = if self.world.is_shifting { 40 } else { 12 };
                    for _ in 0..self.rng.usize(1..most) {
                        // What leaves one window after the other by a change while it is read is in none of them.
                        let step = if self.rng.u8(..4) == 0 { self.history.step() } else { self.history.step_of(feed) };
                        let step = Some(step).filter(|step| self.moved.insert(entity_of(step)));
                        plan.between.push_back(step.filter(|_| self.rng.bool()));
                    }
                    // It may take longer than the overlap to read a window.
                    if self.rng.u8(..3) == 0 {
                        let at = self.rng.usize(..=plan.between.len());
                        plan.between.insert(at, Some(self.history.wait(900_000)));
                    }
                }
                if self.rng.u8(..4) == 0 {
                    plan.crash_after = Some(self.rng.u32(1..20));
                }
                if self.rng.u8(..4) == 0 {
                    let kind =
                        [json!({"status": 503}), json!({"status": 500}), json!("cut_after"), json!({"truncate": 30})];
                    let fault = json!({"match": {"path": "/api/", "skip": self.rng.u8(..6)}, "kind": kind[self.rng.usize(..4)]});
                    self.door.script(vec![json!({"post": "faults", "body": fault})]).await;
                }
            }
            self.door.plan(plan);
            self.read(feed).await;
            let position = self.reading().await.position(feed).await.unwrap();
            if !with_trouble {
                begun = begun.max(position);
            }
        }
        begun
    }

    /// Reads a feed to the present, in as many lives as it takes.
    async fn read(&mut self, feed: FeedName) {
        for _ in 0..400 {
            let two = self.rng.u8(..8) == 0;
            let door = self.door.clone();
            let mut fit = self.reading().await.fits.remove(&feed).unwrap_or_default();
            let reading = self.reading().await;
            let now = reading.learn_clock().await;
            let poller = reading.poller(feed);
            // Two that know different windows tell what both read in any order.
            let mut other = fit.clone();
            let polled = tokio::select! {
                biased;
                () = door.crashed() => None,
                polled = async {
                    if two { tokio::join!(poller.poll(&mut fit), poller.poll(&mut other)).0 } else { poller.poll(&mut fit).await }
                } => Some(polled),
            };
            self.reading().await.fits.insert(feed, fit);
            let position = self.reading().await.position(feed).await;
            let outcome = match &polled {
                None => "crashed".to_owned(),
                Some(Ok(polled)) => format!("{polled:?}"),
                Some(Err(error)) => format!("failed: {error}"),
            };
            self.trace.push((feed, format!("at {now} to {position:?}: {outcome}")));
            match polled {
                None => self.reading = None,
                Some(Ok(Polled { is_behind: true, .. })) => {}
                Some(Ok(_)) => {
                    let reading = self.reading().await;
                    let (until, told) = (reading.now(), reading.told().await);
                    self.polled.entry(feed).or_default().push(check::Poll { position: position.unwrap(), until, told });
                    return;
                }
                Some(Err(events::Error::Ffn(_))) => {}
                Some(Err(error)) => panic!("{feed}: {error:?}"),
            }
        }
        panic!("{feed} is never read to the present");
    }

    /// Everything becomes visible and is read.
    async fn catch_up(&mut self) {
        let rest = self.door.rest();
        self.door.script(rest).await;
        self.door.plan(Plan::default());
        for _ in 0..2 {
            let wait = format!("{}s", self.world.lag_ms / 1000 + 120);
            let steps = [json!({"delete": "faults"}), json!({"post": "clock", "body": {"advance": wait}})];
            self.door.script(steps.into()).await;
            self.read_all(false).await;
        }
        self.history.all_read();
        self.moved.clear();
    }

    /// The database is lost, and all is read again from the same instant.
    async fn same_ids_again(
        &mut self,
        begin: DateTime<Utc>,
        since: DateTime<Utc>,
        journal: &[(String, String, Value)],
    ) -> Vec<String> {
        let setup = Setup { start: since.max(begin).to_rfc3339(), ..self.setup.clone() };
        let again = Reading::begin(&setup, &self.dir.path().join("again.db")).await;
        again.learn_clock().await;
        for feed in &self.world.feeds {
            let mut fit = Fit::default();
            let is_read = async |fit: &mut Fit| {
                matches!(again.poller(*feed).poll(fit).await, Ok(Polled { is_behind: false, .. }))
            };
            while !is_read(&mut fit).await {}
        }
        let all = again.journal().await;
        let ids = |rows: &[(String, String, Value)]| rows.iter().map(|(id, ..)| id.clone()).collect::<BTreeSet<_>>();
        // A bare tombstone shows nothing of what was before.
        let ended = |rows: &[(String, String, Value)]| -> BTreeSet<String> {
            let ended = rows.iter().filter(|(_, key, _)| self.world.bare && key.ends_with(".deleted"));
            ended.map(|(_, _, event)| event["subject"].to_string()).collect()
        };
        let ended = ended(&all);
        let counts = |row: &&(String, String, Value)| !ended.contains(&row.2["subject"].to_string());
        let (first, second) = (ids(journal), ids(&all));
        let line = |(_, key, event): &&(String, String, Value)| format!("{key} {} {}", event["subject"], event["time"]);
        let lost = journal
            .iter()
            .filter(counts)
            .filter(|(id, ..)| !second.contains(id))
            .map(|row| format!("not again: {}", line(&row)));
        let new = all.iter().filter(|(id, ..)| !first.contains(id)).map(|row| format!("only again: {}", line(&row)));
        lost.chain(new).collect()
    }
}

/// What a step changes.
fn entity_of(step: &Value) -> String {
    let path = step["post"].as_str().unwrap_or_default();
    path.split('/').take(2).collect::<Vec<_>>().join("/")
}

/// Where a store costs no disk.
fn memory() -> std::path::PathBuf {
    let shared = std::path::PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}

async fn simulator() -> Simulator {
    Simulator::start(&["--speed", "0", "--access-token-ttl", "1000000000"].map(String::from)).await
}

/// Runs seeds; fails at the end, with all that are not right.
async fn run_all(seeds: impl Iterator<Item = u64>) {
    let simulator = simulator().await;
    let door = Door::open(simulator.url("")).await;
    let mut failed = Vec::new();
    for (count, seed) in seeds.enumerate() {
        if count % 250 == 249 {
            eprintln!("{} seeds are done, {} of them failed; now {seed}", count + 1, failed.len());
        }
        let (world, faults) = run(seed, Stress::Any, false, &door).await;
        if !faults.is_empty() {
            let (some, read) = (faults.iter().take(5), faults.last().filter(|_| faults.len() > 5));
            let shown = some.chain(read).map(|fault| format!("  {fault}\n")).collect::<String>();
            eprintln!("seed {seed}: {} faults\n{shown}{world:?}", faults.len());
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "run these alone with FFN_BRIDGE_SEEDS: {failed:?}");
}

/// The part of the seeds that test number `part` of four runs.
fn seeds(part: u64) -> impl Iterator<Item = u64> {
    let given = std::env::var("FFN_BRIDGE_SEEDS").unwrap_or_else(|_| "0..200".to_owned());
    let number =
        |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("FFN_BRIDGE_SEEDS={given}: write 17 or 17..40"));
    let range = match given.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&given)..number(&given) + 1,
    };
    range.filter(move |seed| seed % 4 == part)
}

#[tokio::test]
async fn every_change_is_told_once_whatever_happens_1() {
    run_all(seeds(0)).await;
}

#[tokio::test]
async fn every_change_is_told_once_whatever_happens_2() {
    run_all(seeds(1)).await;
}

#[tokio::test]
async fn every_change_is_told_once_whatever_happens_3() {
    run_all(seeds(2)).await;
}

#[tokio::test]
async fn every_change_is_told_once_whatever_happens_4() {
    run_all(seeds(3)).await;
}

/// A history with a fault of that kind if the reading is broken, and without one if it is not.
async fn assert_is_found(stress: Stress, kind: &str) {
    let simulator = simulator().await;
    let door = Door::open(simulator.url("")).await;
    for seed in 0..20 {
        let (_, faults) = run(seed, stress, true, &door).await;
        if faults.iter().any(|fault| fault.contains(kind)) {
            let (world, faults) = run(seed, stress, false, &door).await;
            assert!(faults.is_empty(), "seed {seed}: {faults:#?}\n{world:?}");
            return;
        }
    }
    panic!("20 seeds, and nothing was missed");
}

/// Windows that FFN freezes, but shows with what has changed since: each pass over one has something else.
#[tokio::test]
async fn a_window_is_read_to_its_end_though_its_orders_go_on_to_change() {
    let simulator = simulator().await;
    let door = Door::open(simulator.url("")).await;
    for (role, feed) in [("merchant", FeedName::Outbounds), ("fulfiller", FeedName::OutboundShipments)] {
        let settings = json!({"chunk_size": 3, "freeze_windows": true});
        let body = json!({"seed": 1, "clock": BEGIN, "settings": settings, "keep_tokens": true});
        let orders = json!({"post": "outbounds/bulk", "body": {"count": 10, "prefix": "SO-", "start": 1}});
        let pause = json!({"post": "clock", "body": {"advance": "30s"}});
        door.script(vec![json!({"post": "reset", "body": body}), orders, pause]).await;
        let dir = tempfile::Builder::new().prefix("ffn-bridge-").tempdir_in(memory()).unwrap();
        let setup = Setup {
            role,
            base: door.base.clone(),
            token: door.token(role),
            overlap_s: 60,
            safety_lag_s: 5,
            start: BEGIN.to_owned(),
            reads_again: true,
        };
        let reading = Reading::begin(&setup, &dir.path().join("bridge.db")).await;
        let edits = (0..1000).map(|n| {
            let path = format!("outbounds/SO-{:06}/change", n % 10 + 1);
            Some(json!({"post": path, "body": {"internalNote": format!("text {n}")}}))
        });
        door.plan(Plan { between: edits.collect(), ..Plan::default() });
        reading.poller(feed).poll(&mut Fit::default()).await.unwrap();
        assert!(door.rest().len() > 900, "{feed}: it was read more than a few times");
        if feed == FeedName::Outbounds {
            let told = reading.journal().await;
            let created = told.iter().filter(|(_, key, _)| key.ends_with(".created")).count();
            assert_eq!(created, 10);
        }
    }
}

#[tokio::test]
async fn without_an_overlap_late_changes_are_missed_and_that_is_found() {
    assert_is_found(Stress::Late, "nothing of").await;
}

#[tokio::test]
async fn without_a_second_pass_rows_that_move_up_are_missed_and_that_is_found() {
    assert_is_found(Stress::Shifting, "was not told when the checkpoint moved past it").await;
}
