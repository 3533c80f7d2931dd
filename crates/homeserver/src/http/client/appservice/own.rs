//! What the endpoints of a service's own delivery share.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

use crate::{
    app::App,
    appservices::Appservice,
    http::{
        auth::{AppserviceToken, needs_service},
        error::ApiError,
        extract::Params,
    },
};

/// The service that calls, which is the one in the path. Looked at before the body is.
pub(crate) struct Own(pub(super) Arc<Appservice>);

impl FromRequestParts<Arc<App>> for Own {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = AppserviceToken::from_request_parts(parts, app).await?;
        let Params(id) = Params::<String>::from_request_parts(parts, app).await?;
        own(token, &id).map(Self)
    }
}

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
