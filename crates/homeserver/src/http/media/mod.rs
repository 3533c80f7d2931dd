//! The content repository (client-server API, "Content repository"), one file an endpoint.
//!
//! The same handlers serve `/_matrix/client/v1/media`, which needs a token, and, where the
//! configuration allows it, the older `/_matrix/media` without one. Previews of URLs are not
//! built: this server fetches nothing on behalf of its users.

pub(crate) mod create_content;
pub(crate) mod create_mxc_uri;
pub(crate) mod get_content;
pub(crate) mod get_content_thumbnail;
pub(crate) mod get_media_config;
mod headers;
mod range;

use std::{sync::Arc, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Deserialize;

use super::error::ApiError;
use crate::app::App;

/// The specification's default for `timeout_ms`.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
/// Nobody waits longer for an upload.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

/// How long to wait for media that is announced only. `allow_remote` and `allow_redirect` change
/// nothing here: there are neither other servers nor redirects.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WaitQuery {
    timeout_ms: Option<u64>,
}

impl WaitQuery {
    fn wait(&self) -> Duration {
        self.timeout_ms
            .map_or(DEFAULT_WAIT, Duration::from_millis)
            .min(MAX_WAIT)
    }
}

/// Lets a request pass to media without a token, if the configuration does.
pub(crate) struct Unauthenticated;

impl FromRequestParts<Arc<App>> for Unauthenticated {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if app.config.limits.unauthenticated_media {
            Ok(Self)
        } else {
            Err(ApiError::not_found(
                "Media is served below /_matrix/client/v1/media only, with an access token",
            ))
        }
    }
}
