//! Holding what may not be said yet, trying it again, and noting what is not shown in the end.

use std::time::Duration;

use super::{Barred, is_held, lane_of, read, words};
use crate::{
    Error,
    backoff::Growth,
    bridge::{
        Network, RemoteId,
        live::Live,
        network::{
            Task,
            intake::{self, room_lane},
        },
    },
    core::Core,
    id::UserId,
    lanes::Step,
    metrics::catalogue::BRIDGE_TASKS,
    store::{NewTask, Result as StoreResult, TaskRow, Unit},
};

/// Rows that are held in a room, and in all rooms. What is said beyond is not shown, and the room told so.
const MOST_IN_ROOM: usize = 500;
const MOST_IN_ALL: usize = 10_000;

/// Speakers of whom a room is told what they lack while others are held there already.
const NAMED: usize = 3;

/// Waits between attempts that nothing has caused: a net for what was not heard of.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1800);

/// Holds what may not be done now; where that may not be, gives back why it is not shown.
pub(in crate::bridge::network) async fn keep<N: Network>(
    live: &Live<N>,
    core: &Core,
    row: &mut TaskRow,
    barred: Barred,
) -> Result<Step, String> {
    let (lane, told, error) = match barred {
        Barred::Banned(error) => return Err(error),
        Barred::Behind(lane) => (lane, None, None),
        Barred::Out { user, ghost, error } => {
            if is_held(&row.task.lane) {
                return still_out(live, core, row, &error).await;
            }
            let room = intake::room_of::<N>(&row.task.lane);
            let Some(room) = room else {
                return Err(error.to_string());
            };
            let lane = lane_of(&room.to_text(), &user);
            let told = words::missing(live, core, (&room, &user), (&ghost, &error)).await;
            (lane, told, Some(error))
        }
    };
    let room = read(&lane)
        .map(|(room, _)| room.to_owned())
        .unwrap_or_default();
    let (speakers, rows, all) = live.held.sizes(&room);
    if rows >= MOST_IN_ROOM || all >= MOST_IN_ALL {
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("too much is held already{error}"));
    }
    let notice = told.filter(|_| speakers < NAMED);
    let notice = notice.zip(N::Room::from_text(&room));
    let notice = notice.map(|(task, room)| {
        let key = format!("{}/{}/barred/{}", N::NAME, room.to_text(), row.id);
        (task.in_room::<N>(&room, Some(key)), room_lane::<N>(&room))
    });
    Ok(set_aside(live, core, row, lane, notice).await)
}

/// Puts a row into another lane, and what is said of it into the room's.
async fn set_aside<N: Network>(
    live: &Live<N>,
    core: &Core,
    row: &TaskRow,
    lane: String,
    notice: Option<(NewTask, String)>,
) -> Step {
    let (id, to, now_ms) = (row.id, lane.clone(), core.now_ms());
    let (told, in_lane) = notice.unzip();
    let written = core.store.write(move |unit| {
        unit.move_task(id, &to)?;
        match told {
            Some(told) => Ok(unit.insert_task(N::NAME, &told, now_ms)?.is_some()),
            None => Ok(false),
        }
    });
    match written.await {
        Ok(is_told) => {
            tracing::info!(
                network = N::NAME,
                lane,
                "what the network said is held: it may not be said yet"
            );
            core.metrics.count(&BRIDGE_TASKS, &[N::NAME, "held"], 1);
            if let Some(in_lane) = in_lane.filter(|_| is_told) {
                live.added(&in_lane);
            }
            // No longer what others wait for.
            live.removed();
            live.held.add(&lane);
            live.tasks.wake(&lane, 0);
            Step::Next
        }
        Err(error) => {
            tracing::error!(network = N::NAME, %error, "what is to be held cannot be stored");
            Step::Again(FIRST_WAIT)
        }
    }
}

/// What is held may still not be said.
async fn still_out<N: Network>(
    live: &Live<N>,
    core: &Core,
    row: &mut TaskRow,
    error: &Error,
) -> Result<Step, String> {
    let age = Duration::from_millis(u64::try_from(core.now_ms() - row.created_ms).unwrap_or(0));
    let Some(left) = core
        .limits
        .give_up_after
        .checked_sub(age)
        .filter(|left| !left.is_zero())
    else {
        return Err(error.to_string());
    };
    row.attempts += 1;
    let (id, attempts, text) = (row.id, row.attempts, error.to_string());
    core.store
        .write_later(move |unit| unit.fail_task(id, attempts, &text))
        .await;
    let random = core.surroundings.randomness.below(u64::MAX);
    let wait = Growth::new(FIRST_WAIT, LONGEST_WAIT).wait(attempts, random);
    live.held.rest(&row.task.lane, true);
    Ok(Step::Again(wait.min(left)))
}

impl<N: Network> Live<N> {
    /// A row that was held is done, or given up.
    pub(in crate::bridge::network) fn held_no_more(&self, lane: &str) {
        self.held.remove(lane);
    }

    /// A row is worked on.
    pub(in crate::bridge::network) fn is_at(&self, lane: &str) {
        if is_held(lane) {
            self.held.rest(lane, false);
        }
    }

    /// Tries again what is held in a room: of one ghost, or of all.
    pub(crate) fn look_again(&self, room: &N::Room, ghost: Option<&UserId>) {
        let user = ghost.and_then(|ghost| self.user_of(ghost));
        let user = user.map(|user| user.to_text());
        for lane in self.held.of_room(&room.to_text()) {
            let whose = read(&lane).map(|(_, user)| user);
            if user.is_none() || user.as_deref() == whose {
                self.held.rest(&lane, false);
                self.tasks.hurry_lane(&lane);
            }
        }
    }

    /// Whether something of a user's is held in a room.
    pub(crate) fn holds(&self, room: &N::Room, user: &N::User) -> bool {
        !self.held.is_empty() && self.held.has(&lane_of(&room.to_text(), &user.to_text()))
    }
}

/// Notes that a line is not shown, with its end: the room is told of how many.
pub(in crate::bridge::network) fn note_unshown<N: Network>(row: &TaskRow) -> Option<NewTask> {
    let task: Task = serde_json::from_str(&row.task.body).ok()?;
    let Task::Message { said, .. } = &task else {
        return None;
    };
    let room = intake::room_of::<N>(&row.task.lane)?;
    Some(words::unshown::<N>(&room, &said.sender))
}

/// Stores such a note; to be followed by [`wake_unshown`].
pub(in crate::bridge::network) fn insert_unshown<N: Network>(
    unit: &Unit<'_>,
    note: Option<&NewTask>,
    now_ms: i64,
) -> StoreResult<()> {
    match note {
        Some(note) => unit.insert_task(N::NAME, note, now_ms).map(drop),
        None => Ok(()),
    }
}

/// Sees to what was noted.
pub(in crate::bridge::network) fn wake_unshown<N: Network>(live: &Live<N>, note: Option<&NewTask>) {
    if let Some(note) = note {
        live.tasks.wake(&note.lane, 0);
    }
}
