//! Who of the service's users is where, by the state of rooms.

use rusqlite::params;

use super::{Result, Unit};

impl Unit<'_> {
    /// Rooms that a user has joined, as far as the stream has told; at most 10,000.
    pub(crate) fn joined_rooms_of(&self, user_id: &str) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT room_id FROM state WHERE kind = 'm.room.member' AND state_key = ?1
                 AND content ->> 'membership' = 'join' ORDER BY room_id LIMIT 10000",
        )?;
        let rows = statement.query_map([user_id], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The members of a room with this membership, as far as the stream has told; at most 100,000.
    pub(crate) fn members_with(&self, room_id: &str, membership: &str) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT state_key FROM state WHERE room_id = ?1 AND kind = 'm.room.member'
                 AND content ->> 'membership' = ?2 ORDER BY state_key LIMIT 100000",
        )?;
        let rows = statement.query_map([room_id, membership], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How many others of a room are called like this.
    pub(crate) fn namesakes(&self, room_id: &str, user_id: &str, name: &str) -> Result<i64> {
        let mut statement = self.connection.prepare_cached(
            "SELECT count(*) FROM state WHERE room_id = ?1 AND kind = 'm.room.member' AND state_key <> ?2
                 AND content ->> 'membership' = 'join' AND content ->> 'displayname' = ?3",
        )?;
        Ok(statement.query_row([room_id, user_id, name], |row| row.get(0))?)
    }

    /// The content of a state event, as far as the stream has told; JSON.
    pub(crate) fn state_content(
        &self,
        room_id: &str,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT content FROM state WHERE room_id = ?1 AND kind = ?2 AND state_key = ?3",
        )?;
        let mut rows = statement.query([room_id, kind, state_key])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }

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

    /// Ghosts behind `after` in any room that is linked to nothing, with the room.
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

    /// One of the service's users has joined or left, by its own doing: known before the stream tells it.
    pub(crate) fn note_membership(
        &self,
        room_id: &str,
        user_id: &str,
        membership: &str,
        now_ms: i64,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO state (room_id, kind, state_key, sender, sent_ms, content)
                 VALUES (?1, 'm.room.member', ?2, ?2, ?3, json_object('membership', ?4))
                 ON CONFLICT (room_id, kind, state_key) DO UPDATE
                 SET content = json_set(content, '$.membership', ?4), sent_ms = max(sent_ms, excluded.sent_ms)",
            )?
            .execute(params![room_id, user_id, now_ms, membership])?;
        Ok(())
    }

    /// The service has forgotten a ghost: the homeserver knows it no more.
    pub(crate) fn delete_ghost(&self, user_id: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM ghosts WHERE user_id = ?1")?
            .execute([user_id])?;
        Ok(())
    }

    /// What was remembered under a name is forgotten.
    pub(crate) fn delete_kv(&self, scope: &str, key: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM kv WHERE scope = ?1 AND key = ?2")?
            .execute([scope, key])?;
        Ok(())
    }
}
