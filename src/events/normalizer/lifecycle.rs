//! Entities that are made, change, have perhaps a status, and end: the rules of all feeds but the stock ledger.

use std::collections::HashSet;

use super::*;
use crate::domain::resource::Statuses;
use crate::schema::event::EntityData;

/// How far FFN's stamp of a status may be from its stamp of the change that brought it.
const SAME_CHANGE: chrono::TimeDelta = chrono::TimeDelta::seconds(1);

/// How much earlier than its order was shipped a shipping notification may have been made.
const SAME_SHIPPING: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// What the rules read of an entity; everything may be missing but the id.
pub(super) struct Entity<'a> {
    pub resource: &'static Resource,
    pub id: String,
    pub members: Members<'a>,
    pub json: &'a RawValue,
    stamp: ModificationInfo,
    status: Option<String>,
    created_at: Option<DateTime<Utc>>,
    changed_at: Option<DateTime<Utc>>,
    is_deleted: bool,
}

/// Something that happened to an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Transition {
    at: DateTime<Utc>,
    kind: Kind,
    /// What tells it from the entity's others.
    id: String,
    /// What of it is remembered when it has been told.
    memory: String,
    /// Whether it was rebuilt rather than read.
    inferred: bool,
    /// Whether it is a first status that tells of the creation.
    makes: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Created,
    /// A status was reached, from another one where that is known.
    Step {
        status: String,
        previous: Option<String>,
    },
    /// Something else changed: these members, if somebody tells.
    Edit(Option<Vec<String>>),
    Deleted,
}

impl Transition {
    fn new(at: DateTime<Utc>, kind: Kind, id: String) -> Self {
        Self { at, kind, memory: id.clone(), id, inferred: false, makes: false }
    }

    fn reached(step: Step, inferred: bool, makes: bool) -> Self {
        let memory = step.memory();
        let kind = Kind::Step { status: step.status, previous: step.previous };
        Self { at: step.at, kind, id: step.id, memory, inferred, makes }
    }
}

impl Kind {
    /// Its place among what happened at the same time. Statuses stand in the order in which they were reached.
    fn rank(&self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Step { .. } => 1,
            Self::Edit(_) => 2,
            Self::Deleted => 3,
        }
    }
}

/// What differs between the events of one entity.
pub(super) struct Detail<'a> {
    pub at: DateTime<Utc>,
    pub status: Option<&'a str>,
    pub previous: Option<&'a str>,
    pub inferred: bool,
    pub changed: Option<Vec<String>>,
}

