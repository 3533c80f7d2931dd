//! Membership as a goal: authors say who should be where, and a planner brings it about in the background.
//!
//! ```text
//! want ──▶ table `goals` (one row for each user and room: the last wish counts)
//!               │ due, spread over time
//!               ▼
//!           planner ──▶ is it so already? ──▶ done, without a request
//!               │ no
//!               ▼
//!           join / leave, a few at a time ──▶ done
//!               │ refused
//!               ▼
//!           later again, after growing waits ──▶ given up, with the reason
//! ```
//!
//! A join that was followed by a part before it was its turn costs nothing. Whoever speaks first joins at once, past
//! the queue. Goals are on disk: a restart goes on where it was. A goal ends when it is reached; somebody who is
//! kicked later is not brought back, as that was somebody's decision.
//!
//! Here is the planner, which knows rooms only as `Doors`; `wishes` is what authors see of it.

mod wishes;

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

pub use self::wishes::MembershipGap;
use super::join::{FIRST_REFUSAL, LONGEST_REFUSAL};
use crate::{
    Error,
    backoff::Growth,
    core::Limits,
    id::{RoomId, UserId},
    store::{GoalRow, NEVER_MS, Result as StoreResult, Store},
};

/// Waits between attempts at a goal that has not been answered; after a no they are as long as that is remembered.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Attempts at a goal: where the homeserver has said no, and where it has not answered.
const REFUSED_ATTEMPTS: u32 = 4;
const UNANSWERED_ATTEMPTS: u32 = 100;

/// How long the planner waits when the database cannot be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// What the planner finds, and changes.
pub(super) trait Doors: Send + Sync + 'static {
    /// Whether a user is in a room, as far as is known.
    fn is_in<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// Joins or leaves.
    fn go<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        goal: &'a GoalRow,
    ) -> BoxFuture<'a, Result<(), Error>>;

    fn now_ms(&self) -> i64;

    /// For the spread of waits: all bits random.
    fn random(&self) -> u64;
}

type Key = (RoomId, UserId);

/// A wish, before it is a goal.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) user: UserId,
    pub(super) joined: bool,
}

/// Brings goals about.
pub(crate) struct Planner {
    store: Store,
    /// Goals in work at a time.
    places: usize,
    /// The time between two beginnings.
    pace: Duration,
    in_work: Mutex<HashSet<Key>>,
    busy: watch::Sender<usize>,
    wake: Notify,
    /// How many wishes there were, and how many when nothing was left to do.
    wishes: AtomicU64,
    idle_at: AtomicU64,
    /// How many there were when no goal was left at all, not even one that was given up.
    bare_at: AtomicU64,
    /// How long a goal takes, on average, in microseconds.
    average_us: AtomicU64,
}

impl Planner {
    pub(super) fn new(store: Store, limits: &Limits) -> Self {
        Self {
            store,
            places: limits.membership_concurrency.max(1),
            pace: limits.membership_pace,
            in_work: Mutex::default(),
            busy: watch::Sender::new(0),
            wake: Notify::new(),
            // What waits from before counts as a wish.
            wishes: AtomicU64::new(1),
            idle_at: AtomicU64::new(0),
            bare_at: AtomicU64::new(0),
            average_us: AtomicU64::new(0),
        }
    }

