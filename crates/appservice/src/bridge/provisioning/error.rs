//! What the provisioning API answers when it says no.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{Error, bridge::puppets::PuppetError, store::StoreError};

/// A no to who asks: an HTTP status, a code as in the client-server API, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProvisionError {
    status: StatusCode,
    errcode: String,
    message: String,
    retry_after: Option<Duration>,
}

impl ProvisionError {
    /// Any no. `errcode` is such as `M_FORBIDDEN`, or one of the author's own.
    #[must_use]
    pub fn new(status: StatusCode, errcode: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            errcode: errcode.to_owned(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// What was asked makes no sense (400, `M_BAD_JSON`).
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", message)
    }

    /// It is not allowed (403, `M_FORBIDDEN`).
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", message)
    }

    /// There is no such thing (404, `M_NOT_FOUND`).
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", message)
    }

    /// It is there already, or in another state than it would have to be (409, `M_CONFLICT`).
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "M_CONFLICT", message)
    }

    /// Somebody who is needed for it does not answer (502, `M_UNKNOWN`).
    #[must_use]
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", message)
    }

    pub(super) fn too_often(wait: Duration) -> Self {
        let message = format!("too often: try again in {} s", wait.as_secs() + 1);
        Self {
            retry_after: Some(wait),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", message)
        }
    }

    pub(super) fn missing_token() -> Self {
        let message =
            "the header Authorization is missing: log in, and send `Bearer` and the token";
        Self::new(StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN", message)
    }

    pub(super) fn unknown_token(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", message)
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ProvisionError {
    fn into_response(self) -> Response {
        let mut body = json!({ "errcode": self.errcode, "error": self.message });
        if let Some(wait) = self.retry_after {
            body["retry_after_ms"] = json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<StoreError> for ProvisionError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request of the provisioning API failed");
        let message = "the service failed to answer; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", message)
    }
}

/// The homeserver's no is handed on; that it does not answer is told as such.
impl From<Error> for ProvisionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Refused {
                status,
                errcode,
                message,
                ..
            } if (400..500).contains(&status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                // A 401 would say that the caller's session has ended.
                let status = match status {
                    StatusCode::UNAUTHORIZED => StatusCode::BAD_GATEWAY,
                    status => status,
                };
                Self::new(status, &errcode, format!("the homeserver says: {message}"))
            }
            Error::Forbidden(message) => Self::forbidden(message),
            Error::InvalidId(error) => Self::new(
                StatusCode::BAD_REQUEST,
                "M_INVALID_PARAM",
                error.to_string(),
            ),
            Error::Unsupported(message) => {
                Self::new(StatusCode::BAD_REQUEST, "M_UNRECOGNIZED", message)
            }
            error => Self::bad_gateway(error.to_string()),
        }
    }
}

impl From<PuppetError> for ProvisionError {
    fn from(error: PuppetError) -> Self {
        match error {
            PuppetError::Homeserver(error) => error.into(),
            PuppetError::BadToken | PuppetError::NotTheirs(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "M_INVALID_PARAM",
                error.to_string(),
            ),
            PuppetError::Own(_) | PuppetError::NotAllowed(_) | PuppetError::Full(_) => {
                Self::forbidden(error.to_string())
            }
        }
    }
}
