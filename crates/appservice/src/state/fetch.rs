//! Reading a room's whole state from the homeserver.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{Membership, RoomView, Rooms, Standing};
use crate::{
    Error,
    client::{Call, escape},
    core::Core,
    id::{RoomId, UserId},
    store::{Origin, StateRow},
    surroundings::TransportError,
};

/// So many of the service's users are tried as readers.
const READERS: usize = 3;

/// How long a room that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_secs(60);

/// The same for a room whose state is too large to be read: that does not change soon, and it was read for nothing.
const TOO_LARGE: Duration = Duration::from_secs(3600);

/// Until when a room is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable {
    until_ms: i64,
    /// It is too large, whoever reads it.
    is_large: bool,
}

impl Core {
    /// A room's state as it is: read from the homeserver, if it is not known. Where it cannot be read, since nobody
    /// of the service's is in the room, what is known of it.
    ///
    /// # Errors
    /// When the homeserver does not answer, or the database cannot be used.
    pub(crate) async fn known_view(&self, room: &RoomId) -> Result<Arc<RoomView>, Error> {
        let view = self.rooms.view(room).await?;
        if self.standing(&view) == Standing::Known {
            return Ok(view);
        }
        self.read_state(room, false).await
    }

    /// How far a view can be relied upon.
    pub(crate) fn standing(&self, view: &RoomView) -> Standing {
        view.standing(self.rooms.interest(), self.now_ms())
    }

    /// Reads a room's state, unless somebody else has just done so; `anyway` also then.
    pub(crate) async fn read_state(
        &self,
        room: &RoomId,
        anyway: bool,
    ) -> Result<Arc<RoomView>, Error> {
        let _flight = self.rooms.enter_fetch(room).await;
        let view = self.rooms.view(room).await?;
        let is_done = !anyway && self.standing(&view) == Standing::Known;
        if is_done || self.rooms.is_unreadable(room, self.now_ms()) {
            return Ok(view);
        }
        let mut was_refused = false;
        for reader in self.readers(&view) {
            match self.fetch(room, &reader).await {
                Ok(()) => return Ok(self.rooms.view(room).await?),
                Err(error) if matches!(error.status(), Some(403 | 404)) => {
                    tracing::debug!(room.id = %room, user.id = %reader, %error, "the state cannot be read");
                    was_refused = true;
                }
                Err(error @ Error::Transport(TransportError::TooLarge(_))) => {
                    tracing::warn!(room.id = %room, %error, "the room's state is too large to be read; what was heard of it is used");
                    self.rooms.set_unreadable(room, self.now_ms(), true);
                    return Ok(self.rooms.view(room).await?);
                }
                Err(error) => return Err(error),
            }
        }
        let now_ms = self.now_ms();
        self.rooms.set_unreadable(room, now_ms, false);
        if was_refused && self.standing(&view) == Standing::Known {
            self.rooms.doubt(room, now_ms).await?;
        }
        Ok(self.rooms.view(room).await?)
    }

    /// Those of the service's users who may read a room's state: who has joined it, and the service's own user where
    /// it is not known whether it has.
    fn readers(&self, view: &RoomView) -> Vec<UserId> {
        let bots = view.membership(&self.bot);
        let mut readers = Vec::new();
        if matches!(bots, None | Some(Membership::Join)) {
            readers.push(self.bot.clone());
        }
        let others = self.own_joined(view).into_iter();
        readers.extend(others.filter(|user| *user != self.bot).take(READERS));
        readers
    }

    /// The service's users who have joined a room, the same order each time; some of them, where there are many.
    pub(crate) fn own_joined(&self, view: &RoomView) -> Vec<UserId> {
        let joined = view
            .members()
            .filter(|member| member.membership == Membership::Join && self.is_own(&member.user_id));
        let mut users: Vec<UserId> = joined
            .map(|member| member.user_id.clone())
            .take(64)
            .collect();
        users.sort();
        users
    }

    async fn fetch(&self, room: &RoomId, reader: &UserId) -> Result<(), Error> {
        let begun_ms = self.now_ms();
        let id = room.to_string();
        let known = self.store.read_behind(move |unit| unit.room_row(&id));
        let doubts = known.await?.map_or(0, |row| row.doubts);
        let path = format!("/_matrix/client/v3/rooms/{}/state", escape(room.as_str()));
        let call = Call::get(path).by(Some(reader));
        let events: Vec<Value> = self.client.ask(&call).await?;
        let now_ms = self.now_ms();
        let rows: Vec<StateRow> = events
            .into_iter()
            .filter_map(|event| row_of(event, now_ms))
            .collect();
        tracing::debug!(room.id = %room, events = rows.len(), "the room's state was read");
        let id = room.to_string();
        self.store
            .write(move |unit| unit.replace_state(&id, &rows, (begun_ms, doubts), now_ms))
            .await?;
        self.rooms.forget(room);
        Ok(())
    }
}

fn row_of(event: Value, now_ms: i64) -> Option<StateRow> {
    let text = |name: &str| Some(event.get(name)?.as_str()?.to_owned());
    Some(StateRow {
        kind: text("type")?,
        state_key: text("state_key")?,
        event_id: text("event_id"),
        sender: text("sender")?,
        sent_ms: event
            .get("origin_server_ts")
            .and_then(Value::as_i64)
            .unwrap_or(0),
        noted_ms: now_ms,
        origin: Origin::Fetched,
        content: event.get("content").cloned()?,
    })
}

impl Rooms {
    async fn enter_fetch(&self, room: &RoomId) -> crate::flights::Flight<RoomId> {
        self.0.fetches.enter(room).await
    }

    fn is_unreadable(&self, room: &RoomId, now_ms: i64) -> bool {
        let mut unreadable = self.0.unreadable.lock();
        unreadable
            .get(room)
            .is_some_and(|unreadable| now_ms < unreadable.until_ms)
    }

    fn set_unreadable(&self, room: &RoomId, now_ms: i64, is_large: bool) {
        let pause = if is_large { TOO_LARGE } else { UNREADABLE };
        let unreadable = Unreadable {
            until_ms: now_ms + pause.as_millis() as i64,
            is_large,
        };
        self.0.unreadable.lock().put(room.clone(), unreadable);
    }

    /// A user of ours has come in: what could not be read may be read now.
    pub(crate) fn may_be_readable(&self, room: &RoomId) {
        let mut unreadable = self.0.unreadable.lock();
        if unreadable
            .peek(room)
            .is_some_and(|unreadable| !unreadable.is_large)
        {
            unreadable.pop(room);
        }
    }

    fn forget(&self, room: &RoomId) {
        self.0.cache.lock().forget(room);
    }
}
