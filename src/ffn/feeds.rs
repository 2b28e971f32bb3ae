//! The change feeds as a table, and how one page of one is read (contract 7).
//!
//! The poller asks for page after page of a window until there are no more. The guarantees: an item is kept
//! as the bytes FFN sent, digit for digit, and one with bytes that are no text does not spoil its page; a page that is
//! not wholly there is an error and never an empty page; the host in `nextChunkUrl` is not followed (contract 7.6, rule 4).

use chrono::{DateTime, SecondsFormat, Utc};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Client, Error, Priority, Request};
use crate::domain::account::Role;
use crate::domain::feed::FeedName;

/// What is asked for pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Path under the role.
    pub path: &'static str,
    /// Name of a page's call in metrics and errors.
    pub operation: &'static str,
}

/// A row of the table: what the API says of a feed.
#[derive(Debug)]
pub struct Feed {
    /// Its name in the bridge.
    pub name: FeedName,
    /// Path under the role.
    pub path: &'static str,
    /// The roles that have it (contract 7.1).
    pub roles: &'static [Role],
    /// Name of a page's call in metrics and errors.
    pub operation: &'static str,
    /// A second feed that tells of the same entities change by change.
    pub changes: Option<Endpoint>,
    /// The list of its entities (contract 8), if they have one.
    pub list: Option<Endpoint>,
    /// The role that has to ask each order of `outbounds/updates` for its notifications instead.
    pub through_outbounds: Option<Role>,
}

const ORDERS: &str = "outbounds/updates";
const MERCHANT: &[Role] = &[Role::Merchant];
const FULFILLER: &[Role] = &[Role::Fulfiller];
const BOTH: &[Role] = &[Role::Merchant, Role::Fulfiller];

/// A feed that both roles have.
const fn feed(name: FeedName, path: &'static str, operation: &'static str, list: Option<Endpoint>) -> Feed {
    Feed { name, path, roles: BOTH, operation, changes: None, list, through_outbounds: None }
}

/// A list of entities.
const fn list(path: &'static str, operation: &'static str) -> Option<Endpoint> {
    Some(Endpoint { path, operation })
}

/// One page of a window.
#[derive(Debug)]
pub struct Page {
    /// End of the window as the server understood it.
    pub to: Option<DateTime<Utc>>,
    /// The items, each as FFN sent it.
    pub items: Vec<Box<RawValue>>,
    /// Items whose bytes are no UTF-8, and so no JSON.
    pub odd: Vec<Vec<u8>>,
    /// Whether the window has a page after this.
    pub more: bool,
}

impl Feed {
    /// The row of a feed.
    pub fn of(name: FeedName) -> &'static Self {
        match name {
            FeedName::Outbounds => {
                &const {
                    feed(
                        FeedName::Outbounds,
                        "outbounds/updates",
                        "outbounds.updates",
                        list("outbounds", "outbounds.list"),
                    )
                }
            }
            FeedName::OutboundShipments => {
                &const {
                    Feed {
                        through_outbounds: Some(Role::Fulfiller),
                        ..feed(
                            FeedName::OutboundShipments,
                            "outbounds/shipping-notifications/updates",
                            "outbound-shipments.updates",
                            None,
                        )
                    }
                }
            }
            FeedName::Inbounds => {
                &const { feed(FeedName::Inbounds, "inbounds/updates", "inbounds.updates", list("inbounds", "inbounds.list")) }
            }
            FeedName::InboundShipments => {
                &const {
                    feed(
                        FeedName::InboundShipments,
                        "inbounds/shipping-notifications/updates",
                        "inbound-shipments.updates",
                        None,
                    )
                }
            }
            FeedName::Returns => {
                &const {
                    Feed {
                        changes: Some(Endpoint { path: "returns/changes", operation: "returns.changes" }),
                        ..feed(FeedName::Returns, "returns/updates", "returns.updates", list("returns", "returns.list"))
                    }
                }
            }
            FeedName::Stocks => &const { feed(FeedName::Stocks, "stocks/updates", "stocks.updates", None) },
            FeedName::Products => {
                &const { feed(FeedName::Products, "products/updates", "products.updates", list("products", "products.list")) }
            }
            FeedName::Warehouses => {
                &const {
                    feed(
                        FeedName::Warehouses,
                        "warehouses/updates",
                        "warehouses.updates",
                        list("warehouses", "warehouses.list"),
                    )
                }
            }
            FeedName::ShippingMethods => {
                &const {
                    feed(
                        FeedName::ShippingMethods,
                        "shippingmethods/updates",
                        "shipping-methods.updates",
                        list("shippingmethods", "shipping-methods.list"),
                    )
                }
            }
            FeedName::Fulfillers => {
                &const {
                    Feed {
                        roles: MERCHANT,
                        ..feed(
                            FeedName::Fulfillers,
                            "fulfillers/updates",
                            "fulfillers.updates",
                            list("fulfillers", "fulfillers.list"),
                        )
                    }
                }
            }
            FeedName::Merchants => {
                &const {
                    Feed {
                        roles: FULFILLER,
                        ..feed(
                            FeedName::Merchants,
                            "merchants/updates",
                            "merchants.updates",
                            list("merchants", "merchants.list"),
                        )
                    }
                }
            }
            FeedName::Authorizations => {
                &const {
                    Feed {
                        roles: FULFILLER,
                        ..feed(
                            FeedName::Authorizations,
                            "authorizations/updates",
                            "authorizations.updates",
                            list("authorizations", "authorizations.list"),
                        )
                    }
                }
            }
        }
    }

    /// What that role asks for this feed's pages.
    pub fn endpoint(&self, role: Role) -> Endpoint {
        match self.through_outbounds {
            Some(through) if through == role => Endpoint { path: ORDERS, operation: self.operation },
            _ => Endpoint { path: self.path, operation: self.operation },
        }
    }

    /// Whether that role's pages hold orders, to be asked one by one for their shipping notifications.
    pub fn lists_orders_of_shipments(&self, role: Role) -> bool {
        self.through_outbounds == Some(role)
    }

    /// Whether that role has the feed.
    pub fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// An instant as a bound of a window: UTC with `Z` and milliseconds (contract 4).
