//! The one mapping from what went wrong to what a client is told.
//!
//! Clients never see the inner text of a server-side failure: they get a request id, which the
//! log line carries too.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bridgehead_room::Rejection;
use bridgehead_store as store;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::observe::request_id;
use crate::{appservices::RegistrarError, rooms::AppendError};

/// A Matrix error answer: status, errcode, readable text, and extra keys.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    errcode: &'static str,
    message: Cow<'static, str>,
    extra: Map<String, Value>,
}

/// What a handler answers.
pub(crate) type ApiResult<T = axum::Json<Value>> = Result<T, ApiError>;

/// Declares constructors: name, status, errcode.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $status:ident, $errcode:literal;)*) => {
        impl ApiError {
            $($(#[$doc])*
            pub(crate) fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                Self::new(StatusCode::$status, $errcode, message)
            })*
        }
    };
}

constructors! {
    /// The body is JSON but not what the endpoint takes.
    bad_json => BAD_REQUEST, "M_BAD_JSON";
    /// The body is not JSON.
    not_json => BAD_REQUEST, "M_NOT_JSON";
    /// A parameter has a value the endpoint does not take.
    invalid_param => BAD_REQUEST, "M_INVALID_PARAM";
    /// A needed parameter is missing.
    missing_param => BAD_REQUEST, "M_MISSING_PARAM";
    /// The requester may not do this.
    forbidden => FORBIDDEN, "M_FORBIDDEN";
    /// There is no such thing, or the requester may not know of it.
    not_found => NOT_FOUND, "M_NOT_FOUND";
    /// No such endpoint.
    unrecognized => NOT_FOUND, "M_UNRECOGNIZED";
    /// The endpoint does not take this method.
    method_not_allowed => METHOD_NOT_ALLOWED, "M_UNRECOGNIZED";
    /// The request has no access token.
    missing_token => UNAUTHORIZED, "M_MISSING_TOKEN";
    /// The access token is not (or no longer) valid.
    unknown_token => UNAUTHORIZED, "M_UNKNOWN_TOKEN";
    /// The name belongs to an application service's exclusive namespace, or is outside the
    /// asker's own. Operators see it as `APPSERVICE_NAMESPACE_CONFLICT`.
    exclusive => BAD_REQUEST, "M_EXCLUSIVE";
    /// The application service manages devices itself and gets no session (MSC4190).
    appservice_login_unsupported => BAD_REQUEST, "M_APPSERVICE_LOGIN_UNSUPPORTED";
    /// The user id is taken.
    user_in_use => BAD_REQUEST, "M_USER_IN_USE";
    /// The user id is not a legal one.
    invalid_username => BAD_REQUEST, "M_INVALID_USERNAME";
    /// The account is deactivated.
    user_deactivated => FORBIDDEN, "M_USER_DEACTIVATED";
    /// The device does not exist.
    unknown_device => BAD_REQUEST, "M_UNKNOWN_DEVICE";
    /// The alias is taken.
    room_in_use => BAD_REQUEST, "M_ROOM_IN_USE";
    /// The server does not make rooms of this version.
    unsupported_room_version => BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION";
    /// The alias in the event does not point at the room.
    bad_alias => BAD_REQUEST, "M_BAD_ALIAS";
    /// Something is larger than allowed.
    too_large => PAYLOAD_TOO_LARGE, "M_TOO_LARGE";
    /// Guests may not do this.
    guest_access_forbidden => FORBIDDEN, "M_GUEST_ACCESS_FORBIDDEN";
    /// Anything without a code of its own.
    unknown => BAD_REQUEST, "M_UNKNOWN";
    /// The password is too weak.
    weak_password => BAD_REQUEST, "M_WEAK_PASSWORD";
    /// The other side took too long.
    timeout => REQUEST_TIMEOUT, "M_UNKNOWN";
    /// A profile field's name is too long.
    key_too_large => BAD_REQUEST, "M_KEY_TOO_LARGE";
    /// The profile would become too large.
    profile_too_large => BAD_REQUEST, "M_PROFILE_TOO_LARGE";
    /// The media was announced but its bytes are not there yet.
    not_yet_uploaded => GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED";
    /// The media id already has its bytes.
    cannot_overwrite_media => CONFLICT, "M_CANNOT_OVERWRITE_MEDIA";
    /// What is asked for does not fit how things are; the text says what to do.
    conflict => CONFLICT, "M_CONFLICT";
    /// The server's disk is full.
    storage_full => INSUFFICIENT_STORAGE, "M_UNKNOWN";
}

