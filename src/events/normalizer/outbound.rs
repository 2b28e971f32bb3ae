//! Outbounds: orders to ship (contract 10).

use super::*;
use crate::schema::event::OutboundData;

const RESOURCE: &str = "outbound";
/// Stands for an edit among the remembered steps; no status of FFN begins with a small letter.
const EDIT: &str = "updated";

/// What the rules read of an outbound; everything may be missing but the id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outbound {
    outbound_id: String,
    #[serde(default, deserialize_with = "lenient")]
    merchant_outbound_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status_timestamp: Option<BTreeMap<String, Box<RawValue>>>,
    #[serde(default, deserialize_with = "lenient")]
    modification_info: Option<ModificationInfo>,
}

/// A status that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    status: String,
    at: DateTime<Utc>,
}

pub(super) fn id(item: &RawValue) -> Result<String, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Id {
        #[serde(default, deserialize_with = "lenient")]
        outbound_id: Option<String>,
    }
    let id = view::<Id>(item)?.outbound_id.filter(|id| !id.is_empty());
    id.ok_or_else(|| Odd("its outboundId is missing, empty or no text".to_owned()))
}

pub(super) fn normalize(scope: &Scope<'_>, item: &RawValue, known: Option<&Known>) -> Result<Normalized, Odd> {
    let outbound: Outbound = view(item)?;
    let stamp = outbound.modification_info.as_ref();
    let changed_at = stamp.and_then(ModificationInfo::changed_at);
    let mut told = Telling { scope, item, outbound: &outbound, drafts: Vec::new() };
    let mut now = known.cloned().unwrap_or_default();

    let steps = outbound.steps();
    let created_at = stamp.and_then(|stamp| stamp.created_at).or_else(|| steps.first().map(|step| step.at));
    let is_new = known.is_none() && created_at.is_none_or(|at| at >= scope.started_at);
    if is_new {
        told.tell("created", created_at.unwrap_or(scope.recorded_time), "", Detail::default())?;
    }

    // An older reading than the one known may still tell of a step, but not of the state.
    let is_stale =
        matches!((known.and_then(|known| known.changed_at), changed_at), (Some(known), Some(at)) if at < known);
    let untold = untold_steps(&outbound, &steps, known, is_stale, changed_at.unwrap_or(scope.recorded_time));
    let mut previous = known.and_then(|known| known.status.clone());
    for step in &untold {
        now.remember_step(&step.status, step.at);
        // What `Preparation` says, `created` has said.
        if step.at >= scope.started_at && step.status != "Preparation" {
            let inferred = is_stale || outbound.status.as_deref() != Some(step.status.as_str());
            let detail = Detail { status: Some(&step.status), previous: previous.as_deref(), inferred, changed: None };
            told.tell(&kebab(&step.status), step.at, &entity::id_part(step.at), detail)?;
        }
        previous = Some(step.status.clone());
    }

    let deleted = stamp.is_some_and(ModificationInfo::is_deleted);
    if !is_stale {
        let fields = fingerprints(item)?;
        let edited = edit(known, &fields, &untold);
        let foreign = known.is_none() && !is_new && untold.iter().all(|step| step.at < scope.started_at);
        let at = edit_time(&outbound, &now, changed_at.unwrap_or(scope.recorded_time));
        if !deleted && at >= scope.started_at && (foreign || edited.as_ref().is_some_and(|names| !names.is_empty())) {
            // What changed of an order that was not known before is unknown: an empty list.
            let changed = Some(edited.as_deref().unwrap_or_default());
            let detail = Detail { status: outbound.status.as_deref(), changed, ..Detail::default() };
            told.tell("updated", at, &entity::id_part(at), detail)?;
            // The next edit has another time, and so another id.
            now.remember_step(EDIT, at);
        }
        now.status = outbound.status.clone();
        now.changed_at = changed_at;
        now.fields = fields;
    }
    if deleted && !now.deleted {
        let at = changed_at.unwrap_or(scope.recorded_time);
        if at >= scope.started_at {
            let detail = Detail { status: outbound.status.as_deref(), ..Detail::default() };
            told.tell("deleted", at, &entity::id_part(at), detail)?;
        }
    }
    now.deleted |= deleted;

    let mut drafts = told.drafts;
    drafts.sort_by_key(|draft| draft.event.time);
    Ok(Normalized { drafts, known: now })
}

