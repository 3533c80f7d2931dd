//! `POST /_matrix/client/v1/appservice/{appserviceId}/ping`

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    appservices::{Call, CallError},
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    transaction_id: Option<String>,
}

/// Pings the service and answers how long it took. Any success also ends a delivery backoff.
pub(crate) async fn request_ping(
    requester: Requester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let service = requester
        .appservice
        .filter(|service| service.registration.id == id)
        .ok_or_else(|| {
            ApiError::forbidden("Only the application service itself can ask for its ping")
        })?;
    // It speaks, so it is on line again.
    service.come_online(&app, "ping").await;
    let payload = match body.transaction_id {
        Some(id) => json!({ "transaction_id": id }),
        None => json!({}),
    };
    let call = Call {
        method: Method::POST,
        path: "/ping",
        legacy_path: None,
        query: &[],
        body: Some(payload.to_string().into()),
    };
    let started = Instant::now();
    let within = app.config.appservices.request_timeout;
    let answer = service.ping(&call, within, app.now_ms()).await;
    let answer = answer.ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "M_URL_NOT_SET",
            "The registration has no url to ping, and no websocket is open",
        )
    })?;
    match answer {
        Ok(answer) if answer.status.is_success() => {
            service.sign_of_life();
            // Rounded up: there are frameworks that take a 0 for a failure.
            let duration_ms =
                u64::try_from(started.elapsed().as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            Ok(Json(json!({ "duration_ms": duration_ms })))
        }
        Ok(answer) => Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            "M_BAD_STATUS",
            format!(
                "The application service answered {}",
                answer.status.as_u16()
            ),
        )
        .with("status", json!(answer.status.as_u16()))
        .with("body", json!(answer.head()))),
        Err(CallError::Timeout(_)) => Err(ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "M_CONNECTION_TIMEOUT",
            "The application service did not answer in time",
        )),
        Err(error @ (CallError::Connect(_) | CallError::Broken(_))) => Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            "M_CONNECTION_FAILED",
            error.to_string(),
        )),
    }
}
