//! `GET` and `POST /_matrix/client/v3/login`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    appservices::Appservice,
    config::RateCategory,
    http::{
        address::ClientAddress,
        auth::{AppserviceToken, needs_service},
        error::{ApiError, ApiResult},
        extract::JsonBody,
    },
    users::{
        passwords,
        register::{NewSession, begin_session, user_id_of},
    },
};

/// The ways to log in.
pub(crate) async fn get_login_types() -> Json<Value> {
    Json(json!({ "flows": [
        { "type": "m.login.password" },
        { "type": "m.login.application_service" },
    ] }))
}

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Identifier>,
    user: Option<String>,
    password: Option<String>,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
}

/// Logs in with a password, or (application services) without one.
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    AppserviceToken(service, token_given): AppserviceToken,
    address: ClientAddress,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let user_id = match body.kind.as_str() {
        "m.login.password" => by_password(&app, address, &body).await?,
        "m.login.application_service" => {
            let service = service.ok_or_else(|| needs_service(token_given))?;
            by_appservice(&app, &service, &body).await?
        }
        other => return Err(ApiError::unknown(format!("Unknown login type `{other}`"))),
    };
    let session = NewSession {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refresh: body.refresh_token,
    };
    let mut answer = json!({ "user_id": user_id, "home_server": app.server_name });
    begin_session(&app, &user_id, session)
        .await?
        .add_to(&mut answer);
    Ok(Json(answer))
}

fn user_of(app: &App, body: &Body, service: Option<&Appservice>) -> Result<OwnedUserId, ApiError> {
    let name = match &body.identifier {
        Some(identifier) if identifier.kind == "m.id.user" => identifier.user.as_deref(),
        Some(identifier) => {
            return Err(ApiError::unknown(format!(
                "Unknown identifier type `{}`",
                identifier.kind
            )));
        }
        None => body.user.as_deref(),
    };
    let name = name.ok_or_else(|| ApiError::missing_param("`identifier.user` is missing"))?;
    user_id_of(app, name, service)
}

async fn by_password(
    app: &Arc<App>,
    address: ClientAddress,
    body: &Body,
) -> Result<OwnedUserId, ApiError> {
    let user_id = user_of(app, body, None)?;
    app.limits
        .check(RateCategory::Logins, &address.key(), app.now_ms())?;
    app.limits
        .check(RateCategory::Logins, user_id.as_str(), app.now_ms())?;
    let password = body
        .password
        .clone()
        .ok_or_else(|| ApiError::missing_param("`password` is missing"))?;
    let id = user_id.to_string();
    let row = app.store.read(move |s| s.user(&id)).await?;
    // The same words whether the name or the password is wrong.
    let refuse = || ApiError::forbidden("Wrong user name or password");
    let row = row.ok_or_else(refuse)?;
    if row.deactivated {
        return Err(ApiError::user_deactivated("The account is deactivated"));
    }
    let hash = row.password_hash.ok_or_else(refuse)?;
    if passwords::verify(app, password, hash).await {
        Ok(user_id)
    } else {
        Err(refuse())
    }
}

async fn by_appservice(
    app: &Arc<App>,
    service: &Arc<Appservice>,
    body: &Body,
) -> Result<OwnedUserId, ApiError> {
    let user_id = user_of(app, body, Some(service))?;
    if !app.registry().owns_user(service, &user_id) {
        return Err(ApiError::exclusive(format!(
            "{user_id} is outside the application service's user namespaces"
        )));
    }
    match app.sessions.user_state(&app.store, &user_id).await? {
        Some(state) if state.deactivated => Err(ApiError::user_deactivated(format!(
            "{user_id} is deactivated"
        ))),
        Some(_) => Ok(user_id),
        None => Err(ApiError::forbidden(format!(
            "There is no user {user_id}; register it first"
        ))),
    }
}
