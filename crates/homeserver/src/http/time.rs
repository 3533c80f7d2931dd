//! Times of events: now, or (application services only) massaged.

use ruma::{MilliSecondsSinceUnixEpoch, UInt};
use serde::Deserialize;

use super::{auth::Requester, error::ApiError};
use crate::app::App;

/// `?ts=`: application-service API, "Timestamp massaging". Ignored for everybody else.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TimestampQuery {
    ts: Option<String>,
    #[serde(rename = "org.matrix.msc3316.ts")]
    unstable_ts: Option<String>,
}

/// Now.
pub(crate) fn now(app: &App) -> MilliSecondsSinceUnixEpoch {
    MilliSecondsSinceUnixEpoch(UInt::new_saturating(
        u64::try_from(app.now_ms()).unwrap_or(0),
    ))
}

impl TimestampQuery {
    /// The time an event of this request gets.
    pub(crate) fn of(
        &self,
        app: &App,
        requester: &Requester,
    ) -> Result<MilliSecondsSinceUnixEpoch, ApiError> {
        let given = self.ts.as_deref().or(self.unstable_ts.as_deref());
        match (given, &requester.appservice) {
            (Some(text), Some(_)) => text
                .parse::<u64>()
                .ok()
                .and_then(UInt::new)
                .map(MilliSecondsSinceUnixEpoch)
                .ok_or_else(|| {
                    ApiError::invalid_param("`ts` must be milliseconds since the Unix epoch")
                }),
            _ => Ok(now(app)),
        }
    }
}
