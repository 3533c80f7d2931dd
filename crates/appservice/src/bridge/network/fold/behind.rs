//! What has come behind an event that waits: its edits, other reactions, redactions.

use std::sync::Arc;

use serde_json::Value;

use super::{Carrying, Foreign, Held, Network, Waiting, aside_lanes, edits_of};
use crate::{
    Content, Error, Event, HandlerError,
    bridge::Level,
    id::EventId,
    store::{FateRow, fates::FOLDED},
};

/// Events behind another that are looked at, of those that name what it is about, or are redactions.
const LOOKED_AT: usize = 64;

/// What stands behind an event in its line.
pub(super) struct Behind {
    events: Vec<Arc<Event>>,
}

impl Behind {
    pub(super) async fn read<N: Network>(
        carrying: &Carrying<'_, N>,
        waiting: &Waiting,
    ) -> Result<Self, Error> {
        let delivery = &carrying.context.delivery;
        let (lane, row, target) = (
            delivery.lane.clone(),
            delivery.row_id,
            waiting.target.to_string(),
        );
        let store = &carrying.context.core.store;
        let bodies = store
            .read(move |unit| unit.inbox_behind((&lane, row), &target, LOOKED_AT))
            .await?;
        let events = bodies.iter().filter_map(|body| Event::from_json(body).ok());
        Ok(Self {
            events: events.map(Arc::new).collect(),
        })
    }

    /// Whether an event was redacted.
    pub(super) fn takes_back(&self, event: &EventId) -> bool {
        let mut redactions = self
            .events
            .iter()
            .filter(|event| event.kind == "m.room.redaction");
        redactions.any(|redaction| redaction.redacts.as_ref() == Some(event))
    }

    /// What is told by an event, unless it was redacted: edits by the same person, reactions by anybody.
    pub(super) async fn told_with<N: Network>(
        &self,
        carrying: &Carrying<'_, N>,
        head: &Event,
        waiting: &Waiting,
    ) -> Result<Vec<Arc<Event>>, Error> {
        let (core, network) = (&carrying.context.core, carrying.live.network());
        let hold = network.hold(&carrying.portal.remote, waiting.held);
        let has_hold = !hold.is_zero();
        let mut found = Vec::new();
        for event in &self.events {
            let is_such = match (waiting.held, Waiting::of(event)) {
                (Held::Message | Held::Edit, Some(other)) if other.held == Held::Edit => {
                    let content = Content::new(&event.kind, event.content.clone());
                    other.target == waiting.target
                        && (&event.sender, &event.kind) == (&head.sender, &head.kind)
                        && content.new_content().is_some()
                }
                // Who lets them not wait wants each for itself.
                (Held::Reaction, Some(other)) if other.held == Held::Reaction && has_hold => {
                    other.target == waiting.target
                        && core.level(&event.sender) >= Level::Relay
                        && Foreign::<N>::of(core, event).await?.is_some()
                }
                _ => false,
            };
            if is_such {
                found.push(event.clone());
            }
        }
        Ok(found)
    }
}

/// The line in which what a redaction redacts still waits, so that it does not go before it.
pub(super) async fn line_of_redacted<N: Network>(
    carrying: &Carrying<'_, N>,
    redaction: &Event,
) -> Result<Option<String>, Error> {
    let Some(redacted) = &redaction.redacts else {
        return Ok(None);
    };
    let room = redaction.room_id.as_str();
    if &*carrying.context.delivery.lane != room {
        return Ok(None);
    }
    let (from, to) = aside_lanes(room);
    let prefix = from.clone();
    let id = redacted.to_string();
    let store = &carrying.context.core.store;
    let rows = store
        .read(move |unit| unit.inbox_aside((&from, &to), &id, LOOKED_AT))
        .await?;
    let edits = edits_of(redacted);
    let found = rows.iter().find_map(|(lane, body)| {
        let name = lane.strip_prefix(&prefix)?;
        let waits = Event::from_json(body).is_ok_and(|event| event.id == *redacted);
        (waits || name == edits).then(|| name.to_owned())
    });
    Ok(found)
}

/// Those of some events that were noted to be told by another.
pub(super) async fn noted<N: Network>(
    carrying: &Carrying<'_, N>,
    head: &Event,
    events: Vec<Arc<Event>>,
) -> Result<Vec<Arc<Event>>, Error> {
    let head = head.id.to_string();
    let noted = carrying.context.core.store.read(move |unit| {
        let mut noted = Vec::new();
        for event in events {
            let fate = unit.fate(N::NAME, event.id.as_str())?;
            if fate.is_some_and(|fate| fate.fate == FOLDED && fate.reason.as_ref() == Some(&head)) {
                noted.push(event);
            }
        }
        Ok(noted)
    });
    Ok(noted.await?)
}

/// Notes that events are told by another, and that the rest of them are not.
pub(super) async fn note<N: Network>(
    carrying: &Carrying<'_, N>,
    head: &Event,
    (told, all): (&[Arc<Event>], &[Arc<Event>]),
) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    let row = |event: &Arc<Event>| FateRow {
        event_id: event.id.to_string(),
        room_id: event.room_id.to_string(),
        sender: event.sender.to_string(),
        fate: FOLDED,
        reason: Some(head.id.to_string()),
        body: String::new(),
    };
    let folded: Vec<FateRow> = told.iter().map(row).collect();
    let rest = all.iter().map(|event| event.id.to_string());
    let rest: Vec<String> = rest
        .filter(|id| !folded.iter().any(|row| row.event_id == *id))
        .collect();
    let core = &carrying.context.core;
    let now_ms = core.now_ms();
    core.store
        .write(move |unit| unit.fold_fates(N::NAME, (&folded, &rest), now_ms))
        .await?;
    Ok(())
}

/// An event with the words of an edit; what it answers and which thread it is in stays.
pub(super) fn reworded(event: &Event, edit: &Event) -> Result<Event, HandlerError> {
    let content = Content::new(&edit.kind, edit.content.clone());
    let content = match Content::new(&event.kind, event.content.clone()).is_edit_of() {
        Some(_) => edit.content.clone(),
        None => {
            let mut new = content
                .new_content()
                .map_or(Value::Null, |new| new.to_json());
            if let Some(relates) = event.content.get("m.relates_to") {
                new["m.relates_to"] = relates.clone();
            }
            new
        }
    };
    let mut raw: Value = serde_json::from_str(event.raw())?;
    raw["content"] = content;
    Ok(Event::from_json(&raw.to_string())?)
}
