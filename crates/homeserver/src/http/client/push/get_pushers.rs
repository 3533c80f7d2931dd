//! `GET /_matrix/client/v3/pushers`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    users::pushers,
};

/// The requester's pushers. They are kept for clients; this server calls no push gateway.
pub(crate) async fn get_pushers(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Value>> {
    let pushers = pushers::list(&app, &requester.user_id).await?;
    Ok(Json(json!({ "pushers": pushers })))
}
