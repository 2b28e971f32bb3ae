//! Every operation of both roles through the broker: done once, whatever becomes of the answer, and every refusal
//! that FFN documents told as what it is. The table of operations is gone through row by row, so none is forgotten.

pub mod cases;
mod settled;

use std::collections::BTreeSet;

use ffn_bridge::domain::account::Role;
use ffn_bridge::ffn::operations::{OPERATIONS, Operation, Settle};
use ffn_bridge::schema::COMMANDS;
use serde_json::{Value, json};

use crate::commands::{outcome, result_of, results_of};
use crate::support::{Message, Setup, Subscription, World};

/// FFN's documented errors, as `command role status code class`.
const ERRORS: &str = include_str!("operations/errors.txt");

/// A merchant and a fulfiller that work together, and what they are told.
pub struct Stage {
    pub world: World,
    pub results: Subscription,
    count: usize,
}

impl Stage {
    async fn start() -> Self {
        let setup = Setup::new()
            .account("poll_interval = \"1h\"")
            .tables("[commands]\nretry_steps = [\"300ms\"]\nsettle_delay = \"1ms\"\nquick_delay = \"1ms\"\n")
            .second("ware", "fulfiller");
        let mut world = setup.build().await;
        world.bridge.login("ware", "demo-fulfiller-refresh-token");
        world.bridge.start().await;
        Self::on(world).await
    }

    /// On a world that has both accounts and runs.
    pub async fn on(world: World) -> Self {
        let results = world.broker.results().await;
        Self { world, results, count: 0 }
    }

    /// A text that no other command has.
    pub fn tag(&mut self) -> String {
        self.count += 1;
        format!("T-{}", self.count)
    }

    /// Publishes a command under a new id and waits for its end.
    pub async fn run(&mut self, account: &str, command: &str, body: &Value) -> Message {
        let id = self.tag();
        self.world.broker.command(&format!("{account}.{command}"), &id, body).await;
        result_of(&mut self.results, &id).await
    }

    /// The same of one that is done; FFN's answer.
    pub async fn done(&mut self, account: &str, command: &str, body: Value) -> Value {
        let result = self.run(account, command, &body).await;
        assert_eq!(outcome(&result), "succeeded", "{command} {body}: {}", result.text());
        result.data()["response"].clone()
    }

    /// How many things FFN's requests have changed so far.
    async fn effects(&self) -> usize {
        self.world.simulator.get("effects?since=0").await["effects"].as_array().unwrap().len()
    }

    /// Plans a fault for the next call of an operation.
    async fn fault(&self, operation: &Operation, kind: &Value) {
        let method = http::Method::from(operation.method).to_string();
        // The longest part of the path that holds no parameter is enough: nothing else calls meanwhile.
        let part = operation.path.split('/').rfind(|part| !part.starts_with('{')).unwrap();
        self.world.simulator.fault(json!({"match": {"method": method, "path": part}, "kind": kind})).await;
    }
}

/// What was not as it should be, all of it at once.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn expect(&mut self, holds: bool, name: &str, result: &Message) {
        if !holds {
            self.0.push(format!("{name}: {}", result.text()));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}

pub fn account(role: Role) -> &'static str {
    match role {
        Role::Merchant => "acme",
        Role::Fulfiller => "ware",
    }
}

/// Each operation with each role that has it.
fn rows() -> impl Iterator<Item = (&'static Operation, Role)> {
    OPERATIONS.iter().flat_map(|operation| operation.roles.iter().map(move |role| (operation, *role)))
}

/// How many things a command of this operation changes.
fn effects_of(operation: &Operation) -> usize {
    match operation.name {
        _ if operation.is_read() => 0,
        "outbounds.change-status" | "inbound.receive-bulk" => 2,
        _ => 1,
    }
}

/// Where FFN shows nothing that would tell whether it was done.
fn nothing_tells(operation: &Operation) -> bool {
    match operation.settle {
        Settle::Nothing => true,
        Settle::Key(key) => key.members.is_empty(),
        _ => false,
    }
}

