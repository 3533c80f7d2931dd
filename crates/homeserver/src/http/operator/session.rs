//! `GET`, `POST` and `DELETE session`: logging a browser in and out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    response::{AppendHeaders, IntoResponse},
};
use bridgehead_admin_api::{ApiErrorBody, Session, SessionRequest};
use http::{HeaderMap, StatusCode, header, request::Parts};

use super::{
    auth::{AnyOperator, COOKIE},
    body::ObjectBody,
};
use crate::{
    app::App,
    http::{
        address::ClientAddress,
        error::{ApiError, ApiResult},
    },
    operators::{Operator, Operators, SESSION_LIFETIME_MS, csrf_token},
    secret::Secret,
};

/// A form of another site can send any body to us, but not call it JSON without asking us first.
pub(super) struct DeclaredJson;

impl<S: Sync> FromRequestParts<S> for DeclaredJson {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let declared = parts.headers.get(header::CONTENT_TYPE);
        let kind = declared.and_then(|kind| kind.to_str().ok()?.split(';').next());
        if kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            Ok(Self)
        } else {
            Err(ApiError::not_json(
                "The login needs the header Content-Type: application/json",
            ))
        }
    }
}

/// Who one is.
///
/// With a session's cookie, the answer has the session's CSRF token.
#[utoipa::path(
    get, path = "/session", tag = "session",
    responses((status = 200, body = Session), (status = 401, body = ApiErrorBody)),
)]
pub(super) async fn get(AnyOperator(requester): AnyOperator) -> Json<Session> {
    Json(view(requester.operator, requester.csrf_token.as_ref()))
}

/// Log in with a browser.
///
/// Sets the session's cookie, which is good for 12 hours. The body's content type must be
/// `application/json`. Failed attempts are limited, for each address and together.
#[utoipa::path(
    post, path = "/session", tag = "session", request_body = SessionRequest, security(()),
    responses(
        (status = 200, body = Session),
        (status = 400, body = ApiErrorBody),
        (status = 403, body = ApiErrorBody, description = "No operator's token."),
        (status = 429, body = ApiErrorBody, description = "Too many failed attempts; wait."),
    ),
)]
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    headers: HeaderMap,
    _json: DeclaredJson,
    ObjectBody(body): ObjectBody<SessionRequest>,
) -> ApiResult<impl IntoResponse> {
    let token = Secret::new(body.token);
    let logged_in = Operators::log_in(&app, &token, address).await?;
    let cookie = cookie(
        logged_in.session_id.expose(),
        SESSION_LIFETIME_MS / 1000,
        is_secure(&app, &headers),
    );
    let csrf = csrf_token(&logged_in.session_id);
    Ok((
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Json(view(logged_in.operator, Some(&csrf))),
    ))
}

/// Log out.
///
/// Ends the session of the request's cookie. A token is not ended by this.
#[utoipa::path(
    delete, path = "/session", tag = "session",
    responses((status = 204), (status = 401, body = ApiErrorBody), (status = 403, body = ApiErrorBody)),
)]
pub(super) async fn end(
    AnyOperator(requester): AnyOperator,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    app.operators.log_out(&requester.credential);
    let cookie = cookie("", 0, is_secure(&app, &headers));
    (
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    )
}

fn view(operator: Operator, csrf_token: Option<&Secret>) -> Session {
    Session {
        name: operator.name,
        role: operator.role,
        csrf_token: csrf_token.map(|token| token.expose().to_owned()),
    }
}

fn cookie(id: &str, max_age_s: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!(
        "{COOKIE}={id}; Path=/_bridgehead; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"
    )
}

/// Whether the browser came by TLS, to us or to the proxy before us.
fn is_secure(app: &App, headers: &HeaderMap) -> bool {
    app.config.tls.files().is_some()
        || headers
            .get("x-forwarded-proto")
            .is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}
