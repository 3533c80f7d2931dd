//! What was redacted is forgotten: it is not tried again, and its words are not kept.

use std::time::Duration;

use crate::{
    Error, Event,
    bridge::{Network, network::Carrying},
    core::Core,
};

/// An event that has come longer ago than this may have been redacted before its turn.
const FRESH: Duration = Duration::from_secs(5);

/// Events behind another that are looked at, of those that name it and seem to be redactions.
const LOOKED_AT: usize = 16;

/// Whether an event that had to wait was redacted meanwhile: the redaction stands behind it, and the network is not to
/// be told first what nobody is to read.
pub(crate) async fn is_taken_back<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
) -> Result<bool, Error> {
    let (core, delivery) = (&carrying.context.core, &carrying.context.delivery);
    let age = u64::try_from(core.now_ms() - delivery.received_ms).unwrap_or(0);
    if delivery.attempt == 1 && Duration::from_millis(age) < FRESH {
        return Ok(false);
    }
    let (room, id) = (event.room_id.to_string(), event.id.to_string());
    let behind = core
        .store
        .read(move |unit| unit.inbox_redactions(&room, &id, LOOKED_AT))
        .await?;
    Ok(behind.iter().any(|body| {
        Event::from_json(body).is_ok_and(|behind| {
            behind.kind == "m.room.redaction" && behind.redacts.as_ref() == Some(&event.id)
        })
    }))
}

/// Forgets what an event said that somebody has redacted; which message it was is still known.
pub(crate) async fn forget_words<N: Network>(core: &Core, redaction: &Event) -> Result<(), Error> {
    let Some(redacted) = redaction.redacts.as_ref().map(ToString::to_string) else {
        return Ok(());
    };
    let (room, now_ms) = (redaction.room_id.clone(), core.now_ms());
    core.store
        .write(move |unit| {
            unit.forget_fate_body(N::NAME, room.as_str(), &redacted)?;
            let rows = unit.messages_by_event(N::NAME, &redacted)?;
            let message = unit.message_by_event::<N>(&redacted)?;
            // An event of another room names nothing here.
            let message = message.filter(|message| message.room_id == room);
            match message.zip(rows.first()) {
                Some((mut message, row)) => {
                    message.content = None;
                    unit.link_message::<N>(&row.remote_room, &message, now_ms)
                }
                None => Ok(()),
            }
        })
        .await?;
    Ok(())
}
