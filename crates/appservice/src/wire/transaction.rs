//! `PUT …/transactions/{txnId}`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::answer::{Refusal, segment};
use crate::{core::Core, inbox::TakeError, metrics::catalogue::TRANSACTIONS, trace::Trace};

/// Transaction ids are the homeserver's; one longer than this is a mistake.
const MAX_TXN_ID: usize = 1024;

/// How long a transaction's body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) async fn put(
    State(core): State<Arc<Core>>,
    txn_id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let txn_id = segment(txn_id)?;
    let taken = receive(&core, txn_id.clone(), &headers, body);
    traced(&core, &txn_id, &headers, taken).await?;
    Ok(Json(json!({})))
}

/// Does this in a transaction's own span, as a part of the trace that the homeserver names, or of a new one.
pub(super) async fn traced<F: Future>(
    core: &Core,
    txn_id: &str,
    headers: &HeaderMap,
    taking: F,
) -> F::Output {
    let trace = Trace::of_request(headers, &*core.surroundings.randomness);
    let span = tracing::info_span!(
        "transaction",
        service = %core.name,
        txn.id = txn_id,
        trace.id = trace.id(),
    );
    Trace::around(Some(trace), taking.instrument(span)).await
}

async fn receive(
    core: &Arc<Core>,
    txn_id: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Refusal> {
    let body = read(core, &txn_id, headers, body)
        .await
        .inspect_err(|_| core.metrics.count(&TRANSACTIONS, &["refused"], 1))?;
    let bytes = body.len();
    let is_new = take(core, txn_id, body).await?;
    tracing::debug!(is_new, bytes, "taken");
    Ok(())
}

async fn read(
    core: &Core,
    txn_id: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Refusal> {
    if txn_id.len() > MAX_TXN_ID {
        let error = "the transaction's id is longer than 1024 bytes";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "M_INVALID_PARAM",
            error,
        ));
    }
    whole(headers, body, core.limits.max_body_bytes).await
}

/// Takes a transaction to the end, even if nobody waits for the answer any more: what is on disk must be queued as
/// well, for its repetition will be known and change nothing.
pub(super) async fn take(core: &Arc<Core>, txn_id: String, body: Bytes) -> Result<bool, TakeError> {
    if *core.stop.borrow() {
        // Nobody would handle it before the next start, and that one may have begun already.
        return Err(TakeError::Stopping);
    }
    let core = core.clone();
    let taking = async move { core.inbox.take(&txn_id, &body, core.now_ms()).await };
    let taking = tokio::spawn(Trace::around(Trace::current(), taking).in_current_span());
    match taking.await {
        Ok(taken) => taken,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being ended, and the answer reaches nobody.
            Err(_) => Err(TakeError::Stopping),
        },
    }
}

/// A request's whole body of at most `limit` bytes.
async fn whole(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let error = format!("the transaction is larger than {limit} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", error)
    };
    let told = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > limit) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await;
    let read = read.map_err(|_| {
        let error = "the transaction did not come within two minutes";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "M_UNKNOWN", error)
    })?;
    read.map_err(|error| {
        if is_limit(&error) {
            too_large()
        } else {
            let error = "the transaction broke off";
            Refusal::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", error)
        }
    })
}

fn is_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}