pub(super) fn normalize(
    scope: &Scope<'_>,
    feed: FeedName,
    item: &Item,
    known: Option<&Known>,
) -> Result<Normalized, Odd> {
    let entity = Entity::read(feed, &item.json)?;
    let fields = fingerprints(&entity.members);
    // A reading that is older than the one known, or newer than what is to be told, may still tell of a change, but
    // not of the state.
    let is_older = matches!(
        (known.and_then(|known| known.changed_at), entity.changed_at), (Some(known), Some(at)) if at < known);
    let is_newer = entity.changed_at.is_some_and(|at| at >= scope.telling.until);
    let is_stale = is_older || is_newer;
    let mut now = known.cloned().unwrap_or_default();
    let mut transitions = entity.transitions(scope, &item.changes, known, is_stale, &fields);
    // The status that it had at the end of what is to be told, if it is newer than what is known.
    let is_later = |at| known.and_then(|known| known.changed_at).is_none_or(|last| last < at);
    let status_then = transitions.iter().rev().find_map(|transition| match &transition.kind {
        Kind::Step { status, .. } if transition.at < scope.telling.until || now.has_told(&transition.id) => {
            Some((transition.at, status.clone()))
        }
        _ => None,
    });
    let status_then = status_then.filter(|(at, _)| is_later(*at)).map(|(_, status)| status);
    // Without a stamp it is the time of the reading, which says nothing.
    let is_to_be_told = |at| scope.telling.includes(at) || (entity.changed_at.is_none() && at >= scope.telling.since);
    // Once its end is known, it is not told again, and nothing else is of what was before.
    let is_gone = entity.is_deleted && known.is_some_and(|known| known.deleted);
    let snapshot = scope.telling.snapshot.filter(|_| !is_gone);
    let was_there = keep_present(&transitions, snapshot, |step| entity.has_left(step, known));
    let to_tell = |at: usize, transition: &Transition| was_there.contains(&at) || is_to_be_told(transition.at);
    // Then it has not stayed as it was known until the first that is told.
    let is_passed_over = transitions.iter().enumerate().any(|(at, transition)| {
        let is_step = matches!(transition.kind, Kind::Step { .. });
        let is_before = transition.at < scope.telling.since && !was_there.contains(&at);
        is_step && is_before && is_later(transition.at) && !now.has_told(&transition.id)
    });
    let mut at = 0..;
    transitions
        .retain(|transition| to_tell(at.next().unwrap_or_default(), transition) && !now.has_told(&transition.id));
    let newest_edit = transitions.iter().rposition(|transition| matches!(transition.kind, Kind::Edit(_)));
    let tells_step = transitions.iter().any(|transition| matches!(transition.kind, Kind::Step { .. }));
    let mut drafts = Vec::with_capacity(transitions.len());
    let mut has_moved = false;
    for (at, transition) in transitions.iter().enumerate() {
        let differing = || match known {
            // An older one, or one of something whose members were not known before, can't tell what changed.
            Some(known) if !is_stale && !known.fields.is_empty() && newest_edit == Some(at) => {
                edited(entity.resource, known, &fields, tells_step)
            }
            _ => Vec::new(),
        };
        let mut detail = Detail {
            at: transition.at,
            status: entity.status.as_deref(),
            previous: None,
            inferred: transition.inferred || is_stale || scope.telling.origin == Origin::Sweep,
            changed: None,
        };
        // The first step after what was known began where that was.
        let last = known.filter(|_| !is_stale && !is_passed_over);
        let last = last.filter(|known| known.changed_at.is_none_or(|last| last < transition.at));
        let event = match &transition.kind {
            Kind::Created => {
                // Of one that is named by a status no other is told: what it has now came later.
                let is_its = |status: &&str| entity.resource.event_of(status) == Some(entity.resource.created);
                detail.status = detail.status.filter(|status| !entity.creation_is_a_status() || is_its(status));
                entity.resource.created.to_owned()
            }
            Kind::Step { status, previous } => {
                let last = last.filter(|_| !std::mem::replace(&mut has_moved, true));
                let last = last.and_then(|known| known.status.as_deref()).filter(|last| last != status);
                detail.status = Some(status.as_str());
                if let Some(statuses) = entity.resource.statuses.as_ref().filter(|it| it.silent == Some(status)) {
                    detail.changed = Some(vec![statuses.member.to_owned()]);
                    "updated".to_owned()
                } else {
                    detail.previous = last.or(previous.as_deref());
                    entity.resource.event_of(status).map_or_else(|| kebab(status), str::to_owned)
                }
            }
            Kind::Edit(changed) => {
                detail.changed = Some(changed.clone().unwrap_or_else(differing));
                "updated".to_owned()
            }
            Kind::Deleted => entity.resource.deleted.unwrap_or("updated").to_owned(),
        };
        let happening = Happening {
            resource: entity.resource.name,
            event: &event,
            subject: &entity.id,
            at: transition.at,
            discriminator: &transition.id,
        };
        let data = match feed {
            FeedName::OutboundShipments => shipment::data(scope, &entity, detail)?,
            _ => entity.data(detail)?,
        };
        drafts.push(draft(scope, &happening, Some(entity.clue(&event)), data));
        now.remember(&transition.memory);
    }
    if is_newer && !is_older {
        now.status = status_then.or(now.status);
    }
    if !is_stale {
        now.status = entity.status.clone();
        now.changed_at = entity.changed_at.or(now.changed_at);
        now.fields = fields;
        (now.deleted, now.missing) = (entity.is_deleted, false);
    }
    Ok(Normalized { drafts, known: now })
}

pub(super) fn changed_at(feed: FeedName, item: &RawValue) -> Option<DateTime<Utc>> {
    Entity::read(feed, item).ok()?.changed_at
}

pub(super) fn changes_of(feed: FeedName, item: &RawValue) -> Vec<DateTime<Utc>> {
    let Ok(entity) = Entity::read(feed, item) else { return Vec::new() };
    let is_later = |at: &DateTime<Utc>| entity.created_at.is_none_or(|created_at| !same_instant(created_at, *at));
    entity.stamp.change_times().filter(is_later).collect()
}

