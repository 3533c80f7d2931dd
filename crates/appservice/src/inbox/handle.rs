//! Running the handlers of one row, and what comes of it.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument as _;

use crate::{
    Error, Event, HandlerError,
    core::Core,
    handler::{AnyHandler, Context, Delivery, Input, Scope, Verdict},
    lanes::Step,
    metrics::catalogue::{
        EVENTS_FAILED, EVENTS_HANDLED, EVENTS_PARKED, EVENTS_RETRIED, HANDLER_SECONDS,
    },
    store::{InboxKind, InboxRow, Tx},
    trace::Trace,
};

/// Characters of an error that are kept.
const MAX_ERROR: usize = 2000;

/// Stands in the names of lanes between a room and what is put aside there; no room's id has it.
pub(super) const ASIDE: char = ' ';

/// How the handlers of a row have ended, all together.
enum Outcome {
    Done,
    Reject(String),
    Retry(Option<Duration>, String),
    /// The homeserver is away, or does not know the service: it is tried again, and that does not count.
    Away(Error),
    /// Something else is away; that does not count either.
    Wait(String),
    Park(String),
    Hold(Duration),
    Aside(String),
    Stopping,
}

/// The outcome of an attempt, and which handler has decided it.
struct Ended {
    outcome: Outcome,
    handler: Arc<str>,
}

/// Stands for the handler in figures about what never came to one.
const NO_HANDLER: &str = "none";

/// Handles a row: one attempt.
pub(super) async fn row(core: &Arc<Core>, row: &mut InboxRow) -> Step {
    let span = tracing::info_span!(
        "handle",
        service = %core.name,
        txn.id = %row.txn_id,
        room.id = %row.lane,
        event.id = tracing::field::Empty,
        attempt = tries(row),
        trace.id = tracing::field::Empty,
    );
    let trace = row.trace.as_deref().and_then(Trace::parse);
    if let Some(trace) = &trace {
        span.record("trace.id", trace.id());
    }
    Trace::around(trace, attempt(core, row).instrument(span)).await
}

/// Which attempt this is, those included that do not count.
fn tries(row: &InboxRow) -> u32 {
    row.attempts + row.outage.attempts() + row.waiting.attempts() + 1
}

async fn attempt(core: &Arc<Core>, row: &mut InboxRow) -> Step {
    let tx = Tx::new(core.store.clone());
    let (input, name) = match input_of(row) {
        Ok(input) => input,
        Err(error) => return park(core, row, NO_HANDLER, &error).await,
    };
    tracing::Span::current().record("event.id", name.as_str());
    let delivery = Delivery {
        txn_id: row.txn_id.as_str().into(),
        attempt: tries(row),
        counted: row.attempts + 1,
        lane: row.lane.as_str().into(),
        row_id: row.id,
        waiting_since_ms: row.waiting.since_ms(),
        received_ms: row.received_ms,
        traceparent: Trace::current().map(|trace| trace.as_str().into()),
    };
    let ended = run(core, &input, &delivery, &tx, &name).await;
    settle(core, row, ended, &input, &tx).await
}

fn input_of(row: &InboxRow) -> Result<(Input, String), String> {
    let named = |kind: &str| format!("{kind}-{}", row.name.as_deref().unwrap_or_default());
    let value = || serde_json::from_str::<Value>(&row.body).map_err(|error| error.to_string());
    match row.kind {
        InboxKind::Event => {
            let event = Event::from_json(&row.body).map_err(|error| error.to_string())?;
            let name = event.id.to_string();
            Ok((Input::Event(Arc::new(event)), name))
        }
        InboxKind::ToDevice => Ok((Input::ToDevice(Arc::new(value()?)), named("to-device"))),
        InboxKind::Devices => Ok((Input::Devices(Arc::new(value()?)), named("devices"))),
    }
}

