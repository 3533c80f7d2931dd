//! Presence of the users a reader shares rooms with, as events.

use bridgehead_store::Result;
use serde_json::{Value, json};

use super::{
    ephemeral::to_raw, filter::wants, look::Look, presence::PresenceState, response::Events,
};
use crate::app::App;

/// Users told of in one answer at most.
const MAX_TOLD: usize = 1_000;

/// Whose presence changed since the last time; on the first, who is not offline.
pub(crate) fn read(app: &App, look: &Look<'_>) -> Result<Events> {
    let mut events = Events::default();
    if !app.config.presence.enabled {
        return Ok(events);
    }
    let filter = &look.reader.filter.presence;
    let (news, _) = app
        .presence
        .news(look.since.map_or(0, |since| since.presence));
    for (user_id, state) in news {
        let wanted = (look.since.is_some() || state.shown() != "offline")
            && events.events.len() < MAX_TOLD
            && wants(filter, "m.presence", Some(&user_id))
            && !look.ignores(&user_id);
        if wanted
            && (user_id == look.user_id() || look.snapshot.share_room(look.user_id(), &user_id)?)
        {
            events.events.push(to_raw(&event(look, &user_id, &state)));
        }
    }
    Ok(events)
}

/// `m.presence`; an invisible user looks offline to everybody else.
pub(crate) fn event(look: &Look<'_>, user_id: &str, state: &PresenceState) -> Value {
    let shown = if user_id == look.user_id() {
        &state.presence
    } else {
        state.shown()
    };
    json!({
        "type": "m.presence",
        "sender": user_id,
        "content": state.content(look.now_ms, shown),
    })
}
