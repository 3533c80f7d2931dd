//! The flat list of routes.
//!
//! Every client endpoint is served under all prefixes of the API's life: `api/v1`, `r0`, `v3`,
//! `v1` and `unstable`. Anything that is not here answers 404 `M_UNRECOGNIZED`, a wrong method 405.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{HeaderName, Method, Uri, header};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
};

use super::{
    client::{
        account, alias, appservice, discovery, membership, message, redact, room, session, state,
        voip,
    },
    error::ApiError,
    federation, media, pages,
    timeout::request_timeout,
};
use crate::app::App;

/// Prefixes of the client-server API, oldest first.
const CLIENT_PREFIXES: &[&str] = &["api/v1", "r0", "v3", "v1", "unstable"];

/// Prefixes of the content repository from before its move into the client-server API.
const MEDIA_PREFIXES: &[&str] = &["r0", "v3", "v1"];

/// The whole HTTP surface.
pub(crate) fn router(app: Arc<App>) -> Router {
    let body_limit = usize::try_from(app.config.limits.max_body_bytes).unwrap_or(usize::MAX);
    let client = client();
    let mut router = discovery();
    for prefix in CLIENT_PREFIXES {
        router = router.nest(&format!("/_matrix/client/{prefix}"), client.clone());
    }
    let media = media_repository();
    for prefix in MEDIA_PREFIXES {
        router = router.nest(&format!("/_matrix/media/{prefix}"), media.clone());
    }
    router
        .fallback(|| async { ApiError::unrecognized("No such endpoint") })
        .method_not_allowed_fallback(|| async {
            ApiError::method_not_allowed("This endpoint does not take that method")
        })
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(from_fn_with_state(app.clone(), request_timeout))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors())
        .with_state(app)
}

/// What comes before routing: a path may end in a slash (bridges set state with an empty key
/// that way).
pub(crate) async fn without_trailing_slash(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') {
        let trimmed = path.trim_end_matches('/');
        let path_and_query = match request.uri().query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(uri) = path_and_query.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    next.run(request).await
}

/// The router behind [`without_trailing_slash`].
pub(crate) fn service(app: Arc<App>) -> Router {
    // A layer on a router runs after routing; as the fallback of an outer router it runs before.
    Router::new()
        .fallback_service(router(app))
        .layer(from_fn(without_trailing_slash))
}

/// A panic ends its request; the panic's own text goes to standard error only.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::internal(&"a handler panicked").into_response()
}

/// Browsers may call from anywhere (client-server API, "Web browser clients").
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("x-requested-with"),
        ])
}

/// Client endpoints, below a prefix.
fn client() -> Router<Arc<App>> {
    Router::new()
        .merge(accounts())
        .merge(rooms())
        .merge(room_contents())
        .merge(appservices())
        .merge(client_media())
        .merge(server_facts())
}

/// What is asked before anything else, at fixed paths.
fn discovery() -> Router<Arc<App>> {
    use discovery::{
        discover_homeserver::discover_homeserver, get_supported_versions::get_supported_versions,
    };
    use federation::{get_server_keys::get_server_keys, get_server_version::get_server_version};
    Router::new()
        .route("/", get(pages::root))
        .route("/health", get(pages::health))
        .route("/.well-known/matrix/client", get(discover_homeserver))
        .route("/_matrix/client/versions", get(get_supported_versions))
        .route("/_matrix/federation/v1/version", get(get_server_version))
        .route("/_matrix/key/v2/server", get(get_server_keys))
}

/// What the server offers and lacks.
fn server_facts() -> Router<Arc<App>> {
    use account::get_3pids::get_3pids;
    use discovery::get_capabilities::get_capabilities;
    use voip::get_turn_server_info::get_turn_server_info;
    Router::new()
        .route("/capabilities", get(get_capabilities))
        .route("/voip/turnServer", get(get_turn_server_info))
        .route("/account/3pid", get(get_3pids))
}

fn accounts() -> Router<Arc<App>> {
    Router::new()
        .route("/register", post(account::register::register))
        .route("/account/whoami", get(account::whoami::whoami))
        .route(
            "/login",
            get(session::login::get_login_types).post(session::login::login),
        )
}

