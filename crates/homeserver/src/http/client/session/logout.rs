//! `POST /_matrix/client/v3/logout`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    users::devices,
};

/// Ends the session: its device goes with all that belongs to it.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Value>> {
    let device_id = requester.device()?.to_owned();
    devices::delete(&app, &requester.user_id, vec![device_id]).await?;
    Ok(Json(json!({})))
}
