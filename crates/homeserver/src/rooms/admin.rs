//! What a server's administrator may do to rooms without being asked in: join a local user, and
//! give somebody the power that a local member has.

use std::{cmp::Ordering, sync::Arc};

use bridgehead_room::{Membership, NewEvent, RoomView};
use ruma::{
    CanonicalJsonObject, OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId, RoomAliasId,
    events::room::power_levels::UserPowerLevel, room::JoinRuleKind,
};
use serde_json::{Value, json};

use super::{AppendRequest, MemberChange, append, change_membership, resolve};
use crate::{
    app::App,
    http::{auth::Requester, error::ApiError, extract::canonical_object, time},
};

const POWER_LEVELS: &str = "m.room.power_levels";
/// What a creator, whose power no number expresses, gives away.
const FULL_POWER: i64 = 100;

/// Joins a local user; where that takes an invite, the administrator gives it.
pub(crate) async fn join_by_admin(
    app: &Arc<App>,
    admin: &Requester,
    room: OwnedRoomOrAliasId,
    user_id: OwnedUserId,
) -> Result<OwnedRoomId, ApiError> {
    let view = view_of(app, room).await?;
    let room_id = view.room_id.clone();
    let change = |sender: &OwnedUserId, membership| MemberChange {
        room_id: room_id.clone(),
        sender: sender.clone(),
        target: user_id.clone(),
        membership,
        reason: None,
        extra: CanonicalJsonObject::new(),
        ts: time::now(app),
    };
    let may_enter = matches!(
        view.membership(&user_id),
        Some(Membership::Join | Membership::Invite)
    ) || view.join_rule() == JoinRuleKind::Public;
    if !may_enter {
        let invite = change(&admin.user_id, Membership::Invite);
        change_membership(app, invite).await?;
    }
    change_membership(app, change(&user_id, Membership::Join)).await?;
    Ok(room_id)
}

/// Gives a user as much power as the most powerful local member has, and an invite if needed.
pub(crate) async fn make_room_admin(
    app: &Arc<App>,
    room: OwnedRoomOrAliasId,
    target: OwnedUserId,
) -> Result<(), ApiError> {
    let view = view_of(app, room).await?;
    let (giver, level) = most_powerful(app, &view).ok_or_else(|| {
        ApiError::unknown("No local member of the room has the power to give power")
    })?;
    let present = matches!(
        view.membership(&target),
        Some(Membership::Join | Membership::Invite)
    );
    if !present {
        let invite = MemberChange {
            room_id: view.room_id.clone(),
            sender: giver.clone(),
            target: target.clone(),
            membership: Membership::Invite,
            reason: None,
            extra: CanonicalJsonObject::new(),
            ts: time::now(app),
        };
        change_membership(app, invite).await?;
    }
    if target == giver {
        return Ok(());
    }
    let content = match view.state_event(POWER_LEVELS, "") {
        Some(event) => {
            serde_json::from_str(event.content.get()).map_err(|error| ApiError::internal(&error))?
        }
        None => json!({}),
    };
    let event = NewEvent {
        sender: giver,
        event_type: POWER_LEVELS.to_owned(),
        state_key: Some(String::new()),
        content: canonical_object(with_level(content, &target, level))?,
        redacts: None,
        origin_server_ts: time::now(app),
    };
    let request = AppendRequest {
        room_id: view.room_id.clone(),
        event,
        txn: None,
        device_id: None,
    };
    append(app, request).await?;
    Ok(())
}

fn with_level(mut content: Value, target: &OwnedUserId, level: i64) -> Value {
    if !content["users"].is_object() {
        content["users"] = json!({});
    }
    content["users"][target.as_str()] = json!(level);
    content
}

/// The local member with the most power, who may change power levels, and how much it may give.
fn most_powerful(app: &App, view: &RoomView) -> Option<(OwnedUserId, i64)> {
    view.members
        .iter()
        .filter(|(_, membership)| **membership == Membership::Join)
        .filter_map(|(user_id, _)| OwnedUserId::try_from(user_id.as_str()).ok())
        .filter(|user_id| app.is_local(user_id) && view.can_send_state(user_id, POWER_LEVELS))
        .map(|user_id| {
            let level = view.user_power_level(&user_id);
            (user_id, level)
        })
        .max_by(|(_, a), (_, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal))
        .map(|(user_id, level)| (user_id, as_number(level)))
}

fn as_number(level: UserPowerLevel) -> i64 {
    match level {
        UserPowerLevel::Int(level) => level.into(),
        _ => FULL_POWER,
    }
}

async fn view_of(app: &App, room: OwnedRoomOrAliasId) -> Result<Arc<RoomView>, ApiError> {
    let unknown = || ApiError::not_found("No such room");
    let room_id = match <&RoomAliasId>::try_from(room.as_str()) {
        Ok(alias) => resolve(app, alias).await?.ok_or_else(unknown)?.room_id,
        Err(_) => room.to_string(),
    };
    app.store.room_view(&room_id).await?.ok_or_else(unknown)
}
