//! `GET /_matrix/client/v3/joined_rooms`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
};

/// Rooms that the requester is joined to.
pub(crate) async fn joined_rooms(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Value>> {
    let user = requester.user_id.to_string();
    let rooms = app.store.read(move |s| s.joined_rooms(&user)).await?;
    Ok(Json(json!({ "joined_rooms": rooms })))
}
