//! Where an event came from, in its type and on the wire.
//!
//! Two bridges that hear each other, or one that hears itself, must never pass a message back and forth. So what the
//! kit sends for a network carries a mark ([`ORIGIN`]), and an event with that network's mark is a [`Bridged`] event,
//! of which nothing can be made that the network would take; only of a [`Foreign`] one.

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc};

use serde_json::{Value, json};

use super::Network;
use crate::{
    Error, Event,
    bridge::{Links, RemoteId as _, portal::Rooms},
    core::Core,
    handler::{Context, FromContext, Rejection},
    store::OutboxState,
};

/// The field of an event's content that says which network it came from.
pub(crate) const ORIGIN: &str = "io.bridgehead.origin";

/// The mark of what is sent under this key for a room of a network.
pub(crate) fn mark<N: Network>(room: &N::Room, key: &str) -> Value {
    json!({ "network": N::NAME, "room": room.to_text(), "id": key })
}

/// What an event's mark says: the network, its room, and the key.
fn marked(event: &Event) -> Option<(&str, &str, &str)> {
    let mark = event.content.get(ORIGIN)?;
    let text = |name: &str| mark.get(name).and_then(Value::as_str);
    Some((text("network")?, text("room")?, text("id")?))
}

/// Where an event came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody of Matrix.
    Matrix,
    /// This network.
    Network(String),
    /// It says that it is of this network and this room of it; somebody else has sent it, such as another bridge.
    Claimed(String, String),
    /// The service's own words: notices, answers, what it does to rooms.
    Service,
}

/// Where an event came from. Of what this service has sent itself the mark is the truth; others can write anything.
pub(crate) async fn origin(core: &Core, event: &Event) -> Result<Origin, Error> {
    let is_own = core.is_own(&event.sender);
    let Some((network, room, key)) = marked(event) else {
        // What the service has said for a person is an echo, whoever has had it said.
        return Ok(match core.is_own_event(event) {
            true => Origin::Service,
            false => Origin::Matrix,
        });
    };
    if is_own || was_sent(core, event, key).await? {
        return Ok(Origin::Network(network.to_owned()));
    }
    Ok(Origin::Claimed(network.to_owned(), room.to_owned()))
}

/// Whether the service itself has sent an event of somebody who is none of its users: as a puppet.
async fn was_sent(core: &Core, event: &Event, key: &str) -> Result<bool, Error> {
    let key = key.to_owned();
    let row = core
        .store
        .read(move |unit| unit.outbox_by_key(&key))
        .await?;
    Ok(row.is_some_and(|row| {
        row.send.lane == event.room_id.as_str()
            && match row.state {
                // The event may be here before the answer to its sending.
                OutboxState::Pending => true,
                OutboxState::Done(id) => id.as_deref() == Some(event.id.as_str()),
                OutboxState::Failed(_) => false,
            }
    }))
}

/// Whether an event's room is the portal of this room of the network. Two bridges between the same two rooms would
/// pass a message on to each other for ever; who writes such a mark themselves is not heard there, and that is all.
async fn leads_to<N: Network>(core: &Core, event: &Event, room: &str) -> Result<bool, Error> {
    let portals = Links::<Rooms<N>>::of(core);
    let here = portals.all_by_matrix(&event.room_id).await?;
    Ok(here.iter().any(|portal| portal.remote.to_text() == room))
}

/// An event that network `N` has not said itself, and may be told: of people of Matrix, or of another network that
/// the room is linked to. A handler's argument.
///
/// What the network has said itself is no `Foreign` event, and nothing makes one of it:
///
/// ```compile_fail,E0308
/// use bridgehead_appservice::bridge::{Action, Bridged, Fate, Network, Portal, Portals};
///
/// async fn back<N: Network>(portals: Portals<N>, portal: Portal<N>, heard: Bridged<N>) -> Fate {
///     portals.deliver(&portal, heard, Action::message("an echo")).await
/// }
/// ```
///
/// With `Foreign<N>` in the place of `Bridged<N>` the same compiles:
///
/// ```
/// use bridgehead_appservice::bridge::{Action, Fate, Foreign, Network, Portal, Portals};
///
/// async fn on<N: Network>(portals: Portals<N>, portal: Portal<N>, heard: Foreign<N>) -> Fate {
///     portals.deliver(&portal, heard, Action::message("something new")).await
/// }
/// ```
pub struct Foreign<N: Network> {
    pub(crate) event: Arc<Event>,
    network: PhantomData<fn() -> N>,
}

/// An event that came from network `N`: a ghost's, the relay's, a puppet's. A handler's argument.
pub struct Bridged<N: Network> {
    pub(crate) event: Arc<Event>,
    network: PhantomData<fn() -> N>,
}

macro_rules! event_of {
    ($name:ident) => {
        impl<N: Network> Clone for $name<N> {
            fn clone(&self) -> Self {
                Self {
                    event: self.event.clone(),
                    network: PhantomData,
                }
            }
        }

        impl<N: Network> Deref for $name<N> {
            type Target = Event;

            fn deref(&self) -> &Event {
                &self.event
            }
        }

        impl<N: Network> fmt::Debug for $name<N> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name))
                    .field(&self.event.id)
                    .finish()
            }
        }
    };
}

event_of!(Foreign);
event_of!(Bridged);

impl<N: Network> Foreign<N> {
    /// The same event in other words.
    pub(super) fn with(&self, event: Event) -> Self {
        Self {
            event: Arc::new(event),
            network: PhantomData,
        }
    }

    /// The event, if it is one for the network.
    pub(crate) async fn of(core: &Core, event: &Arc<Event>) -> Result<Option<Self>, Error> {
        let is_foreign = match origin(core, event).await? {
            Origin::Matrix => true,
            Origin::Network(network) => network != N::NAME,
            Origin::Claimed(network, room) => {
                network != N::NAME || !leads_to::<N>(core, event, &room).await?
            }
            Origin::Service => false,
        };
        Ok(is_foreign.then(|| Self {
            event: event.clone(),
            network: PhantomData,
        }))
    }
}

impl<N: Network> FromContext for Foreign<N> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        Self::of(&context.core, event)
            .await?
            .ok_or(Rejection::NotForThis)
    }
}

impl<N: Network> FromContext for Bridged<N> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        match origin(&context.core, event).await? {
            Origin::Network(network) if network == N::NAME => Ok(Self {
                event: event.clone(),
                network: PhantomData,
            }),
            _ => Err(Rejection::NotForThis),
        }
    }
}
