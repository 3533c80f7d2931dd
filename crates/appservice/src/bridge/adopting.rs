//! Taking over what another bridge has left: its rooms, its talks of two, people's own rooms with its user, and its
//! ghosts under the ids that they have. All of it while the service does not run ([`Still`]).
//!
//! What is there already is never changed: a second run does nothing, and what people have changed since is kept.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Links, Network, PortalData, RemoteId, Rooms,
    live::Live,
    management::OwnRooms,
    naming::{self, AdoptedGhosts, MAX_ADOPTED},
};
use crate::{
    Error, Still,
    id::{RoomId, UserId},
    store::StoreError,
};

/// What became of something that was to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adopted {
    /// It is taken over.
    New,
    /// It was there.
    Known,
    /// Something else is in its place; what that is, in words.
    Taken(String),
}

/// The way to take over what another bridge has left ([`Still::adopting`]).
///
/// ```no_run
/// # use bridgehead_appservice::{Still, StartError, bridge::{Adopted, Network, PortalData, PortalKind}, id::RoomId};
/// # async fn take<N: Network>(still: Still, channel: N::Room) -> Result<(), Box<dyn std::error::Error>> {
/// let adopting = still.adopting::<N>().await?;
/// let mut data = PortalData::default();
/// data.kind = PortalKind::Plumbed;
/// let room = RoomId::parse("!old:example.org")?;
/// match adopting.portal(&channel, &room, &data).await? {
///     Adopted::New => println!("{room} goes on"),
///     Adopted::Taken(what) => println!("{room} is left out: {what}"),
///     _ => {}
/// }
/// # Ok(())
/// # }
/// ```
pub struct Adopting<N: Network> {
    live: Arc<Live<N>>,
    rooms: Links<Rooms<N>>,
    own_rooms: Links<OwnRooms>,
    ghosts: Links<AdoptedGhosts<N>>,
    /// How many ghosts are taken over.
    known: AtomicUsize,
}

impl<N: Network> fmt::Debug for Adopting<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Adopting").field(&N::NAME).finish()
    }
}

impl<N: Network> Adopting<N> {
    pub(crate) async fn begin(live: Arc<Live<N>>, still: &Still) -> Result<Self, StoreError> {
        let ghosts = still.store().read(naming::Adopted::read::<N>).await?;
        let known = AtomicUsize::new(ghosts.len());
        live.adopt(ghosts);
        Ok(Self {
            live,
            rooms: still.links(),
            own_rooms: still.links(),
            ghosts: still.links(),
            known,
        })
    }

