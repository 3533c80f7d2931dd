//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    rooms::{NewReceipt, ReceiptKind, set_receipts},
};

/// The user has read up to an event.
pub(crate) async fn create_receipt(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, receipt_type, event_id)): Params<(OwnedRoomId, String, String)>,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let kind = ReceiptKind::from_name(&receipt_type).ok_or_else(|| {
        ApiError::invalid_param("The receipt type is one of m.read, m.read.private, m.fully_read")
    })?;
    let receipt = NewReceipt {
        kind,
        event_id,
        thread_id: thread_id(&body, kind)?,
    };
    set_receipts(&app, requester.user_id, room_id, vec![receipt]).await?;
    Ok(Json(json!({})))
}

fn thread_id(body: &Value, kind: ReceiptKind) -> Result<Option<String>, ApiError> {
    match body.get("thread_id") {
        None | Some(Value::Null) => Ok(None),
        Some(_) if kind == ReceiptKind::FullyRead => Err(ApiError::invalid_param(
            "m.fully_read is for the whole room; leave out `thread_id`",
        )),
        Some(Value::String(thread_id)) if !thread_id.is_empty() => Ok(Some(thread_id.clone())),
        Some(_) => Err(ApiError::invalid_param(
            "`thread_id` must be a non-empty string",
        )),
    }
}
