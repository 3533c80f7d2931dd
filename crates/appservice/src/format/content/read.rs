//! Reads contents that anybody may have sent.

use serde_json::{Map, Value};

use super::{Content, HTML, Kind, MESSAGE, REACTION};
use crate::{
    format::{Mentions, Rich},
    id::{EventId, UserId},
};

/// The most users that a message can mention.
const MAX_MENTIONS: usize = 1_000;

impl Content {
    pub(super) fn string(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    fn relation(&self) -> Option<&Map<String, Value>> {
        self.fields.get("m.relates_to")?.as_object()
    }

    /// The event that it relates to in this way.
    fn related(&self, rel_type: &str) -> Option<EventId> {
        let relation = self.relation()?;
        (relation.get("rel_type")?.as_str()? == rel_type).then_some(())?;
        event_id(relation.get("event_id"))
    }

    /// What kind of text message it is, if it is one.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        (self.event_type == MESSAGE).then_some(())?;
        Kind::of(self.msgtype()?)
    }

    /// The `body` as it stands, with whatever fallback is in it. [`Content::rich`] is what was meant.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.string("body")
    }

    /// The text that was written: of an edit the new one, of a reply without the original, without the name that a per-message
    /// profile put before it, and of media the caption. `None` if there is none.
    #[must_use]
    pub fn rich(&self) -> Option<Rich> {
        if let Some(new_content) = self.new_content() {
            return new_content.rich();
        }
        let body = match self.media_kind() {
            Some(_) => self.caption()?,
            None => self.said()?,
        };
        self.written(body)
    }

    /// The body without fallbacks.
    fn said(&self) -> Option<&str> {
        let body = self.text()?;
        // An edit of a reply may repeat the fallback without saying that it is a reply.
        let repeats = self
            .html()
            .is_some_and(|html| html.starts_with("<mx-reply>"));
        let body = if repeats || self.replies_to().is_some() {
            without_reply_fallback(body)
        } else {
            body
        };
        Some(self.without_profile_fallback(body))
    }

    fn html(&self) -> Option<&str> {
        self.string("formatted_body")
            .filter(|_| self.string("format") == Some(HTML))
    }

    /// What the HTML says, or this text if there is none.
    pub(super) fn written(&self, text: &str) -> Option<Rich> {
        let rich = self
            .html()
            .map(|html| Rich::from_html(html, self.omitted()));
        let rich = rich.filter(|rich| !rich.is_empty());
        let rich = rich.unwrap_or_else(|| Rich::from_matrix(text, None));
        (!rich.is_empty()).then_some(rich)
    }

    /// Whom it notifies, if it says so.
    #[must_use]
    pub fn mentions(&self) -> Option<Mentions> {
        let fields = self.fields.get("m.mentions")?.as_object()?;
        let mut mentions = Mentions::none();
        let users = fields.get("user_ids").and_then(Value::as_array);
        let users = users.into_iter().flatten().take(MAX_MENTIONS);
        let ids = users.filter_map(|user| UserId::parse(user.as_str()?).ok());
        ids.for_each(|user| mentions.add_user(&user));
        mentions.room = fields.get("room") == Some(&Value::Bool(true));
        Some(mentions)
    }

    /// The event that it replies to. A message in a thread names one for clients without threads; that is no reply.
    #[must_use]
    pub fn replies_to(&self) -> Option<EventId> {
        let relation = self.relation()?;
        let falls_back = relation.get("is_falling_back") == Some(&Value::Bool(true));
        if falls_back && self.thread_root().is_some() {
            return None;
        }
        event_id(relation.get("m.in_reply_to")?.get("event_id"))
    }

    /// The first event of the thread that it is in.
    #[must_use]
    pub fn thread_root(&self) -> Option<EventId> {
        self.related("m.thread")
    }

    /// The event whose content it replaces. One that brings no new content replaces nothing.
    #[must_use]
    pub fn is_edit_of(&self) -> Option<EventId> {
        self.fields.get("m.new_content")?.as_object()?;
        self.related("m.replace")
    }

    /// The content that replaces another.
    #[must_use]
    pub fn new_content(&self) -> Option<Self> {
        self.is_edit_of()?;
        let mut new_content = self.fields.get("m.new_content")?.clone();
        // Edits of edits are none.
        new_content.as_object_mut()?.remove("m.new_content");
        Some(Self::new(&self.event_type, new_content))
    }

    /// The event that it reacts to, and with what.
    #[must_use]
    pub fn reaction(&self) -> Option<(EventId, &str)> {
        (self.event_type == REACTION).then_some(())?;
        let event_id = self.related("m.annotation")?;
        let key = self.relation()?.get("key")?.as_str()?;
        (!key.is_empty()).then_some((event_id, key))
    }
}

fn event_id(id: Option<&Value>) -> Option<EventId> {
    EventId::parse(id?.as_str()?).ok()
}

/// The body behind the lines that quote the original and the empty one that ends them, as the specification had it until
/// version 1.12.
fn without_reply_fallback(body: &str) -> &str {
    if !body.starts_with("> ") {
        return body;
    }
    let mut rest = body;
    while rest.starts_with("> ") || rest.starts_with(">\n") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest.strip_prefix('\n').unwrap_or(rest)
}
