//! `GET /metrics`: what Prometheus reads, with a token of its own or an operator's.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};

use super::{
    auth::header_token,
    error::{ApiError, ApiResult},
};
use crate::{app::App, metrics, operators::Credential, secret::Secret};

/// The text format's type, with the version that Prometheus asks for.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Somebody who may see the figures.
pub(super) struct Reader;

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let config = &app.config.metrics;
        if config.open {
            return Ok(Self);
        }
        let token = header_token(parts).map(Secret::new).ok_or_else(|| {
            ApiError::missing_token(
                "Metrics need a token: metrics.token of the configuration, or an operator's",
            )
        })?;
        if config.token.as_ref() == Some(&token) {
            return Ok(Self);
        }
        if Credential::token(token.expose())
            .operator(app)
            .await?
            .is_some()
        {
            return Ok(Self);
        }
        Err(ApiError::unknown_token(
            "The token is neither metrics.token of the configuration nor an operator's",
        ))
    }
}

/// All metrics, as they are now.
pub(super) async fn get_metrics(_: Reader, State(app): State<Arc<App>>) -> ApiResult<Response> {
    if !app.config.metrics.enabled {
        return Err(ApiError::unrecognized("Metrics are switched off"));
    }
    let page = metrics::scrape(&app);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response())
}
