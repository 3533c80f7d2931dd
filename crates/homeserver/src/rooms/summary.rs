//! What is told about a room to those who are not in it: the directory, spaces, summaries.

use bridgehead_room::{Membership, RoomView};
use ruma::{UserId, events::room::history_visibility::HistoryVisibility, room::JoinRuleKind};
use serde_json::{Value, json};

use crate::app::App;

/// The room as the public directory shows it.
pub(crate) fn summary(view: &RoomView) -> Value {
    let mut summary = json!({
        "room_id": view.room_id,
        "num_joined_members": view.joined_count,
        "world_readable": view.history_visibility() == HistoryVisibility::WorldReadable,
        "guest_can_join": view.guest_access().as_deref() == Some("can_join"),
        "join_rule": view.join_rule().as_str(),
    });
    let named = [
        ("name", view.name()),
        ("topic", view.topic()),
        ("canonical_alias", view.canonical_alias()),
        ("avatar_url", view.avatar()),
        ("room_type", view.room_type()),
    ];
    for (key, value) in named {
        if let Some(value) = value {
            summary[key] = json!(value);
        }
    }
    summary
}

/// The same with what one needs to know before joining.
pub(crate) fn detailed_summary(view: &RoomView) -> Value {
    let mut summary = summary(view);
    summary["room_version"] = json!(view.version);
    if let Some(algorithm) = view.encryption() {
        summary["encryption"] = json!(algorithm);
    }
    if is_restricted(view) {
        summary["allowed_room_ids"] = json!(view.allowed_rooms());
    }
    summary
}

fn is_restricted(view: &RoomView) -> bool {
    matches!(
        view.join_rule(),
        JoinRuleKind::Restricted | JoinRuleKind::KnockRestricted
    )
}

/// Whether the user may be told of the room: they are in it or asked into it, they could join or
/// knock, or everybody may read it.
pub(crate) async fn may_know_of(
    app: &App,
    user_id: &UserId,
    view: &RoomView,
) -> bridgehead_store::Result<bool> {
    let is_inside = matches!(
        view.membership(user_id),
        Some(Membership::Join | Membership::Invite)
    );
    let is_open = matches!(
        view.join_rule(),
        JoinRuleKind::Public | JoinRuleKind::Knock | JoinRuleKind::KnockRestricted
    );
    if is_inside || is_open || view.history_visibility() == HistoryVisibility::WorldReadable {
        return Ok(true);
    }
    if !is_restricted(view) {
        return Ok(false);
    }
    for room_id in view.allowed_rooms() {
        if let Some(other) = app.store.room_view(room_id.as_str()).await?
            && other.membership(user_id) == Some(Membership::Join)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
