//! `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::profile,
};

/// Removes a field of the requester's profile.
pub(crate) async fn delete_profile_field(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, key)): Params<(OwnedUserId, String)>,
) -> ApiResult<Json<Value>> {
    profile::set_field(&app, &requester, &user_id, key, None).await?;
    Ok(Json(json!({})))
}
