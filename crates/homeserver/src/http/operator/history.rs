//! `GET appservices/{id}/history`: how a service's delivery went.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, History, Span};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::OperatorRequester;
use crate::{
    app::App,
    http::{
        error::ApiResult,
        extract::{Params, QueryParams},
    },
    operators::find,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The last hour in steps of 30 seconds (without it), or the last day in steps of 10 minutes.
    span: Option<Span>,
}

/// How a service's delivery went.
///
/// From the server's start on. The last sample is of the step that goes on.
#[utoipa::path(
    get, path = "/appservices/{id}/history", tag = "appservices",
    params(("id" = String, Path, description = "The service's id."), Query),
    responses(
        (status = 200, body = History),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
    ),
)]
pub(super) async fn show(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<History>> {
    let service = find(&app, &id)?;
    let span = query.span.unwrap_or(Span::Hour);
    let figures = service.delivery.status.figures();
    let history = app.histories.of(service.nid, span, &figures, app.now_ms());
    Ok(Json(history))
}
