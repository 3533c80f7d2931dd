//! The other network: what a bridge's author implements.
//!
//! ```text
//!             Remote<N> ──▶ tasks on disk, in each room's order ──▶ ghosts ──▶ Matrix
//!  network ◀──┤
//!             Outgoing<N> ◀── Foreign<N>: what the network has not said itself ◀── Matrix
//! ```
//!
//! [`Network`] has four methods without a default: [`run`](Network::run) the connection, [`send`](Network::send),
//! [`describe_user`](Network::describe_user), [`describe_room`](Network::describe_room). What a network can do is said
//! in constants, all of them `false` unless set; the kit does what the network cannot, or tells the sender.

mod around;
mod change;
mod connection;
mod deliver;
mod described;
mod echo;
mod fold;
mod held;
mod intake;
mod members;
mod moderate;
mod notices;
mod outgoing;
mod perform;
mod presence;
mod provenance;
mod remote;
mod task;

use std::{future::Future, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    change::RoomChange,
    described::{RoomInfo, UserInfo},
    outgoing::{Action, Begun, Held, Member, Outgoing, PowerChange, Signal, Speaker, Together},
    presence::RemotePresence,
    provenance::{Bridged, Foreign},
    remote::{Remote, RemoteMessage},
};
pub(crate) use self::{
    deliver::{Carrying, carry, on_event, say_authors},
    described::join_rules,
    held::HeldLanes,
    intake::{Change, Undone, Work, counts, room_of},
    perform::Doing,
    presence::{Presences, tell_presences},
    provenance::{Origin, origin},
    remote::message_key,
    task::Task,
};
use super::RemoteId;
use crate::{
    HandlerError,
    format::compose::PartMap,
    handler::IntoOutcome,
    id::{MxcUri, UserId},
};

