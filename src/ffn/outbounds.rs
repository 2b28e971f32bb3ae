//! Finding outbounds: by FFN's id, and by the merchant's own number through the list.
//!
//! The executor settles creates in doubt with it, and [`super::operations`] finds FFN's id where a number is
//! risky in a path. The guarantee: a row counts only if its number is exactly the one asked for, because a
//! filter that FFN ignores returns everything (contract 4 and 10.3).

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::request::segment;
use super::{Client, Error, Priority, Request};

const FIND: &str = "outbound.find";
const GET: &str = "outbound.get";
/// Rows of one page; FFN's own default (contract 8).
const TOP: usize = 50;
/// Pages that are read before a list counts as endless.
const MAX_PAGES: usize = 20;

/// What the rules need of an outbound.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbound {
    /// FFN's id.
    pub outbound_id: Option<String>,
    /// The merchant's number.
    pub merchant_outbound_number: Option<String>,
    /// Status (contract 10.7).
    pub status: Option<String>,
}

impl Outbound {
    /// Reads a row; `None` if it is no outbound.
    pub fn read(row: &RawValue) -> Option<Self> {
        serde_json::from_str(row.get()).ok()
    }

    /// Whether it was canceled, so that its number may be used again (contract 10.3).
    pub fn is_canceled(&self) -> bool {
        self.status.as_deref() == Some("Canceled")
    }
}

/// All outbounds with exactly this merchant's number, canceled ones too (contract 10.3, recipe 2).
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list or a row of it can't be judged.
pub async fn find_outbounds(client: &Client, merchant_number: &str) -> Result<Vec<Box<RawValue>>, Error> {
    let unreadable = |reason: &str| Error::Unreadable { operation: FIND, reason: reason.to_owned() };
    let filter = format!("merchantOutboundNumber eq '{}'", merchant_number.replace('\'', "''"));
    let (mut found, mut seen) = (Vec::new(), 0);
    for _ in 0..MAX_PAGES {
        let mut request = Request::new(FIND, Method::GET, "outbounds", Priority::Command)
            .with_query("$filter", &filter)
            .with_query("$top", TOP.to_string());
        if seen > 0 {
            request = request.with_query("$skip", seen.to_string());
        }
        let answer = client.call(request).await?;
        let (rows, has_next) = list(&answer.body).ok_or_else(|| unreadable("it is no list"))?;
        let count = rows.len();
        for row in rows {
            let outbound = Outbound::read(&row).ok_or_else(|| unreadable("a row of the list is no outbound"))?;
            if outbound.merchant_outbound_number.as_deref() == Some(merchant_number) {
                found.push(row);
            }
        }
        seen += count;
        // A full page may be the last, and a short one may have a next link (contract 8).
        if count == 0 || (count < TOP && !has_next) {
            return Ok(found);
        }
    }
    Err(unreadable("the list does not end"))
}

