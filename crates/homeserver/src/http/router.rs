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

// Every chapter is routed here, so every chapter is in scope.
use super::{
    client::*, error::ApiError, federation, media, metrics, observe::observe, operator, pages,
    timeout::request_timeout,
};
use crate::app::App;

#[cfg(test)]
mod tests;

/// Prefixes of the client-server API, oldest first.
const CLIENT_PREFIXES: &[&str] = &["api/v1", "r0", "v3", "v1", "unstable"];

/// Prefixes of the content repository from before its move into the client-server API.
const MEDIA_PREFIXES: &[&str] = &["r0", "v3", "v1"];

/// The whole HTTP surface.
pub(crate) fn router(app: Arc<App>) -> Router {
    let body_limit = usize::try_from(app.config.limits.max_body_bytes).unwrap_or(usize::MAX);
    let client = client();
    let mut router = discovery().merge(federation());
    for prefix in CLIENT_PREFIXES {
        router = router.nest(&format!("/_matrix/client/{prefix}"), client.clone());
    }
    let media = media_repository();
    for prefix in MEDIA_PREFIXES {
        router = router.nest(&format!("/_matrix/media/{prefix}"), media.clone());
    }
    router
        .nest("/_synapse/admin", synapse_admin())
        .fallback(|| async { ApiError::unrecognized("No such endpoint") })
        .method_not_allowed_fallback(|| async {
            ApiError::method_not_allowed("This endpoint does not take that method")
        })
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(from_fn_with_state(app.clone(), request_timeout))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors())
        // After the layers, so that none of them is around it: no other site's page may call it.
        .merge(operator_api(app.clone()))
        .merge(operator::dashboard::router())
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// The operator API and the metrics, with their own limits.
fn operator_api(app: Arc<App>) -> Router<Arc<App>> {
    operator::router()
        .route("/metrics", get(metrics::get_metrics))
        .layer(from_fn_with_state(app, request_timeout))
        .layer(CatchPanicLayer::custom(panicked))
}

/// Marks a request whose path had a slash at its end, for the few that must know.
#[derive(Clone, Copy)]
pub(super) struct TrailingSlash;

/// What comes before routing: a path may end in a slash (bridges set state with an empty key
/// that way).
pub(crate) async fn without_trailing_slash(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') {
        request.extensions_mut().insert(TrailingSlash);
        let path = request.uri().path();
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
        .merge(devices())
        .merge(encryption())
        .merge(rooms())
        .merge(room_contents())
        .merge(reading())
        .merge(directories())
        .merge(third_parties())
        .merge(appservices())
        .merge(sync())
        .merge(ephemeral())
        .merge(user_data())
        .merge(push())
        .merge(profiles())
        .merge(client_media())
        .merge(server_facts())
}

/// What is asked before anything else, at fixed paths.
fn discovery() -> Router<Arc<App>> {
    use discovery::{
        discover_homeserver::discover_homeserver, get_supported_versions::get_supported_versions,
    };
    Router::new()
        .route("/", get(pages::root))
        .route("/health", get(pages::health))
        .route("/.well-known/matrix/client", get(discover_homeserver))
        .route("/_matrix/client/versions", get(get_supported_versions))
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
        .route(
            "/register/available",
            get(account::get_username_availability::get_username_availability),
        )
        .route(
            "/register/m.login.registration_token/validity",
            get(account::check_registration_token_validity::check_registration_token_validity),
        )
        .route(
            "/account/password",
            post(account::change_password::change_password),
        )
        .route("/account/deactivate", post(account::deactivate::deactivate))
        .route("/account/whoami", get(account::whoami::whoami))
        .route(
            "/login",
            get(session::login::get_login_types).post(session::login::login),
        )
}

/// The part of Synapse's admin API that bridges call, below `/_synapse/admin`.
fn synapse_admin() -> Router<Arc<App>> {
    use super::synapse::{join_room, make_room_admin, register, server_version, user, user_admin};
    Router::new()
        .route(
            "/v1/register",
            get(register::get_nonce).post(register::register),
        )
        .route("/v1/server_version", get(server_version::server_version))
        .route(
            "/v1/users/{user_id}/admin",
            get(user_admin::get_user_admin).put(user_admin::put_user_admin),
        )
        .route(
            "/v2/users/{user_id}",
            get(user::get_user).put(user::put_user),
        )
        .route("/v1/join/{room}", post(join_room::join_room))
        .route(
            "/v1/rooms/{room}/make_room_admin",
            post(make_room_admin::make_room_admin),
        )
}

