//! Walking a space and the spaces in it, depth first (client-server API, "Spaces").

use std::{collections::HashSet, sync::Arc};

use bridgehead_room::{Event, RoomView};
use ruma::{OwnedRoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    format::{Object, raw},
    summary::{detailed_summary, may_know_of},
};
use crate::{app::App, http::error::ApiError};

/// Rooms that one walk visits at most.
const MAX_VISITED: usize = 1_000;

/// Rooms on a page at most.
const MAX_LIMIT: u64 = 50;

/// How deep a walk goes when the client names no depth.
const MAX_DEPTH: u64 = 20;

/// What is wanted of a space. Pages of one walk keep to the same choices.
pub(crate) struct Walk {
    pub(crate) suggested_only: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) max_depth: Option<u64>,
    pub(crate) from: Option<String>,
}

struct Child {
    room_id: OwnedRoomId,
    order: Option<String>,
    event: Arc<Event>,
}

impl Walk {
    /// Walks from a room that the user may know of; gives the answer's body.
    pub(crate) async fn run(
        &self,
        app: &App,
        user_id: &UserId,
        root: Arc<RoomView>,
    ) -> Result<Value, ApiError> {
        let offset = self.offset()?;
        let limit = self.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let max_depth = self.max_depth.unwrap_or(MAX_DEPTH).min(MAX_DEPTH);

        let mut seen = HashSet::from([root.room_id.clone()]);
        let mut stack = vec![(root, 0)];
        let mut rooms = Vec::new();
        let mut visited = 0;
        while let Some((view, depth)) = stack.pop() {
            let children = self.children(&view);
            if visited == offset.saturating_add(limit) {
                let next = self.token(visited);
                return Ok(json!({ "rooms": rooms, "next_batch": next }));
            }
            if visited >= offset {
                rooms.push(entry(&view, &children));
            }
            visited += 1;
            if depth == max_depth || visited == MAX_VISITED {
                continue;
            }
            for child in children.into_iter().rev() {
                if seen.len() < MAX_VISITED
                    && seen.insert(child.room_id.clone())
                    && let Some(view) = app.store.room_view(child.room_id.as_str()).await?
                    && may_know_of(app, user_id, &view).await?
                {
                    stack.push((view, depth + 1));
                }
            }
        }
        Ok(json!({ "rooms": rooms }))
    }

    /// The room's valid children: by `order` where they have one, then by time, then by id.
    fn children(&self, view: &RoomView) -> Vec<Child> {
        #[derive(Deserialize)]
        struct Content {
            via: Option<Vec<String>>,
            order: Option<Value>,
            #[serde(default)]
            suggested: Option<Value>,
        }
        if view.room_type().as_deref() != Some("m.space") {
            return Vec::new();
        }
        let events = view.state.get("m.space.child").into_iter().flatten();
        let mut children: Vec<Child> = events
            .filter_map(|(room_id, event)| {
                let content: Content = serde_json::from_str(event.content.get()).ok()?;
                content.via.filter(|via| !via.is_empty())?;
                let suggested = content.suggested == Some(Value::Bool(true));
                (suggested || !self.suggested_only).then_some(())?;
                Some(Child {
                    room_id: room_id.as_str().try_into().ok()?,
                    order: content.order.and_then(|order| valid_order(&order)),
                    event: event.clone(),
                })
            })
            .collect();
        children.sort_by(|a, b| {
            let key = |child: &Child| {
                (
                    child.order.is_none(),
                    child.order.clone(),
                    child.event.origin_server_ts,
                )
            };
            (key(a), &a.room_id).cmp(&(key(b), &b.room_id))
        });
        children
    }

    fn choices(&self) -> String {
        format!(
            "{}_{}",
            u8::from(self.suggested_only),
            self.max_depth
                .map_or_else(|| "x".to_owned(), |depth| depth.to_string())
        )
    }

    fn token(&self, visited: usize) -> String {
        format!("h{visited}_{}", self.choices())
    }

    /// Where an earlier page ended.
    fn offset(&self) -> Result<usize, ApiError> {
        let Some(from) = &self.from else {
            return Ok(0);
        };
        from.strip_prefix('h')
            .and_then(|rest| rest.split_once('_'))
            .filter(|(_, choices)| *choices == self.choices())
            .and_then(|(visited, _)| visited.parse().ok())
            .ok_or_else(|| {
                ApiError::invalid_param(
                    "`from` is not a token of this walk; suggested_only and max_depth must stay the same",
                )
            })
    }
}

/// An order longer than 50 characters or with characters outside ASCII's visible ones counts as
/// none.
fn valid_order(order: &Value) -> Option<String> {
    let order = order.as_str()?;
    let valid = order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    valid.then(|| order.to_owned())
}

fn entry(view: &RoomView, children: &[Child]) -> Value {
    let mut entry = detailed_summary(view);
    let children: Vec<Box<RawValue>> = children.iter().map(child_state).collect();
    entry["children_state"] = json!(children);
    entry
}

fn child_state(child: &Child) -> Box<RawValue> {
    let event = &child.event;
    let mut out = Object::with_capacity(event.content.get().len() + 160);
    out.raw("content", event.content.get());
    out.number("origin_server_ts", event.origin_server_ts.get().into());
    out.string("sender", event.sender.as_str());
    out.string("state_key", child.room_id.as_str());
    out.string("type", "m.space.child");
    raw(out.finish())
}
