//! The environment, laid over the file: `FFN_BRIDGE__BROKER__URL` is `broker.url`.
//!
//! Two underscores stand between the levels. A part of digits alone is a place in a list
//! (`FFN_BRIDGE__ACCOUNTS__0__CLIENT_ID`); any other part in the list of accounts is an account's name
//! with underscores for dashes (`FFN_BRIDGE__ACCOUNTS__MY_SHOP__CLIENT_SECRET` for `my-shop`).

use std::collections::BTreeMap;

use super::error::{Place, Problem};
use super::suggest::did_you_mean;
use super::tree::{Entry, Kind, Node};

/// What the names of variables that override a key begin with.
const PREFIX: &str = "FFN_BRIDGE__";

/// One step from a value to a value inside it. Places in lists come first, so that an account that the
/// environment adds by place can be addressed by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Item(usize),
    Key(String),
}

/// The variable that overrides the key with this path, for example `accounts[0].client_id`.
pub(super) fn variable_for(path: &str) -> String {
    let name = path.replace('[', "__").replace(']', "").replace('.', "__").to_uppercase();
    format!("{PREFIX}{name}")
}

/// Lays every variable that begins with `FFN_BRIDGE__` over `root`: whole sections first, then what is
/// inside them.
pub(super) fn overlay(root: &mut Node, env: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut variables: Vec<(Vec<Step>, &String, &String)> = env
        .iter()
        .filter_map(|(name, text)| {
            let steps: Vec<Step> = name.strip_prefix(PREFIX)?.split("__").map(step).collect();
            Some((steps, name, text))
        })
        .collect();
    variables.sort();
    let mut problems = Vec::new();
    for (steps, name, text) in variables {
        let place = Place::Variable(name.clone());
        if let Err(message) = set(root, &steps, &place, Node::variable(name, text)) {
            problems.push(Problem { place, key: String::new(), message });
        }
    }
    problems
}

fn step(part: &str) -> Step {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match part.parse() {
        Ok(place) if digits => Step::Item(place),
        _ => Step::Key(part.to_ascii_lowercase()),
    }
}

fn set(root: &mut Node, steps: &[Step], place: &Place, value: Node) -> Result<(), String> {
    let old = find(root, steps, place)?;
    match &old.place {
        Place::Variable(other) if old.raw.is_some() => {
            Err(format!("sets the same key as {other}: take one of the two away"))
        }
        _ => {
            *old = value;
            Ok(())
        }
    }
}

/// The value that `steps` lead to, made where there is none yet.
fn find<'a>(node: &'a mut Node, steps: &[Step], place: &Place) -> Result<&'a mut Node, String> {
    let Some((first, rest)) = steps.split_first() else { return Ok(node) };
    if !matches!(node.kind, Kind::Table(_) | Kind::List(_)) {
        // What was one value becomes a table: `…__CLIENT_SECRET__FILE` over `client_secret = "…"`.
        *node = Node::table(place.clone());
    }
    if matches!((&node.kind, first), (Kind::Table(entries), Step::Item(_)) if entries.is_empty()) {
        node.kind = Kind::List(Vec::new());
    }
    let next = match (&mut node.kind, first) {
        (Kind::List(items), Step::Item(at)) => item(items, *at, place)?,
        (Kind::List(items), Step::Key(name)) => named(items, name)?,
        (Kind::Table(entries), Step::Key(key)) => {
            let new = || Entry { place: place.clone(), value: Node::table(place.clone()) };
            &mut entries.entry(key.clone()).or_insert_with(new).value
        }
        _ => return Err("there is no list here that a number could count into".to_owned()),
    };
    find(next, rest, place)
}

fn item<'a>(items: &'a mut Vec<Node>, at: usize, place: &Place) -> Result<&'a mut Node, String> {
    if at == items.len() {
        items.push(Node::table(place.clone()));
    }
    let free = items.len();
    items.get_mut(at).ok_or_else(|| format!("{at} would leave a gap: the next free place in the list is {free}"))
}

fn named<'a>(items: &'a mut [Node], name: &str) -> Result<&'a mut Node, String> {
    let name_of = |node: &Node| node.get("name").and_then(Node::as_text).map(in_variables);
    let names: Vec<String> = items.iter().filter_map(name_of).collect();
    if names.iter().filter(|known| *known == name).count() > 1 {
        return Err(format!("several accounts are called {name:?} here: use their places in the list, 0, 1, …"));
    }
    items.iter_mut().find(|node| name_of(node).as_deref() == Some(name)).ok_or_else(|| {
        let hint = did_you_mean(name, names.iter().map(String::as_str));
        format!("no account is called {name:?}: {PREFIX}ACCOUNTS__{}__NAME=… adds one{hint}", names.len())
    })
}

/// An account's name as it stands in variables: lower case, one underscore for each run of dashes.
fn in_variables(name: &str) -> String {
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    words.join("_").to_ascii_lowercase()
}
