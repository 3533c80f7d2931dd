//! Authorisation: which events allow a new one, and whether the room's rules let it in.
//!
//! The rules themselves are ruma's; here they meet the [`RoomView`].

use ruma::{
    OwnedEventId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    state_res::{
        auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
    },
};

use crate::{Event, Rejection, RoomView, power_levels::check_power_levels_format};

/// Selects the `auth_events` of an event: those parts of the current state that its authorisation reads.
pub(crate) fn select_auth_events(
    view: &RoomView,
    event: &Event,
) -> Result<Vec<OwnedEventId>, Rejection> {
    let wanted = auth_types_for_event(
        &event.event_type,
        &event.sender,
        event.state_key.as_deref(),
        &event.content,
        &view.rules.authorization,
    )
    .map_err(Rejection::bad_json)?;

    Ok(wanted
        .iter()
        .filter_map(|(event_type, state_key)| view.state_event(&event_type.to_string(), state_key))
        .map(|event| event.event_id.clone())
        .collect())
}

/// Checks an event against the room's current state.
///
/// Its `auth_events` are not looked at: the engine selects them from the same state. A create event is
/// refused, because a room has but one.
pub fn authorise(view: &RoomView, event: &Event) -> Result<(), Rejection> {
    if event.event_type == TimelineEventType::RoomCreate {
        return Err(Rejection::forbidden(
            "a room has exactly one `m.room.create` event",
        ));
    }
    check_power_levels_format(&view.rules.authorization, event)?;

    check_state_dependent_auth_rules(
        &view.rules.authorization,
        event,
        |event_type: &StateEventType, state_key: &str| {
            view.state_event(&event_type.to_string(), state_key)
                .map(AsRef::as_ref)
        },
    )
    .map_err(Rejection::forbidden)
}

/// Checks a create event, the only one that no state allows.
pub(crate) fn authorise_create(rules: &RoomVersionRules, event: &Event) -> Result<(), Rejection> {
    check_state_independent_auth_rules::<&Event>(&rules.authorization, event, |_| None)
        .map_err(Rejection::forbidden)
}
