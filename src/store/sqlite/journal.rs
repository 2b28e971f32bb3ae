//! The journal in SQLite.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Rows, params};
use tokio::sync::watch;
use uuid::Uuid;

use super::Sqlite;
use super::causes;
use super::thread::{Access, Fault};
use crate::domain::account::AccountName;
use crate::domain::entity::Known;
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::listing::{Listing, Purpose};
use crate::domain::message::{Destination, Draft, Lane, Message};
use crate::store::{Append, Appended, Backlog, Error, Journal, JournalRow, KnownEntity, Parked, Pending};

/// Bytes of bodies after which reading stops for now: few large messages at a time, or many small ones.
const READ_BYTES: usize = 4 * 1024 * 1024;

impl Journal for Sqlite {
    fn checkpoint<'a>(&'a self, account: &'a AccountName, feed: FeedName) -> Pending<'a, Option<Checkpoint>> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Read, "read a checkpoint", move |connection| {
            let row = connection
                .prepare_cached(
                    "SELECT started_at, position, snapshot, again FROM checkpoints WHERE account = ?1 AND feed = ?2",
                )?
                .query_row((account, feed.as_str()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            row.map(|(started_at, position, with_snapshot, again): (i64, i64, bool, Option<String>)| {
                let again = again.map(|again| serde_json::from_str(&again).map_err(corrupt("a checkpoint")));
                let (started_at, position) = (instant(started_at)?, instant(position)?);
                Ok(Checkpoint { started_at, position, with_snapshot, again: again.transpose()? })
            })
            .transpose()
        }))
    }

    fn go_back<'a>(&'a self, account: &'a AccountName, feed: FeedName, to: Checkpoint) -> Pending<'a, ()> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Write, "set a checkpoint back", move |connection| {
            let again = to.again.map(|again| serde_json::to_string(&again)).transpose();
            connection
                .prepare_cached(
                    "UPDATE checkpoints SET started_at = ?3, position = ?4, again = ?5 WHERE account = ?1 AND feed = ?2",
                )?
                .execute(params![
                    account,
                    feed.as_str(),
                    to.started_at.timestamp_millis(),
                    to.position.timestamp_millis(),
                    again.map_err(corrupt("a checkpoint"))?,
                ])?;
            Ok(())
        }))
    }

    fn known<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        ids: Vec<String>,
    ) -> Pending<'a, HashMap<String, Known>> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Read, "read what is known", move |connection| {
            let mut select =
                connection.prepare_cached("SELECT known FROM entities WHERE account = ?1 AND feed = ?2 AND id = ?3")?;
            let mut found = HashMap::with_capacity(ids.len());
            for id in ids {
                let json: Option<String> =
                    select.query_row((&account, feed.as_str(), &id), |row| row.get(0)).optional()?;
                if let Some(json) = json {
                    let known = serde_json::from_str(&json).map_err(corrupt("an entity"))?;
                    found.insert(id, known);
                }
            }
            Ok(found)
        }))
    }

    fn known_after<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        id: String,
        limit: usize,
    ) -> Pending<'a, Vec<(String, Known)>> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Read, "read what is known", move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut select = connection.prepare_cached(
                "SELECT id, known FROM entities WHERE account = ?1 AND feed = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            )?;
            entities(select.query((account, feed.as_str(), id, limit))?)
        }))
    }

    fn listing<'a>(
        &'a self,
        account: &'a AccountName,
        feed: FeedName,
        purpose: Purpose,
    ) -> Pending<'a, Option<Listing>> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Read, "read how far a list is", move |connection| {
            let state: Option<String> = connection
                .prepare_cached("SELECT state FROM listings WHERE account = ?1 AND feed = ?2 AND purpose = ?3")?
                .query_row((account, feed.as_str(), purpose.as_str()), |row| row.get(0))
                .optional()?;
            state.map(|state| serde_json::from_str(&state).map_err(corrupt("a listing"))).transpose()
        }))
    }

    fn event_time(&self, id: Uuid) -> Pending<'_, Option<DateTime<Utc>>> {
        Box::pin(self.handle.call(Access::Read, "look for an event", move |connection| {
            let time: Option<i64> = connection
                .prepare_cached("SELECT event_time FROM journal WHERE unique_id = ?1")?
                .query_row([id.as_bytes().to_vec()], |row| row.get(0))
                .optional()?;
            time.map(instant).transpose()
        }))
    }

    fn held(&self, ids: Vec<Uuid>) -> Pending<'_, HashSet<Uuid>> {
        Box::pin(self.handle.call(Access::Read, "look for events", move |connection| {
            let mut exists = connection.prepare_cached("SELECT 1 FROM journal WHERE unique_id = ?1")?;
            let mut held = HashSet::new();
            for id in ids {
                if exists.exists([id.as_bytes().to_vec()])? {
                    held.insert(id);
                }
            }
            Ok(held)
        }))
    }

    fn holes<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Vec<(String, Known)>> {
        let account = account.to_string();
        Box::pin(self.handle.call(Access::Read, "look for holes", move |connection| {
            let mut select = connection.prepare_cached(
                // Only a ledger with a hole has read ahead of it.
                r#"SELECT id, known FROM entities
                   WHERE account = ?1 AND feed = ?2 AND (known LIKE '%"ahead":%' OR known LIKE '%"first":%')"#,
            )?;
            entities(select.query((account, FeedName::Stocks.as_str()))?)
        }))
    }

    fn append(&self, append: Append) -> Pending<'_, Appended> {
        Box::pin(async move {
            let announce = !append.drafts.is_empty();
            let appended = self
                .handle
                .call(Access::Write, "append to the journal", move |connection| {
                    let events = insert(connection, append.drafts)?;
                    for entity in append.known {
                        remember(connection, &entity)?;
                    }
                    let mut parked = Vec::new();
                    for item in append.parked {
                        if park(connection, &item)? {
                            parked.push(item);
                        }
                    }
                    for id in append.unparked {
                        connection.prepare_cached("DELETE FROM parked WHERE id = ?1")?.execute([id])?;
                    }
                    if let Some((account, feed, checkpoint)) = append.checkpoint {
                        let again = checkpoint.again.map(|again| serde_json::to_string(&again)).transpose();
                        connection
                            .prepare_cached(
                                "INSERT INTO checkpoints (account, feed, started_at, position, snapshot, again)
                                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                                 ON CONFLICT DO UPDATE SET position = excluded.position, again = excluded.again
                                 WHERE excluded.position >= position",
                            )?
                            .execute(params![
                                account.as_str(),
                                feed.as_str(),
                                checkpoint.started_at.timestamp_millis(),
                                checkpoint.position.timestamp_millis(),
                                checkpoint.with_snapshot,
                                again.map_err(corrupt("a checkpoint"))?,
                            ])?;
                    }
                    if let Some((account, feed, purpose, listing)) = append.listing {
                        let state = serde_json::to_string(&listing).map_err(corrupt("a listing"))?;
                        connection
                            .prepare_cached(
                                "INSERT INTO listings (account, feed, purpose, state) VALUES (?1, ?2, ?3, ?4)
                                 ON CONFLICT DO UPDATE SET state = excluded.state",
                            )?
                            .execute((account.as_str(), feed.as_str(), purpose.as_str(), state))?;
                    }
                    Ok(Appended { events, parked })
                })
                .await?;
            if announce {
                self.announce();
            }
            Ok(appended)
        })
    }

    fn rows_after<'a>(&'a self, lane: &'a Lane, position: i64, limit: usize) -> Pending<'a, Vec<JournalRow>> {
        let lane = lane.key();
        Box::pin(self.handle.call(Access::Read, "read the journal", move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut select = connection.prepare_cached(
                "SELECT position, event_time, exchange, routing_key, message_id, message_type, content_type,
                        correlation_id, timestamp, headers, body
                 FROM journal WHERE lane = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
            )?;
            journal_rows(select.query((lane, position, limit))?)
        }))
    }

    fn confirmed<'a>(&'a self, lane: &'a Lane) -> Pending<'a, i64> {
        let lane = lane.key();
        Box::pin(self.handle.call(Access::Read, "read a lane", move |connection| {
            let confirmed = connection
                .prepare_cached("SELECT confirmed FROM lanes WHERE lane = ?1")?
                .query_row([lane], |row| row.get(0))
                .optional()?;
            Ok(confirmed.unwrap_or(0))
        }))
    }

    fn confirm<'a>(&'a self, lane: &'a Lane, position: i64, unroutable: Vec<i64>) -> Pending<'a, ()> {
        let lane = lane.key();
        Box::pin(self.handle.call(Access::Write, "record a confirm", move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO lanes (lane, confirmed) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET confirmed = MAX(confirmed, excluded.confirmed)",
                )?
                .execute((lane, position))?;
            let mut mark = connection.prepare_cached("UPDATE journal SET unroutable = 1 WHERE position = ?1")?;
            for position in unroutable {
                mark.execute([position])?;
            }
            Ok(())
        }))
    }

    fn backlog(&self) -> Pending<'_, Vec<Backlog>> {
        Box::pin(self.handle.call(Access::Read, "count what waits", |connection| {
            let mut lanes = connection.prepare_cached(
                // From lane to lane by the index: a scan of all rows would hold up every writer.
                "WITH RECURSIVE found (lane) AS (
                     SELECT MIN(lane) FROM journal
                     UNION ALL
                     SELECT (SELECT MIN(lane) FROM journal WHERE lane > found.lane) FROM found WHERE found.lane IS NOT NULL
                 )
                 SELECT found.lane, COALESCE(lanes.confirmed, 0)
                 FROM found LEFT JOIN lanes ON lanes.lane = found.lane WHERE found.lane IS NOT NULL",
            )?;
            let mut count =
                connection.prepare_cached("SELECT COUNT(*) FROM journal WHERE lane = ?1 AND position > ?2")?;
            let lanes =
                lanes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<(String, i64)>, _>>()?;
            let mut backlog = Vec::new();
            for (lane, confirmed) in lanes {
                let rows: i64 = count.query_row((&lane, confirmed), |row| row.get(0))?;
                if rows > 0 {
                    backlog.push(Backlog { lane, rows });
                }
            }
            Ok(backlog)
        }))
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(self.handle.call(Access::Write, "write a mark", |connection| {
            connection
                .prepare_cached("INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT DO UPDATE SET at = excluded.at")?
                .execute([Utc::now().timestamp_millis()])?;
            Ok(())
        }))
    }

    fn appended(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }
}

