//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::openid,
};

/// A token with which a third party (a bridge's own API) can ask this server who the user is.
pub(crate) async fn request_openid_token(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(user_id): Params<OwnedUserId>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    let token = openid::issue(&app, &user_id).await?;
    Ok(Json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "matrix_server_name": app.server_name,
        "expires_in": openid::TTL_MS / 1000,
    })))
}
