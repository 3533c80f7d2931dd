//! Rooms that are being made, by what they are made for.

use rusqlite::{OptionalExtension as _, params};

use super::{Result, Unit};

/// A room that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MakingRow {
    /// Stands for this one room: in its transaction id, and in the room itself.
    pub(crate) token: String,
    /// When it was last begun to be made, if not just now.
    pub(crate) asked_ms: Option<i64>,
}

impl Unit<'_> {
    /// The room that is being made for this; a new one, with this token, where there is none.
    pub(crate) fn begin_making(&self, name: &str, token: &str, now_ms: i64) -> Result<MakingRow> {
        let mut known = self
            .connection
            .prepare_cached("SELECT token, asked_ms FROM makings WHERE name = ?1")?;
        let known = known.query_row([name], |row| {
            Ok(MakingRow {
                token: row.get(0)?,
                asked_ms: row.get(1)?,
            })
        });
        if let Some(known) = known.optional()? {
            return Ok(known);
        }
        self.connection
            .prepare_cached("INSERT INTO makings (name, token, asked_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![name, token, now_ms])?;
        Ok(MakingRow {
            token: token.to_owned(),
            asked_ms: None,
        })
    }

    /// It is asked for again.
    pub(crate) fn ask_making(&self, name: &str, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE makings SET asked_ms = ?2 WHERE name = ?1")?
            .execute(params![name, now_ms])?;
        Ok(())
    }

    /// It is made, and remembered elsewhere; or it will not be.
    pub(crate) fn end_making(&self, name: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM makings WHERE name = ?1")?
            .execute([name])?;
        Ok(())
    }

    /// The room whose creation says this under that key, if it has been heard of.
    pub(crate) fn room_created_with(&self, key: &str, value: &str) -> Result<Option<String>> {
        let path = format!("$.\"{key}\"");
        let mut statement = self.connection.prepare_cached(
            "SELECT room_id FROM state
             WHERE kind = 'm.room.create' AND state_key = '' AND content ->> ?1 = ?2 LIMIT 1",
        )?;
        Ok(statement
            .query_row([path.as_str(), value], |row| row.get(0))
            .optional()?)
    }
}
