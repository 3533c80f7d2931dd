//! What surrounds every handler.

use axum::{Router, body::Body, extract::Request, routing::get};
use http::StatusCode;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;

async fn bug() {
    panic!("inner text");
}

#[tokio::test]
async fn a_panic_is_answered_without_its_text() {
    let router: Router = Router::new()
        .route("/bug", get(bug))
        .layer(CatchPanicLayer::custom(super::panicked));
    let request = Request::get("/bug").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        text.contains("request id") && !text.contains("inner text"),
        "{text}"
    );
}
