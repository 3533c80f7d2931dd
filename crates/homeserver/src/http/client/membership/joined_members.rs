//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::{Membership, RoomView};
use ruma::{OwnedRoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
};

/// Who is joined, with their profiles in the room.
pub(crate) async fn joined_members(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
) -> ApiResult<Json<Value>> {
    let view = app
        .store
        .room_view(room_id.as_str())
        .await?
        .filter(|view| may_ask(&app, &requester, view))
        .ok_or_else(|| ApiError::forbidden(format!("{} is not in this room", requester.user_id)))?;
    let joined: Map<String, Value> = joined_users(&view)
        .map(|user_id| (user_id.to_owned(), profile(&view, user_id)))
        .collect();
    Ok(Json(json!({ "joined": joined })))
}

fn joined_users(view: &RoomView) -> impl Iterator<Item = &str> {
    view.members
        .iter()
        .filter(|(_, membership)| **membership == Membership::Join)
        .map(|(user_id, _)| user_id.as_str())
}

/// Members may; and a service one of whose users is a member, whoever of them asks.
fn may_ask(app: &App, requester: &Requester, view: &RoomView) -> bool {
    if view.membership(&requester.user_id) == Some(Membership::Join) {
        return true;
    }
    let Some(service) = &requester.appservice else {
        return false;
    };
    let registry = app.registry();
    joined_users(view)
        .filter_map(|user_id| <&UserId>::try_from(user_id).ok())
        .any(|user_id| registry.owns_user(service, user_id))
}

fn profile(view: &RoomView, user_id: &str) -> Value {
    #[derive(Deserialize)]
    struct Content {
        displayname: Option<Value>,
        avatar_url: Option<Value>,
    }
    let content = view
        .state_event("m.room.member", user_id)
        .and_then(|event| serde_json::from_str::<Content>(event.content.get()).ok());
    let mut profile = Map::new();
    if let Some(content) = content {
        let named = [
            ("display_name", content.displayname),
            ("avatar_url", content.avatar_url),
        ];
        for (key, value) in named {
            if let Some(value) = value.filter(Value::is_string) {
                profile.insert(key.to_owned(), value);
            }
        }
    }
    Value::Object(profile)
}
