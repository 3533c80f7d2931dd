//! What other networks said, and longer undertakings of bridges.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTask {
    /// Names what must not be done twice; `None` where it may.
    pub(crate) key: Option<String>,
    /// What is done in order.
    pub(crate) lane: String,
    /// JSON.
    pub(crate) body: String,
}

/// Something that waits, or is being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRow {
    pub(crate) id: i64,
    pub(crate) task: NewTask,
    /// How far it has come; JSON.
    pub(crate) progress: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) attempts: u32,
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    Ok(TaskRow {
        id: row.get(0)?,
        task: NewTask {
            key: row.get(1)?,
            lane: row.get(2)?,
            body: row.get(3)?,
        },
        progress: row.get(4)?,
        created_ms: row.get(5)?,
        attempts: row.get(6)?,
    })
}

impl Unit<'_> {
    /// Adds a task, unless its key is known; gives back its id if it is new.
    pub(crate) fn insert_task(
        &self,
        network: &str,
        task: &NewTask,
        now_ms: i64,
    ) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO tasks (network, key, lane, body, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (key) DO NOTHING RETURNING id",
        )?;
        let values = params![network, task.key, task.lane, task.body, now_ms];
        Ok(statement.query_row(values, |row| row.get(0)).optional()?)
    }

    /// The next tasks of a lane behind `after`, in order.
    pub(crate) fn task_lane(
        &self,
        network: &str,
        lane: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TaskRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, key, lane, body, progress, created_ms, attempts FROM tasks
             WHERE network = ?1 AND lane = ?2 AND done_ms IS NULL AND id > ?3 ORDER BY id LIMIT ?4",
        )?;
        let rows = statement.query_map(params![network, lane, after, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The lanes that wait, and how many tasks each has.
    pub(crate) fn task_lanes(&self, network: &str) -> Result<Vec<(String, usize)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT lane, count(*) FROM tasks WHERE network = ?1 AND done_ms IS NULL GROUP BY lane ORDER BY min(id)",
        )?;
        let rows = statement.query_map([network], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? as usize))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How far a task has come.
    pub(crate) fn note_task_progress(&self, id: i64, progress: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE tasks SET progress = ?2 WHERE id = ?1")?
            .execute(params![id, progress])?;
        Ok(())
    }

    /// Puts a task that waits into another lane, where it is tried anew.
    pub(crate) fn move_task(&self, id: i64, lane: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE tasks SET lane = ?2, attempts = 0 WHERE id = ?1")?
            .execute(params![id, lane])?;
        Ok(())
    }

    /// The lane in which the task with this key waits.
    pub(crate) fn lane_of_task(&self, key: &str) -> Result<Option<String>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT lane FROM tasks WHERE key = ?1 AND done_ms IS NULL")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// An attempt has failed, and there will be another.
    pub(crate) fn fail_task(&self, id: i64, attempts: u32, error: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE tasks SET attempts = ?2, error = ?3 WHERE id = ?1")?
            .execute(params![id, attempts, error])?;
        Ok(())
    }

    /// It is done, or given up with an error. What has a key is remembered by it.
    pub(crate) fn complete_task(&self, id: i64, error: Option<&str>, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM tasks WHERE id = ?1 AND key IS NULL")?
            .execute([id])?;
        self.connection
            .prepare_cached(
                "UPDATE tasks SET done_ms = ?2, body = '', progress = NULL, error = ?3 WHERE id = ?1",
            )?
            .execute(params![id, now_ms, error])?;
        Ok(())
    }

    /// Whether a task with this key waits, or was done.
    pub(crate) fn knows_task(&self, key: &str) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM tasks WHERE key = ?1")?;
        Ok(statement.exists([key])?)
    }

    /// Forgets the task with this key, if it was done.
    pub(crate) fn forget_task(&self, key: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM tasks WHERE key = ?1 AND done_ms IS NOT NULL")?
            .execute([key])?;
        Ok(())
    }

    /// Forgets a task and its key.
    pub(crate) fn delete_task(&self, id: i64) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM tasks WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }

    /// The last id that a task was given.
    pub(crate) fn last_task(&self) -> Result<i64> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'")?;
        let last = statement.query_row([], |row| row.get(0)).optional()?;
        Ok(last.unwrap_or(0))
    }

    /// The first task of a network that waits.
    pub(crate) fn first_task(&self, network: &str) -> Result<Option<i64>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT min(id) FROM tasks WHERE network = ?1 AND done_ms IS NULL")?;
        Ok(statement.query_row([network], |row| row.get(0))?)
    }

    /// Forgets what was done before then.
    pub(crate) fn forget_tasks(&self, before_ms: i64, limit: usize) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE done_ms < ?1 LIMIT ?2)",
        )?;
        Ok(statement.execute(params![before_ms, limit as i64])?)
    }
}
