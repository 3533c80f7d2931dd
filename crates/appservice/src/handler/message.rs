//! Messages, as handlers take them. Those of the service's own users are left out: they are echoes.

use std::sync::Arc;

use serde_json::Value;

use super::{Context, FromContext, Rejection};
use crate::{
    Event,
    id::{EventId, UserId},
};

/// A message of somebody who is not one of the service's own users: text, media, anything that `m.room.message` can
/// be, but no edit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Such as `m.text` or `m.image`.
    pub msgtype: String,
    /// The text, or the name of the file.
    pub body: String,
    /// The text as HTML, where there is one.
    pub formatted_body: Option<String>,
    /// The event that it answers.
    pub in_reply_to: Option<EventId>,
    /// The event at the thread's start.
    pub thread: Option<EventId>,
    /// The event.
    pub event: Arc<Event>,
}

/// A text (`m.text`), an emote or a notice.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Text {
    /// The text.
    pub body: String,
    /// The text as HTML, where there is one.
    pub formatted_body: Option<String>,
    /// Who has said it.
    pub sender: UserId,
    /// `/me …`
    pub is_emote: bool,
    /// Said by a program: never answered automatically.
    pub is_notice: bool,
    /// The event that it answers.
    pub in_reply_to: Option<EventId>,
    /// The event at the thread's start.
    pub thread: Option<EventId>,
    /// The event.
    pub event: Arc<Event>,
}

impl Text {
    /// The localpart of who has said it.
    #[must_use]
    pub fn sender_local(&self) -> &str {
        self.sender.localpart()
    }
}

/// An earlier message was edited.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Edit {
    /// The message that was edited.
    pub target: EventId,
    /// The new text.
    pub body: String,
    /// The new text as HTML, where there is one.
    pub formatted_body: Option<String>,
    /// The new content as a whole.
    pub new_content: Value,
    /// The event.
    pub event: Arc<Event>,
}

/// A reaction (`m.reaction`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reaction {
    /// What is reacted to.
    pub target: EventId,
    /// An emoji, mostly.
    pub key: String,
    /// Who reacts.
    pub sender: UserId,
    /// The event.
    pub event: Arc<Event>,
}

/// An event that is no echo.
fn foreign<'a>(context: &'a Context, kind: &str) -> Result<&'a Arc<Event>, Rejection> {
    let event = context.event().ok_or(Rejection::NotForThis)?;
    if event.kind != kind || event.is_state() || context.core.is_own_event(event) {
        return Err(Rejection::NotForThis);
    }
    Ok(event)
}

fn relation<'a>(event: &'a Event, rel_type: &str) -> Option<&'a Value> {
    let relation = event.content.get("m.relates_to")?;
    (relation.get("rel_type")?.as_str()? == rel_type).then_some(relation)
}

fn event_id(value: Option<&Value>) -> Option<EventId> {
    EventId::parse(value?.as_str()?).ok()
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

impl Message {
    fn of(event: &Arc<Event>) -> Option<Self> {
        if relation(event, "m.replace").is_some() {
            return None;
        }
        let thread = relation(event, "m.thread");
        let reply = event
            .content
            .get("m.relates_to")
            .and_then(|relation| relation.get("m.in_reply_to"));
        // In a thread, clients that know none see a reply to the newest message; that is no reply.
        let is_fallback =
            thread.is_some_and(|thread| thread.get("is_falling_back") == Some(&Value::Bool(true)));
        Some(Self {
            msgtype: text_of(&event.content, "msgtype")?,
            body: text_of(&event.content, "body").unwrap_or_default(),
            formatted_body: text_of(&event.content, "formatted_body"),
            in_reply_to: event_id(reply.and_then(|reply| reply.get("event_id")))
                .filter(|_| !is_fallback),
            thread: event_id(thread.and_then(|thread| thread.get("event_id"))),
            event: event.clone(),
        })
    }
}

impl FromContext for Message {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Self::of(foreign(context, "m.room.message")?).ok_or(Rejection::NotForThis)
    }
}

impl FromContext for Text {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let message = Message::from_context(context).await?;
        let (is_emote, is_notice) = (message.msgtype == "m.emote", message.msgtype == "m.notice");
        if message.msgtype != "m.text" && !is_emote && !is_notice {
            return Err(Rejection::NotForThis);
        }
        Ok(Self {
            body: message.body,
            formatted_body: message.formatted_body,
            sender: message.event.sender.clone(),
            is_emote,
            is_notice,
            in_reply_to: message.in_reply_to,
            thread: message.thread,
            event: message.event,
        })
    }
}

impl FromContext for Edit {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = foreign(context, "m.room.message")?;
        let relation = relation(event, "m.replace").ok_or(Rejection::NotForThis)?;
        let new_content = event.content.get("m.new_content").unwrap_or(&event.content);
        Ok(Self {
            target: event_id(relation.get("event_id")).ok_or(Rejection::NotForThis)?,
            body: text_of(new_content, "body").unwrap_or_default(),
            formatted_body: text_of(new_content, "formatted_body"),
            new_content: new_content.clone(),
            event: event.clone(),
        })
    }
}

impl FromContext for Reaction {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = foreign(context, "m.reaction")?;
        let relation = relation(event, "m.annotation").ok_or(Rejection::NotForThis)?;
        Ok(Self {
            target: event_id(relation.get("event_id")).ok_or(Rejection::NotForThis)?,
            key: text_of(relation, "key").ok_or(Rejection::NotForThis)?,
            sender: event.sender.clone(),
            event: event.clone(),
        })
    }
}
