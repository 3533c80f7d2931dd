//! Making accounts, and the sessions that begin with them.

use std::sync::Arc;

use bridgehead_store::UserRow;
use ruma::{OwnedUserId, UserId};
use serde_json::json;

use super::devices;
use crate::{
    app::App,
    appservices::Appservice,
    http::{auth, error::ApiError},
};

/// How long an access token that comes with a refresh token lives, ms.
const ACCESS_TOKEN_TTL_MS: i64 = 5 * 60 * 1000;

/// An account to make.
#[derive(Default)]
pub(crate) struct NewAccount {
    /// PHC string; none for application services' users and guests.
    pub(crate) password_hash: Option<String>,
    /// The service that made it.
    pub(crate) appservice: Option<String>,
    /// Made for a visitor.
    pub(crate) is_guest: bool,
    /// May use the admin endpoints.
    pub(crate) is_admin: bool,
    /// Its first display name.
    pub(crate) display_name: Option<String>,
}

/// A session to begin.
#[derive(Default)]
pub(crate) struct NewSession {
    /// The device; a fresh one when none is given.
    pub(crate) device_id: Option<String>,
    /// Its name, for people.
    pub(crate) display_name: Option<String>,
    /// The client can refresh tokens.
    pub(crate) refresh: bool,
}

/// A session begun.
pub(crate) struct Session {
    pub(crate) device_id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) expires_in_ms: Option<i64>,
}

/// A localpart as a user id of this server. People get the strict grammar (specification,
/// appendices, "User identifiers") in lower case; application services may use what history
/// allowed.
pub(crate) fn user_id_of(
    app: &App,
    localpart: &str,
    service: Option<&Appservice>,
) -> Result<OwnedUserId, ApiError> {
    let bad =
        |why: &str| ApiError::invalid_username(format!("`{localpart}` is no user name: {why}"));
    let localpart = localpart
        .strip_prefix('@')
        .and_then(|id| id.strip_suffix(app.server_name.as_str())?.strip_suffix(':'))
        .unwrap_or(localpart);
    if localpart.is_empty() {
        return Err(bad("it is empty"));
    }
    let user_id = match service {
        Some(_) => format!("@{localpart}:{}", app.server_name),
        None => format!("@{}:{}", localpart.to_lowercase(), app.server_name),
    };
    let user_id = OwnedUserId::try_from(user_id)
        .map_err(|_| bad("it has characters that no user id may have, or is too long"))?;
    if service.is_none() && !strict(user_id.localpart()) {
        return Err(bad("use the letters a-z, digits and ._=-/+"));
    }
    Ok(user_id)
}

fn strict(localpart: &str) -> bool {
    localpart
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte))
}

/// Makes an account.
///
/// # Errors
/// 400 `M_USER_IN_USE` when the id is taken.
pub(crate) async fn create_account(
    app: &Arc<App>,
    user_id: &UserId,
    account: NewAccount,
) -> Result<(), ApiError> {
    let now = app.now_ms();
    let profile = match account.display_name {
        Some(name) => json!({ "displayname": name }),
        None => json!({}),
    };
    let row = UserRow {
        user_id: user_id.to_string(),
        password_hash: account.password_hash,
        appservice: account.appservice,
        is_guest: account.is_guest,
        is_admin: account.is_admin,
        deactivated: false,
        created_at: now,
        profile: profile.to_string(),
    };
    let added: bool = app
        .store
        .write(move |tx| tx.insert_user(&row))
        .await
        .map_err(|e: bridgehead_store::Error| ApiError::from(e))?;
    if !added {
        return Err(ApiError::user_in_use(format!("{user_id} is taken")));
    }
    app.queries.forget_refusal(user_id.as_str());
    Ok(())
}

/// Makes an account with a password, for the operator.
pub(crate) async fn create_with_password(
    app: &Arc<App>,
    localpart: &str,
    password: &str,
    is_admin: bool,
) -> Result<OwnedUserId, ApiError> {
    let user_id = user_id_of(app, localpart, None)?;
    let hash = super::passwords::checked_hash(app, password.to_owned()).await?;
    let account = NewAccount {
        password_hash: Some(hash),
        is_admin,
        ..NewAccount::default()
    };
    create_account(app, &user_id, account).await?;
    Ok(user_id)
}

