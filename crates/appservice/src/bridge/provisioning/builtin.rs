//! The routes that every provisioning API has.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    routing::{get, post, put},
};
use bridgehead_registration::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, caller::Caller, error::ProvisionError, session};
use crate::bridge::{
    Management,
    puppets::{Consent, PuppetStatus},
};

pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/logins", get(logins))
        .route("/puppet", put(adopt).delete(drop_puppet))
        .route("/logout", post(session::log_out))
        .with_state(api)
}

async fn whoami(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Value>, ProvisionError> {
    let puppet = caller.puppets().status(caller.user_id()).await?;
    let management = Management::outside(api.core.clone());
    Ok(Json(json!({
        "user_id": caller.user_id(),
        "service": &*api.core.name,
        "bot": &api.core.bot,
        "management_room": management.room_of(caller.user_id()).await?,
        "puppet": puppet.as_ref().map(puppet_json),
        "logins": views(&api, caller).await?,
    })))
}

async fn logins(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Value>, ProvisionError> {
    Ok(Json(json!({ "logins": views(&api, caller).await? })))
}

async fn views(api: &Api, caller: Caller) -> Result<Value, ProvisionError> {
    match &api.logins {
        Some(logins) => Ok(json!(logins(caller).await?)),
        None => Ok(json!([])),
    }
}

fn puppet_json(status: &PuppetStatus) -> Value {
    let consent = match status.consent {
        Consent::Registration => "registration",
        Consent::Token => "token",
        Consent::Login => "login",
    };
    json!({ "consent": consent, "since_ms": status.since_ms, "lost_ms": status.lost_ms })
}

#[derive(Deserialize)]
struct Adopt {
    access_token: String,
}

async fn adopt(caller: Caller, body: Bytes) -> Result<Json<Value>, ProvisionError> {
    let body: Adopt = serde_json::from_slice(&body)
        .map_err(|_| ProvisionError::bad_request("the body is `{\"access_token\": …}`"))?;
    let token = Secret::new(body.access_token);
    caller.puppets().adopt(caller.user_id(), token).await?;
    Ok(Json(json!({})))
}

async fn drop_puppet(caller: Caller) -> Result<Json<Value>, ProvisionError> {
    let existed = caller.puppets().drop(caller.user_id()).await?;
    if existed {
        Ok(Json(json!({})))
    } else {
        Err(ProvisionError::not_found(
            "the service does not act for you",
        ))
    }
}
