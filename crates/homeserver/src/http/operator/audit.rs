//! `GET audit`: who did what, when and why.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, AuditEntry, AuditPage};
use bridgehead_store::AuditRow;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::OperatorRequester;
use crate::{
    app::App,
    http::{error::ApiResult, extract::QueryParams},
};

/// Entries on a page, where nothing else is asked for.
const DEFAULT_LIMIT: usize = 50;
/// And at most.
const MAX_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Entries on the page, 1 to 500; 50 without it.
    limit: Option<usize>,
    /// Only entries before this one: `next` of the page before.
    before: Option<u64>,
    /// Only what was done to this service.
    service_id: Option<String>,
}

/// Who did what.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Query),
    responses(
        (status = 200, body = AuditPage),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
    ),
)]
pub(super) async fn list(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<AuditPage>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut rows = app
        .store
        // One more than asked for tells whether there is a next page.
        .read(move |s| s.audit_page(query.before, query.service_id.as_deref(), limit + 1))
        .await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|last| last.audit_id);
    let entries = rows.into_iter().map(entry).collect();
    Ok(Json(AuditPage { entries, next }))
}

fn entry(row: AuditRow) -> AuditEntry {
    AuditEntry {
        audit_id: row.audit_id,
        at_ms: row.at_ms,
        who: row.who,
        action: row.action,
        service_id: row.service_id,
        reason: row.reason,
        detail: row.detail,
    }
}
