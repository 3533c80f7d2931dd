//! `GET /_matrix/client/versions`

use axum::Json;
use serde_json::{Value, json};

use crate::http::{auth::AnyToken, error::ApiResult};

/// Versions of the specification and unstable features. Works without a token; with an
/// application service's token and an unregistered `user_id` it refuses, which is how bridges
/// find out that they must register their bot.
pub(crate) async fn get_supported_versions(_: AnyToken) -> ApiResult<Json<Value>> {
    Ok(Json(json!({
        "versions": [
            "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1",
            "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11",
        ],
        "unstable_features": {
            "fi.mau.msc2659": true,
            "fi.mau.msc2659.stable": true,
            "org.matrix.msc3916.stable": true,
            "org.matrix.msc4190": true,
            "uk.half-shot.msc2666.query_mutual_rooms": true,
            "uk.tcpip.msc4133": true,
            "uk.tcpip.msc4133.stable": true,
        },
    })))
}
