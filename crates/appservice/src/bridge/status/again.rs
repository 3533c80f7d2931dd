//! Another attempt at what was refused, because its sender asks for it.

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;

use crate::{
    Content, Error, Event, HandlerError,
    bridge::{
        Foreign, Level, Network,
        live::Live,
        network::{Carrying, carry},
        portal::Portal,
    },
    handler::{Context, Verdict},
    store::{FateRow, fates::REJECTED},
};

/// The reaction that asks for another attempt, without the marks that choose how it looks.
pub(super) const AGAIN: &str = "🔁";

/// What was refused longer ago than this is not tried again.
const AGAIN_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How much is tried again at one time.
const AGAIN_AT_ONCE: usize = 20;

/// The event that somebody asks to be tried again by this reaction, if it is one and they may.
pub(crate) async fn asked_again<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
) -> Result<Option<FateRow>, Error> {
    let core = &carrying.context.core;
    let content = Content::new(&event.kind, event.content.clone());
    let Some((target, AGAIN)) = content
        .reaction()
        .map(|(target, key)| (target.to_string(), key.trim_end_matches('\u{fe0f}')))
    else {
        return Ok(None);
    };
    let room = event.room_id.to_string();
    let failed = core
        .store
        .read(move |unit| {
            // The reaction may be to the notice, too.
            let suffix = format!("/{}/notice", N::NAME);
            let noticed = unit.outbox_key_of_event(&target)?;
            let noticed = noticed.and_then(|key| {
                let (event, _) = key.split_once(&suffix)?;
                Some(event.to_owned())
            });
            unit.fate(N::NAME, noticed.as_deref().unwrap_or(&target))
        })
        .await?;
    let may = |failed: &FateRow| {
        failed.fate == REJECTED
            // It was redacted.
            && !failed.body.is_empty()
            && failed.room_id == room
            && (failed.sender == event.sender.as_str() || core.level(&event.sender) >= Level::Admin)
    };
    Ok(failed.filter(may))
}

/// Tries a refused event again.
pub(crate) async fn carry_again<N: Network>(
    carrying: &Carrying<'_, N>,
    failed: &FateRow,
) -> Result<Verdict, HandlerError> {
    let raw = RawValue::from_string(failed.body.clone())?;
    let event = Arc::new(Event::parse(&raw)?);
    match Foreign::<N>::of(&carrying.context.core, &event).await? {
        Some(foreign) => carry(carrying, foreign).await,
        None => Ok(Verdict::Done),
    }
}

/// Tries again all that somebody was refused in a portal today; how many.
pub(crate) async fn retry_all<N: Network>(
    live: &Arc<Live<N>>,
    context: &Context,
    portal: &Portal<N>,
    by: &Event,
) -> Result<usize, HandlerError> {
    let core = &context.core;
    let since_ms = core.now_ms() - i64::try_from(AGAIN_WITHIN.as_millis()).unwrap_or(i64::MAX);
    let (room, sender) = (by.room_id.to_string(), by.sender.to_string());
    let failed = core
        .store
        .read(move |unit| unit.rejected(N::NAME, (&room, &sender), since_ms, AGAIN_AT_ONCE))
        .await?;
    let carrying = Carrying {
        live,
        context,
        portal,
        again: Some(by.id.clone()),
    };
    for row in &failed {
        // What fails again is told as it was the first time.
        if let Verdict::Retry { .. } | Verdict::Wait { .. } = carry_again(&carrying, row).await? {
            note_again(&carrying, row).await?;
        }
    }
    Ok(failed.len())
}

/// A command does not wait: what has to wait is refused again, and may be asked for again.
async fn note_again<N: Network>(carrying: &Carrying<'_, N>, row: &FateRow) -> Result<(), Error> {
    let (row, core) = (row.clone(), &carrying.context.core);
    let now_ms = core.now_ms();
    core.store
        .write(move |unit| unit.put_fate(N::NAME, &row, now_ms))
        .await?;
    Ok(())
}
