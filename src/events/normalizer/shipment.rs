//! Shipping notifications: parcels that left, with tracking (contract 10.9).

use super::lifecycle::{Detail, Entity};
use super::*;
use crate::schema::event::{ShipmentData, ShipmentPackage};

/// What an event says beside what every event says; everything may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    #[serde(default, deserialize_with = "lenient")]
    outbound_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    merchant_outbound_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    fulfiller_shipping_notification_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    outbound_status: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(default, deserialize_with = "lenient")]
    shipping_method_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    tracking_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    shipping_date: Option<DateTime<Utc>>,
    #[serde(default)]
    weight: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "lenient_list")]
    identifier: Vec<Identifier>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identifier {
    #[serde(default, deserialize_with = "lenient")]
    value: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    identifier_type: Option<String>,
}

pub(super) fn shipping_methods(item: &RawValue) -> Vec<String> {
    let packages = view::<Notification>(item).map(|notification| notification.packages).unwrap_or_default();
    packages.into_iter().filter_map(|package| package.shipping_method_id).collect()
}

/// When the first package left, for a notification without a change stamp.
pub(super) fn shipped_at(entity: &Entity<'_>) -> Option<DateTime<Utc>> {
    let notification: Notification = view(entity.json).ok()?;
    notification.packages.into_iter().filter_map(|package| package.shipping_date).min()
}

/// The data of a shipping notification's event.
pub(super) fn data(scope: &Scope<'_>, entity: &Entity<'_>, detail: Detail<'_>) -> Result<Box<RawValue>, Odd> {
    let notification: Notification = view(entity.json)?;
    let packages: Vec<ShipmentPackage> = notification.packages.iter().map(|package| package.data(scope)).collect();
    to_raw(&ShipmentData {
        outbound_shipping_notification_id: entity.id.clone(),
        outbound_id: notification.outbound_id.unwrap_or_default(),
        merchant_outbound_number: notification.merchant_outbound_number,
        fulfiller_shipping_notification_number: notification.fulfiller_shipping_notification_number,
        outbound_status: notification.outbound_status,
        occurred_at: detail.at,
        inferred: detail.inferred,
        carrier: packages.iter().find_map(|package| package.carrier.clone()),
        tracking_ids: packages.iter().flat_map(|package| package.tracking_ids.iter().cloned()).collect(),
        tracking_urls: packages.iter().filter_map(|package| package.tracking_url.clone()).collect(),
        packages,
        changed: detail.changed,
        snapshot: entity.json.to_owned(),
    })
}

impl Package {
    fn data(&self, scope: &Scope<'_>) -> ShipmentPackage {
        let is_tracking = |identifier: &&Identifier| identifier.identifier_type.as_deref() == Some("TrackingId");
        let carrier = self.shipping_method_id.as_ref().and_then(|method| scope.carriers.get(method));
        ShipmentPackage {
            shipping_method_id: self.shipping_method_id.clone(),
            carrier: carrier.cloned(),
            tracking_ids: self
                .identifier
                .iter()
                .filter(is_tracking)
                .filter_map(|identifier| identifier.value.clone())
                .collect(),
            tracking_url: self.tracking_url.clone(),
            shipping_date: self.shipping_date,
            weight: self.weight.clone(),
        }
    }
}
