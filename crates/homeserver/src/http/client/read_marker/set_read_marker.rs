//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    rooms::{NewReceipt, ReceiptKind, set_receipts},
};

/// Other keys (bridges for Beeper send `com.beeper.…`) are ignored.
#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(rename = "m.fully_read")]
    fully_read: Option<String>,
    #[serde(rename = "m.read")]
    read: Option<String>,
    #[serde(rename = "m.read.private")]
    read_private: Option<String>,
}

/// Sets the marker and receipts at once.
pub(crate) async fn set_read_marker(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let receipts = [
        (ReceiptKind::FullyRead, body.fully_read),
        (ReceiptKind::Read, body.read),
        (ReceiptKind::ReadPrivate, body.read_private),
    ]
    .into_iter()
    .filter_map(|(kind, event_id)| {
        Some(NewReceipt {
            kind,
            event_id: event_id?,
            thread_id: None,
        })
    })
    .collect();
    set_receipts(&app, requester.user_id, room_id, receipts).await?;
    Ok(Json(json!({})))
}
