//! The commands' operations as a table, and how a command's flat body becomes a call (contract 10).
//!
//! The executor finds the row by the command's name, lets it build the call, and asks the row what success
//! means and how an outcome in doubt is settled. The guarantees: path and query parameters never stay in the
//! body; body values are FFN's bytes to read as the publisher wrote them; a number that is risky in a path
//! never gets into one.

#[cfg(test)]
mod tests;

use http::Method;
use serde_json::value::RawValue;

use super::fields::{Fields, scalar};
use super::request::segment;
use super::{Client, Error, Priority, Request, outbounds};
use crate::domain::account::Role;

/// How it is found out what became of a call whose outcome is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Look for the object by its maker's own number before sending again (contract 10.3).
    NaturalKey {
        /// The field that holds it.
        field: &'static str,
    },
    /// The same call twice has the effect of one: send again.
    Repeatable,
    /// Read the object: it is done if its state says so (contract 10.7).
    ReadState {
        /// The field of the object.
        field: &'static str,
        /// The value that means done.
        done: &'static str,
    },
}

/// What a success of the operation holds; any 2xx is one (contract 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// The object, in the answer's body.
    Object,
    /// Nothing.
    Empty,
}

/// Where the members go that are no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is no body: further members are a mistake.
    None,
    /// All of them are the body, behind these fixed ones.
    Members {
        /// Members the operation itself sets, with their JSON.
        fixed: &'static [(&'static str, &'static str)],
    },
}

/// A row of the table.
#[derive(Debug)]
pub struct Operation {
    /// `{resource}.{action}`, the end of a command's routing key.
    pub name: &'static str,
    /// The roles that have it (contract 16).
    pub roles: &'static [Role],
    /// Method.
    pub method: Method,
    /// Path under the role, with `{name}` for each path parameter.
    pub path: &'static str,
    /// Members that go into the path.
    pub path_params: &'static [&'static str],
    /// Members that go into the query.
    pub query_params: &'static [&'static str],
    /// The other members.
    pub body: Body,
    /// What success holds.
    pub success: Success,
    /// How an outcome in doubt is settled.
    pub settle: Settle,
    /// Members that name the entity, the best first: commands for one entity run in order.
    pub entity: &'static [&'static str],
}

/// Every operation.
pub static OPERATIONS: [Operation; 4] = [
    Operation {
        name: "outbound.create",
        roles: &[Role::Merchant],
        method: Method::POST,
        path: "outbounds",
        path_params: &[],
        query_params: &["oversale", "autoCompleteBillOfMaterials"],
        body: Body::Members { fixed: &[] },
        success: Success::Object,
        settle: Settle::NaturalKey { field: "merchantOutboundNumber" },
        entity: &["merchantOutboundNumber"],
    },
    Operation {
        name: "outbound.update",
        roles: &[Role::Merchant],
        method: Method::PATCH,
        path: "outbounds/{outboundId}",
        path_params: &["outboundId"],
        query_params: &["oversale", "autoCompleteBillOfMaterials"],
        body: Body::Members { fixed: &[] },
        success: Success::Empty,
        settle: Settle::Repeatable,
        entity: &["outboundId"],
    },
    Operation {
        name: "outbound.cancel",
        roles: &[Role::Merchant, Role::Fulfiller],
        method: Method::PUT,
        path: "outbounds/{outboundId}/status",
        path_params: &["outboundId"],
        query_params: &[],
        body: Body::Members { fixed: &[("status", "\"Canceled\"")] },
        success: Success::Empty,
        settle: Settle::ReadState { field: "status", done: "Canceled" },
        entity: &["outboundId"],
    },
    Operation {
        name: "outbound.get",
        roles: &[Role::Merchant, Role::Fulfiller],
        method: Method::GET,
        path: "outbounds/{outboundId}",
        path_params: &["outboundId"],
        query_params: &[],
        body: Body::None,
        success: Success::Object,
        settle: Settle::Repeatable,
        entity: &["outboundId"],
    },
];

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
    /// The operation of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }

    /// Whether that role has the operation.
    pub fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The entity a command names: its default ordering key.
    pub fn entity_key(&self, fields: &Fields) -> Option<String> {
        self.entity.iter().find_map(|field| fields.text(field))
    }

    /// Takes a command's body apart.
    ///
    /// # Errors
    /// A sentence about the member that is missing, of a wrong kind or out of place.
    pub fn split(&self, fields: &Fields) -> Result<Parts, String> {
        let mut path = Vec::new();
        for name in self.path_params {
            path.push((*name, fields.text(name).ok_or_else(|| format!("{name} is missing or no text"))?));
        }
        let mut query = Vec::new();
        for name in self.query_params {
            if let Some(value) = fields.get(name) {
                let value = scalar(value).ok_or_else(|| format!("{name} is no text, number or boolean"))?;
                query.push(((*name).to_owned(), value));
            }
        }
        let is_param = |name: &str| self.path_params.contains(&name) || self.query_params.contains(&name);
        let others = fields.iter().filter(|(name, _)| !is_param(name));
        let body = match self.body {
            Body::None => match others.map(|(name, _)| name).next() {
                Some(name) => return Err(format!("{name} is no parameter of {}", self.name)),
                None => None,
            },
            Body::Members { fixed } => Some(body(fixed, others, self.name)?),
        };
        Ok(Parts { path, query, body })
    }

    /// The call for a command's body. Where the path would hold a number that is risky there, FFN's id is
    /// looked up first (contract 9).
    ///
    /// # Errors
    /// [`Error::Unsendable`] for a body that is no command of this operation, [`Error::NoSuchOutbound`] if
    /// the look-up finds nothing, else what the look-up ends in.
    pub async fn request(&self, client: &Client, fields: &Fields) -> Result<Request, Error> {
        let operation = self.name;
        let unsendable = |reason| Error::Unsendable { operation, reason };
        if !self.is_for(client.role()) {
            return Err(unsendable(format!("a {} has no such operation", client.role())));
        }
        let parts = self.split(fields).map_err(unsendable)?;
        let mut path = self.path.to_owned();
        for (name, value) in &parts.path {
            let segment = match segment(value) {
                Some(segment) => segment,
                None if client.role() == Role::Merchant => {
                    outbounds::id_of_number(client, value).await?.ok_or(Error::NoSuchOutbound { operation })?
                }
                // A fulfiller's paths take FFN's ids only, and those are plain (contract 9).
                None => return Err(unsendable(format!("{name} is no id of FFN"))),
            };
            path = path.replace(&format!("{{{name}}}"), &segment);
        }
        let mut request = Request::new(operation, self.method.clone(), path, Priority::Command);
        request.query = parts.query;
        request.body = parts.body;
        Ok(request)
    }
}

/// The body's JSON: fixed members first, the others in the publisher's order.
fn body<'a>(
    fixed: &[(&'static str, &'static str)],
    others: impl Iterator<Item = (&'a str, &'a RawValue)>,
    operation: &str,
) -> Result<Vec<u8>, String> {
    let unwritable = |error: serde_json::Error| format!("the body can't be written: {error}");
    let mut members = Fields::default();
    for (name, json) in fixed {
        members.push(name, RawValue::from_string((*json).to_owned()).map_err(unwritable)?);
    }
    for (name, value) in others {
        match fixed.iter().find(|(taken, _)| *taken == name) {
            Some((_, json)) if *json == value.get() => {}
            Some(_) => return Err(format!("{name} is set by {operation} itself")),
            None => members.push(name, value.to_owned()),
        }
    }
    serde_json::to_vec(&members).map_err(unwritable)
}
