//! Event filters as a request carries them (client-server API, "Filtering").

use bridgehead_store::TimelineEvent;
use serde::Deserialize;

use crate::http::error::ApiError;

/// Which events a client wants. Absent lists match everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventFilter {
    /// How many at most.
    pub(crate) limit: Option<u64>,
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    senders: Option<Vec<String>>,
    not_senders: Vec<String>,
    rooms: Option<Vec<String>>,
    not_rooms: Vec<String>,
    contains_url: Option<bool>,
    /// Member events only of those who speak in the chunk.
    pub(crate) lazy_load_members: bool,
}

impl EventFilter {
    /// Reads the `filter` parameter.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        match text {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| ApiError::invalid_param(format!("Bad filter: {error}"))),
        }
    }

    /// Whether the event is wanted.
    pub(crate) fn matches(&self, event: &TimelineEvent) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|p| matches_glob(p, text));
        let listed = |list: &[String], text: &str| list.iter().any(|entry| entry == text);
        self.types
            .as_ref()
            .is_none_or(|types| any(types, &event.event_type))
            && !any(&self.not_types, &event.event_type)
            && self
                .senders
                .as_ref()
                .is_none_or(|senders| listed(senders, &event.sender))
            && !listed(&self.not_senders, &event.sender)
            && self
                .rooms
                .as_ref()
                .is_none_or(|rooms| listed(rooms, &event.room_id))
            && !listed(&self.not_rooms, &event.room_id)
            && self
                .contains_url
                .is_none_or(|wanted| contains_url(event) == wanted)
    }
}

fn contains_url(event: &TimelineEvent) -> bool {
    #[derive(Deserialize)]
    struct Content {
        url: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Content>(&event.content).is_ok_and(|content| content.url.is_some())
}

/// `*` stands for any text.
pub(crate) fn matches_glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches_glob;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.room.*", "m.room.name", true),
            ("*", "", true),
            ("m.*.n*e", "m.room.name", true),
            ("a*a", "a", false),
            ("*b*c", "abxb", false),
        ] {
            assert_eq!(matches_glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
