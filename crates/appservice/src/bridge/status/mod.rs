//! Telling the sender how an event fared on its way to the other network.
//!
//! Each event ends in one of two ways ([`Fate`]), and may have to wait before. Clients are told by `com.beeper.message_send_status` events (and
//! `de.nasnotfound.bridge_error`, MSC2162, if wanted), people by a notice in the room; many failures in a short time
//! are one notice. The sender may ask for another attempt by reacting with 🔁, or with the command `retry`.

mod again;
mod flood;
mod later;
mod parked;
mod redacted;
mod telling;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use self::telling::{Telling, send};
pub(crate) use self::{
    again::{asked_again, carry_again, retry_all},
    flood::Floods,
    later::{told_later, undone_later},
    parked::tell_parked,
    redacted::forget_words,
};
use super::{Cause, Fate, Network, Rejected, network::Carrying};
use crate::{
    Error, Event, HandlerError, Urgency,
    core::Core,
    handler::{Scope, Verdict},
    id::EventId,
    metrics::catalogue::BRIDGE_EVENTS,
    outbox::{Outgoing, What},
    store::{
        FateRow, Tx,
        fates::{DELIVERED, FOLDED, REJECTED, RETRYING},
    },
};

/// The type of the events that clients read.
const STATUS: &str = "com.beeper.message_send_status";

/// The type of the same in MSC2162.
const BRIDGE_ERROR: &str = "de.nasnotfound.bridge_error";

/// Characters of a reason that are shown.
const MAX_REASON: usize = 500;

/// What senders are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it is given to `Bridge::status`"]
pub struct StatusOptions {
    /// Clients are told of failures and of attempts that take long.
    pub(crate) failures: bool,
    /// Clients are told of each success as well.
    pub(crate) successes: bool,
    /// Clients are told of failures in the way of MSC2162.
    pub(crate) bridge_errors: bool,
    /// People are told of failures by notices.
    pub(crate) notices: bool,
}

impl Default for StatusOptions {
    /// Of failures: clients by status events, people by notices.
    fn default() -> Self {
        Self {
            failures: true,
            successes: false,
            bridge_errors: false,
            notices: true,
        }
    }
}

impl StatusOptions {
    /// Of each success as well, clients are told.
    pub fn successes(mut self) -> Self {
        self.successes = true;
        self
    }

    /// Of failures, clients are told in the way of MSC2162 as well.
    pub fn bridge_errors(mut self) -> Self {
        self.bridge_errors = true;
        self
    }

    /// People are told nothing by notices.
    pub fn without_notices(mut self) -> Self {
        self.notices = false;
        self
    }
}

impl Cause {
    /// The reason as status events have it.
    fn as_status(self) -> &'static str {
        match self {
            Self::Network => "m.foreign_network_error",
            Self::Unsupported => "com.beeper.unsupported_event",
            Self::Forbidden => "m.no_permission",
            Self::Encrypted => "com.beeper.undecryptable_event",
            Self::TooOld => "m.event_too_old",
            Self::Internal | Self::Deleted => "m.event_not_handled",
        }
    }

    /// The reason as MSC2162 has it.
    fn as_bridge_error(self) -> &'static str {
        match self {
            Self::Network => "m.foreign_network_error",
            Self::Unsupported => "m.event_unknown",
            Self::Forbidden => "m.no_permission",
            Self::Encrypted | Self::Deleted => "m.event_not_handled",
            Self::TooOld => "m.event_too_old",
            Self::Internal => "m.internal_error",
        }
    }
}

/// The content of a status event.
fn status(network: &str, event: &EventId, status: &str) -> Value {
    json!({
        "network": network,
        "m.relates_to": { "rel_type": "m.reference", "event_id": event },
        "status": status,
    })
}

fn shown(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}

impl Core {
    /// Tells the sender of an event that it cannot be done, and why. Sent with the event's consumption.
    pub(crate) fn tell_rejected(&self, event: &Event, reason: &str, tx: &Tx) -> Result<(), Error> {
        let mut content = status(&self.name, &event.id, "FAIL_PERMANENT");
        content["reason"] = json!(Cause::Internal.as_status());
        content["message"] = json!(shown(reason));
        let outgoing = Outgoing {
            key: Scope::new(format!("{}/status", event.id)).next_key(),
            room_id: event.room_id.clone(),
            user: self.bot.clone(),
            what: What::Event(STATUS.to_owned()),
            content,
            ts_ms: None,
            urgency: Urgency::Message,
        };
        self.outbox.enqueue_with(tx, &outgoing);
        Ok(())
    }
}

/// How an event has fared so far.
pub(crate) struct Known(FateRow);

impl Known {
    /// Whether nothing more is to be done about it; what was refused may be asked for again.
    pub(crate) fn is_decided(&self, is_asked_again: bool) -> bool {
        self.0.fate == DELIVERED || self.0.fate == REJECTED && !is_asked_again
    }

    /// Whether its sender was told that it takes long.
    pub(crate) fn is_pending(&self) -> bool {
        self.0.fate == RETRYING
    }

    pub(crate) fn is_delivered(&self) -> bool {
        self.0.fate == DELIVERED
    }

    /// The event that it is told with.
    pub(crate) fn told_with(&self) -> Option<&str> {
        self.0.reason.as_deref().filter(|_| self.0.fate == FOLDED)
    }

    /// Why it was refused.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
}

