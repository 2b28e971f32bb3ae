//! The commands' operations as a table, and how a command's flat body becomes a call (contract 10 to 15).
//!
//! The executor finds the row by the command's name and the account's role, lets it build the call, and asks the
//! row what success means and how an outcome in doubt is settled. The guarantees: path and query parameters never
//! stay in the body; body values are FFN's bytes to read as the publisher wrote them; a number that is risky in a
//! path never gets into one.

mod effects;
mod settle;
mod table;
#[cfg(test)]
mod tests;

use http::Method;
use serde_json::value::RawValue;

use super::fields::{Fields, scalar};
use super::lookup::{self, NUMBERED};
use super::request::segment;
use super::{Area, Client, Error, Priority, Request};
use crate::domain::account::Role;
pub use effects::{Brings, Reach, To};
pub use settle::{Key, Place, Same, Settle, State, Wanted};
pub use table::OPERATIONS;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// `{resource}.{action}`, the end of a command's routing key.
    pub name: &'static str,
    /// The roles that have it (contract 16).
    pub roles: &'static [Role],
    /// Method.
    pub method: Verb,
    /// The part of the API that it is in.
    pub area: Area,
    /// Path under that part, with `{name}` for each path parameter.
    pub path: &'static str,
    /// Members that go into the query.
    pub query: &'static [&'static str],
    /// The other members.
    pub body: Body,
    /// What a result names as its subject.
    pub subject: Subject,
    /// How an outcome in doubt is settled.
    pub settle: Settle,
    /// An id by which FFN lets the caller find again what it did; the bridge makes one where the command has none.
    pub own_id: Option<OwnId>,
    /// Which commands it runs in order with, unless its publisher says otherwise.
    pub lane: Option<Lane>,
    /// What it may bring about, as the feeds will show it.
    pub brings: &'static [Brings],
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the methods' own names")]
pub enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// Where the members go that are no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is no body: further members are a mistake.
    None,
    /// There is no call of its own: this member is a number by which the list is searched ([`lookup::find`]).
    Number(&'static str),
    /// All of them are the body, behind these fixed ones.
    Members {
        /// Members the operation itself sets, with their JSON.
        fixed: &'static [(&'static str, &'static str)],
        /// Members that FFN knows by another name, which a path parameter has already: the command's name, FFN's.
        renamed: &'static [(&'static str, &'static str)],
    },
}

/// The entity that a result is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A member of the object that FFN answers with: success has to bring one.
    Answer(&'static str),
    /// A member of the command.
    Member(&'static str),
    /// None.
    None,
}

/// Where an operation has room for an id of the caller's (contract 11, 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnId {
    /// In this member.
    Member(&'static str),
    /// In a member of each entry of a list.
    EachOf {
        /// The list.
        list: &'static str,
        /// The member.
        member: &'static str,
    },
}

/// Commands that run in order: those that name the same entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Kind of entity.
    pub resource: &'static str,
    /// Members that name it, the best first.
    pub members: &'static [&'static str],
}

/// A command's body taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// Path parameters, not encoded.
    pub path: Vec<(&'static str, String)>,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// Body, JSON.
    pub body: Option<Vec<u8>>,
}

