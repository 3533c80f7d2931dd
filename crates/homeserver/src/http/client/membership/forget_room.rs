//! `POST /_matrix/client/v3/rooms/{roomId}/forget`

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

/// Takes a room that one has left out of one's history.
pub(crate) async fn forget_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
) -> ApiResult<Json<Value>> {
    let (room, user) = (room_id.to_string(), requester.user_id.to_string());
    let forgotten: bool = app
        .store
        .write(move |tx| {
            let row = tx.membership(&room, &user)?;
            let left = row.is_some_and(|row| row.membership == "leave" || row.membership == "ban");
            if left {
                tx.forget_room(&room, &user)?;
            }
            Ok::<_, bridgehead_store::Error>(left)
        })
        .await?;
    if forgotten {
        Ok(Json(json!({})))
    } else {
        Err(ApiError::unknown(
            "Only a room that you have left can be forgotten",
        ))
    }
}
