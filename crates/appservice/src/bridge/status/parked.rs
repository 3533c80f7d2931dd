//! What was set aside on its way: its sender is told, as of what the network has refused.

use std::sync::Arc;

use serde_json::json;

use super::{Cause, STATUS, known, send, shown, status};
use crate::{
    Error, Event,
    bridge::{Foreign, Network, live::Live, translate},
    core::Core,
    store::{FateRow, fates::REJECTED},
};

/// What senders are told: the error itself is for the operator.
const REASON: &str = "something in the bridge is broken";

/// An event was set aside, since a handler has failed again and again. If the network was to have it and has not, its
/// sender is told, and may ask for another attempt.
pub(crate) async fn tell_parked<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    event: &Arc<Event>,
) -> Result<(), Error> {
    let Some(portal) = live.portal_at(&event.room_id).await? else {
        return Ok(());
    };
    let Some(foreign) = Foreign::<N>::of(core, event).await? else {
        return Ok(());
    };
    let is_decided = known::<N>(core, &event.id)
        .await?
        .is_some_and(|known| known.is_decided(false));
    if is_decided || core.commands.is_prefixed(event) {
        return Ok(());
    }
    // What is nothing for the network has failed for another reason; what cannot be said now may be something for it.
    if let Ok(None) = translate::action(live, core, &portal, &foreign).await {
        return Ok(());
    }
    let row = FateRow::of(event, REJECTED, Some(REASON.to_owned()));
    let now_ms = core.now_ms();
    core.store
        .write(move |unit| unit.put_fate(N::NAME, &row, now_ms))
        .await?;
    if !live.plan.status.failures {
        return Ok(());
    }
    let mut content = status(N::NAME, &event.id, "FAIL_RETRIABLE");
    content["reason"] = json!(Cause::Internal.as_status());
    content["message"] = json!(shown(REASON));
    let key = format!("{}/{}/failure", event.id, N::NAME);
    send(core, &portal, (STATUS, key), content).await
}
