//! What a network says: on disk when the call returns, and brought to Matrix in each room's order.

use std::fmt;

use super::{
    Network, RoomChange, UserInfo, intake,
    task::{Said, Task},
};
use crate::{
    Content, Error, Ghost, Ghosts,
    bridge::links::LinkKind as _,
    bridge::{RemoteId, ghosts, live::LiveRef, portal::Rooms},
    id::RoomId,
    metrics::Metrics,
    state::Membership,
    store::{NewTask, Store},
};

/// The way from the network to Matrix; cheap to clone. Given to [`Network::run`], and with each [`Outgoing`]
/// ([`Outgoing::remote`]); a network may keep it.
///
/// [`Outgoing`]: super::Outgoing
/// [`Outgoing::remote`]: super::Outgoing::remote
///
/// What is said here is on disk when the call returns, and is done then whatever crashes, in each room's order. A
/// message that is said again, with an id that was said before, is there already, and is not said twice. When too
/// much waits, calls wait too.
pub struct Remote<N: Network> {
    pub(super) live: LiveRef<N>,
}

impl<N: Network> Clone for Remote<N> {
    fn clone(&self) -> Self {
        Self {
            live: self.live.clone(),
        }
    }
}

impl<N: Network> fmt::Debug for Remote<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&N::NAME).finish()
    }
}

/// A message of the network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use = "it is said by `Remote::message`"]
pub struct RemoteMessage<N: Network> {
    /// The network's id of it. Where it has none: anything that is the same whenever this message is heard.
    pub id: String,
    /// Where.
    pub room: N::Room,
    /// Who.
    pub sender: N::User,
    /// What.
    pub content: Content,
    /// When, ms since the Unix epoch; now, where it is not said.
    pub ts_ms: Option<i64>,
    /// The id of the message that it answers.
    pub reply_to: Option<String>,
}

impl<N: Network> RemoteMessage<N> {
    /// A message said now, that answers nothing.
    pub fn new(
        id: impl Into<String>,
        room: N::Room,
        sender: N::User,
        content: impl Into<Content>,
    ) -> Self {
        Self {
            id: id.into(),
            room,
            sender,
            content: content.into(),
            ts_ms: None,
            reply_to: None,
        }
    }

    /// The same said at that time, ms since the Unix epoch.
    pub fn at(mut self, ts_ms: i64) -> Self {
        self.ts_ms = Some(ts_ms);
        self
    }

    /// The same as an answer to the message with this id.
    pub fn in_reply_to(mut self, id: impl Into<String>) -> Self {
        self.reply_to = Some(id.into());
        self
    }
}

/// Names what a network did to a room under an id of its own.
fn key_of<N: Network>(room: &N::Room, what: &str, id: &str) -> String {
    format!("{}/{}/{what}/{id}", N::NAME, room.to_text())
}

/// The same for a message; with no id, what all of the room's begin with.
pub(crate) fn message_key<N: Network>(room: &str, id: &str) -> String {
    format!("{}/{room}/message/{id}", N::NAME)
}

impl<N: Network> Remote<N> {
    pub(crate) fn new(live: LiveRef<N>) -> Self {
        Self { live }
    }

    pub(super) async fn take(&self, task: NewTask) -> Result<(), Error> {
        let live = self.live.get()?;
        // Where nobody has asked for a portal there is nothing to do, and nothing to store.
        if !live.plan.on_demand
            && let Some(room) = intake::room_of::<N>(&task.lane)
            && live.portal(&room).await?.is_none()
        {
            return Ok(());
        }
        live.take(task).await
    }

    /// The service's database: for what the network remembers itself, such as how far it was read. What was given to
    /// [`message`](Self::message) and its like before is on disk already when something is put there.
    ///
    /// # Errors
    /// When the service ends.
    pub fn store(&self) -> Result<Store, Error> {
        Ok(self.live.get()?.core()?.store.clone())
    }

