//! `GET /_matrix/client/v3/thirdparty/protocols` and `…/protocol/{protocol}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
};

/// All protocols that services here speak.
pub(crate) async fn get_protocols(
    State(app): State<Arc<App>>,
    _requester: Requester,
) -> ApiResult<Json<Value>> {
    Ok(Json(Value::Object(app.protocols.all(&app).await)))
}

/// One protocol.
pub(crate) async fn get_protocol(
    State(app): State<Arc<App>>,
    _requester: Requester,
    Params(protocol): Params<String>,
) -> ApiResult<Json<Value>> {
    let description = app.protocols.describe(&app, &protocol).await;
    description.map(Json).ok_or_else(|| {
        ApiError::not_found(format!("No application service here speaks {protocol}"))
    })
}
