//! Sync and the older event streams.

pub(crate) mod initial_sync;
pub(crate) mod listen_to_new_events;
pub(crate) mod room_initial_sync;
pub(crate) mod sync_events;
