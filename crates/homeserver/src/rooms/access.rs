//! Who may read what of a room (client-server API, "Room history visibility").

use std::sync::Arc;

use bridgehead_room::{Membership, RoomView};
use bridgehead_store::{Snapshot, StreamPosition, TimelineEvent};
use ruma::{UserId, events::room::history_visibility::HistoryVisibility};

use crate::{app::App, http::error::ApiError};

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
    match view.membership(user_id) {
        Some(Membership::Join) => {
            return Ok(Visible {
                view,
                upto: StreamPosition(u64::MAX >> 1),
                as_stranger: false,
            });
        }
        Some(Membership::Leave | Membership::Ban) => {
            let (room, user) = (room_id.to_owned(), user_id.to_string());
            let row = app.store.read(move |s| s.membership(&room, &user)).await?;
            if let Some(row) = row
                && !row.forgotten
                && was_joined(app, room_id, user_id, row.pos).await?
            {
                return Ok(Visible {
                    view,
                    upto: row.pos,
                    as_stranger: false,
                });
            }
        }
        Some(Membership::Invite | Membership::Knock) | None => {}
    }
    if view.history_visibility() == HistoryVisibility::WorldReadable {
        return Ok(Visible {
            view,
            upto: StreamPosition(u64::MAX >> 1),
            as_stranger: true,
        });
    }
    Err(refuse())
}

async fn was_joined(
    app: &App,
    room_id: &str,
    user_id: &UserId,
    left_at: StreamPosition,
) -> Result<bool, ApiError> {
    let (room, user) = (room_id.to_owned(), user_id.to_string());
    let before = StreamPosition(left_at.0.saturating_sub(1));
    let earlier = app
        .store
        .read(move |s| s.membership_at(&room, &user, before))
        .await?;
    Ok(earlier.is_some_and(|event| membership_of(&event) == Some(Membership::Join)))
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
    // One's own membership changes are always one's own business.
    if event.event_type == "m.room.member" && event.state_key.as_deref() == Some(user_id.as_str()) {
        return Ok(true);
    }
    let room = event.room_id.as_str();
    let visibility = snapshot
        .state_event_at(room, "m.room.history_visibility", "", event.pos)?
        .map_or(HistoryVisibility::Shared, |event| visibility_of(&event));
    if visibility == HistoryVisibility::WorldReadable {
        return Ok(true);
    }
    let membership = snapshot
        .membership_at(room, user_id.as_str(), event.pos)?
        .and_then(|event| membership_of(&event));
    Ok(match membership {
        Some(Membership::Join) => true,
        Some(Membership::Invite) if visibility == HistoryVisibility::Invited => true,
        // Shared: members of today see what was before them.
        _ => visibility == HistoryVisibility::Shared && !as_stranger,
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
