//! The author's routes, behind the kit's: whatever paths and fallbacks they have, those of the application-service API
//! stay what they are.

use axum::{
    Router,
    body::HttpBody as _,
    middleware::map_response,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use super::answer;

/// Marks what one of the author's routes has answered.
#[derive(Clone, Copy)]
struct OfRoute;

/// Asks the author's routes for what the kit's are not asked for. What neither know is answered as the specification
/// has it (*Application Service API*, *Unknown routes*), unless the author has a fallback of their own.
pub(crate) fn mount(kits: Router, mut authors: Router) -> Router {
    if authors.has_routes() {
        authors = authors.route_layer(map_response(mark));
    }
    kits.fallback_service(authors.layer(map_response(name_unknown)))
}

async fn mark(mut response: Response) -> Response {
    response.extensions_mut().insert(OfRoute);
    response
}

/// Axum's own answer to what is not there has no body.
async fn name_unknown(response: Response) -> Response {
    let is_bare = response.status() == StatusCode::NOT_FOUND
        && response.extensions().get::<OfRoute>().is_none()
        && !response.headers().contains_key(header::CONTENT_TYPE)
        && response.body().size_hint().exact() == Some(0);
    if is_bare {
        return answer::unknown().await.into_response();
    }
    response
}
