//! `GET` and `POST operators`, `DELETE operators/{name}`.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, NewOperator, NewOperatorToken, OperatorList};
use http::StatusCode;

use super::{auth::OperatorRequester, body::ObjectBody};
use crate::{
    app::App,
    http::{error::ApiResult, extract::Params},
    operators,
};

/// All operators.
#[utoipa::path(
    get, path = "/operators", tag = "operators",
    responses((status = 200, body = OperatorList), (status = 401, body = ApiErrorBody)),
)]
pub(super) async fn list(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
) -> ApiResult<Json<OperatorList>> {
    let operators = operators::list(&app).await?;
    Ok(Json(OperatorList { operators }))
}

/// Make an operator.
///
/// The answer has the token, which is shown this once only.
#[utoipa::path(
    post, path = "/operators", tag = "operators", request_body = NewOperator,
    responses(
        (status = 201, body = NewOperatorToken),
        (status = 400, body = ApiErrorBody),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "The name is taken."),
    ),
)]
pub(super) async fn add(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    ObjectBody(body): ObjectBody<NewOperator>,
) -> ApiResult<(StatusCode, Json<NewOperatorToken>)> {
    let made = operators::add(&app, &requester.operator, body.name, body.role).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Remove an operator.
///
/// The token, its sessions and its event streams end at once.
#[utoipa::path(
    delete, path = "/operators/{name}", tag = "operators",
    params(("name" = String, Path, description = "The operator's name.")),
    responses(
        (status = 204),
        (status = 401, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
        (status = 409, body = ApiErrorBody, description = "The operator `local` stays."),
    ),
)]
pub(super) async fn remove(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(name): Params<String>,
) -> ApiResult<StatusCode> {
    operators::remove(&app, &requester.operator, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
