//! Lanes: what is worked off in order by name, many names at the same time.
//!
//! A lane holds rows of the database in the order of their ids. Lanes with something to do stand in a line; a bounded
//! number of workers takes them from its front, works on each for a [`TURN`], and puts it at the line's end, so a lane
//! with ten thousand rows does not hold up one with two. Lanes whose next row is of the first rank have workers of their
//! own; among the others the more urgent stand in front, and a turn ends early when such a lane comes. A row that has to
//! be tried again lets its own lane wait, and nobody else: a lane that waits takes no worker's place. In memory is a
//! window of each lane; what is behind it is read from the database when it is reached.
//!
//! ```text
//! push, wake ──▶ line ──▶ a worker: one turn ──▶ empty: gone
//!                 ▲                 │  └─ more: to the line's end
//!                 └───── waits ◀────┘ again later
//! ```
//!
//! Used by the inbox (events to handlers) and the outbox (sends to the homeserver).

mod line;

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};

use self::line::{Class, Line};
use crate::store::Result as StoreResult;

/// Rows that a lane works off before others get its place.
const TURN: usize = 16;

/// Rows of a lane that are held in memory.
const WINDOW: usize = 64;

/// How long a lane waits when the database could not be read, or its work has panicked.
const BROKEN: Duration = Duration::from_secs(1);

/// A row of a lane.
pub(crate) trait LaneRow: Send + 'static {
    /// Its id: rows are worked off in this order.
    fn id(&self) -> i64;

    /// How urgent it is: 0 is what goes first, 3 what goes last.
    fn rank(&self) -> usize {
        0
    }
}

/// What is done with rows.
pub(crate) trait LaneWork: Send + Sync + 'static {
    type Row: LaneRow;

    /// Reads a lane's next rows behind `after`, at most `limit`.
    fn load<'a>(
        &'a self,
        lane: &'a str,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'a, StoreResult<Vec<Self::Row>>>;

    /// A row is pushed, and with it all before it. Called with the lanes held, so that for whoever loads next this has
    /// been called, or the push is still to come: [`Self::load`] has to leave out rows that were not pushed yet, or
    /// these would be worked on twice. Work whose lanes are only woken does without.
    fn pushed(&self, _id: i64) {}

    /// Works on a row. Called again with the same row for as long as it says so.
    fn work<'a>(&'a self, row: &'a mut Self::Row) -> BoxFuture<'a, Step>;
}

/// What comes after an attempt at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next row.
    Next,
    /// The same row, after this time.
    Again(Duration),
    /// Nothing: the service is being ended.
    Stop,
}

/// How a lane's turn has ended.
enum Turn {
    /// As it should; the next may begin.
    Over,
    /// With nothing left to do.
    Empty,
    /// With a row that has to be tried again after this time.
    Wait(Duration),
    /// Everything ends.
    Stop,
}

struct Lane<R> {
    rows: VecDeque<R>,
    /// There is more in the database behind the window.
    has_more: bool,
    /// Something was added behind the window since it was last filled.
    grew: bool,
    /// The last id that was in the window.
    last_id: i64,
    /// How urgent its next row is; where that is not known, what the row before was.
    rank: usize,
    /// Cuts a wait short.
    hurry: Arc<Notify>,
}

impl<R: LaneRow> Lane<R> {
    fn new() -> Self {
        Self {
            rows: VecDeque::new(),
            has_more: false,
            grew: false,
            last_id: 0,
            rank: 0,
            hurry: Arc::new(Notify::new()),
        }
    }

    /// Whether nothing is known of it yet.
    fn is_new(&self) -> bool {
        self.last_id == 0 && self.rows.is_empty() && !self.has_more
    }

    /// Where the lane stands in the line.
    fn rank(&self) -> usize {
        self.rows.front().map_or(self.rank, LaneRow::rank)
    }
}

struct Table<R> {
    lanes: HashMap<String, Lane<R>>,
    /// Lanes that wait for a worker. A lane is here, with a worker, or in a wait of its own.
    line: Line,
    /// Workers that run, for what is urgent and for the rest.
    workers: [usize; 2],
}

impl<R: LaneRow> Table<R> {
    fn rank(&self, name: &str) -> usize {
        self.lanes.get(name).map_or(0, Lane::rank)
    }

    /// Puts a lane behind the others that are as urgent; says for which workers.
    fn line_up(&mut self, name: String) -> Class {
        let rank = self.rank(&name);
        self.line.push(rank, name);
        Class::of(rank)
    }

    fn workers(&self) -> usize {
        self.workers.iter().sum()
    }
}

/// The lanes of one kind of work; cheap to clone.
pub(crate) struct Lanes<W: LaneWork>(Arc<Inner<W>>);

