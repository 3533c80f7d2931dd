//! What a user sends.

use std::time::Duration;

use bridgehead_appservice::id::{EventId, RoomId, UserId};
use http::Method;
use serde_json::{Value, json};

use super::{LabUser, parse, segment, what};
use crate::lab::CallError;

const V3: &str = "/_matrix/client/v3";

impl LabUser {
    /// Says something.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn say(&self, room: &RoomId, body: &str) -> Result<EventId, CallError> {
        self.send(room, "m.room.message", &text(body)).await
    }

    /// Sends an event of any type.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn send(
        &self,
        room: &RoomId,
        kind: &str,
        content: &Value,
    ) -> Result<EventId, CallError> {
        let path = format!(
            "{V3}/rooms/{}/send/{}/{}",
            segment(room.as_str()),
            segment(kind),
            self.fresh_transaction()
        );
        let sent = self.put(&path, content).await?;
        parse(
            &what(&Method::PUT, &path),
            &sent,
            "event_id",
            EventId::parse,
        )
    }

    /// Says something else instead of what was said.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn edit(
        &self,
        room: &RoomId,
        event: &EventId,
        body: &str,
    ) -> Result<EventId, CallError> {
        let mut content = text(&format!("* {body}"));
        content["m.new_content"] = text(body);
        content["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": event });
        self.send(room, "m.room.message", &content).await
    }

    /// Replies to an event.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn reply(
        &self,
        room: &RoomId,
        event: &EventId,
        body: &str,
    ) -> Result<EventId, CallError> {
        let mut content = text(body);
        content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": event } });
        self.send(room, "m.room.message", &content).await
    }

    /// Reacts to an event.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn react(
        &self,
        room: &RoomId,
        event: &EventId,
        key: &str,
    ) -> Result<EventId, CallError> {
        let relation = json!({ "rel_type": "m.annotation", "event_id": event, "key": key });
        let content = json!({ "m.relates_to": relation });
        self.send(room, "m.reaction", &content).await
    }

    /// Takes an event's content back.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn redact(&self, room: &RoomId, event: &EventId) -> Result<EventId, CallError> {
        let path = format!(
            "{V3}/rooms/{}/redact/{}/{}",
            segment(room.as_str()),
            segment(event.as_str()),
            self.fresh_transaction()
        );
        let sent = self.put(&path, &json!({})).await?;
        parse(
            &what(&Method::PUT, &path),
            &sent,
            "event_id",
            EventId::parse,
        )
    }

    /// Types for so long; not any more with zero.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn typing(&self, room: &RoomId, how_long: Duration) -> Result<(), CallError> {
        let path = format!(
            "{V3}/rooms/{}/typing/{}",
            segment(room.as_str()),
            segment(self.id().as_str())
        );
        let body = if how_long.is_zero() {
            json!({ "typing": false })
        } else {
            let ms = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
            json!({ "typing": true, "timeout": ms })
        };
        self.put(&path, &body).await.map(drop)
    }

    /// Has read up to an event.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn read(&self, room: &RoomId, event: &EventId) -> Result<(), CallError> {
        let path = format!(
            "{V3}/rooms/{}/receipt/m.read/{}",
            segment(room.as_str()),
            segment(event.as_str())
        );
        self.post(&path, &json!({})).await.map(drop)
    }

    /// Sends messages to devices: for each user, device id (or `*`) to content.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn send_to_devices(
        &self,
        kind: &str,
        messages: &[(&UserId, &str, Value)],
    ) -> Result<(), CallError> {
        let mut by_user = json!({});
        for (user, device, content) in messages {
            by_user[user.as_str()][*device] = content.clone();
        }
        let path = format!(
            "{V3}/sendToDevice/{}/{}",
            segment(kind),
            self.fresh_transaction()
        );
        let body = json!({ "messages": by_user });
        self.put(&path, &body).await.map(drop)
    }
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}
