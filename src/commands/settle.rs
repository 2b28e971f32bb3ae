//! Finds out what became of a call whose outcome nobody knows, by asking FFN. The executor's other half.
//!
//! How is the operation's row's word ([`Settle`]). The guarantee: what this calls not done was not done when FFN was
//! asked; what it calls done is what the command asked for; and where FFN's answer leaves room for both, it says so.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::compare::{Difference, differences, may_be, shows_all};
use super::executor::{Outcome, failed, unknown_because};
use crate::domain::account::Role;
use crate::ffn::fields::Fields;
use crate::ffn::operations::{Key, Operation, Place, Same, Settle, State, Subject, Wanted, entries, path};
use crate::ffn::request::segment;
use crate::ffn::{Client, Error, lookup, users};
use crate::schema::result::{CommandError, ErrorCode, FieldError};

/// How far FFN's own times of one moment may lie apart.
const TOLERANCE: TimeDelta = TimeDelta::seconds(2);
/// Why something that is there does not tell.
const LIKE: &str = "FFN has one like it, which may be of this command or not";
/// The look-ups' name in metrics, logs and errors.
const LOOKUP: &str = "command.settle";

/// A command whose outcome is looked for.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The account's API.
    pub client: &'a Client,
    /// What was called.
    pub operation: &'static Operation,
    /// With what.
    pub fields: &'a Fields,
    /// When the command came first; `None` if that is not known.
    pub arrived_at: Option<DateTime<Utc>>,
    /// Whether an earlier try had the same ids of the bridge's own making.
    pub knows_own_ids: bool,
    /// The first request may still be running at FFN: how long to wait before each of two looks.
    pub delay: Duration,
}

/// What looking brought.
pub enum Settled {
    /// It is done, or something else is in its place.
    Ended(Outcome),
    /// It is not done: it can be sent.
    NotDone,
    /// It can be sent again whether it was done or not; the answer will tell.
    SendAgain,
    /// Of a list this is not done.
    Rest(Fields),
}

