//! Entries of the stock ledger, looked up in the list (contract 8 and 14).

use http::Method;
use serde_json::value::RawValue;

use super::{Client, Error, Priority, Request, lookup};

const OPERATION: &str = "stock-changes.find";
/// Rows of one page, and pages that are read at the most.
const TOP: usize = 100;
const MOST_PAGES: usize = 200;

/// The entries of a product's ledger in a warehouse that `wanted` picks, as far as the list has them. It need not
/// look at warehouse and product again, but may: a filter that FFN ignores returns everything (contract 4).
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list. Of a list that does not end soon it is what was
/// found until then.
pub async fn find_changes(
    client: &Client,
    warehouse: &str,
    jfsku: &str,
    priority: Priority,
    most: usize,
    wanted: impl Fn(&RawValue) -> bool,
) -> Result<Vec<Box<RawValue>>, Error> {
    let unreadable = |reason: &str| Error::Unreadable { operation: OPERATION, reason: reason.to_owned() };
    let quoted = |text: &str| text.replace('\'', "''");
    let filter =
        format!("stockChangeId/warehouseId eq '{}' and stockChangeId/jfsku eq '{}'", quoted(warehouse), quoted(jfsku));
    let (mut found, mut seen) = (Vec::new(), 0);
    for _ in 0..MOST_PAGES {
        let request = Request::new(OPERATION, Method::GET, "stocks/changes", priority)
            .with_query("$filter", &filter)
            .with_query("$orderBy", "modificationInfo/createdAt")
            .with_query("$top", TOP.to_string())
            .with_query("$skip", seen.to_string());
        let answer = client.call(request).await?;
        let (rows, has_next) = lookup::list(&answer.body).ok_or_else(|| unreadable("it is no list"))?;
        let count = rows.len();
        found.extend(rows.into_iter().filter(|row| wanted(row)));
        seen += count;
        // A full page may be the last, and a short one may have a next link (contract 8).
        if found.len() >= most || count == 0 || (count < TOP && !has_next) {
            return Ok(found);
        }
    }
    tracing::warn!(account = %client.account(), warehouse, jfsku, "the ledger is too long to be looked through");
    Ok(found)
}
