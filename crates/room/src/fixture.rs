//! Rooms for the tests: a key, a clock that ticks by hand, and short words for common events.

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, MilliSecondsSinceUnixEpoch, OwnedUserId,
    RoomVersionId, UInt, UserId, owned_room_id, owned_server_name, user_id,
};
use serde_json::{Value, json};

use crate::{Event, NewEvent, Rejection, RoomView, SigningKey, build, build_create};

pub(crate) fn alice() -> &'static UserId {
    user_id!("@alice:example.org")
}

pub(crate) fn bob() -> &'static UserId {
    user_id!("@bob:example.org")
}

pub(crate) fn carol() -> &'static UserId {
    user_id!("@carol:example.org")
}

/// All versions that the engine must support.
pub(crate) fn versions() -> [RoomVersionId; 7] {
    [
        RoomVersionId::V6,
        RoomVersionId::V7,
        RoomVersionId::V8,
        RoomVersionId::V9,
        RoomVersionId::V10,
        RoomVersionId::V11,
        RoomVersionId::V12,
    ]
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(owned_server_name!("example.org"), &[7; 32], "test").unwrap()
}

pub(crate) fn object(content: Value) -> CanonicalJsonObject {
    match CanonicalJsonValue::try_from(content).unwrap() {
        CanonicalJsonValue::Object(object) => object,
        other => panic!("not an object: {other:?}"),
    }
}

pub(crate) fn new_event(sender: &UserId, event_type: &str, content: Value) -> NewEvent {
    NewEvent {
        sender: sender.to_owned(),
        event_type: event_type.to_owned(),
        state_key: None,
        content: object(content),
        redacts: None,
        origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(1_700_000_000u32)),
    }
}

pub(crate) fn new_state(
    sender: &UserId,
    event_type: &str,
    state_key: &str,
    content: Value,
) -> NewEvent {
    NewEvent {
        state_key: Some(state_key.to_owned()),
        ..new_event(sender, event_type, content)
    }
}

/// A room in the making: its view and every event so far.
pub(crate) struct TestRoom {
    pub(crate) view: RoomView,
    pub(crate) events: Vec<Arc<Event>>,
    key: SigningKey,
}

impl TestRoom {
    /// Alice creates a room and joins it.
    pub(crate) fn create(version: &RoomVersionId, content: Value) -> Self {
        let key = key();
        let create = new_state(alice(), "m.room.create", "", content);
        let room_id = owned_room_id!("!room:example.org");
        let (event, view) = build_create(version, Some(room_id), create, &key).unwrap();
        let mut room = Self {
            view,
            events: vec![Arc::new(event)],
            key,
        };
        room.member(alice(), alice(), "join").unwrap();
        room
    }

    /// A public room of Alice's, whose power levels give Bob 50.
    pub(crate) fn public(version: &RoomVersionId) -> Self {
        let mut room = Self::create(version, json!({}));
        let users = room.users_with_alice(json!({ bob(): 50 }));
        room.state(alice(), "m.room.power_levels", json!({ "users": users }))
            .unwrap();
        room.state(
            alice(),
            "m.room.join_rules",
            json!({ "join_rule": "public" }),
        )
        .unwrap();
        room
    }

    /// Adds Alice at 100 where a creator needs an entry and may have one.
    pub(crate) fn users_with_alice(&self, mut users: Value) -> Value {
        if !self
            .view
            .rules
            .authorization
            .explicitly_privilege_room_creators
        {
            users[alice().as_str()] = json!(100);
        }
        users
    }

    pub(crate) fn send(&mut self, new: NewEvent) -> Result<Arc<Event>, Rejection> {
        let event = Arc::new(build(&self.view, new, &self.key)?);
        self.view = self.view.apply(&event);
        self.events.push(Arc::clone(&event));
        Ok(event)
    }

    pub(crate) fn state(
        &mut self,
        sender: &UserId,
        event_type: &str,
        content: Value,
    ) -> Result<Arc<Event>, Rejection> {
        self.send(new_state(sender, event_type, "", content))
    }

    pub(crate) fn member(
        &mut self,
        sender: &UserId,
        target: &UserId,
        membership: &str,
    ) -> Result<Arc<Event>, Rejection> {
        let content = json!({ "membership": membership });
        self.send(new_state(sender, "m.room.member", target.as_str(), content))
    }

    pub(crate) fn message(&mut self, sender: &UserId) -> Result<Arc<Event>, Rejection> {
        let content = json!({ "msgtype": "m.text", "body": "hello" });
        self.send(new_event(sender, "m.room.message", content))
    }
}

/// A user of another server.
pub(crate) fn remote(localpart: &str) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:elsewhere.org")).unwrap()
}
