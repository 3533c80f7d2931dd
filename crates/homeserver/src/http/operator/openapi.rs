//! `GET openapi.json`: the operator API described, from the code itself.

use axum::Json;
use bridgehead_admin_api::{ApiErrorBody, BASE};
use utoipa::{
    OpenApi,
    openapi::{
        OpenApi as Document, SecurityRequirement, Server,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::auth::{AnyOperator, COOKIE};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bridgehead operator API",
        description = "See and steer the application services of a Bridgehead homeserver. Times are milliseconds since the Unix epoch (`_at_ms`) or durations (`_ms`). A field that does not apply is absent; keys that a reader does not know are to be ignored. A request has an operator's token (`Authorization: Bearer`), or the cookie of a session and, if it changes something, the session's `X-CSRF-Token`. The role `read` may look, the role `act` may do everything.",
    ),
    paths(
        super::appservices::list,
        super::appservices::show,
        super::transaction::show,
        super::transaction::skips,
        super::history::show,
        super::doctor::examine_service,
        super::verbs::pause,
        super::verbs::resume,
        super::verbs::retry,
        super::verbs::fail,
        super::verbs::drain,
        super::verbs::skip,
        super::verbs::replay,
        super::verbs::policy,
        super::registrations::add,
        super::registrations::remove,
        super::registrations::text,
        super::registrations::replace,
        super::registrations::rotate,
        super::lint::lint,
        super::operators::list,
        super::operators::add,
        super::operators::remove,
        super::session::get,
        super::session::begin,
        super::session::end,
        super::audit::list,
        super::events::stream,
        document,
    ),
    tags(
        (name = "appservices", description = "Application services: how their delivery stands, and the verbs."),
        (name = "registrations", description = "Registrations at run time."),
        (name = "audit", description = "Who did what."),
        (name = "events", description = "What happens, as it happens."),
        (name = "operators", description = "Who may use this API."),
        (name = "session", description = "Sessions of browsers."),
    ),
)]
struct Described;

/// The description.
pub(super) fn description() -> Document {
    let mut document = Described::openapi();
    document.servers = Some(vec![Server::new(BASE)]);
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE))),
    );
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::new("token", none),
        SecurityRequirement::new("session", none),
    ]);
    document
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "session",
    responses((status = 200, description = "An OpenAPI 3.1 document."), (status = 401, body = ApiErrorBody)),
)]
pub(super) async fn document(_operator: AnyOperator) -> Json<Document> {
    Json(description())
}
