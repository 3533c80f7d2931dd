//! What `/sync` asks: which of a user's rooms have news, and who is in them.

use rusqlite::OptionalExtension;

use crate::{MembershipRow, Result, Snapshot, StreamPosition, rooms::read_membership};

impl Snapshot<'_> {
    /// A user's rooms with something new after `since`: its own membership changed, or it is
    /// joined and the room has a new event or receipt. Rooms without news cost two comparisons.
    pub fn rooms_changed_since(
        &self,
        user_id: &str,
        since: StreamPosition,
    ) -> Result<Vec<MembershipRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT m.room_id, m.user_id, m.membership, m.pos, m.event_id, m.forgotten
                 FROM memberships AS m JOIN rooms AS r ON r.room_id = m.room_id
                 WHERE m.user_id = $1 AND (m.pos > $2 OR (m.membership = 'join' AND (r.last_pos > $2
                    OR EXISTS (SELECT 1 FROM receipts AS x WHERE x.room_id = m.room_id AND x.pos > $2))))
                 ORDER BY m.room_id",
            )?
            .query_map((user_id, since.to_sql()), read_membership)?
            .collect::<Result<_, _>>()?)
    }

    /// How many users are joined to a room, and how many are invited.
    pub fn member_counts(&self, room_id: &str) -> Result<(u64, u64)> {
        let counts: (i64, i64) = self
            .conn
            .prepare_cached(
                "SELECT COUNT(*) FILTER (WHERE membership = 'join'),
                    COUNT(*) FILTER (WHERE membership = 'invite')
                 FROM memberships WHERE room_id = $1",
            )?
            .query_row([room_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let unsigned = |count| u64::try_from(count).unwrap_or(0);
        Ok((unsigned(counts.0), unsigned(counts.1)))
    }

    /// The users that a client may name a nameless room after: up to `limit` joined or invited
    /// ones, the longest unchanged first, or those who are gone if there are none.
    pub fn heroes(&self, room_id: &str, except: &str, limit: usize) -> Result<Vec<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id FROM memberships
             WHERE room_id = $1 AND user_id <> $2 AND membership IN ('join', 'invite')
             ORDER BY pos LIMIT $3",
        )?;
        let present: Vec<String> = statement
            .query_map((room_id, except, limit as i64), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if !present.is_empty() {
            return Ok(present);
        }
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id FROM memberships
             WHERE room_id = $1 AND user_id <> $2 AND membership IN ('leave', 'ban')
             ORDER BY pos LIMIT $3",
        )?;
        Ok(statement
            .query_map((room_id, except, limit as i64), |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Users joined to a room.
    pub fn joined_users(&self, room_id: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT user_id FROM memberships WHERE room_id = $1 AND membership = 'join' ORDER BY user_id",
            )?
            .query_map([room_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Whether two users are joined to the same room.
    pub fn share_room(&self, user_id: &str, other: &str) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM memberships AS mine
                 JOIN memberships AS other ON other.room_id = mine.room_id AND other.user_id = $2
                 WHERE mine.user_id = $1 AND mine.membership = 'join' AND other.membership = 'join'
                 LIMIT 1",
            )?
            .exists((user_id, other))?)
    }

    /// Whether two users are joined to the same encrypted room.
    pub fn share_encrypted_room(&self, user_id: &str, other: &str) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM memberships AS mine
                 JOIN memberships AS other ON other.room_id = mine.room_id AND other.user_id = $2
                 JOIN current_state AS s ON s.room_id = mine.room_id
                    AND s.type = 'm.room.encryption' AND s.state_key = ''
                 WHERE mine.user_id = $1 AND mine.membership = 'join' AND other.membership = 'join'
                 LIMIT 1",
            )?
            .exists((user_id, other))?)
    }

    /// The encrypted rooms the user is joined to, up to `limit` of them.
    pub fn encrypted_rooms(&self, user_id: &str, limit: usize) -> Result<Vec<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT m.room_id FROM memberships AS m
             JOIN current_state AS s ON s.room_id = m.room_id
                AND s.type = 'm.room.encryption' AND s.state_key = ''
             WHERE m.user_id = $1 AND m.membership = 'join' LIMIT $2",
        )?;
        let rows = statement.query_map((user_id, limit as i64), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Position of the room's encryption event; `None` for a room that is not encrypted.
    pub fn encrypted_at(&self, room_id: &str) -> Result<Option<StreamPosition>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT pos FROM current_state
                 WHERE room_id = $1 AND type = 'm.room.encryption' AND state_key = ''",
            )?
            .query_row([room_id], |row| row.get(0))
            .optional()?
            .map(StreamPosition::from_sql))
    }
}
