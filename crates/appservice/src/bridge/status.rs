//! Telling the sender how an event fared on its way to the other network.
//!
//! Each event ends in one of three ways ([`Fate`]). Clients are told by `com.beeper.message_send_status` events (and
//! `de.nasnotfound.bridge_error`, MSC2162, if wanted), people by a notice in the room; many failures in a short time
//! are one notice. The sender may ask for another attempt by reacting with 🔁, or with the command `retry`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json, value::RawValue};

use super::{
    Cause, Fate, Foreign, Level, Network, Rejected,
    live::Live,
    management::notice,
    network::{Carrying, carry},
    portal::Portal,
};
use crate::{
    Content, Error, Event, HandlerError, Urgency,
    core::Core,
    format::{Rich, content::Kind},
    handler::{Context, Scope, Verdict},
    id::{EventId, RoomId},
    metrics::catalogue::BRIDGE_EVENTS,
    outbox::{Outgoing, What},
    store::{
        FateRow, Tx,
        fates::{DELIVERED, REJECTED, RETRYING},
    },
};

/// The type of the events that clients read.
const STATUS: &str = "com.beeper.message_send_status";

/// The type of the same in MSC2162.
const BRIDGE_ERROR: &str = "de.nasnotfound.bridge_error";

/// The reaction that asks for another attempt, without the marks that choose how it looks.
const AGAIN: &str = "🔁";

/// Failures within this time of a notice are told together, at its end.
const QUIET: Duration = Duration::from_secs(60);

/// What was refused longer ago than this is not tried again.
const AGAIN_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How much is tried again at one time.
const AGAIN_AT_ONCE: usize = 20;

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
            Self::Internal => "m.event_not_handled",
        }
    }

    /// The reason as MSC2162 has it.
    fn as_bridge_error(self) -> &'static str {
        match self {
            Self::Network => "m.foreign_network_error",
            Self::Unsupported => "m.event_unknown",
            Self::Forbidden => "m.no_permission",
            Self::Encrypted => "m.event_not_handled",
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

    pub(crate) fn is_delivered(&self) -> bool {
        self.0.fate == DELIVERED
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

/// Notes how an event fared, tells its sender, and says how it goes on.
pub(crate) async fn settle<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Arc<Event>,
    fate: Fate,
    is_said: bool,
) -> Result<Verdict, HandlerError> {
    let (limits, metrics) = (
        &carrying.context.core.limits,
        &carrying.context.core.metrics,
    );
    let count = |fate| metrics.count(&BRIDGE_EVENTS, &[N::NAME, fate], 1);
    let attempt = carrying.context.delivery.attempt;
    match fate {
        Fate::Delivered(_) => {
            count("delivered");
            note(carrying, event, (DELIVERED, None)).await?;
            delivered(carrying, event, is_said).await?;
            Ok(Verdict::Done)
        }
        // The last attempt of all: it would be set aside with the next failure, and nobody would know.
        Fate::Retrying { reason, .. } if attempt >= limits.attempts || !is_said && attempt > 3 => {
            count("rejected");
            rejected(
                carrying,
                event,
                Rejected::new(Cause::Network, reason),
                is_said,
            )
            .await
        }
        Fate::Retrying { after, reason } => {
            count("retried");
            tracing::debug!(network = N::NAME, event.id = %event.id, reason, attempt, "the network has not got it yet");
            if is_said && attempt == 1 {
                note(carrying, event, (RETRYING, Some(reason.clone()))).await?;
                tell(carrying, event, ("PENDING", "pending"), None).await?;
            }
            let factor = 1_u32 << (attempt - 1).min(16);
            let usual = limits.first_retry.saturating_mul(factor);
            Ok(Verdict::RetryIn(
                after.unwrap_or(usual).min(limits.max_retry),
            ))
        }
        Fate::Rejected(no) => {
            count("rejected");
            rejected(carrying, event, no, is_said).await
        }
    }
}

async fn note<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    (fate, reason): (i64, Option<String>),
) -> Result<(), Error> {
    let core = &carrying.context.core;
    let row = FateRow {
        event_id: event.id.to_string(),
        room_id: event.room_id.to_string(),
        sender: event.sender.to_string(),
        fate,
        reason,
        body: match fate {
            REJECTED => event.raw().to_owned(),
            _ => String::new(),
        },
    };
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
) -> Result<(), Error> {
    let was_late = carrying.context.delivery.attempt > 1 || carrying.again.is_some();
    if is_said && (carrying.live.plan.status.successes || was_late) {
        tell(carrying, event, ("SUCCESS", "success"), None).await?;
    }
    Ok(())
}

async fn rejected<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    no: Rejected,
    is_said: bool,
) -> Result<Verdict, HandlerError> {
    tracing::info!(network = N::NAME, event.id = %event.id, reason = no.reason, "the network has not got it");
    note(carrying, event, (REJECTED, Some(no.reason.clone()))).await?;
    if is_said {
        let kind = match no.cause.may_pass() {
            true => "FAIL_RETRIABLE",
            false => "FAIL_PERMANENT",
        };
        tell(carrying, event, (kind, "failure"), Some(&no)).await?;
        if carrying.live.plan.status.bridge_errors {
            bridge_error(carrying, event, &no).await?;
        }
        if carrying.live.plan.status.notices && !no.is_quiet {
            notice_failure(carrying, event, &no).await?;
        }
    }
    Ok(Verdict::Done)
}

/// Names what is told of an event: another attempt's news are other news.
fn key<N: Network>(carrying: &Carrying<'_, N>, event: &Event, what: &str) -> String {
    match &carrying.again {
        None => format!("{}/{}/{what}", event.id, N::NAME),
        Some(again) => format!("{}/{}/{what}/{again}", event.id, N::NAME),
    }
}

