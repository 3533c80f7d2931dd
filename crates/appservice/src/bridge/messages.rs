//! Which remote message is which event.
//!
//! Either side may be in parts: a long text is several remote messages, and a remote message with a picture may be
//! several events. What is linked is kept for a while, and only so many: see
//! [`Bridge::remember_messages`](super::Bridge::remember_messages).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Network, RemoteId};
use crate::{
    Content,
    core::Core,
    format::compose::PartMap,
    id::{EventId, RoomId, UserId},
    store::{MessageRow, Result, Store, StoreError, Unit},
};

/// Begins the ids of the kit's own, for what the network gives no id to; none of a network's begins so. They stand in
/// the database alone.
const OWN: char = '\u{1}';

/// What a reaction is remembered by, where the network has no ids for reactions.
pub(crate) fn reaction_id(target: &str, sender: &str, key: &str) -> String {
    format!("{OWN}reaction/{target}/{sender}/{key}")
}

/// A message that both sides have.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MessageRef {
    /// The network's ids of the message or its parts, in order; none where the network has given none.
    pub ids: Vec<String>,
    /// The events, in order.
    pub events: Vec<EventId>,
    /// Which part of several carries what of the text.
    pub map: PartMap,
    /// Who sent the events.
    pub sender: UserId,
    /// What was said last; `None` of reactions, and of what was taken back.
    pub content: Option<Content>,
    /// When it was said, ms since the Unix epoch; `None` where that was not noted.
    pub said_at_ms: Option<i64>,
    /// The portal.
    pub room_id: RoomId,
    /// What it reacts to, if it is a reaction.
    pub reaction: Option<ReactionRef>,
}

/// What a reaction was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReactionRef {
    /// The network's ids of the message that was reacted to.
    pub target: Vec<String>,
    /// An emoji, mostly.
    pub key: String,
}

/// What stands in the database beside the ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Data {
    #[serde(default, skip_serializing_if = "PartMap::is_empty")]
    map: PartMap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reaction: Option<ReactionRef>,
}

impl PartMap {
    fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl MessageRef {
    /// A message of one event, with the network's ids of its parts.
    #[must_use]
    pub fn new(room_id: &RoomId, event: &EventId, sender: &UserId, ids: Vec<String>) -> Self {
        Self {
            ids,
            events: vec![event.clone()],
            map: PartMap::default(),
            sender: sender.clone(),
            content: None,
            said_at_ms: None,
            room_id: room_id.clone(),
            reaction: None,
        }
    }

    fn rows(&self, remote_room: &str) -> Result<Vec<MessageRow>> {
        let data = Data {
            map: self.map.clone(),
            kind: self
                .content
                .as_ref()
                .map(|content| content.event_type().to_owned()),
            content: self.content.as_ref().map(Content::to_json),
            said_at_ms: self.said_at_ms,
            reaction: self.reaction.clone(),
        };
        let first = serde_json::to_string(&data)
            .map_err(|error| StoreError::Statement(error.to_string()))?;
        let mut ids = self.ids.clone();
        if ids.is_empty() {
            ids.extend(self.events.first().map(|event| format!("{OWN}{event}")));
        }
        let count = ids.len().max(self.events.len());
        let rows = (0..count).filter_map(|part| {
            // The shorter side stays with its last one.
            let id = ids.get(part).or(ids.last())?;
            let event = self.events.get(part).or(self.events.last())?;
            Some(MessageRow {
                remote_room: remote_room.to_owned(),
                remote_id: id.clone(),
                event_id: event.to_string(),
                part: part as i64,
                room_id: self.room_id.to_string(),
                sender: self.sender.to_string(),
                data: if part == 0 {
                    first.clone()
                } else {
                    "{}".to_owned()
                },
            })
        });
        Ok(rows.collect())
    }

    fn of(rows: &[MessageRow]) -> Option<Self> {
        let first = rows.first()?;
        let data: Data = serde_json::from_str(&first.data).unwrap_or_default();
        let mut message = Self {
            ids: Vec::new(),
            events: Vec::new(),
            map: data.map,
            sender: UserId::parse(&first.sender).ok()?,
            content: data
                .content
                .map(|content| Content::new(data.kind.as_deref().unwrap_or_default(), content)),
            said_at_ms: data.said_at_ms,
            room_id: RoomId::parse(&first.room_id).ok()?,
            reaction: data.reaction,
        };
        for row in rows {
            if !row.remote_id.starts_with(OWN) && !message.ids.contains(&row.remote_id) {
                message.ids.push(row.remote_id.clone());
            }
            let event = EventId::parse(&row.event_id).ok()?;
            if !message.events.contains(&event) {
                message.events.push(event);
            }
        }
        Some(message)
    }
}

impl Unit<'_> {
    /// Remembers a message.
    pub(crate) fn link_message<N: Network>(
        &self,
        room: &str,
        message: &MessageRef,
        now_ms: i64,
    ) -> Result<()> {
        let rows = message.rows(room)?;
        rows.iter()
            .try_for_each(|row| self.put_message(N::NAME, row, now_ms))
    }

    /// The message whose event this is.
    pub(crate) fn message_by_event<N: Network>(&self, event: &str) -> Result<Option<MessageRef>> {
        let found = self.messages_by_event(N::NAME, event)?;
        let Some(first) = found.first() else {
            return Ok(None);
        };
        if found.len() > 1 {
            return Ok(MessageRef::of(&found));
        }
        // The only row of an event may be one of several events of the remote message.
        let all = self.messages_by_remote(N::NAME, &first.remote_room, &first.remote_id)?;
        Ok(MessageRef::of(&all))
    }

