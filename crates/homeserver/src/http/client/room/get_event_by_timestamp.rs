//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    rooms::{
        may_read_state,
        read::{Reader, is_forward},
    },
};

/// Events looked at until one is found that the reader may see.
const CANDIDATES: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Query {
    ts: u64,
    dir: String,
}

/// The event nearest to a time, before or after it.
pub(crate) async fn get_event_by_timestamp(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let forward = is_forward(Some(&query.dir))?;
    let ts = i64::try_from(query.ts).unwrap_or(i64::MAX);
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let reader = Reader::new(&app, &requester);
    let found = app
        .store
        .read(move |snapshot| {
            for event in snapshot.events_near(room_id.as_str(), ts, forward, CANDIDATES)? {
                if visible.allows(snapshot, &reader.user_id, &event)? {
                    return Ok(Some(event));
                }
            }
            Ok::<_, ApiError>(None)
        })
        .await?;
    let event = found.ok_or_else(|| {
        let side = if forward { "after" } else { "before" };
        ApiError::not_found(format!("No event {side} that time that you may see"))
    })?;
    Ok(Json(
        json!({ "event_id": event.event_id, "origin_server_ts": event.ts }),
    ))
}