fn devices() -> Router<Arc<App>> {
    Router::new()
        .route("/logout", post(session::logout::logout))
        .route("/logout/all", post(session::logout_all::logout_all))
        .route("/refresh", post(session::refresh_token::refresh_token))
        .route("/devices", get(device::get_devices::get_devices))
        .route(
            "/devices/{device_id}",
            get(device::get_device::get_device)
                .put(device::update_device::update_device)
                .delete(device::delete_device::delete_device),
        )
        .route(
            "/delete_devices",
            post(device::delete_devices::delete_devices),
        )
        .route(
            "/sendToDevice/{event_type}/{txn_id}",
            put(to_device::send_event_to_device::send_event_to_device),
        )
}

fn encryption() -> Router<Arc<App>> {
    Router::new()
        .route("/keys/upload", post(keys::upload_keys::upload_keys))
        // With the device id in the path, as clients before r0.6 send it.
        .route(
            "/keys/upload/{device_id}",
            post(keys::upload_keys::upload_keys),
        )
        .route("/keys/query", post(keys::get_keys::get_keys))
        .route("/keys/claim", post(keys::claim_keys::claim_keys))
        .route(
            "/keys/changes",
            get(keys::get_key_changes::get_key_changes),
        )
        .route(
            "/keys/device_signing/upload",
            post(keys::upload_signing_keys::upload_signing_keys),
        )
        .route(
            "/keys/signatures/upload",
            post(keys::upload_signatures::upload_signatures),
        )
}

fn rooms() -> Router<Arc<App>> {
    use membership::{
        ban_user, forget_room, invite_user, join_room_by_id, join_room_by_id_or_alias,
        joined_rooms, kick_user, leave_room, unban_user,
    };
    Router::new()
        .route("/createRoom", post(room::create_room::create_room))
        .route(
            "/createRoom/{txn_id}",
            put(room::create_room::create_room_once),
        )
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
    use redact::redact_event::{redact_event, redact_without_txn};
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
            "/rooms/{room_id}/redact/{event_id}",
            post(redact_without_txn),
        )
        .route(
            "/rooms/{room_id}/redact/{event_id}/{txn_id}",
            put(redact_event),
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
        get_room_event::{get_event, get_room_event},
        report_content::{report_content, report_room},
    };
    Router::new()
        .route(
            "/rooms/{room_id}/messages",
            get(message::get_message_events::get_message_events),
        )
        .route("/rooms/{room_id}/event/{event_id}", get(get_room_event))
        .route("/events/{event_id}", get(get_event))
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
    use appservice::{
        answer_transaction::answer_transaction, get_next_transaction::get_next_transaction,
        get_status::get_status, open_websocket::open_websocket, replay::replay,
        request_ping::request_ping, set_state::set_state,
    };
    Router::new()
        .route("/fi.mau.as_sync", get(open_websocket))
        .route(
            "/org.bridgehead.appservice/{appservice_id}/transactions/next",
            get(get_next_transaction),
        )
        .route(
            "/org.bridgehead.appservice/{appservice_id}/transactions/{txn_id}",
            post(answer_transaction),
        )
        .route(
            "/org.bridgehead.appservice/{appservice_id}/state",
            put(set_state),
        )
        .route(
            "/org.bridgehead.appservice/{appservice_id}/status",
            get(get_status),
        )
        .route(
            "/org.bridgehead.appservice/{appservice_id}/replay",
            post(replay),
        )
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

fn sync() -> Router<Arc<App>> {
    Router::new()
        .route("/sync", get(sync::sync_events::sync_events))
        .route(
            "/events",
            get(sync::listen_to_new_events::listen_to_new_events),
        )
        .route("/initialSync", get(sync::initial_sync::initial_sync))
        .route(
            "/rooms/{room_id}/initialSync",
            get(sync::room_initial_sync::room_initial_sync),
        )
        .route(
            "/user/{user_id}/filter",
            post(filter::create_filter::create_filter),
        )
        .route(
            "/user/{user_id}/filter/{filter_id}",
            get(filter::get_filter::get_filter),
        )
}
fn ephemeral() -> Router<Arc<App>> {
    use super::client::{
        presence::{get_presence::get_presence, set_presence::set_presence},
        read_marker::set_read_marker::set_read_marker,
        receipt::create_receipt::create_receipt,
        typing::create_typing_event::create_typing_event,
    };
    Router::new()
        .route(
            "/rooms/{room_id}/typing/{user_id}",
            put(create_typing_event),
        )
        .route(
            "/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
            post(create_receipt),
        )
        .route("/rooms/{room_id}/read_markers", post(set_read_marker))
        .route(
            "/presence/{user_id}/status",
            get(get_presence).put(set_presence),
        )
}

