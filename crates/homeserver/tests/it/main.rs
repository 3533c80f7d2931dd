//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test's helper fails the test"
)]

mod account_data;
mod aliases;
mod append;
mod calls;
mod context;
mod create_room;
mod devices;
mod directory;
mod ephemeral;
mod knock;
mod members;
mod messages;
mod presence;
mod profile;
mod push_rules;
mod receipts;
mod relations;
mod session;
mod support;
mod sync;
mod thirdparty;
mod to_device;
mod typing;
mod upgrade;
