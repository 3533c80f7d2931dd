//! `GET /_matrix/client/unstable/fi.mau.as_sync`

use std::sync::Arc;

use axum::{
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
};
use http::{StatusCode, request::Parts};

use crate::{
    app::App,
    appservices::{MAX_INCOMING_FRAME, serve_websocket},
    http::{
        auth::{AppserviceToken, hash, needs_service, token_of},
        error::ApiError,
    },
};

/// Opens the websocket over which a service takes its transactions.
pub(crate) async fn open_websocket(
    State(app): State<Arc<App>>,
    AppserviceToken(service, token_given): AppserviceToken,
    parts: Parts,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let service = service.ok_or_else(|| needs_service(token_given))?;
    let token_hash = token_of(&parts)
        .map(|token| hash(&token))
        .unwrap_or_default();
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "M_UNKNOWN",
            format!("This is a websocket: {}", rejection.body_text()),
        )
    })?;
    Ok(upgrade
        .max_message_size(MAX_INCOMING_FRAME)
        .max_frame_size(MAX_INCOMING_FRAME)
        .on_upgrade(move |socket| serve_websocket(app, service, token_hash, socket)))
}
