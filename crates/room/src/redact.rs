//! Redaction: what stays of an event, and who may take the rest away.

use ruma::{
    CanonicalJsonObject, UserId, canonical_json::redact_content_in_place,
    room_version_rules::RoomVersionRules, state_res::events::RoomPowerLevelsIntField,
};
use serde_json::value::{RawValue as RawJsonValue, to_raw_value};

use crate::{CorruptEvent, Event, RoomView};

/// The content that stays after redaction.
pub fn redact_content(
    rules: &RoomVersionRules,
    event_type: &str,
    content: &RawJsonValue,
) -> Result<Box<RawJsonValue>, serde_json::Error> {
    let mut content: CanonicalJsonObject = serde_json::from_str(content.get())?;
    redact_content_in_place(&mut content, &rules.redaction, event_type);
    to_raw_value(&content)
}

impl Event {
    /// The event after its redaction. Its id and signatures stay valid.
    pub fn redacted(&self, rules: &RoomVersionRules) -> Result<Self, CorruptEvent> {
        let content = redact_content(rules, &self.event_type.to_string(), &self.content).map_err(
            |source| CorruptEvent {
                event_id: self.event_id.clone(),
                field: "content",
                source,
            },
        )?;
        let mut redacted = Self {
            content,
            ..self.clone()
        };
        if !rules.redaction.keep_room_redaction_redacts {
            redacted.redacts = None;
        }
        Ok(redacted)
    }
}

/// Whether `redactor` may redact what `target_sender` sent: it is their own, or they have the power.
///
/// That they may send the redaction event at all is checked when it is built.
pub fn may_redact(view: &RoomView, redactor: &UserId, target_sender: &UserId) -> bool {
    redactor == target_sender
        || view.user_power_level(redactor) >= view.level(RoomPowerLevelsIntField::Redact)
}

#[cfg(test)]
mod tests;
