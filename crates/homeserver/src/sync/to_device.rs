//! To-device messages: handed over in order, forgotten when the device comes back for more.

use bridgehead_store::{Result, StreamPosition, ToDeviceRow};
use serde_json::value::RawValue;

use super::{look::Look, response::Events, token::SyncToken};
use crate::{
    app::App,
    rooms::format::{Object, raw},
};

use super::look::Reader;

/// Messages in one answer at most.
const PAGE: usize = 100;

/// A device that comes back with a token has got the messages before it. Nothing is written when
/// there were none.
pub(crate) async fn forget_received(app: &App, reader: &Reader, since: SyncToken) -> Result<()> {
    let Some(device_id) = reader.device_id.clone() else {
        return Ok(());
    };
    let user_id = reader.user_id.to_string();
    let upto = since.to_device;
    if upto == StreamPosition::ZERO {
        return Ok(());
    }
    let (user, device) = (user_id.clone(), device_id.clone());
    let waiting: Vec<ToDeviceRow> = app
        .store
        .read(move |s| s.to_device_for(&user, &device, StreamPosition::ZERO, upto, 1))
        .await?;
    if !waiting.is_empty() {
        app.store
            .write(move |tx| tx.delete_to_device(&user_id, &device_id, upto))
            .await?;
    }
    Ok(())
}

/// The device's next messages, and up to where they go.
pub(crate) fn read(look: &Look<'_>) -> Result<(Events, StreamPosition)> {
    let Some(device_id) = &look.reader.device_id else {
        return Ok((Events::default(), look.upto));
    };
    let after = look
        .since
        .map_or(StreamPosition::ZERO, |since| since.to_device);
    let rows = look
        .snapshot
        .to_device_for(look.user_id(), device_id, after, look.upto, PAGE)?;
    let upto = match rows.last() {
        Some(last) if rows.len() == PAGE => last.pos,
        _ => look.upto,
    };
    let events = rows.iter().map(event).collect();
    Ok((Events { events }, upto))
}

fn event(row: &ToDeviceRow) -> Box<RawValue> {
    let mut out = Object::with_capacity(row.content.len() + 128);
    out.raw("content", &row.content);
    out.string("sender", &row.sender);
    out.string("type", &row.kind);
    raw(out.finish())
}
