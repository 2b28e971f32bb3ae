//! A return as FFN sends it (contract 12, C.3).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::{EntityAddress, ModificationInfo, StockChangeId};

open_object!(
    /// A return, as FFN sent it.
    Return {
        /// FFN's id.
        return_id: String,
        /// The fulfiller; only in the merchant's view.
        fulfiller_id: String,
        /// The merchant; only in the fulfiller's view.
        merchant_id: String,
        /// Warehouse.
        warehouse_id: String,
        /// The merchant's number.
        merchant_return_number: String,
        /// The fulfiller's number.
        fulfiller_return_number: String,
        /// Whom to ask.
        contact: String,
        /// For the fulfiller.
        internal_note: String,
        /// For the customer.
        external_note: String,
        /// Who sends it back.
        customer_address: EntityAddress,
        /// State: `Announced`, `Arrived`, `Completed`.
        state: String,
        /// The lines.
        items: Vec<ReturnItem>,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
        /// Who has locked it against changes.
        write_lock: LockStatus,
    }
);

open_object!(
    /// A line of a return.
    ReturnItem {
        /// The line's id.
        return_item_id: String,
        /// FFN's id of the product.
        jfsku: String,
        /// The merchant's id of the product.
        merchant_sku: String,
        /// Name.
        name: String,
        /// FFN's id of the order.
        outbound_id: String,
        /// The order's line.
        outbound_item_id: String,
        /// How many.
        quantity: Decimal,
        /// Why, for example `NoReason`, `WrongItemSent`.
        reason: String,
        /// Why, in words.
        reason_note: String,
        /// In which condition, in words.
        condition_note: String,
        /// State: `Announced`, `Arrived`, `Completed`.
        state: String,
        /// Condition, for example `Default`, `Damaged`.
        condition: String,
        /// The entries of the stock ledger that it made.
        stock_changes: Vec<ReturnItemStockChange>,
    }
);

open_object!(
    /// What a line of a return did to a stock.
    ReturnItemStockChange {
        /// The entry of the ledger.
        stock_change_id: StockChangeId,
        /// The merchant's id of the product.
        merchant_sku: String,
        /// How many can be sold again.
        quantity: Decimal,
        /// How many are blocked.
        quantity_blocked: Decimal,
    }
);

open_object!(
    /// A lock against changes.
    LockStatus {
        /// Whose it is.
        locked_by_user_id: String,
        /// Since when.
        locked_at: DateTime<Utc>,
        /// Until when.
        locked_until: DateTime<Utc>,
    }
);
