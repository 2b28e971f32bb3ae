//! What a command of an operation may bring about, as the change feeds will show it: a column of the table.
//!
//! It is written down before the call, so that events can name the command that they came from.

use super::{Lane, Operation, Subject, entries};
use crate::domain::cause::{Effect, name};
use crate::domain::resource::OUTBOUND;
use crate::ffn::fields::Fields;

/// Something that an operation may bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brings {
    /// What it happens to.
    pub to: To,
    /// What happens: `outbound.canceled`; of the stock's ledger with FFN's word, `stock.ReservationCanceled`.
    pub changes: &'static [&'static str],
    /// Only if the command has one of these members; none: always.
    pub given: &'static [&'static str],
    /// The status that an order is to reach: that happens, too.
    pub status: Option<Reach>,
}

/// A status that an order is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The member that holds it.
    pub member: &'static str,
    /// What it is where the command does not say.
    pub default: Option<&'static str>,
}

/// What an effect happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// An entity that the command names with one of these members, or FFN's answer.
    Entity(Lane),
    /// One for each entry of a list.
    EachOf {
        /// The list.
        list: &'static str,
        /// The members of an entry.
        entity: Lane,
    },
    /// The entries of the stock's ledger that have the command's own ids.
    OwnIds,
}

/// Changes of an entity.
pub(super) const fn to(entity: Lane, changes: &'static [&'static str]) -> Brings {
    Brings { to: To::Entity(entity), changes, given: &[], status: None }
}

/// The same, if the command has one of these members.
pub(super) const fn to_if(given: &'static [&'static str], entity: Lane, changes: &'static [&'static str]) -> Brings {
    Brings { given, ..to(entity, changes) }
}

/// Entries of the ledger.
pub(super) const fn booked(changes: &'static [&'static str]) -> Brings {
    Brings { to: To::OwnIds, changes, given: &[], status: None }
}

impl Brings {
    fn of(&self, entity: Option<String>, fields: &Fields) -> Effect {
        let mut changes: Vec<String> = self.changes.iter().map(|&change| change.to_owned()).collect();
        let reached = |reach: Reach| fields.text(reach.member).or(reach.default.map(str::to_owned));
        if let Some(event) = self.status.and_then(reached).and_then(|status| OUTBOUND.event_of(&status)) {
            changes.push(format!("{}.{event}", OUTBOUND.name));
            let entry = with_status(event).filter(|entry| !self.changes.contains(entry));
            changes.extend(entry.map(str::to_owned));
        }
        Effect { name: entity, changes }
    }
}

/// What the ledger has of a status.
fn with_status(event: &str) -> Option<&'static str> {
    match event {
        "pending" => Some("stock.Reservation"),
        "canceled" | "partially-canceled" => Some("stock.ReservationCanceled"),
        _ => None,
    }
}

impl Lane {
    fn name(&self, fields: &Fields) -> Option<String> {
        let value = self.members.iter().find_map(|member| fields.text(member))?;
        Some(name(self.resource, &value))
    }
}

impl Operation {
    /// What a command may bring about: always as many and in the same order. `own_id` makes the n-th id of the
    /// bridge's own; `subject` is the entity that FFN's answer names, once it is there.
    pub fn effects(&self, fields: &Fields, own_id: impl Fn(usize) -> String, subject: Option<&str>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let is_asked = |brings: &&Brings| {
            brings.given.is_empty() || brings.given.iter().any(|member| fields.get(member).is_some())
        };
        for brings in self.brings.iter().filter(is_asked) {
            match brings.to {
                To::Entity(entity) => {
                    let is_answer = |member: &&str| entity.members.contains(member) && fields.text(member).is_none();
                    let answered = match self.subject {
                        Subject::Answer(member) => Some(member).filter(is_answer).and(subject),
                        Subject::Member(_) | Subject::None => None,
                    };
                    let named = answered.map(|id| name(entity.resource, id)).or_else(|| entity.name(fields));
                    effects.push(brings.of(named, fields));
                }
                To::EachOf { list, entity } => {
                    let each = entries(fields, list).unwrap_or_default();
                    effects.extend(each.iter().map(|entry| brings.of(entity.name(entry), entry)));
                }
                To::OwnIds => {
                    let own = self.with_own_ids(fields, &own_id).and_then(|fields| self.own_ids(&fields));
                    let own = own.unwrap_or_default();
                    effects.extend(own.iter().map(|(id, entry)| brings.of(Some(name("stock-change", id)), entry)));
                }
            }
        }
        effects
    }
}