/// Another network, as a bridge knows it.
///
/// One value of it runs for as long as the service; methods are called for many rooms at the same time, and for one
/// room one after another. The [module](crate::bridge) shows a whole one.
pub trait Network: Sized + Send + Sync + 'static {
    /// What a room is called on the network: a channel, a chat.
    type Room: RemoteId;
    /// What a user is called on the network.
    type User: RemoteId;

    /// Its name in the database, in events and in logs: lower-case letters, digits, `-`; never changed.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str = Self::NAME;
    /// The network tells of what was sent to it as well. What comes in waits then for what is on its way out, and is
    /// not taken for somebody else's: messages are known by the ids of their [`Receipt`], edits by their words,
    /// reactions by who reacts ([`Receipt::by`]), and what was taken back is gone already. What was on its way when the
    /// service was last ended has no receipt: a network that can tell which it is says so ([`Remote::echo`]).
    const ECHOES: bool = false;
    /// Messages can be edited. Where they cannot, the edit is said in words.
    const EDITS: bool = false;
    /// Messages can be taken back. Where they cannot, the sender is told so.
    const REDACTIONS: bool = false;
    /// Messages can be reacted to. Where they cannot, the reaction is rejected.
    const REACTIONS: bool = false;
    /// A room's topic can be set from Matrix.
    const TOPICS: bool = false;
    /// A room's name can be set from Matrix.
    const NAMES: bool = false;
    /// A room's picture can be set from Matrix.
    const AVATARS: bool = false;
    /// The network wants to know who of Matrix joins and leaves, and its users can be invited and removed from Matrix.
    const MEMBERSHIP: bool = false;
    /// The network wants to know whom people of Matrix give which power ([`Action::Power`]).
    const POWER: bool = false;
    /// The network wants to know whom people of Matrix let join and speak in rooms that the bridge has made
    /// ([`Action::JoinRule`], [`Action::Power`]).
    const RULES: bool = false;
    /// The network wants to know who types ([`Signal::Typing`]).
    const TYPING: bool = false;
    /// The network wants to know who has read what ([`Signal::Read`]).
    const RECEIPTS: bool = false;

    /// Connects, and brings what the network says to `remote`, until the connection ends. Called at the start, and
    /// again after a growing wait whenever it returns; dropped when the service ends.
    ///
    /// # Errors
    /// Why the connection ended; for the log.
    fn run(&self, remote: Remote<Self>) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Says something on the network. Returns when the network has it, or has said no; may take a minute, then it is
    /// tried again. It is called again for the same event only if it failed, or the service was ended before the
    /// outcome was stored: then with the same [`Outgoing::key`], and not if the network has told that it has it
    /// ([`Remote::echo`]). What turns out later not to have arrived is told by [`Remote::failed`].
    ///
    /// # Errors
    /// That it has to be tried again, that the network is away, or what the network says against it.
    fn send(
        &self,
        outgoing: Outgoing<Self>,
    ) -> impl Future<Output = Result<Receipt, SendError>> + Send;

    /// How long something waits before it is given to [`send`](Self::send). What changes it meanwhile goes with it: of
    /// edits the newest words, of reactions all as one ([`Outgoing::together`]), and what is deleted is not told at
    /// all. A message's room waits with it; for an edit and a reaction nobody waits. Unless said otherwise nothing waits.
    ///
    /// What had to wait for another reason, such as [`SendError::Away`], is looked at in the same way.
    fn hold(&self, room: &Self::Room, what: Held) -> Duration {
        let _ = (room, what);
        Duration::ZERO
    }

    /// Whether something that this key ([`Outgoing::key`]) names may be on the network already, in part or as a whole,
    /// although `send` has not said so: from before a crash, or an attempt that failed half-way. Then it is given again
    /// as it was, and without what has changed it since. Asked while it is not on its way. Has to be said by networks
    /// where edits are to go with what they edit.
    fn begun(
        &self,
        remote: &Remote<Self>,
        room: &Self::Room,
        key: &str,
    ) -> impl Future<Output = Begun> + Send {
        let _ = (remote, room, key);
        std::future::ready(Begun::Unknown)
    }

    /// Something that is being sent under this key was changed meanwhile: takes it back if nothing of it is on the
    /// network, and nothing will be. With `true` its `send` is dropped, and it is given again as it is now.
    fn withdraw(
        &self,
        remote: &Remote<Self>,
        room: &Self::Room,
        key: &str,
    ) -> impl Future<Output = bool> + Send {
        let _ = (remote, room, key);
        std::future::ready(false)
    }

    /// What is known of a user; `None` if there is no such user. Asked before a ghost is made.
    ///
    /// # Errors
    /// When it cannot be said at the moment.
    fn describe_user(
        &self,
        user: &Self::User,
    ) -> impl Future<Output = Result<Option<UserInfo>, HandlerError>> + Send;

    /// What is known of a room; `None` if there is no such room. Asked before a portal is made, or an existing room
    /// linked.
    ///
    /// # Errors
    /// When it cannot be said at the moment.
    fn describe_room(
        &self,
        room: &Self::Room,
    ) -> impl Future<Output = Result<Option<RoomInfo<Self>>, HandlerError>> + Send;

    /// Whether this person of Matrix may link a room of Matrix to this one, so that all who are there hear and speak
    /// here. Asked when they have the power in the room of Matrix; not asked for admins of the service, and nobody links
    /// a talk of two ([`RoomInfo::direct`]). Unless said otherwise: where everybody may join ([`RoomInfo::is_public`]).
    ///
    /// # Errors
    /// When it cannot be said at the moment; the link is not made then.
    fn may_link(
        &self,
        asker: &UserId,
        room: &Self::Room,
        info: &RoomInfo<Self>,
    ) -> impl Future<Output = Result<bool, HandlerError>> + Send {
        let _ = (asker, room);
        std::future::ready(Ok(info.is_public))
    }

    /// A room was linked (`is_linked`), or is linked no more: time to join or leave it on the network. Called again
    /// where it failed or the service was ended meanwhile.
    ///
    /// # Errors
    /// Why that cannot be done; a link is not made then.
    fn watch(
        &self,
        room: &Self::Room,
        is_linked: bool,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let _ = (room, is_linked);
        std::future::ready(Ok(()))
    }

    /// The room in which this person of Matrix and this user talk with nobody else; `None` where there is no such
    /// thing.
    ///
    /// # Errors
    /// When it cannot be said at the moment.
    fn direct_room(
        &self,
        person: &UserId,
        user: &Self::User,
    ) -> impl Future<Output = Result<Option<Self::Room>, HandlerError>> + Send {
        let _ = (person, user);
        std::future::ready(Ok(None))
    }

    /// Whether this person of Matrix speaks in this room with an account of their own on the network. For those who do
    /// not, the bridge's relay speaks, where it has one.
    fn has_account(&self, person: &UserId, room: &Self::Room) -> impl Future<Output = bool> + Send {
        let _ = (person, room);
        std::future::ready(false)
    }

    /// The person of Matrix whose account on the network this user is: what the user says there is said by themselves
    /// here, if they let the service act for them ([`puppets`](crate::bridge::puppets)), and else by their ghost.
    fn person_of(&self, user: &Self::User) -> impl Future<Output = Option<UserId>> + Send {
        let _ = user;
        std::future::ready(None)
    }

    /// A message could not be brought to Matrix, and will not be tried again: its room refuses the ghost, or is gone.
    /// Nothing hangs on it.
    fn undelivered(
        &self,
        room: &Self::Room,
        id: &str,
        reason: &str,
    ) -> impl Future<Output = ()> + Send {
        let _ = (room, id, reason);
        std::future::ready(())
    }

    /// The service ends: time to say goodbye. Nothing is sent any more, while [`run`](Self::run) still runs; it ends
    /// some seconds from now at the latest, or when this returns.
    fn leave(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Somebody types, or has read something. Only if [`TYPING`](Self::TYPING) or [`RECEIPTS`](Self::RECEIPTS) say so;
    /// nothing hangs on it.
    fn signal(&self, signal: Signal<Self>) -> impl Future<Output = ()> + Send {
        drop(signal);
        std::future::ready(())
    }

    /// Who may do what has changed while the service runs ([`Remote::level`]): a ban list names others
    /// ([`Service::policy_rooms`](crate::Service::policy_rooms)). Time to end the connections of those who are
    /// [blocked](super::Level::Blocked) now, and to let in who is no more. What they say is not brought to
    /// [`send`](Self::send) as it is.
    fn levels_changed(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Where a room is, for those who want to know what it is bridged to. Unless said otherwise, the first of several
    /// values of the id is the network, and the rest the channel.
    fn place(&self, room: &Self::Room) -> Place {
        let mut values = room.values();
        let network = (values.len() > 1).then(|| Named::new(&values.remove(0)));
        Place {
            network,
            channel: Named::new(&values.join("/")),
        }
    }
}

/// Where a room of the network is: for `m.bridge` (MSC2346).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of several networks.
    pub network: Option<Named>,
    /// The room.
    pub channel: Named,
}

