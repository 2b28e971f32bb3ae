//! Finding what FFN holds: an object by its place, rows by their maker's own number.
//!
//! The executor settles calls in doubt with it, and [`super::operations`] finds FFN's id where a number is
//! risky in a path. The guarantee: a row counts only if its number is exactly the one asked for, because a
//! filter that FFN ignores returns everything (contract 4 and 10.3).

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::request::segment;
use super::{Client, Error, Priority, Request, entities};

/// Rows of one page; FFN's own default (contract 8).
const TOP: usize = 50;
/// Pages that are read before a list counts as endless.
const MAX_PAGES: usize = 200;

/// A number that may stand in the place of FFN's id (contract 9), and where to look it up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    /// The path parameter that takes either.
    pub param: &'static str,
    /// The list, with the path parameters that come before.
    pub list: &'static str,
    /// The member that holds the number.
    pub number: &'static str,
    /// The member that holds FFN's id.
    pub id: &'static str,
    /// Whether the list can be filtered by it.
    pub filtered: bool,
}

/// Path parameters that take a number instead of FFN's id. For orders and deliveries only the merchant's do.
pub(super) const NUMBERED: [Numbered; 4] = [
    Numbered {
        param: "outboundId",
        list: "outbounds",
        number: "merchantOutboundNumber",
        id: "outboundId",
        filtered: true,
    },
    Numbered { param: "inboundId", list: "inbounds", number: "merchantInboundNumber", id: "inboundId", filtered: true },
    Numbered {
        param: "shippingNotificationId",
        list: "outbounds/{outboundId}/shipping-notifications",
        number: "fulfillerShippingNotificationNumber",
        id: "outboundShippingNotificationId",
        filtered: false,
    },
    Numbered {
        param: "shippingNotificationId",
        list: "inbounds/{inboundId}/shipping-notifications",
        number: "merchantShippingNotificationNumber",
        id: "inboundShippingNotificationId",
        filtered: false,
    },
];

/// All rows of a list whose member `number` is exactly this (contract 10.3, recipe 2), dead ones too.
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list, a row of it can't be judged or it does not end.
pub async fn find(
    client: &Client,
    operation: &'static str,
    path: &str,
    number: &str,
    value: &str,
) -> Result<Vec<Box<RawValue>>, Error> {
    let filter = format!("{number} eq '{}'", value.replace('\'', "''"));
    let rows = all(client, operation, path, Some(&filter)).await?;
    let mut found = Vec::new();
    for row in rows {
        let members: Fields = serde_json::from_str(row.get())
            .map_err(|_| Error::Unreadable { operation, reason: "a row of the list is no object".to_owned() })?;
        if members.text(number).as_deref() == Some(value) {
            found.push(row);
        }
    }
    Ok(found)
}

/// All rows of a list that comes in pages (contract 8).
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list or it does not end.
pub async fn all(
    client: &Client,
    operation: &'static str,
    path: &str,
    filter: Option<&str>,
) -> Result<Vec<Box<RawValue>>, Error> {
    let unreadable = |reason: &str| Error::Unreadable { operation, reason: reason.to_owned() };
    let mut found = Vec::new();
    for _ in 0..MAX_PAGES {
        let mut request = Request::new(operation, Method::GET, path, Priority::Command);
        if let Some(filter) = filter {
            request = request.with_query("$filter", filter);
        }
        request = request.with_query("$orderBy", "modificationInfo/createdAt").with_query("$top", TOP.to_string());
        if !found.is_empty() {
            request = request.with_query("$skip", found.len().to_string());
        }
        let answer = client.call(request).await?;
        let (rows, has_next) = list(&answer.body).ok_or_else(|| unreadable("it is no list"))?;
        let count = rows.len();
        found.extend(rows);
        // A full page may be the last, and a short one may have a next link (contract 8).
        if count == 0 || (count < TOP && !has_next) {
            return Ok(found);
        }
    }
    Err(unreadable("the list does not end"))
}