fn rooms() -> Router<Arc<App>> {
    use membership::{
        ban_user, forget_room, invite_user, join_room_by_id, join_room_by_id_or_alias,
        joined_rooms, kick_user, leave_room, unban_user,
    };
    Router::new()
        .route("/createRoom", post(room::create_room::create_room))
        .route("/createRoom/{txn_id}", put(room::create_room::create_room))
        .route("/joined_rooms", get(joined_rooms::joined_rooms))
        .route(
            "/join/{room_id_or_alias}",
            post(join_room_by_id_or_alias::join_room_by_id_or_alias),
        )
        .route(
            "/rooms/{room_id}/join",
            post(join_room_by_id::join_room_by_id),
        )
        .route("/rooms/{room_id}/invite", post(invite_user::invite_user))
        .route("/rooms/{room_id}/leave", post(leave_room::leave_room))
        .route("/rooms/{room_id}/forget", post(forget_room::forget_room))
        .route("/rooms/{room_id}/kick", post(kick_user::kick_user))
        .route("/rooms/{room_id}/ban", post(ban_user::ban_user))
        .route("/rooms/{room_id}/unban", post(unban_user::unban_user))
        .route(
            "/directory/room/{room_alias}",
            get(alias::get_alias::get_alias)
                .put(alias::create_alias::create_alias)
                .delete(alias::delete_alias::delete_alias),
        )
}

fn room_contents() -> Router<Arc<App>> {
    use message::send_message_event::{send_message_event, send_without_txn};
    use state::{
        get_state_event_for_key::{get_state_event_for_empty_key, get_state_event_for_key},
        get_state_events::get_state_events,
        send_state_event::{send_state_event, send_state_event_for_empty_key},
    };
    Router::new()
        .route("/rooms/{room_id}/send/{event_type}", post(send_without_txn))
        .route(
            "/rooms/{room_id}/send/{event_type}/{txn_id}",
            put(send_message_event),
        )
        .route(
            "/rooms/{room_id}/redact/{event_id}/{txn_id}",
            put(redact::redact_event::redact_event),
        )
        .route("/rooms/{room_id}/state", get(get_state_events))
        .route(
            "/rooms/{room_id}/state/{event_type}",
            get(get_state_event_for_empty_key).put(send_state_event_for_empty_key),
        )
        .route(
            "/rooms/{room_id}/state/{event_type}/{state_key}",
            get(get_state_event_for_key).put(send_state_event),
        )
}

fn appservices() -> Router<Arc<App>> {
    use appservice::request_ping::request_ping;
    Router::new()
        .route("/appservice/{appservice_id}/ping", post(request_ping))
        .route(
            "/fi.mau.msc2659/appservice/{appservice_id}/ping",
            post(request_ping),
        )
}

/// Media for those with a token, below the client-server API.
fn client_media() -> Router<Arc<App>> {
    use media::{
        get_content::get_content, get_content_thumbnail::get_content_thumbnail,
        get_media_config::get_media_config,
    };
    Router::new()
        .route("/media/config", get(get_media_config))
        .route("/media/download/{server_name}/{media_id}", get(get_content))
        .route(
            "/media/download/{server_name}/{media_id}/{file_name}",
            get(get_content),
        )
        .route(
            "/media/thumbnail/{server_name}/{media_id}",
            get(get_content_thumbnail),
        )
}

/// The content repository below `/_matrix/media`: uploads, and reading as it was without a token.
fn media_repository() -> Router<Arc<App>> {
    use media::{
        create_content::{create_content, create_content_async},
        create_mxc_uri::create_mxc_uri,
        get_content::get_content_unauthenticated,
        get_content_thumbnail::get_content_thumbnail_unauthenticated,
        get_media_config::get_media_config,
    };
    Router::new()
        .route("/config", get(get_media_config))
        .route("/create", post(create_mxc_uri))
        .route("/upload", post(create_content))
        .route(
            "/upload/{server_name}/{media_id}",
            put(create_content_async),
        )
        .route(
            "/download/{server_name}/{media_id}",
            get(get_content_unauthenticated),
        )
        .route(
            "/download/{server_name}/{media_id}/{file_name}",
            get(get_content_unauthenticated),
        )
        .route(
            "/thumbnail/{server_name}/{media_id}",
            get(get_content_thumbnail_unauthenticated),
        )
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, routing::get};
    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    async fn bug() {
        panic!("inner text");
    }

    #[tokio::test]
    async fn a_panic_is_answered_without_its_text() {
        let router: Router = Router::new()
            .route("/bug", get(bug))
            .layer(CatchPanicLayer::custom(super::panicked));
        let request = Request::get("/bug").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            text.contains("request id") && !text.contains("inner text"),
            "{text}"
        );
    }
}
