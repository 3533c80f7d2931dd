//! The state of rooms.

use rusqlite::{OptionalExtension as _, Row, params};
use serde_json::Value;

use super::{Result, Unit};
use crate::Event;

/// How long an event that was read, or done by us, is protected from older ones that the stream still brings, ms.
const OVERLAP_MS: i64 = 10 * 60 * 1000;

/// Where a row of state has come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The stream of events, which is in the room's order.
    Stream,
    /// A reading of the whole state: the stream may still bring older events.
    Fetched,
    /// Ourselves: the stream has yet to bring it.
    Own,
}

impl Origin {
    fn number(self) -> i64 {
        match self {
            Self::Stream => 0,
            Self::Fetched => 1,
            Self::Own => 2,
        }
    }

    fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Fetched,
            2 => Self::Own,
            _ => Self::Stream,
        }
    }
}

/// A state event, as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StateRow {
    pub(crate) kind: String,
    pub(crate) state_key: String,
    /// `None` for what we have done without being told the event's id.
    pub(crate) event_id: Option<String>,
    pub(crate) sender: String,
    /// By the clock of the sender's homeserver.
    pub(crate) sent_ms: i64,
    /// By our clock.
    pub(crate) noted_ms: i64,
    pub(crate) origin: Origin,
    pub(crate) content: Value,
}

/// How complete the state of a room is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) fetched_ms: Option<i64>,
    pub(crate) created_ms: Option<i64>,
    pub(crate) stale_ms: Option<i64>,
    /// How often there was a doubt.
    pub(crate) doubts: i64,
    pub(crate) heard_ms: i64,
}

/// What the stream's event is to the state that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The state from now on.
    Newer,
    /// The same, and something between has been missed.
    AfterGap,
    /// What was known already, or older than that.
    Older,
}

const COLUMNS: &str = "kind, state_key, event_id, sender, sent_ms, noted_ms, origin, content";

fn row_of(row: &Row<'_>) -> rusqlite::Result<StateRow> {
    let content: String = row.get(7)?;
    Ok(StateRow {
        kind: row.get(0)?,
        state_key: row.get(1)?,
        event_id: row.get(2)?,
        sender: row.get(3)?,
        sent_ms: row.get(4)?,
        noted_ms: row.get(5)?,
        origin: Origin::from_number(row.get(6)?),
        content: serde_json::from_str(&content).unwrap_or_default(),
    })
}

impl StateRow {
    fn of(event: &Event, state_key: &str, now_ms: i64) -> Self {
        Self {
            kind: event.kind.clone(),
            state_key: state_key.to_owned(),
            event_id: Some(event.id.to_string()),
            sender: event.sender.to_string(),
            sent_ms: event.sent_at_ms,
            noted_ms: now_ms,
            origin: Origin::Stream,
            content: event.content.clone(),
        }
    }

    /// Whether this membership, which we have brought about and whose event is still to be heard, comes after the one
    /// that is heard now. A join may have been there before and have no event of its own, and so may an invitation.
    fn comes_after(&self, heard: Option<&str>) -> bool {
        match self.content.get("membership").and_then(Value::as_str) {
            Some("join") => matches!(heard, Some("invite" | "knock")),
            Some("leave") => heard != Some("leave"),
            Some("ban") => heard != Some("ban"),
            _ => false,
        }
    }

    /// What an event of the stream is to this row.
    fn compare(&self, event: &Event, now_ms: i64) -> Heard {
        let replaces = event.unsigned.get("replaces_state").and_then(Value::as_str);
        let is_recent = now_ms - self.noted_ms < OVERLAP_MS;
        if self.event_id.as_deref() == Some(event.id.as_str()) {
            // Heard for the first time, when it was known otherwise: from now on the stream is ahead of it.
            return Heard::Newer;
        }
        if self.event_id.is_some() && replaces == self.event_id.as_deref() {
            return Heard::Newer;
        }
        match self.origin {
            Origin::Stream if replaces.is_some() && self.event_id.is_some() => Heard::AfterGap,
            Origin::Fetched if is_recent && event.sent_at_ms < self.sent_ms => Heard::Older,
            Origin::Own if self.event_id.is_none() => {
                match is_recent && self.comes_after(event.text("membership")) {
                    true => Heard::Older,
                    false => Heard::Newer,
                }
            }
            Origin::Own if is_recent => Heard::Older,
            Origin::Stream | Origin::Fetched | Origin::Own => Heard::Newer,
        }
    }
}

