//! The cache of hot rooms: immutable snapshots, replaced when a commit changes them.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use bridgehead_room::RoomView;
use lru::LruCache;
use parking_lot::Mutex;

use crate::{Result, Snapshot, Store, StreamPosition, Tx, rooms::RoomInterest, tx::CachedRoom};

/// Rooms kept in memory.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8192).expect("not zero");
/// State events of all rooms kept in memory, at somewhat below 1 KiB each; a lone room may be larger.
const MAX_EVENTS: usize = 250_000;

pub(crate) struct Views {
    inner: Mutex<Inner>,
}

struct Inner {
    rooms: LruCache<String, CachedRoom>,
    /// State events in `rooms`.
    events: usize,
    /// The newest commit whose rooms were published here.
    position: StreamPosition,
}

impl Inner {
    fn put(&mut self, room_id: String, room: CachedRoom) {
        self.events += events_in(&room);
        // The room's former self, or the one that was used longest ago.
        if let Some((_, gone)) = self.rooms.push(room_id, room) {
            self.events -= events_in(&gone);
        }
        while self.events > MAX_EVENTS && self.rooms.len() > 1 {
            if let Some((_, gone)) = self.rooms.pop_lru() {
                self.events -= events_in(&gone);
            }
        }
    }
}

fn events_in(room: &CachedRoom) -> usize {
    room.view.state.values().map(imbl::OrdMap::len).sum()
}

impl Views {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                rooms: LruCache::new(CAPACITY),
                events: 0,
                position: StreamPosition::ZERO,
            }),
        }
    }

    pub(crate) fn publish(&self, rooms: HashMap<String, CachedRoom>, position: StreamPosition) {
        let mut inner = self.inner.lock();
        inner.position = position;
        for (room_id, room) in rooms {
            inner.put(room_id, room);
        }
    }

    fn get(&self, room_id: &str) -> Option<CachedRoom> {
        self.inner.lock().rooms.get(room_id).cloned()
    }

    /// Keeps what a reader loaded, unless a commit came in between: then the reader's copy may
    /// already be old, and only the writer may bring the new one.
    fn offer(&self, room_id: &str, view: &Arc<RoomView>, loaded_at: StreamPosition) {
        let mut inner = self.inner.lock();
        if inner.position <= loaded_at && !inner.rooms.contains(room_id) {
            let room = CachedRoom {
                view: view.clone(),
                interest: None,
            };
            inner.put(room_id.to_owned(), room);
        }
    }

    /// Keeps an interest computed from what was read at `read_at`, unless the room has changed
    /// since.
    fn offer_interest(
        &self,
        view: &Arc<RoomView>,
        interest: Arc<RoomInterest>,
        read_at: StreamPosition,
    ) {
        let mut inner = self.inner.lock();
        if inner.position > read_at {
            return;
        }
        if let Some(room) = inner.rooms.get_mut(view.room_id.as_str())
            && Arc::ptr_eq(&room.view, view)
        {
            room.interest = Some(interest);
        }
    }
}

impl Store {
    /// A room's committed state, from the cache or the database. `None`: no such room.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn room_view(&self, room_id: &str) -> Result<Option<Arc<RoomView>>> {
        if let Some(room) = self.shared.views.get(room_id) {
            return Ok(Some(room.view));
        }
        let shared = self.shared.clone();
        let room_id = room_id.to_owned();
        self.read(move |snapshot| {
            let loaded_at = snapshot.last_position()?;
            let Some(view) = snapshot.load_room_view(&room_id)? else {
                return Ok(None);
            };
            let view = Arc::new(view);
            shared.views.offer(&room_id, &view, loaded_at);
            Ok(Some(view))
        })
        .await
    }

    /// The interest last computed for a room, if it is remembered. It may be of an older registry
    /// generation.
    pub fn room_interest(&self, room_id: &str) -> Option<Arc<RoomInterest>> {
        self.shared.views.get(room_id)?.interest
    }

    /// A room's aliases, and up to which position they are true.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn aliases_of_room(&self, room_id: &str) -> Result<(Vec<String>, StreamPosition)> {
        let room_id = room_id.to_owned();
        self.read(move |snapshot| Ok((snapshot.aliases_of(&room_id)?, snapshot.last_position()?)))
            .await
    }

    /// Remembers an interest computed from a view and from aliases that were true at `read_at`.
    pub fn offer_room_interest(
        &self,
        view: &Arc<RoomView>,
        interest: Arc<RoomInterest>,
        read_at: StreamPosition,
    ) {
        self.shared.views.offer_interest(view, interest, read_at);
    }
}

