//! What authors do with portals.

use std::{fmt, sync::Arc};

use super::{LinkRefused, Portal, ensure, plumb};
use crate::{
    Error, HandlerError,
    bridge::{
        Action, Fate, Foreign, LinkKind as _, MessageRef, Network, Remote, RemoteId as _, Rooms,
        ghosts, info,
        live::{Held, Live, LiveRef},
        messages,
        network::{Task, Undone, say_authors},
        unbridge::Orphan,
    },
    core::Core,
    handler::{Context, FromContext, Rejection},
    id::{EventId, RoomAlias, RoomId, UserId},
};

/// The portals of a bridge; a handler's argument. Cheap to clone.
pub struct Portals<N: Network> {
    pub(crate) live: Arc<Live<N>>,
    pub(crate) core: Arc<Core>,
    attempt: u32,
}

impl<N: Network> Clone for Portals<N> {
    fn clone(&self) -> Self {
        Self {
            live: self.live.clone(),
            core: self.core.clone(),
            attempt: self.attempt,
        }
    }
}

impl<N: Network> fmt::Debug for Portals<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Portals").field(&N::NAME).finish()
    }
}

impl<N: Network> FromContext for Portals<N> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let Held(live) = Held::<N>::from_context(context).await?;
        Ok(Self {
            live,
            core: context.core.clone(),
            attempt: context.delivery.attempt,
        })
    }
}

impl<N: Network> Portals<N> {
    pub(crate) fn outside(live: Arc<Live<N>>, core: Arc<Core>) -> Self {
        Self {
            live,
            core,
            attempt: 1,
        }
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &N {
        self.live.network()
    }

    /// The way from the network to Matrix, for what it says without a connection: in tests, or by a webhook.
    #[must_use]
    pub fn remote(&self) -> Remote<N> {
        Remote::new(LiveRef::new(&self.live))
    }

    /// The portal of a room of the network, if there is one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn of(&self, room: &N::Room) -> Result<Option<Portal<N>>, Error> {
        self.live.portal(room).await
    }

