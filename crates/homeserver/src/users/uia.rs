//! User-interactive authentication (client-server API, "User-interactive authentication API"):
//! the one mechanism behind every endpoint that asks for more than a token.
//!
//! Application services are never asked (MSC4190), nor are accounts without a password: there is
//! nothing that they could be asked for.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{passwords, register::user_id_of};
use crate::{
    app::App,
    config::RateCategory,
    http::{auth::Requester, error::ApiError},
    random::Random,
};

/// Nothing to prove.
pub(crate) const DUMMY: &str = "m.login.dummy";
/// A token from the operator.
pub(crate) const REGISTRATION_TOKEN: &str = "m.login.registration_token";
/// The account's password.
pub(crate) const PASSWORD: &str = "m.login.password";

/// Sessions remembered; the oldest are forgotten first, their users start over.
const SESSIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// The stages of one way to pass.
pub(crate) type Flow = &'static [&'static str];

/// `auth` of a request's body.
#[derive(Default, Deserialize)]
pub(crate) struct AuthData {
    /// The stage, or nothing: has the session passed by now?
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    session: Option<String>,
    token: Option<String>,
    password: Option<String>,
    identifier: Option<Identifier>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    user: Option<String>,
}

/// What is guarded, and by what.
pub(crate) struct Guard<'a> {
    /// The operation, and whose: a session for one is no good for another.
    pub(crate) operation: String,
    /// The ways to pass.
    pub(crate) flows: &'a [Flow],
    /// The account whose password is asked for, with its hash.
    pub(crate) account: Option<(&'a UserId, String)>,
}

/// Lets the request pass, or answers 401 with what is to be done.
pub(crate) async fn pass(
    app: &Arc<App>,
    guard: &Guard<'_>,
    auth: Option<&AuthData>,
) -> Result<(), ApiError> {
    let Some(auth) = auth else {
        let session = app.uia.start(&app.random, &guard.operation);
        return Err(app.uia.challenge(&session, guard.flows).without_code());
    };
    let session = match &auth.session {
        Some(session) if app.uia.is_for(session, &guard.operation) => session.clone(),
        Some(_) => {
            return Err(ApiError::unknown(
                "Unknown session; start over without `auth`",
            ));
        }
        // Old clients answer the only stage at once, without asking for a session first.
        None => app.uia.start(&app.random, &guard.operation),
    };
    if let Some(stage) = auth.kind.as_deref() {
        let offered = guard.flows.iter().any(|flow| flow.contains(&stage));
        if !offered || !passes(app, guard, stage, auth).await? {
            return Err(app.uia.challenge(&session, guard.flows));
        }
        app.uia.complete(&session, stage);
    }
    if app.uia.has_passed(&session, guard.flows) {
        app.uia.end(&session);
        return Ok(());
    }
    Err(app.uia.challenge(&session, guard.flows).without_code())
}

/// Asks a logged-in person for the password of the account.
pub(crate) async fn confirm(
    app: &Arc<App>,
    requester: &Requester,
    operation: &str,
    auth: Option<&AuthData>,
) -> Result<(), ApiError> {
    if requester.appservice.is_some() {
        return Ok(());
    }
    let id = requester.user_id.to_string();
    let row = app.store.read(move |s| s.user(&id)).await?;
    let Some(hash) = row.and_then(|row| row.password_hash) else {
        return Ok(());
    };
    let guard = Guard {
        operation: format!("{operation} {}", requester.user_id),
        flows: &[&[PASSWORD]],
        account: Some((&requester.user_id, hash)),
    };
    pass(app, &guard, auth).await
}

async fn passes(
    app: &Arc<App>,
    guard: &Guard<'_>,
    stage: &str,
    auth: &AuthData,
) -> Result<bool, ApiError> {
    match stage {
        DUMMY => Ok(true),
        REGISTRATION_TOKEN => Ok(auth
            .token
            .as_deref()
            .is_some_and(|given| is_registration_token(app, given))),
        PASSWORD => has_password(app, guard, auth).await,
        _ => Ok(false),
    }
}

