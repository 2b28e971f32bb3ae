//! Entries of the stock ledger, looked up in the list (contract 8 and 14).

use http::Method;
use serde_json::value::RawValue;

use super::{Client, Error, Priority, Request, lookup};

const OPERATION: &str = "stock-changes.find";
/// Rows of one page at the most.
pub const TOP: usize = 100;
/// Pages that are read at the most.
const MOST_PAGES: usize = 200;

/// Reads the entries of a product's ledger in a warehouse, page by page, for as long as `take` says that it wants more.
/// FFN is asked for the newest first, but may give any order, and entries of other ledgers too: a filter that it ignores
/// returns everything (contract 4). Gives whether the list has come to its end: one that seems to have none is broken off.
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list.
pub async fn read_changes(
    client: &Client,
    warehouse: &str,
    jfsku: &str,
    priority: Priority,
    mut take: impl FnMut(Vec<Box<RawValue>>) -> bool,
) -> Result<bool, Error> {
    let unreadable = |reason: &str| Error::Unreadable { operation: OPERATION, reason: reason.to_owned() };
    let quoted = |text: &str| text.replace('\'', "''");
    let filter =
        format!("stockChangeId/warehouseId eq '{}' and stockChangeId/jfsku eq '{}'", quoted(warehouse), quoted(jfsku));
    let mut seen = 0;
    for _ in 0..MOST_PAGES {
        let request = Request::new(OPERATION, Method::GET, "stocks/changes", priority)
            .with_query("$filter", &filter)
            .with_query("$orderBy", "modificationInfo/createdAt desc")
            .with_query("$top", TOP.to_string())
            .with_query("$skip", seen.to_string());
        let answer = client.call(request).await?;
        let (rows, has_next) = lookup::list(&answer.body).ok_or_else(|| unreadable("it is no list"))?;
        let count = rows.len();
        seen += count;
        let wants_more = take(rows);
        // A full page may be the last, and a short one may have a next link (contract 8).
        let is_last = count == 0 || (count < TOP && !has_next);
        if is_last || !wants_more {
            return Ok(is_last);
        }
    }
    tracing::warn!(account = %client.account(), warehouse, jfsku, "the ledger is too long to be looked through");
    Ok(false)
}
