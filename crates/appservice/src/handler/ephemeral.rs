//! Typing, receipts, presence, to-device messages and devices, as handlers take them.
//!
//! Typing, receipts and presence are told, not kept: a service that is busy or away misses some of them. To-device
//! messages and changes of devices are kept like events.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Context, FromContext, Rejection, context::Input};
use crate::id::{EventId, RoomId, UserId};

/// Who is typing in a room (`m.typing`); nobody, when it is empty.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Typing {
    /// The room.
    pub room_id: RoomId,
    /// All who type at the moment, but the service's own users.
    pub users: Vec<UserId>,
}

/// How far somebody has read (`m.receipt`): all that one event told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The room.
    pub room_id: RoomId,
    /// Who has read up to which event, with the kind of receipt (`m.read`, `m.read.private`), but the service's own.
    pub reads: Vec<(UserId, EventId, String)>,
}

/// Somebody's presence (`m.presence`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Presence {
    /// Whose.
    pub user_id: UserId,
    /// `online`, `unavailable` or `offline`.
    pub presence: String,
    /// What they say of themselves.
    pub status: Option<String>,
    /// For how long they have been away, ms.
    pub last_active_ago_ms: Option<i64>,
}

/// A message to one of the service's devices.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToDevice {
    /// Its type.
    pub kind: String,
    /// Who sends it.
    pub sender: UserId,
    /// Whose device it is for; `None` where the homeserver does not tell.
    pub to_user: Option<UserId>,
    /// Which device.
    pub to_device: Option<String>,
    /// Its content.
    pub content: Value,
}

/// Whose devices have changed, and how many one-time keys are left (MSC3202).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Devices {
    /// Users whose devices have changed.
    pub changed: Vec<UserId>,
    /// Users who share no room with the service's users any more.
    pub left: Vec<UserId>,
    /// How many one-time keys are left, by user, device and algorithm.
    pub one_time_keys: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
    /// Which fallback keys were not used yet, by user and device.
    pub unused_fallback_keys: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

fn ephemeral<'a>(context: &'a Context, kind: &str) -> Result<&'a Arc<Value>, Rejection> {
    match &context.input {
        Input::Ephemeral(value) if value.get("type").and_then(Value::as_str) == Some(kind) => {
            Ok(value)
        }
        _ => Err(Rejection::NotForThis),
    }
}

impl FromContext for Typing {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let value = ephemeral(context, "m.typing")?;
        let users = value.pointer("/content/user_ids").and_then(Value::as_array);
        let ids = users
            .into_iter()
            .flatten()
            .filter_map(|id| UserId::parse(id.as_str()?).ok());
        Ok(Self {
            room_id: context.room_id().ok_or(Rejection::NotForThis)?,
            users: ids.filter(|id| !context.core.is_own(id)).collect(),
        })
    }
}

impl FromContext for Receipt {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let value = ephemeral(context, "m.receipt")?;
        let mut reads = Vec::new();
        for (event, kinds) in value
            .get("content")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let Ok(event) = EventId::parse(event) else {
                continue;
            };
            for (kind, users) in kinds.as_object().into_iter().flatten() {
                let users = users.as_object().into_iter().flatten();
                let users = users.filter_map(|(user, _)| UserId::parse(user).ok());
                let foreign = users.filter(|user| !context.core.is_own(user));
                reads.extend(foreign.map(|user| (user, event.clone(), kind.clone())));
            }
        }
        Ok(Self {
            room_id: context.room_id().ok_or(Rejection::NotForThis)?,
            reads,
        })
    }
}

impl FromContext for Presence {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let value = ephemeral(context, "m.presence")?;
        let user = value
            .get("sender")
            .and_then(Value::as_str)
            .map(UserId::parse);
        let content = value.get("content").ok_or(Rejection::NotForThis)?;
        let text = |key: &str| content.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(Ok(user_id)), Some(presence)) = (user, text("presence")) else {
            return Err(Rejection::NotForThis);
        };
        Ok(Self {
            user_id,
            presence,
            status: text("status_msg"),
            last_active_ago_ms: content.get("last_active_ago").and_then(Value::as_i64),
        })
    }
}

impl FromContext for ToDevice {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let Input::ToDevice(value) = &context.input else {
            return Err(Rejection::NotForThis);
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let (Some(kind), Some(Ok(sender))) = (text("type"), text("sender").map(UserId::parse))
        else {
            return Err(Rejection::NotForThis);
        };
        Ok(Self {
            kind: kind.to_owned(),
            sender,
            to_user: text("to_user_id").and_then(|id| UserId::parse(id).ok()),
            to_device: text("to_device_id").map(str::to_owned),
            content: value.get("content").cloned().unwrap_or_default(),
        })
    }
}

impl FromContext for Devices {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let Input::Devices(value) = &context.input else {
            return Err(Rejection::NotForThis);
        };
        let users = |pointer: &str| {
            let list = value.pointer(pointer).and_then(Value::as_array);
            let ids = list.into_iter().flatten();
            ids.filter_map(|id| UserId::parse(id.as_str()?).ok())
                .collect()
        };
        let read = |key: &str| value.get(key).cloned().unwrap_or_default();
        Ok(Self {
            changed: users("/device_lists/changed"),
            left: users("/device_lists/left"),
            one_time_keys: serde_json::from_value(read("one_time_keys")).unwrap_or_default(),
            unused_fallback_keys: serde_json::from_value(read("unused_fallback_keys"))
                .unwrap_or_default(),
        })
    }
}
