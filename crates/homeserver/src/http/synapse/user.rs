//! `GET` and `PUT /_synapse/admin/v2/users/{userId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_store::UserRow;
use http::StatusCode;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Admin,
        client::account::register::check_free,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    users::{
        accounts, passwords, profile,
        register::{NewAccount, create_account, user_id_of},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    password: Option<String>,
    displayname: Option<String>,
    admin: Option<bool>,
    deactivated: Option<bool>,
    logout_devices: Option<bool>,
}

/// An account, as an administrator sees it.
pub(crate) async fn get_user(
    State(app): State<Arc<App>>,
    _admin: Admin,
    Params(user_id): Params<OwnedUserId>,
) -> ApiResult<Json<Value>> {
    let row = local_user(&app, &user_id).await?;
    let row = row.ok_or_else(|| ApiError::not_found("User not found"))?;
    Ok(Json(user_json(&row)))
}

/// Makes an account (201) or changes one (200).
pub(crate) async fn put_user(
    State(app): State<Arc<App>>,
    Admin(requester): Admin,
    Params(user_id): Params<OwnedUserId>,
    JsonBody(body): JsonBody<Body>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let status = match local_user(&app, &user_id).await? {
        None => {
            create(&app, &user_id, body).await?;
            StatusCode::CREATED
        }
        Some(row) => {
            if requester.is(&user_id)
                && (body.admin == Some(false) || body.deactivated == Some(true))
            {
                return Err(ApiError::unknown(
                    "You may not do this to yourself; another administrator can",
                ));
            }
            change(&app, &user_id, &row, body).await?;
            StatusCode::OK
        }
    };
    let row = local_user(&app, &user_id).await?;
    Ok((status, Json(row.as_ref().map_or(json!({}), user_json))))
}

async fn create(app: &Arc<App>, user_id: &OwnedUserId, body: Body) -> Result<(), ApiError> {
    if user_id_of(app, user_id.localpart(), None)? != *user_id {
        return Err(ApiError::invalid_username("Use lower case letters"));
    }
    check_free(app, user_id).await?;
    let password_hash = match body.password {
        Some(password) => Some(passwords::checked_hash(app, password).await?),
        None => None,
    };
    let account = NewAccount {
        password_hash,
        is_admin: body.admin.unwrap_or(false),
        display_name: body.displayname,
        ..NewAccount::default()
    };
    create_account(app, user_id, account).await
}

async fn change(
    app: &Arc<App>,
    user_id: &OwnedUserId,
    row: &UserRow,
    body: Body,
) -> Result<(), ApiError> {
    if row.deactivated && body.deactivated == Some(false) {
        return Err(ApiError::unknown(
            "A closed account stays closed; make another one",
        ));
    }
    if let Some(password) = body.password {
        let log_out = body.logout_devices.unwrap_or(true);
        accounts::set_password(app, user_id, password, log_out, None).await?;
    }
    if let Some(admin) = body.admin {
        let id = user_id.to_string();
        app.store
            .write(move |tx| Ok::<_, ApiError>(tx.set_admin(&id, admin)?))
            .await?;
    }
    if let Some(name) = body.displayname {
        profile::change(app, user_id, "displayname".to_owned(), Some(json!(name))).await?;
    }
    if body.deactivated == Some(true) && !row.deactivated {
        accounts::deactivate(app, user_id, false).await?;
    }
    Ok(())
}

/// The account, if it is one of this server's.
pub(super) async fn local_user(
    app: &App,
    user_id: &OwnedUserId,
) -> Result<Option<UserRow>, ApiError> {
    if !app.is_local(user_id) {
        return Err(ApiError::invalid_param(format!(
            "{user_id} is not a user of this server"
        )));
    }
    let id = user_id.to_string();
    Ok(app.store.read(move |s| s.user(&id)).await?)
}

fn user_json(row: &UserRow) -> Value {
    let profile: Value = serde_json::from_str(&row.profile).unwrap_or_default();
    json!({
        "name": row.user_id,
        "displayname": profile["displayname"],
        "avatar_url": profile["avatar_url"],
        "admin": row.is_admin,
        "deactivated": row.deactivated,
        "is_guest": row.is_guest,
        "appservice_id": row.appservice,
        "creation_ts": row.created_at / 1000,
        "user_type": null,
    })
}
