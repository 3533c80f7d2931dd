//! Uploads: at once, or to an id made before.

use std::{io, time::Duration};

use axum::body::Body;
use bridgehead_store::{Error, MediaRow};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::files::Stored;
use crate::{
    app::App,
    http::{auth::Requester, error::ApiError},
};

/// An id made in advance gets its bytes within a day (the specification's recommendation), ms.
const PENDING_FOR_MS: i64 = 24 * 3600 * 1000;
/// Ids without bytes that a user may have at once.
const MAX_PENDING: i64 = 50;
/// The same for those whom rate limits spare: bridges announce whole backlogs.
const MAX_PENDING_UNLIMITED: i64 = 10_000;
/// When the next try makes sense for somebody who has too many, ms.
const RETRY_PENDING_MS: u64 = 60_000;
/// Expired ids forgotten before a user's are counted.
const PRUNED_AT_ONCE: usize = 100;
/// An upload that is slower than this for long is ended, bytes a second.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 << 10;
/// Longest type and file name kept, bytes.
const MAX_ABOUT_BYTES: usize = 512;

/// What the uploader says about the bytes.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// `Content-Type`.
    pub(crate) content_type: Option<String>,
    /// `?filename=`.
    pub(crate) filename: Option<String>,
    /// `Content-Length`.
    pub(crate) length: Option<u64>,
}

/// Stores an upload under a new id.
pub(crate) async fn upload(
    app: &App,
    requester: &Requester,
    about: About,
    body: Body,
) -> Result<String, ApiError> {
    check(&about)?;
    let stored = receive(app, &about, body).await?;
    let row = MediaRow {
        sha256: Some(stored.sha256),
        content_type: about.content_type,
        filename: about.filename,
        size_bytes: i64::try_from(stored.size_bytes).ok(),
        ..new_row(app, requester)
    };
    let media_id = row.media_id.clone();
    app.store
        .write(move |tx| tx.insert_media(&row))
        .await?
        .then_some(media_id)
        .ok_or_else(|| ApiError::internal(&"a random media id was taken"))
}

/// Makes an id to upload to later. Answers it and until when the upload may come.
pub(crate) async fn create_id(app: &App, requester: &Requester) -> Result<(String, i64), ApiError> {
    let now = app.now_ms();
    let expires_at = now + PENDING_FOR_MS;
    let row = MediaRow {
        expires_at: Some(expires_at),
        ..new_row(app, requester)
    };
    let media_id = row.media_id.clone();
    let most = if requester.is_exempt_from_limits() {
        MAX_PENDING_UNLIMITED
    } else {
        MAX_PENDING
    };
    let is_made = app
        .store
        .write(move |tx| {
            tx.prune_pending_media(now, PRUNED_AT_ONCE)?;
            Ok::<_, Error>(tx.pending_media_count(&row.user_id)? < most && tx.insert_media(&row)?)
        })
        .await?;
    if is_made {
        Ok((media_id, expires_at))
    } else {
        Err(ApiError::limit_exceeded(RETRY_PENDING_MS))
    }
}

/// Stores an upload under an id made before.
pub(crate) async fn upload_to(
    app: &App,
    requester: &Requester,
    (server_name, media_id): (&str, String),
    about: About,
    body: Body,
) -> Result<(), ApiError> {
    check(&about)?;
    check_pending(app, requester, server_name, &media_id).await?;
    let stored = receive(app, &about, body).await?;
    let id = media_id.clone();
    let is_first = app
        .store
        .write(move |tx| {
            tx.complete_media(
                &id,
                &stored.sha256,
                about.content_type.as_deref(),
                about.filename.as_deref(),
                i64::try_from(stored.size_bytes).unwrap_or(i64::MAX),
            )
        })
        .await?;
    if !is_first {
        // Another upload was faster, or the id ended while the bytes came.
        return Err(
            match check_pending(app, requester, server_name, &media_id).await {
                Err(error) => error,
                Ok(()) => ApiError::internal(&"a pending media id did not take its bytes"),
            },
        );
    }
    // Nobody may be waiting.
    app.media.arrivals.send(media_id).ok();
    Ok(())
}

/// Whether the requester may upload to the id.
async fn check_pending(
    app: &App,
    requester: &Requester,
    server_name: &str,
    media_id: &str,
) -> Result<(), ApiError> {
    let not_found = || {
        ApiError::not_found("No such media id, or it has expired; create a new one to upload to")
    };
    if server_name != app.server_name.as_str() {
        return Err(not_found());
    }
    let id = media_id.to_owned();
    let row = app.store.read(move |s| s.media(&id)).await?;
    let row = row.ok_or_else(not_found)?;
    if requester.user_id.as_str() != row.user_id {
        return Err(ApiError::forbidden(
            "Only the user who created the media id may upload to it",
        ));
    }
    if row.sha256.is_some() {
        return Err(ApiError::cannot_overwrite_media(
            "This media has been uploaded already",
        ));
    }
    if row.expires_at.is_some_and(|at| at <= app.now_ms()) {
        return Err(not_found());
    }
    Ok(())
}

fn new_row(app: &App, requester: &Requester) -> MediaRow {
    MediaRow {
        media_id: app.random.alphanumeric(24),
        sha256: None,
        content_type: None,
        filename: None,
        size_bytes: None,
        user_id: requester.user_id.to_string(),
        created_at: app.now_ms(),
        expires_at: None,
    }
}

fn check(about: &About) -> Result<(), ApiError> {
    let is_long = |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > MAX_ABOUT_BYTES);
    if is_long(&about.filename) || is_long(&about.content_type) {
        return Err(ApiError::invalid_param(format!(
            "File name and content type may have at most {MAX_ABOUT_BYTES} bytes"
        )));
    }
    Ok(())
}

/// Brings the bytes to disk as they come.
async fn receive(app: &App, about: &About, mut body: Body) -> Result<Stored, ApiError> {
    let limits = &app.config.limits;
    let too_large = || {
        ApiError::too_large(format!(
            "Uploads may have at most {} bytes",
            limits.max_upload_bytes
        ))
    };
    if about
        .length
        .is_some_and(|length| length > limits.max_upload_bytes)
    {
        return Err(too_large());
    }
    let started_at = Instant::now();
    let mut arriving = app.media.files.receive();
    loop {
        let earned = Duration::from_secs(arriving.size_bytes() / SLOWEST_BYTES_PER_SECOND);
        let deadline = started_at + limits.request_timeout + earned;
        let frame = tokio::time::timeout_at(deadline, body.frame())
            .await
            .map_err(|_| ApiError::timeout("The upload is too slow"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ApiError::unknown("The upload broke off before its end"))?;
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        if arriving.size_bytes() + bytes.len() as u64 > limits.max_upload_bytes {
            return Err(too_large());
        }
        arriving.push(&bytes).await.map_err(|e| disk_error(&e))?;
    }
    arriving.finish().await.map_err(|e| disk_error(&e))
}

fn disk_error(error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            tracing::error!(%error, "an upload failed: make room on the disk of the data folder");
            ApiError::storage_full("The server has no room for this; ask its operator")
        }
        _ => ApiError::internal(error),
    }
}
