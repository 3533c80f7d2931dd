//! `GET /_matrix/client/v3/sync`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use serde::Deserialize;

use crate::{
    app::App,
    appservices::presence_changed,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::QueryParams,
    },
    sync::{Reader, SyncRequest, SyncResponse, filter, sync},
};

/// The query.
#[derive(Deserialize)]
pub(crate) struct SyncQuery {
    filter: Option<String>,
    since: Option<String>,
    full_state: Option<bool>,
    set_presence: Option<String>,
    timeout: Option<u64>,
}

/// Everything that is new to the requester, as soon as there is something.
pub(crate) async fn sync_events(
    State(app): State<Arc<App>>,
    requester: Requester,
    QueryParams(query): QueryParams<SyncQuery>,
) -> ApiResult<Json<SyncResponse>> {
    let since = query
        .since
        .filter(|since| !since.is_empty())
        .map(|since| since.parse())
        .transpose()?;
    let filter = filter::load(&app, &requester.user_id, query.filter.as_deref()).await?;
    set_presence(&app, &requester, query.set_presence.as_deref()).await?;
    let request = SyncRequest {
        reader: Reader {
            user_id: requester.user_id,
            device_id: requester.device_id,
            filter: Arc::new(filter),
            legacy: false,
        },
        since,
        full_state: query.full_state.unwrap_or(false),
        timeout: Duration::from_millis(query.timeout.unwrap_or(0))
            .min(app.config.limits.sync_timeout_max),
    };
    Ok(Json(sync(&app, request).await?))
}

/// Who syncs is online, unless they say otherwise. An application service's users are as present
/// as the service says by other means.
async fn set_presence(
    app: &App,
    requester: &Requester,
    presence: Option<&str>,
) -> Result<(), ApiError> {
    let presence = match presence {
        None | Some("online") => "online",
        Some("unavailable") => "unavailable",
        Some("offline") => return Ok(()),
        Some(other) => {
            return Err(ApiError::invalid_param(format!(
                "set_presence is `{other}`; it must be online, offline or unavailable"
            )));
        }
    };
    if !app.config.presence.enabled || requester.appservice.is_some() {
        return Ok(());
    }
    let user_id = requester.user_id.as_str();
    let changed = app.presence.set_by_sync(user_id, presence, app.now_ms());
    if let Some(state) = changed {
        presence_changed(app, user_id, &state).await?;
    }
    Ok(())
}
