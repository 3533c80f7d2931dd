//! Ghosts that are of no use, by the state of rooms and the links.

use rusqlite::params;

use super::{Result, Unit};

impl Unit<'_> {
    /// Ghosts behind `after` that the homeserver knows, that have joined no room and are invited to none.
    pub(crate) fn ghosts_nowhere(&self, after: &str, limit: usize) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT user_id FROM ghosts WHERE user_id > ?1 AND NOT EXISTS
                 (SELECT 1 FROM state WHERE kind = 'm.room.member' AND state_key = user_id
                  AND content ->> 'membership' IN ('join', 'invite'))
             ORDER BY user_id LIMIT ?2",
        )?;
        let rows = statement.query_map(params![after, limit as i64], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ghosts in any room that is linked to nothing, with the room, behind `after`.
    pub(crate) fn ghosts_unlinked(
        &self,
        kind: &str,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT ghosts.user_id, state.room_id FROM ghosts
             JOIN state ON state.kind = 'm.room.member' AND state.state_key = ghosts.user_id
                 AND state.content ->> 'membership' IN ('join', 'invite')
             WHERE (ghosts.user_id, state.room_id) > (?2, ?3)
                 AND NOT EXISTS (SELECT 1 FROM links WHERE links.kind = ?1 AND links.matrix_id = state.room_id)
             ORDER BY ghosts.user_id, state.room_id LIMIT ?4",
        )?;
        let values = params![kind, after.0, after.1, limit as i64];
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets numbers below a bound of a scope, under names that begin so; how many.
    pub(crate) fn delete_numbers_below(
        &self,
        scope: &str,
        prefix: &str,
        bound: i64,
    ) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM kv WHERE scope = ?1 AND key >= ?2 AND key < ?2 || char(1114111) AND CAST(value AS INTEGER) < ?3",
        )?;
        Ok(statement.execute(params![scope, prefix, bound])?)
    }
}
