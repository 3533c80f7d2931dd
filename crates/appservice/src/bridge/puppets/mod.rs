//! Puppets: real accounts of people that the service acts for (*double puppeting*), so that what somebody says on the other
//! network is said by themselves on Matrix, and not by a ghost of theirs.
//!
//! There are three ways to be allowed to ([`Consent`]). What is sent as a person is marked, so that its echo is known and
//! not bridged back. Tokens are stored encrypted and outlast restarts; one that the homeserver does not know any more is
//! forgotten, and its owner is told.
//!
//! ```no_run
//! # use bridgehead_appservice::{prelude::*, bridge::puppets::Puppets};
//! # async fn f(puppets: Puppets, ghost: Ghost, alice: UserId, room: RoomId) -> Result<(), Error> {
//! // Somebody has written on the other network; they may have an account here too.
//! match puppets.of(&alice) {
//!     Some(puppet) => puppet.send(&room, "hello").await?,
//!     None => ghost.send(&room, "hello").await?,
//! };
//! # Ok(())
//! # }
//! ```

mod seal;
mod table;
mod tell;

use std::sync::Arc;

use bridgehead_registration::{Registration, Secret, anchored};
use parking_lot::Mutex;
use regex::RegexSet;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::seal::Seal;
pub(crate) use self::table::PuppetTable;
use crate::{
    Error,
    actors::{Actor, Puppet},
    client::{Call, Token},
    core::Core,
    handler::{Context, FromContext, Rejection, Scope},
    id::UserId,
    store::{PuppetRow, StoreError},
};

/// Persons at most.
const MAX_PUPPETS: usize = 100_000;

/// Rows read at a time.
const PAGE: usize = 500;

/// Longest access token that is taken, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// What lets the service act for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consent {
    /// The registration has a namespace of users, not exclusive, which they are in: the operator has decided for all.
    Registration,
    /// They have given an access token of theirs.
    Token,
    /// The homeserver has given the service an access token for them (`m.login.application_service`), as the registration
    /// lets it.
    Login,
}

impl Consent {
    fn number(self) -> i64 {
        match self {
            Self::Registration => 0,
            Self::Token => 1,
            Self::Login => 2,
        }
    }

    fn of(number: i64) -> Self {
        match number {
            0 => Self::Registration,
            1 => Self::Token,
            _ => Self::Login,
        }
    }
}

/// Why the service cannot act for somebody. Displays as a sentence for people.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PuppetError {
    /// The homeserver does not know the token.
    #[error("the homeserver does not know this access token: log in again and give the new one")]
    BadToken,
    /// The token is somebody else's.
    #[error("this access token belongs to {0}, and was given for somebody else")]
    NotTheirs(UserId),
    /// One of the service's own users, which it acts as anyway.
    #[error("{0} is the service's own user")]
    Own(UserId),
    /// The registration does not allow it.
    #[error(
        "the registration has no namespace of users with `exclusive: false` that {0} is in: declare one with \
         `Service::watch_users`, or ask for an access token"
    )]
    NotAllowed(UserId),
    /// There are too many already.
    #[error("the service acts for {0} people already, and for no more")]
    Full(usize),
    /// The homeserver could not be asked, or said no.
    #[error(transparent)]
    Homeserver(#[from] Error),
}

impl From<StoreError> for PuppetError {
    fn from(error: StoreError) -> Self {
        Self::Homeserver(error.into())
    }
}

/// A person for whom the service acts, or has acted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PuppetStatus {
    /// Who.
    pub user_id: UserId,
    /// What lets the service act for them.
    pub consent: Consent,
    /// Since when, ms since the Unix epoch.
    pub since_ms: i64,
    /// When their token was found to be no longer good, ms since the Unix epoch: nothing is done for them since then.
    pub lost_ms: Option<i64>,
}

/// What a running service needs for its puppets, beside the table.
pub(crate) struct PuppetKeeper {
    seal: Seal,
    /// The registration's namespaces that are not exclusive.
    allowed: RegexSet,
    /// Taken by the task that tells people.
    losses: Mutex<Option<mpsc::Receiver<UserId>>>,
}

impl PuppetKeeper {
    /// `secret` is the operator's, or else the service's token stands in for it.
    pub(crate) fn new(
        registration: &Registration,
        secret: Option<&Secret>,
        losses: mpsc::Receiver<UserId>,
    ) -> Self {
        let shared = registration.users.iter().filter(|users| !users.exclusive);
        let patterns: Vec<String> = shared.map(|users| anchored(&users.regex)).collect();
        Self {
            seal: Seal::new(secret.unwrap_or(&registration.as_token)),
            // Patterns with look-around are the homeserver's business.
            allowed: RegexSet::new(patterns).unwrap_or_else(|_| RegexSet::empty()),
            losses: Mutex::new(Some(losses)),
        }
    }
}