    /// Whether all goals are reached, or given up.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle_at.load(Ordering::Acquire) == self.wishes.load(Ordering::Acquire)
    }

    /// Takes wishes for a room, in the place of those for the same users before.
    pub(super) async fn wish(
        &self,
        doors: &dyn Doors,
        room: &RoomId,
        wishes: Vec<Wish>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let mut goals = Vec::new();
        for wish in wishes {
            if self.is_needless(doors, room, &wish).await? {
                continue;
            }
            // Spread, so that another room's few need not wait for all of these.
            let after = self
                .pace
                .saturating_mul(u32::try_from(goals.len()).unwrap_or(u32::MAX));
            goals.push(GoalRow {
                room_id: room.to_string(),
                user_id: wish.user.to_string(),
                joined: wish.joined,
                reason: reason.map(str::to_owned),
                attempts: 0,
                refusals: 0,
                next_ms: doors.now_ms() + millis(after),
                error: None,
            });
        }
        if goals.is_empty() {
            return Ok(());
        }
        let now_ms = doors.now_ms();
        let stored = self.store.write(move |unit| {
            goals
                .iter()
                .try_for_each(|goal| unit.set_goal(goal, now_ms))
        });
        stored.await?;
        self.wishes.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
        Ok(())
    }

    /// Whether it is so, and nothing is under way that will change it. The goal is looked for first: one that ends
    /// meanwhile shows in the membership.
    async fn is_needless(
        &self,
        doors: &dyn Doors,
        room: &RoomId,
        wish: &Wish,
    ) -> Result<bool, Error> {
        let key = (room.clone(), wish.user.clone());
        if self.in_work.lock().contains(&key) {
            return Ok(false);
        }
        let (room_id, user_id) = (room.to_string(), wish.user.to_string());
        let goal = self
            .store
            .read(move |unit| unit.goal(&room_id, &user_id))
            .await?;
        Ok(goal.is_none() && doors.is_in(room, &wish.user).await? == wish.joined)
    }

    /// A room may let in whom it has refused: their goals are due at once, those that were given up as well.
    pub(super) async fn reopen(&self, room: &RoomId, now_ms: i64) {
        // Most of the time nobody wants to be anywhere, and rooms change all the same.
        if self.bare_at.load(Ordering::Acquire) == self.wishes.load(Ordering::Acquire) {
            return;
        }
        let room = room.to_string();
        let reopened = self
            .store
            .write(move |unit| unit.reopen_goals(&room, now_ms))
            .await;
        match reopened {
            Ok(0) => {}
            Ok(_) => {
                self.wishes.fetch_add(1, Ordering::AcqRel);
                self.wake.notify_one();
            }
            Err(error) => tracing::warn!(%error, "goals are not looked at again"),
        }
    }

    /// Somebody has joined or left by another way.
    pub(super) async fn reached(&self, room: &RoomId, user: &UserId, joined: bool) {
        if self.is_idle() {
            return;
        }
        let (room, user) = (room.to_string(), user.to_string());
        self.store
            .write_later(move |unit| unit.reach_goal(&room, &user, joined))
            .await;
    }

    /// Runs until the service ends. To be called once.
    pub(super) async fn run<D: Doors>(
        self: Arc<Self>,
        doors: Weak<D>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut next_start = Instant::now();
        while let Some(strong) = doors.upgrade() {
            let pause = match self.start_due(&strong, &mut next_start).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "the goals of memberships cannot be read");
                    Some(UNREADABLE)
                }
            };
            // Not held while nothing happens: the service may be dropped.
            drop(strong);
            let pause = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = self.wake.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Begins what is due; gives back when to look again, if not only after the next wish.
    async fn start_due<D: Doors>(
        self: &Arc<Self>,
        doors: &Arc<D>,
        next_start: &mut Instant,
    ) -> StoreResult<Option<Duration>> {
        loop {
            let wishes = self.wishes.load(Ordering::Acquire);
            let in_work = self.in_work.lock().clone();
            let limit = in_work.len() + 1;
            let goals = self.store.read(move |unit| unit.next_goals(limit)).await?;
            if goals.is_empty() && in_work.is_empty() {
                if !self.store.read(|unit| unit.has_goals()).await? {
                    self.bare_at.store(wishes, Ordering::Release);
                }
                self.idle_at.store(wishes, Ordering::Release);
                return Ok(None);
            }
            let next = goals.into_iter().find_map(|goal| {
                let key = key_of(&goal)?;
                (!in_work.contains(&key)).then_some((key, goal))
            });
            let Some((key, goal)) = next else {
                return Ok(None);
            };
            if in_work.len() >= self.places {
                return Ok(None);
            }
            let due_in = goal.next_ms - doors.now_ms();
            if due_in > 0 {
                return Ok(Some(Duration::from_millis(due_in.unsigned_abs())));
            }
            let paced = next_start.saturating_duration_since(Instant::now());
            if !paced.is_zero() {
                return Ok(Some(paced));
            }
            *next_start = (*next_start).max(Instant::now() - self.pace) + self.pace;
            self.start(doors.clone(), key);
        }
    }

    fn start<D: Doors>(self: &Arc<Self>, doors: Arc<D>, key: Key) {
        self.count(|in_work| in_work.insert(key.clone()));
        let planner = self.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            if let Err(error) = planner.work(&*doors, &key).await {
                tracing::error!(%error, "a membership was not seen to");
            }
            planner.took(begun.elapsed());
            planner.count(|in_work| in_work.remove(&key));
            planner.wake.notify_one();
        });
    }

    fn count(&self, change: impl FnOnce(&mut HashSet<Key>) -> bool) {
        let mut in_work = self.in_work.lock();
        change(&mut in_work);
        self.busy.send_replace(in_work.len());
    }

    fn took(&self, time: Duration) {
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 16);
        let average_us = self.average_us.load(Ordering::Relaxed);
        let new = if average_us == 0 {
            time_us
        } else {
            (average_us * 7 + time_us) / 8
        };
        self.average_us.store(new, Ordering::Relaxed);
    }

    /// One attempt at a goal, as it is now: it may have been changed since it was read.
    async fn work<D: Doors>(&self, doors: &D, (room, user): &Key) -> Result<(), Error> {
        let (room_id, user_id) = (room.to_string(), user.to_string());
        let goal = self
            .store
            .read(move |unit| unit.goal(&room_id, &user_id))
            .await?;
        let Some(mut goal) = goal.filter(|goal| goal.next_ms != NEVER_MS) else {
            return Ok(());
        };
        let is_so = doors.is_in(room, user).await? == goal.joined;
        let outcome = match is_so {
            true => Ok(()),
            false => doors.go(room, user, &goal).await,
        };
        match outcome {
            Ok(()) => {
                let reached = move |unit: &crate::store::Unit<'_>| {
                    unit.reach_goal(&goal.room_id, &goal.user_id, goal.joined)
                };
                self.store.write(reached).await?;
            }
            Err(Error::Stopping) => {}
            Err(error) => {
                fail(&mut goal, &error, doors);
                self.store.write(move |unit| unit.fail_goal(&goal)).await?;
            }
        }
        Ok(())
    }

    /// When all that is open is likely to be done.
    fn forecast(&self, open: usize, last_ms: Option<i64>, now_ms: i64) -> Duration {
        let average = Duration::from_micros(self.average_us.load(Ordering::Relaxed));
        let each = self
            .pace
            .max(average / u32::try_from(self.places).unwrap_or(u32::MAX));
        let work = each.saturating_mul(u32::try_from(open).unwrap_or(u32::MAX));
        let waits = last_ms.map_or(0, |last_ms| (last_ms - now_ms).max(0));
        work.max(Duration::from_millis(waits.unsigned_abs()))
    }

    /// Lets goals in work be finished, for a while; no other is begun once the service ends.
    pub(crate) async fn finish(&self, grace: Duration) {
        let mut busy = self.busy.subscribe();
        tokio::time::timeout(grace, busy.wait_for(|busy| *busy == 0))
            .await
            .ok();
    }
}

