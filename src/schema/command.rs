//! Every command of FFN's operations, and its body: one flat object of the operation's path and query parameters and
//! the fields of FFN's request body, by their API names (contract 10 to 15, appendices A to C).
//!
//! The types in here exist for their schemas. The executor sends a body on as the caller wrote it, member for member: a
//! round trip through types would turn "leave as it is" (absent) into "clear" (null) and lose digits.
//!
//! Texts without a limit of their own have FFN's general one of 255 characters. Optional members may be null.
//! Unknown members are refused, because FFN would lose them without a word (contract 19.4).

pub mod compose;
pub mod inbound;
pub mod outbound;
pub mod parts;
pub mod place;
pub mod product;
pub mod query;
pub mod returns;
pub mod stock;
mod table;
pub mod values;

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::rules::Rule;
use crate::domain::account::Role;
pub use table::COMMANDS;

/// Members that a body has: those of a type.
type Part = fn(&mut SchemaGenerator) -> Map<String, Value>;

/// A command, or what one role sends of it where the roles' bodies differ: such a command has an entry for each.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// The command, for example `outbound.create`.
    pub name: &'static str,
    /// Who has it with this body.
    pub roles: &'static [Role],
    /// FFN's operation: method and path. The path stands below `/v1/{role}/`, unless it begins with a slash.
    pub call: &'static str,
    /// What it does, as a sentence.
    pub does: &'static str,
    more: &'static str,
    parts: &'static [Part],
    rules: &'static [Rule],
}

impl CommandSpec {
    const fn new(
        roles: &'static [Role],
        name: &'static str,
        call: &'static str,
        does: &'static str,
        parts: &'static [Part],
    ) -> Self {
        Self { name, roles, call, does, more: "", parts, rules: &[] }
    }

    /// What a sender should know beside.
    const fn noting(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// What has to hold between members.
    const fn checked(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// The one role that this body is for, if the other one has another body.
    pub fn variant(&self) -> Option<Role> {
        let others = COMMANDS.iter().filter(|other| other.name == self.name).count();
        self.roles.first().copied().filter(|_| others > 1)
    }

    /// The name of its document: `outbound.create`, or with the role where the bodies differ, `return.create.merchant`.
    pub fn document(&self) -> String {
        self.variant().map_or_else(|| self.name.to_owned(), |role| format!("{}.{role}", self.name))
    }

    /// The names of the path's parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.call.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
    }

    /// What has to hold between members.
    pub(super) fn rules(&self) -> &'static [Rule] {
        self.rules
    }

    /// What the document says of it.
    fn description(&self) -> String {
        let (method, path) = self.call.split_once(' ').unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("…/{path}") };
        let who = match self.roles {
            [Role::Merchant] if self.variant().is_none() => " Merchants only.",
            [Role::Fulfiller] if self.variant().is_none() => " Fulfillers only.",
            [Role::Merchant] => " As merchants send it.",
            [Role::Fulfiller] => " As fulfillers send it.",
            _ => "",
        };
        let more = if self.more.is_empty() { String::new() } else { format!(" {}", self.more) };
        format!("{}: `{method} {path}`.{who}{more}", self.does.trim_end_matches('.'))
    }

    /// The body as an object's schema: the path's parameters, then the members of the parts.
    pub(super) fn body(&self, generator: &mut SchemaGenerator) -> Map<String, Value> {
        let parameters = self.parameters().map(|name| (name.to_owned(), table::parameter(name, generator)));
        let parameters: Map<String, Value> = parameters.collect();
        let mut body = Map::new();
        body.insert("description".to_owned(), self.description().into());
        body.insert("type".to_owned(), "object".into());
        body.insert("required".to_owned(), parameters.keys().cloned().collect());
        body.insert("properties".to_owned(), parameters.into());
        body.insert("additionalProperties".to_owned(), false.into());
        for part in self.parts {
            compose::merge(&mut body, part(generator));
        }
        if body.get("required").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            body.shift_remove("required");
        }
        body
    }
}

/// A column of a table of commands: its heading, and what it says of a command.
pub type Column<'a> = (&'a str, &'a dyn Fn(&str) -> String);

/// All commands as a table in Markdown, each with its schema, its roles, FFN's call and what it does. `column` adds one
/// behind them.
pub fn command_table(column: Option<Column<'_>>) -> String {
    let (heading, rule) = column.map(|(heading, _)| (format!(" {heading} |"), " --- |")).unwrap_or_default();
    let mut table = format!("| command | for | call | does |{heading}\n| --- | --- | --- | --- |{rule}\n");
    for (index, spec) in COMMANDS.iter().enumerate() {
        if COMMANDS.iter().take(index).any(|earlier| earlier.name == spec.name) {
            continue;
        }
        let link = |text: &str, spec: &CommandSpec| format!("[{text}](schemas/commands/{}.json)", spec.document());
        let name = spec.name;
        let (command, who) = match (spec.variant(), spec.roles) {
            (None, [role]) => (link(&format!("`{name}`"), spec), role.as_str()),
            (None, _) => (link(&format!("`{name}`"), spec), "both"),
            (Some(_), _) => {
                let all = COMMANDS.iter().filter(|other| other.name == name);
                let links = all.filter_map(|other| Some(link(other.variant()?.as_str(), other)));
                (format!("`{name}`: {}", links.collect::<Vec<_>>().join(", ")), "both")
            }
        };
        let told = column.map(|(_, tell)| format!(" {} |", tell(name))).unwrap_or_default();
        table += &format!("| {command} | {who} | `{}` | {} |{told}\n", spec.call, spec.does.trim_end_matches('.'));
    }
    table
}
