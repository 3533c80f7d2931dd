//! `GET /_matrix/federation/v1/openid/userinfo`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        error::{ApiError, ApiResult},
        extract::QueryParams,
    },
    users::openid,
};

#[derive(Deserialize)]
pub(crate) struct Query {
    access_token: Option<String>,
}

/// Whose `OpenID` token this is.
pub(crate) async fn get_openid_userinfo(
    State(app): State<Arc<App>>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let token = query
        .access_token
        .ok_or_else(|| ApiError::missing_token("Send the OpenID token as ?access_token="))?;
    let user_id = openid::owner_of(&app, &token)
        .await?
        .ok_or_else(|| ApiError::unknown_token("Unknown or expired OpenID token"))?;
    Ok(Json(json!({ "sub": user_id })))
}
