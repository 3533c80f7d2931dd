//! Who calls: from a token (and, for application services, an asserted identity) to a
//! [`Requester`].
//!
//! Application-service API, "Identity assertion" and "Timestamp massaging".

use std::{net::SocketAddr, sync::Arc};

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use http::{header, request::Parts};
use ruma::{OwnedUserId, UserId};
use sha2::{Digest as _, Sha256};

use super::{address::ClientAddress, error::ApiError};
use crate::{app::App, appservices::Appservice};

/// Who calls. `user_id` is the asserted user when an application service acts as one.
#[derive(Clone)]
pub(crate) struct Requester {
    /// The user that acts.
    pub(crate) user_id: OwnedUserId,
    /// The device it acts with; application services may act without one.
    pub(crate) device_id: Option<String>,
    /// The application service behind it.
    pub(crate) appservice: Option<Arc<Appservice>>,
    /// A guest account.
    pub(crate) is_guest: bool,
}

impl Requester {
    /// What distinguishes transaction ids of different senders of one user.
    pub(crate) fn txn_scope(&self) -> String {
        match (&self.appservice, &self.device_id) {
            (Some(service), Some(device)) => format!("as:{}/{device}", service.registration.id),
            (Some(service), None) => format!("as:{}", service.registration.id),
            (None, device) => format!("device:{}", device.as_deref().unwrap_or_default()),
        }
    }

    /// Whether rate limits do not apply: application services, unless their registration says
    /// otherwise, and always a service's own user.
    pub(crate) fn is_exempt_from_limits(&self) -> bool {
        self.appservice.as_ref().is_some_and(|service| {
            !service.registration.rate_limited || self.user_id == service.sender
        })
    }

    /// Whether this is the user itself or the application service acting as it.
    pub(crate) fn is(&self, user_id: &UserId) -> bool {
        self.user_id == user_id
    }

    /// Refuses when the path names another user than the requester.
    pub(crate) fn must_be(&self, user_id: &UserId) -> Result<(), ApiError> {
        if self.is(user_id) {
            Ok(())
        } else {
            Err(ApiError::forbidden(format!(
                "{} cannot act for {user_id}",
                self.user_id
            )))
        }
    }

    /// The device, for endpoints that make no sense without one.
    pub(crate) fn device(&self) -> Result<&str, ApiError> {
        self.device_id.as_deref().ok_or_else(|| {
            ApiError::missing_param(
                "This endpoint works on a device; an application service names it with ?device_id=",
            )
        })
    }
}

impl FromRequestParts<Arc<App>> for Requester {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = token_of(parts)
            .ok_or_else(|| ApiError::missing_token("This endpoint needs an access token"))?;
        let requester = authenticate(app, parts, &token).await?;
        if requester.is_guest && !guest_may(parts) {
            return Err(ApiError::guest_access_forbidden("Guests may not do this"));
        }
        Ok(requester)
    }
}

/// For endpoints that work without a token: none, or one that is nobody's, is as good as any. An
/// application service's identity assertion is checked all the same, and refused if it must be.
pub(crate) struct AnyToken;

impl FromRequestParts<Arc<App>> for AnyToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Some(token) = token_of(parts) else {
            return Ok(Self);
        };
        match authenticate(app, parts, &token).await {
            Err(error) if error.errcode() != "M_UNKNOWN_TOKEN" => Err(error),
            _ => Ok(Self),
        }
    }
}

/// A person who runs the server, for the endpoints that only such may use.
pub(crate) struct Admin(pub(crate) Requester);

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let requester = Requester::from_request_parts(parts, app).await?;
        let id = requester.user_id.to_string();
        let row = app.store.read(move |s| s.user(&id)).await?;
        // A service with a wide namespace can act as an administrator, which must not make it one;
        // its own user may be made one.
        let own = requester
            .appservice
            .as_ref()
            .is_none_or(|service| service.sender == requester.user_id);
        if own && row.is_some_and(|row| row.is_admin) {
            return Ok(Self(requester));
        }
        Err(ApiError::forbidden("Only an administrator may do this"))
    }
}

/// The application service whose token this is, without an asserted identity: for `/login`,
/// `/register` and the endpoints that are the service's own. The flag says whether there was a
/// token at all.
pub(crate) struct AppserviceToken(pub(crate) Option<Arc<Appservice>>, pub(crate) bool);

/// 401 for what only an application service may do.
pub(crate) fn needs_service(token_given: bool) -> ApiError {
    if token_given {
        ApiError::unknown_token("The token is no application service's")
    } else {
        ApiError::missing_token("This needs an application service's token")
    }
}

impl FromRequestParts<Arc<App>> for AppserviceToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Some(token) = token_of(parts) else {
            return Ok(Self(None, false));
        };
        let service = app.registry().by_token(&hash(&token));
        if let Some(service) = &service {
            check_address(service, parts)?;
            service.sign_of_life();
        }
        Ok(Self(service, true))
    }
}

/// SHA-256 of a token: what the store and the registry keep. Looking it up by hash takes no
/// longer for a nearly right token than for a wrong one.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The access token: header, or query as clients before v1.11 send it. The header wins.
pub(crate) fn token_of(parts: &Parts) -> Option<String> {
    header_token(parts)
        .or_else(|| query_value(parts, "access_token"))
        .filter(|token| !token.is_empty())
}

