//! Bringing to Matrix what the network said: each kind of task.

use std::sync::Arc;

use super::{
    Network, UserInfo,
    intake::{Change, Undone, room_of},
    provenance::{ORIGIN, mark},
    task::{Said, Task},
};
use crate::{
    Content, Error, Urgency,
    bridge::{
        RemoteId, calls, ghosts,
        live::Live,
        messages::{self, MessageRef, ReactionRef, reaction_id},
        portal::{self, Portal},
        relay, unbridge,
        upgrade::{self, Successor},
    },
    core::Core,
    format::Mentions,
    id::{EventId, MxcUri, UserId},
    outbox::{Outgoing, What},
    state::Membership,
    store::TaskRow,
};

/// The effect of a task that a ghost brings about because the person whom it stands for may not.
const BY_GHOST: &str = "by-ghost";

pub(super) type Done = Result<Option<Change>, Undone>;

/// One task on its way.
pub(crate) struct Doing<'a, N: Network> {
    pub(crate) live: &'a Arc<Live<N>>,
    pub(crate) core: &'a Arc<Core>,
    pub(crate) row: &'a TaskRow,
    /// The portal has moved to another room since the task was begun: its effects are others.
    has_moved: bool,
}

/// Does a task; gives back what is to be written when it is done.
pub(super) async fn task<N: Network>(live: &Arc<Live<N>>, core: &Arc<Core>, row: &TaskRow) -> Done {
    let task: Task = serde_json::from_str(&row.task.body)
        .map_err(|error| Undone::Dropped(format!("not readable: {error}")))?;
    let doing = Doing {
        live,
        core,
        row,
        has_moved: false,
    };
    let task = match task {
        Task::Profile { user, name, avatar } => {
            return doing.profile(&user, (name, avatar)).await;
        }
        Task::Tell { person, content } => return doing.tell(&person, content).await,
        task => task,
    };
    let room = room_of::<N>(&row.task.lane)
        .ok_or_else(|| Undone::Dropped("in the lane of no room".to_owned()))?;
    match task {
        Task::Upgrade { from, to, via } => {
            let to = Successor { room: to, via };
            upgrade::carry_out(&doing, &room, &from, &to).await
        }
        Task::Unbridge { reason, linked_ms } => {
            unbridge::carry_out(&doing, &room, (reason.as_deref(), linked_ms)).await
        }
        Task::Back => {
            if let Some(portal) = live.portal(&room).await? {
                portal::back(live, &portal).await?;
            }
            Ok(None)
        }
        task => in_portal(&doing, &room, task).await,
    }
}

/// Does what concerns a portal. A room that was replaced lets nobody speak any more, and news of that may still be on
/// their way: then the portal moves first.
async fn in_portal<N: Network>(doing: &Doing<'_, N>, room: &N::Room, task: Task) -> Done {
    let portal = match &task {
        Task::Message { .. } => doing.portal_for_speech(room).await?,
        _ => doing.portal(room).await?,
    };
    doing.is_listed(&portal, &task).await?;
    if let Err(behind) = doing.comes_behind(room, &task).await {
        if let Task::Swap { to, .. } = &task {
            doing.join(&portal, to).await?;
        }
        return Err(behind);
    }
    let (from, agent) = (portal.matrix.clone(), portal.agent(doing.core));
    let error = match doing.change(portal.clone(), task.clone()).await {
        Err(Undone::Failed(error)) if calls::is_refused(&error) || doing.holds_up(&error) => error,
        done => return done,
    };
    let to = match calls::is_refused(&error) {
        true => upgrade::replacement(doing, &agent, &from).await?,
        false => None,
    };
    let Some(to) = to else {
        return Err(doing.barred(&portal, &task, error).await?);
    };
    upgrade::carry_out(doing, room, &from, &to).await?;
    let moved = Doing {
        has_moved: true,
        ..*doing
    };
    let portal = moved.portal(room).await?;
    match moved.change(portal.clone(), task.clone()).await {
        Err(Undone::Failed(error)) if calls::is_refused(&error) => {
            Err(moved.barred(&portal, &task, error).await?)
        }
        done => done,
    }
}