impl<W: LaneWork> Clone for Lanes<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<W: LaneWork> {
    work: W,
    table: Mutex<Table<W::Row>>,
    /// Workers at most, for what is urgent and again for the rest.
    places: usize,
    /// Lanes that have something to do.
    busy: watch::Sender<usize>,
    stop: watch::Sender<bool>,
    /// Where workers run: rows are also announced from the database's thread.
    runtime: Handle,
}

impl<W: LaneWork> Lanes<W> {
    /// `places` is how many lanes are worked on at a time. To be called where tasks can be spawned.
    pub(crate) fn new(work: W, places: usize) -> Self {
        Self(Arc::new(Inner {
            work,
            table: Mutex::new(Table {
                lanes: HashMap::new(),
                line: Line::default(),
                workers: [0; 2],
            }),
            places: places.max(1),
            busy: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            runtime: Handle::current(),
        }))
    }

    /// What is done with rows.
    pub(crate) fn work(&self) -> &W {
        &self.0.work
    }

    /// A row was added to the database. To be called in the order of the ids.
    pub(crate) fn push(&self, name: &str, row: W::Row) {
        self.put(name, |lane| {
            self.0.work.pushed(row.id());
            if lane.has_more || lane.rows.len() >= WINDOW {
                lane.has_more = true;
                lane.grew = true;
            } else {
                lane.last_id = row.id();
                lane.rows.push_back(row);
            }
        });
    }

    /// A lane has rows in the database that were not pushed, such as those of before the start; `rank` is that of the
    /// first of them, 0 where it is not known. May be called from a unit of work before its commit if
    /// [`LaneWork::load`] waits for that.
    pub(crate) fn wake(&self, name: &str, rank: usize) {
        self.put(name, |lane| {
            if lane.is_new() {
                lane.rank = rank;
            }
            lane.has_more = true;
            lane.grew = true;
        });
    }

    /// A lane has got a row from another one, with an id above those of all rows that it has had. Rows before that one
    /// are not read by a lane that had nothing to do: they were worked off, and may not be removed yet.
    pub(crate) fn wake_for(&self, name: &str, id: i64) {
        self.put(name, |lane| {
            if lane.is_new() {
                lane.last_id = id - 1;
            }
            lane.has_more = true;
            lane.grew = true;
        });
    }

    /// Ends the waits of all lanes.
    pub(crate) fn hurry(&self) {
        for lane in self.0.table.lock().lanes.values() {
            lane.hurry.notify_one();
        }
    }

