//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    rooms::{hierarchy::Walk, summary::may_know_of},
};

#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    suggested_only: bool,
    limit: Option<u64>,
    max_depth: Option<u64>,
    from: Option<String>,
}

/// A page of a space's rooms.
pub(crate) async fn get_hierarchy(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let refuse = || ApiError::forbidden("You may not know of this room, or there is none");
    let view = app
        .store
        .room_view(room_id.as_str())
        .await?
        .ok_or_else(refuse)?;
    if !may_know_of(&app, &requester.user_id, &view).await? {
        return Err(refuse());
    }
    let walk = Walk {
        suggested_only: query.suggested_only,
        limit: query.limit,
        max_depth: query.max_depth,
        from: query.from,
    };
    Ok(Json(walk.run(&app, &requester.user_id, view).await?))
}
