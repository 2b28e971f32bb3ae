//! FFN's error codes and what each means for a retry (contract appendix E).
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
    /// What was asked for is so already.
    Done,
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
        "Authorizations_AlreadyAuthorized"
        | "Authorizations_ShippingMethodAuthorizationExists"
        | "Credentials_DuplicateCredential"
        | "Inbounds_DuplicateInbound"
        | "Inbounds_DuplicateInboundShippingNotificationId"
        | "Inbounds_DuplicateMerchantShippingNotificationNumber"
        | "Outbounds_DuplicateAttachmentId"
        | "Outbounds_NotCanceledOutboundExists"
        | "Products_ConditionMustBeUniqueInRelatedProductsList"
        | "Products_DuplicateProduct"
        | "Products_PictureWithNumberAlreadyExists"
        | "Products_ProductAlreadyAuthorized"
        | "Returns_DuplicateReturn"
        | "Returns_DuplicateReturnItem"
        | "Shared_DuplicateKey"
        | "ShippingMethods_DuplicateShippingMethod"
        | "Warehouses_WarehouseAlreadyAuthorized" => Class::Exists,
        // Transient by the appendix, but the recipe asks to look before the next POST (contract 10.3, 6).
        "Outbounds_OutboundCreationIsLocked" => Class::Exists,
        "Products_AlreadyInactive" => Class::Done,
        "Outbounds_OutdatedOutbound" | "Shared_OutdatedObject" => Class::Stale,
        "Outbounds_ShippingLabelProvider" | "Returns_ReturnIsLocked" | "Shared_UpdateOperation" => Class::Transient,
        "Authorizations_AuthorizationNotFound"
        | "Outbounds_AmazonCredentials"
        | "Shared_FulfillerMismatch"
        | "Shared_UserIsNotAFulfiller"
        | "Shared_UserIsNotAMerchant"
        | "Users_UserNotFound" => Class::Setup,
        "Authorizations_NoStandardShippingMethodAuthorized"
        | "Credentials_CredentialNotFound"
        | "Inbounds_FulfillerCanNotCloseInbound"
        | "Inbounds_InboundNotFound"
        | "Inbounds_InboundShippingNotificationItemsPackageIdOutOfRange"
        | "Inbounds_InboundShippingNotificationNotFound"
        | "Inbounds_InboundUpdateForbidden"
        | "Inbounds_MerchantCanNotCloseInbound"
        | "Inbounds_ProductIsNotBatch"
        | "Inbounds_ProductIsNotBestBefore"
        | "Inbounds_ProductIsNotSerialNumbers"
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
        | "Products_CanNotAddBillOfMaterialProductToRelatedProductList"
        | "Products_CanNotAuthorizeBillOfMaterialWithoutComponents"
        | "Products_CanNotCreateBillOfMaterialWithCondition"
        | "Products_CanNotUpdateBillOfMaterialWithCondition"
        | "Products_ConditionAlreadySet"
        | "Products_ConditionOfRelatedProductCanNotBeUnknown"
        | "Products_CouldNotDeleteBillOfMaterialsComponentProduct"
        | "Products_InvalidIdentifier"
        | "Products_OpenOutboundsForProduct"
        | "Products_PictureNotFound"
        | "Products_ProductNotActive"
        | "Products_ProductNotFound"
        | "Products_ProductsNotFound"
        | "Products_SpecificationChangeNotAllowed"
        | "Returns_ItemListIsEmpty"
        | "Returns_JfskuDoesNotMatchOutboundItem"
        | "Returns_NotAllowedItemState"
        | "Returns_NotAllowedState"
        | "Returns_NotEnoughQuantity"
        | "Returns_OutboundForReturnItemNotFound"
        | "Returns_OutboundItemNotFound"
        | "Returns_OutboundItemNotShipped"
        | "Returns_QuantityDoesNotCorresond"
        | "Returns_ReturnItemNotFound"
        | "Returns_ReturnNotFound"
        | "Shared_FileNotFound"
        | "Shared_InvalidContentType"
        | "Shared_ModelValidation"
        | "Shared_OperationForbidden"
        | "ShippingMethods_ShippingMethodNotFound"
        | "ShippingMethods_ShippingMethodNotFoundByShippingType"
        | "Stocks_BatchNotSet"
        | "Stocks_BatchSetForNonBatchProduct"
        | "Stocks_BestBeforeNotSet"
        | "Stocks_BestBeforeSetForNonBestBeforeProduct"
        | "Stocks_InvalidInboundItem"
        | "Stocks_InvalidOutboundItem"
        | "Stocks_InvalidReferenceItems"
        | "Stocks_InvalidReturnItem"
        | "Stocks_IsBillOfMaterial"
        | "Stocks_MerchantSkuMustNotBeEmpty"
        | "Stocks_NoStockReserved"
        | "Stocks_NotEnoughAnnouncedStock"
        | "Stocks_NotEnoughBlockedStock"
        | "Stocks_NotEnoughReservedStock"
        | "Stocks_NotEnoughStock"
        | "Stocks_ProductIsNotDivisible"
        | "Stocks_QuantityAndBlockedIsZero"
        | "Stocks_QuantityAnnouncedIsZero"
        | "Stocks_QuantityAnnouncedNotNegativ"
        | "Stocks_QuantityAnnouncedNotZero"
        | "Stocks_QuantityBlockedNotZero"
        | "Stocks_QuantityNotNegativ"
        | "Stocks_QuantityNotZero"
        | "Stocks_QuantityReservedIsZeroOrNegativ"
        | "Stocks_QuantityReservedNotZero"
        | "Stocks_StockLevelBlockedIsNegative"
        | "Stocks_WrongChangeType"
        | "Warehouses_WarehouseNotFound"
        | "Warehouses_WarehouseStillAuthorized" => Class::Permanent,
        _ => return None,
    })
}

