//! What a bridge is given to say on its network.

use std::{fmt, sync::Arc};

use super::{Network, Remote};
use crate::{
    Content, Event,
    bridge::messages::MessageRef,
    format::content::Profile,
    id::{MxcUri, RoomId, UserId},
    media::MediaRepo,
    state::JoinRule,
};

/// Something that is to be said on the network. Only the kit makes it, and only of what the network has not said
/// itself (see [`Foreign`](super::Foreign)).
#[non_exhaustive]
pub struct Outgoing<N: Network> {
    /// Names it: the same at each attempt. For networks that recognise what they have already.
    pub key: String,
    /// Where.
    pub room: N::Room,
    /// The portal.
    pub room_id: RoomId,
    /// Who says it.
    pub speaker: Speaker,
    /// What.
    pub action: Action<N>,
    /// Other reactions to the same message that are told with this one ([`Network::hold`]).
    pub together: Vec<Together>,
    /// When it was said, ms since the Unix epoch.
    pub sent_at_ms: i64,
    /// Which attempt this is, from 1 on.
    pub attempt: u32,
    pub(crate) event: Arc<Event>,
    pub(crate) remote: Remote<N>,
}

impl<N: Network> Outgoing<N> {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// The way back, and the bridge around: ghosts, portals, who is in the room.
    #[must_use]
    pub fn remote(&self) -> &Remote<N> {
        &self.remote
    }

    /// The homeserver's media: to fetch what is to be shown on the network.
    #[must_use]
    pub fn media(&self) -> MediaRepo {
        self.remote.media()
    }

    /// The message or edit in one line, for a network that shows texts alone: media with a link that anybody can open,
    /// where the service has a proxy ([`MediaRepo::describe`]). `None` where it is neither, or says nothing.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        match &self.action {
            Action::Message { content, .. } | Action::Edit { content, .. } => {
                self.media().describe(content)
            }
            _ => None,
        }
    }
}

impl<N: Network> Clone for Outgoing<N> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            room: self.room.clone(),
            room_id: self.room_id.clone(),
            speaker: self.speaker.clone(),
            action: self.action.clone(),
            together: self.together.clone(),
            sent_at_ms: self.sent_at_ms,
            attempt: self.attempt,
            event: self.event.clone(),
            remote: self.remote.clone(),
        }
    }
}

impl<N: Network> fmt::Debug for Outgoing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("key", &self.key)
            .field("room", &self.room)
            .field("speaker", &self.speaker.user_id)
            .field("action", &self.action.name())
            .finish_non_exhaustive()
    }
}

/// Who speaks, of Matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Speaker {
    /// Who.
    pub user_id: UserId,
    /// What people call them in the room.
    pub name: String,
    /// Their picture.
    pub avatar: Option<MxcUri>,
    /// Whether they have an account of their own on the network ([`Network::has_account`]). Where they have none and
    /// the bridge has a relay, it has put their name into the message.
    pub has_account: bool,
    /// Who the sender says that this one message is from (MSC4144), where they speak for others themselves.
    pub profile: Option<Profile>,
}

/// A reaction that is told with another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Together {
    /// Who reacts.
    pub speaker: Speaker,
    /// An emoji, mostly.
    pub key: String,
}

/// What may wait before it is told ([`Network::hold`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// A message.
    Message,
    /// An edit of a message.
    Edit,
    /// A reaction to a message.
    Reaction,
}

/// Whether something may be on the network ([`Network::begun`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing of it is there.
    No,
    /// Some of it may be there.
    Yes,
    /// The network cannot tell.
    Unknown,
}

