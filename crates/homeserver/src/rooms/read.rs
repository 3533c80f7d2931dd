//! Reading a room's past: pages of its timeline, and events as a certain reader sees them.
//!
//! A token `t<pos>` is the place right after position `pos`. A `/sync` token `s<pos>_…` is one too.

use bridgehead_store::{Result, Snapshot, StreamPosition, TimelineEvent};
use ruma::OwnedUserId;
use serde_json::value::RawValue;

use super::{
    Visible,
    access::membership_of,
    filter::EventFilter,
    format::{Format, raw},
};
use crate::{
    app::App,
    http::{auth::Requester, error::ApiError},
};

/// Events looked at for one page; a page that a filter leaves thin ends with a token instead.
const MAX_LOOKED_AT: usize = 2_000;

/// Events read from the store at once.
const BATCH: usize = 200;

/// Events on a page at most.
const MAX_LIMIT: u64 = 1_000;

/// Who reads, and when.
pub(crate) struct Reader {
    pub(crate) user_id: OwnedUserId,
    device_id: Option<String>,
    now_ms: i64,
}

impl Reader {
    pub(crate) fn new(app: &App, requester: &Requester) -> Self {
        Self {
            user_id: requester.user_id.clone(),
            device_id: requester.device_id.clone(),
            now_ms: app.now_ms(),
        }
    }

    /// The event as this reader sees it: with what redacted it, and their own transaction id.
    pub(crate) fn event(
        &self,
        snapshot: &Snapshot<'_>,
        event: &TimelineEvent,
    ) -> Result<Box<RawValue>> {
        let mut format = Format {
            now_ms: self.now_ms,
            device_id: self.device_id.as_deref(),
            reader: Some(self.user_id.as_str()),
            ..Format::default()
        };
        let because = match &event.redacted_by {
            Some(event_id) => snapshot.event(event_id)?.map(|event| format.event(&event)),
            None => None,
        };
        let membership = snapshot
            .membership_at(&event.room_id, self.user_id.as_str(), event.pos)?
            .and_then(|event| membership_of(&event));
        format.redacted_because = because.as_deref();
        format.membership = Some(membership.map_or("leave", |membership| membership.as_str()));
        Ok(raw(format.event(event)))
    }

    /// Several events.
    pub(crate) fn events<'e>(
        &self,
        snapshot: &Snapshot<'_>,
        events: impl IntoIterator<Item = &'e TimelineEvent>,
    ) -> Result<Vec<Box<RawValue>>> {
        events
            .into_iter()
            .map(|event| self.event(snapshot, event))
            .collect()
    }
}

/// The token of the place right after a position.
pub(crate) fn token(at: StreamPosition) -> String {
    format!("t{at}")
}

/// Reads a token, its own kind or `/sync`'s.
pub(crate) fn parse_token(text: &str) -> std::result::Result<StreamPosition, ApiError> {
    let position = match text.split_at_checked(1) {
        Some(("t", position)) => Some(position),
        Some(("s", rest)) => rest.split('_').next(),
        _ => None,
    };
    position
        .and_then(|position| position.parse().ok())
        .filter(|position| *position <= u64::MAX >> 1)
        .map(StreamPosition)
        .ok_or_else(|| ApiError::invalid_param(format!("`{text}` is not a token of this server")))
}

/// An optional token; an empty one counts as none.
pub(crate) fn parse_optional_token(
    text: Option<&str>,
) -> std::result::Result<Option<StreamPosition>, ApiError> {
    text.filter(|text| !text.is_empty())
        .map(parse_token)
        .transpose()
}

/// The direction: `f` is towards the newest.
pub(crate) fn is_forward(dir: Option<&str>) -> std::result::Result<bool, ApiError> {
    match dir {
        Some("f") => Ok(true),
        Some("b") | None => Ok(false),
        Some(_) => Err(ApiError::invalid_param("`dir` must be `b` or `f`")),
    }
}

