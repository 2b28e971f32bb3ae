//! Partners, warehouses, shipping methods and grants as FFN sends them (contract 15, C.3).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::{EntityAddress, ModificationInfo};

open_object!(
    /// A warehouse, as FFN sent it.
    Warehouse {
        /// FFN's id.
        warehouse_id: String,
        /// The fulfiller.
        fulfiller_id: String,
        /// Name.
        name: String,
        /// Where it is.
        address: EntityAddress,
        /// The shipping methods that it has; only in the merchant's view.
        shipping_method_ids: Vec<String>,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A shipping method, as FFN sent it.
    ShippingMethod {
        /// FFN's id.
        shipping_method_id: String,
        /// Name.
        name: String,
        /// The fulfiller; only in the merchant's view.
        fulfiller_id: String,
        /// The fulfiller's number; only in the fulfiller's view.
        fulfiller_shipping_method_number: String,
        /// For example `Standard`.
        shipping_type: String,
        /// How addresses for following packages are made.
        tracking_url_schema: String,
        /// The carrier's code.
        carrier_code: String,
        /// The carrier's name.
        carrier_name: String,
        /// Until when what is ordered leaves on the same day, `HH:mm`.
        cutoff_time: String,
        /// A note.
        note: String,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A partner of a merchant, as FFN sent it.
    Fulfiller {
        /// FFN's id.
        user_id: String,
        /// Whether he takes part.
        is_active: bool,
        /// Address.
        address: EntityAddress,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A partner of a fulfiller, as FFN sent it.
    Merchant {
        /// FFN's id.
        user_id: String,
        /// Whether he takes part.
        is_active: bool,
        /// Address.
        address: EntityAddress,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// What a fulfiller has granted to a merchant, as FFN sent it.
    Authorization {
        /// The merchant.
        merchant_id: String,
        /// The warehouses that he may use.
        warehouses: Vec<WarehouseAuthorization>,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A warehouse that a merchant may use.
    WarehouseAuthorization {
        /// FFN's id.
        warehouse_id: String,
        /// Since when.
        created_at: DateTime<Utc>,
        /// The shipping methods that he may use there.
        shipping_methods: Vec<AuthorizedShippingMethod>,
    }
);

open_object!(
    /// A shipping method that a merchant may use.
    AuthorizedShippingMethod {
        /// FFN's id.
        shipping_method_id: String,
        /// Since when.
        created_at: DateTime<Utc>,
    }
);
