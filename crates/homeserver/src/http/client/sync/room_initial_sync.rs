//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;

use super::initial_sync::DEFAULT_LIMIT;
use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{Params, QueryParams},
    },
    rooms::may_read_state,
    sync::{
        Reader,
        initial::{self, RoomInfo},
    },
};

/// The query.
#[derive(Deserialize)]
pub(crate) struct RoomInitialSyncQuery {
    limit: Option<usize>,
}

/// One room as the requester may see it.
pub(crate) async fn room_initial_sync(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<RoomInitialSyncQuery>,
) -> ApiResult<Json<RoomInfo>> {
    may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let reader = Reader::legacy(requester);
    Ok(Json(
        initial::one_room(&app, reader, room_id.into(), limit).await?,
    ))
}
