//! Who asks: found out before anything else of a request is looked at.

use std::{convert::Infallible, future::ready, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bridgehead_registration::Secret;
use http::{HeaderMap, Uri, header, request::Parts};

use super::{Api, error::ProvisionError, session};
use crate::{
    Bot, Ghosts, Room,
    bridge::{Level, backfill::Backfills, puppets::Puppets},
    core::Core,
    id::{RoomId, UserId},
    media::MediaRepo,
    store::Store,
};

/// Who asks, and the service to act with. Handlers of the provisioning API take it as an argument.
#[derive(Clone)]
pub struct Caller {
    core: Arc<Core>,
    user: UserId,
    /// The token of their session; `None`: the shared secret.
    session: Option<Secret>,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.user, f)
    }
}

impl Caller {
    /// The person who asks, or for whom a program of the operator does.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.user
    }

    /// Whether it is a program of the operator, with the shared secret.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.session.is_none()
    }

    /// The service's own user.
    #[must_use]
    pub fn bot(&self) -> Bot {
        Bot::outside(self.core.clone())
    }

    /// The service's ghosts.
    #[must_use]
    pub fn ghosts(&self) -> Ghosts {
        Ghosts::new(self.core.clone(), None)
    }

    /// The people for whom the service acts.
    #[must_use]
    pub fn puppets(&self) -> Puppets {
        Puppets::new(self.core.clone(), None)
    }

    /// The homeserver's media.
    #[must_use]
    pub fn media(&self) -> MediaRepo {
        MediaRepo::new(&self.core)
    }

    /// Histories.
    #[must_use]
    pub fn backfills(&self) -> Backfills {
        Backfills::new(self.core.clone())
    }

    /// The service's database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// Whether this person is in the room and has the power to say there what it is bridged to (`m.bridge`).
    ///
    /// # Errors
    /// When nobody of the service's is in the room, so that its state is not known.
    pub async fn may_change(&self, room: &RoomId) -> Result<bool, ProvisionError> {
        self.may_set(room, "m.bridge").await
    }

    /// Whether this person is in the room and has the power to change its state of this type.
    ///
    /// # Errors
    /// As [`may_change`](Self::may_change).
    pub async fn may_set(&self, room: &RoomId, kind: &str) -> Result<bool, ProvisionError> {
        let room = Room::new(self.core.clone(), room.clone(), None);
        let member = room.member(&self.user).await?.known();
        let levels = room.power_levels().await?.known();
        let (Some(member), Some(levels)) = (member, levels) else {
            let bot = &self.core.bot;
            let message = format!("{bot} does not see this room: invite it first");
            return Err(ProvisionError::forbidden(message));
        };
        let is_in = member.is_some_and(|member| member.is_joined());
        Ok(is_in && levels.of(&self.user).is_at_least(levels.to_set(kind)))
    }

    /// Whether this person is in the room, as far as the service knows.
    ///
    /// # Errors
    /// When the room's state cannot be read.
    pub async fn is_in(&self, room: &RoomId) -> Result<bool, ProvisionError> {
        let room = Room::new(self.core.clone(), room.clone(), None);
        let member = room.member(&self.user).await?.known();
        Ok(member.flatten().is_some_and(|member| member.is_joined()))
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn session(&self) -> Option<&Secret> {
        self.session.as_ref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ProvisionError;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProvisionError>> + Send {
        // Only routes below the mount have one; elsewhere nobody has been checked.
        let caller = parts.extensions.get::<Self>().cloned();
        ready(caller.ok_or_else(ProvisionError::missing_token))
    }
}

/// Lets nobody pass whose token is not good.
pub(super) async fn check(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Infallible> {
    let found = caller(&api, request.headers(), request.uri()).await;
    Ok(match found {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    })
}

async fn caller(api: &Api, headers: &HeaderMap, uri: &Uri) -> Result<Caller, ProvisionError> {
    let caller = who_asks(api, headers, uri).await?;
    // Permissions may be others by now than when they logged in.
    check_level(&api.core, caller.user_id(), Level::Relay)?;
    Ok(caller)
}

/// Refuses those who may do less than this.
pub(super) fn check_level(core: &Core, user: &UserId, least: Level) -> Result<(), ProvisionError> {
    match core.level(user) >= least {
        true => Ok(()),
        false => Err(ProvisionError::forbidden("you may not use this bridge")),
    }
}

async fn who_asks(api: &Api, headers: &HeaderMap, uri: &Uri) -> Result<Caller, ProvisionError> {
    let token = bearer(headers).ok_or_else(ProvisionError::missing_token)?;
    let core = api.core.clone();
    if api
        .secret
        .as_ref()
        .is_some_and(|secret| secret.matches(&token))
    {
        return Ok(Caller {
            user: named(uri)?,
            core,
            session: None,
        });
    }
    Ok(Caller {
        user: session::owner(&core, &token).await?,
        core,
        session: Some(Secret::new(token)),
    })
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim().to_owned())
}

/// The person whom a program of the operator acts for.
fn named(uri: &Uri) -> Result<UserId, ProvisionError> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut pairs = url::form_urlencoded::parse(query);
    let user = pairs.find(|(key, _)| key == "user_id");
    let (_, user) = user.ok_or_else(|| {
        ProvisionError::bad_request("the shared secret says nothing of who asks: add `?user_id=`")
    })?;
    UserId::parse(&user).map_err(|error| ProvisionError::bad_request(error.to_string()))
}
