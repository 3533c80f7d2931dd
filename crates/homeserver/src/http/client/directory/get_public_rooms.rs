//! `GET` and `POST /_matrix/client/v3/publicRooms`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, QueryParams},
    },
    rooms::directory::{DirectoryRequest, public_rooms},
};

#[derive(Deserialize)]
pub(crate) struct Query {
    limit: Option<u64>,
    since: Option<String>,
    server: Option<String>,
    #[serde(default)]
    include_all_networks: bool,
    third_party_instance_id: Option<String>,
}

/// The directory without a search.
pub(crate) async fn get_public_rooms(
    State(app): State<Arc<App>>,
    _requester: Requester,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    check_server(&app, query.server.as_deref())?;
    let request = DirectoryRequest {
        limit: query.limit,
        since: query.since,
        include_all_networks: query.include_all_networks,
        third_party_instance_id: query.third_party_instance_id,
        ..DirectoryRequest::default()
    };
    Ok(Json(public_rooms(&app, &request).await?))
}

/// The directory with a search.
pub(crate) async fn get_public_rooms_filtered(
    State(app): State<Arc<App>>,
    _requester: Requester,
    QueryParams(query): QueryParams<Query>,
    JsonBody(request): JsonBody<DirectoryRequest>,
) -> ApiResult<Json<Value>> {
    check_server(&app, query.server.as_deref())?;
    Ok(Json(public_rooms(&app, &request).await?))
}

fn check_server(app: &App, server: Option<&str>) -> Result<(), ApiError> {
    match server {
        Some(server) if server != app.server_name.as_str() => Err(ApiError::not_found(format!(
            "This server does not federate, so it knows nothing of the rooms of {server}"
        ))),
        _ => Ok(()),
    }
}