/// See [`super::shipped_order`]. An order in a status that nobody knows may have been shipped.
pub(super) fn shipped_order(order: &RawValue) -> Option<(String, Known)> {
    const BEFORE_SHIPPING: [&str; 6] = ["Preparation", "Pending", "Acknowledged", "Pickprocess", "Locked", "Canceled"];
    let entity = Entity::read(FeedName::Outbounds, order).ok()?;
    let has_left = |status: &str| !BEFORE_SHIPPING.contains(&status);
    let is_shipped = entity.status.as_deref().is_some_and(has_left)
        || entity.stamped_steps().iter().any(|(status, _)| has_left(status));
    let known = Known { changed_at: entity.changed_at, ..Known::default() };
    is_shipped.then_some((entity.id, known))
}

/// See [`super::shows_shipping`]. A status without a time is shipped with any, and a notification without one is it.
pub(super) fn shows_shipping(order: &RawValue, notifications: &[Box<RawValue>]) -> bool {
    const SHIPPED: [&str; 2] = ["PartiallyShipped", "Shipped"];
    let Ok(entity) = Entity::read(FeedName::Outbounds, order) else { return true };
    let stamped = entity.stamped_steps().into_iter().filter(|(status, _)| SHIPPED.contains(&status.as_str()));
    match stamped.map(|(_, at)| at).max() {
        Some(at) => notifications.iter().any(|notification| {
            let shown = Entity::read(FeedName::OutboundShipments, notification).ok();
            shown.and_then(|shown| shown.created_at).is_none_or(|made| made > at - SAME_SHIPPING)
        }),
        None => !notifications.is_empty() || !entity.status.is_some_and(|status| SHIPPED.contains(&status.as_str())),
    }
}

/// Of what happened before a snapshot, where the creation is and what led to the status that it shows. Nothing of
/// what was gone by then. A status that is known to have been left is not the one that it shows.
fn keep_present(
    transitions: &[Transition],
    snapshot: Option<DateTime<Utc>>,
    is_left: impl Fn(&Transition) -> bool,
) -> Vec<usize> {
    let Some(begin) = snapshot else { return Vec::new() };
    // They come by their time.
    let past = transitions.get(..transitions.partition_point(|it| it.at < begin)).unwrap_or_default();
    if past.iter().any(|it| it.kind == Kind::Deleted) {
        return Vec::new();
    }
    let newest = past.iter().rposition(|it| matches!(it.kind, Kind::Step { .. }));
    let newest = newest.filter(|newest| past.get(*newest).is_some_and(|it| !is_left(it)));
    let is_kept =
        |at: &usize| newest == Some(*at) || past.get(*at).is_some_and(|it| it.kind == Kind::Created || it.makes);
    (0..past.len()).filter(is_kept).collect()
}

/// The members that changed otherwise than by a change of status.
fn edited(resource: &Resource, known: &Known, fields: &BTreeMap<String, Fingerprint>, tells_step: bool) -> Vec<String> {
    // A step takes these with it: shipping closes quantities, a cancel has its reason.
    const WITH_A_STEP: [&str; 3] = ["items", "cancelReason", "cancelReasonCode"];
    let mut names = changed_fields(&known.fields, fields);
    let status = resource.statuses.as_ref().map(|statuses| statuses.member);
    names.retain(|name| {
        let name = name.as_str();
        Some(name) != status && name != "statusTimestamp" && !(tells_step && WITH_A_STEP.contains(&name))
    });
    names
}

impl<'a> Entity<'a> {
    fn read(feed: FeedName, json: &'a RawValue) -> Result<Self, Odd> {
        let resource = Resource::of(feed);
        let id = entity_id(feed, json)?;
        let members: Members<'a> = view(json)?;
        let stamp = members.get("modificationInfo").and_then(|stamp| serde_json::from_str(stamp.get()).ok());
        let stamp: ModificationInfo = stamp.unwrap_or_default();
        let status = resource.statuses.as_ref().and_then(|statuses| text(members.get(statuses.member)?));
        let mut entity = Self {
            resource,
            id,
            json,
            status,
            created_at: stamp.created_at,
            changed_at: stamp.changed_at(),
            is_deleted: stamp.is_deleted(),
            members,
            stamp,
        };
        if entity.created_at.is_none() {
            let first_step = || entity.stamped_steps().first().map(|(_, at)| *at);
            entity.created_at = match feed {
                FeedName::OutboundShipments => shipment::shipped_at(&entity),
                _ => first_step(),
            };
        }
        entity.changed_at = entity.changed_at.or(entity.created_at);
        Ok(entity)
    }

