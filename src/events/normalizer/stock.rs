//! The stock ledger: one event per entry, and one for what is missing between two entries (contract 14).

use super::*;
use crate::domain::entity::{Entry, Hole, Versions};
use crate::schema::event::{StockChangeData, StockGapData};

const RESOURCE: &str = "stock";

/// What the rules read of an entry; everything may be missing but its identity.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockChange {
    #[serde(default, deserialize_with = "lenient")]
    stock_change_id: Option<StockChangeId>,
    #[serde(default, deserialize_with = "lenient_time")]
    fulfiller_timestamp: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    modification_info: Option<ModificationInfo>,
    #[serde(default, deserialize_with = "lenient")]
    merchant_sku: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    change_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    fulfiller_stock_change_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    outbound_item: Option<Cause>,
    #[serde(default, deserialize_with = "lenient")]
    inbound_item: Option<Cause>,
    #[serde(default, deserialize_with = "lenient")]
    return_item: Option<Cause>,
    #[serde(default, deserialize_with = "lenient")]
    outbound_shipping_notification_item: Option<Cause>,
}

/// What caused an entry, as far as it is named: a place in an order, a delivery, a return or a parcel.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cause {
    #[serde(default, deserialize_with = "lenient")]
    outbound_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    outbound_item_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    merchant_outbound_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    inbound_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    merchant_inbound_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    return_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    outbound_shipping_notification_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockChangeId {
    warehouse_id: String,
    jfsku: String,
    stock_version: i64,
}

/// Versions that a ledger can have. Beyond them there is nothing to count on with.
const VERSIONS: std::ops::Range<i64> = i64::MIN / 4..i64::MAX / 4;

impl StockChange {
    fn read(item: &RawValue) -> Result<(StockChangeId, Self), Odd> {
        let mut change: Self = view(item)?;
        let is_whole = |id: &StockChangeId| !id.warehouse_id.is_empty() && !id.jfsku.is_empty();
        let id = change.stock_change_id.take().filter(|id| is_whole(id) && VERSIONS.contains(&id.stock_version));
        let odd = || Odd("its stockChangeId lacks warehouseId, jfsku or a whole stockVersion".to_owned());
        Ok((id.ok_or_else(odd)?, change))
    }

    fn written_at(&self) -> Option<DateTime<Utc>> {
        let stamp = self.modification_info.as_ref();
        stamp.and_then(|stamp| stamp.created_at.or(stamp.updated_at)).or(self.fulfiller_timestamp)
    }

    /// What a command that has caused it can be found by. One command may write several entries of a kind.
    fn clue(&self, id: &StockChangeId) -> Option<Clue> {
        let none = Cause::default();
        let of = |item| Option::as_ref(item).unwrap_or(&none);
        let (outbound, inbound) = (of(&self.outbound_item), of(&self.inbound_item));
        let names = [
            named("stock-change", [&self.fulfiller_stock_change_id, &None]),
            named(
                "shipment",
                [&of(&self.outbound_shipping_notification_item).outbound_shipping_notification_id, &None],
            ),
            named("outbound", [&outbound.outbound_id, &outbound.merchant_outbound_number]),
            named("inbound", [&inbound.inbound_id, &inbound.merchant_inbound_number]),
            named("return", [&of(&self.return_item).return_id, &None]),
            vec![cause::name("product", &id.jfsku)],
        ];
        let line = outbound.outbound_item_id.as_deref().unwrap_or_default();
        Some(Clue {
            change: format!("{RESOURCE}.{}", self.change_type.as_deref()?),
            names: names.into_iter().filter(|names| !names.is_empty()).collect(),
            part: Some(format!("{}/{}/{line}", id.warehouse_id, id.jfsku)),
        })
    }
}

fn named(kind: &str, values: [&Option<String>; 2]) -> Vec<String> {
    values.into_iter().flatten().map(|value| cause::name(kind, value)).collect()
}

/// Entries are remembered by warehouse and product.
pub(super) fn memory_id(item: &RawValue) -> Result<String, Odd> {
    let (id, _) = StockChange::read(item)?;
    Ok(format!("{}:{}", id.warehouse_id, id.jfsku))
}

/// The entry's number in its ledger.
pub fn stock_version(item: &RawValue) -> Option<i64> {
    StockChange::read(item).ok().map(|(id, _)| id.stock_version)
}

