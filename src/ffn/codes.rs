//! FFN's error codes and what each means for a retry (contract appendix E): outbounds, what is shared, and
//! what their calls can meet of other areas.
//!
//! [`super::Refusal`] asks here before it looks at the status. The list is never complete: FFN documents its
//! codes as examples.

/// The retry classes of the contract's appendix E, with conflicts told apart by what settles them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Can never work as it is.
    Permanent,
    /// Something is there already, or is being made right now: look first (contract 10.3).
    Exists,
    /// The caller's version is stale; only the caller can decide anew (contract 6).
    Stale,
    /// Will pass.
    Transient,
    /// Authorization, sharing or role: a person has to set something up.
    Setup,
}

/// The class of a code; `None` for one that is not in the table, so that its status decides.
pub(super) fn class(code: &str) -> Option<Class> {
    Some(match code {
        "Outbounds_DuplicateAttachmentId" | "Outbounds_NotCanceledOutboundExists" | "Shared_DuplicateKey" => {
            Class::Exists
        }
        // Transient by the appendix, but the recipe asks to look before the next POST (contract 10.3, 6).
        "Outbounds_OutboundCreationIsLocked" => Class::Exists,
        "Outbounds_OutdatedOutbound" | "Shared_OutdatedObject" => Class::Stale,
        "Outbounds_ShippingLabelProvider" | "Shared_UpdateOperation" => Class::Transient,
        "Authorizations_AuthorizationNotFound"
        | "Outbounds_AmazonCredentials"
        | "Shared_FulfillerMismatch"
        | "Shared_UserIsNotAFulfiller"
        | "Shared_UserIsNotAMerchant"
        | "Users_UserNotFound" => Class::Setup,
        "Credentials_CredentialNotFound"
        | "Outbounds_AmazonSfpShippingServiceNotAvailable"
        | "Outbounds_AttachmentIsNoLongerAvailable"
        | "Outbounds_AttachmentNotFound"
        | "Outbounds_AutoCompleteBillOfMaterialsWithBillOfMaterialsId"
        | "Outbounds_DuplicateOutboundItemIds"
        | "Outbounds_InapropriateShippingMethod"
        | "Outbounds_OutboundAttachmentDeleted"
        | "Outbounds_OutboundAttachmentNotFound"
        | "Outbounds_OutboundItemBillOfMaterialsHasNoChild"
        | "Outbounds_OutboundItemTypeMismatch"
        | "Outbounds_OutboundNotFound"
        | "Outbounds_OutboundShippingLabelNotFound"
        | "Outbounds_OutboundShippingMethodAndShippingTypeSet"
        | "Outbounds_OutboundShippingNotificationNotEnoughQuantityOpen"
        | "Outbounds_OutboundShippingNotificationNotFound"
        | "Outbounds_OutboundShippingNotificationStatusForbidden"
        | "Outbounds_OutboundStatusChangeForbidden"
        | "Outbounds_OutboundUpdateForbidden"
        | "Outbounds_PremiumTypeMismatch"
        | "Products_ProductNotActive"
        | "Products_ProductNotFound"
        | "Products_ProductsNotFound"
        | "Shared_FileNotFound"
        | "Shared_InvalidContentType"
        | "Shared_ModelValidation"
        | "Shared_OperationForbidden"
        | "ShippingMethods_ShippingMethodNotFound"
        | "ShippingMethods_ShippingMethodNotFoundByShippingType"
        | "Stocks_IsBillOfMaterial"
        | "Stocks_NotEnoughStock"
        | "Stocks_ProductIsNotDivisible"
        | "Warehouses_WarehouseNotFound" => Class::Permanent,
        _ => return None,
    })
}