/// What is to be said, or done.
#[non_exhaustive]
pub enum Action<N: Network> {
    /// A message: text, media, anything.
    Message {
        /// What it is; [`Content::describe`] says in words what the network cannot show.
        content: Content,
        /// What it answers, if the network has that.
        reply_to: Option<MessageRef>,
    },
    /// A message was edited. Only if the network has [`EDITS`](Network::EDITS).
    Edit {
        /// The message; what it was last in [`MessageRef::content`].
        target: MessageRef,
        /// What it is now.
        content: Content,
    },
    /// A message was taken back. Only if the network has [`REDACTIONS`](Network::REDACTIONS).
    Redact {
        /// The message.
        target: MessageRef,
        /// Why, in the sender's words.
        reason: Option<String>,
    },
    /// A reaction. Only if the network has [`REACTIONS`](Network::REACTIONS).
    React {
        /// To what.
        target: MessageRef,
        /// An emoji, mostly.
        key: String,
    },
    /// A reaction was taken back.
    Unreact {
        /// The reaction; what it was in [`MessageRef::reaction`].
        reaction: MessageRef,
    },
    /// The room has another topic. Only if the network has [`TOPICS`](Network::TOPICS).
    Topic(String),
    /// The room has another name. Only if the network has [`NAMES`](Network::NAMES).
    Name(String),
    /// The room has another picture, or none. Only if the network has [`AVATARS`](Network::AVATARS).
    Avatar(Option<MxcUri>),
    /// The speaker has joined. This and what follows only if the network has [`MEMBERSHIP`](Network::MEMBERSHIP).
    Join,
    /// The speaker has left, or was put out of the room: it is theirs in either case, and not of whoever did it.
    Leave {
        /// Why.
        reason: Option<String>,
        /// Who has put them out, if somebody has.
        by: Option<UserId>,
        /// For good.
        is_ban: bool,
    },
    /// The speaker has barred a person of Matrix who was not in the room. Of who was there, [`Leave`](Self::Leave) says
    /// so.
    Ban {
        /// Whom.
        person: UserId,
        /// Why.
        reason: Option<String>,
    },
    /// The speaker has invited a user of the network. That they have thought better of it is not told.
    Invite {
        /// Whom.
        user: N::User,
    },
    /// The speaker has removed a user of the network.
    Remove {
        /// Whom.
        user: N::User,
        /// Why.
        reason: Option<String>,
        /// For good.
        is_ban: bool,
    },
    /// The speaker lets somebody come back who was removed for good, or barred.
    Unban {
        /// Whom.
        whom: Member<N>,
    },
    /// The speaker has given others more power, or less, or has changed who may speak. Only if the network has
    /// [`POWER`](Network::POWER).
    Power {
        /// All whose power is another now.
        changes: Vec<PowerChange<N>>,
        /// The level that it takes to speak, before and now, where that is another. Only if the network has
        /// [`RULES`](Network::RULES), and in a room that the bridge has made.
        speech: Option<(i64, i64)>,
    },
    /// The speaker has changed who may join. Only if the network has [`RULES`](Network::RULES), and in a room that the
    /// bridge has made.
    JoinRule {
        /// By which rule people joined until then, as far as the homeserver tells.
        before: Option<JoinRule>,
        /// By which they join now.
        now: JoinRule,
    },
}

/// Somebody in a portal.
pub enum Member<N: Network> {
    /// A user of the network, whose ghost it is.
    User(N::User),
    /// A person of Matrix.
    Person(UserId),
}

impl<N: Network> From<&UserId> for Member<N> {
    /// A person of Matrix.
    fn from(person: &UserId) -> Self {
        Self::Person(person.clone())
    }
}

impl<N: Network> fmt::Debug for Member<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => f.debug_tuple("User").field(user).finish(),
            Self::Person(person) => f.debug_tuple("Person").field(person).finish(),
        }
    }
}

impl<N: Network> Clone for Member<N> {
    fn clone(&self) -> Self {
        match self {
            Self::User(user) => Self::User(user.clone()),
            Self::Person(person) => Self::Person(person.clone()),
        }
    }
}

/// Somebody's power is another now.
#[non_exhaustive]
pub struct PowerChange<N: Network> {
    /// Whose.
    pub whom: Member<N>,
    /// The power level that they had.
    pub before: i64,
    /// The power level that they have.
    pub now: i64,
}

impl<N: Network> fmt::Debug for PowerChange<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} to {}", self.whom, self.before, self.now)
    }
}

