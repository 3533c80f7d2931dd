//! What actors do beside sending: what is told and not kept, rooms and who is in them, and sends that commit with an
//! event's consumption.

use serde_json::{Value, json};

use super::{Act, Actor, JoinOptions, Room};
use crate::{
    Content, Error, RoomPlan, Urgency,
    client::{Call, escape},
    handler::Scope,
    id::{EventId, RoomAlias, RoomId, UserId},
    outbox::{Outgoing, What},
    store::Tx,
};

/// What is told, not kept.
impl Actor {
    /// Types in a room, or stops; the homeserver forgets it after half a minute.
    ///
    /// # Errors
    /// The homeserver's no. It is not tried again.
    pub async fn typing(
        &self,
        room: impl AsRef<RoomId> + Send,
        is_typing: bool,
    ) -> Result<(), Error> {
        let room = room.as_ref();
        self.core.ensure_joined(&self.user, room).await?;
        let path = format!(
            "/_matrix/client/v3/rooms/{}/typing/{}",
            escape(room.as_str()),
            escape(self.user.as_str())
        );
        let body = match is_typing {
            true => json!({ "typing": true, "timeout": 30_000 }),
            false => json!({ "typing": false }),
        };
        self.tell(&Call::put(path, &body)).await
    }

    /// Has read a room up to this event.
    ///
    /// # Errors
    /// The homeserver's no. It is not tried again.
    pub async fn read(
        &self,
        room: impl AsRef<RoomId> + Send,
        event: &EventId,
    ) -> Result<(), Error> {
        let room = room.as_ref();
        self.core.ensure_joined(&self.user, room).await?;
        let path = format!(
            "/_matrix/client/v3/rooms/{}/receipt/m.read/{}",
            escape(room.as_str()),
            escape(event.as_str())
        );
        self.tell(&Call::post(path, &json!({}))).await
    }

    /// Is `online`, `unavailable` or `offline`, and says this of themselves.
    ///
    /// # Errors
    /// The homeserver's no. It is not tried again.
    pub async fn presence(&self, presence: &str, status: Option<&str>) -> Result<(), Error> {
        self.core.ensure_registered(&self.user).await?;
        let path = format!(
            "/_matrix/client/v3/presence/{}/status",
            escape(self.user.as_str())
        );
        let mut body = json!({ "presence": presence });
        if let Some(status) = status {
            body["status_msg"] = json!(status);
        }
        self.tell(&Call::put(path, &body)).await
    }

    /// One attempt: what is told late is better not told.
    async fn tell(&self, call: &Call) -> Result<(), Error> {
        let call = call.clone().by(Some(&self.user)).urgency(Urgency::Profile);
        self.core.client.call::<Value>(&call).await.map(drop)
    }
}

/// Rooms and who is in them.
impl Actor {
    /// Joins a room. Where it is not open, the service's own user invites; what was refused a short while ago is not
    /// asked for again at once.
    ///
    /// # Errors
    /// The room's no, with what would permit it.
    pub async fn join(&self, room: impl AsRef<RoomId> + Send) -> Result<(), Error> {
        self.core.ensure_joined(&self.user, room.as_ref()).await
    }