/// How many a client gets that asks for `wanted`.
pub(crate) fn limit(wanted: Option<u64>, default: u64) -> usize {
    let limit = wanted.unwrap_or(default).clamp(1, MAX_LIMIT);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Which part of a room's timeline is wanted.
pub(crate) struct PageRequest {
    pub(crate) from: Option<StreamPosition>,
    pub(crate) to: Option<StreamPosition>,
    pub(crate) forward: bool,
    pub(crate) limit: usize,
    pub(crate) filter: EventFilter,
}

/// A part of a room's timeline, in the direction asked for.
pub(crate) struct Page {
    pub(crate) events: Vec<TimelineEvent>,
    pub(crate) start: StreamPosition,
    /// Where to go on; `None` when there is nothing more that way.
    pub(crate) end: Option<StreamPosition>,
}

/// Reads a page of what the reader may see.
pub(crate) fn page(
    snapshot: &Snapshot<'_>,
    visible: &Visible,
    reader: &Reader,
    request: &PageRequest,
) -> Result<Page> {
    let room = visible.view.room_id.as_str();
    let start = match request.from {
        Some(from) => from,
        None if request.forward => StreamPosition::ZERO,
        None => snapshot.room_position(room, visible.upto)?,
    };
    let mut events = Vec::new();
    let mut at = start;
    let mut looked_at = 0;
    loop {
        let batch = next_batch(snapshot, visible, request, at, BATCH)?;
        for event in &batch {
            looked_at += 1;
            at = place_past(event, request.forward);
            if request.filter.matches(event) && visible.allows(snapshot, &reader.user_id, event)? {
                events.push(event.clone());
            }
            if events.len() == request.limit {
                break;
            }
        }
        if events.len() == request.limit || batch.len() < BATCH || looked_at >= MAX_LOOKED_AT {
            break;
        }
    }
    // Forwards there may always be more tomorrow, but whoever saw nothing new stays where they are.
    let more = if request.forward {
        looked_at > 0
    } else {
        !next_batch(snapshot, visible, request, at, 1)?.is_empty()
    };
    Ok(Page {
        events,
        start,
        end: more.then_some(at),
    })
}

fn next_batch(
    snapshot: &Snapshot<'_>,
    visible: &Visible,
    request: &PageRequest,
    at: StreamPosition,
    limit: usize,
) -> Result<Vec<TimelineEvent>> {
    let room = visible.view.room_id.as_str();
    if request.forward {
        let upto = request.to.map_or(visible.upto, |to| to.min(visible.upto));
        snapshot.events_forward(room, at, upto, limit)
    } else {
        let downto = request.to.unwrap_or(StreamPosition::ZERO);
        snapshot.events_backward(room, at.min(visible.upto), downto, limit)
    }
}

/// The place past an event, in the direction of reading.
pub(crate) fn place_past(event: &TimelineEvent, forward: bool) -> StreamPosition {
    if forward {
        event.pos
    } else {
        StreamPosition(event.pos.0.saturating_sub(1))
    }
}

/// The member events, as of `at`, of those who sent these events; each once.
pub(crate) fn members_of_senders(
    snapshot: &Snapshot<'_>,
    room_id: &str,
    events: &[TimelineEvent],
    at: StreamPosition,
) -> Result<Vec<TimelineEvent>> {
    let senders: std::collections::BTreeSet<&str> =
        events.iter().map(|event| event.sender.as_str()).collect();
    let mut members = Vec::with_capacity(senders.len());
    for sender in senders {
        members.extend(snapshot.membership_at(room_id, sender, at)?);
    }
    Ok(members)
}

/// The event, if it is in the room and the reader may see it.
pub(crate) fn visible_event(
    snapshot: &Snapshot<'_>,
    visible: &Visible,
    reader: &Reader,
    event_id: &str,
) -> std::result::Result<TimelineEvent, ApiError> {
    let not_found = || ApiError::not_found("No such event in this room, or you may not see it");
    let event = snapshot
        .event(event_id)?
        .filter(|event| event.room_id == visible.view.room_id.as_str())
        .ok_or_else(not_found)?;
    if visible.allows(snapshot, &reader.user_id, &event)? {
        Ok(event)
    } else {
        Err(not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::parse_token;

    #[test]
    fn tokens_of_both_kinds_are_read() {
        for (text, expected) in [
            ("t5", Some(5)),
            ("s17_3_x", Some(17)),
            ("s17", Some(17)),
            ("5", None),
            ("t", None),
            ("t-1", None),
            ("tx", None),
            ("ä5", None),
            ("t18446744073709551615", None),
        ] {
            assert_eq!(parse_token(text).ok().map(|at| at.0), expected, "{text}");
        }
    }
}
