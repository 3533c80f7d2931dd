//! The verbs: `POST appservices/{id}/pause` and the others, `PUT appservices/{id}/policy`.
//!
//! What each of them does, and when it is refused, is in `operators/steer.rs`.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{
    ApiErrorBody, PauseRequest, PolicyRequest, ReasonRequest, ReplayRequest, Service, SkipRequest,
};

use super::{auth::OperatorRequester, body::ObjectBody};
use crate::{
    app::App,
    http::{error::ApiResult, extract::Params},
    operators::Steering,
};

/// Pause a service.
///
/// Nothing is sent to it until it is resumed, or until the time given. What is for it waits. A
/// transaction that is on its way may still arrive. A drain ends.
#[utoipa::path(
    post, path = "/appservices/{id}/pause", tag = "appservices", request_body = PauseRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
    ),
)]
pub(super) async fn pause(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<PauseRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.pause(body).await.map(Json)
}

/// Resume a service.
///
/// Ends an operator's pause, or a drain. A service that has gone off line by itself comes back by
/// itself.
#[utoipa::path(
    post, path = "/appservices/{id}/resume", tag = "appservices", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "Neither paused by an operator nor draining."),
    ),
)]
pub(super) async fn resume(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<ReasonRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.resume(body).await.map(Json)
}

/// Try again now.
///
/// Ends the wait before the next attempt. A service that was given up is brought back.
#[utoipa::path(
    post, path = "/appservices/{id}/retry", tag = "appservices", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "Paused, or no attempt has failed."),
    ),
)]
pub(super) async fn retry(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<ReasonRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.retry(body).await.map(Json)
}

/// Give a service up.
///
/// Nothing is tried any more until a person brings it back with `retry`. What is for it waits.
#[utoipa::path(
    post, path = "/appservices/{id}/fail", tag = "appservices", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "No attempt has failed, or it was given up already."),
    ),
)]
pub(super) async fn fail(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<ReasonRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.fail(body).await.map(Json)
}

/// Deliver what is there now, then pause.
///
/// What is committed later waits. `drain` of the answer shows how far it has come; the pause at
/// its end has the reason `drained`.
#[utoipa::path(
    post, path = "/appservices/{id}/drain", tag = "appservices", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "Paused, or given up."),
    ),
)]
pub(super) async fn drain(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<ReasonRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.drain(body).await.map(Json)
}

/// Skip the transaction in flight.
///
/// What is in it is kept, and can be replayed.
#[utoipa::path(
    post, path = "/appservices/{id}/skip", tag = "appservices", request_body = SkipRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "Another transaction is in flight, or none."),
    ),
)]
pub(super) async fn skip(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<SkipRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.skip(body).await.map(Json)
}

/// Send again what was sent or skipped before.
///
/// Before anything newer, in the old order, under new transaction ids. A service that remembers
/// event ids takes no harm.
#[utoipa::path(
    post, path = "/appservices/{id}/replay", tag = "appservices", request_body = ReplayRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "Nothing lies there, or too many replays wait."),
    ),
)]
pub(super) async fn replay(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<ReplayRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.replay(body).await.map(Json)
}

/// Say what the server may do by itself about a stuck event.
#[utoipa::path(
    put, path = "/appservices/{id}/policy", tag = "appservices", request_body = PolicyRequest,
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
    ),
)]
pub(super) async fn policy(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    ObjectBody(body): ObjectBody<PolicyRequest>,
) -> ApiResult<Json<Service>> {
    let steering = Steering::of(&app, &requester.operator, &id)?;
    steering.set_policy(body).await.map(Json)
}
