//! Lists, read from their first row to their last while they change (contract 8).
//!
//! Rows come by the time they were made. Each page begins with the row at which the one before ended, so that
//! rows which leave the list meanwhile and let the others move up are noticed: then it is gone back until the
//! pages join again. The end is where nothing comes after that row. Neither links nor totals are believed,
//! as FFN may leave them out, count otherwise, or send fewer rows than were asked for (contract 18, 13 and 14).

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use super::feeds::Endpoint;
use super::{Client, Error, Priority, Request, lookup};
use crate::domain::entity::Fingerprint;
use crate::domain::listing::{Cursor, Row};

/// Rows of one page (contract 18, 14).
const TOP: usize = 100;
/// How far it is gone back first, when pages do not join.
const STEP_BACK: u64 = 100;
/// How often a list is begun anew before it counts as one that can't be read.
const MOST_RESTARTS: u32 = 5;

/// A list, and which of its rows.
#[derive(Debug, Clone)]
pub struct List {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The member that holds a row's id.
    pub id: &'static str,
    /// Only the rows that fit this (contract 8). FFN may ignore it.
    pub filter: Option<String>,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// Rows that have not been read before, each as FFN sent it; some of them may have been, after rows have moved.
    pub rows: Vec<Box<RawValue>>,
    /// Where to go on.
    pub next: Cursor,
}

/// The rows that come after `cursor`; `None` at the end of the list.
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list, or reading on leads nowhere.
pub async fn read_on(client: &Client, list: &List, priority: Priority, cursor: &Cursor) -> Result<Option<Page>, Error> {
    let mut at = cursor.clone();
    // The last row that was read, again.
    let mut skip = at.rows.saturating_sub(1);
    let (mut back, mut stays) = (STEP_BACK, false);
    loop {
        let rows = fetch(client, list, priority, skip).await?;
        let read = match joins(list, &rows, &at) {
            Some(read) => read,
            None if skip == 0 => {
                begin_anew(list, &mut at)?;
                0
            }
            None => {
                tracing::debug!(account = %client.account(), list = list.endpoint.operation, skip, "rows have left the list; going back to where the pages join");
                skip = skip.saturating_sub(back);
                back *= 2;
                continue;
            }
        };
        let is_same = at.last.is_some() && rows.last().map(|row| identify(list, row)) == at.last;
        at = after(list, at, skip, &rows);
        if read < rows.len() {
            return Ok(Some(Page { rows: rows.into_iter().skip(read).collect(), next: at }));
        }
        if rows.len() > 1 {
            // It was gone back, and all of this has been read.
            if std::mem::replace(&mut stays, is_same) && is_same {
                return Err(unreadable(list, "other pages of it end with the same row"));
            }
            skip = at.rows - 1;
            continue;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        if let Some(rest) = beyond(client, list, priority, &at).await? {
            let next = after(list, at.clone(), at.rows, &rest);
            return Ok((!rest.is_empty()).then_some(Page { rows: rest, next }));
        }
    }
}

/// What comes after a last row that came alone: nothing at the end, a row where FFN sends one a page. Such pages have
/// no row in common, so it counts only if that last row has kept its place; `None` if it has not.
async fn beyond(
    client: &Client,
    list: &List,
    priority: Priority,
    at: &Cursor,
) -> Result<Option<Vec<Box<RawValue>>>, Error> {
    let rest = fetch(client, list, priority, at.rows).await?;
    let again = fetch(client, list, priority, at.rows - 1).await?;
    Ok((joins(list, &again, at) == Some(1)).then_some(rest))
}

/// Notes that nothing is left of what was read, so that the list is read from its first row again.
fn begin_anew(list: &List, at: &mut Cursor) -> Result<(), Error> {
    at.restarts += u32::from(at.last.is_some());
    if at.restarts > MOST_RESTARTS {
        return Err(unreadable(list, "the row that was read last is never found again"));
    }
    Ok(())
}

/// Where to go on after the rows that begin at `skip`.
fn after(list: &List, at: Cursor, skip: u64, rows: &[Box<RawValue>]) -> Cursor {
    let last = rows.last().map(|row| identify(list, row)).or(at.last);
    Cursor { rows: skip + rows.len() as u64, last, restarts: at.restarts }
}

/// How many rows the list has, as far as FFN tells: for the eye only. With pages of one row it makes no difference
/// whether it counts rows or pages (contract 18, 13).
///
/// # Errors
/// See [`Error`].
pub async fn total(client: &Client, list: &List, priority: Priority) -> Result<Option<u64>, Error> {
    let request = request(list, priority).with_query("$top", "1");
    let answer = client.call(request).await?;
    let page: Option<Value> = serde_json::from_slice(&answer.body).ok();
    Ok(page.and_then(|page| page.get("_page")?.get("total")?.as_u64()))
}

/// How many of the rows have been read before, if they begin with one that has. By the order of the list
/// nothing can then be missing in between.
pub(super) fn joins(list: &List, rows: &[Box<RawValue>], cursor: &Cursor) -> Option<usize> {
    let last = cursor.last.as_ref()?;
    let known: Vec<Row> = rows.iter().map(|row| identify(list, row)).collect();
    // Rows without an id may be equal: after the first of them nothing is left out.
    if let Some(at) = known.iter().position(|row| row.id == last.id) {
        return Some(at + 1);
    }
    // That row itself is gone: one before it will do, where rows come in their order.
    let times: Vec<DateTime<Utc>> = known.iter().map(|row| row.created_at).collect::<Option<_>>()?;
    let is_before = |at: &DateTime<Utc>| last.created_at.is_some_and(|last| *at < last);
    (times.is_sorted() && times.first().is_some_and(is_before)).then(|| times.partition_point(is_before))
}

/// What a row is found again by: one without an id by its bytes.
fn identify(list: &List, row: &RawValue) -> Row {
    let members: Value = serde_json::from_str(row.get()).unwrap_or_default();
    let created_at = members.get("modificationInfo").and_then(|stamp| stamp.get("createdAt")).and_then(Value::as_str);
    let created_at = created_at.and_then(|time| DateTime::parse_from_rfc3339(time).ok()).map(|time| time.to_utc());
    let id = members.get(list.id).and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("#{}", Fingerprint::of(row.get())), str::to_owned);
    Row { id, created_at }
}

