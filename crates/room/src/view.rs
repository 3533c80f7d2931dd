//! What is known of a room at one moment: an immutable snapshot of its state.
//!
//! Snapshots share what did not change, so cloning one and applying an event cost little however large the
//! room is. Who may do what is in the sibling modules `power_levels` and `membership`.

use std::sync::Arc;

use imbl::{HashMap, OrdMap};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, UserId,
    events::{TimelineEventType, room::history_visibility::HistoryVisibility},
    room::JoinRuleKind,
    room_version_rules::RoomVersionRules,
    serde::JsonObject,
    state_res::events::{RoomCreateEvent, RoomJoinRulesEvent, RoomPowerLevelsEvent},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Event, Membership, UnsupportedVersion};

/// The parts of the state that tell somebody outside what the room is.
const STRIPPED_STATE: [&str; 7] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.topic",
    "m.room.encryption",
];

/// A room at one moment.
///
/// The fields are for reading; [`RoomView::apply`] makes the next view.
#[derive(Clone, Debug)]
pub struct RoomView {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// What its version means.
    pub rules: Arc<RoomVersionRules>,
    /// The current state: event type, then state key.
    pub state: HashMap<String, OrdMap<String, Arc<Event>>>,
    /// The membership of everybody with an `m.room.member` event, by user id; always in step with `state`.
    pub members: OrdMap<String, Membership>,
    /// How many members are joined.
    pub joined_count: u64,
    /// How many members are invited.
    pub invited_count: u64,
    /// The events that no other event follows yet.
    pub forward_extremities: Vec<OwnedEventId>,
    /// The largest depth among `forward_extremities`.
    pub depth: u64,
    /// The creators, read once from the create event: its sender (or `creator`) first.
    creators: Arc<[OwnedUserId]>,
    /// The power levels event; shared between views, it remembers what was read from its content.
    pub(crate) power_levels: Option<RoomPowerLevelsEvent<Arc<Event>>>,
}

/// Whether rooms of this version can be made and used here.
pub fn is_supported(version: &RoomVersionId) -> bool {
    supported_rules(version).is_ok()
}

/// The rules of a version, if it is one with strict canonical JSON, the earliest that can be signed soundly.
pub(crate) fn supported_rules(
    version: &RoomVersionId,
) -> Result<RoomVersionRules, UnsupportedVersion> {
    version
        .rules()
        .filter(|rules| rules.authorization.strict_canonical_json)
        .ok_or_else(|| UnsupportedVersion {
            version: version.clone(),
        })
}

impl RoomView {
    /// Makes a view from all of a room's current state events. Events without a state key are passed over.
    pub fn from_state(
        room_id: OwnedRoomId,
        version: RoomVersionId,
        state: impl IntoIterator<Item = Arc<Event>>,
        forward_extremities: Vec<OwnedEventId>,
        depth: u64,
    ) -> Result<Self, UnsupportedVersion> {
        let mut view = Self {
            room_id,
            rules: Arc::new(supported_rules(&version)?),
            version,
            state: HashMap::new(),
            members: OrdMap::new(),
            joined_count: 0,
            invited_count: 0,
            forward_extremities,
            depth,
            creators: Arc::new([]),
            power_levels: None,
        };
        for event in state {
            view.set_state(&event);
        }
        Ok(view)
    }

    /// The view after this event, which must be the room's next one.
    pub fn apply(&self, event: &Arc<Event>) -> Self {
        let mut next = self.clone();
        next.set_state(event);
        next.forward_extremities = vec![event.event_id.clone()];
        next.depth = event.graph.depth.max(self.depth.saturating_add(1));
        next
    }

    /// The view with another form of an event that it already holds, namely its redacted one. The same view
    /// if that event is not in the current state.
    pub fn with_redacted(&self, event: &Arc<Event>) -> Self {
        let mut next = self.clone();
        let current = event
            .state_key
            .as_deref()
            .and_then(|state_key| self.state_event(&event.event_type.to_string(), state_key));
        if current.is_some_and(|current| current.event_id == event.event_id) {
            next.set_state(event);
        }
        next
    }

    fn set_state(&mut self, event: &Arc<Event>) {
        let Some(state_key) = &event.state_key else {
            return;
        };
        self.state
            .entry(event.event_type.to_string())
            .or_default()
            .insert(state_key.clone(), Arc::clone(event));

        match event.event_type {
            TimelineEventType::RoomMember => self.set_member(state_key, event),
            TimelineEventType::RoomCreate if state_key.is_empty() => {
                self.creators = read_creators(event, &self.rules);
            }
            TimelineEventType::RoomPowerLevels if state_key.is_empty() => {
                self.power_levels = Some(RoomPowerLevelsEvent::new(Arc::clone(event)));
            }
            _ => {}
        }
    }

