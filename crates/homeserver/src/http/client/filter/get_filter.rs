//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::value::RawValue;

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    rooms::format::raw,
    sync::filter,
};

/// A stored filter, as it was uploaded.
pub(crate) async fn get_filter(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, filter_id)): Params<(OwnedUserId, String)>,
) -> ApiResult<Json<Box<RawValue>>> {
    requester.must_be(&user_id)?;
    let text = filter::stored(&app, &user_id, &filter_id)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("{user_id} has no filter `{filter_id}`")))?;
    Ok(Json(raw(text)))
}
