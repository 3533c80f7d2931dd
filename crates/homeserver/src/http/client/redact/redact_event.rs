//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::NewEvent;
use bridgehead_store::ClientTxn;
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{ContentBody, Params, QueryParams},
        time::TimestampQuery,
    },
    rooms::{AppendRequest, append},
};

/// Redacts an event.
pub(crate) async fn redact_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id, txn_id)): Params<(OwnedRoomId, OwnedEventId, String)>,
    QueryParams(query): QueryParams<TimestampQuery>,
    ContentBody(content): ContentBody,
) -> ApiResult<Json<Value>> {
    app.limits
        .check_requester(RateCategory::Messages, &requester, app.now_ms())?;
    let origin_server_ts = query.of(&app, &requester)?;
    let txn = ClientTxn {
        user_id: requester.user_id.to_string(),
        scope: requester.txn_scope(),
        room_id: room_id.to_string(),
        event_type: format!("redact:{event_id}"),
        client_txn_id: txn_id,
    };
    let event = NewEvent {
        sender: requester.user_id,
        event_type: "m.room.redaction".to_owned(),
        state_key: None,
        content,
        redacts: Some(event_id),
        origin_server_ts,
    };
    let request = AppendRequest {
        room_id,
        event,
        txn: Some(txn),
        device_id: requester.device_id,
    };
    let event_id = append(&app, request).await?;
    Ok(Json(json!({ "event_id": event_id })))
}
