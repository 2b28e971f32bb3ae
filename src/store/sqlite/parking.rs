//! Items that could not be told, in SQLite.

use rusqlite::{OptionalExtension, Row, params};

use super::Sqlite;
use super::journal::instant;
use super::thread::{Access, Fault};
use crate::store::{ParkedCount, ParkedEntry, ParkedFilter, ParkedItem, Parking, Pending};

impl Parking for Sqlite {
    fn parked(&self, filter: ParkedFilter, after: i64, limit: usize) -> Pending<'_, Vec<ParkedEntry>> {
        Box::pin(self.handle.call(Access::Read, "read what is parked", move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut select = connection.prepare_cached(
                "SELECT id, account, feed, reason, recorded_at, OCTET_LENGTH(item) FROM parked
                 WHERE id > ?1 AND (?2 IS NULL OR account = ?2) AND (?3 IS NULL OR feed = ?3)
                 ORDER BY id LIMIT ?4",
            )?;
            let mut rows = select.query(params![after, filter.account, filter.feed, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(entry(row)?);
            }
            Ok(found)
        }))
    }

    fn parked_item(&self, id: i64) -> Pending<'_, Option<ParkedItem>> {
        Box::pin(self.handle.call(Access::Read, "read what is parked", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, account, feed, reason, recorded_at, OCTET_LENGTH(item), CAST(item AS BLOB) FROM parked
                 WHERE id = ?1",
            )?;
            let found = select.query_row([id], |row| Ok((entry(row), row.get(6)?))).optional()?;
            found.map(|(entry, item)| Ok(ParkedItem { entry: entry?, item })).transpose()
        }))
    }

    fn parked_counts(&self) -> Pending<'_, Vec<ParkedCount>> {
        Box::pin(self.handle.call(Access::Read, "count what is parked", |connection| {
            // By the index with its few columns: the other one holds the items, too.
            let mut count = connection.prepare_cached(
                "SELECT account, feed, COUNT(*) FROM parked INDEXED BY parked_age GROUP BY account, feed",
            )?;
            let rows = count
                .query_map([], |row| Ok(ParkedCount { account: row.get(0)?, feed: row.get(1)?, items: row.get(2)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        }))
    }
}

fn entry(row: &Row<'_>) -> Result<ParkedEntry, Fault> {
    let size: i64 = row.get(5)?;
    Ok(ParkedEntry {
        id: row.get(0)?,
        account: row.get(1)?,
        feed: row.get(2)?,
        reason: row.get(3)?,
        recorded_at: instant(row.get(4)?)?,
        size: u64::try_from(size).unwrap_or(0),
    })
}