    /// Joins a room in another way than usual. It is tried whatever was refused before.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub async fn join_with(
        &self,
        room: impl AsRef<RoomId> + Send,
        options: &JoinOptions,
    ) -> Result<(), Error> {
        let room = room.as_ref();
        self.core.forget_refusals(room);
        self.core.join(&self.user, room, options).await
    }

    /// Joins the room of an alias, and gives it back.
    ///
    /// # Errors
    /// As [`join`](Self::join), or that no room has the alias.
    pub async fn join_alias(&self, alias: &RoomAlias) -> Result<Room, Error> {
        let Some((room_id, servers)) = self.core.resolve_alias(alias).await? else {
            return Err(Error::Forbidden(format!("no room has the alias {alias}")));
        };
        let options = servers
            .iter()
            .fold(JoinOptions::new(), |options, server| options.via(server));
        self.core.join(&self.user, &room_id, &options).await?;
        Ok(self.room(&room_id))
    }

    /// Leaves a room; nothing happens when it is not in it.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn leave(
        &self,
        room: impl AsRef<RoomId> + Send,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.core.leave(&self.user, room.as_ref(), reason).await
    }

    /// Invites somebody; nothing happens when they are invited or in the room already.
    ///
    /// # Errors
    /// The room's no, with what would permit it.
    pub async fn invite(
        &self,
        room: impl AsRef<RoomId> + Send,
        user: &UserId,
    ) -> Result<(), Error> {
        self.core
            .moderate(&self.user, room.as_ref(), Act::Invite, (user, None))
            .await
    }

    /// Puts somebody out of a room.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn kick(
        &self,
        room: impl AsRef<RoomId> + Send,
        user: &UserId,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.core
            .moderate(&self.user, room.as_ref(), Act::Kick, (user, reason))
            .await
    }

    /// Puts somebody out of a room, and keeps them out.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn ban(
        &self,
        room: impl AsRef<RoomId> + Send,
        user: &UserId,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.core
            .moderate(&self.user, room.as_ref(), Act::Ban, (user, reason))
            .await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn unban(&self, room: impl AsRef<RoomId> + Send, user: &UserId) -> Result<(), Error> {
        self.core
            .moderate(&self.user, room.as_ref(), Act::Unban, (user, None))
            .await
    }

    /// Makes a room. In a handler, the same call for the same event gives back the room that was made, also where the
    /// service never heard that it was.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn create_room(&self, plan: RoomPlan) -> Result<Room, Error> {
        let name = self.scope.as_ref().map(Scope::next_key);
        let room_id = match name {
            Some(name) => self.core.create_once(&self.user, plan, &name).await?,
            None => self.core.create_room_as(&self.user, plan).await?,
        };
        Ok(self.room(&room_id))
    }

    /// The room of this user and that one, made when there is none, or when one of them has left it.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn create_dm(&self, user: &UserId) -> Result<Room, Error> {
        let room_id = self.core.direct_room(&self.user, user).await?;
        Ok(self.room(&room_id))
    }

    /// Gives a room an alias.
    ///
    /// # Errors
    /// The homeserver's no; `M_UNKNOWN` with 409 when another room has it.
    pub async fn set_alias(
        &self,
        room: impl AsRef<RoomId> + Send,
        alias: &RoomAlias,
    ) -> Result<(), Error> {
        self.core.set_alias(&self.user, room.as_ref(), alias).await
    }

    /// Takes an alias away; `false` when no room has it.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn remove_alias(&self, alias: &RoomAlias) -> Result<bool, Error> {
        self.core.remove_alias(&self.user, alias).await
    }

    /// Which room an alias belongs to, and servers that are in it; `None` when there is none.
    ///
    /// # Errors
    /// When the homeserver does not answer.
    pub async fn resolve_alias(
        &self,
        alias: &RoomAlias,
    ) -> Result<Option<(RoomId, Vec<String>)>, Error> {
        self.core.resolve_alias(alias).await
    }

    /// The rooms that it has joined, as far as the service has been told.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn rooms(&self) -> Result<Vec<Room>, Error> {
        let id = self.user.to_string();
        let ids = self.core.store.read(move |unit| unit.rooms_of(&id)).await?;
        let ids = ids.iter().filter_map(|id| RoomId::parse(id).ok());
        Ok(ids.map(|id| self.room(&id)).collect())
    }

    /// A room, as this user's handler has it.
    #[must_use]
    pub fn room(&self, id: &RoomId) -> Room {
        Room::new(self.core.clone(), id.clone(), self.scope.clone())
    }
}

impl Tx {
    /// Sends a message with the event's consumption: it is sent if, and only if, that is committed, and nobody waits
    /// for it. What the sender needs (to have joined, power) is seen to at once.
    ///
    /// # Errors
    /// As [`Actor::send`], as far as that is known beforehand.
    pub async fn send(
        &self,
        actor: &Actor,
        room: impl AsRef<RoomId> + Send,
        content: impl Into<Content> + Send,
    ) -> Result<(), Error> {
        let content = content.into();
        let what = What::Event(content.event_type().to_owned());
        let outgoing = actor.outgoing(room.as_ref(), what, content.into_json());
        self.add(actor, &outgoing).await
    }

    /// Changes a room's state with the event's consumption.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn set_state(
        &self,
        actor: &Actor,
        room: impl AsRef<RoomId> + Send,
        (kind, state_key): (&str, &str),
        content: Value,
    ) -> Result<(), Error> {
        let what = What::State(kind.to_owned(), state_key.to_owned());
        let outgoing = actor.outgoing(room.as_ref(), what, content);
        self.add(actor, &outgoing).await
    }

    async fn add(&self, actor: &Actor, outgoing: &Outgoing) -> Result<(), Error> {
        let core = &actor.core;
        if !core.is_ready(outgoing).await? && core.outbox.sent_before(outgoing).await?.is_none() {
            core.prepare_for_now(outgoing).await?;
        }
        actor.core.outbox.enqueue_with(self, outgoing);
        Ok(())
    }
}