/// The token of the header.
pub(crate) fn header_token(parts: &Parts) -> Option<String> {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned())
}

fn query_value(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

async fn authenticate(app: &Arc<App>, parts: &Parts, token: &str) -> Result<Requester, ApiError> {
    let token_hash = hash(token);
    if let Some(service) = app.registry().by_token(&token_hash) {
        check_address(&service, parts)?;
        service.sign_of_life();
        return assert_identity(app, parts, service).await;
    }
    let owner = app
        .sessions
        .owner_of(&app.store, &token_hash)
        .await?
        .ok_or_else(|| {
            ApiError::unknown_token("Unknown access token; log in again, or (application services) compare it with the registration")
                .with("soft_logout", false.into())
        })?;
    if owner.expires_at.is_some_and(|at| at <= app.now_ms()) {
        return Err(
            ApiError::unknown_token("The access token has expired; refresh it")
                .with("soft_logout", true.into()),
        );
    }
    if owner.deactivated {
        return Err(ApiError::unknown_token("The account is deactivated"));
    }
    let address = ClientAddress::of(parts);
    app.last_seen
        .note(&token_hash, &owner, address, app.now_ms());
    let user_id = OwnedUserId::try_from(owner.user_id).map_err(|e| ApiError::internal(&e))?;
    Ok(Requester {
        user_id,
        device_id: Some(owner.device_id),
        appservice: None,
        is_guest: owner.is_guest,
    })
}

async fn assert_identity(
    app: &Arc<App>,
    parts: &Parts,
    service: Arc<Appservice>,
) -> Result<Requester, ApiError> {
    let user_id = match query_value(parts, "user_id") {
        None => service.sender.clone(),
        Some(text) => {
            let user_id = OwnedUserId::try_from(text.as_str()).map_err(|_| {
                ApiError::invalid_param(format!("user_id `{text}` is not a user id"))
            })?;
            if user_id != service.sender {
                check_asserted(app, &service, &user_id).await?;
            }
            user_id
        }
    };
    let device_id = query_value(parts, "device_id")
        .or_else(|| query_value(parts, "org.matrix.msc3202.device_id"));
    if let Some(device_id) = &device_id {
        let (user, device) = (user_id.to_string(), device_id.clone());
        let known = app
            .store
            .read(move |s| s.device(&user, &device))
            .await?
            .is_some();
        if !known {
            return Err(ApiError::unknown_device(format!(
                "{user_id} has no device {device_id}"
            )));
        }
    }
    Ok(Requester {
        user_id,
        device_id,
        appservice: Some(service),
        is_guest: false,
    })
}

async fn check_asserted(
    app: &Arc<App>,
    service: &Appservice,
    user_id: &UserId,
) -> Result<(), ApiError> {
    if !app.registry().owns_user(service, user_id) {
        return Err(ApiError::forbidden(format!(
            "Application service cannot masquerade as {user_id}: it is outside its user namespaces"
        )));
    }
    match app.sessions.user_state(&app.store, user_id).await? {
        None => Err(ApiError::forbidden(format!(
            "Application service has not registered this user ({user_id})"
        ))),
        Some(state) if state.deactivated => Err(ApiError::user_deactivated(format!(
            "{user_id} is deactivated"
        ))),
        Some(_) => Ok(()),
    }
}

/// `ip_range_whitelist`: the token is good only from those addresses.
fn check_address(service: &Appservice, parts: &Parts) -> Result<(), ApiError> {
    if service.registration.ip_range_whitelist.is_empty() {
        return Ok(());
    }
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    if peer.is_some_and(|peer| service.allows_address(peer)) {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "The application service may not call from this address",
        ))
    }
}

/// Endpoints open to guests (client-server API, "Guest access").
fn guest_may(parts: &Parts) -> bool {
    const OPEN: &[&str] = &[
        "/rooms/{room_id}/state",
        "/rooms/{room_id}/context/",
        "/rooms/{room_id}/event/",
        "/rooms/{room_id}/messages",
        "/rooms/{room_id}/members",
        "/rooms/{room_id}/joined_members",
        "/rooms/{room_id}/initialSync",
        "/rooms/{room_id}/join",
        "/rooms/{room_id}/leave",
        "/rooms/{room_id}/forget",
        "/rooms/{room_id}/send/",
        "/rooms/{room_id}/typing/",
        "/rooms/{room_id}/receipt/",
        "/rooms/{room_id}/read_markers",
        "/join/{room_id_or_alias}",
        "/sync",
        "/events",
        "/profile/",
        "/account/whoami",
        "/logout",
        "/devices",
        "/keys/",
        "/sendToDevice/",
        "/user/{user_id}/filter",
        "/user/{user_id}/account_data",
        "/pushrules",
        "/directory/room/",
        "/publicRooms",
        "/download/",
        "/thumbnail/",
    ];
    parts
        .extensions
        .get::<MatchedPath>()
        .is_some_and(|path| OPEN.iter().any(|open| path.as_str().contains(open)))
}
