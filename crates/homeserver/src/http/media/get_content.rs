//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}[/{fileName}]` and its
//! predecessors below `/_matrix/media`.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    sync::Arc,
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::{
    Unauthenticated, WaitQuery,
    headers::{disposition, is_known, media_headers},
    range::{Part, part},
};
use crate::{
    app::App,
    blocking::Blocking,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    media::{self, ReadyMedia},
};

/// Read and sent at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Which media, and the name to save it under.
#[derive(Deserialize)]
pub(crate) struct MediaPath {
    server_name: String,
    media_id: String,
    file_name: Option<String>,
}

/// With a token.
pub(crate) async fn get_content(
    _requester: Requester,
    State(app): State<Arc<App>>,
    Params(path): Params<MediaPath>,
    QueryParams(query): QueryParams<WaitQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    download(&app, path, &query, &headers).await
}

/// Without one.
pub(crate) async fn get_content_unauthenticated(
    _allowed: Unauthenticated,
    State(app): State<Arc<App>>,
    Params(path): Params<MediaPath>,
    QueryParams(query): QueryParams<WaitQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    download(&app, path, &query, &headers).await
}

async fn download(
    app: &App,
    path: MediaPath,
    query: &WaitQuery,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let mut media = media::find(app, &path.server_name, &path.media_id, query.wait()).await?;
    media.filename = path.file_name.or(media.filename);
    answer(app.blocking, &media, headers)
        .await
        .map_err(|error| ApiError::internal(&error))
}

async fn answer(blocking: Blocking, media: &ReadyMedia, asked: &HeaderMap) -> io::Result<Response> {
    let etag = format!("\"{}\"", media.sha256);
    let given = media.content_type.as_deref().unwrap_or_default();
    let content_type = HeaderValue::from_str(given)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let disposition = disposition(given, media.filename.as_deref());
    let mut headers = media_headers(&etag, content_type, disposition);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if is_known(asked, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let (file, size_bytes) = open(blocking, &media.path).await?;
    let (status, first, length) = match part(asked, size_bytes, &etag) {
        Part::Whole => (StatusCode::OK, 0, size_bytes),
        Part::Bytes { first, last } => {
            let range = format!("bytes {first}-{last}/{size_bytes}");
            headers.insert(header::CONTENT_RANGE, ascii(range));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Part::Outside => {
            let range = format!("bytes */{size_bytes}");
            headers.insert(header::CONTENT_RANGE, ascii(range));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let body = Body::from_stream(chunks(blocking, file, first, length).await?);
    Ok((status, headers, body).into_response())
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("invariant: digits and punctuation only")
}

async fn open(blocking: Blocking, path: &Path) -> io::Result<(File, u64)> {
    let path = path.to_owned();
    let opening = blocking.io(move || {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok((file, size_bytes))
    });
    opening.await
}

/// `length` bytes from `first` on, a chunk at a time.
async fn chunks(
    blocking: Blocking,
    mut file: File,
    first: u64,
    length: u64,
) -> io::Result<impl Stream<Item = io::Result<Bytes>>> {
    let seeking = blocking.io(move || {
        if first > 0 {
            file.seek(SeekFrom::Start(first))?;
        }
        Ok(file.take(length))
    });
    let file = seeking.await?;
    Ok(stream::try_unfold(file, move |mut file| async move {
        let reading = blocking.io(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = file.read(&mut chunk)?;
            chunk.truncate(read);
            Ok((read > 0).then(|| (Bytes::from(chunk), file)))
        });
        reading.await
    }))
}
