//! Account data that clients set, and tags, which are a piece of it.
//!
//! Client-server API, "Client Config" and "Room Tagging".

use ruma::{RoomId, UserId};
use serde_json::{Map, Value, json};

use super::push_rules;
use crate::{app::App, http::error::ApiError};

/// Types that only the server writes: they have endpoints of their own.
const SERVER_ONLY: &[&str] = &["m.fully_read", "m.push_rules"];
/// The longest type or tag, bytes.
const MAX_NAME_BYTES: usize = 255;

/// The content under a type; `None` as room for global account data.
pub(crate) async fn get(
    app: &App,
    user_id: &UserId,
    room_id: Option<&RoomId>,
    kind: &str,
) -> Result<Value, ApiError> {
    if kind == "m.push_rules" && room_id.is_none() {
        let rules = push_rules::get(app, user_id).await?;
        return Ok(json!({ "global": rules }));
    }
    let (user, room, kind) = (user_id.to_string(), scope(room_id), kind.to_owned());
    let content = app
        .store
        .read(move |s| s.account_data(&user, &room, &kind))
        .await?
        .ok_or_else(|| ApiError::not_found("No account data of this type"))?;
    serde_json::from_str(&content).map_err(|error| ApiError::internal(&error))
}

/// Sets the content under a type.
pub(crate) async fn set(
    app: &App,
    user_id: &UserId,
    room_id: Option<&RoomId>,
    kind: String,
    content: Map<String, Value>,
) -> Result<(), ApiError> {
    if SERVER_ONLY.contains(&kind.as_str()) {
        return Err(
            ApiError::bad_json(format!("{kind} has an endpoint of its own"))
                .status(http::StatusCode::METHOD_NOT_ALLOWED),
        );
    }
    check_name(&kind, "type")?;
    let (user, room) = (user_id.to_string(), scope(room_id));
    let content = Value::Object(content).to_string();
    app.store
        .write(move |tx| tx.set_account_data(&user, &room, &kind, &content))
        .await?;
    Ok(())
}

/// A user's tags on a room, as the content of `m.tag`.
pub(crate) async fn tags(app: &App, user_id: &UserId, room_id: &RoomId) -> Result<Value, ApiError> {
    let (user, room) = (user_id.to_string(), room_id.to_string());
    let content = app
        .store
        .read(move |s| s.account_data(&user, &room, "m.tag"))
        .await?;
    Ok(Value::Object(tag_content(content.as_deref())))
}

/// Puts a tag on a room, or (without `info`) takes it off.
pub(crate) async fn change_tag(
    app: &App,
    user_id: &UserId,
    room_id: &RoomId,
    tag: String,
    info: Option<Map<String, Value>>,
) -> Result<(), ApiError> {
    check_name(&tag, "tag")?;
    let (user, room) = (user_id.to_string(), room_id.to_string());
    app.store
        .write(move |tx| {
            let mut content = tag_content(tx.account_data(&user, &room, "m.tag")?.as_deref());
            if let Some(Value::Object(tags)) = content.get_mut("tags") {
                match info {
                    Some(info) => tags.insert(tag, Value::Object(info)),
                    None => tags.remove(&tag),
                };
            }
            tx.set_account_data(&user, &room, "m.tag", &Value::Object(content).to_string())
        })
        .await?;
    Ok(())
}

/// The content of `m.tag` with an object of tags, whatever a client has put there.
fn tag_content(stored: Option<&str>) -> Map<String, Value> {
    let mut content: Map<String, Value> = stored
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if !content.get("tags").is_some_and(Value::is_object) {
        content.insert("tags".to_owned(), json!({}));
    }
    content
}

fn scope(room_id: Option<&RoomId>) -> String {
    room_id.map(RoomId::to_string).unwrap_or_default()
}

fn check_name(name: &str, what: &str) -> Result<(), ApiError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(ApiError::invalid_param(format!(
            "A {what} may be {MAX_NAME_BYTES} bytes long"
        )));
    }
    Ok(())
}
