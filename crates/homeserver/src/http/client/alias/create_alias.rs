//! `PUT /_matrix/client/v3/directory/room/{roomAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::{OwnedRoomAliasId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    rooms::{AliasChange, AppendError},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    room_id: OwnedRoomId,
}

/// Makes an alias. People must be in the room; an application service need not, inside its
/// namespaces.
pub(crate) async fn create_alias(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(alias): Params<OwnedRoomAliasId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let change = AliasChange::new(&app, &requester, alias);
    change.check(&app)?;
    let room_id = body.room_id;
    let view = app
        .store
        .room_view(room_id.as_str())
        .await?
        .ok_or_else(|| ApiError::not_found("No such room"))?;
    if requester.appservice.is_none()
        && view.membership(&requester.user_id) != Some(Membership::Join)
    {
        return Err(ApiError::forbidden("Only members can name a room"));
    }
    app.queries.forget_refusal(change.alias.as_str());
    let made: Result<(), AppendError> =
        app.store.write(move |tx| change.insert(tx, &room_id)).await;
    match made {
        Ok(()) => Ok(Json(json!({}))),
        // This endpoint's own status for a taken alias.
        Err(AppendError::Answer(error)) => Err(ApiError::new(
            http::StatusCode::CONFLICT,
            "M_UNKNOWN",
            error.message().to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}