async fn fetch(client: &Client, list: &List, priority: Priority, skip: u64) -> Result<Vec<Box<RawValue>>, Error> {
    let mut top = TOP;
    let answer = loop {
        let request = request(list, priority).with_query("$top", top.to_string()).with_query("$skip", skip.to_string());
        match client.call(request).await {
            Err(Error::TooLarge { .. }) if top > 1 => top /= 2,
            answered => break answered?,
        }
    };
    let rows = lookup::list(&answer.body).map(|(rows, _)| rows);
    rows.ok_or_else(|| unreadable(list, "it is no list"))
}

fn unreadable(list: &List, reason: &str) -> Error {
    Error::Unreadable { operation: list.endpoint.operation, reason: reason.to_owned() }
}

fn request(list: &List, priority: Priority) -> Request {
    let Endpoint { path, operation } = list.endpoint;
    let request =
        Request::new(operation, Method::GET, path, priority).with_query("$orderBy", "modificationInfo/createdAt");
    match &list.filter {
        Some(filter) => request.with_query("$filter", filter),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::ffn::testing::{Account, Call, Reply};

    const LIST: Endpoint = Endpoint { path: "outbounds", operation: "outbounds.list" };

    fn all() -> List {
        List { endpoint: LIST, id: "outboundId", filter: None }
    }

    fn number(call: &Call, name: &str) -> usize {
        let query = call.uri.split_once(name).unwrap().1.trim_start_matches('=');
        query.split('&').next().unwrap().parse().unwrap()
    }

    /// A server whose list is `rows`: (id, when it was made in seconds). It sends at most `cap` rows a page.
    async fn server(rows: Arc<Mutex<Vec<(usize, usize)>>>, cap: usize) -> Account {
        Account::new(move |call| {
            let rows = rows.lock().unwrap();
            let page: Vec<String> = rows
                .iter()
                .skip(number(call, "$skip"))
                .take(number(call, "$top").min(cap))
                .map(|(id, at)| {
                    let (minutes, seconds) = (at / 60, at % 60);
                    format!(
                        r#"{{"outboundId":"O{id}","modificationInfo":{{"createdAt":"2026-01-05T08:{minutes:02}:{seconds:02}Z"}}}}"#
                    )
                })
                .collect();
            Reply::json(200, &format!(r#"{{"items":[{}]}}"#, page.join(",")))
        })
        .await
    }

    /// Reads the list to its end; `between` happens after each page. Gives the ids in the order they came.
    async fn read(
        rows: Vec<(usize, usize)>,
        cap: usize,
        mut between: impl FnMut(&mut Vec<(usize, usize)>),
    ) -> Vec<String> {
        let rows = Arc::new(Mutex::new(rows));
        let account = server(rows.clone(), cap).await;
        let (mut cursor, mut ids) = (Cursor::default(), Vec::new());
        while let Some(page) = read_on(&account.client, &all(), Priority::Background, &cursor).await.unwrap() {
            ids.extend(page.rows.iter().map(|row| identify(&all(), row).id));
            cursor = page.next;
            between(&mut rows.lock().unwrap());
        }
        ids
    }

    #[tokio::test]
    async fn a_page_that_is_too_large_is_asked_for_with_fewer_rows() {
        let account = Account::new(|call| match number(call, "$top") {
            20.. => Reply::json(200, &" ".repeat(super::super::client::BODY_LIMIT + 1)),
            top => {
                let rows = (0..30_usize).skip(number(call, "$skip")).take(top);
                let rows: Vec<String> = rows.map(|id| format!(r#"{{"outboundId":"O{id}"}}"#)).collect();
                Reply::json(200, &format!(r#"{{"items":[{}]}}"#, rows.join(",")))
            }
        })
        .await;
        let (mut cursor, mut read) = (Cursor::default(), Vec::new());
        while let Some(page) = read_on(&account.client, &all(), Priority::Background, &cursor).await.unwrap() {
            read.extend(page.rows.iter().map(|row| identify(&all(), row).id));
            cursor = page.next;
        }
        assert_eq!(read, ids(0..30));
    }

    fn ids(of: impl Iterator<Item = usize>) -> Vec<String> {
        of.map(|id| format!("O{id}")).collect()
    }

    fn ordered(count: usize) -> Vec<(usize, usize)> {
        (0..count).map(|id| (id, id)).collect()
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end_whatever_a_page_holds() {
        for cap in [1, 2, 7, 100, 500] {
            for count in [0, 1, 99, 100, 101, 250] {
                assert_eq!(read(ordered(count), cap, |_| {}).await, ids(0..count), "{cap} {count}");
            }
        }
    }

    #[tokio::test]
    async fn rows_that_leave_the_list_make_no_others_be_skipped() {
        // From the front, so that all others move up; the row that was read last as well.
        for gone in [1, 30, 100, 130] {
            let mut left = 2;
            let read = read(ordered(1000), 100, |rows| {
                if left > 0 && rows.len() > gone {
                    left -= 1;
                    rows.drain(..gone);
                }
            })
            .await;
            let seen: std::collections::BTreeSet<_> = read.into_iter().collect();
            let stayed = ids(gone * 2..1000);
            assert!(stayed.iter().all(|id| seen.contains(id)), "{gone}");
        }
        for pages in [1, 2] {
            let mut left = pages + 1;
            let read = read(ordered(500), 100, |rows| {
                left -= usize::from(left > 0);
                if left == 1 {
                    rows.remove(pages * 100 - 1);
                }
            })
            .await;
            assert!(ids(200..500).iter().all(|id| read.contains(id)), "{pages}");
        }
    }

    #[tokio::test]
    async fn a_list_without_an_order_goes_by_the_row_alone() {
        // The times say nothing of the place.
        let odd: Vec<(usize, usize)> = (0..400).map(|id| (id, (id * 7919) % 3001)).collect();
        let mut is_first = true;
        let read = read(odd, 100, |rows| {
            if std::mem::take(&mut is_first) {
                rows.drain(..50);
            }
        })
        .await;
        assert!(ids(100..400).iter().all(|id| read.contains(id)));
    }

    /// Reads a list whose rows are told anew for each call, with at most `cap` a page: what came, or the error.
    async fn read_rows(
        rows: impl Fn(usize) -> Vec<String> + Send + Sync + 'static,
        cap: usize,
    ) -> Result<Vec<String>, Error> {
        let account = Account::new(move |call| {
            let rows = rows(call.nth).into_iter().skip(number(call, "$skip")).take(cap);
            Reply::json(200, &format!(r#"{{"items":[{}]}}"#, rows.collect::<Vec<_>>().join(",")))
        })
        .await;
        let (mut cursor, mut read) = (Cursor::default(), Vec::new());
        while let Some(page) = read_on(&account.client, &all(), Priority::Background, &cursor).await? {
            read.extend(page.rows.iter().map(|row| row.get().to_owned()));
            assert!(read.len() < 1000, "it does not end");
            cursor = page.next;
        }
        Ok(read)
    }

    #[tokio::test]
    async fn rows_without_an_id_end_a_list_like_others() {
        let row = |id: &str| format!(r#"{{"outboundId":{id}}}"#);
        let odd = |row: &str| row.to_owned();
        let lists = [
            vec![odd("null")],
            vec![row(r#""A""#), row(r#""B""#), odd("null")],
            vec![odd("null"), odd("null"), row(r#""A""#), odd("null"), odd("null")],
            vec![row("null"), row(r#""""#), row("7"), odd("\"x\""), odd("[1]")],
            vec![odd("null"); 120],
        ];
        for list in lists {
            for cap in [1, 2, 100] {
                let rows = list.clone();
                assert_eq!(read_rows(move |_| rows.clone(), cap).await.unwrap(), list, "{cap}");
            }
        }
    }

    #[tokio::test]
    async fn rows_that_leave_make_no_others_be_skipped_where_a_page_is_one_row() {
        let row = |id: usize| format!(r#"{{"outboundId":"O{id}"}}"#);
        for call in 1..30 {
            // From that call on, whichever it is, the first row is gone.
            let read = read_rows(move |nth| (usize::from(nth >= call)..8).map(row).collect(), 1).await.unwrap();
            assert!((1..8).all(|id| read.contains(&row(id))), "{call}: {read:?}");
        }
    }

    #[tokio::test]
    async fn a_list_that_leads_nowhere_is_an_error() {
        // Its last row is never the same; and one page is all that is ever sent, whatever is skipped.
        let row = |id: usize| format!(r#"{{"outboundId":"O{id}"}}"#);
        for before in [0, 3] {
            let rows = move |nth| (0..before).map(row).chain([format!("[{nth}]")]).collect();
            assert!(matches!(read_rows(rows, 100).await, Err(Error::Unreadable { .. })), "{before}");
        }
        let account = Account::new(|_| Reply::json(200, r#"{"items":[{"outboundId":"A"},{"outboundId":"B"}]}"#)).await;
        let first = read_on(&account.client, &all(), Priority::Background, &Cursor::default()).await.unwrap().unwrap();
        let error = read_on(&account.client, &all(), Priority::Background, &first.next).await;
        assert!(matches!(error, Err(Error::Unreadable { .. })));
    }

    #[tokio::test]
    async fn what_is_asked_for_is_filtered_and_ordered() {
        let account = Account::new(|_| Reply::json(200, r#"{"items":[],"_page":{"total":70000}}"#)).await;
        let list = List { filter: Some("status eq 'Pending'".to_owned()), ..all() };
        assert_eq!(total(&account.client, &list, Priority::Background).await.unwrap(), Some(70_000));
        let read = read_on(&account.client, &list, Priority::Background, &Cursor::default()).await.unwrap();
        assert!(read.is_none());
        let asked: Vec<String> = account.api.calls("/api/").iter().map(|call| call.uri.clone()).collect();
        let order =
            "/api/v1/merchant/outbounds?$orderBy=modificationInfo%2FcreatedAt&$filter=status%20eq%20%27Pending%27";
        assert_eq!(asked, [format!("{order}&$top=1"), format!("{order}&$top=100&$skip=0")]);
    }

    #[tokio::test]
    async fn what_is_no_list_is_an_error_and_not_its_end() {
        for body in ["", "{}", r#"{"items":null}"#, "<html>", r#"{"items":[1"#] {
            let account = Account::new(move |_| Reply::json(200, body)).await;
            assert!(
                read_on(&account.client, &all(), Priority::Background, &Cursor::default()).await.is_err(),
                "{body}"
            );
        }
    }
}
