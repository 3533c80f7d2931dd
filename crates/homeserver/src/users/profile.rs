//! Profiles: display name, avatar, and fields of the user's own making.
//!
//! Client-server API, "Profiles". A profile is one JSON object of the account. A new display name
//! or avatar reaches the rooms afterwards: see `profile_fanout`.

use std::sync::Arc;

use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};

use super::{profile_fanout, register};
use crate::{
    app::App,
    appservices::Existence,
    http::{auth::Requester, error::ApiError},
};

/// Fields that member events carry too.
const IN_ROOMS: &[&str] = &["displayname", "avatar_url"];
/// The whole profile at most, bytes.
const MAX_PROFILE_BYTES: usize = 64 * 1024;
/// A field's name at most, bytes.
const MAX_KEY_BYTES: usize = 255;
/// A display name at most, characters: it is copied into every room.
const MAX_NAME_CHARS: usize = 256;
/// An avatar's address at most, bytes.
const MAX_URL_BYTES: usize = 1000;

/// A profile. An unknown user inside a namespace is asked for at its service first.
///
/// # Errors
/// 404 when there is no such user.
pub(crate) async fn get(app: &Arc<App>, user_id: &UserId) -> Result<Map<String, Value>, ApiError> {
    if let Some(profile) = stored(app, user_id).await? {
        return Ok(profile);
    }
    let exists = app.is_local(user_id)
        && matches!(
            app.queries.user(app, user_id).await?,
            Existence::Existed | Existence::Created
        );
    if !exists {
        return Err(ApiError::not_found(format!("There is no user {user_id}")));
    }
    // A service's own user exists without an account, and then has an empty profile.
    Ok(stored(app, user_id).await?.unwrap_or_default())
}

/// One field. Without a value the two old ones are answered with nothing (bridges look at their
/// ghosts' before they set them), the others not at all.
pub(crate) async fn get_field(
    app: &Arc<App>,
    user_id: &UserId,
    key: String,
) -> Result<Map<String, Value>, ApiError> {
    let mut profile = get(app, user_id).await?;
    match profile.remove(&key) {
        Some(value) => Ok(Map::from_iter([(key, value)])),
        None if IN_ROOMS.contains(&key.as_str()) => Ok(Map::new()),
        None => Err(ApiError::not_found(format!(
            "{user_id} has no profile field `{key}`"
        ))),
    }
}

/// Sets a field, or (without a value) removes it.
pub(crate) async fn set_field(
    app: &Arc<App>,
    requester: &Requester,
    user_id: &OwnedUserId,
    key: String,
    value: Option<Value>,
) -> Result<(), ApiError> {
    requester.must_be(user_id)?;
    check_key(&key)?;
    ensure_account(app, requester).await?;
    change(app, user_id, key, value).await
}

/// Changes a field of an account, whoever asks for it, and tells the user's rooms.
pub(crate) async fn change(
    app: &Arc<App>,
    user_id: &OwnedUserId,
    key: String,
    value: Option<Value>,
) -> Result<(), ApiError> {
    let in_rooms = IN_ROOMS.contains(&key.as_str());
    let value = if in_rooms {
        old_field(&key, value)?
    } else {
        value
    };
    let (user, field) = (user_id.to_string(), key.clone());
    let changed = app
        .store
        .write(move |tx| {
            let text = tx
                .profile(&user)?
                .ok_or_else(|| ApiError::not_found(format!("There is no user {user}")))?;
            let mut profile = parse(&user, &text)?;
            let before = profile.get(&field).cloned();
            match value {
                Some(value) => profile.insert(field.clone(), value),
                None => profile.remove(&field),
            };
            if profile.get(&field) == before.as_ref() {
                return Ok(false);
            }
            let text = Value::Object(profile).to_string();
            if text.len() >= MAX_PROFILE_BYTES {
                return Err(ApiError::profile_too_large(
                    "A profile must stay below 64 KiB; remove something first",
                ));
            }
            tx.set_profile(&user, &text)?;
            Ok(true)
        })
        .await?;
    if changed && in_rooms {
        profile_fanout::start(app, user_id, key);
    }
    Ok(())
}

async fn stored(app: &App, user_id: &UserId) -> Result<Option<Map<String, Value>>, ApiError> {
    let user = user_id.to_string();
    let text = app.store.read(move |s| s.profile(&user)).await?;
    text.map(|text| parse(user_id.as_str(), &text)).transpose()
}

fn parse(user_id: &str, text: &str) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_str(text)
        .map_err(|_| bridgehead_store::Error::corrupt("users", user_id).into())
}

/// A display name or avatar: text, where nothing, null and empty all mean none.
fn old_field(key: &str, value: Option<Value>) -> Result<Option<Value>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            let fits = match key {
                "displayname" => text.chars().count() <= MAX_NAME_CHARS,
                _ => text.len() <= MAX_URL_BYTES,
            };
            if fits {
                Ok(Some(Value::String(text)))
            } else {
                Err(ApiError::invalid_param(format!("`{key}` is too long")))
            }
        }
        Some(_) => Err(ApiError::bad_json(format!("`{key}` must be text"))),
    }
}

/// The common namespaced identifier grammar (specification, appendices), or one of the two names
/// from before it.
fn check_key(key: &str) -> Result<(), ApiError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(ApiError::key_too_large(format!(
            "A profile field's name may be {MAX_KEY_BYTES} bytes long"
        )));
    }
    let legal = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && (key.contains('.') || IN_ROOMS.contains(&key));
    if legal {
        Ok(())
    } else {
        Err(ApiError::invalid_param(format!(
            "`{key}` is no profile field; own ones are named like `org.example.field`"
        )))
    }
}

/// A service's own user exists without having been registered; its profile needs an account.
async fn ensure_account(app: &Arc<App>, requester: &Requester) -> Result<(), ApiError> {
    let Some(service) = &requester.appservice else {
        return Ok(());
    };
    let missing = requester.user_id == service.sender
        && app
            .sessions
            .user_state(&app.store, &requester.user_id)
            .await?
            .is_none();
    if !missing {
        return Ok(());
    }
    let account = register::NewAccount {
        appservice: Some(service.registration.id.clone()),
        ..register::NewAccount::default()
    };
    match register::create_account(app, &requester.user_id, account).await {
        // Somebody was faster; the account is there all the same.
        Err(error) if error.errcode() == "M_USER_IN_USE" => Ok(()),
        other => other,
    }
}
