//! What was told together with another event has that one's fate.

use super::{Carrying, Fate, Foreign, Network};
use crate::{
    HandlerError,
    bridge::{Action, Cause, Receipt, Rejected, network::deliver::remember, status, translate},
    handler::Verdict,
    id::EventId,
};

/// How it went with what an event was told with; `None` where that is not known, and the event goes its own way.
pub(super) async fn follow<N: Network>(
    carrying: &Carrying<'_, N>,
    foreign: &Foreign<N>,
    head: &str,
) -> Result<Option<Verdict>, HandlerError> {
    let (live, core, portal) = (carrying.live, &carrying.context.core, carrying.portal);
    let Ok(head) = EventId::parse(head) else {
        return Ok(None);
    };
    let fate = match status::known::<N>(core, &head).await? {
        Some(known) if known.is_delivered() => {
            // So that it can be taken back.
            if let Some(Ok(action @ Action::React { .. })) =
                translate::action(live, core, portal, foreign).await?
            {
                remember(core, portal, foreign, (&action, &Receipt::new())).await?;
            }
            Fate::Delivered(Receipt::new())
        }
        Some(known) if known.is_decided(false) => {
            let reason = known.reason().unwrap_or_default();
            Fate::Rejected(Rejected::new(Cause::Network, reason).quiet())
        }
        _ => return Ok(None),
    };
    let verdict = status::settle(carrying, &foreign.event, fate, (true, false)).await?;
    Ok(Some(verdict))
}