/// Begins a session on a device.
pub(crate) async fn begin_session(
    app: &Arc<App>,
    user_id: &UserId,
    new: NewSession,
) -> Result<Session, ApiError> {
    devices::check_name(new.display_name.as_deref())?;
    let (now, registry) = (app.now_ms(), app.registry());
    let session = Session {
        device_id: new.device_id.unwrap_or_else(|| app.random.capitals(10)),
        access_token: app.random.token(),
        refresh_token: new.refresh.then(|| app.random.token()),
        expires_in_ms: new.refresh.then_some(ACCESS_TOKEN_TTL_MS),
    };
    let (user, device) = (user_id.to_string(), session.device_id.clone());
    let access = auth::hash(&session.access_token);
    let refresh = session.refresh_token.as_deref().map(auth::hash);
    let expires_at = session.expires_in_ms.map(|ms| now + ms);
    app.store
        .write(move |tx| {
            if tx.upsert_device(&user, &device, new.display_name.as_deref(), now)? {
                devices::list_changed(tx, &registry, &user)?;
            }
            // Logging in on a device ends its earlier session.
            tx.delete_access_tokens_of_device(&user, &device)?;
            tx.delete_refresh_tokens_of_device(&user, &device)?;
            tx.insert_access_token(&access, &user, &device, expires_at)?;
            if let Some(refresh) = refresh {
                tx.insert_refresh_token(&refresh, &user, &device)?;
            }
            Ok::<_, bridgehead_store::Error>(())
        })
        .await?;
    app.sessions.forget_user(user_id);
    Ok(session)
}

/// New tokens for a refresh token. The old ones end at once; the device and its keys stay.
///
/// # Errors
/// 401 `M_UNKNOWN_TOKEN` when the token is unknown or was used.
pub(crate) async fn refresh_session(
    app: &Arc<App>,
    refresh_token: &str,
) -> Result<Session, ApiError> {
    let access_token = app.random.token();
    let next_token = app.random.token();
    let expires_at = app.now_ms() + ACCESS_TOKEN_TTL_MS;
    let used = auth::hash(refresh_token);
    let (access, next) = (auth::hash(&access_token), auth::hash(&next_token));
    let (user, device_id) = app
        .store
        .write(move |tx| {
            let known = tx.refresh_token(&used)?;
            let Some((user, device, false)) = known else {
                return Err(ApiError::unknown_token(
                    "The refresh token is unknown or was used already; log in again",
                )
                .with("soft_logout", false.into()));
            };
            // The one used before this one is remembered no longer.
            tx.delete_used_refresh_tokens(&user, &device)?;
            tx.mark_refresh_token_used(&used)?;
            tx.delete_access_tokens_of_device(&user, &device)?;
            tx.insert_access_token(&access, &user, &device, Some(expires_at))?;
            tx.insert_refresh_token(&next, &user, &device)?;
            Ok((user, device))
        })
        .await?;
    let user_id = OwnedUserId::try_from(user).map_err(|error| ApiError::internal(&error))?;
    app.sessions.forget_user(&user_id);
    Ok(Session {
        device_id,
        access_token,
        refresh_token: Some(next_token),
        expires_in_ms: Some(ACCESS_TOKEN_TTL_MS),
    })
}

impl Session {
    /// Adds the session to an answer of `/login` or `/register`.
    pub(crate) fn add_to(&self, answer: &mut serde_json::Value) {
        answer["device_id"] = self.device_id.clone().into();
        answer["access_token"] = self.access_token.clone().into();
        if let (Some(token), Some(expires_in_ms)) = (&self.refresh_token, self.expires_in_ms) {
            answer["refresh_token"] = token.clone().into();
            answer["expires_in_ms"] = expires_in_ms.into();
        }
    }
}