impl Operation {
    /// The operation of that name that a role has.
    pub fn of(name: &str, role: Role) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.name == name && operation.is_for(role))
    }

    /// An operation of that name: for what is alike in all roles.
    pub fn named(name: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }

    /// Whether that role has the operation.
    pub fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it changes nothing at FFN.
    pub fn is_read(&self) -> bool {
        self.method == Verb::Get
    }

    /// The entity a command names: its default ordering key.
    pub fn ordering_key(&self, fields: &Fields) -> Option<String> {
        let lane = self.lane?;
        let name = lane.members.iter().find_map(|member| fields.text(member))?;
        Some(format!("{}:{name}", lane.resource))
    }

    /// The path's parameters, in order.
    pub fn path_params(&self) -> impl Iterator<Item = &'static str> {
        params(self.path)
    }

    /// Takes a command's body apart.
    ///
    /// # Errors
    /// A sentence about the member that is missing, of a wrong kind or out of place.
    pub fn split(&self, fields: &Fields) -> Result<Parts, String> {
        let missing = |name: &str| format!("{name} is missing or no text");
        let mut path = Vec::new();
        for name in self.path_params() {
            path.push((name, fields.text(name).ok_or_else(|| missing(name))?));
        }
        let mut query = Vec::new();
        for name in self.query {
            if let Some(value) = fields.get(name) {
                let value = scalar(value).ok_or_else(|| format!("{name} is no text, number or boolean"))?;
                query.push(((*name).to_owned(), value));
            }
        }
        let is_param = |name: &str| {
            self.path_params().any(|param| param == name) || self.query.contains(&name) || self.number() == Some(name)
        };
        let mut others = fields.iter().filter(|(name, _)| !is_param(name));
        let body = match self.body {
            Body::None | Body::Number(_) => match others.next() {
                Some((name, _)) => return Err(format!("{name} is no parameter of {}", self.name)),
                None => None,
            },
            Body::Members { fixed, renamed } => Some(body(fixed, renamed, others, self.name)?),
        };
        Ok(Parts { path, query, body })
    }

    /// The call for a command's body. Where the path would hold a number that is risky there, FFN's id is
    /// looked up first (contract 9).
    ///
    /// # Errors
    /// [`Error::Unsendable`] for a body that is no command of this operation, [`Error::NotFound`] if
    /// the look-up finds nothing, else what the look-up ends in.
    pub async fn request(&self, client: &Client, fields: &Fields) -> Result<Request, Error> {
        let operation = self.name;
        let unsendable = |reason| Error::Unsendable { operation, reason };
        if !self.is_for(client.role()) {
            return Err(unsendable(format!("a {} has no such operation", client.role())));
        }
        let parts = self.split(fields).map_err(unsendable)?;
        let path = path(client, operation, self.path, fields).await?;
        let mut request = Request::new(operation, self.method.into(), path, Priority::Command);
        request.area = self.area;
        request.query = parts.query;
        request.body = parts.body;
        Ok(request)
    }

    /// The number by which a list is searched.
    pub fn number(&self) -> Option<&'static str> {
        match self.body {
            Body::Number(name) => Some(name),
            Body::None | Body::Members { .. } => None,
        }
    }

    /// The command with an id of the caller's wherever the operation has room for one and it has none.
    /// `id` gives the n-th.
    ///
    /// # Errors
    /// A sentence about the member that is not what it should be.
    pub fn with_own_ids(&self, fields: &Fields, id: impl Fn(usize) -> String) -> Result<Fields, String> {
        let text = |n: usize| {
            let text = serde_json::to_string(&id(n)).and_then(RawValue::from_string);
            text.map_err(|error| format!("the id can't be written: {error}"))
        };
        match self.own_id {
            None => Ok(fields.clone()),
            Some(OwnId::Member(member)) => match fields.get(member) {
                Some(_) => Ok(fields.clone()),
                None => Ok(fields.with(member, text(0)?)),
            },
            Some(OwnId::EachOf { list, member }) => {
                let mut entries = entries(fields, list)?;
                for (n, entry) in entries.iter_mut().enumerate() {
                    if entry.get(member).is_none() {
                        *entry = entry.with(member, text(n)?);
                    }
                }
                let entries = serde_json::value::to_raw_value(&entries);
                Ok(fields.with(list, entries.map_err(|error| format!("{list} can't be written: {error}"))?))
            }
        }
    }

    /// The ids of the caller's in a command, each with the entry that it is of.
    ///
    /// # Errors
    /// As [`Operation::with_own_ids`].
    pub fn own_ids(&self, fields: &Fields) -> Result<Vec<(String, Fields)>, String> {
        let entries = match self.own_id {
            None => Vec::new(),
            Some(OwnId::Member(_)) => vec![fields.clone()],
            Some(OwnId::EachOf { list, .. }) => entries(fields, list)?,
        };
        let member = match self.own_id {
            Some(OwnId::Member(member) | OwnId::EachOf { member, .. }) => member,
            None => "",
        };
        entries
            .into_iter()
            .map(|entry| {
                let id = entry.text(member).ok_or_else(|| format!("{member} is missing or no text"))?;
                Ok((id, entry))
            })
            .collect()
    }
}

