//! `GET /_matrix/client/v3/thirdparty/user?userid=` and `…/location?alias=`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{RoomAliasId, UserId};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    app::App,
    appservices::Lookup,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::QueryParams,
    },
};

#[derive(Deserialize)]
pub(crate) struct UserQuery {
    userid: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct LocationQuery {
    alias: Option<String>,
}

/// Who a Matrix user is on the other network.
pub(crate) async fn get_user_for_user_id(
    State(app): State<Arc<App>>,
    _requester: Requester,
    QueryParams(query): QueryParams<UserQuery>,
) -> ApiResult<Json<Vec<Value>>> {
    let text = query
        .userid
        .ok_or_else(|| ApiError::missing_param("`userid` is missing"))?;
    let user_id = <&UserId>::try_from(&*text)
        .map_err(|_| ApiError::invalid_param("`userid` is not a user id"))?;
    Ok(Json(Lookup::by_user(&app, user_id).await))
}

/// What an alias is on the other network.
pub(crate) async fn get_location_for_room_alias(
    State(app): State<Arc<App>>,
    _requester: Requester,
    QueryParams(query): QueryParams<LocationQuery>,
) -> ApiResult<Json<Vec<Value>>> {
    let text = query
        .alias
        .ok_or_else(|| ApiError::missing_param("`alias` is missing"))?;
    let alias = <&RoomAliasId>::try_from(&*text)
        .map_err(|_| ApiError::invalid_param("`alias` is not a room alias"))?;
    Ok(Json(Lookup::by_alias(&app, alias).await))
}
