//! For people and load balancers.

use std::sync::Arc;

use axum::extract::State;

use crate::app::App;

/// `GET /health`: the server answers requests.
pub(crate) async fn health() -> &'static str {
    "OK"
}

/// `GET /`: what somebody with a browser has found.
pub(crate) async fn root(State(app): State<Arc<App>>) -> String {
    format!(
        "This is Bridgehead {}, the Matrix homeserver of {}.\n\
         Open it with a Matrix client; bridges find the client-server API below /_matrix/client.\n",
        env!("CARGO_PKG_VERSION"),
        app.server_name,
    )
}
