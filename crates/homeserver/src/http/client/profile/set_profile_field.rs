//! `PUT /_matrix/client/v3/profile/{userId}/{keyName}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    users::profile,
};

/// Sets a field of the requester's profile. A display name or avatar that is left out is removed.
pub(crate) async fn set_profile_field(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, key)): Params<(OwnedUserId, String)>,
    JsonBody(mut body): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    let value = body.remove(&key);
    if value.is_none() && !matches!(key.as_str(), "displayname" | "avatar_url") {
        return Err(ApiError::missing_param(format!("`{key}` is missing")));
    }
    profile::set_field(&app, &requester, &user_id, key, value).await?;
    Ok(Json(json!({})))
}
