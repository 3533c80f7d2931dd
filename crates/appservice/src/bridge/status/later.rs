//! What the network says later of an event whose fate was decided: that it has it after all, or has it not.

use std::sync::Arc;

use super::{Rejected, Telling, known};
use crate::{
    Error, Event,
    bridge::{Network, live::Live, portal::Portal},
    core::Core,
    store::{
        FateRow,
        fates::{DELIVERED, REJECTED},
    },
};

/// The network has what was thought to be refused: its sender is told, and it is not tried again.
pub(crate) async fn told_later<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    (event, news): (&Event, &str),
) -> Result<(), Error> {
    let was_refused = known::<N>(core, &event.id)
        .await?
        .is_some_and(|known| known.0.fate == REJECTED);
    if !was_refused {
        return Ok(());
    }
    let telling = telling(live, core, portal, news);
    telling.status(event, ("SUCCESS", "success"), None).await?;
    let (row, now_ms) = (FateRow::of(event, DELIVERED, None), core.now_ms());
    core.store
        .write(move |unit| unit.put_fate(N::NAME, &row, now_ms))
        .await?;
    Ok(())
}

/// The network has not what was thought to be there: its sender is told, as of what is refused at once. Gives back
/// what is to be noted: then it can be asked for again.
pub(crate) async fn undone_later<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    (event, news): (&Event, &str),
    no: &Rejected,
) -> Result<FateRow, Error> {
    telling(live, core, portal, news)
        .no(event, no, true)
        .await?;
    Ok(FateRow::of(event, REJECTED, Some(no.reason.clone())))
}

fn telling<'a, N: Network>(
    live: &'a Arc<Live<N>>,
    core: &'a Arc<Core>,
    portal: &'a Portal<N>,
    news: &str,
) -> Telling<'a, N> {
    Telling {
        live,
        core,
        portal,
        news: Some(news.to_owned()),
        last_retry: None,
    }
}
