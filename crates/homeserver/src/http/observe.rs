//! What is noted of every request: its id in the log and in a 5xx answer, and its figures.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{app::App, metrics::InFlight, random::Random};

tokio::task_local! {
    /// The id of the request that this task answers.
    static REQUEST_ID: String;
}

/// The id of the request that is being answered; a new one outside of any.
pub(super) fn request_id() -> String {
    REQUEST_ID
        .try_with(Clone::clone)
        .unwrap_or_else(|_| Random::system().hex(8))
}

/// Surrounds every handler. Logged is the path alone: a query may hold tokens.
pub(super) async fn observe(
    State(app): State<Arc<App>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let route = route.as_ref().map(MatchedPath::as_str);
    let figures = InFlight::begin(&app.metrics, route, request.method());
    let id = app.random.hex(8);
    let span = tracing::info_span!("request", request.id = %id);
    let noted = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (request.method().clone(), head(request.uri().path())));
    let started = Instant::now();
    let response = REQUEST_ID
        .scope(id, next.run(request))
        .instrument(span.clone())
        .await;
    if let Some((method, path)) = noted {
        let status = response.status().as_u16();
        span.in_scope(|| access(&method, &path, status, started.elapsed()));
    }
    figures.answered(response.status());
    response
}

fn access(method: &http::Method, path: &str, status: u16, took: Duration) {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status, took_us, "answered");
}

/// Enough of a path to know it by.
fn head(path: &str) -> String {
    path.chars().take(256).collect()
}
