//! One entity, asked for by its id, and what hangs on it. For readers that can't wait for a feed to show it.

use http::{Method, StatusCode};
use serde_json::value::RawValue;

use super::request::segment;
use super::{Client, Error, Priority, Request};

/// The entity with this id in `collection`; `None` if FFN has none, or the id can't stand in a path.
///
/// # Errors
/// See [`Error`]; a 404 that names no code is one, as then the path is wrong (contract 2.4).
pub async fn get(
    client: &Client,
    operation: &'static str,
    collection: &str,
    id: &str,
    priority: Priority,
) -> Result<Option<Box<RawValue>>, Error> {
    let Some(id) = segment(id) else { return Ok(None) };
    read(client, operation, format!("{collection}/{id}"), priority).await
}

/// The shipping notifications of an order (contract 10.9): a bare array, or a page's items. None if the
/// order is gone.
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list.
pub async fn shipments_of(client: &Client, order: &str, priority: Priority) -> Result<Vec<Box<RawValue>>, Error> {
    const OPERATION: &str = "outbound-shipments.list";
    let Some(id) = segment(order) else { return Ok(Vec::new()) };
    let path = format!("outbounds/{id}/shipping-notifications");
    let Some(list) = read(client, OPERATION, path, priority).await? else { return Ok(Vec::new()) };
    let unreadable = || Error::Unreadable { operation: OPERATION, reason: "it is no list".to_owned() };
    super::lookup::list(list.get().as_bytes()).map(|(rows, _)| rows).ok_or_else(unreadable)
}

/// What is at this path; `None` if FFN has nothing there.
pub(super) async fn read(
    client: &Client,
    operation: &'static str,
    path: String,
    priority: Priority,
) -> Result<Option<Box<RawValue>>, Error> {
    let unreadable = |_| Error::Unreadable { operation, reason: "it is no JSON".to_owned() };
    match client.call(Request::new(operation, Method::GET, path, priority)).await {
        Ok(answer) => serde_json::from_slice(&answer.body).map(Some).map_err(unreadable),
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND) && error.code().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
