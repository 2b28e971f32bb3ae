//! Who is calling: the test of a connection (contract 3).
//!
//! `login` and `check` ask it: an answer proves token and environment.

use http::Method;
use serde::Deserialize;

use super::{Area, Client, Error, Priority, Request};

const OPERATION: &str = "users.current";

/// FFN's id of the user that the account's token stands for: four characters (contract 9).
///
/// # Errors
/// See [`Error`]. A 404 means that the JTL account has never signed in to the portal (contract 2.4).
pub async fn current_user(client: &Client) -> Result<String, Error> {
    /// Nothing else of the answer is certain (contract 18, 19).
    #[derive(Deserialize)]
    struct User {
        #[serde(rename = "userId")]
        user_id: String,
    }
    let mut request = Request::new(OPERATION, Method::GET, "users/current", Priority::Command);
    request.area = Area::Shared;
    let answer = client.call(request).await?;
    serde_json::from_slice::<User>(&answer.body)
        .map(|user| user.user_id)
        .map_err(|_| Error::Unreadable { operation: OPERATION, reason: "it names no userId".to_owned() })
}
