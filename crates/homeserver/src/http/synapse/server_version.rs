//! `GET /_synapse/admin/v1/server_version`

use axum::Json;
use serde_json::{Value, json};

use crate::http::auth::Admin;

/// What runs here.
pub(crate) async fn server_version(_admin: Admin) -> Json<Value> {
    Json(json!({ "server_version": concat!("Bridgehead ", env!("CARGO_PKG_VERSION")) }))
}
