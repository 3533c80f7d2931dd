//! Sync and the older event streams.

pub(crate) mod sync_events;
