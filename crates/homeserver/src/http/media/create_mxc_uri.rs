//! `POST /_matrix/media/v1/create`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    media::create_id,
};

/// An id to upload to later.
pub(crate) async fn create_mxc_uri(
    requester: Requester,
    State(app): State<Arc<App>>,
) -> ApiResult<Json<Value>> {
    let (media_id, expires_at) = create_id(&app, &requester).await?;
    Ok(Json(json!({
        "content_uri": format!("mxc://{}/{media_id}", app.server_name),
        "unused_expires_at": expires_at,
    })))
}