#[test]
fn every_operation_has_a_schema_and_every_schema_an_operation() {
    let operations: BTreeSet<String> = rows()
        .map(|(operation, role)| {
            let root = if matches!(operation.area, ffn_bridge::ffn::Area::Shared) { "/v1/" } else { "" };
            format!("{} {role} {} {root}{}", operation.name, http::Method::from(operation.method), operation.path)
        })
        .collect();
    let schemas: BTreeSet<String> = COMMANDS
        .iter()
        .flat_map(|spec| spec.roles.iter().map(move |role| format!("{} {role} {}", spec.name, spec.call)))
        .collect();
    assert_eq!(operations, schemas);
}

/// The table in `docs/commands.md` is that of the code: `UPDATE_SCHEMAS=1` writes it anew.
#[test]
fn the_table_of_the_documentation_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- operations -->\n", "<!-- /operations -->\n");
    let (head, rest) = text.split_once(begin).expect("the mark of the table's begin");
    let (table, tail) = rest.split_once(end).expect("the mark of the table's end");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, format!("{head}{begin}{}{end}{tail}", documentation())).unwrap();
    } else {
        assert_eq!(
            table,
            documentation(),
            "write it anew: UPDATE_SCHEMAS=1 cargo nextest run table_of_the_documentation"
        );
    }
}

/// Every operation, what it runs in order with and how it is settled. Roles with the same words share a line.
fn documentation() -> String {
    let mut table = "| command | for | in order by | an outcome in doubt |\n| --- | --- | --- | --- |\n".to_owned();
    for operation in OPERATIONS {
        let roles: Vec<String> = operation.roles.iter().map(ToString::to_string).collect();
        let lane = operation.lane.map_or_else(
            || "itself".to_owned(),
            |lane| {
                let members: Vec<String> = lane.members.iter().map(|member| format!("`{member}`")).collect();
                format!("{}: {}", lane.resource, members.join(", else "))
            },
        );
        let settled = if operation.is_read() { "asked again".to_owned() } else { operation.settle.describe() };
        table += &format!("| `{}` | {} | {lane} | {settled} |\n", operation.name, roles.join(", "));
    }
    table
}

#[tokio::test]
async fn each_is_done_once_and_a_duplicate_is_answered_from_the_record() {
    let (mut stage, mut faults) = (Stage::start().await, Faults::default());
    for (operation, role) in rows() {
        let body = cases::prepare(&mut stage, operation.name, role).await;
        let (before, id) = (stage.effects().await, stage.tag());
        let key = format!("{}.{}", account(role), operation.name);
        stage.world.broker.command(&key, &id, &body).await;
        let first = result_of(&mut stage.results, &id).await;
        let at_once = first.data()["reconciled"] == false && first.data()["attempts"] == 1;
        faults.expect(outcome(&first) == "succeeded" && at_once, &key, &first);
        let after = stage.effects().await;
        faults.expect(after - before == effects_of(operation), &format!("{key}, effects {}", after - before), &first);
        stage.world.broker.command(&key, &id, &body).await;
        let both = results_of(&mut stage.results, &id, 2).await;
        let is_same = both[0].id() == both[1].id() && both[0].data() == both[1].data();
        faults.expect(is_same, &format!("{key} again"), &both[1]);
        faults.expect(stage.effects().await == after, &format!("{key} again, its effect"), &both[1]);
    }
    faults.none();
}

#[tokio::test]
async fn each_has_its_effect_once_though_the_answer_is_cut_off() {
    let (mut stage, mut faults) = (Stage::start().await, Faults::default());
    for (operation, role) in rows().filter(|(operation, _)| !operation.is_read()) {
        let name = format!("{role} {}", operation.name);
        let body = cases::prepare(&mut stage, operation.name, role).await;
        let before = stage.effects().await;
        stage.fault(operation, &json!("cut_after")).await;
        let result = stage.run(account(role), operation.name, &body).await;
        let effects = stage.effects().await - before;
        // What is repeatable may be done twice: it is the same as once.
        let most = effects_of(operation) * if matches!(operation.settle, Settle::Repeatable) { 2 } else { 1 };
        let is_once = (effects_of(operation)..=most).contains(&effects);
        faults.expect(is_once, &format!("{name}, effects {effects}"), &result);
        if nothing_tells(operation) {
            faults.expect(outcome(&result) == "failed outcome-unknown", &name, &result);
        } else {
            let is_settled = !matches!(operation.settle, Settle::Repeatable);
            let fits = outcome(&result) == "succeeded" && result.data()["reconciled"] == is_settled;
            faults.expect(fits, &name, &result);
        }
    }
    faults.none();
}

