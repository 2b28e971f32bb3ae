//! Who is calling: the test of a connection (contract 3).
//!
//! `login` and `check` ask it: an answer proves token and environment.

use http::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::request::Answer;
use super::{Area, Client, Error, Priority, Request};

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

/// The user that the account's own token stands for.
///
/// # Errors
/// See [`Error`]. A 404 means that the JTL account has never signed in to the portal (contract 2.4).
pub async fn current_user(client: &Client) -> Result<User, Error> {
    read(&client.call(request()).await?)
}

/// The user that `token` stands for, which is not the account's yet.
///
/// # Errors
/// As [`current_user`]; a 401 means that FFN does not accept the token.
pub async fn user_of(client: &Client, token: &SecretString) -> Result<User, Error> {
    read(&client.call_with(token, request()).await?)
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
