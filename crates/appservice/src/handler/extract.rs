//! Extractors: what a handler's arguments may be.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    future::Future,
    ops::Deref,
    sync::Arc,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::{Context, Delivery};
use crate::{
    Event,
    error::HandlerError,
    id::{EventId, UserId},
    store::{Store, Tx},
};

/// Why an extractor has nothing to give.
#[derive(Debug)]
pub enum Rejection {
    /// The event is not for this handler, which is not called.
    NotForThis,
    /// Something failed; the event is tried again.
    Failed(HandlerError),
}

impl<E: Into<HandlerError>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a service has declared, for [`FromContext::check`].
pub struct Declared<'a> {
    pub(crate) states: &'a HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

/// Something that a handler can take as an argument.
pub trait FromContext: Sized + Send {
    /// Takes it out. Called once for each call of the handler, in the order of the arguments.
    fn from_context(context: &Context) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Whether the service declares what is needed. Called once, when it starts.
    ///
    /// # Errors
    /// A sentence that says what is missing, and how to declare it.
    fn check(declared: &Declared<'_>) -> Result<(), String> {
        let _ = declared;
        Ok(())
    }
}

/// Every event of a room, state and messages alike, also those of the service's own users.
#[derive(Clone, Debug)]
pub struct Timeline {
    event: Arc<Event>,
    is_own: bool,
}

impl Timeline {
    /// Whether one of the service's own users has sent it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.is_own
    }
}

impl Deref for Timeline {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl FromContext for Timeline {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        Ok(Self {
            event: event.clone(),
            is_own: context.core.is_own_event(event),
        })
    }
}

/// The JSON of whatever has come: an event, an ephemeral event, a to-device message.
#[derive(Clone, Debug)]
pub struct Raw(pub Arc<Value>);

impl FromContext for Raw {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        use super::context::Input;
        match &context.input {
            Input::Event(event) | Input::Command(event, _) => {
                Ok(Self(Arc::new(serde_json::from_str(event.raw())?)))
            }
            Input::ToDevice(value) | Input::Devices(value) | Input::Ephemeral(value) => {
                Ok(Self(value.clone()))
            }
            Input::Alias(_) | Input::User(_) | Input::Remote(_) | Input::Start => {
                Err(Rejection::NotForThis)
            }
        }
    }
}

/// A state event whose content is read as the author's own type: only events of the type that [`StateKind`] names.
#[derive(Clone, Debug)]
pub struct StateEvent<C> {
    /// The event.
    pub event: Arc<Event>,
    /// Its content.
    pub content: C,
}

/// The content of a state event: which type of event it belongs to.
pub trait StateKind: DeserializeOwned + Send {
    /// The event's type, such as `m.room.topic`.
    const KIND: &'static str;
}

impl<C: StateKind> FromContext for StateEvent<C> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        if event.kind != C::KIND || !event.is_state() {
            return Err(Rejection::NotForThis);
        }
        // Content that does not fit is nothing that another attempt would change.
        let content = event.content_as().map_err(|_| Rejection::NotForThis)?;
        Ok(Self {
            event: event.clone(),
            content,
        })
    }
}

/// Somebody's membership in a room has changed (`m.room.member`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Whose.
    pub user_id: UserId,
    /// What it is now: `join`, `leave`, `invite`, `ban` or `knock`.
    pub membership: String,
    /// What it was before, where the homeserver tells.
    pub before: Option<String>,
    /// The member's name in the room.
    pub displayname: Option<String>,
    /// Why, in the sender's words.
    pub reason: Option<String>,
    /// The event.
    pub event: Arc<Event>,
    /// Whether it is one of the service's own users.
    pub is_own: bool,
}

impl FromContext for Member {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        if event.kind != "m.room.member" {
            return Err(Rejection::NotForThis);
        }
        let user = event.state_key.as_deref().map(UserId::parse);
        let (Some(Ok(user_id)), Some(membership)) = (user, event.text("membership")) else {
            return Err(Rejection::NotForThis);
        };
        let before = event.previous_content();
        let before = before.and_then(|content| content.get("membership")?.as_str());
        Ok(Self {
            membership: membership.to_owned(),
            before: before.map(str::to_owned),
            displayname: event.text("displayname").map(str::to_owned),
            reason: event.text("reason").map(str::to_owned),
            is_own: context.core.is_own(&user_id),
            event: event.clone(),
            user_id,
        })
    }
}

/// An event was redacted by somebody who is not one of the service's own users.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Redaction {
    /// The event that is gone.
    pub redacts: EventId,
    /// Why, in the sender's words.
    pub reason: Option<String>,
    /// The redaction itself.
    pub event: Arc<Event>,
}

impl FromContext for Redaction {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        if event.kind != "m.room.redaction" || context.core.is_own_event(event) {
            return Err(Rejection::NotForThis);
        }
        Ok(Self {
            redacts: event.redacts.clone().ok_or(Rejection::NotForThis)?,
            reason: event.text("reason").map(str::to_owned),
            event: event.clone(),
        })
    }
}

/// Who has sent the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(pub UserId);

impl FromContext for Sender {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        Ok(Self(event.sender.clone()))
    }
}

/// What the author gave to [`Service::state`](crate::Service::state).
pub struct State<S>(pub Arc<S>);

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Deref for State<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: Send + Sync + 'static> FromContext for State<S> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let state = context.core.states.get(&TypeId::of::<S>()).cloned();
        let state = state.and_then(|state| state.downcast::<S>().ok());
        state
            .map(Self)
            .ok_or_else(|| Rejection::Failed(HandlerError::new(missing::<S>())))
    }

    fn check(declared: &Declared<'_>) -> Result<(), String> {
        if declared.states.contains_key(&TypeId::of::<S>()) {
            Ok(())
        } else {
            Err(missing::<S>())
        }
    }
}

fn missing<S>() -> String {
    let name = std::any::type_name::<S>();
    format!(
        "a handler takes `State<{name}>`, and the service was given none: add `.state({name} …)`"
    )
}

impl FromContext for Tx {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(context.tx.clone())
    }
}

impl FromContext for Store {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(context.core.store.clone())
    }
}

impl FromContext for Delivery {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(context.delivery.clone())
    }
}

impl FromContext for Context {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(context.clone())
    }
}

impl<T: FromContext> FromContext for Option<T> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        match T::from_context(context).await {
            Ok(value) => Ok(Some(value)),
            Err(Rejection::NotForThis) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    fn check(declared: &Declared<'_>) -> Result<(), String> {
        T::check(declared)
    }
}