#[tokio::test]
async fn each_is_done_though_the_first_call_was_cut_off_before_its_effect() {
    each_is_done_after(&json!("cut_before")).await;
}

#[tokio::test]
async fn each_is_done_though_ffn_was_away_at_the_first_call() {
    each_is_done_after(&json!({"status": 503})).await;
}

#[tokio::test]
async fn each_is_done_though_the_first_call_was_one_too_many() {
    each_is_done_after(&json!({"status": 429})).await;
}

/// The first call of each comes to nothing in this way.
async fn each_is_done_after(fault: &Value) {
    let (mut stage, mut faults) = (Stage::start().await, Faults::default());
    for (operation, role) in rows() {
        let name = format!("{role} {}", operation.name);
        let body = cases::prepare(&mut stage, operation.name, role).await;
        let before = stage.effects().await;
        stage.fault(operation, fault).await;
        let result = stage.run(account(role), operation.name, &body).await;
        let is_unknown = matches!(operation.settle, Settle::Nothing) && fault["status"] != 429;
        let (expected, effects) =
            if is_unknown { ("failed outcome-unknown", 0) } else { ("succeeded", effects_of(operation)) };
        let done = stage.effects().await - before;
        faults.expect(outcome(&result) == expected && done == effects, &format!("{name}, effects {done}"), &result);
    }
    faults.none();
}

#[tokio::test]
async fn each_documented_refusal_is_told_as_what_it_is() {
    let (mut stage, mut faults) = (Stage::start().await, Faults::default());
    let mut dead = stage.world.broker.dead_letters().await;
    for line in ERRORS.lines().filter(|line| !line.starts_with('#')) {
        let [name, role, status, code, class] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let role: Role = serde_json::from_value(json!(role)).unwrap();
        let operation = Operation::of(name, role).unwrap();
        let status: u16 = status.parse().unwrap();
        // One that passes is done after all: what it is about has to be there.
        let body = match class {
            "T" => cases::prepare(&mut stage, name, role).await,
            _ => example(name, role),
        };
        let answer = json!({"errorCode": {"code": code, "description": "words of FFN"}, "errorMessages": null});
        stage.fault(operation, &json!({"status": status, "body": answer})).await;
        let result = stage.run(account(role), name, &body).await;
        let (data, told) = (result.data(), outcome(&result));
        let says_done = matches!(operation.settle, Settle::Told { done, .. } if done.contains(&code));
        if class == "T" {
            faults.expect(told == "succeeded", line, &result);
        } else if says_done || (class == "C" && told == "succeeded") {
            // What it names is there, at the simulator as well, and is what was asked for.
            faults.expect(told == "succeeded" && data["reconciled"] == true, line, &result);
        } else {
            let expected: &[&str] = match (class, status) {
                ("P", 404) => &["not-found", "conflict"],
                ("P", _) => &["rejected", "conflict"],
                ("A", 404) => &["not-found"],
                ("A", _) => &["forbidden"],
                _ => &["conflict"],
            };
            let error = &data["error"];
            let is_known = error["code"].as_str().is_some_and(|code| expected.contains(&code));
            let is_kept = error["ffnErrorCode"] == code && error["httpStatus"] == status;
            let words = error["message"].as_str().is_some_and(|message| message.contains("words of FFN"));
            faults.expect(is_known && is_kept && error["retryable"] == (class == "A"), line, &result);
            // What stands in the way is described by the bridge.
            faults.expect(words || class == "C", line, &result);
            if told.starts_with("failed") {
                let letter = dead.next().await;
                let code = letter.header("ffn-error-code");
                faults.expect(
                    code.as_deref() == error["code"].as_str(),
                    &format!("{line}, dead letter {code:?}"),
                    &result,
                );
            }
        }
    }
    faults.none();
}

/// The first example of a command's schema.
fn example(name: &str, role: Role) -> Value {
    let document = [name.to_owned(), format!("{name}.{role}")];
    let document = document.iter().find_map(|name| ffn_bridge::schema::document(name)).unwrap();
    document.schema["examples"][0].clone()
}