    /// The service's instruments, for counters of the network's own ([`Metrics::counter`]).
    ///
    /// # Errors
    /// When the service ends.
    pub fn metrics(&self) -> Result<Metrics, Error> {
        Ok(self.live.get()?.core()?.metrics.clone())
    }

    /// Somebody said something.
    ///
    /// # Errors
    /// When it could not be stored, or the service ends.
    pub async fn message(&self, message: RemoteMessage<N>) -> Result<(), Error> {
        let task = Task::Message {
            said: Said::of(&message),
            reply_to: message.reply_to,
            id: message.id.clone(),
        };
        let key = message_key::<N>(&message.room.to_text(), &message.id);
        self.take(task.in_room::<N>(&message.room, Some(key))).await
    }

    /// Somebody has edited what they said. `edit` is what it is now; its id is the edit's own, or the message's where
    /// edits have none: then one that says what the message says already is nothing.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn edit(&self, target: &str, edit: RemoteMessage<N>) -> Result<(), Error> {
        let said = Said::of(&edit);
        // What has no id of its own is new each time: there and back and there again are three edits.
        let own = match edit.id == target {
            true => {
                let core = self.live.get()?.core()?;
                format!("{target}/{}", core.surroundings.randomness.hex(16))
            }
            false => edit.id,
        };
        let task = Task::Edit {
            target: target.to_owned(),
            said,
        };
        let key = key_of::<N>(&edit.room, "edit", &own);
        self.take(task.in_room::<N>(&edit.room, Some(key))).await
    }

    /// A message was taken back, by `sender` if the network tells.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn redact(
        &self,
        room: &N::Room,
        target: &str,
        sender: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let task = Task::Redact {
            target: target.to_owned(),
            sender: sender.map(RemoteId::to_text),
            reason: reason.map(str::to_owned),
        };
        let key = key_of::<N>(room, "redact", target);
        self.take(task.in_room::<N>(room, Some(key))).await
    }

    /// Somebody reacts to a message. Said again, it is there already.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn react(
        &self,
        room: &N::Room,
        target: &str,
        sender: &N::User,
        key: &str,
    ) -> Result<(), Error> {
        let task = Task::React {
            target: target.to_owned(),
            sender: sender.to_text(),
            key: key.to_owned(),
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// Somebody has taken a reaction back.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn unreact(
        &self,
        room: &N::Room,
        target: &str,
        sender: &N::User,
        key: &str,
    ) -> Result<(), Error> {
        let task = Task::Unreact {
            target: target.to_owned(),
            sender: sender.to_text(),
            key: key.to_owned(),
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// Somebody has come into a room.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn join(&self, room: &N::Room, user: &N::User) -> Result<(), Error> {
        let user = user.to_text();
        self.take(Task::Join { user }.in_room::<N>(room, None))
            .await
    }

    /// Somebody has left a room.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn part(
        &self,
        room: &N::Room,
        user: &N::User,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let task = Task::Part {
            user: user.to_text(),
            reason: reason.map(str::to_owned),
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// All who are in a room: others of the network's users leave it.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn members(&self, room: &N::Room, users: &[N::User]) -> Result<(), Error> {
        let users = users.iter().map(RemoteId::to_text).collect();
        self.take(Task::Members { users }.in_room::<N>(room, None))
            .await
    }

    /// Somebody goes by another id from now on, such as a nick: the new ghost comes to where the old one was.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn renamed(&self, from: &N::User, to: &N::User) -> Result<(), Error> {
        let live = self.live.get()?;
        let ghost = live.ghost_id(from)?.to_string();
        let kind = Rooms::<N>::kind();
        let links = live
            .core()?
            .store
            .read(move |unit| {
                let rooms = unit.rooms_of(&ghost)?;
                let links = rooms
                    .iter()
                    .map(|room| unit.links_by_matrix(&kind, room, 1));
                links.collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let links = links.into_iter().flatten();
        let rooms = links.filter_map(|link| N::Room::from_text(&link.remote_id));
        let rooms: Vec<N::Room> = rooms.collect();
        self.renamed_in(&rooms, from, to).await
    }

    /// The same for whoever is in these rooms. A network that knows that says it: of who has come a moment ago, it is
    /// not known here yet.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn renamed_in(
        &self,
        rooms: &[N::Room],
        from: &N::User,
        to: &N::User,
    ) -> Result<(), Error> {
        for room in rooms {
            let task = Task::Swap {
                from: from.to_text(),
                to: to.to_text(),
            };
            self.take(task.in_room::<N>(room, None)).await?;
        }
        Ok(())
    }

    /// Somebody has another name or picture. A picture that is to be uploaded is uploaded before this returns.
    ///
    /// # Errors
    /// As [`message`](Self::message), or when the homeserver cannot be asked to take the picture.
    pub async fn profile(&self, user: &N::User, info: UserInfo) -> Result<(), Error> {
        let core = self.live.get()?.core()?;
        let info = ghosts::uploaded(&core, None, info).await?;
        let task = Task::Profile {
            user: user.to_text(),
            name: info.name,
            avatar: info.avatar,
        };
        self.take(task.row(intake::user_lane::<N>(user), None))
            .await
    }

    /// A room has another name, topic or picture, or is open to others; `by` whom, if the network tells. Who may come into
    /// a room that was linked, and whether it is listed, is its owners' own to say: of that nothing is changed.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn change(
        &self,
        room: &N::Room,
        by: Option<&N::User>,
        change: RoomChange,
    ) -> Result<(), Error> {
        let task = Task::Change {
            sender: by.map(RemoteId::to_text),
            change,
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// A room cannot be reached any more: it was closed, or the bridge was removed from it. The people in the portal
    /// are told, and whoever had it linked. What they say is refused until it is [`back`](Self::back); that they come or
    /// go is told to the network all the same, which may let them in where it does not let the bridge in.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn gone(&self, room: &N::Room, reason: &str) -> Result<(), Error> {
        let reason = reason.to_owned();
        self.take(Task::Gone { reason }.in_room::<N>(room, None))
            .await
    }

    /// Somebody types, or has stopped. Told if it can be told now, and not kept.
    pub async fn typing(&self, room: &N::Room, user: &N::User, is_typing: bool) {
        let told = self.signal(room, user, |ghost, room| async move {
            ghost.typing(&room, is_typing).await
        });
        told.await;
    }

    /// Somebody has read up to a message. Told if it can be told now, and not kept.
    pub async fn read(&self, room: &N::Room, user: &N::User, message: &str) {
        let Ok(live) = self.live.get() else { return };
        let Ok(core) = live.core() else { return };
        let found = crate::bridge::messages::by_remote::<N>(&core.store, room, message).await;
        let Some(event) = found
            .ok()
            .flatten()
            .and_then(|mut found| found.events.pop())
        else {
            return;
        };
        let told = self.signal(room, user, |ghost, room| async move {
            ghost.read(&room, &event).await
        });
        told.await;
    }

    /// Does what is of no use later: once, and if the ghost is in the portal.
    async fn signal<F, Fut>(&self, room: &N::Room, user: &N::User, call: F)
    where
        F: FnOnce(Ghost, RoomId) -> Fut,
        Fut: Future<Output = Result<(), Error>>,
    {
        let done = async {
            let live = self.live.get()?;
            let core = live.core()?;
            let Some(portal) = live.portal(room).await? else {
                return Ok(());
            };
            let ghost = live.ghost_id(user)?;
            let view = core.rooms.view(&portal.matrix).await?;
            if view.membership(&ghost) == Some(Membership::Join) {
                let ghost = Ghosts::new(core, None).user(&ghost)?;
                call(ghost, portal.matrix).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = done.await {
            tracing::debug!(network = N::NAME, %error, "a signal was not told");
        }
    }
}
