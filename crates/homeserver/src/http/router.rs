//! The flat list of routes.
//!
//! Every client endpoint is served under all prefixes of the API's life: `api/v1`, `r0`, `v3`,
//! `v1` and `unstable`. Anything that is not here answers 404 `M_UNRECOGNIZED`, a wrong method 405.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn},
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
        account, alias, appservice, context, directory, discovery, knock, membership, message,
        redact, relations, room, session, space, state, thirdparty,
    },
    error::ApiError,
};
use crate::app::App;

/// Prefixes of the client-server API, oldest first.
const CLIENT_PREFIXES: &[&str] = &["api/v1", "r0", "v3", "v1", "unstable"];

/// The whole HTTP surface.
pub(crate) fn router(app: Arc<App>) -> Router {
    let body_limit = usize::try_from(app.config.limits.max_body_bytes).unwrap_or(usize::MAX);
    let client = client();
    let mut router = Router::new().route(
        "/_matrix/client/versions",
        get(discovery::get_supported_versions::get_supported_versions),
    );
    for prefix in CLIENT_PREFIXES {
        router = router.nest(&format!("/_matrix/client/{prefix}"), client.clone());
    }
    router
        .fallback(|| async { ApiError::unrecognized("No such endpoint") })
        .method_not_allowed_fallback(|| async {
            ApiError::method_not_allowed("This endpoint does not take that method")
        })
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::internal(&"a handler panicked").into_response()
        }))
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
        .merge(reading())
        .merge(directories())
        .merge(third_parties())
        .merge(appservices())
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

/// Reading rooms beside `/sync`.
fn reading() -> Router<Arc<App>> {
    use membership::{get_member_events::get_member_events, joined_members::joined_members};
    use relations::get_relating_events::{
        get_relating_events, get_relating_events_with_rel_type,
        get_relating_events_with_rel_type_and_event_type,
    };
    use room::{
        aliases::aliases,
        get_event_by_timestamp::get_event_by_timestamp,
        get_room_event::get_room_event,
        report_content::{report_content, report_room},
    };
    Router::new()
        .route(
            "/rooms/{room_id}/messages",
            get(message::get_message_events::get_message_events),
        )
        .route("/rooms/{room_id}/event/{event_id}", get(get_room_event))
        .route(
            "/rooms/{room_id}/context/{event_id}",
            get(context::get_context::get_context),
        )
        .route("/rooms/{room_id}/members", get(get_member_events))
        .route("/rooms/{room_id}/joined_members", get(joined_members))
        .route(
            "/rooms/{room_id}/relations/{event_id}",
            get(get_relating_events),
        )
        .route(
            "/rooms/{room_id}/relations/{event_id}/{rel_type}",
            get(get_relating_events_with_rel_type),
        )
        .route(
            "/rooms/{room_id}/relations/{event_id}/{rel_type}/{event_type}",
            get(get_relating_events_with_rel_type_and_event_type),
        )
        .route(
            "/rooms/{room_id}/timestamp_to_event",
            get(get_event_by_timestamp),
        )
        .route("/rooms/{room_id}/aliases", get(aliases))
        .route("/org.matrix.msc2432/rooms/{room_id}/aliases", get(aliases))
        .route("/rooms/{room_id}/report", post(report_room))
        .route("/rooms/{room_id}/report/{event_id}", post(report_content))
}

/// Finding rooms, asking to be let in, replacing them.
fn directories() -> Router<Arc<App>> {
    use appservice::set_room_visibility as network_list;
    use directory::{
        get_public_rooms::{get_public_rooms, get_public_rooms_filtered},
        get_room_visibility::get_room_visibility,
        set_room_visibility::set_room_visibility,
    };
    use room::{get_summary::get_summary, upgrade_room::upgrade_room};
    Router::new()
        .route(
            "/publicRooms",
            get(get_public_rooms).post(get_public_rooms_filtered),
        )
        .route(
            "/directory/list/room/{room_id}",
            get(get_room_visibility).put(set_room_visibility),
        )
        .route(
            "/directory/list/appservice/{network_id}/{room_id}",
            put(network_list::set_room_visibility).delete(network_list::delete_room_visibility),
        )
        .route(
            "/rooms/{room_id}/hierarchy",
            get(space::get_hierarchy::get_hierarchy),
        )
        .route("/room_summary/{room_id_or_alias}", get(get_summary))
        .route(
            "/im.nheko.summary/summary/{room_id_or_alias}",
            get(get_summary),
        )
        .route(
            "/im.nheko.summary/rooms/{room_id_or_alias}/summary",
            get(get_summary),
        )
        .route(
            "/knock/{room_id_or_alias}",
            post(knock::knock_room::knock_room),
        )
        .route("/rooms/{room_id}/upgrade", post(upgrade_room))
}

/// Looking things up on bridged networks.
fn third_parties() -> Router<Arc<App>> {
    use thirdparty::{
        get_by_fields::{get_location_for_protocol, get_user_for_protocol},
        get_by_name::{get_location_for_room_alias, get_user_for_user_id},
        get_protocols::{get_protocol, get_protocols},
    };
    Router::new()
        .route("/thirdparty/protocols", get(get_protocols))
        .route("/thirdparty/protocol/{protocol}", get(get_protocol))
        .route("/thirdparty/user", get(get_user_for_user_id))
        .route("/thirdparty/user/{protocol}", get(get_user_for_protocol))
        .route("/thirdparty/location", get(get_location_for_room_alias))
        .route(
            "/thirdparty/location/{protocol}",
            get(get_location_for_protocol),
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
