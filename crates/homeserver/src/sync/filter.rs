//! Filters: what of the news a client wants (client-server API, "Filtering").

use bridgehead_store::TimelineEvent;
use ruma::{
    OwnedRoomId, OwnedUserId, UserId,
    api::client::filter::{Filter, FilterDefinition, RoomEventFilter, RoomFilter, UrlFilter},
};
use serde_json::{Map, Value};

use crate::{app::App, http::error::ApiError, rooms::filter::matches_glob};

/// Larger filters are refused; they are read on every `/sync`.
pub(crate) const MAX_FILTER_BYTES: usize = 64 << 10;

/// The filter that a request names: JSON in the request itself, or the id of a stored one.
pub(crate) async fn load(
    app: &App,
    user_id: &UserId,
    filter: Option<&str>,
) -> Result<FilterDefinition, ApiError> {
    let text = match filter {
        None => return Ok(FilterDefinition::default()),
        Some(text) if text.trim_start().starts_with('{') => text.to_owned(),
        Some(id) => stored(app, user_id, id).await?.ok_or_else(|| {
            ApiError::invalid_param(format!(
                "{user_id} has no filter `{id}`; upload it again, or send it as JSON"
            ))
        })?,
    };
    parse(&text)
}

/// The text of a stored filter.
pub(crate) async fn stored(
    app: &App,
    user_id: &UserId,
    filter_id: &str,
) -> Result<Option<String>, ApiError> {
    let Ok(filter_id) = filter_id.parse::<i64>() else {
        return Ok(None);
    };
    let user_id = user_id.to_string();
    Ok(app
        .store
        .read(move |snapshot| snapshot.filter(&user_id, filter_id))
        .await?)
}

/// Reads a filter.
pub(crate) fn parse(text: &str) -> Result<FilterDefinition, ApiError> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(ApiError::too_large("The filter is larger than 64 KiB"));
    }
    serde_json::from_str(text)
        .map_err(|error| ApiError::invalid_param(format!("Bad filter: {error}")))
}

/// Whether a room is wanted at all.
pub(crate) fn wants_room(filter: &RoomFilter, room_id: &str) -> bool {
    room_listed(filter.rooms.as_deref(), &filter.not_rooms, room_id)
}

/// Whether a section of a room's news (its timeline, its receipts …) is wanted for that room.
pub(crate) fn wants_section(filter: &RoomEventFilter, room_id: &str) -> bool {
    room_listed(filter.rooms.as_deref(), &filter.not_rooms, room_id)
}

/// Whether a room event is wanted; its room is not looked at.
pub(crate) fn wants_event(filter: &RoomEventFilter, event: &TimelineEvent) -> bool {
    wants_type(
        filter.types.as_deref(),
        &filter.not_types,
        &event.event_type,
    ) && wants_sender(
        filter.senders.as_deref(),
        &filter.not_senders,
        &event.sender,
    ) && filter
        .url_filter
        .is_none_or(|wanted| has_url(&event.content) == (wanted == UrlFilter::EventsWithUrl))
}

/// Whether an event that is in no room (account data, presence) is wanted.
pub(crate) fn wants(filter: &Filter, event_type: &str, sender: Option<&str>) -> bool {
    wants_type(filter.types.as_deref(), &filter.not_types, event_type)
        && sender.is_none_or(|sender| {
            wants_sender(filter.senders.as_deref(), &filter.not_senders, sender)
        })
}

/// Whether a type is wanted: `not_types` wins.
pub(crate) fn wants_type(types: Option<&[String]>, not_types: &[String], event_type: &str) -> bool {
    !not_types
        .iter()
        .any(|pattern| matches_glob(pattern, event_type))
        && types.is_none_or(|types| {
            types
                .iter()
                .any(|pattern| matches_glob(pattern, event_type))
        })
}

fn wants_sender(senders: Option<&[OwnedUserId]>, not: &[OwnedUserId], sender: &str) -> bool {
    !not.iter().any(|user| user == sender)
        && senders.is_none_or(|users| users.iter().any(|user| user == sender))
}

fn room_listed(rooms: Option<&[OwnedRoomId]>, not_rooms: &[OwnedRoomId], room_id: &str) -> bool {
    !not_rooms.iter().any(|room| room == room_id)
        && rooms.is_none_or(|rooms| rooms.iter().any(|room| room == room_id))
}

fn has_url(content: &str) -> bool {
    content.contains("\"url\"")
        && serde_json::from_str::<Map<String, Value>>(content)
            .is_ok_and(|content| content.get("url").is_some_and(Value::is_string))
}

/// The event with only the wanted fields: paths with dots, `\.` for a dot in a name.
pub(crate) fn pick_fields(event: &str, fields: &[String]) -> String {
    let Ok(Value::Object(event)) = serde_json::from_str(event) else {
        return event.to_owned();
    };
    let mut picked = Map::new();
    for field in fields {
        copy(&event, &mut picked, &split_path(field));
    }
    Value::Object(picked).to_string()
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[String]) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    let Some(value) = from.get(key) else {
        return;
    };
    if rest.is_empty() {
        to.insert(key.clone(), value.clone());
    } else if let Value::Object(inner) = value {
        let mut part = match to.remove(key) {
            Some(Value::Object(part)) => part,
            _ => Map::new(),
        };
        copy(inner, &mut part, rest);
        if !part.is_empty() {
            to.insert(key.clone(), Value::Object(part));
        }
    }
}

fn split_path(field: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => parts.push(String::new()),
            '\\' => {
                let escaped = characters.next().unwrap_or('\\');
                parts.last_mut().expect("never empty").push(escaped);
            }
            other => parts.last_mut().expect("never empty").push(other),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{pick_fields, wants_type};

    #[test]
    fn what_is_not_wanted_wins() {
        let list = |types: &[&str]| types.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        let some = list(&["m.room.*"]);
        assert!(wants_type(None, &[], "x"));
        assert!(!wants_type(Some(&[]), &[], "x"));
        assert!(wants_type(Some(&some), &[], "m.room.name"));
        assert!(!wants_type(Some(&some), &list(&["*.name"]), "m.room.name"));
    }

    #[test]
    fn fields_are_picked_by_path() {
        let event = json!({ "type": "t", "content": { "a.b": 1, "c": { "d": 2, "e": 3 } } });
        let fields = ["content.a\\.b", "content.c.d", "sender", "content.x.y"].map(str::to_owned);
        let picked: Value =
            serde_json::from_str(&pick_fields(&event.to_string(), &fields)).unwrap();
        assert_eq!(picked, json!({ "content": { "a.b": 1, "c": { "d": 2 } } }));
    }
}
