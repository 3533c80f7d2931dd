//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`: station 1 of an event's way

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::NewEvent;
use bridgehead_store::ClientTxn;
use ruma::{CanonicalJsonObject, MilliSecondsSinceUnixEpoch, OwnedRoomId};
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

/// Sends an event. The same transaction id again answers the same event.
pub(crate) async fn send_message_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_type, txn_id)): Params<(OwnedRoomId, String, String)>,
    QueryParams(query): QueryParams<TimestampQuery>,
    ContentBody(content): ContentBody,
) -> ApiResult<Json<Value>> {
    let event = Outgoing {
        origin_server_ts: query.of(&app, &requester)?,
        requester,
        room_id,
        event_type,
        txn_id: Some(txn_id),
        content,
    };
    event.send(&app).await
}

/// `POST …/send/{eventType}` of the protocol's first version: without a transaction id.
pub(crate) async fn send_without_txn(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_type)): Params<(OwnedRoomId, String)>,
    QueryParams(query): QueryParams<TimestampQuery>,
    ContentBody(content): ContentBody,
) -> ApiResult<Json<Value>> {
    let event = Outgoing {
        origin_server_ts: query.of(&app, &requester)?,
        requester,
        room_id,
        event_type,
        txn_id: None,
        content,
    };
    event.send(&app).await
}

/// An event that a client hands in.
struct Outgoing {
    requester: Requester,
    room_id: OwnedRoomId,
    event_type: String,
    txn_id: Option<String>,
    content: CanonicalJsonObject,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
}

impl Outgoing {
    async fn send(self, app: &App) -> ApiResult<Json<Value>> {
        app.limits
            .check_requester(RateCategory::Messages, &self.requester, app.now_ms())?;
        let txn = self.txn_id.map(|client_txn_id| ClientTxn {
            user_id: self.requester.user_id.to_string(),
            scope: self.requester.txn_scope(),
            room_id: self.room_id.to_string(),
            event_type: self.event_type.clone(),
            client_txn_id,
        });
        let event = NewEvent {
            sender: self.requester.user_id,
            event_type: self.event_type,
            state_key: None,
            content: self.content,
            redacts: None,
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
