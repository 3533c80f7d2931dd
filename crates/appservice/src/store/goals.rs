//! Who should be in a room, or out of it, where that is not so yet.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};

/// When a goal that was given up is tried again: never.
pub(crate) const NEVER_MS: i64 = i64::MAX;

/// A membership to be brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoalRow {
    pub(crate) room_id: String,
    pub(crate) user_id: String,
    /// To be in the room; `false`: out of it.
    pub(crate) joined: bool,
    pub(crate) reason: Option<String>,
    /// Attempts that brought no answer.
    pub(crate) attempts: u32,
    /// Attempts that were refused.
    pub(crate) refusals: u32,
    /// When it is due; [`NEVER_MS`] when it was given up.
    pub(crate) next_ms: i64,
    pub(crate) error: Option<String>,
}

/// How much is to be brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GoalCount {
    /// Goals that were not given up.
    pub(crate) open: usize,
    /// When the last of them is due.
    pub(crate) last_ms: Option<i64>,
}

const COLUMNS: &str = "room_id, user_id, joined, reason, attempts, refusals, next_ms, error";

fn row_of(row: &Row<'_>) -> rusqlite::Result<GoalRow> {
    Ok(GoalRow {
        room_id: row.get(0)?,
        user_id: row.get(1)?,
        joined: row.get(2)?,
        reason: row.get(3)?,
        attempts: row.get(4)?,
        refusals: row.get(5)?,
        next_ms: row.get(6)?,
        error: row.get(7)?,
    })
}

impl Unit<'_> {
    /// Sets a goal, in the place of the user's one in that room. The same goal again keeps its place, unless it was
    /// given up.
    pub(crate) fn set_goal(&self, goal: &GoalRow, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO goals (room_id, user_id, joined, reason, set_ms, next_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (room_id, user_id) DO UPDATE
                 SET joined = excluded.joined, reason = excluded.reason, set_ms = excluded.set_ms,
                     next_ms = excluded.next_ms, attempts = 0, refusals = 0, error = NULL
                 WHERE joined <> excluded.joined OR next_ms = ?7",
            )?
            .execute(params![
                goal.room_id,
                goal.user_id,
                goal.joined,
                goal.reason,
                now_ms,
                goal.next_ms,
                NEVER_MS
            ])?;
        Ok(())
    }

    /// The user's goal in a room.
    pub(crate) fn goal(&self, room_id: &str, user_id: &str) -> Result<Option<GoalRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM goals WHERE room_id = ?1 AND user_id = ?2"
        ))?;
        Ok(statement.query_row([room_id, user_id], row_of).optional()?)
    }

    /// A goal is reached, unless it has been changed meanwhile.
    pub(crate) fn reach_goal(&self, room_id: &str, user_id: &str, joined: bool) -> Result<()> {
        self.connection
            .prepare_cached(
                "DELETE FROM goals WHERE room_id = ?1 AND user_id = ?2 AND joined = ?3",
            )?
            .execute(params![room_id, user_id, joined])?;
        Ok(())
    }

    /// An attempt at a goal has failed, unless the goal has been changed meanwhile.
    pub(crate) fn fail_goal(&self, goal: &GoalRow) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE goals SET attempts = ?4, refusals = ?5, next_ms = ?6, error = ?7
                 WHERE room_id = ?1 AND user_id = ?2 AND joined = ?3",
            )?
            .execute(params![
                goal.room_id,
                goal.user_id,
                goal.joined,
                goal.attempts,
                goal.refusals,
                goal.next_ms,
                goal.error
            ])?;
        Ok(())
    }

    /// Joins that a room has refused are due at once; gives back how many there are.
    pub(crate) fn reopen_goals(&self, room_id: &str, now_ms: i64) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE goals SET attempts = 0, refusals = 0, next_ms = ?2
             WHERE room_id = ?1 AND joined AND (attempts > 0 OR refusals > 0)",
        )?;
        Ok(statement.execute(params![room_id, now_ms])?)
    }

    /// The goals that come next, in the order in which they are due.
    pub(crate) fn next_goals(&self, limit: usize) -> Result<Vec<GoalRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM goals WHERE next_ms < {NEVER_MS} ORDER BY next_ms LIMIT ?1"
        ))?;
        let rows = statement.query_map([limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A room's goals, at most `limit`.
    pub(crate) fn goals_of_room(&self, room_id: &str, limit: usize) -> Result<Vec<GoalRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM goals WHERE room_id = ?1 ORDER BY next_ms LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![room_id, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether there is any goal, given up or not.
    pub(crate) fn has_goals(&self) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM goals)")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// How many goals there are.
    pub(crate) fn count_goals(&self) -> Result<GoalCount> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT count(*), max(next_ms) FROM goals WHERE next_ms < {NEVER_MS}"
        ))?;
        let count = statement.query_row([], |row| {
            Ok(GoalCount {
                open: row.get::<_, i64>(0)? as usize,
                last_ms: row.get(1)?,
            })
        });
        Ok(count?)
    }
}
