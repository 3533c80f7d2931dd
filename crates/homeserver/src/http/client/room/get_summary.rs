//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomOrAliasId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    rooms::{
        resolve_room,
        summary::{detailed_summary, may_know_of},
    },
};

/// What a room is, before one joins it. A room one may not know of is not there.
pub(crate) async fn get_summary(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(target): Params<OwnedRoomOrAliasId>,
) -> ApiResult<Json<Value>> {
    let not_found = || ApiError::not_found(format!("There is no room {target} that you may see"));
    let (room_id, _) = resolve_room(&app, &target).await?;
    let view = app
        .store
        .room_view(room_id.as_str())
        .await?
        .ok_or_else(not_found)?;
    if !may_know_of(&app, &requester.user_id, &view).await? {
        return Err(not_found());
    }
    let mut summary = detailed_summary(&view);
    let membership = view.membership(&requester.user_id);
    summary["membership"] = json!(membership.map_or("leave", |membership| membership.as_str()));
    Ok(Json(summary))
}
