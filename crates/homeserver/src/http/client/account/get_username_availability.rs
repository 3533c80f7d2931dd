//! `GET /_matrix/client/v3/register/available`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::register::{check_free, flows};
use crate::{
    app::App,
    config::RateCategory,
    http::{address::ClientAddress, error::ApiResult, extract::QueryParams},
    users::register::user_id_of,
};

#[derive(Deserialize)]
pub(crate) struct Query {
    username: String,
}

/// Whether a person could sign up by this name.
pub(crate) async fn get_username_availability(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    app.limits
        .check(RateCategory::Registrations, &address.key(), app.now_ms())?;
    flows(&app)?;
    let user_id = user_id_of(&app, &query.username, None)?;
    check_free(&app, &user_id).await?;
    Ok(Json(json!({ "available": true })))
}
