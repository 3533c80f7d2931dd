//! What waits a little before it is told, and what is told together with it.
//!
//! ```text
//! room's lane:  m ── hold ──▶ m with the newest words of its edits       (deleted meanwhile: never told)
//!               e1 ─ aside ─▶ edits of m:      e1 ── hold ──▶ e1 with the words of e3 … e3 is told with it
//!               r1 ─ aside ─▶ reactions to m:  r1 ── hold ──▶ r1, and r2, r3 in the same words
//! ```
//!
//! Nothing of this is in memory: what waits is in the inbox, each line in its order, and what is told with what is noted
//! before the network gets it. So after a crash the same words mean the same, if the network may have them
//! ([`Network::begun`]).

mod behind;
mod follow;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;

use self::behind::Behind;
use super::{
    Begun, Carrying, Cause, Fate, Foreign, Held, Network, Rejected, Remote, Together,
    deliver::speaker,
};
use crate::{
    Content, Error, Event, HandlerError,
    bridge::{live::LiveRef, status},
    handler::Verdict,
    id::EventId,
    inbox::aside_lane,
};

/// What has come longer ago than this may have been changed before its turn.
const FRESH: Duration = Duration::from_secs(5);

/// How long the network may take to say whether it has begun.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How often a network that could not give something back is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What becomes of an event when its turn has come.
pub(super) enum Turn<N: Network> {
    /// It is told now.
    Now(Box<Now<N>>),
    /// This, for now or for good.
    Over(Verdict),
}

/// What is told now.
pub(super) struct Now<N: Network> {
    /// The event, with the newest words.
    pub(super) event: Foreign<N>,
    /// Reactions that are told with it.
    pub(super) together: Vec<Together>,
    /// Events that are told by this one.
    folded: Vec<EventId>,
}

