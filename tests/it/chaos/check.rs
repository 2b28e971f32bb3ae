//! What the results say, and what the simulator's own record says was done, against what was sent.

use std::collections::{BTreeSet, HashMap};

use ffn_bridge::ffn::fields::Fields;
use serde_json::Value;

use super::{Entity, Sent, operation};
use crate::commands::outcome;
use crate::support::Message;

/// One row of what FFN's requests have changed.
struct Row {
    /// Method, path and the names of the body's members.
    call: String,
    /// Its key, in quotes, and what became of the object.
    shows: String,
}

/// Commands without an end.
pub fn unended(entities: &[Entity]) -> Vec<String> {
    let open = entities.iter().flat_map(|entity| &entity.steps).filter(|sent| sent.ends.is_empty());
    open.map(|sent| format!("{} {} has no end: it is lost", sent.id, sent.step.name)).collect()
}

/// One end per command, the same whenever it is told, a success if it can be known, and in order per entity.
pub fn results(entities: &[Entity]) -> Vec<String> {
    let mut faults = unended(entities);
    for entity in entities {
        if !entity.ended.is_sorted() {
            faults.push(format!("{} has ended out of order: {:?}", entity.subject.tag, entity.ended));
        }
        for sent in &entity.steps {
            let about = format!("{} {} {}", sent.id, sent.step.account, sent.step.name);
            let ends: Vec<String> = sent.ends.iter().map(Message::text).collect();
            if ends.len() > 1 {
                faults.push(format!("{about} has {} ends: {ends:?}", ends.len()));
            }
            if let Some(other) = &sent.contradiction {
                faults.push(format!("{about} is told otherwise under the same id: {ends:?} {other}"));
            }
            if sent.ends.iter().any(|end| !is_expected(sent, end)) {
                faults.push(format!("{about} {}: {ends:?}", sent.step.body));
            }
        }
    }
    faults
}

fn is_expected(sent: &Sent, end: &Message) -> bool {
    match outcome(end).as_str() {
        "succeeded" => true,
        "failed outcome-unknown" => !sent.step.can_be_known,
        _ => false,
    }
}

/// Every command that failed, and no other, is in the dead-letter queue.
pub fn dead_letters(entities: &[Entity], seen: &[Message]) -> Vec<String> {
    let letters: BTreeSet<String> = seen.iter().map(Message::id).filter(|id| id != "marker").collect();
    let failed = entities.iter().flat_map(|entity| &entity.steps);
    let failed = failed.filter(|sent| sent.ends.iter().any(|end| end.event() == "failed"));
    let failed: BTreeSet<String> = failed.map(|sent| sent.id.clone()).collect();
    let odd = letters.symmetric_difference(&failed);
    odd.map(|id| format!("{id} failed or is a dead letter, but not both")).collect()
}

/// Each command's effects once, for each entity in the order in which its commands were sent, and no others.
pub fn effects(entities: &[Entity], rows: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut of: HashMap<&str, usize> = HashMap::new();
    for (number, entity) in entities.iter().enumerate() {
        for name in &entity.names {
            if of.insert(name, number).is_some() {
                faults.push(format!("{name} is of two entities"));
            }
        }
    }
    let mut done: Vec<Vec<Row>> = entities.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let path = row["path"].as_str().unwrap();
        let effect = row["effect"].as_str().unwrap();
        let names = row["key"].as_str().into_iter().chain(path.split('/')).chain(effect.split(' '));
        // A number of an entity's own is its tag with something behind it.
        let names = names.flat_map(|name| [Some(name), name.split([':', '-']).next(), name.split(':').next()]);
        match names.flatten().find_map(|name| of.get(name)) {
            Some(number) => done[*number].push(Row {
                call: format!("{} {path} {}", row["method"].as_str().unwrap(), row["members"]),
                shows: format!("{} {}", row["key"], row["effect"]),
            }),
            None => faults.push(format!("an effect of no command: {row}")),
        }
    }
    for (entity, done) in entities.iter().zip(&done) {
        faults.extend(of_entity(entity, done));
    }
    faults
}

/// The first difference between what was done to an entity and what its commands are.
fn of_entity(entity: &Entity, done: &[Row]) -> Option<String> {
    let mut rest = done.iter();
    let mut so_far: Vec<(&Sent, &str)> = Vec::new();
    let fault = |row: Option<&Row>, so_far: &[(&Sent, &str)], instead_of: &str| {
        let is_again = row.is_some_and(|row| so_far.iter().any(|(sent, mark)| row.is_of(sent, mark)));
        let what = match row {
            Some(row) if is_again => format!("was done again: {} {}", row.call, row.shows),
            Some(row) => format!("was done: {} {}", row.call, row.shows),
            None => "nothing more was done".to_owned(),
        };
        let all: Vec<String> = done.iter().map(|row| format!("    {} {}", row.call, row.shows)).collect();
        Some(format!("{}: {what}; instead of {instead_of}; in all:\n{}", entity.subject.tag, all.join("\n")))
    };
    let sent = entity.steps.iter().flat_map(|sent| sent.step.marks.iter().map(move |mark| (sent, mark.as_str())));
    for (sent, mark) in sent {
        let row = rest.as_slice().first();
        if row.is_some_and(|row| row.is_of(sent, mark)) {
            rest.next();
            so_far.push((sent, mark));
        } else if !sent.ends.iter().all(|end| outcome(end) == "failed outcome-unknown") {
            // Of an outcome that nobody knows it is true as well that it was not done.
            return fault(row, &so_far, &format!("{} {} {mark}", sent.id, call(sent)));
        }
    }
    rest.next().and_then(|row| fault(Some(row), &so_far, "nothing more"))
}

impl Row {
    fn is_of(&self, sent: &Sent, mark: &str) -> bool {
        self.call == call(sent) && self.shows.contains(mark)
    }
}

/// The request that a command is, as [`Row::call`] has it.
fn call(sent: &Sent) -> String {
    let (operation, role) = operation(&sent.step);
    let fields: Fields = serde_json::from_value(sent.step.body.clone()).unwrap();
    let fields = operation.with_own_ids(&fields, |n| n.to_string()).unwrap();
    let parts = operation.split(&fields).unwrap();
    let path = parts
        .path
        .iter()
        .fold(operation.path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    let body: serde_json::Map<String, Value> =
        parts.body.map(|body| serde_json::from_slice(&body).unwrap()).unwrap_or_default();
    let mut members: Vec<&String> = body.keys().collect();
    members.sort();
    let method = http::Method::from(operation.method);
    format!("{method} /api/v1/{role}/{path} {}", serde_json::to_string(&members).unwrap())
}
