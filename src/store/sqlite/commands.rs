//! The command log in SQLite.

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::causes;
use super::journal::{corrupt, insert, instant};
use super::thread::{Access, Fault};
use crate::domain::account::AccountName;
use crate::domain::cause::Effects;
use crate::domain::message::Draft;
use crate::store::{Arrival, Begin, CommandKey, CommandLog, Finished, HELD, Pending, Setback, Trial, Wait};

/// No command waits longer for its next attempt, in milliseconds: a step of the ladder has 30 days at most.
const LONGEST_WAIT: i64 = 31 * 24 * 60 * 60 * 1000;

impl CommandLog for Sqlite {
    fn begin(&self, arrival: Arrival) -> Pending<'_, Begin> {
        Box::pin(self.handle.call(Access::Write, "record a command", move |connection| begin(connection, &arrival)))
    }

    fn wait<'a>(&'a self, key: &'a CommandKey, setback: Setback, wait: Wait) -> Pending<'a, ()> {
        let key = key.clone();
        Box::pin(self.handle.call(Access::Write, "record a setback", move |connection| {
            let now = Utc::now().timestamp_millis();
            // An attempt that was not made does not count, and leaves the doubt as it was.
            let (attempts_back, doubt, failed_at) = match setback {
                Setback::NoEffect => (0, Some(false), Some(now)),
                Setback::InDoubt => (0, Some(true), Some(now)),
                Setback::Away => (1, Some(true), Some(now)),
                Setback::NotTried => (1, None, Some(now)),
                Setback::Behind => (0, None, None),
                Setback::Suspected => (1, None, None),
            };
            let row = connection
                .prepare_cached(
                    "UPDATE commands SET state = 'waiting', attempts = MAX(attempts - ?3, 0), crashes = crashes * ?7,
                         in_doubt = COALESCE(?4, in_doubt), hold_until = ?5,
                         first_failed_at = COALESCE(first_failed_at, ?6),
                         failing_since = CASE WHEN ?8 THEN NULL ELSE COALESCE(failing_since, ?6) END,
                         due = CASE WHEN ?6 IS NULL THEN due ELSE ?9 END
                     WHERE account = ?1 AND id = ?2 AND state <> 'finished' RETURNING arrival, in_doubt",
                )?
                .query_row(
                    params![
                        key.account.as_str(),
                        key.id,
                        attempts_back,
                        doubt,
                        wait.hold_until.timestamp_millis(),
                        failed_at,
                        // One that was not really begun: that says nothing of its earlier starts.
                        matches!(setback, Setback::Behind | Setback::Suspected),
                        wait == Wait::HELD,
                        wait.due.timestamp_millis(),
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            match row {
                Some((arrival, false)) => causes::forget(connection, arrival),
                Some((_, true)) | None => Ok(()),
            }
        }))
    }

    fn hold<'a>(&'a self, key: &'a CommandKey) -> Pending<'a, ()> {
        let key = key.clone();
        Box::pin(self.handle.call(Access::Write, "record a held command", move |connection| {
            // One that is `running` was cut off, and stays in doubt.
            connection
                .prepare_cached(
                    "UPDATE commands SET hold_until = ?3, due = 0, failing_since = NULL
                     WHERE account = ?1 AND id = ?2 AND state = 'waiting'",
                )?
                .execute(params![key.account.as_str(), key.id, HELD.timestamp_millis()])?;
            Ok(())
        }))
    }

    fn release<'a>(&'a self, account: &'a AccountName) -> Pending<'a, ()> {
        let account = account.clone();
        Box::pin(self.handle.call(Access::Write, "record that nothing is held", move |connection| {
            connection
                .prepare_cached(
                    "UPDATE commands SET hold_until = 0 WHERE account = ?1 AND state = 'waiting' AND hold_until = ?2",
                )?
                .execute(params![account.as_str(), HELD.timestamp_millis()])?;
            Ok(())
        }))
    }

    fn finish<'a>(
        &'a self,
        key: &'a CommandKey,
        finished: Finished,
        results: Vec<Draft>,
        effects: Effects,
    ) -> Pending<'a, ()> {
        let key = key.clone();
        Box::pin(async move {
            self.handle
                .call(Access::Write, "record an outcome", move |connection| {
                    let result = serde_json::to_string(&finished).map_err(corrupt("a result"))?;
                    let arrival = connection
                        .prepare_cached(
                            "UPDATE commands SET state = 'finished', result = ?3, finished_at = ?4, hold_until = 0
                             WHERE account = ?1 AND id = ?2 RETURNING arrival",
                        )?
                        .query_row(
                            params![key.account.as_str(), key.id, result, Utc::now().timestamp_millis()],
                            |row| row.get(0),
                        )
                        .optional()?;
                    if let Some(arrival) = arrival {
                        causes::ended(connection, arrival, &effects)?;
                    }
                    insert(connection, results)?;
                    Ok(())
                })
                .await?;
            self.announce();
            Ok(())
        })
    }

    fn set_aside<'a>(&'a self, key: &'a CommandKey) -> Pending<'a, ()> {
        let key = key.clone();
        Box::pin(self.handle.call(Access::Write, "record a dead letter", move |connection| {
            connection
                .prepare_cached("UPDATE commands SET set_aside = 1 WHERE account = ?1 AND id = ?2")?
                .execute((key.account.as_str(), key.id))?;
            Ok(())
        }))
    }
}