impl Core {
    /// Reads whom the service acts for, before anything is sent, and begins to watch over their tokens.
    pub(crate) async fn begin_puppets(self: &Arc<Self>) -> Result<(), StoreError> {
        let (mut after, mut sealed) = (String::new(), 0_usize);
        loop {
            let from = after.clone();
            let rows = self
                .store
                .read(move |unit| unit.puppets(&from, PAGE))
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.user_id.clone();
            sealed += rows.iter().filter(|row| !self.load_puppet(row)).count();
        }
        if sealed > 0 {
            tracing::warn!(
                people = sealed,
                "the tokens of people were sealed with another secret, and are of no use now: give the service the \
                 secret of before (`puppet_secret`; without one it is the registration's `as_token`), or have them give \
                 their tokens again"
            );
        }
        if let Some(losses) = self.puppets.losses.lock().take() {
            tokio::spawn(tell::watch(Arc::downgrade(self), losses));
        }
        Ok(())
    }

    /// `false` where a token cannot be read. It is kept, and nobody is told: with the secret of before it is good again.
    fn load_puppet(&self, row: &PuppetRow) -> bool {
        let Ok(user) = UserId::parse(&row.user_id) else {
            return true;
        };
        if row.lost_ms.is_some() {
            return true;
        }
        let table = self.client.puppets();
        if Consent::of(row.consent) == Consent::Registration {
            // A registration that has changed since allows it no more.
            if self.puppets.allowed.is_match(user.as_str()) {
                table.insert(user, None);
            }
            return true;
        }
        let sealed = row.token.as_deref().unwrap_or_default();
        let token = self.puppets.seal.open(&user, sealed);
        let is_readable = token.is_some();
        if is_readable {
            table.insert(user, token);
        }
        is_readable
    }

    /// Whether an event was sent by the service: by one of its own users, or by it as a person.
    pub(crate) fn is_own_event(&self, event: &crate::Event) -> bool {
        self.is_own(&event.sender)
            || self
                .client
                .puppets()
                .is_marked(&event.sender, &event.content)
    }
}

/// The answer to *who am I* (client-server API, `GET /_matrix/client/v3/account/whoami`).
#[derive(Deserialize)]
struct WhoAmI {
    user_id: UserId,
}

/// The people for whom the service acts. Handlers take it as an argument.
#[derive(Clone)]
pub struct Puppets {
    core: Arc<Core>,
    scope: Option<Scope>,
}

impl FromContext for Puppets {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(context.core.clone(), Some(context.scope.clone())))
    }
}

impl Puppets {
    pub(crate) fn new(core: Arc<Core>, scope: Option<Scope>) -> Self {
        Self { core, scope }
    }

