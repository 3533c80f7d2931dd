//! Room events: insertion, and reading them as a client will see them.

use bridgehead_room::{Event, EventGraph};
use ruma::MilliSecondsSinceUnixEpoch;
use rusqlite::{OptionalExtension, Row};
use serde_json::value::RawValue;

use crate::{AppserviceNid, Error, LogKind, Result, Snapshot, StreamPosition, Tx};

/// An event to insert, with what the server adds beside the signed event.
pub struct EventInsert<'a> {
    /// The signed event.
    pub event: &'a Event,
    /// `membership` of the content, for member events.
    pub membership: Option<&'a str>,
    /// The state event it replaces.
    pub replaces: Option<&'a Event>,
    /// `m.relates_to` of the content: (event id, `rel_type`).
    pub relation: Option<(&'a str, &'a str)>,
    /// Device that sent it, with its transaction id: the sender sees it in `unsigned`.
    pub sent_as: Option<(&'a str, &'a str)>,
    /// Services the event is for.
    pub interest: &'a [AppserviceNid],
}

/// An event as read for a client: columns, with JSON as text.
#[derive(Debug, Clone)]
pub struct TimelineEvent {
    /// Its position.
    pub pos: StreamPosition,
    /// Its id.
    pub event_id: String,
    /// Its room.
    pub room_id: String,
    /// Its type.
    pub event_type: String,
    /// Its state key, for state events.
    pub state_key: Option<String>,
    /// Its sender.
    pub sender: String,
    /// `origin_server_ts`, ms.
    pub ts: i64,
    /// Content, canonical JSON text (redacted, if the event was).
    pub content: String,
    /// What it redacts.
    pub redacts: Option<String>,
    /// The event that redacted it.
    pub redacted_by: Option<String>,
    /// Content of the state event it replaced.
    pub prev_content: Option<String>,
    /// Sender of the state event it replaced.
    pub prev_sender: Option<String>,
    /// Id of the state event it replaced.
    pub replaces: Option<String>,
    /// Device that sent it.
    pub device_id: Option<String>,
    /// That device's transaction id.
    pub client_txn_id: Option<String>,
}

/// Which relations of an event are wanted.
#[derive(Debug, Clone)]
pub struct RelationQuery {
    /// The event that they relate to.
    pub event_id: String,
    /// Only relations of this type.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Only later ones than this.
    pub after: StreamPosition,
    /// Only earlier ones than this.
    pub before: StreamPosition,
}

/// What makes a request the same request: design.md "idempotency".
#[derive(Debug, Clone)]
pub struct ClientTxn {
    /// The (asserted) user.
    pub user_id: String,
    /// The service and device that sent it.
    pub scope: String,
    /// The room; empty for the making of one.
    pub room_id: String,
    /// The event type, or `redact` with the event redacted, or `createRoom`.
    pub event_type: String,
    /// The client's key.
    pub client_txn_id: String,
}

const COLUMNS: &str = "e.pos, e.event_id, e.room_id, e.type, e.state_key, e.sender, e.ts, e.content, \
     e.redacts, e.redacted_by, e.prev_content, e.prev_sender, e.replaces, e.device_id, e.client_txn_id";

