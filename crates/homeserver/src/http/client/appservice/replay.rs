//! `POST /_matrix/client/unstable/org.bridgehead.appservice/{appserviceId}/replay`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::own::{Own, taken};
use crate::{
    app::App,
    http::{error::ApiResult, extract::JsonBody},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    /// A position, as it stands in a transaction's sequence numbers.
    after: u64,
}

/// Has everything after a position sent once more; answers from where to where that is.
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    Own(service): Own,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    match service.replay_own(&app, body.after).await {
        Ok(Some(replay)) => Ok(Json(
            json!({ "after": replay.from.0, "upto": replay.upto.0 }),
        )),
        Ok(None) => Ok(Json(json!({}))),
        Err(bridgehead_store::Error::Conflict { .. }) => {
            Err(taken("Too many replays wait already; let some end first"))
        }
        Err(error) => Err(error.into()),
    }
}
