//! An entry of the stock ledger as FFN sends it (contract 14, C.3).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::{BestBefore, ModificationInfo};

open_object!(
    /// An entry of the stock ledger, as FFN sent it. Levels are those after it, quantities what it changed.
    StockChange {
        /// What names the entry.
        stock_change_id: StockChangeId,
        /// The fulfiller's id of the entry.
        fulfiller_stock_change_id: String,
        /// The merchant's id of the product.
        merchant_sku: String,
        /// Available.
        stock_level: Decimal,
        /// Reserved by orders.
        stock_level_reserved: Decimal,
        /// Blocked by the fulfiller.
        stock_level_blocked: Decimal,
        /// Announced by deliveries.
        stock_level_announced: Decimal,
        /// Change of `stockLevel`.
        quantity: Decimal,
        /// Change of `stockLevelReserved`.
        quantity_reserved: Decimal,
        /// Change of `stockLevelBlocked`.
        quantity_blocked: Decimal,
        /// Change of `stockLevelAnnounced`.
        quantity_announced: Decimal,
        /// Batch.
        batch: String,
        /// Best before.
        best_before: BestBefore,
        /// Why, for example `Reservation`, `Delivery`.
        change_type: String,
        /// The line of an order that caused it.
        outbound_item: StockChangeOutboundItem,
        /// The line of an announced delivery that caused it.
        inbound_item: StockChangeInboundItem,
        /// The line of a return that caused it.
        return_item: StockChangeReturnItem,
        /// The line of a shipping notification that caused it.
        outbound_shipping_notification_item: StockChangeNotificationItem,
        /// A note.
        note: String,
        /// Whether it was the newest when it was read.
        current: bool,
        /// When the fulfiller made it.
        fulfiller_timestamp: DateTime<Utc>,
        /// When FFN took it.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// What names an entry of the stock ledger.
    StockChangeId {
        /// Warehouse.
        warehouse_id: String,
        /// FFN's id of the product.
        jfsku: String,
        /// Number of the entry in its ledger.
        stock_version: i64,
    }
);

open_object!(
    /// A line of an order.
    StockChangeOutboundItem {
        /// FFN's id of the order.
        outbound_id: String,
        /// The line.
        outbound_item_id: String,
        /// The merchant's number of the order; only in the merchant's view.
        merchant_outbound_number: String,
    }
);

open_object!(
    /// A line of an announced delivery.
    StockChangeInboundItem {
        /// FFN's id of the delivery.
        inbound_id: String,
        /// The line.
        inbound_item_id: String,
        /// The merchant's number of the delivery; only in the merchant's view.
        merchant_inbound_number: String,
    }
);

open_object!(
    /// A line of a return.
    StockChangeReturnItem {
        /// FFN's id of the return.
        return_id: String,
        /// The line.
        return_item_id: String,
    }
);

open_object!(
    /// A line of a shipping notification.
    StockChangeNotificationItem {
        /// FFN's id of the notification.
        outbound_shipping_notification_id: String,
        /// The line.
        outbound_shipping_notification_item_id: String,
    }
);
