//! The lanes of what the network says: one a room, in the order in which it was said.

use std::{fmt, panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    Network, Task,
    held::{self, Barred},
    perform,
};
use crate::{
    Error, HandlerError,
    bridge::{
        RemoteId,
        live::{Live, LiveRef},
    },
    core::Core,
    id::UserId,
    lanes::{LaneRow, LaneWork, Step},
    metrics::catalogue::BRIDGE_TASKS,
    store::{Result as StoreResult, TaskRow, Unit},
};

/// The longest wait between attempts at a task.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Outcomes of what does not come to Matrix, as the figures have them: it had no place there, its speaker is banned
/// there, or it should have been shown and is not.
const DROPPED: &str = "dropped";
const BANNED: &str = "banned";
const UNSHOWN: &str = "unshown";

/// Characters of an error that are kept.
const MAX_ERROR: usize = 2000;

/// The lane of a room.
pub(crate) fn room_lane<N: Network>(room: &N::Room) -> String {
    format!("room/{}", room.to_text())
}

/// The lane of a user.
pub(crate) fn user_lane<N: Network>(user: &N::User) -> String {
    format!("user/{}", user.to_text())
}

/// The lane of a person of Matrix.
pub(crate) fn person_lane(person: &UserId) -> String {
    format!("person/{person}")
}

/// The room whose lane it is.
pub(crate) fn room_of<N: Network>(lane: &str) -> Option<N::Room> {
    let room = lane.strip_prefix("room/");
    let room = room.or_else(|| held::unshown_of(lane));
    N::Room::from_text(room.or_else(|| Some(held::read(lane)?.0))?)
}

/// Whether a lane's rows count among those that the network itself waits for when they are too many. What is held has a
/// bound of its own.
pub(crate) fn counts(lane: &str) -> bool {
    !held::is_held(lane) && !held::is_unshown(lane)
}

/// How a task that was not done goes on.
#[derive(Debug)]
pub(crate) enum Undone {
    /// Something failed; whether it is tried again is for the error to say.
    Failed(Error),
    /// The network itself could not say something; it is asked again.
    Later(String),
    /// It is not to be done, for this reason.
    Dropped(String),
    /// It may not be said in Matrix now.
    Barred(Box<Barred>),
    /// It is to be done after this time.
    After(Duration),
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Later(text) | Self::Dropped(text) => f.write_str(text),
            Self::Barred(barred) => match &**barred {
                Barred::Out { error, .. } => error.fmt(f),
                Barred::Banned(text) => f.write_str(text),
                Barred::Behind(_) => f.write_str("what comes before it is held"),
            },
            Self::After(wait) => write!(f, "not before {wait:?}"),
        }
    }
}

impl<E: Into<Error>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Undone {
    /// What the network's own methods fail with.
    pub(crate) fn later(error: &HandlerError) -> Self {
        Self::Later(error.to_string())
    }
}

