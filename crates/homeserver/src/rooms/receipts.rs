//! What a user has read: receipts, which others may see, and the marker, which is the user's own.
//!
//! Client-server API, "Receipts" and "Fully read markers". Neither ever moves backwards, by the
//! order of the log. A receipt is a row of the log with the services it is for, decided here.

use bridgehead_room::Membership;
use bridgehead_store::{StreamPosition, TimelineEvent, Tx};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;

use super::AppendContext;
use crate::{app::App, appservices::interest, http::error::ApiError};

/// Relations followed to find an event's thread (an edit of a reaction to a thread's message).
const MAX_HOPS: usize = 3;

/// What was said to be read up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptKind {
    /// `m.read`: everybody in the room sees it.
    Read,
    /// `m.read.private`: only the user (and services that own it) see it.
    ReadPrivate,
    /// `m.fully_read`: room account data.
    FullyRead,
}

impl ReceiptKind {
    /// The kind by its name in the specification.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "m.read" => Some(Self::Read),
            "m.read.private" => Some(Self::ReadPrivate),
            "m.fully_read" => Some(Self::FullyRead),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Read => "m.read",
            Self::ReadPrivate => "m.read.private",
            Self::FullyRead => "m.fully_read",
        }
    }
}

/// A receipt or marker to set.
pub(crate) struct NewReceipt {
    /// What it says.
    pub(crate) kind: ReceiptKind,
    /// The last event read.
    pub(crate) event_id: String,
    /// `main` or a thread's root; `None` for an unthreaded receipt.
    pub(crate) thread_id: Option<String>,
}

/// Sets receipts of one user in one room, all or none.
pub(crate) async fn set_receipts(
    app: &App,
    user_id: OwnedUserId,
    room_id: OwnedRoomId,
    receipts: Vec<NewReceipt>,
) -> Result<(), ApiError> {
    let context = app.append_context();
    app.store
        .write(move |tx| {
            for receipt in &receipts {
                set_in(tx, &context, user_id.as_str(), room_id.as_str(), receipt)?;
            }
            Ok(())
        })
        .await
}

fn set_in(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    user_id: &str,
    room_id: &str,
    receipt: &NewReceipt,
) -> Result<(), ApiError> {
    let view = tx
        .room_view(room_id)?
        .filter(|view| view.members.get(user_id) == Some(&Membership::Join))
        .ok_or_else(|| ApiError::forbidden(format!("{user_id} is not in this room")))?;
    let event = tx
        .event(&receipt.event_id)?
        .filter(|event| event.room_id == room_id)
        .ok_or_else(|| ApiError::not_found("No such event in this room"))?;
    if let Some(thread_id) = &receipt.thread_id {
        check_thread(tx, &event, thread_id)?;
    }
    if receipt.kind == ReceiptKind::FullyRead {
        return set_fully_read(tx, user_id, room_id, &event);
    }
    let (kind, thread_id) = (
        receipt.kind.name(),
        receipt.thread_id.as_deref().unwrap_or(""),
    );
    if let Some(standing) = tx.receipt(room_id, user_id, kind, thread_id)?
        && position_of(tx, &standing.event_id)? >= event.pos
    {
        return Ok(());
    }
    let room = interest::of_room(tx, &context.registry, &view)?;
    tx.set_room_interest(room_id, room.clone())?;
    let private = receipt.kind == ReceiptKind::ReadPrivate;
    let services = interest::of_receipt(&context.registry, &room, user_id, private);
    tx.set_receipt(
        room_id,
        user_id,
        kind,
        thread_id,
        &event.event_id,
        context.now_ms,
        &services,
    )?;
    Ok(())
}

fn set_fully_read(
    tx: &mut Tx<'_>,
    user_id: &str,
    room_id: &str,
    event: &TimelineEvent,
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Content {
        event_id: String,
    }
    let kind = ReceiptKind::FullyRead.name();
    if let Some(standing) = tx.account_data(user_id, room_id, kind)?
        && let Ok(standing) = serde_json::from_str::<Content>(&standing)
        && position_of(tx, &standing.event_id)? >= event.pos
    {
        return Ok(());
    }
    let content = json!({ "event_id": event.event_id }).to_string();
    tx.set_account_data(user_id, room_id, kind, &content)?;
    Ok(())
}

fn position_of(tx: &Tx<'_>, event_id: &str) -> bridgehead_store::Result<StreamPosition> {
    Ok(tx
        .event(event_id)?
        .map_or(StreamPosition::ZERO, |event| event.pos))
}

/// The event must be in the thread, or be its root.
fn check_thread(tx: &Tx<'_>, event: &TimelineEvent, thread_id: &str) -> Result<(), ApiError> {
    let is_root = event.event_id == thread_id;
    let thread = thread_of(tx, event.clone())?;
    if is_root || thread.as_deref().unwrap_or("main") == thread_id {
        Ok(())
    } else {
        Err(ApiError::invalid_param(format!(
            "{} is not in the thread {thread_id}",
            event.event_id
        )))
    }
}

/// The root of the thread an event is in, by itself or by what it relates to.
fn thread_of(tx: &Tx<'_>, mut event: TimelineEvent) -> bridgehead_store::Result<Option<String>> {
    for _ in 0..=MAX_HOPS {
        let Some((target, rel_type)) = super::append::relation_in(&event.content) else {
            return Ok(None);
        };
        if rel_type == "m.thread" {
            return Ok(Some(target));
        }
        match tx.event(&target)? {
            Some(next) if next.room_id == event.room_id => event = next,
            _ => return Ok(None),
        }
    }
    Ok(None)
}
