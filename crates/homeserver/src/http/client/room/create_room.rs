//! `POST /_matrix/client/v3/createRoom` (and `PUT …/createRoom/{txnId}` of the first version)

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    rooms::{CreateRoom, create_room as create},
};

/// Makes a room.
pub(crate) async fn create_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<CreateRoom>,
) -> ApiResult<Json<Value>> {
    let alias = body.room_alias_name.clone();
    let room_id = create(&app, &requester, body).await?;
    let mut answer = json!({ "room_id": room_id });
    if let Some(alias) = alias {
        // The first version answered with the alias too.
        answer["room_alias"] = json!(format!("#{alias}:{}", app.server_name));
    }
    Ok(Json(answer))
}
