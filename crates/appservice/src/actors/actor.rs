//! What the service's own user, its ghosts and puppets have in common: they act.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};

use crate::{
    Content, Error, Urgency,
    client::escape,
    core::Core,
    format::Mentions,
    handler::Scope,
    id::{EventId, RoomId, UserId},
    outbox::{self, Outgoing, What},
    state::OwnState,
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
        let outgoing = self.outgoing(room.as_ref(), what, content);
        let core = &self.core;
        // What an earlier run of the handler has set may have been changed by others since.
        if let Some(event) = core.outbox.sent_before(&outgoing).await? {
            return Ok(event);
        }
        let before = core.rooms.event_of(room.as_ref(), kind, state_key).await?;
        let event = self.dispatch(&outgoing).await?;
        let set = OwnState {
            kind: kind.to_owned(),
            state_key: state_key.to_owned(),
            sender: self.user.clone(),
            content: outgoing.content,
            event_id: Some(event.to_string()),
        };
        let now_ms = core.now_ms();
        core.rooms
            .note_state(room.as_ref(), set, before, now_ms)
            .await?;
        Ok(event)
    }

    pub(super) fn outgoing(&self, room: &RoomId, what: What, content: Value) -> Outgoing {
        Outgoing {
            key: outbox::placed(&self.core.effect_key(self.scope.as_ref())),
            room_id: room.clone(),
            user: self.user.clone(),
            what,
            content,
            ts_ms: None,
            urgency: Urgency::Message,
        }
    }

    async fn dispatch(&self, outgoing: &Outgoing) -> Result<EventId, Error> {
        self.core.deliver(outgoing).await
    }
}
