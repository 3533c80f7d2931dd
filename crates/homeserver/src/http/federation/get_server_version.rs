//! `GET /_matrix/federation/v1/version`

use axum::Json;
use serde_json::{Value, json};

/// Name and version of the program.
pub(crate) async fn get_server_version() -> Json<Value> {
    Json(json!({
        "server": { "name": "Bridgehead", "version": env!("CARGO_PKG_VERSION") },
    }))
}
