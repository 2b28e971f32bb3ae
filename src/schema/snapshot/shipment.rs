//! A shipping notification as FFN sends it (contract 10.9, C.3).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::{BestBefore, Dimensions, ModificationInfo};

open_object!(
    /// A shipping notification, as FFN sent it.
    OutboundShippingNotification {
        /// FFN's id.
        outbound_shipping_notification_id: String,
        /// FFN's id of the order.
        outbound_id: String,
        /// The merchant's number of the order; only in the merchant's view.
        merchant_outbound_number: String,
        /// The fulfiller's number of the notification.
        fulfiller_shipping_notification_number: String,
        /// The fulfiller; only in the merchant's view.
        fulfiller_id: String,
        /// The merchant; only in the fulfiller's view.
        merchant_id: String,
        /// The order's status after this notification.
        outbound_status: String,
        /// What was shipped.
        items: Vec<ShippingNotificationItem>,
        /// In which packages.
        packages: Vec<ShippingPackage>,
        /// A note.
        note: String,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A line of a shipping notification.
    ShippingNotificationItem {
        /// The line's id.
        outbound_shipping_notification_item_id: String,
        /// FFN's id of the product.
        jfsku: String,
        /// How many.
        quantity: Decimal,
        /// A note.
        note: String,
        /// Best before.
        best_before: BestBefore,
        /// Batch.
        batch: String,
        /// Serial numbers.
        serialnumbers: Vec<String>,
    }
);

open_object!(
    /// A package of a shipping notification.
    ShippingPackage {
        /// For example `Parcel`.
        freight_option: String,
        /// When it should arrive.
        estimated_delivery_date: DateTime<Utc>,
        /// A note.
        note: String,
        /// Where the package can be followed.
        tracking_url: String,
        /// Its numbers.
        identifier: Vec<PackageIdentifier>,
        /// When it was handed over.
        shipping_date: DateTime<Utc>,
        /// FFN's id of the shipping method.
        shipping_method_id: String,
        /// Width, length and height.
        dimensions: Dimensions,
        /// Weight in kg.
        weight: Decimal,
    }
);

open_object!(
    /// A number of a package.
    PackageIdentifier {
        /// The number.
        value: String,
        /// For example `TrackingId`.
        identifier_type: String,
        /// What else it is called.
        name: String,
    }
);
