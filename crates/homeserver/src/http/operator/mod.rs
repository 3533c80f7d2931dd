//! The operator API, below [`BASE`]: what the command line, the dashboard and scripts speak.
//!
//! Every handler takes an [`auth::OperatorRequester`] (or says in its extractor why it needs
//! less), parses, calls a domain module and formats. The types are those of `bridgehead-admin-api`;
//! `openapi` describes the whole, and a test compares it with the list of routes below.

mod appservices;
mod audit;
mod auth;
mod body;
pub(super) mod dashboard;
mod doctor;
mod events;
mod history;
mod lint;
mod openapi;
mod operators;
mod registrations;
mod session;
#[cfg(test)]
mod tests;
mod transaction;
mod verbs;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn},
    response::Response,
    routing::{MethodRouter, delete, get, post, put},
};
use bridgehead_admin_api::BASE;
use http::{HeaderName, HeaderValue, Method, header};

use super::error::ApiError;
use crate::app::App;

/// The largest body: a registration is far smaller.
const MAX_BODY_BYTES: usize = 2 << 20;

/// A method, a path below [`BASE`], and what answers there.
type Route = (Method, &'static str, MethodRouter<Arc<App>>);

/// Everything there is, as a list, so that tests can hold it against the documentation.
fn routes() -> Vec<Route> {
    let mut routes = services();
    routes.extend(verbs());
    routes.extend(registrations());
    routes.extend(people());
    routes
}

/// Application services, to look at.
fn services() -> Vec<Route> {
    use appservices::{list, show};
    vec![
        (Method::GET, "/appservices", get(list)),
        (Method::GET, "/appservices/{id}", get(show)),
        (
            Method::GET,
            "/appservices/{id}/transaction",
            get(transaction::show),
        ),
        (
            Method::GET,
            "/appservices/{id}/skips",
            get(transaction::skips),
        ),
        (Method::GET, "/appservices/{id}/history", get(history::show)),
        (
            Method::POST,
            "/appservices/{id}/doctor",
            post(doctor::examine_service),
        ),
    ]
}

/// What a person may order about a service's delivery.
fn verbs() -> Vec<Route> {
    use verbs::{drain, fail, pause, policy, replay, resume, retry, skip};
    vec![
        (Method::POST, "/appservices/{id}/pause", post(pause)),
        (Method::POST, "/appservices/{id}/resume", post(resume)),
        (Method::POST, "/appservices/{id}/retry", post(retry)),
        (Method::POST, "/appservices/{id}/fail", post(fail)),
        (Method::POST, "/appservices/{id}/drain", post(drain)),
        (Method::POST, "/appservices/{id}/skip", post(skip)),
        (Method::POST, "/appservices/{id}/replay", post(replay)),
        (Method::PUT, "/appservices/{id}/policy", put(policy)),
    ]
}

/// Registrations at run time.
fn registrations() -> Vec<Route> {
    use registrations::{add, remove, replace, rotate, text};
    vec![
        (Method::POST, "/appservices", post(add)),
        (Method::DELETE, "/appservices/{id}", delete(remove)),
        (Method::GET, "/appservices/{id}/registration", get(text)),
        (Method::PUT, "/appservices/{id}/registration", put(replace)),
        (Method::POST, "/appservices/{id}/rotate", post(rotate)),
        (Method::POST, "/lint", post(lint::lint)),
    ]
}

/// Operators, their sessions, what they did, what happens.
fn people() -> Vec<Route> {
    vec![
        (Method::GET, "/operators", get(operators::list)),
        (Method::POST, "/operators", post(operators::add)),
        (
            Method::DELETE,
            "/operators/{name}",
            delete(operators::remove),
        ),
        (Method::GET, "/session", get(session::get)),
        (Method::POST, "/session", post(session::begin)),
        (Method::DELETE, "/session", delete(session::end)),
        (Method::GET, "/audit", get(audit::list)),
        (Method::GET, "/events", get(events::stream)),
        (Method::GET, "/openapi.json", get(openapi::document)),
    ]
}

/// The routes, at their full paths.
pub(super) fn router() -> Router<Arc<App>> {
    let mut router = Router::new();
    for (_, path, answers) in routes() {
        router = router.route(&format!("{BASE}{path}"), answers);
    }
    router
        .route(
            &format!("{BASE}/{{*rest}}"),
            axum::routing::any(no_endpoint),
        )
        .method_not_allowed_fallback(|| async {
            ApiError::method_not_allowed("This endpoint does not take that method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(guard))
}

async fn no_endpoint() -> ApiError {
    ApiError::unrecognized("No such endpoint of the operator API")
}

/// Answers are for whoever asked, at that moment.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