    /// The lanes that have something to do.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.table.lock().lanes.keys().cloned().collect()
    }

    /// Ends the wait of a lane, or the one that its row in work asks for next.
    pub(crate) fn hurry_lane(&self, name: &str) {
        if let Some(lane) = self.0.table.lock().lanes.get(name) {
            lane.hurry.notify_one();
        }
    }

    /// Ends the waits of lanes whose next row is such a one.
    pub(crate) fn hurry_where(&self, is_such: impl Fn(&W::Row) -> bool) {
        for lane in self.0.table.lock().lanes.values() {
            if lane.rows.front().is_some_and(&is_such) {
                lane.hurry.notify_one();
            }
        }
    }

    /// How many lanes have something to do.
    pub(crate) fn busy(&self) -> usize {
        *self.0.busy.borrow()
    }

    /// Lets no further row be begun; rows in work go on.
    pub(crate) fn halt(&self) {
        self.0.stop.send_replace(true);
    }

    /// Whether no further row is begun.
    pub(crate) fn is_halted(&self) -> bool {
        *self.0.stop.borrow()
    }

    /// Lets rows in work be finished, and no other be begun; returns when that is so, or after `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.halt();
        let all_ended = async {
            let mut busy = self.0.busy.subscribe();
            while self.0.table.lock().workers() > 0 {
                if busy.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::time::timeout(grace, all_ended).await.ok();
    }

    fn put(&self, name: &str, change: impl FnOnce(&mut Lane<W::Row>)) {
        let mut table = self.0.table.lock();
        if let Some(lane) = table.lanes.get_mut(name) {
            change(lane);
            return;
        }
        let mut lane = Lane::new();
        change(&mut lane);
        table.lanes.insert(name.to_owned(), lane);
        self.0.busy.send_replace(table.lanes.len());
        self.line_up(&mut table, name.to_owned());
    }

    /// Puts a lane at the line's end, and sees to it that somebody comes for it.
    fn line_up(&self, table: &mut Table<W::Row>, name: String) {
        let class = table.line_up(name);
        self.see_to(table, class);
    }

    fn see_to(&self, table: &mut Table<W::Row>, class: Class) {
        if table.workers[class as usize] < self.0.places && !*self.0.stop.borrow() {
            table.workers[class as usize] += 1;
            let lanes = self.clone();
            self.0.runtime.spawn(async move { lanes.run(class).await });
        }
    }

    /// A worker: one lane's turn after another, until none of its class stands in the line.
    async fn run(self, class: Class) {
        while let Some(name) = self.next_lane(class) {
            match self.take_turn(&name, class).await {
                Turn::Over => {
                    let mut table = self.0.table.lock();
                    let next = table.line_up(name);
                    if next != class {
                        self.see_to(&mut table, next);
                    }
                }
                Turn::Wait(wait) => self.pause(name, wait),
                Turn::Empty | Turn::Stop => {}
            }
            // Work that is never waited for must not keep everything else from running.
            tokio::task::yield_now().await;
        }
    }

    /// The line's first; `None`: the worker has ended.
    fn next_lane(&self, class: Class) -> Option<String> {
        let mut table = self.0.table.lock();
        if !*self.0.stop.borrow()
            && let Some(name) = table.line.pop(class)
        {
            return Some(name);
        }
        table.workers[class as usize] -= 1;
        self.0.busy.send_replace(table.lanes.len());
        None
    }

    /// Works off rows for a turn.
    async fn take_turn(&self, name: &str, class: Class) -> Turn {
        for _ in 0..TURN {
            if *self.0.stop.borrow() {
                return Turn::Stop;
            }
            let mut row = match self.next_row(name).await {
                Ok(row) => row,
                Err(turn) => return turn,
            };
            let worked = AssertUnwindSafe(self.0.work.work(&mut row)).catch_unwind();
            let step = worked.await.unwrap_or_else(|_| {
                tracing::error!(
                    lane = name,
                    row = row.id(),
                    "the work on a row has panicked"
                );
                Step::Again(BROKEN)
            });
            let turn = match step {
                Step::Next if self.gives_way(name, class) => Turn::Over,
                Step::Next => continue,
                Step::Again(wait) => {
                    self.put_back(name, row);
                    Turn::Wait(wait)
                }
                Step::Stop => {
                    self.put_back(name, row);
                    Turn::Stop
                }
            };
            return turn;
        }
        Turn::Over
    }

    /// Whether a lane's turn ends early: its next row is for other workers, or a lane waits whose next row is more
    /// urgent.
    fn gives_way(&self, name: &str, class: Class) -> bool {
        let table = self.0.table.lock();
        let rank = table.rank(name);
        Class::of(rank) != class || table.line.is_urged(rank)
    }

    fn put_back(&self, name: &str, row: W::Row) {
        if let Some(lane) = self.0.table.lock().lanes.get_mut(name) {
            lane.rows.push_front(row);
        }
    }

    /// Puts a lane back into the line after this time, or when it is told to hurry.
    fn pause(&self, name: String, wait: Duration) {
        let hurry = {
            let table = self.0.table.lock();
            table.lanes.get(&name).map(|lane| lane.hurry.clone())
        };
        let Some(hurry) = hurry else { return };
        let lanes = self.clone();
        let mut stop = self.0.stop.subscribe();
        self.0.runtime.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = hurry.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            lanes.line_up(&mut lanes.0.table.lock(), name);
        });
    }

    /// The lane's next row, from the window or from the database; an error says how the turn ends without one.
    async fn next_row(&self, name: &str) -> Result<W::Row, Turn> {
        loop {
            let after = {
                let mut table = self.0.table.lock();
                let Some(lane) = table.lanes.get_mut(name) else {
                    return Err(Turn::Empty);
                };
                if let Some(row) = lane.rows.pop_front() {
                    lane.rank = row.rank();
                    return Ok(row);
                }
                if !lane.has_more {
                    table.lanes.remove(name);
                    self.0.busy.send_replace(table.lanes.len());
                    return Err(Turn::Empty);
                }
                lane.grew = false;
                lane.last_id
            };
            match self.0.work.load(name, after, WINDOW).await {
                Ok(rows) => self.add_loaded(name, rows),
                Err(error) => {
                    tracing::error!(lane = name, %error, "a lane cannot be read");
                    return Err(Turn::Wait(BROKEN));
                }
            }
        }
    }

    fn add_loaded(&self, name: &str, rows: Vec<W::Row>) {
        let mut table = self.0.table.lock();
        let Some(lane) = table.lanes.get_mut(name) else {
            return;
        };
        lane.has_more = rows.len() >= WINDOW || lane.grew;
        if let Some(last) = rows.last() {
            lane.last_id = last.id();
        }
        lane.rows.extend(rows);
    }
}

#[cfg(test)]
mod tests;