pub fn bound(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads one page, counted from 1. All pages of a window are asked for with the same two bounds.
///
/// # Errors
/// See [`Error`]; a page without an array of items is [`Error::Unreadable`].
pub async fn read_page(
    client: &Client,
    endpoint: Endpoint,
    priority: Priority,
    window_from: &str,
    window_to: &str,
    page: u32,
) -> Result<Page, Error> {
    let Endpoint { path, operation } = endpoint;
    let request = Request::new(operation, Method::GET, path, priority)
        .with_query("fromDate", window_from)
        .with_query("toDate", window_to)
        .with_query("page", page.to_string())
        .with_query("ignoreOwnApplicationId", "false")
        .with_query("ignoreOwnUserId", "false");
    let answer = client.call(request).await?;
    // Without its bounds: a window moves on from poll to poll, and its trouble is the same.
    parse(&answer.body).map_err(|reason| Error::Unreadable { operation, reason: format!("page {page}: {reason}") })
}

// A page of which one item is no JSON is not cut into its items: behind an unclosed bracket or quote nobody can tell where
// the next one begins, and a guess could swallow some that are fine.

/// A page on the wire; everything but the items may be missing or odd (contract 4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    data: Vec<Box<RawValue>>,
    to: Option<Value>,
    more_data_available: Option<Value>,
    next_chunk_url: Option<Value>,
}

pub(super) fn parse(body: &[u8]) -> Result<Page, String> {
    let text = std::str::from_utf8(body);
    // With a character for each byte the items can be told apart all the same.
    let wide = text.is_err().then(|| body.iter().map(|byte| char::from(*byte)).collect::<String>());
    let wire: Result<Wire, _> = serde_json::from_str(wide.as_deref().or(text.ok()).unwrap_or_default());
    let wire = wire.map_err(|error| {
        // Line and column tell enough; the text of the error could quote the answer.
        format!("it is no page of a feed (line {}, column {})", error.line(), error.column())
    })?;
    let has_next_chunk = wire.next_chunk_url.is_some_and(|url| url.as_str().is_some_and(|url| !url.is_empty()));
    let (items, odd) = if wide.is_some() { narrow(&wire.data) } else { (wire.data, Vec::new()) };
    Ok(Page {
        to: wire.to.as_ref().and_then(instant),
        items,
        odd,
        more: has_next_chunk || wire.more_data_available == Some(Value::Bool(true)),
    })
}