impl From<Verb> for Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::Post => Self::POST,
            Verb::Put => Self::PUT,
            Verb::Patch => Self::PATCH,
            Verb::Delete => Self::DELETE,
        }
    }
}

/// The entries of a command's list.
///
/// # Errors
/// A sentence: it is no list of objects.
pub fn entries(fields: &Fields, list: &str) -> Result<Vec<Fields>, String> {
    let value = fields.get(list).ok_or_else(|| format!("{list} is missing"))?;
    serde_json::from_str(value.get()).map_err(|_| format!("{list} is no list of objects"))
}

/// A path with its parameters filled in from a command. Where a number is risky in a path, FFN's id is looked up
/// first (contract 9).
///
/// # Errors
/// [`Error::Unsendable`] for a parameter that is missing or can't stand in a path, [`Error::NotFound`] if the
/// look-up finds nothing, else what the look-up ends in.
pub async fn path(
    client: &Client,
    operation: &'static str,
    template: &'static str,
    fields: &Fields,
) -> Result<String, Error> {
    let unsendable = |reason| Error::Unsendable { operation, reason };
    let mut path = String::new();
    // What stands before a parameter, for the lists that belong to it.
    let mut before = String::new();
    for part in template.split('/') {
        if !path.is_empty() {
            path.push('/');
        }
        let Some(param) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            path.push_str(part);
            before = path.clone();
            continue;
        };
        let value = fields.text(param).ok_or_else(|| unsendable(format!("{param} is missing or no text")))?;
        let list = template.split_once(&format!("/{{{param}}}")).map_or("", |(list, _)| list);
        // A fulfiller's paths take only FFN's ids of orders and deliveries, and those are plain (contract 9).
        let is_taken = |param: &str| param == "shippingNotificationId" || client.role() == Role::Merchant;
        let numbered = NUMBERED.iter().find(|row| row.param == param && row.list == list && is_taken(param));
        let segment = match (segment(&value), numbered) {
            (Some(segment), _) => segment,
            (None, Some(numbered)) => {
                let found = lookup::id_of_number(client, operation, numbered, &before, &value).await?;
                found.ok_or(Error::NotFound { operation, param: numbered.param })?
            }
            (None, None) => {
                return Err(unsendable(format!("{param} has characters that can't stand in a path of FFN's")));
            }
        };
        path.push_str(&segment);
    }
    Ok(path)
}

/// The parameters of a path.
fn params(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// The body's JSON: fixed members first, the others in the publisher's order.
fn body<'a>(
    fixed: &[(&'static str, &'static str)],
    renamed: &[(&'static str, &'static str)],
    others: impl Iterator<Item = (&'a str, &'a RawValue)>,
    operation: &str,
) -> Result<Vec<u8>, String> {
    let unwritable = |error: serde_json::Error| format!("the body can't be written: {error}");
    let mut members = Fields::default();
    for (name, json) in fixed {
        members.push(name, RawValue::from_string((*json).to_owned()).map_err(unwritable)?);
    }
    for (name, value) in others {
        let name = renamed.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs);
        match fixed.iter().find(|(taken, _)| *taken == name) {
            Some((_, json)) if *json == value.get() => {}
            Some(_) => return Err(format!("{name} is set by {operation} itself")),
            None => members.push(name, value.to_owned()),
        }
    }
    serde_json::to_vec(&members).map_err(unwritable)
}
