//! `PUT /_matrix/client/v3/presence/{userId}/status`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    appservices::presence_changed,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
};

/// Longer status messages are refused, bytes.
const MAX_STATUS_BYTES: usize = 2048;

#[derive(Deserialize)]
pub(crate) struct Body {
    presence: String,
    status_msg: Option<String>,
}

/// Sets the user's presence. `invisible` is for application services: others see `offline`.
pub(crate) async fn set_presence(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(user_id): Params<OwnedUserId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    let by_appservice = requester.appservice.is_some();
    match body.presence.as_str() {
        "online" | "offline" | "unavailable" => {}
        "invisible" if by_appservice => {}
        "invisible" => {
            return Err(ApiError::forbidden(
                "Only application services can make their users invisible",
            ));
        }
        other => {
            return Err(ApiError::invalid_param(format!(
                "`presence` must be online, offline or unavailable, not `{other}`"
            )));
        }
    }
    if body.status_msg.as_deref().unwrap_or("").len() > MAX_STATUS_BYTES {
        return Err(ApiError::invalid_param(format!(
            "`status_msg` may be {MAX_STATUS_BYTES} bytes long"
        )));
    }
    if app.config.presence.enabled {
        let user = user_id.as_str();
        let changed = app.presence.set_explicitly(
            user,
            &body.presence,
            body.status_msg,
            by_appservice,
            app.now_ms(),
        );
        if let Some(state) = changed {
            presence_changed(&app, user, &state).await?;
        }
    }
    Ok(Json(json!({})))
}