/// Whether a permanent refusal is about the state of an object, not about the call.
pub(super) fn is_about_state(code: &str) -> bool {
    matches!(
        code,
        "Inbounds_FulfillerCanNotCloseInbound"
            | "Inbounds_InboundUpdateForbidden"
            | "Inbounds_MerchantCanNotCloseInbound"
            | "Outbounds_OutboundShippingNotificationStatusForbidden"
            | "Outbounds_OutboundStatusChangeForbidden"
            | "Outbounds_OutboundUpdateForbidden"
            | "Returns_NotAllowedItemState"
            | "Returns_NotAllowedState"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The appendix as it stands: codes by its classes P, C, T and A.
    const APPENDIX: [(char, &[&str]); 4] = [
        (
            'P',
            &[
                "Authorizations_NoStandardShippingMethodAuthorized",
                "Credentials_CredentialNotFound",
                "Inbounds_FulfillerCanNotCloseInbound",
                "Inbounds_InboundNotFound",
                "Inbounds_InboundShippingNotificationItemsPackageIdOutOfRange",
                "Inbounds_InboundShippingNotificationNotFound",
                "Inbounds_InboundUpdateForbidden",
                "Inbounds_MerchantCanNotCloseInbound",
                "Inbounds_ProductIsNotBatch",
                "Inbounds_ProductIsNotBestBefore",
                "Inbounds_ProductIsNotSerialNumbers",
                "Outbounds_AmazonSfpShippingServiceNotAvailable",
                "Outbounds_AttachmentIsNoLongerAvailable",
                "Outbounds_AttachmentNotFound",
                "Outbounds_AutoCompleteBillOfMaterialsWithBillOfMaterialsId",
                "Outbounds_DuplicateOutboundItemIds",
                "Outbounds_InapropriateShippingMethod",
                "Outbounds_OutboundAttachmentDeleted",
                "Outbounds_OutboundAttachmentNotFound",
                "Outbounds_OutboundItemBillOfMaterialsHasNoChild",
                "Outbounds_OutboundItemTypeMismatch",
                "Outbounds_OutboundNotFound",
                "Outbounds_OutboundShippingLabelNotFound",
                "Outbounds_OutboundShippingMethodAndShippingTypeSet",
                "Outbounds_OutboundShippingNotificationNotEnoughQuantityOpen",
                "Outbounds_OutboundShippingNotificationNotFound",
                "Outbounds_OutboundShippingNotificationStatusForbidden",
                "Outbounds_OutboundStatusChangeForbidden",
                "Outbounds_OutboundUpdateForbidden",
                "Outbounds_PremiumTypeMismatch",
                "Products_CanNotAddBillOfMaterialProductToRelatedProductList",
                "Products_CanNotAuthorizeBillOfMaterialWithoutComponents",
                "Products_CanNotCreateBillOfMaterialWithCondition",
                "Products_CanNotUpdateBillOfMaterialWithCondition",
                "Products_ConditionAlreadySet",
                "Products_ConditionOfRelatedProductCanNotBeUnknown",
                "Products_CouldNotDeleteBillOfMaterialsComponentProduct",
                "Products_InvalidIdentifier",
                "Products_OpenOutboundsForProduct",
                "Products_PictureNotFound",
                "Products_ProductNotActive",
                "Products_ProductNotFound",
                "Products_ProductsNotFound",
                "Products_SpecificationChangeNotAllowed",
                "Returns_ItemListIsEmpty",
                "Returns_JfskuDoesNotMatchOutboundItem",
                "Returns_NotAllowedItemState",
                "Returns_NotAllowedState",
                "Returns_NotEnoughQuantity",
                "Returns_OutboundForReturnItemNotFound",
                "Returns_OutboundItemNotFound",
                "Returns_OutboundItemNotShipped",
                "Returns_QuantityDoesNotCorresond",
                "Returns_ReturnItemNotFound",
                "Returns_ReturnNotFound",
                "Shared_FileNotFound",
                "Shared_InvalidContentType",
                "Shared_ModelValidation",
                "Shared_OperationForbidden",
                "ShippingMethods_ShippingMethodNotFound",
                "ShippingMethods_ShippingMethodNotFoundByShippingType",
                "Stocks_BatchNotSet",
                "Stocks_BatchSetForNonBatchProduct",
                "Stocks_BestBeforeNotSet",
                "Stocks_BestBeforeSetForNonBestBeforeProduct",
                "Stocks_InvalidInboundItem",
                "Stocks_InvalidOutboundItem",
                "Stocks_InvalidReferenceItems",
                "Stocks_InvalidReturnItem",
                "Stocks_IsBillOfMaterial",
                "Stocks_MerchantSkuMustNotBeEmpty",
                "Stocks_NoStockReserved",
                "Stocks_NotEnoughAnnouncedStock",
                "Stocks_NotEnoughBlockedStock",
                "Stocks_NotEnoughReservedStock",
                "Stocks_NotEnoughStock",
                "Stocks_ProductIsNotDivisible",
                "Stocks_QuantityAndBlockedIsZero",
                "Stocks_QuantityAnnouncedIsZero",
                "Stocks_QuantityAnnouncedNotNegativ",
                "Stocks_QuantityAnnouncedNotZero",
                "Stocks_QuantityBlockedNotZero",
                "Stocks_QuantityNotNegativ",
                "Stocks_QuantityNotZero",
                "Stocks_QuantityReservedIsZeroOrNegativ",
                "Stocks_QuantityReservedNotZero",
                "Stocks_StockLevelBlockedIsNegative",
                "Stocks_WrongChangeType",
                "Warehouses_WarehouseNotFound",
                "Warehouses_WarehouseStillAuthorized",
            ],
        ),
        (
            'C',
            &[
                "Authorizations_AlreadyAuthorized",
                "Authorizations_ShippingMethodAuthorizationExists",
                "Credentials_DuplicateCredential",
                "Inbounds_DuplicateInbound",
                "Inbounds_DuplicateInboundShippingNotificationId",
                "Inbounds_DuplicateMerchantShippingNotificationNumber",
                "Outbounds_DuplicateAttachmentId",
                "Outbounds_NotCanceledOutboundExists",
                "Outbounds_OutdatedOutbound",
                "Products_AlreadyInactive",
                "Products_ConditionMustBeUniqueInRelatedProductsList",
                "Products_DuplicateProduct",
                "Products_PictureWithNumberAlreadyExists",
                "Products_ProductAlreadyAuthorized",
                "Returns_DuplicateReturn",
                "Returns_DuplicateReturnItem",
                "Shared_DuplicateKey",
                "Shared_OutdatedObject",
                "ShippingMethods_DuplicateShippingMethod",
                "Warehouses_WarehouseAlreadyAuthorized",
            ],
        ),
        (
            'T',
            &[
                "Outbounds_OutboundCreationIsLocked",
                "Outbounds_ShippingLabelProvider",
                "Returns_ReturnIsLocked",
                "Shared_UpdateOperation",
            ],
        ),
        (
            'A',
            &[
                "Authorizations_AuthorizationNotFound",
                "Outbounds_AmazonCredentials",
                "Shared_FulfillerMismatch",
                "Shared_UserIsNotAFulfiller",
                "Shared_UserIsNotAMerchant",
                "Users_UserNotFound",
            ],
        ),
    ];

    #[test]
    fn every_code_of_the_appendix_has_a_class_that_fits() {
        let mut count = 0;
        for (letter, codes) in APPENDIX {
            for code in codes {
                let class = class(code).unwrap_or_else(|| panic!("{code}"));
                let fits = match letter {
                    'P' => class == Class::Permanent,
                    'C' => matches!(class, Class::Exists | Class::Done | Class::Stale),
                    'T' => class == Class::Transient || *code == "Outbounds_OutboundCreationIsLocked",
                    _ => class == Class::Setup,
                };
                assert!(fits, "{code}: {class:?}");
                count += 1;
            }
        }
        assert_eq!(count, 120);
        assert_eq!(super::class("Outbounds_Unheard"), None);
    }
}
