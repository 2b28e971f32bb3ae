//! Entities as FFN sends them, for the `snapshot` of events (contract C.3). They exist for their schemas: a snapshot is
//! passed on as the bytes that came. So every member is optional and may be null, unknown members are welcome, and
//! FFN's lists of words are open: a word that is new to the bridge is no error (contract 4, 18.26).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::decimal::Decimal;

/// An object of FFN's answers: every member optional, everything else allowed too.
macro_rules! open_object {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)+
        }
    };
}

mod inbound;
mod partner;
mod product;
mod returns;
mod shipment;
mod stock;

pub use inbound::{
    Inbound, InboundItem, InboundShippingNotification, InboundShippingNotificationItem, InboundShippingPackage,
    InboundSupplier,
};
pub use partner::{
    Authorization, AuthorizedShippingMethod, Fulfiller, Merchant, ShippingMethod, Warehouse, WarehouseAuthorization,
};
pub use product::{
    BillOfMaterialsComponent, Mpn, Picture, Price, Product, ProductBundle, ProductIdentifier, RelatedProduct,
    Specifications,
};
pub use returns::{LockStatus, Return, ReturnItem, ReturnItemStockChange};
pub use shipment::{OutboundShippingNotification, PackageIdentifier, ShippingNotificationItem, ShippingPackage};
pub use stock::{
    StockChange, StockChangeId, StockChangeInboundItem, StockChangeNotificationItem, StockChangeOutboundItem,
    StockChangeReturnItem,
};

open_object!(
    /// An order to ship, as FFN sent it.
    Outbound {
        /// FFN's id.
        outbound_id: String,
        /// The fulfiller; only in the merchant's view.
        fulfiller_id: String,
        /// The merchant; only in the fulfiller's view.
        merchant_id: String,
        /// The merchant's number.
        merchant_outbound_number: String,
        /// A further number of the merchant.
        external_number: String,
        /// Status, for example `Pending`, `Shipped`, `Canceled`.
        status: String,
        /// From -5 to 5.
        priority: i32,
        /// Warehouse.
        warehouse_id: String,
        /// ISO 4217.
        currency: String,
        /// For the fulfiller.
        internal_note: String,
        /// For the recipient.
        external_note: String,
        /// For example `EbayPlus`.
        premium_type: String,
        /// Where the order was taken.
        sales_channel: String,
        /// Free attributes.
        attributes: Vec<EntityAttribute>,
        /// When the recipient would like to have it.
        desired_delivery_date: DateTime<Utc>,
        /// The shipping method.
        shipping_method_id: String,
        /// For example `Standard`.
        shipping_type: String,
        /// Where the order goes.
        shipping_address: EntityAddress,
        /// The sender on the label.
        sender_address: EntityAddress,
        /// Why it was canceled, as a code.
        cancel_reason_code: String,
        /// Why it was canceled, in words.
        cancel_reason: String,
        /// What the recipient pays for shipping.
        shipping_fee: Decimal,
        /// The order's total.
        order_value: Decimal,
        /// The lines.
        items: Vec<OutboundItem>,
        /// The documents, without their data.
        attachments: Vec<serde_json::Value>,
        /// Only in the merchant's view.
        shipping_label_provider_data: serde_json::Value,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
        /// When each status was reached, by the status's name in camelCase.
        status_timestamp: StatusTimestamp,
    }
);

open_object!(
    /// A line of an order.
    OutboundItem {
        /// The line's id.
        outbound_item_id: String,
        /// FFN's id of the product.
        jfsku: String,
        /// The merchant's id of the product.
        merchant_sku: String,
        /// For example `Product`, `BillOfMaterials`.
        item_type: String,
        /// How many were ordered.
        quantity: Decimal,
        /// How many are not yet shipped.
        quantity_open: Decimal,
        /// Name on papers.
        name: String,
        /// A further number of the merchant.
        external_number: String,
        /// Price of one.
        price: Decimal,
        /// Value added tax in percent.
        vat: Decimal,
        /// The line of the bundle that this line is a component of.
        bill_of_materials_id: String,
        /// A note.
        note: String,
    }
);

open_object!(
    /// An address.
    EntityAddress {
        /// Salutation.
        salutation: String,
        /// First name.
        firstname: String,
        /// Last name.
        lastname: String,
        /// Company.
        company: String,
        /// Street and house number.
        street: String,
        /// Town.
        city: String,
        /// Postal code.
        zip: String,
        /// ISO 3166 alpha-2.
        country: String,
        /// E-mail address.
        email: String,
        /// Telephone number.
        phone: String,
        /// The second extra line.
        extra_line: String,
        /// The first extra line.
        extra_address_line: String,
        /// State or province.
        state: String,
        /// Mobile number.
        mobile: String,
        /// Fax number.
        fax: String,
    }
);

open_object!(
    /// A free attribute.
    EntityAttribute {
        /// Name.
        key: String,
        /// Value.
        value: String,
        /// How to read the value, for example `Decimal`.
        attribute_type: String,
    }
);

open_object!(
    /// A day until which something is good.
    BestBefore {
        /// Year.
        year: i32,
        /// Month.
        month: i32,
        /// Day.
        day: i32,
    }
);

open_object!(
    /// How large something is, in metres.
    Dimensions {
        /// Width.
        width: Decimal,
        /// Length.
        length: Decimal,
        /// Height.
        height: Decimal,
    }
);

open_object!(
    /// When and how FFN changed an entity (contract 7.5).
    ModificationInfo {
        /// When it was made.
        created_at: DateTime<Utc>,
        /// When it was last changed.
        updated_at: DateTime<Utc>,
        /// `New`, `Modified` or `Deleted`.
        state: String,
        /// The changes in the period that was read.
        changes_in_range: Vec<ModificationInfo>,
    }
);

open_object!(
    /// When each status was reached.
    StatusTimestamp {
        /// `Preparation`.
        preparation: DateTime<Utc>,
        /// `Pending`.
        pending: DateTime<Utc>,
        /// `Acknowledged`.
        acknowledged: DateTime<Utc>,
        /// `Locked`.
        locked: DateTime<Utc>,
        /// `Pickprocess`.
        pickprocess: DateTime<Utc>,
        /// `Shipped`.
        shipped: DateTime<Utc>,
        /// `PartiallyShipped`.
        partially_shipped: DateTime<Utc>,
        /// `Canceled`.
        canceled: DateTime<Utc>,
        /// `PartiallyCanceled`.
        partially_canceled: DateTime<Utc>,
    }
);
