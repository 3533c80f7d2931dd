//! `GET /_matrix/client/v1/mutual_rooms` and `…/uk.half-shot.msc2666/user/mutual_rooms`

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
    },
    users,
};

/// Rooms that the requester and another user are both in.
pub(crate) async fn mutual_rooms(
    State(app): State<Arc<App>>,
    requester: Requester,
    RawQuery(query): RawQuery,
) -> ApiResult<Json<Value>> {
    let other = other_user(query.as_deref().unwrap_or_default())?;
    if requester.is(&other) {
        return Err(ApiError::invalid_param(
            "`user_id` must be another user than you",
        ));
    }
    let joined = users::mutual_rooms(&app, &requester.user_id, &other).await?;
    Ok(Json(json!({ "count": joined.len(), "joined": joined })))
}

/// The last `user_id`: an application service's first one says as whom it acts.
fn other_user(query: &str) -> Result<OwnedUserId, ApiError> {
    let other = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "user_id")
        .last()
        .ok_or_else(|| ApiError::missing_param("`user_id` is missing"))?;
    OwnedUserId::try_from(other.1.as_ref())
        .map_err(|_| ApiError::invalid_param("`user_id` is not a user id"))
}