impl Snapshot<'_> {
    fn timeline(&self, rest: &str, params: impl rusqlite::Params) -> Result<Vec<TimelineEvent>> {
        Ok(self
            .conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM events e {rest}"))?
            .query_map(params, read_timeline)?
            .collect::<Result<_, _>>()?)
    }

    /// The event with this id.
    pub fn event(&self, event_id: &str) -> Result<Option<TimelineEvent>> {
        Ok(self.timeline("WHERE e.event_id = $1", [event_id])?.pop())
    }

    /// The event at this position.
    pub fn event_at(&self, pos: StreamPosition) -> Result<Option<TimelineEvent>> {
        Ok(self.timeline("WHERE e.pos = $1", [pos.to_sql()])?.pop())
    }

    /// Events of a room after `after` up to and with `upto`, oldest first.
    pub fn events_forward(
        &self,
        room_id: &str,
        after: StreamPosition,
        upto: StreamPosition,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>> {
        self.timeline(
            "WHERE e.room_id = $1 AND e.pos > $2 AND e.pos <= $3 ORDER BY e.pos LIMIT $4",
            (room_id, after.to_sql(), upto.to_sql(), limit as i64),
        )
    }

    /// Events of a room from `from` (included) down to, but without, `downto`, newest first.
    pub fn events_backward(
        &self,
        room_id: &str,
        from: StreamPosition,
        downto: StreamPosition,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>> {
        self.timeline(
            "WHERE e.room_id = $1 AND e.pos <= $2 AND e.pos > $3 ORDER BY e.pos DESC LIMIT $4",
            (room_id, from.to_sql(), downto.to_sql(), limit as i64),
        )
    }

    /// Events that relate to another (`m.relates_to`) between two positions, both exclusive:
    /// newest first, or oldest first with `forward`.
    pub fn relations(
        &self,
        query: &RelationQuery,
        forward: bool,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>> {
        const WHICH: &str = "WHERE e.relates_to = $1 AND e.pos > $2 AND e.pos < $3
             AND ($4 IS NULL OR e.rel_type = $4) AND ($5 IS NULL OR e.type = $5)";
        let order = if forward { "e.pos" } else { "e.pos DESC" };
        self.timeline(
            &format!("{WHICH} ORDER BY {order} LIMIT $6"),
            (
                &query.event_id,
                query.after.to_sql(),
                query.before.to_sql(),
                &query.rel_type,
                &query.event_type,
                limit as i64,
            ),
        )
    }

    /// Events nearest to a time, the nearest first: at or after it (`forward`), or at or before it.
    pub fn events_near(
        &self,
        room_id: &str,
        ts: i64,
        forward: bool,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>> {
        let rest = if forward {
            "WHERE e.room_id = $1 AND e.ts >= $2 ORDER BY e.ts, e.pos LIMIT $3"
        } else {
            "WHERE e.room_id = $1 AND e.ts <= $2 ORDER BY e.ts DESC, e.pos DESC LIMIT $3"
        };
        self.timeline(rest, (room_id, ts, limit as i64))
    }

    /// Newest position of a room at or before `upto`; zero when it has none.
    pub fn room_position(&self, room_id: &str, upto: StreamPosition) -> Result<StreamPosition> {
        let pos = self
            .conn
            .prepare_cached("SELECT MAX(pos) FROM events WHERE room_id = $1 AND pos <= $2")?
            .query_row((room_id, upto.to_sql()), |row| row.get::<_, Option<i64>>(0))?;
        Ok(StreamPosition::from_sql(pos.unwrap_or(0)))
    }

    /// The event (or room) that an earlier, identical request made.
    pub fn client_txn(&self, txn: &ClientTxn) -> Result<Option<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT event_id FROM client_txns
                 WHERE user_id = $1 AND scope = $2 AND room_id = $3 AND type = $4 AND client_txn_id = $5",
            )?
            .query_row(
                (&txn.user_id, &txn.scope, &txn.room_id, &txn.event_type, &txn.client_txn_id),
                |row| row.get(0),
            )
            .optional()?)
    }

    /// The signed parts of an event, to rebuild its PDU.
    pub fn event_pdu(&self, event_id: &str) -> Result<Option<Event>> {
        let row = self
            .conn
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, e.pdu FROM events e WHERE e.event_id = $1"
            ))?
            .query_row([event_id], |row| {
                Ok((read_timeline(row)?, row.get::<_, String>(15)?))
            })
            .optional()?;
        row.map(|(event, sealed)| {
            let mut event = event.into_event()?;
            event.graph.sealed = sealed;
            Ok(event)
        })
        .transpose()
    }
}

impl TimelineEvent {
    /// As the room engine sees it (without its place in the graph).
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a stored id or content cannot be read.
    pub fn into_event(self) -> Result<Event> {
        let corrupt = || Error::corrupt("events", self.event_id.clone());
        let event_id = self.event_id.as_str().try_into().map_err(|_| corrupt())?;
        let room_id = self.room_id.as_str().try_into().map_err(|_| corrupt())?;
        let sender = self.sender.as_str().try_into().map_err(|_| corrupt())?;
        let ts = self.ts.try_into().map_err(|_| corrupt())?;
        let redacts = match &self.redacts {
            Some(id) => Some(id.as_str().try_into().map_err(|_| corrupt())?),
            None => None,
        };
        Ok(Event {
            event_id,
            room_id,
            sender,
            event_type: self.event_type.into(),
            state_key: self.state_key,
            origin_server_ts: MilliSecondsSinceUnixEpoch(ts),
            content: RawValue::from_string(self.content)
                .map_err(|_| Error::corrupt("events", self.event_id.clone()))?,
            redacts,
            graph: EventGraph::default(),
        })
    }
}

