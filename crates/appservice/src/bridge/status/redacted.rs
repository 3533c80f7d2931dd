//! What was redacted is forgotten: it is not tried again, and its words are not kept.

use crate::{Error, Event, bridge::Network, core::Core};

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
