//! `/sync` and the event streams, and what wakes them.
//!
//! ```text
//! request → token, filter → look (one snapshot) → news? answer : wait (poll, notifier) → look …
//! ```
//! `answer` puts a `/sync` answer together out of one module per part.

mod account_data;
mod answer;
mod device_lists;
mod ephemeral;
mod events;
pub(crate) mod filter;
pub(crate) mod initial;
mod invited;
mod joined;
mod left;
mod look;
mod notifier;
mod poll;
mod presence;
mod presence_events;
mod response;
mod state;
mod timeline;
mod to_device;
mod token;
mod typing;
mod unread;

pub(crate) use self::{
    answer::{SyncRequest, sync},
    events::{StreamChunk, StreamRequest, listen},
    look::Reader,
    notifier::Notifier,
    presence::{Presence, PresenceState},
    response::SyncResponse,
    typing::Typing,
};
