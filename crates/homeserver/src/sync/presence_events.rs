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
        let wanted = (look.since.is_some() || state.presence != "offline")
            && events.events.len() < MAX_TOLD
            && wants(filter, "m.presence", Some(&user_id))
            && !look.ignores(&user_id);
        if wanted
            && (user_id == look.user_id() || look.snapshot.share_room(look.user_id(), &user_id)?)
        {
            events
                .events
                .push(to_raw(&event(&user_id, &state, look.now_ms)));
        }
    }
    Ok(events)
}

/// `m.presence`.
pub(crate) fn event(user_id: &str, state: &PresenceState, now_ms: i64) -> Value {
    let mut content = json!({ "presence": state.presence });
    if state.presence != "offline" {
        content["last_active_ago"] = json!((now_ms - state.last_active_at).max(0));
    }
    if state.presence == "online" {
        content["currently_active"] = json!(true);
    }
    if let Some(status_msg) = &state.status_msg {
        content["status_msg"] = json!(status_msg);
    }
    json!({ "type": "m.presence", "sender": user_id, "content": content })
}
