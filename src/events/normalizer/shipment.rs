//! Shipping notifications: parcels that left, with tracking (contract 10.9).

use super::*;
use crate::schema::event::{ShipmentData, ShipmentPackage};

const RESOURCE: &str = "shipment";

/// What the rules read of a shipping notification; everything may be missing but the id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    outbound_shipping_notification_id: String,
    #[serde(default, deserialize_with = "lenient")]
    outbound_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    merchant_outbound_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    fulfiller_shipping_notification_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    outbound_status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    packages: Option<Vec<Package>>,
    #[serde(default, deserialize_with = "lenient")]
    modification_info: Option<ModificationInfo>,
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
    #[serde(default, deserialize_with = "lenient")]
    identifier: Option<Vec<Identifier>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identifier {
    #[serde(default, deserialize_with = "lenient")]
    value: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    identifier_type: Option<String>,
}

pub(super) fn id(item: &RawValue) -> Result<String, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Id {
        #[serde(default, deserialize_with = "lenient")]
        outbound_shipping_notification_id: Option<String>,
    }
    let id = view::<Id>(item)?.outbound_shipping_notification_id.filter(|id| !id.is_empty());
    id.ok_or_else(|| Odd("its outboundShippingNotificationId is missing, empty or no text".to_owned()))
}

pub(super) fn shipping_methods(item: &RawValue) -> Vec<String> {
    let packages = view::<Notification>(item).ok().and_then(|notification| notification.packages);
    packages.into_iter().flatten().filter_map(|package| package.shipping_method_id).collect()
}

pub(super) fn normalize(scope: &Scope<'_>, item: &RawValue, known: Option<&Known>) -> Result<Normalized, Odd> {
    let notification: Notification = view(item)?;
    let stamp = notification.modification_info.as_ref();
    let created_at = stamp.and_then(|stamp| stamp.created_at).or_else(|| notification.shipped_at());
    let changed_at = stamp.and_then(ModificationInfo::changed_at).or(created_at);
    let fields = fingerprints(item)?;
    let mut drafts = Vec::new();
    let mut tell = |event: &str, at: DateTime<Utc>, discriminator: &str, changed| -> Result<(), Odd> {
        let subject = &notification.outbound_shipping_notification_id;
        let happening = Happening { resource: RESOURCE, event, subject, at, discriminator };
        let data = notification.data(scope, item, at, changed);
        drafts.push(draft(scope, &happening, to_raw(&data)?));
        Ok(())
    };
    let updated_at = changed_at.unwrap_or(scope.recorded_time);
    match known {
        None if created_at.is_none_or(|at| at >= scope.started_at) => {
            tell("dispatched", created_at.unwrap_or(scope.recorded_time), "", None)?;
        }
        None if updated_at >= scope.started_at => {
            tell("updated", updated_at, &entity::id_part(updated_at), Some(Vec::new()))?;
        }
        Some(known) if known.changed_at <= changed_at => {
            let changed = changed_fields(&known.fields, &fields);
            if !changed.is_empty() {
                tell("updated", updated_at, &entity::id_part(updated_at), Some(changed))?;
            }
        }
        // Older than the feed's start, or than what is known.
        None => {}
        Some(known) => return Ok(Normalized { drafts, known: known.clone() }),
    }
    let known = Known { status: notification.outbound_status.clone(), changed_at, fields, ..Known::default() };
    Ok(Normalized { drafts, known })
}

impl Notification {
    /// When the first package left, for a notification without a change stamp.
    fn shipped_at(&self) -> Option<DateTime<Utc>> {
        self.packages.iter().flatten().filter_map(|package| package.shipping_date).min()
    }

    fn data(
        &self,
        scope: &Scope<'_>,
        item: &RawValue,
        at: DateTime<Utc>,
        changed: Option<Vec<String>>,
    ) -> ShipmentData {
        let packages: Vec<ShipmentPackage> =
            self.packages.iter().flatten().map(|package| package.data(scope)).collect();
        ShipmentData {
            outbound_shipping_notification_id: self.outbound_shipping_notification_id.clone(),
            outbound_id: self.outbound_id.clone().unwrap_or_default(),
            merchant_outbound_number: self.merchant_outbound_number.clone(),
            fulfiller_shipping_notification_number: self.fulfiller_shipping_notification_number.clone(),
            outbound_status: self.outbound_status.clone(),
            occurred_at: at,
            carrier: packages.iter().find_map(|package| package.carrier.clone()),
            tracking_ids: packages.iter().flat_map(|package| package.tracking_ids.iter().cloned()).collect(),
            tracking_urls: packages.iter().filter_map(|package| package.tracking_url.clone()).collect(),
            packages,
            changed,
            snapshot: item.to_owned(),
        }
    }
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
                .flatten()
                .filter(is_tracking)
                .filter_map(|identifier| identifier.value.clone())
                .collect(),
            tracking_url: self.tracking_url.clone(),
            shipping_date: self.shipping_date,
            weight: self.weight.clone(),
        }
    }
}