/// Whether people may sign up with this token.
pub(crate) fn is_registration_token(app: &App, given: &str) -> bool {
    let tokens = &app.config.accounts.registration_tokens;
    tokens.iter().any(|token| token.matches(given))
}

async fn has_password(
    app: &Arc<App>,
    guard: &Guard<'_>,
    auth: &AuthData,
) -> Result<bool, ApiError> {
    let (Some((user_id, hash)), Some(password)) = (&guard.account, &auth.password) else {
        return Ok(false);
    };
    let named = auth
        .identifier
        .as_ref()
        .and_then(|identifier| identifier.user.as_deref())
        .or(auth.user.as_deref());
    if let Some(name) = named
        && user_id_of(app, name, None)?.as_str() != *user_id
    {
        return Ok(false);
    }
    app.limits
        .check(RateCategory::Logins, user_id.as_str(), app.now_ms())?;
    Ok(passwords::verify(app, password.clone(), hash.clone()).await)
}

/// Sessions in progress.
pub(crate) struct UiaSessions {
    sessions: Mutex<LruCache<String, Session>>,
}

struct Session {
    operation: String,
    completed: BTreeSet<String>,
}

impl Session {
    fn has_passed(&self, flow: Flow) -> bool {
        flow.iter().all(|stage| self.completed.contains(*stage))
    }
}

impl UiaSessions {
    pub(crate) fn new() -> Self {
        Self {
            sessions: Mutex::new(LruCache::new(SESSIONS)),
        }
    }

    fn start(&self, random: &Random, operation: &str) -> String {
        let id = random.alphanumeric(24);
        let session = Session {
            operation: operation.to_owned(),
            completed: BTreeSet::new(),
        };
        self.sessions.lock().put(id.clone(), session);
        id
    }

    fn is_for(&self, session: &str, operation: &str) -> bool {
        self.sessions
            .lock()
            .get(session)
            .is_some_and(|session| session.operation == operation)
    }

    fn complete(&self, session: &str, stage: &str) {
        if let Some(session) = self.sessions.lock().get_mut(session) {
            session.completed.insert(stage.to_owned());
        }
    }

    fn has_passed(&self, session: &str, flows: &[Flow]) -> bool {
        self.sessions
            .lock()
            .get(session)
            .is_some_and(|session| flows.iter().any(|flow| session.has_passed(flow)))
    }

    fn end(&self, session: &str) {
        self.sessions.lock().pop(session);
    }

    /// 401 that tells the client which flows are open.
    fn challenge(&self, session: &str, flows: &[Flow]) -> ApiError {
        let completed: Vec<String> = self
            .sessions
            .lock()
            .get(session)
            .map(|session| session.completed.iter().cloned().collect())
            .unwrap_or_default();
        let flows: Vec<Value> = flows
            .iter()
            .map(|stages| json!({ "stages": stages }))
            .collect();
        ApiError::new(
            http::StatusCode::UNAUTHORIZED,
            "M_FORBIDDEN",
            "That was not right; try again",
        )
        .with("session", json!(session))
        .with("flows", json!(flows))
        .with("params", json!({}))
        .with("completed", json!(completed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, Random, UiaSessions};

    #[test]
    fn a_flow_is_passed_when_all_its_stages_are_and_for_its_operation_only() {
        const FLOWS: &[Flow] = &[&["a", "b"], &["c"]];
        let sessions = UiaSessions::new();
        let session = sessions.start(&Random::system(), "delete");
        assert!(sessions.is_for(&session, "delete"));
        assert!(!sessions.is_for(&session, "rename"));
        assert!(!sessions.is_for("other", "delete"));
        sessions.complete(&session, "a");
        assert!(!sessions.has_passed(&session, FLOWS));
        sessions.complete(&session, "b");
        assert!(sessions.has_passed(&session, FLOWS));
        sessions.end(&session);
        assert!(!sessions.is_for(&session, "delete"));
    }
}
