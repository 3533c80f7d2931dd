//! What the service's own user, its ghosts and puppets have in common: they act.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};

use super::{JoinOptions, Room};
use crate::{
    Content, Error, RoomPlan, Urgency,
    client::{Call, escape},
    core::Core,
    format::Mentions,
    handler::Scope,
    id::{EventId, RoomAlias, RoomId, UserId},
    outbox::{Outgoing, What},
    store::Tx,
};

/// Somebody the service acts as: [`Bot`](crate::Bot), [`Ghost`](crate::Ghost) and [`Puppet`](crate::Puppet) are all
/// this.
///
/// Whatever an actor needs for what it is asked to do is seen to on the way: it is registered, it joins (invited by
/// the service's own user where the room is not open), it is given power by the service's own user where it lacks it.
/// What cannot be is refused with the reason ([`Error::Forbidden`]), before the homeserver is asked where the room's
/// state is known.
///
/// In handlers, the same call for the same event does its work once, however often the handler is run.
#[derive(Clone)]
pub struct Actor {
    pub(crate) core: Arc<Core>,
    pub(crate) user: UserId,
    /// Names the effects of the handler that holds it; `None` outside of handlers.
    pub(crate) scope: Option<Scope>,
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.user, f)
    }
}

/// How a message is sent, other than now and as a message of its own.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SendOptions {
    ts_ms: Option<i64>,
    remote: Option<String>,
    urgency: Option<Urgency>,
}

impl SendOptions {
    /// Nothing unusual.
    pub fn new() -> Self {
        Self::default()
    }

    /// The message was said at this time, ms since the Unix epoch, on the other network (*timestamp massaging*).
    pub fn at(mut self, ts_ms: i64) -> Self {
        self.ts_ms = Some(ts_ms);
        self
    }

    /// The message has this id in that network. Whatever happens, a room has it only once: asking again for the same
    /// id gives back the same event.
    pub fn remote_id(mut self, network: &str, id: &str) -> Self {
        self.remote = Some(format!("{}/{}", escape(network), escape(id)));
        self
    }

    /// How urgent it is, where requests have to wait; history is [`Urgency::Backfill`].
    pub fn urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = Some(urgency);
        self
    }
}

/// The key of what has this id in another network, as one room has it.
pub(super) fn remote_key(room: &RoomId, network: &str, id: &str) -> String {
    remote_key_of(room, &format!("{}/{}", escape(network), escape(id)))
}

fn remote_key_of(room: &RoomId, remote: &str) -> String {
    format!("remote/{remote}/{room}")
}

/// Messages.
impl Actor {
    /// The user's id.
    #[must_use]
    pub fn id(&self) -> &UserId {
        &self.user
    }

    /// Sends a message into a room, and returns when the homeserver has it.
    ///
    /// # Errors
    /// The homeserver's no, or the room's ([`Error::Forbidden`]); what is only a matter of time is waited for.
    pub async fn send(
        &self,
        room: impl AsRef<RoomId> + Send,
        content: impl Into<Content> + Send,
    ) -> Result<EventId, Error> {
        self.send_with(room, content, SendOptions::new()).await
    }