/// Counts a failure, and says when the goal is tried again. An outage says nothing of the room, so its attempts do not
/// bring a goal nearer to the end that refusals have.
fn fail(goal: &mut GoalRow, error: &Error, doors: &dyn Doors) {
    goal.error = Some(error.to_string());
    let (count, most, growth) = match error.may_pass() {
        true => (
            &mut goal.attempts,
            UNANSWERED_ATTEMPTS,
            Growth::new(FIRST_WAIT, LONGEST_WAIT),
        ),
        false => (
            &mut goal.refusals,
            REFUSED_ATTEMPTS,
            Growth::new(FIRST_REFUSAL, LONGEST_REFUSAL),
        ),
    };
    *count += 1;
    let failures = *count;
    if failures >= most {
        tracing::warn!(room.id = %goal.room_id, user.id = %goal.user_id, joined = goal.joined, %error, "a membership is given up");
        goal.next_ms = NEVER_MS;
        return;
    }
    let wait = growth.wait(failures, doors.random());
    tracing::debug!(room.id = %goal.room_id, user.id = %goal.user_id, %error, ?wait, "a membership is tried again later");
    goal.next_ms = doors.now_ms() + millis(wait);
}

fn key_of(goal: &GoalRow) -> Option<Key> {
    let room = RoomId::parse(&goal.room_id).ok()?;
    Some((room, UserId::parse(&goal.user_id).ok()?))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
