//! What IRC says, on its way to Matrix: one after another, in the order in which it was heard.
//!
//! The network's loop never waits for Matrix: what Matrix takes its time with waits here. So what depends on how it is
//! in Matrix is found out here, and what the loop has to do about it goes back to it.

use std::{collections::BTreeMap, time::Instant};

use bridgehead_appservice::{
    Content, Error,
    bridge::{Member, Remote, RemoteMessage, RoomChange, UserInfo},
    format::Rich,
    id::UserId,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    doing::{Doing, Powers},
    keeping,
    memory::{Heard, Memory},
    missed::Known,
};
use crate::{
    Irc,
    clock::now,
    ids::{Nick, Place},
    kept::Seen,
    link::drive::Done,
    talks::TalkChange,
};

/// Deeds that may wait.
pub(super) const MAX_DEEDS: usize = 20_000;
/// Deeds that there must be room for before another line is read: one line may mean something in many channels.
pub(super) const RESERVE: usize = 4_000;

/// How what is remembered changes.
type Change = Box<dyn FnOnce(&mut Heard) + Send>;

/// What is to be done in Matrix.
pub(super) enum Deed {
    Message(RemoteMessage<Irc>),
    Join(Place, Nick),
    Part(Place, Nick, Option<String>),
    Members(Place, Vec<Nick>),
    /// In these places.
    Renamed(Vec<Place>, Nick, Nick),
    Profile(Nick, String),
    Change(Place, Option<Nick>, RoomChange),
    /// This is the channel's topic, whoever has set it.
    TopicIs(Place, Option<Nick>, String),
    Power(Place, Powers),
    /// A person has come: what they have in Matrix they are to have on IRC.
    Stand(Place, UserId),
    Kick(Place, UserId, Option<Nick>, Option<String>),
    Ban(Place, Member<Irc>, Option<Nick>),
    Unban(Place, Member<Irc>, Option<Nick>),
    Bans(Place, Vec<Member<Irc>>),
    Tell(UserId, Rich),
    /// A channel's key is kept, or forgotten.
    Key(String, Option<String>),
    /// The same with the mask for somebody in a channel.
    Mask((String, String), Option<String>),
    SeenAs(UserId, Seen),
    React {
        place: Place,
        target: String,
        who: Nick,
        key: String,
        is_undone: bool,
    },
    Redact(Place, String, Nick, Option<String>),
    /// The bridge says something in a room.
    Notice(Place, Rich),
    /// Somebody gives a person notice: a message where they talk, and else the bridge tells of it.
    PrivateNotice(UserId, Rich, Vec<RemoteMessage<Irc>>),
    /// Something of the talks of a network is written down.
    Talk(String, TalkChange),
    Gone(Place, String),
    Back(Place),
    /// A channel was heard up to then.
    Heard(String, i64),
    /// A channel is listened to no more.
    Unheard(String),
    /// So far a person's talks are known.
    Known(UserId, Known),
    /// The network was connected to then.
    Alive(i64),
    /// Who hears each channel of a network for all.
    Ears(String, BTreeMap<String, String>),
    /// All that came before is done: lines need not be kept any more.
    Done(Done),
    /// The bridge ends: who waits until all that came before is done.
    Last(oneshot::Sender<()>),
}

/// Does them until there are no more.
pub(super) async fn carry_out(
    mut doing: Doing,
    mut deeds: mpsc::Receiver<Deed>,
    mut memory: Memory,
) {
    loop {
        let deed = tokio::select! {
            deed = deeds.recv() => deed,
            () = sleep_until(memory.due_at(now())) => {
                memory.write(now()).await;
                continue;
            }
        };
        let Some(deed) = deed else {
            memory.write(now()).await;
            return;
        };
        if let Deed::Last(reply) = deed {
            memory.write(now()).await;
            reply.send(()).ok();
            continue;
        }
        let heard = deed.heard();
        if let Err(error) = doing.carry_out(deed).await {
            // Only where the database cannot be written, or the service ends.
            tracing::error!(%error, "something from IRC is lost");
        } else if let Some(heard) = heard {
            // Only now: what was not stored is not heard.
            memory.change(heard);
        }
    }
}

async fn notice(
    remote: &Remote<Irc>,
    person: &UserId,
    text: &Rich,
    messages: Vec<RemoteMessage<Irc>>,
) -> Result<(), Error> {
    let talk = match messages.first() {
        Some(message) => remote.portal(&message.room).await?,
        None => return Ok(()),
    };
    if talk.is_none() {
        return remote.tell(person, text).await;
    }
    for message in messages {
        remote.message(message).await?;
    }
    Ok(())
}

