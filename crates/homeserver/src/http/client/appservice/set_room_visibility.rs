//! `PUT` and `DELETE /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::{AppserviceToken, needs_service},
        client::directory::set_room_visibility::Body,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    rooms::directory::{Visibility, network_key, set_visibility},
};

/// Puts a room into the list of one of the service's networks, or takes it out.
pub(crate) async fn set_room_visibility(
    State(app): State<Arc<App>>,
    service: AppserviceToken,
    Params((network_id, room_id)): Params<(String, OwnedRoomId)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    set(&app, service, &network_id, &room_id, body.visibility).await
}

/// Takes a room out of the list.
pub(crate) async fn delete_room_visibility(
    State(app): State<Arc<App>>,
    service: AppserviceToken,
    Params((network_id, room_id)): Params<(String, OwnedRoomId)>,
) -> ApiResult<Json<Value>> {
    set(&app, service, &network_id, &room_id, Visibility::Private).await
}

async fn set(
    app: &App,
    AppserviceToken(service, token_given): AppserviceToken,
    network_id: &str,
    room_id: &OwnedRoomId,
    visibility: Visibility,
) -> ApiResult<Json<Value>> {
    let service = service.ok_or_else(|| {
        if token_given {
            ApiError::forbidden("Only an application service may list rooms of its networks")
        } else {
            needs_service(token_given)
        }
    })?;
    if app.store.room_view(room_id.as_str()).await?.is_none() {
        return Err(ApiError::not_found("No such room"));
    }
    let network = network_key(&service.registration.id, network_id);
    set_visibility(app, network, room_id.as_str(), visibility).await?;
    Ok(Json(json!({})))
}
