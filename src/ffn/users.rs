//! Who is calling: the test of a connection (contract 3).
//!
//! `login` and `check` ask it: an answer proves token and environment, and tells or proves the role.

use http::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::request::Answer;
use super::{Area, Client, Error, Priority, Request};
use crate::domain::account::Role;

const OPERATION: &str = "users.current";

/// The user that a token stands for.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// FFN's id: four characters (contract 9).
    #[serde(rename = "userId")]
    pub id: String,
    /// Its roles, where FFN names them (contract 18, 19: nothing but the id is certain).
    #[serde(default, deserialize_with = "words")]
    pub roles: Vec<String>,
}

impl User {
    /// Whether the user has `role`; `None` where FFN's words for its roles do not tell.
    pub fn has(&self, role: Role) -> Option<bool> {
        let other = match role {
            Role::Merchant => Role::Fulfiller,
            Role::Fulfiller => Role::Merchant,
        };
        let names = |role: Role| self.roles.iter().any(|word| word.eq_ignore_ascii_case(role.as_str()));
        match (names(role), names(other)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// The user that the account's own token stands for.
///
/// # Errors
/// See [`Error`]. A 404 means that the JTL account has never signed in to the portal (contract 2.4).
pub async fn current_user(client: &Client) -> Result<User, Error> {
    read(&client.call(request()).await?)
}

/// Whether FFN answers the account, found out by a call that changes nothing.
///
/// # Errors
/// See [`Error`]. An answer that holds no JSON is not FFN's.
pub async fn reach(client: &Client) -> Result<(), Error> {
    let answer = client.call(request()).await?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_ok();
    if is_json { Ok(()) } else { Err(Error::Unreadable { operation: OPERATION, reason: "it is no JSON".to_owned() }) }
}

/// The user that `token` stands for, which is not the account's yet.
///
/// # Errors
/// As [`current_user`]; a 401 means that FFN does not accept the token.
pub async fn user_of(client: &Client, token: &SecretString) -> Result<User, Error> {
    read(&client.call_with(token, request()).await?)
}

/// Proves by a small read that `token` has the client's role, where [`User::roles`] do not say it.
///
/// # Errors
/// A 403 says by its code, if it has one, that the user has another role, else that the scope for reading is
/// missing (contract 3).
pub async fn prove_role(client: &Client, token: &SecretString) -> Result<(), Error> {
    let (operation, path) = match client.role() {
        Role::Merchant => ("warehouses.first", "warehouses"),
        Role::Fulfiller => ("merchants.first", "merchants"),
    };
    let request = Request::new(operation, Method::GET, path, Priority::Command).with_query("$top", "1");
    client.call_with(token, request).await.map(drop)
}

fn request() -> Request {
    let mut request = Request::new(OPERATION, Method::GET, "users/current", Priority::Command);
    request.area = Area::Shared;
    request
}

fn read(answer: &Answer) -> Result<User, Error> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Error::Unreadable { operation: OPERATION, reason: "it names no userId".to_owned() })
}

/// The texts of a list; anything else, or nothing, is an empty one.
fn words<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let value = serde_json::Value::deserialize(input)?;
    let texts = value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    Ok(texts.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_told_or_denied_only_by_words_that_are_known() {
        let has = |json: &str| serde_json::from_str::<User>(json).unwrap().has(Role::Merchant);
        assert_eq!(has(r#"{"userId":"ACME","roles":["merchant"]}"#), Some(true));
        assert_eq!(has(r#"{"userId":"ACME","roles":["Fulfiller","MERCHANT"]}"#), Some(true));
        assert_eq!(has(r#"{"userId":"ACME","roles":["Fulfiller"]}"#), Some(false));
        for silent in ["", r#","roles":null"#, r#","roles":[]"#, r#","roles":["Admin"]"#, r#","roles":7"#] {
            assert_eq!(has(&format!(r#"{{"userId":"ACME"{silent}}}"#)), None, "{silent}");
        }
    }
}