impl<N: Network> Clone for PowerChange<N> {
    fn clone(&self) -> Self {
        Self {
            whom: self.whom.clone(),
            before: self.before,
            now: self.now,
        }
    }
}

impl<N: Network> Action<N> {
    /// A message that answers nothing.
    #[must_use]
    pub fn message(content: impl Into<Content>) -> Self {
        Self::Message {
            content: content.into(),
            reply_to: None,
        }
    }

    /// What it is, in one word, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::Edit { .. } => "edit",
            Self::Redact { .. } => "redact",
            Self::React { .. } => "react",
            Self::Unreact { .. } => "unreact",
            Self::Topic(_) => "topic",
            Self::Name(_) => "name",
            Self::Avatar(_) => "avatar",
            Self::Join => "join",
            Self::Leave { .. } => "leave",
            Self::Invite { .. } => "invite",
            Self::Remove { .. } => "remove",
            Self::Ban { .. } => "ban",
            Self::Unban { .. } => "unban",
            Self::Power { .. } => "power",
            Self::JoinRule { .. } => "join rule",
        }
    }

    /// Whether somebody has meant the network to have it: then it is tried for long, and people are told when it fails.
    /// That somebody of Matrix comes or goes is only made known there.
    pub(crate) fn is_said(&self) -> bool {
        !matches!(self, Self::Join | Self::Leave { .. })
    }

    /// Whose doing it is: the sender's, or of who left, whoever has put them out.
    pub(crate) fn subject(&self, event: &Event) -> UserId {
        let left = match self {
            Self::Leave { .. } => event.state_key.as_deref(),
            _ => None,
        };
        left.and_then(|user| UserId::parse(user).ok())
            .unwrap_or_else(|| event.sender.clone())
    }
}

impl<N: Network> Clone for Action<N> {
    fn clone(&self) -> Self {
        match self {
            Self::Message { content, reply_to } => Self::Message {
                content: content.clone(),
                reply_to: reply_to.clone(),
            },
            Self::Edit { target, content } => Self::Edit {
                target: target.clone(),
                content: content.clone(),
            },
            Self::Redact { target, reason } => Self::Redact {
                target: target.clone(),
                reason: reason.clone(),
            },
            Self::React { target, key } => Self::React {
                target: target.clone(),
                key: key.clone(),
            },
            Self::Unreact { reaction } => Self::Unreact {
                reaction: reaction.clone(),
            },
            Self::Topic(topic) => Self::Topic(topic.clone()),
            Self::Name(name) => Self::Name(name.clone()),
            Self::Avatar(avatar) => Self::Avatar(avatar.clone()),
            Self::Join => Self::Join,
            Self::Leave { reason, by, is_ban } => Self::Leave {
                reason: reason.clone(),
                by: by.clone(),
                is_ban: *is_ban,
            },
            Self::Ban { person, reason } => Self::Ban {
                person: person.clone(),
                reason: reason.clone(),
            },
            Self::Invite { user } => Self::Invite { user: user.clone() },
            Self::Remove {
                user,
                reason,
                is_ban,
            } => Self::Remove {
                user: user.clone(),
                reason: reason.clone(),
                is_ban: *is_ban,
            },
            Self::Unban { whom } => Self::Unban { whom: whom.clone() },
            Self::Power { changes, speech } => Self::Power {
                changes: changes.clone(),
                speech: *speech,
            },
            Self::JoinRule { before, now } => Self::JoinRule {
                before: before.clone(),
                now: now.clone(),
            },
        }
    }
}

impl<N: Network> fmt::Debug for Action<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What goes by, and is not kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Signal<N: Network> {
    /// Who types in a room at the moment, of Matrix; nobody, when it is empty.
    Typing {
        /// Where.
        room: N::Room,
        /// All of them.
        people: Vec<UserId>,
    },
    /// Somebody has read up to a message.
    Read {
        /// Where.
        room: N::Room,
        /// Who.
        person: UserId,
        /// Up to which message.
        message: Box<MessageRef>,
    },
}
