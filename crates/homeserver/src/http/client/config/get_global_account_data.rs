//! `GET /_matrix/client/v3/user/{userId}/account_data/{type}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::Value;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::account_data,
};

/// A piece of the requester's account data.
pub(crate) async fn get_global_account_data(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, kind)): Params<(OwnedUserId, String)>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::get(&app, &user_id, None, &kind)
        .await
        .map(Json)
}
