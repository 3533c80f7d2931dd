//! Services as operators see them: the delivery's figures, and where the registration stands.

use std::sync::Arc;

use bridgehead_admin_api::{Service, Source};
use bridgehead_store::Orders;

use crate::{
    app::App,
    appservices::{Appservice, describe, describe_ordered},
    http::error::ApiError,
};

/// The service with this id.
///
/// # Errors
/// 404 when none is registered.
pub(crate) fn find(app: &App, id: &str) -> Result<Arc<Appservice>, ApiError> {
    let registry = app.registry();
    let found = registry
        .services()
        .iter()
        .find(|service| service.registration.id == id);
    found
        .cloned()
        .ok_or_else(|| ApiError::not_found(format!("No application service `{id}` is registered")))
}

/// A service as it is now.
pub(crate) fn view(app: &App, service: &Appservice) -> Service {
    registered(app, describe(service, app.now_ms()))
}

/// The same right after an order.
pub(super) fn view_ordered(app: &App, service: &Appservice, orders: &Orders) -> Service {
    registered(app, describe_ordered(service, orders, app.now_ms()))
}

fn registered(app: &App, service: Service) -> Service {
    let revision = app.registrar.revision(&service.id);
    let source = app
        .registrar
        .source(&service.id)
        .map(|source| match source {
            Source::File { path } => path,
            Source::Api => "api".to_owned(),
        });
    Service {
        revision: revision.unwrap_or(service.revision),
        source: source.unwrap_or_else(|| service.source.clone()),
        ..service
    }
}