impl Case<'_> {
    /// When the command came, on FFN's clock: that is known once FFN has answered something.
    fn since(&self) -> Option<DateTime<Utc>> {
        self.arrived_at.map(|at| self.client.server_time_of(at) - TOLERANCE)
    }

    /// Finds out what became of earlier tries.
    ///
    /// # Errors
    /// FFN could not be asked.
    pub async fn settle(&self) -> Result<Settled, Error> {
        match self.operation.settle {
            Settle::Repeatable => Ok(Settled::NotDone),
            Settle::Told { .. } => Ok(Settled::SendAgain),
            Settle::State(state) => match self.look_at(&state).await? {
                Some(outcome) => Ok(Settled::Ended(outcome)),
                None => Ok(Settled::NotDone),
            },
            Settle::Key(_) | Settle::Ledger { .. } => self.look_twice().await,
            Settle::ReadBack { path } => {
                let Some(found) = self.read(path).await? else { return Ok(Settled::SendAgain) };
                let is_done = shows_all(&members(&found)?, &self.body()?);
                Ok(if is_done { Settled::Ended(self.done(&found, null())) } else { Settled::SendAgain })
            }
            Settle::EachStatus => self.look_at_each().await,
            Settle::Nothing => Ok(Settled::Ended(unknown_because("FFN shows nothing that would tell".to_owned()))),
        }
    }

    /// FFN says that it is there already: finds it and compares it with what was asked.
    ///
    /// # Errors
    /// FFN could not be asked.
    pub async fn settle_existing(&self, key: &Key, refusal: Error) -> Result<Outcome, Error> {
        if let Some((fact, template)) = key.named
            && let Some(id) = refusal.refusal().and_then(|refusal| refusal.metadata(fact))
            && let Some(segment) = segment(id)
            && let Some(found) = lookup::object(self.client, LOOKUP, &template.replace("{}", &segment)).await?
            && self.is_keyed(key, &members(&found)?)
            && !has(&members(&found)?, key.dead)
        {
            return Ok(with_code(self.judge(key, &found)?, &refusal));
        }
        for _ in 0..2 {
            if let Settled::Ended(outcome) = self.find(key).await? {
                return Ok(with_code(outcome, &refusal));
            }
            tokio::time::sleep(self.delay).await;
        }
        // FFN refuses it as a repetition, yet shows nothing: a person has to look.
        Ok(failed(&refusal, true))
    }

    /// Whether the object has reached the state.
    ///
    /// # Errors
    /// FFN could not be asked.
    pub async fn look_at(&self, state: &State) -> Result<Option<Outcome>, Error> {
        let Some(found) = self.read(state.path).await? else { return Ok(None) };
        let found_members = members(&found)?;
        let shown = found_members.text(state.field);
        let is_done = match state.wanted {
            Wanted::Is(value) => shown.as_deref() == Some(value),
            Wanted::Asked(member) => shown.is_some() && shown == self.fields.text(member),
            Wanted::Reached(member) => {
                self.fields.text(member).is_some_and(|status| self.has_reached(&found_members, &status))
            }
            Wanted::LockedByMe => match holder(&found_members, state.field) {
                Some(holder) => holder == users::current_user(self.client).await?.id,
                None => false,
            },
            Wanted::Unlocked => holder(&found_members, state.field).is_none(),
        };
        let is_done = is_done && !self.is_another_of_the_number(&found_members).await?;
        Ok(is_done.then(|| self.done(&found, null())))
    }

    /// Whether a canceled order was found by a number that was used again: a path may mean either (contract 18, 8).
    async fn is_another_of_the_number(&self, found: &Fields) -> Result<bool, Error> {
        let given = self.fields.text("outboundId").filter(|_| self.client.role() == Role::Merchant);
        let Some(number) = given.filter(|given| found.text("outboundId").as_ref() != Some(given)) else {
            return Ok(false);
        };
        if found.text("status").as_deref() != Some("Canceled") {
            return Ok(false);
        }
        let rows = lookup::find(self.client, LOOKUP, "outbounds", "merchantOutboundNumber", &number).await?;
        let rows = rows.iter().map(|row| members(row)).collect::<Result<Vec<_>, _>>()?;
        Ok(rows.iter().any(|row| row.text("status").as_deref() != Some("Canceled")))
    }

    /// Whether an order is in this status or has been since the command came (contract 10.1, `statusTimestamp`).
    fn has_reached(&self, order: &Fields, status: &str) -> bool {
        if order.text("status").as_deref() == Some(status) {
            return true;
        }
        let mut name = status.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let stamps = order.get("statusTimestamp").and_then(|stamps| serde_json::from_str::<Fields>(stamps.get()).ok());
        let at = stamps.and_then(|stamps| DateTime::parse_from_rfc3339(&stamps.text(&name)?).ok());
        at.zip(self.since()).is_some_and(|(at, since)| at.to_utc() >= since)
    }

    /// Reads each order of a list of changes of status.
    async fn look_at_each(&self) -> Result<Settled, Error> {
        let asked = entries(self.fields, "items").map_err(|reason| self.unsendable(reason))?;
        let mut rest = Vec::new();
        for entry in &asked {
            if !self.is_reached(entry).await? {
                rest.push(entry.clone());
            }
        }
        if rest.is_empty() {
            let reached: Vec<Fields> = asked.iter().map(|entry| entry.only(&["outboundId", "status"])).collect();
            let response = serde_json::value::to_raw_value(&reached).unwrap_or_else(|_| null());
            return Ok(Settled::Ended(Outcome::Done { subject: None, reconciled: true, response }));
        }
        let rest = serde_json::value::to_raw_value(&rest).map_err(|error| self.unsendable(error.to_string()))?;
        Ok(Settled::Rest(self.fields.with("items", rest)))
    }

    async fn is_reached(&self, entry: &Fields) -> Result<bool, Error> {
        let path = path(self.client, self.operation.name, "outbounds/{outboundId}", entry).await?;
        let Some(found) = lookup::object(self.client, LOOKUP, &path).await? else { return Ok(false) };
        let found = members(&found)?;
        Ok(entry.text("status").is_some_and(|status| self.has_reached(&found, &status)))
    }

    /// What FFN's answer to a list of changes of status says: it holds a code for each that failed, and may leave
    /// some out, which are read (contract 10.6).
    ///
    /// # Errors
    /// FFN could not be asked.
    pub async fn judge_each(&self, answer: &[u8]) -> Result<Outcome, Error> {
        let told: Vec<Fields> = serde_json::from_slice(answer).unwrap_or_default();
        let asked = entries(self.fields, "items").map_err(|reason| self.unsendable(reason))?;
        let (mut faults, mut all_forbidden) = (Vec::new(), true);
        let mut told: Vec<Option<Fields>> = told.into_iter().map(Some).collect();
        for (index, entry) in asked.iter().enumerate() {
            let id = entry.text("outboundId");
            // An order may be there twice: its entries are answered in their order.
            let is_about = |row: &&mut Option<Fields>| row.as_ref().is_some_and(|row| row.text("outboundId") == id);
            let about = told.iter_mut().find(is_about).and_then(Option::take);
            let code = about.as_ref().and_then(|row| row.text("errorCode"));
            if about.is_some() && code.is_none() || self.is_reached(entry).await? {
                continue;
            }
            let said = code.unwrap_or_else(|| "FFN's answer leaves it out, and its status is another".to_owned());
            all_forbidden &= said.ends_with("StatusChangeForbidden");
            faults.push(FieldError { path: format!("items[{index}]"), message: said });
        }
        if faults.is_empty() {
            let response = serde_json::from_slice(answer).unwrap_or_else(|_| null());
            return Ok(Outcome::Done { subject: None, reconciled: false, response });
        }
        let error = CommandError {
            code: if all_forbidden { ErrorCode::Conflict } else { ErrorCode::Rejected },
            message: format!("{} of {} orders did not get their status", faults.len(), asked.len()),
            retryable: false,
            http_status: Some(200),
            ffn_error_code: None,
            fields: faults,
        };
        Ok(Outcome::Failed { error, reconciled: false })
    }

    /// Looks for what was made, twice, each time after a pause: the first request may still be running.
    async fn look_twice(&self) -> Result<Settled, Error> {
        for _ in 0..2 {
            tokio::time::sleep(self.delay).await;
            let settled = match self.operation.settle {
                Settle::Key(key) => self.find(&key).await?,
                Settle::Ledger { answer } => self.find_entries(answer).await?,
                _ => return Ok(Settled::NotDone),
            };
            if matches!(settled, Settled::Ended(_)) {
                return Ok(settled);
            }
        }
        Ok(Settled::NotDone)
    }

    /// Looks for the object by its key. Without one its like may be another command's: only its absence tells.
    async fn find(&self, key: &Key) -> Result<Settled, Error> {
        let number = key.members.first().and_then(|(asked, row)| Some((*row, self.fields.text(asked)?)));
        for row in self.rows(key, number.as_ref()).await? {
            let found = members(&row)?;
            if has(&found, key.other) || has(&found, key.dead) {
                continue;
            }
            if number.is_none() && may_be(key.same, &found, self.fields) {
                return Ok(Settled::Ended(unknown_because(LIKE.to_owned())));
            }
            if number.is_some() && self.is_keyed(key, &found) {
                return self.judge(key, &row).map(Settled::Ended);
            }
        }
        Ok(Settled::NotDone)
    }

    /// The rows that may be the object.
    async fn rows(&self, key: &Key, number: Option<&(&'static str, String)>) -> Result<Vec<Box<RawValue>>, Error> {
        match key.place {
            Place::List(list) => match number {
                Some((member, value)) => lookup::find(self.client, LOOKUP, list, member, value).await,
                None => lookup::all(self.client, LOOKUP, list, None).await,
            },
            Place::Children(template) => {
                let path = path(self.client, self.operation.name, template, self.fields).await?;
                lookup::children(self.client, LOOKUP, &path).await
            }
            Place::Within { path, member } => {
                let Some(object) = self.read(path).await? else { return Ok(Vec::new()) };
                let rows = members(&object)?;
                let rows = rows.get(member).map(|rows| serde_json::from_str(rows.get()));
                rows.transpose().map(Option::unwrap_or_default).map_err(|_| unreadable("its rows are no list"))
            }
        }
    }

    /// Whether a row has the whole key that the command gives.
    fn is_keyed(&self, key: &Key, row: &Fields) -> bool {
        key.members.iter().all(|(asked, held)| self.fields.text(asked) == row.text(held))
    }

    /// What was found under the key is what was asked for, or stands in its way.
    fn judge(&self, key: &Key, found: &RawValue) -> Result<Outcome, Error> {
        let differences = differences(key.same, &members(found)?, &self.body()?);
        if differences.is_empty() {
            return Ok(self.done(found, found.to_owned()));
        }
        let number = key.members.first().map_or("number", |(asked, _)| asked);
        Ok(self.conflict(number, differences))
    }

    fn conflict(&self, number: &str, differences: Vec<Difference>) -> Outcome {
        let field = |Difference { path, found }| FieldError { path, message: format!("is {found} at FFN") };
        let resource = self.operation.name.split('.').next().unwrap_or_default();
        let error = CommandError {
            code: ErrorCode::Conflict,
            message: format!("FFN holds another {resource} under this {number}"),
            retryable: false,
            http_status: None,
            ffn_error_code: None,
            fields: differences.into_iter().map(field).collect(),
        };
        Outcome::Failed { error, reconciled: true }
    }

    /// Looks for the entries of the stock ledger with the command's own ids (contract 11 and 14).
    async fn find_entries(&self, answer: Option<&'static str>) -> Result<Settled, Error> {
        if !self.knows_own_ids {
            let why = "it came again without a message_id and without a fulfillerStockChangeId".to_owned();
            return Ok(Settled::Ended(unknown_because(why)));
        }
        let own = self.operation.own_ids(self.fields).map_err(|reason| self.unsendable(reason))?;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (id, entry) in &own {
            let rows = lookup::find(self.client, LOOKUP, "stocks/changes", "fulfillerStockChangeId", id).await?;
            let Some(row) = rows.into_iter().next() else {
                missing.push(id.clone());
                continue;
            };
            let held = members(&row)?;
            let place = held.get("stockChangeId").and_then(|id| serde_json::from_str::<Fields>(id.get()).ok());
            let place = place.unwrap_or_default();
            let mut others = differences(&[Same::Member("quantity"), Same::Member("quantityBlocked")], &held, entry);
            let same_place = [Same::Member("warehouseId"), Same::Member("jfsku")];
            let given = if entry.get("jfsku").is_some() { &same_place[..] } else { &same_place[..1] };
            others.extend(differences(given, &place, entry));
            if !others.is_empty() {
                return Ok(Settled::Ended(self.conflict("fulfillerStockChangeId", others)));
            }
            found.push(row);
        }
        let Some(first) = found.into_iter().next() else { return Ok(Settled::NotDone) };
        if !missing.is_empty() {
            let why = format!("FFN has booked a part of it, but not {}", missing.join(", "));
            return Ok(Settled::Ended(unknown_because(why)));
        }
        let response = match answer {
            Some(path) => self.read(path).await?.unwrap_or_else(null),
            None => first,
        };
        let whole = response.clone();
        Ok(Settled::Ended(self.done(&whole, response)))
    }

    /// What was asked for, without what stands in the path or the query.
    fn body(&self) -> Result<Fields, Error> {
        let parts = self.operation.split(self.fields).map_err(|reason| self.unsendable(reason))?;
        let body = parts.body.map(|body| serde_json::from_slice(&body)).transpose();
        body.map(Option::unwrap_or_default).map_err(|error| self.unsendable(error.to_string()))
    }

    async fn read(&self, template: &'static str) -> Result<Option<Box<RawValue>>, Error> {
        let path = path(self.client, self.operation.name, template, self.fields).await?;
        lookup::object(self.client, LOOKUP, &path).await
    }

    /// It is done; `found` is the object.
    fn done(&self, found: &RawValue, response: Box<RawValue>) -> Outcome {
        let held = |member: &str| serde_json::from_str::<Fields>(found.get()).ok()?.text(member);
        let subject = match self.operation.subject {
            Subject::Answer(member) | Subject::Member(member) => held(member).or_else(|| self.fields.text(member)),
            Subject::None => None,
        };
        Outcome::Done { subject, reconciled: true, response }
    }

    fn unsendable(&self, reason: String) -> Error {
        Error::Unsendable { operation: self.operation.name, reason }
    }
}

/// A failure with FFN's own code beside it.
fn with_code(outcome: Outcome, refusal: &Error) -> Outcome {
    match outcome {
        Outcome::Failed { mut error, reconciled } => {
            error.http_status = refusal.status().map(|status| status.as_u16());
            error.ffn_error_code = refusal.code().map(str::to_owned);
            Outcome::Failed { error, reconciled }
        }
        other => other,
    }
}

/// Whether a row has this member with this value.
fn has(row: &Fields, what: Option<(&str, &str)>) -> bool {
    what.is_some_and(|(member, value)| row.text(member).as_deref() == Some(value))
}

/// Who holds a lock, if it is held (contract 12).
fn holder(object: &Fields, field: &str) -> Option<String> {
    let lock: Fields = serde_json::from_str(object.get(field)?.get()).ok()?;
    lock.text("lockedByUserId")
}

fn members(object: &RawValue) -> Result<Fields, Error> {
    serde_json::from_str(object.get()).map_err(|_| unreadable("it is no object"))
}

fn unreadable(reason: &str) -> Error {
    Error::Unreadable { operation: LOOKUP, reason: reason.to_owned() }
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}
