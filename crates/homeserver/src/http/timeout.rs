//! No request takes for ever: `limits.request_timeout_ms`, and more where waiting is the point.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{client::appservice::get_next_transaction, error::ApiError, media::MAX_WAIT};
use crate::{app::App, config::Config};

/// What all steps of looking for a service's trouble take together at most.
const LONGEST_CHECKUP: Duration = Duration::from_secs(60);

/// Ends a request that has taken too long. What it wanted to store may be stored all the same:
/// a client repeats it with the same transaction id.
pub(super) async fn request_timeout(
    State(app): State<Arc<App>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let Some(longer) = longer(path, &app.config) else {
        return next.run(request).await;
    };
    let limit = app.config.limits.request_timeout + longer;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout("The request took too long; try again").into_response(),
    }
}

/// What a path may take on top; `None` where the handler watches over its own time.
fn longer(path: &str, config: &Config) -> Option<Duration> {
    if path.contains("/media/") {
        return if path.contains("/upload") {
            // Large files over thin lines: `media/upload.rs` asks for progress instead.
            None
        } else {
            Some(MAX_WAIT)
        };
    }
    match path.rsplit('/').next() {
        Some("sync" | "events") => Some(config.limits.sync_timeout_max),
        // Step by step, each with its own limit.
        Some("doctor") => Some(LONGEST_CHECKUP),
        // An application service's poll.
        Some("next") => Some(get_next_transaction::MAX_WAIT),
        // The answer tells how the application service took it, be it with a timeout.
        Some("ping") => Some(config.appservices.request_timeout),
        _ => Some(Duration::ZERO),
    }
}