/// Entities with what is known of them. The columns are id, known.
fn entities(mut rows: Rows<'_>) -> Result<Vec<(String, Known)>, Fault> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, known): (String, String) = (row.get(0)?, row.get(1)?);
        found.push((id, serde_json::from_str(&known).map_err(corrupt("an entity"))?));
    }
    Ok(found)
}

/// Reads rows of the journal until there are none, or enough bytes. The columns are position, event_time,
/// exchange, routing_key, message_id, message_type, content_type, correlation_id, timestamp, headers, body.
pub(super) fn journal_rows(mut rows: Rows<'_>) -> Result<Vec<JournalRow>, Fault> {
    let mut found: Vec<JournalRow> = Vec::new();
    let mut bytes = 0;
    while bytes < READ_BYTES
        && let Some(row) = rows.next()?
    {
        let headers: String = row.get(9)?;
        let body: Vec<u8> = row.get(10)?;
        bytes += body.len();
        found.push(JournalRow {
            position: row.get(0)?,
            time: instant(row.get(1)?)?,
            message: Message {
                destination: Destination { exchange: row.get(2)?, routing_key: row.get(3)? },
                message_id: row.get(4)?,
                message_type: row.get(5)?,
                content_type: row.get(6)?,
                correlation_id: row.get(7)?,
                timestamp: row.get(8)?,
                headers: serde_json::from_str(&headers).map_err(corrupt("a message's headers"))?,
                body,
            },
        });
    }
    Ok(found)
}

