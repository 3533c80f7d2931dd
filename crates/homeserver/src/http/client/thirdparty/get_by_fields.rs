//! `GET /_matrix/client/v3/thirdparty/user/{protocol}` and `…/location/{protocol}`

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde_json::Value;

use crate::{
    app::App,
    appservices::Lookup,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
};

/// Users of another network, by the protocol's fields.
pub(crate) async fn get_user_for_protocol(
    State(app): State<Arc<App>>,
    _requester: Requester,
    Params(protocol): Params<String>,
    RawQuery(query): RawQuery,
) -> ApiResult<Json<Vec<Value>>> {
    by_fields(&app, Lookup::User, &protocol, query).await
}

/// Locations of another network, by the protocol's fields.
pub(crate) async fn get_location_for_protocol(
    State(app): State<Arc<App>>,
    _requester: Requester,
    Params(protocol): Params<String>,
    RawQuery(query): RawQuery,
) -> ApiResult<Json<Vec<Value>>> {
    by_fields(&app, Lookup::Location, &protocol, query).await
}

async fn by_fields(
    app: &App,
    lookup: Lookup,
    protocol: &str,
    query: Option<String>,
) -> ApiResult<Json<Vec<Value>>> {
    let found = lookup
        .by_fields(app, protocol, &fields(query.as_deref().unwrap_or_default()))
        .await;
    found.map(Json).ok_or_else(|| {
        ApiError::not_found(format!("No application service here speaks {protocol}"))
    })
}

/// All that was asked, without what says who asks.
fn fields(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| !matches!(&**key, "access_token" | "user_id"))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}
