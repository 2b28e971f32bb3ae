//! Rules between the lines of an order that JSON Schema has no words for (contract 10.2). FFN has an error of its own
//! for each; the bridge says it before the call.

use std::collections::HashMap;

use serde_json::Value;

use super::result::FieldError;

/// The faults of a body between its members. What is not there or of the wrong type is the schema's business.
pub(super) fn check(body: &Value, limit: usize) -> Vec<FieldError> {
    let items = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let completes = body.get("autoCompleteBillOfMaterials").and_then(Value::as_bool).unwrap_or(false);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut faults = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if faults.len() >= limit {
            break;
        }
        // FFN: Outbounds_DuplicateOutboundItemIds.
        if let Some(id) = item.get("outboundItemId").and_then(Value::as_str) {
            let first = *seen.entry(id).or_insert(index);
            if first != index {
                faults.push(FieldError {
                    path: format!("items[{index}].outboundItemId"),
                    message: format!("must be unique within the order, but repeats items[{first}]"),
                });
            }
        }
        // FFN: Outbounds_AutoCompleteBillOfMaterialsWithBillOfMaterialsId.
        if completes && item.get("billOfMaterialsId").is_some_and(Value::is_string) {
            faults.push(FieldError {
                path: format!("items[{index}].billOfMaterialsId"),
                message: "must be left out when autoCompleteBillOfMaterials is true".to_owned(),
            });
        }
    }
    faults
}