/// The outbound with this id (or number, for a merchant); `None` if FFN has none (contract 10.4).
///
/// # Errors
/// See [`Error`]; a 404 that does not name the outbound is one.
pub async fn get_outbound(client: &Client, id: &str) -> Result<Option<Box<RawValue>>, Error> {
    let id = match segment(id) {
        Some(segment) => segment,
        None => match id_of_number(client, id).await? {
            Some(segment) => segment,
            None => return Ok(None),
        },
    };
    let request = Request::new(GET, Method::GET, format!("outbounds/{id}"), Priority::Command);
    match client.call(request).await {
        Ok(answer) => serde_json::from_slice(&answer.body)
            .map(Some)
            .map_err(|_| Error::Unreadable { operation: GET, reason: "it is no JSON".to_owned() }),
        Err(error)
            if error.status() == Some(StatusCode::NOT_FOUND) && error.code() == Some("Outbounds_OutboundNotFound") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// FFN's id, encoded for a path, of the outbound with this number: one that is not canceled, else the last
/// of the list (contract 18, 8).
pub(super) async fn id_of_number(client: &Client, number: &str) -> Result<Option<String>, Error> {
    let rows = find_outbounds(client, number).await?;
    let outbounds: Vec<Outbound> = rows.iter().filter_map(|row| Outbound::read(row)).collect();
    let chosen = outbounds.iter().find(|outbound| !outbound.is_canceled()).or(outbounds.last());
    Ok(chosen.and_then(|outbound| segment(outbound.outbound_id.as_deref()?)))
}

/// Rows of a list's page and whether there is a next one; a bare array counts as a page (contract 18, 12).
pub(super) fn list(body: &[u8]) -> Option<(Vec<Box<RawValue>>, bool)> {
    #[derive(Deserialize)]
    struct Wire {
        items: Vec<Box<RawValue>>,
        #[serde(rename = "nextPageLink")]
        next_page_link: Option<Value>,
        #[serde(rename = "_links")]
        links: Option<Value>,
    }
    let is_link = |link: Option<&Value>| link.and_then(Value::as_str).is_some_and(|link| !link.is_empty());
    if let Ok(wire) = serde_json::from_slice::<Wire>(body) {
        let in_links = wire.links.as_ref().and_then(|links| links.get("next"));
        let has_next = is_link(wire.next_page_link.as_ref()) || is_link(in_links);
        return Some((wire.items, has_next));
    }
    serde_json::from_slice(body).ok().map(|rows| (rows, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffn::testing::{Account, Reply};

    fn row(id: usize, number: &str, status: &str) -> String {
        format!(r#"{{"outboundId":"ACME02{id}","merchantOutboundNumber":"{number}","status":"{status}"}}"#)
    }

    fn page(rows: &[String], next: &str) -> Reply {
        Reply::json(200, &format!(r#"{{"items":[{}],"_links":{{"next":{next}}}}}"#, rows.join(",")))
    }

    #[tokio::test]
    async fn rows_with_another_number_do_not_count() {
        let account = Account::new(|_| {
            page(&[row(1, "a'b", "Canceled"), row(2, "A'B", "Pending"), row(3, "x", "Pending")], "null")
        })
        .await;
        let found = find_outbounds(&account.client, "A'B").await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].get().contains("ACME022"));
        assert_eq!(
            account.api.calls("/api/")[0].uri,
            "/api/v1/merchant/outbounds?$filter=merchantOutboundNumber%20eq%20%27A%27%27B%27&$top=50"
        );
    }

    #[tokio::test]
    async fn a_short_page_with_a_next_link_is_not_the_end() {
        let account = Account::new(|call| match call.uri.contains("$skip=1") {
            false => page(&[row(1, "n", "Canceled")], r#""?$skip=1""#),
            true => page(&[row(2, "n", "Pending")], "null"),
        })
        .await;
        assert_eq!(find_outbounds(&account.client, "n").await.unwrap().len(), 2);
        assert_eq!(id_of_number(&account.client, "n").await.unwrap().as_deref(), Some("ACME022"));
    }

    #[tokio::test]
    async fn a_list_that_does_not_end_is_an_error() {
        let account = Account::new(|_| page(&[row(1, "other", "Pending")], r#""?again""#)).await;
        let error = find_outbounds(&account.client, "n").await.unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_outbound_that_is_not_there_is_told_apart_from_a_missing_route() {
        let not_found = Reply::json(404, r#"{"errorCode":{"code":"Outbounds_OutboundNotFound"}}"#);
        let account = Account::new(move |call| match call.uri.ends_with("gone") {
            true => not_found.clone(),
            false => Reply::json(404, ""),
        })
        .await;
        assert!(get_outbound(&account.client, "gone").await.unwrap().is_none());
        assert_eq!(get_outbound(&account.client, "n").await.unwrap_err().status(), Some(StatusCode::NOT_FOUND));
    }

    #[test]
    fn a_bare_array_is_a_list_and_anything_else_is_not() {
        assert_eq!(list(b"[1,2]").map(|(rows, next)| (rows.len(), next)), Some((2, false)));
        for body in [&b""[..], b"{}", b"<html>", br#"{"items":null}"#] {
            assert!(list(body).is_none());
        }
    }
}