    /// The message of a room of the network whose event this is.
    pub(crate) fn message_in<N: Network>(
        &self,
        room: &str,
        event: &str,
    ) -> Result<Option<MessageRef>> {
        let found = self.messages_by_event(N::NAME, event)?;
        match found.iter().any(|row| row.remote_room == room) {
            true => self.message_by_event::<N>(event),
            false => Ok(None),
        }
    }

    /// The message with this remote id, or with a part that has it.
    pub(crate) fn message_by_remote<N: Network>(
        &self,
        room: &str,
        id: &str,
    ) -> Result<Option<MessageRef>> {
        let found = self.messages_by_remote(N::NAME, room, id)?;
        match found.as_slice() {
            [one] => Ok(MessageRef::of(
                &self.messages_by_event(N::NAME, &one.event_id)?,
            )),
            several => Ok(MessageRef::of(several)),
        }
    }
}

/// The message that an event is, or is a part of.
pub(crate) async fn by_event<N: Network>(
    core: &Core,
    event: &EventId,
) -> Result<Option<MessageRef>> {
    let event = event.to_string();
    core.store
        .read(move |unit| unit.message_by_event::<N>(&event))
        .await
}

/// The message of a room of the network that an event is, or is a part of. What somebody answers, edits or reacts to is
/// looked up like this: an event may name one of a room whose words those in this one may not read. It is the network's
/// room that counts, for that is still the same when the portal's was replaced.
pub(crate) async fn in_room<N: Network>(
    core: &Core,
    room: &N::Room,
    event: &EventId,
) -> Result<Option<MessageRef>> {
    let (room, event) = (room.to_text(), event.to_string());
    core.store
        .read(move |unit| unit.message_in::<N>(&room, &event))
        .await
}

/// The message that has this id on the network.
pub(crate) async fn by_remote<N: Network>(
    store: &Store,
    room: &N::Room,
    id: &str,
) -> Result<Option<MessageRef>> {
    let (room, id) = (room.to_text(), id.to_owned());
    store
        .read(move |unit| unit.message_by_remote::<N>(&room, &id))
        .await
}

/// Forgets a reaction that was taken back.
pub(crate) async fn forget<N: Network>(core: &Core, message: &MessageRef) -> Result<()> {
    let events: Vec<String> = message.events.iter().map(ToString::to_string).collect();
    let forgotten = core.store.write(move |unit| {
        let mut events = events.iter();
        events.try_for_each(|event| unit.delete_messages_of(N::NAME, event))
    });
    forgotten.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bridge::testing::Nowhere, store::Location};

    fn event(name: &str) -> EventId {
        EventId::parse(&format!("${name}")).expect("an id")
    }

    fn message(events: &[&str], ids: &[&str]) -> MessageRef {
        let room = RoomId::parse("!r:x").expect("an id");
        let user = UserId::parse("@u:x").expect("an id");
        let mut message = MessageRef::new(&room, &event("x"), &user, Vec::new());
        message.events = events.iter().map(|name| event(name)).collect();
        message.ids = ids.iter().map(|id| (*id).to_owned()).collect();
        message
    }

    async fn store_with(messages: &[MessageRef]) -> Store {
        let store = Store::open(&Location::Memory, true, &[]).expect("a database");
        for (index, message) in messages.iter().enumerate() {
            let message = message.clone();
            store
                .write(move |unit| unit.link_message::<Nowhere>("room", &message, index as i64))
                .await
                .expect("written");
        }
        store
    }

    async fn found(store: &Store, id: &str) -> Option<MessageRef> {
        let id = id.to_owned();
        store
            .read(move |unit| match id.starts_with('$') {
                true => unit.message_by_event::<Nowhere>(&id),
                false => unit.message_by_remote::<Nowhere>("room", &id),
            })
            .await
            .expect("read")
    }

    #[tokio::test]
    async fn each_part_of_either_side_finds_the_whole() {
        let mut cut = message(&["cut"], &["1", "2", "3"]);
        cut.map.ranges = vec![0..5, 5..9, 9..12];
        cut.content = Some(Content::from("hello world!"));
        cut.said_at_ms = Some(1_700_000_000_000);
        let album = message(&["text", "picture"], &["9"]);
        let mut thumb = message(&["thumb"], &["t"]);
        thumb.reaction = Some(ReactionRef {
            target: vec!["9".to_owned()],
            key: "👍".to_owned(),
        });
        let nameless = message(&["one", "two"], &[]);
        let all = [cut.clone(), album.clone(), thumb.clone(), nameless.clone()];
        let store = store_with(&all).await;
        for (id, whole) in [
            ("$one", &nameless),
            ("$two", &nameless),
            ("$cut", &cut),
            ("1", &cut),
            ("3", &cut),
            ("$text", &album),
            ("$picture", &album),
            ("9", &album),
            ("t", &thumb),
        ] {
            assert_eq!(found(&store, id).await.as_ref(), Some(whole), "{id}");
        }
        assert_eq!(found(&store, "4").await, None);
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten_by_age_and_by_number() {
        let many: Vec<_> = (0..10)
            .map(|n| message(&[&format!("e{n}")], &[&n.to_string()]))
            .collect();
        let store = store_with(&many).await;
        let forget = |before, keep| {
            store.write(move |unit| unit.forget_messages(Nowhere::NAME, before, keep, 100))
        };
        assert_eq!(forget(3, 100).await.expect("written"), 3);
        assert_eq!(forget(0, 4).await.expect("written"), 3);
        assert_eq!(found(&store, "5").await, None);
        assert!(found(&store, "6").await.is_some());
    }
}
