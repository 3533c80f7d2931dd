//! Logging in and out, and whose a session's token is.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{ConnectInfo, State},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bridgehead_registration::Secret;
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Api,
    caller::{Caller, check_level},
    error::ProvisionError,
    openid::{self, OpenIdToken},
    origin,
};
use crate::{bridge::Level, core::Core, id::UserId, store::SessionRow};

/// Sessions of a person at most; the oldest ends when there is another.
const EACH: usize = 20;

/// Sessions altogether.
const ALL: usize = 50_000;

/// Begins every session's token: so it is known for what it is, wherever it turns up.
const PREFIX: &str = "bhp_";

/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept of a session's token.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// `POST /openid/login`
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ProvisionError> {
    let peer = peer.map(|Extension(ConnectInfo(address))| address.ip());
    api.address_rate
        .take(&origin::of(peer, &headers))
        .map_err(ProvisionError::too_often)?;
    let token: OpenIdToken = serde_json::from_slice(&body).map_err(|_| {
        ProvisionError::bad_request(
            "the body is what the homeserver's openid/request_token gives: `access_token`, `matrix_server_name`",
        )
    })?;
    api.login_rate.take("").map_err(ProvisionError::too_often)?;
    let server = token.matrix_server_name.to_ascii_lowercase();
    api.server_rate
        .take(&server)
        .map_err(ProvisionError::too_often)?;
    let turn = tokio::time::timeout(PATIENCE, api.logging_in.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(ProvisionError::too_often(PATIENCE));
    };
    let user = openid::verify(&api.core, &api.trust, token).await?;
    check_level(&api.core, &user, Level::Relay)?;
    let (token, expires_ms) = begin(&api.core, &user, api.lifetime).await?;
    tracing::info!(%user, "logged in at the provisioning API");
    Ok(Json(json!({
        "token": token.expose(),
        "user_id": user,
        "expires_at_ms": expires_ms,
    })))
}

async fn begin(
    core: &Core,
    user: &UserId,
    lifetime: Duration,
) -> Result<(Secret, i64), ProvisionError> {
    let mut random = [0; 32];
    core.surroundings.randomness.fill(&mut random);
    let token = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)));
    let now_ms = core.now_ms();
    let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    let row = SessionRow {
        digest: digest(token.expose()),
        user_id: user.to_string(),
        created_ms: now_ms,
        expires_ms: now_ms.saturating_add(lifetime_ms),
    };
    let expires_ms = row.expires_ms;
    core.store
        .write(move |unit| unit.insert_session(&row, EACH, ALL))
        .await?;
    Ok((token, expires_ms))
}

/// Whose token it is.
pub(super) async fn owner(core: &Core, token: &str) -> Result<UserId, ProvisionError> {
    let unknown = || ProvisionError::unknown_token("this token is not known: log in again");
    if !token.starts_with(PREFIX) {
        return Err(unknown());
    }
    let digest = digest(token);
    let found = core.store.read(move |unit| unit.session(&digest)).await?;
    let (user, expires_ms) = found.ok_or_else(unknown)?;
    if core.now_ms() >= expires_ms {
        return Err(ProvisionError::unknown_token(
            "this session has ended: log in again",
        ));
    }
    UserId::parse(&user).map_err(|_| unknown())
}

/// `POST /logout`
pub(super) async fn log_out(
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ProvisionError> {
    let Some(digest) = caller.session().map(|token| digest(token.expose())) else {
        let message = "the shared secret has no session that could end";
        return Err(ProvisionError::bad_request(message));
    };
    let store = caller.store();
    store
        .write(move |unit| unit.delete_session(&digest))
        .await?;
    Ok(Json(json!({})))
}
