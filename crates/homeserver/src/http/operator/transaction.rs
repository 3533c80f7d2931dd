//! `GET appservices/{id}/transaction` and `GET appservices/{id}/skips`: transactions laid open.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, Skip, SkipList, TransactionEvent, TransactionView};
use bridgehead_store::SkipRow;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::auth::OperatorRequester;
use crate::{
    app::App,
    http::{
        error::{ApiError, ApiResult},
        extract::Params,
    },
    operators::find,
};

/// Skips that are listed.
const MAX_SKIPS: usize = 200;

/// The transaction in flight, laid open.
#[utoipa::path(
    get, path = "/appservices/{id}/transaction", tag = "appservices",
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = TransactionView),
        (status = 401, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody, description = "No such service, or nothing in flight."),
    ),
)]
pub(super) async fn show(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
) -> ApiResult<Json<TransactionView>> {
    let service = find(&app, &id)?;
    let nid = service.nid;
    let frozen = app
        .store
        .read(move |s| s.frozen_transaction(nid))
        .await?
        .ok_or_else(|| ApiError::not_found(format!("`{id}` has no transaction in flight")))?;
    let figures = service.delivery.status.figures();
    let is_current = figures
        .orders
        .frozen
        .is_some_and(|current| current.txn_id == frozen.txn_id);
    let body = serde_json::from_slice(&frozen.body).map_err(|e| ApiError::internal(&e))?;
    Ok(Json(TransactionView {
        transaction_id: frozen.txn_id.to_string(),
        upto: frozen.upto.0,
        created_at_ms: frozen.created_at,
        failed_attempts: if is_current {
            figures.failed_attempts
        } else {
            0
        },
        bytes: frozen.body.len() as u64,
        events: events(&frozen.body),
        body,
    }))
}

/// Transactions that were skipped.
///
/// The newest 200.
#[utoipa::path(
    get, path = "/appservices/{id}/skips", tag = "appservices",
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = SkipList),
        (status = 401, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
    ),
)]
pub(super) async fn skips(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
) -> ApiResult<Json<SkipList>> {
    let nid = find(&app, &id)?.nid;
    let rows = app.store.read(move |s| s.skips(nid, MAX_SKIPS)).await?;
    let skips = rows.into_iter().map(skip).collect();
    Ok(Json(SkipList { skips }))
}

fn skip(row: SkipRow) -> Skip {
    Skip {
        skip_id: u64::try_from(row.skip_id).unwrap_or(0),
        transaction_id: row.txn_id.to_string(),
        from: row.from.0,
        upto: row.upto.0,
        events: events(&row.body),
        by: row.by,
        at_ms: row.at_ms,
        reason: row.reason,
        answer: row.answer,
        replayed_at_ms: row.replayed_at,
    }
}

/// The room events of a transaction's body.
fn events(body: &[u8]) -> Vec<TransactionEvent> {
    #[derive(Deserialize, Default)]
    struct Body<'a> {
        #[serde(borrow, default)]
        events: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Event {
        event_id: String,
        r#type: String,
        room_id: String,
        sender: String,
    }
    let body: Body<'_> = serde_json::from_slice(body).unwrap_or_default();
    body.events
        .iter()
        .filter_map(|raw| {
            let event: Event = serde_json::from_str(raw.get()).ok()?;
            Some(TransactionEvent {
                event_id: event.event_id,
                event_type: event.r#type,
                room_id: event.room_id,
                sender: event.sender,
                bytes: raw.get().len() as u64,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn events_are_listed_without_their_content() {
        let body = br#"{"events":[{"event_id":"$a","type":"m.t","room_id":"!r","sender":"@s:x","content":{"secret":1}},{"odd":true}],"ephemeral":[{}]}"#;
        let events = super::events(body);
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].event_id.as_str(), events[0].bytes), ("$a", 84));
        assert!(super::events(b"[]").is_empty());
    }
}
