//! `GET` and `POST /_synapse/admin/v1/register`: accounts made by whoever knows the shared secret.

use std::sync::Arc;

use axum::{Json, extract::State};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::{
    app::App,
    config::RateCategory,
    http::{
        address::ClientAddress,
        client::account::register::check_free,
        error::{ApiError, ApiResult},
        extract::JsonBody,
    },
    secret::Secret,
    users::{
        passwords,
        register::{NewAccount, NewSession, begin_session, create_account, user_id_of},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    nonce: String,
    username: String,
    password: String,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    displayname: Option<String>,
    mac: String,
    #[serde(default)]
    inhibit_login: bool,
}

/// A nonce, good once and for a minute.
pub(crate) async fn get_nonce(State(app): State<Arc<App>>) -> ApiResult<Json<Value>> {
    secret(&app)?;
    Ok(Json(
        json!({ "nonce": app.nonces.issue(&app.random, app.now_ms()) }),
    ))
}

/// Makes an account for somebody who proves to know the shared secret.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let secret = secret(&app)?;
    // Guesses are limited; scripts that know the secret make as many accounts as they like.
    let guesser = format!("shared-secret {}", address.key());
    app.limits
        .check(RateCategory::Registrations, &guesser, app.now_ms())?;
    if !app.nonces.redeem(&body.nonce, app.now_ms()) {
        return Err(ApiError::unknown(
            "Unknown or old nonce; ask for a new one with GET",
        ));
    }
    if !is_authentic(secret, &body) {
        return Err(ApiError::forbidden(
            "The HMAC is not right; check the shared secret",
        ));
    }
    app.limits.give_back(RateCategory::Registrations, &guesser);
    let user_id = user_id_of(&app, &body.username, None)?;
    check_free(&app, &user_id).await?;
    let account = NewAccount {
        password_hash: Some(passwords::checked_hash(&app, body.password).await?),
        is_admin: body.admin,
        display_name: body.displayname,
        ..NewAccount::default()
    };
    create_account(&app, &user_id, account).await?;
    let mut answer = json!({ "user_id": user_id, "home_server": app.server_name });
    if !body.inhibit_login {
        begin_session(&app, &user_id, NewSession::default())
            .await?
            .add_to(&mut answer);
    }
    Ok(Json(answer))
}

fn secret(app: &App) -> Result<&Secret, ApiError> {
    app.config
        .accounts
        .registration_shared_secret
        .as_ref()
        .ok_or_else(|| {
            ApiError::unknown(
                "Registration with a shared secret is off; set accounts.registration_shared_secret",
            )
        })
}

/// HMAC-SHA1 over the parts, NUL between them; compared in constant time.
fn is_authentic(secret: &Secret, body: &Body) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()) else {
        return false;
    };
    let admin = if body.admin { "admin" } else { "notadmin" };
    let mut parts = vec![&*body.nonce, &*body.username, &*body.password, admin];
    parts.extend(body.user_type.as_deref());
    mac.update(parts.join("\0").as_bytes());
    from_hex(&body.mac).is_some_and(|given| mac.verify_slice(&given).is_ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