/// The rows of a list without pages that belong to an object; none if the object is gone (contract 8).
///
/// # Errors
/// See [`Error`]; [`Error::Unreadable`] if the answer is no list.
pub async fn children(client: &Client, operation: &'static str, path: &str) -> Result<Vec<Box<RawValue>>, Error> {
    let Some(answer) = object(client, operation, path).await? else { return Ok(Vec::new()) };
    let unreadable = || Error::Unreadable { operation, reason: "it is no list".to_owned() };
    list(answer.get().as_bytes()).map(|(rows, _)| rows).ok_or_else(unreadable)
}

/// The object at this path; `None` if FFN has none.
///
/// # Errors
/// See [`Error`]; a 404 that names no code is one, as then the path is wrong (contract 2.4).
pub async fn object(client: &Client, operation: &'static str, path: &str) -> Result<Option<Box<RawValue>>, Error> {
    entities::read(client, operation, path.to_owned(), Priority::Command).await
}

/// FFN's id, encoded for a path, of the object with this number: one that is not canceled, else the last of the
/// list (contract 18, 8). `list` is the path of the list, filled in.
pub(super) async fn id_of_number(
    client: &Client,
    operation: &'static str,
    numbered: &Numbered,
    path: &str,
    value: &str,
) -> Result<Option<String>, Error> {
    let rows = if numbered.filtered {
        find(client, operation, path, numbered.number, value).await?
    } else {
        children(client, operation, path).await?
    };
    let members: Vec<Fields> = rows.iter().filter_map(|row| serde_json::from_str(row.get()).ok()).collect();
    let equal: Vec<&Fields> =
        members.iter().filter(|row| row.text(numbered.number).as_deref() == Some(value)).collect();
    let chosen = equal.iter().find(|row| row.text("status").as_deref() != Some("Canceled")).or(equal.last());
    Ok(chosen.and_then(|row| segment(&row.text(numbered.id)?)))
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
    use http::StatusCode;

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
        let found = find(&account.client, "outbound.find", "outbounds", "merchantOutboundNumber", "A'B").await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].get().contains("ACME022"));
        assert_eq!(
            account.api.calls("/api/")[0].uri,
            "/api/v1/merchant/outbounds?$filter=merchantOutboundNumber%20eq%20%27A%27%27B%27&$orderBy=modificationInfo%2FcreatedAt&$top=50"
        );
    }

    #[tokio::test]
    async fn a_short_page_with_a_next_link_is_not_the_end() {
        let account = Account::new(|call| match call.uri.contains("$skip=1") {
            false => page(&[row(1, "n", "Canceled")], r#""?$skip=1""#),
            true => page(&[row(2, "n", "Pending")], "null"),
        })
        .await;
        assert_eq!(
            find(&account.client, "outbound.find", "outbounds", "merchantOutboundNumber", "n").await.unwrap().len(),
            2
        );
        assert_eq!(
            id_of_number(&account.client, "outbound.find", &NUMBERED[0], "outbounds", "n").await.unwrap().as_deref(),
            Some("ACME022")
        );
    }

    #[tokio::test]
    async fn a_list_that_does_not_end_is_an_error() {
        let account = Account::new(|_| page(&[row(1, "other", "Pending")], r#""?again""#)).await;
        let error =
            find(&account.client, "outbound.find", "outbounds", "merchantOutboundNumber", "n").await.unwrap_err();
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
        assert!(object(&account.client, "outbound.get", "outbounds/gone").await.unwrap().is_none());
        assert_eq!(
            object(&account.client, "outbound.get", "outbounds/n").await.unwrap_err().status(),
            Some(StatusCode::NOT_FOUND)
        );
    }

    #[test]
    fn a_bare_array_is_a_list_and_anything_else_is_not() {
        assert_eq!(list(b"[1,2]").map(|(rows, next)| (rows.len(), next)), Some((2, false)));
        for body in [&b""[..], b"{}", b"<html>", br#"{"items":null}"#] {
            assert!(list(body).is_none());
        }
    }
}
