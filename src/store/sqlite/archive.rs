//! The journal as a record of the past, in SQLite.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::journal::{corrupt, journal_rows};
use super::thread::{Access, Fault};
use crate::domain::message::Lane;
use crate::store::{Archive, Ends, JournalRow, Pending, Selection, Survey};

/// What the keys of the events' lanes begin with.
pub(super) const EVENTS: &str = "events:";

impl Archive for Sqlite {
    fn accounts(&self) -> Pending<'_, Vec<String>> {
        Box::pin(self.handle.call(Access::Read, "read the lanes", |connection| {
            let lanes = lanes(connection)?;
            Ok(lanes.iter().filter_map(|lane| lane.strip_prefix(EVENTS)).map(str::to_owned).collect())
        }))
    }

    fn survey(&self, selection: Selection) -> Pending<'_, Survey> {
        Box::pin(self.handle.call(Access::Read, "count what was published", move |connection| {
            let wanted: Vec<String> =
                selection.accounts.iter().map(|account| Lane::Events(account.clone()).key()).collect();
            let mut confirmed = connection.prepare_cached("SELECT confirmed FROM lanes WHERE lane = ?1")?;
            let mut ends = BTreeMap::new();
            for lane in lanes(connection)? {
                if lane.starts_with(EVENTS) && (wanted.is_empty() || wanted.contains(&lane)) {
                    let end: Option<i64> = confirmed.query_row([&lane], |row| row.get(0)).optional()?;
                    ends.insert(lane, end.unwrap_or(0));
                }
            }
            let mut survey = Survey { ends: Ends(ends), ..Survey::default() };
            let mut count = connection.prepare_cached(
                "SELECT message_type, exchange, position <= ends.value, COUNT(*)
                 FROM journal CROSS JOIN json_each(?1) AS ends ON ends.key = lane
                 WHERE event_time >= ?2 AND event_time < ?3
                   AND (?4 = '[]' OR EXISTS (SELECT 1 FROM json_each(?4) AS types WHERE message_type GLOB types.value))
                 GROUP BY 1, 2, 3",
            )?;
            let Terms { ends, since, until, types } = Terms::of(&selection, &survey.ends)?;
            let mut rows = count.query(params![ends, since, until, types])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(3)?;
                let number = u64::try_from(number).unwrap_or(0);
                if !row.get::<_, bool>(2)? {
                    survey.waiting += number;
                    continue;
                }
                *survey.types.entry(row.get(0)?).or_default() += number;
                let exchange = row.get(1)?;
                if !survey.exchanges.contains(&exchange) {
                    survey.exchanges.push(exchange);
                }
            }
            Ok(survey)
        }))
    }

    fn published(&self, selection: Selection, ends: Ends, position: i64, limit: usize) -> Pending<'_, Vec<JournalRow>> {
        Box::pin(self.handle.call(Access::Read, "read what was published", move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            // The journal comes first and is read by position, so that a page ends at its limit: lane by lane
            // every page would sort all that is left.
            let mut select = connection.prepare_cached(
                "SELECT position, event_time, exchange, routing_key, message_id, message_type, content_type,
                        correlation_id, timestamp, headers, body
                 FROM journal CROSS JOIN json_each(?1) AS ends ON ends.key = +lane AND position <= ends.value
                 WHERE event_time >= ?2 AND event_time < ?3
                   AND (?4 = '[]' OR EXISTS (SELECT 1 FROM json_each(?4) AS types WHERE message_type GLOB types.value))
                   AND position > ?5
                 ORDER BY position LIMIT ?6",
            )?;
            let Terms { ends, since, until, types } = Terms::of(&selection, &ends)?;
            journal_rows(select.query(params![ends, since, until, types, position, limit])?)
        }))
    }
}

/// A selection as the statements take it.
struct Terms {
    /// JSON: lanes with their ends.
    ends: String,
    since: i64,
    until: i64,
    /// JSON: patterns as `GLOB` takes them.
    types: String,
}

impl Terms {
    fn of(selection: &Selection, ends: &Ends) -> Result<Self, Fault> {
        // Of what means something to `GLOB` only the `*` does here.
        let patterns: Vec<String> =
            selection.types.iter().map(|pattern| pattern.replace('[', "[[]").replace('?', "[?]")).collect();
        Ok(Self {
            ends: serde_json::to_string(ends).map_err(corrupt("a selection"))?,
            since: selection.since.map_or(i64::MIN, |time| time.timestamp_millis()),
            until: selection.until.map_or(i64::MAX, |time| time.timestamp_millis()),
            types: serde_json::to_string(&patterns).map_err(corrupt("a selection"))?,
        })
    }
}

/// Every lane that has rows: from lane to lane by the index.
pub(super) fn lanes(connection: &Connection) -> Result<Vec<String>, Fault> {
    let mut next = connection.prepare_cached("SELECT MIN(lane) FROM journal WHERE lane > ?1")?;
    let mut lanes: Vec<String> = Vec::new();
    while let Some(lane) =
        next.query_row([lanes.last().map_or("", String::as_str)], |row| row.get::<_, Option<String>>(0))?
    {
        lanes.push(lane);
    }
    Ok(lanes)
}
