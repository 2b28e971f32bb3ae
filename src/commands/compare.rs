//! Whether an outbound that FFN holds is the one a command asked for (contract 10.3, step 3).
//!
//! Warehouse, address and lines decide. What FFN adds or fills in by itself makes no difference; a
//! member the command gives and FFN shows otherwise does. Quantities are compared as decimals.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ffn::fields::Fields;

/// A member that differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path in the command, for example `items[1].quantity`.
    pub path: String,
    /// What FFN holds, as JSON, shortened.
    pub found: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    #[serde(default)]
    warehouse_id: Option<String>,
    #[serde(default)]
    shipping_address: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    items: Option<Vec<Line>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    outbound_item_id: String,
    #[serde(default)]
    jfsku: Option<String>,
    #[serde(default)]
    merchant_sku: Option<String>,
    #[serde(default)]
    quantity: Option<Box<RawValue>>,
    #[serde(default)]
    bill_of_materials_id: Option<String>,
}

/// Compares what FFN holds with what was asked.
///
/// # Errors
/// Every difference.
pub fn same_outbound(found: &RawValue, asked: &Fields) -> Result<(), Vec<Difference>> {
    let unreadable = |_| vec![Difference { path: String::new(), found: "unreadable".to_owned() }];
    let found: Order = serde_json::from_str(found.get()).map_err(unreadable)?;
    let asked = serde_json::to_string(asked).map_err(unreadable)?;
    let asked: Order = serde_json::from_str(&asked).map_err(unreadable)?;
    let mut differences = Vec::new();
    if asked.warehouse_id != found.warehouse_id {
        differences.push(difference("warehouseId", &found.warehouse_id));
    }
    let address = found.shipping_address.unwrap_or_default();
    for (name, value) in asked.shipping_address.iter().flatten() {
        let theirs = address.get(name).unwrap_or(&Value::Null);
        if value != theirs {
            differences.push(difference(&format!("shippingAddress.{name}"), theirs));
        }
    }
    compare_lines(&found.items.unwrap_or_default(), &asked.items.unwrap_or_default(), &mut differences);
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn compare_lines(found: &[Line], asked: &[Line], differences: &mut Vec<Difference>) {
    for (index, line) in asked.iter().enumerate() {
        let Some(theirs) = found.iter().find(|other| other.outbound_item_id == line.outbound_item_id) else {
            differences.push(difference(&format!("items[{index}]"), &Value::Null));
            continue;
        };
        if line.jfsku.is_some() && line.jfsku != theirs.jfsku {
            differences.push(difference(&format!("items[{index}].jfsku"), &theirs.jfsku));
        }
        if line.merchant_sku.is_some() && line.merchant_sku != theirs.merchant_sku {
            differences.push(difference(&format!("items[{index}].merchantSku"), &theirs.merchant_sku));
        }
        let decimal = |line: &Line| line.quantity.as_ref().map(|quantity| canonical(quantity.get()));
        if decimal(line) != decimal(theirs) {
            differences.push(difference(&format!("items[{index}].quantity"), &theirs.quantity));
        }
    }
    // Lines that the server made of a bundle belong to a line that was asked for (contract 10.2).
    let extra = found.iter().find(|theirs| {
        theirs.bill_of_materials_id.is_none()
            && !asked.iter().any(|line| line.outbound_item_id == theirs.outbound_item_id)
    });
    if let Some(line) = extra {
        differences.push(difference("items", &Value::String(format!("one with {}", line.outbound_item_id))));
    }
}

fn difference<T: serde::Serialize>(path: &str, found: &T) -> Difference {
    let text = serde_json::to_string(found).unwrap_or_default();
    Difference { path: path.to_owned(), found: text.chars().take(80).collect() }
}

/// A JSON number as sign, digits and exponent without superfluous zeros: `2`, `2.0` and `20e-1` are the same.
fn canonical(number: &str) -> (bool, String, i64) {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let mut exponent: i64 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(0));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let stripped = digits.trim_end_matches('0');
    if stripped.is_empty() {
        return (false, String::new(), 0);
    }
    let zeros = i64::try_from(digits.len() - stripped.len()).unwrap_or(0);
    (negative, stripped.to_owned(), exponent.saturating_add(zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"{"merchantOutboundNumber":"SO-1","warehouseId":"W","shippingType":"Standard",
        "shippingAddress":{"lastname":"Beispiel","city":"Musterstadt"},
        "items":[{"outboundItemId":"1","merchantSku":"MUG","quantity":2},{"outboundItemId":"2","jfsku":"J","quantity":0.1}]}"#;

    fn compare(found: &str) -> Result<(), Vec<Difference>> {
        same_outbound(&RawValue::from_string(found.into()).unwrap(), &serde_json::from_str(ASKED).unwrap())
    }

    #[test]
    fn what_ffn_fills_in_makes_no_difference() {
        let found = r#"{"outboundId":"X","warehouseId":"W","shippingMethodId":"M","status":"Shipped",
            "shippingAddress":{"lastname":"Beispiel","city":"Musterstadt","country":"DE"},
            "items":[{"outboundItemId":"2","jfsku":"J","quantity":0.10},
                     {"outboundItemId":"1","jfsku":"K","merchantSku":"MUG","quantity":2.0,"quantityOpen":0},
                     {"outboundItemId":"1-a","billOfMaterialsId":"1","quantity":4}]}"#;
        assert_eq!(compare(found), Ok(()));
    }

    #[test]
    fn every_difference_is_named() {
        let found = r#"{"warehouseId":"V","shippingAddress":{"lastname":"Other","city":"Musterstadt"},
            "items":[{"outboundItemId":"1","merchantSku":"CUP","quantity":3},{"outboundItemId":"9","quantity":1}]}"#;
        let paths: Vec<String> = compare(found).unwrap_err().into_iter().map(|difference| difference.path).collect();
        assert_eq!(
            paths,
            [
                "warehouseId",
                "shippingAddress.lastname",
                "items[0].merchantSku",
                "items[0].quantity",
                "items[1]",
                "items"
            ]
        );
    }

    #[test]
    fn numbers_are_compared_as_decimals() {
        for (one, other) in [("2", "2.0"), ("20e-1", "2"), ("0.10", "0.1"), ("-0", "0"), ("1e2", "100")] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
        assert_ne!(canonical("12345678901234.5678"), canonical("12345678901234.5679"));
        assert_ne!(canonical("1"), canonical("-1"));
        assert_ne!(canonical("1"), canonical("10"));
    }
}