/// Something with an id and more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name for people, where that is another.
    pub name: Option<String>,
    /// Its picture.
    pub avatar: Option<MxcUri>,
    /// Where it is found without Matrix.
    pub url: Option<String>,
}

impl Named {
    /// Something of which the id is all that is known.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }
}

/// The network has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "the receipt is what says that the network has it"]
pub struct Receipt {
    /// The network's ids of the message or its parts, in order; none where it has no ids.
    pub ids: Vec<String>,
    /// Which part carries what of the text, where there are several.
    pub map: PartMap,
    /// The text of the user's id ([`RemoteId::to_text`]) as whom it was said.
    pub by: Option<String>,
}

impl Receipt {
    /// The network has it, and has no ids. It can be answered, edited and taken back all the same; the network is
    /// given a [`MessageRef`](super::MessageRef) without ids then.
    pub fn new() -> Self {
        Self::default()
    }

    /// The network has it under this id.
    pub fn id(id: impl Into<String>) -> Self {
        Self {
            ids: vec![id.into()],
            ..Self::default()
        }
    }

    /// The network has it in parts, with these ids.
    pub fn parts(ids: Vec<String>, map: PartMap) -> Self {
        Self { ids, map, by: None }
    }

    /// The same, said as this user of the network. Networks that echo need it for reactions, which have no ids to know
    /// them again by ([`Network::ECHOES`]).
    pub fn by(mut self, user: &impl RemoteId) -> Self {
        self.by = Some(user.to_text());
        self
    }
}

/// Why the network has not got it.
///
/// Made from any error with `?`: it is tried again then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It is to be tried again.
    Retry {
        /// After this time; the kit's own growing waits where it is not said.
        after: Option<Duration>,
        /// Why, in words for people.
        reason: String,
    },
    /// The network, or the sender's own connection to it, is away. It waits until the network says that it is back
    /// ([`Remote::connected`], [`Remote::connected_in`]); that counts as no attempt. What is said in its room after it
    /// waits with it.
    Away {
        /// What is away, in words for people.
        reason: String,
        /// How long it may wait; as long as [`Bridge::wait_for_network`](super::Bridge::wait_for_network) says, where
        /// it is not said, and never longer.
        at_most: Option<Duration>,
    },
    /// It cannot be done.
    Reject(Rejected),
}

