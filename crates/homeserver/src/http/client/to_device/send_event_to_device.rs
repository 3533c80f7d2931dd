//! `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    users::to_device::{self, Messages},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    messages: Messages,
}

/// Leaves messages in the inboxes of devices. The same transaction id again sends nothing.
pub(crate) async fn send_event_to_device(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((event_type, txn_id)): Params<(String, String)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    to_device::send(&app, &requester, event_type, txn_id, body.messages).await?;
    Ok(Json(json!({})))
}
