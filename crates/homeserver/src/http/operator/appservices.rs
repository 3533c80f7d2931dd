//! `GET appservices` and `GET appservices/{id}`.

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_admin_api::{ApiErrorBody, Service, ServiceList};

use super::auth::OperatorRequester;
use crate::{
    app::App,
    http::{error::ApiResult, extract::Params},
    operators::{find, view},
};

/// All services.
#[utoipa::path(
    get, path = "/appservices", tag = "appservices",
    responses((status = 200, body = ServiceList), (status = 401, body = ApiErrorBody)),
)]
pub(super) async fn list(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
) -> Json<ServiceList> {
    let registry = app.registry();
    let services = registry.services().iter();
    Json(ServiceList {
        server_name: app.server_name.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        position: app.store.position().borrow().0,
        services: services.map(|service| view(&app, service)).collect(),
    })
}

/// A service, as it is now.
#[utoipa::path(
    get, path = "/appservices/{id}", tag = "appservices",
    params(("id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, body = Service),
        (status = 401, body = ApiErrorBody),
        (status = 404, body = ApiErrorBody),
    ),
)]
pub(super) async fn show(
    _requester: OperatorRequester,
    State(app): State<Arc<App>>,
    Params(id): Params<String>,
) -> ApiResult<Json<Service>> {
    let service = find(&app, &id)?;
    Ok(Json(view(&app, &service)))
}
