//! Room state, now and at an earlier position.

use bridgehead_room::{Event, Membership};

use crate::{
    Result, Snapshot, StreamPosition, TimelineEvent,
    events::{TIMELINE_COLUMNS, read_timeline},
};

impl Snapshot<'_> {
    /// The room's current state events.
    pub(crate) fn current_state(&self, room_id: &str) -> Result<Vec<Event>> {
        self.current_state_events(room_id)?
            .into_iter()
            .map(TimelineEvent::into_event)
            .collect()
    }

    /// The room's current state, as clients see it.
    pub fn current_state_events(&self, room_id: &str) -> Result<Vec<TimelineEvent>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {TIMELINE_COLUMNS} FROM current_state s JOIN events e ON e.pos = s.pos
                 WHERE s.room_id = $1 ORDER BY s.pos"
            ))?
            .query_map([room_id], read_timeline)?
            .collect::<Result<_, _>>()?)
    }

    /// The room's state right after position `at`. A local room's graph is a line, so that is the
    /// newest event of each key up to there.
    pub fn state_at(&self, room_id: &str, at: StreamPosition) -> Result<Vec<TimelineEvent>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {TIMELINE_COLUMNS} FROM events e JOIN (
                    SELECT MAX(pos) AS pos FROM events
                    WHERE room_id = $1 AND state_key IS NOT NULL AND pos <= $2
                    GROUP BY type, state_key
                 ) newest ON newest.pos = e.pos ORDER BY e.pos"
            ))?
            .query_map((room_id, at.to_sql()), read_timeline)?
            .collect::<Result<_, _>>()?)
    }

    /// One state event as of position `at`.
    pub fn state_event_at(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        at: StreamPosition,
    ) -> Result<Option<TimelineEvent>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {TIMELINE_COLUMNS} FROM events e
                 WHERE e.room_id = $1 AND e.type = $2 AND e.state_key = $3 AND e.pos <= $4
                 ORDER BY e.pos DESC LIMIT 1"
            ))?
            .query_map((room_id, event_type, state_key, at.to_sql()), read_timeline)?
            .next()
            .transpose()?)
    }

    /// State events of the room that changed after `after` up to `upto`: the newest of each key.
    pub fn state_changes(
        &self,
        room_id: &str,
        after: StreamPosition,
        upto: StreamPosition,
    ) -> Result<Vec<TimelineEvent>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {TIMELINE_COLUMNS} FROM events e JOIN (
                    SELECT MAX(pos) AS pos FROM events
                    WHERE room_id = $1 AND pos > $2 AND pos <= $3 AND state_key IS NOT NULL
                    GROUP BY type, state_key
                 ) newest ON newest.pos = e.pos ORDER BY e.pos"
            ))?
            .query_map((room_id, after.to_sql(), upto.to_sql()), read_timeline)?
            .collect::<Result<_, _>>()?)
    }

    /// The newest position at or below `at` at which the user's membership event of the room
    /// stood; `None` when it had none.
    pub fn membership_at(
        &self,
        room_id: &str,
        user_id: &str,
        at: StreamPosition,
    ) -> Result<Option<TimelineEvent>> {
        self.state_event_at(room_id, "m.room.member", user_id, at)
    }

    /// State events of one type as of position `at`, oldest first.
    pub fn state_of_type_at(
        &self,
        room_id: &str,
        event_type: &str,
        at: StreamPosition,
    ) -> Result<Vec<TimelineEvent>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {TIMELINE_COLUMNS} FROM events e JOIN (
                    SELECT MAX(pos) AS pos FROM events
                    WHERE room_id = $1 AND type = $2 AND state_key IS NOT NULL AND pos <= $3
                    GROUP BY state_key
                 ) newest ON newest.pos = e.pos ORDER BY e.pos"
            ))?
            .query_map((room_id, event_type, at.to_sql()), read_timeline)?
            .collect::<Result<_, _>>()?)
    }

    /// Where the user's last stay in the room ended: the member event after their last join.
    /// `None` when they never joined, or are joined now.
    pub fn last_leaving(&self, room_id: &str, user_id: &str) -> Result<Option<StreamPosition>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pos, content FROM events
             WHERE room_id = $1 AND type = 'm.room.member' AND state_key = $2 ORDER BY pos DESC",
        )?;
        let mut rows = statement.query((room_id, user_id))?;
        let mut later = None;
        while let Some(row) = rows.next()? {
            let content: String = row.get(1)?;
            if Membership::from_content_text(&content) == Some(Membership::Join) {
                return Ok(later);
            }
            later = Some(StreamPosition::from_sql(row.get(0)?));
        }
        Ok(None)
    }
}
