//! Who may read what of a room (client-server API, "Room history visibility").

use std::sync::Arc;

use bridgehead_room::{Membership, RoomView};
use bridgehead_store::{Snapshot, StreamPosition, TimelineEvent};
use ruma::{UserId, events::room::history_visibility::HistoryVisibility};

use crate::{app::App, http::error::ApiError};

/// Later than every event.
const NO_END: StreamPosition = StreamPosition(u64::MAX >> 1);

/// How much of a room's past a user may read now.
pub(crate) struct Visible {
    /// The room.
    pub(crate) view: Arc<RoomView>,
    /// The newest position they may see: all for members, their leaving for those who left.
    pub(crate) upto: StreamPosition,
    /// They are not and never were in the room; they read because everybody may.
    pub(crate) as_stranger: bool,
}

/// Whether the user may read the room's state and history at all: members now, former members up
/// to their leaving, and everybody where the history is world readable. Application services'
/// users are users like any other here; a service reads as one of them.
pub(crate) async fn may_read_state(
    app: &App,
    user_id: &UserId,
    room_id: &str,
) -> Result<Visible, ApiError> {
    let refuse = || ApiError::forbidden(format!("{user_id} is not in this room"));
    let view = app.store.room_view(room_id).await?.ok_or_else(refuse)?;
    let visible = |upto, as_stranger| Visible {
        view: view.clone(),
        upto,
        as_stranger,
    };
    match view.membership(user_id) {
        Some(Membership::Join) => return Ok(visible(NO_END, false)),
        Some(Membership::Leave | Membership::Ban | Membership::Invite | Membership::Knock) => {
            if let Some(left_at) = left_at(app, room_id, user_id).await? {
                return Ok(visible(left_at, false));
            }
        }
        None => {}
    }
    if view.history_visibility() == HistoryVisibility::WorldReadable {
        return Ok(visible(NO_END, true));
    }
    Err(refuse())
}

/// Where the user's last stay in the room ended, unless they asked to forget it.
async fn left_at(
    app: &App,
    room_id: &str,
    user_id: &UserId,
) -> Result<Option<StreamPosition>, ApiError> {
    let (room, user) = (room_id.to_owned(), user_id.to_string());
    app.store
        .read(move |snapshot| {
            let row = snapshot.membership(&room, &user)?;
            if row.is_none_or(|row| row.forgotten) {
                return Ok(None);
            }
            snapshot.last_leaving(&room, &user)
        })
        .await
        .map_err(|error: bridgehead_store::Error| error.into())
}

/// The membership that a member event sets.
pub(crate) fn membership_of(event: &TimelineEvent) -> Option<Membership> {
    Membership::from_content_text(&event.content)
}

impl Visible {
    /// Whether the user may see one event of the room, by the room's visibility and the user's
    /// membership when it was sent.
    pub(crate) fn allows(
        &self,
        snapshot: &Snapshot<'_>,
        user_id: &UserId,
        event: &TimelineEvent,
    ) -> bridgehead_store::Result<bool> {
        may_see(snapshot, user_id, event, self.upto, self.as_stranger)
    }
}

/// Whether a user may see an event: nothing after `upto`, and before that by the room's
/// visibility and the user's membership when it was sent.
pub(crate) fn may_see(
    snapshot: &Snapshot<'_>,
    user_id: &UserId,
    event: &TimelineEvent,
    upto: StreamPosition,
    as_stranger: bool,
) -> bridgehead_store::Result<bool> {
    if event.pos > upto {
        return Ok(false);
    }
    let room = event.room_id.as_str();
    if sees_at(snapshot, user_id, room, event.pos, as_stranger)? {
        return Ok(true);
    }
    // What changes the visibility, or the user's own membership, counts by how it was before
    // too: so one sees oneself leave.
    let changes_the_answer = match (&*event.event_type, event.state_key.as_deref()) {
        ("m.room.history_visibility", Some("")) => true,
        ("m.room.member", Some(target)) => target == user_id.as_str(),
        _ => false,
    };
    let before = StreamPosition(event.pos.0.saturating_sub(1));
    Ok(changes_the_answer && sees_at(snapshot, user_id, room, before, as_stranger)?)
}

/// The rules in the order of the specification, for an event right at this position.
fn sees_at(
    snapshot: &Snapshot<'_>,
    user_id: &UserId,
    room: &str,
    at: StreamPosition,
    as_stranger: bool,
) -> bridgehead_store::Result<bool> {
    let visibility = snapshot
        .state_event_at(room, "m.room.history_visibility", "", at)?
        .map_or(HistoryVisibility::Shared, |event| visibility_of(&event));
    if visibility == HistoryVisibility::WorldReadable {
        return Ok(true);
    }
    let membership = snapshot
        .membership_at(room, user_id.as_str(), at)?
        .and_then(|event| membership_of(&event));
    Ok(match (membership, visibility) {
        (Some(Membership::Join), _) | (Some(Membership::Invite), HistoryVisibility::Invited) => {
            true
        }
        (_, HistoryVisibility::Joined | HistoryVisibility::Invited) => false,
        // Shared, or a value nobody knows, which counts as shared: whoever was in the room at
        // any later time sees what was before them. Those who were not are strangers.
        _ => !as_stranger,
    })
}

fn visibility_of(event: &TimelineEvent) -> HistoryVisibility {
    #[derive(serde::Deserialize)]
    struct Content {
        history_visibility: HistoryVisibility,
    }
    serde_json::from_str::<Content>(&event.content).map_or(HistoryVisibility::Shared, |content| {
        content.history_visibility
    })
}
