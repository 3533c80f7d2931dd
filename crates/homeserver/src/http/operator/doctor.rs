//! `POST appservices/{id}/doctor`: what keeps a service from being reached.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, DoctorReport};

use super::auth::OperatorRequester;
use crate::{
    app::App,
    appservices::examine,
    http::{
        error::{ApiError, ApiResult},
        extract::Params,
    },
    operators::find,
};

/// Find out what keeps a service from being reached.
///
/// Step by step: `dns`, `tcp`, `tls`, `path`, `token`, `ping`, `round_trip`, each within 5 seconds
/// (the round trip within 10). What depends on a failed step is skipped, and each failure has its
/// cure. The service is asked for `/ping` with its token and with a wrong one, and is sent an
/// empty transaction in its usual order: nothing is made and no event is told.
#[utoipa::path(
    post, path = "/appservices/{id}/doctor", tag = "appservices",
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = DoctorReport),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 429, body = ApiErrorBody, description = "Others are being examined; wait."),
    ),
)]
pub(super) async fn examine_service(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
) -> ApiResult<Json<DoctorReport>> {
    let service = find(&app, &id)?;
    let _place = app
        .operators
        .examinations
        .try_acquire()
        .map_err(|_| ApiError::limit_exceeded(2_000))?;
    Ok(Json(examine(&app, &service).await))
}
