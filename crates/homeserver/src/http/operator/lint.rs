//! `POST lint`: what is doubtful about registrations.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, LintReport, LintRequest};

use super::{auth::AnyOperator, body::ObjectBody};
use crate::{app::App, http::error::ApiResult};

/// See what is doubtful about a registration.
///
/// Of a text, beside those in force; without one, of all in force. Nothing changes, so the role
/// `read` is enough.
#[utoipa::path(
    post, path = "/lint", tag = "registrations", request_body = LintRequest,
    responses(
        (status = 200, body = LintReport),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
    ),
)]
pub(super) async fn lint(
    _operator: AnyOperator,
    State(app): State<Arc<App>>,
    ObjectBody(body): ObjectBody<LintRequest>,
) -> ApiResult<Json<LintReport>> {
    let report = app.registrar.lint(&app, body.yaml.as_deref()).await?;
    Ok(Json(report))
}
