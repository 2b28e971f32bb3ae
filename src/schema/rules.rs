//! Rules that JSON Schema has no words for: between the members of a body, and about a text or date as a whole
//! (contract 10 to 14). FFN has an error for each; the bridge says it before the call.
//!
//! A rule looks only at members of the right type: what is not there, or of another type, is the schema's business.

use std::collections::HashMap;
use std::io;

use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use chrono::NaiveDate;
use serde_json::Value;

use super::result::FieldError;

/// Looks at a body and adds what is wrong with it.
pub(super) type Rule = fn(&Value, &mut Faults);

/// What was found, up to a limit.
#[derive(Debug)]
pub(super) struct Faults {
    found: Vec<FieldError>,
    limit: usize,
}

impl Faults {
    /// No more than `limit` are kept.
    pub(super) fn new(limit: usize) -> Self {
        Self { found: Vec::new(), limit }
    }

    /// The faults, in the order of the rules.
    pub(super) fn into_inner(self) -> Vec<FieldError> {
        self.found
    }

    fn add(&mut self, path: String, message: impl Into<String>) {
        if !self.full() {
            self.found.push(FieldError { path, message: message.into() });
        }
    }

    fn full(&self) -> bool {
        self.found.len() >= self.limit
    }
}

/// The lines of an order. FFN: `Outbounds_DuplicateOutboundItemIds`.
pub(super) fn order_lines(body: &Value, faults: &mut Faults) {
    unique(body, "outboundItemId", "order", faults);
}

/// The lines of a delivery: FFN takes the id for a key, `Shared_DuplicateKey`.
pub(super) fn delivery_lines(body: &Value, faults: &mut Faults) {
    unique(body, "inboundItemId", "delivery", faults);
}

/// The items of a new return. FFN: `Returns_DuplicateReturnItem`, and see [`return_line`].
pub(super) fn return_lines(body: &Value, faults: &mut Faults) {
    unique(body, "returnItemId", "return", faults);
    each(body, faults, ordered_line);
}

/// An order's line that is sent back is named by both its ids: by one of them FFN finds nothing,
/// `Returns_OutboundForReturnItemNotFound`, `Returns_OutboundItemNotFound`.
pub(super) fn return_line(body: &Value, faults: &mut Faults) {
    ordered_line(body, "", faults);
}

fn ordered_line(item: &Value, prefix: &str, faults: &mut Faults) {
    let there = |name: &str| item.get(name).is_some_and(|value| !value.is_null());
    for (name, other) in [("outboundId", "outboundItemId"), ("outboundItemId", "outboundId")] {
        if there(name) && !there(other) {
            faults.add(format!("{prefix}{other}"), format!("is required where {name} is given"));
        }
    }
}

/// Bundles that FFN completes have no lines of components. FFN: `Outbounds_AutoCompleteBillOfMaterialsWithBillOfMaterialsId`.
pub(super) fn bundles(body: &Value, faults: &mut Faults) {
    if body.get("autoCompleteBillOfMaterials").and_then(Value::as_bool) != Some(true) {
        return;
    }
    each(body, faults, |item, prefix, faults| {
        if item.get("billOfMaterialsId").is_some_and(Value::is_string) {
            let message = "must be left out when autoCompleteBillOfMaterials is true";
            faults.add(format!("{prefix}billOfMaterialsId"), message);
        }
    });
}

/// Reasons stand where something is canceled, a code only where all is (contract 10.6). FFN: `Shared_ModelValidation`.
pub(super) fn cancel_reason(body: &Value, faults: &mut Faults) {
    reasoned(body, "", faults);
}

/// [`cancel_reason`] for each of many orders.
pub(super) fn cancel_reasons(body: &Value, faults: &mut Faults) {
    each(body, faults, reasoned);
}

