//! What the endpoints of a service's own delivery share.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    appservices::Appservice,
    http::{
        auth::{AppserviceToken, needs_service},
        error::ApiError,
    },
};

/// The service with this id, which must be the one that calls.
pub(super) fn own(
    AppserviceToken(service, token_given): AppserviceToken,
    id: &str,
) -> Result<Arc<Appservice>, ApiError> {
    let service = service.ok_or_else(|| needs_service(token_given))?;
    if service.registration.id == id {
        Ok(service)
    } else {
        Err(ApiError::forbidden(
            "An application service sees and steers its own delivery only",
        ))
    }
}

/// 409: somebody else of the same service takes its transactions.
pub(super) fn taken(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "M_UNKNOWN", message)
}
