//! `GET /_matrix/client/v3/rooms/{roomId}/state`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde_json::value::RawValue;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    rooms::{
        format::{Format, raw},
        may_read_state,
    },
};

/// The room's state, as of now or of the requester's leaving.
pub(crate) async fn get_state_events(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
) -> ApiResult<Json<Vec<Box<RawValue>>>> {
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let room = room_id.to_string();
    let events = app
        .store
        .read(move |s| s.state_at(&room, visible.upto))
        .await?;
    let format = Format {
        now_ms: app.now_ms(),
        ..Format::default()
    };
    Ok(Json(
        events
            .iter()
            .map(|event| raw(format.event(event)))
            .collect(),
    ))
}
