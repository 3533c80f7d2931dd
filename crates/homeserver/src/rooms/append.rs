//! Stations 2–7 of an event's way: one straight line inside one unit of work.
//!
//! ```text
//! known request? → room view → unchanged state? → build, authorise, sign → interest → insert
//! → next view
//! ```
//! Everything that must happen together happens in the same [`Tx`]; the caller is answered after
//! the commit, and what happens later (pushes, `/sync`) reads the log.

use std::sync::Arc;

use bridgehead_room::{self as room, Event, Membership, NewEvent, Rejection, RoomView, SigningKey};
use bridgehead_store::{self as store, ClientTxn, EventInsert, Tx};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use crate::{
    app::App,
    appservices::{
        Registry,
        acquaintance::{self, RoomChange},
        interest,
    },
    http::error::ApiError,
    random::Random,
};

/// An event somebody wants in a room.
pub(crate) struct AppendRequest {
    /// The room.
    pub(crate) room_id: OwnedRoomId,
    /// The event.
    pub(crate) event: NewEvent,
    /// The request's idempotency key.
    pub(crate) txn: Option<ClientTxn>,
    /// The device that sent it: it sees its transaction id again in `/sync`.
    pub(crate) device_id: Option<String>,
}

/// Why an event was not appended, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// There is no such room.
    #[error("no such room")]
    RoomNotFound,
    /// The room's rules do not allow it.
    #[error("not allowed: {0}")]
    Rejected(#[from] Rejection),
    /// The server's own rules do not allow it.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// The event to redact is not in the room.
    #[error("no such event")]
    NoSuchEvent,
    /// The operation decided its answer inside the unit of work.
    #[error("refused")]
    Answer(Box<ApiError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<ApiError> for AppendError {
    fn from(error: ApiError) -> Self {
        Self::Answer(Box::new(error))
    }
}

/// What appending needs besides the database; one per unit of work.
pub(crate) struct AppendContext {
    pub(crate) registry: Arc<Registry>,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) random: Arc<Random>,
    pub(crate) now_ms: i64,
}

/// Appends one event in its own unit of work.
pub(crate) async fn append(app: &App, request: AppendRequest) -> Result<OwnedEventId, AppendError> {
    let context = app.append_context();
    app.store
        .write(move |tx| append_in(tx, &context, request))
        .await
}

/// Appends one event in a unit of work that may do more.
pub(crate) fn append_in(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    request: AppendRequest,
) -> Result<OwnedEventId, AppendError> {
    if let Some(txn) = &request.txn
        && let Some(event_id) = tx.client_txn(txn)?
    {
        return parse_event_id(event_id);
    }

    let room_id = request.room_id.as_str();
    let view = tx.room_view(room_id)?.ok_or(AppendError::RoomNotFound)?;
    let event_id = match unchanged_state(&view, &request.event) {
        Some(event_id) => event_id,
        None => {
            let redaction = redaction_target(tx, &view, &request.event)?;
            let event = room::build(&view, request.event, &context.key)?;
            let sent_as = request
                .device_id
                .as_deref()
                .zip(request.txn.as_ref().map(|txn| txn.client_txn_id.as_str()));
            let (event, next) = insert(tx, context, &view, event, sent_as)?;
            if let Some(target) = redaction {
                apply_redaction(tx, &next, &target, &event)?;
            }
            event.event_id.clone()
        }
    };
    if let Some(txn) = &request.txn {
        tx.insert_client_txn(txn, event_id.as_str(), context.now_ms)?;
    }
    Ok(event_id)
}

/// Stations 5–7 for a signed event: interest, rows, next view.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    view: &Arc<RoomView>,
    event: Event,
    sent_as: Option<(&str, &str)>,
) -> Result<(Arc<Event>, Arc<RoomView>), AppendError> {
    let event = Arc::new(event);
    let relation = relation_of(&event);
    let membership = match (&*event.event_type.to_string(), &event.state_key) {
        ("m.room.member", Some(_)) => Membership::from_content(&event.content),
        _ => None,
    };
    let before = interest::of_room(tx, &context.registry, view)?;
    let services = interest::of_event(&context.registry, &before, &event);
    let next = Arc::new(view.apply(&event));
    let after = match membership {
        Some(_) => interest::after_member(&context.registry, &before, view, &next, &event),
        None => before.clone(),
    };
    let change = RoomChange {
        event: &event,
        view: (view, &next),
        interest: (&before, &after),
    };
    acquaintance::note(tx, &context.registry, &change)?;
    tx.insert_event(&EventInsert {
        event: &event,
        membership: membership.map(Membership::as_str),
        replaces: event.state_key.as_deref().and_then(|key| {
            view.state_event(&event.event_type.to_string(), key)
                .map(|replaced| &**replaced)
        }),
        relation: relation
            .as_ref()
            .map(|(id, kind)| (id.as_str(), kind.as_str())),
        sent_as,
        interest: &services,
    })?;
    tx.set_room_view(next.clone(), Some(after));
    Ok((event, next))
}

