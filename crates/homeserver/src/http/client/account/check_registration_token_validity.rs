//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::register::flows;
use crate::{
    app::App,
    config::RateCategory,
    http::{address::ClientAddress, error::ApiResult, extract::QueryParams},
    users::uia,
};

#[derive(Deserialize)]
pub(crate) struct Query {
    token: String,
}

/// Whether people may sign up with this token.
pub(crate) async fn check_registration_token_validity(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    app.limits
        .check(RateCategory::Registrations, &address.key(), app.now_ms())?;
    flows(&app)?;
    let valid = uia::is_registration_token(&app, &query.token);
    Ok(Json(json!({ "valid": valid })))
}
