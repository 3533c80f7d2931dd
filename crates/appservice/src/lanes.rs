//! Lanes: what is worked off in order by name, many names at the same time.
//!
//! A lane holds rows of the database in the order of their ids. Each lane with something to do has a task; a fair
//! semaphore says how many of them work at a time, and each works for a [`TURN`] before it queues up again, so a lane
//! with ten thousand rows does not hold up one with two. A row that has to be tried again lets its own lane wait, and
//! nobody else. In memory is a window of each lane; what is behind it is read from the database when it is reached.
//!
//! Used by the inbox (events to handlers) and the outbox (sends to the homeserver).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

use crate::store::Result as StoreResult;

/// Rows that a lane works off before others get its place.
const TURN: usize = 16;

/// Rows of a lane that are held in memory.
const WINDOW: usize = 64;

/// Lanes that have a task at a time; more of them wait in line for one.
const ALIVE: usize = 1024;

/// How long a lane waits when the database could not be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// A row of a lane.
pub(crate) trait LaneRow: Send + 'static {
    /// Its id: rows are worked off in this order.
    fn id(&self) -> i64;
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
    /// Cuts a wait short.
    hurry: Arc<Notify>,
}

impl<R> Lane<R> {
    fn new() -> Self {
        Self {
            rows: VecDeque::new(),
            has_more: false,
            grew: false,
            last_id: 0,
            hurry: Arc::new(Notify::new()),
        }
    }
}

struct Table<R> {
    lanes: HashMap<String, Lane<R>>,
    /// Lanes that wait for a task.
    line: VecDeque<String>,
    alive: usize,
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
    places: Semaphore,
    /// Lanes that have something to do.
    busy: watch::Sender<usize>,
    stop: watch::Sender<bool>,
}

impl<W: LaneWork> Lanes<W> {
    /// `places` is how many lanes work at a time.
    pub(crate) fn new(work: W, places: usize) -> Self {
        Self(Arc::new(Inner {
            work,
            table: Mutex::new(Table {
                lanes: HashMap::new(),
                line: VecDeque::new(),
                alive: 0,
            }),
            places: Semaphore::new(places.max(1)),
            busy: watch::Sender::new(0),
            stop: watch::Sender::new(false),
        }))
    }

    /// What is done with rows.
    pub(crate) fn work(&self) -> &W {
        &self.0.work
    }

    /// A row was added to the database. To be called in the order of the ids.
    pub(crate) fn push(&self, name: &str, row: W::Row) {
        self.put(name, |lane| {
            // Between commit and here the window may have been filled from the database, with this row in it.
            if row.id() <= lane.last_id {
                return;
            }
            if lane.has_more || lane.rows.len() >= WINDOW {
                lane.has_more = true;
                lane.grew = true;
            } else {
                lane.last_id = row.id();
                lane.rows.push_back(row);
            }
        });
    }

    /// A lane has rows in the database that were not pushed, such as those of before the start.
    pub(crate) fn wake(&self, name: &str) {
        self.put(name, |lane| {
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

    /// How many lanes have something to do.
    pub(crate) fn busy(&self) -> usize {
        *self.0.busy.borrow()
    }

    /// Returns when no lane has anything to do.
    pub(crate) async fn idle(&self) {
        let mut busy = self.0.busy.subscribe();
        busy.wait_for(|busy| *busy == 0).await.ok();
    }

    /// Lets rows in work be finished, and no other be begun; returns when that is so, or after `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.0.stop.send_replace(true);
        self.hurry();
        let all_ended = async {
            let mut busy = self.0.busy.subscribe();
            while self.0.table.lock().alive > 0 {
                if busy.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::time::timeout(grace, all_ended).await.ok();
    }

    fn put(&self, name: &str, change: impl FnOnce(&mut Lane<W::Row>)) {
        let mut table = self.0.table.lock();
        let is_new = !table.lanes.contains_key(name);
        let lane = table.lanes.entry(name.to_owned()).or_insert_with(Lane::new);
        change(lane);
        if is_new {
            table.line.push_back(name.to_owned());
            self.0.busy.send_replace(table.lanes.len());
            self.start_waiting(&mut table);
        }
    }

    /// Gives tasks to lanes that wait for one.
    fn start_waiting(&self, table: &mut Table<W::Row>) {
        while table.alive < ALIVE && !*self.0.stop.borrow() {
            let Some(name) = table.line.pop_front() else {
                return;
            };
            table.alive += 1;
            let lanes = self.clone();
            tokio::spawn(async move { lanes.run(name).await });
        }
    }

    async fn run(self, name: String) {
        while !*self.0.stop.borrow() && self.fill(&name).await {
            let Ok(place) = self.0.places.acquire().await else {
                break;
            };
            let turn = self.take_turn(&name).await;
            drop(place);
            match turn {
                Turn::Over => {}
                Turn::Wait(wait) => self.pause(&name, wait).await,
                Turn::Stop => break,
            }
        }
        let mut table = self.0.table.lock();
        table.alive -= 1;
        self.start_waiting(&mut table);
        self.0.busy.send_replace(table.lanes.len());
    }

    /// Works off rows for a turn.
    async fn take_turn(&self, name: &str) -> Turn {
        for _ in 0..TURN {
            if *self.0.stop.borrow() {
                return Turn::Stop;
            }
            let Some(mut row) = self.take_row(name) else {
                return Turn::Over;
            };
            match self.0.work.work(&mut row).await {
                Step::Next => {}
                Step::Again(wait) => {
                    self.put_back(name, row);
                    return Turn::Wait(wait);
                }
                Step::Stop => {
                    self.put_back(name, row);
                    return Turn::Stop;
                }
            }
        }
        Turn::Over
    }

    fn take_row(&self, name: &str) -> Option<W::Row> {
        self.0.table.lock().lanes.get_mut(name)?.rows.pop_front()
    }

    fn put_back(&self, name: &str, row: W::Row) {
        if let Some(lane) = self.0.table.lock().lanes.get_mut(name) {
            lane.rows.push_front(row);
        }
    }

    async fn pause(&self, name: &str, wait: Duration) {
        let hurry = {
            let table = self.0.table.lock();
            table.lanes.get(name).map(|lane| lane.hurry.clone())
        };
        let Some(hurry) = hurry else { return };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = hurry.notified() => {}
        }
    }

    /// Sees to it that the window holds something; `false`: the lane is empty, and gone.
    async fn fill(&self, name: &str) -> bool {
        loop {
            let after = {
                let mut table = self.0.table.lock();
                let Some(lane) = table.lanes.get_mut(name) else {
                    return false;
                };
                if !lane.rows.is_empty() {
                    return true;
                }
                if !lane.has_more {
                    table.lanes.remove(name);
                    return false;
                }
                lane.grew = false;
                lane.last_id
            };
            match self.0.work.load(name, after, WINDOW).await {
                Ok(rows) => self.add_loaded(name, rows),
                Err(error) => {
                    tracing::error!(lane = name, %error, "a lane cannot be read");
                    tokio::time::sleep(UNREADABLE).await;
                    if *self.0.stop.borrow() {
                        return false;
                    }
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