    /// Everything that the reading tells to have happened, oldest first.
    fn transitions(
        &self,
        scope: &Scope<'_>,
        changes: &[ReturnChange],
        known: Option<&Known>,
        is_stale: bool,
        fields: &BTreeMap<String, Fingerprint>,
    ) -> Vec<Transition> {
        let mut steps = self.steps(changes, known);
        let mut edits = self.edits(&steps, changes);
        if self.created_at.is_none() && edits.is_empty() && steps.is_empty() {
            return self.without_times(scope, known, fields);
        }
        let makes = self.step_tells_creation(&steps);
        let creation = self.created_at.filter(|_| !makes).map(|at| (at, self.creation_id(at)));
        self.name_steps(&mut steps, creation.as_ref().map(|(_, id)| id.clone()), known);
        if !is_stale && let Some(status) = self.untimed_status(scope, &steps, &edits, known) {
            steps.push(self.untimed_step(scope, status, &steps, &mut edits, known));
        }
        let creation = creation.map(|(at, id)| Transition::new(at, Kind::Created, id));
        let mut found: Vec<Transition> = creation.into_iter().collect();
        let untold = usize::from(self.begins_untold(&steps));
        for (index, step) in steps.into_iter().enumerate().skip(untold) {
            let inferred = step.inferred || self.status.as_ref() != Some(&step.status);
            found.push(Transition::reached(step, inferred, makes && index == 0));
        }
        let newest = edits.last().copied();
        let by_time: HashMap<i64, &ReturnChange> =
            changes.iter().rev().map(|change| (change.at.timestamp_millis(), change)).collect();
        for at in edits {
            let change = by_time.get(&at.timestamp_millis());
            let inferred = change.is_none() && newest != Some(at);
            let kind = Kind::Edit(change.map(|change| change.changed.clone()));
            found.push(Transition { inferred, ..Transition::new(at, kind, id_of(at)) });
        }
        self.tell_the_end(scope, known, &mut found);
        found.sort_by_key(|transition| (transition.at, transition.kind.rank()));
        found
    }

    /// Gives each step its id: that of its instant, or one that names the status as well where another change of the
    /// very same instant has that. Which status has it is remembered, so that the others may become known in any order.
    fn name_steps(&self, steps: &mut [Step], creation: Option<String>, known: Option<&Known>) {
        let reached: Vec<(i64, String)> =
            steps.iter().map(|step| (step.at.timestamp_millis(), step.status.clone())).collect();
        let mut taken: HashSet<String> = creation.into_iter().collect();
        let untold = usize::from(self.begins_untold(steps));
        for step in steps.iter_mut().skip(untold) {
            let others =
                reached.iter().filter(|(at, status)| *at == step.at.timestamp_millis() && *status != step.status);
            let is_other = |told: &str| others.clone().any(|(_, status)| status == told);
            let id = id_of(step.at);
            if taken.contains(&id) || known.is_some_and(|known| step.is_second(known, is_other)) {
                step.id = format!("{id}/{}", step.status);
            }
            taken.insert(step.id.clone());
        }
    }

    /// When a status was reached that FFN gives no time of: with the last change that nothing else explains.
    fn untimed_step(
        &self,
        scope: &Scope<'_>,
        status: String,
        steps: &[Step],
        edits: &mut Vec<DateTime<Utc>>,
        known: Option<&Known>,
    ) -> Step {
        let has_told = |id: &str| known.is_some_and(|known| known.has_told(id));
        let is_told = |at: &DateTime<Utc>| has_told(&id_of(*at));
        let candidates = edits.iter().filter(|edit| !is_told(edit)).count();
        let newest = edits.iter().rposition(|edit| !is_told(edit)).map(|newest| edits.remove(newest));
        let last = steps.last().filter(|last| !has_told(&last.id)).map(|last| last.status.clone());
        let previous = last.or_else(|| known.and_then(|known| known.status.clone()));
        let at = newest.or(self.changed_at).unwrap_or(scope.recorded_time);
        // The change at that time may have another event.
        let id = if newest.is_none() { format!("{}/{status}", id_of(at)) } else { id_of(at) };
        let inferred = candidates > 1 || (known.is_none() && newest.is_some());
        Step { id, inferred, ..Step::read(status, previous, at) }
    }

