//! What becomes of an account: a new password, its end.

use std::sync::Arc;

use bridgehead_room::Membership;
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedUserId, UserId};

use super::{devices, passwords};
use crate::{
    app::App,
    http::{error::ApiError, time},
    rooms::{MemberChange, change_membership},
};

/// Sets a password. With `keep` as the device that stays logged in, all others are logged out;
/// without `log_out` nobody is.
pub(crate) async fn set_password(
    app: &Arc<App>,
    user_id: &UserId,
    password: String,
    log_out: bool,
    keep: Option<String>,
) -> Result<(), ApiError> {
    let hash = passwords::checked_hash(app, password).await?;
    let id = user_id.to_string();
    let known = app
        .store
        .write(move |tx| tx.set_password_hash(&id, Some(&hash)))
        .await?;
    if !known {
        return Err(ApiError::not_found(format!("There is no user {user_id}")));
    }
    if log_out {
        devices::delete_all(app, user_id, keep).await?;
    }
    app.sessions.forget_user(user_id);
    Ok(())
}

/// Closes an account: no password, no devices, out of all rooms. Its id is never given out again.
pub(crate) async fn deactivate(
    app: &Arc<App>,
    user_id: &OwnedUserId,
    erase: bool,
) -> Result<(), ApiError> {
    let (registry, id) = (app.registry(), user_id.to_string());
    let memberships = app
        .store
        .write(move |tx| {
            if !tx.deactivate_user(&id)? {
                return Err(ApiError::not_found(format!("There is no user {id}")));
            }
            if erase {
                tx.set_profile(&id, "{}")?;
            }
            devices::list_changed(tx, &registry, &id)?;
            Ok(tx.memberships_of(&id)?)
        })
        .await?;
    app.sessions.forget_user(user_id);
    for row in memberships {
        if matches!(row.membership.as_str(), "join" | "invite" | "knock")
            && let Ok(room_id) = OwnedRoomId::try_from(row.room_id)
        {
            leave(app, user_id, room_id).await;
        }
    }
    Ok(())
}

/// A room that cannot be left must not keep the account open.
async fn leave(app: &Arc<App>, user_id: &OwnedUserId, room_id: OwnedRoomId) {
    let change = MemberChange {
        room_id: room_id.clone(),
        sender: user_id.clone(),
        target: user_id.clone(),
        membership: Membership::Leave,
        reason: None,
        extra: CanonicalJsonObject::new(),
        ts: time::now(app),
    };
    if let Err(error) = change_membership(app, change).await {
        tracing::warn!(
            room.id = %room_id, user.id = %user_id, error = error.message(),
            "a deactivated user could not leave a room"
        );
    }
}
