//! Real people's accounts, acted for with their consent.

use std::{ops::Deref, sync::Arc};

use bridgehead_registration::Secret;

use super::Actor;
use crate::{
    Error,
    core::Core,
    handler::{Context, FromContext, Rejection, Scope},
    id::UserId,
};

/// A real person's account, for which the service acts: what they do on the other network is done by themselves here.
/// What it can do is said at [`Actor`].
#[derive(Clone, Debug)]
pub struct Puppet(Actor);

impl Deref for Puppet {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

/// The people for whom the service may act: takes an id, gives a [`Puppet`].
#[derive(Clone)]
pub struct Puppets {
    core: Arc<Core>,
    scope: Option<Scope>,
}

impl Puppets {
    pub(crate) fn new(core: Arc<Core>, scope: Option<Scope>) -> Self {
        Self { core, scope }
    }

    /// Acts for a person: with the access token they gave ([`with_token`](Self::with_token)), or with the service's
    /// own where its registration has them in a namespace.
    ///
    /// # Errors
    /// When the service may not act for them.
    pub fn user(&self, user: &UserId) -> Result<Puppet, Error> {
        if self.core.may_act_as(user) {
            return Ok(self.puppet(user));
        }
        Err(Error::Unsupported(format!(
            "this service may not act for {user}: they have to give it an access token, or the registration has to have \
             them in its namespaces"
        )))
    }

    /// Acts for a person with their own access token, from now on and until the service ends.
    pub fn with_token(&self, user: &UserId, token: Secret) -> Puppet {
        self.core.client.set_token(user, Some(token));
        self.puppet(user)
    }

    /// Forgets a person's access token.
    pub fn forget_token(&self, user: &UserId) {
        self.core.client.set_token(user, None);
    }

    fn puppet(&self, user: &UserId) -> Puppet {
        Puppet(Actor {
            core: self.core.clone(),
            user: user.clone(),
            scope: self.scope.clone(),
        })
    }
}

impl Core {
    /// Whether requests can be made as this user.
    pub(crate) fn may_act_as(&self, user: &UserId) -> bool {
        self.is_own(user) || self.client.has_token(user) || self.rooms.interest().user(user)
    }
}

impl FromContext for Puppets {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(context.core.clone(), Some(context.scope.clone())))
    }
}