/// What differs between the events of one outbound.
#[derive(Default)]
struct Detail<'a> {
    status: Option<&'a str>,
    previous: Option<&'a str>,
    inferred: bool,
    changed: Option<&'a [String]>,
}

struct Telling<'a> {
    scope: &'a Scope<'a>,
    item: &'a RawValue,
    outbound: &'a Outbound,
    drafts: Vec<Draft>,
}

impl Telling<'_> {
    fn tell(&mut self, event: &str, at: DateTime<Utc>, discriminator: &str, detail: Detail<'_>) -> Result<(), Odd> {
        let data = OutboundData {
            outbound_id: self.outbound.outbound_id.clone(),
            merchant_outbound_number: self.outbound.merchant_outbound_number.clone(),
            status: detail.status.or(self.outbound.status.as_deref()).map(str::to_owned),
            previous_status: detail.previous.map(str::to_owned),
            occurred_at: at,
            inferred: detail.inferred,
            changed: detail.changed.map(<[String]>::to_vec),
            snapshot: self.item.to_owned(),
        };
        let subject = &self.outbound.outbound_id;
        let happening = Happening { resource: RESOURCE, event, subject, at, discriminator };
        self.drafts.push(draft(self.scope, &happening, to_raw(&data)?));
        Ok(())
    }
}

impl Outbound {
    /// The statuses with their times, oldest first, as `statusTimestamp` tells (contract 10.1).
    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self
            .status_timestamp
            .iter()
            .flatten()
            .filter_map(|(name, time)| {
                let time: String = serde_json::from_str(time.get()).ok()?;
                Some(Step { status: pascal(name), at: parse_time(&time)? })
            })
            .collect();
        steps.sort_by_key(|step| step.at);
        steps
    }
}

/// The steps that have not been told yet, oldest first.
fn untold_steps(
    outbound: &Outbound,
    steps: &[Step],
    known: Option<&Known>,
    is_stale: bool,
    changed_at: DateTime<Utc>,
) -> Vec<Step> {
    let is_told = |step: &Step| known.is_some_and(|known| known.has_step(&step.status, step.at));
    let mut untold: Vec<Step> = steps.iter().filter(|step| !is_told(step)).cloned().collect();
    if let Some(status) = &outbound.status
        && !is_stale
    {
        // The status may have no time, or an old one: it went back, or nobody knew it. Then it was
        // reached with the last change.
        let has_time = untold.iter().any(|step| step.status == *status);
        let is_news = match known {
            Some(known) => known.status.as_ref() != Some(status),
            None => !steps.iter().any(|step| step.status == *status),
        };
        let step = Step { status: status.clone(), at: changed_at };
        if !has_time && is_news && !is_told(&step) {
            untold.push(step);
        }
    }
    untold
}

/// The fields that changed otherwise than by a change of status; `None` for what was not known before.
fn edit(known: Option<&Known>, fields: &BTreeMap<String, Fingerprint>, untold: &[Step]) -> Option<Vec<String>> {
    // Steps tell of these.
    const OF_STEPS: [&str; 2] = ["status", "statusTimestamp"];
    // A step takes these with it: shipping closes quantities, a cancel has its reason.
    const WITH_A_STEP: [&str; 3] = ["items", "cancelReason", "cancelReasonCode"];
    let mut names = changed_fields(&known?.fields, fields);
    names.retain(|name| {
        let name = name.as_str();
        !OF_STEPS.contains(&name) && (untold.is_empty() || !WITH_A_STEP.contains(&name))
    });
    Some(names)
}

/// When an edit happened: the newest change that is no step.
fn edit_time(outbound: &Outbound, now: &Known, changed_at: DateTime<Utc>) -> DateTime<Utc> {
    let stamp = outbound.modification_info.as_ref();
    let created_at = stamp.and_then(|stamp| stamp.created_at);
    let times = stamp.into_iter().flat_map(ModificationInfo::change_times);
    times
        .filter(|at| !now.has_step_at(*at) && created_at.is_none_or(|created| !same_instant(created, *at)))
        .max()
        .unwrap_or(changed_at)
}

/// A member of `statusTimestamp` as the status it is the time of: `partiallyShipped`, `PartiallyShipped`.
fn pascal(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
