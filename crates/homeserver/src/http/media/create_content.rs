//! `POST /_matrix/media/v3/upload` and `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use http::{HeaderMap, HeaderName, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{Params, QueryParams},
    },
    media::{About, upload, upload_to},
};

/// `?filename=`
#[derive(Deserialize)]
pub(crate) struct UploadQuery {
    filename: Option<String>,
}

/// Stores the body, under a new id.
pub(crate) async fn create_content(
    requester: Requester,
    State(app): State<Arc<App>>,
    QueryParams(query): QueryParams<UploadQuery>,
    request: Request,
) -> ApiResult<Json<Value>> {
    let about = about(query, request.headers());
    let media_id = upload(&app, &requester, about, request.into_body()).await?;
    Ok(Json(json!({
        "content_uri": format!("mxc://{}/{media_id}", app.server_name),
    })))
}

/// Stores the body, under an id that `/create` gave.
pub(crate) async fn create_content_async(
    requester: Requester,
    State(app): State<Arc<App>>,
    Params((server_name, media_id)): Params<(String, String)>,
    QueryParams(query): QueryParams<UploadQuery>,
    request: Request,
) -> ApiResult<Json<Value>> {
    let about = about(query, request.headers());
    let place = (server_name.as_str(), media_id);
    upload_to(&app, &requester, place, about, request.into_body()).await?;
    Ok(Json(json!({})))
}

fn about(query: UploadQuery, headers: &HeaderMap) -> About {
    let header = |name: HeaderName| headers.get(name)?.to_str().ok();
    About {
        content_type: header(header::CONTENT_TYPE).map(str::to_owned),
        filename: query.filename.filter(|name| !name.is_empty()),
        length: header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok()),
    }
}
