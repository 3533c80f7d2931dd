//! Requests of the bridge kit that no actor makes: each one call, tried again where that may help.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::{
    Error, Urgency,
    client::{Call, escape},
    core::Core,
    id::{EventId, RoomAlias, RoomId, UserId},
};

/// Rooms that are looked at when something is searched in them.
pub(super) const MAX_ROOMS: usize = 1000;

fn room_path(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", escape(room.as_str()))
}

async fn done(core: &Core, call: Call) -> Result<(), Error> {
    core.client.ask::<Value>(&call).await.map(drop)
}

/// A `None` for what is not there.
fn unless_missing<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Leaves a room, or declines an invitation. Somebody who is not there has left.
pub(super) async fn leave(
    core: &Core,
    user: &UserId,
    room: &RoomId,
    reason: Option<&str>,
) -> Result<(), Error> {
    let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let call = Call::post(room_path(room, "leave"), &body)
        .by(Some(user))
        .urgency(Urgency::Membership);
    match done(core, call).await {
        Err(error) if matches!(error.status(), Some(403 | 404)) => {
            tracing::debug!(%user, room.id = %room, %error, "not left: it was not there");
        }
        other => other?,
    }
    let (id, place, now_ms) = (user.to_string(), room.to_string(), core.now_ms());
    core.store
        .write(move |unit| unit.note_membership(&place, &id, "leave", now_ms))
        .await?;
    Ok(())
}

/// The room that an alias names.
pub(super) async fn resolve_alias(core: &Core, alias: &RoomAlias) -> Result<Option<RoomId>, Error> {
    let path = format!(
        "/_matrix/client/v3/directory/room/{}",
        escape(alias.as_str())
    );
    let found: Option<Value> = unless_missing(core.client.ask(&Call::get(path)).await)?;
    let id = found
        .as_ref()
        .and_then(|found| found.get("room_id")?.as_str());
    Ok(id.map(RoomId::parse).transpose()?)
}

/// Makes an alias name a room.
pub(super) async fn set_alias(core: &Core, alias: &RoomAlias, room: &RoomId) -> Result<(), Error> {
    let path = format!(
        "/_matrix/client/v3/directory/room/{}",
        escape(alias.as_str())
    );
    done(core, Call::put(path, &json!({ "room_id": room.as_str() }))).await
}

/// Makes an alias name nothing.
pub(super) async fn delete_alias(core: &Core, alias: &RoomAlias) -> Result<(), Error> {
    let path = format!(
        "/_matrix/client/v3/directory/room/{}",
        escape(alias.as_str())
    );
    unless_missing(done(core, Call::new(Method::DELETE, path)).await).map(drop)
}

/// A part of a room's state, as the homeserver has it now.
pub(super) async fn state(
    core: &Core,
    by: &UserId,
    room: &RoomId,
    (kind, key): (&str, &str),
) -> Result<Option<Value>, Error> {
    let path = room_path(room, &format!("state/{}/{}", escape(kind), escape(key)));
    unless_missing(core.client.ask(&Call::get(path).by(Some(by))).await)
}

/// An event, as the homeserver has it now.
pub(super) async fn event(
    core: &Core,
    by: &UserId,
    room: &RoomId,
    event: &EventId,
) -> Result<Option<Value>, Error> {
    let path = room_path(room, &format!("event/{}", escape(event.as_str())));
    unless_missing(core.client.ask(&Call::get(path).by(Some(by))).await)
}

/// The rooms that a user has joined, as the homeserver knows; at most [`MAX_ROOMS`].
pub(super) async fn joined_rooms(core: &Core, user: &UserId) -> Result<Vec<RoomId>, Error> {
    let call = Call::get("/_matrix/client/v3/joined_rooms").by(Some(user));
    let answer: Value = core.client.ask(&call).await?;
    let rooms = answer.get("joined_rooms").and_then(Value::as_array);
    let ids = rooms.into_iter().flatten().filter_map(Value::as_str);
    Ok(ids
        .filter_map(|id| RoomId::parse(id).ok())
        .take(MAX_ROOMS)
        .collect())
}

/// All of a room's state, as the homeserver has it now: whole events.
pub(super) async fn all_state(
    core: &Core,
    by: &UserId,
    room: &RoomId,
) -> Result<Vec<Value>, Error> {
    core.client
        .ask(&Call::get(room_path(room, "state")).by(Some(by)))
        .await
}

/// Who has joined a room, as the homeserver knows.
pub(super) async fn joined_members(
    core: &Core,
    by: &UserId,
    room: &RoomId,
) -> Result<Vec<UserId>, Error> {
    let call = Call::get(room_path(room, "joined_members")).by(Some(by));
    let answer: Value = core.client.ask(&call).await?;
    let members = answer.get("joined").and_then(Value::as_object);
    let ids = members.into_iter().flat_map(|members| members.keys());
    Ok(ids.filter_map(|id| UserId::parse(id).ok()).collect())
}

/// Shows a user typing for that many ms; not any more, where it is `None`.
pub(super) async fn typing(
    core: &Arc<Core>,
    user: &UserId,
    room: &RoomId,
    timeout_ms: Option<u64>,
) -> Result<(), Error> {
    let body = match timeout_ms {
        Some(timeout_ms) => json!({ "typing": true, "timeout": timeout_ms }),
        None => json!({ "typing": false }),
    };
    let path = room_path(room, &format!("typing/{}", escape(user.as_str())));
    let call = Call::put(path, &body).by(Some(user));
    core.client.call::<Value>(&call).await.map(drop)
}

/// A user has read up to this event.
pub(super) async fn receipt(
    core: &Arc<Core>,
    user: &UserId,
    room: &RoomId,
    event: &EventId,
) -> Result<(), Error> {
    let path = room_path(room, &format!("receipt/m.read/{}", escape(event.as_str())));
    let call = Call::post(path, &json!({})).by(Some(user));
    core.client.call::<Value>(&call).await.map(drop)
}

/// Closes a user's account for good.
pub(super) async fn deactivate(core: &Core, user: &UserId) -> Result<(), Error> {
    let body = json!({ "erase": false });
    let call = Call::post("/_matrix/client/v3/account/deactivate", &body).by(Some(user));
    done(core, call).await
}
