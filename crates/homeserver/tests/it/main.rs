//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the message, in its helpers too"
)]

mod admin;
mod append;
mod calls;
mod context;
mod devices;
mod ephemeral;
mod identity;
mod keys;
mod login;
mod members;
mod messages;
mod ping;
mod presence;
mod receipts;
mod registration;
mod relations;
mod session;
mod support;
mod to_device;
mod typing;
