//! One room event as the store keeps it, and its way back to a full PDU.
//!
//! The client-visible fields are columns; what only servers need is the sealed part of [`EventGraph`].

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId,
    OwnedRoomId, OwnedUserId, RoomId, UserId, events::TimelineEventType,
    room_version_rules::RoomVersionRules, state_res::Event as StateResEvent,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue as RawJsonValue;

use crate::error::CorruptEvent;

/// One room event as stored.
#[derive(Clone, Debug)]
pub struct Event {
    /// The event's id: its reference hash.
    pub event_id: OwnedEventId,
    /// The room; for a create event whose id names the room, derived from that id and not part of the PDU.
    pub room_id: OwnedRoomId,
    /// The user who sent it.
    pub sender: OwnedUserId,
    /// The event's type.
    pub event_type: TimelineEventType,
    /// Present on state events alone.
    pub state_key: Option<String>,
    /// The origin server's clock when the event was made.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// The content, as canonical JSON text.
    pub content: Box<RawJsonValue>,
    /// The event that this one redacts, wherever the room version keeps it in the PDU.
    pub redacts: Option<OwnedEventId>,
    /// What the PDU holds besides; may be empty, see [`EventGraph`].
    pub graph: EventGraph,
}

/// What a PDU holds besides the client-visible fields.
///
/// State events loaded for a [`crate::RoomView`] leave it empty: no rule needs it on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventGraph {
    /// The events just before this one.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that allow this one.
    pub auth_events: Vec<OwnedEventId>,
    /// One more than the largest depth among `prev_events`.
    pub depth: u64,
    /// Canonical JSON object with `auth_events`, `depth`, `hashes`, `prev_events` and `signatures`; together
    /// with the event's other fields it gives the PDU.
    pub sealed: String,
}

impl EventGraph {
    /// Reads the graph back from its sealed text.
    pub fn from_sealed(event_id: &EventId, sealed: String) -> Result<Self, CorruptEvent> {
        #[derive(Deserialize)]
        struct Fields {
            prev_events: Vec<OwnedEventId>,
            auth_events: Vec<OwnedEventId>,
            depth: u64,
        }
        let Fields {
            prev_events,
            auth_events,
            depth,
        } = parse(event_id, "sealed", &sealed)?;
        Ok(Self {
            prev_events,
            auth_events,
            depth,
            sealed,
        })
    }
}

impl Event {
    /// Whether this is a state event.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// The full PDU, as it was hashed and signed. Needs `graph.sealed`.
    pub fn to_pdu(&self, rules: &RoomVersionRules) -> Result<CanonicalJsonObject, CorruptEvent> {
        let mut pdu: CanonicalJsonObject = parse(&self.event_id, "sealed", &self.graph.sealed)?;
        let content: CanonicalJsonObject = parse(&self.event_id, "content", self.content.get())?;
        self.insert_columns(&mut pdu, rules, content);
        Ok(pdu)
    }

    /// Adds to a PDU the fields that are kept as columns.
    pub(crate) fn insert_columns(
        &self,
        pdu: &mut CanonicalJsonObject,
        rules: &RoomVersionRules,
        content: CanonicalJsonObject,
    ) {
        let mut insert = |field: &str, value: CanonicalJsonValue| {
            pdu.insert(field.to_owned(), value);
        };
        insert("content", content.into());
        insert("origin_server_ts", self.origin_server_ts.get().into());
        insert("sender", self.sender.as_str().into());
        insert("type", self.event_type.to_string().into());
        if let Some(state_key) = &self.state_key {
            insert("state_key", state_key.as_str().into());
        }
        if !self.names_the_room() {
            insert("room_id", self.room_id.as_str().into());
        }
        // Otherwise it stands inside the content, where the text already has it.
        if !rules.redaction.content_field_redacts
            && let Some(redacts) = &self.redacts
        {
            insert("redacts", redacts.as_str().into());
        }
    }

    /// Whether the room's id is this create event's id, so that the PDU cannot hold it.
    fn names_the_room(&self) -> bool {
        self.event_type == TimelineEventType::RoomCreate
            && self.event_id.as_str().strip_prefix('$') == Some(self.room_id.strip_sigil())
    }
}

fn parse<T: DeserializeOwned>(
    event_id: &EventId,
    field: &'static str,
    text: &str,
) -> Result<T, CorruptEvent> {
    serde_json::from_str(text).map_err(|source| CorruptEvent {
        event_id: event_id.to_owned(),
        field,
        source,
    })
}

impl StateResEvent for Event {
    type Id = OwnedEventId;

    fn event_id(&self) -> &Self::Id {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        (!self.names_the_room()).then_some(&*self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawJsonValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.graph.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.graph.auth_events.iter())
    }

    fn redacts(&self) -> Option<&Self::Id> {
        self.redacts.as_ref()
    }

    /// Rejected events are never stored, so none can come back.
    fn rejected(&self) -> bool {
        false
    }
}
