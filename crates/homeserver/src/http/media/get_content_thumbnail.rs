//! `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}` and its predecessors below
//! `/_matrix/media`.
//!
//! Thumbnails do not move: `animated=true` is answered as the specification says for servers
//! that cannot, with a still one.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;

use super::{
    Unauthenticated, WaitQuery,
    headers::{disposition, is_known, media_headers},
};
use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    media::{self, Method, Size, Thumbnail, ThumbnailError},
};

/// The size wanted.
#[derive(Deserialize)]
pub(crate) struct SizeQuery {
    width: u32,
    height: u32,
    method: Option<MethodName>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MethodName {
    Crop,
    Scale,
}

/// With a token.
pub(crate) async fn get_content_thumbnail(
    _requester: Requester,
    State(app): State<Arc<App>>,
    Params(path): Params<(String, String)>,
    QueryParams(size): QueryParams<SizeQuery>,
    QueryParams(wait): QueryParams<WaitQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    thumbnail(&app, path, &size, &wait, &headers).await
}

/// Without one.
pub(crate) async fn get_content_thumbnail_unauthenticated(
    _allowed: Unauthenticated,
    State(app): State<Arc<App>>,
    Params(path): Params<(String, String)>,
    QueryParams(size): QueryParams<SizeQuery>,
    QueryParams(wait): QueryParams<WaitQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    thumbnail(&app, path, &size, &wait, &headers).await
}

async fn thumbnail(
    app: &App,
    (server_name, media_id): (String, String),
    size: &SizeQuery,
    wait: &WaitQuery,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    if size.width == 0 || size.height == 0 {
        return Err(ApiError::invalid_param(
            "`width` and `height` must be at least 1",
        ));
    }
    let media = media::find(app, &server_name, &media_id, wait.wait()).await?;
    let method = match size.method {
        Some(MethodName::Crop) => Method::Crop,
        Some(MethodName::Scale) | None => Method::Scale,
    };
    let size = Size::for_request(size.width, size.height, method);
    let thumbnail = app.media.thumbnails.get(&media, size).await?;
    Ok(answer(thumbnail, headers))
}

fn answer(thumbnail: Thumbnail, asked: &HeaderMap) -> Response {
    let (content_type, filename) = if thumbnail.is_png() {
        ("image/png", "thumbnail.png")
    } else {
        ("image/jpeg", "thumbnail.jpg")
    };
    let etag = format!("\"{}\"", thumbnail.name);
    let disposition = disposition(content_type, Some(filename));
    let headers = media_headers(&etag, HeaderValue::from_static(content_type), disposition);
    if is_known(asked, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, thumbnail.bytes).into_response()
}

impl From<ThumbnailError> for ApiError {
    fn from(error: ThumbnailError) -> Self {
        match error {
            ThumbnailError::NotAnImage => {
                Self::unknown("Thumbnails are made of PNG, JPEG, GIF and WebP images only")
            }
            ThumbnailError::TooLarge => {
                Self::too_large("The image has too many pixels for a thumbnail")
            }
            ThumbnailError::Io(error) => Self::internal(&error),
        }
    }
}