impl Tx<'_> {
    /// The room as this unit sees it: its own and earlier units' writes included.
    pub fn room_view(&mut self, room_id: &str) -> Result<Option<Arc<RoomView>>> {
        Ok(self.cached_room(room_id)?.map(|room| room.view))
    }

    /// The room with the interest that was computed for it, if that is still current.
    pub fn room_interest(&mut self, room_id: &str) -> Result<Option<Arc<RoomInterest>>> {
        Ok(self.cached_room(room_id)?.and_then(|room| room.interest))
    }

    fn cached_room(&mut self, room_id: &str) -> Result<Option<CachedRoom>> {
        if let Some(room) = self.batch.rooms.get(room_id) {
            return Ok(Some(room.clone()));
        }
        if let Some(room) = self.batch.shared.views.get(room_id) {
            return Ok(Some(room));
        }
        let Some(view) = self.load_room_view(room_id)? else {
            return Ok(None);
        };
        let room = CachedRoom {
            view: Arc::new(view),
            interest: None,
        };
        // Undone with the unit: what it read may hold the unit's own writes.
        self.batch.set_room(room_id, room.clone());
        Ok(Some(room))
    }

    /// Replaces what later units see of the room.
    pub fn set_room_view(&mut self, view: Arc<RoomView>, interest: Option<Arc<RoomInterest>>) {
        let room_id = view.room_id.as_str().to_owned();
        self.batch.set_room(&room_id, CachedRoom { view, interest });
    }
}

impl Snapshot<'_> {
    /// Reads a room's state from the database.
    pub(crate) fn load_room_view(&self, room_id: &str) -> Result<Option<RoomView>> {
        let Some(record) = self.room_record(room_id)? else {
            return Ok(None);
        };
        let state = self.current_state(room_id)?;
        RoomView::from_state(
            record.room_id.clone(),
            record.version.clone(),
            state.into_iter().map(Arc::new),
            vec![record.last_event.clone()],
            record.depth,
        )
        .map(Some)
        .map_err(|_| crate::Error::corrupt("rooms", room_id))
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_room::{Event, EventGraph};
    use ruma::{MilliSecondsSinceUnixEpoch, RoomVersionId, uint};
    use serde_json::value::RawValue;

    use super::*;

    fn room_of(room_id: &str, keys: usize) -> CachedRoom {
        let state = (0..keys).map(|key| {
            Arc::new(Event {
                event_id: "$e".try_into().unwrap(),
                room_id: room_id.try_into().unwrap(),
                sender: "@a:x".try_into().unwrap(),
                event_type: "org.example".into(),
                state_key: Some(key.to_string()),
                origin_server_ts: MilliSecondsSinceUnixEpoch(uint!(0)),
                content: RawValue::from_string("{}".to_owned()).unwrap(),
                redacts: None,
                graph: EventGraph::default(),
            })
        });
        let room_id = room_id.try_into().unwrap();
        let view = RoomView::from_state(room_id, RoomVersionId::V11, state, Vec::new(), 0).unwrap();
        CachedRoom {
            view: Arc::new(view),
            interest: None,
        }
    }

    #[test]
    fn large_rooms_push_out_the_longest_unused() {
        let views = Views::new();
        let publish = |room_id: &str, keys| {
            let rooms = HashMap::from([(room_id.to_owned(), room_of(room_id, keys))]);
            views.publish(rooms, StreamPosition(1));
        };
        publish("!a:x", MAX_EVENTS / 2);
        publish("!a:x", MAX_EVENTS / 2);
        publish("!b:x", MAX_EVENTS / 2);
        assert!(views.get("!a:x").is_some() && views.get("!b:x").is_some());
        publish("!c:x", 1);
        assert!(views.get("!a:x").is_none(), "used longest ago");
        assert!(views.get("!b:x").is_some() && views.get("!c:x").is_some());
        publish("!d:x", MAX_EVENTS + 1);
        assert!(views.get("!d:x").is_some(), "a lone room may be larger");
        assert_eq!(views.inner.lock().rooms.len(), 1);
    }
}
