//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}` (and `POST` of the first version)

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::NewEvent;
use bridgehead_store::ClientTxn;
use ruma::{CanonicalJsonObject, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId};
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

/// Redacts an event. The same transaction id again answers the same redaction.
pub(crate) async fn redact_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id, txn_id)): Params<(OwnedRoomId, OwnedEventId, String)>,
    QueryParams(query): QueryParams<TimestampQuery>,
    ContentBody(content): ContentBody,
) -> ApiResult<Json<Value>> {
    let redaction = Redaction {
        origin_server_ts: query.of(&app, &requester)?,
        requester,
        room_id,
        event_id,
        txn_id: Some(txn_id),
        content,
    };
    redaction.send(&app).await
}

/// `POST …/redact/{eventId}` of the protocol's first version: without a transaction id.
pub(crate) async fn redact_without_txn(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id)): Params<(OwnedRoomId, OwnedEventId)>,
    QueryParams(query): QueryParams<TimestampQuery>,
    ContentBody(content): ContentBody,
) -> ApiResult<Json<Value>> {
    let redaction = Redaction {
        origin_server_ts: query.of(&app, &requester)?,
        requester,
        room_id,
        event_id,
        txn_id: None,
        content,
    };
    redaction.send(&app).await
}

/// A redaction that a client hands in.
struct Redaction {
    requester: Requester,
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    txn_id: Option<String>,
    content: CanonicalJsonObject,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
}

impl Redaction {
    async fn send(self, app: &App) -> ApiResult<Json<Value>> {
        app.limits
            .check_requester(RateCategory::Messages, &self.requester, app.now_ms())?;
        let txn = self.txn_id.map(|client_txn_id| ClientTxn {
            user_id: self.requester.user_id.to_string(),
            scope: self.requester.txn_scope(),
            room_id: self.room_id.to_string(),
            event_type: format!("redact:{}", self.event_id),
            client_txn_id,
        });
        let event = NewEvent {
            sender: self.requester.user_id,
            event_type: "m.room.redaction".to_owned(),
            state_key: None,
            content: self.content,
            redacts: Some(self.event_id),
            origin_server_ts: self.origin_server_ts,
        };
        let request = AppendRequest {
            room_id: self.room_id,
            event,
            txn,
            device_id: self.requester.device_id,
        };
        let event_id = append(app, request).await?;
        Ok(Json(json!({ "event_id": event_id })))
    }
}