impl ApiError {
    /// Any other combination; the constructors above are the usual ones.
    pub(crate) fn new(
        status: StatusCode,
        errcode: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            errcode,
            message: message.into(),
            extra: Map::new(),
        }
    }

    /// The requester is too fast.
    pub(crate) fn limit_exceeded(retry_after_ms: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "M_LIMIT_EXCEEDED",
            "Too many requests; wait",
        )
        .with("retry_after_ms", json!(retry_after_ms))
    }

    /// Adds a key to the answer.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.extra.insert(key.to_owned(), value);
        self
    }

    /// The same error with another status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer without a code: the first answer of user-interactive authentication is no
    /// error yet, and clients would show one.
    pub(crate) fn without_code(mut self) -> Self {
        self.errcode = "";
        self
    }

    /// The code, to decide on.
    pub(crate) fn errcode(&self) -> &'static str {
        self.errcode
    }

    /// The readable text.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// A failure of the server itself: logged here with `detail`, told without it.
    pub(crate) fn internal(detail: &dyn std::fmt::Display) -> Self {
        let request_id = request_id();
        tracing::error!(request.id = %request_id, error = %detail, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "M_UNKNOWN",
            format!("Internal server error; the server's log has it under request id {request_id}"),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry_after = self.extra.get("retry_after_ms").and_then(Value::as_u64);
        let mut body = self.extra;
        if !self.errcode.is_empty() {
            body.insert("errcode".to_owned(), json!(self.errcode));
            body.insert("error".to_owned(), json!(self.message));
        }
        let mut response = (self.status, axum::Json(Value::Object(body))).into_response();
        if let Some(ms) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        response
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable { reason } => {
                let request_id = request_id();
                tracing::error!(request.id = %request_id, %reason, "the store is unavailable");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "M_UNKNOWN",
                    format!(
                        "The server cannot store or read data now; try again later (request id {request_id})"
                    ),
                )
            }
            store::Error::Conflict { table } => {
                let request_id = request_id();
                tracing::warn!(request.id = %request_id, table, "two changes collided");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "M_UNKNOWN",
                    format!(
                        "Somebody else changed this at the same moment; try again (request id {request_id})"
                    ),
                )
            }
            // The store logs it once.
            store::Error::Full { reason } => {
                tracing::debug!(%reason, "a request found the disk full");
                Self::storage_full(
                    "The server's disk is full, nothing was stored; try again when its operator has made room",
                )
            }
            error @ (store::Error::Corrupt { .. }
            | store::Error::SchemaTooNew { .. }
            | store::Error::WrongServer { .. }) => Self::internal(&error),
        }
    }
}

impl From<RegistrarError> for ApiError {
    fn from(error: RegistrarError) -> Self {
        let message = error.to_string();
        match error {
            RegistrarError::NotFound(_) => Self::not_found(message),
            RegistrarError::Invalid(findings) => {
                Self::invalid_param(message).with("findings", json!(findings))
            }
            RegistrarError::Conflict { revision, .. } => {
                let answer = Self::conflict(message);
                match revision {
                    Some(revision) => answer.with("revision", json!(revision)),
                    None => answer,
                }
            }
            RegistrarError::NotWritable(_) => Self::conflict(message),
            RegistrarError::Namespaces(_) => Self::invalid_param(message),
            RegistrarError::Store(error) => error.into(),
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::RoomNotFound => Self::not_found("No such room"),
            AppendError::NotAllowed(message) => Self::forbidden(message),
            AppendError::NoSuchEvent => Self::not_found("No such event in this room"),
            AppendError::Rejected(rejection) => rejection.into(),
            AppendError::Answer(error) => *error,
            AppendError::Store(error) => error.into(),
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        rejection_answer(&rejection)
    }
}

fn rejection_answer(rejection: &Rejection) -> ApiError {
    let message = rejection.to_string();
    match rejection {
        Rejection::Forbidden { .. } => ApiError::forbidden(message),
        Rejection::TooLarge { .. } => ApiError::too_large(message),
        Rejection::BadJson { .. } => ApiError::bad_json(message),
        Rejection::UnsupportedVersion { .. } => ApiError::unsupported_room_version(message),
    }
}