    /// A room of Matrix goes on as the portal of a room of the network. Its ghosts are those of the other bridge only if
    /// they were taken over before.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn portal(
        &self,
        remote: &N::Room,
        room: &RoomId,
        data: &PortalData,
    ) -> Result<Adopted, StoreError> {
        if let Some(link) = self.rooms.by_remote(remote).await? {
            return Ok(match link.matrix == *room {
                true => Adopted::Known,
                false => Adopted::Taken(format!("that is {} already", link.matrix)),
            });
        }
        if let Some(link) = self.rooms.by_matrix(room).await? {
            let taken = link.remote.to_text();
            return Ok(Adopted::Taken(format!("the room is linked to {taken}")));
        }
        self.rooms.link(remote, room, data).await?;
        Ok(Adopted::New)
    }

    /// A room in which somebody is alone with the service's user goes on as their own room.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn own_room(&self, person: &UserId, room: &RoomId) -> Result<Adopted, StoreError> {
        let person = person.to_string();
        if let Some(link) = self.own_rooms.by_remote(&person).await? {
            return Ok(match link.matrix == *room {
                true => Adopted::Known,
                false => Adopted::Taken(format!("their own room is {}", link.matrix)),
            });
        }
        if let Some(link) = self.own_rooms.by_matrix(room).await? {
            return Ok(Adopted::Taken(format!(
                "the room is that of {}",
                link.remote
            )));
        }
        if let Some(link) = self.rooms.by_matrix(room).await? {
            let taken = link.remote.to_text();
            return Ok(Adopted::Taken(format!("the room is linked to {taken}")));
        }
        self.own_rooms.link(&person, room, &()).await?;
        Ok(Adopted::New)
    }

    /// A user of the network goes on with the ghost that the other bridge has made for them, whatever it is called. It has
    /// to be in the registration's namespaces. A ghost may be that of several, where it is not known yet which names the
    /// network takes for one; it is then said to stand for the last of them, in the order of their texts.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ghost(&self, user: &N::User, ghost: &UserId) -> Result<Adopted, StoreError> {
        if self
            .live
            .user_of(ghost)
            .as_ref()
            .is_some_and(|of| of.to_text() == user.to_text())
        {
            return Ok(Adopted::Known);
        }
        if let Some(link) = self.ghosts.by_remote(user).await? {
            return Ok(match link.matrix == *ghost {
                true => Adopted::Known,
                false => Adopted::Taken(format!("that is {} already", link.matrix)),
            });
        }
        if self.known.fetch_add(1, Ordering::Relaxed) >= MAX_ADOPTED {
            let full = format!("there are {MAX_ADOPTED} such ghosts, and no more are kept");
            return Ok(Adopted::Taken(full));
        }
        self.ghosts.link(user, ghost, &()).await?;
        Ok(Adopted::New)
    }

    /// The ghost that stands for a user when nothing is taken over for them.
    ///
    /// # Errors
    /// When the bridge has no ghosts, or the id would be too long.
    pub fn ghost_by_template(&self, user: &N::User) -> Result<UserId, Error> {
        self.live.ghost_by_template(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Database, Service,
        bridge::{Bridge, testing::Nowhere},
    };

    fn service() -> Service {
        Service::new("test").bridge(Bridge::new(Nowhere).users("_no_{name}"))
    }

    fn room(name: &str) -> RoomId {
        RoomId::parse(&format!("!{name}:x")).expect("an id")
    }

    fn user(localpart: &str) -> UserId {
        UserId::new(localpart, "x").expect("an id")
    }

    fn taken(adopted: &Adopted) -> &str {
        match adopted {
            Adopted::Taken(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_there_is_never_changed() {
        let still = service().still("x", &Database::Memory).expect("a database");
        let adopting = still.adopting::<Nowhere>().await.expect("a bridge");
        let data = PortalData::default();
        let lobby = "lobby".to_owned();
        let portal = async |remote: &String, at: &str| {
            let adopted = adopting.portal(remote, &room(at), &data).await;
            adopted.expect("stored")
        };
        assert_eq!(portal(&lobby, "one").await, Adopted::New);
        assert_eq!(portal(&lobby, "one").await, Adopted::Known);
        assert_eq!(
            taken(&portal(&lobby, "two").await),
            "that is !one:x already"
        );
        let hall = "hall".to_owned();
        assert_eq!(
            taken(&portal(&hall, "one").await),
            "the room is linked to lobby"
        );
        let own = async |person: &str, at: &str| {
            let adopted = adopting.own_room(&user(person), &room(at)).await;
            adopted.expect("stored")
        };
        assert_eq!(own("ann", "three").await, Adopted::New);
        assert_eq!(own("ann", "three").await, Adopted::Known);
        assert_eq!(
            taken(&own("ann", "four").await),
            "their own room is !three:x"
        );
        assert_eq!(
            taken(&own("bob", "three").await),
            "the room is that of @ann:x"
        );
        assert_eq!(
            taken(&own("bob", "one").await),
            "the room is linked to lobby"
        );
    }

    #[tokio::test]
    async fn ghosts_keep_the_ids_that_another_bridge_has_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::File(folder.path().join("test.db"));
        let (ann, bob) = ("ann".to_owned(), "bob".to_owned());
        let still = service().still("x", &database).expect("a database");
        let adopting = still.adopting::<Nowhere>().await.expect("a bridge");
        let ghost = async |of: &String, id: &str| adopting.ghost(of, &user(id)).await;
        assert_eq!(ghost(&bob, "_no_bob").await, Ok(Adopted::Known));
        assert_eq!(ghost(&ann, "_no_Ann[m]").await, Ok(Adopted::New));
        assert_eq!(ghost(&ann, "_no_Ann[m]").await, Ok(Adopted::Known));
        let other = ghost(&ann, "_no_ANN").await.expect("read");
        assert_eq!(taken(&other), "that is @_no_Ann[m]:x already");
        // Nobody else has the database meanwhile.
        let error = service()
            .still("x", &database)
            .map(drop)
            .expect_err("it is taken");
        assert!(
            error.to_string().contains("in use by another process"),
            "{error}"
        );
        assert!(database.check_free().is_err());
        still.close().await;
        database.check_free().expect("it is closed");

        let still = service().still("x", &database).expect("a database");
        let live = still.adopting::<Nowhere>().await.expect("a bridge").live;
        assert_eq!(live.ghost_id(&ann).ok(), Some(user("_no_Ann[m]")));
        assert_eq!(live.user_of(&user("_no_Ann[m]")), Some(ann));
        assert_eq!(live.user_of(&user("_no_ann")), None, "one ghost is enough");
        assert_eq!(live.ghost_id(&bob).ok(), Some(user("_no_bob")));
        assert_eq!(live.user_of(&user("_no_bob")), Some(bob));
    }
}
