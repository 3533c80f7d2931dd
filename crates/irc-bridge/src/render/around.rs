//! What is known around a message: what it answers, its thread, the poll that it votes in, for whom it is said.

use bridgehead_appservice::{
    Content,
    bridge::{Action, Outgoing, SendError},
    format::{compose::EditStyle, content::Media},
    id::{EventId, UserId},
};

use super::{
    relay::{is_relayed, relay_name},
    reply::{Original, nick_of},
};
use crate::{
    Irc,
    network::{Handle, InThread},
    text::to_irc::{self, Around, Others, Said, Speaker, thread::Thread},
    votes::{is_disclosed, is_vote, poll_of},
};

/// What is known around a message.
pub(super) struct Surroundings {
    original: Option<Original>,
    /// The poll that is voted in.
    poll: Option<Content>,
    thread: Option<(EventId, InThread, Option<Content>)>,
    is_relayed: bool,
    pub(super) relayed_as: Option<String>,
}

impl Surroundings {
    pub(super) async fn of(outgoing: &Outgoing<Irc>, handle: &Handle) -> Result<Self, SendError> {
        let original = match &outgoing.action {
            Action::Message {
                reply_to: Some(target),
                ..
            } => Some(Original::of(outgoing, handle, target)),
            _ => None,
        };
        let is_relayed = is_relayed(outgoing, handle);
        let relayed_as = is_relayed.then(|| relay_name(outgoing, handle)).flatten();
        Ok(Self {
            original,
            poll: poll(outgoing).await?,
            thread: thread(outgoing, handle).await?,
            is_relayed,
            relayed_as,
        })
    }

    /// What is said, before it is cut; `None` of an edit that changes no word.
    pub(super) fn said(
        &self,
        outgoing: &Outgoing<Irc>,
        handle: &Handle,
    ) -> Result<Option<Said>, SendError> {
        let nick_of = |user: &UserId| nick_of(outgoing, handle, user);
        let media = outgoing.media();
        let link_of = |shown: &Media| {
            let named = media.public_url(&shown.uri, &shown.name);
            named.or_else(|_| media.public_url(&shown.uri, "")).ok()
        };
        let is_named = self.is_relayed && self.relayed_as.is_none();
        let around = Around {
            style: handle.settings.style,
            nick_of: &nick_of,
            link_of: &link_of,
            speaker: is_named.then_some(Speaker {
                name: &outgoing.speaker.name,
                is_silent: true,
            }),
            reply: self
                .original
                .as_ref()
                .map(|original| original.reply(handle)),
            thread: self.thread.as_ref().map(|(root, told, about)| Thread {
                root,
                is_current: told.is_current,
                about: about.as_ref(),
            }),
        };
        let nothing = || SendError::unsupported("there is nothing in it that IRC could show");
        let said = match &outgoing.action {
            Action::Message { content, .. } if is_vote(content.event_type()) => {
                to_irc::poll::vote(content, self.poll.as_ref(), &around)
            }
            Action::React { target, key } => {
                let others = others(outgoing, &around);
                let to = target.events.first();
                to.and_then(|to| {
                    let reaction = Content::reaction_to(to, key);
                    to_irc::reacts(&reaction, &others, target.content.as_ref(), &around)
                })
            }
            action => say(action, &around),
        };
        match (said, &outgoing.action) {
            (None, Action::Edit { .. }) => Ok(None),
            (said, _) => said.map(Some).ok_or_else(nothing),
        }
    }

    /// What programs are told beside the words.
    pub(super) fn tags(&self, handle: &Handle) -> Vec<(String, String)> {
        let takes = handle.directory.read().offers().takes_tag("draft/reply");
        let answered = self.original.as_ref().filter(|_| takes);
        let answered = answered.and_then(|original| original.msgid.clone());
        let tag = answered.map(|msgid| ("+draft/reply".to_owned(), msgid));
        tag.into_iter().collect()
    }
}

/// The poll that is voted in, if everybody may know what the votes are.
async fn poll(outgoing: &Outgoing<Irc>) -> Result<Option<Content>, SendError> {
    let voted_in = match &outgoing.action {
        Action::Message { content, .. } if is_vote(content.event_type()) => poll_of(content),
        _ => None,
    };
    let Some(event) = voted_in else {
        return Ok(None);
    };
    let poll = outgoing.remote().message_in(&outgoing.room, &event).await?;
    let poll = poll.and_then(|poll| poll.content);
    Ok(poll.filter(is_disclosed))
}

/// The thread of what is said, and what it began with where nobody on IRC has heard of it.
async fn thread(
    outgoing: &Outgoing<Irc>,
    handle: &Handle,
) -> Result<Option<(EventId, InThread, Option<Content>)>, SendError> {
    let root = match &outgoing.action {
        Action::Message { content, .. } => content.thread_root(),
        // An edit does not say so again, but what it edits does.
        Action::Edit { target, .. } => target.content.as_ref().and_then(Content::thread_root),
        _ => return Ok(None),
    };
    let place = &outgoing.room;
    let (told, known) = {
        let mut threads = handle.threads.lock();
        let told = threads.said(place, root.as_ref(), &outgoing.key);
        (told, told.is_new.then(|| threads.known()))
    };
    let Some(root) = root else {
        return Ok(None);
    };
    let Some(known) = known else {
        return Ok(Some((root, told, None)));
    };
    let store = outgoing.remote().store()?;
    store.put(&handle.threads_key(), &known).await?;
    let about = outgoing.remote().message_in(place, &root).await?;
    Ok(Some((root, told, about.and_then(|about| about.content))))
}

/// The reactions that are told with one: who reacts, as IRC knows them, and how.
fn others(outgoing: &Outgoing<Irc>, around: &Around<'_>) -> Others {
    let others = outgoing.together.iter();
    let mut told = Others::default();
    for other in others {
        let who = &other.speaker.user_id;
        if *who == outgoing.speaker.user_id {
            told.own.push(other.key.clone());
        } else {
            let nick = (around.nick_of)(who);
            told.add(
                &nick.unwrap_or_else(|| other.speaker.name.clone()),
                &other.key,
            );
        }
    }
    told
}

fn say(action: &Action<Irc>, around: &Around<'_>) -> Option<Said> {
    match action {
        Action::Message { content, .. } => to_irc::to_irc(content, around),
        Action::Edit { target, content } => to_irc::edit(
            target.content.as_ref(),
            content,
            EditStyle::Replacement,
            around,
        ),
        Action::Redact { .. } => to_irc::deletion(None, around),
        _ => None,
    }
}
