//! `GET` and `PUT /_synapse/admin/v1/users/{userId}/admin`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::user::local_user;
use crate::{
    app::App,
    http::{
        auth::Admin,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
};

/// Whether a user is an administrator.
pub(crate) async fn get_user_admin(
    State(app): State<Arc<App>>,
    _admin: Admin,
    Params(user_id): Params<OwnedUserId>,
) -> ApiResult<Json<Value>> {
    let row = local_user(&app, &user_id).await?;
    let row = row.ok_or_else(|| ApiError::not_found("User not found"))?;
    Ok(Json(json!({ "admin": row.is_admin })))
}

#[derive(Deserialize)]
pub(crate) struct Body {
    admin: bool,
}

/// Makes a user an administrator, or not. Nobody takes the right from themselves, so that one
/// administrator stays.
pub(crate) async fn put_user_admin(
    State(app): State<Arc<App>>,
    Admin(requester): Admin,
    Params(user_id): Params<OwnedUserId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    if requester.is(&user_id) && !body.admin {
        return Err(ApiError::unknown(
            "You may not take the right from yourself; another administrator can",
        ));
    }
    let id = user_id.to_string();
    let known = app
        .store
        .write(move |tx| tx.set_admin(&id, body.admin))
        .await?;
    if !known {
        return Err(ApiError::not_found("User not found"));
    }
    Ok(Json(json!({})))
}