async fn enqueue<N: Network>(
    carrying: &Carrying<'_, N>,
    kind: &str,
    key: String,
    content: Value,
) -> Result<(), Error> {
    let core = &carrying.context.core;
    let outgoing = Outgoing {
        key,
        room_id: carrying.portal.matrix.clone(),
        user: carrying.portal.agent(core),
        what: What::Event(kind.to_owned()),
        content,
        ts_ms: None,
        urgency: Urgency::Message,
    };
    core.outbox.enqueue(&outgoing).await
}

async fn tell<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    (kind, what): (&str, &str),
    no: Option<&Rejected>,
) -> Result<(), Error> {
    if !carrying.live.plan.status.failures {
        return Ok(());
    }
    let mut content = status(N::NAME, &event.id, kind);
    if let Some(no) = no {
        content["reason"] = json!(no.cause.as_status());
        content["message"] = json!(shown(&no.reason));
    }
    if let Some(again) = &carrying.again {
        content["last_retry"] = json!(again);
    }
    enqueue(carrying, STATUS, key(carrying, event, what), content).await
}

async fn bridge_error<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    no: &Rejected,
) -> Result<(), Error> {
    let pattern = carrying.live.users_pattern();
    let content = json!({
        "network_name": N::TITLE,
        "reason": no.cause.as_bridge_error(),
        "affected_users": pattern.into_iter().collect::<Vec<_>>(),
        "m.relates_to": { "rel_type": "m.reference", "event_id": event.id },
    });
    enqueue(
        carrying,
        BRIDGE_ERROR,
        key(carrying, event, "error"),
        content,
    )
    .await
}

/// Failures of a room since its last notice.
struct Flood {
    more: u32,
    last: String,
}

/// Rooms that were told of failures a short time ago.
#[derive(Default)]
pub(crate) struct Floods(Mutex<HashMap<RoomId, Flood>>);

impl Floods {
    /// Counts a failure; whether it is to be told at once.
    fn count(&self, room: &RoomId, reason: &str) -> bool {
        let mut floods = self.0.lock();
        if let Some(flood) = floods.get_mut(room) {
            flood.more += 1;
            reason.clone_into(&mut flood.last);
            return false;
        }
        let flood = Flood {
            more: 0,
            last: String::new(),
        };
        floods.insert(room.clone(), flood);
        true
    }

    /// What came together since the last notice; with nothing, the room is quiet.
    fn take(&self, room: &RoomId) -> Option<(u32, String)> {
        let mut floods = self.0.lock();
        let flood = floods.get_mut(room)?;
        if flood.more == 0 {
            floods.remove(room);
            return None;
        }
        let taken = (flood.more, std::mem::take(&mut flood.last));
        flood.more = 0;
        Some(taken)
    }
}

async fn notice_failure<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Event,
    no: &Rejected,
) -> Result<(), Error> {
    let floods = &carrying.live.floods;
    if !floods.count(&event.room_id, &no.reason) {
        return Ok(());
    }
    let how = match no.cause.may_pass() {
        true => format!(" React to it with {AGAIN} to try again."),
        false => String::new(),
    };
    let text = format!(
        "Your message did not reach {}: {}.{how}",
        N::TITLE,
        sentence(&no.reason)
    );
    let content = Content::message(Kind::Notice, &Rich::plain(&text))
        .in_reply_to(&event.id, Some(&event.sender));
    let key = key(carrying, event, "notice");
    enqueue(carrying, "m.room.message", key, content.into_json()).await?;
    let (live, room) = (Arc::downgrade(carrying.live), event.room_id.clone());
    let agent = carrying.portal.agent(&carrying.context.core);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(QUIET).await;
            let Some(live) = live.upgrade() else { return };
            match tell_together(&live, &room, &agent).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(network = N::NAME, %error, "failures were not told");
                    return;
                }
            }
        }
    });
    Ok(())
}

fn sentence(reason: &str) -> String {
    shown(reason.trim().trim_end_matches('.'))
}

/// Tells of all failures since the last notice; whether there were any.
async fn tell_together<N: Network>(
    live: &Live<N>,
    room: &RoomId,
    agent: &crate::id::UserId,
) -> Result<bool, Error> {
    let core = live.core()?;
    let Some((more, last)) = live.floods.take(room) else {
        return Ok(false);
    };
    let text = format!(
        "{more} more {} did not reach {}, the last because: {}.",
        if more == 1 { "message" } else { "messages" },
        N::TITLE,
        sentence(&last)
    );
    let content = Content::message(Kind::Notice, &Rich::plain(&text));
    let outgoing = notice(room, agent, core.effect_key(None), content);
    core.outbox.enqueue(&outgoing).await?;
    Ok(true)
}

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
        if let Verdict::RetryIn(_) = carry_again(&carrying, row).await? {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::parse(&format!("!{name}:x")).expect("an id")
    }

    #[test]
    fn a_flood_is_one_notice_and_one_more() {
        let floods = Floods::default();
        assert!(floods.count(&room("a"), "first"));
        assert!(floods.count(&room("b"), "another room"));
        for n in 0..100 {
            assert!(!floods.count(&room("a"), &format!("no {n}")));
        }
        assert_eq!(floods.take(&room("a")), Some((100, "no 99".to_owned())));
        // It stays quiet until a whole while has passed without a failure.
        assert!(!floods.count(&room("a"), "late"));
        assert_eq!(floods.take(&room("a")), Some((1, "late".to_owned())));
        assert_eq!(floods.take(&room("a")), None);
        assert!(floods.count(&room("a"), "new"));
    }

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