    /// Whether the status of a step is known to have been left before this reading.
    fn has_left(&self, step: &Transition, known: Option<&Known>) -> bool {
        let (Kind::Step { status, .. }, Some(known)) = (&step.kind, known) else { return false };
        let is_past = |last: DateTime<Utc>| last > step.at || (last == step.at && self.status.as_ref() != Some(status));
        known.status.as_ref() != Some(status) && known.changed_at.is_some_and(is_past)
    }

    /// Makes the newest change the end of an entity that is gone.
    fn tell_the_end(&self, scope: &Scope<'_>, known: Option<&Known>, found: &mut Vec<Transition>) {
        if !self.is_deleted || known.is_some_and(|known| known.deleted) || self.resource.deleted.is_none() {
            return;
        }
        let at = self.changed_at.unwrap_or(scope.recorded_time);
        let last = found.iter_mut().find(|it| matches!(it.kind, Kind::Edit(_)) && same_instant(it.at, at));
        match last {
            Some(last) => (last.kind, last.inferred) = (Kind::Deleted, false),
            None => {
                found.push(Transition::new(at, Kind::Deleted, format!("{}/deleted", id_of(at))));
            }
        }
    }

    /// What happened to an entity that FFN stamps with no time at all: that it differs is all that is known.
    fn without_times(
        &self,
        scope: &Scope<'_>,
        known: Option<&Known>,
        fields: &BTreeMap<String, Fingerprint>,
    ) -> Vec<Transition> {
        let at = scope.recorded_time;
        let print = fields.iter().map(|(name, print)| format!("{name}:{print:?}")).collect::<String>();
        let print = format!("{:?}", Fingerprint::of(&print));
        let one = |kind, id| vec![Transition { inferred: true, ..Transition::new(at, kind, id) }];
        match known {
            None => one(Kind::Created, "created".to_owned()),
            Some(known) if self.is_deleted && !known.deleted => one(Kind::Deleted, "deleted".to_owned()),
            Some(known) if known.fields == *fields => Vec::new(),
            Some(known) => match &self.status {
                Some(status) if known.status.as_ref() != Some(status) => {
                    one(Kind::Step { status: status.clone(), previous: known.status.clone() }, print)
                }
                _ => one(Kind::Edit(None), print),
            },
        }
    }

    /// The statuses with their times, oldest first, as far as FFN tells the times or the first is clear.
    fn steps(&self, changes: &[ReturnChange], known: Option<&Known>) -> Vec<Step> {
        let Some(statuses) = &self.resource.statuses else { return Vec::new() };
        let stamped = self.stamped_steps();
        let mut steps: Vec<Step> = Vec::new();
        if stamped.is_empty() {
            let reached = changes.iter().filter_map(|change| Some((change.at, change.state.as_ref()?)));
            let reached: Vec<Step> =
                reached.map(|(at, (status, previous))| Step::read(status.clone(), previous.clone(), at)).collect();
            steps.extend(self.first_step(statuses, &reached, known));
            // The change that made it says so as well.
            let made_at = steps.first().map(|first| first.at);
            steps.extend(reached.into_iter().filter(|step| made_at.is_none_or(|at| !same_instant(at, step.at))));
        }
        for (status, at) in stamped {
            let previous = steps.last().map(|step: &Step| step.status.clone());
            steps.push(Step { basis: Basis::Stamped, ..Step::read(status, previous, at) });
        }
        steps
    }

    /// The status that it began with, where only its creation has a time.
    fn first_step(&self, statuses: &Statuses, reached: &[Step], known: Option<&Known>) -> Option<Step> {
        let at = self.created_at?;
        let status = self.status.as_deref()?;
        let has_told = |id: &str| known.is_some_and(|known| known.has_told(id));
        // It began with the status that has no event, if only its creation was told.
        if has_told(&id_of(at)) || (statuses.silent.is_some() && has_told(&self.creation_id(at))) {
            return None;
        }
        let made = reached.iter().find(|step| same_instant(step.at, at)).map(|step| step.status.as_str());
        let before = reached.first().and_then(|step| step.previous.as_deref());
        let has_changed = self.stamp.change_times().any(|time| !same_instant(time, at));
        let is_still = !has_changed || statuses.silent == Some(status);
        let first = made.or(before).unwrap_or(if is_still { status } else { statuses.initial });
        Some(Step { basis: Basis::Assumed, ..Step::read(first.to_owned(), None, at) })
    }