    /// The person, to act as them; `None` when they have not consented.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Option<Puppet> {
        self.core
            .client
            .puppets()
            .has(user)
            .then(|| self.puppet(user))
    }

    fn puppet(&self, user: &UserId) -> Puppet {
        Puppet(Actor {
            core: self.core.clone(),
            user: user.clone(),
            scope: self.scope.clone(),
        })
    }

    /// Acts for a person from now on with an access token that they have given. It is asked whose it is, stored
    /// encrypted, and outlasts restarts. An earlier one is forgotten.
    ///
    /// # Errors
    /// When the token is not good, or somebody else's.
    pub async fn adopt(&self, user: &UserId, access_token: Secret) -> Result<Puppet, PuppetError> {
        self.adopt_as(user, access_token, Consent::Token).await
    }

    /// Acts for a person from now on because the registration allows it: it has a namespace of users that they are in
    /// and that is not exclusive. The homeserver is asked whether it agrees.
    ///
    /// # Errors
    /// When the registration does not allow it, or the homeserver does not.
    pub async fn adopt_by_registration(&self, user: &UserId) -> Result<Puppet, PuppetError> {
        self.check_allowed(user)?;
        let call = Call::get("/_matrix/client/v3/account/whoami").by(Some(user));
        let found: WhoAmI = self.core.client.ask(&call).await?;
        if found.user_id != *user {
            return Err(PuppetError::NotTheirs(found.user_id));
        }
        self.remember(user, None, Consent::Registration).await
    }

    /// Acts for a person from now on with an access token that the homeserver gives the service for them
    /// (`m.login.application_service`), as the registration allows. Unlike
    /// [`adopt_by_registration`](Self::adopt_by_registration) this makes a device, which the person sees in their client
    /// and can log out.
    ///
    /// # Errors
    /// When the registration does not allow it, or the homeserver has no such login.
    pub async fn log_in(&self, user: &UserId) -> Result<Puppet, PuppetError> {
        #[derive(Deserialize)]
        struct LoggedIn {
            access_token: String,
        }
        self.check_allowed(user)?;
        let body = json!({
            "type": "m.login.application_service",
            "identifier": { "type": "m.id.user", "user": user.as_str() },
            "initial_device_display_name": &*self.core.name,
        });
        let call = Call::post("/_matrix/client/v3/login", &body);
        let logged_in: LoggedIn = self.core.client.ask(&call).await?;
        let token = Secret::new(logged_in.access_token);
        self.adopt_as(user, token, Consent::Login).await
    }

    /// Acts for a person no more. A session that the service has made itself is logged out; one that they have given is
    /// theirs and stays. `false` when there was nothing to end.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn drop(&self, user: &UserId) -> Result<bool, Error> {
        let table = self.core.client.puppets();
        let token = table.token(user);
        let id = user.to_string();
        let row = self.core.store.read(move |unit| unit.puppet(&id)).await?;
        let id = user.to_string();
        let existed = self
            .core
            .store
            .write(move |unit| unit.delete_puppet(&id))
            .await?;
        table.remove(user);
        let is_ours = row.is_some_and(|row| Consent::of(row.consent) == Consent::Login);
        if let Some(token) = token
            && is_ours
        {
            self.log_out(user, token).await;
        }
        Ok(existed)
    }

    /// How the service stands with a person; `None` when it does not act for them and never did, or has stopped.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn status(&self, user: &UserId) -> Result<Option<PuppetStatus>, Error> {
        let id = user.to_string();
        let row = self.core.store.read(move |unit| unit.puppet(&id)).await?;
        Ok(row.and_then(|row| status_of(&row)))
    }

    /// All of them by their ids, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<PuppetStatus>, Error> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let limit = limit.min(PAGE);
        let rows = self
            .core
            .store
            .read(move |unit| unit.puppets(&after, limit))
            .await?;
        Ok(rows.iter().filter_map(status_of).collect())
    }

    async fn adopt_as(
        &self,
        user: &UserId,
        token: Secret,
        consent: Consent,
    ) -> Result<Puppet, PuppetError> {
        if self.core.is_own(user) {
            return Err(PuppetError::Own(user.clone()));
        }
        let is_token = !token.expose().is_empty()
            && token.expose().len() <= MAX_TOKEN_BYTES
            && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return Err(PuppetError::BadToken);
        }
        let call =
            Call::get("/_matrix/client/v3/account/whoami").token(Token::Given(token.clone()));
        let found: WhoAmI = match self.core.client.ask(&call).await {
            Err(error) if error.status() == Some(401) => return Err(PuppetError::BadToken),
            other => other?,
        };
        if found.user_id != *user {
            return Err(PuppetError::NotTheirs(found.user_id));
        }
        self.remember(user, Some(token), consent).await
    }

    async fn remember(
        &self,
        user: &UserId,
        token: Option<Secret>,
        consent: Consent,
    ) -> Result<Puppet, PuppetError> {
        let core = &self.core;
        let sealed = token.as_ref().map(|token| {
            let randomness = &*core.surroundings.randomness;
            core.puppets.seal.close(user, token, randomness)
        });
        let row = PuppetRow {
            user_id: user.to_string(),
            consent: consent.number(),
            token: sealed,
            since_ms: core.now_ms(),
            lost_ms: None,
        };
        let before = core
            .store
            .write(move |unit| {
                let before = unit.puppet(&row.user_id)?;
                if before.is_none() && unit.count_puppets()? >= MAX_PUPPETS {
                    return Ok(None);
                }
                unit.put_puppet(&row)?;
                Ok(Some(before))
            })
            .await?
            .ok_or(PuppetError::Full(MAX_PUPPETS))?;
        let was_ours = before.is_some_and(|row| Consent::of(row.consent) == Consent::Login);
        let replaced = core.client.puppets().token(user);
        core.client.puppets().insert(user.clone(), token.clone());
        if let Some(replaced) = replaced
            && was_ours
            && token.as_ref() != Some(&replaced)
        {
            self.log_out(user, replaced).await;
        }
        core.forget_refusals_of(user);
        tracing::info!(%user, ?consent, "the service acts for a person");
        Ok(self.puppet(user))
    }

    fn check_allowed(&self, user: &UserId) -> Result<(), PuppetError> {
        if self.core.is_own(user) {
            return Err(PuppetError::Own(user.clone()));
        }
        let is_local = user.server() == &*self.core.server_name;
        if is_local && self.core.puppets.allowed.is_match(user.as_str()) {
            Ok(())
        } else {
            Err(PuppetError::NotAllowed(user.clone()))
        }
    }

    async fn log_out(&self, user: &UserId, token: Secret) {
        let call = Call::post("/_matrix/client/v3/logout", &json!({})).token(Token::Given(token));
        if let Err(error) = self.core.client.ask::<Value>(&call).await {
            tracing::warn!(%user, %error, "a puppet's session was not logged out");
        }
    }
}

fn status_of(row: &PuppetRow) -> Option<PuppetStatus> {
    Some(PuppetStatus {
        user_id: UserId::parse(&row.user_id).ok()?,
        consent: Consent::of(row.consent),
        since_ms: row.since_ms,
        lost_ms: row.lost_ms,
    })
}
