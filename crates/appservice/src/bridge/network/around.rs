//! What a network's own code asks of the bridge around it: ghosts, portals, people, media.
//!
//! A [`Remote`] does not keep the service alive, so a network may keep it, and what it gives here too, but for what
//! [`Remote::portals`] and [`Remote::handle`] lead to.

use super::{Member, Network, Remote};
use crate::{
    Error,
    bridge::{Level, MessageRef, messages, portal::Portal, portal::Portals},
    id::{EventId, RoomId, UserId},
    media::MediaRepo,
    run::Handle,
    state::RoomMember,
};

impl<N: Network> Remote<N> {
    /// The homeserver's media: what the network shows is uploaded here before it is said, and what people of Matrix
    /// show is fetched, or linked to. It may be kept.
    ///
    /// ```no_run
    /// # use bridgehead_appservice::{HandlerError, Content, bridge::*, media::Upload, format::content::{Media, MediaKind}};
    /// # async fn f<N: Network>(remote: Remote<N>, room: N::Room, who: N::User, png: Vec<u8>) -> Result<(), HandlerError> {
    /// let upload = Upload::new(png, "image/png").named("cat.png").by(&remote.ghost_id(&who)?);
    /// let uri = remote.media().upload(upload).await?;
    /// let picture = Content::media_message(&Media::new(MediaKind::Image, &uri, "cat.png"));
    /// remote.message(RemoteMessage::new("17", room, who, picture)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn media(&self) -> MediaRepo {
        let core = self.live.get().and_then(|live| live.core());
        core.map_or_else(|_| MediaRepo::ended(), |core| MediaRepo::new(&core))
    }

    /// The ghost that stands for a user of the network, whether it has been made yet or not: to mention them, or to
    /// upload as them.
    ///
    /// # Errors
    /// When the bridge has no ghosts, the id would be too long, or the service has ended.
    pub fn ghost_id(&self, user: &N::User) -> Result<UserId, Error> {
        self.live.get()?.ghost_id(user)
    }

    /// The user of the network whom a ghost stands for; `None` for people of Matrix.
    #[must_use]
    pub fn user_of(&self, ghost: &UserId) -> Option<N::User> {
        self.live.get().ok()?.user_of(ghost)
    }

    /// The portal of a room of the network, if there is one.
    ///
    /// # Errors
    /// When the database cannot be used, or the service has ended.
    pub async fn portal(&self, room: &N::Room) -> Result<Option<Portal<N>>, Error> {
        self.live.get()?.portal(room).await
    }

    /// What a room is the portal of.
    ///
    /// # Errors
    /// As [`portal`](Self::portal).
    pub async fn portal_at(&self, room: &RoomId) -> Result<Option<Portal<N>>, Error> {
        self.live.get()?.portal_at(room).await
    }

    /// Those of Matrix who are in a room: all members of its portal but the service's own users; nobody, where there
    /// is no portal.
    ///
    /// # Errors
    /// As [`portal`](Self::portal), or when the homeserver does not say who is in it.
    pub async fn people(&self, room: &N::Room) -> Result<Vec<RoomMember>, Error> {
        let live = self.live.get()?;
        let Some(portal) = live.portal(room).await? else {
            return Ok(Vec::new());
        };
        let core = live.core()?;
        let view = core.known_view(&portal.matrix).await?;
        let people = view
            .members()
            .filter(|member| member.is_joined() && !core.is_own(&member.user_id));
        Ok(people.cloned().collect())
    }

    /// Who this is: a user of the network whose ghost it is, or a person of Matrix. With [`MessageRef::sender`], who has
    /// said a message; what they have said last is in [`MessageRef::content`], until it is taken back.
    #[must_use]
    pub fn member(&self, user: &UserId) -> Member<N> {
        self.user_of(user)
            .map_or_else(|| Member::Person(user.clone()), Member::User)
    }

    /// What somebody may do. For a network that gives people more or less of itself by that: one that has
    /// [`Level::Relay`] alone is heard, and may be spoken for by somebody else.
    ///
    /// # Errors
    /// When the service has ended.
    pub fn level(&self, user: &UserId) -> Result<Level, Error> {
        Ok(self.live.get()?.core()?.level(user))
    }

    /// The message of which an event is a part, as both sides know it: what the network calls it is in
    /// [`MessageRef::ids`].
    ///
    /// # Errors
    /// As [`portal`](Self::portal).
    pub async fn message_at(&self, event: &EventId) -> Result<Option<MessageRef>, Error> {
        let core = self.live.get()?.core()?;
        Ok(messages::by_event::<N>(&core, event).await?)
    }

    /// The same, if it is a message of this room: for events that other events name, which may be of any room.
    ///
    /// # Errors
    /// As [`portal`](Self::portal).
    pub async fn message_in(
        &self,
        room: &N::Room,
        event: &EventId,
    ) -> Result<Option<MessageRef>, Error> {
        let core = self.live.get()?.core()?;
        Ok(messages::in_room::<N>(&core, room, event).await?)
    }

    /// The message with this id on the network, or with a part that has it; `None` where it was never here, or is
    /// forgotten ([`Bridge::remember_messages`](crate::bridge::Bridge::remember_messages)).
    ///
    /// # Errors
    /// As [`portal`](Self::portal).
    pub async fn message_of(&self, room: &N::Room, id: &str) -> Result<Option<MessageRef>, Error> {
        let core = self.live.get()?.core()?;
        Ok(messages::by_remote::<N>(&core.store, room, id).await?)
    }

    /// What can be done with portals. Take it anew for each thing to be done: while it is held, the service's database
    /// stays open.
    ///
    /// # Errors
    /// When the service has ended.
    pub fn portals(&self) -> Result<Portals<N>, Error> {
        let live = self.live.get()?;
        let core = live.core()?;
        Ok(Portals::outside(live, core))
    }

    /// The service around the bridge, for whatever else: its own user, people's puppets, rooms. It may be kept.
    ///
    /// # Errors
    /// When the service has ended.
    pub fn handle(&self) -> Result<Handle, Error> {
        let core = self.live.get()?.core()?;
        Ok(Handle::new(&core))
    }
}