    /// `statusTimestamp`: a status and when it was reached, oldest first (contract 10.1). Of several at the newest
    /// instant the present one is the last; otherwise they come as they follow each other by nature.
    fn stamped_steps(&self) -> Vec<(String, DateTime<Utc>)> {
        let Some(statuses) = &self.resource.statuses else { return Vec::new() };
        let stamps: Option<Members<'_>> =
            self.members.get("statusTimestamp").and_then(|stamps| serde_json::from_str(stamps.get()).ok());
        let stamps = stamps.into_iter().flatten();
        let mut steps: Vec<(String, DateTime<Utc>)> =
            stamps.filter_map(|(name, time)| Some((pascal(&name), parse_time(&text(time)?)?))).collect();
        let newest = steps.iter().map(|(_, at)| *at).max();
        let is_present = |status: &str, at| newest == Some(at) && self.status.as_deref() == Some(status);
        let rank = |status: &str| statuses.events.iter().position(|(name, _)| *name == status);
        steps.sort_by_cached_key(|(status, at)| (*at, is_present(status, *at), rank(status), status.clone()));
        steps
    }

    /// When it changed otherwise than by being made or reaching one of these statuses, oldest first.
    fn edits(&self, steps: &[Step], changes: &[ReturnChange]) -> Vec<DateTime<Utc>> {
        // By the millisecond, as changes are told apart; of the same one the first.
        let mut times: BTreeMap<i64, DateTime<Utc>> = BTreeMap::new();
        for at in self.stamp.change_times().chain(changes.iter().map(|change| change.at)) {
            times.entry(at.timestamp_millis()).and_modify(|first| *first = at.min(*first)).or_insert(at);
        }
        let is_creation = |at: DateTime<Utc>| self.created_at.is_some_and(|created_at| same_instant(created_at, at));
        times.retain(|_, at| !is_creation(*at));
        let mut unexplained: Vec<DateTime<Utc>> = steps.iter().map(|step| step.at).collect();
        unexplained.retain(|step| times.remove(&step.timestamp_millis()).is_none() && !is_creation(*step));
        // FFN may stamp a status and its change one after the other. A change explains one status.
        let reach = SAME_CHANGE.num_milliseconds();
        for step in unexplained {
            let millis = step.timestamp_millis();
            let around = times.range(millis.saturating_sub(reach)..=millis.saturating_add(reach));
            let near = around.map(|(key, at)| ((*at - step).abs(), *key)).min();
            if let Some((_, key)) = near.filter(|(apart, _)| *apart < SAME_CHANGE) {
                times.remove(&key);
            }
        }
        times.into_values().collect()
    }

    /// The present status, if it is news and FFN does not say when it was reached: it went back, or nobody
    /// knew it, or the entity has no such times.
    fn untimed_status(
        &self,
        scope: &Scope<'_>,
        steps: &[Step],
        edits: &[DateTime<Utc>],
        known: Option<&Known>,
    ) -> Option<String> {
        let status = self.status.as_ref().filter(|_| !self.is_deleted)?;
        if self.has_gone_back(scope, status, steps, edits, known) {
            return Some(status.clone());
        }
        let is_untold =
            |step: &Step| known.is_none_or(|known| !known.has_told(&step.id) && step.basis != Basis::Assumed);
        let told = usize::from(known.is_some() && self.begins_untold(steps));
        let has_time = steps.iter().skip(told).any(|step| step.status == *status && is_untold(step));
        let is_news = match known {
            Some(known) => known.status.as_ref() != Some(status),
            None => !steps.iter().any(|step| step.status == *status),
        };
        (is_news && !has_time).then(|| status.clone())
    }

    /// Whether it left a status, reached another one, came back and has kept its first time (contract 10.1): that other
    /// one is the newest with a time and news itself, and something has happened since. Nothing follows some statuses.
    fn has_gone_back(
        &self,
        scope: &Scope<'_>,
        status: &str,
        steps: &[Step],
        edits: &[DateTime<Utc>],
        known: Option<&Known>,
    ) -> bool {
        let Some(statuses) = &self.resource.statuses else { return false };
        let is_open = |status: &str| !statuses.closed.contains(&status);
        let is_news = |id: &str| known.is_none_or(|known| !known.has_told(id));
        let other = steps.last().filter(|last| last.basis == Basis::Stamped && last.status != status);
        other.is_some_and(|other| {
            is_open(status)
                && is_open(&other.status)
                && steps.iter().any(|step| step.status == status)
                && is_news(&other.id)
                // What there is at the start is told as it is, whatever led to it.
                && ((scope.telling.snapshot.is_some() && known.is_none())
                    || (scope.telling.includes(other.at) && edits.iter().any(|at| *at > other.at && is_news(&id_of(*at)))))
        })
    }

