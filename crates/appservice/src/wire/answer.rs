//! Answers to the homeserver: status, errcode and a sentence.

use axum::{
    Json,
    extract::{Path, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::inbox::TakeError;

/// A no to the homeserver.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) errcode: &'static str,
    pub(crate) error: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, errcode: &'static str, error: impl Into<String>) -> Self {
        Self {
            status,
            errcode,
            error: error.into(),
        }
    }

    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", error)
    }

    /// Something failed inside; what it was stands in the log.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "M_UNKNOWN",
            "the service failed to answer; its log says why",
        )
    }
}

/// A part of the path, its escapes resolved.
pub(super) fn segment(part: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    part.map(|Path(part)| part).map_err(|error| {
        let error = format!("a part of the path cannot be read: {error}");
        Refusal::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", error)
    })
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "errcode": self.errcode, "error": self.error }));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

impl From<TakeError> for Refusal {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::NotJson(_) => {
                Self::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", error.to_string())
            }
            TakeError::BadJson(_) => {
                Self::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", error.to_string())
            }
            TakeError::TooMany(_) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "M_TOO_LARGE",
                error.to_string(),
            ),
            TakeError::Full(_) | TakeError::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "M_LIMIT_EXCEEDED",
                error.to_string(),
            ),
            TakeError::Store(error) => {
                tracing::error!(%error, "a transaction cannot be stored");
                Self::internal()
            }
        }
    }
}

pub(super) async fn unknown() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "M_UNRECOGNIZED",
        "there is nothing here",
    )
}

pub(super) async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "M_UNRECOGNIZED",
        "this can be asked, but not with this method",
    )
}