/// The message in the thread of what it answers, if that is in one.
async fn in_thread(
    remote: &Remote<Irc>,
    mut message: RemoteMessage<Irc>,
) -> Result<RemoteMessage<Irc>, Error> {
    let Some(id) = &message.reply_to else {
        return Ok(message);
    };
    let Some(answered) = remote.message_of(&message.room, id).await? else {
        return Ok(message);
    };
    let root = answered.content.as_ref().and_then(Content::thread_root);
    if let (Some(root), Some(event)) = (root, answered.events.last()) {
        let content = message.content.in_reply_to(event, Some(&answered.sender));
        message.content = content.in_thread(&root, event);
        message.reply_to = None;
    }
    Ok(message)
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Deed {
    /// What is to be remembered when it is done.
    fn heard(&self) -> Option<Change> {
        match self {
            Self::Message(message) => {
                let channel = message.room.as_channel()?.to_owned();
                let at_ms = message.ts_ms?;
                Some(Box::new(move |heard| heard.hear(&channel, at_ms)))
            }
            Self::Heard(channel, at_ms) => {
                let (channel, at_ms) = (channel.clone(), *at_ms);
                Some(Box::new(move |heard| heard.hear(&channel, at_ms)))
            }
            Self::Unheard(channel) => {
                let channel = channel.clone();
                Some(Box::new(move |heard| {
                    heard.channels.remove(&channel);
                }))
            }
            Self::Alive(at_ms) => {
                let at_ms = *at_ms;
                Some(Box::new(move |heard| heard.alive_ms = at_ms))
            }
            _ => None,
        }
    }

    /// Does what nothing has to be remembered for.
    pub(super) async fn carry_out(self, remote: &Remote<Irc>) -> Result<(), Error> {
        match self {
            Self::Message(message) => {
                let message = in_thread(remote, message).await?;
                remote.message(message).await
            }
            Self::Join(place, nick) => remote.join(&place, &nick).await,
            Self::Part(place, nick, reason) => remote.part(&place, &nick, reason.as_deref()).await,
            Self::Members(place, nicks) => remote.members(&place, &nicks).await,
            Self::Renamed(places, from, to) => remote.renamed_in(&places, &from, &to).await,
            Self::Profile(nick, name) => remote.profile(&nick, UserInfo::named(&name)).await,
            Self::Change(place, by, change) => remote.change(&place, by.as_ref(), change).await,
            Self::Kick(place, person, by, reason) => {
                let reason = reason.as_deref();
                remote.kick(&place, &person, by.as_ref(), reason).await
            }
            Self::Ban(place, whom, by) => remote.ban(&place, whom, by.as_ref(), None).await,
            Self::Unban(place, whom, by) => remote.unban(&place, whom, by.as_ref()).await,
            Self::Bans(place, all) => remote.bans(&place, &all).await,
            Self::React {
                place,
                target,
                who,
                key,
                is_undone,
            } => match is_undone {
                false => remote.react(&place, &target, &who, &key).await,
                true => remote.unreact(&place, &target, &who, &key).await,
            },
            Self::Redact(place, target, who, reason) => {
                let reason = reason.as_deref();
                remote.redact(&place, &target, Some(&who), reason).await
            }
            Self::Notice(place, text) => remote.notice(&place, &text).await,
            Self::Tell(person, text) => remote.tell(&person, &text).await,
            Self::PrivateNotice(person, text, messages) => {
                notice(remote, &person, &text, messages).await
            }
            Self::Talk(network, change) => {
                let store = remote.store()?;
                Ok(change.store(&store, &network).await?)
            }
            Self::Gone(place, reason) => remote.gone(&place, &reason).await,
            Self::Back(place) => remote.back(&place).await,
            // Done by who remembers.
            Self::Power(..)
            | Self::Stand(..)
            | Self::TopicIs(..)
            | Self::Key(..)
            | Self::Mask(..)
            | Self::SeenAs(..)
            | Self::Known(..) => Ok(()),
            Self::Ears(network, ears) => {
                let store = remote.store()?;
                Ok(keeping::note_ears(&store, &network, &ears).await?)
            }
            Self::Done(done) => {
                done.tell();
                Ok(())
            }
            Self::Heard(..) | Self::Unheard(_) | Self::Alive(_) | Self::Last(_) => Ok(()),
        }
    }
}