    /// Whether the event of the first status says that the entity was made.
    fn step_tells_creation(&self, steps: &[Step]) -> bool {
        let is_first = |step: &Step| self.created_at.is_some_and(|at| same_instant(at, step.at));
        self.creation_is_a_status() && steps.first().is_some_and(is_first)
    }

    /// Whether such an entity has no event of its creation but that of its first status.
    fn creation_is_a_status(&self) -> bool {
        let mut statuses = self.resource.statuses.iter().flat_map(|statuses| statuses.events);
        statuses.any(|(_, event)| *event == self.resource.created)
    }

    fn creation_id(&self, at: DateTime<Utc>) -> String {
        if self.creation_is_a_status() { id_of(at) } else { format!("created/{}", id_of(at)) }
    }

    /// Whether the first step has no event: it is what the entity began with, and that of the creation is enough.
    fn begins_untold(&self, steps: &[Step]) -> bool {
        let silent = self.resource.statuses.as_ref().and_then(|statuses| statuses.silent);
        let is_beginning = |step: &Step| {
            let began = self.created_at.is_some_and(|at| (step.at - at).abs() < SAME_CHANGE);
            began && step.basis != Basis::Change && silent == Some(step.status.as_str())
        };
        steps.first().is_some_and(is_beginning)
    }

    /// What a command that has caused an event of it can be found by.
    fn clue(&self, event: &str) -> Clue {
        let kind = self.resource.name;
        let named = |member: &'static str| Some(cause::name(kind, &text(self.members.get(member)?)?));
        Clue {
            change: format!("{kind}.{event}"),
            names: vec![self.resource.names().filter_map(named).collect()],
            part: None,
        }
    }

    fn data(&self, detail: Detail<'_>) -> Result<Box<RawValue>, Odd> {
        let named = |name: &&'static str| Some(((*name).to_owned(), text(self.members.get(*name)?)?.into()));
        let id = (self.resource.id.to_owned(), self.id.clone().into());
        to_raw(&EntityData {
            keys: std::iter::once(id).chain(self.resource.keys.iter().filter_map(named)).collect(),
            status: detail.status.map(str::to_owned),
            previous_status: detail.previous.map(str::to_owned),
            occurred_at: detail.at,
            inferred: detail.inferred,
            changed: detail.changed,
            snapshot: self.json.to_owned(),
        })
    }
}

/// A status that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    status: String,
    previous: Option<String>,
    at: DateTime<Utc>,
    /// What tells it from the entity's other changes.
    id: String,
    inferred: bool,
    basis: Basis,
}

/// How it is known that a status was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// From `statusTimestamp`.
    Stamped,
    /// From a change.
    Change,
    /// Only the creation has a time, and this is what an entity usually begins with.
    Assumed,
}

impl Step {
    fn read(status: String, previous: Option<String>, at: DateTime<Utc>) -> Self {
        Self { status, previous, at, id: id_of(at), inferred: false, basis: Basis::Change }
    }

    /// Whether the id of its instant is known to be that of another status; `is_other` tells those of that instant.
    fn is_second(&self, known: &Known, is_other: impl Fn(&str) -> bool) -> bool {
        let id = id_of(self.at);
        if self.basis != Basis::Stamped {
            return false;
        }
        if known.has_told(&format!("{id}/{}", self.status)) {
            return true;
        }
        match known.told_as(&id) {
            Some(status) => status != self.status,
            // Told by a version that did not note which status it was: most likely the one of that reading.
            None => known.has_told(&id) && known.status.as_deref().is_some_and(is_other),
        }
    }

    /// What is remembered when it has been told.
    fn memory(&self) -> String {
        entity::told_of(&self.id, &self.status)
    }
}

/// What tells a change from the others of its entity: when it was.
fn id_of(at: DateTime<Utc>) -> String {
    entity::id_part(at)
}

/// A member of `statusTimestamp` as the status it is the time of: `partiallyShipped`, `PartiallyShipped`.
fn pascal(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
