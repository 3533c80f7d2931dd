//! Power levels: what users have and what actions need.
//!
//! The values in force, defaults included, are those that ruma's authorisation rules use.

use ruma::{
    Int, UserId,
    events::{TimelineEventType, room::power_levels::UserPowerLevel},
    room_version_rules::AuthorizationRules,
    state_res::events::{RoomPowerLevelsEvent, RoomPowerLevelsIntField},
};

use crate::{Event, Membership, Rejection, RoomView};

/// What the creator has while there is no `m.room.power_levels`.
const DEFAULT_CREATOR_LEVEL: i32 = 100;

const INT_FIELDS: [RoomPowerLevelsIntField; 7] = [
    RoomPowerLevelsIntField::UsersDefault,
    RoomPowerLevelsIntField::EventsDefault,
    RoomPowerLevelsIntField::StateDefault,
    RoomPowerLevelsIntField::Ban,
    RoomPowerLevelsIntField::Redact,
    RoomPowerLevelsIntField::Kick,
    RoomPowerLevelsIntField::Invite,
];

impl RoomView {
    /// The power level of a user; infinite for creators where the room version says so.
    pub fn user_power_level(&self, user: &UserId) -> UserPowerLevel {
        let rules = &self.rules.authorization;
        if rules.explicitly_privilege_room_creators && self.is_creator(user) {
            return UserPowerLevel::Infinite;
        }
        let level = match &self.power_levels {
            Some(levels) => levels.user_power_level(user, rules).unwrap_or_default(),
            None if self.is_creator(user) => DEFAULT_CREATOR_LEVEL.into(),
            None => RoomPowerLevelsIntField::UsersDefault.default_value(),
        };
        level.into()
    }

    /// The power level needed to send events of this type.
    pub fn event_power_level(&self, event_type: &str, is_state: bool) -> Int {
        let default = if is_state {
            RoomPowerLevelsIntField::StateDefault
        } else {
            RoomPowerLevelsIntField::EventsDefault
        };
        self.power_levels
            .as_ref()
            .and_then(|levels| {
                let event_type = TimelineEventType::from(event_type);
                let state_key = is_state.then_some("");
                levels
                    .event_power_level(&event_type, state_key, &self.rules.authorization)
                    .ok()
            })
            .unwrap_or_else(|| default.default_value())
    }

    /// The power level needed for an action (invite, kick, ban, redact), or a default.
    pub fn level(&self, field: RoomPowerLevelsIntField) -> Int {
        self.power_levels
            .as_ref()
            .and_then(|levels| {
                levels
                    .get_as_int_or_default(field, &self.rules.authorization)
                    .ok()
            })
            .unwrap_or_else(|| field.default_value())
    }

    /// Whether a user is joined and has the power to send state events of this type.
    pub fn can_send_state(&self, user: &UserId, event_type: &str) -> bool {
        self.membership(user) == Some(Membership::Join)
            && self.user_power_level(user) >= self.event_power_level(event_type, true)
    }

    /// Whether a user is joined and has the power to invite.
    pub fn can_invite(&self, user: &UserId) -> bool {
        self.membership(user) == Some(Membership::Join)
            && self.user_power_level(user) >= self.level(RoomPowerLevelsIntField::Invite)
    }
}

/// Tells malformed power levels apart from forbidden ones: the first can be mended by the client.
pub(crate) fn check_power_levels_format(
    rules: &AuthorizationRules,
    event: &Event,
) -> Result<(), Rejection> {
    if event.event_type != TimelineEventType::RoomPowerLevels {
        return Ok(());
    }
    let levels = RoomPowerLevelsEvent::new(event);
    INT_FIELDS
        .iter()
        .try_for_each(|field| levels.get_as_int(*field, rules).map(drop))
        .and_then(|()| levels.events(rules).map(drop))
        .and_then(|()| levels.notifications(rules).map(drop))
        .and_then(|()| levels.users(rules).map(drop))
        .map_err(Rejection::bad_json)
}
