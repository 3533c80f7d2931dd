//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test's helper fails the test"
)]

mod account_data;
mod append;
mod calls;
mod context;
mod devices;
mod ephemeral;
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
mod to_device;
mod typing;
