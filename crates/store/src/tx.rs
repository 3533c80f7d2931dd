//! What a unit of work sees: [`Snapshot`] to read, [`Tx`] to write.

use std::{collections::HashMap, ops::Deref, sync::Arc};

use bridgehead_room::RoomView;
use rusqlite::Connection;

use crate::{
    AppserviceNid, InterestSetId, RoomInterest, Shared, StreamPosition,
    log::{InterestSet, LogEntry},
};

/// One consistent state of the database.
pub struct Snapshot<'c> {
    pub(crate) conn: &'c Connection,
}

/// A unit of work that may write. It reads its own writes and those of the units before it in the
/// same batch.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    pub(crate) batch: &'c mut Batch,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c Connection, batch: &'c mut Batch) -> Self {
        Self {
            snapshot: Snapshot { conn },
            batch,
        }
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Self::Target {
        &self.snapshot
    }
}

/// A room as the writer knows it: its state and who is interested in it.
#[derive(Clone)]
pub(crate) struct CachedRoom {
    pub(crate) view: Arc<RoomView>,
    pub(crate) interest: Option<Arc<RoomInterest>>,
}

/// What the units of one database transaction have done so far, and how to undo the newest.
pub(crate) struct Batch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) next_position: StreamPosition,
    /// When it began; its log rows bear this.
    pub(crate) at_ms: i64,
    pub(crate) log: Vec<LogEntry>,
    pub(crate) rooms: HashMap<String, CachedRoom>,
    pub(crate) interned: Vec<InterestSetId>,
    undo: Vec<(String, Option<CachedRoom>)>,
}

/// A point to come back to when a unit is refused.
pub(crate) struct Mark {
    next_position: StreamPosition,
    log: usize,
    interned: usize,
}

impl Batch {
    pub(crate) fn new(shared: Arc<Shared>, next_position: StreamPosition, at_ms: i64) -> Self {
        Self {
            shared,
            next_position,
            at_ms,
            log: Vec::new(),
            rooms: HashMap::new(),
            interned: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// Starts a unit.
    pub(crate) fn mark(&mut self) -> Mark {
        self.undo.clear();
        Mark {
            next_position: self.next_position,
            log: self.log.len(),
            interned: self.interned.len(),
        }
    }

    /// Undoes the unit since `mark`: a position that was rolled back is handed out again, so the
    /// log stays free of gaps.
    pub(crate) fn roll_back(&mut self, mark: &Mark) {
        self.next_position = mark.next_position;
        self.log.truncate(mark.log);
        self.forget_sets_from(mark.interned);
        for (room_id, before) in self.undo.drain(..).rev() {
            match before {
                Some(room) => self.rooms.insert(room_id, room),
                None => self.rooms.remove(&room_id),
            };
        }
    }

    /// The whole batch failed: sets interned in it do not exist.
    pub(crate) fn forget_sets_from(&mut self, first: usize) {
        let mut sets = self.shared.sets.lock();
        for id in self.interned.drain(first..) {
            sets.remove(id);
        }
    }

    pub(crate) fn set_room(&mut self, room_id: &str, room: CachedRoom) {
        let before = self.rooms.insert(room_id.to_owned(), room);
        self.undo.push((room_id.to_owned(), before));
    }
}

/// The interned sets, both ways.
#[derive(Default)]
pub(crate) struct Sets {
    pub(crate) by_id: HashMap<InterestSetId, InterestSet>,
    pub(crate) by_members: HashMap<Vec<AppserviceNid>, InterestSetId>,
}

impl Sets {
    pub(crate) fn insert(&mut self, id: InterestSetId, members: InterestSet) {
        self.by_members.insert(members.to_vec(), id);
        self.by_id.insert(id, members);
    }

    fn remove(&mut self, id: InterestSetId) {
        if let Some(members) = self.by_id.remove(&id) {
            self.by_members.remove(members.as_slice());
        }
    }
}
