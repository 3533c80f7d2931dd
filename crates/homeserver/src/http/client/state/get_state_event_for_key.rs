//! `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}[/{stateKey}]`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    rooms::{
        format::{Format, raw},
        may_read_state,
    },
};

#[derive(Deserialize)]
pub(crate) struct Query {
    format: Option<String>,
}

/// State with an empty key.
pub(crate) async fn get_state_event_for_empty_key(
    state: State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_type)): Params<(OwnedRoomId, String)>,
    query: QueryParams<Query>,
) -> ApiResult<Json<Box<RawValue>>> {
    let key = Params((room_id, event_type, String::new()));
    get_state_event_for_key(state, requester, key, query).await
}

/// The content of a state event, or with `?format=event` all of it.
pub(crate) async fn get_state_event_for_key(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_type, state_key)): Params<(OwnedRoomId, String, String)>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Box<RawValue>>> {
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let (room, kind, key) = (room_id.to_string(), event_type.clone(), state_key.clone());
    let event = app
        .store
        .read(move |s| s.state_event_at(&room, &kind, &key, visible.upto))
        .await?
        .ok_or_else(|| {
            ApiError::not_found(format!("No state {event_type} with key `{state_key}`"))
        })?;
    let text = match query.format.as_deref() {
        Some("event") => Format {
            now_ms: app.now_ms(),
            ..Format::default()
        }
        .event(&event),
        Some("content") | None => event.content,
        Some(other) => return Err(ApiError::invalid_param(format!("Unknown format `{other}`"))),
    };
    Ok(Json(raw(text)))
}
