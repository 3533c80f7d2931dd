//! `GET /_matrix/client/unstable/org.bridgehead.appservice/{appserviceId}/status`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::Service;
use serde::Serialize;

use super::own::own;
use crate::{
    app::App,
    appservices::{Reported, describe},
    http::{auth::AppserviceToken, error::ApiResult, extract::Params},
};

/// A service's delivery as operators see it, and what it has reported of itself.
#[derive(Serialize)]
pub(crate) struct Status {
    #[serde(flatten)]
    service: Service,
    reported: Reported,
}

/// Answers how the service's delivery stands.
pub(crate) async fn get_status(
    State(app): State<Arc<App>>,
    token: AppserviceToken,
    Params(id): Params<String>,
) -> ApiResult<Json<Status>> {
    let service = own(token, &id)?;
    Ok(Json(Status {
        service: describe(&service, app.now_ms()),
        reported: service.delivery.reports.reported(),
    }))
}
