//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    rooms::may_read_state,
};

/// The room's aliases on this server.
pub(crate) async fn aliases(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
) -> ApiResult<Json<Value>> {
    may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let aliases = app
        .store
        .read(move |snapshot| snapshot.aliases_of(room_id.as_str()))
        .await?;
    Ok(Json(json!({ "aliases": aliases })))
}
