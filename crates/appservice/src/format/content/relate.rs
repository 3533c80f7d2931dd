//! Replies, edits, threads and reactions.

use serde_json::{Value, json};

use super::{Content, REACTION, mentions_json};
use crate::{
    format::Mentions,
    id::{EventId, UserId},
};

impl Content {
    /// Makes it a reply to an event (Client-Server API, "Rich replies"). Whoever sent that event is notified if named here;
    /// leave the name out where the reply is the bridge's own notice. No fallback is written: clients have done without since
    /// version 1.13.
    #[must_use]
    pub fn in_reply_to(mut self, event_id: &EventId, notify: Option<&UserId>) -> Self {
        if let Some(sender) = notify {
            let mut mentions = self.mentions().unwrap_or_default();
            mentions.add_user(sender);
            self = self.with_mentions(&mentions);
        }
        let is_thread = self.thread_root().is_some();
        let relation = self.relation_mut();
        relation["m.in_reply_to"] = json!({ "event_id": event_id });
        if is_thread {
            relation["is_falling_back"] = json!(false);
        }
        self
    }

    /// Puts it into the thread that began with `root` (Client-Server API, "Threading"). `latest` is the thread's newest
    /// event, to which clients without threads see a reply unless it already is a reply.
    #[must_use]
    pub fn in_thread(mut self, root: &EventId, latest: &EventId) -> Self {
        let is_reply = self.replies_to().is_some();
        let relation = self.relation_mut();
        relation["rel_type"] = json!("m.thread");
        relation["event_id"] = json!(root);
        relation["is_falling_back"] = json!(!is_reply);
        if !is_reply {
            relation["m.in_reply_to"] = json!({ "event_id": latest });
        }
        self
    }

    /// Makes it the new content of an event (Client-Server API, "Event replacements"), with the text once more behind a `* ` for
    /// clients without edits. Only those who were not mentioned before (`notified`) are notified.
    ///
    /// What it replies to and its thread cannot be edited and are left out.
    #[must_use]
    pub fn as_edit_of(mut self, event_id: &EventId, notified: &Mentions) -> Self {
        self.fields.remove("m.relates_to");
        self.fields.remove("m.new_content");
        let new_content = self.to_json();
        for name in ["body", "formatted_body"] {
            let starred = self.string(name).map(|text| format!("* {text}"));
            if let Some(starred) = starred {
                self.set(name, starred);
            }
        }
        let mut mentions = self.mentions().unwrap_or_default();
        mentions.users.retain(|user| !notified.users.contains(user));
        mentions.room &= !notified.room;
        self.set("m.mentions", mentions_json(&mentions));
        self.set("m.new_content", new_content);
        self.set(
            "m.relates_to",
            json!({ "rel_type": "m.replace", "event_id": event_id }),
        );
        self
    }

    /// A reaction to an event (Client-Server API, "Event annotations and reactions"). The key is an emoji, or any short text.
    #[must_use]
    pub fn reaction_to(event_id: &EventId, key: &str) -> Self {
        let relation = json!({ "rel_type": "m.annotation", "event_id": event_id, "key": key });
        Self::new(REACTION, json!({ "m.relates_to": relation }))
    }

    fn relation_mut(&mut self) -> &mut Value {
        let relation = self
            .fields
            .entry("m.relates_to")
            .or_insert_with(|| json!({}));
        if !relation.is_object() {
            *relation = json!({});
        }
        relation
    }
}