    fn set_member(&mut self, user_id: &str, event: &Event) {
        let after = Membership::from_content(&event.content);
        let before = match after {
            Some(membership) => self.members.insert(user_id.to_owned(), membership),
            None => self.members.remove(user_id),
        };
        let change = |count: &mut u64, kind: Membership| {
            *count += u64::from(after == Some(kind));
            *count -= u64::from(before == Some(kind));
        };
        change(&mut self.joined_count, Membership::Join);
        change(&mut self.invited_count, Membership::Invite);
    }

    /// The current state event of this type and state key.
    pub fn state_event(&self, event_type: &str, state_key: &str) -> Option<&Arc<Event>> {
        self.state.get(event_type)?.get(state_key)
    }

    /// The membership of a user; `None` if the room never heard of them.
    pub fn membership(&self, user: &UserId) -> Option<Membership> {
        self.members.get(user.as_str()).copied()
    }

    /// The event that created the room.
    pub fn create_event(&self) -> Option<&Arc<Event>> {
        self.state_event("m.room.create", "")
    }

    /// The room's creators as its version defines them, the one who made it first.
    pub fn creators(&self) -> Vec<OwnedUserId> {
        self.creators.to_vec()
    }

    pub(crate) fn is_creator(&self, user: &UserId) -> bool {
        self.creators.iter().any(|creator| creator == user)
    }

    /// Who may join; `invite` if the room does not say.
    pub fn join_rule(&self) -> JoinRuleKind {
        self.state_event("m.room.join_rules", "")
            .and_then(|event| RoomJoinRulesEvent::new(event).join_rule().ok())
            .unwrap_or(JoinRuleKind::Invite)
    }

    /// For restricted rooms: the rooms whose joined members may join. Conditions of unknown kinds allow nobody.
    pub fn allowed_rooms(&self) -> Vec<OwnedRoomId> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(default)]
            allow: Vec<JsonObject>,
        }
        let Some(Content { allow }) = self.content("m.room.join_rules") else {
            return Vec::new();
        };
        allow
            .iter()
            .filter(|condition| {
                condition
                    .get("type")
                    .is_some_and(|kind| kind == "m.room_membership")
            })
            .filter_map(|condition| condition.get("room_id")?.as_str()?.try_into().ok())
            .collect()
    }

    /// Who may read the history; `shared` if the room does not say.
    pub fn history_visibility(&self) -> HistoryVisibility {
        self.string("m.room.history_visibility", "history_visibility")
            .map_or(HistoryVisibility::Shared, HistoryVisibility::from)
    }

    /// Whether guests may join: `can_join` or `forbidden`, as written.
    pub fn guest_access(&self) -> Option<String> {
        self.string("m.room.guest_access", "guest_access")
    }

    /// The room's name.
    pub fn name(&self) -> Option<String> {
        self.string("m.room.name", "name")
    }

    /// The room's topic as plain text.
    pub fn topic(&self) -> Option<String> {
        self.string("m.room.topic", "topic")
    }

    /// The URI of the room's picture.
    pub fn avatar(&self) -> Option<String> {
        self.string("m.room.avatar", "url")
    }

    /// The room's main alias.
    pub fn canonical_alias(&self) -> Option<String> {
        self.string("m.room.canonical_alias", "alias")
    }

    /// The encryption algorithm, if messages are to be encrypted.
    pub fn encryption(&self) -> Option<String> {
        self.string("m.room.encryption", "algorithm")
    }

    /// The room's type, such as `m.space`.
    pub fn room_type(&self) -> Option<String> {
        self.string("m.room.create", "type")
    }

    /// Whether users of other servers may take part.
    pub fn is_federatable(&self) -> bool {
        self.create_event()
            .is_none_or(|event| RoomCreateEvent::new(event).federate().unwrap_or(true))
    }

    /// What somebody outside is shown of the room. Given the invite (or knock) in question, its sender's
    /// member event comes along, so that one sees who asks.
    pub fn stripped_state(&self, for_invitee_extra: Option<&Event>) -> Vec<Arc<Event>> {
        let inviter = for_invitee_extra
            .and_then(|invite| self.state_event("m.room.member", invite.sender.as_str()));
        STRIPPED_STATE
            .iter()
            .filter_map(|event_type| self.state_event(event_type, ""))
            .chain(inviter)
            .map(Arc::clone)
            .collect()
    }

    /// A non-empty string in the content of a state event with an empty state key.
    fn string(&self, event_type: &str, field: &str) -> Option<String> {
        let content: JsonObject = self.content(event_type)?;
        let text = content.get(field)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn content<T: DeserializeOwned>(&self, event_type: &str) -> Option<T> {
        serde_json::from_str(self.state_event(event_type, "")?.content.get()).ok()
    }
}

fn read_creators(create: &Arc<Event>, rules: &RoomVersionRules) -> Arc<[OwnedUserId]> {
    let creators = RoomCreateEvent::new(create)
        .creators(&rules.authorization)
        .unwrap_or_default();
    let mut creators: Vec<_> = creators.into_iter().collect();
    creators.sort_unstable_by_key(|user| (*user != create.sender, user.clone()));
    creators.into()
}

#[cfg(test)]
mod tests;