/// Runs the handlers one after another, each with its own names for its effects. One that rejects the event does not
/// decide for the others: what they write stays, and only its own is dropped.
async fn run(core: &Arc<Core>, input: &Input, delivery: &Delivery, tx: &Tx, name: &str) -> Ended {
    let mut rejected: Option<Ended> = None;
    for handler in &core.handlers.events {
        let mark = tx.mark();
        let context = Context {
            core: core.clone(),
            input: input.clone(),
            delivery: delivery.clone(),
            tx: tx.clone(),
            // By its name: the kit's own come first, and are more or fewer from release to release.
            scope: Scope::new(format!("{name}/{}", handler.name)),
        };
        let Some(outcome) = call(core, handler, context).await else {
            continue;
        };
        let handler = handler.name.clone();
        if matches!(outcome, Outcome::Reject(_)) {
            tx.truncate(mark);
            // The sender is told once: why it was refused first.
            rejected.get_or_insert(Ended { outcome, handler });
        } else {
            if matches!(outcome, Outcome::Retry(..) | Outcome::Away(_)) {
                core.metrics.count(&EVENTS_FAILED, &[&handler], 1);
            }
            return Ended { outcome, handler };
        }
    }
    rejected.unwrap_or_else(|| Ended {
        outcome: Outcome::Done,
        handler: NO_HANDLER.into(),
    })
}

