//! `PUT …/transactions/{txnId}` and `POST …/ping`.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::answer::Refusal;
use crate::core::Core;

/// Transaction ids are the homeserver's; one longer than this is a mistake.
const MAX_TXN_ID: usize = 1024;

pub(super) async fn put(
    State(core): State<Arc<Core>>,
    Path(txn_id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    if txn_id.len() > MAX_TXN_ID {
        let error = "the transaction's id is longer than 1024 bytes";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "M_INVALID_PARAM",
            error,
        ));
    }
    let limit = core.limits.max_body_bytes;
    let body = to_bytes(body, limit).await.map_err(|_| {
        let error = format!("the transaction is larger than {limit} bytes, or broke off");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", error)
    })?;
    let is_new = core.inbox.take(&txn_id, &body, core.now_ms()).await?;
    tracing::debug!(service = %core.name, txn.id = txn_id, is_new, bytes = body.len(), "transaction");
    Ok(Json(json!({})))
}

pub(super) async fn ping() -> Json<Value> {
    Json(json!({}))
}