fn user_data() -> Router<Arc<App>> {
    use super::client::{
        config::{
            get_global_account_data::get_global_account_data,
            get_room_account_data::get_room_account_data,
            set_global_account_data::set_global_account_data,
            set_room_account_data::set_room_account_data,
        },
        tag::{create_tag::create_tag, delete_tag::delete_tag, get_tags::get_tags},
    };
    Router::new()
        .route(
            "/user/{user_id}/account_data/{type}",
            get(get_global_account_data).put(set_global_account_data),
        )
        .route(
            "/user/{user_id}/rooms/{room_id}/account_data/{type}",
            get(get_room_account_data).put(set_room_account_data),
        )
        .route("/user/{user_id}/rooms/{room_id}/tags", get(get_tags))
        .route(
            "/user/{user_id}/rooms/{room_id}/tags/{tag}",
            put(create_tag).delete(delete_tag),
        )
}

fn push() -> Router<Arc<App>> {
    use super::client::push::{
        delete_pushrule::delete_pushrule, get_pushers::get_pushers, get_pushrule::get_pushrule,
        get_pushrule_actions::get_pushrule_actions, get_pushrule_enabled::get_pushrule_enabled,
        get_pushrules_all::get_pushrules_all,
        get_pushrules_global_scope::get_pushrules_global_scope, set_pusher::set_pusher,
        set_pushrule::set_pushrule, set_pushrule_actions::set_pushrule_actions,
        set_pushrule_enabled::set_pushrule_enabled,
    };
    Router::new()
        .route("/pushrules", get(get_pushrules_all))
        .route("/pushrules/global", get(get_pushrules_global_scope))
        .route(
            "/pushrules/global/{kind}/{rule_id}",
            get(get_pushrule).put(set_pushrule).delete(delete_pushrule),
        )
        .route(
            "/pushrules/global/{kind}/{rule_id}/enabled",
            get(get_pushrule_enabled).put(set_pushrule_enabled),
        )
        .route(
            "/pushrules/global/{kind}/{rule_id}/actions",
            get(get_pushrule_actions).put(set_pushrule_actions),
        )
        .route("/pushers", get(get_pushers))
        .route("/pushers/set", post(set_pusher))
}

fn profiles() -> Router<Arc<App>> {
    use super::client::{
        account::request_openid_token::request_openid_token,
        membership::mutual_rooms::mutual_rooms,
        profile::{
            delete_profile_field::delete_profile_field, get_profile::get_profile,
            get_profile_field::get_profile_field, set_profile_field::set_profile_field,
        },
        user_directory::search_users::search_users,
    };
    Router::new()
        .route("/profile/{user_id}", get(get_profile))
        .route(
            "/profile/{user_id}/{key}",
            get(get_profile_field)
                .put(set_profile_field)
                .delete(delete_profile_field),
        )
        .route("/uk.tcpip.msc4133/profile/{user_id}", get(get_profile))
        .route(
            "/uk.tcpip.msc4133/profile/{user_id}/{key}",
            get(get_profile_field)
                .put(set_profile_field)
                .delete(delete_profile_field),
        )
        .route("/user_directory/search", post(search_users))
        .route("/mutual_rooms", get(mutual_rooms))
        .route("/user/mutual_rooms", get(mutual_rooms))
        .route("/uk.half-shot.msc2666/user/mutual_rooms", get(mutual_rooms))
        .route(
            "/user/{user_id}/openid/request_token",
            post(request_openid_token),
        )
}

/// The few endpoints that third parties ask. This server does not federate.
fn federation() -> Router<Arc<App>> {
    use federation::{
        get_openid_userinfo::get_openid_userinfo, get_server_keys::get_server_keys,
        get_server_version::get_server_version,
    };
    Router::new()
        .route("/_matrix/federation/v1/version", get(get_server_version))
        .route(
            "/_matrix/federation/v1/openid/userinfo",
            get(get_openid_userinfo),
        )
        .route("/_matrix/key/v2/server", get(get_server_keys))
}
