//! `GET /_matrix/client/v3/presence/{userId}/status`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    users::share_a_room,
};

/// A user's presence, for itself, its application service, and those who share a room with it.
pub(crate) async fn get_presence(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(user_id): Params<OwnedUserId>,
) -> ApiResult<Json<Value>> {
    let owned = requester
        .appservice
        .as_ref()
        .is_some_and(|service| app.registry().owns_user(service, &user_id));
    let own = owned || requester.is(&user_id);
    if !own && !share_a_room(&app, &requester.user_id, &user_id).await? {
        return Err(ApiError::forbidden(format!(
            "You share no room with {user_id}"
        )));
    }
    let content = match app.presence.get(user_id.as_str()) {
        Some(state) => {
            let presence = if own { &state.presence } else { state.shown() };
            state.content(app.now_ms(), presence)
        }
        None => json!({ "presence": "offline" }),
    };
    Ok(Json(content))
}
