//! `POST /_matrix/client/v3/register`

use std::sync::Arc;

use axum::{Json, extract::State};
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
        extract::{JsonBody, QueryParams},
    },
    users::{
        passwords,
        register::{NewAccount, NewSession, begin_session, create_account, user_id_of},
        uia::{self, AuthData, Flow, Guard},
    },
};

#[derive(Deserialize)]
pub(crate) struct KindQuery {
    kind: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(rename = "type")]
    kind: Option<String>,
    username: Option<String>,
    /// `username` as the protocol's first version called it.
    user: Option<String>,
    password: Option<String>,
    #[serde(default)]
    inhibit_login: bool,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
    auth: Option<AuthData>,
}

const APPSERVICE: &str = "m.login.application_service";

/// Makes an account: for a person through user-interactive authentication, for a guest, or for an
/// application service inside its namespaces.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    AppserviceToken(service, token_given): AppserviceToken,
    address: ClientAddress,
    QueryParams(query): QueryParams<KindQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let by_service = body.kind.as_deref() == Some(APPSERVICE)
        || body
            .auth
            .as_ref()
            .is_some_and(|auth| auth.kind.as_deref() == Some(APPSERVICE));
    match (query.kind.as_deref(), service) {
        (_, Some(service)) => by_appservice(&app, &service, body).await,
        (_, None) if by_service => Err(needs_service(token_given)),
        (Some("guest"), None) => guest(&app, address, body).await,
        (Some("user") | None, None) => person(&app, address, body).await,
        (Some(other), None) => Err(ApiError::invalid_param(format!(
            "Unknown kind of account `{other}`"
        ))),
    }
}

/// Application-service API, "Server admin style permissions".
async fn by_appservice(
    app: &Arc<App>,
    service: &Arc<Appservice>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let localpart = body
        .username
        .as_deref()
        .or(body.user.as_deref())
        .ok_or_else(|| {
            ApiError::missing_param("`username` is missing: the localpart of the user to make")
        })?;
    let user_id = user_id_of(app, localpart, Some(service))?;
    if !app.registry().owns_user(service, &user_id) {
        tracing::info!(
            code = "APPSERVICE_NAMESPACE_CONFLICT", appservice.id = %service.registration.id,
            user.id = %user_id, "registration refused"
        );
        return Err(ApiError::exclusive(format!(
            "{user_id} is outside the application service's user namespaces"
        )));
    }
    if let Some(owner) = app.registry().user_reserved_by(&user_id, Some(service)) {
        tracing::info!(
            code = "APPSERVICE_NAMESPACE_CONFLICT", appservice.id = %owner.registration.id,
            asker.id = %service.registration.id, user.id = %user_id, "registration refused"
        );
        return Err(ApiError::exclusive(format!(
            "{user_id} is reserved by another application service"
        )));
    }
    if service.registration.features.msc4190 && !body.inhibit_login {
        return Err(ApiError::appservice_login_unsupported(
            "The registration says io.element.msc4190: register with `inhibit_login: true` and make devices with PUT /devices/{deviceId}",
        ));
    }
    let account = NewAccount {
        appservice: Some(service.registration.id.clone()),
        ..NewAccount::default()
    };
    create_account(app, &user_id, account).await?;
    finish(app, &user_id, body).await
}

async fn guest(app: &Arc<App>, address: ClientAddress, body: Body) -> ApiResult<Json<Value>> {
    if !app.config.accounts.allow_guests {
        return Err(ApiError::guest_access_forbidden(
            "This server takes no guests",
        ));
    }
    app.limits
        .check(RateCategory::Registrations, &address.key(), app.now_ms())?;
    let user_id = user_id_of(app, &format!("guest-{}", app.random.hex(16)), None)?;
    let account = NewAccount {
        is_guest: true,
        ..NewAccount::default()
    };
    create_account(app, &user_id, account).await?;
    finish(
        app,
        &user_id,
        Body {
            inhibit_login: false,
            device_id: None,
            ..body
        },
    )
    .await
}

async fn person(app: &Arc<App>, address: ClientAddress, body: Body) -> ApiResult<Json<Value>> {
    let flows = flows(app)?;
    let user_id = match body.username.as_deref().or(body.user.as_deref()) {
        Some(name) => user_id_of(app, name, None)?,
        None => user_id_of(app, &app.random.hex(12), None)?,
    };
    check_free(app, &user_id).await?;
    let guard = Guard {
        operation: "register".to_owned(),
        flows: &flows,
        account: None,
    };
    uia::pass(app, &guard, body.auth.as_ref()).await?;
    app.limits
        .check(RateCategory::Registrations, &address.key(), app.now_ms())?;
    let password = body
        .password
        .clone()
        .ok_or_else(|| ApiError::missing_param("`password` is missing"))?;
    let hash = passwords::checked_hash(app, password).await?;
    let account = NewAccount {
        password_hash: Some(hash),
        ..NewAccount::default()
    };
    create_account(app, &user_id, account).await?;
    finish(app, &user_id, body).await
}

/// Neither taken nor reserved by an application service.
pub(crate) async fn check_free(app: &Arc<App>, user_id: &ruma::UserId) -> Result<(), ApiError> {
    if let Some(service) = app.registry().user_reserved_by(user_id, None) {
        tracing::info!(
            code = "APPSERVICE_NAMESPACE_CONFLICT", appservice.id = %service.registration.id,
            user.id = %user_id, "registration refused"
        );
        return Err(ApiError::exclusive(
            "This user name is reserved by an application service",
        ));
    }
    if app
        .sessions
        .user_state(&app.store, user_id)
        .await?
        .is_some()
    {
        return Err(ApiError::user_in_use(format!("{user_id} is taken")));
    }
    Ok(())
}

/// The ways to sign up; none when sign-up is closed.
pub(crate) fn flows(app: &App) -> Result<Vec<Flow>, ApiError> {
    let accounts = &app.config.accounts;
    let mut flows: Vec<Flow> = Vec::new();
    if accounts.open_registration {
        flows.push(&[uia::DUMMY]);
    }
    if !accounts.registration_tokens.is_empty() {
        flows.push(&[uia::REGISTRATION_TOKEN]);
    }
    if flows.is_empty() {
        return Err(ApiError::forbidden(
            "Sign-up is closed on this server; ask its operator for an account",
        ));
    }
    Ok(flows)
}

async fn finish(app: &Arc<App>, user_id: &ruma::UserId, body: Body) -> ApiResult<Json<Value>> {
    let mut answer = json!({ "user_id": user_id, "home_server": app.server_name });
    if !body.inhibit_login {
        let session = NewSession {
            device_id: body.device_id,
            display_name: body.initial_device_display_name,
            refresh: body.refresh_token,
        };
        begin_session(app, user_id, session)
            .await?
            .add_to(&mut answer);
    }
    Ok(Json(answer))
}
