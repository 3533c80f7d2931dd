//! `GET /_matrix/client/v3/profile/{userId}/{keyName}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Map, Value};

use crate::{
    app::App,
    http::{auth::AnyToken, error::ApiResult, extract::Params},
    users::profile,
};

/// One field of a user's profile.
pub(crate) async fn get_profile_field(
    _: AnyToken,
    State(app): State<Arc<App>>,
    Params((user_id, key)): Params<(OwnedUserId, String)>,
) -> ApiResult<Json<Map<String, Value>>> {
    profile::get_field(&app, &user_id, key).await.map(Json)
}
