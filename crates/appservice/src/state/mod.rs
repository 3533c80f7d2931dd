//! The state of rooms: one copy for all of the service's users.
//!
//! ```text
//! transactions ──▶ hear ──▶ tables `rooms`, `state` ◀── fetch (once, when it is first needed)
//!                                │
//!                                ▼
//!                   views in memory (bounded) ──▶ answers, with their freshness
//! ```
//!
//! State is heard when a transaction is taken, in the same unit of work: it is never behind what was acknowledged,
//! however long handlers take. Files: `fresh` (how far an answer goes), `view` (a room, parsed), `power` (its power
//! levels), `interest` (which rooms the service is told of), `hear` and `fetch` (the two sources), `answers` (what
//! authors ask).

mod answers;
mod fetch;
mod fresh;
mod hear;
mod interest;
pub(crate) mod power;
pub(crate) mod view;

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;
use serde_json::Value;

pub use self::{
    fresh::Fresh,
    power::{Power, PowerLevels},
    view::{Creation, JoinRule, Membership, RoomMember, Tombstone},
};
pub(crate) use self::{
    hear::Overheard,
    interest::Interest,
    view::{RoomView, Standing},
};
use crate::{
    flights::Flights,
    id::{RoomId, UserId},
    store::{Origin, Result as StoreResult, StateRow, Store},
};

/// Rooms that are held in memory.
const MAX_VIEWS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Members and other state events that are held in memory, over all rooms.
const MAX_WEIGHT: usize = 250_000;

/// Rooms of which it is remembered that their state cannot be read.
const MAX_UNREADABLE: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// The state of rooms; cheap to clone.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Inner>);

struct Inner {
    store: Store,
    interest: Arc<Interest>,
    cache: Mutex<Cache>,
    loads: Flights<RoomId>,
    fetches: Flights<RoomId>,
    /// Rooms that could not be read, and until when that is not tried again.
    unreadable: Mutex<LruCache<RoomId, fetch::Unreadable>>,
}

struct Cache {
    views: LruCache<RoomId, Slot>,
    weight: usize,
    /// Rooms that are being loaded, and whether they have changed since that began.
    loading: HashMap<RoomId, bool>,
}

struct Slot {
    view: Arc<RoomView>,
    weight: usize,
}

impl Cache {
    fn put(&mut self, room: &RoomId, view: Arc<RoomView>) {
        let weight = view.weight();
        let slot = Slot { view, weight };
        let evicted = self.views.push(room.clone(), slot);
        self.weight += weight;
        self.weight -= evicted.map_or(0, |(_, slot)| slot.weight);
        // The newest stays, whatever it weighs.
        while self.weight > MAX_WEIGHT && self.views.len() > 1 {
            let Some((_, slot)) = self.views.pop_lru() else {
                break;
            };
            self.weight -= slot.weight;
        }
    }

    fn forget(&mut self, room: &RoomId) {
        if let Some(slot) = self.views.pop(room) {
            self.weight -= slot.weight;
        }
        if let Some(has_changed) = self.loading.get_mut(room) {
            *has_changed = true;
        }
    }

    fn change(&mut self, room: &RoomId, change: impl FnOnce(&mut RoomView)) {
        if let Some(has_changed) = self.loading.get_mut(room) {
            *has_changed = true;
        }
        let Some(slot) = self.views.peek_mut(room) else {
            return;
        };
        let view = Arc::make_mut(&mut slot.view);
        change(view);
        let weight = view.weight();
        self.weight = self.weight + weight - slot.weight;
        slot.weight = weight;
    }
}

impl Rooms {
    pub(crate) fn new(store: Store, interest: Arc<Interest>) -> Self {
        Self(Arc::new(Inner {
            store,
            interest,
            cache: Mutex::new(Cache {
                views: LruCache::new(MAX_VIEWS),
                weight: 0,
                loading: HashMap::new(),
            }),
            loads: Flights::default(),
            fetches: Flights::default(),
            unreadable: Mutex::new(LruCache::new(MAX_UNREADABLE)),
        }))
    }

    pub(crate) fn interest(&self) -> &Arc<Interest> {
        &self.0.interest
    }