impl Tx<'_> {
    /// Inserts an event: log row, event row, and for state its place in the current state and in
    /// the memberships.
    pub fn insert_event(&mut self, insert: &EventInsert<'_>) -> Result<StreamPosition> {
        let event = insert.event;
        let event_type = event.event_type.to_string();
        let target = insert.membership.and(event.state_key.as_deref());
        let pos = self.append_log(
            LogKind::Event,
            Some(event.room_id.as_str()),
            target,
            insert.interest,
        )?;
        self.insert_event_row(pos, insert, &event_type)?;
        self.conn
            .prepare_cached(
                "UPDATE rooms SET last_pos = $1, last_event = $2, depth = $3 WHERE room_id = $4",
            )?
            .execute((
                pos.to_sql(),
                event.event_id.as_str(),
                i64::try_from(event.graph.depth).unwrap_or(i64::MAX),
                event.room_id.as_str(),
            ))?;
        if let Some(state_key) = &event.state_key {
            self.conn
                .prepare_cached(
                    "INSERT INTO current_state (room_id, type, state_key, pos) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (room_id, type, state_key) DO UPDATE SET pos = excluded.pos",
                )?
                .execute((event.room_id.as_str(), &event_type, state_key, pos.to_sql()))?;
        }
        if let (Some(membership), Some(user_id)) = (insert.membership, target) {
            self.conn
                .prepare_cached(
                    "INSERT INTO memberships (room_id, user_id, membership, pos, event_id) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (room_id, user_id) DO UPDATE SET
                        membership = excluded.membership, pos = excluded.pos,
                        event_id = excluded.event_id, forgotten = 0",
                )?
                .execute((
                    event.room_id.as_str(),
                    user_id,
                    membership,
                    pos.to_sql(),
                    event.event_id.as_str(),
                ))?;
        }
        Ok(pos)
    }

    fn insert_event_row(
        &self,
        pos: StreamPosition,
        insert: &EventInsert<'_>,
        event_type: &str,
    ) -> Result<()> {
        let event = insert.event;
        let replaces = insert.replaces;
        self.conn
            .prepare_cached(
                "INSERT INTO events (pos, event_id, room_id, type, state_key, sender, ts, content, pdu,
                    redacts, prev_content, prev_sender, replaces, relates_to, rel_type, device_id, client_txn_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            )?
            .execute(rusqlite::params![
                pos.to_sql(),
                event.event_id.as_str(),
                event.room_id.as_str(),
                event_type,
                event.state_key,
                event.sender.as_str(),
                i64::from(event.origin_server_ts.0),
                event.content.get(),
                event.graph.sealed,
                event.redacts.as_ref().map(|id| id.as_str()),
                replaces.map(|event| event.content.get()),
                replaces.map(|event| event.sender.as_str()),
                replaces.map(|event| event.event_id.as_str()),
                insert.relation.map(|(event_id, _)| event_id),
                insert.relation.map(|(_, rel_type)| rel_type),
                insert.sent_as.map(|(device_id, _)| device_id),
                insert.sent_as.map(|(_, txn_id)| txn_id),
            ])?;
        Ok(())
    }

    /// Remembers which event (or room) a client's request made.
    pub fn insert_client_txn(
        &mut self,
        txn: &ClientTxn,
        event_id: &str,
        now_ms: i64,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO client_txns (user_id, scope, room_id, type, client_txn_id, event_id, at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )?
            .execute((
                &txn.user_id,
                &txn.scope,
                &txn.room_id,
                &txn.event_type,
                &txn.client_txn_id,
                event_id,
                now_ms,
            ))?;
        Ok(())
    }

    /// Replaces an event's content by its redacted form, also where the state event that followed it
    /// shows it as the content before. The signed parts stay: hashes and signatures are made to
    /// survive redaction.
    pub fn redact_event(
        &mut self,
        event: &TimelineEvent,
        content: &str,
        redacted_by: &str,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE events SET content = $1, redacted_by = $2, prev_content = NULL, relates_to = NULL,
                    rel_type = NULL WHERE event_id = $3",
            )?
            .execute((content, redacted_by, &event.event_id))?;
        if let Some(state_key) = &event.state_key {
            // By way of the index on the room's state.
            self.conn
                .prepare_cached(
                    "UPDATE events SET prev_content = $1
                     WHERE room_id = $2 AND type = $3 AND state_key = $4 AND pos > $5
                     AND replaces = $6 AND prev_content IS NOT NULL",
                )?
                .execute((
                    content,
                    &event.room_id,
                    &event.event_type,
                    state_key,
                    event.pos.to_sql(),
                    &event.event_id,
                ))?;
        }
        Ok(())
    }
}

pub(crate) fn read_timeline(row: &Row<'_>) -> rusqlite::Result<TimelineEvent> {
    Ok(TimelineEvent {
        pos: StreamPosition::from_sql(row.get(0)?),
        event_id: row.get(1)?,
        room_id: row.get(2)?,
        event_type: row.get(3)?,
        state_key: row.get(4)?,
        sender: row.get(5)?,
        ts: row.get(6)?,
        content: row.get(7)?,
        redacts: row.get(8)?,
        redacted_by: row.get(9)?,
        prev_content: row.get(10)?,
        prev_sender: row.get(11)?,
        replaces: row.get(12)?,
        device_id: row.get(13)?,
        client_txn_id: row.get(14)?,
    })
}

/// The columns that [`read_timeline`] reads, for queries of other modules.
pub(crate) const TIMELINE_COLUMNS: &str = COLUMNS;