/// Calls one handler; `None` when the next may be called.
async fn call(
    core: &Arc<Core>,
    handler: &AnyHandler<Verdict>,
    context: Context,
) -> Option<Outcome> {
    let (kind, is_retry) = (context.input.kind(), context.delivery.attempt > 1);
    let started = Instant::now();
    let called = AssertUnwindSafe(handler.call(context)).catch_unwind();
    let called = called.instrument(tracing::info_span!("handler", handler = %handler.name));
    let limit = core.limits.handler_timeout;
    let outcome = match tokio::time::timeout(limit, called).await {
        Ok(Ok(None)) => return None,
        Ok(Ok(Some(Ok(Verdict::Done)))) => None,
        Ok(Ok(Some(Ok(Verdict::RetryIn(wait))))) => Some(Outcome::Retry(
            Some(wait),
            "the handler asked for it".to_owned(),
        )),
        Ok(Ok(Some(Ok(Verdict::Retry { after, reason })))) => {
            Some(Outcome::Retry(Some(after), reason))
        }
        Ok(Ok(Some(Ok(Verdict::Wait { reason })))) => Some(Outcome::Wait(reason)),
        Ok(Ok(Some(Ok(Verdict::Hold(wait))))) => Some(Outcome::Hold(wait)),
        Ok(Ok(Some(Ok(Verdict::Aside(name))))) => Some(Outcome::Aside(name)),
        Ok(Ok(Some(Ok(Verdict::Reject(reason))))) => Some(Outcome::Reject(reason)),
        Ok(Ok(Some(Ok(Verdict::Park(reason))))) => Some(Outcome::Park(reason)),
        Ok(Ok(Some(Err(error)))) => Some(failed(core, &error)),
        Ok(Err(panic)) => {
            let text = format!("the handler panicked: {}", said(panic.as_ref()));
            Some(Outcome::Retry(None, text))
        }
        Err(_) => {
            let text = format!("the handler took longer than {limit:?}");
            Some(Outcome::Retry(None, text))
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let labels: [&str; 2] = [&handler.name, &kind];
    core.metrics.record(&HANDLER_SECONDS, &labels, seconds);
    if is_retry {
        core.metrics.count(&EVENTS_RETRIED, &[&handler.name], 1);
    }
    outcome
}

fn failed(core: &Core, error: &HandlerError) -> Outcome {
    match error.as_error() {
        // Only if it is so: a handler may have the error from elsewhere, such as another service of the same process,
        // and its room would stand still until the next start.
        Some(Error::Stopping) if core.inbox.is_halted() || *core.stop.borrow() => Outcome::Stopping,
        Some(error) if error.may_pass() => Outcome::Away(error.clone()),
        _ => Outcome::Retry(None, error.to_string()),
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a word".to_owned())
}

async fn settle(
    core: &Arc<Core>,
    row: &mut InboxRow,
    ended: Ended,
    input: &Input,
    tx: &Tx,
) -> Step {
    let handler = &*ended.handler;
    match ended.outcome {
        Outcome::Done => consume(core, row, tx).await,
        Outcome::Reject(reason) => {
            if let Input::Event(event) = input
                && let Err(error) = core.tell_rejected(event, &reason, tx)
            {
                tracing::warn!(%error, "the sender cannot be told why");
            }
            consume(core, row, tx).await
        }
        Outcome::Retry(wait, error) => {
            let wait = wait.unwrap_or_else(|| backoff(core, row.attempts + 1));
            retry(core, row, wait, handler, &error).await
        }
        Outcome::Wait(reason) => wait_for_others(core, row, handler, &reason).await,
        Outcome::Away(error) => wait_for_homeserver(core, row, handler, &error).await,
        Outcome::Park(reason) => park(core, row, handler, &reason).await,
        Outcome::Hold(wait) => Step::Again(wait),
        Outcome::Aside(name) => aside(core, row, &name).await,
        Outcome::Stopping => Step::Stop,
    }
}

/// The row goes, together with what the handlers wrote.
async fn consume(core: &Arc<Core>, row: &mut InboxRow, tx: &Tx) -> Step {
    let (id, changes) = (row.id, tx.take());
    if changes.is_empty() {
        core.inbox.handled().add(&core.store, id).await;
        handled_one(core, row);
        return Step::Next;
    }
    let handled = core.inbox.handled().clone();
    let written = core
        .store
        .write(move |unit| {
            // What was handled before goes first, or at the same time.
            handled.consume(unit)?;
            // First of all: what was written for it by another run is not written again.
            if !unit.consume_inbox(id)? {
                return Ok(false);
            }
            for change in changes {
                change(unit)?;
            }
            Ok(true)
        })
        .await;
    match written {
        Ok(true) => {
            handled_one(core, row);
            Step::Next
        }
        Ok(false) => {
            tracing::error!("an event had been handled already; nothing of it is written again");
            Step::Next
        }
        Err(error) => {
            let wait = backoff(core, row.attempts + 1);
            retry(core, row, wait, NO_HANDLER, &error.to_string()).await
        }
    }
}

/// The row goes on in a line of its own; its room goes on without it.
async fn aside(core: &Arc<Core>, row: &InboxRow, name: &str) -> Step {
    let (id, lane) = (row.id, aside_lane(&row.lane, name));
    if lane == row.lane {
        tracing::error!("put aside where it is already: it waits there");
        return Step::Again(core.limits.max_retry);
    }
    let to = lane.clone();
    let moved = core.store.write(move |unit| unit.move_inbox(id, &to)).await;
    match moved {
        Ok(()) => {
            core.inbox.moved(&lane, id);
            Step::Next
        }
        Err(error) => {
            tracing::error!(%error, "an event cannot be put aside");
            Step::Again(core.limits.max_retry)
        }
    }
}

/// The lane of what is put aside under a name in a room.
pub(crate) fn aside_lane(room: &str, name: &str) -> String {
    let room = room.split_once(ASIDE).map_or(room, |(room, _)| room);
    format!("{room}{ASIDE}{name}")
}

fn handled_one(core: &Core, row: &InboxRow) {
    core.inbox.failing().succeeded(&row.lane);
    core.metrics.count(&EVENTS_HANDLED, &[], 1);
}

async fn retry(
    core: &Arc<Core>,
    row: &mut InboxRow,
    wait: Duration,
    handler: &str,
    error: &str,
) -> Step {
    row.attempts += 1;
    let failing = core.inbox.failing();
    if row.attempts >= failing.attempts(&row.lane, core.limits.attempts) {
        let step = park(core, row, handler, error).await;
        if step == Step::Next {
            failing.parked(&row.lane);
        }
        return step;
    }
    tracing::warn!(
        error,
        attempt = row.attempts,
        ?wait,
        "not handled; it will be tried again"
    );
    let (id, attempts, error) = (row.id, row.attempts, cut(error));
    core.store
        .write_later(move |unit| unit.fail_inbox(id, attempts, &error))
        .await;
    Step::Again(wait)
}

/// The attempt does not count, unless the homeserver has been away for too long, or is there for everybody else.
async fn wait_for_homeserver(
    core: &Arc<Core>,
    row: &mut InboxRow,
    handler: &str,
    error: &Error,
) -> Step {
    let (answered_ms, now_ms) = (core.client.contact().answered_ms(), core.now_ms());
    let patience = core.limits.give_up_after;
    if !row.outage.note(error, answered_ms, now_ms, patience) {
        let wait = backoff(core, row.attempts + 1);
        return retry(core, row, wait, handler, &error.to_string()).await;
    }
    let attempts = row.outage.attempts();
    let wait = core.client.wait_before_retry(error, attempts);
    let wait = wait.min(core.limits.max_retry);
    if attempts == 1 {
        tracing::warn!(%error, "not handled; it waits for the homeserver");
    } else {
        tracing::debug!(%error, attempts, ?wait, "it waits for the homeserver");
    }
    Step::Again(wait)
}

/// The attempt does not count, unless it has waited for too long.
async fn wait_for_others(
    core: &Arc<Core>,
    row: &mut InboxRow,
    handler: &str,
    reason: &str,
) -> Step {
    if !row.waiting.note(core.now_ms(), core.limits.give_up_after) {
        let wait = backoff(core, row.attempts + 1);
        return retry(core, row, wait, handler, reason).await;
    }
    let attempts = row.waiting.attempts();
    let wait = backoff(core, attempts);
    if attempts == 1 {
        tracing::warn!(reason, "not handled; it waits for something that is away");
    } else {
        tracing::debug!(
            reason,
            attempts,
            ?wait,
            "it waits for something that is away"
        );
    }
    Step::Again(wait)
}

fn backoff(core: &Core, attempts: u32) -> Duration {
    let factor = 1_u32 << (attempts - 1).min(20);
    let wait = core
        .limits
        .first_retry
        .saturating_mul(factor)
        .min(core.limits.max_retry);
    let spread = u64::try_from(wait.as_millis() / 4).unwrap_or(0);
    wait - Duration::from_millis(core.surroundings.randomness.below(spread + 1))
}

async fn park(core: &Arc<Core>, row: &InboxRow, handler: &str, error: &str) -> Step {
    tracing::error!(
        error,
        "set aside: see `parked`, and `replay` when its cause is mended"
    );
    let (id, attempts, error, now_ms) = (row.id, row.attempts, cut(error), core.now_ms());
    let parked = core
        .store
        .write(move |unit| unit.park_inbox(id, attempts, &error, now_ms))
        .await;
    match parked {
        Ok(()) => {
            core.metrics.count(&EVENTS_PARKED, &[handler], 1);
            core.bridges.parked(core, &row.body).await;
            Step::Next
        }
        Err(error) => {
            tracing::error!(%error, "an event cannot be set aside");
            Step::Again(core.limits.max_retry)
        }
    }
}

fn cut(error: &str) -> String {
    error.chars().take(MAX_ERROR).collect()
}

/// Handles typing, receipts and presence, one after another. A failure is told in the log, and that is all.
pub(super) async fn ephemeral(
    core: Weak<Core>,
    mut queue: mpsc::Receiver<Arc<Value>>,
    waiting: Arc<AtomicUsize>,
) {
    while let Some(value) = queue.recv().await {
        let Some(core) = core.upgrade() else { return };
        let tx = Tx::new(core.store.clone());
        let name = format!("ephemeral-{}", core.surroundings.randomness.hex(16));
        let input = Input::Ephemeral(value);
        let ended = run(&core, &input, &Delivery::default(), &tx, &name).await;
        if let Outcome::Done | Outcome::Reject(_) = ended.outcome {
            let changes = tx.take();
            if !changes.is_empty() {
                let all = move |unit: &crate::store::Unit<'_>| {
                    changes.into_iter().try_for_each(|change| change(unit))
                };
                core.store.write_later(all).await;
            }
        }
        match ended.outcome {
            // What is not kept cannot wait.
            Outcome::Done | Outcome::Hold(_) | Outcome::Aside(_) => {}
            Outcome::Reject(error)
            | Outcome::Retry(_, error)
            | Outcome::Wait(error)
            | Outcome::Park(error) => {
                tracing::warn!(error, "an ephemeral event was not handled");
            }
            Outcome::Away(error) => {
                tracing::warn!(%error, "an ephemeral event was not handled");
            }
            Outcome::Stopping => return,
        }
        waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
