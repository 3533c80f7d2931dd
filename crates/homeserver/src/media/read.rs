//! Finding media, and waiting for what was announced but has not arrived.

use std::{path::PathBuf, time::Duration};

use tokio::time::Instant;

use crate::{app::App, http::error::ApiError};

/// Media whose bytes are here.
pub(crate) struct ReadyMedia {
    /// SHA-256 of the bytes, in hexadecimal.
    pub(crate) sha256: String,
    /// Where the bytes are.
    pub(crate) path: PathBuf,
    /// The type the uploader gave.
    pub(crate) content_type: Option<String>,
    /// The file name the uploader gave.
    pub(crate) filename: Option<String>,
}

/// Finds media; waits up to `wait` for bytes that were announced only.
pub(crate) async fn find(
    app: &App,
    server_name: &str,
    media_id: &str,
    wait: Duration,
) -> Result<ReadyMedia, ApiError> {
    let deadline = Instant::now() + wait;
    // Before the first look, so that nothing arrives unseen between the look and the wait.
    let mut arrivals = app.media.arrivals.subscribe();
    loop {
        if let Some(ready) = look(app, server_name, media_id).await? {
            return Ok(ready);
        }
        let arrived = async {
            // An error means that arrivals were missed, this one perhaps: look again.
            while arrivals.recv().await.is_ok_and(|id| id != media_id) {}
        };
        if tokio::time::timeout_at(deadline, arrived).await.is_err() {
            return Err(ApiError::not_yet_uploaded(
                "The media has not been uploaded yet; try again later",
            ));
        }
    }
}

/// `None` when the bytes are still to come.
async fn look(
    app: &App,
    server_name: &str,
    media_id: &str,
) -> Result<Option<ReadyMedia>, ApiError> {
    let not_found = || ApiError::not_found("No such media on this server");
    if server_name != app.server_name.as_str() {
        return Err(not_found());
    }
    let id = media_id.to_owned();
    let row = app.store.read(move |s| s.media(&id)).await?;
    let row = row.ok_or_else(not_found)?;
    match row.sha256 {
        Some(sha256) => Ok(Some(ReadyMedia {
            path: app.media.files.path(&sha256),
            sha256,
            content_type: row.content_type,
            filename: row.filename,
        })),
        None if row.expires_at.is_some_and(|at| at <= app.now_ms()) => Err(not_found()),
        None => Ok(None),
    }
}
