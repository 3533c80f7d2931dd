//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}[/{stateKey}]`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::{Membership, NewEvent};
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{ContentBody, Params, QueryParams},
        time::TimestampQuery,
    },
    rooms::{AppendRequest, MemberChange, append, change_membership, check_canonical_alias},
};

/// Sets state with an empty key.
pub(crate) async fn send_state_event_for_empty_key(
    state: State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_type)): Params<(OwnedRoomId, String)>,
    query: QueryParams<TimestampQuery>,
    body: ContentBody,
) -> ApiResult<Json<Value>> {
    let key = Params((room_id, event_type, String::new()));
    send_state_event(state, requester, key, query, body).await
}

/// Sets state. Setting it to what it is already answers the event that stands.
pub(crate) async fn send_state_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_type, state_key)): Params<(OwnedRoomId, String, String)>,
    QueryParams(query): QueryParams<TimestampQuery>,
    ContentBody(content): ContentBody,
) -> ApiResult<Json<Value>> {
    app.limits
        .check_requester(RateCategory::Messages, &requester, app.now_ms())?;
    let ts = query.of(&app, &requester)?;
    let event_id = match event_type.as_str() {
        "m.room.member" => {
            let change = member_change(requester, room_id, &state_key, content, ts)?;
            change_membership(&app, change).await?
        }
        "m.room.create" => {
            return Err(ApiError::forbidden("A room is created once"));
        }
        _ => {
            if event_type == "m.room.canonical_alias" {
                check_canonical_alias(&app, &room_id, &content).await?;
            }
            let event = NewEvent {
                sender: requester.user_id,
                event_type,
                state_key: Some(state_key),
                content,
                redacts: None,
                origin_server_ts: ts,
            };
            let request = AppendRequest {
                room_id,
                event,
                txn: None,
                device_id: requester.device_id,
            };
            append(&app, request).await?
        }
    };
    Ok(Json(json!({ "event_id": event_id })))
}

/// Bridges set membership by state, with profile and reason, for their ghosts and by them.
fn member_change(
    requester: Requester,
    room_id: OwnedRoomId,
    state_key: &str,
    mut content: CanonicalJsonObject,
    ts: ruma::MilliSecondsSinceUnixEpoch,
) -> Result<MemberChange, ApiError> {
    let target = OwnedUserId::try_from(state_key)
        .map_err(|_| ApiError::invalid_param(format!("`{state_key}` is not a user id")))?;
    let membership = content
        .remove("membership")
        .and_then(|value| {
            value
                .as_str()
                .and_then(|text| text.parse::<Membership>().ok())
        })
        .ok_or_else(|| {
            ApiError::bad_json("`membership` must be one of join, invite, knock, leave, ban")
        })?;
    Ok(MemberChange {
        room_id,
        sender: requester.user_id,
        target,
        membership,
        reason: None,
        extra: content,
        ts,
    })
}
