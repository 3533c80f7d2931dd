//! `POST /_matrix/client/v3/user/{userId}/filter`

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
    sync::filter,
};

/// Stores a filter. The same filter again has the same id.
pub(crate) async fn create_filter(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(user_id): Params<OwnedUserId>,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    let text = Value::Object(body).to_string();
    filter::parse(&text).map_err(|error| match error.errcode() {
        "M_INVALID_PARAM" => ApiError::bad_json(error.message().to_owned()),
        _ => error,
    })?;
    let filter_id = app
        .store
        .write(move |tx| tx.insert_filter(user_id.as_str(), &text))
        .await?;
    Ok(Json(json!({ "filter_id": filter_id.to_string() })))
}
