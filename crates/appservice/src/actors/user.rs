//! The service's own user, and its ghosts.

use std::{ops::Deref, sync::Arc};

use super::Actor;
use crate::{
    Error,
    core::Core,
    handler::{Context, FromContext, Rejection, Scope},
    id::UserId,
};

/// The service's own user: the sender that its registration names. What it can do is said at [`Actor`].
#[derive(Clone, Debug)]
pub struct Bot(pub(crate) Actor);

/// A user of the service's namespace, which stands for somebody of the other network. What it can do is said at
/// [`Actor`].
#[derive(Clone, Debug)]
pub struct Ghost(pub(crate) Actor);

impl Deref for Bot {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl Deref for Ghost {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

/// A person who lets the service act for them: see [`puppets`](crate::bridge::puppets).
#[derive(Clone, Debug)]
pub struct Puppet(pub(crate) Actor);

impl Deref for Puppet {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl Bot {
    /// The service's own user, outside of handlers.
    pub(crate) fn outside(core: Arc<Core>) -> Self {
        Self(Actor {
            user: core.bot.clone(),
            core,
            scope: None,
        })
    }
}

/// The service's ghosts: takes a name, gives a [`Ghost`].
#[derive(Clone)]
pub struct Ghosts {
    core: Arc<Core>,
    scope: Option<Scope>,
}

impl Ghosts {
    pub(crate) fn new(core: Arc<Core>, scope: Option<Scope>) -> Self {
        Self { core, scope }
    }

    /// The ghost with this value in a template with one field: `users("_echo_{name}")` makes `named("Ann")` the user
    /// `@_echo__ann:server`.
    ///
    /// # Errors
    /// When no template has just one field, or the id would be too long.
    pub fn named(&self, value: &str) -> Result<Ghost, Error> {
        let field = self.core.namespaces.single_user_field().ok_or_else(|| {
            Error::Unsupported(
                "no template of users has just one field: use `with` and name the fields"
                    .to_owned(),
            )
        })?;
        self.with(&[(field, value)])
    }

    /// The ghost with these values of a template's fields.
    ///
    /// # Errors
    /// When no template has these fields, or the id would be too long.
    pub fn with(&self, values: &[(&str, &str)]) -> Result<Ghost, Error> {
        let user = self.core.namespaces.user(values);
        let user = user.map_err(|error| Error::Unsupported(error.to_string()))?;
        Ok(self.ghost(user))
    }

    /// The ghost with this id.
    ///
    /// # Errors
    /// When it is none of the service's.
    pub fn user(&self, user: &UserId) -> Result<Ghost, Error> {
        if self.core.is_own(user) {
            Ok(self.ghost(user.clone()))
        } else {
            Err(Error::Unsupported(format!(
                "{user} is none of this service's users"
            )))
        }
    }

    fn ghost(&self, user: UserId) -> Ghost {
        Ghost(Actor {
            core: self.core.clone(),
            user,
            scope: self.scope.clone(),
        })
    }
}

impl FromContext for Bot {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self(Actor {
            core: context.core.clone(),
            user: context.core.bot.clone(),
            scope: Some(context.scope.clone()),
        }))
    }
}

impl FromContext for Ghosts {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(context.core.clone(), Some(context.scope.clone())))
    }
}
