//! What a supervisor asks a running service: is it alive, is it ready, what are its figures.
//!
//! The pages stand before the author's own routes, which therefore cannot break them. They say nothing secret; the
//! figures, and the author's own pages for operators, need a token, or an address of their own.

use std::sync::{Arc, Weak};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use bridgehead_registration::Secret;
use serde_json::json;
use tower::ServiceExt as _;

use super::current::Kits;
use crate::{Health, Running, core::Core, metrics::CONTENT_TYPE};

/// What the pages are made from. Held weakly: a page does not keep an ended service alive.
#[derive(Clone)]
struct Source {
    core: Weak<Core>,
    keys: Arc<dyn Kits>,
}

/// Puts the pages before the service's routes.
pub(super) fn add(running: &mut Running, keys: &Arc<dyn Kits>) {
    let source = Source {
        core: Arc::downgrade(&running.core),
        keys: keys.clone(),
    };
    let (mut pages, mut figures_path) = (Router::new(), String::new());
    keys.read(&mut |keys| {
        pages = Router::new()
            .route(&keys.health.live_path, get(live))
            .route(&keys.health.ready_path, get(ready));
        figures_path.clone_from(&keys.metrics.path);
    });
    let operators = running.operator_pages();
    running.wrap_router(|inner| {
        let guard = Guard {
            keys: source.keys.clone(),
            inner: inner.clone(),
        };
        let guarded = middleware::from_fn_with_state(guard, guarded);
        let operators = match operators.has_routes() {
            true => operators.route_layer(guarded.clone()),
            false => operators,
        };
        let operators = operators.fallback_service(inner);
        let figures = any(figures).layer(guarded);
        pages
            .route(&figures_path, figures)
            .with_state(source)
            .fallback_service(operators)
    });
}

/// The pages for an address of their own, where figures need no token.
pub(super) fn alone(running: &Running, keys: &Arc<dyn Kits>) -> Router {
    let source = Source {
        core: Arc::downgrade(&running.core),
        keys: keys.clone(),
    };
    let mut pages = Router::new();
    keys.read(&mut |keys| {
        pages = Router::new()
            .route(&keys.health.live_path, get(live))
            .route(&keys.health.ready_path, get(ready))
            .route(&keys.metrics.path, get(figures));
    });
    pages
        .with_state(source)
        .fallback_service(running.operator_pages())
}

async fn live() -> &'static str {
    "alive\n"
}

async fn ready(State(source): State<Source>) -> Response {
    let Some(core) = source.core.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let health = core.health().await;
    let mut max_age_ms = 0;
    source.keys.read(&mut |keys| {
        max_age_ms = i64::try_from(keys.health.max_age.get().as_millis()).unwrap_or(i64::MAX);
    });
    let problems = problems(&health, core.now_ms(), max_age_ms);
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body =
        json!({ "ready": problems.is_empty(), "problems": problems, "inbox": health.inbox });
    if let Some(warning) = &health.unreached {
        body["warnings"] = json!([warning]);
    }
    (status, Json(body)).into_response()
}

/// Why the service is not ready.
fn problems(health: &Health, now_ms: i64, max_age_ms: i64) -> Vec<String> {
    let mut problems = Vec::new();
    if !health.started {
        problems
            .push("the service has not begun its work: its log says what it waits for".to_owned());
    }
    problems.extend(health.database.clone());
    problems.extend(health.homeserver.clone());
    problems.extend(health.way_back.clone());
    if let Some(since) = health.oldest_ms
        && now_ms.saturating_sub(since) > max_age_ms
    {
        let seconds = now_ms.saturating_sub(since) / 1000;
        problems.push(format!("an event has been waiting for {seconds} seconds"));
    }
    problems
}

/// Pages that a token opens, which a reload may give or take.
#[derive(Clone)]
struct Guard {
    keys: Arc<dyn Kits>,
    /// Without a token there are no such pages, and the paths are the author's.
    inner: Router,
}

async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut token: Option<Secret> = None;
    guard
        .keys
        .read(&mut |keys| token = keys.metrics.token.get().cloned());
    let Some(token) = token.filter(|_| matches!(*request.method(), Method::GET | Method::HEAD))
    else {
        let answered = guard.inner.oneshot(request).await;
        return answered.unwrap_or_else(|never| match never {});
    };
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match shown {
        Some(shown) if token.matches(shown) => next.run(request).await,
        _ => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            "show the token of metrics.token in the header Authorization\n",
        )
            .into_response(),
    }
}

async fn figures(State(source): State<Source>) -> Response {
    let Some(core) = source.core.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if let Err(error) = core.read_figures().await {
        // Those that are known in memory are good all the same.
        tracing::warn!(%error, "some figures are old");
    }
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        core.metrics.render(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_is_a_sentence() {
        let good = Health {
            started: true,
            database: None,
            homeserver: None,
            way_back: None,
            unreached: Some("nobody comes".to_owned()),
            inbox: 3,
            oldest_ms: Some(1_000),
        };
        assert!(problems(&good, 61_000, 60_000).is_empty());
        assert_eq!(
            problems(&good, 62_000, 60_000),
            ["an event has been waiting for 61 seconds"]
        );
        let bad = Health {
            started: false,
            database: Some("disk full".to_owned()),
            homeserver: Some("gone".to_owned()),
            way_back: Some("another token".to_owned()),
            unreached: None,
            inbox: 0,
            oldest_ms: None,
        };
        let told = problems(&bad, 0, 60_000);
        assert_eq!(told.len(), 4);
        assert_eq!(told[1..], ["disk full", "gone", "another token"]);
    }
}
