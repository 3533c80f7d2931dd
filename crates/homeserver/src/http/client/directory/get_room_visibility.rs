//! `GET /_matrix/client/v3/directory/list/room/{roomId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
};

/// Whether the room stands in the server's directory.
pub(crate) async fn get_room_visibility(
    State(app): State<Arc<App>>,
    _requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
) -> ApiResult<Json<Value>> {
    let (exists, published) = app
        .store
        .read(move |snapshot| {
            Ok::<_, ApiError>((
                snapshot.room_record(room_id.as_str())?.is_some(),
                snapshot.is_published("", room_id.as_str())?,
            ))
        })
        .await?;
    if !exists {
        return Err(ApiError::not_found("No such room"));
    }
    let visibility = if published { "public" } else { "private" };
    Ok(Json(json!({ "visibility": visibility })))
}
