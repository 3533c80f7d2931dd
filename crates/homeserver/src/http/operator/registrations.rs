//! Registrations at run time: `POST appservices`, `DELETE appservices/{id}`,
//! `GET` and `PUT appservices/{id}/registration`, `POST appservices/{id}/rotate`.
//!
//! What they do is in `appservices/registrar`.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use bridgehead_admin_api::{
    AddRegistration, ApiErrorBody, Purge, Registered, RegistrationText, RemovalReport,
    ReplaceRegistration, RotateRequest, Rotated,
};
use http::StatusCode;

use super::{auth::OperatorRequester, body::ObjectBody};
use crate::{
    app::App,
    appservices::{By, How, Replacement},
    http::{
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    operators::checked_reason,
};

/// How long old tokens are good beside new ones, where nothing else is said.
const DEFAULT_OVERLAP_MS: u64 = 3600 * 1000;

fn by(requester: &OperatorRequester, reason: Option<String>) -> Result<By, ApiError> {
    Ok(By {
        who: requester.operator.name.clone(),
        reason: checked_reason(reason)?,
    })
}

/// Register a service.
///
/// It is in force at once. The text is kept sealed in the server's database; what the linter says
/// of it is in the answer, and does not keep it from being registered.
#[utoipa::path(
    post, path = "/appservices", tag = "registrations", request_body = AddRegistration,
    responses(
        (status = 200, body = Registered, description = "A dry run."),
        (status = 201, body = Registered),
        (status = 400, body = ApiErrorBody, description = "No registration; `findings` says why."),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "A service has the id already."),
    ),
)]
pub(super) async fn add(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    ObjectBody(body): ObjectBody<AddRegistration>,
) -> ApiResult<(StatusCode, Json<Registered>)> {
    let by = by(&requester, body.reason)?;
    let made = app
        .registrar
        .add(&app, &body.yaml, body.dry_run, &by)
        .await?;
    let status = if body.dry_run {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(made)))
}

/// Remove a service.
///
/// With `purge`, what it has left behind goes too; while that takes long, the same request tells
/// how far it has come.
#[utoipa::path(
    delete, path = "/appservices/{id}", tag = "registrations",
    params(("id" = String, Path, description = "The service's id."), Purge),
    responses(
        (status = 200, body = RemovalReport),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "The registration is a file; remove that."),
    ),
)]
pub(super) async fn remove(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    QueryParams(query): QueryParams<Purge>,
) -> ApiResult<Json<RemovalReport>> {
    let by = by(&requester, query.reason)?;
    let how = How {
        purge: query.purge,
        dry_run: query.dry_run,
    };
    let report = app.registrar.remove(&app, &id, how, &by).await?;
    Ok(Json(report))
}

/// A registration as it is in force.
///
/// Tokens read `***`.
#[utoipa::path(
    get, path = "/appservices/{id}/registration", tag = "registrations",
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = RegistrationText),
        (status = 401, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
    ),
)]
pub(super) async fn text(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
) -> ApiResult<Json<RegistrationText>> {
    Ok(Json(app.registrar.text(&id)?))
}

/// Change a registration.
///
/// Names the revision that the change is based on, so that nobody's change is overwritten unseen.
/// A token that reads `***` stays as it is.
#[utoipa::path(
    put, path = "/appservices/{id}/registration", tag = "registrations",
    request_body = ReplaceRegistration,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Registered),
        (status = 400, body = ApiErrorBody, description = "No registration; `findings` says why."),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "Another revision is in force (`revision`), or the registration is a file."),
    ),
)]
pub(super) async fn replace(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<ReplaceRegistration>,
) -> ApiResult<Json<Registered>> {
    let by = by(&requester, body.reason)?;
    let replacement = Replacement {
        yaml: &body.yaml,
        revision: body.revision,
        dry_run: body.dry_run,
    };
    let changed = app.registrar.replace(&app, &id, replacement, &by).await?;
    Ok(Json(changed))
}

/// Give a service new tokens.
///
/// They are shown this once. The old ones are good for the overlap too, at most 30 days.
#[utoipa::path(
    post, path = "/appservices/{id}/rotate", tag = "registrations", request_body = RotateRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Rotated),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "The registration's file cannot be written."),
    ),
)]
pub(super) async fn rotate(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<RotateRequest>,
) -> ApiResult<Json<Rotated>> {
    let by = by(&requester, body.reason)?;
    let overlap = Duration::from_millis(body.overlap_ms.unwrap_or(DEFAULT_OVERLAP_MS));
    let rotated = app.registrar.rotate(&app, &id, overlap, &by).await?;
    Ok(Json(rotated))
}