/// When an entry was written, if it says so.
pub fn stock_written_at(item: &RawValue) -> Option<DateTime<Utc>> {
    StockChange::read(item).ok().and_then(|(_, change)| change.written_at())
}

/// What is kept of an entry that was read then.
pub fn stock_entry(item: &RawValue, recorded_time: DateTime<Utc>) -> Option<Entry> {
    let (_, change) = StockChange::read(item).ok()?;
    Some(Entry { at: change.written_at().unwrap_or(recorded_time), merchant_sku: change.merchant_sku })
}

pub(super) fn normalize(scope: &Scope<'_>, item: &RawValue, known: Option<&Known>) -> Result<Normalized, Odd> {
    let (id, change) = StockChange::read(item)?;
    let written_at = change.written_at();
    let at = written_at.unwrap_or(scope.recorded_time);

    let mut now = known.cloned().unwrap_or_default();
    let entry = Entry { at, merchant_sku: change.merchant_sku.clone() };
    let versions = now.versions.get_or_insert_with(|| {
        let version = id.stock_version;
        // Of what was before, nobody wants to know; and a ledger begins with its first entry.
        let is_told = written_at.is_none_or(|at| scope.telling.since <= at);
        let (first, first_entry) = (is_told && version > 1).then(|| (version, entry.clone())).unzip();
        Versions { first, first_entry, ..Versions::from(version) }
    });
    versions.read(id.stock_version, entry);

    let mut drafts = Vec::new();
    // Of one that does not say when it was written, what it is read with has said that it belongs here: the window, or its
    // place in the ledger. It is told with the time of the reading, and its id is of its version alone.
    if written_at.is_none_or(|at| scope.telling.includes(at)) {
        let clue = change.clue(&id);
        let members: Members<'_> = view(item)?;
        let data = StockChangeData {
            jfsku: id.jfsku.clone(),
            merchant_sku: change.merchant_sku,
            warehouse_id: id.warehouse_id.clone(),
            stock_version: id.stock_version,
            change_type: change.change_type,
            occurred_at: at,
            inferred: scope.telling.origin == Origin::Sweep,
            levels: StockChangeData::LEVELS.iter().filter_map(|name| member(&members, name)).collect(),
            cause: StockChangeData::CAUSES.iter().filter_map(|name| member(&members, name)).collect(),
            snapshot: item.to_owned(),
        };
        let discriminator = format!("{}/{}", id.warehouse_id, id.stock_version);
        let happening =
            Happening { resource: RESOURCE, event: "changed", subject: &id.jfsku, at, discriminator: &discriminator };
        drafts.push(draft(scope, &happening, clue, to_raw(&data)?));
    }
    Ok(Normalized { drafts, known: now })
}

fn member(members: &Members<'_>, name: &str) -> Option<(String, Box<RawValue>)> {
    let value = members.get(name).filter(|value| value.get() != "null")?;
    Some((name.to_owned(), (*value).to_owned()))
}

/// Tells that entries of a ledger can't be read, and what is known of the ledger afterwards. `memory_id` is
/// what [`entity_id`] gave. Of several holes it is the first. Nothing if there is no hole.
///
/// # Errors
/// The event can't be written.
pub fn gap(scope: &Scope<'_>, memory_id: &str, known: &Known) -> Result<Option<Normalized>, Odd> {
    let hole = known.versions.as_ref().and_then(|versions| versions.holes().next());
    let (Some(Hole { from, to, since, next }), Some((warehouse, jfsku))) = (hole, memory_id.rsplit_once(':')) else {
        return Ok(None);
    };
    // The database of an earlier version has only since when it is known.
    let at = next.map(|next| next.at).or(since).unwrap_or(scope.recorded_time);
    let data = StockGapData {
        jfsku: jfsku.to_owned(),
        merchant_sku: next.and_then(|next| next.merchant_sku.clone()),
        warehouse_id: warehouse.to_owned(),
        from_version: from,
        to_version: to,
        occurred_at: at,
    };
    let discriminator = format!("{warehouse}/gap/{from}-{to}");
    let happening = Happening { resource: RESOURCE, event: "gap", subject: jfsku, at, discriminator: &discriminator };
    let drafts = vec![draft(scope, &happening, None, to_raw(&data)?)];
    let mut now = known.clone();
    if let Some(versions) = &mut now.versions {
        versions.give_up();
    }
    Ok(Some(Normalized { drafts, known: now }))
}

#[cfg(test)]
mod tests;