impl SendError {
    /// It is to be tried again, for this reason.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            after: None,
            reason: reason.into(),
        }
    }

    /// The network is away, for this reason: it waits until it is back.
    pub fn away(reason: impl Into<String>) -> Self {
        Self::Away {
            reason: reason.into(),
            at_most: None,
        }
    }

    /// The same, but for no longer than this, from its first attempt on: for what is away for one sender alone, such as
    /// a connection of their own. Others of the room wait for that too, so a minute is much.
    pub fn away_at_most(reason: impl Into<String>, at_most: Duration) -> Self {
        Self::Away {
            reason: reason.into(),
            at_most: Some(at_most),
        }
    }

    /// The network says no, for this reason.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(Rejected::new(Cause::Network, reason))
    }

    /// The network knows no such thing.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Reject(Rejected::new(Cause::Unsupported, reason))
    }

    /// The sender must not do that there.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::Reject(Rejected::new(Cause::Forbidden, reason))
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for SendError {
    fn from(error: E) -> Self {
        Self::retry(HandlerError::from(error).to_string())
    }
}

/// A no, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// What kind of reason it is.
    pub cause: Cause,
    /// The reason, in words for people.
    pub reason: String,
    /// Only clients are told, by a status event, and nobody by a notice in the room.
    pub is_quiet: bool,
}

impl Rejected {
    /// A no of which the sender is told.
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self {
            cause,
            reason: reason.into(),
            is_quiet: false,
        }
    }

    /// A no of which only clients are told.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }
}

/// What kind of reason a no has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The network said no, or was not there for too long. May be tried again.
    Network,
    /// The network, or the bridge, knows no such thing.
    Unsupported,
    /// The sender must not.
    Forbidden,
    /// It is encrypted, and the bridge has no key.
    Encrypted,
    /// What it is about is too long ago.
    TooOld,
    /// It was deleted before the network got it.
    Deleted,
    /// Something in the bridge is wrong. May be tried again.
    Internal,
}

impl Cause {
    /// Whether trying again may help.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Network | Self::Internal)
    }
}

/// How an event fared on its way to the network. There is no fifth way: who handles an event for the network has to
/// say one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the sender is to be told"]
pub enum Fate {
    /// The network has it.
    Delivered(Receipt),
    /// It is tried again; its room waits. After too many attempts it is rejected.
    Retrying {
        /// After this time; the kit's own growing waits where it is not said.
        after: Option<Duration>,
        /// Why, in words for people.
        reason: String,
    },
    /// It waits for the network, or the sender's connection to it, and its room waits with it. That counts as no
    /// attempt. After too long a time it is rejected.
    Waiting {
        /// What is away, in words for people.
        reason: String,
        /// How long it may wait, where that is less than the bridge's own time.
        at_most: Option<Duration>,
    },
    /// It cannot be done, and the sender is told why.
    Rejected(Rejected),
}

impl From<Result<Receipt, SendError>> for Fate {
    fn from(sent: Result<Receipt, SendError>) -> Self {
        match sent {
            Ok(receipt) => Self::Delivered(receipt),
            Err(SendError::Retry { after, reason }) => Self::Retrying { after, reason },
            Err(SendError::Away { reason, at_most }) => Self::Waiting { reason, at_most },
            Err(SendError::Reject(rejected)) => Self::Rejected(rejected),
        }
    }
}

impl IntoOutcome<Fate> for Fate {
    fn into_outcome(self) -> Result<Fate, HandlerError> {
        Ok(self)
    }
}

impl IntoOutcome<Fate> for Result<Receipt, SendError> {
    fn into_outcome(self) -> Result<Fate, HandlerError> {
        Ok(self.into())
    }
}

impl<E: Into<HandlerError>> IntoOutcome<Fate> for Result<Fate, E> {
    fn into_outcome(self) -> Result<Fate, HandlerError> {
        self.map_err(Into::into)
    }
}
