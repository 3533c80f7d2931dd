//! `POST /_matrix/client/v3/logout/all`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    users::devices,
};

/// Ends all the user's sessions.
pub(crate) async fn logout_all(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Value>> {
    devices::delete_all(&app, &requester.user_id, None).await?;
    Ok(Json(json!({})))
}
