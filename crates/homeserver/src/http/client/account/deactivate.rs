//! `POST /_matrix/client/v3/account/deactivate`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::{
        accounts,
        uia::{self, AuthData},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    erase: bool,
    auth: Option<AuthData>,
}

/// Closes the account for good. People confirm with their password.
pub(crate) async fn deactivate(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    uia::confirm(&app, &requester, "deactivate", body.auth.as_ref()).await?;
    accounts::deactivate(&app, &requester.user_id, body.erase).await?;
    // Nothing is ever bound to an identity server here.
    Ok(Json(json!({ "id_server_unbind_result": "no-support" })))
}
