//! The homeserver as a library: HTTP, rooms, users, sync, application services and delivery.
//!
//! [`Server::start`] is the entry point. An event's way through the crate is told in
//! `ARCHITECTURE.md`; it begins in `http/client`, passes `rooms/append.rs` and
//! `appservices/interest.rs`, and leaves through `appservices/delivery.rs`.

mod app;
pub mod appservices;
mod blocking;
mod clock;
pub mod config;
mod housekeeping;
mod http;
mod limits;
mod media;
mod metrics;
mod operators;
mod private_file;
mod random;
mod rooms;
mod sealing;
mod server;
mod shutdown;
mod surroundings;
mod sync;
mod users;

/// Strings that must not be seen.
pub mod secret {
    pub use bridgehead_registration::Secret;
}

pub use self::{
    clock::{Clock, SystemClock, TimerClock},
    server::{Caller, CreateUserError, Server, StartError, create_user_offline},
    surroundings::{Outgoing, OutgoingError, Surroundings},
};