/// Inserts drafts in order, leaving out the unique ones that are there, and gives how many entered. Each gets the
/// command that it came from.
pub(super) fn insert(connection: &Connection, drafts: Vec<Draft>) -> Result<usize, Fault> {
    if drafts.is_empty() {
        return Ok(0);
    }
    let mut position: i64 = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let mut exists = connection.prepare_cached("SELECT 1 FROM journal WHERE unique_id = ?1")?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO journal (position, lane, unique_id, event_time, recorded_at, exchange, routing_key, message_id,
                              message_type, content_type, correlation_id, timestamp, headers, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let has_causes = causes::are_there(connection)?;
    let mut entered = 0;
    for mut draft in drafts {
        let unique_id = draft.unique.then(|| draft.event.id.as_bytes().to_vec());
        if let Some(id) = &unique_id
            && exists.exists([id])?
        {
            continue;
        }
        if has_causes && let Some(clue) = &draft.clue {
            draft.event.causation_id = causes::cause(connection, &draft.event, clue)?;
        }
        position += 1;
        let message = draft.finish(position).map_err(corrupt("a draft"))?;
        let headers = serde_json::to_string(&message.headers).map_err(corrupt("a draft's headers"))?;
        insert.execute(params![
            position,
            draft.lane.key(),
            unique_id,
            draft.event.time.timestamp_millis(),
            draft.event.recorded_time.timestamp_millis(),
            message.destination.exchange,
            message.destination.routing_key,
            message.message_id,
            message.message_type,
            message.content_type,
            message.correlation_id,
            message.timestamp,
            headers,
            message.body,
        ])?;
        entered += 1;
    }
    Ok(entered)
}

fn remember(connection: &Connection, entity: &KnownEntity) -> Result<(), Fault> {
    let found: Option<String> = connection
        .prepare_cached("SELECT known FROM entities WHERE account = ?1 AND feed = ?2 AND id = ?3")?
        .query_row((entity.account.as_str(), entity.feed.as_str(), &entity.id), |row| row.get(0))
        .optional()?;
    let found: Option<Known> =
        found.map(|json| serde_json::from_str(&json)).transpose().map_err(corrupt("an entity"))?;
    if found != entity.before {
        return Err(Error::Outdated.into());
    }
    let known = serde_json::to_string(&entity.known).map_err(corrupt("an entity"))?;
    connection
        .prepare_cached(
            "INSERT INTO entities (account, feed, id, known, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET known = excluded.known, seen_at = excluded.seen_at",
        )?
        .execute(params![
            entity.account.as_str(),
            entity.feed.as_str(),
            entity.id,
            known,
            Utc::now().timestamp_millis()
        ])?;
    Ok(())
}

/// Parks an item, and gives whether it was not parked before.
fn park(connection: &Connection, parked: &Parked) -> Result<bool, Fault> {
    let parked = connection
        .prepare_cached(
            // The column is text, but keeps any bytes.
            "INSERT INTO parked (account, feed, item, print, reason, recorded_at)
             VALUES (?1, ?2, CAST(?3 AS TEXT), ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            parked.account.as_str(),
            parked.feed.as_str(),
            parked.item,
            parked.print,
            parked.reason,
            Utc::now().timestamp_millis()
        ])?;
    Ok(parked > 0)
}

/// A stored instant.
pub(super) fn instant(millis: i64) -> Result<DateTime<Utc>, Fault> {
    DateTime::from_timestamp_millis(millis)
        .ok_or_else(|| Fault::Corrupt { what: "an instant", reason: format!("{millis} ms is out of range") })
}

/// Explains JSON that can't be read or written.
pub(super) fn corrupt(what: &'static str) -> impl Fn(serde_json::Error) -> Fault {
    move |error| Fault::Corrupt { what, reason: error.to_string() }
}
