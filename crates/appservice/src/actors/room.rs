//! A room, as handlers hold it.

use std::{fmt, sync::Arc};

use super::{Actor, Bot, actor::remote_key};
use crate::{
    Error,
    core::Core,
    handler::{Context, FromContext, Rejection, Scope},
    id::{EventId, RoomId},
};

/// A room.
#[derive(Clone)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    pub(crate) core: Arc<Core>,
    pub(crate) scope: Option<Scope>,
}

impl Room {
    pub(crate) fn new(core: Arc<Core>, id: RoomId, scope: Option<Scope>) -> Self {
        Self { id, core, scope }
    }

    /// The service's own user, to act in the room.
    #[must_use]
    pub fn bot(&self) -> Bot {
        Bot(Actor {
            core: self.core.clone(),
            user: self.core.bot.clone(),
            scope: self.scope.clone(),
        })
    }

    /// The event that the message with this id in that network has become here, if one of the service's users has
    /// sent it with its id ([`SendOptions::remote_id`](super::SendOptions::remote_id)); it is remembered as long as
    /// [`Limits::remember`](crate::Limits::remember) says.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn event_of(&self, network: &str, id: &str) -> Result<Option<EventId>, Error> {
        self.core
            .outbox
            .sent(&remote_key(&self.id, network, id))
            .await
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

impl AsRef<RoomId> for Room {
    fn as_ref(&self) -> &RoomId {
        &self.id
    }
}

impl AsRef<RoomId> for RoomId {
    fn as_ref(&self) -> &RoomId {
        self
    }
}

impl FromContext for Room {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let room_id = context.room_id().ok_or(Rejection::NotForThis)?;
        Ok(Self::new(
            context.core.clone(),
            room_id,
            Some(context.scope.clone()),
        ))
    }
}
