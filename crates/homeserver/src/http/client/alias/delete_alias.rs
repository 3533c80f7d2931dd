//! `DELETE /_matrix/client/v3/directory/room/{roomAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomAliasId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    rooms::{AliasChange, resolve},
};

/// Deletes an alias: its maker, the service that owns it, or whoever may name the room.
pub(crate) async fn delete_alias(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(alias): Params<OwnedRoomAliasId>,
) -> ApiResult<Json<Value>> {
    let change = AliasChange::new(&app, &requester, alias);
    change.check(&app)?;
    let row = resolve(&app, &change.alias)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("Room alias {} not found", change.alias)))?;
    let view = app.store.room_view(&row.room_id).await?;
    if !change.may_delete(&row, view.as_deref()) {
        return Err(ApiError::forbidden("You may not delete this alias"));
    }
    let alias = change.alias.to_string();
    app.store
        .write(move |tx| tx.delete_alias(&alias).map(|_| ()))
        .await
        .map_err(|error: bridgehead_store::Error| ApiError::from(error))?;
    Ok(Json(json!({})))
}