impl Unit<'_> {
    /// Takes a state event of the stream in.
    pub(crate) fn hear_state(&self, event: &Event, state_key: &str, now_ms: i64) -> Result<Heard> {
        let room_id = event.room_id.as_str();
        self.hear_room(room_id, now_ms)?;
        let known = self.state_row(room_id, &event.kind, state_key)?;
        let heard = known.map_or(Heard::Newer, |known| known.compare(event, now_ms));
        if heard == Heard::Older {
            return Ok(heard);
        }
        self.put_state(room_id, &StateRow::of(event, state_key, now_ms))?;
        if heard == Heard::AfterGap {
            self.set_stale(room_id, now_ms)?;
        }
        if event.kind == "m.room.create" && state_key.is_empty() {
            self.connection
                .prepare_cached(
                    "UPDATE rooms SET created_ms = coalesce(created_ms, ?2) WHERE room_id = ?1",
                )?
                .execute(params![room_id, now_ms])?;
        }
        Ok(heard)
    }

    fn hear_room(&self, room_id: &str, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO rooms (room_id, heard_ms) VALUES (?1, ?2)
                 ON CONFLICT (room_id) DO UPDATE SET heard_ms = excluded.heard_ms",
            )?
            .execute(params![room_id, now_ms])?;
        Ok(())
    }

    /// Puts a row in the place of the one of its kind and key.
    pub(crate) fn put_state(&self, room_id: &str, row: &StateRow) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO state
                 (room_id, kind, state_key, event_id, sender, sent_ms, noted_ms, origin, content)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                room_id,
                row.kind,
                row.state_key,
                row.event_id,
                row.sender,
                row.sent_ms,
                row.noted_ms,
                row.origin.number(),
                row.content.to_string()
            ])?;
        Ok(())
    }

    /// Something of the room may have been missed. What was said of that before stays.
    pub(crate) fn set_stale(&self, room_id: &str, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE rooms SET stale_ms = coalesce(stale_ms, ?2), doubts = doubts + 1 WHERE room_id = ?1",
            )?
            .execute(params![room_id, now_ms])?;
        Ok(())
    }

    /// Puts a reading of the whole state in the place of what is kept, but for what the stream has brought since it
    /// was begun. A doubt of since then, `doubts` being how many there were, is not settled by it.
    pub(crate) fn replace_state(
        &self,
        room_id: &str,
        rows: &[StateRow],
        (begun_ms, doubts): (i64, i64),
        now_ms: i64,
    ) -> Result<()> {
        self.hear_room(room_id, now_ms)?;
        self.connection
            .prepare_cached(
                "DELETE FROM state WHERE room_id = ?1 AND NOT (origin = 0 AND noted_ms >= ?2)",
            )?
            .execute(params![room_id, begun_ms])?;
        for row in rows {
            if self
                .state_row(room_id, &row.kind, &row.state_key)?
                .is_none()
            {
                self.put_state(room_id, row)?;
            }
        }
        self.connection
            .prepare_cached(
                "UPDATE rooms SET fetched_ms = ?2, stale_ms = CASE WHEN doubts > ?3 THEN coalesce(stale_ms, ?2) END
                 WHERE room_id = ?1",
            )?
            .execute(params![room_id, now_ms, doubts])?;
        Ok(())
    }

    /// Forgets rooms that nobody of the service's has been in since then; gives back how many rows.
    pub(crate) fn forget_rooms(&self, before_ms: i64, limit: usize) -> Result<usize> {
        let mut old = self.connection.prepare_cached(
            "SELECT room_id FROM rooms WHERE stale_ms < ?1 AND heard_ms < ?1 LIMIT 1",
        )?;
        let Some(room_id) = old
            .query_row([before_ms], |row| row.get::<_, String>(0))
            .optional()?
        else {
            return Ok(0);
        };
        let mut rows = self.connection.prepare_cached(
            "DELETE FROM state WHERE room_id = ?1 AND (kind, state_key) IN
             (SELECT kind, state_key FROM state WHERE room_id = ?1 LIMIT ?2)",
        )?;
        let gone = rows.execute(params![room_id, limit as i64])?;
        if gone < limit {
            self.connection
                .prepare_cached("DELETE FROM rooms WHERE room_id = ?1")?
                .execute([&room_id])?;
        }
        Ok(gone + 1)
    }

    /// How complete a room's state is; `None` when nothing was ever heard of it.
    pub(crate) fn room_row(&self, room_id: &str) -> Result<Option<RoomRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT fetched_ms, created_ms, stale_ms, doubts, heard_ms FROM rooms WHERE room_id = ?1",
        )?;
        let row = statement.query_row([room_id], |row| {
            Ok(RoomRow {
                fetched_ms: row.get(0)?,
                created_ms: row.get(1)?,
                stale_ms: row.get(2)?,
                doubts: row.get(3)?,
                heard_ms: row.get(4)?,
            })
        });
        Ok(row.optional()?)
    }

    /// All rows of a room of these kinds.
    pub(crate) fn state_rows(&self, room_id: &str, kinds: &[&str]) -> Result<Vec<StateRow>> {
        let mut all = Vec::new();
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM state WHERE room_id = ?1 AND kind = ?2"
        ))?;
        for kind in kinds {
            let rows = statement.query_map([room_id, kind], row_of)?;
            all.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
        }
        Ok(all)
    }

    /// The current state event of a kind and key.
    pub(crate) fn state_row(
        &self,
        room_id: &str,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<StateRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM state WHERE room_id = ?1 AND kind = ?2 AND state_key = ?3"
        ))?;
        Ok(statement
            .query_row([room_id, kind, state_key], row_of)
            .optional()?)
    }

    /// The row of a room that this event has made.
    pub(crate) fn state_of_event(&self, room_id: &str, event_id: &str) -> Result<Option<StateRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM state WHERE room_id = ?1 AND event_id = ?2"
        ))?;
        Ok(statement
            .query_row([room_id, event_id], row_of)
            .optional()?)
    }

    /// The users who have joined a room, as far as that is known.
    pub(crate) fn joined_users(
        &self,
        room_id: &str,
        mut each: impl FnMut(&str) -> bool,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT state_key FROM state
             WHERE room_id = ?1 AND kind = 'm.room.member' AND content ->> 'membership' = 'join'",
        )?;
        let mut rows = statement.query([room_id])?;
        while let Some(row) = rows.next()? {
            if !each(row.get_ref(0)?.as_str().unwrap_or_default()) {
                break;
            }
        }
        Ok(())
    }

    /// The rooms that a user has joined, as far as that is known.
    pub(crate) fn rooms_of(&self, user_id: &str) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT room_id FROM state
             WHERE kind = 'm.room.member' AND state_key = ?1 AND content ->> 'membership' = 'join'",
        )?;
        let rows = statement.query_map([user_id], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One of our users' membership, which we have just changed.
    pub(crate) fn note_membership(
        &self,
        room_id: &str,
        user_id: &str,
        membership: &str,
        now_ms: i64,
    ) -> Result<()> {
        self.hear_room(room_id, now_ms)?;
        let known = self.state_row(room_id, "m.room.member", user_id)?;
        let said = |row: &StateRow| {
            row.content.get("membership").and_then(Value::as_str) == Some(membership)
        };
        if known.as_ref().is_some_and(said) {
            return Ok(());
        }
        let mut content = known.map_or(Value::Null, |row| row.content);
        if !content.is_object() {
            content = serde_json::json!({});
        }
        content["membership"] = membership.into();
        let row = StateRow {
            kind: "m.room.member".to_owned(),
            state_key: user_id.to_owned(),
            event_id: None,
            sender: user_id.to_owned(),
            sent_ms: now_ms,
            noted_ms: now_ms,
            origin: Origin::Own,
            content,
        };
        self.put_state(room_id, &row)
    }
}

#[cfg(test)]
mod tests;
