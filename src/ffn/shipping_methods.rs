//! Names of shipping methods: shipments carry only the id (contract 15).
//!
//! The normalizer asks for the carrier of a package. A method is asked for once and kept for a day; one that
//! FFN does not show to this account is kept as unknown for an hour, so that it never blocks an event. One that FFN
//! fails to show (5xx, no answer in time) is asked for again for a while, and is as unknown then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use serde::Deserialize;

use super::request::segment;
use super::{Client, Disposition, Error, Priority, Request};
use crate::telemetry::Chain;

const OPERATION: &str = "shipping-method.get";
const KEEP: Duration = Duration::from_secs(24 * 3600);
const KEEP_UNKNOWN: Duration = Duration::from_secs(3600);
/// More methods than any network has; the cache begins anew beyond it.
const CAPACITY: usize = 10_000;
/// How often FFN has to fail to show one in a row before events do without its name, however long that takes.
const TRIES: u32 = 3;

/// What is told of a shipping method.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethod {
    /// Its name.
    pub name: Option<String>,
    /// The carrier's name.
    pub carrier_name: Option<String>,
}

type Known = Option<Arc<ShippingMethod>>;

/// The shipping methods of one account.
pub struct ShippingMethods {
    client: Arc<Client>,
    patience: Duration,
    known: Mutex<HashMap<String, (Instant, Known)>>,
    /// What FFN has failed to show: since when, and how often.
    failing: Mutex<HashMap<String, (Instant, u32)>>,
}

impl ShippingMethods {
    /// An empty cache in front of the API.
    pub fn new(client: Arc<Client>) -> Self {
        Self { client, patience: Duration::MAX, known: Mutex::default(), failing: Mutex::default() }
    }

    /// How long FFN may fail to show a method before events do without its name.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The method with this id, or `None` if FFN does not show it to this account, or has failed to for long.
    ///
    /// # Errors
    /// See [`Error`]; a refusal that will not change is none, nor is a failure that goes on while FFN can be reached: a
    /// name is no reason to hold up an event for ever.
    pub async fn get(&self, id: &str) -> Result<Known, Error> {
        if let Some(known) = self.cached(id) {
            return Ok(known);
        }
        let Some(segment) = segment(id) else { return Ok(None) };
        let request = Request::new(OPERATION, Method::GET, format!("shippingmethods/{segment}"), Priority::Poll);
        let method = match self.client.call(request).await {
            Ok(answer) => serde_json::from_slice(&answer.body).ok().map(Arc::new),
            Err(error) if error.disposition() == Disposition::Never => None,
            Err(error) if error.may_be_about_this_one() && self.is_given_up(id) => {
                tracing::warn!(account = %self.client.account(), id, error = %Chain(&error), "FFN fails to show a shipping method; events are told without its carrier's name");
                return Ok(self.keep(id, None));
            }
            Err(error) => return Err(error),
        };
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(self.keep(id, method))
    }

    fn keep(&self, id: &str, method: Known) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(id.to_owned(), (Instant::now(), method.clone()));
        method
    }

    /// Counts a failure to show this one; whether it goes on for so long that it is not waited for.
    fn is_given_up(&self, id: &str) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.len() >= CAPACITY {
            failing.clear();
        }
        let (since, tries) = failing.entry(id.to_owned()).or_insert_with(|| (Instant::now(), 0));
        *tries += 1;
        *tries >= TRIES && since.elapsed() >= self.patience
    }

    fn cached(&self, id: &str) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, method) = known.get(id)?;
        let keep = if method.is_some() { KEEP } else { KEEP_UNKNOWN };
        (read_at.elapsed() < keep).then(|| method.clone())
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::ffn::testing::{Account, Reply};

    #[tokio::test]
    async fn a_method_is_asked_for_once_and_an_unknown_one_as_well() {
        let account = Account::new(|call| match call.uri.rsplit('/').next() {
            Some("WARE0A0001") => Reply::json(200, r#"{"name":"Parcel","carrierName":"DHL","note":1}"#),
            Some("WARE0A0002") => Reply::json(503, ""),
            _ => Reply::json(404, ""),
        })
        .await;
        let methods = ShippingMethods::new(Arc::clone(&account.client));
        for _ in 0..2 {
            let method = methods.get("WARE0A0001").await.unwrap().unwrap();
            assert_eq!(method.carrier_name.as_deref(), Some("DHL"));
            assert_eq!(methods.get("WARE0A0009").await.unwrap(), None);
            assert_eq!(methods.get("WARE0A0002").await.unwrap_err().status(), Some(StatusCode::SERVICE_UNAVAILABLE));
        }
        assert_eq!(account.api.calls("0001").len(), 1);
        assert_eq!(account.api.calls("0009").len(), 1);
        assert_eq!(account.api.calls("0002").len(), 2);
    }
    #[tokio::test]
    async fn one_that_ffn_fails_to_show_is_unknown_after_a_while_and_not_while_ffn_is_away() {
        for (status, is_about_it) in [(500, true), (503, true), (401, false), (429, false)] {
            let account = Account::new(move |_| Reply::json(status, "")).await;
            let patient = ShippingMethods::new(Arc::clone(&account.client)).with_patience(KEEP);
            let methods = ShippingMethods::new(Arc::clone(&account.client)).with_patience(Duration::ZERO);
            for _ in 1..TRIES {
                assert!(methods.get("WARE0A0001").await.is_err(), "{status}");
            }
            for _ in 0..TRIES {
                assert_eq!(methods.get("WARE0A0001").await.is_ok_and(|found| found.is_none()), is_about_it, "{status}");
                assert!(patient.get("WARE0A0002").await.is_err(), "{status}");
            }
            if is_about_it {
                assert_eq!(account.api.calls("0001").len(), TRIES as usize, "it is not asked for all the time");
            }
        }
    }
}
