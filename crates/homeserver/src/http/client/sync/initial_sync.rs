//! `GET /_matrix/client/v3/initialSync`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::QueryParams},
    sync::{
        Reader,
        initial::{self, InitialSync},
    },
};

/// Messages of each room when the client does not say.
pub(super) const DEFAULT_LIMIT: usize = 10;

/// The query.
#[derive(Deserialize)]
pub(crate) struct InitialSyncQuery {
    limit: Option<usize>,
    archived: Option<bool>,
}

/// All of the requester's rooms, and where `/events` goes on.
pub(crate) async fn initial_sync(
    State(app): State<Arc<App>>,
    requester: Requester,
    QueryParams(query): QueryParams<InitialSyncQuery>,
) -> ApiResult<Json<InitialSync>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let archived = query.archived.unwrap_or(false);
    let answer = initial::all_rooms(&app, Reader::legacy(requester), limit, archived).await?;
    Ok(Json(answer))
}