/// How an event has fared so far, if it is remembered.
pub(crate) async fn known<N: Network>(
    core: &Core,
    event: &EventId,
) -> Result<Option<Known>, Error> {
    let event = event.to_string();
    let row = core
        .store
        .read(move |unit| unit.fate(N::NAME, &event))
        .await?;
    Ok(row.map(Known))
}

/// Notes how an event fared, tells its sender, and says how it goes on. `is_pending` is whether the sender was told
/// before that it takes long.
pub(crate) async fn settle<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Arc<Event>,
    fate: Fate,
    (is_said, is_pending): (bool, bool),
) -> Result<Verdict, HandlerError> {
    let core = &carrying.context.core;
    let count = |fate| core.metrics.count(&BRIDGE_EVENTS, &[N::NAME, fate], 1);
    let no = match fate {
        Fate::Delivered(_) => {
            count("delivered");
            note(carrying, event, (DELIVERED, None)).await?;
            delivered(carrying, event, is_said, is_pending).await?;
            return Ok(Verdict::Done);
        }
        Fate::Retrying { reason, .. } if is_last_attempt(carrying, is_said) => {
            Rejected::new(Cause::Network, reason)
        }
        Fate::Waiting { reason, at_most } if has_waited(carrying, at_most) => {
            Rejected::new(Cause::Network, reason)
        }
        Fate::Retrying { after, reason } => {
            count("retried");
            if is_said && !is_pending {
                pending(carrying, event, &reason).await?;
            }
            let after = after.unwrap_or_else(|| usual_wait(carrying));
            let after = after.min(core.limits.max_retry);
            return Ok(Verdict::Retry { after, reason });
        }
        Fate::Waiting { reason, .. } => {
            count("waiting");
            if is_said && !is_pending {
                pending(carrying, event, &reason).await?;
            }
            return Ok(Verdict::Wait { reason });
        }
        Fate::Rejected(no) => no,
    };
    count("rejected");
    rejected(carrying, event, no, is_said).await
}

/// Whether it is the last attempt of all: the event would be set aside with the next failure, and nobody would know.
fn is_last_attempt<N: Network>(carrying: &Carrying<'_, N>, is_said: bool) -> bool {
    let attempt = carrying.context.delivery.counted;
    attempt >= carrying.context.core.limits.attempts || !is_said && attempt > 3
}

fn usual_wait<N: Network>(carrying: &Carrying<'_, N>) -> Duration {
    let attempt = carrying.context.delivery.counted;
    let factor = 1_u32 << (attempt - 1).min(16);
    carrying
        .context
        .core
        .limits
        .first_retry
        .saturating_mul(factor)
}

/// Whether it has waited for the network long enough.
fn has_waited<N: Network>(carrying: &Carrying<'_, N>, at_most: Option<Duration>) -> bool {
    let (core, delivery) = (&carrying.context.core, &carrying.context.delivery);
    let waited = delivery
        .waiting_since_ms
        .map_or(0, |since| core.now_ms() - since);
    let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
    at_most.is_some_and(|at_most| waited >= at_most)
        || carrying.live.has_waited(core, delivery.received_ms)
}

/// Tells the sender that it takes long. What is tried again because they have asked stays refused until it is there,
/// as it would be forgotten otherwise.
async fn pending<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    reason: &str,
) -> Result<(), Error> {
    let telling = Telling::of(carrying);
    telling.status(event, ("PENDING", "pending"), None).await?;
    match carrying.again {
        None => note(carrying, event, (RETRYING, Some(reason.to_owned()))).await,
        Some(_) => Ok(()),
    }
}

impl FateRow {
    fn of(event: &Event, fate: i64, reason: Option<String>) -> Self {
        Self {
            event_id: event.id.to_string(),
            room_id: event.room_id.to_string(),
            sender: event.sender.to_string(),
            fate,
            reason,
            body: match fate {
                REJECTED => event.raw().to_owned(),
                _ => String::new(),
            },
        }
    }
}

async fn note<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    (fate, reason): (i64, Option<String>),
) -> Result<(), Error> {
    let core = &carrying.context.core;
    let row = FateRow::of(event, fate, reason);
    let now_ms = core.now_ms();
    core.store
        .write(move |unit| unit.put_fate(N::NAME, &row, now_ms))
        .await?;
    Ok(())
}

/// Tells of a success where that is wanted, or where something else was told before.
async fn delivered<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    is_said: bool,
    is_pending: bool,
) -> Result<(), Error> {
    let was_late = is_pending || carrying.again.is_some();
    if is_said && (carrying.live.plan.status.successes || was_late) {
        let telling = Telling::of(carrying);
        telling.status(event, ("SUCCESS", "success"), None).await?;
    }
    Ok(())
}

async fn rejected<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    no: Rejected,
    is_said: bool,
) -> Result<Verdict, HandlerError> {
    note(carrying, event, (REJECTED, Some(no.reason.clone()))).await?;
    Telling::of(carrying).no(event, &no, is_said).await?;
    Ok(Verdict::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_events_have_the_fields_that_clients_read() {
        let event = EventId::parse("$a").expect("an id");
        assert_eq!(
            status("irc", &event, "PENDING"),
            json!({
                "network": "irc",
                "m.relates_to": { "rel_type": "m.reference", "event_id": "$a" },
                "status": "PENDING",
            })
        );
    }
}
