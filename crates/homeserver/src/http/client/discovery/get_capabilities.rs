//! `GET /_matrix/client/v3/capabilities`

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
};

/// Versions that rooms can be made in (`rooms.default_version` takes the same).
const ROOM_VERSIONS: &[&str] = &["6", "7", "8", "9", "10", "11", "12"];

/// What users can and cannot do here.
pub(crate) async fn get_capabilities(
    _requester: Requester,
    State(app): State<Arc<App>>,
) -> ApiResult<Json<Value>> {
    let available: BTreeMap<_, _> = ROOM_VERSIONS.iter().map(|v| (v, "stable")).collect();
    Ok(Json(json!({
        "capabilities": {
            "m.room_versions": {
                "default": app.config.rooms.default_version,
                "available": available,
            },
            "m.change_password": { "enabled": true },
            "m.set_displayname": { "enabled": true },
            "m.set_avatar_url": { "enabled": true },
            "m.profile_fields": { "enabled": true },
            "m.3pid_changes": { "enabled": false },
            "m.get_login_token": { "enabled": false },
        },
    })))
}
