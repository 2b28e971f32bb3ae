//! Taking out what is old, in SQLite. Its pages are used again by what comes: the file does not shrink, and
//! with an even stream it does not grow either.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::archive::{EVENTS, lanes};
use super::journal::corrupt;
use super::thread::{Access, Fault};
use crate::domain::feed::{Again, FeedName};
use crate::store::{Pending, Pruning, Table};

/// The longest overlap of a feed, in milliseconds.
const LONGEST_OVERLAP: i64 = 86_400_000;

impl Pruning for Sqlite {
    fn prune(&self, table: Table, before: DateTime<Utc>, limit: usize) -> Pending<'_, usize> {
        let before = before.timestamp_millis();
        Box::pin(self.handle.call(Access::Write, "take out what is old", move |connection| match table {
            Table::Journal => journal(connection, before, limit),
            Table::Entities => oldest(
                connection,
                "DELETE FROM entities WHERE (account, feed, id) IN
                     (SELECT account, feed, id FROM entities WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2)",
                before,
                limit,
            ),
            // A failed one that has not reached the dead-letter queue will be delivered again.
            Table::Commands => oldest(
                connection,
                "DELETE FROM commands WHERE arrival IN
                     (SELECT arrival FROM commands
                      WHERE state = 'finished' AND finished_at < ?1
                        AND (set_aside OR json_extract(result, '$.error') IS NULL)
                      ORDER BY finished_at LIMIT ?2)",
                before,
                limit,
            ),
            Table::Parked => oldest(
                connection,
                "DELETE FROM parked WHERE id IN
                     (SELECT id FROM parked WHERE recorded_at < ?1 ORDER BY recorded_at LIMIT ?2)",
                before,
                limit,
            ),
        }))
    }
}

fn oldest(connection: &Connection, delete: &str, before: i64, limit: usize) -> Result<usize, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(connection.prepare_cached(delete)?.execute(params![before, limit])?)
}

/// Lane by lane from its beginning, up to the first row that is not old or not confirmed. Positions rise
/// with time, so no index by age is needed, which every event would have to pay for. Entries of stock ledgers stay
/// that will be read again, see [`read_again_from`].
fn journal(connection: &Connection, before: i64, limit: usize) -> Result<usize, Fault> {
    let mut confirmed = connection.prepare_cached("SELECT confirmed FROM lanes WHERE lane = ?1")?;
    let mut oldest = connection.prepare_cached(
        "SELECT position, recorded_at FROM journal
         WHERE lane = ?1 AND position <= ?2 AND NOT (message_type = 'ffn.stock.changed.v1' AND event_time >= ?3)
         ORDER BY position LIMIT ?4",
    )?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM journal
         WHERE lane = ?1 AND position <= ?2 AND NOT (message_type = 'ffn.stock.changed.v1' AND event_time >= ?3)",
    )?;
    let mut pruned = 0;
    for lane in lanes(connection)? {
        let confirmed: i64 = confirmed.query_row([&lane], |row| row.get(0)).optional()?.unwrap_or(0);
        let read_again = read_again_from(connection, &lane)?;
        let left = i64::try_from(limit.saturating_sub(pruned)).unwrap_or(i64::MAX);
        let mut rows = oldest.query(params![lane, confirmed, read_again, left])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= before {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
        }
        if let Some(last) = last {
            pruned += delete.execute(params![lane, last, read_again])?;
        }
    }
    Ok(pruned)
}

/// Since when, by FFN's clock, the feed of the stock ledgers may show again what it has shown, when it is read next.
/// Of other feeds it is known by entity what was told; of these entries only the journal knows.
fn read_again_from(connection: &Connection, lane: &str) -> Result<i64, Fault> {
    let checkpoint: Option<(i64, Option<String>)> = connection
        .prepare_cached("SELECT position, again FROM checkpoints WHERE account = ?1 AND feed = ?2")?
        .query_row((lane.strip_prefix(EVENTS), FeedName::Stocks.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((position, again)) = checkpoint else { return Ok(i64::MAX) };
    let again: Option<Again> =
        again.map(|again| serde_json::from_str(&again).map_err(corrupt("a checkpoint"))).transpose()?;
    let again = again.map_or(position, |again| again.from.timestamp_millis());
    Ok(again.min(position - LONGEST_OVERLAP))
}