    /// What a room is the portal of.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn at(&self, room: &RoomId) -> Result<Option<Portal<N>>, Error> {
        self.live.portal_at(room).await
    }

    /// The ghost that stands for a user of the network, whether it has been made yet or not.
    ///
    /// # Errors
    /// When the bridge has no ghosts, or the id would be too long.
    pub fn ghost_id(&self, user: &N::User) -> Result<UserId, Error> {
        self.live.ghost_id(user)
    }

    /// The alias by which people get a room of the network, whether there is a portal yet or not; `None`, where the bridge
    /// has no aliases, or it would be too long.
    #[must_use]
    pub fn alias_of(&self, room: &N::Room) -> Option<RoomAlias> {
        self.live.alias_of(room)
    }

    /// The room of the network that an alias is for, whether there is such a room or not.
    #[must_use]
    pub fn room_of_alias(&self, alias: &RoomAlias) -> Option<N::Room> {
        self.live.room_of_alias(alias)
    }

    /// The user of the network whom a ghost stands for.
    #[must_use]
    pub fn user_of(&self, ghost: &UserId) -> Option<N::User> {
        self.live.user_of(ghost)
    }

    /// The message of which an event is a part, as both sides know it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn message_at(&self, event: &EventId) -> Result<Option<MessageRef>, Error> {
        Ok(messages::by_event::<N>(&self.core, event).await?)
    }

    /// The message with this id on the network, or with a part that has it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn message_of(&self, room: &N::Room, id: &str) -> Result<Option<MessageRef>, Error> {
        Ok(messages::by_remote::<N>(&self.core.store, room, id).await?)
    }

    /// Portals in the order of their remote ids' texts, behind `after` where it is given; at most `limit`, and 1000.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn list(
        &self,
        after: Option<&N::Room>,
        limit: usize,
    ) -> Result<Vec<Portal<N>>, Error> {
        Ok(self.live.links()?.list(after, limit).await?)
    }

    /// The portal of a room of the network; made, where there is none. `creator` is who asked for it.
    ///
    /// # Errors
    /// When the network has no such room, or it cannot be made.
    pub async fn ensure(
        &self,
        room: &N::Room,
        creator: Option<&UserId>,
    ) -> Result<Portal<N>, HandlerError> {
        ensure(&self.live, &self.core, room, creator)
            .await
            .map_err(said)
    }

    /// Links an existing room to a room of the network. If `by` says who asked, only with their power in the room.
    ///
    /// # Errors
    /// Why it was not linked, as a sentence for whoever asked.
    pub async fn link(
        &self,
        by: Option<&UserId>,
        room_id: &RoomId,
        room: &N::Room,
    ) -> Result<Portal<N>, LinkRefused> {
        plumb(&self.live, &self.core, by, room_id, room).await
    }

    /// Who says in Matrix what a user of the network says: the person themselves, where
    /// [`Network::person_of`] names one who lets the service act for them, and else the user's ghost, which is made where
    /// there is none.
    ///
    /// # Errors
    /// When the network does not say what is known of the user, or the ghost cannot be made.
    pub async fn voice_of(&self, user: &N::User) -> Result<UserId, HandlerError> {
        if let Some(person) = self.live.network().person_of(user).await
            && self.core.client.puppets().has(&person)
        {
            return Ok(person);
        }
        let ghost = ghosts::ensure(&self.live, &self.core, user).await;
        ghost.map_err(said)
    }

    /// Says a foreign event on the network, from the portal of its room; how it fared is for the caller to return.
    /// Whoever is [`Level::Blocked`](crate::bridge::Level::Blocked) is not heard, as anywhere; nor is anybody in a room
    /// that is on a ban list, or cut off.
    /// An event that the network has said itself cannot be given here: that does not compile.
    pub async fn deliver(&self, portal: &Portal<N>, event: Foreign<N>, action: Action<N>) -> Fate {
        let event = event.event.clone();
        say_authors(
            &self.live,
            &self.core,
            portal,
            event,
            (action, self.attempt),
        )
        .await
    }

    /// Takes a portal apart: ghosts leave, then the bridge; the alias and the link go last. Carried out in the room's
    /// order, and to the end, whatever crashes. What the network has said before comes through before that; what it
    /// says while it is carried out is dropped, and makes no new portal.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unbridge(&self, portal: &Portal<N>, reason: Option<&str>) -> Result<(), Error> {
        let task = Task::Unbridge {
            reason: reason.map(str::to_owned),
            linked_ms: Some(portal.linked_ms),
        };
        let key = format!(
            "{}/unbridge/{}/{}",
            N::NAME,
            portal.matrix,
            portal.linked_ms
        );
        self.live
            .take(task.in_room::<N>(&portal.remote, Some(key)))
            .await
    }

    /// The network calls a room otherwise than it did when it was linked, and means the same: the portal goes on under that
    /// id. `false`, and nothing is changed, where that has a portal already. Messages from before are not found under the
    /// new id.
    ///
    /// # Errors
    /// When the database cannot be used, or the room cannot be told what it is bridged to; it is under the new id then.
    pub async fn rename(&self, portal: &Portal<N>, to: &N::Room) -> Result<bool, Error> {
        let links = self.live.links()?;
        if links.by_remote(to).await?.is_some() {
            return Ok(false);
        }
        let from = portal.remote.to_text();
        let link = links.linking(to, &portal.matrix, &portal.data)?;
        self.core
            .store
            .write(move |unit| {
                link(unit)?;
                unit.delete_link(&Rooms::<N>::kind(), &from)
            })
            .await?;
        info::clear(&self.live, &self.core, portal).await?;
        if let Some(portal) = self.of(to).await? {
            info::update(&self.live, &self.core, &portal).await?;
        }
        Ok(true)
    }

    /// Ghosts that are of no use: in no room, or in a room that is no portal; behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn census(&self, after: Option<&Orphan>, limit: usize) -> Result<Vec<Orphan>, Error> {
        crate::bridge::unbridge::census(&self.live, &self.core, after, limit).await
    }

    /// Takes a ghost out of a room that is no portal; or closes the account of one that is in no room, for good.
    /// Looks again before: `false` if it is of use by now.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn dismiss(&self, orphan: &Orphan) -> Result<bool, Error> {
        crate::bridge::unbridge::dismiss(&self.live, &self.core, orphan).await
    }
}

fn said(undone: Undone) -> HandlerError {
    match undone {
        Undone::Failed(error) => error.into(),
        undone => HandlerError::new(undone.to_string()),
    }
}
