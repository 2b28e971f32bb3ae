//! Bookings of stock (contract 11, 12, 14). A booking is not idempotent at FFN: the bridge makes a
//! `fulfillerStockChangeId` where there is none, and looks for it before it books again.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::compose::Both;
use super::parts::{BestBefore, one_of};
use super::values::{Jfsku, Key, Note, Text, WarehouseId};

/// A change of a product's stock. One of `quantity` and `quantityBlocked` is not zero.
pub type StockBooking = Both<BookedProduct, Booking>;

/// The product and the warehouse of a booking. One of `quantity` and `quantityBlocked` is not zero.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookedProduct {
    /// FFN's id of the product.
    pub jfsku: Jfsku,
    /// The warehouse.
    pub warehouse_id: WarehouseId,
}

/// The warehouse that goods came back to.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnWarehouse {
    /// The warehouse.
    pub warehouse_id: Text,
}

/// What is booked.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = books_something()))]
pub struct Booking {
    /// How much more can be sold; less than 0 takes away.
    pub quantity: Option<Decimal>,
    /// How much more is blocked; less than 0 takes away.
    pub quantity_blocked: Option<Decimal>,
    /// When it happened in the warehouse.
    pub fulfiller_timestamp: DateTime<Utc>,
    /// Your own id of the booking. Left out, the bridge makes one.
    pub fulfiller_stock_change_id: Option<Key>,
    /// Batch, for products that have batches.
    pub batch: Option<Text>,
    /// Best before, for products that have it.
    pub best_before: Option<BestBefore>,
    /// A note.
    pub note: Option<Note>,
}

/// One of the quantities is there and not zero: FFN refuses others with `Stocks_QuantityAndBlockedIsZero`.
fn books_something() -> serde_json::Value {
    one_of("quantity", "quantityBlocked", &serde_json::json!({ "type": "number", "not": { "const": 0 } }))
}