    /// Sends a message that was said at this time, ms since the Unix epoch, on the other network.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_at(
        &self,
        room: impl AsRef<RoomId> + Send,
        content: impl Into<Content> + Send,
        ts_ms: i64,
    ) -> Result<EventId, Error> {
        self.send_with(room, content, SendOptions::new().at(ts_ms))
            .await
    }

    /// Sends the message that has this id in that network, once: asking again gives back the same event.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with_key(
        &self,
        room: impl AsRef<RoomId> + Send,
        (network, id): (&str, &str),
        content: impl Into<Content> + Send,
    ) -> Result<EventId, Error> {
        let options = SendOptions::new().remote_id(network, id);
        self.send_with(room, content, options).await
    }

    /// Sends a message in another way than usual.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with(
        &self,
        room: impl AsRef<RoomId> + Send,
        content: impl Into<Content> + Send,
        options: SendOptions,
    ) -> Result<EventId, Error> {
        let content = content.into();
        let what = What::Event(content.event_type().to_owned());
        let mut outgoing = self.outgoing(room.as_ref(), what, content.into_json());
        if let Some(remote) = &options.remote {
            outgoing.key = remote_key_of(room.as_ref(), remote);
        }
        outgoing.ts_ms = options.ts_ms;
        outgoing.urgency = options.urgency.unwrap_or(Urgency::Message);
        self.dispatch(&outgoing).await
    }

    /// Answers an event; whoever sent it is told, if named in `notify`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn reply(
        &self,
        room: impl AsRef<RoomId> + Send,
        (event, notify): (&EventId, Option<&UserId>),
        content: impl Into<Content> + Send,
    ) -> Result<EventId, Error> {
        let content = content.into();
        let content = content.in_reply_to(event, notify);
        self.send(room, content).await
    }

    /// Replaces a message that this user has sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn edit(
        &self,
        room: impl AsRef<RoomId> + Send,
        event: &EventId,
        content: impl Into<Content> + Send,
    ) -> Result<EventId, Error> {
        let content = content.into();
        let edit = content.as_edit_of(event, &Mentions::default());
        self.send(room, edit).await
    }

    /// Reacts to an event, with an emoji or any short text.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn react(
        &self,
        room: impl AsRef<RoomId> + Send,
        event: &EventId,
        key: &str,
    ) -> Result<EventId, Error> {
        self.send(room, Content::reaction_to(event, key)).await
    }

    /// Redacts an event.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn redact(
        &self,
        room: impl AsRef<RoomId> + Send,
        event: &EventId,
        reason: Option<&str>,
    ) -> Result<EventId, Error> {
        let content = match reason {
            Some(reason) => json!({ "reason": reason }),
            None => json!({}),
        };
        let what = What::Redaction(event.clone());
        self.dispatch(&self.outgoing(room.as_ref(), what, content))
            .await
    }

    /// Changes a room's state.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn set_state(
        &self,
        room: impl AsRef<RoomId> + Send,
        kind: &str,
        state_key: &str,
        content: Value,
    ) -> Result<EventId, Error> {
        let what = What::State(kind.to_owned(), state_key.to_owned());
        self.dispatch(&self.outgoing(room.as_ref(), what, content))
            .await
    }

    fn outgoing(&self, room: &RoomId, what: What, content: Value) -> Outgoing {
        Outgoing {
            key: self.core.effect_key(self.scope.as_ref()),
            room_id: room.clone(),
            user: self.user.clone(),
            what,
            content,
            ts_ms: None,
            urgency: Urgency::Message,
        }
    }

    async fn dispatch(&self, outgoing: &Outgoing) -> Result<EventId, Error> {
        if !self.core.is_ready(outgoing).await? {
            // What was sent by an earlier run of the handler needs nothing any more.
            if let Some(event) = self.core.outbox.sent(&outgoing.key).await? {
                return Ok(event);
            }
            self.core.prepare(outgoing).await?;
        }
        self.core.send(outgoing).await
    }
}

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
            .moderate(&self.user, room.as_ref(), super::Act::Invite, (user, None))
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
            .moderate(&self.user, room.as_ref(), super::Act::Kick, (user, reason))
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
            .moderate(&self.user, room.as_ref(), super::Act::Ban, (user, reason))
            .await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// As [`invite`](Self::invite).
    pub async fn unban(&self, room: impl AsRef<RoomId> + Send, user: &UserId) -> Result<(), Error> {
        self.core
            .moderate(&self.user, room.as_ref(), super::Act::Unban, (user, None))
            .await
    }

    /// Makes a room. In a handler, the same call for the same event gives back the room that was made.
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
        if !core.is_ready(outgoing).await? && core.outbox.sent(&outgoing.key).await?.is_none() {
            core.prepare(outgoing).await?;
        }
        actor.core.outbox.enqueue_with(self, outgoing);
        Ok(())
    }
}
