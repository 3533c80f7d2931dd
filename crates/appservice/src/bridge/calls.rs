//! What the bridge kit asks of the homeserver that no actor offers.

use serde_json::{Value, json};

use crate::{
    Bot, Error,
    client::{Call, escape},
    core::Core,
    id::{EventId, RoomAlias, RoomId, UserId},
    outbox::Outgoing,
};

fn room_path(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", escape(room.as_str()))
}

/// A `None` for what is not there.
fn unless_missing<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends, with what it needs seen to before, and waits until it is there.
pub(super) async fn send(core: &Core, outgoing: &Outgoing) -> Result<EventId, Error> {
    core.deliver(outgoing).await
}

/// Whether the homeserver, or the room's own rules, say no for good.
pub(super) fn is_refused(error: &Error) -> bool {
    error.status() == Some(403) || matches!(error, Error::Forbidden(_))
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

/// The content of a state event, as far as the service has been told.
pub(super) async fn heard_state(
    core: &Core,
    room: &RoomId,
    kind: &'static str,
    key: &str,
) -> Result<Option<Value>, Error> {
    let (room, key) = (room.to_string(), key.to_owned());
    let read = core
        .store
        .read(move |unit| unit.state_row(&room, kind, &key));
    Ok(read.await?.map(|row| row.content))
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

/// Who is in a room, or invited into it, as the homeserver knows.
pub(super) async fn present(core: &Core, by: &UserId, room: &RoomId) -> Result<Vec<UserId>, Error> {
    let call = Call::get(room_path(room, "members"))
        .by(Some(by))
        .query("not_membership", "leave");
    let answer: Value = core.client.ask(&call).await?;
    let members = answer.get("chunk").and_then(Value::as_array);
    let present = members.into_iter().flatten().filter(|member| {
        let membership = member.pointer("/content/membership");
        matches!(membership.and_then(Value::as_str), Some("join" | "invite"))
    });
    let ids = present.filter_map(|member| member.get("state_key")?.as_str());
    Ok(ids.filter_map(|id| UserId::parse(id).ok()).collect())
}

/// Makes an alias name this room, whichever it named before.
pub(super) async fn move_alias(
    core: &std::sync::Arc<Core>,
    alias: &RoomAlias,
    room: &RoomId,
) -> Result<(), Error> {
    let bot = Bot::outside(core.clone());
    // Not asked first which room it names: where it names none, the homeserver would ask the service, which may be
    // what waits for this.
    match bot.set_alias(room, alias).await {
        Err(error) if error.status() == Some(409) => {
            bot.remove_alias(alias).await?;
            bot.set_alias(room, alias).await
        }
        set => set,
    }
}

/// Puts a room into the homeserver's directory of rooms, or takes it out. A no is no reason to stop: the directory is
/// the homeserver's own.
pub(super) async fn list_in_directory(
    core: &Core,
    by: &UserId,
    room: &RoomId,
    is_listed: bool,
) -> Result<(), Error> {
    let path = format!(
        "/_matrix/client/v3/directory/list/room/{}",
        escape(room.as_str())
    );
    let visibility = if is_listed { "public" } else { "private" };
    let call = Call::put(path, &json!({ "visibility": visibility })).by(Some(by));
    match core.client.ask::<Value>(&call).await {
        Err(error) if is_refused(&error) => {
            tracing::warn!(room.id = %room, %error, "the directory of rooms stays as it is");
            Ok(())
        }
        done => done.map(drop),
    }
}

/// Closes a user's account for good.
pub(super) async fn deactivate(core: &Core, user: &UserId) -> Result<(), Error> {
    let body = json!({ "erase": false });
    let call = Call::post("/_matrix/client/v3/account/deactivate", &body).by(Some(user));
    core.client.ask::<Value>(&call).await?;
    core.forget_registered(user).await
}
