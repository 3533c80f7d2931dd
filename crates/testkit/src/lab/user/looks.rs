//! What a user sees.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bridgehead_appservice::{
    Event,
    id::{RoomId, UserId},
};
use serde_json::{Value, json, value::to_raw_value};
use tokio::time::Instant;

use super::{LabUser, segment};
use crate::lab::CallError;

const V3: &str = "/_matrix/client/v3";
/// Events of a room that are read at most.
const MAX_EVENTS: usize = 20_000;
/// Events asked for at once.
const PAGE: usize = 500;
/// How long one `/sync` waits for news.
const POLL: Duration = Duration::from_secs(10);

impl LabUser {
    /// One `/sync`: what there is since that token, or all; waits so long for news.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn sync(&self, since: Option<&str>, wait: Duration) -> Result<Value, CallError> {
        // Synapse answers the same question out of its memory for two minutes: no two are the same.
        static ASKED: AtomicU64 = AtomicU64::new(0);
        let limit = 1000 + ASKED.fetch_add(1, Ordering::Relaxed) % 1000;
        let filter = json!({ "room": { "timeline": { "limit": limit }, "include_leave": true } });
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("timeout", &wait.as_millis().to_string())
            .append_pair("set_presence", "offline")
            .append_pair("filter", &filter.to_string());
        if let Some(since) = since {
            query.append_pair("since", since);
        }
        let query = query.finish();
        let seen = self.get(&format!("{V3}/sync?{query}")).await?;
        for kind in ["join", "leave", "invite"] {
            let rooms = seen["rooms"][kind].as_object().into_iter().flatten();
            for room in rooms.filter_map(|(room, _)| RoomId::parse(room).ok()) {
                self.0.rooms.note(&room);
            }
        }
        Ok(seen)
    }

    /// What was said and done in a room as this user sees it, oldest first: what `/sync` shows, and
    /// what is behind it.
    ///
    /// # Errors
    /// When the user is not and was not in the room; else see [`LabUser::call`].
    pub async fn timeline(&self, room: &RoomId) -> Result<Vec<Event>, CallError> {
        let mut events = Vec::new();
        let mut from = String::new();
        while events.len() < MAX_EVENTS {
            let path = format!(
                "{V3}/rooms/{}/messages?dir=f&limit={PAGE}{from}",
                segment(room.as_str())
            );
            let page = self.get(&path).await?;
            let chunk = page["chunk"].as_array().into_iter().flatten();
            let before = events.len();
            events.extend(chunk.filter_map(|event| event_of(room, event)));
            match page["end"].as_str() {
                Some(end) if events.len() > before => {
                    from = format!("&from={}", segment(end));
                }
                _ => break,
            }
        }
        Ok(events)
    }

    /// The texts of the messages in a room, oldest first, redacted ones left out.
    ///
    /// # Errors
    /// As [`LabUser::timeline`].
    pub async fn texts(&self, room: &RoomId) -> Result<Vec<String>, CallError> {
        let events = self.timeline(room).await?;
        let messages = events.iter().filter(|event| event.kind == "m.room.message");
        let texts = messages.filter_map(|event| event.content["body"].as_str());
        Ok(texts.map(str::to_owned).collect())
    }

    /// Who is or was in a room, with their membership.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn members(&self, room: &RoomId) -> Result<BTreeMap<UserId, String>, CallError> {
        let path = format!("{V3}/rooms/{}/members", segment(room.as_str()));
        let answer = self.get(&path).await?;
        let events = answer["chunk"].as_array().into_iter().flatten();
        let member = |event: &Value| {
            let user = UserId::parse(event["state_key"].as_str()?).ok()?;
            Some((user, event["content"]["membership"].as_str()?.to_owned()))
        };
        Ok(events.filter_map(member).collect())
    }

    /// Rooms that the user is invited to.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn invitations(&self) -> Result<Vec<RoomId>, CallError> {
        let seen = self.sync(None, Duration::ZERO).await?;
        let rooms = seen["rooms"]["invite"].as_object().into_iter().flatten();
        Ok(rooms
            .filter_map(|(room, _)| RoomId::parse(room).ok())
            .collect())
    }

    /// Waits until an event of the room is as wanted; gives back the first.
    ///
    /// # Errors
    /// [`CallError::Waited`] with the room's events when none comes; else as
    /// [`LabUser::timeline`].
    pub async fn wait_for(
        &self,
        room: &RoomId,
        what: &str,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, CallError> {
        let deadline = Instant::now() + self.0.patience;
        // From before the first look, so that nothing comes unseen between look and wait.
        let mut since = self.token_of(None).await?;
        loop {
            let events = self.timeline(room).await?;
            if let Some(event) = events.iter().find(|event| wanted(event)) {
                return Ok(event.clone());
            }
            if Instant::now() >= deadline {
                let seen: Vec<_> = events.iter().map(|event| &event.kind).collect();
                let what = format!("{what} in {room}, where there is {seen:?}");
                return Err(CallError::Waited { what });
            }
            since = self.token_of(Some(&since)).await?;
        }
    }

    /// Waits until there is a message of this text in the room.
    ///
    /// # Errors
    /// As [`LabUser::wait_for`].
    pub async fn hears(&self, room: &RoomId, text: &str) -> Result<Event, CallError> {
        let what = format!("the message `{text}`");
        self.wait_for(room, &what, |event| event.content["body"] == text)
            .await
    }

    /// Waits for news since that token; gives back the next token.
    async fn token_of(&self, since: Option<&str>) -> Result<String, CallError> {
        let wait = if since.is_some() {
            POLL
        } else {
            Duration::ZERO
        };
        let seen = self.sync(since, wait).await?;
        super::text("GET /sync", &seen, "next_batch").map(str::to_owned)
    }
}

/// An event of `/messages`, which may leave out the room.
fn event_of(room: &RoomId, event: &Value) -> Option<Event> {
    let mut event = event.clone();
    event["room_id"] = room.as_str().into();
    Event::parse(&to_raw_value(&event).ok()?).ok()
}
