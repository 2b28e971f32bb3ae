//! Names of shipping methods: shipments carry only the id (contract 15).
//!
//! The normalizer asks for the carrier of a package. A method is asked for once and kept for a day; one that
//! FFN does not show to this account is kept as unknown for an hour, so that it never blocks an event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use serde::Deserialize;

use super::request::segment;
use super::{Client, Disposition, Error, Priority, Request};

const OPERATION: &str = "shipping-method.get";
const KEEP: Duration = Duration::from_secs(24 * 3600);
const KEEP_UNKNOWN: Duration = Duration::from_secs(3600);
/// More methods than any network has; the cache begins anew beyond it.
const CAPACITY: usize = 10_000;

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
    known: Mutex<HashMap<String, (Instant, Known)>>,
}

impl ShippingMethods {
    /// An empty cache in front of the API.
    pub fn new(client: Arc<Client>) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The method with this id, or `None` if FFN does not show it to this account.
    ///
    /// # Errors
    /// See [`Error`]; a refusal that will not change is none: a name is no reason to hold up an event.
    pub async fn get(&self, id: &str) -> Result<Known, Error> {
        if let Some(known) = self.cached(id) {
            return Ok(known);
        }
        let Some(segment) = segment(id) else { return Ok(None) };
        let request = Request::new(OPERATION, Method::GET, format!("shippingmethods/{segment}"), Priority::Poll);
        let method = match self.client.call(request).await {
            Ok(answer) => serde_json::from_slice(&answer.body).ok().map(Arc::new),
            Err(error) if error.disposition() == Disposition::Never => None,
            Err(error) => return Err(error),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(id.to_owned(), (Instant::now(), method.clone()));
        Ok(method)
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
}
