//! `GET /_matrix/client/v3/profile/{userId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Map, Value};

use crate::{
    app::App,
    http::{auth::AnyToken, error::ApiResult, extract::Params},
    users::profile,
};

/// A user's whole profile.
pub(crate) async fn get_profile(
    _: AnyToken,
    State(app): State<Arc<App>>,
    Params(user_id): Params<OwnedUserId>,
) -> ApiResult<Json<Map<String, Value>>> {
    profile::get(&app, &user_id).await.map(Json)
}