    /// What is known of a room, without asking the homeserver.
    pub(crate) async fn view(&self, room: &RoomId) -> StoreResult<Arc<RoomView>> {
        if let Some(view) = self.cached(room) {
            return Ok(view);
        }
        let _flight = self.0.loads.enter(room).await;
        if let Some(view) = self.cached(room) {
            return Ok(view);
        }
        loop {
            self.0.cache.lock().loading.insert(room.clone(), false);
            let loaded = self.load(room).await;
            let mut cache = self.0.cache.lock();
            let has_changed = cache.loading.remove(room).unwrap_or(false);
            let view = loaded?;
            if !has_changed {
                cache.put(room, view.clone());
                return Ok(view);
            }
        }
    }

    fn cached(&self, room: &RoomId) -> Option<Arc<RoomView>> {
        let mut cache = self.0.cache.lock();
        cache.views.get(room).map(|slot| slot.view.clone())
    }

    async fn load(&self, room: &RoomId) -> StoreResult<Arc<RoomView>> {
        let id = room.clone();
        let read = self.0.store.read(move |unit| {
            let row = unit.room_row(id.as_str())?;
            Ok((row, unit.state_rows(id.as_str(), &view::HELD)?))
        });
        let (row, rows) = read.await?;
        let mut view = RoomView::new(room.clone(), row);
        for row in &rows {
            view.apply(row, &self.0.interest);
        }
        Ok(Arc::new(view))
    }

    /// Something of the room may have been missed, or what is kept of it is contradicted: it is read again when it is
    /// next needed.
    pub(crate) async fn doubt(&self, room: &RoomId, now_ms: i64) -> StoreResult<()> {
        let id = room.to_string();
        self.0
            .store
            .write(move |unit| unit.set_stale(&id, now_ms))
            .await?;
        self.0.cache.lock().forget(room);
        Ok(())
    }

    /// One of our users has changed what it is to a room; the stream will say so, too.
    pub(crate) async fn note_membership(
        &self,
        room: &RoomId,
        user: &UserId,
        membership: Membership,
        now_ms: i64,
    ) -> StoreResult<()> {
        let (room_id, user_id) = (room.to_string(), user.to_string());
        let interest = self.0.interest.clone();
        let noted = self.0.store.write(move |unit| {
            unit.note_membership(&room_id, &user_id, membership.as_str(), now_ms)?;
            if membership != Membership::Join {
                hear::mark_unfollowed(unit, &room_id, &interest, now_ms)?;
            }
            let row = unit.state_row(&room_id, "m.room.member", &user_id)?;
            Ok((row, unit.room_row(&room_id)?))
        });
        let (row, room_row) = noted.await?;
        self.0.cache.lock().change(room, |view| {
            view.set_row(room_row);
            if let Some(row) = &row {
                view.apply(row, &self.0.interest);
            }
        });
        Ok(())
    }

    /// The id of the event that is a room's state of this kind and key, as far as is known.
    pub(crate) async fn event_of(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> StoreResult<Option<String>> {
        let (id, kind, key) = (room.to_string(), kind.to_owned(), state_key.to_owned());
        let read = self
            .0
            .store
            .read(move |unit| unit.state_row(&id, &kind, &key));
        Ok(read.await?.and_then(|row| row.event_id))
    }

    /// We have set a room's state; the stream will say so, too. `before` is the id of the event that was known when
    /// it was set: if the stream has been faster meanwhile, it is right.
    pub(crate) async fn note_state(
        &self,
        room: &RoomId,
        set: OwnState,
        before: Option<String>,
        now_ms: i64,
    ) -> StoreResult<()> {
        let row = StateRow {
            kind: set.kind,
            state_key: set.state_key,
            event_id: set.event_id,
            sender: set.sender.to_string(),
            sent_ms: now_ms,
            noted_ms: now_ms,
            origin: Origin::Own,
            content: set.content,
        };
        let (room_id, kept) = (room.to_string(), row.clone());
        let noted = self.0.store.write(move |unit| {
            let known = unit.state_row(&room_id, &kept.kind, &kept.state_key)?;
            let is_unchanged = known.and_then(|row| row.event_id) == before;
            if is_unchanged {
                unit.put_state(&room_id, &kept)?;
            }
            Ok(is_unchanged)
        });
        if noted.await? {
            let mut cache = self.0.cache.lock();
            cache.change(room, |view| view.apply(&row, &self.0.interest));
        }
        Ok(())
    }
}

/// State that we have set.
pub(crate) struct OwnState {
    pub(crate) kind: String,
    pub(crate) state_key: String,
    pub(crate) sender: UserId,
    pub(crate) content: Value,
    pub(crate) event_id: Option<String>,
}

#[cfg(test)]
mod tests;
