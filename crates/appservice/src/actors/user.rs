//! The service's own user, and its ghosts.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::Room;
use crate::{
    Content, Error, Urgency,
    core::Core,
    handler::{Context, FromContext, Rejection, Scope},
    id::{EventId, RoomId, UserId},
    outbox::{Outgoing, What},
};

/// One of the service's users, as handlers act with it.
#[derive(Clone)]
pub(crate) struct Actor {
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

impl Actor {
    fn key(&self) -> String {
        self.core.effect_key(self.scope.as_ref())
    }

    pub(crate) async fn send(
        &self,
        room: &RoomId,
        what: What,
        content: Value,
    ) -> Result<EventId, Error> {
        self.core.ensure_joined(&self.user, room).await?;
        let outgoing = Outgoing {
            key: self.key(),
            room_id: room.clone(),
            user: self.user.clone(),
            what,
            content,
            ts_ms: None,
            urgency: Urgency::Message,
        };
        self.core.send(&outgoing).await
    }
}

macro_rules! acting {
    ($name:ident) => {
        impl $name {
            /// The user's id.
            #[must_use]
            pub fn id(&self) -> &UserId {
                &self.0.user
            }

            /// Sends a message into a room, and returns when the homeserver has it. Registers and joins first, where
            /// that is needed. The same call of the same handler for the same event sends once, however often the
            /// handler is run.
            ///
            /// # Errors
            /// The homeserver's no, or the room's; what is only a matter of time is waited for.
            pub async fn send(&self, room: impl AsRef<RoomId> + Send, content: impl Into<Content> + Send) -> Result<EventId, Error> {
                let content = content.into();
                let kind = What::Event(content.event_type().to_owned());
                self.0.send(room.as_ref(), kind, content.into_json()).await
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
                self.0.send(room.as_ref(), what, content).await
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
                let content = reason.map_or_else(|| serde_json::json!({}), |reason| serde_json::json!({ "reason": reason }));
                self.0.send(room.as_ref(), What::Redaction(event.clone()), content).await
            }

            /// Joins a room.
            ///
            /// # Errors
            /// The homeserver's no.
            pub async fn join(&self, room: impl AsRef<RoomId> + Send) -> Result<(), Error> {
                self.0.core.ensure_joined(&self.0.user, room.as_ref()).await
            }
        }
    };
}

/// The service's own user: the sender that its registration names.
#[derive(Clone, Debug)]
pub struct Bot(pub(crate) Actor);

/// A user of the service's namespace, which stands for somebody of the other network.
#[derive(Clone, Debug)]
pub struct Ghost(pub(crate) Actor);

/// A person who lets the service act for them: see [`puppets`](crate::bridge::puppets).
#[derive(Clone, Debug)]
pub struct Puppet(pub(crate) Actor);

acting!(Bot);
acting!(Ghost);
acting!(Puppet);

impl Bot {
    /// The service's own user, outside of handlers.
    pub(crate) fn outside(core: Arc<Core>) -> Self {
        Self(Actor {
            user: core.bot.clone(),
            core,
            scope: None,
        })
    }
}

/// The service's ghosts: takes a name, gives a [`Ghost`].
#[derive(Clone)]
pub struct Ghosts {
    core: Arc<Core>,
    scope: Option<Scope>,
}

impl Ghosts {
    pub(crate) fn new(core: Arc<Core>, scope: Option<Scope>) -> Self {
        Self { core, scope }
    }

    /// The ghost with this value in a template with one field: `users("_echo_{name}")` makes `named("Ann")` the user
    /// `@_echo__ann:server`.
    ///
    /// # Errors
    /// When no template has just one field, or the id would be too long.
    pub fn named(&self, value: &str) -> Result<Ghost, Error> {
        let field = self.core.namespaces.single_user_field().ok_or_else(|| {
            Error::Unsupported(
                "no template of users has just one field: use `with` and name the fields"
                    .to_owned(),
            )
        })?;
        self.with(&[(field, value)])
    }

    /// The ghost with these values of a template's fields.
    ///
    /// # Errors
    /// When no template has these fields, or the id would be too long.
    pub fn with(&self, values: &[(&str, &str)]) -> Result<Ghost, Error> {
        let user = self.core.namespaces.user(values);
        let user = user.map_err(|error| Error::Unsupported(error.to_string()))?;
        Ok(self.ghost(user))
    }

    /// The ghost with this id.
    ///
    /// # Errors
    /// When it is none of the service's.
    pub fn user(&self, user: &UserId) -> Result<Ghost, Error> {
        if self.core.is_own(user) {
            Ok(self.ghost(user.clone()))
        } else {
            Err(Error::Unsupported(format!(
                "{user} is none of this service's users"
            )))
        }
    }

    fn ghost(&self, user: UserId) -> Ghost {
        Ghost(Actor {
            core: self.core.clone(),
            user,
            scope: self.scope.clone(),
        })
    }
}

impl FromContext for Bot {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self(Actor {
            core: context.core.clone(),
            user: context.core.bot.clone(),
            scope: Some(context.scope.clone()),
        }))
    }
}

impl FromContext for Ghosts {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(context.core.clone(), Some(context.scope.clone())))
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
