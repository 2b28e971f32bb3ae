//! Taking out what is old, in SQLite. Its pages are used again by what comes: the file does not shrink, and
//! with an even stream it does not grow either.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::archive::lanes;
use super::thread::{Access, Fault};
use crate::store::{Pending, Pruning, Table};

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
/// with time, so no index by age is needed, which every event would have to pay for.
fn journal(connection: &Connection, before: i64, limit: usize) -> Result<usize, Fault> {
    let mut confirmed = connection.prepare_cached("SELECT confirmed FROM lanes WHERE lane = ?1")?;
    let mut oldest = connection.prepare_cached(
        "SELECT position, recorded_at FROM journal WHERE lane = ?1 AND position <= ?2 ORDER BY position LIMIT ?3",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM journal WHERE lane = ?1 AND position <= ?2")?;
    let mut pruned = 0;
    for lane in lanes(connection)? {
        let confirmed: i64 = confirmed.query_row([&lane], |row| row.get(0)).optional()?.unwrap_or(0);
        let left = i64::try_from(limit.saturating_sub(pruned)).unwrap_or(i64::MAX);
        let mut rows = oldest.query(params![lane, confirmed, left])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= before {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
        }
        if let Some(last) = last {
            pruned += delete.execute(params![lane, last])?;
        }
    }
    Ok(pruned)
}
