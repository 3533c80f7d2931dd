//! `GET /_matrix/client/unstable/org.bridgehead.appservice/{appserviceId}/transactions/next`

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;

use super::own::{own, taken};
use crate::{
    app::App,
    appservices::{Ending, Handed, frame_with_keys_of},
    http::{
        auth::AppserviceToken,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
};

/// Longest wait that may be asked for.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);
/// What waits has to be cut from the log and stored first, so that nobody gets less than this.
const LEAST_WAIT: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
pub(crate) struct Query {
    /// Milliseconds.
    #[serde(default)]
    wait: u64,
}

/// Hands out the next transaction; 204 when there is none until the wait is over. The same one is
/// handed out again until it is acknowledged.
pub(crate) async fn get_next_transaction(
    State(app): State<Arc<App>>,
    token: AppserviceToken,
    Params(id): Params<String>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Response> {
    let service = own(token, &id)?;
    service.come_online(&app, "poll").await;
    let wait = Duration::from_millis(query.wait).clamp(LEAST_WAIT, MAX_WAIT);
    let seat =
        service.delivery.outlet.sit_to_fetch().ok_or_else(|| {
            taken("A websocket of this service is open, and gets its transactions")
        })?;
    let handed = tokio::select! {
        biased;
        handed = seat.next() => Some(handed),
        why = seat.ended() => return Err(ended(why)),
        () = tokio::time::sleep(wait) => seat.next_now(),
    };
    match handed {
        Some(handed) => {
            let response = transaction(&handed)?;
            seat.leave_with_lease();
            Ok(response)
        }
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn transaction(handed: &Handed) -> ApiResult<Response> {
    let head = format!(r#"{{"txn_id":"{}""#, handed.txn_id);
    let body = frame_with_keys_of(head, &handed.body)
        .ok_or_else(|| ApiError::internal(&"a transaction is no JSON object"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn ended(why: Ending) -> ApiError {
    match why {
        Ending::Replaced => taken("Another poll of this service, or a websocket, has come"),
        Ending::NotAcknowledged | Ending::ServerStops => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "M_UNKNOWN",
            "The server ends this poll; come again",
        ),
    }
}
