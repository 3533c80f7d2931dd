//! `PUT /_matrix/client/unstable/org.bridgehead.appservice/{appserviceId}/state`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::own::Own;
use crate::{
    app::App,
    http::{
        error::{ApiError, ApiResult},
        extract::JsonBody,
    },
};

/// Characters of a reason.
const MAX_REASON: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Online,
    Offline,
}

#[derive(Deserialize)]
pub(crate) struct Body {
    state: Wanted,
    reason: Option<String>,
    until_ms: Option<i64>,
}

/// The service goes off line, or comes back.
pub(crate) async fn set_state(
    State(app): State<Arc<App>>,
    Own(service): Own,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    match body.state {
        Wanted::Online => service.go_online(&app, "request").await?,
        Wanted::Offline => {
            if body.until_ms.is_some_and(|until| until <= app.now_ms()) {
                return Err(ApiError::invalid_param(
                    "until_ms is over already; it is in milliseconds since 1970",
                ));
            }
            let reason = body
                .reason
                .map(|reason| reason.chars().take(MAX_REASON).collect());
            service.go_offline(&app, reason, body.until_ms).await?;
        }
    }
    Ok(Json(json!({})))
}
