//! What the homeserver asks of the service: transactions, queries, pings (specification, *Application Service API*).
//!
//! Every request but those of the author's own routes shows the homeserver's token, which is compared in constant time
//! before anything of the body is read. The paths of the protocol's first years are served too.

mod answer;
mod auth;
mod certificate;
mod guard;
mod listener;
mod mount;
mod ping;
mod query;
mod third_party;
mod transaction;
mod way_back;
mod websocket;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post, put},
};

use crate::core::Core;

pub(crate) use self::listener::GRACE as LISTENER_GRACE;
pub(crate) use self::{auth::HomeserverToken, mount::mount, ping::Pings, way_back::WayBack};
pub use self::{
    listener::{Listen, ListenError, Listening, TlsFiles},
    websocket::{Websocket, WebsocketLink, WebsocketState},
};

/// The routes of the application-service API.
pub(crate) fn router(core: Arc<Core>, token: HomeserverToken) -> Router {
    let v1 = Router::new()
        .route("/transactions/{txn_id}", put(transaction::put))
        .route("/users/{user_id}", get(query::user))
        .route("/rooms/{alias}", get(query::alias));
    let guard = (token, core.clone());
    let ping = || Router::new().route("/ping", post(ping::hear));
    Router::new()
        .merge(v1.clone())
        .nest(
            "/_matrix/app/v1",
            v1.merge(ping()).merge(third_party::routes()),
        )
        .nest("/_matrix/app/unstable", third_party::routes())
        .nest("/_matrix/app/unstable/fi.mau.msc2659", ping())
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(middleware::from_fn_with_state(guard, auth::check))
        .with_state(core)
}