/// What is written when a task is done.
pub(crate) type Change = Box<dyn FnOnce(&Unit<'_>) -> StoreResult<()> + Send>;

impl LaneRow for TaskRow {
    fn id(&self) -> i64 {
        self.id
    }
}

/// What is done with tasks.
pub(crate) struct Work<N: Network> {
    live: LiveRef<N>,
}

impl<N: Network> Work<N> {
    pub(crate) fn new(live: LiveRef<N>) -> Self {
        Self { live }
    }

    async fn attempt(&self, row: &mut TaskRow) -> Step {
        let Ok(live) = self.live.get() else {
            return Step::Stop;
        };
        let Ok(core) = live.core() else {
            return Step::Stop;
        };
        live.is_at(&row.task.lane);
        let done = AssertUnwindSafe(perform::task(&live, &core, row))
            .catch_unwind()
            .await;
        // The author's own code: it may be well again later.
        let broken = || {
            Err(Undone::Later(
                "something in the bridge is broken".to_owned(),
            ))
        };
        match done.unwrap_or_else(|_| broken()) {
            Ok(change) => complete(&live, &core, row, change).await,
            Err(Undone::After(wait)) => Step::Again(wait),
            Err(Undone::Barred(barred)) => {
                let outcome = match *barred {
                    Barred::Banned(_) => BANNED,
                    _ => UNSHOWN,
                };
                match held::keep(&live, &core, row, *barred).await {
                    Ok(step) => step,
                    Err(why) => give_up(&live, &core, row, (outcome, why)).await,
                }
            }
            Err(undone) => failed(&live, &core, row, undone).await,
        }
    }
}

impl<N: Network> LaneWork for Work<N> {
    type Row = TaskRow;

    fn load<'a>(
        &'a self,
        lane: &'a str,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'a, StoreResult<Vec<TaskRow>>> {
        async move {
            let Ok(core) = self.live.get().and_then(|live| live.core()) else {
                return Ok(Vec::new());
            };
            let lane = lane.to_owned();
            core.store
                .read(move |unit| unit.task_lane(N::NAME, &lane, after, limit))
                .await
        }
        .boxed()
    }

    fn work<'a>(&'a self, row: &'a mut TaskRow) -> BoxFuture<'a, Step> {
        self.attempt(row).boxed()
    }
}

/// Whether a task's key names it only while it waits. What the network says once is said once; whoever unlinks a room
/// that is still linked means it each time.
fn may_be_asked_again(row: &TaskRow) -> bool {
    matches!(
        serde_json::from_str(&row.task.body),
        Ok(Task::Unbridge { .. })
    )
}

async fn complete<N: Network>(
    live: &Live<N>,
    core: &Core,
    row: &TaskRow,
    change: Option<Change>,
) -> Step {
    let (id, now_ms, is_forgotten) = (row.id, core.now_ms(), may_be_asked_again(row));
    let written = core
        .store
        .write(move |unit| {
            if let Some(change) = change {
                change(unit)?;
            }
            match is_forgotten {
                true => unit.delete_task(id),
                false => unit.complete_task(id, None, now_ms),
            }
        })
        .await;
    match written {
        Ok(()) => {
            core.metrics.count(&BRIDGE_TASKS, &[N::NAME, "done"], 1);
            ended(live, row);
            Step::Next
        }
        Err(error) => {
            tracing::error!(network = N::NAME, %error, "what was done cannot be stored");
            Step::Again(MAX_WAIT)
        }
    }
}

/// A row is done, or given up.
fn ended<N: Network>(live: &Live<N>, row: &TaskRow) {
    match counts(&row.task.lane) {
        true => live.removed(),
        false => live.held_no_more(&row.task.lane),
    }
}

async fn failed<N: Network>(
    live: &Live<N>,
    core: &Core,
    row: &mut TaskRow,
    undone: Undone,
) -> Step {
    let outcome = match undone {
        Undone::Failed(_) => UNSHOWN,
        _ => DROPPED,
    };
    let (may_help, wait, error) = match undone {
        Undone::Failed(Error::Stopping) => return Step::Stop,
        Undone::Failed(error) => {
            // Whose token is lost is spoken for by their ghost.
            let may_help =
                error.may_pass() || matches!(error, Error::Store(_) | Error::PuppetLost(_));
            let wait = core.client.wait_before_retry(&error, row.attempts + 1);
            (may_help, Some(wait), error.to_string())
        }
        Undone::Later(error) => (true, None, error),
        undone => (false, None, undone.to_string()),
    };
    let age = u64::try_from(core.now_ms() - row.created_ms).unwrap_or(0);
    if !may_help || Duration::from_millis(age) >= core.limits.give_up_after {
        return give_up(live, core, row, (outcome, error)).await;
    }
    row.attempts += 1;
    let (id, attempts) = (row.id, row.attempts);
    let wait = wait.unwrap_or_else(|| {
        let factor = 1_u32 << (attempts - 1).min(16);
        core.limits.first_retry.saturating_mul(factor)
    });
    let wait = wait.min(MAX_WAIT);
    tracing::debug!(network = N::NAME, lane = %row.task.lane, error, ?wait, "to be tried again");
    let kept: String = error.chars().take(MAX_ERROR).collect();
    core.store
        .write_later(move |unit| unit.fail_task(id, attempts, &kept))
        .await;
    Step::Again(wait)
}

/// What the network said does not come to Matrix. Where people would have seen it, and nobody has meant that they do
/// not, its room is told.
async fn give_up<N: Network>(
    live: &Live<N>,
    core: &Core,
    row: &TaskRow,
    (outcome, error): (&'static str, String),
) -> Step {
    let note = match outcome {
        UNSHOWN => held::note_unshown::<N>(row),
        _ => None,
    };
    let outcome = match outcome {
        // Nothing that people would have seen.
        UNSHOWN if note.is_none() => DROPPED,
        outcome => outcome,
    };
    tracing::warn!(network = N::NAME, lane = %row.task.lane, outcome, error, "what the network said is not brought to Matrix");
    core.metrics.count(&BRIDGE_TASKS, &[N::NAME, outcome], 1);
    if let Ok(Task::Message { id, .. }) = serde_json::from_str(&row.task.body)
        && let Some(room) = room_of::<N>(&row.task.lane)
    {
        let told = async { live.network().undelivered(&room, &id, &error).await };
        if AssertUnwindSafe(told).catch_unwind().await.is_err() {
            tracing::error!(network = N::NAME, "`undelivered` has panicked");
        }
    }
    let (id, now_ms, is_forgotten) = (row.id, core.now_ms(), may_be_asked_again(row));
    let kept: String = error.chars().take(MAX_ERROR).collect();
    let stored = note.clone();
    // Waited for: a lane that begins anew before it is stored would have the task again.
    let written = core
        .store
        .write(move |unit| {
            held::insert_unshown::<N>(unit, stored.as_ref(), now_ms)?;
            match is_forgotten {
                true => unit.delete_task(id),
                false => unit.complete_task(id, Some(&kept), now_ms),
            }
        })
        .await;
    match written {
        Ok(()) => {
            ended(live, row);
            held::wake_unshown(live, note.as_ref());
            Step::Next
        }
        Err(error) => {
            tracing::error!(network = N::NAME, %error, "that it is given up cannot be stored");
            Step::Again(MAX_WAIT)
        }
    }
}