/// Items with a character for each byte, as they came: those that are JSON, and those that are no text.
fn narrow(items: &[Box<RawValue>]) -> (Vec<Box<RawValue>>, Vec<Vec<u8>>) {
    let (mut fine, mut odd) = (Vec::new(), Vec::new());
    for item in items {
        let bytes = item.get().chars().filter_map(|character| u8::try_from(character).ok()).collect::<Vec<u8>>();
        let json = std::str::from_utf8(&bytes).ok().and_then(|text| RawValue::from_string(text.to_owned()).ok());
        match json {
            Some(json) => fine.push(json),
            None => odd.push(bytes),
        }
    }
    (fine, odd)
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffn::testing::{Account, Reply};

    #[test]
    fn a_page_keeps_every_digit_and_odd_items() {
        let page = parse(
            br#"{"from":"2026-01-05T07:50:00.000+00:00","to":"2026-01-05T08:04:50.1234567Z","extra":1,
            "data":[{"a": 0.1,"b":12345678901234.5678, "c":1.10},null,"odd"],"moreDataAvailable":false}"#,
        )
        .unwrap();
        let items: Vec<&str> = page.items.iter().map(|item| item.get()).collect();
        assert_eq!(items, [r#"{"a": 0.1,"b":12345678901234.5678, "c":1.10}"#, "null", r#""odd""#]);
        assert_eq!(bound(page.to.unwrap()), "2026-01-05T08:04:50.123Z");
        assert!(!page.more);
        let page = parse(br#"{"to":"2026-01-05T07:50:00.000+00:00","data":[]}"#).unwrap();
        assert_eq!(bound(page.to.unwrap()), "2026-01-05T07:50:00.000Z");
    }

    #[test]
    fn an_item_that_is_no_text_does_not_spoil_its_page() {
        let mut body = "{\"to\":\"2026-01-05T08:04:50Z\",\"data\":[{\"a\":\"Grün\"},".as_bytes().to_vec();
        body.extend(b"{\"a\":\"Gr\xfcn\", \"b\":[\"}\\\"\"]},{\"c\":1.10}],\"moreDataAvailable\":true}");
        let page = parse(&body).unwrap();
        let items: Vec<&str> = page.items.iter().map(|item| item.get()).collect();
        assert_eq!(items, ["{\"a\":\"Grün\"}", "{\"c\":1.10}"]);
        assert_eq!(page.odd, [b"{\"a\":\"Gr\xfcn\", \"b\":[\"}\\\"\"]}".to_vec()]);
        assert!(page.more && page.to.is_some());
        assert!(parse(b"{\"data\":[\"\xff\"").is_err(), "what is not wholly there is no page");
    }

    #[test]
    fn either_sign_of_a_further_page_counts() {
        for body in [
            r#"{"data":[],"moreDataAvailable":true}"#,
            r#"{"data":[],"nextChunkUrl":"https://elsewhere/x?page=2"}"#,
            r#"{"data":[],"moreDataAvailable":false,"nextChunkUrl":"https://elsewhere/x?page=2"}"#,
        ] {
            assert!(parse(body.as_bytes()).unwrap().more, "{body}");
        }
        for body in [r#"{"data":[]}"#, r#"{"data":[],"moreDataAvailable":null,"nextChunkUrl":null,"from":null}"#] {
            assert!(!parse(body.as_bytes()).unwrap().more, "{body}");
        }
    }

    #[test]
    fn what_is_no_page_is_an_error_and_not_an_empty_page() {
        for body in ["", "<html>", "{}", r#"{"data":null}"#, r#"{"data":{}}"#, "[]", r#"{"data":[1"#] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn of_a_page_that_can_not_be_read_it_is_said_which_and_where() {
        let account = Account::new(|_| Reply::json(200, r#"{"data":[{"jfsku":"P1"},{"half":}]}"#)).await;
        let (from, to) = ("2026-01-05T07:50:00.000Z", "2026-01-05T08:04:50.000Z");
        let endpoint = Feed::of(FeedName::Products).endpoint(Role::Merchant);
        let error = read_page(&account.client, endpoint, Priority::Poll, from, to, 2).await.unwrap_err().to_string();
        assert!(error.contains("page 2: it is no page of a feed (line 1, column 33)"), "{error}");
    }

    #[tokio::test]
    async fn a_page_is_asked_for_with_both_bounds_and_flags_off() {
        let account = Account::new(|_| Reply::json(200, r#"{"data":[{"outboundId":"X"}]}"#)).await;
        let page = read_page(
            &account.client,
            Feed::of(FeedName::Outbounds).endpoint(Role::Merchant),
            Priority::Poll,
            "2026-01-05T07:50:00.000Z",
            "2026-01-05T08:04:50.000Z",
            2,
        )
        .await
        .unwrap();
        assert_eq!(page.items.len(), 1);
        let call = &account.api.calls("/api/")[0];
        assert_eq!(
            call.uri,
            "/api/v1/merchant/outbounds/updates?fromDate=2026-01-05T07%3A50%3A00.000Z&\
             toDate=2026-01-05T08%3A04%3A50.000Z&page=2&ignoreOwnApplicationId=false&ignoreOwnUserId=false"
        );
    }
}