/// Setting state to what it is already makes no event: the answer is the event that stands.
fn unchanged_state(view: &RoomView, event: &NewEvent) -> Option<OwnedEventId> {
    let standing = view.state_event(&event.event_type, event.state_key.as_deref()?)?;
    // Whoever may not set it any more is told so by the room's rules.
    if standing.sender != event.sender || view.membership(&event.sender) != Some(Membership::Join) {
        return None;
    }
    let content = serde_json::to_string(&event.content).ok()?;
    (standing.content.get() == content).then(|| standing.event_id.clone())
}

/// The event that `event` redacts, if it is a redaction and its sender may redact that one.
fn redaction_target(
    tx: &Tx<'_>,
    view: &RoomView,
    event: &NewEvent,
) -> Result<Option<store::TimelineEvent>, AppendError> {
    if event.event_type != "m.room.redaction" {
        return Ok(None);
    }
    // Sent like any other event, it names its target in the content.
    let in_content = || event.content.get("redacts")?.as_str();
    let Some(target) = event
        .redacts
        .as_ref()
        .map(|id| id.as_str())
        .or_else(in_content)
    else {
        return Ok(None);
    };
    let target = tx
        .event(target)?
        .filter(|target| target.room_id == view.room_id.as_str())
        .ok_or(AppendError::NoSuchEvent)?;
    let target_sender = target
        .sender
        .as_str()
        .try_into()
        .map_err(|_| store::Error::corrupt("events", target.event_id.clone()))?;
    if !room::may_redact(view, &event.sender, target_sender) {
        return Err(AppendError::NotAllowed(
            "Redacting somebody else's event needs the room's redact power level".to_owned(),
        ));
    }
    Ok(Some(target))
}

fn apply_redaction(
    tx: &mut Tx<'_>,
    view: &Arc<RoomView>,
    target: &store::TimelineEvent,
    redaction: &Event,
) -> Result<(), AppendError> {
    let full = target.clone().into_event()?;
    let content = room::redact_content(&view.rules, &target.event_type, &full.content)
        .map_err(|_| store::Error::corrupt("events", target.event_id.clone()))?;
    tx.redact_event(target, content.get(), redaction.event_id.as_str())?;
    let stands = full.state_key.as_deref().is_some_and(|key| {
        view.state_event(&target.event_type, key)
            .is_some_and(|standing| standing.event_id == full.event_id)
    });
    if stands {
        let redacted = Arc::new(Event { content, ..full });
        let interest = tx.room_interest(view.room_id.as_str())?;
        tx.set_room_view(Arc::new(view.with_redacted(&redacted)), interest);
    }
    Ok(())
}

/// `m.relates_to` of the content: (event id, relation type).
fn relation_of(event: &Event) -> Option<(String, String)> {
    relation_in(event.content.get())
}

/// The same for a content's text.
pub(crate) fn relation_in(content: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: RelatesTo,
    }
    #[derive(Deserialize)]
    struct RelatesTo {
        event_id: String,
        rel_type: String,
    }
    if !content.contains("m.relates_to") {
        return None;
    }
    let content: Content = serde_json::from_str(content).ok()?;
    Some((content.relates_to.event_id, content.relates_to.rel_type))
}

pub(crate) fn parse_event_id(event_id: String) -> Result<OwnedEventId, AppendError> {
    event_id
        .as_str()
        .try_into()
        .map_err(|_| AppendError::Store(store::Error::corrupt("events", event_id)))
}
