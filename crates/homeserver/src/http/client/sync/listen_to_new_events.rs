//! `GET /_matrix/client/v3/events`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::QueryParams},
    rooms::may_read_state,
    sync::{Reader, StreamChunk, StreamRequest, listen},
};

/// How long a client waits that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The query.
#[derive(Deserialize)]
pub(crate) struct StreamQuery {
    from: Option<String>,
    timeout: Option<u64>,
    room_id: Option<OwnedRoomId>,
}

/// What happens in the requester's rooms, or in one that it may read.
pub(crate) async fn listen_to_new_events(
    State(app): State<Arc<App>>,
    requester: Requester,
    QueryParams(query): QueryParams<StreamQuery>,
) -> ApiResult<Json<StreamChunk>> {
    let from = query
        .from
        .filter(|from| !from.is_empty())
        .map(|from| from.parse())
        .transpose()?;
    if let Some(room_id) = &query.room_id {
        may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    }
    let request = StreamRequest {
        reader: Reader::legacy(requester),
        from,
        room_id: query.room_id.map(String::from),
        timeout: query
            .timeout
            .map_or(DEFAULT_TIMEOUT, Duration::from_millis)
            .min(app.config.limits.sync_timeout_max),
    };
    Ok(Json(listen(&app, request).await?))
}