impl<N: Network> Doing<'_, N> {
    async fn change(&self, portal: Portal<N>, task: Task) -> Done {
        match task {
            Task::Message { id, said, reply_to } => {
                self.message(&portal, &id, said, reply_to).await
            }
            Task::Edit { target, said } => self.edit(&portal, &target, said).await,
            Task::Redact {
                target,
                sender,
                reason,
            } => {
                self.redact(&portal, &target, sender, reason.as_deref())
                    .await
            }
            Task::React {
                target,
                sender,
                key,
            } => self.react(&portal, &target, &sender, &key).await,
            Task::Unreact {
                target,
                sender,
                key,
            } => self.unreact(&portal, &target, &sender, &key).await,
            Task::Join { user } => self.join(&portal, &user).await,
            Task::Part { user, reason } => self.part(&portal, &user, reason.as_deref()).await,
            Task::Swap { from, to } => {
                self.join(&portal, &to).await?;
                self.part(&portal, &from, None).await
            }
            Task::Members { users } => self.members(&portal, &users).await,
            Task::Change { sender, change } => {
                let sender = sender.map(|sender| self.user(&sender)).transpose()?;
                portal::sync(self, portal, sender.as_ref(), change).await
            }
            Task::Gone { reason } => portal::gone(self, portal, &reason).await,
            Task::Power { users, people } => self.power(&portal, &users, people).await,
            Task::Moderate(ask) => self.moderate(&portal, ask).await,
            Task::Bans { banned } => self.bans(&portal, banned).await,
            Task::Echo { event, receipt } => self.echo(&portal, &event, receipt).await,
            Task::Failed { event, no } => self.failed(&portal, &event, no).await,
            Task::Notice { content } => self.notice(&portal, content).await,
            Task::Missing { text } => self.tell_missing(&portal, &text).await,
            Task::Unshown { .. } => self.tell_unshown(&portal).await,
            Task::Back
            | Task::Profile { .. }
            | Task::Tell { .. }
            | Task::Upgrade { .. }
            | Task::Unbridge { .. } => Ok(None),
        }
    }

    async fn profile(&self, user: &str, (name, avatar): (Option<String>, Option<MxcUri>)) -> Done {
        let info = UserInfo {
            name,
            avatar,
            picture: None,
        };
        ghosts::set_profile(self.live, self.core, &self.user(user)?, info).await?;
        Ok(None)
    }

    pub(super) fn user(&self, text: &str) -> Result<N::User, Undone> {
        N::User::from_text(text).ok_or_else(|| Undone::Dropped(format!("`{text}` is no user")))
    }

    async fn portal(&self, room: &N::Room) -> Result<Portal<N>, Undone> {
        let portal = match self.live.portal(room).await? {
            Some(portal) => Some(portal),
            // The network listens before the room is made, so it may speak of one that is being made.
            None => {
                let _made = self.live.making.enter(&portal::lock(room)).await;
                self.live.portal(room).await?
            }
        };
        let portal = portal.ok_or_else(|| Undone::Dropped("the room is not linked".to_owned()))?;
        match &portal.data.broken {
            Some(broken) => Err(Undone::Dropped(format!("the portal is broken: {broken}"))),
            None => Ok(portal),
        }
    }

    /// The same; where there is none yet, it is made, if the bridge makes portals for whoever speaks.
    async fn portal_for_speech(&self, room: &N::Room) -> Result<Portal<N>, Undone> {
        if self.live.plan.on_demand && self.live.portal(room).await?.is_none() {
            if unbridge::is_of_before(self, room).await? {
                let why = "it was said before the room was unlinked";
                return Err(Undone::Dropped(why.to_owned()));
            }
            portal::ensure(self.live, self.core, room, None).await?;
        }
        self.portal(room).await
    }

    /// The key of an effect of this task.
    pub(crate) fn key(&self, effect: &str) -> String {
        let task = self.row.task.key.clone();
        let mut task = task.unwrap_or_else(|| format!("{}/task/{}", N::NAME, self.row.id));
        if self.has_moved {
            task.push_str("/moved");
        }
        match effect {
            "" => task,
            effect => format!("{task}/{effect}"),
        }
    }

    /// Says something for a user of the network, and waits until it is there: as the person that they are, or where the
    /// room bars that person, as their ghost. Gives back the event, who has sent it, and what it says.
    async fn speak(
        &self,
        portal: &Portal<N>,
        sender: &N::User,
        (content, ts_ms): (Content, Option<i64>),
    ) -> Result<(EventId, UserId, Content), Undone> {
        let voice = relay::voice(self, portal, sender).await?;
        // The ghost has said it already, before a crash.
        let is_said =
            voice.is_person && self.core.outbox.sent(&self.key(BY_GHOST)).await?.is_some();
        if !is_said {
            if !voice.is_person {
                self.enter(portal, &voice.user, "").await?;
            }
            let said = voice.say(content.clone());
            match self.send(portal, &voice.user, said.clone(), ts_ms).await {
                Err(error) if voice.is_person && calls::is_refused(&error) => {
                    tracing::debug!(user = %voice.user, %error, "they may not speak there: their ghost does");
                }
                sent => return Ok((sent?, voice.user, said)),
            }
        }
        let voice = relay::voice_of_network(self, portal, sender).await?;
        self.enter(portal, &voice.user, BY_GHOST).await?;
        let said = voice.say(content);
        let key = self.key(BY_GHOST);
        let event = self
            .send_as(portal, &voice.user, (said.clone(), ts_ms), key)
            .await?;
        Ok((event, voice.user, said))
    }

    /// Sees to it that a ghost is in the room before it says something. Not left to the outbox, in which everybody of the
    /// room would wait for one whom the homeserver does not let in.
    async fn enter(&self, portal: &Portal<N>, ghost: &UserId, effect: &str) -> Result<(), Error> {
        let view = self.core.rooms.view(&portal.matrix).await?;
        let is_there = view.membership(ghost) == Some(Membership::Join)
            || self.core.outbox.sent(&self.key(effect)).await?.is_some();
        match is_there {
            true => Ok(()),
            false => self.core.ensure_joined(ghost, &portal.matrix).await,
        }
    }

    /// Sends, and waits until it is there.
    pub(crate) async fn send(
        &self,
        portal: &Portal<N>,
        by: &UserId,
        content: Content,
        ts_ms: Option<i64>,
    ) -> Result<EventId, Error> {
        self.send_as(portal, by, (content, ts_ms), self.key(""))
            .await
    }

    async fn send_as(
        &self,
        portal: &Portal<N>,
        by: &UserId,
        (content, ts_ms): (Content, Option<i64>),
        key: String,
    ) -> Result<EventId, Error> {
        let content = content.with_field(ORIGIN, mark::<N>(&portal.remote, &key));
        let outgoing = Outgoing {
            key,
            room_id: portal.matrix.clone(),
            user: by.clone(),
            what: What::Event(content.event_type().to_owned()),
            content: content.into_json(),
            ts_ms,
            urgency: Urgency::Message,
        };
        calls::send(self.core, &outgoing).await
    }

    async fn message(
        &self,
        portal: &Portal<N>,
        id: &str,
        said: Said,
        reply_to: Option<String>,
    ) -> Done {
        if self.is_known(portal, id).await? {
            return Ok(None);
        }
        let sender = self.user(&said.sender)?;
        let mut content = Content::new(&said.kind, said.content);
        if let Some(reply_to) = reply_to
            && let Some(answered) =
                messages::by_remote::<N>(&self.core.store, &portal.remote, &reply_to).await?
            && let Some(event) = answered.events.last()
        {
            content = content.in_reply_to(event, Some(&answered.sender));
        }
        let said = (content, self.said_at(said.ts_ms));
        let said_at_ms = said.1.unwrap_or_else(|| self.core.now_ms());
        let (event, by, content) = self.speak(portal, &sender, said).await?;
        let mut message = MessageRef::new(&portal.matrix, &event, &by, vec![id.to_owned()]);
        message.said_at_ms = Some(said_at_ms);
        message.content = Some(content);
        Ok(self.linked(portal, message))
    }

    /// When something was said, as the network tells; where it does not, of what was held: when it was heard.
    fn said_at(&self, ts_ms: Option<i64>) -> Option<i64> {
        ts_ms.or_else(|| self.was_held().then_some(self.row.created_ms))
    }

    /// Whether a message is known on both sides: it was brought before, or it is one that was sent from here and that
    /// the network tells of.
    async fn is_known(&self, portal: &Portal<N>, id: &str) -> Result<bool, Undone> {
        self.let_pass(portal).await;
        Ok(self.known(portal, id).await?.is_some())
    }

    /// Where the network echoes, waits for what is on its way there: what it is called is known once it has been sent.
    pub(super) async fn let_pass(&self, portal: &Portal<N>) {
        if N::ECHOES {
            drop(self.live.sending.enter(&portal.remote.to_text()).await);
        }
    }

    /// Whether an edit says what somebody of Matrix has said last, and the network echoes.
    fn is_echo(&self, message: &MessageRef, new: &Content) -> bool {
        let words = |content: &Content| Some(content.rich()?.to_plain().trim().to_owned());
        let last = message.content.as_ref().and_then(words);
        N::ECHOES && !self.core.is_own(&message.sender) && last.is_some() && last == words(new)
    }

    /// Whether the service can act for somebody: one of its users, or a puppet.
    fn speaks_for(&self, user: &UserId) -> bool {
        self.core.is_own(user) || self.core.client.puppets().has(user)
    }

    /// What is written when a message has reached Matrix.
    fn linked(&self, portal: &Portal<N>, message: MessageRef) -> Option<Change> {
        let (room, now_ms) = (portal.remote.to_text(), self.core.now_ms());
        Some(Box::new(move |unit| {
            unit.link_message::<N>(&room, &message, now_ms)
        }))
    }

    async fn known(&self, portal: &Portal<N>, id: &str) -> Result<Option<MessageRef>, Undone> {
        Ok(messages::by_remote::<N>(&self.core.store, &portal.remote, id).await?)
    }

    async fn edit(&self, portal: &Portal<N>, target: &str, said: Said) -> Done {
        let sender = self.user(&said.sender)?;
        let new = Content::new(&said.kind, said.content);
        self.let_pass(portal).await;
        let Some(mut message) = self.known(portal, target).await? else {
            // Too long ago to be known: what it says now is news all the same.
            let said_at = self.said_at(said.ts_ms);
            self.speak(portal, &sender, (new, said_at)).await?;
            return Ok(None);
        };
        let voice = relay::voice(self, portal, &sender).await?;
        let new = voice.say(new);
        // Told again, or changed back before it came here.
        if message.content.as_ref() == Some(&new) || self.is_echo(&message, &new) {
            return Ok(None);
        }
        let Some(event) = message.events.first().cloned() else {
            return Ok(None);
        };
        // A person may edit from there what they said from here; nobody else may.
        if !self.core.is_own(&message.sender) && message.sender != voice.user {
            return Err(Undone::Dropped(
                "somebody of Matrix has said it: it cannot be edited for them".to_owned(),
            ));
        }
        let before = message.content.as_ref().and_then(Content::mentions);
        let notified = before.unwrap_or_else(Mentions::default);
        let content = new.clone().as_edit_of(&event, &notified);
        self.send(portal, &message.sender, content, said.ts_ms)
            .await?;
        message.content = Some(new);
        Ok(self.linked(portal, message))
    }

    async fn redact(
        &self,
        portal: &Portal<N>,
        target: &str,
        sender: Option<String>,
        reason: Option<&str>,
    ) -> Done {
        self.let_pass(portal).await;
        let Some(message) = self.known(portal, target).await? else {
            return Err(Undone::Dropped("the message is not known".to_owned()));
        };
        // Its words were forgotten when it was taken back from here, and now that is told of.
        if N::ECHOES && message.content.is_none() && !self.core.is_own(&message.sender) {
            return Ok(None);
        }
        let sender = sender.map(|sender| self.user(&sender)).transpose()?;
        let author = match &sender {
            Some(sender) => {
                relay::voice(self, portal, sender).await?.user == message.sender
                    || self.live.user_of(&message.sender).as_ref() == Some(sender)
            }
            None => self.core.is_own(&message.sender),
        };
        // Everybody may take back what is their own; for the rest it takes the bridge's power.
        let by = match author {
            true => message.sender.clone(),
            false => portal.agent(self.core),
        };
        for (index, event) in message.events.iter().enumerate() {
            self.redact_event(portal, &by, event, (index, reason))
                .await?;
        }
        let events: Vec<String> = message.events.iter().map(ToString::to_string).collect();
        Ok(Some(Box::new(move |unit| {
            events
                .iter()
                .try_for_each(|event| unit.delete_messages_of(N::NAME, event))
        })))
    }

    async fn redact_event(
        &self,
        portal: &Portal<N>,
        by: &UserId,
        event: &EventId,
        (index, reason): (usize, Option<&str>),
    ) -> Result<(), Error> {
        let content = reason.map_or_else(
            || serde_json::json!({}),
            |reason| serde_json::json!({ "reason": reason }),
        );
        let outgoing = Outgoing {
            key: self.key(&format!("redact-{index}")),
            room_id: portal.matrix.clone(),
            user: by.clone(),
            what: What::Redaction(event.clone()),
            content,
            ts_ms: None,
            urgency: Urgency::Message,
        };
        calls::send(self.core, &outgoing).await.map(drop)
    }

    async fn react(&self, portal: &Portal<N>, target: &str, sender: &str, key: &str) -> Done {
        let id = reaction_id(target, sender, key);
        if self.is_known(portal, &id).await? {
            return Ok(None);
        }
        let Some(message) = self.known(portal, target).await? else {
            return Err(Undone::Dropped("the message is not known".to_owned()));
        };
        let Some(event) = message.events.first() else {
            return Ok(None);
        };
        let content = Content::reaction_to(event, key);
        let (reaction, by, _) = self
            .speak(portal, &self.user(sender)?, (content, None))
            .await?;
        let mut link = MessageRef::new(&portal.matrix, &reaction, &by, vec![id]);
        link.reaction = Some(ReactionRef {
            target: message.ids,
            key: key.to_owned(),
        });
        Ok(self.linked(portal, link))
    }

    async fn unreact(&self, portal: &Portal<N>, target: &str, sender: &str, key: &str) -> Done {
        let id = reaction_id(target, sender, key);
        self.let_pass(portal).await;
        let Some(reaction) = self.known(portal, &id).await? else {
            return Ok(None);
        };
        let by = match self.speaks_for(&reaction.sender) {
            true => reaction.sender.clone(),
            // A person's, from here; taken back on the network, where they have an account.
            false => portal.agent(self.core),
        };
        for (index, event) in reaction.events.iter().enumerate() {
            self.redact_event(portal, &by, event, (index, None)).await?;
        }
        let events: Vec<String> = reaction.events.iter().map(ToString::to_string).collect();
        Ok(Some(Box::new(move |unit| {
            events
                .iter()
                .try_for_each(|event| unit.delete_messages_of(N::NAME, event))
        })))
    }
}