impl<N: Network> Now<N> {
    fn alone(event: &Foreign<N>) -> Self {
        Self {
            event: event.clone(),
            together: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// Whether others are told by it: they have its fate, and so it has to have one.
    pub(super) fn has_others(&self) -> bool {
        !self.folded.is_empty()
    }
}

/// What an event is, where it may wait.
struct Waiting {
    held: Held,
    /// What it is about; of a message, itself.
    target: EventId,
}

impl Waiting {
    fn of(event: &Event) -> Option<Self> {
        if event.is_state() {
            return None;
        }
        let content = Content::new(&event.kind, event.content.clone());
        let (held, target) = match event.kind.as_str() {
            "m.reaction" => (Held::Reaction, content.reaction()?.0),
            "m.room.message" | "m.sticker" => match content.is_edit_of() {
                Some(target) => (Held::Edit, target),
                None => (Held::Message, event.id.clone()),
            },
            _ => return None,
        };
        Some(Self { held, target })
    }

    /// Where it waits while its room goes on.
    fn aside(&self) -> Option<String> {
        match self.held {
            Held::Message => None,
            Held::Edit => Some(edits_of(&self.target)),
            Held::Reaction => Some(format!("reactions to {}", self.target)),
        }
    }
}

fn edits_of(message: &EventId) -> String {
    format!("edits of {message}")
}

/// What becomes of an event whose turn has come. `told_with` is the event that it was told with, as far as that is
/// noted; `is_changed`, whether it was given back because something has changed it.
pub(super) async fn turn<N: Network>(
    carrying: &Carrying<'_, N>,
    foreign: &Foreign<N>,
    (told_with, is_changed): (Option<&str>, bool),
) -> Result<Turn<N>, HandlerError> {
    let alone = || Turn::Now(Box::new(Now::alone(foreign)));
    // Somebody has asked for it: it has waited long enough.
    if carrying.again.is_some() {
        return Ok(alone());
    }
    if let Some(head) = told_with
        && let Some(verdict) = follow::follow(carrying, foreign, head).await?
    {
        return Ok(Turn::Over(verdict));
    }
    let Some(waiting) = Waiting::of(foreign) else {
        return Ok(match behind::line_of_redacted(carrying, foreign).await? {
            Some(name) => Turn::Over(Verdict::Aside(name)),
            None => alone(),
        });
    };
    let (core, delivery) = (&carrying.context.core, &carrying.context.delivery);
    let hold = carrying
        .live
        .network()
        .hold(&carrying.portal.remote, waiting.held);
    let is_aside = &*delivery.lane != foreign.room_id.as_str();
    if let Some(name) = waiting.aside()
        && !hold.is_zero()
        && !is_aside
    {
        return Ok(Turn::Over(Verdict::Aside(name)));
    }
    let age = u64::try_from(core.now_ms() - delivery.received_ms).unwrap_or(0);
    let age = Duration::from_millis(age);
    if age < hold {
        return Ok(Turn::Over(Verdict::Hold(hold.saturating_sub(age))));
    }
    let had_to_wait = is_changed || !hold.is_zero() || delivery.attempt > 1 || age >= FRESH;
    if !had_to_wait {
        return Ok(alone());
    }
    gather(carrying, foreign, &waiting).await
}

/// Looks at what has come behind an event.
async fn gather<N: Network>(
    carrying: &Carrying<'_, N>,
    foreign: &Foreign<N>,
    waiting: &Waiting,
) -> Result<Turn<N>, HandlerError> {
    let alone = || Turn::Now(Box::new(Now::alone(foreign)));
    let behind = Behind::read(carrying, waiting).await?;
    let is_redacted = behind.takes_back(&foreign.id) || behind.takes_back(&waiting.target);
    let all = behind.told_with(carrying, foreign, waiting).await?;
    if !is_redacted && all.is_empty() {
        return Ok(alone());
    }
    let told = match begun(carrying, &foreign.id).await {
        // It goes on as it was begun.
        Begun::Yes => behind::noted(carrying, foreign, all).await?,
        _ if is_redacted => return taken_back(carrying, foreign, &all).await.map(Turn::Over),
        Begun::Unknown => return Ok(alone()),
        Begun::No => {
            let told: Vec<_> = all
                .iter()
                .filter(|event| !behind.takes_back(&event.id))
                .cloned()
                .collect();
            behind::note(carrying, foreign, (&told, &all)).await?;
            told
        }
    };
    let now = match waiting.held {
        Held::Reaction => Now {
            event: foreign.clone(),
            together: together(carrying, &told).await,
            folded: ids(&told),
        },
        Held::Message | Held::Edit => match told.last() {
            Some(newest) => Now {
                event: foreign.with(behind::reworded(foreign, newest)?),
                together: Vec::new(),
                folded: ids(&told),
            },
            None => Now::alone(foreign),
        },
    };
    Ok(Turn::Now(Box::new(now)))
}

fn ids(events: &[Arc<Event>]) -> Vec<EventId> {
    events.iter().map(|event| event.id.clone()).collect()
}

/// It was redacted before the network got it: it never will, and its sender's client is told so.
async fn taken_back<N: Network>(
    carrying: &Carrying<'_, N>,
    foreign: &Foreign<N>,
    all: &[Arc<Event>],
) -> Result<Verdict, HandlerError> {
    behind::note(carrying, foreign, (&[], all)).await?;
    let no = Rejected::new(Cause::Deleted, "it was deleted before it was told").quiet();
    let fate = Fate::Rejected(no);
    status::settle(carrying, &foreign.event, fate, (true, false)).await
}

async fn together<N: Network>(
    carrying: &Carrying<'_, N>,
    reactions: &[Arc<Event>],
) -> Vec<Together> {
    let (live, core, portal) = (carrying.live, &carrying.context.core, carrying.portal);
    let mut together = Vec::new();
    for event in reactions {
        let content = Content::new(&event.kind, event.content.clone());
        let Some((_, key)) = content.reaction() else {
            continue;
        };
        let who = event.sender.clone();
        together.push(Together {
            speaker: speaker(live, core, portal, (event, who)).await,
            key: key.to_owned(),
        });
    }
    together
}

async fn begun<N: Network>(carrying: &Carrying<'_, N>, event: &EventId) -> Begun {
    let remote = Remote::new(LiveRef::new(carrying.live));
    let (network, key) = (carrying.live.network(), event.to_string());
    let asked = network.begun(&remote, &carrying.portal.remote, &key);
    let asked = AssertUnwindSafe(tokio::time::timeout(ANSWERS_WITHIN, asked));
    match asked.catch_unwind().await {
        Ok(Ok(begun)) => begun,
        // What may have been begun is not changed.
        _ => Begun::Yes,
    }
}

/// Returns when something that is on its way to the network was changed, and the network has given it back.
pub(super) async fn overtaken<N: Network>(carrying: &Carrying<'_, N>, now: &Now<N>) {
    let event = &now.event;
    let waiting = match Waiting::of(event) {
        Some(waiting) if carrying.again.is_none() => waiting,
        _ => return std::future::pending().await,
    };
    let mut changes = carrying.context.core.inbox.changes();
    loop {
        if is_changed(carrying, now, &waiting).await.unwrap_or(false) {
            let remote = Remote::new(LiveRef::new(carrying.live));
            let (network, key) = (carrying.live.network(), event.id.to_string());
            let asked = network.withdraw(&remote, &carrying.portal.remote, &key);
            if AssertUnwindSafe(asked)
                .catch_unwind()
                .await
                .unwrap_or(false)
            {
                return;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        } else if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Whether what has come behind an event makes it another than it was told.
async fn is_changed<N: Network>(
    carrying: &Carrying<'_, N>,
    now: &Now<N>,
    waiting: &Waiting,
) -> Result<bool, Error> {
    let behind = Behind::read(carrying, waiting).await?;
    if behind.takes_back(&now.event.id) || behind.takes_back(&waiting.target) {
        return Ok(true);
    }
    let all = behind.told_with(carrying, &now.event, waiting).await?;
    let left = all.iter().filter(|event| !behind.takes_back(&event.id));
    Ok(left.map(|event| &event.id).ne(now.folded.iter()))
}

/// The lanes of what is put aside in a room: behind the first, and before the second.
fn aside_lanes(room: &str) -> (String, String) {
    (aside_lane(room, ""), aside_lane(room, "\u{7f}"))
}
