//! Which command an event came from, in SQLite: what commands may bring about is written with the command, and
//! looked up for each event that enters the journal, in the transaction that it enters with.

use chrono::TimeDelta;
use rusqlite::{Connection, OptionalExtension, params};

use super::journal::corrupt;
use super::thread::Fault;
use crate::domain::cause::{Clue, Effects, TOLERANCE};
use crate::domain::message::CloudEvent;

/// How long after its last start a command without an end may be at it, so that one that was lost does not take in
/// all that happens ever after.
const UNDER_WAY: TimeDelta = TimeDelta::days(1);
/// How far FFN's clock may be ahead of what is known of it, as its answers tell whole seconds.
const CLOCK_STEP: TimeDelta = TimeDelta::seconds(1);

/// A command is begun. Of one in doubt the earlier attempt may have been it as well.
pub(super) fn begun(connection: &Connection, arrival: i64, effects: &Effects) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        // What was surely without effect has left no row.
        "INSERT INTO causes (arrival, number, name, changes, since, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET until = excluded.until",
    )?;
    for (number, effect) in (0_i64..).zip(&effects.list) {
        insert.execute(params![
            arrival,
            number,
            effect.name,
            format!(" {} ", effect.changes.join(" ")),
            effects.at.timestamp_millis(),
            (effects.at + UNDER_WAY).timestamp_millis(),
        ])?;
    }
    Ok(())
}

/// A command has ended. Without effects it brought nothing about.
pub(super) fn ended(connection: &Connection, arrival: i64, effects: &Effects) -> Result<(), Fault> {
    if effects.list.is_empty() {
        return forget(connection, arrival);
    }
    let mut update =
        connection.prepare_cached("UPDATE causes SET name = ?3, until = ?4 WHERE arrival = ?1 AND number = ?2")?;
    for (number, effect) in (0_i64..).zip(&effects.list) {
        update.execute(params![arrival, number, effect.name, effects.at.timestamp_millis()])?;
    }
    Ok(())
}

/// An attempt surely had no effect, and none before it had.
pub(super) fn forget(connection: &Connection, arrival: i64) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM causes WHERE arrival = ?1")?.execute([arrival])?;
    Ok(())
}

/// Whether a command is on record that may have brought anything about.
pub(super) fn are_there(connection: &Connection) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM causes LIMIT 1")?.exists([])?)
}

/// The id of the command of the event's account that it came from, if one has.
pub(super) fn cause(connection: &Connection, event: &CloudEvent, clue: &Clue) -> Result<Option<String>, Fault> {
    let mut select = connection.prepare_cached(
        // Commands of one entity run in the order they came in, and so do their changes. CROSS: by name first.
        "SELECT commands.id, causes.arrival, causes.number
         FROM causes CROSS JOIN commands USING (arrival), (SELECT ?4 AS time, ?5 AS tolerance, ?6 AS step)
         WHERE causes.name IN (SELECT value FROM json_each(?1)) AND commands.account = ?2 AND instr(causes.changes, ?3)
           AND causes.since <= time + tolerance AND causes.until >= time - tolerance
           AND NOT (?8 AND instr(causes.told, ?7))
         ORDER BY causes.since <= time AND causes.until >= time - step DESC, instr(causes.told, ?7) > 0, causes.arrival
         LIMIT 1",
    )?;
    let change = format!(" {} ", clue.change);
    let told = format!("{}@{} ", change.trim_end(), clue.part.as_deref().unwrap_or_default());
    for names in &clue.names {
        let names = serde_json::to_string(names).map_err(corrupt("an event's names"))?;
        let found = select
            .query_row(
                params![
                    names,
                    event.account,
                    change,
                    event.time.timestamp_millis(),
                    TOLERANCE.num_milliseconds(),
                    CLOCK_STEP.num_milliseconds(),
                    told,
                    clue.part.is_none(),
                ],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((id, arrival, number)): Option<(String, i64, i64)> = found else { continue };
        connection
            .prepare_cached(
                "UPDATE causes SET told = told || ltrim(?3)
                 WHERE arrival = ?1 AND number = ?2 AND NOT instr(told, ?3)",
            )?
            .execute((arrival, number, told))?;
        return Ok(Some(id));
    }
    Ok(None)
}
