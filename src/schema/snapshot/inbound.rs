//! Announced deliveries and their shipping notifications as FFN sends them (contract 11, C.3).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::{BestBefore, Dimensions, EntityAttribute, ModificationInfo, PackageIdentifier};

open_object!(
    /// An announced delivery, as FFN sent it.
    Inbound {
        /// FFN's id.
        inbound_id: String,
        /// The fulfiller; only in the merchant's view.
        fulfiller_id: String,
        /// The merchant; only in the fulfiller's view.
        merchant_id: String,
        /// The merchant's number.
        merchant_inbound_number: String,
        /// Status, for example `Pending`, `PartiallyReceipted`, `Closed`.
        status: String,
        /// Warehouse.
        warehouse_id: String,
        /// A note.
        note: String,
        /// Number of the purchase order.
        purchase_order_number: String,
        /// A further number of the merchant.
        external_inbound_number: String,
        /// Who delivers.
        supplier: InboundSupplier,
        /// Free attributes.
        attributes: Vec<EntityAttribute>,
        /// The lines.
        items: Vec<InboundItem>,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// Who delivers.
    InboundSupplier {
        /// Name.
        merchant_supplier_name: String,
        /// The merchant's number.
        merchant_supplier_number: String,
    }
);

open_object!(
    /// A line of an announced delivery.
    InboundItem {
        /// The line's id.
        inbound_item_id: String,
        /// FFN's id of the product.
        jfsku: String,
        /// The merchant's id of the product, where FFN sends it.
        merchant_sku: String,
        /// How many were announced.
        quantity: Decimal,
        /// How many have not arrived.
        quantity_open: Decimal,
        /// The supplier's id of the product.
        supplier_sku: String,
        /// The supplier's name of the product.
        supplier_product_name: String,
        /// A note.
        note: String,
    }
);

open_object!(
    /// A shipping notification of an announced delivery, as FFN sent it.
    InboundShippingNotification {
        /// FFN's id.
        inbound_shipping_notification_id: String,
        /// FFN's id of the announced delivery.
        inbound_id: String,
        /// The merchant's number of the announced delivery.
        merchant_inbound_number: String,
        /// The fulfiller; only in the merchant's view.
        fulfiller_id: String,
        /// The merchant; only in the fulfiller's view.
        merchant_id: String,
        /// The merchant's number of the notification.
        merchant_shipping_notification_number: String,
        /// What is on its way.
        items: Vec<InboundShippingNotificationItem>,
        /// In which packages.
        packages: Vec<InboundShippingPackage>,
        /// A note.
        note: String,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A line of such a notification.
    InboundShippingNotificationItem {
        /// The line's id.
        inbound_shipping_notification_item_id: String,
        /// FFN's id of the product.
        jfsku: String,
        /// How many.
        quantity: Decimal,
        /// A note.
        note: String,
        /// The package it is in.
        package_id: i32,
        /// Best before.
        best_before: BestBefore,
        /// Batch.
        batch: String,
        /// Serial numbers.
        serialnumbers: Vec<String>,
    }
);

open_object!(
    /// A package of such a notification.
    InboundShippingPackage {
        /// When it should arrive.
        estimated_delivery_date: DateTime<Utc>,
        /// For example `Parcel`.
        freight_option: String,
        /// A note.
        note: String,
        /// Where the package can be followed.
        tracking_url: String,
        /// The carrier's code.
        carrier_code: String,
        /// The carrier's name.
        carrier_name: String,
        /// Its numbers.
        identifier: Vec<PackageIdentifier>,
        /// How many packages it stands for.
        shipment_count: i32,
        /// When it was handed over.
        shipping_date: DateTime<Utc>,
        /// Width, length and height.
        dimensions: Dimensions,
        /// Weight in kg.
        weight: Decimal,
    }
);