/// A row of `commands` as `begin` reads it.
struct Row {
    arrival: i64,
    digest: String,
    state: String,
    in_doubt: bool,
    attempts: u32,
    crashes: u32,
    first_failed_at: Option<i64>,
    failing_since: Option<i64>,
    due: i64,
    result: Option<String>,
    set_aside: bool,
    arrived_at: i64,
}

fn begin(connection: &Connection, arrival: &Arrival) -> Result<Begin, Fault> {
    let now = Utc::now().timestamp_millis();
    let account = arrival.key.account.as_str();
    let entered = connection
        .prepare_cached(
            "INSERT INTO commands (account, id, routing_key, digest, ordering_key, state, arrived_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![account, arrival.key.id, arrival.routing_key, arrival.digest, arrival.ordering_key, now])?;
    let mut row = connection
        .prepare_cached(
            "SELECT arrival, digest, state, in_doubt, attempts, first_failed_at, result, set_aside, crashes, arrived_at,
                 failing_since, due
             FROM commands WHERE account = ?1 AND id = ?2",
        )?
        .query_row((account, &arrival.key.id), |row| {
            Ok(Row {
                arrival: row.get(0)?,
                digest: row.get(1)?,
                state: row.get(2)?,
                in_doubt: row.get(3)?,
                attempts: row.get(4)?,
                first_failed_at: row.get(5)?,
                result: row.get(6)?,
                set_aside: row.get(7)?,
                crashes: row.get(8)?,
                arrived_at: row.get(9)?,
                failing_since: row.get(10)?,
                due: row.get(11)?,
            })
        })?;
    if row.digest != arrival.digest {
        return Ok(Begin::Conflict);
    }
    if let Some(result) = row.result.take() {
        let mut finished: Finished = serde_json::from_str(&result).map_err(corrupt("a result"))?;
        finished.set_aside = row.set_aside;
        let put_back = arrival.put_back.filter(|put_back| put_back.failed_at == finished.event.time);
        let Some(put_back) = put_back.filter(|_| finished.error.is_some()) else {
            return Ok(Begin::Finished(Box::new(finished)));
        };
        row.attempts = 0;
        row.crashes = 0;
        row.failing_since = None;
        row.in_doubt = put_back.in_doubt;
        connection
            .prepare_cached(
                "UPDATE commands SET result = NULL, finished_at = NULL, set_aside = 0, failing_since = NULL
                 WHERE arrival = ?1",
            )?
            .execute([row.arrival])?;
    }
    // One that is put back may not be on record any more.
    row.in_doubt |= entered > 0 && arrival.put_back.is_some_and(|put_back| put_back.in_doubt);
    // Still `running` means that a process died, or lost its connection, between the call and its outcome.
    let was_cut_off = row.state == "running";
    let in_doubt = row.in_doubt || was_cut_off;
    let crashes = row.crashes.saturating_add(was_cut_off.into());
    let earlier_waits = connection
        .prepare_cached(
            "SELECT 1 FROM commands
             WHERE account = ?1 AND ordering_key = ?2 AND state = 'waiting' AND arrival < ?3 AND hold_until > ?4",
        )?
        .query_row((account, &arrival.ordering_key, row.arrival, now), |_| Ok(()))
        .optional()?
        .is_some();
    // No wait is as long as that: the clock was ahead when it was written.
    let is_due_some_day = row.due > now.saturating_add(LONGEST_WAIT);
    let is_early = row.state == "waiting" && row.due > now && !is_due_some_day;
    let has_to_wait = earlier_waits || is_early;
    let (state, attempt) =
        if has_to_wait { ("waiting", row.attempts) } else { ("running", row.attempts.saturating_add(1)) };
    connection
        .prepare_cached(
            "UPDATE commands SET state = ?2, attempts = ?3, in_doubt = ?4, crashes = ?5 WHERE arrival = ?1",
        )?
        .execute((row.arrival, state, attempt, in_doubt, crashes))?;
    if !has_to_wait {
        causes::begun(connection, row.arrival, &arrival.effects)?;
    }
    let first_failed_at = row.first_failed_at.map(instant).transpose()?;
    let failing_since = row.failing_since.map(instant).transpose()?;
    let arrived_at = instant(row.arrived_at)?;
    let trial = Trial { attempt, in_doubt, crashes, first_failed_at, failing_since, arrived_at };
    Ok(match (earlier_waits, is_early) {
        (true, _) => Begin::Behind(trial),
        (false, true) => Begin::Early { trial, due: instant(row.due)? },
        (false, false) => Begin::Execute(trial),
    })
}