fn reasoned(change: &Value, prefix: &str, faults: &mut Faults) {
    let Some(status) = change.get("status").and_then(Value::as_str) else { return };
    for (name, statuses) in
        [("cancelReasonCode", &["Canceled"] as &[&str]), ("cancelReason", &["Canceled", "PartiallyCanceled"])]
    {
        if change.get(name).is_some_and(Value::is_string) && !statuses.contains(&status) {
            let message = format!("must be left out unless status is {}", statuses.join(" or "));
            faults.add(format!("{prefix}{name}"), message);
        }
    }
}

/// A parcel that a line is in is one of the parcels. FFN: `Inbounds_InboundShippingNotificationItemsPackageIdOutOfRange`.
pub(super) fn packages(body: &Value, faults: &mut Faults) {
    let count = body.get("packages").and_then(Value::as_array).map_or(0, Vec::len);
    each(body, faults, |item, prefix, faults| {
        let Some(id) = item.get("packageId").and_then(Value::as_u64) else { return };
        if usize::try_from(id).map_or(true, |id| id >= count) {
            let message = match count {
                0 => "must be left out where there are no packages".to_owned(),
                1 => "must be 0, the place of the only entry of packages".to_owned(),
                _ => format!("must be a place in packages, from 0 to {}", count - 1),
            };
            faults.add(format!("{prefix}packageId"), message);
        }
    });
}

/// [`packages`] for a change: the parcels that it leaves as they are are not known here.
pub(super) fn given_packages(body: &Value, faults: &mut Faults) {
    if body.get("packages").is_some_and(Value::is_array) {
        packages(body, faults);
    }
}

/// The file in `data`. FFN: `Shared_InvalidContentType`, or no readable error at all.
pub(super) fn data(body: &Value, faults: &mut Faults) {
    let Some(text) = body.get("data").and_then(Value::as_str) else { return };
    // Piece by piece: the bytes themselves are not needed.
    let mut bytes = DecoderReader::new(text.as_bytes(), &STANDARD);
    if io::copy(&mut bytes, &mut io::sink()).is_err() {
        faults.add("data".to_owned(), "must be base64 with its padding, without line breaks");
    }
}

/// A day that the calendar has. FFN: `Shared_ModelValidation`.
pub(super) fn best_before(body: &Value, faults: &mut Faults) {
    keeps_until(body, "", faults);
}

/// [`best_before`] for each line.
pub(super) fn best_before_of_items(body: &Value, faults: &mut Faults) {
    each(body, faults, keeps_until);
}

fn keeps_until(item: &Value, prefix: &str, faults: &mut Faults) {
    let Some(date) = item.get("bestBefore") else { return };
    let part = |name: &str| date.get(name).and_then(Value::as_u64).and_then(|part| u32::try_from(part).ok());
    let (Some(year), Some(month), Some(day)) = (part("year"), part("month"), part("day")) else { return };
    // Out of its own bounds is the schema's business.
    let bounded = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let known = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    if bounded && known.is_none() {
        faults.add(
            format!("{prefix}bestBefore"),
            format!("must be a day of the calendar, not {year}-{month:02}-{day:02}"),
        );
    }
}

/// No id stands on two lines.
fn unique(body: &Value, id: &str, of: &str, faults: &mut Faults) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, item) in items(body).iter().enumerate() {
        if faults.full() {
            return;
        }
        let Some(value) = item.get(id).and_then(Value::as_str) else { continue };
        let first = *seen.entry(value).or_insert(index);
        if first != index {
            faults.add(
                format!("items[{index}].{id}"),
                format!("must be unique within the {of}, but repeats items[{first}]"),
            );
        }
    }
}

/// A rule for each line, with the beginning of its members' paths.
fn each(body: &Value, faults: &mut Faults, rule: impl Fn(&Value, &str, &mut Faults)) {
    for (index, item) in items(body).iter().enumerate() {
        if faults.full() {
            return;
        }
        rule(item, &format!("items[{index}]."), faults);
    }
}

fn items(body: &Value) -> &[Value] {
    body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
