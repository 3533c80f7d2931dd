//! `PUT …/transactions/{txnId}` and `POST …/ping`.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::answer::Refusal;
use crate::{core::Core, metrics::catalogue::TRANSACTIONS, trace::Trace};

/// Transaction ids are the homeserver's; one longer than this is a mistake.
const MAX_TXN_ID: usize = 1024;

pub(super) async fn put(
    State(core): State<Arc<Core>>,
    Path(txn_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let trace = Trace::of_request(&headers, &*core.surroundings.randomness);
    let span = tracing::info_span!(
        "transaction",
        service = %core.name,
        txn.id = txn_id,
        trace.id = trace.id(),
    );
    let taken = take(&core, &txn_id, body).instrument(span);
    Trace::around(Some(trace), taken).await?;
    Ok(Json(json!({})))
}

async fn take(core: &Core, txn_id: &str, body: Body) -> Result<(), Refusal> {
    let body = read(core, txn_id, body)
        .await
        .inspect_err(|_| core.metrics.count(&TRANSACTIONS, &["refused"], 1))?;
    let is_new = core.inbox.take(txn_id, &body, core.now_ms()).await?;
    tracing::debug!(is_new, bytes = body.len(), "taken");
    Ok(())
}

async fn read(core: &Core, txn_id: &str, body: Body) -> Result<Bytes, Refusal> {
    if txn_id.len() > MAX_TXN_ID {
        let error = "the transaction's id is longer than 1024 bytes";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "M_INVALID_PARAM",
            error,
        ));
    }
    let limit = core.limits.max_body_bytes;
    to_bytes(body, limit).await.map_err(|_| {
        let error = format!("the transaction is larger than {limit} bytes, or broke off");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", error)
    })
}

pub(super) async fn ping() -> Json<Value> {
    Json(json!({}))
}
