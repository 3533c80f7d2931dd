//! Which messages of a history are wanted.

use crate::{
    clock,
    state::{State, client::ClientId, history::Message},
};

/// A place in a history.
pub(super) enum Place {
    Msgid(String),
    AtMs(i64),
}

/// Which messages are wanted: those after one place and before another, and of these the last or the first.
#[derive(Default)]
pub(super) struct Span {
    pub(super) after: Option<Place>,
    pub(super) before: Option<Place>,
    pub(super) takes_last: bool,
}

impl Span {
    /// The last ones, after a place if one is given.
    pub(super) fn latest(after: Option<Place>) -> Self {
        Self {
            after,
            takes_last: true,
            ..Self::default()
        }
    }

    /// The last ones before a place.
    pub(super) fn before(place: Place) -> Self {
        Self {
            before: Some(place),
            takes_last: true,
            ..Self::default()
        }
    }

    /// The first ones after a place.
    pub(super) fn after(place: Place) -> Self {
        Self {
            after: Some(place),
            ..Self::default()
        }
    }
}

/// The messages of a history that are wanted, the oldest first.
pub(super) fn select(
    state: &State,
    id: ClientId,
    key: &str,
    span: &Span,
    limit: usize,
) -> Vec<Message> {
    let Some(history) = state.history(key) else {
        return Vec::new();
    };
    let plays_events = state
        .client(id)
        .is_some_and(|client| client.has("draft/event-playback"));
    let messages = &history.messages;
    let index = |place: &Place| match place {
        Place::Msgid(msgid) => messages.iter().position(|message| message.msgid == *msgid),
        Place::AtMs(_) => None,
    };
    let is_after = |at: usize, message: &Message| match &span.after {
        None => true,
        Some(Place::AtMs(time)) => message.at_ms > *time,
        Some(place) => index(place).is_some_and(|found| at > found),
    };
    let is_before = |at: usize, message: &Message| match &span.before {
        None => true,
        Some(Place::AtMs(time)) => message.at_ms < *time,
        Some(place) => index(place).is_some_and(|found| at < found),
    };
    let wanted = messages.iter().enumerate();
    let wanted = wanted.filter(|(at, message)| is_after(*at, message) && is_before(*at, message));
    let wanted = wanted.map(|(_, message)| message);
    let mut wanted: Vec<Message> = wanted
        .filter(|message| plays_events || !message.is_event())
        .cloned()
        .collect();
    if span.takes_last {
        wanted.drain(..wanted.len().saturating_sub(limit));
    } else {
        wanted.truncate(limit);
    }
    wanted
}

/// Reads `msgid=…` or `timestamp=…`.
pub(super) fn place(text: &str) -> Option<Place> {
    match text.split_once('=')? {
        ("msgid", msgid) => Some(Place::Msgid(msgid.to_owned())),
        ("timestamp", at) => clock::read_time(at).map(Place::AtMs),
        _ => None,
    }
}

/// Whether a message stands at a place.
pub(super) fn is_at(message: &Message, place: &Place) -> bool {
    match place {
        Place::Msgid(msgid) => message.msgid == *msgid,
        Place::AtMs(at_ms) => message.at_ms == *at_ms,
    }
}

/// When a place was, and which of that time it is.
pub(super) fn time_of(state: &State, key: &str, place: &Place) -> (i64, usize) {
    match place {
        Place::AtMs(at_ms) => (*at_ms, 0),
        Place::Msgid(msgid) => {
            let messages = state.history(key).map(|history| &history.messages);
            let mut messages = messages.into_iter().flatten().enumerate();
            let found = messages.find(|(_, message)| message.msgid == *msgid);
            found.map_or((0, 0), |(at, message)| (message.at_ms, at))
        }
    }
}
